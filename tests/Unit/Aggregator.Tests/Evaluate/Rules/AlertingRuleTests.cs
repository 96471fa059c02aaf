using Bellwether.Core.Model;
using Bellwether.Evaluate.PromQl;
using Bellwether.Evaluate.Rules;
using Bellwether.Evaluate.Rules.Templates;
using Bellwether.Kit;
using ValueType = Bellwether.Evaluate.PromQl.ValueType;

namespace Bellwether.Aggregator.Tests.Evaluate.Rules;

public sealed class AlertingRuleTests
{
    private static readonly Labels s_db = Labels.Of("__name__", "lag", "host", "db1");
    private static readonly TemplateContext s_context = new(Labels.Empty, "", _ => [], new VirtualTime());

    [Fact]
    public void An_alert_is_pending_then_fires_then_keeps_firing_then_is_resolved()
    {
        AlertingRule rule = Make(hold: 20, keep: 10);
        Assert.Equal(AlertState.Pending, Step(rule, 0, 5).State);
        Assert.Equal(AlertState.Pending, Step(rule, 10, 6).State);
        AlertStatus firing = Step(rule, 20, 7);
        Assert.Equal((AlertState.Firing, 0L, 20_000L, 7.0), (firing.State, firing.ActiveAtMs, firing.FiredAtMs, firing.Value));
        Assert.Equal(30_000, Step(rule, 30, null).KeepFiringSinceMs);
        Assert.Empty(Evaluate(rule, 40, null).Samples);
        Assert.Empty(rule.ActiveAlerts());
        Assert.Equal(50_000, Step(rule, 50, 1).ActiveAtMs);
    }

    [Fact]
    public void A_pending_alert_that_stops_holding_starts_anew()
    {
        AlertingRule rule = Make(hold: 20);
        Step(rule, 0, 1);
        Assert.Empty(Evaluate(rule, 10, null).Samples);
        Assert.Equal((AlertState.Pending, 20_000L), (Step(rule, 20, 1).State, rule.ActiveAlerts()[0].ActiveAtMs));
    }

    [Fact]
    public void Samples_say_the_state_and_since_when_and_end_with_stale_markers()
    {
        AlertingRule rule = Make(hold: 10);
        RuleOutcome first = Evaluate(rule, 100, 5);
        rule.AddStaleMarkers(first.Samples, 100_000);
        rule.Committed();
        Assert.Equal(["{__name__=\"ALERTS\", alertname=\"Lag\", alertstate=\"pending\", host=\"db1\", severity=\"page-db1\"}", "{__name__=\"ALERTS_FOR_STATE\", alertname=\"Lag\", host=\"db1\", severity=\"page-db1\"}"],
            first.Samples.Select(s => Text(s.Labels)));
        Assert.Equal([1.0, 100.0], first.Samples.Select(s => s.Value));
        RuleOutcome gone = Evaluate(rule, 110, null);
        rule.AddStaleMarkers(gone.Samples, 110_000);
        Assert.Equal(2, gone.Samples.Count);
        Assert.All(gone.Samples, s => Assert.True(SpecialValues.IsStale(s.Value)));
    }

    [Fact]
    public void Two_series_that_become_one_alert_are_an_error()
    {
        AlertingRule rule = Make();
        var result = Vector((s_db, 1), (s_db.With("__name__", "other"), 2));
        Assert.Equal("vector contains metrics with the same labelset after applying alert labels", rule.Evaluate(result, 0, 0, s_context).Error);
    }

    [Fact]
    public void More_alerts_than_the_limit_are_an_error_and_none_is_active()
    {
        AlertingRule rule = Make(limit: 1);
        Assert.Equal("exceeded limit of 1 with 2 alerts", rule.Evaluate(Vector((s_db, 1), (s_db.With("host", "db2"), 2)), 0, 0, s_context).Error);
        Assert.Empty(rule.ActiveAlerts());
    }

