using Bellwether.Evaluate.PromQl.Syntax;

namespace Bellwether.Kit.PromQl;

/// <summary>Pins every selector and subquery without <c>@</c> to a time.</summary>
internal static class AtRewriter
{
    public static Expr Pin(Expr expr, long timeMs)
    {
        var at = new AtModifier(AtKind.Time, timeMs);
        return expr switch
        {
            ParenExpr p => p with { Inner = Pin(p.Inner, timeMs) },
            UnaryExpr u => u with { Operand = Pin(u.Operand, timeMs) },
            VectorSelector v => v.At.Kind == AtKind.None ? v with { At = at } : v,
            MatrixSelector m => m.Selector.At.Kind == AtKind.None ? m with { Selector = m.Selector with { At = at } } : m,
            SubqueryExpr q => q.At.Kind == AtKind.None ? q with { At = at } : q,
            AggregateExpr a => a with { Inner = Pin(a.Inner, timeMs), Parameter = a.Parameter is null ? null : Pin(a.Parameter, timeMs) },
            BinaryExpr b => b with { Left = Pin(b.Left, timeMs), Right = Pin(b.Right, timeMs) },
            CallExpr c => c with { Arguments = [.. c.Arguments.Select((a, i) => c.Function.Name == "info" && i == 1 ? a : Pin(a, timeMs))] },
            _ => expr,
        };
    }
}
