using System.Buffers.Binary;

namespace Bellwether.Store.Chunks;

/// <summary>Integers of 0 to 64 bits packed one after the other, lowest bit first, little-endian.</summary>
internal static class BitPack
{
    /// <summary>Bytes that <paramref name="count"/> values of a width take.</summary>
    public static int Bytes(int count, int width) => (int)((((long)count * width) + 7) / 8);

    /// <summary>Packs the lower bits of the values. <paramref name="into"/> has exactly <see cref="Bytes"/> bytes.</summary>
    public static void Pack(ReadOnlySpan<ulong> values, int width, Span<byte> into)
    {
        if (width == 0)
            return;
        ulong mask = width == 64 ? ulong.MaxValue : (1UL << width) - 1;
        ulong pending = 0;
        int bits = 0, at = 0;
        foreach (ulong raw in values)
        {
            ulong value = raw & mask;
            pending |= value << bits;
            int filled = bits + width;
            if (filled < 64)
            {
                bits = filled;
                continue;
            }
            BinaryPrimitives.WriteUInt64LittleEndian(into[at..], pending);
            at += 8;
            bits = filled - 64;
            pending = bits == 0 ? 0 : value >> (width - bits);
        }
        for (; bits > 0; bits -= 8)
        {
            into[at++] = (byte)pending;
            pending >>= 8;
        }
    }

    /// <summary>The opposite: fills the span.</summary>
    public static void Unpack(ReadOnlySpan<byte> from, int width, Span<ulong> values)
    {
        if (width == 0)
        {
            values.Clear();
            return;
        }
        ulong mask = width == 64 ? ulong.MaxValue : (1UL << width) - 1;
        if (width <= 57 && from.Length >= 8)
        {
            UnpackNarrow(from, width, mask, values);
            return;
        }
        int i = 0;
        long bit = 0;
        // Whole words while eight bytes (and, for wide values, a ninth) can be read.
        for (; i < values.Length; i++, bit += width)
        {
            int at = (int)(bit >> 3), shift = (int)(bit & 7);
            if (at + 9 > from.Length)
                break;
            ulong word = BinaryPrimitives.ReadUInt64LittleEndian(from[at..]) >> shift;
            if (shift + width > 64)
                word |= (ulong)from[at + 8] << (64 - shift);
            values[i] = word & mask;
        }
        for (; i < values.Length; i++, bit += width)
            values[i] = Slow(from, bit, width);
    }

    /// <summary>A value of at most 57 bits lies within the eight bytes from where it begins; at the end, within the last eight.</summary>
    private static void UnpackNarrow(ReadOnlySpan<byte> from, int width, ulong mask, Span<ulong> values)
    {
        int last = from.Length - 8, i = 0;
        long bit = 0;
        for (; i < values.Length; i++, bit += width)
        {
            int at = (int)(bit >> 3);
            if (at > last)
                break;
            values[i] = (BinaryPrimitives.ReadUInt64LittleEndian(from[at..]) >> (int)(bit & 7)) & mask;
        }
        ulong word = BinaryPrimitives.ReadUInt64LittleEndian(from[last..]);
        for (bit -= (long)last * 8; i < values.Length; i++, bit += width)
            values[i] = (word >> (int)bit) & mask;
    }

    private static ulong Slow(ReadOnlySpan<byte> from, long bit, int width)
    {
        ulong value = 0;
        for (int got = 0; got < width;)
        {
            int at = (int)((bit + got) >> 3), shift = (int)((bit + got) & 7);
            int take = Math.Min(8 - shift, width - got);
            ulong part = (ulong)((from[at] >> shift) & ((1 << take) - 1));
            value |= part << got;
            got += take;
        }
        return value;
    }
}
