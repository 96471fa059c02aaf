using System.Buffers.Binary;
using System.Runtime.InteropServices;
using System.Text;

namespace Bellwether.Store.Chunks;

/// <summary>A growing byte buffer with the primitives of the store's files: little-endian, varints as in protobuf. Reused; not thread-safe.</summary>
internal sealed class ByteWriter
{
    private byte[] _bytes;

    public ByteWriter(int capacity = 256) => _bytes = new byte[capacity];

    public int Length { get; private set; }

    public ReadOnlySpan<byte> Written => _bytes.AsSpan(0, Length);

    public ReadOnlyMemory<byte> WrittenMemory => _bytes.AsMemory(0, Length);

    public void Clear() => Length = 0;

    public void Truncate(int length) => Length = Math.Min(Length, length);

    /// <summary>Moves what stands from a place on to an earlier one, over what is there.</summary>
    public void Replace(int at, int by)
    {
        _bytes.AsSpan(by, Length - by).CopyTo(_bytes.AsSpan(at));
        Length -= by - at;
    }

    /// <summary>Room for more bytes; they count at once.</summary>
    public Span<byte> Take(int count)
    {
        int need = Length + count;
        if (need > _bytes.Length)
            Array.Resize(ref _bytes, Math.Max(need, _bytes.Length * 2));
        Span<byte> room = _bytes.AsSpan(Length, count);
        Length = need;
        return room;
    }

    public void Byte(byte value) => Take(1)[0] = value;

    public void Bytes(ReadOnlySpan<byte> value) => value.CopyTo(Take(value.Length));

    public void UInt32(uint value) => BinaryPrimitives.WriteUInt32LittleEndian(Take(4), value);

    public void UInt64(ulong value) => BinaryPrimitives.WriteUInt64LittleEndian(Take(8), value);

    public void Double(double value) => UInt64(BitConverter.DoubleToUInt64Bits(value));

    public void Doubles(ReadOnlySpan<double> values)
    {
        Span<byte> room = Take(values.Length * 8);
        if (BitConverter.IsLittleEndian)
        {
            MemoryMarshal.AsBytes(values).CopyTo(room);
            return;
        }
        for (int i = 0; i < values.Length; i++)
            BinaryPrimitives.WriteDoubleLittleEndian(room[(i * 8)..], values[i]);
    }

    public void Varint(ulong value)
    {
        Span<byte> room = Take(10);
        int at = 0;
        while (value >= 0x80)
        {
            room[at++] = (byte)(value | 0x80);
            value >>= 7;
        }
        room[at++] = (byte)value;
        Length -= 10 - at;
    }

    public void Zigzag(long value) => Varint(Zigzagged(value));

    public void Text(string value)
    {
        int count = Encoding.UTF8.GetByteCount(value);
        Varint((ulong)count);
        Encoding.UTF8.GetBytes(value, Take(count));
    }

    public void PatchUInt32(int at, uint value) => BinaryPrimitives.WriteUInt32LittleEndian(_bytes.AsSpan(at, 4), value);

    public void PatchByte(int at, byte value) => _bytes[at] = value;

    public static ulong Zigzagged(long value) => (ulong)(value << 1) ^ (ulong)(value >> 63);
}
