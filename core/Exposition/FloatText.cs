using System.Buffers.Text;
using System.Globalization;

namespace Bellwether.Core.Exposition;

/// <summary>Reads and writes floats exactly as Go's strconv does, which fixes what Prometheus' formats mean by a number. Stateless, allocation-free on the byte side.</summary>
public static class FloatText
{
    private const ulong MantissaExactMax = 1UL << 53;
    private const int PowerExactMax = 22;
    private const int ExponentFormFrom = 6;

    private static readonly double[] Powers =
    [
        1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22,
    ];

    /// <summary>
    /// Reads a float: decimal digits with sign, point and exponent, or inf, infinity, nan in any case. No hexadecimal, no underscores. A number too large for a
    /// double is refused (Go reports a range error), one too small is zero. The result is the nearest double.
    /// </summary>
    public static bool TryParse(ReadOnlySpan<byte> text, out double value)
    {
        // Fast path: at most 19 digits, mantissa <= 2^53 and |exponent| <= 22 need one exact multiplication or division.
        int i = 0;
        bool negative = false;
        if (text.Length > 0 && (text[0] == '-' || text[0] == '+'))
        {
            negative = text[0] == '-';
            i = 1;
        }
        ulong mantissa = 0;
        int digits = 0, scale = 0, start = i;
        for (; i < text.Length; i++)
        {
            uint d = (uint)(text[i] - '0');
            if (d > 9)
                break;
            mantissa = (mantissa * 10) + d;
            digits++;
        }
        if (i < text.Length && text[i] == '.')
        {
            i++;
            int point = i;
            for (; i < text.Length; i++)
            {
                uint d = (uint)(text[i] - '0');
                if (d > 9)
                    break;
                mantissa = (mantissa * 10) + d;
                digits++;
            }
            scale = point - i;
        }
        if (digits is 0 or > 19)
            return TryParseSlow(text, start, out value);
        if (i < text.Length)
        {
            if (!TryExponent(text[i..], out int exponent))
            {
                value = 0;
                return false;
            }
            scale += exponent;
        }
        if (mantissa > MantissaExactMax || scale is < -PowerExactMax or > PowerExactMax)
            return TryParseSlow(text, start, out value);
        double magnitude = scale < 0 ? mantissa / Powers[-scale] : mantissa * Powers[scale];
        value = negative ? -magnitude : magnitude;
        return true;
    }

    /// <summary>Writes a float as Go's 'g' with the fewest digits does: exponent form below 1e-4 and from 1e6 on; NaN, +Inf, -Inf.</summary>
    /// <param name="value">The value.</param>
    /// <param name="into">At least 32 bytes.</param>
    /// <returns>The bytes written.</returns>
    public static int Format(double value, Span<byte> into)
    {
        if (double.IsNaN(value))
            return Copy("NaN"u8, into);
        if (double.IsInfinity(value))
            return Copy(value > 0 ? "+Inf"u8 : "-Inf"u8, into);
        int n = 0;
        if (double.IsNegative(value))
        {
            into[n++] = (byte)'-';
            value = -value;
        }
        if (value == 0)
        {
            into[n++] = (byte)'0';
            return n;
        }
        Span<byte> digits = stackalloc byte[32];
        int count = ShortestDigits(value, digits, out int exponent);
        return n + (exponent < -4 || exponent >= ExponentFormFrom
            ? Scientific(digits[..count], exponent, into[n..])
            : Plain(digits[..count], exponent, into[n..]));
    }

    /// <summary>The float as a string; see <see cref="Format"/>.</summary>
    public static string ToText(double value)
    {
        Span<byte> bytes = stackalloc byte[40];
        return System.Text.Encoding.ASCII.GetString(bytes[..Format(value, bytes)]);
    }

    /// <summary>The form that OpenMetrics and Prometheus 3 want for bucket bounds and quantiles: 1 is "1.0", 0.5 is "0.5", infinity "+Inf".</summary>
    public static string ToBoundText(double value)
    {
        string text = ToText(value);
        return double.IsFinite(value) && text.AsSpan().IndexOfAny('.', 'e') < 0 ? text + ".0" : text;
    }

