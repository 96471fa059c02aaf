using Bellwether.Core.Model;

namespace Bellwether.Store.Head;

/// <summary>
/// The recent samples of one series in memory: sealed blocks, one open block, and what is rare (late samples, histograms, start times) beside. Times are shared with other series, values lie in
/// pieces of <see cref="PieceMemory"/>; the open block of a constant series has none. Written under the head's write lock, read under its read lock.
/// </summary>
internal sealed partial class HeadSeries
{
    private const long Never = long.MinValue;
    private TimeColumn? _column;
    private SealedRun? _run;
    private RareSamples? _rare;
    private double _last;

    // The piece of the open block's values (0: all are the last one), and of the newest sealed block's.
    private uint _open;
    private uint _sealed;
    private byte _count;

    // Of the open block's values, or what it was of the one before.
    private byte _form;

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

    /// <summary>Who brought it: a number of <see cref="SeriesSenders"/>, which alone sets it. 0: nobody.</summary>
    public ushort Sender { get; set; }

    /// <summary>Its number in the dictionary of the log's batches, and which dictionary that is (0: none).</summary>
    public (int Dictionary, int Number) InLog { get; set; }

    /// <summary>Time of the newest float sample in order; <see cref="long.MinValue"/>: none.</summary>
    public long NewestMs { get; private set; } = Never;

    /// <summary>It was taken out of the head; whoever kept it must look its labels up again.</summary>
    public bool IsRemoved { get; set; }

    /// <summary>Whether it holds no sample at all.</summary>
    public bool IsEmpty => _count == 0 && _run is null && (_rare is null || _rare.IsEmpty);

    /// <summary>Blocks in memory, the open one included.</summary>
    public int BlockCount => (_run?.Count ?? 0) + (_count > 0 ? 1 : 0);

    /// <summary>Exemplars, newest last; null: none.</summary>
    public IReadOnlyList<Exemplar>? Exemplars => _rare?.Exemplars;

    /// <summary>Adds a float sample anywhere in time.</summary>
    /// <param name="slotMs">Length of a partition: a block never reaches over its borders.</param>
    public AppendOutcome Append(long timeMs, double value, long slotMs, HeadPools pools)
    {
        if (timeMs <= NewestMs)
            return AppendLate(timeMs, value, pools);
        if (_count > 0 && (_count >= Limit || pools.SlotStart(timeMs, slotMs) > _column![0]))
            Seal(slotMs, pools);
        if (_count == 0)
            _column = pools.ColumnFrom(timeMs);
        else
            _column = _column!.Advance(_count, timeMs);
        if (_open != 0 ? !OpenValues.TryPut(pools.Memory[_open], _form, _count, value) : _count > 0 && !SampleRule.Same(value, _last))
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
            long oldest = _run is not null ? _run.OldestMs : _count > 0 ? _column![0] : long.MaxValue;
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
        if (_run is not null)
            ReadSealed(_run, fromMs, toMs, into);
        if (_count > 0 && _column![0] <= toMs && NewestMs >= fromMs)
        {
            into.Extend(_count, out Span<long> times, out Span<double> values);
            _column.First(_count).CopyTo(times);
            ReadOpen(values, _column.Memory);
            into.Close(_count, fromMs, toMs);
        }
        _rare?.Read(fromMs, toMs, into);
    }

    /// <summary>A time not after the first sample at or after a time; <see cref="long.MaxValue"/>: there is none.</summary>
    public long FirstAtOrAfter(long timeMs)
    {
        long first = long.MaxValue;
        for (SealedRun? run = _run; run is not null && run.Times.LastMs >= timeMs; run = run.Before)
            first = Math.Max(timeMs, run.Times.FirstMs);
        if (_count > 0 && NewestMs >= timeMs)
            first = Math.Min(first, Math.Max(timeMs, _column![0]));
        return _rare is null ? first : Math.Min(first, _rare.FirstAtOrAfter(timeMs));
    }

    /// <summary>Drops samples before a time: they stand in chunk files now. A block that goes beyond it stays whole.</summary>
    /// <param name="touched">Partitions that stay; null: none.</param>
    public void DropBefore(long timeMs, HeadPools pools, TouchedPartitions? touched = null)
    {
        if (_run is not null && _run.OldestMs < timeMs)
            DropSealed(_run, timeMs, pools, touched);
        if (_count > 0 && NewestMs < timeMs && touched?.Has(this, NewestMs) != true)
            ReleaseOpen(pools);
        if (_rare is null)
            return;
        pools.LateSamples -= _rare.DropBefore(timeMs, this, touched);
        if (_rare.IsDisposable)
            _rare = null;
    }

