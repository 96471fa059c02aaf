using System.Globalization;
using System.Runtime.InteropServices;
using System.Text;

namespace Bellwether.Evaluate.PromQl.Syntax;

internal enum TokenKind
{
    End,
    Error,
    Identifier,
    Number,
    Duration,
    Text,
    Symbol,
}

/// <summary>One token. For texts and errors <paramref name="Value"/> is the unquoted text or the message; for symbols the symbol.</summary>
internal readonly record struct Token(TokenKind Kind, string Value, TextSpan Span, double Number = 0);

/// <summary>Cuts a query into tokens. Symbols are the longest that fit; words are identifiers, their meaning is the parser's.</summary>
internal sealed class Lexer
{
    private static readonly string[] _symbols =
        ["==", "!=", "<=", ">=", "=~", "!~", "</", ">/", "(", ")", "{", "}", "[", "]", ",", "+", "-", "*", "/", "%", "^", "=", "<", ">", ":", "@"];

    private readonly string _text;
    private int _at;

    public Lexer(string text) => _text = text;

    /// <summary>The next token; in label lists and brackets a colon is no part of a word.</summary>
    public Token Next(bool colonInWords)
    {
        SkipBlanks();
        int start = _at;
        if (_at >= _text.Length)
            return new Token(TokenKind.End, "", new TextSpan(_text.Length, _text.Length));
        char c = _text[_at];
        if (c is '"' or '\'' or '`')
            return Quoted(c);
        if (char.IsAsciiDigit(c) || (c == '.' && _at + 1 < _text.Length && char.IsAsciiDigit(_text[_at + 1])))
            return NumberOrDuration();
        if (char.IsAsciiLetter(c) || c == '_' || (c == ':' && colonInWords))
            return Word(colonInWords);
        foreach (string symbol in _symbols)
        {
            if (string.CompareOrdinal(_text, _at, symbol, 0, symbol.Length) == 0)
            {
                _at += symbol.Length;
                return new Token(TokenKind.Symbol, symbol, new TextSpan(start, _at));
            }
        }
        string bad = char.IsSurrogatePair(_text, _at) ? _text.Substring(_at, 2) : c.ToString();
        _at += bad.Length;
        return new Token(TokenKind.Error, c == '!' ? "unexpected character after '!'" : $"unexpected character: '{bad}'", new TextSpan(start, _at));
    }

    /// <summary>Goes back to a place, to read a token again under another rule.</summary>
    public void Seek(int at) => _at = at;

    private void SkipBlanks()
    {
        while (_at < _text.Length)
        {
            char c = _text[_at];
            if (c is ' ' or '\t' or '\n' or '\r')
            {
                _at++;
            }
            else if (c == '#')
            {
                while (_at < _text.Length && _text[_at] is not ('\n' or '\r'))
                    _at++;
            }
            else
            {
                return;
            }
        }
    }

    private Token Word(bool colonInWords)
    {
        int start = _at;
        while (_at < _text.Length && (char.IsAsciiLetterOrDigit(_text[_at]) || _text[_at] == '_' || (_text[_at] == ':' && colonInWords)))
            _at++;
        return new Token(TokenKind.Identifier, _text[start.._at], new TextSpan(start, _at));
    }

    private Token NumberOrDuration()
    {
        int start = _at;
        if (TryDuration(start, out int end))
        {
            _at = end;
            string text = _text[start..end];
            return DurationText.TryParse(text, out long ms)
                ? new Token(TokenKind.Duration, text, new TextSpan(start, end), ms / 1000.0)
                : new Token(TokenKind.Error, $"not a valid duration string: \"{text}\"", new TextSpan(start, end));
        }
        end = ScanNumber(start);
        if (end < _text.Length && (char.IsAsciiLetterOrDigit(_text[end]) || _text[end] == '_'))
        {
            while (end < _text.Length && (char.IsAsciiLetterOrDigit(_text[end]) || _text[end] is '_' or '.'))
                end++;
            _at = end;
            return new Token(TokenKind.Error, $"bad number or duration syntax: \"{_text[start..end]}\"", new TextSpan(start, end));
        }
        _at = end;
        string number = _text[start..end];
        return NumberText.TryParse(number, out double value)
            ? new Token(TokenKind.Number, number, new TextSpan(start, end), value)
            : new Token(TokenKind.Error, $"error parsing number: strconv.ParseFloat: parsing \"{number}\": {(double.IsInfinity(value) ? "value out of range" : "invalid syntax")}", new TextSpan(start, end));
    }

