using Bellwether.Evaluate.PromQl.Syntax;

namespace Bellwether.Evaluate.Kpi;

/// <summary>Goes through parsed expressions.</summary>
internal static class ExprWalk
{
    /// <summary>The expression and everything in it, outside in.</summary>
    public static IEnumerable<Expr> All(Expr root)
    {
        yield return root;
        foreach (Expr child in Children(root))
        {
            foreach (Expr each in All(child))
                yield return each;
        }
    }

    /// <summary>What stands directly in an expression.</summary>
    public static IEnumerable<Expr> Children(Expr expr) => expr switch
    {
        ParenExpr paren => [paren.Inner],
        UnaryExpr unary => [unary.Operand],
        MatrixSelector matrix => [matrix.Selector],
        SubqueryExpr subquery => [subquery.Inner],
        AggregateExpr aggregate => aggregate.Parameter is { } parameter ? [parameter, aggregate.Inner] : [aggregate.Inner],
        BinaryExpr binary => [binary.Left, binary.Right],
        CallExpr call => call.Arguments,
        _ => [],
    };

    /// <summary>The selectors in it.</summary>
    public static IEnumerable<VectorSelector> Selectors(Expr root) => All(root).OfType<VectorSelector>();

    /// <summary>The metric that a selector names, by word or by an equal matcher; empty: none.</summary>
    public static string MetricOf(VectorSelector selector) =>
        selector.Name.Length > 0 ? selector.Name : selector.Matchers.FirstOrDefault(m => m.Name == Core.Model.LabelNames.MetricName && m.Type == Core.Model.MatchType.Equal)?.Value ?? "";
}
