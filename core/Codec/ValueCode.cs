using System.Buffers.Binary;
using System.Numerics;
using System.Runtime.CompilerServices;

namespace Bellwether.Core.Codec;

/// <summary>
/// How one value is coded against the slot's value before it (docs/formats/record.md, "Values"): a decimal integer delta where that gives the same bits back, else the XOR of
/// the bits. The state of a slot is (last value, mantissa, scale); both ends keep the same.
/// </summary>
internal static class ValueCode
{
    /// <summary>No scale: the value is coded by XOR. Also the state of a slot before its first value.</summary>
    public const byte Raw = 0xFF;

    /// <summary>Most bytes that one value takes: escape, token and the longer of eight bytes and a varint.</summary>
    public const int BytesMax = 2 + ByteSink.VarintBytesMax;

    private const byte Kibi = 14;
    private const int DecimalsMax = 13;
    private const byte XorToken = 0x80;
    private const double MantissaMax = 1L << 53;

    // value = mantissa / Divisor[scale]; the last one is 2^-10 for byte counts in whole KiB (memory, disks), which saves a byte and a half per delta.
    private static readonly double[] Divisors = [1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1.0 / 1024];

    /// <summary>Writes a value; <paramref name="search"/> lets a slot in XOR form look for a scale (costs up to fourteen divisions). Returns the bytes written.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static int Write(Span<byte> into, double value, ref double last, ref long mantissa, ref byte scale, bool search)
    {
        if (scale < Divisors.Length && TryScale(value, scale, out long m))
        {
            ulong token = ByteSink.ZigZag(m - mantissa) + 1;
            mantissa = m;
            last = value;
            if (token < 0x80)
            {
                into[0] = (byte)token;
                return 1;
            }
            return ByteSink.Varint(into, token);
        }
        return WriteSlow(into, value, ref last, ref mantissa, ref scale, search);
    }

    /// <summary>Reads what <see cref="Write"/> wrote.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Read(ref ByteSource source, ref double last, ref long mantissa, ref byte scale)
    {
        if (scale != Raw)
        {
            ulong token = source.Varint();
            if (token != 0)
            {
                token--;
                mantissa += (long)(token >> 1) ^ -(long)(token & 1);
                last = mantissa / Divisors[scale];
                return;
            }
        }
        ReadSlow(ref source, ref last, ref mantissa, ref scale);
    }

    /// <summary>Writes a value that stands alone.</summary>
    public static void WriteAlone(ByteSink sink, double value)
    {
        double last = 0;
        long mantissa = 0;
        byte scale = Raw;
        sink.Length += WriteSlow(sink.Room(BytesMax), value, ref last, ref mantissa, ref scale, search: true);
    }

    /// <summary>Reads what <see cref="WriteAlone"/> wrote.</summary>
    public static double ReadAlone(ref ByteSource source)
    {
        double last = 0;
        long mantissa = 0;
        byte scale = Raw;
        ReadSlow(ref source, ref last, ref mantissa, ref scale);
        return last;
    }

    /// <summary>Whether a byte is one that a slot's scale can be.</summary>
    public static bool IsScale(byte scale) => scale == Raw || scale < Divisors.Length;

    private static int WriteSlow(Span<byte> into, double value, ref double last, ref long mantissa, ref byte scale, bool search)
    {
        int at = 0;
        if (scale != Raw)
            into[at++] = 0;
        if ((search || scale != Raw) && TryFindScale(value, out byte found, out long m))
        {
            into[at++] = found;
            at += ByteSink.Varint(into[at..], ByteSink.ZigZag(m));
            scale = found;
            mantissa = m;
        }
        else
        {
            ulong xor = BitConverter.DoubleToUInt64Bits(value) ^ BitConverter.DoubleToUInt64Bits(last);
            int lead = xor == 0 ? 0 : BitOperations.LeadingZeroCount(xor) >> 3;
            int trail = xor == 0 ? 8 : BitOperations.TrailingZeroCount(xor) >> 3;
            int count = 8 - lead - trail;
            into[at++] = (byte)(XorToken | (lead << 4) | count);
            BinaryPrimitives.WriteUInt64BigEndian(into[at..], xor << (lead * 8));
            at += count;
            scale = Raw;
        }
        last = value;
        return at;
    }

    private static void ReadSlow(ref ByteSource source, ref double last, ref long mantissa, ref byte scale)
    {
        byte token = source.Byte();
        if (token < Divisors.Length)
        {
            scale = token;
            mantissa = source.Signed();
            last = mantissa / Divisors[token];
            return;
        }
        int lead = (token >> 4) & 7, count = token & 15;
        if (token < XorToken || lead + count > 8)
        {
            source.Fail(DecodeOutcome.Malformed);
            return;
        }
        ulong xor = 0;
        foreach (byte b in source.Bytes(count))
            xor = (xor << 8) | b;
        if (count > 0)
            xor <<= (8 - lead - count) * 8;
        last = BitConverter.UInt64BitsToDouble(BitConverter.DoubleToUInt64Bits(last) ^ xor);
        scale = Raw;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static bool TryScale(double value, byte scale, out long mantissa)
    {
        double divisor = Divisors[scale];
        // For the KiB scale the multiplication is by 2^-10, which is its divisor; for decimal scales multiplier and divisor are the same number.
        double scaled = Math.Round(value * divisor);
        mantissa = (long)scaled;
        return Math.Abs(scaled) <= MantissaMax && BitConverter.DoubleToUInt64Bits(mantissa / divisor) == BitConverter.DoubleToUInt64Bits(value);
    }

    private static bool TryFindScale(double value, out byte scale, out long mantissa)
    {
        scale = 0;
        if (TryScale(value, 0, out mantissa))
        {
            if (mantissa != 0 && (mantissa & 1023) == 0 && Math.Abs(mantissa) >= 1 << 20)
            {
                scale = Kibi;
                mantissa >>= 10;
            }
            return true;
        }
        for (byte s = 1; s <= DecimalsMax; s++)
        {
            if (!TryScale(value, s, out mantissa))
                continue;
            scale = s;
            return true;
        }
        return false;
    }
}
