using System.Buffers.Binary;
using System.Diagnostics.CodeAnalysis;
using System.Runtime.InteropServices;
using System.Text;

namespace Bellwether.Store.Chunks;

/// <summary>Reads what <see cref="ByteWriter"/> wrote. Everything is bounded by the span; what does not fit throws <see cref="InvalidDataException"/>.</summary>
internal ref struct ByteReader
{
    private const int MaxVarintBytes = 10;
    private readonly ReadOnlySpan<byte> _bytes;

    public ByteReader(ReadOnlySpan<byte> bytes) => _bytes = bytes;

    public int Position { get; private set; }

    public readonly int Left => _bytes.Length - Position;

    public readonly ReadOnlySpan<byte> Rest => _bytes[Position..];

    public byte Byte()
    {
        if (Position >= _bytes.Length)
            Short();
        return _bytes[Position++];
    }

    public ReadOnlySpan<byte> Bytes(int count)
    {
        if ((uint)count > (uint)Left)
            Short();
        ReadOnlySpan<byte> part = _bytes.Slice(Position, count);
        Position += count;
        return part;
    }

    public uint UInt32() => BinaryPrimitives.ReadUInt32LittleEndian(Bytes(4));

    public ulong UInt64() => BinaryPrimitives.ReadUInt64LittleEndian(Bytes(8));

    public double Double() => BitConverter.UInt64BitsToDouble(UInt64());

    public void Doubles(Span<double> into)
    {
        ReadOnlySpan<byte> bytes = Bytes(into.Length * 8);
        if (BitConverter.IsLittleEndian)
        {
            bytes.CopyTo(MemoryMarshal.AsBytes(into));
            return;
        }
        for (int i = 0; i < into.Length; i++)
            into[i] = BinaryPrimitives.ReadDoubleLittleEndian(bytes[(i * 8)..]);
    }

    public ulong Varint()
    {
        // Most are of one byte.
        ReadOnlySpan<byte> bytes = _bytes;
        int at = Position;
        if ((uint)at >= (uint)bytes.Length)
            Short();
        byte first = bytes[at];
        Position = at + 1;
        return first < 0x80 ? first : LongVarint(first);
    }

    private ulong LongVarint(byte first)
    {
        ReadOnlySpan<byte> bytes = _bytes[Position..];
        ulong value = first & 0x7FUL;
        for (int i = 0; i < MaxVarintBytes - 1; i++)
        {
            if (i >= bytes.Length)
                Short();
            byte b = bytes[i];
            value |= (ulong)(b & 0x7F) << (7 * (i + 1));
            if (b >= 0x80)
                continue;
            Position += i + 1;
            return value;
        }
        throw new InvalidDataException("a varint has more than 10 bytes");
    }

    public long Zigzag() => Unzigzag(Varint());

    /// <summary>A varint that must not be above a limit.</summary>
    public int Count(int limit)
    {
        ulong value = Varint();
        if (value > (ulong)limit)
            throw new InvalidDataException($"a count of {value} is above {limit}");
        return (int)value;
    }

    public string Text(int limit) => Encoding.UTF8.GetString(Bytes(Count(limit)));

    public static long Unzigzag(ulong value) => (long)(value >> 1) ^ -(long)(value & 1);

    [DoesNotReturn]
    private static void Short() => throw new InvalidDataException("the data end before what they announce");
}
