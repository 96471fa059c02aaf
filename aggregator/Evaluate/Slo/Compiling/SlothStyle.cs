using System.Globalization;
using Bellwether.Core.Configuration;

namespace Bellwether.Evaluate.Slo.Compiling;

/// <summary>Settings of <see cref="SlothStyle"/>. Immutable.</summary>
public sealed record SlothStyleOptions
{
    /// <summary>The period of objectives that name none. Default 30 d.</summary>
    public TimeSpan DefaultPeriod { get; init; } = TimeSpan.FromDays(30);

    /// <summary>Labels to add to all that is recorded.</summary>
    public IReadOnlyDictionary<string, string> ExtraLabels { get; init; } = new Dictionary<string, string>();

    /// <summary>Whether alerts are left out.</summary>
    public bool DisableAlerts { get; init; }

    /// <summary>What stands in the label <c>sloth_version</c>.</summary>
    public string Version { get; init; } = "dev";

    /// <summary>Alert windows given by files, besides those built in.</summary>
    public IReadOnlyList<BurnWindows> Windows { get; init; } = [];
}

/// <summary>
/// Makes the rules that Sloth makes (sloth.dev): error ratios per window, the period as the mean of the 5-minute ratios, and two alerts. For those who move from it: the
/// mean of ratios is wrong where traffic is uneven, so <see cref="CountStyle"/> is the default.
/// </summary>
public static class SlothStyle
{
    private const string RatioMetric = "slo:sli_error:ratio_rate";

    /// <summary>The rules of one objective, or why Sloth has none for it.</summary>
    public static ConfigResult<CompiledSlo> Compile(SloDefinition slo, SlothStyleOptions options)
    {
        TimeSpan period = slo.Window?.Length ?? options.DefaultPeriod;
        if (WhyNot(slo, period, options) is { } reason)
            return new ConfigResult<CompiledSlo>([new ConfigError(slo.Place.File, slo.Place.Line, slo.Place.Column, slo.Place.Path, reason)]);
        var one = new Maker(slo, period, BurnWindows.For(period, options.Windows), options);
        return new ConfigResult<CompiledSlo>(new CompiledSlo(slo, one.Groups(), BurnCheck.Warnings(slo, one.Table, period)));
    }

    private static string? WhyNot(SloDefinition slo, TimeSpan period, SlothStyleOptions options)
    {
        if (slo.Members.Count > 0)
            return "Sloth's rules know no composites; use the default style";
        if (slo.Method != BudgetingMethod.Occurrences || slo.Indicator.Threshold is not null)
            return "Sloth's rules know ratios of events only, with occurrences; use the default style";
        if (slo.Window?.Calendar is not null)
            return "Sloth's rules know rolling windows only; use the default style";
        bool known = period == TimeSpan.FromDays(30) || period == TimeSpan.FromDays(28) || options.Windows.Any(w => w.Period == period);
        if (!known || (slo.Form == SloForm.OpenSloAlpha && period != options.DefaultPeriod))
            return $"a period of {BurnWindows.Text(period)} has no alert windows in Sloth's rules (it is {BurnWindows.Text(options.DefaultPeriod)} unless set); use the default style, or give a file of kind AlertWindows";
        return null;
    }

    private sealed class Maker(SloDefinition slo, TimeSpan period, BurnWindows table, SlothStyleOptions options)
    {
        // As Sloth counts: in doubles, so that the numbers are the same to the last digit.
        private readonly double _percent = (double)slo.ObjectivePercent;
        private readonly string _filter = $"{{sloth_id=\"{SloFrame.Quoted(slo.Id)}\", sloth_service=\"{SloFrame.Quoted(slo.Service)}\", sloth_slo=\"{SloFrame.Quoted(slo.Name)}\"}}";

        public BurnWindows Table => table;

        public List<SloRuleGroup> Groups()
        {
            var groups = new List<SloRuleGroup>
            {
                new($"sloth-slo-sli-recordings-{slo.Id}", [.. Indicators()]),
                new($"sloth-slo-meta-recordings-{slo.Id}", [.. Facts()]),
            };
            SloRule[] alerts = options.DisableAlerts ? [] : [.. Alerts()];
            if (alerts.Length > 0)
                groups.Add(new SloRuleGroup($"sloth-slo-alerts-{slo.Id}", alerts));
            return groups;
        }

        private IEnumerable<SloRule> Indicators()
        {
            foreach (TimeSpan window in table.All)
                yield return new SloRule(Ratio(window), ErrorRatio(window)) { Labels = Labels(("sloth_window", BurnWindows.Text(window))) };
            string five = Ratio(TimeSpan.FromMinutes(5)) + _filter, range = BurnWindows.Text(period);
            yield return new SloRule(Ratio(period), $"sum_over_time({five}[{range}])\n/ ignoring (sloth_window)\ncount_over_time({five}[{range}])") { Labels = Labels(("sloth_window", range)) };
        }

