using System.Diagnostics.Metrics;
using Bellwether.Aggregator.Run;
using Bellwether.Aggregator.Tests.Store;
using Bellwether.Core.Model;
using Bellwether.Evaluate.PromQl;
using Bellwether.Evaluate.Rules;
using Bellwether.Evaluate.Rules.Healing;
using Bellwether.Kit;
using Microsoft.Extensions.Logging.Abstractions;

namespace Bellwether.Aggregator.Tests.Run;

/// <summary>Rules that were never there before get a past, once, and keep the right to it until they have it.</summary>
public sealed class NewRulesTests : IDisposable, ISampleAppender
{
    private const long StartMs = 1_800_000_000_000;
    private static readonly TimeSpan s_back = TimeSpan.FromMinutes(30);
    private readonly Meter _meter = new("test");
    private readonly MemoryDisk _disk = new();
    private readonly VirtualTime _time = new(DateTimeOffset.FromUnixTimeMilliseconds(StartMs));
    private readonly SeriesInMemory _store = new();
    private readonly RuleEngine _engine;
    private readonly HealBook _book;
    private readonly HealDesk _desk;
    private readonly RuleVersions _versions;
    private readonly NewRules _new;
    private TaskCompletionSource? _held;
    private TaskCompletionSource? _came;

    public NewRulesTests()
    {
        var around = new RuleSurroundings(new PromQlEngine(new EngineOptions(), _time), new RevisionReader(_store), this, new Passed());
        _engine = new RuleEngine(around, new RuleEngineOptions(), _time, _meter, NullLogger.Instance);
        _versions = new RuleVersions(_disk, "/");
        _book = new HealBook(_disk, "/heals", _time, new Random(1), NullLogger.Instance);
        _desk = new HealDesk(new RuleHealer(around, _engine, _versions, new RuleHealerOptions(), _time, _meter, NullLogger.Instance), _book, _time, NullLogger.Instance);
        _new = new NewRules(_engine, _versions, _desk, _store, _time, NullLogger.Instance);
    }

    public void Dispose()
    {
        _desk.Dispose();
        _book.Dispose();
        _meter.Dispose();
    }

    /// <inheritdoc/>
    public async ValueTask<AppendResult> AppendAsync(SampleBatch batch, CancellationToken cancellation)
    {
        if (_held is { } held)
        {
            _came?.TrySetResult();
            await held.Task;
        }
        return await _store.AppendAsync(batch, cancellation);
    }

    [Fact]
    public async Task A_new_rule_gets_results_for_the_time_before_it_and_is_new_no_more()
    {
        Sell(60);
        Use("sold");
        _new.Backfill(s_back, default);
        await _new.Running;
        Assert.Equal((29L, 59.0), Past("sold"));
        Assert.Null(_versions.New);
        Assert.Equal(("backfill", "1 new rules", "evaluation.backfill_new"), (_book.Newest()[0].Kind, _book.Newest()[0].Reason, _book.Newest()[0].By));
        // Neither now nor after a restart is it made again.
        _new.Backfill(s_back, default);
        await _new.Running;
        Assert.Single(_book.Newest());
        Assert.False(IsOwed("sold"));
    }

    [Fact]
    public async Task Without_a_time_to_go_back_and_without_data_there_is_no_past_to_owe()
    {
        Use("empty");
        _new.Backfill(s_back, default);
        Assert.Null(_versions.New);
        Sell(60);
        Use("empty", "sold");
        _new.Backfill(TimeSpan.Zero, default);
        await _new.Running;
        Assert.Null(_versions.New);
        Assert.Null(_desk.Backfill);
        Assert.Empty(_store.Named("sold"));
        Assert.False(IsOwed("sold"));
    }

    [Fact]
    public async Task A_past_that_a_full_store_refused_is_owed_over_a_restart_and_made_at_the_next_reload()
    {
        Sell(60);
        Use("sold");
        _store.Unavailable = "the disk is full";
        _new.Backfill(s_back, default);
        await _new.Running;
        Assert.Equal(("failed", "the disk is full"), (_desk.Backfill!.State, _desk.Backfill.Error));
        Assert.True(_versions.New!.Keys.Count == 1 && IsOwed("sold"));
        _store.Unavailable = null;
        _new.Backfill(s_back, default);
        await _new.Running;
        Assert.Equal(59.0, Past("sold").Newest);
        Assert.False(IsOwed("sold"));
    }

