using System.Globalization;
using Bellwether.Core.Platform;
using Bellwether.Store.Upkeep;

namespace Bellwether.Aggregator.StoreTools;

/// <summary><c>store verify</c>: the check of a folder, in words.</summary>
internal static class VerifyCommand
{
    public static int Run(IDisk disk, string folder, TextWriter output, TextWriter errors, CancellationToken cancellation)
    {
        var progress = new ProgressLine(errors);
        StoreReport report;
        try
        {
            report = StoreVerifier.Verify(disk, folder, progress.Show, cancellation);
        }
        finally
        {
            progress.End();
        }
        Write(report, folder, output, errors);
        return report.IsGood ? 0 : 1;
    }

    private static void Write(StoreReport report, string folder, TextWriter output, TextWriter errors)
    {
        foreach (StoreDamage damage in report.Damage)
            errors.WriteLine($"damaged: {damage}");
        if (report.DamageCount > report.Damage.Count)
            errors.WriteLine($"and {report.DamageCount - report.Damage.Count} more");
        string range = report.Range.OldestMs <= report.Range.NewestMs ? $", {Time(report.Range.OldestMs)} to {Time(report.Range.NewestMs)}" : "";
        output.WriteLine($"{folder}: store {(report.StoreId.Length == 0 ? "without an id" : report.StoreId)}");
        output.WriteLine(string.Create(CultureInfo.InvariantCulture, $"chunk files: {report.ChunkFiles} with {report.Chunks} chunks, {report.Samples} samples{range}; {report.ChunkFileBytes / 1e6:f1} MB"));
        output.WriteLine($"log: {report.LogFiles} files with {report.LogFrames} frames{(report.TornLogBytes > 0 ? $"; {report.TornLogBytes} bytes of a write that was not finished, which is no damage" : "")}");
        output.WriteLine($"checkpoints: {report.Checkpoints}");
        if (report.Quarantined > 0)
            output.WriteLine($"quarantine: {report.Quarantined} files");
        output.WriteLine(report.IsGood ? "good: nothing is damaged" : $"damaged: {report.DamageCount} {(report.DamageCount == 1 ? "place" : "places")}");
    }

    private static string Time(long ms) => DateTimeOffset.FromUnixTimeMilliseconds(Math.Clamp(ms, -62135596800000, 253402300799999)).ToString("yyyy-MM-dd'T'HH:mm:ss'Z'", CultureInfo.InvariantCulture);
}
