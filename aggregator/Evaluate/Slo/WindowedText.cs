using Bellwether.Core.Configuration;
using Bellwether.Evaluate.PromQl.Syntax;
using ValueType = Bellwether.Evaluate.PromQl.ValueType;

namespace Bellwether.Evaluate.Slo;

/// <summary>Makes PromQL over a window out of a query as written.</summary>
internal static class WindowedText
{
    private static readonly string[] s_marks = ["{{.window}}", "{{ .window }}", "{{.window }}", "{{ .window}}"];
    private static readonly HashSet<string> s_growth = ["rate", "increase"];

    /// <summary>Whether the text says where its range goes.</summary>
    public static bool HasMark(string text) => s_marks.Any(m => text.Contains(m, StringComparison.Ordinal));

    /// <summary>The text with the window in its place.</summary>
    public static string Fill(string text, TimeSpan window)
    {
        foreach (string mark in s_marks)
            text = text.Replace(mark, PrometheusDuration.Format(window), StringComparison.Ordinal);
        return text;
    }

    /// <summary>The value over a window: what the query says with its mark filled in, what counters grew by, or the sum of a gauge's samples. An error text when it is no PromQL.</summary>
    public static (string? Text, string Error) At(SloQuery query, TimeSpan window)
    {
        string text = query.Kind == SloQueryKind.Windowed ? Fill(query.Text, window) : query.Text;
        ParseResult parsed = PromQlParser.Parse(text);
        if (parsed.Expr is not { } expr)
            return (null, $"is not PromQL: {parsed.Errors[0]}");
        if (expr.Type is not (ValueType.Vector or ValueType.Scalar))
            return (null, "must give a vector, not a range or a text");
        switch (query.Kind)
        {
            case SloQueryKind.Windowed:
                return (text, "");
            case SloQueryKind.Counter:
                Expr? grown = Grown(expr, new DurationLiteral(window.TotalSeconds));
                return grown is null
                    ? (null, $"a counter's query is a selector, sums of selectors, or rate() and increase() of one; of this no growth over a window can be told: write {{{{.window}}}} where its range goes, or counter: false")
                    : (Summed(grown).ToString(), "");
            default:
                string inner = expr is VectorSelector { Offset: null, At.Kind: AtKind.None }
                    ? $"{expr}[{PrometheusDuration.Format(window)}]"
                    : $"({expr})[{PrometheusDuration.Format(window)}:1m]";
                return (expr is AggregateExpr or CallExpr { Function.Name: "vector" } ? $"sum_over_time({inner})" : $"sum(sum_over_time({inner}))", "");
        }
    }

    /// <summary>
    /// Turns <c>rate</c> over the window into <c>increase</c>, where the result is the same but for the factor: sums, plus, minus and or of rates. A query that is more than
    /// that keeps its text.
    /// </summary>
    public static string AsCount(string text)
    {
        Expr? expr = PromQlParser.Parse(text).Expr;
        return expr is not null && IsLinear(expr) && Increased(expr) is { } counted ? counted.ToString() : text;
    }

    /// <summary>Whether a text is a selector, or a function of one, so that each series of it comes out.</summary>
    public static bool IsPlainSeries(string text) => PromQlParser.Parse(text).Expr is VectorSelector or CallExpr { Function.ArgumentTypes: [ValueType.Matrix, ..] };

    private static bool IsLinear(Expr expr) => expr switch
    {
        ParenExpr paren => IsLinear(paren.Inner),
        AggregateExpr { Op: "sum" } sum => IsLinear(sum.Inner),
        BinaryExpr { Op: "+" or "-" or "or" } binary => IsLinear(binary.Left) && (IsLinear(binary.Right) || IsZero(binary.Right)),
        CallExpr { Function.Name: "rate" } => true,
        _ => false,
    };

    private static bool IsZero(Expr expr) => expr is CallExpr { Function.Name: "vector", Arguments: [NumberLiteral { Value: 0 }] } || (expr is ParenExpr paren && IsZero(paren.Inner));

    private static Expr Increased(Expr expr) => expr switch
    {
        ParenExpr paren => paren with { Inner = Increased(paren.Inner) },
        AggregateExpr sum => sum with { Inner = Increased(sum.Inner) },
        BinaryExpr binary => binary with { Left = Increased(binary.Left), Right = Increased(binary.Right) },
        CallExpr { Function.Name: "rate" } call => call with { Function = FunctionTable.All["increase"] },
        _ => expr,
    };

    /// <summary>What the counters of an expression grew by in a window; null when it is more than sums of counters.</summary>
    private static Expr? Grown(Expr expr, DurationLiteral window) => expr switch
    {
        VectorSelector selector => Increase(new MatrixSelector(selector, window)),
        CallExpr call when s_growth.Contains(call.Function.Name) && call.Arguments[0] is MatrixSelector matrix => Increase(matrix with { Range = window }),
        ParenExpr paren => Grown(paren.Inner, window) is { } inner ? paren with { Inner = inner } : null,
        AggregateExpr { Op: "sum" } sum => Grown(sum.Inner, window) is { } summed ? sum with { Inner = summed } : null,
        BinaryExpr { Op: "or" } zero when IsZero(zero.Right) => Grown(zero.Left, window) is { } or ? zero with { Left = or } : null,
        BinaryExpr { Op: "+" or "-" or "or" } binary => Grown(binary.Left, window) is { } left && Grown(binary.Right, window) is { } right ? binary with { Left = left, Right = right } : null,
        _ => null,
    };

    private static CallExpr Increase(MatrixSelector of) => new(FunctionTable.All["increase"], [of]);

    private static Expr Summed(Expr expr) => expr is AggregateExpr or BinaryExpr or ParenExpr ? expr : new AggregateExpr("sum", expr, null, [], false);
}
