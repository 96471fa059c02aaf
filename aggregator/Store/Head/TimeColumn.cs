using Bellwether.Store.Chunks;

namespace Bellwether.Store.Head;

/// <summary>
/// Timestamps that many series share: the series of one scrape have the same times, so they are kept once. A series owns a prefix of a column; where it goes
/// another way than the column, it moves to a fork, which its siblings that go the same way share again. Written by the store's writer only.
/// </summary>
internal sealed class TimeColumn
{
    /// <summary>The most timestamps in a column: an open block is sealed then, at half of it where a value takes more than two bytes. A sealed block has hardly more than one for each, but joins the one before it.</summary>
    public const int MaxCount = 64;

    private long[] _times = new long[8];
    private int _count;
    private SealedTimes? _sealed;
    private TimeColumn? _fork;
    private int _forkAt;

    /// <param name="first">The first timestamp.</param>
    /// <param name="memory">Where the values lie of the open blocks that have these times.</param>
    public TimeColumn(long first, PieceMemory memory)
    {
        _times[0] = first;
        _count = 1;
        Memory = memory;
    }

    public PieceMemory Memory { get; }

    public long this[int index] => _times[index];

    public ReadOnlySpan<long> First(int count) => _times.AsSpan(0, count);

    /// <summary>The column in which a series that holds the first <paramref name="count"/> times finds one more.</summary>
    public TimeColumn Advance(int count, long timeMs)
    {
        if (count == _count)
        {
            if (_count == _times.Length)
                Array.Resize(ref _times, _count * 2);
            _times[_count++] = timeMs;
            return this;
        }
        if (_times[count] == timeMs)
            return this;
        if (_fork is { } fork && _forkAt == count && fork._times[count] == timeMs)
            return fork;
        var own = new TimeColumn(_times[0], Memory) { _times = new long[Math.Max(8, count * 2)], _count = count };
        _times.AsSpan(0, count).CopyTo(own._times);
        own = own.Advance(count, timeMs);
        (_fork, _forkAt) = (own, count);
        return own;
    }

    /// <summary>The first <paramref name="count"/> times in their compact form, made once for all series that end there.</summary>
    public SealedTimes Seal(int count, ByteWriter scratch)
    {
        if (_sealed is null || _sealed.Count != count)
        {
            scratch.Clear();
            IntegerBlock.Encode(First(count), scratch);
            _sealed = new SealedTimes(_times[0], _times[count - 1], count, scratch.Written.ToArray());
        }
        return _sealed;
    }
}

/// <summary>The times of sealed blocks, shared by the series of a scrape. Equal only to itself.</summary>
internal sealed class SealedTimes(long firstMs, long lastMs, int count, byte[] encoded)
{
    /// <summary>The most timestamps in a sealed block: what is sealed joins the block before it up to here.</summary>
    public const int MaxCount = 128;

    public long FirstMs => firstMs;

    public long LastMs => lastMs;

    public int Count => count;

    public byte[] Encoded => encoded;

    /// <summary>Decodes them; the span has <see cref="Count"/> entries.</summary>
    public void Decode(Span<long> into)
    {
        var reader = new ByteReader(encoded);
        IntegerBlock.Decode(ref reader, into);
    }
}
