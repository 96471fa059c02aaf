using Bellwether.Core.Model;
using Bellwether.Core.Platform;

namespace Bellwether.Store.Exchange;

/// <summary>Writes what is selected as blocks of Prometheus, one per day of UTC. Stale markers and native histograms come with them, start times do not.</summary>
public static class TsdbExport
{
    private const long DayMs = 24L * 3600 * 1000;

    /// <summary>Writes blocks into a folder, which is made when missing; each appears under its name when it is whole. Throws <see cref="IOException"/>.</summary>
    /// <param name="reader">The store.</param>
    /// <param name="range">What is exported; its bounds are narrowed to those of the data first by the caller.</param>
    /// <param name="disk">Where to write.</param>
    /// <param name="folder">The folder for the blocks.</param>
    /// <param name="time">For the blocks' names.</param>
    /// <param name="random">For the blocks' names.</param>
    /// <param name="progress">Days done, of how many.</param>
    /// <param name="cancellation">Ends it early: whole blocks stay.</param>
    public static ExportResult Write(ISeriesReader reader, ExportRange range, IDisk disk, string folder, TimeProvider time, Random random, Action<long, long> progress, CancellationToken cancellation)
    {
        ArgumentNullException.ThrowIfNull(range);
        ArgumentNullException.ThrowIfNull(disk);
        ArgumentNullException.ThrowIfNull(time);
        ArgumentNullException.ThrowIfNull(progress);
        var result = new ExportResult();
        disk.CreateFolder(folder);
        long first = FloorDay(range.FromMs), last = FloorDay(range.ToMs);
        for (long day = first; day <= last; day += DayMs)
        {
            ExportRange part = range with { FromMs = Math.Max(range.FromMs, day), ToMs = Math.Min(range.ToMs, day + DayMs - 1) };
            WriteBlock(reader, part, disk, folder, time.GetUtcNow().ToUnixTimeMilliseconds(), random, result, cancellation);
            progress(((day - first) / DayMs) + 1, ((last - first) / DayMs) + 1);
        }
        return result;
    }

    private static long FloorDay(long ms) => ms - (((ms % DayMs) + DayMs) % DayMs);

    private static void WriteBlock(ISeriesReader reader, ExportRange range, IDisk disk, string folder, long nowMs, Random random, ExportResult result, CancellationToken cancellation)
    {
        var all = new List<Labels>();
        var symbols = new HashSet<string>(StringComparer.Ordinal);
        ExportSelection.ForEach(reader, range, null, (set, i) => all.Add(set.LabelsAt(i)), cancellation);
        if (all.Count == 0)
            return;
        foreach (Labels labels in all)
        {
            foreach (ref readonly Label label in labels.AsSpan())
            {
                symbols.Add(label.Name);
                symbols.Add(label.Value);
            }
        }
        all.Sort();
        var writer = new TsdbBlockWriter(disk, folder, symbols, nowMs, random);
        bool isWhole = false;
        try
        {
            AddAll(writer, reader, range, all, result, cancellation);
            if (writer.Samples == 0)
                return;
            writer.Finish();
            isWhole = true;
        }
        finally
        {
            writer.Dispose();
            if (!isWhole)
                writer.Abandon();
        }
        result.Blocks++;
        result.Samples += writer.Samples;
        result.Series += writer.Series;
    }

    private static void AddAll(TsdbBlockWriter writer, ISeriesReader reader, ExportRange range, List<Labels> all, ExportResult result, CancellationToken cancellation)
    {
        var samples = new SampleBuffer();
        if (range.Selectors.Count <= 1)
        {
            ExportSelection.ForEach(reader, range, null, (set, i) => AddSeries(writer, set, i, samples, result), cancellation);
            return;
        }
        // Series of several selectors must come in one order.
        foreach (Labels labels in all)
        {
            List<LabelMatcher> one = [.. labels.AsSpan().ToArray().Select(l => new LabelMatcher(Core.Model.MatchType.Equal, l.Name, l.Value))];
            using ISeriesSet set = reader.Select(range.FromMs, range.ToMs, one, cancellation);
            for (int i = 0; i < set.Count; i++)
            {
                if (set.LabelsAt(i).Equals(labels))
                    AddSeries(writer, set, i, samples, result);
            }
        }
    }

    private static void AddSeries(TsdbBlockWriter writer, ISeriesSet set, int index, SampleBuffer samples, ExportResult result)
    {
        ExportSelection.Read(set, index, samples, result);
        if (samples.Count > 0)
            writer.Add(set.LabelsAt(index), samples);
    }
}
