using Bellwether.Core.Model;
using MatchType = Bellwether.Core.Model.MatchType;

namespace Bellwether.Evaluate.Kpi;

/// <summary>
/// How complete series are that no agent brings. A sender of remote write sends each series in order (Remote-Write 1.0 and 2.0, "Ordering"), so nothing is owed before the newest sample of a
/// series; how often one is due its own samples tell. Series of one job and instance come from one source; those without stand for themselves, by metric. Thread-safe.
/// </summary>
/// <param name="reader">The samples.</param>
public sealed class SenderCoverage(ISeriesReader reader)
{
    /// <summary>Sources whose samples are counted; the others are taken to have as many. Whether something is owed is asked of all.</summary>
    public const int SourcesMax = 100;

    /// <summary>Series of one source that are read, to find one that is there all the time.</summary>
    private const int SeriesOfSourceMax = 4;

    /// <summary>A sample that is so late is still under way: senders collect for some seconds.</summary>
    private const long UnderWayMs = 10_000;

    /// <summary>How far back samples are counted (a day, and an hour for what looks back further or a day that is longer), and how far behind the end the next one is looked for first.</summary>
    private static readonly long s_readMs = (long)TimeSpan.FromHours(25).TotalMilliseconds, s_behindMs = (long)TimeSpan.FromHours(1).TotalMilliseconds;

    /// <summary>Samples received and due of the sources of series.</summary>
    /// <param name="series">The series.</param>
    /// <param name="fromMs">The begin, Unix ms; more than 25 h before the end nothing is counted, but only whether something is owed.</param>
    /// <param name="toMs">The end, Unix ms.</param>
    /// <param name="nowMs">Now, Unix ms.</param>
    /// <param name="cancellation">Ends it early.</param>
    public Coverage Of(IEnumerable<Labels> series, long fromMs, long toMs, long nowMs, CancellationToken cancellation)
    {
        long from = Math.Max(fromMs, toMs - s_readMs), received = 0, due = 0;
        int sources = 0;
        bool isSettled = true, isCoarse = false;
        var samples = new SampleBuffer();
        foreach (IGrouping<(string, string, string), Labels> source in series.GroupBy(KeyOf).OrderBy(g => g.Key))
        {
            Labels[] read = [.. source.Order().Take(SeriesOfSourceMax)];
            bool isCounted = sources < SourcesMax;
            if (!isCounted && !isSettled)
                break;
            // Mostly a look at what is near tells.
            if (!isCounted && Best(read, toMs - s_behindMs, (from, toMs), Math.Min(nowMs, toMs + s_behindMs), nowMs, samples, cancellation).IsSettled)
                continue;
            Ticks best = Best(read, from, (from, toMs), Math.Min(nowMs, toMs + s_behindMs), nowMs, samples, cancellation);
            // Nothing in the range: what was there before says what is due.
            if (best == default)
                best = Best(read, from - s_readMs, (from, toMs), Math.Min(nowMs, toMs + s_behindMs), nowMs, samples, cancellation);
            // Sends it again after a longer pause, or seldom? Of series that are in order any later sample says that nothing before it is owed.
            if (!best.IsSettled && nowMs - s_behindMs > toMs)
                best = best with { IsSettled = Best(read, Math.Max(toMs + 1, nowMs - s_readMs), (from, toMs), nowMs, nowMs, samples, cancellation).IsSettled };
            isSettled &= best.IsSettled;
            if (!isCounted)
                continue;
            isCoarse |= best.IsCoarse;
            received += best.Received;
            due += best.Due;
            sources++;
        }
        // What one day had says nothing of a month, and slots say nothing of when there were samples.
        return from > fromMs || isCoarse ? new Coverage(0, 0, sources) { IsSettled = isSettled, IsUncounted = sources > 0 } : new Coverage(received, due, sources) { IsSettled = isSettled };
    }

    private static (string, string, string) KeyOf(Labels series)
    {
        string job = series.Get("job"), instance = series.Get("instance");
        return job.Length + instance.Length > 0 ? (job, instance, "") : ("", "", series.MetricName);
    }

    private Ticks Best(Labels[] series, long readFromMs, (long FromMs, long ToMs) range, long readToMs, long nowMs, SampleBuffer samples, CancellationToken cancellation)
    {
        Ticks best = default;
        foreach (Labels one in series)
        {
            List<LabelMatcher> matchers = [.. one.AsSpan().ToArray().Select(l => new LabelMatcher(MatchType.Equal, l.Name, l.Value))];
            using ISeriesSet set = reader.Select(readFromMs, readToMs, matchers, cancellation);
            for (int i = 0; i < set.Count; i++)
            {
                if (!set.LabelsAt(i).Equals(one))
                    continue;
                set.Read(i, samples);
                Ticks read = Count(samples, range.FromMs, range.ToMs, nowMs);
                bool isCoarse = best.IsCoarse || CoarseSets.ResolutionOf(set) > 0;
                best = (read.Received >= best.Received ? read : best) with { IsSettled = best.IsSettled || read.IsSettled, IsCoarse = isCoarse };
            }
        }
        return best;
    }

    private static Ticks Count(SampleBuffer samples, long fromMs, long toMs, long nowMs)
    {
        long interval = IntervalOf(samples), received = 0, missing = 0, last = 0;
        bool hasEnded = false;
        for (int i = 0; i < samples.Count; i++)
        {
            long time = samples.Times[i];
            // After a stale marker the series is not there, and nothing of it is owed.
            if (last > 0 && !hasEnded && interval > 0 && time - last > interval + (interval / 2))
                missing += Due(last, (fromMs, Math.Min(toMs, time - (interval / 2))), interval);
            if (time > toMs)
                return new Ticks(received, received + missing, true);
            hasEnded = IsStale(samples, i);
            received += hasEnded || time < fromMs ? 0 : 1;
            last = time;
        }
        if (hasEnded || interval == 0)
            return new Ticks(received, received, hasEnded || nowMs - last <= UnderWayMs);
        bool isUnderWay = nowMs - last <= interval + (interval / 2) + UnderWayMs, isBefore = toMs - last < interval - (interval / 16);
        // Behind the last sample: nothing was due yet up to the end (clocks of senders waver a little), or it is under way, or overdue.
        return new Ticks(received, received + missing + (isUnderWay ? 0 : Due(last, (fromMs, toMs), interval)), isBefore && isUnderWay);
    }

    /// <summary>How many samples were due in a range behind one.</summary>
    private static long Due(long lastMs, (long FromMs, long ToMs) range, long intervalMs)
    {
        long before = lastMs >= range.FromMs ? 0 : (range.FromMs - lastMs - 1) / intervalMs;
        return Math.Max(0, ((range.ToMs - lastMs) / intervalMs) - before);
    }

    private static bool IsStale(SampleBuffer samples, int i) => samples.HistogramAt(i) is { } histogram ? histogram.IsStale : SpecialValues.IsStale(samples.Values[i]);

    /// <summary>The distance that half of the samples do not exceed; 0: there are fewer than three.</summary>
    private static long IntervalOf(SampleBuffer samples)
    {
        if (samples.Count < 3)
            return 0;
        long[] distances = new long[samples.Count - 1];
        for (int i = 1; i < samples.Count; i++)
            distances[i - 1] = samples.Times[i] - samples.Times[i - 1];
        Array.Sort(distances);
        return distances[distances.Length / 2];
    }

    private readonly record struct Ticks(long Received, long Due, bool IsSettled, bool IsCoarse = false);
}