        private string ErrorRatio(TimeSpan window)
        {
            SloIndicator indicator = slo.Indicator;
            string At(SloQuery query) => query.Kind == SloQueryKind.Windowed ? WindowedText.Fill(query.Text, window).Trim() : WindowedText.At(query, window).Text ?? query.Text;
            if (indicator.Raw is { } raw)
                return indicator.RawIsFailure ? $"({At(raw)}\n)" : $"(1 - ({At(raw)}\n))";
            return indicator.Bad is { } bad
                ? $"({At(bad)})\n/\n({At(indicator.Total!)})"
                : $"(\n  1 - (\n    (\n      {At(indicator.Good!)}\n    )\n    /\n    (\n      {At(indicator.Total!)}\n    )\n  )\n)";
        }

        private IEnumerable<SloRule> Facts()
        {
            string objective = BurnWindows.Number(_percent / 100);
            const string perSlo = "/ on(sloth_id, sloth_slo, sloth_service) group_left";
            string budget = $"slo:error_budget:ratio{_filter}";
            yield return new SloRule("slo:objective:ratio", $"vector({objective})") { Labels = Labels() };
            yield return new SloRule("slo:error_budget:ratio", $"vector(1-{objective})") { Labels = Labels() };
            yield return new SloRule("slo:time_period:days", $"vector({BurnWindows.Number(period.TotalDays)})") { Labels = Labels() };
            yield return new SloRule("slo:current_burn_rate:ratio", $"{Ratio(TimeSpan.FromMinutes(5))}{_filter}\n{perSlo}\n{budget}") { Labels = Labels() };
            yield return new SloRule("slo:period_burn_rate:ratio", $"{Ratio(period)}{_filter}\n{perSlo}\n{budget}") { Labels = Labels() };
            yield return new SloRule("slo:period_error_budget_remaining:ratio", $"1 - slo:period_burn_rate:ratio{_filter}") { Labels = Labels() };
            yield return new SloRule("sloth_slo_info", "vector(1)")
            {
                Labels = Labels(
                    ("sloth_mode", slo.Form switch { SloForm.SlothObject => "cli-gen-k8s", SloForm.OpenSlo or SloForm.OpenSloAlpha => "cli-gen-openslo", _ => "cli-gen-prom" }),
                    ("sloth_objective", _percent.ToString(CultureInfo.InvariantCulture)),
                    ("sloth_spec", slo.Form switch { SloForm.SlothObject => "sloth.slok.dev/v1", SloForm.OpenSlo => "openslo/v1", SloForm.OpenSloAlpha => "openslo/v1alpha", _ => "prometheus/v1" }),
                    ("sloth_version", options.Version)),
            };
        }

        private IEnumerable<SloRule> Alerts()
        {
            // Objectives without a name for alerts (OpenSLO) get none, as from Sloth.
            if (slo.AlertName.Length == 0 || slo.Alerting.Disabled)
                yield break;
            if (!slo.Page.Disabled)
                yield return Alert("page", table.Page, slo.Page);
            if (!slo.Ticket.Disabled)
                yield return Alert("ticket", table.Ticket, slo.Ticket);
        }

        private SloRule Alert(string severity, IReadOnlyList<BurnWindow> pairs, SloAlert own)
        {
            string budget = BurnWindows.Number((100 - _percent) / 100);
            string Burns(TimeSpan window, double factor) => $"max({Ratio(window)}{_filter} > ({BurnWindows.Number(factor)} * {budget})) without (sloth_window)";
            IEnumerable<string> both = pairs.Select(p => $"(\n    {Burns(p.Short, p.Factor(period))}\n    and\n    {Burns(p.Long, p.Factor(period))}\n)");
            return new SloRule(slo.AlertName, string.Join("\nor\n", both))
            {
                IsAlert = true,
                Labels = SloLabels.Merge(slo.Alerting.Labels, own.Labels, new Dictionary<string, string> { ["sloth_severity"] = severity }),
                Annotations = SloLabels.Merge(
                    new Dictionary<string, string>
                    {
                        ["title"] = $"({severity}) {{{{$labels.sloth_service}}}} {{{{$labels.sloth_slo}}}} SLO error budget burn rate is too fast.",
                        ["summary"] = "{{$labels.sloth_service}} {{$labels.sloth_slo}} SLO error budget burn rate is over expected.",
                    },
                    slo.Alerting.Annotations,
                    own.Annotations),
            };
        }

        private static string Ratio(TimeSpan window) => RatioMetric + BurnWindows.Text(window);

        private SortedDictionary<string, string> Labels(params ReadOnlySpan<(string Name, string Value)> own)
        {
            var labels = new Dictionary<string, string> { ["sloth_id"] = slo.Id, ["sloth_service"] = slo.Service, ["sloth_slo"] = slo.Name };
            foreach ((string name, string value) in own)
                labels[name] = value;
            return SloLabels.Merge(slo.Labels, options.ExtraLabels, labels);
        }
    }
}
