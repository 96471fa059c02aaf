namespace Bellwether.Store.Records;

/// <summary>
/// Which times of a source are there, as ranges: ticks may come in any order. Two ticks belong together when no whole tick fits between them. Bounded: beyond
/// <see cref="MaxRanges"/> the two oldest become one, whose count still tells what is missing. Not thread-safe.
/// </summary>
internal sealed class TickRanges
{
    /// <summary>Ranges kept of one source.</summary>
    public const int MaxRanges = 128;

    private readonly List<TickRange> _ranges = [];

    public IReadOnlyList<TickRange> Ranges => _ranges;

    /// <summary>The longest time between two ticks that is no gap.</summary>
    public static long Reach(int intervalMs) => intervalMs <= 0 ? long.MaxValue / 4 : intervalMs + (intervalMs / 2);

    public void Add(long timeMs, int intervalMs)
    {
        long reach = Reach(intervalMs);
        int at = LastAtOrBefore(timeMs);
        if (at >= 0 && timeMs <= _ranges[at].LastMs)
        {
            _ranges[at] = _ranges[at] with { Ticks = _ranges[at].Ticks + 1 };
            return;
        }
        bool joinsBefore = at >= 0 && _ranges[at].IntervalMs == intervalMs && timeMs - _ranges[at].LastMs <= reach;
        bool joinsAfter = at + 1 < _ranges.Count && _ranges[at + 1].IntervalMs == intervalMs && _ranges[at + 1].FirstMs - timeMs <= reach;
        if (joinsBefore && joinsAfter)
        {
            _ranges[at] = new TickRange(_ranges[at].FirstMs, _ranges[at + 1].LastMs, _ranges[at].Ticks + _ranges[at + 1].Ticks + 1, intervalMs);
            _ranges.RemoveAt(at + 1);
        }
        else if (joinsBefore)
        {
            _ranges[at] = _ranges[at] with { LastMs = timeMs, Ticks = _ranges[at].Ticks + 1 };
        }
        else if (joinsAfter)
        {
            _ranges[at + 1] = _ranges[at + 1] with { FirstMs = timeMs, Ticks = _ranges[at + 1].Ticks + 1 };
        }
        else
        {
            Insert(at + 1, new TickRange(timeMs, timeMs, 1, intervalMs));
        }
    }

    /// <summary>Forgets ranges that ended before a time.</summary>
    public void DropBefore(long timeMs) => _ranges.RemoveAll(r => r.LastMs < timeMs);

    /// <summary>Takes a range as it was written; ranges come in order.</summary>
    public void Restore(TickRange range) => Insert(_ranges.Count, range);

    private void Insert(int at, TickRange range)
    {
        _ranges.Insert(at, range);
        if (_ranges.Count <= MaxRanges)
            return;
        TickRange first = _ranges[0], second = _ranges[1];
        _ranges[1] = new TickRange(first.FirstMs, second.LastMs, first.Ticks + second.Ticks, Math.Max(first.IntervalMs, second.IntervalMs));
        _ranges.RemoveAt(0);
    }

    private int LastAtOrBefore(long timeMs)
    {
        int low = 0, high = _ranges.Count - 1;
        if (high >= 0 && _ranges[high].FirstMs <= timeMs)
            return high;
        while (low <= high)
        {
            int mid = (low + high) >>> 1;
            if (_ranges[mid].FirstMs <= timeMs)
                low = mid + 1;
            else
                high = mid - 1;
        }
        return high;
    }
}
