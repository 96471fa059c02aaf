using System.Numerics;

namespace Bellwether.Store.Chunks;

/// <summary>
/// Doubles as the XOR with the value before: per value a byte with the number of leading zero bytes (high nibble) and of kept bytes (low nibble), then those bytes.
/// For values that are no decimals (means, ratios): their low bits are noise, so byte steps lose little against bits, and decode fast.
/// </summary>
internal static class XorBlock
{
    public static void Encode(ReadOnlySpan<double> values, ByteWriter into)
    {
        ulong before = 0;
        foreach (double value in values)
        {
            ulong bits = BitConverter.DoubleToUInt64Bits(value);
            ulong xor = bits ^ before;
            before = bits;
            int leading = xor == 0 ? 8 : BitOperations.LeadingZeroCount(xor) / 8;
            int trailing = xor == 0 ? 0 : BitOperations.TrailingZeroCount(xor) / 8;
            int kept = 8 - leading - trailing;
            into.Byte((byte)((leading << 4) | kept));
            ulong rest = xor >> (trailing * 8 % 64);
            for (int i = 0; i < kept; i++, rest >>= 8)
                into.Byte((byte)rest);
        }
    }

    public static void Decode(ref ByteReader from, Span<double> values)
    {
        ulong before = 0;
        for (int i = 0; i < values.Length; i++)
        {
            byte head = from.Byte();
            int leading = head >> 4, kept = head & 15;
            if (leading + kept > 8)
                throw new InvalidDataException("an XOR value has more than eight bytes");
            ulong xor = 0;
            ReadOnlySpan<byte> bytes = from.Bytes(kept);
            for (int b = 0; b < kept; b++)
                xor |= (ulong)bytes[b] << (b * 8);
            if (kept > 0)
                xor <<= (8 - leading - kept) * 8;
            before ^= xor;
            values[i] = BitConverter.UInt64BitsToDouble(before);
        }
    }
}
