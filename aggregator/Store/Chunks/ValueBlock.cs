using System.Numerics;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using Bellwether.Core.Model;

namespace Bellwether.Store.Chunks;

/// <summary>
/// A run of doubles: constant, or decimal integers (value = integer / 10^e, bit-exact) in an <see cref="IntegerBlock"/>, else XOR with the value before or, where that is less, their
/// bits as integers.
/// Values that no decimal integer can be (stale markers, NaN, infinities, minus zero) are kept beside as exceptions. The format is in docs/formats/chunk.md.
/// </summary>
internal static class ValueBlock
{
    private const byte KindConstantBits = 0;
    private const byte KindConstantInteger = 1;
    private const byte KindDecimal = 2;
    private const byte KindXor = 3;
    private const byte KindBits = 4;
    private const byte HasExceptions = 0x80;
    private const int MaxExponent = 13;
    private const double MaxInteger = 1L << 52;

    /// <summary>A whole number below <see cref="MaxShifted"/> added to it stands in the sum's low bits.</summary>
    private const double ShiftToInteger = 3L << 51;
    private const double MaxShifted = 1L << 51;

    private static readonly double[] s_powers = [1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13];

    [ThreadStatic]
    private static long[]? t_integers;

    /// <summary>Writes the block; the count is the caller's to keep. Bit-exact.</summary>
    public static void Encode(ReadOnlySpan<double> values, ByteWriter into)
    {
        if (IsConstant(values))
        {
            EncodeConstant(values[0], into);
            return;
        }
        Span<long> integers = Integers(values.Length);
        int exponent = FindIntegers(values, integers, out int exceptions);
        if (exponent < 0 || exceptions > values.Length / 4 + 1)
        {
            EncodeBits(values, integers, into);
            return;
        }
        into.Byte((byte)(KindDecimal | (exceptions > 0 ? HasExceptions : 0)));
        into.Byte((byte)exponent);
        IntegerBlock.Encode(integers, into);
        if (exceptions > 0)
            WriteExceptions(values, exceptions, into);
    }

    /// <summary>Reads as many values as the span holds.</summary>
    public static void Decode(ref ByteReader from, Span<double> values)
    {
        byte kind = from.Byte();
        switch (kind & 0x7F)
        {
            case KindConstantBits:
                values.Fill(from.Double());
                break;
            case KindConstantInteger:
                values.Fill(from.Zigzag());
                break;
            case KindDecimal:
                DecodeDecimal(ref from, values);
                break;
            case KindXor:
                XorBlock.Decode(ref from, values);
                break;
            case KindBits:
                IntegerBlock.Decode(ref from, MemoryMarshal.Cast<double, long>(values));
                break;
            default:
                throw new InvalidDataException($"a value block has the unknown kind {kind & 0x7F}");
        }
        if ((kind & HasExceptions) != 0)
            ReadExceptions(ref from, values);
    }

    /// <summary>Reads only the values at some places, which ascend, of a block of <paramref name="all"/>.Length values. What cannot be read so is read whole, into <paramref name="all"/>.</summary>
    public static void DecodeAt(ref ByteReader from, ReadOnlySpan<int> places, Span<double> values, Span<double> all)
    {
        if (from.Rest is [KindBits, ..])
        {
            from.Byte();
            IntegerBlock.DecodeAt(ref from, all.Length, places, MemoryMarshal.Cast<double, long>(values));
            return;
        }
        if (from.Rest is not [KindDecimal, ..])
        {
            Decode(ref from, all);
            for (int i = 0; i < places.Length; i++)
                values[i] = all[places[i]];
            return;
        }
        from.Byte();
        int exponent = from.Byte();
        if (exponent > MaxExponent)
            throw new InvalidDataException($"a value block has the exponent {exponent}");
        Span<long> integers = Integers(places.Length);
        IntegerBlock.DecodeAt(ref from, all.Length, places, integers);
        ToFloats(integers, s_powers[exponent], exponent > 0, values);
    }

    /// <summary>The values of integers (value = integer / 10^exponent). The two may be the same memory.</summary>
    public static void FromDecimal(ReadOnlySpan<long> integers, int exponent, Span<double> values) => ToFloats(integers, s_powers[exponent], exponent > 0, values);

    /// <summary>Of a block of decimal integers without exceptions: the first of them, and the power of ten that all are divided by. False: it is of another kind.</summary>
    public static bool TryPeekDecimal(ReadOnlySpan<byte> block, out long first, out double power)
    {
        (first, power) = (0, 1);
        if (block is not [KindDecimal, <= MaxExponent, ..])
            return false;
        power = s_powers[block[1]];
        var reader = new ByteReader(block[2..]);
        first = reader.Zigzag();
        return true;
    }

    /// <summary>Whether all values have the same bits.</summary>
    public static bool IsConstant(ReadOnlySpan<double> values)
    {
        ulong first = BitConverter.DoubleToUInt64Bits(values[0]);
        foreach (double v in values)
        {
            if (BitConverter.DoubleToUInt64Bits(v) != first)
                return false;
        }
        return true;
    }

    private static Span<long> Integers(int count)
    {
        if (t_integers is null || t_integers.Length < count)
            t_integers = new long[Math.Max(256, (int)BitOperations.RoundUpToPowerOf2((uint)count))];
        return t_integers.AsSpan(0, count);
    }

    private static void EncodeConstant(double value, ByteWriter into)
    {
        if (IsOrdinary(value) && value == Math.Floor(value) && Math.Abs(value) < MaxInteger)
        {
            into.Byte(KindConstantInteger);
            into.Zigzag((long)value);
            return;
        }
        into.Byte(KindConstantBits);
        into.Double(value);
    }

