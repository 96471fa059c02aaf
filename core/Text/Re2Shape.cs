using System.Text;

namespace Bellwether.Core.Text;

/// <summary>
/// Shapes that need no engine: literals around wildcards, such as <c>foo.*</c>, <c>.*foo</c>, <c>.*foo.*</c>, <c>.+</c>, and alternations of literals. Anchored patterns with the s flag only.
/// </summary>
internal sealed class Re2Shape
{
    private const int MaxLiterals = 100_000;
    private readonly string _prefix;
    private readonly string _suffix;
    private readonly string? _contained;
    private readonly int _minMiddle;

    private Re2Shape(string prefix, int minMiddle, string suffix, string? contained)
    {
        _prefix = prefix;
        _minMiddle = minMiddle;
        _suffix = suffix;
        _contained = contained;
    }

    /// <summary>The shape of a pattern, or null when it needs the engine.</summary>
    public static Re2Shape? Of(Re2Node root)
    {
        List<Re2Node> items = root is Re2Concat c ? c.Items : [root];
        var wild = new List<int>();
        for (int i = 0; i < items.Count; i++)
        {
            Re2Node item = items[i] is Re2Group g ? g.Item : items[i];
            if (item is Re2Repeat { Item: Re2Class { Set: var set }, Min: 0 or 1, Max: -1 } && set.Ranges is [(0, RuneSet.Last)])
                wild.Add(i);
        }
        if (wild.Count == 1 && Literal(items, 0, wild[0]) is { } prefix && Literal(items, wild[0] + 1, items.Count) is { } suffix)
            return new Re2Shape(prefix, Min(items[wild[0]]), suffix, null);
        if (wild.Count == 2 && wild[0] == 0 && wild[1] == items.Count - 1 && Min(items[0]) + Min(items[^1]) == 0 && Literal(items, 1, items.Count - 1) is { } contained)
            return new Re2Shape("", 0, "", contained);
        return null;
    }

    /// <summary>The texts of an alternation of literals, or null.</summary>
    public static IReadOnlyList<string>? Literals(Re2Node root)
    {
        Re2Node node = root is Re2Group g ? g.Item : root;
        List<Re2Node> branches = node is Re2Alternate a ? a.Items : [node];
        if (branches.Count > MaxLiterals)
            return null;
        var literals = new List<string>(branches.Count);
        foreach (Re2Node branch in branches)
        {
            List<Re2Node> items = branch switch { Re2Concat c => c.Items, Re2Empty => [], _ => [branch] };
            if (Literal(items, 0, items.Count) is not { } literal)
                return null;
            literals.Add(literal);
        }
        return literals;
    }

    public bool IsMatch(ReadOnlySpan<char> text)
    {
        if (_contained is not null)
            return text.Contains(_contained, StringComparison.Ordinal);
        return text.Length >= _prefix.Length + _suffix.Length + _minMiddle && text.StartsWith(_prefix, StringComparison.Ordinal) && text.EndsWith(_suffix, StringComparison.Ordinal);
    }

    private static int Min(Re2Node node) => ((Re2Repeat)(node is Re2Group g ? g.Item : node)).Min;

    private static string? Literal(List<Re2Node> items, int from, int to)
    {
        var text = new StringBuilder();
        for (int i = from; i < to; i++)
        {
            if (items[i] is not Re2Class { Set.Single: >= 0 and not (>= 0xD800 and <= 0xDFFF) and var single })
                return null;
            text.Append(char.ConvertFromUtf32(single));
        }
        return text.ToString();
    }
}
