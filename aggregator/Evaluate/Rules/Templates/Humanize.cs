using System.Globalization;

namespace Bellwether.Evaluate.Rules.Templates;

/// <summary>Numbers for people, as Prometheus' templates write them: four significant digits.</summary>
internal static class Humanize
{
    private static readonly string[] s_large = ["k", "M", "G", "T", "P", "E", "Z", "Y"];
    private static readonly string[] s_binary = ["ki", "Mi", "Gi", "Ti", "Pi", "Ei", "Zi", "Yi"];
    private static readonly string[] s_small = ["m", "u", "n", "p", "f", "a", "z", "y"];

    public static string Decimal(double value)
    {
        if (value == 0 || !double.IsFinite(value))
            return GoFormat.FourDigits(value);
        return Math.Abs(value) >= 1 ? Large(value, 1000, s_large) : Small(value);
    }

    public static string Binary(double value) =>
        Math.Abs(value) <= 1 || !double.IsFinite(value) ? GoFormat.FourDigits(value) : Large(value, 1024, s_binary);

    public static string Duration(double value)
    {
        if (!double.IsFinite(value))
            return GoFormat.FourDigits(value);
        if (value == 0)
            return "0s";
        if (Math.Abs(value) < 1)
            return Small(value) + "s";
        string sign = value < 0 ? "-" : "";
        value = Math.Abs(value);
        long whole = value >= long.MaxValue ? long.MaxValue : (long)value;
        long seconds = whole % 60, minutes = whole / 60 % 60, hours = whole / 3600 % 24, days = whole / 86400;
        if (days != 0)
            return string.Create(CultureInfo.InvariantCulture, $"{sign}{days}d {hours}h {minutes}m {seconds}s");
        if (hours != 0)
            return string.Create(CultureInfo.InvariantCulture, $"{sign}{hours}h {minutes}m {seconds}s");
        if (minutes != 0)
            return string.Create(CultureInfo.InvariantCulture, $"{sign}{minutes}m {seconds}s");
        return sign + GoFormat.FourDigits(value) + "s";
    }

    public static string Timestamp(double value) => TryTime(value, out DateTimeOffset time) ? TemplateValues.PrintTime(time) : GoFormat.FourDigits(value);

    /// <summary>Seconds since 1970 as a time, to the millisecond.</summary>
    public static bool TryTime(double seconds, out DateTimeOffset time)
    {
        double ms = seconds * 1000;
        bool fits = ms is > -62135596800000.0 and < 253402300799999.0;
        time = fits ? DateTimeOffset.FromUnixTimeMilliseconds((long)ms) : default;
        return fits;
    }

    /// <summary>Go's form of a duration: 1h30m0s.</summary>
    public static string GoDuration(double seconds)
    {
        if (seconds == 0 || !double.IsFinite(seconds))
            return "0s";
        string sign = seconds < 0 ? "-" : "";
        seconds = Math.Abs(seconds);
        if (seconds < 1)
            return sign + (seconds < 1e-6 ? Plain(seconds * 1e9) + "ns" : seconds < 1e-3 ? Plain(seconds * 1e6) + "µs" : Plain(seconds * 1e3) + "ms");
        long hours = (long)(seconds / 3600), minutes = (long)(seconds / 60) % 60;
        string rest = Plain(seconds - (hours * 3600.0) - (minutes * 60.0)) + "s";
        return sign + (hours > 0 ? $"{hours}h{minutes}m{rest}" : minutes > 0 ? $"{minutes}m{rest}" : rest);
    }

    private static string Plain(double value) => value.ToString("0.#########", CultureInfo.InvariantCulture);

    private static string Large(double value, double step, string[] prefixes)
    {
        string prefix = "";
        foreach (string p in prefixes)
        {
            if (Math.Abs(value) < step)
                break;
            prefix = p;
            value /= step;
        }
        return GoFormat.FourDigits(value) + prefix;
    }

    private static string Small(double value)
    {
        string prefix = "";
        foreach (string p in s_small)
        {
            if (Math.Abs(value) >= 1)
                break;
            prefix = p;
            value *= 1000;
        }
        return GoFormat.FourDigits(value) + prefix;
    }
}
