using System.Diagnostics.Metrics;
using System.Security.Cryptography;
using Bellwether.Aggregator.Configuration;
using Bellwether.Core.Bundles;
using Bellwether.Core.Platform;
using Bellwether.Core.Telemetry;
using Bellwether.Ingest.Bundles;
using Microsoft.Extensions.Logging;

namespace Bellwether.Aggregator.Bundles;

/// <summary>
/// Watches a folder into which bundles are put, by <c>bundle import</c> or by a one-way gate, in any order and any number of files. A bundle is taken when all of its files are there and
/// have not changed between two looks. Imported files are deleted and leave a receipt in <c>receipts/</c>; refused ones move to <c>refused/</c> with the reason beside them. One loop.
/// </summary>
internal sealed partial class BundleInbox(BundleInboxOptions options, Func<AggregatorConfig> config, BundleImport import, LateRanges late, IDisk disk, TimeProvider time, Meter meter, ILogger log)
{
    public const string Extension = ".bwb";
    private readonly Counter<long> _imports = meter.CreateCounter<long>(MetricNames.BundleImports, description: "Bundles that came, by outcome.");
    private readonly Counter<long> _records = meter.CreateCounter<long>(MetricNames.BundleRecords, description: "Records that bundles brought.");
    private readonly HashSet<(string Agent, BundleSegmentId Segment)> _gapsTold = [];
    private Dictionary<string, (long Length, DateTime Written)> _seen = [];

    /// <summary>Where receipts are put.</summary>
    public static string Receipts(string folder) => Path.Combine(folder, "receipts");

    /// <summary>Where refused files go.</summary>
    public static string RefusedFolder(string folder) => Path.Combine(folder, "refused");

    /// <summary>Watches until cancelled.</summary>
    public async Task RunAsync(CancellationToken cancellation)
    {
        while (!cancellation.IsCancellationRequested)
        {
            try
            {
                await Task.Delay(options.Interval, time, cancellation);
                await StepAsync(cancellation);
                if (!late.Save())
                    LateNotSaved(log);
            }
            catch (OperationCanceledException) when (cancellation.IsCancellationRequested)
            {
                return;
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException or CryptographicException or InvalidDataException)
            {
                Failed(log, options.Folder, e.Message);
            }
        }
    }

    /// <summary>One look at the folder.</summary>
    public async Task StepAsync(CancellationToken cancellation)
    {
        if (!Directory.Exists(options.Folder))
            return;
        var seen = new Dictionary<string, (long, DateTime)>();
        var bundles = new Dictionary<Guid, SortedDictionary<uint, string>>();
        bool unsettled = false;
        foreach (FileInfo file in new DirectoryInfo(options.Folder).EnumerateFiles("*" + Extension).OrderBy(f => f.Name, StringComparer.Ordinal).Take(options.FilesMax))
        {
            (long, DateTime) now = (file.Length, file.LastWriteTimeUtc);
            seen.Add(file.FullName, now);
            if (!_seen.TryGetValue(file.FullName, out (long, DateTime) before) || before != now)
            {
                // Still being written: its whole bundle waits.
                unsettled = true;
                continue;
            }
            BundleVerdict verdict = BundleReader.TryIdentify(disk, file.FullName, out Guid bundle, out uint volume);
            // Of two copies one is taken now and the other at the next look: a damaged copy does not stand in a good one's way.
            if (verdict.IsGood)
                (bundles.TryGetValue(bundle, out SortedDictionary<uint, string>? files) ? files : bundles[bundle] = []).TryAdd(volume, file.FullName);
            else if (verdict.Outcome != BundleOutcome.Cut || IsOld(file))
                Refuse([file.FullName], verdict);
        }
        _seen = seen;
        foreach (SortedDictionary<uint, string> files in bundles.Values)
            await TakeAsync([.. files.Values], unsettled, cancellation);
    }

    private bool IsOld(FileInfo file) => time.GetUtcNow().UtcDateTime - file.LastWriteTimeUtc > options.IncompleteMax;

