using System.Collections.Frozen;
using System.Globalization;
using System.Text;
using System.Text.RegularExpressions;

namespace Bellwether.Core.Text;

/// <summary>
/// A regular expression that means what RE2 means in Go (Prometheus' dialect), in linear time. Thread-safe; compares by the text of the pattern.
/// RE2 differs from .NET in classes, flags, '.', anchors and what is refused, so the pattern is parsed here and written anew for .NET's engine without backtracking.
/// A text with half a surrogate pair is not text: it fits only wildcards. Source: the RE2 syntax page.
/// </summary>
public sealed class Re2Pattern : IEquatable<Re2Pattern>
{
    /// <summary>The longest pattern, in characters: dashboards write alternations of some hundreds of names.</summary>
    public const int MaxLength = 64 * 1024;

    private readonly FrozenSet<string>.AlternateLookup<ReadOnlySpan<char>>? _literals;
    private readonly Re2Shape? _shape;
    private readonly bool _anchored;
    private readonly bool _isDefault;
    private readonly IReadOnlyList<string?> _names;
    private readonly Lazy<(Regex? Regex, Re2Machine? Machine)> _engine;

    private Re2Pattern(string pattern, bool anchored)
    {
        if (pattern.Length > MaxLength)
            throw new FormatException($"invalid regular expression: it has {pattern.Length} characters; at most {MaxLength}");
        Pattern = pattern;
        _anchored = anchored;
        // Prometheus compiles ^(?s:...)$, so '.' is any character in an anchored pattern.
        (Re2Node root, _names) = Re2Parser.Parse(pattern, dotAll: anchored);
        if (anchored)
        {
            LiteralAlternatives = Re2Shape.Literals(root);
            _literals = LiteralAlternatives?.ToFrozenSet(StringComparer.Ordinal).GetAlternateLookup<ReadOnlySpan<char>>();
            _shape = Re2Shape.Of(root);
            _isDefault = root is Re2Group && _shape is not null && _shape.IsMatch("");
        }
        int groups = _names.Count;
        _engine = new Lazy<(Regex?, Re2Machine?)>(() => Build(root, groups, anchored));
        // What has a shape seldom needs an engine; all else finds out now whether it is too large.
        if (_literals is null && _shape is null)
            _ = _engine.Value;
    }

    /// <summary>The pattern as written.</summary>
    public string Pattern { get; }

    /// <summary>The values it can match when it is anchored and a plain alternation of literals, else null.</summary>
    public IReadOnlyList<string>? LiteralAlternatives { get; }

    /// <summary>Compiles a pattern anchored at both ends, '.' including line ends, as Prometheus uses them. Throws <see cref="FormatException"/> with position and reason when it is not valid RE2.</summary>
    public static Re2Pattern CompileAnchored(string pattern) => new(pattern, anchored: true);

    /// <summary>Compiles a pattern that may match anywhere, '.' without line ends, as Go's regexp.Compile. Throws <see cref="FormatException"/>.</summary>
    public static Re2Pattern Compile(string pattern) => new(pattern, anchored: false);

    /// <summary>Whether the whole text (unanchored: some of it) matches.</summary>
    public bool IsMatch(ReadOnlySpan<char> text)
    {
        if (_literals is { } literals)
            return literals.Contains(text);
        if (_shape is not null)
            return _shape.IsMatch(text);
        (Regex? regex, Re2Machine? machine) = _engine.Value;
        return regex?.IsMatch(text) ?? machine!.Match(text, _anchored) is not null;
    }

    /// <summary>Matches (unanchored: the first match) and expands a replacement with <c>$1</c>, <c>${1}</c>, <c>${name}</c>, <c>$$</c> as Go's regexp does; null when it does not match.</summary>
    /// <param name="text">The text.</param>
    /// <param name="replacement">The replacement.</param>
    /// <param name="maxLength">Of a longer result only so much more than this is made that it is longer: groups that are named again and again multiply a text.</param>
    public string? Replace(string text, string replacement, int maxLength = int.MaxValue)
    {
        // Fast path: the default rule copies a value.
        if (_isDefault && replacement == "$1")
            return text;
        if ((_literals is not null || _shape is not null) && (!IsMatch(text) || !replacement.Contains('$')))
            return IsMatch(text) ? replacement : null;
        int[]? groups = Groups(text);
        return groups is null ? null : Expand(text, replacement, groups, maxLength);
    }

