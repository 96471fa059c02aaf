using System.Text.Json;
using Bellwether.Core.Configuration;
using Bellwether.Core.Model;
using Bellwether.Evaluate.Kpi;
using Bellwether.Evaluate.Kpi.Sla;
using Bellwether.Evaluate.PromQl;
using Bellwether.Evaluate.Rules;
using Bellwether.Evaluate.Slo;
using Bellwether.Evaluate.Slo.Compiling;

namespace Bellwether.Serve.Rest;

/// <summary>An objective as it stands at a time, from the series that its rules recorded.</summary>
internal sealed class SloReadout
{
    /// <summary>No data in the period; a page fires; a ticket fires; the budget is used up; none of these.</summary>
    public static readonly string[] States = ["UNKNOWN", "CRITICAL", "WARNING", "EXHAUSTED", "HEALTHY"];

    private static readonly HashSet<string> s_ownLabels = ["slo_id", "slo_name", "slo_service", "slo_window", "slo_period", LabelNames.MetricName];
    private readonly CompiledSlo _compiled;
    private readonly long _atMs;
    private readonly string _error;
    private readonly IReadOnlyList<RuleStatus> _alerts;
    private readonly List<(Labels Labels, Dictionary<string, double> Values)> _members = [];

    public SloReadout(CompiledSlo compiled, long atMs, IReadOnlyList<ResultSeries> series, IReadOnlyList<RuleStatus> alerts, string error)
    {
        _compiled = compiled;
        _atMs = atMs;
        _alerts = alerts;
        _error = error;
        var byLabels = new Dictionary<Labels, Dictionary<string, double>>();
        var builder = new LabelsBuilder();
        foreach (ResultSeries one in series)
        {
            builder.Reset(one.Labels);
            foreach (string own in s_ownLabels)
                builder.Remove(own);
            Labels rest = builder.Build();
            if (!byLabels.TryGetValue(rest, out Dictionary<string, double>? values))
                byLabels[rest] = values = [];
            values[one.Labels.MetricName] = one.Points[^1].Value;
        }
        // What is the same for all (objective, budget) has fewer labels than broken-down series; those alone are no member.
        _members.AddRange(byLabels.Where(b => b.Value.ContainsKey(BudgetRules.PeriodBurn) || b.Value.ContainsKey(BudgetRules.CurrentBurn)).Select(b => (b.Key, b.Value)).OrderBy(b => b.Key));
    }

    public SloDefinition Slo => _compiled.Slo;

    /// <summary>Planned work since the period began.</summary>
    public IReadOnlyList<(MaintenanceTime Time, Maintenance Of)> Planned { get; init; } = [];

    /// <summary>Whether the numbers are final.</summary>
    public Finality? Finality { get; init; }

    /// <summary>The error ratio as it would be without planned work, from the counts; null where there are none.</summary>
    private static double? Before(Dictionary<string, double> values, string window) =>
        Of(values, "slo:sli_total:count" + window) is { } total and > 0 && Of(values, "slo:sli_good:count" + window) is { } good ? (total - good) / total : null;

    private double? WorstBefore => _members.Select(m => Before(m.Values, PeriodName)).Where(v => v is not null && !double.IsNaN(v.Value)).Max();

    private double? Worst(string metric, bool least)
    {
        IEnumerable<double> all = _members.Where(m => m.Values.ContainsKey(metric)).Select(m => m.Values[metric]).Where(v => !double.IsNaN(v));
        return !all.Any() ? null : least ? all.Min() : all.Max();
    }

    private IEnumerable<string> Firing => _alerts.Where(a => a.State == AlertState.Firing).SelectMany(a => a.Definition.Labels).Where(l => l.Key is "slo_severity" or "severity").Select(l => l.Value.Text);

    public string State
    {
        get
        {
            if (Firing.Contains("page") || Firing.Contains("critical"))
                return "CRITICAL";
            if (Firing.Any())
                return "WARNING";
            return Worst(BudgetRules.Remaining, least: true) switch { null => "UNKNOWN", <= 0 => "EXHAUSTED", _ => "HEALTHY" };
        }
    }

    private string PeriodName => Slo.Window is null ? "30d" : Slo.Window.Calendar?.Shorthand ?? PrometheusDuration.Format(Slo.Window.Length);

    private static double? Of(Dictionary<string, double> values, string metric) => values.TryGetValue(metric, out double value) ? value : null;

    public void Write(Utf8JsonWriter json)
    {
        json.WriteString("id", Slo.Id);
        json.WriteString("service", Slo.Service);
        json.WriteString("name", Slo.Name);
        json.WriteString("displayName", Slo.DisplayName);
        json.WriteString("description", Slo.Description);
        json.WriteString("form", Slo.Form.ToString());
        json.WriteString("file", Path.GetFileName(Slo.Place.File));
        json.WriteNumber("line", Slo.Place.Line);
        bool isComposite = Slo.Members.Count > 0;
        if (isComposite && Slo.Method == BudgetingMethod.Occurrences)
            json.WriteNull("objective");
        else
            json.WriteNumber("objective", Slo.ObjectivePercent);
        json.WriteString("budgetingMethod", Slo.Method.ToString());
        WriteWindow(json);
        double? error = Worst("slo:sli_error:ratio" + PeriodName, least: false);
        RestJson.Number(json, "sli", error is null ? null : 1 - error);
        json.WriteBoolean("absent", _members.Count == 0);
        RestJson.Number(json, "budgetRemaining", Worst(BudgetRules.Remaining, least: true));
        WritePlanned(json);
        RestJson.Number(json, "currentBurnRate", Worst(BudgetRules.CurrentBurn, least: false));
        RestJson.Number(json, "periodBurnRate", Worst(BudgetRules.PeriodBurn, least: false));
        json.WriteString("state", State);
        RestJson.Finality(json, Finality);
        WriteMembers(json);
        WriteSeries(json);
        WriteAlerts(json);
        json.WriteStartArray("warnings");
        foreach (ConfigError warning in _compiled.Warnings)
            json.WriteStringValue(warning.Message);
        json.WriteEndArray();
        json.WriteString("error", _error);
    }

