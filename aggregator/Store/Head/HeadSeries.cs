using System.Numerics;
using Bellwether.Core.Model;
using Bellwether.Store.Chunks;

namespace Bellwether.Store.Head;

/// <summary>
/// The recent samples of one series in memory: sealed blocks, one open block, and what is rare (late samples, histograms, start times) beside.
/// A constant series owns no value array. Written under the head's write lock, read under its read lock.
/// </summary>
internal sealed partial class HeadSeries
{
    private const long Never = long.MinValue;
    private TimeColumn? _column;
    private int _count;
    private double _last;
    private double[]? _values;
    private SealedBlock[] _sealed = [];
    private int _sealedCount;
    private RareSamples? _rare;

    public HeadSeries(Labels labels, uint reference)
    {
        Labels = labels;
        Reference = reference;
        labels.Owner = this;
    }

    /// <summary>Its own object: its <see cref="Labels.Owner"/> is this series until it is removed. Set and read under the head's write lock.</summary>
    public Labels Labels { get; }

    /// <summary>Its number in the head; grows, never used twice.</summary>
    public uint Reference { get; }

    /// <summary>Its number in the dictionary of the log's batches, and which dictionary that is (0: none).</summary>
    public (int Dictionary, int Number) InLog { get; set; }

    /// <summary>Time of the newest float sample in order; <see cref="long.MinValue"/>: none.</summary>
    public long NewestMs { get; private set; } = Never;

    /// <summary>The newest float sample in order.</summary>
    public double NewestValue => _last;

    /// <summary>It was taken out of the head; whoever kept it must look its labels up again.</summary>
    public bool IsRemoved { get; set; }

    /// <summary>Whether it holds no sample at all.</summary>
    public bool IsEmpty => _count == 0 && _sealedCount == 0 && (_rare is null || _rare.IsEmpty);

    /// <summary>Blocks in memory, the open one included.</summary>
    public int BlockCount => _sealedCount + (_count > 0 ? 1 : 0);

    /// <summary>Exemplars, newest last; null: none.</summary>
    public IReadOnlyList<Exemplar>? Exemplars => _rare?.Exemplars;

    /// <summary>Adds a float sample anywhere in time.</summary>
    /// <param name="slotMs">Length of a partition: a block never reaches over its borders.</param>
    public AppendOutcome Append(long timeMs, double value, long slotMs, HeadPools pools)
    {
        if (timeMs <= NewestMs)
            return AppendLate(timeMs, value, pools);
        if (_count > 0 && (_count == TimeColumn.MaxCount || pools.SlotStart(timeMs, slotMs) > _column![0]))
            Seal(slotMs, pools);
        if (_count == 0)
            _column = pools.ColumnFrom(timeMs);
        else
            _column = _column!.Advance(_count, timeMs);
        if (_values is not null || (_count > 0 && !SampleRule.Same(value, _last)))
            Put(value, pools);
        _last = value;
        NewestMs = timeMs;
        _count++;
        return AppendOutcome.Stored;
    }

    /// <summary>Adds a native histogram anywhere in time.</summary>
    public AppendOutcome Append(long timeMs, NativeHistogram histogram) => (_rare ??= new RareSamples()).AddHistogram(timeMs, histogram);

    /// <summary>Says when the counter was started, for the sample at a time.</summary>
    public void SetStart(long timeMs, long startMs)
    {
        if (startMs == 0 && _rare is null)
            return;
        (_rare ??= new RareSamples()).SetStart(timeMs, startMs);
    }

    /// <summary>Keeps an exemplar; the oldest beyond a limit is dropped.</summary>
    public bool Add(Exemplar exemplar, int limit, bool timeIsOfTick = false) => (_rare ??= new RareSamples()).AddExemplar(exemplar, limit, timeIsOfTick);

    /// <summary>Time of the oldest sample held, or <see cref="long.MaxValue"/>.</summary>
    public long OldestMs
    {
        get
        {
            long oldest = _sealedCount > 0 ? _sealed[0].Times.FirstMs : _count > 0 ? _column![0] : long.MaxValue;
            return _rare is null ? oldest : Math.Min(oldest, _rare.OldestMs);
        }
    }

