using System.Numerics;
using Bellwether.Core.Configuration;
using Bellwether.Evaluate.PromQl.Syntax;

namespace Bellwether.Evaluate.Rules;

/// <summary>How long a store keeps what, at which resolution.</summary>
/// <param name="Raw">Samples as they are.</param>
/// <param name="FiveMinutes">Slots of 5 minutes; zero: none are made.</param>
/// <param name="OneHour">Slots of 1 hour; zero: none are made.</param>
public sealed record KeptFor(TimeSpan Raw, TimeSpan FiveMinutes, TimeSpan OneHour)
{
    /// <summary>How long anything is kept.</summary>
    public TimeSpan Longest => TimeSpan.FromTicks(Math.Max(Raw.Ticks, Math.Max(FiveMinutes.Ticks, OneHour.Ticks)));
}

/// <summary>
/// Finds rules that read further back than samples are kept, and that coarser slots cannot answer at each of their steps. Such a rule has results as long as the store is young, and misses
/// steps later.
/// </summary>
public static class RetentionCheck
{
    private static readonly HashSet<string> s_overSlots =
    [
        "rate", "increase", "delta", "changes", "resets", "count_over_time", "sum_over_time", "avg_over_time", "max_over_time", "min_over_time",
        "last_over_time", "first_over_time", "ts_of_last_over_time", "ts_of_first_over_time", "present_over_time", "absent_over_time",
    ];

    /// <summary>One warning per rule, with its file, line and name.</summary>
    /// <param name="groups">The groups, parsed.</param>
    /// <param name="options">Interval and offset of groups that name none.</param>
    /// <param name="kept">What is kept.</param>
    public static IReadOnlyList<string> Warnings(IEnumerable<RuleGroupDefinition> groups, RuleEngineOptions options, KeptFor kept)
    {
        var warnings = new List<string>();
        foreach (RuleGroupDefinition group in groups)
        {
            TimeSpan interval = group.Interval ?? options.DefaultInterval;
            long grid = Gcd((long)interval.TotalMilliseconds, (long)(group.QueryOffset ?? options.DefaultQueryOffset).TotalMilliseconds);
            foreach (RuleDefinition rule in group.Rules)
            {
                if (PromQlParser.Parse(rule.Expression, new ParserOptions { Experimental = true }).Expr is not { } expr)
                    continue;
                var walk = new Walk(kept);
                walk.Visit(expr, TimeSpan.Zero, grid, "", interval);
                if (walk.Why.Length > 0)
                    warnings.Add($"{group.File}{(rule.Line > 0 ? $":{rule.Line}" : "")}: rule {rule.Name}: {walk.Why}");
            }
        }
        return warnings;
    }

    private static long Gcd(long a, long b) => (long)BigInteger.GreatestCommonDivisor(a, b);

    private sealed class Walk(KeptFor kept)
    {
        public string Why { get; private set; } = "";

        // back: how far the times at which this part is evaluated lie before the rule's; grid: what all of them are multiples of, in ms.
        public void Visit(Expr expr, TimeSpan back, long grid, string function, TimeSpan every)
        {
            switch (expr)
            {
                case VectorSelector selector:
                    Look(selector, TimeSpan.Zero, back, grid, function, every, selector.ToString());
                    return;
                case MatrixSelector matrix:
                    Look(matrix.Selector, Of(matrix.Range), back, grid, function, every, matrix.ToString());
                    return;
                case SubqueryExpr { At.Kind: AtKind.None } subquery:
                    TimeSpan step = subquery.Step is { } given ? Of(given) : TimeSpan.FromMinutes(1);
                    Visit(subquery.Inner, back + Of(subquery.Range) + Of(subquery.Offset), Math.Max(1, (long)step.TotalMilliseconds), "", step);
                    return;
                case CallExpr call:
                    foreach (Expr argument in call.Arguments)
                        Visit(argument, back, grid, argument.Type == PromQl.ValueType.Matrix ? call.Function.Name : "", every);
                    return;
                case ParenExpr paren:
                    Visit(paren.Inner, back, grid, function, every);
                    return;
                case UnaryExpr unary:
                    Visit(unary.Operand, back, grid, "", every);
                    return;
                case AggregateExpr aggregate:
                    Visit(aggregate.Inner, back, grid, "", every);
                    return;
                case BinaryExpr binary:
                    Visit(binary.Left, back, grid, "", every);
                    Visit(binary.Right, back, grid, "", every);
                    return;
            }
        }

        private void Look(VectorSelector selector, TimeSpan range, TimeSpan back, long grid, string function, TimeSpan every, string text)
        {
            TimeSpan offset = Of(selector.Offset), depth = back + offset + range;
            if (Why.Length > 0 || selector.At.Kind != AtKind.None || depth <= kept.Raw)
                return;
            string reaches = $"{text} reaches back {Text(depth)}";
            if (depth > kept.Longest)
            {
                Why = $"{reaches}, and nothing is kept for longer than {Text(kept.Longest)} (retention)";
                return;
            }
            TimeSpan slot = kept.FiveMinutes > TimeSpan.Zero && (depth <= kept.FiveMinutes || kept.OneHour == TimeSpan.Zero) ? TimeSpan.FromMinutes(5) : TimeSpan.FromHours(1);
            string older = $"{reaches}, and samples are kept for {Text(kept.Raw)} (retention.raw); of what is older there are slots of {Text(slot)}";
            long edges = Gcd(grid, Gcd((long)offset.TotalMilliseconds, (long)range.TotalMilliseconds));
            if (function.Length > 0 && !s_overSlots.Contains(function))
                Why = $"{older}, and {function} needs samples: there will be no result. Keep samples for {Text(depth)}, or record shorter windows";
            else if (edges % (long)slot.TotalMilliseconds != 0 && function.Length > 0)
                Why = $"{older}, over which {function} is known where windows begin and end at multiples of {Text(slot)}, and it is evaluated every {Text(every)}: other steps will have no result. Keep samples for {Text(depth)}, or make interval, range and offset multiples of {Text(slot)}";
            else if (edges % (long)slot.TotalMilliseconds != 0 && selector.Boundary == Boundary.Smoothed)
                Why = $"{older}, of which smoothed values are known at multiples of {Text(slot)}, and it is evaluated every {Text(every)}: other steps will have no result. Keep samples for {Text(depth)}, or make interval and offset multiples of {Text(slot)}";
            else if (edges % (long)slot.TotalMilliseconds != 0)
                Why = $"{older}, so that values between multiples of {Text(slot)} will be older ones. Keep samples for {Text(depth)}, or make interval and offset multiples of {Text(slot)}";
        }

        // What depends on the query's step is not known here, and short.
        private static TimeSpan Of(DurationNode? node) => TimeSpan.FromMilliseconds(node?.ResolveMs(1, 1, out _) ?? 0);

        private static string Text(TimeSpan duration) => PrometheusDuration.Format(duration);
    }
}
