using System.Diagnostics.Metrics;
using Bellwether.Core.Platform;
using Bellwether.Core.Telemetry;
using Bellwether.Store;
using Bellwether.Store.Upkeep;
using Microsoft.Extensions.Logging;

namespace Bellwether.Aggregator.StoreTools;

/// <summary><c>store scrub</c>: one pass of the scrub over a stopped store, as fast as the disk reads.</summary>
internal static class ScrubCommand
{
    private const long StepBytes = 16 << 20;
    private static readonly TimeSpan s_everything = TimeSpan.FromDays(365 * 200);

    public static async Task<int> RunAsync(string folder, TextWriter output, TextWriter errors, CancellationToken cancellation)
    {
        var disk = new OsDisk();
        StoreVerifier.ThrowIfNoStore(disk, folder);
        using var meter = new Meter("bellwether-aggregator-scrub");
        using var loggers = new LineLoggerFactory(errors, TimeProvider.System, LogLevel.Warning);
        ILogger log = loggers.CreateLogger("store");
        // No sample is too old to be looked at, and nothing is deleted here.
        using StoreEngine store = StoreEngine.Open(new StoreOptions { Folder = folder, Retention = s_everything, MinFreeBytes = 0, MaxSeries = int.MaxValue, MaxSeriesPerJob = int.MaxValue, MaxSeriesPerAgent = int.MaxValue }, disk, TimeProvider.System, ProcessRandom.Create(), meter, log);
        await using var scrub = new StoreScrub(store, folder, new StoreScrubOptions { BytesPerSecond = 0 }, disk, TimeProvider.System, meter, log);
        var progress = new ProgressLine(errors);
        long bytes = store.Statistics(0).ChunkFileBytes;
        while (!scrub.Step(StepBytes))
        {
            cancellation.ThrowIfCancellationRequested();
            progress.Show(Math.Min(scrub.Bytes, bytes), bytes);
        }
        progress.Show(bytes, bytes);
        progress.End();
        OpenReport opened = store.Opened;
        long damaged = scrub.Damaged + opened.QuarantinedFiles + opened.DamagedLogPlaces + opened.DamagedCheckpoints;
        output.WriteLine($"{folder}: {scrub.Damaged} damaged chunks; moved to quarantine: {opened.QuarantinedFiles} chunk files; log: {opened.DamagedLogPlaces} damaged places; checkpoints: {opened.DamagedCheckpoints} damaged");
        output.WriteLine(damaged == 0 ? "good: nothing is damaged" : "what is damaged is left out of every answer; store verify tells which samples that are");
        return damaged == 0 ? 0 : 1;
    }
}
