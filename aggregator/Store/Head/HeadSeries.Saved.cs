using Bellwether.Store.Chunks;

namespace Bellwether.Store.Head;

// How a series stands in a saved head (docs/formats/head.md).
internal sealed partial class HeadSeries
{
    private const byte HasSealed = 1, HasOpen = 2, HasValues = 4, HasRare = 8, HasNewest = 16;

    /// <summary>Writes all that it holds. Under the head's read lock.</summary>
    public void Save(SavedTimesWriter times, ByteWriter into)
    {
        bool hasNewest = _count == 0 && NewestMs != Never;
        into.Byte((byte)((_run is not null ? HasSealed : 0) | (_count > 0 ? HasOpen : 0) | (_open != 0 ? HasValues : 0) | (_rare is not null ? HasRare : 0) | (hasNewest ? HasNewest : 0)));
        if (_run is not null)
            SaveSealed(_run, times, into);
        if (_count > 0)
            SaveOpen(_column!, times, into);
        if (hasNewest)
            into.Zigzag(NewestMs);
        _rare?.Save(into);
    }

    /// <summary>Reads what <see cref="Save"/> wrote into a series that holds nothing yet. Throws <see cref="InvalidDataException"/>.</summary>
    public void Restore(ref ByteReader from, SavedTimesReader times, HeadPools pools)
    {
        byte flags = from.Byte();
        if ((flags & HasSealed) != 0)
            RestoreSealed(ref from, times, pools);
        if ((flags & HasOpen) != 0)
            RestoreOpen(ref from, (flags & HasValues) != 0, times, pools);
        if ((flags & HasNewest) != 0)
            NewestMs = from.Zigzag();
        if ((flags & HasRare) != 0)
            _rare = RareSamples.Restore(ref from, pools);
    }

    /// <summary>The same series with nothing before a time, which need not be a border of partitions. This one holds nothing after it.</summary>
    public HeadSeries Without(long beforeMs, long slotMs, HeadPools pools, SampleGather scratch)
    {
        scratch.Begin();
        Read(beforeMs, long.MaxValue, scratch);
        scratch.Resolve();
        var rest = new HeadSeries(Labels, Reference);
        for (int i = 0; i < scratch.Count; i++)
        {
            if (scratch.HistogramAt(i) is { } histogram)
                rest.Append(scratch.Times[i], histogram);
            else
                rest.Append(scratch.Times[i], scratch.Values[i], slotMs, pools);
            rest.SetStart(scratch.Times[i], scratch.StartAt(i));
        }
        DropBefore(long.MaxValue, pools);
        return rest;
    }

    private void SaveOpen(TimeColumn column, SavedTimesWriter times, ByteWriter into)
    {
        times.Write(column, _count, into);
        if (_open == 0)
        {
            into.Double(_last);
            return;
        }
        Span<double> values = stackalloc double[TimeColumn.MaxCount];
        ReadOpen(values[.._count], column.Memory);
        into.Doubles(values[.._count]);
    }

    private void RestoreOpen(ref ByteReader from, bool hasValues, SavedTimesReader times, HeadPools pools)
    {
        _column = times.Column(ref from, pools, out int count);
        _count = (byte)count;
        NewestMs = _column[count - 1];
        if (!hasValues)
        {
            _last = from.Double();
            return;
        }
        Span<double> values = pools.Values.AsSpan(0, count);
        from.Doubles(values);
        _last = values[^1];
        PutAll(values, pools);
    }

    private void SaveSealed(SealedRun run, SavedTimesWriter times, ByteWriter into)
    {
        into.Varint((ulong)run.Count);
        SealedTimes[] all = run.Count == 1 ? [run.Times] : run.ToArray();
        Span<uint> pieces = run.Count <= 64 ? stackalloc uint[run.Count] : new uint[run.Count];
        SealedPiece.Collect(_sealed, run.Memory, pieces);
        for (int i = 0; i < all.Length; i++)
        {
            SealedPiece block = new(run.Memory[pieces[i]]);
            times.Write(all[i], into);
            into.Varint((ulong)(block.IsConstant ? 0 : block.Values.Length + 1));
            if (block.IsConstant)
                into.Double(block.Constant);
            else
                into.Bytes(block.Values);
        }
    }

    private void RestoreSealed(ref ByteReader from, SavedTimesReader times, HeadPools pools)
    {
        int count = from.Count(from.Left);
        for (int i = 0; i < count; i++)
        {
            SealedTimes of = times.Sealed(ref from);
            int length = from.Count(Math.Min(from.Left, SealedPiece.MaxValueBytes));
            _sealed = length == 0 ? SealedPiece.Write(from.Double(), _sealed, pools.Memory) : SealedPiece.Write(from.Bytes(length - 1), _sealed, pools.Memory);
            _run = pools.Run(_run, of);
            NewestMs = Math.Max(NewestMs, of.LastMs);
        }
    }
}
