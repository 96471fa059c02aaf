using System.Globalization;

namespace Bellwether.Core.Model;

/// <summary>
/// A number of bytes. Written as Prometheus writes it: a decimal number and a unit to the base 2
/// (<c>B</c>, <c>KB</c> = <c>KiB</c> = 1024, <c>MB</c>, <c>GB</c>, <c>TB</c>, <c>PB</c>, <c>EB</c>); only <c>0</c> stands without a unit.
/// </summary>
/// <param name="Bytes">How many; never negative.</param>
public readonly record struct ByteSize(long Bytes) : IComparable<ByteSize>
{
    private const string UnitLetters = "KMGTPE";

    /// <summary>Nothing.</summary>
    public static ByteSize Zero => default;

    /// <summary>This many mebibytes.</summary>
    public static ByteSize FromMebibytes(long count) => new(checked(count << 20));

    /// <summary>This many gibibytes.</summary>
    public static ByteSize FromGibibytes(long count) => new(checked(count << 30));

    /// <summary>Reads <c>64MB</c>, <c>1.5GiB</c>, <c>512B</c> or <c>0</c>.</summary>
    public static bool TryParse(ReadOnlySpan<char> text, out ByteSize size)
    {
        size = default;
        text = text.Trim();
        if (text is "0")
            return true;
        int unitAt = text.LastIndexOfAnyInRange('0', '9') + 1;
        if (unitAt == 0 || unitAt == text.Length)
            return false;
        if (!TryUnit(text[unitAt..], out int shift))
            return false;
        const NumberStyles Style = NumberStyles.AllowDecimalPoint;
        if (!decimal.TryParse(text[..unitAt], Style, CultureInfo.InvariantCulture, out decimal number))
            return false;
        if (number > (decimal)long.MaxValue / (1L << shift))
            return false;
        size = new ByteSize((long)(number * (1L << shift)));
        return true;
    }

    /// <inheritdoc/>
    public int CompareTo(ByteSize other) => Bytes.CompareTo(other.Bytes);

    /// <summary>Whether it is less.</summary>
    public static bool operator <(ByteSize left, ByteSize right) => left.Bytes < right.Bytes;

    /// <summary>Whether it is more.</summary>
    public static bool operator >(ByteSize left, ByteSize right) => left.Bytes > right.Bytes;

    /// <summary>Whether it is not more.</summary>
    public static bool operator <=(ByteSize left, ByteSize right) => left.Bytes <= right.Bytes;

    /// <summary>Whether it is not less.</summary>
    public static bool operator >=(ByteSize left, ByteSize right) => left.Bytes >= right.Bytes;

    /// <summary>The shortest exact form: <c>64MB</c>, <c>1500B</c>, <c>0</c>.</summary>
    public override string ToString()
    {
        if (Bytes == 0)
            return "0";
        int steps = Math.Min(UnitLetters.Length, (int)(long.TrailingZeroCount(Bytes) / 10));
        string number = (Bytes >> (10 * steps)).ToString(CultureInfo.InvariantCulture);
        return steps == 0 ? number + "B" : $"{number}{UnitLetters[steps - 1]}B";
    }

    private static bool TryUnit(ReadOnlySpan<char> unit, out int shift)
    {
        shift = 0;
        if (unit is "B")
            return true;
        int step = unit.IsEmpty ? -1 : UnitLetters.IndexOf(unit[0], StringComparison.Ordinal);
        shift = 10 * (step + 1);
        return step >= 0 && unit[1..] is "B" or "iB";
    }
}
