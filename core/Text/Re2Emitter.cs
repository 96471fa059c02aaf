using System.Globalization;
using System.Text;

namespace Bellwether.Core.Text;

/// <summary>
/// Writes a parsed RE2 pattern as a .NET pattern (NonBacktracking, Singleline, CultureInvariant) that means the same: sets as code points, groups by number.
/// ASCII word boundaries cannot be said there, and assertions not everywhere; <see cref="CanEmit"/> tells.
/// </summary>
internal static class Re2Emitter
{
    /// <summary>
    /// Whether the .NET engine can say it. Assertions only in the outermost sequence: inside repetitions and alternations .NET 10's NonBacktracking engine
    /// decides some of them wrong before a line end (found by the random comparison in the tests).
    /// </summary>
    public static bool CanEmit(Re2Node node)
    {
        var edges = new HashSet<int>();
        CollectEdges(node, edges);
        return edges.Count <= MaxEdges && HasPlacesOutsideOnly(node);
    }

    // Beyond 64 classes of characters that engine changes its representation, and then it was seen to miss line ends: such patterns run on our own machine.
    private const int MaxEdges = 56;

    /// <summary>Where a set begins or ends: there are at most one more classes of characters than such places.</summary>
    private static void CollectEdges(Re2Node node, HashSet<int> edges)
    {
        switch (node)
        {
            case Re2Class c:
                foreach ((int low, int high) in c.Set.Ranges.Take(MaxEdges + 1))
                {
                    edges.Add(low);
                    edges.Add(high + 1);
                    // A supplementary range is written as pairs: as many again for their halves.
                    if (high > 0xFFFF && c.Set.Ranges.Length > 1 && !c.Set.HasAllSupplementary)
                    {
                        edges.Add(-low - 1);
                        edges.Add(-high - 2);
                    }
                }
                break;
            case Re2Concat c:
                c.Items.ForEach(i => CollectEdges(i, edges));
                break;
            case Re2Alternate a:
                a.Items.ForEach(i => CollectEdges(i, edges));
                break;
            case Re2Repeat r:
                CollectEdges(r.Item, edges);
                break;
            case Re2Group g:
                CollectEdges(g.Item, edges);
                break;
        }
    }

    private static bool HasPlacesOutsideOnly(Re2Node node) => node switch
    {
        Re2Concat c => c.Items.TrueForAll(i => i is Re2Place p ? IsPlain(p) : HasNoPlace(i)),
        Re2Place p => IsPlain(p),
        _ => HasNoPlace(node),
    };

    private static bool IsPlain(Re2Place place) => place.Kind is not (Re2Assertion.WordBoundary or Re2Assertion.NoWordBoundary);

    private static bool HasNoPlace(Re2Node node) => node switch
    {
        Re2Place => false,
        Re2Concat c => c.Items.TrueForAll(HasNoPlace),
        Re2Alternate a => a.Items.TrueForAll(HasNoPlace),
        Re2Repeat r => HasNoPlace(r.Item),
        Re2Group g => HasNoPlace(g.Item),
        _ => true,
    };

    public static void Write(Re2Node node, StringBuilder text)
    {
        switch (node)
        {
            case Re2Class c:
                WriteSet(c.Set, text);
                break;
            case Re2Concat c:
                foreach (Re2Node item in c.Items)
                {
                    bool wrap = item is Re2Alternate;
                    text.Append(wrap ? "(?:" : "");
                    Write(item, text);
                    text.Append(wrap ? ")" : "");
                }
                break;
            case Re2Alternate a:
                for (int i = 0; i < a.Items.Count; i++)
                {
                    text.Append(i > 0 ? "|" : "");
                    Write(a.Items[i], text);
                }
                break;
            case Re2Group g:
                text.Append(CultureInfo.InvariantCulture, $"(?<{g.Number}>");
                Write(g.Item, text);
                text.Append(')');
                break;
            case Re2Repeat r:
                WriteRepeat(r, text);
                break;
            case Re2Place p:
                text.Append(p.Kind switch { Re2Assertion.TextStart => @"\A", Re2Assertion.TextEnd => @"\z", Re2Assertion.LineStart => "(?m:^)", _ => "(?m:$)" });
                break;
        }
    }

