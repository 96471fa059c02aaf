using Bellwether.Store.Chunks;

namespace Bellwether.Store.Head;

/// <summary>What the writer reuses over all series: memory for values, columns that begin at a time, times of joined blocks, scratch. Used under the head's write lock only.</summary>
internal sealed class HeadPools
{
    private const int MaxColumnStarts = 4096;
    private readonly Dictionary<long, TimeColumn> _starts = [];
    private readonly Dictionary<(SealedTimes First, SealedTimes Second), SealedTimes> _joined = [];
    private readonly Dictionary<(SealedRun? Before, SealedTimes Times), SealedRun> _runs = [];
    private readonly ByteWriter _scratch = new(1024);
    private long _slotStart;
    private long _slotEnd;

    /// <summary>Samples that lie in late (out-of-order) overlays over all series.</summary>
    public int LateSamples { get; set; }

    public ByteWriter Scratch => _scratch;

    /// <summary>What series hold of values.</summary>
    public PieceMemory Memory { get; } = new();

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
        column = new TimeColumn(timeMs, Memory);
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
        first.Decode(times[..first.Count]);
        second.Decode(times[first.Count..]);
        _scratch.Clear();
        IntegerBlock.Encode(times, _scratch);
        joined = new SealedTimes(first.FirstMs, second.LastMs, times.Length, _scratch.Written.ToArray());
        _joined.Add((first, second), joined);
        return joined;
    }

    /// <summary>The times of some blocks and one behind them, made once for all series that have these.</summary>
    public SealedRun Run(SealedRun? before, SealedTimes times)
    {
        if (_runs.TryGetValue((before, times), out SealedRun? run))
            return run;
        if (_runs.Count >= MaxColumnStarts)
            _runs.Clear();
        run = new SealedRun(times, before, Memory);
        _runs.Add((before, times), run);
        return run;
    }

    /// <summary>Forgets the beginnings: later blocks begin columns of their own.</summary>
    public void ForgetColumns()
    {
        _starts.Clear();
        _joined.Clear();
        _runs.Clear();
    }

    /// <summary>Nothing in memory uses it any more.</summary>
    public void Clear()
    {
        ForgetColumns();
        Memory.Clear();
        LateSamples = 0;
    }
}
