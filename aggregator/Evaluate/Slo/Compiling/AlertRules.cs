using System.Globalization;

namespace Bellwether.Evaluate.Slo.Compiling;

/// <summary>The alerts of one objective: page and ticket over several windows, or its alert policies.</summary>
/// <param name="frame">The objective.</param>
/// <param name="table">The windows.</param>
/// <param name="metric">What is compared: error ratios, or burn rates of a composite.</param>
internal sealed class AlertRules(SloFrame frame, BurnWindows table, string metric)
{
    private const string DefaultName = "SloErrorBudgetBurn";

    private SloDefinition Slo => frame.Slo;

    private bool IsBurn => metric == CompositeRules.BurnMetric;

    public void AddTo(List<SloRule> rules)
    {
        if (Slo.Policies.Count > 0)
        {
            foreach (SloAlertPolicy policy in Slo.Policies)
                AddPolicy(policy, rules);
            return;
        }
        if (!Slo.Page.Disabled && table.Page.Count > 0)
            rules.Add(BurnAlert("page", table.Page, Slo.Page));
        if (!Slo.Ticket.Disabled && table.Ticket.Count > 0)
            rules.Add(BurnAlert("ticket", table.Ticket, Slo.Ticket));
    }

    private SloRule BurnAlert(string severity, IReadOnlyList<BurnWindow> pairs, SloAlert own)
    {
        IEnumerable<string> each = pairs.Select(p =>
        {
            double factor = p.Factor(frame.Window.Length);
            return $"(\n    {Value(p.Short)} > {Bound(factor)}\n  and\n    {Value(p.Long)} > {Bound(factor)}\n)";
        });
        string shares = string.Join("; ", pairs.Select(p => string.Create(CultureInfo.InvariantCulture, $"{p.BudgetPercent} % of the budget in {BurnWindows.Text(p.Long)} ({p.Factor(frame.Window.Length):0.###} times too fast)")));
        return new SloRule(Slo.AlertName.Length > 0 ? Slo.AlertName : DefaultName, string.Join("\nor\n", each))
        {
            IsAlert = true,
            Labels = SloLabels.Merge(frame.Labels(), new Dictionary<string, string> { ["severity"] = severity }, Slo.Alerting.Labels, own.Labels, new Dictionary<string, string> { ["slo_severity"] = severity }),
            Annotations = SloLabels.Merge(
                new Dictionary<string, string>
                {
                    ["summary"] = "{{ $labels.slo_service }} {{ $labels.slo_name }}: the error budget burns too fast",
                    ["description"] = IsBurn
                        ? $"The budget burns {{{{ $value | humanize }}}} times faster than allowed. Told at: {shares}."
                        : $"{{{{ $value | humanizePercentage }}}} failed; the objective is {SloFrame.Number(Slo.ObjectivePercent)} %. Told at: {shares}.",
                    ["windows"] = table.Source,
                },
                Slo.Alerting.Annotations,
                own.Annotations),
        };
    }

    private void AddPolicy(SloAlertPolicy policy, List<SloRule> rules)
    {
        IReadOnlyDictionary<string, string> labels = SloLabels.Merge(frame.Labels(), Slo.Alerting.Labels, new Dictionary<string, string>
        {
            ["severity"] = policy.Severity,
            ["slo_policy"] = policy.Name,
            ["notify"] = string.Join(",", policy.Targets),
            ["notify_resolved"] = policy.WhenResolved ? "true" : "false",
        });
        var annotations = new Dictionary<string, string>
        {
            ["summary"] = "{{ $labels.slo_service }} {{ $labels.slo_name }}: " + (policy.Description.Length > 0 ? policy.Description.Replace("{{", "{ {", StringComparison.Ordinal) : $"burn rate over {BurnWindows.Text(policy.Lookback)} {policy.Operator} {SloFrame.Number(policy.Threshold)}"),
        };
        if (policy.WhenBreaching)
            rules.Add(new SloRule(policy.Name, $"{Value(policy.Lookback)} {policy.Operator} {Bound(policy.Threshold)}") { IsAlert = true, For = policy.After, Labels = labels, Annotations = annotations });
        if (policy.WhenNoData)
        {
            annotations = new Dictionary<string, string> { ["summary"] = $"{Slo.Service} {Slo.Name}: no burn rate over {BurnWindows.Text(policy.Lookback)}, for there is no data" };
            string absent = $"absent({frame.Series(metric + Name(policy.Lookback))}) unless {PlannedSeries.Covers(frame.PlannedId, PlannedSeries.Step)}";
            rules.Add(new SloRule(policy.Name, absent) { IsAlert = true, For = policy.After, Labels = SloLabels.Merge(labels, new Dictionary<string, string> { ["slo_no_data"] = "true" }), Annotations = annotations });
        }
    }

    private string Name(TimeSpan window) => window >= frame.Window.Length ? frame.PeriodName : BurnWindows.Text(window);

    private string Value(TimeSpan window) => $"sum without (slo_window) ({frame.Series(metric + Name(window))})";

    private string Bound(double factor) => IsBurn ? SloFrame.Number(factor) : $"({SloFrame.Number(factor)} * {SloFrame.Number(frame.Budget)})";
}