    private static bool TryParseSlow(ReadOnlySpan<byte> text, int start, out double value)
    {
        value = 0;
        if (start == text.Length)
            return false;
        if (!char.IsAsciiDigit((char)text[start]) && text[start] != '.')
            return TryParseWord(text, start, out value);
        int i = start, digits = 0;
        while (i < text.Length && char.IsAsciiDigit((char)text[i]))
        {
            i++;
            digits++;
        }
        if (i < text.Length && text[i] == '.')
        {
            i++;
            while (i < text.Length && char.IsAsciiDigit((char)text[i]))
            {
                i++;
                digits++;
            }
        }
        if (digits == 0 || (i < text.Length && !TryExponent(text[i..], out _)))
            return false;
        const NumberStyles Style = NumberStyles.AllowLeadingSign | NumberStyles.AllowDecimalPoint | NumberStyles.AllowExponent;
        return double.TryParse(text, Style, CultureInfo.InvariantCulture, out value) && double.IsFinite(value);
    }

    private static bool TryParseWord(ReadOnlySpan<byte> text, int start, out double value)
    {
        ReadOnlySpan<byte> word = text[start..];
        if (System.Text.Ascii.EqualsIgnoreCase(word, "inf"u8) || System.Text.Ascii.EqualsIgnoreCase(word, "infinity"u8))
        {
            value = text[0] == '-' ? double.NegativeInfinity : double.PositiveInfinity;
            return true;
        }
        // Go takes no sign before nan.
        value = double.NaN;
        return start == 0 && System.Text.Ascii.EqualsIgnoreCase(word, "nan"u8);
    }

    private static bool TryExponent(ReadOnlySpan<byte> text, out int exponent)
    {
        exponent = 0;
        if ((text[0] | 0x20) != 'e')
            return false;
        int i = 1;
        bool negative = false;
        if (i < text.Length && (text[i] == '-' || text[i] == '+'))
        {
            negative = text[i] == '-';
            i++;
        }
        if (i == text.Length)
            return false;
        for (; i < text.Length; i++)
        {
            uint d = (uint)(text[i] - '0');
            if (d > 9)
                return false;
            exponent = Math.Min((exponent * 10) + (int)d, 100_000);
        }
        if (negative)
            exponent = -exponent;
        return true;
    }

    /// <summary>The shortest digits that read back as the value, without point; the first digit stands before the point, times ten to the exponent.</summary>
    private static int ShortestDigits(double value, Span<byte> digits, out int exponent)
    {
        Span<byte> text = stackalloc byte[40];
        // "R" gives the shortest digits that round-trip, as 123.45, 0.001 or 1.5E-07.
        if (!value.TryFormat(text, out int length, "R", CultureInfo.InvariantCulture))
            throw new InvalidOperationException("a double did not fit into 40 bytes");
        int count = 0, point = -1, i = 0;
        for (; i < length && text[i] != 'E'; i++)
        {
            if (text[i] == '.')
                point = count;
            else
                digits[count++] = text[i];
        }
        if (point < 0)
            point = count;
        int e = 0;
        if (i < length)
            _ = Utf8Parser.TryParse(text[(text[i + 1] == '+' ? i + 2 : i + 1)..length], out e, out _);
        int lead = 0;
        while (lead < count - 1 && digits[lead] == '0')
            lead++;
        digits[lead..count].CopyTo(digits);
        count -= lead;
        exponent = point - lead - 1 + e;
        while (count > 1 && digits[count - 1] == '0')
            count--;
        return count;
    }

    private static int Scientific(ReadOnlySpan<byte> digits, int exponent, Span<byte> into)
    {
        int n = 0;
        into[n++] = digits[0];
        if (digits.Length > 1)
        {
            into[n++] = (byte)'.';
            digits[1..].CopyTo(into[n..]);
            n += digits.Length - 1;
        }
        into[n++] = (byte)'e';
        into[n++] = (byte)(exponent < 0 ? '-' : '+');
        int size = Math.Abs(exponent);
        if (size < 10)
            into[n++] = (byte)'0';
        _ = Utf8Formatter.TryFormat(size, into[n..], out int written);
        return n + written;
    }

    private static int Plain(ReadOnlySpan<byte> digits, int exponent, Span<byte> into)
    {
        int n = 0;
        if (exponent < 0)
        {
            into[n++] = (byte)'0';
            into[n++] = (byte)'.';
            for (int i = -1; i > exponent; i--)
                into[n++] = (byte)'0';
            digits.CopyTo(into[n..]);
            return n + digits.Length;
        }
        for (int i = 0; i <= exponent; i++)
            into[n++] = i < digits.Length ? digits[i] : (byte)'0';
        if (digits.Length > exponent + 1)
        {
            into[n++] = (byte)'.';
            digits[(exponent + 1)..].CopyTo(into[n..]);
            n += digits.Length - exponent - 1;
        }
        return n;
    }

    private static int Copy(ReadOnlySpan<byte> text, Span<byte> into)
    {
        text.CopyTo(into);
        return text.Length;
    }
}