    // Values of one sign and like size are near each other as bits, too; else what they share with the one before is left out.
    private static void EncodeBits(ReadOnlySpan<double> values, Span<long> bits, ByteWriter into)
    {
        int start = into.Length;
        MemoryMarshal.Cast<double, long>(values).CopyTo(bits);
        into.Byte(KindBits);
        IntegerBlock.Encode(bits, into);
        int length = into.Length;
        into.Byte(KindXor);
        XorBlock.Encode(values, into);
        if (into.Length - length < length - start)
            into.Replace(start, length);
        else
            into.Truncate(length);
    }

    // NaN, infinities and minus zero have no decimal integer.
    private static bool IsOrdinary(double value) =>
        double.IsFinite(value) && (value != 0 || BitConverter.DoubleToUInt64Bits(value) == 0);

    // The least exponent that fits all ordinary values, with their integers; or -1.
    private static int FindIntegers(ReadOnlySpan<double> values, Span<long> integers, out int exceptions)
    {
        exceptions = 0;
        int exponent = 0;
        bool isMixed = false;
        for (int i = 0; (i = Convert(values, s_powers[exponent], integers, i)) < values.Length;)
        {
            if (!IsOrdinary(values[i]))
            {
                exceptions++;
                i++;
                continue;
            }
            isMixed |= i > exceptions;
            do
            {
                if (++exponent > MaxExponent)
                    return -1;
            }
            while (!Fits(values[i], exponent));
        }
        // Those before were made with a smaller exponent, or there are gaps to fill.
        return (!isMixed && exceptions == 0) || ToIntegers(values, exponent, integers) ? exponent : -1;
    }

    // Where the first value from a place on stands that is no integer with this power.
    private static int Convert(ReadOnlySpan<double> values, double power, Span<long> integers, int from)
    {
        int i = from;
        Vector256<double> shift = Vector256.Create(ShiftToInteger);
        for (; i + Vector256<double>.Count <= values.Length; i += Vector256<double>.Count)
        {
            Vector256<double> four = Vector256.Create(values[i..]);
            // The sum with zero makes plus zero of minus zero, which is then seen to be another value.
            Vector256<double> scaled = Vector256.Round(four * power) + Vector256<double>.Zero;
            bool isSmall = Vector256.LessThanAll(Vector256.Abs(scaled), Vector256.Create(MaxShifted));
            if (!isSmall || (scaled / power).AsInt64() != four.AsInt64())
                break;
            ((scaled + shift).AsInt64() - shift.AsInt64()).CopyTo(integers[i..]);
        }
        for (; i < values.Length; i++)
        {
            double scaled = Math.Round(values[i] * power);
            if (!(Math.Abs(scaled) < MaxInteger) || BitConverter.DoubleToUInt64Bits((double)(long)scaled / power) != BitConverter.DoubleToUInt64Bits(values[i]))
                break;
            integers[i] = (long)scaled;
        }
        return i;
    }

    private static bool Fits(double value, int exponent)
    {
        double scaled = Math.Round(value * s_powers[exponent]);
        return Math.Abs(scaled) < MaxInteger && (double)(long)scaled / s_powers[exponent] == value;
    }

    // False when a value that fitted a smaller exponent does not fit this one (its integer grows too large).
    private static bool ToIntegers(ReadOnlySpan<double> values, int exponent, Span<long> integers)
    {
        double power = s_powers[exponent];
        long last = 0;
        bool any = false;
        for (int i = 0; i < values.Length; i++)
        {
            double v = values[i];
            if (!IsOrdinary(v))
            {
                integers[i] = last;
                continue;
            }
            double scaled = Math.Round(v * power);
            if (!(Math.Abs(scaled) < MaxInteger) || BitConverter.DoubleToUInt64Bits((double)(long)scaled / power) != BitConverter.DoubleToUInt64Bits(v))
                return false;
            integers[i] = last = (long)scaled;
            if (!any)
            {
                integers[..i].Fill(last);
                any = true;
            }
        }
        return any;
    }

    private static void DecodeDecimal(ref ByteReader from, Span<double> values)
    {
        int exponent = from.Byte();
        if (exponent > MaxExponent)
            throw new InvalidDataException($"a value block has the exponent {exponent}");
        Span<long> integers = Integers(values.Length);
        IntegerBlock.Decode(ref from, integers);
        ToFloats(integers, s_powers[exponent], exponent > 0, values);
    }

    private static void ToFloats(ReadOnlySpan<long> integers, double power, bool divides, Span<double> values)
    {
        int i = 0;
        for (; i + Vector256<double>.Count <= values.Length; i += Vector256<double>.Count)
        {
            Vector256<double> four = Vector256.ConvertToDouble(Vector256.Create(integers[i..]));
            (divides ? four / power : four).CopyTo(values[i..]);
        }
        for (; i < values.Length; i++)
            values[i] = divides ? integers[i] / power : integers[i];
    }

    private static void WriteExceptions(ReadOnlySpan<double> values, int exceptions, ByteWriter into)
    {
        into.Varint((ulong)exceptions);
        int last = 0;
        for (int i = 0; i < values.Length; i++)
        {
            if (IsOrdinary(values[i]))
                continue;
            into.Varint((ulong)(i - last));
            last = i;
            if (SpecialValues.IsStale(values[i]))
            {
                into.Byte(0);
                continue;
            }
            into.Byte(1);
            into.Double(values[i]);
        }
    }

    private static void ReadExceptions(ref ByteReader from, Span<double> values)
    {
        int exceptions = from.Count(values.Length);
        int at = 0;
        for (int i = 0; i < exceptions; i++)
        {
            at += from.Count(values.Length);
            if (at >= values.Length)
                throw new InvalidDataException("an exception lies outside its block");
            values[at] = from.Byte() == 0 ? SpecialValues.StaleMarker : from.Double();
        }
    }
}
