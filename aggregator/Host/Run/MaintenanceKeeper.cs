using Bellwether.Core.Model;
using Bellwether.Evaluate.Kpi.Sla;
using Bellwether.Evaluate.Slo;
using Bellwether.Evaluate.Slo.Compiling;
using Bellwether.Ingest.Bundles;
using Microsoft.Extensions.Logging;
using MatchType = Bellwether.Core.Model.MatchType;

namespace Bellwether.Aggregator.Run;

/// <summary>
/// Writes planned work as the series that objectives' rules read (<see cref="PlannedSeries"/>): what the files say, no more and no less. What is entered or withdrawn afterwards is late
/// data: it is noted, and results heal. Samples that are withdrawn stay readable below their revision. One call at a time.
/// </summary>
internal sealed partial class MaintenanceKeeper(ISampleAppender appender, ISeriesReader reader, LateRanges late, TimeSpan retention, TimeProvider time, ILogger log)
{
    /// <summary>How far ahead of the clock it is written: rules find it when they come there.</summary>
    public static readonly TimeSpan Ahead = TimeSpan.FromMinutes(2);

    private const int BatchSamples = 10_000;
    private static readonly TimeSpan s_recent = TimeSpan.FromMinutes(10);
    private static readonly TimeSpan s_backMax = TimeSpan.FromDays(37);
    private static readonly long s_stepMs = (long)PlannedSeries.Step.TotalMilliseconds;
    private (IReadOnlyList<Maintenance> All, IReadOnlyList<SloDefinition> Slos)? _written;

    /// <summary>Brings what is stored in line with the files: over all that is kept when these changed, over the last minutes otherwise. Throws <see cref="StoreUnavailableException"/>.</summary>
    public async Task<int> StepAsync(IReadOnlyList<Maintenance> all, SloSet slos, CancellationToken cancellation)
    {
        long now = time.GetUtcNow().ToUnixTimeMilliseconds() / s_stepMs * s_stepMs;
        bool isKnown = _written is { } written && written.All.SequenceEqual(all) && ReferenceEquals(written.Slos, slos.Slos);
        TimeSpan back = isKnown ? s_recent : retention < s_backMax ? retention - PlannedSeries.Step : s_backMax;
        int changed = await AlignAsync(all, slos, now - ((long)back.TotalMilliseconds / s_stepMs * s_stepMs), now + (long)Ahead.TotalMilliseconds, cancellation);
        _written = (all, slos.Slos);
        return changed;
    }

    private async Task<int> AlignAsync(IReadOnlyList<Maintenance> all, SloSet slos, long fromMs, long toMs, CancellationToken cancellation)
    {
        Dictionary<Labels, HashSet<long>> wanted = Wanted(all, slos, fromMs, toMs);
        var changes = new List<SeriesSample>();
        var touched = new SortedSet<long>();
        foreach ((Labels series, (HashSet<long> active, int revision)) in Stored(fromMs, toMs))
        {
            wanted.Remove(series, out HashSet<long>? minutes);
            minutes ??= [];
            changes.AddRange(active.Except(minutes).Select(t => new SeriesSample(Revision.Make(series, revision + 1), t, Revision.Removed)));
            changes.AddRange(minutes.Except(active).Select(t => new SeriesSample(revision == 0 ? series : Revision.Make(series, revision + 1), t, 1)));
        }
        foreach ((Labels series, HashSet<long> minutes) in wanted)
            changes.AddRange(minutes.Select(t => new SeriesSample(series, t, 1)));
        if (changes.Count == 0)
            return 0;
        touched.UnionWith(changes.Select(c => c.TimestampMs));
        foreach (SeriesSample[] part in changes.OrderBy(c => c.Labels).ThenBy(c => c.TimestampMs).Chunk(BatchSamples))
        {
            var batch = new SampleBatch();
            batch.Samples.AddRange(part);
            AppendResult result = await appender.AppendAsync(batch, cancellation);
            if (result.Refused > 0)
                Refused(log, result.Refused, result.FirstError ?? "");
        }
        foreach ((long from, long to) in Runs(touched))
            late.NoteMetric(PlannedSeries.Metric, from, to);
        late.Save();
        return changes.Count;
    }

    private static Dictionary<Labels, HashSet<long>> Wanted(IReadOnlyList<Maintenance> all, SloSet slos, long fromMs, long toMs)
    {
        var wanted = new Dictionary<Labels, HashSet<long>>();
        foreach (SloDefinition slo in slos.Slos)
        {
            foreach (MaintenanceTime planned in Maintenance.Merged(all.Where(m => m.CoversSlo(slo.Id, slo.Name, slo.Service)), fromMs, toMs))
            {
                var series = Labels.Of("__name__", PlannedSeries.Metric, "maintenance", planned.Maintenance, "slo_id", slo.Id, "slo_service", slo.Service);
                if (!wanted.TryGetValue(series, out HashSet<long>? minutes))
                    wanted.Add(series, minutes = []);
                // A minute's sample stands at its end.
                for (long end = (planned.FromMs + s_stepMs + s_stepMs - 1) / s_stepMs * s_stepMs; end <= planned.ToMs; end += s_stepMs)
                    minutes.Add(end);
            }
        }
        return wanted;
    }

    /// <summary>What is stored: the minutes that count, and the newest revision.</summary>
    private Dictionary<Labels, (HashSet<long> Active, int Revision)> Stored(long fromMs, long toMs)
    {
        var stored = new Dictionary<Labels, (HashSet<long> Active, int Revision)>();
        var samples = new SampleBuffer();
        // From here on no minute is wanted that lies before.
        using ISeriesSet set = reader.Select(fromMs + s_stepMs, toMs, [new LabelMatcher(MatchType.Equal, LabelNames.MetricName, PlannedSeries.Metric), new LabelMatcher(MatchType.Regex, Revision.Label, ".*")], CancellationToken.None);
        foreach (int i in Enumerable.Range(0, set.Count).OrderBy(i => Revision.Of(set.LabelsAt(i))))
        {
            Labels series = set.LabelsAt(i).Without(Revision.Label);
            HashSet<long> active = stored.TryGetValue(series, out (HashSet<long> Active, int Revision) below) ? below.Active : [];
            set.Read(i, samples);
            for (int s = 0; s < samples.Count; s++)
            {
                if (samples.Values[s] == 1)
                    active.Add(samples.Times[s]);
                else
                    active.Remove(samples.Times[s]);
            }
            stored[series] = (active, Revision.Of(set.LabelsAt(i)));
        }
        return stored;
    }

    private static IEnumerable<(long FromMs, long ToMs)> Runs(SortedSet<long> times)
    {
        long from = times.Min, to = from;
        foreach (long at in times)
        {
            if (at - to > s_stepMs)
            {
                yield return (from, to);
                from = at;
            }
            to = at;
        }
        yield return (from, to);
    }

    [LoggerMessage(EventId = 4605, Level = LogLevel.Warning, Message = "{Samples} samples of planned work were refused by the store; the first: {Error}")]
    private static partial void Refused(ILogger log, int samples, string error);
}
