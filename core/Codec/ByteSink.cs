using System.Buffers.Binary;
using System.Text;

namespace Bellwether.Core.Codec;

/// <summary>A growing buffer that is kept and reused; writes the codec's primitives. Not thread-safe.</summary>
internal sealed class ByteSink
{
    /// <summary>Longest varint.</summary>
    public const int VarintBytesMax = 10;

    private byte[] _buffer = new byte[1024];

    public int Length { get; set; }

    public ReadOnlySpan<byte> Written => _buffer.AsSpan(0, Length);

    public void Clear() => Length = 0;

    /// <summary>Room for at least <paramref name="bytes"/> behind what is written; the caller then adds to <see cref="Length"/>.</summary>
    public Span<byte> Room(int bytes)
    {
        if (_buffer.Length - Length < bytes)
            Array.Resize(ref _buffer, Math.Max(_buffer.Length * 2, Length + bytes));
        return _buffer.AsSpan(Length);
    }

    public void Byte(byte value)
    {
        Room(1)[0] = value;
        Length++;
    }

    public void Varint(ulong value) => Length += Varint(Room(VarintBytesMax), value);

    public void Signed(long value) => Varint(ZigZag(value));

    public void Fixed32(uint value)
    {
        BinaryPrimitives.WriteUInt32LittleEndian(Room(4), value);
        Length += 4;
    }

    public void Bytes(ReadOnlySpan<byte> bytes)
    {
        bytes.CopyTo(Room(bytes.Length));
        Length += bytes.Length;
    }

    /// <summary>Length as varint, then UTF-8; returns the bytes of the text.</summary>
    public int String(string text)
    {
        int bytes = Encoding.UTF8.GetByteCount(text);
        Varint((ulong)bytes);
        Encoding.UTF8.GetBytes(text, Room(bytes));
        Length += bytes;
        return bytes;
    }

    /// <summary>Gives memory above a size back, so that one huge record does not stay for ever.</summary>
    public void Trim(int keepBytes)
    {
        if (_buffer.Length > keepBytes && Length <= keepBytes)
            Array.Resize(ref _buffer, keepBytes);
    }

    public static ulong ZigZag(long value) => (ulong)((value << 1) ^ (value >> 63));

    public static int Varint(Span<byte> into, ulong value)
    {
        int i = 0;
        while (value >= 0x80)
        {
            into[i++] = (byte)(value | 0x80);
            value >>= 7;
        }
        into[i++] = (byte)value;
        return i;
    }
}