    /// <summary>Time of the newest sample held or ever held in order, or <see cref="long.MinValue"/>.</summary>
    public long NewestOfAllMs => _rare is null ? NewestMs : Math.Max(NewestMs, _rare.NewestMs);

    /// <summary>Whether there may be samples in a range.</summary>
    public bool Overlaps(long fromMs, long toMs)
    {
        long oldest = OldestMs;
        return !IsEmpty && oldest <= toMs && NewestOfAllMs >= fromMs;
    }

    /// <summary>Adds what lies in a range to a collection, source by source.</summary>
    public void Read(long fromMs, long toMs, SampleGather into)
    {
        into.BeginSource();
        for (int i = 0; i < _sealedCount; i++)
        {
            ref readonly SealedBlock block = ref _sealed[i];
            if (block.Times.LastMs < fromMs || block.Times.FirstMs > toMs)
                continue;
            into.Extend(block.Times.Count, out Span<long> times, out Span<double> values);
            block.Decode(times, values);
            into.Close(block.Times.Count, fromMs, toMs);
        }
        if (_count > 0 && _column![0] <= toMs && NewestMs >= fromMs)
        {
            into.Extend(_count, out Span<long> times, out Span<double> values);
            _column.First(_count).CopyTo(times);
            if (_values is null)
                values.Fill(_last);
            else
                _values.AsSpan(0, _count).CopyTo(values);
            into.Close(_count, fromMs, toMs);
        }
        _rare?.Read(fromMs, toMs, into);
    }

    /// <summary>A time not after the first sample at or after a time; <see cref="long.MaxValue"/>: there is none.</summary>
    public long FirstAtOrAfter(long timeMs)
    {
        long first = long.MaxValue;
        for (int i = 0; i < _sealedCount && first == long.MaxValue; i++)
        {
            if (_sealed[i].Times.LastMs >= timeMs)
                first = Math.Max(timeMs, _sealed[i].Times.FirstMs);
        }
        if (_count > 0 && NewestMs >= timeMs)
            first = Math.Min(first, Math.Max(timeMs, _column![0]));
        return _rare is null ? first : Math.Min(first, _rare.FirstAtOrAfter(timeMs));
    }

    /// <summary>Drops samples before a time, which is a border of partitions: they stand in chunk files now.</summary>
    public void DropBefore(long timeMs, HeadPools pools)
    {
        int drop = 0;
        while (drop < _sealedCount && _sealed[drop].Times.LastMs < timeMs)
            drop++;
        if (drop > 0)
        {
            Array.Copy(_sealed, drop, _sealed, 0, _sealedCount - drop);
            Array.Clear(_sealed, _sealedCount - drop, drop);
            _sealedCount -= drop;
            if (_sealedCount == 0)
                _sealed = [];
        }
        if (_count > 0 && NewestMs < timeMs)
            ReleaseOpen(pools);
        if (_rare is null)
            return;
        pools.LateSamples -= _rare.DropBefore(timeMs);
        if (_rare.IsDisposable)
            _rare = null;
    }

    private static long SlotOf(long timeMs, long slotMs) => timeMs >= 0 ? timeMs / slotMs : ((timeMs + 1) / slotMs) - 1;

    private void Put(double value, HeadPools pools)
    {
        if (_values is null)
        {
            _values = pools.Rent(_count + 1);
            _values.AsSpan(0, _count).Fill(_last);
        }
        else if (_count == _values.Length)
        {
            double[] larger = pools.Rent(_count + 1);
            _values.CopyTo(larger.AsSpan());
            pools.Return(_values);
            _values = larger;
        }
        _values[_count] = value;
    }

