namespace Bellwether.Store.Head;

/// <summary>Partitions of series for which something came while a cut is under way: they stay in memory. Under the head's write lock.</summary>
/// <param name="length">Of a partition.</param>
internal sealed class TouchedPartitions(TimeSpan length)
{
    private readonly long _slotMs = (long)length.TotalMilliseconds;
    private readonly HashSet<(HeadSeries Series, long Slot)> _touched = [];

    /// <summary>A sample came.</summary>
    public void Add(HeadSeries series, long timeMs) => _touched.Add((series, HeadSeries.SlotOf(timeMs, _slotMs)));

    /// <summary>Whether something came for the partition of a time.</summary>
    public bool Has(HeadSeries series, long timeMs) => _touched.Count > 0 && _touched.Contains((series, HeadSeries.SlotOf(timeMs, _slotMs)));
}
