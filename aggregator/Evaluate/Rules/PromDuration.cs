using System.Globalization;
using System.Text;

namespace Bellwether.Evaluate.Rules;

/// <summary>Durations as Prometheus writes them: <c>1d12h</c>, <c>30s</c>, <c>0</c>; units y w d h m s ms in this order.</summary>
public static class PromDuration
{
    private static readonly (string Unit, long Ms)[] s_units =
        [("y", 365L * 86_400_000), ("w", 7L * 86_400_000), ("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];

    /// <summary>Reads a duration; false when it is not one or does not fit.</summary>
    public static bool TryParse(string text, out TimeSpan value)
    {
        value = TimeSpan.Zero;
        if (text == "0")
            return true;
        long total = 0;
        int at = 0, unit = 0;
        while (at < text.Length)
        {
            int start = at;
            while (at < text.Length && char.IsAsciiDigit(text[at]))
                at++;
            if (at == start || !long.TryParse(text.AsSpan(start, at - start), NumberStyles.None, CultureInfo.InvariantCulture, out long number))
                return false;
            start = at;
            while (at < text.Length && char.IsAsciiLetter(text[at]))
                at++;
            string name = text[start..at];
            while (unit < s_units.Length && s_units[unit].Unit != name)
                unit++;
            if (unit == s_units.Length || number > (long.MaxValue / 1_000_000 - total) / s_units[unit].Ms)
                return false;
            total += number * s_units[unit++].Ms;
        }
        value = TimeSpan.FromMilliseconds(total);
        return text.Length > 0;
    }

    /// <summary>The shortest exact form: <c>1h30m</c>, <c>0s</c>.</summary>
    public static string Format(TimeSpan value)
    {
        long ms = (long)value.TotalMilliseconds;
        if (ms == 0)
            return "0s";
        var text = new StringBuilder();
        if (ms < 0)
        {
            text.Append('-');
            ms = -ms;
        }
        foreach ((string unit, long size) in s_units)
        {
            // Years and weeks only when nothing is left over, as Prometheus does.
            if (unit is "y" or "w" ? ms % size == 0 && ms >= size : ms >= size)
            {
                text.Append(CultureInfo.InvariantCulture, $"{ms / size}{unit}");
                ms %= size;
            }
        }
        return text.ToString();
    }
}
