using Bellwether.Evaluate.Kpi;
using Bellwether.Evaluate.Rules;
using Bellwether.Evaluate.Slo;

namespace Bellwether.Aggregator.Run;

/// <summary>All definition files that a configuration names, read together. Immutable.</summary>
/// <param name="Rules">The rule files.</param>
/// <param name="Kpis">The KPI files.</param>
/// <param name="Slos">The SLO files, with the rules of now.</param>
internal sealed record Definitions(RuleSet Rules, KpiSet Kpis, SloRuleSet Slos)
{
    /// <summary>The groups that the rule engine evaluates: those of the files, and those that definitions compile to.</summary>
    public IReadOnlyList<RuleGroupDefinition> Groups => [.. Rules.Groups, .. Kpis.Groups, .. Slos.Groups];

    /// <summary>Remarks that refuse nothing.</summary>
    public IReadOnlyList<string> Warnings => [.. Rules.Warnings, .. Kpis.Warnings, .. Slos.Warnings];
}
