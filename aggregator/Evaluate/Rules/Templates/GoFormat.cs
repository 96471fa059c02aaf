using System.Globalization;
using System.Text;
using Bellwether.Core.Exposition;

namespace Bellwether.Evaluate.Rules.Templates;

/// <summary>Go's fmt.Sprintf for the values that templates have. Source: pkg.go.dev/fmt.</summary>
internal static class GoFormat
{
    private const int WidthMax = 1000;
    private const int PrecisionMax = 400;

    private readonly record struct Spec(bool Minus, bool Plus, bool Sharp, bool Space, bool Zero, int Width, int Precision, char Verb);

    public static string Sprintf(string format, IReadOnlyList<object?> arguments)
    {
        var text = new StringBuilder();
        int used = 0;
        for (int i = 0; i < format.Length; i++)
        {
            if (format[i] != '%')
            {
                text.Append(format[i]);
                continue;
            }
            if (!TryReadSpec(format, ref i, arguments, ref used, out Spec spec))
            {
                text.Append("%!(NOVERB)");
                break;
            }
            if (spec.Verb == '%')
                text.Append('%');
            else if (used >= arguments.Count)
                text.Append("%!").Append(spec.Verb).Append("(MISSING)");
            else
                text.Append(One(spec, arguments[used++]));
        }
        if (used < arguments.Count)
            text.Append("%!(EXTRA ").AppendJoin(", ", arguments.Skip(used).Select(a => $"{TemplateValues.TypeName(a)}={TemplateValues.Print(a)}")).Append(')');
        return text.ToString();
    }

    /// <summary><c>%.4g</c>.</summary>
    public static string FourDigits(double value) => Float(new Spec(false, false, false, false, false, -1, 4, 'g'), value);

    /// <summary>A double in exponent form with the fewest digits: <c>1e+00</c>, as alerts' values in the API.</summary>
    public static string Exponent(double value) => Float(new Spec(false, false, false, false, false, -1, -1, 'E'), value).Replace('E', 'e');

    private static bool TryReadSpec(string format, ref int i, IReadOnlyList<object?> arguments, ref int used, out Spec spec)
    {
        bool minus = false, plus = false, sharp = false, space = false, zero = false;
        for (i++; i < format.Length; i++)
        {
            if (format[i] == '-')
                minus = true;
            else if (format[i] == '+')
                plus = true;
            else if (format[i] == '#')
                sharp = true;
            else if (format[i] == ' ')
                space = true;
            else if (format[i] == '0')
                zero = true;
            else
                break;
        }
        int width = Amount(format, ref i, arguments, ref used, WidthMax);
        int precision = -1;
        if (i < format.Length && format[i] == '.')
        {
            i++;
            precision = Math.Max(0, Amount(format, ref i, arguments, ref used, PrecisionMax));
        }
        if (width < -1)
        {
            minus = true;
            width = -width;
        }
        spec = new Spec(minus, plus, sharp, space, zero && !minus, width, precision, i < format.Length ? format[i] : '\0');
        return i < format.Length;
    }

    private static int Amount(string format, ref int i, IReadOnlyList<object?> arguments, ref int used, int max)
    {
        if (i < format.Length && format[i] == '*')
        {
            i++;
            return used < arguments.Count && arguments[used++] is long n ? (int)Math.Clamp(n, -max, max) : -1;
        }
        int start = i;
        int value = 0;
        for (; i < format.Length && char.IsAsciiDigit(format[i]); i++)
            value = Math.Min((value * 10) + (format[i] - '0'), max);
        return i == start ? -1 : value;
    }

