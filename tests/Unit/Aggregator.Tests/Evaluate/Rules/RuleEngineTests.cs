using System.Diagnostics.Metrics;
using Bellwether.Core.Model;
using Bellwether.Evaluate.PromQl;
using Bellwether.Evaluate.Rules;
using Bellwether.Kit;
using Microsoft.Extensions.Logging.Abstractions;

namespace Bellwether.Aggregator.Tests.Evaluate.Rules;

public sealed class RuleEngineTests : IDisposable
{
    private readonly VirtualTime _time = new(DateTimeOffset.FromUnixTimeSeconds(1_800_000_005));
    private readonly SeriesInMemory _store = new();
    private readonly Progress _progress = new();
    private readonly Meter _meter = new("test");

    public void Dispose() => _meter.Dispose();

    [Fact]
    public async Task Steps_lie_on_multiples_of_the_interval_and_wait_for_the_sources()
    {
        RuleEngine engine = Engine();
        engine.Apply(Groups("10s"));
        await engine.StepAsync(default);
        Assert.Equal(1_800_000_000_000, LastStep(engine));
        _time.Advance(TimeSpan.FromSeconds(5));
        await engine.StepAsync(default);
        Assert.Equal(1_800_000_000_000, LastStep(engine));
        _progress.PassedMs = 1_800_000_010_000;
        await engine.StepAsync(default);
        Assert.Equal(1_800_000_010_000, LastStep(engine));
    }

    [Fact]
    public async Task A_step_is_evaluated_two_seconds_late_when_a_source_hangs()
    {
        RuleEngine engine = Engine();
        engine.Apply(Groups("10s"));
        await engine.StepAsync(default);
        _time.Advance(TimeSpan.FromMilliseconds(6999));
        TimeSpan wait = await engine.StepAsync(default);
        Assert.Equal(1_800_000_000_000, LastStep(engine));
        Assert.InRange(wait, TimeSpan.FromMilliseconds(1), TimeSpan.FromMilliseconds(50));
        _time.Advance(TimeSpan.FromMilliseconds(1));
        await engine.StepAsync(default);
        Assert.Equal(1_800_000_010_000, LastStep(engine));
    }

    [Fact]
    public async Task What_alert_templates_ask_is_not_refused_for_what_other_queries_hold()
    {
        // 300 series of a subquery of 6,000 steps, 1.8 million points: more than a query may hold beside the others.
        for (int s = 0; s < 300; s++)
            _store.Add(Labels.Of("__name__", "v", "s", $"{s}"), 1_800_000_000_000 - 600_000, s);
        const string Query = "max(max_over_time(v[600s:100ms]))";
        var queries = new PromQlEngine(new EngineOptions { MaxSamples = 3_000_000, MaxSamplesTogether = 3_000_000 }, _time);
        long others = 0;
        Assert.True(queries.Budget.TryHold(4_000_000, ref others));
        Assert.Contains("together", queries.Instant(_store, Query, 1_800_000_000_000).Error!.Message, StringComparison.Ordinal);
        var read = RuleFiles.Parse($"groups: [{{name: g, interval: 10s, rules: [{{alert: A, expr: vector(1), annotations: {{most: '{{{{ query \"{Query}\" | first | value }}}}'}}}}]}}]", "f.yaml", new RuleFileOptions());
        using var engine = new RuleEngine(new RuleSurroundings(queries, _store, _store, _progress), new RuleEngineOptions(), _time, _meter, NullLogger.Instance);
        engine.Apply(read.Value!.Groups);
        await engine.StepAsync(default);
        RuleStatus status = engine.Status[0].Rules[0];
        Assert.Equal(("", "299"), (status.LastError, status.Alerts[0].Annotations[0].Value));
    }

