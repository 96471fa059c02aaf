using Bellwether.Core.Model;
using Bellwether.Evaluate.PromQl.Syntax;
using MatchType = Bellwether.Core.Model.MatchType;

namespace Bellwether.Evaluate.Kpi;

/// <summary>Makes from an expression the same one by labels: every aggregation keeps them, every match between vectors uses them.</summary>
internal static class BreakDown
{
    /// <summary>The last part of a break-down's recorded name.</summary>
    public static string Suffix(IEnumerable<string> labels) => ":by_" + string.Join("_", labels);

    /// <summary>The expression by labels; null with the reason when it cannot be told.</summary>
    /// <param name="expression">PromQL that parses.</param>
    /// <param name="labels">The labels to keep.</param>
    /// <param name="recordBy">For a metric that is a KPI: its record by these labels; null when that KPI has no such break-down; an empty text for any other metric.</param>
    /// <param name="reason">Why not.</param>
    public static string? Rewrite(string expression, IReadOnlyList<string> labels, Func<string, string?> recordBy, out string reason)
    {
        reason = "";
        if (PromQlParser.Parse(expression).Expr is not { } expr)
        {
            reason = "the expression does not parse";
            return null;
        }
        var rewriting = new Rewriting(labels, recordBy);
        Expr result = rewriting.Walk(expr);
        if (rewriting.Problem is null && !rewriting.Aggregates)
            rewriting.Problem = $"the expression aggregates nothing; write for example sum by ({string.Join(", ", labels)}) (...) under 'breakdowns'";
        reason = rewriting.Problem ?? "";
        return rewriting.Problem is null ? result.ToString() : null;
    }

    private sealed class Rewriting(IReadOnlyList<string> labels, Func<string, string?> recordBy)
    {
        public string? Problem { get; set; }

        public bool Aggregates { get; private set; }

        public Expr Walk(Expr expr)
        {
            switch (expr)
            {
                case ParenExpr paren:
                    return paren with { Inner = Walk(paren.Inner) };
                case UnaryExpr unary:
                    return unary with { Operand = Walk(unary.Operand) };
                case SubqueryExpr subquery:
                    return subquery with { Inner = Walk(subquery.Inner) };
                case MatrixSelector matrix:
                    return matrix with { Selector = Selector(matrix.Selector) };
                case VectorSelector selector:
                    return Selector(selector);
                case AggregateExpr aggregate:
                    return Aggregate(aggregate);
                case BinaryExpr binary:
                    return Binary(binary);
                case CallExpr call:
                    if (call.Function.Name is "vector" or "absent" or "absent_over_time" or "scalar")
                        Problem ??= $"{call.Function.Name}() has no labels to break down by; use the form 'ratio', or give the expression under 'breakdowns'";
                    return call with { Arguments = [.. call.Arguments.Select(Walk)] };
                default:
                    return expr;
            }
        }

        private VectorSelector Selector(VectorSelector selector)
        {
            string metric = ExprWalk.MetricOf(selector);
            string? record = recordBy(metric);
            if (record is null)
                Problem ??= $"the KPI recorded as {metric} is not broken down by {string.Join(", ", labels)} itself; add it there";
            if (string.IsNullOrEmpty(record))
                return selector;
            Aggregates = true;
            return selector with { Name = record, Matchers = [new LabelMatcher(MatchType.Equal, LabelNames.MetricName, record), .. selector.Matchers.Where(m => m.Name != LabelNames.MetricName)] };
        }

        private AggregateExpr Aggregate(AggregateExpr aggregate)
        {
            Aggregates = true;
            Expr inner = Walk(aggregate.Inner);
            IReadOnlyList<string> grouping = aggregate.Without
                ? [.. aggregate.Grouping.Except(labels)]
                : [.. aggregate.Grouping, .. labels.Except(aggregate.Grouping)];
            return aggregate with { Inner = inner, Grouping = grouping };
        }

        private BinaryExpr Binary(BinaryExpr binary)
        {
            VectorMatching? matching = binary.Matching;
            if (matching is { On: true })
                matching = matching with { Labels = [.. matching.Labels, .. labels.Except(matching.Labels)] };
            else if (matching is not null && matching.Labels.Intersect(labels).Any())
                matching = matching with { Labels = [.. matching.Labels.Except(labels)] };
            return binary with { Left = Walk(binary.Left), Right = Walk(binary.Right), Matching = matching };
        }
    }
}