    private bool TryDuration(int start, out int end)
    {
        end = start;
        bool any = false;
        while (true)
        {
            int p = end;
            while (p < _text.Length && char.IsAsciiDigit(_text[p]))
                p++;
            if (p == end || p >= _text.Length)
                break;
            int unit = _text[p] switch
            {
                'm' => p + 1 < _text.Length && _text[p + 1] == 's' ? 2 : 1,
                's' or 'h' or 'd' or 'w' or 'y' => 1,
                _ => 0,
            };
            if (unit == 0)
                break;
            end = p + unit;
            any = true;
        }
        return any && (end >= _text.Length || !(char.IsAsciiLetterOrDigit(_text[end]) || _text[end] == '_'));
    }

    private int ScanNumber(int p)
    {
        if (_text[p] == '0' && p + 1 < _text.Length && _text[p + 1] is 'x' or 'X')
        {
            p += 2;
            while (p < _text.Length && (char.IsAsciiHexDigit(_text[p]) || _text[p] == '_'))
                p++;
            return p;
        }
        p = Digits(p);
        if (p < _text.Length && _text[p] == '.')
            p = Digits(p + 1);
        if (p < _text.Length && _text[p] is 'e' or 'E')
        {
            int sign = p + 1 < _text.Length && _text[p + 1] is '+' or '-' ? 2 : 1;
            int exponent = Digits(p + sign);
            if (exponent > p + sign)
                p = exponent;
        }
        return p;
    }

    private int Digits(int p)
    {
        while (p < _text.Length && (char.IsAsciiDigit(_text[p]) || _text[p] == '_'))
            p++;
        return p;
    }

    private Token Quoted(char quote)
    {
        int start = _at;
        int p = _at + 1;
        while (true)
        {
            if (p >= _text.Length || (quote != '`' && _text[p] == '\n'))
            {
                _at = Math.Min(p, _text.Length);
                return new Token(TokenKind.Error, quote == '`' ? "unterminated raw string" : "unterminated quoted string", new TextSpan(start, _at));
            }
            if (_text[p] == quote)
                break;
            p += quote != '`' && _text[p] == '\\' && p + 1 < _text.Length ? 2 : 1;
        }
        _at = p + 1;
        var span = new TextSpan(start, _at);
        return GoText.TryUnquote(_text.AsSpan(start + 1, p - start - 1), quote, out string value, out string error)
            ? new Token(TokenKind.Text, value, span)
            : new Token(TokenKind.Error, error, span);
    }
}

/// <summary>Numbers as Go's strconv reads them: decimal, hexadecimal, octal with a leading zero, Inf, NaN; underscores between digits.</summary>
internal static class NumberText
{
    public static bool TryParse(ReadOnlySpan<char> text, out double value)
    {
        bool negative = text.Length > 0 && text[0] == '-';
        ReadOnlySpan<char> body = text.Length > 0 && text[0] is '+' or '-' ? text[1..] : text;
        bool ok = TryUnsigned(body, out value);
        value = negative ? -value : value;
        return ok;
    }

    private static bool TryUnsigned(ReadOnlySpan<char> body, out double value)
    {
        value = 0;
        if (body.Equals("inf", StringComparison.OrdinalIgnoreCase) || body.Equals("infinity", StringComparison.OrdinalIgnoreCase))
        {
            value = double.PositiveInfinity;
            return true;
        }
        if (body.Equals("nan", StringComparison.OrdinalIgnoreCase))
        {
            value = double.NaN;
            return true;
        }
        if (body.IsEmpty || !(char.IsAsciiDigit(body[0]) || body[0] == '.'))
            return false;
        string plain = body.Contains('_') ? body.ToString().Replace("_", "", StringComparison.Ordinal) : body.ToString();
        if (plain.StartsWith("0x", StringComparison.OrdinalIgnoreCase))
            return TryHex(plain.AsSpan(2), out value);
        if (plain.Length > 1 && plain[0] == '0' && plain.All(c => c is >= '0' and <= '7'))
        {
            foreach (char c in plain)
                value = value * 8 + (c - '0');
            return true;
        }
        // What is too large for a double is no number: infinity has its own word.
        return double.TryParse(plain, NumberStyles.Float & ~NumberStyles.AllowLeadingWhite & ~NumberStyles.AllowTrailingWhite, CultureInfo.InvariantCulture, out value) && double.IsFinite(value);
    }

    private static bool TryHex(ReadOnlySpan<char> digits, out double value)
    {
        value = 0;
        foreach (char c in digits)
        {
            if (!char.IsAsciiHexDigit(c))
                return false;
            value = value * 16 + Convert.ToInt32(c.ToString(), 16);
        }
        return digits.Length > 0;
    }
}

