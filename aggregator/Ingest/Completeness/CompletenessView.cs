using Bellwether.Store;

namespace Bellwether.Ingest.Completeness;

/// <summary>Ticks of a source that were due and are not here.</summary>
/// <param name="FromMs">The tick before, Unix ms.</param>
/// <param name="ToMs">The tick after; now, when there is none yet.</param>
/// <param name="Due">How many are missing.</param>
/// <param name="Reason">A word of <see cref="MissingReasons"/>.</param>
public sealed record SourceGap(long FromMs, long ToMs, long Due, string Reason);

/// <summary>How complete one source is in a range of time.</summary>
public sealed record SourceCompleteness
{
    /// <summary>What the store took of it, since it is known.</summary>
    public required StoredSource Stored { get; init; }

    /// <summary>What the agent counts of it; null: it never told.</summary>
    public ReportedSource? Reported { get; init; }

    /// <summary>What is here in the range, without gaps between.</summary>
    public required IReadOnlyList<TickRange> Ranges { get; init; }

    /// <summary>What is missing in the range.</summary>
    public required IReadOnlyList<SourceGap> Gaps { get; init; }

    /// <summary>The agent brings it no more, and brings others: it was taken out of its configuration.</summary>
    public bool HasEnded { get; init; }

    /// <summary>Ticks received in the range.</summary>
    public long Received => Ranges.Sum(r => Math.Min(r.Ticks, r.Due));

    /// <summary>Ticks due in the range.</summary>
    public long Due => Ranges.Sum(r => r.Due) + Gaps.Sum(g => g.Due);
}

/// <summary>How complete one agent is in a range of time.</summary>
/// <param name="Facts">What is known of it.</param>
/// <param name="Stored">What the store took, since it is known.</param>
/// <param name="Sources">Its sources by name; the one without a name holds the counts of those not followed one by one.</param>
public sealed record AgentCompleteness(AgentFacts Facts, StoredLedger Stored, IReadOnlyList<SourceCompleteness> Sources)
{
    /// <summary>Ticks received ÷ ticks due; null: nothing was due.</summary>
    public double? Coverage => Sources.Sum(s => s.Due) is var due and > 0 ? (double)Sources.Sum(s => s.Received) / due : null;
}

/// <summary>Says what is here and what is missing, and why, of an agent in a range of time. Pure.</summary>
public static class CompletenessView
{
    /// <summary>A tick that is so late is still under way.</summary>
    public const long UnderWayMs = 5_000;

    private const long EndedAfterIntervals = 10;

    /// <summary>An agent in a range of Unix ms, as of now.</summary>
    public static AgentCompleteness Of(AgentFacts facts, StoredLedger? stored, long fromMs, long toMs, long nowMs)
    {
        stored ??= new StoredLedger(facts.Id, 0, 0, 0, 0, []);
        // The fleet's journal may name one twice: bundles were not always bounded.
        Dictionary<string, ReportedSource> reported = facts.Reported.DistinctBy(r => r.Name).ToDictionary(r => r.Name, StringComparer.Ordinal);
        long newest = stored.NewestMs;
        var sources = new List<SourceCompleteness>(stored.Sources.Count);
        foreach (StoredSource source in stored.Sources)
            sources.Add(OfSource(facts, source, reported.GetValueOrDefault(source.Name), newest, fromMs, Math.Min(toMs, nowMs), nowMs));
        foreach (ReportedSource each in reported.Values.Where(r => stored.Sources.All(s => s.Name != r.Name)))
            sources.Add(new SourceCompleteness { Stored = new StoredSource(each.Name, 0, 0, 0, 0, []), Reported = each, Ranges = [], Gaps = [] });
        return new AgentCompleteness(facts, stored, sources);
    }

    private static SourceCompleteness OfSource(AgentFacts facts, StoredSource source, ReportedSource? reported, long newestOfAgent, long fromMs, long toMs, long nowMs)
    {
        List<TickRange> ranges = [.. source.Ranges.Where(r => r.LastMs >= fromMs && r.FirstMs <= toMs).Select(r => Clip(r, fromMs, toMs))];
        var gaps = new List<SourceGap>();
        bool ended = false;
        if (source.Ranges.Count > 0 && source.IntervalMs > 0)
        {
            List<(long From, long To, string Reason)> causes = CausesOf(facts, reported, source.IntervalMs, nowMs);
            for (int i = 1; i < source.Ranges.Count; i++)
                AddGaps(gaps, source.Ranges[i - 1], source.Ranges[i].FirstMs, causes, MissingReasons.NotCollected, (fromMs, toMs), isOpen: false);
            TickRange last = source.Ranges[^1];
            ended = facts.Presence == AgentPresence.Retired
                || (facts.Presence == AgentPresence.Present && reported is not { Buffered: > 0 } && newestOfAgent - last.LastMs > EndedAfterIntervals * last.IntervalMs);
            if (!ended && nowMs - last.LastMs > last.IntervalMs + (last.IntervalMs / 2) + UnderWayMs)
                AddGaps(gaps, last, Math.Min(nowMs - UnderWayMs, toMs), TailCauses(facts, causes), MissingReasons.NotCollected, (fromMs, toMs), isOpen: true);
        }
        return new SourceCompleteness { Stored = source, Reported = reported, Ranges = ranges, Gaps = gaps, HasEnded = ended };
    }

