using Bellwether.Core.Model;
using Bellwether.Evaluate.PromQl.Syntax;
using MatchType = Bellwether.Core.Model.MatchType;

namespace Bellwether.Evaluate.Rules.Healing;

/// <summary>A selection in an expression: a sample at s counts for the value at t when t - BackMs ≤ s ≤ t + AheadMs.</summary>
internal sealed record Reading(IReadOnlyList<LabelMatcher> Matchers, long BackMs, long AheadMs)
{
    /// <summary>The name that the selection is bound to; null: any that its matchers allow.</summary>
    public string? Name { get; } = Matchers.FirstOrDefault(m => m.Name == LabelNames.MetricName && m.Type == MatchType.Equal)?.Value;

    /// <summary>Whether it may select a series of a name with some labels fixed.</summary>
    public bool MaySelect(string name, IReadOnlyList<KeyValuePair<string, string>> labels) => MaySelect(Matchers, name, labels);

    /// <summary>Whether matchers may select a series of a name with some labels fixed.</summary>
    public static bool MaySelect(IReadOnlyList<LabelMatcher> matchers, string name, IReadOnlyList<KeyValuePair<string, string>> labels)
    {
        foreach (LabelMatcher matcher in matchers)
        {
            if (matcher.Name == LabelNames.MetricName && !matcher.Matches(name))
                return false;
            foreach ((string label, string value) in labels)
            {
                if (label == matcher.Name && !matcher.Matches(value))
                    return false;
            }
        }
        return true;
    }
}

/// <summary>What an expression reads, and how far from the evaluated time.</summary>
internal sealed class RuleReach
{
    /// <summary>"From anywhere": a fixed time in the expression.</summary>
    public const long Unbounded = long.MaxValue / 4;
    private const long DefaultSubqueryStepMs = 60_000;
    private readonly long _lookbackMs;
    private readonly List<Reading> _readings = [];

    private RuleReach(long lookbackMs) => _lookbackMs = lookbackMs;

    /// <summary>Its selections.</summary>
    public IReadOnlyList<Reading> Readings => _readings;

    /// <summary>It means something else in a range query than at one time, so its steps are evaluated one by one.</summary>
    public bool IsOfOneTime { get; private set; }

    /// <summary>Looks through an expression that parses.</summary>
    public static RuleReach Of(Expr expression, TimeSpan lookback)
    {
        var reach = new RuleReach((long)lookback.TotalMilliseconds);
        reach.Visit(expression, 0, 0);
        return reach;
    }

    // back and ahead: how far the times at which this part is evaluated lie from the rule's.
    private void Visit(Expr expression, long back, long ahead)
    {
        switch (expression)
        {
            case ParenExpr paren:
                Visit(paren.Inner, back, ahead);
                break;
            case UnaryExpr unary:
                Visit(unary.Operand, back, ahead);
                break;
            case VectorSelector selector:
                Add(selector, selector.Boundary == Boundary.None ? _lookbackMs : 2 * _lookbackMs, back, ahead);
                break;
            case MatrixSelector matrix:
                Add(matrix.Selector, MsOf(matrix.Range) + (matrix.Selector.Boundary == Boundary.None ? 0 : _lookbackMs), back, ahead);
                break;
            case SubqueryExpr subquery:
                long range = MsOf(subquery.Range) + (subquery.Step is { } step ? MsOf(step) : DefaultSubqueryStepMs);
                (long subBack, long subAhead) = Shift(subquery.Offset, subquery.At, back, ahead);
                Visit(subquery.Inner, Sum(subBack, range), subAhead);
                break;
            case AggregateExpr aggregate:
                Visit(aggregate.Inner, back, ahead);
                if (aggregate.Parameter is { } parameter)
                    Visit(parameter, back, ahead);
                break;
            case BinaryExpr binary:
                Visit(binary.Left, back, ahead);
                Visit(binary.Right, back, ahead);
                break;
            case CallExpr call:
                // It joins with other series than those that are written.
                if (call.Function.Name == "info")
                    _readings.Add(new Reading([], Sum(back, _lookbackMs), ahead));
                IsOfOneTime |= call.Function.Name is "start" or "end" or "step" or "range";
                foreach (Expr argument in call.Arguments)
                    Visit(argument, back, ahead);
                break;
        }
    }

    private void Add(VectorSelector selector, long window, long back, long ahead)
    {
        (back, ahead) = Shift(selector.Offset, selector.At, back, ahead);
        // smoothed looks at the sample behind the time, too.
        long after = selector.Boundary == Boundary.Smoothed ? _lookbackMs : 0;
        IReadOnlyList<LabelMatcher> matchers = selector.Name.Length > 0 && !selector.Matchers.Any(m => m.Name == LabelNames.MetricName)
            ? [new LabelMatcher(MatchType.Equal, LabelNames.MetricName, selector.Name), .. selector.Matchers]
            : selector.Matchers;
        _readings.Add(new Reading(matchers, Sum(back, window), Sum(ahead, after)));
    }

    private (long Back, long Ahead) Shift(DurationNode? offset, AtModifier at, long back, long ahead)
    {
        switch (at.Kind)
        {
            case AtKind.Time:
                return (Unbounded, Unbounded);
            case AtKind.Start or AtKind.End:
                IsOfOneTime = true;
                break;
        }
        long shift = offset is null ? 0 : MsOf(offset);
        return (Sum(back, Math.Max(0, shift)), Sum(ahead, Math.Max(0, -shift)));
    }

    // A duration that depends on the query's step cannot be known here.
    private long MsOf(DurationNode node)
    {
        if (node is not (DurationLiteral or DurationUnary or DurationParen))
            IsOfOneTime = true;
        return node.ResolveMs(1, 1, out _) ?? 0;
    }

    private static long Sum(long a, long b) => Math.Min(Unbounded, a + b);
}
