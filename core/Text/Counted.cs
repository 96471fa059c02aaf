namespace Bellwether.Core.Text;

/// <summary>Numbers of things in sentences.</summary>
public static class Counted
{
    /// <summary>E.g. <c>1 rule</c>, <c>2 rules</c>; for nouns that take an s.</summary>
    public static string Of(long count, string noun) => count == 1 ? $"1 {noun}" : $"{count} {noun}s";
}