    [Fact]
    public async Task Rules_that_come_while_others_get_their_past_have_theirs_next()
    {
        Sell(60);
        Use("sold");
        Hold();
        _new.Backfill(s_back, default);
        await _came!.Task;
        Use("sold", "twice");
        _new.Backfill(s_back, default);
        Assert.Empty(_store.Named("twice"));
        Release();
        await UntilIdleAsync();
        Assert.Equal((59.0, 118.0), (Past("sold").Newest, Past("twice").Newest));
        Assert.Null(_versions.New);
        Assert.False(IsOwed("sold", "twice"));
    }

    [Fact]
    public async Task While_another_backfill_runs_the_past_stays_owed()
    {
        Sell(60);
        Use("sold");
        Hold();
        long nowMs = _time.GetUtcNow().ToUnixTimeMilliseconds();
        Assert.Null(_desk.Begin(new HealRequest(nowMs - 600_000, nowMs) { Kind = HealKind.Backfill, Reason = "asked", By = "somebody" }, out Task other, default));
        await _came!.Task;
        _new.Backfill(s_back, default);
        Assert.True(_new.Running.IsCompleted && IsOwed("sold"));
        Release();
        await other;
        Assert.Equal("asked", _desk.Backfill!.Request.Reason);
        _new.Backfill(s_back, default);
        await _new.Running;
        Assert.Equal((29L, 59.0), Past("sold"));
    }

    [Fact]
    public async Task A_stop_ends_it_and_leaves_the_rest_owed()
    {
        Sell(60);
        Use("sold");
        Hold();
        using var stopping = new CancellationTokenSource();
        _new.Backfill(s_back, stopping.Token);
        await _came!.Task;
        await stopping.CancelAsync();
        _held!.SetException(new OperationCanceledException(stopping.Token));
        await _new.Running;
        Assert.Equal("failed", _desk.Backfill!.State);
        Assert.True(IsOwed("sold"));
    }

    /// <summary>One sample a minute up to now; the k-th is k.</summary>
    private void Sell(int minutes)
    {
        for (int k = 0; k <= minutes; k++)
            _store.Add(Labels.Of("__name__", "orders"), StartMs + (k * 60_000L), k);
        _time.Advance(DateTimeOffset.FromUnixTimeMilliseconds(StartMs + (minutes * 60_000L)) - _time.GetUtcNow());
    }

    private void Use(params string[] records)
    {
        RuleGroupDefinition[] groups = GroupsOf(records);
        _engine.Apply(groups);
        Assert.True(_versions.Note(groups, _time.GetUtcNow().ToUnixTimeMilliseconds()));
    }

    private static RuleGroupDefinition[] GroupsOf(string[] records) => [.. RuleFiles.Parse(
        "groups:\n" + string.Concat(records.Select(r => $"  - {{name: {r}, interval: 1m, rules: [{{record: {r}, expr: 'orders * {(r == "twice" ? 2 : 1)}'}}]}}\n")), "rules.yml", new RuleFileOptions()).Value!.Groups];

    /// <summary>Whether, by what is on the disk, one of them would still get a past after a restart.</summary>
    private bool IsOwed(params string[] records)
    {
        var again = new RuleVersions(_disk, "/");
        Assert.True(again.Note(GroupsOf(records), 0));
        return again.New is not null;
    }

    /// <summary>How many minutes of results there are, and the newest: the step of now is the rule engine's own.</summary>
    private (long Minutes, double Newest) Past(string record)
    {
        IReadOnlyList<SeriesSample> all = _store.Of(Labels.Of("__name__", record));
        return ((all[^1].TimestampMs - all[0].TimestampMs) / 60_000, all[^1].Value);
    }

    private void Hold() => (_held, _came) = (new TaskCompletionSource(), new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously));

    private void Release()
    {
        TaskCompletionSource held = _held!;
        _held = null;
        held.SetResult();
    }

    private async Task UntilIdleAsync()
    {
        for (Task last = Task.CompletedTask; !ReferenceEquals(last, _new.Running);)
        {
            last = _new.Running;
            await last;
        }
    }

    private sealed class Passed : IIngestProgress
    {
        public long PassedMs => long.MaxValue;
    }
}
