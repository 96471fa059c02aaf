using System.Globalization;

namespace Bellwether.Core.Text;

/// <summary>
/// Parses RE2's grammar as Go's regexp does (its Perl flags). Throws <see cref="FormatException"/> with the position of what is wrong. Source: the RE2 syntax page.
/// </summary>
internal sealed class Re2Parser
{
    /// <summary>The deepest nesting of groups.</summary>
    public const int MaxDepth = 200;

    /// <summary>The highest repetition count, also of nested repetitions multiplied.</summary>
    public const int MaxRepeat = 1000;

    private static readonly Dictionary<string, RuneSet> s_posix = new(StringComparer.Ordinal)
    {
        ["alnum"] = Set("09AZaz"),
        ["alpha"] = Set("AZaz"),
        ["ascii"] = Set("\0\x7F"),
        ["blank"] = Set("\t\t  "),
        ["cntrl"] = Set("\0\x1F\x7F\x7F"),
        ["digit"] = Set("09"),
        ["graph"] = Set("!~"),
        ["lower"] = Set("az"),
        ["print"] = Set(" ~"),
        ["punct"] = Set("!/:@[`{~"),
        ["space"] = Set("\t\r  "),
        ["upper"] = Set("AZ"),
        ["word"] = Set("09AZ__az"),
        ["xdigit"] = Set("09AFaf"),
    };

    private static readonly RuneSet s_space = Set("\t\n\f\r  ");
    private readonly string _text;
    private readonly List<string?> _names = [null];
    private int _at;
    private bool _fold;
    private bool _multiLine;
    private bool _dotAll;
    private bool _ungreedy;

    private Re2Parser(string text, bool dotAll)
    {
        _text = text;
        _dotAll = dotAll;
    }

    public static RuneSet Word { get; } = Set("09AZ__az");

    /// <summary>Parses a whole pattern; gives the names of its groups by number (0 = the whole match).</summary>
    public static (Re2Node Root, IReadOnlyList<string?> GroupNames) Parse(string text, bool dotAll)
    {
        var parser = new Re2Parser(text, dotAll);
        Re2Node root = parser.Alternation(0);
        if (parser._at < text.Length)
            throw parser.Fault("unexpected )", parser._at);
        return (root, parser._names);
    }

    private static RuneSet Set(string pairs) => RuneSet.From(Enumerable.Range(0, pairs.Length / 2).Select(i => ((int)pairs[2 * i], (int)pairs[(2 * i) + 1])));

    private bool More => _at < _text.Length;

    private FormatException Fault(string message, int at) =>
        new($"invalid regular expression '{(_text.Length <= 100 ? _text : _text[..100] + "...")}': {message} at position {at + 1}");

    private bool Take(string token)
    {
        if (string.CompareOrdinal(_text, _at, token, 0, token.Length) != 0)
            return false;
        _at += token.Length;
        return true;
    }

    private int TakeRune()
    {
        if (char.IsHighSurrogate(_text[_at]) && _at + 1 < _text.Length && char.IsLowSurrogate(_text[_at + 1]))
        {
            _at += 2;
            return char.ConvertToUtf32(_text[_at - 2], _text[_at - 1]);
        }
        if (char.IsSurrogate(_text[_at]))
            throw Fault("half of a surrogate pair", _at);
        return _text[_at++];
    }

    private Re2Node Alternation(int depth)
    {
        if (depth > MaxDepth)
            throw Fault($"groups nested deeper than {MaxDepth}", _at);
        // Flags set in a group end with it.
        (bool fold, bool multiLine, bool dotAll, bool ungreedy) = (_fold, _multiLine, _dotAll, _ungreedy);
        var branches = new List<Re2Node> { Sequence(depth) };
        while (Take("|"))
            branches.Add(Sequence(depth));
        (_fold, _multiLine, _dotAll, _ungreedy) = (fold, multiLine, dotAll, ungreedy);
        return branches.Count == 1 ? branches[0] : new Re2Alternate(branches);
    }

