using System.Globalization;
using Bellwether.Core.Configuration;

namespace Bellwether.Evaluate.Slo.Compiling;

/// <summary>
/// Composites (OpenSLO v1): with occurrences the members' burn rates are averaged by weight; with time slices a slice is bad when any member's is; with ratio time slices what
/// the members miss adds up, by weight. A member without traffic has no say.
/// </summary>
internal static class CompositeRules
{
    public const string BurnMetric = "slo:burn_rate:ratio";

    /// <summary>Adds the members' rules and the composite's burn rates. Gives the metric that alerts compare.</summary>
    public static string OfBurns(SloFrame frame, List<SloRule> rules, List<ConfigError> warnings)
    {
        var members = frame.Slo.Members.Select(m => (Member: m, Frame: frame.ForMember(m))).ToList();
        foreach ((SloMember member, SloFrame own) in members)
        {
            new IndicatorRules(own, member.Indicator).AddTo(rules);
            BudgetRules.AddTo(own, rules);
            frame.NeedsMinutes |= own.NeedsMinutes;
        }
        foreach (string name in frame.Windows.Select(BurnWindows.Text).Append(frame.PeriodName))
        {
            string weighted = string.Join(" or ", members.Select(m => $"{SloFrame.Number(m.Member.Weight)} * {Error(m.Frame, name)} / {SloFrame.Number(m.Frame.Budget)}"));
            string weights = string.Join(" or ", members.Select(m => $"{SloFrame.Number(m.Member.Weight)} * ({Error(m.Frame, name)} == bool {Error(m.Frame, name)})"));
            rules.Add(new SloRule(BurnMetric + name, $"sum without (slo_id, slo_name, slo_window) ({weighted})\n/\nsum without (slo_id, slo_name, slo_window) ({weights})") { Labels = frame.Labels(name) });
        }
        BudgetRules.AddPeriodFacts(frame, rules);
        rules.Add(new SloRule(BudgetRules.CurrentBurn, Plain(frame, frame.Windows.Count > 0 ? BurnWindows.Text(frame.Windows[0]) : frame.PeriodName)) { Labels = frame.Labels() });
        rules.Add(new SloRule(BudgetRules.PeriodBurn, Plain(frame, frame.PeriodName)) { Labels = frame.Labels() });
        rules.Add(new SloRule(BudgetRules.Remaining, $"1 - {frame.Series(BudgetRules.PeriodBurn)}") { Labels = frame.Labels() });
        WarnOfBurns(frame, warnings);
        return BurnMetric;
    }

    /// <summary>Adds the members' slices and the composite's.</summary>
    public static void AddSlices(SloFrame frame, List<SloRule> rules)
    {
        var members = frame.Slo.Members.Select(m => (Member: m, Frame: frame.ForMember(m))).ToList();
        foreach ((SloMember member, SloFrame own) in members)
            new IndicatorRules(own, member.Indicator).AddSliceTo(rules);
        bool ratios = frame.Slo.Method == BudgetingMethod.RatioTimeslices;
        string all = string.Join(" or ", members.Select(m => ratios
            ? $"{SloFrame.Number(m.Member.Weight)} * (1 - {m.Frame.Series("slo:sli_slice:ratio")})"
            : $"({m.Frame.Series("slo:sli_slice:ratio")} {m.Member.SliceOperator} bool {SloFrame.Number(m.Member.SliceTarget)})"));
        rules.Add(new SloRule("slo:sli_slice:ratio", ratios ? $"clamp_min(1 - sum without (slo_id, slo_name) ({all}), 0)" : $"min without (slo_id, slo_name) ({all})") { Labels = frame.Labels() });
    }

    private static string Error(SloFrame member, string window) => member.Series("slo:sli_error:ratio" + window);

    private static string Plain(SloFrame frame, string window) => $"sum without (slo_window) ({frame.Series(BurnMetric + window)})";

    private static void WarnOfBurns(SloFrame frame, List<ConfigError> warnings)
    {
        IReadOnlyList<SloMember> members = frame.Slo.Members;
        double most = members.Sum(m => m.Weight / (double)((100 - m.ObjectivePercent) / 100)) / members.Sum(m => m.Weight);
        BurnWindows table = BurnWindows.For(frame.Window.Length, []);
        foreach (BurnWindow pair in frame.Slo.Policies.Count > 0 ? [] : table.Page.Concat(table.Ticket))
        {
            double factor = pair.Factor(frame.Window.Length);
            if (factor >= most)
                warnings.Add(new ConfigError(frame.Slo.Place.File, frame.Slo.Place.Line, frame.Slo.Place.Column, frame.Slo.Place.Path, string.Create(CultureInfo.InvariantCulture, $"the alert over {BurnWindows.Text(pair.Long)} and {BurnWindows.Text(pair.Short)} can never fire: it needs a burn rate above {factor:0.###}, and the members' weights and targets allow at most {most:0.###}")));
        }
    }
}