    private static void WriteRepeat(Re2Repeat r, StringBuilder text)
    {
        string lazy = r.Greedy ? "" : "?";
        if (r is { Item: Re2Class { Set.HasAllSupplementary: true } c, Max: < 0, Min: <= 1 })
        {
            // Fast form: where all supplementary characters fit, single UTF-16 units may be repeated; whatever stands next begins at a whole character anyway.
            if (r.Min == 1)
                WriteSet(c.Set, text);
            text.Append(UnitClass(c.Set, withSurrogates: true)).Append('*').Append(lazy);
            return;
        }
        text.Append("(?:");
        Write(r.Item, text);
        text.Append(')').Append((r.Min, r.Max) switch
        {
            (0, -1) => "*",
            (1, -1) => "+",
            (0, 1) => "?",
            (_, -1) => string.Create(CultureInfo.InvariantCulture, $"{{{r.Min},}}"),
            _ => string.Create(CultureInfo.InvariantCulture, $"{{{r.Min},{r.Max}}}"),
        }).Append(lazy);
    }

    private static void WriteSet(RuneSet set, StringBuilder text)
    {
        var alternatives = new List<string>();
        if (set.Single is >= 0 and <= 0xFFFF and var single)
        {
            text.Append(Unit(single));
            return;
        }
        string units = UnitClass(set, withSurrogates: false);
        if (units.Length > 0)
            alternatives.Add(units);
        foreach ((int low, int high) in set.Ranges)
        {
            if (high > 0xFFFF)
                AddPairs(Math.Max(low, 0x10000), high, alternatives);
        }
        // An empty set fits nothing: a class that .NET cannot fit either.
        text.Append(alternatives.Count == 0 ? @"[^\s\S]" : alternatives.Count == 1 ? alternatives[0] : $"(?:{string.Join('|', alternatives)})");
    }

    private static string UnitClass(RuneSet set, bool withSurrogates)
    {
        var text = new StringBuilder("[");
        foreach ((int low, int high) in set.Ranges)
        {
            if (withSurrogates && low <= 0xDFFF && high >= 0xD800)
            {
                AddRange(text, low, Math.Min(high, 0xFFFF));
                continue;
            }
            AddRange(text, low, Math.Min(high, 0xD7FF));
            AddRange(text, Math.Max(low, 0xE000), Math.Min(high, 0xFFFF));
        }
        if (withSurrogates)
            AddRange(text, 0xD800, 0xDFFF);
        return text.Length == 1 ? "" : text.Append(']').ToString();
    }

    private static void AddRange(StringBuilder text, int low, int high)
    {
        if (low > high)
            return;
        text.Append(Unit(low));
        if (high > low)
            text.Append('-').Append(Unit(high));
    }

    private static void AddPairs(int low, int high, List<string> alternatives)
    {
        while (low <= high)
        {
            int top = low >> 10;
            int end = (low & 0x3FF) == 0 && high >> 10 > top ? (((high + 1) >> 10) << 10) - 1 : Math.Min(high, (low | 0x3FF));
            int first = 0xD800 + ((low - 0x10000) >> 10), last = 0xD800 + ((end - 0x10000) >> 10);
            string head = first == last ? Unit(first) : $"[{Unit(first)}-{Unit(last)}]";
            alternatives.Add($"{head}[{Unit(0xDC00 + (low & 0x3FF))}-{Unit(0xDC00 + (end & 0x3FF))}]");
            low = end + 1;
        }
    }

    private static string Unit(int value) => value < 0x80 && char.IsAsciiLetterOrDigit((char)value) ? ((char)value).ToString() : string.Create(CultureInfo.InvariantCulture, $@"\u{value:X4}");
}