/// <summary>Quoted texts with Go's escapes.</summary>
internal static class GoText
{
    /// <summary>Resolves the escapes of the text between quotes.</summary>
    public static bool TryUnquote(ReadOnlySpan<char> body, char quote, out string value, out string error)
    {
        error = "";
        if (quote == '`' || !body.Contains('\\'))
        {
            value = body.ToString();
            return true;
        }
        // Bytes, because \x and octal escapes give bytes of UTF-8, not characters.
        var bytes = new List<byte>(body.Length);
        value = "";
        Span<byte> utf8 = stackalloc byte[4];
        for (int i = 0; i < body.Length;)
        {
            if (body[i] != '\\')
            {
                Rune.DecodeFromUtf16(body[i..], out Rune rune, out int used);
                i += used;
                bytes.AddRange(utf8[..rune.EncodeToUtf8(utf8)]);
            }
            else if (!TryEscape(body, ref i, quote, bytes, out error))
            {
                return false;
            }
        }
        value = Decode(CollectionsMarshal.AsSpan(bytes));
        return true;
    }

    /// <summary>Whether a text is whole UTF-8: none of its bytes had to be kept as half a surrogate pair.</summary>
    public static bool IsUtf8(string text)
    {
        for (int i = 0; i < text.Length; i++)
        {
            if (char.IsSurrogatePair(text, i))
                i++;
            else if (char.IsSurrogate(text[i]))
                return false;
        }
        return true;
    }

    // A byte that is no UTF-8 becomes half a surrogate pair, U+DC00 and its value: so that it can be found, and shown.
    private static string Decode(ReadOnlySpan<byte> bytes)
    {
        var text = new StringBuilder(bytes.Length);
        while (!bytes.IsEmpty)
        {
            bool isWhole = Rune.DecodeFromUtf8(bytes, out Rune rune, out int used) == System.Buffers.OperationStatus.Done;
            if (isWhole)
                text.Append(rune.ToString());
            else
                text.Append((char)(0xDC00 + bytes[0]));
            bytes = bytes[(isWhole ? used : 1)..];
        }
        return text.ToString();
    }

    private static bool TryEscape(ReadOnlySpan<char> body, ref int i, char quote, List<byte> bytes, out string error)
    {
        error = "";
        if (i + 1 >= body.Length)
        {
            error = "escape sequence not terminated";
            return false;
        }
        char c = body[i + 1];
        int simple = c switch { 'a' => 7, 'b' => 8, 'f' => 12, 'n' => 10, 'r' => 13, 't' => 9, 'v' => 11, '\\' => '\\', _ => c == quote ? quote : -1 };
        if (simple >= 0)
        {
            bytes.Add((byte)simple);
            i += 2;
            return true;
        }
        (int digits, int radix) = c switch { 'x' => (2, 16), 'u' => (4, 16), 'U' => (8, 16), >= '0' and <= '7' => (3, 8), _ => (0, 0) };
        if (digits == 0)
        {
            error = $"unknown escape sequence '\\{c}'";
            return false;
        }
        int start = radix == 8 ? i + 1 : i + 2;
        long code = 0;
        for (int k = 0; k < digits; k++)
        {
            int digit = start + k < body.Length && char.IsAsciiHexDigit(body[start + k]) ? Convert.ToInt32(body[start + k].ToString(), 16) : 99;
            if (digit >= radix)
            {
                error = "illegal character in escape sequence";
                return false;
            }
            code = code * radix + digit;
        }
        i = start + digits;
        if (c is 'u' or 'U')
        {
            if (code > 0x10FFFF || !Rune.IsValid((int)code))
            {
                error = "escape sequence is an invalid Unicode code point";
                return false;
            }
            Span<byte> utf8 = stackalloc byte[4];
            bytes.AddRange(utf8[..new Rune((int)code).EncodeToUtf8(utf8)]);
            return true;
        }
        if (code > 255)
        {
            error = "octal escape value > 255";
            return false;
        }
        bytes.Add((byte)code);
        return true;
    }

    /// <summary>Quotes a text as Go's %q does.</summary>
    public static string Quote(string value)
    {
        var text = new StringBuilder("\"");
        for (int i = 0; i < value.Length; i++)
        {
            char c = value[i];
            switch (c)
            {
                case '"': text.Append("\\\""); break;
                case '\\': text.Append(@"\\"); break;
                case '\n': text.Append("\\n"); break;
                case '\r': text.Append("\\r"); break;
                case '\t': text.Append("\\t"); break;
                case '\a': text.Append("\\a"); break;
                case '\b': text.Append("\\b"); break;
                case '\f': text.Append("\\f"); break;
                case '\v': text.Append("\\v"); break;
                default:
                    if (char.IsLowSurrogate(c) && c <= 0xDCFF && (i == 0 || !char.IsHighSurrogate(value[i - 1])))
                        text.Append(CultureInfo.InvariantCulture, $"\\x{c - 0xDC00:x2}");
                    else if (c < 0x20 || c == 0x7f)
                        text.Append(CultureInfo.InvariantCulture, $"\\x{(int)c:x2}");
                    else
                        text.Append(c);
                    break;
            }
        }
        return text.Append('"').ToString();
    }
}