    private Re2Node Sequence(int depth)
    {
        var items = new List<Re2Node>();
        bool repeatable = false;
        int repeatStart = -1;
        while (More && _text[_at] is not ('|' or ')'))
        {
            int start = _at;
            if (TryRepeat(out int min, out int max))
            {
                if (!repeatable)
                    throw Fault(repeatStart >= 0 ? $"invalid nested repetition operator '{_text[repeatStart.._at]}'" : $"missing argument to repetition operator '{_text[start.._at]}'", start);
                bool lazy = Take("?");
                Re2Node repeat = new Re2Repeat(items[^1], min, max, lazy == _ungreedy);
                if (RepeatProduct(repeat) > MaxRepeat)
                    throw Fault($"repeat count above {MaxRepeat}", start);
                items[^1] = repeat;
                repeatable = false;
                repeatStart = start;
                continue;
            }
            repeatStart = -1;
            int before = items.Count;
            Atom(items, depth);
            repeatable = items.Count > before;
        }
        return items.Count switch { 0 => new Re2Empty(), 1 => items[0], _ => new Re2Concat(items) };
    }

    private static long RepeatProduct(Re2Node node) => node switch
    {
        Re2Repeat r => Math.Max(1, r.Max < 0 ? r.Min : r.Max) * RepeatProduct(r.Item),
        Re2Group g => RepeatProduct(g.Item),
        Re2Concat c => c.Items.Max(RepeatProduct),
        Re2Alternate a => a.Items.Max(RepeatProduct),
        _ => 1,
    };

    private bool TryRepeat(out int min, out int max)
    {
        (min, max) = (0, -1);
        switch (_text[_at])
        {
            case '*':
                _at++;
                return true;
            case '+':
                _at++;
                min = 1;
                return true;
            case '?':
                _at++;
                max = 1;
                return true;
            case '{':
                return TryCount(out min, out max);
            default:
                return false;
        }
    }

    /// <summary><c>{n}</c>, <c>{n,}</c>, <c>{n,m}</c>; anything else with a brace is a literal brace.</summary>
    private bool TryCount(out int min, out int max)
    {
        int start = _at++;
        (min, max) = (0, -1);
        int low = Digits();
        bool comma = low >= 0 && Take(",");
        int high = comma ? Digits() : low;
        if (low < 0 || !Take("}"))
        {
            _at = start;
            return false;
        }
        if (low > MaxRepeat || high > MaxRepeat || (high >= 0 && high < low))
            throw Fault($"invalid repeat count '{_text[start.._at]}', at most {MaxRepeat}", start);
        (min, max) = (low, high);
        return true;
    }

    private int Digits()
    {
        int start = _at;
        while (More && char.IsAsciiDigit(_text[_at]))
            _at++;
        if (_at == start || (_at - start > 1 && _text[start] == '0'))
            return -1;
        return _at - start > 6 ? int.MaxValue : int.Parse(_text.AsSpan(start, _at - start), CultureInfo.InvariantCulture);
    }

    private void Atom(List<Re2Node> items, int depth)
    {
        switch (_text[_at])
        {
            case '(':
                Group(items, depth);
                break;
            case '[':
                items.Add(new Re2Class(BracketClass()));
                break;
            case '.':
                _at++;
                items.Add(new Re2Class(_dotAll ? RuneSet.All : RuneSet.Of('\n').Negate()));
                break;
            case '^':
                _at++;
                items.Add(new Re2Place(_multiLine ? Re2Assertion.LineStart : Re2Assertion.TextStart));
                break;
            case '$':
                _at++;
                items.Add(new Re2Place(_multiLine ? Re2Assertion.LineEnd : Re2Assertion.TextEnd));
                break;
            case '\\':
                Escape(items);
                break;
            default:
                items.Add(Literal(TakeRune()));
                break;
        }
    }

    private Re2Class Literal(int rune) => new(_fold ? RuneSet.From(UnicodeTables.Folded(rune).ToArray().Select(r => (r, r))) : RuneSet.Of(rune));

