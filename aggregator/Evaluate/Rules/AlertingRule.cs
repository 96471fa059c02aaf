using Bellwether.Core.Model;
using Bellwether.Evaluate.PromQl;
using Bellwether.Evaluate.Rules.Templates;

namespace Bellwether.Evaluate.Rules;

/// <summary>
/// Keeps alerts by their labels and moves them through pending, firing and inactive, exactly as Prometheus does.
/// Source: prometheus.io/docs/prometheus/latest/configuration/alerting_rules/.
/// </summary>
internal sealed class AlertingRule(RuleDefinition definition, int limit, RuleEngineOptions options, Func<Labels, long, RestoredState?> restore) : RuleState(definition, limit)
{
    /// <summary>The metric that says which alerts are active.</summary>
    public const string AlertsMetric = "ALERTS";

    /// <summary>The metric that keeps since when.</summary>
    public const string ForStateMetric = "ALERTS_FOR_STATE";

    private const string StateLabel = "alertstate";

    private Dictionary<Labels, AlertStatus> _alerts = [];
    private bool _restored;

    /// <summary>The interval of the group: a state at most so old was not interrupted.</summary>
    public required TimeSpan Interval { get; init; }

    public override IReadOnlyList<AlertStatus> ActiveAlerts() => _alerts.Count == 0 ? [] :
        [.. _alerts.Values.Where(a => a.State != AlertState.Inactive).OrderBy(a => a.Labels)];

    public override RuleOutcome Evaluate(QueryResult result, long stepMs, long sampleMs, TemplateContext context)
    {
        IReadOnlyList<ResultSeries>? vector = VectorOf(result, out string? error);
        if (vector is null)
            return new RuleOutcome([], error);
        if (vector.Count == 0 && _alerts.Count == 0)
        {
            _restored = true;
            return new RuleOutcome([], null);
        }
        var holding = new Dictionary<Labels, AlertStatus>();
        foreach (ResultSeries series in vector)
        {
            AlertStatus alert = Make(series, stepMs, context);
            if (!holding.TryAdd(alert.Labels, alert))
                return new RuleOutcome([], "vector contains metrics with the same labelset after applying alert labels");
        }
        var next = new Dictionary<Labels, AlertStatus>();
        foreach ((Labels labels, AlertStatus alert) in holding)
            next[labels] = Continue(labels, alert, stepMs);
        foreach ((Labels labels, AlertStatus alert) in _alerts)
        {
            if (!holding.ContainsKey(labels) && Fade(alert, stepMs) is { } faded)
                next[labels] = faded;
        }
        _restored = true;
        int active = next.Values.Count(a => a.State != AlertState.Inactive);
        if (Limit > 0 && active > Limit)
        {
            _alerts = [];
            return new RuleOutcome([], $"exceeded limit of {Limit} with {active} alerts");
        }
        _alerts = next;
        return new RuleOutcome(Samples(sampleMs), null);
    }

    private AlertStatus Make(ResultSeries series, long stepMs, TemplateContext context)
    {
        double value = series.Points[0].Value;
        var labels = new LabelsBuilder(series.Labels);
        labels.Remove(LabelNames.MetricName);
        foreach ((string name, AlertTemplate template) in Definition.Labels)
            labels.Set(name, template.Expand(context, series.Labels, value, out _));
        labels.Set(LabelNames.AlertName, Definition.Name);
        var annotations = new List<KeyValuePair<string, string>>(Definition.Annotations.Count);
        foreach ((string name, AlertTemplate template) in Definition.Annotations)
            annotations.Add(new(name, template.Expand(context, series.Labels, value, out _)));
        return new AlertStatus { Labels = labels.Build(), Annotations = annotations, State = AlertState.Pending, ActiveAtMs = stepMs, Value = value };
    }

    private AlertStatus Continue(Labels labels, AlertStatus made, long stepMs)
    {
        AlertStatus alert = made;
        if (_alerts.TryGetValue(labels, out AlertStatus? known) && known.State != AlertState.Inactive)
            alert = known with { Value = made.Value, Annotations = made.Annotations, KeepFiringSinceMs = 0, ActiveAtMs = Math.Min(known.ActiveAtMs, stepMs) };
        else if (!_restored)
            alert = made with { ActiveAtMs = RestoredActiveAt(labels, stepMs) };
        if (alert.State == AlertState.Pending && stepMs - alert.ActiveAtMs >= Definition.For.TotalMilliseconds)
            alert = alert with { State = AlertState.Firing, FiredAtMs = stepMs };
        return alert;
    }

    /// <summary>An alert whose expression does not hold at this step; null when it is forgotten.</summary>
    private AlertStatus? Fade(AlertStatus alert, long stepMs)
    {
        switch (alert.State)
        {
            case AlertState.Pending:
                return null;
            case AlertState.Inactive:
                return stepMs - alert.ResolvedAtMs > options.ResolvedRetention.TotalMilliseconds ? null : alert;
            default:
                long since = alert.KeepFiringSinceMs == 0 ? stepMs : Math.Min(alert.KeepFiringSinceMs, stepMs);
                if (stepMs - since < Definition.KeepFiringFor.TotalMilliseconds)
                    return alert with { KeepFiringSinceMs = since };
                return alert with { State = AlertState.Inactive, ResolvedAtMs = stepMs };
        }
    }

    /// <summary>Since when the alert is active, from what a process before this one wrote.</summary>
    private long RestoredActiveAt(Labels labels, long stepMs)
    {
        if (restore(labels.With(LabelNames.MetricName, ForStateMetric), stepMs) is not { } state || stepMs - state.WrittenAtMs > options.OutageTolerance.TotalMilliseconds)
            return stepMs;
        // No step was missed: nothing was lost, and nothing needs to be assumed.
        if (stepMs - state.WrittenAtMs <= Interval.TotalMilliseconds)
            return state.ActiveAtMs;
        if (Definition.For < options.ForGracePeriod)
            return stepMs;
        double spent = state.WrittenAtMs - state.ActiveAtMs;
        double remaining = Definition.For.TotalMilliseconds - spent;
        if (remaining <= 0)
            return state.ActiveAtMs;
        if (remaining < options.ForGracePeriod.TotalMilliseconds)
            return stepMs + (long)(options.ForGracePeriod - Definition.For).TotalMilliseconds;
        return state.ActiveAtMs + (stepMs - state.WrittenAtMs);
    }

    private List<SeriesSample> Samples(long sampleMs)
    {
        var samples = new List<SeriesSample>();
        var builder = new LabelsBuilder();
        foreach (AlertStatus alert in ActiveAlerts())
        {
            builder.Reset(alert.Labels).Set(LabelNames.MetricName, AlertsMetric).Set(StateLabel, alert.State == AlertState.Firing ? "firing" : "pending");
            samples.Add(new SeriesSample(builder.Build(), sampleMs, 1));
            builder.Reset(alert.Labels).Set(LabelNames.MetricName, ForStateMetric);
            samples.Add(new SeriesSample(builder.Build(), sampleMs, Math.Floor(alert.ActiveAtMs / 1000.0)));
        }
        return samples;
    }
}

/// <summary>What ALERTS_FOR_STATE said last.</summary>
/// <param name="WrittenAtMs">When, Unix ms.</param>
/// <param name="ActiveAtMs">Since when the alert was active, Unix ms.</param>
internal readonly record struct RestoredState(long WrittenAtMs, long ActiveAtMs);
