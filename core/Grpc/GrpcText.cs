using System.Globalization;
using System.Text;

namespace Bellwether.Core.Grpc;

/// <summary>How gRPC writes messages, time-outs and bytes into header text (grpc/grpc doc/PROTOCOL-HTTP2.md). Pure.</summary>
public static class GrpcText
{
    /// <summary>The wire's largest time-out figure has eight digits.</summary>
    private const long MaxTimeoutFigure = 99_999_999;

    private const string Hex = "0123456789ABCDEF";

    /// <summary>Percent-encodes the UTF-8 of a status message: everything but space to ~ and the percent sign itself.</summary>
    public static string EncodeMessage(string message)
    {
        byte[] utf8 = Encoding.UTF8.GetBytes(message);
        if (!utf8.AsSpan().ContainsAnyExceptInRange((byte)' ', (byte)'~') && !message.Contains('%', StringComparison.Ordinal))
            return message;
        var text = new StringBuilder(utf8.Length + 16);
        foreach (byte b in utf8)
        {
            if (b is >= (byte)' ' and <= (byte)'~' and not (byte)'%')
                text.Append((char)b);
            else
                text.Append('%').Append(Hex[b >> 4]).Append(Hex[b & 15]);
        }
        return text.ToString();
    }

    /// <summary>Decodes a status message; a broken escape stays as it stands, broken UTF-8 becomes U+FFFD: a bad message must not hide the status.</summary>
    public static string DecodeMessage(string encoded)
    {
        if (!encoded.Contains('%', StringComparison.Ordinal))
            return encoded;
        byte[] bytes = new byte[encoded.Length * 3];
        int length = 0;
        for (int i = 0; i < encoded.Length; i++)
        {
            char c = encoded[i];
            if (c == '%' && i + 2 < encoded.Length && char.IsAsciiHexDigit(encoded[i + 1]) && char.IsAsciiHexDigit(encoded[i + 2]))
            {
                bytes[length++] = byte.Parse(encoded.AsSpan(i + 1, 2), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture);
                i += 2;
            }
            else
            {
                length += Encoding.UTF8.GetBytes(encoded.AsSpan(i, 1), bytes.AsSpan(length));
            }
        }
        return Encoding.UTF8.GetString(bytes, 0, length);
    }

    /// <summary>Writes a time-out as at most eight digits and a unit, rounded up so that the peer never gives up earlier; not positive: <c>1n</c>.</summary>
    public static string EncodeTimeout(TimeSpan timeout)
    {
        if (timeout <= TimeSpan.Zero)
            return "1n";
        ReadOnlySpan<(long Ticks, char Unit)> units =
        [
            (TimeSpan.TicksPerMicrosecond, 'u'), (TimeSpan.TicksPerMillisecond, 'm'), (TimeSpan.TicksPerSecond, 'S'), (TimeSpan.TicksPerMinute, 'M'), (TimeSpan.TicksPerHour, 'H'),
        ];
        foreach ((long ticks, char unit) in units)
        {
            long figure = (timeout.Ticks / ticks) + (timeout.Ticks % ticks == 0 ? 0 : 1);
            if (figure <= MaxTimeoutFigure)
                return string.Create(CultureInfo.InvariantCulture, $"{figure}{unit}");
        }
        return "99999999H";
    }

    /// <summary>Reads a time-out: one to eight digits and one of H M S m u n. False when it is none.</summary>
    public static bool TryParseTimeout(string text, out TimeSpan timeout)
    {
        timeout = default;
        if (text.Length is < 2 or > 9 || !long.TryParse(text.AsSpan(0, text.Length - 1), NumberStyles.None, CultureInfo.InvariantCulture, out long figure))
            return false;
        long ticks = text[^1] switch
        {
            'H' => TimeSpan.TicksPerHour,
            'M' => TimeSpan.TicksPerMinute,
            'S' => TimeSpan.TicksPerSecond,
            'm' => TimeSpan.TicksPerMillisecond,
            'u' => TimeSpan.TicksPerMicrosecond,
            'n' => 0,
            _ => -1,
        };
        if (ticks < 0)
            return false;
        if (ticks == 0)
            timeout = TimeSpan.FromTicks(Math.Max(figure == 0 ? 0 : 1, figure / TimeSpan.NanosecondsPerTick));
        else
            timeout = TimeSpan.FromTicks(figure * ticks); // the largest, 99999999H, fits
        return true;
    }

    /// <summary>Base64 without padding, as senders of <c>-bin</c> metadata should write it.</summary>
    public static string EncodeBytes(ReadOnlySpan<byte> bytes) => Convert.ToBase64String(bytes).TrimEnd('=');

    /// <summary>Reads base64 with or without padding, as receivers must. False when it is none.</summary>
    public static bool TryDecodeBytes(string text, out byte[] bytes)
    {
        string trimmed = text.Trim().TrimEnd('=');
        int padding = (4 - (trimmed.Length & 3)) & 3;
        bytes = [];
        if (padding == 3)
            return false;
        byte[] buffer = new byte[((trimmed.Length + padding) / 4) * 3];
        if (!Convert.TryFromBase64String(padding == 0 ? trimmed : trimmed.PadRight(trimmed.Length + padding, '='), buffer, out int written))
            return false;
        bytes = buffer.AsSpan(0, written).ToArray();
        return true;
    }
}
