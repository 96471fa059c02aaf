using System.Globalization;
using System.Text;

namespace Bellwether.Evaluate.PromQl.Syntax;

/// <summary>Prometheus durations: <c>1h30m</c>, units <c>y w d h m s ms</c> in this order, each at most once; plain <c>0</c>.</summary>
public static class DurationText
{
    private static readonly (string Unit, long Ms)[] _units =
        [("y", 365L * 86400 * 1000), ("w", 7L * 86400 * 1000), ("d", 86400L * 1000), ("h", 3600L * 1000), ("m", 60L * 1000), ("s", 1000), ("ms", 1)];

    /// <summary>Reads a duration, without sign, in ms. False when it is not one or is longer than about 292 years.</summary>
    public static bool TryParse(ReadOnlySpan<char> text, out long ms)
    {
        ms = 0;
        if (text.SequenceEqual("0"))
            return true;
        if (text.IsEmpty)
            return false;
        int lastUnit = -1;
        decimal total = 0;
        while (!text.IsEmpty)
        {
            int digits = 0;
            while (digits < text.Length && char.IsAsciiDigit(text[digits]))
                digits++;
            int letters = digits;
            while (letters < text.Length && char.IsAsciiLetter(text[letters]))
                letters++;
            int unit = IndexOfUnit(text[digits..letters]);
            if (digits == 0 || digits > 18 || unit <= lastUnit)
                return false;
            total += decimal.Parse(text[..digits], NumberStyles.None, CultureInfo.InvariantCulture) * _units[unit].Ms;
            lastUnit = unit;
            text = text[letters..];
        }
        if (total > long.MaxValue / 1_000_000)
            return false;
        ms = (long)total;
        return true;
    }

    /// <summary>The canonical text of a duration in ms: <c>1h30m</c>, <c>0s</c>; years, weeks and days only where nothing smaller remains.</summary>
    public static string Format(long ms)
    {
        if (ms == 0)
            return "0s";
        var text = new StringBuilder();
        if (ms < 0)
        {
            text.Append('-');
            ms = -ms;
        }
        for (int i = 0; i < _units.Length; i++)
        {
            (string unit, long size) = _units[i];
            bool exactOnly = i < 2;
            if (exactOnly && ms % size != 0)
                continue;
            long count = ms / size;
            if (count > 0)
                text.Append(CultureInfo.InvariantCulture, $"{count}{unit}");
            ms -= count * size;
        }
        return text.ToString();
    }

    private static int IndexOfUnit(ReadOnlySpan<char> unit)
    {
        for (int i = 0; i < _units.Length; i++)
        {
            if (unit.SequenceEqual(_units[i].Unit))
                return i;
        }
        return -1;
    }
}
