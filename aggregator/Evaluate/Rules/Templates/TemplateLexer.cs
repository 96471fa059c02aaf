using System.Globalization;
using System.Text;

namespace Bellwether.Evaluate.Rules.Templates;

/// <summary>The kinds of tokens inside an action.</summary>
internal enum TokenKind
{
    Text, Open, Close, Word, Field, Variable, String, Number, Char, Pipe, Declare, Assign, Comma, LeftParen, RightParen, Space, Dot, End,
}

/// <summary>A token with the line that it stands on (1-based).</summary>
internal readonly record struct Token(TokenKind Kind, string Text, int Line);

/// <summary>Cuts a template into text and the tokens of its actions, as Go's text/template does. Source: pkg.go.dev/text/template.</summary>
internal sealed class TemplateLexer(string input)
{
    private const string TrimSpace = " \t\r\n";
    private readonly List<Token> _tokens = [];
    private int _at;
    private int _line = 1;

    public List<Token> Run()
    {
        bool trimNext = false;
        while (_at < input.Length)
        {
            int open = input.IndexOf("{{", _at, StringComparison.Ordinal);
            string text = open < 0 ? input[_at..] : input[_at..open];
            int lines = text.Count(c => c == '\n');
            if (trimNext)
                text = text.TrimStart(TrimSpace.ToCharArray());
            trimNext = false;
            if (open < 0)
            {
                Add(TokenKind.Text, text);
                break;
            }
            _at = open + 2;
            if (_at + 1 < input.Length && input[_at] == '-' && TrimSpace.Contains(input[_at + 1]))
            {
                text = text.TrimEnd(TrimSpace.ToCharArray());
                _at++;
            }
            if (text.Length > 0)
                Add(TokenKind.Text, text);
            _line += lines;
            if (!TryComment(ref trimNext))
                trimNext = Action();
        }
        Add(TokenKind.End, "");
        return _tokens;
    }

    private bool TryComment(ref bool trimNext)
    {
        int start = _at;
        while (start < input.Length && TrimSpace.Contains(input[start]) && start == _at && input[_at - 1] == '-')
            start++;
        if (!input.AsSpan(start).StartsWith("/*"))
            return false;
        int end = input.IndexOf("*/", start, StringComparison.Ordinal);
        if (end < 0)
            throw Error("unclosed comment");
        _line += input.AsSpan(start, end - start).Count('\n');
        _at = end + 2;
        if (input.AsSpan(_at).StartsWith(" -}}"))
        {
            trimNext = true;
            _at += 4;
            return true;
        }
        if (!input.AsSpan(_at).StartsWith("}}"))
            throw Error("comment ends before closing delimiter");
        _at += 2;
        return true;
    }

    /// <summary>Reads up to the closing braces; says whether the text after it loses its leading space.</summary>
    private bool Action()
    {
        Add(TokenKind.Open, "{{");
        while (true)
        {
            if (_at >= input.Length)
                throw Error("unclosed action");
            if (input.AsSpan(_at).StartsWith("}}"))
            {
                _at += 2;
                Add(TokenKind.Close, "}}");
                return false;
            }
            char c = input[_at];
            if (TrimSpace.Contains(c))
            {
                if (input.AsSpan(_at + 1).StartsWith("-}}"))
                {
                    _at += 4;
                    Add(TokenKind.Close, "-}}");
                    return true;
                }
                if (c == '\n')
                    _line++;
                _at++;
                if (_tokens[^1].Kind != TokenKind.Space)
                    Add(TokenKind.Space, " ");
                continue;
            }
            One(c);
        }
    }

    private void One(char c)
    {
        switch (c)
        {
            case '|': Take(TokenKind.Pipe, 1); break;
            case ',': Take(TokenKind.Comma, 1); break;
            case '(': Take(TokenKind.LeftParen, 1); break;
            case ')': Take(TokenKind.RightParen, 1); break;
            case '=': Take(TokenKind.Assign, 1); break;
            case ':' when _at + 1 < input.Length && input[_at + 1] == '=': Take(TokenKind.Declare, 2); break;
            case '"': Quoted(); break;
            case '`': Raw(); break;
            case '\'': CharConstant(); break;
            case '$': Named(TokenKind.Variable); break;
            case '.' when _at + 1 >= input.Length || !char.IsAsciiDigit(input[_at + 1]): DotOrField(); break;
            default:
                if (char.IsAsciiDigit(c) || ((c is '+' or '-' or '.') && _at + 1 < input.Length && (char.IsAsciiDigit(input[_at + 1]) || input[_at + 1] == '.')))
                    Number();
                else if (IsWord(c))
                    Named(TokenKind.Word);
                else
                    throw Error($"unexpected character '{c}' in an action");
                break;
        }
    }