    private static string One(Spec spec, object? value)
    {
        switch (spec.Verb)
        {
            case 'v' when value is double d:
                return Pad(spec, Float(spec with { Verb = 'g' }, d), numeric: true);
            case 'v' when value is string s && spec.Sharp:
                return Pad(spec, Quote(s), numeric: false);
            case 'v':
                return Pad(spec, value is long whole ? Integer(spec with { Verb = 'd' }, whole) : TemplateValues.Print(value), value is long);
            case 'T':
                return Pad(spec, TemplateValues.TypeName(value), numeric: false);
            case 'e' or 'E' or 'f' or 'F' or 'g' or 'G' when value is double d:
                return Pad(spec, Float(spec, d), numeric: true);
            case 'd' or 'b' or 'o' or 'x' or 'X' or 'c' or 'q' or 'U' when value is long n:
                return Pad(spec, Integer(spec, n), numeric: true);
            case 's' when value is string or TemplateMap or TemplateSample or DateTimeOffset or TemplateRoot:
                string text = TemplateValues.Print(value);
                return Pad(spec, spec.Precision >= 0 ? Cut(text, spec.Precision) : text, numeric: false);
            case 'q' when value is string s:
                return Pad(spec, Quote(s), numeric: false);
            case 'x' or 'X' when value is string s:
                string hex = Convert.ToHexString(Encoding.UTF8.GetBytes(s));
                return Pad(spec, spec.Verb == 'x' ? hex.ToLowerInvariant() : hex, numeric: false);
            case 't' when value is bool:
                return Pad(spec, TemplateValues.Print(value), numeric: false);
            default:
                return value is null ? $"%!{spec.Verb}(<nil>)" : $"%!{spec.Verb}({TemplateValues.TypeName(value)}={TemplateValues.Print(value)})";
        }
    }

    private static string Integer(Spec spec, long value)
    {
        // Of the smallest number, too, whose magnitude a long does not hold.
        ulong magnitude = value < 0 ? unchecked(0UL - (ulong)value) : (ulong)value;
        string digits = spec.Verb switch
        {
            'b' => Convert.ToString(unchecked((long)magnitude), 2),
            'o' => Convert.ToString(unchecked((long)magnitude), 8),
            'x' => (spec.Sharp ? "0x" : "") + magnitude.ToString("x", CultureInfo.InvariantCulture),
            'X' => (spec.Sharp ? "0X" : "") + magnitude.ToString("X", CultureInfo.InvariantCulture),
            'c' => Rune.IsValid((int)value) ? new Rune((int)value).ToString() : "\uFFFD",
            'q' => $"'{(Rune.IsValid((int)value) ? new Rune((int)value).ToString() : "\uFFFD")}'",
            'U' => $"U+{value:X4}",
            _ => magnitude.ToString(CultureInfo.InvariantCulture),
        };
        if (spec.Verb is 'c' or 'q' or 'U')
            return digits;
        if (spec.Precision > digits.Length)
            digits = digits.PadLeft(spec.Precision, '0');
        return Sign(spec, value < 0) + digits;
    }

    private static string Float(Spec spec, double value)
    {
        if (double.IsNaN(value))
            return "NaN";
        if (double.IsInfinity(value))
            return value < 0 ? "-Inf" : "+Inf";
        bool negative = double.IsNegative(value);
        double magnitude = Math.Abs(value);
        string text = spec.Verb switch
        {
            'f' or 'F' => magnitude.ToString($"F{(spec.Precision < 0 ? 6 : spec.Precision)}", CultureInfo.InvariantCulture),
            'e' => Scientific(magnitude, spec.Precision < 0 ? 6 : spec.Precision),
            'E' when spec.Precision < 0 => ShortestScientific(magnitude),
            'E' => Scientific(magnitude, spec.Precision).ToUpperInvariant(),
            _ => spec.Precision < 0 ? FloatText.ToText(magnitude) : General(magnitude, Math.Max(1, spec.Precision)),
        };
        return Sign(spec, negative) + text;
    }

