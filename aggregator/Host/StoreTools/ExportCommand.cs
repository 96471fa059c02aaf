using System.Globalization;
using Bellwether.Core.Model;
using Bellwether.Core.Platform;
using Bellwether.Evaluate.PromQl.Syntax;
using Bellwether.Store.Exchange;
using Bellwether.Store.Upkeep;
using Microsoft.Extensions.Logging.Abstractions;

namespace Bellwether.Aggregator.StoreTools;

/// <summary><c>store export</c>: a stopped store or a copy as OpenMetrics text or blocks of Prometheus.</summary>
internal static class ExportCommand
{
    public const string OpenMetrics = "openmetrics", Blocks = "prometheus";

    /// <summary>What the command line asks for; null after the errors were told.</summary>
    public static ExportRange? RangeOf(IReadOnlyList<string> selectors, string? from, string? to, TextWriter errors)
    {
        var parsed = new List<IReadOnlyList<LabelMatcher>>();
        foreach (string text in selectors)
        {
            SelectorResult selector = PromQlParser.ParseSeriesSelector(text);
            if (selector.Matchers is null)
            {
                errors.WriteLine($"--match {text}: {selector.Errors[0]}");
                return null;
            }
            parsed.Add(selector.Matchers);
        }
        long fromMs = long.MinValue, toMs = long.MaxValue;
        if (from is not null && !TryTime(from, out fromMs) || to is not null && !TryTime(to, out toMs))
        {
            errors.WriteLine($"--{(from is not null && !TryTime(from, out _) ? $"from {from}" : $"to {to}")} is no time: Unix seconds or RFC 3339, e.g. 2026-11-21T12:00:00Z");
            return null;
        }
        if (fromMs <= toMs)
            return new ExportRange(parsed, fromMs, toMs);
        errors.WriteLine($"--from {from} is after --to {to}");
        return null;
    }

    public static int Run(string folder, string format, string? target, ExportRange range, TextWriter errors, CancellationToken cancellation)
    {
        var disk = new OsDisk();
        if (target is not null && format == OpenMetrics && File.Exists(target))
        {
            errors.WriteLine($"{target} is there already");
            return 1;
        }
        using StoreLook store = StoreLook.Open(disk, folder, TimeProvider.System, ProcessRandom.Create(), NullLogger.Instance);
        if (store.Bounds is not { } bounds)
            bounds = (0, -1);
        range = range with { FromMs = Math.Max(range.FromMs, bounds.OldestMs), ToMs = Math.Min(range.ToMs, bounds.NewestMs) };
        ExportResult result = format == Blocks ? WriteBlocks(store, range, disk, target!, errors, cancellation) : WriteText(store, range, target, errors, cancellation);
        errors.WriteLine($"exported {result.Samples} samples of {result.Series} series{(format == Blocks ? $" in {result.Blocks} blocks (a series counts in each)" : "")}");
        if (result.HistogramsLeftOut > 0)
            errors.WriteLine($"left out: {result.HistogramsLeftOut} native histograms, for which OpenMetrics text has no form; --format {Blocks} has");
        if (result.StaleMarkersLeftOut > 0)
            errors.WriteLine($"left out: {result.StaleMarkersLeftOut} marks of a series' end, for which OpenMetrics text has no form; --format {Blocks} has");
        if (result.NamelessLeftOut > 0)
            errors.WriteLine($"left out: {result.NamelessLeftOut} series without a name, for which OpenMetrics text has no form; --format {Blocks} has");
        if (result.SlotsLeftOut > 0)
            errors.WriteLine($"left out: {result.SlotsLeftOut} slots of coarser resolutions, of which there are no samples any more (retention.raw)");
        if (store.DamagedReads == 0 && store.Opened.QuarantinedFiles == 0 && store.Opened.DamagedLogPlaces == 0)
            return 0;
        errors.WriteLine($"{folder} is damaged and what is exported is not all: bellwether-aggregator store verify {folder} tells what is missing");
        return 1;
    }

    private static ExportResult WriteBlocks(StoreLook store, ExportRange range, OsDisk disk, string target, TextWriter errors, CancellationToken cancellation)
    {
        if (range.FromMs > range.ToMs)
            return new ExportResult();
        return TsdbExport.Write(store.Reader, range, disk, target, TimeProvider.System, ProcessRandom.Create(), (done, of) => errors.WriteLine($"{done} of {of} days"), cancellation);
    }

    private static ExportResult WriteText(StoreLook store, ExportRange range, string? target, TextWriter errors, CancellationToken cancellation)
    {
        if (range.FromMs > range.ToMs)
            range = range with { FromMs = 0, ToMs = 0 };
        using Stream output = target is null ? Console.OpenStandardOutput() : new FileStream(target + ".part", FileMode.Create, FileAccess.Write);
        long told = 0;
        OpenMetricsExport export;
        using (export = new OpenMetricsExport(output))
        {
            export.Write(store.Reader, range, (done, of) =>
            {
                if (done * 10 / of == told)
                    return;
                told = done * 10 / of;
                errors.WriteLine($"{done} of {of} metrics");
            }, cancellation);
        }
        if (target is not null)
        {
            output.Dispose();
            File.Move(target + ".part", target);
        }
        return export.Result;
    }

    private static bool TryTime(string text, out long ms)
    {
        ms = 0;
        if (double.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture, out double seconds) && Math.Abs(seconds) < 1e12)
        {
            ms = (long)Math.Round(seconds * 1000);
            return true;
        }
        bool isTime = DateTimeOffset.TryParse(text, CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal, out DateTimeOffset time);
        ms = time.ToUnixTimeMilliseconds();
        return isTime && text.Length >= 10;
    }
}