    private void DotOrField()
    {
        if (_at + 1 < input.Length && IsWord(input[_at + 1]))
        {
            int start = ++_at;
            while (_at < input.Length && IsWord(input[_at]))
                _at++;
            Add(TokenKind.Field, input[start.._at]);
            return;
        }
        Take(TokenKind.Dot, 1);
    }

    private void Named(TokenKind kind)
    {
        int start = _at++;
        while (_at < input.Length && IsWord(input[_at]))
            _at++;
        Add(kind, input[start.._at]);
    }

    private void Number()
    {
        int start = _at++;
        while (_at < input.Length && (char.IsAsciiLetterOrDigit(input[_at]) || input[_at] is '.' or '_'
            || (input[_at] is '+' or '-' && input[_at - 1] is 'e' or 'E' && !input.AsSpan(start).StartsWith("0x"))))
            _at++;
        Add(TokenKind.Number, input[start.._at]);
    }

    private void Raw()
    {
        int end = input.IndexOf('`', _at + 1);
        if (end < 0)
            throw Error("unterminated raw quoted string");
        string text = input[(_at + 1)..end].Replace("\r", "", StringComparison.Ordinal);
        _at = end + 1;
        Add(TokenKind.String, text);
        _line += text.Count(c => c == '\n');
    }

    private void Quoted()
    {
        _at++;
        var bytes = new List<byte>();
        while (true)
        {
            if (_at >= input.Length || input[_at] == '\n')
                throw Error("unterminated quoted string");
            if (input[_at] == '"')
                break;
            ReadUnit(bytes);
        }
        _at++;
        Add(TokenKind.String, Encoding.UTF8.GetString([.. bytes]));
    }

    private void CharConstant()
    {
        _at++;
        var bytes = new List<byte>();
        while (_at < input.Length && input[_at] != '\'' && input[_at] != '\n')
            ReadUnit(bytes);
        if (_at >= input.Length || input[_at] != '\'')
            throw Error("unterminated character constant");
        _at++;
        string text = Encoding.UTF8.GetString([.. bytes]);
        if (text.EnumerateRunes().Count() != 1)
            throw Error("malformed character constant");
        Add(TokenKind.Char, text);
    }

    private void ReadUnit(List<byte> bytes)
    {
        if (input[_at] != '\\')
        {
            if (!Rune.TryGetRuneAt(input, _at, out Rune rune))
                rune = Rune.ReplacementChar;
            AddRune(bytes, rune);
            _at += Math.Max(1, rune.Utf16SequenceLength);
            return;
        }
        char e = ++_at < input.Length ? input[_at++] : throw Error("unterminated quoted string");
        switch (e)
        {
            case 'a': bytes.Add(7); break;
            case 'b': bytes.Add(8); break;
            case 'f': bytes.Add(12); break;
            case 'n': bytes.Add(10); break;
            case 'r': bytes.Add(13); break;
            case 't': bytes.Add(9); break;
            case 'v': bytes.Add(11); break;
            case '\\' or '"' or '\'': bytes.Add((byte)e); break;
            case 'x': bytes.Add((byte)Hex(2)); break;
            case 'u': AddRune(bytes, ToRune(Hex(4))); break;
            case 'U': AddRune(bytes, ToRune(Hex(8))); break;
            case >= '0' and <= '7':
                if (_at + 2 > input.Length)
                    throw Error("invalid escape in a string");
                bytes.Add((byte)Convert.ToInt32(input[(_at - 1)..(_at + 2)], 8));
                _at += 2;
                break;
            default: throw Error($"unknown escape '\\{e}' in a string");
        }
    }

    private uint Hex(int digits)
    {
        if (_at + digits > input.Length || !uint.TryParse(input.AsSpan(_at, digits), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out uint value))
            throw Error("invalid escape in a string");
        _at += digits;
        return value;
    }

    private Rune ToRune(uint value) => Rune.IsValid(value) ? new Rune(value) : throw Error("escape is no valid Unicode code point");

    private static void AddRune(List<byte> bytes, Rune rune)
    {
        Span<byte> utf8 = stackalloc byte[4];
        bytes.AddRange(utf8[..rune.EncodeToUtf8(utf8)]);
    }

    private static bool IsWord(char c) => c == '_' || char.IsLetterOrDigit(c);

    private void Take(TokenKind kind, int length)
    {
        Add(kind, input.Substring(_at, length));
        _at += length;
    }

    private void Add(TokenKind kind, string text) => _tokens.Add(new Token(kind, text, _line));

    private TemplateException Error(string what) => new($"line {_line}: {what}");
}