    /// <summary>Start and end of each group, -1 where it took no part; null without a match.</summary>
    internal int[]? Groups(string text)
    {
        (Regex? regex, Re2Machine? machine) = _engine.Value;
        if (regex is null)
            return machine!.Match(text, _anchored);
        Match match = regex.Match(text);
        if (!match.Success)
            return null;
        int[] groups = new int[2 * _names.Count];
        for (int i = 0; i < _names.Count; i++)
        {
            Group group = match.Groups[i];
            (groups[2 * i], groups[(2 * i) + 1]) = group.Success ? (group.Index, group.Index + group.Length) : (-1, -1);
        }
        return groups;
    }

    /// <inheritdoc/>
    public bool Equals(Re2Pattern? other) => other is not null && Pattern == other.Pattern && _anchored == other._anchored;

    /// <inheritdoc/>
    public override bool Equals(object? obj) => Equals(obj as Re2Pattern);

    /// <inheritdoc/>
    public override int GetHashCode() => Pattern.GetHashCode(StringComparison.Ordinal);

    /// <inheritdoc/>
    public override string ToString() => Pattern;

    private static (Regex?, Re2Machine?) Build(Re2Node root, int groups, bool anchored)
    {
        if (Re2Emitter.CanEmit(root))
        {
            var text = new StringBuilder(anchored ? @"\A(?:" : "");
            Re2Emitter.Write(root, text);
            text.Append(anchored ? @")\z" : "");
            try
            {
                return (new Regex(text.ToString(), RegexOptions.NonBacktracking | RegexOptions.CultureInvariant | RegexOptions.Singleline), null);
            }
            catch (NotSupportedException)
            {
                // Beyond the engine's own limit of states: ours is slower and has more room.
                return (null, new Re2Machine(root, groups));
            }
        }
        return (null, new Re2Machine(root, groups));
    }

    /// <summary>Go's Expand: the longest run of letters, digits and underscores after <c>$</c> is the name; an unknown group is nothing.</summary>
    private string Expand(string text, string replacement, int[] groups, int maxLength)
    {
        var result = new StringBuilder();
        for (int i = 0; i < replacement.Length && result.Length <= maxLength; i++)
        {
            if (replacement[i] != '$')
            {
                result.Append(replacement[i]);
                continue;
            }
            if (i + 1 < replacement.Length && replacement[i + 1] == '$')
            {
                result.Append('$');
                i++;
                continue;
            }
            bool braces = i + 1 < replacement.Length && replacement[i + 1] == '{';
            int from = i + (braces ? 2 : 1), to = from;
            while (to < replacement.Length && (char.IsLetterOrDigit(replacement[to]) || replacement[to] == '_'))
                to++;
            if (to == from || (braces && (to == replacement.Length || replacement[to] != '}')))
            {
                // Malformed: the dollar sign stands for itself.
                result.Append('$');
                continue;
            }
            int group = GroupNumber(replacement[from..to]);
            if (group >= 0 && 2 * group < groups.Length && groups[2 * group] >= 0)
                result.Append(text, groups[2 * group], groups[(2 * group) + 1] - groups[2 * group]);
            i = braces ? to : to - 1;
        }
        return result.ToString();
    }

    private int GroupNumber(string name)
    {
        bool number = name.All(char.IsAsciiDigit) && !(name.Length > 1 && name[0] == '0');
        if (number)
            return int.TryParse(name, NumberStyles.None, CultureInfo.InvariantCulture, out int value) ? Math.Min(value, int.MaxValue / 4) : -1;
        for (int i = 1; i < _names.Count; i++)
        {
            if (_names[i] == name)
                return i;
        }
        return -1;
    }
}
