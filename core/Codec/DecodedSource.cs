using Bellwether.Core.Model;

namespace Bellwether.Core.Codec;

/// <summary>
/// One source as a segment's records have rebuilt it: its series by slot and their last values. It lives as long as its <see cref="SegmentDecoder"/>; the same
/// name may come again under another number when the collector started a new table. Not thread-safe.
/// </summary>
public sealed class DecodedSource
{
    private Labels?[] _series = [];
    private long[] _references = [];
    private long[]? _starts;

    internal DecodedSource(int number, string name, int intervalMs)
    {
        Number = number;
        Name = name;
        IntervalMs = intervalMs;
    }

    /// <summary>The source's number in its segment.</summary>
    public int Number { get; }

    /// <summary>The source's name, unique in its agent.</summary>
    public string Name { get; }

    /// <summary>How often a tick is due, ms; 0: irregular.</summary>
    public int IntervalMs { get; }

    /// <summary>One more than the highest slot that was defined.</summary>
    public int Count => State.Slots;

    /// <summary>The series in a slot; null when the segment did not define it.</summary>
    public Labels? this[int slot] => _series[slot];

    /// <summary>For the owner: what it knows of each slot (e.g. the store's number of the series); 0 at first. As long as <see cref="Count"/>.</summary>
    public Span<long> References => _references.AsSpan(0, Count);

    /// <summary>For the owner.</summary>
    public object? Tag { get; set; }

    /// <summary>The last value by slot.</summary>
    public ReadOnlySpan<double> Values => State.Last.AsSpan(0, Count);

    internal SlotState State { get; } = new();

    /// <summary>When the counter in a slot was started, Unix ms; 0: unknown.</summary>
    public long StartOf(int slot) => _starts is not null && slot < _starts.Length ? _starts[slot] : 0;

    internal bool IsDefined(int slot) => (uint)slot < (uint)Count && _series[slot] is not null;

    internal void Extend(int slots)
    {
        State.Extend(slots);
        if (_series.Length >= State.Last.Length)
            return;
        Array.Resize(ref _series, State.Last.Length);
        Array.Resize(ref _references, State.Last.Length);
    }

    internal void Define(int slot, Labels labels)
    {
        _series[slot] = labels;
        State.Defined[slot >> 6] |= 1UL << slot;
    }

    internal void SetStart(int slot, long startMs)
    {
        if (_starts is null || slot >= _starts.Length)
            Array.Resize(ref _starts, State.Last.Length);
        _starts[slot] = startMs;
    }
}
