using System.Numerics;
using Bellwether.Store.Chunks;

namespace Bellwether.Store.Blocks;

/// <summary>
/// The summary of a chunk of decimal integers, told by its distance from what the value block says anyway (docs/formats/chunk.md): a counter's takes some eight bytes, the full form
/// (<see cref="ChunkSummary"/>) thirty. It says the same to the bit. Only for values that are all plain numbers.
/// </summary>
internal static class BriefSummary
{
    private const byte LeastIsFirst = 1, MostIsLast = 2, NeverFalls = 4, AlwaysChanges = 8, HasNoCompensation = 16, All = 31;

    /// <summary>Writes it, when the value block is of the kind that it needs.</summary>
    /// <param name="values">What the block holds.</param>
    /// <param name="block">The value block as it will stand behind.</param>
    /// <param name="into">Gets the summary; nothing when this returns false.</param>
    public static bool TryWrite(ReadOnlySpan<double> values, ReadOnlySpan<byte> block, ByteWriter into)
    {
        if (!ValueBlock.TryPeekDecimal(block, out long first, out double power))
            return false;
        ChunkSummary summary = ChunkSummary.Of(values);
        long last = ToInteger(summary.Last, power), below = first - ToInteger(summary.Min, power), above = ToInteger(summary.Max, power) - last;
        bool neverFalls = summary.Resets == 0, isChanging = summary.Changes == values.Length - 1, isExact = BitConverter.DoubleToInt64Bits(summary.SumCompensation) == 0;
        into.Byte((byte)((below == 0 ? LeastIsFirst : 0) | (above == 0 ? MostIsLast : 0) | (neverFalls ? NeverFalls : 0) | (isChanging ? AlwaysChanges : 0) | (isExact ? HasNoCompensation : 0)));
        into.Zigzag(last - first);
        if (below != 0)
            into.Varint((ulong)below);
        if (above != 0)
            into.Varint((ulong)above);
        if (!neverFalls)
        {
            into.Varint((ulong)summary.Resets);
            ChunkSummary.WriteNumber(summary.ResetCorrection, into);
        }
        if (!isChanging)
            into.Varint((ulong)summary.Changes);
        long sum = 0;
        foreach (double v in values)
            sum = unchecked(sum + ToInteger(v, power));
        into.Zigzag(unchecked(sum - Expected(first, last, values.Length)));
        into.Zigzag(unchecked(BitConverter.DoubleToInt64Bits(summary.Sum) - BitConverter.DoubleToInt64Bits(sum / power)));
        if (!isExact)
            WriteDyadic(summary.SumCompensation, into);
        return true;
    }

    /// <summary>Reads it, and what it needs of the value block behind it, which stays unread. Throws <see cref="InvalidDataException"/>.</summary>
    public static ChunkSummary Read(ref ByteReader from, int count)
    {
        Parts parts = ReadParts(ref from, count);
        if (!ValueBlock.TryPeekDecimal(from.Rest, out long first, out double power))
            throw new InvalidDataException("a brief summary stands before a block of another kind");
        long last = unchecked(first + parts.Last), least = unchecked(first - (long)parts.Below), most = unchecked(last + (long)parts.Above);
        long integers = unchecked(parts.Sum + Expected(first, last, count));
        double sum = BitConverter.Int64BitsToDouble(unchecked(BitConverter.DoubleToInt64Bits(integers / power) + parts.SumBits));
        return new ChunkSummary(first / power, last / power, least / power, most / power, sum, parts.Compensation, parts.Correction, count, parts.Resets, parts.Changes, 0, 0);
    }

    /// <summary>Passes over one.</summary>
    public static void Skip(ref ByteReader from, int count) => ReadParts(ref from, count);

    private static Parts ReadParts(ref ByteReader from, int count)
    {
        byte form = from.Byte();
        if (form > All)
            throw new InvalidDataException($"a summary has the unknown form {form}");
        long last = from.Zigzag();
        ulong below = (form & LeastIsFirst) != 0 ? 0 : from.Varint(), above = (form & MostIsLast) != 0 ? 0 : from.Varint();
        bool neverFalls = (form & NeverFalls) != 0;
        int resets = neverFalls ? 0 : from.Count(count);
        double correction = neverFalls ? 0 : ChunkSummary.ReadNumber(ref from);
        int changes = (form & AlwaysChanges) != 0 ? count - 1 : from.Count(count);
        long sum = from.Zigzag(), sumBits = from.Zigzag();
        double compensation = (form & HasNoCompensation) != 0 ? 0 : ReadDyadic(ref from);
        return new Parts(last, below, above, resets, changes, correction, sum, sumBits, compensation);
    }

    // What a straight line would sum to. It may overflow: only that both sides have the same counts.
    private static long Expected(long first, long last, int count) => unchecked((first + last) / 2 * count);

    private static long ToInteger(double value, double power) => (long)Math.Round(value * power);

    // A compensation is a few units of a small power of two.
    private static void WriteDyadic(double value, ByteWriter into)
    {
        long bits = BitConverter.DoubleToInt64Bits(value);
        int exponent = (int)((bits >> 52) & 0x7FF);
        long mantissa = (bits & ((1L << 52) - 1)) | (exponent == 0 ? 0 : 1L << 52);
        exponent = Math.Max(exponent, 1) - 1075;
        int zeros = BitOperations.TrailingZeroCount(mantissa);
        into.Zigzag(bits < 0 ? -(mantissa >> zeros) : mantissa >> zeros);
        into.Zigzag(exponent + zeros);
    }

    private static double ReadDyadic(ref ByteReader from)
    {
        long mantissa = from.Zigzag();
        long exponent = from.Zigzag();
        if (exponent is < -1100 or > 1100)
            throw new InvalidDataException("the compensation of a summary is not possible");
        return Math.ScaleB(mantissa, (int)exponent);
    }

    private readonly record struct Parts(long Last, ulong Below, ulong Above, int Resets, int Changes, double Correction, long Sum, long SumBits, double Compensation);
}