    private void Group(List<Re2Node> items, int depth)
    {
        int start = _at++;
        if (!Take("?"))
        {
            items.Add(Capture(null, start, depth));
            return;
        }
        if (Take("P<") || Take("<"))
        {
            int end = _text.IndexOf('>', _at);
            string name = end < 0 ? "" : _text[_at..end];
            if (name.Length == 0 || !name.All(c => char.IsAsciiLetterOrDigit(c) || c == '_'))
                throw Fault("invalid or unknown group (lookbehind is not RE2), or invalid group name", start);
            if (_names.Contains(name))
                throw Fault($"group name '{name}' is there twice", start);
            _at = end + 1;
            items.Add(Capture(name, start, depth));
            return;
        }
        FlagGroup(items, start, depth);
    }

    private Re2Group Capture(string? name, int start, int depth)
    {
        int number = _names.Count;
        _names.Add(name);
        Re2Node item = Alternation(depth + 1);
        if (!Take(")"))
            throw Fault("missing closing )", start);
        return new Re2Group(item, number);
    }

    private void FlagGroup(List<Re2Node> items, int start, int depth)
    {
        (bool fold, bool multiLine, bool dotAll, bool ungreedy) = (_fold, _multiLine, _dotAll, _ungreedy);
        bool on = true, flagSeen = false;
        while (true)
        {
            char c = More ? _text[_at++] : '\0';
            switch (c)
            {
                case 'i': fold = on; flagSeen = true; break;
                case 'm': multiLine = on; flagSeen = true; break;
                case 's': dotAll = on; flagSeen = true; break;
                case 'U': ungreedy = on; flagSeen = true; break;
                case '-' when on:
                    on = false;
                    flagSeen = false;
                    break;
                case ')' when on || flagSeen:
                    (_fold, _multiLine, _dotAll, _ungreedy) = (fold, multiLine, dotAll, ungreedy);
                    return;
                case ':' when on || flagSeen:
                    (bool outerFold, bool outerMulti, bool outerDot, bool outerUngreedy) = (_fold, _multiLine, _dotAll, _ungreedy);
                    (_fold, _multiLine, _dotAll, _ungreedy) = (fold, multiLine, dotAll, ungreedy);
                    Re2Node item = Alternation(depth + 1);
                    (_fold, _multiLine, _dotAll, _ungreedy) = (outerFold, outerMulti, outerDot, outerUngreedy);
                    if (!Take(")"))
                        throw Fault("missing closing )", start);
                    items.Add(item);
                    return;
                default:
                    throw Fault("invalid or unsupported group; RE2 has (re), (?:re), (?P<name>re), (?<name>re) and the flags i, m, s, U", start);
            }
        }
    }

    private void Escape(List<Re2Node> items)
    {
        int start = _at;
        if (Take(@"\A"))
            items.Add(new Re2Place(Re2Assertion.TextStart));
        else if (Take(@"\z"))
            items.Add(new Re2Place(Re2Assertion.TextEnd));
        else if (Take(@"\b"))
            items.Add(new Re2Place(Re2Assertion.WordBoundary));
        else if (Take(@"\B"))
            items.Add(new Re2Place(Re2Assertion.NoWordBoundary));
        else if (Take(@"\Q"))
        {
            int end = _text.IndexOf(@"\E", _at, StringComparison.Ordinal);
            int stop = end < 0 ? _text.Length : end;
            while (_at < stop)
                items.Add(Literal(TakeRune()));
            _at = end < 0 ? stop : end + 2;
        }
        else if (Take(@"\C"))
            throw Fault(@"\C (one byte) is not supported", start);
        else if (TryClassEscape() is { } set)
            items.Add(new Re2Class(set));
        else
            items.Add(Literal(CharacterEscape()));
    }

    /// <summary><c>\d \w \s \pL \p{Greek}</c> and their negations; null when it is another escape.</summary>
    private RuneSet? TryClassEscape()
    {
        int start = _at;
        char c = _at + 1 < _text.Length ? _text[_at + 1] : '\0';
        RuneSet? set = char.ToLowerInvariant(c) switch { 'd' => s_posix["digit"], 'w' => Word, 's' => s_space, _ => null };
        if (set is not null)
        {
            _at += 2;
            if (_fold)
                set = UnicodeTables.Fold(set);
            return char.IsAsciiLetterUpper(c) ? set.Negate() : set;
        }
        if (c is not ('p' or 'P'))
            return null;
        _at += 2;
        bool negated = c == 'P';
        string name;
        if (Take("{"))
        {
            int end = _text.IndexOf('}', _at);
            if (end < 0)
                throw Fault(@"\p{ without }", start);
            name = _text[_at..end];
            _at = end + 1;
        }
        else
        {
            name = More ? _text[_at++].ToString() : "";
        }
        if (name.StartsWith('^'))
            (name, negated) = (name[1..], !negated);
        set = UnicodeTables.Find(name) ?? throw Fault($"'{name}' is no Unicode category or script", start);
        if (_fold)
            set = UnicodeTables.Fold(set);
        return negated ? set.Negate() : set;
    }

