using Bellwether.Store.Chunks;

namespace Bellwether.Store.Head;

/// <summary>What the writer reuses over all series: value arrays by size, columns that begin at a time, times of joined blocks, scratch. Used under the head's write lock only.</summary>
internal sealed class HeadPools
{
    private const int MaxColumnStarts = 4096;
    private const int MaxFree = 4096;
    private readonly Dictionary<long, TimeColumn> _starts = [];
    private readonly Dictionary<(SealedTimes First, SealedTimes Second), SealedTimes> _joined = [];
    private readonly Stack<double[]>[] _free = [new(), new(), new()];
    private readonly ByteWriter _scratch = new(1024);
    private long _slotStart;
    private long _slotEnd;

    /// <summary>Samples that lie in late (out-of-order) overlays over all series.</summary>
    public int LateSamples { get; set; }

    public ByteWriter Scratch => _scratch;

    public long[] Times { get; } = new long[SealedTimes.MaxCount];

    public double[] Values { get; } = new double[SealedTimes.MaxCount];

    /// <summary>Where the partition begins in which a time lies. Samples that come one after the other lie in the same one as a rule.</summary>
    public long SlotStart(long timeMs, long slotMs)
    {
        if (timeMs < _slotStart || timeMs >= _slotEnd || _slotEnd - _slotStart != slotMs)
        {
            _slotStart = timeMs - (((timeMs % slotMs) + slotMs) % slotMs);
            _slotEnd = _slotStart + slotMs;
        }
        return _slotStart;
    }

    /// <summary>A column that begins at a time; the one that others began there, if it is known.</summary>
    public TimeColumn ColumnFrom(long timeMs)
    {
        if (_starts.TryGetValue(timeMs, out TimeColumn? column))
            return column;
        if (_starts.Count >= MaxColumnStarts)
            _starts.Clear();
        column = new TimeColumn(timeMs);
        _starts.Add(timeMs, column);
        return column;
    }

    /// <summary>A column that was saved: series that begin where it begins share it.</summary>
    public void Restore(TimeColumn column)
    {
        if (_starts.Count < MaxColumnStarts)
            _starts.TryAdd(column[0], column);
    }

    /// <summary>The times of two blocks that follow each other as those of one, made once for all series that have both; together at most <see cref="SealedTimes.MaxCount"/>.</summary>
    public SealedTimes Join(SealedTimes first, SealedTimes second)
    {
        if (_joined.TryGetValue((first, second), out SealedTimes? joined))
            return joined;
        if (_joined.Count >= MaxColumnStarts)
            _joined.Clear();
        Span<long> times = Times.AsSpan(0, first.Count + second.Count);
        var reader = new ByteReader(first.Encoded);
        IntegerBlock.Decode(ref reader, times[..first.Count]);
        reader = new ByteReader(second.Encoded);
        IntegerBlock.Decode(ref reader, times[first.Count..]);
        _scratch.Clear();
        IntegerBlock.Encode(times, _scratch);
        joined = new SealedTimes(first.FirstMs, second.LastMs, times.Length, _scratch.Written.ToArray());
        _joined.Add((first, second), joined);
        return joined;
    }

    /// <summary>Forgets the beginnings: later blocks begin columns of their own.</summary>
    public void ForgetColumns()
    {
        _starts.Clear();
        _joined.Clear();
    }

    /// <summary>Nothing in memory uses it any more.</summary>
    public void Clear()
    {
        ForgetColumns();
        LateSamples = 0;
    }

    /// <summary>An array of at least <paramref name="count"/> values, up to <see cref="TimeColumn.MaxCount"/>; its content is arbitrary.</summary>
    public double[] Rent(int count)
    {
        int index = IndexOf(count);
        return _free[index].TryPop(out double[]? array) ? array : new double[8 << index];
    }

    public void Return(double[] array)
    {
        Stack<double[]> stack = _free[IndexOf(array.Length)];
        if (stack.Count < MaxFree)
            stack.Push(array);
    }

    private static int IndexOf(int count) => count <= 8 ? 0 : 29 - System.Numerics.BitOperations.LeadingZeroCount((uint)(count - 1));
}
