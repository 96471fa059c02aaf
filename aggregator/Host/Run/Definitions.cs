using Bellwether.Core.Configuration;
using Bellwether.Evaluate.Kpi;
using Bellwether.Evaluate.Kpi.Sla;
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
    public IReadOnlyList<string> Warnings => [.. Rules.Warnings, .. Kpis.Warnings, .. Slos.Warnings, .. UnknownPlanned(), .. BeyondRetention];

    /// <summary>Warnings of rules that read further back than samples are kept.</summary>
    public IReadOnlyList<string> BeyondRetention { get; init; } = [];

    private IEnumerable<string> UnknownPlanned()
    {
        HashSet<string> names = [.. Slos.Set.Slos.SelectMany(s => new[] { s.Id, s.Name })], services = [.. Slos.Set.Slos.Select(s => s.Service)];
        foreach (Maintenance maintenance in Kpis.Slas.Maintenances)
        {
            foreach (string name in maintenance.Slos.Where(n => !names.Contains(n)))
                yield return $"maintenance '{maintenance.Name}': there is no objective '{name}'{Near(name, names)}";
            foreach (string name in maintenance.Services.Where(n => !services.Contains(n)))
                yield return $"maintenance '{maintenance.Name}': no objective is of a service '{name}'{Near(name, services)}";
        }
    }

    private static string Near(string word, IEnumerable<string> words) => NearestWord.Find(word, words) is { } near ? $"; did you mean '{near}'?" : "";
}
