using System.Buffers;
using System.Buffers.Binary;
using Bellwether.Core.Durable;
using Bellwether.Core.Platform;

namespace Bellwether.Store.Blocks;

/// <summary>
/// What reading chunks reuses: bytes, columns, columns of times, which series of a scrape share, and what was read ahead of each file. One thread at a time; when disposed it
/// gives back what it read ahead.
/// </summary>
internal sealed class ChunkScratch : IDisposable
{
    /// <summary>So many series make reading ahead worth while.</summary>
    public const int SeriesToReadAhead = 8;

    private const int AheadBytes = 16 << 10;
    private const int MaxAheadFiles = 1024;
    private const int MaxHeldTimes = 1 << 19;
    private const int MaxKept = 1 << 17;
    private const int MaxKeptEntries = 4096;
    private readonly Dictionary<(BlockFile File, long Offset), long[]> _times = [];
    private readonly Dictionary<BlockFile, Ahead> _ahead = [];
    private byte[] _bytes = new byte[4096];
    private double[] _values = new double[256];
    private int _heldTimes;

    /// <summary>Whether more than what is asked for is read at once.</summary>
    public bool ReadsAhead { get; set; }

    /// <summary>The bytes at a place, checked against the CRC that follows them; valid until the next read.</summary>
    public ReadOnlySpan<byte> Read(BlockFile block, IDiskFile file, long offset, int length)
    {
        ReadOnlySpan<byte> bytes = Fetch(block, file, offset, length + 4);
        if (bytes.Length < length + 4 || Crc32C.Compute(bytes[..length]) != BinaryPrimitives.ReadUInt32LittleEndian(bytes[length..]))
            throw new InvalidDataException("the check of a chunk is wrong");
        return bytes[..length];
    }

    public bool TryTimes(BlockFile file, long offset, int count, out ReadOnlySpan<long> times)
    {
        bool isHeld = _times.TryGetValue((file, offset), out long[]? held) && held.Length == count;
        times = isHeld ? held : default;
        return isHeld;
    }

    public void Keep(BlockFile file, long offset, long[] times)
    {
        if (_heldTimes + times.Length > MaxHeldTimes)
        {
            _times.Clear();
            _heldTimes = 0;
        }
        _times[(file, offset)] = times;
        _heldTimes += times.Length;
    }

    public Span<double> Values(int count)
    {
        if (_values.Length < count)
            _values = new double[Math.Max(count, _values.Length * 2)];
        return _values.AsSpan(0, count);
    }

    /// <summary>Forgets the columns of files that it holds; false: it has grown too large to be kept for another selection.</summary>
    public bool TryForget()
    {
        _times.Clear();
        _heldTimes = 0;
        ReadsAhead = false;
        return _bytes.Length <= MaxKept && _values.Length <= MaxKept && _times.EnsureCapacity(0) <= MaxKeptEntries && _ahead.EnsureCapacity(0) <= MaxKeptEntries;
    }

    public void Dispose()
    {
        foreach (Ahead ahead in _ahead.Values)
            ArrayPool<byte>.Shared.Return(ahead.Bytes);
        _ahead.Clear();
    }

    private ReadOnlySpan<byte> Fetch(BlockFile block, IDiskFile file, long offset, int length)
    {
        if (!ReadsAhead || length > AheadBytes)
            return Direct(file, offset, length);
        if (!_ahead.TryGetValue(block, out Ahead? ahead))
        {
            if (_ahead.Count == MaxAheadFiles)
                return Direct(file, offset, length);
            _ahead.Add(block, ahead = new Ahead(ArrayPool<byte>.Shared.Rent(AheadBytes)));
        }
        long at = offset - ahead.Offset;
        if (at < 0 || at + length > ahead.Count)
        {
            ahead.Offset = offset;
            ahead.Count = file.Read(offset, ahead.Bytes.AsSpan(0, (int)Math.Min(AheadBytes, block.Bytes - offset)));
            at = 0;
        }
        return ahead.Bytes.AsSpan((int)at, Math.Min(length, ahead.Count - (int)at));
    }

    private Span<byte> Direct(IDiskFile file, long offset, int length)
    {
        if (_bytes.Length < length)
            _bytes = new byte[Math.Max(length, _bytes.Length * 2)];
        return _bytes.AsSpan(0, file.Read(offset, _bytes.AsSpan(0, length)));
    }

    private sealed class Ahead(byte[] bytes)
    {
        public byte[] Bytes { get; } = bytes;

        public long Offset { get; set; }

        public int Count { get; set; }
    }
}
