using Bellwether.Core.Configuration;

namespace Bellwether.Evaluate.Slo.Compiling;

/// <summary>Settings of <see cref="CountStyle"/>. Immutable.</summary>
public sealed record CountStyleOptions
{
    /// <summary>The period of objectives that name none. Default 30 d.</summary>
    public TimeSpan DefaultPeriod { get; init; } = TimeSpan.FromDays(30);

    /// <summary>Labels to add to all that is recorded.</summary>
    public IReadOnlyDictionary<string, string> ExtraLabels { get; init; } = new Dictionary<string, string>();

    /// <summary>Whether alerts are left out.</summary>
    public bool DisableAlerts { get; init; }

    /// <summary>Alert windows given by files, besides those built in.</summary>
    public IReadOnlyList<BurnWindows> Windows { get; init; } = [];

    /// <summary>The time whose calendar period comes first; Unix ms.</summary>
    public long AtMs { get; init; }

    /// <summary>How many calendar periods get rules: that of <see cref="AtMs"/> and those after it. Default 2, at most 1000.</summary>
    public int Periods { get; init; } = 2;
}

/// <summary>
/// Makes rules that keep good and total as counts and divide them last, so that uneven traffic weighs as it should and no traffic is no number. Per objective one group,
/// in the order in which its rules read each other:
/// <c>slo:sli_total:count*</c>, <c>slo:sli_good:count*</c>, <c>slo:sli_error:ratio*</c> per window, the budget's series, the alerts.
/// </summary>
public static class CountStyle
{
    /// <summary>Longest chain of what a calendar period sums up: tiles of this length.</summary>
    internal static readonly TimeSpan Tile = TimeSpan.FromMinutes(5);

    /// <summary>The windows that every objective has, but for those not shorter than its period.</summary>
    public static IReadOnlyList<TimeSpan> StandardWindows { get; } =
        [TimeSpan.FromMinutes(5), TimeSpan.FromMinutes(30), TimeSpan.FromHours(1), TimeSpan.FromHours(2), TimeSpan.FromHours(6), TimeSpan.FromDays(1), TimeSpan.FromDays(3)];

    /// <summary>The rules of one objective.</summary>
    public static CompiledSlo Compile(SloDefinition slo, CountStyleOptions options)
    {
        SloWindow window = slo.Window ?? new SloWindow(options.DefaultPeriod);
        BurnWindows table = BurnWindows.For(window.Length, options.Windows);
        IReadOnlyList<TimeSpan> windows = [.. StandardWindows.Concat(table.All).Concat(slo.Policies.Select(p => p.Lookback)).Where(w => w < window.Length).Distinct().Order()];
        IReadOnlyList<CalendarPeriod> periods = window.Calendar?.From(options.AtMs, Math.Clamp(options.Periods, 1, 1000)) ?? [];
        var frame = new SloFrame(slo, window, windows, periods, options.ExtraLabels);
        var warnings = new List<ConfigError>(BurnCheck.Warnings(slo, table, window.Length));
        var rules = new List<SloRule>();
        string error = slo.Members.Count > 0 && slo.Method == BudgetingMethod.Occurrences
            ? CompositeRules.OfBurns(frame, rules, warnings)
            : RatioRules(frame, rules);
        if (!options.DisableAlerts && !slo.Alerting.Disabled)
            new AlertRules(frame, table, error).AddTo(rules);
        var group = new SloRuleGroup($"slo-{slo.Id}", rules)
        {
            // Slices and tiles are read at whole minutes, so the rules must run at those.
            Interval = frame.NeedsMinutes ? TimeSpan.FromMinutes(1) : null,
            Comment = Comment(slo, window),
        };
        return new CompiledSlo(slo, [group], warnings);
    }

    private static string RatioRules(SloFrame frame, List<SloRule> rules)
    {
        if (frame.Slo.Members.Count > 0)
            CompositeRules.AddSlices(frame, rules);
        new IndicatorRules(frame, frame.Slo.Indicator).AddTo(rules);
        BudgetRules.AddTo(frame, rules);
        return "slo:sli_error:ratio";
    }

    private static string Comment(SloDefinition slo, SloWindow window)
    {
        string over = window.Calendar is { } calendar ? $"each {calendar.Shorthand} in {calendar.Zone.Id}" : BurnWindows.Text(window.Length);
        string what = slo.DisplayName.Length > 0 ? slo.DisplayName : slo.Description.Split('\n')[0].Trim();
        string target = slo.Members.Count > 0 && slo.Method == BudgetingMethod.Occurrences ? $"{slo.Members.Count} weighted objectives" : $"{SloFrame.Number(slo.ObjectivePercent)} %";
        return $"{slo.Service} / {slo.Name}{(what.Length > 0 ? ": " + what : "")} ({target} over {over}, {slo.Method}), {Path.GetFileName(slo.Place.File)}:{slo.Place.Line}".Replace('\r', ' ');
    }
}