    /// <summary>What planned work since the period began took out, and what the numbers were without it.</summary>
    private void WritePlanned(Utf8JsonWriter json)
    {
        double budget = (double)(100 - Slo.ObjectivePercent) / 100;
        RestJson.Number(json, "sliBefore", WorstBefore is { } error ? 1 - error : null);
        RestJson.Number(json, "budgetRemainingBefore", WorstBefore is { } burnt && budget > 0 && Slo.Method == BudgetingMethod.Occurrences ? 1 - (burnt / budget) : null);
        json.WriteStartArray("planned");
        foreach ((MaintenanceTime time, Maintenance of) in Planned)
        {
            json.WriteStartObject();
            json.WriteString("maintenance", time.Maintenance);
            RestJson.Time(json, "from", time.FromMs);
            RestJson.Time(json, "to", time.ToMs);
            json.WriteString("reason", of.Reason);
            json.WriteString("approvedBy", of.ApprovedBy);
            json.WriteEndObject();
        }
        json.WriteEndArray();
    }

    private void WriteWindow(Utf8JsonWriter json)
    {
        json.WriteStartObject("window");
        json.WriteString("name", PeriodName);
        json.WriteBoolean("rolling", Slo.Window?.Calendar is null);
        if (Slo.Window?.Calendar is { } calendar)
        {
            CalendarPeriod period = calendar.At(_atMs);
            json.WriteString("timeZone", calendar.Zone.Id);
            json.WriteString("period", period.Name);
            RestJson.Time(json, "start", period.StartMs);
            RestJson.Time(json, "end", period.EndMs);
        }
        json.WriteEndObject();
    }

    private void WriteMembers(Utf8JsonWriter json)
    {
        json.WriteStartArray("members");
        foreach (SloMember member in Slo.Members)
        {
            json.WriteStartObject();
            json.WriteString("id", $"{Slo.Id}-{member.Name}");
            json.WriteNumber("objective", member.ObjectivePercent);
            json.WriteNumber("weight", member.Weight);
            json.WriteEndObject();
        }
        json.WriteEndArray();
    }

    /// <summary>Each series of the objective: one, or one per value of the labels that its queries keep.</summary>
    private void WriteSeries(Utf8JsonWriter json)
    {
        decimal budget = (100 - Slo.ObjectivePercent) / 100;
        bool isBurn = Slo.Members.Count > 0 && Slo.Method == BudgetingMethod.Occurrences;
        json.WriteStartArray("series");
        foreach ((Labels labels, Dictionary<string, double> values) in _members)
        {
            json.WriteStartObject();
            RestJson.Labels(json, "labels", labels);
            RestJson.Number(json, "budgetRemaining", Of(values, BudgetRules.Remaining));
            RestJson.Number(json, "currentBurnRate", Of(values, BudgetRules.CurrentBurn));
            RestJson.Number(json, "periodBurnRate", Of(values, BudgetRules.PeriodBurn));
            json.WriteStartArray("windows");
            foreach (string window in CountStyle.StandardWindows.Where(w => w < (Slo.Window?.Length ?? TimeSpan.FromDays(30))).Select(PrometheusDuration.Format).Append(PeriodName))
            {
                double? error = Of(values, "slo:sli_error:ratio" + window);
                json.WriteStartObject();
                json.WriteString("window", window);
                RestJson.Number(json, "good", Of(values, "slo:sli_good:count" + window));
                RestJson.Number(json, "total", Of(values, "slo:sli_total:count" + window));
                RestJson.Number(json, "errorRatio", error);
                RestJson.Number(json, "errorRatioBefore", Before(values, window));
                RestJson.Number(json, "burnRate", isBurn ? Of(values, "slo:burn_rate:ratio" + window) : budget > 0 ? error / (double)budget : null);
                json.WriteEndObject();
            }
            json.WriteEndArray();
            json.WriteEndObject();
        }
        json.WriteEndArray();
    }

    private void WriteAlerts(Utf8JsonWriter json)
    {
        json.WriteStartArray("alerts");
        foreach (RuleStatus alert in _alerts)
        {
            json.WriteStartObject();
            json.WriteString("name", alert.Definition.Name);
            json.WriteString("severity", alert.Definition.Labels.FirstOrDefault(l => l.Key == "slo_severity").Value?.Text ?? alert.Definition.Labels.FirstOrDefault(l => l.Key == "severity").Value?.Text ?? "");
            json.WriteString("state", alert.State.ToString().ToLowerInvariant());
            RestJson.Time(json, "since", alert.Alerts.Count == 0 ? 0 : alert.Alerts.Min(a => a.ActiveAtMs));
            json.WriteString("error", alert.LastError);
            json.WriteEndObject();
        }
        json.WriteEndArray();
    }
}
