namespace Bellwether.Core.Text;

/// <summary>What stands between two characters.</summary>
internal enum Re2Assertion
{
    TextStart,
    TextEnd,
    LineStart,
    LineEnd,
    WordBoundary,
    NoWordBoundary,
}

/// <summary>A node of a parsed RE2 pattern.</summary>
internal abstract record Re2Node;

/// <summary>Matches nothing, everywhere.</summary>
internal sealed record Re2Empty : Re2Node;

/// <summary>One code point of a set.</summary>
internal sealed record Re2Class(RuneSet Set) : Re2Node;

/// <summary>One after the other.</summary>
internal sealed record Re2Concat(List<Re2Node> Items) : Re2Node;

/// <summary>One of them; the first that fits is preferred.</summary>
internal sealed record Re2Alternate(List<Re2Node> Items) : Re2Node;

/// <summary>Repetition; <see cref="Max"/> -1 = without end.</summary>
internal sealed record Re2Repeat(Re2Node Item, int Min, int Max, bool Greedy) : Re2Node;

/// <summary>A capturing group, numbered from 1.</summary>
internal sealed record Re2Group(Re2Node Item, int Number) : Re2Node;

/// <summary>A place, not a character.</summary>
internal sealed record Re2Place(Re2Assertion Kind) : Re2Node;

/// <summary>A set of code points as sorted ranges that do not touch.</summary>
internal sealed class RuneSet
{
    public const int Last = 0x10FFFF;

    private RuneSet((int Low, int High)[] ranges) => Ranges = ranges;

    /// <summary>Inclusive ranges.</summary>
    public (int Low, int High)[] Ranges { get; }

    public static RuneSet All { get; } = new([(0, Last)]);

    public bool IsEmpty => Ranges.Length == 0;

    /// <summary>The only code point, or -1.</summary>
    public int Single => Ranges.Length == 1 && Ranges[0].Low == Ranges[0].High ? Ranges[0].Low : -1;

    /// <summary>Whether all code points above U+FFFF are in it.</summary>
    public bool HasAllSupplementary => Ranges.Length > 0 && Ranges[^1].High == Last && Ranges[^1].Low <= 0x10000;

    public static RuneSet Of(int codePoint) => new([(codePoint, codePoint)]);

    public static RuneSet From(IEnumerable<(int Low, int High)> ranges)
    {
        var merged = new List<(int Low, int High)>();
        foreach ((int low, int high) in ranges.OrderBy(r => r.Low))
        {
            if (merged.Count > 0 && low <= merged[^1].High + 1)
                merged[^1] = (merged[^1].Low, Math.Max(merged[^1].High, high));
            else
                merged.Add((low, high));
        }
        return new RuneSet([.. merged]);
    }

    public RuneSet Negate()
    {
        var rest = new List<(int, int)>();
        int next = 0;
        foreach ((int low, int high) in Ranges)
        {
            if (low > next)
                rest.Add((next, low - 1));
            next = high + 1;
        }
        if (next <= Last)
            rest.Add((next, Last));
        return new RuneSet([.. rest]);
    }

    public bool Contains(int codePoint)
    {
        int low = 0, high = Ranges.Length - 1;
        while (low <= high)
        {
            int mid = (low + high) >>> 1;
            if (codePoint < Ranges[mid].Low)
                high = mid - 1;
            else if (codePoint > Ranges[mid].High)
                low = mid + 1;
            else
                return true;
        }
        return false;
    }
}
