namespace Bellwether.Evaluate.PromQl.Evaluation;

/// <summary>Functions of one float, with up to two parameters.</summary>
internal static class ScalarFunctions
{
    public static double Apply(string name, double v, double p1, double p2) => name switch
    {
        "abs" => Math.Abs(v),
        "ceil" => Math.Ceiling(v),
        "floor" => Math.Floor(v),
        "exp" => Math.Exp(v),
        "sqrt" => Math.Sqrt(v),
        "ln" => Math.Log(v),
        "log2" => Math.Log2(v),
        "log10" => Math.Log10(v),
        "sgn" => v < 0 ? -1 : v > 0 ? 1 : v,
        "sin" => Math.Sin(v),
        "cos" => Math.Cos(v),
        "tan" => Math.Tan(v),
        "asin" => Math.Asin(v),
        "acos" => Math.Acos(v),
        "atan" => Math.Atan(v),
        "sinh" => Math.Sinh(v),
        "cosh" => Math.Cosh(v),
        "tanh" => Math.Tanh(v),
        "asinh" => Math.Asinh(v),
        "acosh" => Math.Acosh(v),
        "atanh" => Math.Atanh(v),
        "rad" => v * Math.PI / 180,
        "deg" => v * 180 / Math.PI,
        "clamp" => Max(p1, Min(p2, v)),
        "clamp_min" => Max(p1, v),
        "clamp_max" => Min(p1, v),
        "round" => Round(v, p1),
        _ => DatePart(name, v),
    };

    /// <summary>The greater of two; +Inf is greater even than NaN, as in Go.</summary>
    public static double Max(double a, double b) => double.IsPositiveInfinity(a) || double.IsPositiveInfinity(b) ? double.PositiveInfinity : Math.Max(a, b);

    /// <summary>The lesser of two; -Inf is less even than NaN, as in Go.</summary>
    public static double Min(double a, double b) => double.IsNegativeInfinity(a) || double.IsNegativeInfinity(b) ? double.NegativeInfinity : Math.Min(a, b);

    /// <summary>To the nearest multiple, halves up. The inverse is used, because 0.1 has no exact double.</summary>
    private static double Round(double v, double to)
    {
        double inverse = 1 / to;
        return Math.Floor((v * inverse) + 0.5) / inverse;
    }

    /// <summary>A part of the UTC date of Unix seconds. What is no time, or beyond 64 bits, is the first second that there is, as on Prometheus' usual machines.</summary>
    public static double DatePart(string name, double seconds)
    {
        const long FirstYear = -292_277_022_399, DaysOf400Years = 146_097;
        const ulong SecondsToUnix = 9_223_372_028_715_321_600;
        long unix = seconds is > -9.223372036854775e18 and < 9.223372036854775e18 ? (long)seconds : long.MinValue;
        // From the start of that year on, which begins 400 years that repeat themselves.
        ulong absolute = unchecked((ulong)unix + SecondsToUnix), days = absolute / 86_400, rest = absolute % 86_400;
        DateTime date = DateTime.MinValue.AddDays(days % DaysOf400Years);
        return name switch
        {
            "minute" => rest % 3600 / 60,
            "hour" => rest / 3600,
            "day_of_week" => (int)date.DayOfWeek,
            "day_of_month" => date.Day,
            "day_of_year" => date.DayOfYear,
            "days_in_month" => DateTime.DaysInMonth(date.Year, date.Month),
            "month" => date.Month,
            _ => FirstYear + (long)(days / DaysOf400Years * 400) + date.Year - 1,
        };
    }
}

/// <summary>Texts with numbers in them in the order of their numbers: <c>a2</c> before <c>a10</c>.</summary>
internal static class NaturalOrder
{
    public static int Compare(string a, string b)
    {
        int i = 0, j = 0;
        while (i < a.Length && j < b.Length)
        {
            if (char.IsAsciiDigit(a[i]) && char.IsAsciiDigit(b[j]))
            {
                ReadOnlySpan<char> x = Digits(a, ref i), y = Digits(b, ref j);
                int order = x.Length != y.Length ? x.Length - y.Length : x.SequenceCompareTo(y);
                if (order != 0)
                    return order;
            }
            else
            {
                if (a[i] != b[j])
                    return a[i] - b[j];
                i++;
                j++;
            }
        }
        return (a.Length - i) - (b.Length - j);
    }

    private static ReadOnlySpan<char> Digits(string text, ref int at)
    {
        int start = at;
        while (at < text.Length && char.IsAsciiDigit(text[at]))
            at++;
        return text.AsSpan(start, at - start).TrimStart('0');
    }
}
