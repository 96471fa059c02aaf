using System.Globalization;
using System.Text;

namespace Bellwether.Core.Configuration;

/// <summary>
/// Prometheus' durations: <c>1h30m</c>, <c>500ms</c>, <c>0</c>; units y (365 days), w, d, h, m, s, ms in that order, each at most once. Resolution: one millisecond.
/// Source: Prometheus' configuration page.
/// </summary>
public static class PrometheusDuration
{
    /// <summary>The longest that can be written: as in Prometheus, what fits 64 bits of nanoseconds.</summary>
    public static TimeSpan Max { get; } = TimeSpan.FromTicks(long.MaxValue / 100);

    private static readonly (string Unit, long Milliseconds)[] Units =
    [
        ("y", 365L * 86_400_000), ("w", 7L * 86_400_000), ("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1),
    ];

    /// <summary>Reads a duration. No sign, no blanks; a number without a unit is refused, but for <c>0</c>.</summary>
    public static bool TryParse(ReadOnlySpan<char> text, out TimeSpan duration)
    {
        duration = default;
        if (text is "0")
            return true;
        if (text.IsEmpty)
            return false;
        Int128 total = 0;
        int nextUnit = 0;
        while (!text.IsEmpty)
        {
            int digits = text.IndexOfAnyExceptInRange('0', '9');
            if (digits <= 0 || digits > 18)
                return false;
            long number = long.Parse(text[..digits], NumberStyles.None, CultureInfo.InvariantCulture);
            text = text[digits..];
            int letters = text.IndexOfAnyInRange('0', '9');
            ReadOnlySpan<char> unit = letters < 0 ? text : text[..letters];
            while (nextUnit < Units.Length && !unit.SequenceEqual(Units[nextUnit].Unit))
                nextUnit++;
            if (nextUnit == Units.Length)
                return false;
            total += (Int128)number * Units[nextUnit++].Milliseconds;
            text = text[unit.Length..];
        }
        if (total > (Int128)Max.TotalMilliseconds)
            return false;
        duration = TimeSpan.FromMilliseconds((long)total);
        return true;
    }

    /// <summary>Writes a duration as Prometheus prints it: <c>1h30m</c>, <c>0s</c>; years and weeks only when nothing smaller remains.</summary>
    public static string Format(TimeSpan duration)
    {
        long ms = (long)duration.TotalMilliseconds;
        if (ms == 0)
            return "0s";
        var text = new StringBuilder();
        foreach ((string unit, long size) in Units)
        {
            if (unit is "y" or "w" && ms % size != 0)
                continue;
            if (ms / size is var count and > 0)
                text.Append(CultureInfo.InvariantCulture, $"{count}{unit}");
            ms %= size;
        }
        return text.ToString();
    }
}
