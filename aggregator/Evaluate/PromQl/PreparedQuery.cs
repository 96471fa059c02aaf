using Bellwether.Evaluate.PromQl.Syntax;

namespace Bellwether.Evaluate.PromQl;

/// <summary>A query that was parsed, for who asks it again and again: it is kept as long as its owner lives. Made by <see cref="PromQlEngine.Prepare"/>. Immutable, thread-safe.</summary>
public sealed class PreparedQuery
{
    internal PreparedQuery(string text, ParseResult parsed)
    {
        Text = text;
        Parsed = parsed;
    }

    /// <summary>The text as it was given.</summary>
    public string Text { get; }

    /// <summary>What it says; null: it does not parse, and asking it gives the error.</summary>
    public Expr? Expression => Parsed.Expr;

    internal ParseResult Parsed { get; }
}