    [Theory]
    [InlineData(10, 3600, 1000)] // no step was missed: as if nothing had happened
    [InlineData(600, 3600, 1600)] // pending before the stop: the stop does not count
    [InlineData(600, 1200, 1910)] // nearly due: at least the grace period is left
    [InlineData(600, 900, 1000)] // it was firing
    [InlineData(600, 300, 2510)] // too short a hold to be restored over a gap
    [InlineData(7200, 3600, 9110)] // the stop was too long
    public void The_state_is_restored_from_what_was_written(int gapSeconds, int holdSeconds, int activeAt)
    {
        // Active since 1000, last written at 1910.
        long step = (1910 + gapSeconds) * 1000L;
        var rule = new AlertingRule(Definition(holdSeconds, 0), 0, new RuleEngineOptions(), (_, _) => new RestoredState(1_910_000, 1_000_000)) { Interval = TimeSpan.FromSeconds(10) };
        rule.Evaluate(Vector((s_db, 1)), step, step, s_context);
        Assert.Equal(activeAt, rule.ActiveAlerts()[0].ActiveAtMs / 1000);
    }

    [Fact]
    public void A_recording_rule_names_its_result_and_ends_what_vanishes()
    {
        var rule = new RecordingRule(new RuleDefinition { Name = "lag:max", IsAlert = false, Expression = "lag", Query = "lag", Labels = Pairs(("team", "{{ $value }}"), ("host", "")) }, 0);
        RuleOutcome first = rule.Evaluate(Vector((s_db.With("dc", "x"), 3)), 0, 0, s_context);
        rule.AddStaleMarkers(first.Samples, 0);
        rule.Committed();
        Assert.Equal("{__name__=\"lag:max\", dc=\"x\", team=\"{{ $value }}\"}", Text(first.Samples[0].Labels));
        RuleOutcome second = rule.Evaluate(Vector((s_db, 4)), 1, 1, s_context);
        rule.AddStaleMarkers(second.Samples, 1);
        Assert.Equal([false, true], second.Samples.Select(s => SpecialValues.IsStale(s.Value)));
        Assert.Equal("vector contains metrics with the same labelset after applying rule labels", rule.Evaluate(Vector((s_db, 1), (s_db.With("host", "y"), 2)), 2, 2, s_context).Error);
    }

    [Fact]
    public void A_scalar_is_one_series_and_a_text_is_an_error()
    {
        var rule = new RecordingRule(new RuleDefinition { Name = "one", IsAlert = false, Expression = "1", Query = "1" }, 0);
        Assert.Equal(Labels.Of("__name__", "one"), rule.Evaluate(new QueryResult { Type = ValueType.Scalar, Scalar = new Point(0, 1) }, 0, 0, s_context).Samples[0].Labels);
        Assert.Equal("rule result is not a vector or scalar", rule.Evaluate(new QueryResult { Type = ValueType.String, Text = "x" }, 0, 0, s_context).Error);
    }

    private static AlertingRule Make(int hold = 0, int keep = 0, int limit = 0) =>
        new(Definition(hold, keep), limit, new RuleEngineOptions(), (_, _) => null) { Interval = TimeSpan.FromSeconds(10) };

    private static RuleDefinition Definition(int hold, int keep) => new()
    {
        Name = "Lag",
        IsAlert = true,
        Expression = "lag",
        Query = "lag",
        For = TimeSpan.FromSeconds(hold),
        KeepFiringFor = TimeSpan.FromSeconds(keep),
        Labels = Pairs(("severity", "page-{{ $labels.host }}")),
        Annotations = Pairs(("summary", "{{ $labels.host }} lags {{ $value }}")),
    };

    private static AlertStatus Step(AlertingRule rule, int second, double? value)
    {
        Evaluate(rule, second, value);
        return Assert.Single(rule.ActiveAlerts());
    }

    private static RuleOutcome Evaluate(AlertingRule rule, int second, double? value)
    {
        RuleOutcome outcome = rule.Evaluate(value is { } v ? Vector((s_db, v)) : Vector(), second * 1000L, second * 1000L, s_context);
        Assert.Null(outcome.Error);
        return outcome;
    }

    private static QueryResult Vector(params (Labels Labels, double Value)[] series) =>
        new() { Type = ValueType.Vector, Series = [.. series.Select(s => new ResultSeries(s.Labels, [new Point(0, s.Value)]))] };

    private static KeyValuePair<string, AlertTemplate>[] Pairs(params (string Name, string Text)[] pairs) =>
        [.. pairs.Select(p => KeyValuePair.Create(p.Name, AlertTemplate.TryParse(p.Text, out _)!))];

    private static string Text(Labels labels) => "{" + string.Join(", ", labels.AsSpan().ToArray().Select(l => $"{l.Name}=\"{l.Value}\"")) + "}";
}