    private static TickRange Clip(TickRange range, long fromMs, long toMs)
    {
        if (range.FirstMs >= fromMs && range.LastMs <= toMs)
            return range;
        long first = range.FirstMs, last = range.LastMs;
        if (range.IntervalMs > 0)
        {
            if (first < fromMs)
                first += (fromMs - first + range.IntervalMs - 1) / range.IntervalMs * range.IntervalMs;
            if (last > toMs)
                last -= (last - toMs + range.IntervalMs - 1) / range.IntervalMs * range.IntervalMs;
        }
        first = Math.Min(first, range.LastMs);
        var cut = new TickRange(first, Math.Max(first, last), 0, range.IntervalMs);
        // What merging hid is spread evenly.
        return cut with { Ticks = range.Due == 0 ? 0 : range.IntervalMs <= 0 ? range.Ticks : (long)Math.Round((double)range.Ticks * cut.Due / range.Due) };
    }

    // In the order in which they count.
    private static List<(long From, long To, string Reason)> CausesOf(AgentFacts facts, ReportedSource? reported, int intervalMs, long nowMs)
    {
        var causes = new List<(long, long, string)>();
        if (reported is { Buffered: > 0, BufferedFromMs: > 0 })
            causes.Add((reported.BufferedFromMs - intervalMs, reported.BufferedToMs + intervalMs, MissingReasons.Buffered));
        else if (reported is null && facts is { SpoolRecords: > 0, SpoolOldestMs: > 0 })
            causes.Add((facts.SpoolOldestMs - intervalMs, nowMs, MissingReasons.Buffered));
        foreach (ReportedDrop drop in reported?.Dropped.Where(d => d.FromMs > 0) ?? [])
            causes.Add((drop.FromMs - intervalMs, drop.ToMs + intervalMs, MissingReasons.Dropped));
        foreach (LostSegments loss in facts.Losses)
            causes.Add((loss.FromMs, loss.ToMs, loss.Reason));
        foreach (LostSegments missing in facts.Announced)
            causes.Add((missing.FromMs, missing.ToMs, missing.Reason));
        foreach (Absence absence in facts.Absences)
            causes.Add((absence.FromMs - intervalMs, absence.ToMs + intervalMs, absence.Reason));
        return causes;
    }

    // What an agent that is away holds, nobody knows: only its return tells.
    private static List<(long From, long To, string Reason)> TailCauses(AgentFacts facts, List<(long From, long To, string Reason)> causes) => facts.Presence switch
    {
        AgentPresence.Silent or AgentPresence.Expected or AgentPresence.Carried => [(long.MinValue, long.MaxValue, MissingReasons.Awaited)],
        AgentPresence.Stopped => [(long.MinValue, long.MaxValue, MissingReasons.PlannedStop)],
        _ => causes,
    };

    // The ticks that are due between two that are there, each under the first cause that covers it.
    private static void AddGaps(List<SourceGap> gaps, TickRange before, long nextMs, List<(long From, long To, string Reason)> causes, string otherwise, (long From, long To) window, bool isOpen)
    {
        long interval = before.IntervalMs;
        if (interval <= 0 || nextMs - before.LastMs <= interval + (interval / 2))
            return;
        long count = isOpen ? (nextMs - before.LastMs) / interval : ((nextMs - before.LastMs + (interval / 2)) / interval) - 1;
        long first = Math.Max(1, CeilingOf(window.From - before.LastMs, interval));
        long last = Math.Min(count, (window.To - before.LastMs) / interval);
        for (long at = first; at <= last;)
        {
            long time = before.LastMs + (at * interval);
            string reason = otherwise;
            long until = last;
            foreach ((long from, long to, string why) in causes)
            {
                if (from > time)
                {
                    until = Math.Min(until, CeilingOf(from - before.LastMs, interval) - 1);
                    continue;
                }
                if (to < time)
                    continue;
                reason = why;
                until = Math.Min(until, to == long.MaxValue ? last : (to - before.LastMs) / interval);
                break;
            }
            long end = until >= last && last == count ? nextMs : before.LastMs + ((until + 1) * interval);
            var gap = new SourceGap(time - interval, Math.Max(end, time), until - at + 1, reason);
            if (gaps.Count > 0 && gaps[^1].Reason == reason && gaps[^1].ToMs >= gap.FromMs)
                gaps[^1] = gaps[^1] with { ToMs = gap.ToMs, Due = gaps[^1].Due + gap.Due };
            else
                gaps.Add(gap);
            at = until + 1;
        }
    }

    private static long CeilingOf(long value, long divisor) => value <= 0 ? value / divisor : ((value - 1) / divisor) + 1;
}
