using Bellwether.Core.Configuration;
using Bellwether.Evaluate.PromQl.Syntax;
using Bellwether.Evaluate.Rules;
using Bellwether.Evaluate.Rules.Templates;

namespace Bellwether.Evaluate.Kpi.Sla;

/// <summary>Makes the rules of service levels: the value over the measurement window, the value over the evaluation window, the target, whether it is missed, and the state.</summary>
public static class SlaCompiler
{
    /// <summary>The value over the measurement window, by <c>sla</c> and <c>tier</c>.</summary>
    public const string MeasuredMetric = "sla:measured";

    /// <summary>The value over the evaluation window.</summary>
    public const string ActualMetric = "sla:actual";

    /// <summary>The target.</summary>
    public const string TargetMetric = "sla:target";

    /// <summary>1 while the value over the evaluation window misses the target.</summary>
    public const string MissedMetric = "sla:missed";

    /// <summary>0 healthy; 1 warning: the value of now misses the target, or has not missed it for longer than the grace period; 2 critical: missed for longer than it.</summary>
    public const string StateMetric = "sla:state";

    /// <summary>A template with its window put in.</summary>
    public static string At(string template, TimeSpan window) => template.Replace("$window", PrometheusDuration.Format(window), StringComparison.Ordinal);

    /// <summary>The value of a check over a window.</summary>
    public static string ValueOver(SlaCheck check, TimeSpan window) => check.IsCounted
        ? KpiReading.Text(new RatioForm(At(check.Part, window), At(check.Total, window), check.IsBad), 100)
        : PromQlParser.Parse(At(check.Value, window)).Expr?.ToString() ?? At(check.Value, window);

    /// <summary>The rule group of a check.</summary>
    internal static string GroupName(SlaCheck check) => $"sla:{check.Definition}";

    internal static IEnumerable<RuleGroupDefinition> Groups(SlaSet set, string file)
    {
        foreach (IGrouping<string, SlaCheck> definition in set.Checks.GroupBy(c => c.Definition, StringComparer.Ordinal))
            yield return new RuleGroupDefinition { Name = GroupName(definition.First()), File = file, Rules = [.. definition.SelectMany(Rules)] };
    }

    private static IEnumerable<RuleDefinition> Rules(SlaCheck check)
    {
        string labels = $"{{sla={new StringLiteral(check.Id)}, tier={new StringLiteral(check.Tier)}}}", target = Numbers.Text(check.Target);
        char worse = check.Direction == KpiDirection.Higher ? '<' : '>';
        string grace = check.GracePeriod > TimeSpan.Zero ? $"min_over_time({MissedMetric}{labels}[{PrometheusDuration.Format(check.GracePeriod)}])" : $"{MissedMetric}{labels}";
        yield return Rule(check, MeasuredMetric, ValueOver(check, check.MeasurementWindow));
        yield return Rule(check, ActualMetric, ValueOver(check, check.EvaluationWindow));
        yield return Rule(check, TargetMetric, $"vector({target})");
        yield return Rule(check, MissedMetric, $"({ActualMetric}{labels} {worse} bool {target}) and {ActualMetric}{labels} == {ActualMetric}{labels}");
        yield return Rule(check, StateMetric, $"clamp_max({MissedMetric}{labels} + ({MeasuredMetric}{labels} {worse} bool {target}), 1) + {grace}");
    }

    private static RuleDefinition Rule(SlaCheck check, string record, string expression)
    {
        string query = PromQlParser.Parse(expression).Expr?.ToString() ?? expression;
        // Without a tier the label is set to nothing, which is no label: so the rule can be told from those of the tiers.
        List<KeyValuePair<string, AlertTemplate>> labels = [new("sla", AlertTemplate.Plain(check.Id)), new("tier", AlertTemplate.Plain(check.Tier))];
        return new RuleDefinition { Name = record, IsAlert = false, Expression = query, Query = query, Labels = labels };
    }
}
