using Bellwether.Core.Model;
using Bellwether.Evaluate.PromQl;

namespace Bellwether.Evaluate.Rules.Healing;

/// <summary>
/// Computes what rules give over a slice of steps: all times in one query where a rule reads nothing that is computed beside it, else time by time. What was computed stays with the units; nothing is stored.
/// Stretches that do not read each other may run side by side.
/// </summary>
internal sealed class HealComputation(RuleSurroundings around, HealPlan plan)
{
    /// <summary>Computes the rules of a stretch over a slice.</summary>
    /// <param name="stretch">The rules, by their places in the plan, and whether they go time by time.</param>
    /// <param name="slice">The first step, Unix ms, and the end behind the last one.</param>
    /// <param name="tally">Counts steps and failures.</param>
    /// <param name="cancellation">Ends it between two queries.</param>
    public void Run((int First, int Last, bool IsStepwise) stretch, (long FromMs, long EndMs) slice, HealTally tally, CancellationToken cancellation)
    {
        List<HealUnit> run = [];
        for (int i = stretch.First; i <= stretch.Last; i++)
        {
            HealUnit unit = plan.Units.All[i];
            long from = Math.Max(unit.FromMs, unit.FirstAt(slice.FromMs)), to = Math.Min(unit.ToMs, slice.EndMs - 1 - unit.OffsetMs);
            if (!unit.IsDirty || from > to)
                continue;
            unit.SeedOnce(() => BeforeOf(unit));
            unit.BeginSlice(from, to);
            run.Add(unit);
        }
        if (run.Count == 0)
            return;
        var reader = new HealReader(around.Reader, plan.Units);
        if (stretch.IsStepwise)
            Stepwise(run, (stretch.First, stretch.Last), reader, tally, cancellation);
        else
            run.ForEach(u => AtOnce(u, reader, tally, cancellation));
    }

    // Series that had a result at the time before the first one: they need a stale marker if they have none any more.
    private List<Labels> BeforeOf(HealUnit unit)
    {
        long before = unit.FromMs - unit.IntervalMs;
        var found = new List<Labels>();
        var samples = new SampleBuffer();
        using ISeriesSet set = around.Reader.Select(before, before, unit.Matchers(), CancellationToken.None);
        for (int i = 0; i < set.Count; i++)
        {
            set.Read(i, samples);
            bool isAlive = samples.Count > 0 && (samples.HistogramAt(0) is { } histogram ? !histogram.IsStale : !SpecialValues.IsStale(samples.Values[0]));
            if (isAlive && unit.Owns(set.LabelsAt(i)))
                found.Add(set.LabelsAt(i));
        }
        return found;
    }

    private void AtOnce(HealUnit unit, HealReader reader, HealTally tally, CancellationToken cancellation)
    {
        long from = unit.SliceFromMs, to = unit.SliceLastMs;
        tally.Steps += ((to - from) / unit.IntervalMs) + 1;
        QueryResult? all = unit.Reach.IsOfOneTime ? null : around.Engine.Range(reader, unit.Query, from, to, unit.IntervalMs, cancellation);
        cancellation.ThrowIfCancellationRequested();
        if (all is null || all.Error is not null || all.IsPartial)
        {
            // What fails at one time must not cost the others; and where it is not known what the result is, what is stored stands.
            for (long time = from; time <= to; time += unit.IntervalMs)
                One(unit, reader, time, tally, cancellation);
            return;
        }
        if (unit.TryTakeAll(all.Series, to))
            return;
        int[] next = new int[all.Series.Count];
        for (long time = from; time <= to; time += unit.IntervalMs)
        {
            var vector = new List<ResultSeries>();
            for (int s = 0; s < next.Length; s++)
            {
                IReadOnlyList<Point> points = all.Series[s].Points;
                if (next[s] < points.Count && points[next[s]].TimestampMs == time)
                    vector.Add(new ResultSeries(all.Series[s].Labels, [points[next[s]++]]));
            }
            Take(unit, new QueryResult { Type = PromQl.ValueType.Vector, Series = vector }, time, tally);
        }
    }

    private void Stepwise(List<HealUnit> run, (int First, int Last) span, HealReader reader, HealTally tally, CancellationToken cancellation)
    {
        long[] next = [.. run.Select(u => u.SliceFromMs)];
        while (true)
        {
            long time = long.MaxValue;
            for (int i = 0; i < run.Count; i++)
                time = next[i] <= run[i].SliceToMs ? Math.Min(time, next[i] + run[i].OffsetMs) : time;
            if (time == long.MaxValue)
                break;
            for (int i = 0; i < run.Count; i++)
            {
                if (next[i] + run[i].OffsetMs != time || next[i] > run[i].SliceToMs)
                    continue;
                reader.Place = (time, run[i].Index, span.First, span.Last);
                One(run[i], reader, next[i], tally, cancellation);
                tally.Steps++;
                next[i] += run[i].IntervalMs;
            }
        }
        reader.Place = null;
    }

    private void One(HealUnit unit, HealReader reader, long timeMs, HealTally tally, CancellationToken cancellation)
    {
        QueryResult result = around.Engine.Instant(reader, unit.Query, timeMs, null, cancellation);
        cancellation.ThrowIfCancellationRequested();
        Take(unit, result, timeMs, tally);
    }

    private static void Take(HealUnit unit, QueryResult result, long timeMs, HealTally tally)
    {
        unit.Take(result, timeMs);
        if (unit.Failed.Contains(timeMs))
            tally.Failures++;
    }
}