    // The open block is sealed at so many values: sooner where they take much room.
    private int Limit => _open == 0 || OpenValues.IsSmall(_form) ? TimeColumn.MaxCount : TimeColumn.MaxCount / 2;

    /// <summary>The number of the partition of a time.</summary>
    public static long SlotOf(long timeMs, long slotMs) => timeMs >= 0 ? timeMs / slotMs : ((timeMs + 1) / slotMs) - 1;

    // Into another piece, or another form: the values do not fit where they are.
    private void Put(double value, HeadPools pools)
    {
        if (_open != 0 && pools.Memory[_open].Length < OpenValues.Bytes(_form, _count + 1))
        {
            uint larger = pools.Memory.Take(BytesFor(_count + 1));
            pools.Memory[_open].CopyTo(pools.Memory[larger]);
            pools.Memory.Return(_open);
            _open = larger;
            if (OpenValues.TryPut(pools.Memory[_open], _form, _count, value))
                return;
        }
        Span<double> values = pools.Values.AsSpan(0, _count + 1);
        ReadOpen(values[..^1], pools.Memory);
        values[^1] = value;
        PutAll(values, pools);
    }

    private int BytesFor(int count) => OpenValues.Bytes(_form, count <= 8 ? 8 : count <= 16 ? 16 : count <= 32 ? 32 : TimeColumn.MaxCount);

    private void PutAll(ReadOnlySpan<double> values, HeadPools pools)
    {
        _form = OpenValues.Choose(values, _form, out long from);
        int bytes = BytesFor(values.Length);
        if (_open == 0 || pools.Memory[_open].Length < bytes)
        {
            if (_open != 0)
                pools.Memory.Return(_open);
            _open = pools.Memory.Take(bytes);
        }
        OpenValues.Write(pools.Memory[_open], _form, from, values);
    }

    private void ReadOpen(Span<double> values, PieceMemory memory)
    {
        if (_open == 0)
            values.Fill(_last);
        else
            OpenValues.Read(memory[_open], _form, values);
    }

    // What is sealed joins the block before it while both fit into one: small open blocks, large sealed ones.
    private void Seal(long slotMs, HeadPools pools)
    {
        SealedTimes times = _column!.Seal(_count, pools.Scratch);
        if (_run is { } run && run.Times.Count + _count <= SealedTimes.MaxCount && SlotOf(run.Times.FirstMs, slotMs) == SlotOf(times.FirstMs, slotMs))
        {
            Span<double> values = pools.Values.AsSpan(0, run.Times.Count + _count);
            SealedPiece last = new(pools.Memory[_sealed]);
            last.Decode(values[..run.Times.Count]);
            ReadOpen(values[run.Times.Count..], pools.Memory);
            uint before = last.Before;
            pools.Memory.Return(_sealed);
            _sealed = SealedPiece.Encode(values, before, pools);
            _run = pools.Run(run.Before, pools.Join(run.Times, times));
        }
        else
        {
            Span<double> values = pools.Values.AsSpan(0, _count);
            ReadOpen(values, pools.Memory);
            _sealed = SealedPiece.Encode(values, _sealed, pools);
            _run = pools.Run(_run, times);
        }
        ReleaseOpen(pools);
    }

    private void ReleaseOpen(HeadPools pools)
    {
        if (_open != 0)
            pools.Memory.Return(_open);
        _open = 0;
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
            value = at < 0 ? 0 : OpenAt(at, pools);
            return at >= 0;
        }
        return TryFindSealed(timeMs, pools, out value);
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
        Span<double> values = pools.Values.AsSpan(0, _count);
        ReadOpen(values, pools.Memory);
        values[at] = value;
        PutAll(values, pools);
        if (at == _count - 1)
            _last = value;
        return true;
    }

    private double OpenAt(int at, HeadPools pools)
    {
        Span<double> values = pools.Values.AsSpan(0, _count);
        ReadOpen(values, pools.Memory);
        return values[at];
    }
}