    private int CharacterEscape()
    {
        int start = _at++;
        if (!More)
            throw Fault("trailing backslash", start);
        int c = TakeRune();
        switch (c)
        {
            case 'a': return '\a';
            case 'f': return '\f';
            case 'n': return '\n';
            case 'r': return '\r';
            case 't': return '\t';
            case 'v': return '\v';
            case 'x': return HexEscape(start);
            case >= '0' and <= '7':
                if (c != '0' && !(More && _text[_at] is >= '0' and <= '7'))
                    throw Fault("backreferences are not RE2", start);
                int value = c - '0';
                for (int i = 0; i < 2 && More && _text[_at] is >= '0' and <= '7'; i++)
                    value = (value * 8) + (_text[_at++] - '0');
                return value;
            default:
                if (c < 0x80 && !char.IsAsciiLetterOrDigit((char)c))
                    return c;
                throw Fault($"invalid escape '{_text[start.._at]}'", start);
        }
    }

    private int HexEscape(int start)
    {
        bool braces = Take("{");
        int digits = _at;
        while (More && char.IsAsciiHexDigit(_text[_at]) && (braces || _at - digits < 2))
            _at++;
        ReadOnlySpan<char> hex = _text.AsSpan(digits, _at - digits);
        bool fits = braces ? hex.Length is > 0 and <= 8 && Take("}") : hex.Length == 2;
        if (!fits || !int.TryParse(hex, NumberStyles.HexNumber, CultureInfo.InvariantCulture, out int value) || value is < 0 or > RuneSet.Last)
            throw Fault(@"invalid \x escape", start);
        return value;
    }

    private RuneSet BracketClass()
    {
        int start = _at++;
        bool negated = Take("^");
        var ranges = new List<(int, int)>();
        for (bool first = true; ; first = false)
        {
            if (!More)
                throw Fault("missing closing ]", start);
            if (_text[_at] == ']' && !first)
                break;
            if (TryPosix(ranges))
                continue;
            if (_text[_at] == '\\' && TryClassEscape() is { } set)
            {
                ranges.AddRange(set.Ranges);
                continue;
            }
            int rangeStart = _at;
            int low = _text[_at] == '\\' ? CharacterEscape() : TakeRune();
            int high = low;
            if (_at + 1 < _text.Length && _text[_at] == '-' && _text[_at + 1] != ']')
            {
                _at++;
                high = _text[_at] == '\\' ? CharacterEscape() : TakeRune();
                if (high < low)
                    throw Fault($"invalid character class range '{_text[rangeStart.._at]}'", rangeStart);
            }
            ranges.Add((low, high));
        }
        _at++;
        RuneSet all = RuneSet.From(ranges);
        if (_fold)
            all = UnicodeTables.Fold(all);
        return negated ? all.Negate() : all;
    }

    private bool TryPosix(List<(int, int)> ranges)
    {
        int end = _text[_at] == '[' && _at + 1 < _text.Length && _text[_at + 1] == ':' ? _text.IndexOf(":]", _at + 2, StringComparison.Ordinal) : -1;
        if (end < 0)
            return false;
        string name = _text[(_at + 2)..end];
        bool negated = name.StartsWith('^');
        if (!s_posix.TryGetValue(negated ? name[1..] : name, out RuneSet? set))
            throw Fault($"invalid character class range '[:{name}:]'", _at);
        if (_fold)
            set = UnicodeTables.Fold(set);
        ranges.AddRange((negated ? set.Negate() : set).Ranges);
        _at = end + 2;
        return true;
    }
}