    [Fact]
    public async Task Steps_missed_while_down_are_caught_up_within_the_bound()
    {
        _store.Add(Labels.Of("__name__", "kpi"), 1_799_999_900_000, 1);
        RuleEngine engine = Engine(new RuleEngineOptions { StepsPerTurn = 1000 });
        engine.Apply(Groups("10s"));
        _progress.PassedMs = long.MaxValue;
        await engine.StepAsync(default);
        Assert.Equal([1_799_999_900_000, .. Enumerable.Range(1, 10).Select(i => 1_799_999_900_000L + (i * 10_000L))], _store.Of(Labels.Of("__name__", "kpi")).Select(s => s.TimestampMs));
    }

    [Fact]
    public async Task A_clock_that_was_ahead_and_is_set_right_does_not_stop_the_rules()
    {
        RuleEngine engine = Engine();
        engine.Apply(Groups("10s"));
        _progress.PassedMs = long.MaxValue;
        _time.Step(TimeSpan.FromHours(6));
        await engine.StepAsync(default);
        _time.Step(TimeSpan.FromHours(-6));
        await engine.StepAsync(default);
        _time.Advance(TimeSpan.FromSeconds(10));
        await engine.StepAsync(default);
        Assert.Equal(1_800_000_010_000, LastStep(engine));
    }

    [Fact]
    public async Task A_series_of_a_group_that_went_is_ended_even_when_the_store_was_full_meanwhile()
    {
        RuleEngine engine = Engine();
        engine.Apply(Groups("10s"));
        _progress.PassedMs = long.MaxValue;
        await engine.StepAsync(default);
        engine.Apply([]);
        _store.Unavailable = "full";
        await Assert.ThrowsAsync<StoreUnavailableException>(() => engine.StepAsync(default).AsTask());
        _store.Unavailable = null;
        await engine.StepAsync(default);
        Assert.True(SpecialValues.IsStale(_store.Of(Labels.Of("__name__", "kpi"))[^1].Value));
    }

    [Fact]
    public async Task A_full_store_makes_the_step_wait_and_be_done_again()
    {
        RuleEngine engine = Engine();
        engine.Apply(Groups("10s"));
        _progress.PassedMs = long.MaxValue;
        _store.Unavailable = "full";
        await Assert.ThrowsAsync<StoreUnavailableException>(() => engine.StepAsync(default).AsTask());
        _store.Unavailable = null;
        await engine.StepAsync(default);
        Assert.Equal(1_800_000_000_000, Assert.Single(_store.Of(Labels.Of("__name__", "kpi"))).TimestampMs);
    }

    [Fact]
    public async Task Series_of_rules_that_went_get_stale_markers_and_unchanged_groups_keep_their_state()
    {
        RuleEngine engine = Engine();
        engine.Apply(Groups("10s", "kpi", "other"));
        _progress.PassedMs = long.MaxValue;
        await engine.StepAsync(default);
        engine.Apply(Groups("10s", "kpi"));
        Assert.Equal(1_800_000_000_000, LastStep(engine));
        await engine.StepAsync(default);
        Assert.True(SpecialValues.IsStale(_store.Of(Labels.Of("__name__", "other"))[^1].Value));
        Assert.False(SpecialValues.IsStale(_store.Of(Labels.Of("__name__", "kpi"))[^1].Value));
    }

    private RuleEngine Engine(RuleEngineOptions? options = null) =>
        new(new RuleSurroundings(new PromQlEngine(new EngineOptions(), _time), _store, _store, _progress), options ?? new RuleEngineOptions(), _time, _meter, NullLogger.Instance);

    private static long LastStep(RuleEngine engine) => engine.Status[0].LastStepMs;

    private static RuleGroupDefinition[] Groups(string interval, params string[] names)
    {
        names = names.Length == 0 ? ["kpi"] : names;
        string text = "groups:\n" + string.Concat(names.Select(n => $"- {{name: {n}, interval: {interval}, rules: [{{record: {n}, expr: '1 + 1'}}]}}\n"));
        return [.. RuleFiles.Parse(text, "r.yaml", new RuleFileOptions()).Value!.Groups];
    }

    private sealed class Progress : IIngestProgress
    {
        public long PassedMs { get; set; }
    }
}
