using Bellwether.Evaluate.PromQl.Syntax;

namespace Bellwether.Evaluate.PromQl;

/// <summary>
/// Texts and what they parse to: rules and dashboards ask the same again and again. Two generations: what was not asked for while one filled up goes. Thread-safe.
/// </summary>
internal sealed class ParsedQueries(ParserOptions options)
{
    /// <summary>Texts of one generation, and their characters.</summary>
    public const int MaxCount = 4096, MaxCharacters = 1 << 20;

    private readonly Lock _gate = new();
    private Dictionary<string, ParseResult> _young = [];
    private Dictionary<string, ParseResult> _old = [];
    private long _characters;

    /// <summary>The text parsed; the same text gives the same object as long as it is remembered.</summary>
    public ParseResult Parse(string text)
    {
        lock (_gate)
        {
            if (_young.TryGetValue(text, out ParseResult? known))
                return known;
            if (_old.TryGetValue(text, out known))
            {
                Add(text, known);
                return known;
            }
        }
        ParseResult parsed = PromQlParser.Parse(text, options);
        lock (_gate)
        {
            if (_young.TryGetValue(text, out ParseResult? meanwhile))
                return meanwhile;
            Add(text, parsed);
        }
        return parsed;
    }

    private void Add(string text, ParseResult parsed)
    {
        if (_young.Count >= MaxCount || _characters + text.Length > MaxCharacters)
        {
            (_old, _young) = (_young, []);
            _characters = 0;
        }
        _young[text] = parsed;
        _characters += text.Length;
    }
}
