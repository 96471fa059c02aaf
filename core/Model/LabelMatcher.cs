using Bellwether.Core.Text;

namespace Bellwether.Core.Model;

/// <summary>How a matcher compares.</summary>
public enum MatchType
{
    /// <summary>=</summary>
    Equal,
    /// <summary>!=</summary>
    NotEqual,
    /// <summary>=~, anchored at both ends</summary>
    Regex,
    /// <summary>!~, anchored at both ends</summary>
    NotRegex,
}

/// <summary>One condition on a label. A missing label counts as the empty string. Thread-safe.</summary>
public sealed class LabelMatcher : IEquatable<LabelMatcher>
{
    private readonly Re2Pattern? _pattern;
    private readonly int _hash;

    /// <summary>Makes a matcher. Throws <see cref="FormatException"/> when the pattern is not valid RE2.</summary>
    public LabelMatcher(MatchType type, string name, string value)
    {
        Type = type;
        Name = name;
        Value = value;
        _hash = HashCode.Combine(type, name, value);
        if (type is MatchType.Regex or MatchType.NotRegex)
            _pattern = Re2Pattern.CompileAnchored(value);
    }

    /// <summary>How it compares.</summary>
    public MatchType Type { get; }

    /// <summary>The label.</summary>
    public string Name { get; }

    /// <summary>The value or pattern.</summary>
    public string Value { get; }

    /// <summary>The finite set of values that a regular expression can match, if it is a plain alternation such as <c>a|b|c</c>; else null.</summary>
    public IReadOnlyList<string>? LiteralAlternatives => _pattern?.LiteralAlternatives;

    /// <summary>Whether the label value (empty: absent) fits.</summary>
    public bool Matches(string value) => Type switch
    {
        MatchType.Equal => value == Value,
        MatchType.NotEqual => value != Value,
        MatchType.Regex => _pattern!.IsMatch(value),
        _ => !_pattern!.IsMatch(value),
    };

    /// <summary>Whether a whole label set fits.</summary>
    public bool Matches(Labels labels) => Matches(labels.Get(Name));

    /// <summary>Whether it fits series that do not have the label.</summary>
    public bool MatchesEmpty => Matches("");

    /// <inheritdoc/>
    public bool Equals(LabelMatcher? other) => ReferenceEquals(this, other) || (other is not null && _hash == other._hash && Type == other.Type && Name == other.Name && Value == other.Value);

    /// <inheritdoc/>
    public override bool Equals(object? obj) => Equals(obj as LabelMatcher);

    /// <inheritdoc/>
    public override int GetHashCode() => _hash;
}
