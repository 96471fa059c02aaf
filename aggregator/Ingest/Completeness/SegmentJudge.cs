using Bellwether.Store;

namespace Bellwether.Ingest.Completeness;

/// <summary>
/// Which segments are neither here nor at their agent, and which of those that counted as missing have come after all. Keeps nothing: it compares what an agent said with what the store
/// holds now. Thread-safe as far as its ledger is.
/// </summary>
internal sealed class SegmentJudge(ILedgerSource ledger)
{
    /// <summary>The segments of an epoch that are here, wholly or in part, as ranges in rising order.</summary>
    public IReadOnlyList<(ulong First, ulong Last)> HeldOf(string agent, ulong epoch) => ledger.SegmentsOf(agent).FirstOrDefault(e => e.Epoch == epoch)?.Held ?? [];

    /// <summary>Time of the newest record of an agent that is here, Unix ms; 0: none.</summary>
    public long NewestMsOf(string agent) => ledger.Ledgers(agent).Select(l => l.NewestMs).DefaultIfEmpty(0).Max();

    /// <summary>What a session turns out to have lost of its epoch: no longer at the agent, not here, and not known as lost yet.</summary>
    public IReadOnlyList<LostSegments> MissingOf(AgentFacts facts, GreetedSession session, long nowMs)
    {
        // An agent that never sent this store anything of this epoch may have history elsewhere: it began here with its first segment.
        if (session.HeldTo is not { } heldTo)
            return [];
        ulong epoch = session.Hello.Epoch;
        IEnumerable<LostSegments> knownLost = facts.Losses.Where(l => l.Epoch == epoch);
        HashSet<ulong> announced = [.. session.Hello.Announced.Where(a => a.Epoch == epoch).Select(a => a.Number)];
        IEnumerable<(ulong, ulong)> known = HeldOf(facts.Id, epoch).Concat(announced.Select(number => (number, number))).Concat(knownLost.Select(l => (l.First, l.Last))).Append((session.LiveNumber, ulong.MaxValue - 1));
        bool dropped = facts.Dropped > session.DroppedBefore;
        List<LostSegments> missing = [.. Holes(known).Select(hole => Missing(hole.First, hole.Last, dropped ? MissingReasons.Dropped : hole.First > heldTo ? MissingReasons.Restored : MissingReasons.Lost))];
        // The process that sent a segment announces it until its end is acknowledged: one that is here without its end, and that the same process has no more, was whole here once.
        foreach (ulong open in session.IsSameProcess ? OpenOf(facts.Id, epoch) : [])
        {
            bool isKnown = open > heldTo || open == session.LiveNumber || announced.Contains(open) || knownLost.Concat(missing).Any(l => l.First <= open && l.Last >= open);
            if (!isKnown)
                missing.Add(Missing(open, open, MissingReasons.Restored));
        }
        return missing;

        LostSegments Missing(ulong first, ulong last, string reason) => new(epoch, first, last, Math.Min(session.NewestMs, session.LiveMs), session.LiveMs, reason, nowMs);
    }

    /// <summary>What of an agent's losses is still not here.</summary>
    public IReadOnlyList<LostSegments> StillLost(AgentFacts agent)
    {
        IReadOnlyList<EpochSegments> segments = ledger.SegmentsOf(agent.Id);
        var left = new List<LostSegments>();
        foreach (LostSegments loss in agent.Losses)
        {
            EpochSegments? known = segments.FirstOrDefault(e => e.Epoch == loss.Epoch);
            // One whose end is missing here is still lost.
            if (loss.First == loss.Last && known?.Open.Contains(loss.First) == true)
            {
                left.Add(loss);
                continue;
            }
            foreach ((ulong first, ulong last) in Without(loss, known?.Held ?? []))
                left.Add(loss with { First = first, Last = last });
        }
        return left;
    }

    /// <summary>What of the segments that bundles announced is not here, the newest <paramref name="most"/>. One segment each, so that each keeps its own bounds in time: what came in between tells by itself.</summary>
    public IReadOnlyList<LostSegments> StillAnnounced(string agent, IReadOnlyList<LostSegments> before, IReadOnlyList<LostSegments> now, int most)
    {
        if (before.Count + now.Count == 0)
            return [];
        IReadOnlyList<EpochSegments> segments = ledger.SegmentsOf(agent);
        bool IsHere(LostSegments s) => segments.FirstOrDefault(e => e.Epoch == s.Epoch) is { } known && !known.Open.Contains(s.First) && known.Held.Any(h => h.First <= s.First && h.Last >= s.Last);
        return [.. before.Concat(now).DistinctBy(s => (s.Epoch, s.First)).Where(s => !IsHere(s)).OrderBy(s => (s.Epoch, s.First)).TakeLast(most)];
    }

    private IReadOnlyList<ulong> OpenOf(string agent, ulong epoch) => ledger.SegmentsOf(agent).FirstOrDefault(e => e.Epoch == epoch)?.Open ?? [];

    /// <summary>Ranges of numbers that lie between those that are known.</summary>
    private static IEnumerable<(ulong First, ulong Last)> Holes(IEnumerable<(ulong First, ulong Last)> known)
    {
        ulong? end = null;
        foreach ((ulong first, ulong last) in known.Order())
        {
            if (end is { } before && first > before + 1)
                yield return (before + 1, first - 1);
            end = end is { } e ? Math.Max(e, last) : last;
        }
    }

    private static IEnumerable<(ulong First, ulong Last)> Without(LostSegments loss, IReadOnlyList<(ulong First, ulong Last)> held)
    {
        ulong at = loss.First;
        foreach ((ulong first, ulong last) in held)
        {
            if (last < at || first > loss.Last)
                continue;
            if (first > at)
                yield return (at, first - 1);
            at = last + 1;
        }
        if (at <= loss.Last)
            yield return (at, loss.Last);
    }
}