    private static string ShortestScientific(double magnitude)
    {
        string text = magnitude.ToString("R", CultureInfo.InvariantCulture);
        int e = text.IndexOf('E', StringComparison.Ordinal);
        int exponent = e < 0 ? 0 : int.Parse(text.AsSpan(e + 1), CultureInfo.InvariantCulture);
        string mantissa = e < 0 ? text : text[..e];
        int point = mantissa.IndexOf('.', StringComparison.Ordinal);
        exponent += (point < 0 ? mantissa.Length : point) - 1;
        string digits = mantissa.Replace(".", "", StringComparison.Ordinal);
        int lead = 0;
        while (lead < digits.Length - 1 && digits[lead] == '0')
            lead++;
        digits = digits[lead..].TrimEnd('0');
        exponent = digits.Length == 0 ? 0 : exponent - lead;
        if (digits.Length == 0)
            digits = "0";
        return digits[..1] + (digits.Length > 1 ? "." + digits[1..] : "") + ExponentText(exponent, 'E');
    }

    private static string Scientific(double magnitude, int precision)
    {
        string text = magnitude.ToString($"E{precision}", CultureInfo.InvariantCulture);
        int e = text.IndexOf('E', StringComparison.Ordinal);
        return text[..e] + ExponentText(int.Parse(text.AsSpan(e + 1), CultureInfo.InvariantCulture), 'e');
    }

    /// <summary>%g with a precision: significant digits, trailing zeros dropped, exponent form outside 1e-4 .. 1e(precision).</summary>
    private static string General(double magnitude, int precision)
    {
        if (magnitude == 0)
            return "0";
        string text = magnitude.ToString($"E{precision - 1}", CultureInfo.InvariantCulture);
        int e = text.IndexOf('E', StringComparison.Ordinal);
        int exponent = int.Parse(text.AsSpan(e + 1), CultureInfo.InvariantCulture);
        string digits = text[..e].Replace(".", "", StringComparison.Ordinal).TrimEnd('0');
        // Go compares with the precision unless the number has fewer digits and is whole.
        int limit = precision > digits.Length && digits.Length >= exponent + 1 ? digits.Length : precision;
        if (exponent < -4 || exponent >= limit)
            return digits[..1] + (digits.Length > 1 ? "." + digits[1..] : "") + ExponentText(exponent, 'e');
        if (exponent < 0)
            return "0." + new string('0', -exponent - 1) + digits;
        if (digits.Length <= exponent + 1)
            return digits.PadRight(exponent + 1, '0');
        return digits[..(exponent + 1)] + "." + digits[(exponent + 1)..];
    }

    private static string ExponentText(int exponent, char letter) => $"{letter}{(exponent < 0 ? '-' : '+')}{Math.Abs(exponent):00}";

    private static string Sign(Spec spec, bool negative) => negative ? "-" : spec.Plus ? "+" : spec.Space ? " " : "";

    private static string Pad(Spec spec, string text, bool numeric)
    {
        int length = text.EnumerateRunes().Count();
        if (spec.Width <= length)
            return text;
        if (spec.Minus)
            return text + new string(' ', spec.Width - length);
        if (!spec.Zero || (numeric && text.EndsWith('f')) || text is "NaN" or "+Inf" or "-Inf")
            return new string(' ', spec.Width - length) + text;
        int sign = numeric && text[0] is '-' or '+' or ' ' ? 1 : 0;
        return text[..sign] + new string('0', spec.Width - length) + text[sign..];
    }

    private static string Cut(string text, int runes)
    {
        var kept = new StringBuilder();
        foreach (Rune rune in text.EnumerateRunes().Take(runes))
            kept.Append(rune);
        return kept.ToString();
    }

    /// <summary>Go's strconv.Quote for printable text.</summary>
    public static string Quote(string text)
    {
        var quoted = new StringBuilder("\"");
        foreach (char c in text)
        {
            switch (c)
            {
                case '"': quoted.Append("\\\""); break;
                case '\\': quoted.Append(@"\\"); break;
                case '\n': quoted.Append("\\n"); break;
                case '\r': quoted.Append("\\r"); break;
                case '\t': quoted.Append("\\t"); break;
                default:
                    if (char.IsControl(c))
                        quoted.Append(CultureInfo.InvariantCulture, $"\\x{(int)c:x2}");
                    else
                        quoted.Append(c);
                    break;
            }
        }
        return quoted.Append('"').ToString();
    }
}
