using System.Globalization;

namespace Bellwether.Evaluate.Slo.Compiling;

/// <summary>The rules about the error budget.</summary>
public static class BudgetRules
{
    /// <summary>How many times faster than allowed the budget burns in the shortest window.</summary>
    public const string CurrentBurn = "slo:current_burn_rate:ratio";

    /// <summary>The same over the period.</summary>
    public const string PeriodBurn = "slo:period_burn_rate:ratio";

    /// <summary>The share of the period's budget that is left; below 0: overspent.</summary>
    public const string Remaining = "slo:period_error_budget_remaining:ratio";

    internal static void AddTo(SloFrame frame, List<SloRule> rules)
    {
        SloDefinition slo = frame.Slo;
        string budget = SloFrame.Number(frame.Budget);
        rules.Add(Fact(frame, "slo:objective:ratio", $"vector({SloFrame.Number(slo.ObjectivePercent / 100)})"));
        rules.Add(Fact(frame, "slo:error_budget:ratio", $"vector({budget})"));
        AddPeriodFacts(frame, rules);
        rules.Add(Fact(frame, CurrentBurn, Burn(frame, frame.Windows.Count > 0 ? BurnWindows.Text(frame.Windows[0]) : frame.PeriodName)));
        rules.Add(Fact(frame, PeriodBurn, Burn(frame, frame.PeriodName)));
        if (slo.Method != BudgetingMethod.Occurrences && frame.Periods.Count > 0)
        {
            foreach (CalendarPeriod period in frame.Periods)
                rules.Add(RemainingSlices(frame, period));
        }
        else
        {
            rules.Add(Fact(frame, Remaining, $"1 - {frame.Series(PeriodBurn)}"));
        }
    }

    /// <summary>Facts that a composite has, too.</summary>
    internal static void AddPeriodFacts(SloFrame frame, List<SloRule> rules)
    {
        SloDefinition slo = frame.Slo;
        rules.Add(Fact(frame, "slo:time_period:days", $"vector({SloFrame.Number(frame.Window.Length.TotalDays)})"));
        IReadOnlyDictionary<string, string> about = new Dictionary<string, string>
        {
            ["slo_objective"] = slo.ObjectivePercent > 0 ? slo.ObjectivePercent.ToString(CultureInfo.InvariantCulture) : "",
            ["slo_method"] = slo.Method.ToString(),
            ["slo_window"] = frame.PeriodName,
        };
        rules.Add(new SloRule("slo_info", "vector(1)") { Labels = SloLabels.Merge(frame.Labels(), about) });
    }

    /// <summary>How many times faster than allowed the budget burns.</summary>
    internal static string Burn(SloFrame frame, string window)
    {
        string error = $"sum without (slo_window) ({frame.Series("slo:sli_error:ratio" + window)})";
        // An objective of 100 % has no budget: nothing bad burns nothing, anything bad burns without bound.
        return frame.Budget == 0 ? $"({error} > 0) / 0 or {error}" : $"{error} / {SloFrame.Number(frame.Budget)}";
    }

    /// <summary>A calendar period has a fixed number of slices, so its budget is known from its first day on and never grows back.</summary>
    private static SloRule RemainingSlices(SloFrame frame, CalendarPeriod period)
    {
        decimal slices = (period.EndMs - period.StartMs) / (decimal)frame.Slo.Slice.TotalMilliseconds;
        string bad = $"sum without (slo_window) ({new IndicatorRules(frame, frame.Slo.Indicator).Bad(frame.PeriodName, period.Name)})";
        return new SloRule(Remaining, $"1 - {bad} / ({SloFrame.Number(slices)} * {SloFrame.Number(frame.Budget)})") { Labels = frame.Labels("", period.Name) };
    }

    private static SloRule Fact(SloFrame frame, string name, string expression) => new(name, expression) { Labels = frame.Labels() };
}
