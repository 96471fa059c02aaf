using Bellwether.Evaluate.PromQl.Syntax;

namespace Bellwether.Evaluate.PromQl;

/// <summary>A query that was parsed, for who asks it again and again: it is kept as long as its owner lives. Made by <see cref="PromQlEngine.Prepare"/>. Immutable, thread-safe.</summary>
public sealed class PreparedQuery
{
    internal PreparedQuery(string text, ParseResult parsed, bool isExact = false)
    {
        IsExact = isExact;
        Text = text;
        Parsed = parsed;
    }

    /// <summary>The text as it was given.</summary>
    public string Text { get; }

    /// <summary>What it says; null: it does not parse, and asking it gives the error.</summary>
    public Expr? Expression => Parsed.Expr;

    /// <summary>Whether steps of which only an approximate value is known have no result instead.</summary>
    public bool IsExact { get; }

    /// <summary>
    /// The same query, for who replaces exact results: where only coarser slots are kept, an instant selector between their ends has no result instead of an older value, and neither has a
    /// sum whose last bits depend on its order.
    /// </summary>
    public PreparedQuery Exactly() => new(Text, Parsed, isExact: true);

    internal ParseResult Parsed { get; }
}
