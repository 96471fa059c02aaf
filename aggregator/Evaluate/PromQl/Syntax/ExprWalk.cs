using Bellwether.Core.Model;
using MatchType = Bellwether.Core.Model.MatchType;

namespace Bellwether.Evaluate.PromQl.Syntax;

/// <summary>Walks over expressions.</summary>
public static class ExprWalk
{
    /// <summary>The expression and all within it, outer before inner.</summary>
    public static IEnumerable<Expr> All(Expr expr)
    {
        yield return expr;
        foreach (Expr child in Children(expr))
        {
            foreach (Expr one in All(child))
                yield return one;
        }
    }

    /// <summary>What stands directly in an expression.</summary>
    public static IEnumerable<Expr> Children(Expr expr) => expr switch
    {
        ParenExpr p => [p.Inner],
        UnaryExpr u => [u.Operand],
        MatrixSelector m => [m.Selector],
        SubqueryExpr q => [q.Inner],
        AggregateExpr a => a.Parameter is null ? [a.Inner] : [a.Parameter, a.Inner],
        BinaryExpr b => [b.Left, b.Right],
        CallExpr c => c.Arguments,
        _ => [],
    };

    /// <summary>The selectors in an expression, those of ranges among them.</summary>
    public static IEnumerable<VectorSelector> Selectors(Expr expr) => All(expr).OfType<VectorSelector>();

    /// <summary>The metric that a selector names, by word or by an equal matcher; empty: none.</summary>
    public static string MetricOf(VectorSelector selector) =>
        selector.Name.Length > 0 ? selector.Name : selector.Matchers.FirstOrDefault(m => m is { Name: LabelNames.MetricName, Type: MatchType.Equal })?.Value ?? "";

    /// <summary>Whether the value at a time depends on that time and the samples up to it only: not on start, end or step of the query, and not on later samples.</summary>
    internal static bool IsLocal(Expr expr)
    {
        foreach (Expr one in All(expr))
        {
            bool isLocal = one switch
            {
                VectorSelector v => v.At.Kind == AtKind.None && v.Boundary == Boundary.None && IsBackward(v.Offset),
                MatrixSelector m => m.Range is DurationLiteral,
                SubqueryExpr q => q.At.Kind == AtKind.None && IsBackward(q.Offset) && q.Range is DurationLiteral && q.Step is null or DurationLiteral,
                CallExpr c => c.Function.Name is not ("start" or "end" or "step" or "range" or "sort" or "sort_desc" or "sort_by_label" or "sort_by_label_desc"),
                _ => true,
            };
            if (!isLocal)
                return false;
        }
        return true;
    }

    private static bool IsBackward(DurationNode? offset) => offset is null or DurationLiteral { Value: >= 0 };
}
