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
        into.Byte((byte)((_sealedCount > 0 ? HasSealed : 0) | (_count > 0 ? HasOpen : 0) | (_values is not null ? HasValues : 0) | (_rare is not null ? HasRare : 0) | (hasNewest ? HasNewest : 0)));
        if (_sealedCount > 0)
            SaveSealed(times, into);
        if (_count > 0)
        {
            times.Write(_column!, _count, into);
            if (_values is null)
                into.Double(_last);
            else
                into.Doubles(_values.AsSpan(0, _count));
        }
        if (hasNewest)
            into.Zigzag(NewestMs);
        _rare?.Save(into);
    }

    /// <summary>Reads what <see cref="Save"/> wrote into a series that holds nothing yet. Throws <see cref="InvalidDataException"/>.</summary>
    public void Restore(ref ByteReader from, SavedTimesReader times, HeadPools pools)
    {
        byte flags = from.Byte();
        if ((flags & HasSealed) != 0)
            RestoreSealed(ref from, times);
        if ((flags & HasOpen) != 0)
        {
            _column = times.Column(ref from, pools, out _count);
            NewestMs = _column[_count - 1];
            if ((flags & HasValues) == 0)
            {
                _last = from.Double();
            }
            else
            {
                _values = pools.Rent(_count);
                from.Doubles(_values.AsSpan(0, _count));
                _last = _values[_count - 1];
            }
        }
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

    private void SaveSealed(SavedTimesWriter times, ByteWriter into)
    {
        into.Varint((ulong)_sealedCount);
        for (int i = 0; i < _sealedCount; i++)
        {
            ref readonly SealedBlock block = ref _sealed[i];
            times.Write(block.Times, into);
            into.Varint((ulong)(block.Values is null ? 0 : block.Values.Length + 1));
            if (block.Values is null)
                into.Double(block.Constant);
            else
                into.Bytes(block.Values);
        }
    }

    private void RestoreSealed(ref ByteReader from, SavedTimesReader times)
    {
        _sealedCount = from.Count(from.Left);
        _sealed = new SealedBlock[_sealedCount];
        for (int i = 0; i < _sealedCount; i++)
        {
            SealedTimes of = times.Sealed(ref from);
            int length = from.Count(from.Left);
            _sealed[i] = length == 0 ? new SealedBlock(of, null, from.Double()) : new SealedBlock(of, from.Bytes(length - 1).ToArray(), 0);
            NewestMs = Math.Max(NewestMs, of.LastMs);
        }
    }
}
