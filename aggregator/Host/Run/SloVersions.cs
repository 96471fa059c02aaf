using Bellwether.Evaluate.Kpi;
using Bellwether.Evaluate.Slo;
using Bellwether.Evaluate.Slo.Compiling;

namespace Bellwether.Aggregator.Run;

/// <summary>What makes an objective's numbers, as a version of its definition.</summary>
internal static class SloVersions
{
    /// <summary>The objectives of a set. A calendar objective stands with the rules of one fixed period: a new month is no change of it.</summary>
    public static IReadOnlyList<KpiVersion> Of(SloSet set) => [.. SloCompiler.Compile(set, new CountStyleOptions { AtMs = 0, Periods = 1 }).Select(Of)];

    private static KpiVersion Of(CompiledSlo slo) => new()
    {
        Name = slo.Slo.Id,
        Record = BudgetRules.Remaining,
        Target = (double)slo.Slo.ObjectivePercent,
        IntervalMs = (long)(slo.Groups[0].Interval ?? TimeSpan.Zero).TotalMilliseconds,
        Rules = [.. slo.Groups.SelectMany(g => g.Rules).Where(r => !r.IsAlert).Select(r => new KpiRuleText(r.Name, r.Expression, new SortedDictionary<string, string>(r.Labels.ToDictionary(), StringComparer.Ordinal)))],
    };
}
