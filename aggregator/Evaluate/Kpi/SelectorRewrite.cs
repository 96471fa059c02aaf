using Bellwether.Evaluate.PromQl.Syntax;

namespace Bellwether.Evaluate.Kpi;

/// <summary>Makes an expression in which every selector is another one.</summary>
internal static class SelectorRewrite
{
    /// <summary>The expression with each selector replaced.</summary>
    public static Expr Map(Expr expr, Func<VectorSelector, VectorSelector> change) => expr switch
    {
        VectorSelector selector => change(selector),
        MatrixSelector matrix => matrix with { Selector = change(matrix.Selector) },
        ParenExpr paren => paren with { Inner = Map(paren.Inner, change) },
        UnaryExpr unary => unary with { Operand = Map(unary.Operand, change) },
        SubqueryExpr subquery => subquery with { Inner = Map(subquery.Inner, change) },
        AggregateExpr aggregate => aggregate with { Inner = Map(aggregate.Inner, change), Parameter = aggregate.Parameter is { } parameter ? Map(parameter, change) : null },
        BinaryExpr binary => binary with { Left = Map(binary.Left, change), Right = Map(binary.Right, change) },
        CallExpr call => call with { Arguments = [.. call.Arguments.Select(a => Map(a, change))] },
        _ => expr,
    };
}
