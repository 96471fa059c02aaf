using Bellwether.Store.Chunks;

namespace Bellwether.Store.Head;

/// <summary>Times that many series share, as a saved head writes them: in full where they come first, then by number (docs/formats/head.md). Of one file; not thread-safe.</summary>
internal sealed class SavedTimesWriter
{
    private readonly Dictionary<SealedTimes, int> _sealed = [];
    private readonly Dictionary<TimeColumn, (int Number, int Written)> _columns = [];
    private SealedTimes? _lastSealed;
    private int _lastNumber;

    public void Write(SealedTimes times, ByteWriter into)
    {
        if (ReferenceEquals(times, _lastSealed))
        {
            into.Varint((ulong)_lastNumber);
            return;
        }
        bool isNew = !_sealed.TryGetValue(times, out int number);
        if (isNew)
            _sealed.Add(times, number = _sealed.Count);
        (_lastSealed, _lastNumber) = (times, number);
        into.Varint((ulong)number);
        if (!isNew)
            return;
        into.Zigzag(times.FirstMs);
        into.Varint((ulong)(times.LastMs - times.FirstMs));
        into.Varint((ulong)times.Count);
        into.Varint((ulong)times.Encoded.Length);
        into.Bytes(times.Encoded);
    }

    /// <summary>The first times of a column. It may have grown since it was written last.</summary>
    public void Write(TimeColumn column, int count, ByteWriter into)
    {
        if (!_columns.TryGetValue(column, out (int Number, int Written) known))
            known = (_columns.Count, 0);
        into.Varint((ulong)known.Number);
        into.Varint((ulong)count);
        long before = known.Written > 0 ? column[known.Written - 1] : 0;
        for (int i = known.Written; i < count; i++)
        {
            into.Zigzag(column[i] - before);
            before = column[i];
        }
        _columns[column] = (known.Number, Math.Max(known.Written, count));
    }
}

/// <summary>Reads what <see cref="SavedTimesWriter"/> wrote, in the same order.</summary>
internal sealed class SavedTimesReader
{
    private readonly List<SealedTimes> _sealed = [];
    private readonly List<(TimeColumn Column, int Read)> _columns = [];

    public SealedTimes Sealed(ref ByteReader from)
    {
        int number = from.Count(_sealed.Count);
        if (number < _sealed.Count)
            return _sealed[number];
        long first = from.Zigzag();
        long last = first + (long)from.Varint();
        int count = from.Count(SealedTimes.MaxCount);
        var times = new SealedTimes(first, last, count, from.Bytes(from.Count(from.Left)).ToArray());
        _sealed.Add(times);
        return times;
    }

    public TimeColumn Column(ref ByteReader from, HeadPools pools, out int count)
    {
        int number = from.Count(_columns.Count);
        count = from.Count(TimeColumn.MaxCount);
        if (count == 0)
            throw new InvalidDataException("an open block holds no time");
        if (number == _columns.Count)
        {
            var begun = new TimeColumn(from.Zigzag(), pools.Memory);
            pools.Restore(begun);
            _columns.Add((begun, 1));
        }
        (TimeColumn column, int read) = _columns[number];
        for (; read < count; read++)
        {
            if (column.Advance(read, column[read - 1] + from.Zigzag()) != column)
                throw new InvalidDataException("a column of times has two continuations");
        }
        _columns[number] = (column, read);
        return column;
    }
}
