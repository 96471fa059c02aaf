using System.Runtime.InteropServices;
using Bellwether.Store.Chunks;
using Bellwether.Store.Wal;

namespace Bellwether.Store.Head;

/// <summary>
/// The values of an open block in a piece of memory: as whole numbers of tenths, hundredths and so on of two or four bytes each, by their distance from a base, where all are that, bit by bit;
/// else as they are. The form says which: 0 none; low two bits the width, high four the exponent.
/// </summary>
internal static class OpenValues
{
    private const int Short = 1;
    private const int Int = 2;
    private const byte Double = 3;
    private const int WidthMask = 3;
    private const int BaseBytes = 8;

    /// <summary>Whether a value takes two bytes only.</summary>
    public static bool IsSmall(byte form) => (form & WidthMask) == Short;

    /// <summary>Bytes of a piece for so many values.</summary>
    public static int Bytes(byte form, int count) => (form & WidthMask) switch { Short => BaseBytes + (count * 2), Int => BaseBytes + (count * 4), _ => count * 8 };

    /// <summary>Puts a value behind those that are there. False: the value does not have this form, or the piece is full.</summary>
    public static bool TryPut(Span<byte> piece, byte form, int at, double value)
    {
        if (form == Double)
        {
            Span<double> values = MemoryMarshal.Cast<byte, double>(piece);
            if ((uint)at >= (uint)values.Length)
                return false;
            values[at] = value;
            return true;
        }
        if (!TryInteger(value, form >> 4, out long integer))
            return false;
        long distance = unchecked(integer - MemoryMarshal.Read<long>(piece));
        if ((form & WidthMask) == Short)
        {
            Span<short> distances = MemoryMarshal.Cast<byte, short>(piece[BaseBytes..]);
            if ((short)distance != distance || (uint)at >= (uint)distances.Length)
                return false;
            distances[at] = (short)distance;
            return true;
        }
        Span<int> wide = MemoryMarshal.Cast<byte, int>(piece[BaseBytes..]);
        if ((int)distance != distance || (uint)at >= (uint)wide.Length)
            return false;
        wide[at] = (int)distance;
        return true;
    }

    /// <summary>Reads the first values.</summary>
    public static void Read(ReadOnlySpan<byte> piece, byte form, Span<double> values)
    {
        if (form == Double)
        {
            MemoryMarshal.Cast<byte, double>(piece[..(values.Length * 8)]).CopyTo(values);
            return;
        }
        long from = MemoryMarshal.Read<long>(piece);
        Span<long> integers = MemoryMarshal.Cast<double, long>(values);
        if ((form & WidthMask) == Short)
        {
            ReadOnlySpan<short> distances = MemoryMarshal.Cast<byte, short>(piece.Slice(BaseBytes, values.Length * 2));
            for (int i = 0; i < integers.Length; i++)
                integers[i] = from + distances[i];
        }
        else
        {
            ReadOnlySpan<int> distances = MemoryMarshal.Cast<byte, int>(piece.Slice(BaseBytes, values.Length * 4));
            for (int i = 0; i < integers.Length; i++)
                integers[i] = from + distances[i];
        }
        ValueBlock.FromDecimal(integers, form >> 4, values);
    }

    /// <summary>The smallest form that all of the values have.</summary>
    /// <param name="values">At least one.</param>
    /// <param name="before">The form of the block before: its exponent is the first to be tried.</param>
    /// <param name="from">The base.</param>
    public static byte Choose(ReadOnlySpan<double> values, byte before, out long from)
    {
        from = 0;
        int exponent = (before & WidthMask) is Short or Int ? before >> 4 : 0;
        foreach (double value in values)
        {
            if (TryInteger(value, exponent, out _))
                continue;
            int own = DecimalDelta.Find(value, out _);
            if (own == DecimalDelta.None)
                return Double;
            exponent = Math.Max(exponent, own);
        }
        long first = 0, min = long.MaxValue, max = long.MinValue;
        for (int i = 0; i < values.Length; i++)
        {
            if (!TryInteger(values[i], exponent, out long integer))
                return Double;
            first = i == 0 ? integer : first;
            min = Math.Min(min, integer);
            max = Math.Max(max, integer);
        }
        int width = max - min <= ushort.MaxValue ? Short : max - min <= uint.MaxValue ? Int : Double;
        if (width == Double)
            return Double;
        // From the first as long as that reaches, so that what rises has room to rise.
        long reach = width == Short ? short.MaxValue : int.MaxValue;
        from = max - first <= reach && first - min <= reach ? first : min + reach + 1;
        return (byte)(width | (exponent << 4));
    }

    /// <summary>Writes values in a form that they have.</summary>
    public static void Write(Span<byte> piece, byte form, long from, ReadOnlySpan<double> values)
    {
        if (form != Double)
            MemoryMarshal.Write(piece, in from);
        for (int i = 0; i < values.Length; i++)
        {
            if (!TryPut(piece, form, i, values[i]))
                throw new InvalidOperationException("a value does not have the form that was chosen for it");
        }
    }

    // Whole numbers need no division to be sure.
    private static bool TryInteger(double value, int exponent, out long integer)
    {
        if (exponent > 0)
            return DecimalDelta.TryInteger(value, exponent, out integer);
        bool isSmall = Math.Abs(value) < 1L << 52;
        integer = isSmall ? (long)value : 0;
        return isSmall && BitConverter.DoubleToInt64Bits(integer) == BitConverter.DoubleToInt64Bits(value);
    }
}