    private async Task TakeAsync(List<string> files, bool unsettled, CancellationToken cancellation)
    {
        using var keys = new BundleKeyring(config());
        using var reader = new BundleReader(disk, files);
        BundleImported imported = await import.RunAsync(reader, keys.Trust, null, cancellation);
        if (imported.Verdict.Outcome == BundleOutcome.Cut && (unsettled || !files.TrueForAll(f => IsOld(new FileInfo(f)))))
            return; // more of it may come
        if (!imported.Verdict.IsGood)
        {
            Refuse(files, imported.Verdict);
            return;
        }
        _records.Add(imported.Records);
        BundleManifest manifest = imported.Manifest!;
        if (imported.Unfinished is { } reason)
        {
            Unfinished(log, manifest.Bundle, reason);
            return; // the next look goes on
        }
        if (keys.Own is not null)
        {
            Directory.CreateDirectory(Receipts(options.Folder));
            string receipt = Path.Combine(Receipts(options.Folder), $"{manifest.Bundle}.receipt");
            await File.WriteAllBytesAsync(receipt + ".new", import.ReceiptOf(imported).Write(keys.Own), cancellation);
            File.Move(receipt + ".new", receipt, overwrite: true);
        }
        foreach (string file in files)
            File.Delete(file);
        _imports.Add(1, new KeyValuePair<string, object?>("outcome", "imported"));
        Imported(log, manifest.Bundle, manifest.Agent, imported.Records, imported.AlreadyHeld);
        // Each bundle through a one-way gate announces what those before it did: a gap is told once.
        if (_gapsTold.Count > options.GapsRememberedMax)
            _gapsTold.Clear();
        foreach (BundleSegment missing in imported.Missing.Where(m => !_gapsTold.Contains((manifest.Agent, m.Id))).Take(options.GapsToldMax).ToList())
        {
            _gapsTold.Add((manifest.Agent, missing.Id));
            Gap(log, manifest.Agent, missing.Id.Epoch, missing.Id.Number, Text(missing.FromMs), Text(missing.ToMs));
        }
    }

    private void Refuse(List<string> files, BundleVerdict verdict)
    {
        string folder = RefusedFolder(options.Folder);
        Directory.CreateDirectory(folder);
        foreach (string file in files)
        {
            string to = Path.Combine(folder, Path.GetFileName(file));
            File.Move(file, to, overwrite: true);
            File.WriteAllText(to + ".reason.txt", $"{verdict.Outcome}: {verdict.Reason}\n");
        }
        _imports.Add(1, new KeyValuePair<string, object?>("outcome", verdict.Outcome.ToString()));
        Refused(log, files[0], verdict.Outcome, verdict.Reason);
    }

    internal static string Text(long ms) => DateTimeOffset.FromUnixTimeMilliseconds(ms).ToString("yyyy-MM-dd'T'HH:mm:ss'Z'", System.Globalization.CultureInfo.InvariantCulture);

    [LoggerMessage(EventId = 4501, Level = LogLevel.Information, Message = "bundle {Bundle} of agent {Agent}: {Records} new records; {Held} of its segments were here already")]
    private static partial void Imported(ILogger log, Guid bundle, string agent, long records, int held);

    [LoggerMessage(EventId = 4502, Level = LogLevel.Warning, Message = "{File} was refused ({Outcome}): {Reason}")]
    private static partial void Refused(ILogger log, string file, BundleOutcome outcome, string reason);

    [LoggerMessage(EventId = 4503, Level = LogLevel.Warning, Message = "gap: segment {Epoch}/{Number} of agent {Agent}, {From} to {To}, was announced and never came")]
    private static partial void Gap(ILogger log, string agent, ulong epoch, ulong number, string from, string to);

    [LoggerMessage(EventId = 4504, Level = LogLevel.Warning, Message = "bundle {Bundle} could not be taken wholly, trying again: {Reason}")]
    private static partial void Unfinished(ILogger log, Guid bundle, string reason);

    [LoggerMessage(EventId = 4506, Level = LogLevel.Warning, Message = "the list of ranges that late data changed cannot be written now; trying again")]
    private static partial void LateNotSaved(ILogger log);

    [LoggerMessage(EventId = 4505, Level = LogLevel.Error, Message = "the inbox {Folder} failed, trying again: {Reason}")]
    private static partial void Failed(ILogger log, string folder, string reason);
}

/// <summary>How the inbox is watched.</summary>
internal sealed record BundleInboxOptions
{
    /// <summary>The folder.</summary>
    public required string Folder { get; init; }

    /// <summary>Time between looks. Default 1 s.</summary>
    public TimeSpan Interval { get; init; } = TimeSpan.FromSeconds(1);

    /// <summary>Files looked at at once. Default 10,000.</summary>
    public int FilesMax { get; init; } = 10_000;

    /// <summary>A bundle that lacks files is refused after this. Default 24 h.</summary>
    public TimeSpan IncompleteMax { get; init; } = TimeSpan.FromHours(24);

    /// <summary>Gaps logged one by one for a bundle. Default 20.</summary>
    public int GapsToldMax { get; init; } = 20;

    /// <summary>Gaps that are remembered as logged; of more, all are logged again. Default 10,000.</summary>
    public int GapsRememberedMax { get; init; } = 10_000;
}
