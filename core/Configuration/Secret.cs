namespace Bellwether.Core.Configuration;

/// <summary>A password or token. It never prints: only <see cref="Reveal"/> gives the text, at the place that sends it.</summary>
public sealed class Secret(string text) : IEquatable<Secret>
{
    private readonly string _text = text;

    /// <summary>Whether there is no text at all.</summary>
    public bool IsEmpty => _text.Length == 0;

    /// <summary>The text itself; for the place that sends it only.</summary>
    public string Reveal() => _text;

    /// <inheritdoc/>
    public bool Equals(Secret? other) => other is not null && _text == other._text;

    /// <inheritdoc/>
    public override bool Equals(object? obj) => Equals(obj as Secret);

    /// <inheritdoc/>
    public override int GetHashCode() => _text.GetHashCode(StringComparison.Ordinal);

    /// <inheritdoc/>
    public override string ToString() => "<secret>";
}