    // What is sealed joins the block before it while both fit into one: small open blocks, large sealed ones.
    private void Seal(long slotMs, HeadPools pools)
    {
        SealedTimes times = _column!.Seal(_count, pools.Scratch);
        if (_sealedCount > 0 && _sealed[_sealedCount - 1] is var before && before.Times.Count + _count <= SealedTimes.MaxCount
            && SlotOf(before.Times.FirstMs, slotMs) == SlotOf(times.FirstMs, slotMs))
        {
            _sealed[_sealedCount - 1] = new SealedBlock(pools.Join(before.Times, times), Encode(before, pools), _last);
        }
        else
        {
            if (_sealedCount == _sealed.Length)
                Array.Resize(ref _sealed, Math.Max(1, (int)BitOperations.RoundUpToPowerOf2((uint)_sealedCount + 1)));
            _sealed[_sealedCount++] = new SealedBlock(times, _values is null ? null : Encode(_values.AsSpan(0, _count), pools), _last);
        }
        ReleaseOpen(pools);
    }

    // The values of a sealed block and of the open one behind it; null: all are the same.
    private byte[]? Encode(in SealedBlock before, HeadPools pools)
    {
        if (before.Values is null && _values is null && SampleRule.Same(before.Constant, _last))
            return null;
        Span<double> values = pools.Values.AsSpan(0, before.Times.Count + _count);
        before.Decode(values[..before.Times.Count]);
        if (_values is null)
            values[before.Times.Count..].Fill(_last);
        else
            _values.AsSpan(0, _count).CopyTo(values[before.Times.Count..]);
        return Encode(values, pools);
    }

    private static byte[] Encode(ReadOnlySpan<double> values, HeadPools pools)
    {
        pools.Scratch.Clear();
        ValueBlock.Encode(values, pools.Scratch);
        return pools.Scratch.Written.ToArray();
    }

    private void ReleaseOpen(HeadPools pools)
    {
        if (_values is not null)
            pools.Return(_values);
        _values = null;
        _column = null;
        _count = 0;
    }

    private AppendOutcome AppendLate(long timeMs, double value, HeadPools pools)
    {
        if (TryFind(timeMs, pools, out double held))
        {
            if (SampleRule.Same(held, value))
                return AppendOutcome.Duplicate;
            if (SampleRule.Wins(value, held) && !Replace(timeMs, value, pools))
                (_rare ??= new RareSamples()).AddLate(timeMs, value, pools);
            return AppendOutcome.Conflict;
        }
        return (_rare ??= new RareSamples()).AddLate(timeMs, value, pools);
    }

    // The value of the blocks at a time; late samples have their own look-up.
    private bool TryFind(long timeMs, HeadPools pools, out double value)
    {
        value = 0;
        if (_rare is not null && _rare.TryFindLate(timeMs, out value))
            return true;
        if (_count > 0 && timeMs >= _column![0])
        {
            int at = _column.First(_count).BinarySearch(timeMs);
            value = at < 0 ? 0 : _values is null ? _last : _values[at];
            return at >= 0;
        }
        for (int i = _sealedCount - 1; i >= 0; i--)
        {
            ref readonly SealedBlock block = ref _sealed[i];
            if (timeMs > block.Times.LastMs)
                return false;
            if (timeMs < block.Times.FirstMs)
                continue;
            Span<long> times = pools.Times.AsSpan(0, block.Times.Count);
            Span<double> values = pools.Values.AsSpan(0, block.Times.Count);
            block.Decode(times, values);
            int at = times.BinarySearch(timeMs);
            value = at < 0 ? 0 : values[at];
            return at >= 0;
        }
        return false;
    }

    // In the open block a winner takes its place; in sealed blocks it goes into the overlay and wins when read.
    private bool Replace(long timeMs, double value, HeadPools pools)
    {
        if (_rare is not null && _rare.ReplaceLate(timeMs, value))
            return true;
        if (_count == 0 || timeMs < _column![0])
            return false;
        int at = _column.First(_count).BinarySearch(timeMs);
        if (at < 0)
            return false;
        if (_values is null)
        {
            _values = pools.Rent(_count);
            _values.AsSpan(0, _count).Fill(_last);
        }
        _values[at] = value;
        if (at == _count - 1)
            _last = value;
        return true;
    }
}
