using System.Diagnostics.Metrics;
using Bellwether.Core.Model;
using Bellwether.Evaluate.PromQl;
using Bellwether.Evaluate.Rules;
using Bellwether.Evaluate.Rules.Healing;
using Bellwether.Aggregator.Tests.Store;
using Bellwether.Kit;
using Bellwether.Store;
using Microsoft.Extensions.Logging.Abstractions;
using MatchType = Bellwether.Core.Model.MatchType;

namespace Bellwether.Aggregator.Tests.Evaluate.PromQl;

/// <summary>Steps whose windows cut slots have no result: whatever the query makes of what is left out, however it is asked, and whoever asks.</summary>
public sealed class RefusedStepsTests : IDisposable
{
    private const long Minute = 60_000, Hour = 60 * Minute, Slot = 5 * Minute;
    private readonly VirtualTime _time = new(DateTimeOffset.FromUnixTimeMilliseconds(1_800_000_000_000 / Hour * Hour));
    private readonly Meter _meter = new("refused-steps-tests");
    private readonly StoreEngine _store;
    private readonly PromQlEngine _engine;
    private readonly long _startMs;

    public RefusedStepsTests()
    {
        var options = new StoreOptions
        {
            Folder = "/store",
            MinFreeBytes = 0,
            CoarsensWhateverTheSize = true,
            PartitionGrace = TimeSpan.FromMinutes(1),
            Retention = TimeSpan.FromHours(6),
            Resolutions = [new CoarseResolution(TimeSpan.FromMinutes(5), TimeSpan.FromHours(72))],
        };
        _store = StoreEngine.Open(options, new MemoryDisk(), _time, new Random(1), _meter, NullLogger.Instance);
        _engine = new PromQlEngine(new EngineOptions { Experimental = true }, _time);
        _startMs = _time.NowMs;
    }

    public void Dispose()
    {
        _store.Dispose();
        _meter.Dispose();
    }

    [Theory]
    [InlineData("sum(rate(up_total[1h])) or vector(0)")]
    [InlineData("vector(0) unless sum(rate(up_total[1h]))")]
    [InlineData("absent(rate(up_total[1h]))")]
    [InlineData("absent(rate(up_total[1h])) or vector(7)")]
    [InlineData("count(rate(up_total[1h])) or count(rate(gone_total[1h])) or vector(time())")]
    [InlineData("scalar(sum(rate(up_total[1h])))")]
    [InlineData("clamp_min(sum(rate(up_total[1h])) or vector(0), 0) + on () vector(1)")]
    [InlineData("vector(scalar(sum(rate(up_total[1h]))))")]
    public void Nothing_gives_a_number_at_a_refused_step(string query)
    {
        Live(20);
        long from = _startMs + (4 * Hour);
        QueryResult result = _engine.Range(_store.Reader, query, from, from + (2 * Hour), Minute);
        Assert.Null(result.Error);
        Assert.True(result.IsPartial);
        Assert.Contains("96 of 121 steps have no result", Assert.Single(result.Warnings), StringComparison.Ordinal);
        Assert.All(result.Series.SelectMany(s => s.Points), p => Assert.Equal(0, p.TimestampMs % Slot));
        // The other steps are what each of them is alone.
        for (long at = from; at <= from + (2 * Hour); at += Minute)
        {
            QueryResult one = _engine.Instant(_store.Reader, query, at);
            Assert.Equal(at % Slot != 0, one.Error is not null);
            if (one.Error is null)
                Assert.Equal(one.Type == Bellwether.Evaluate.PromQl.ValueType.Scalar ? [one.Scalar.Value] : one.Series.Select(s => s.Points[0].Value), result.Series.SelectMany(s => s.Points).Where(p => p.TimestampMs == at).Select(p => p.Value));
        }
    }

    [Fact]
    public void A_window_over_refused_steps_of_a_subquery_is_refused_too()
    {
        Live(20);
        long at = _startMs + (8 * Hour);
        Assert.Contains("their windows hold steps without result", _engine.Instant(_store.Reader, "sum_over_time((rate(up_total[1h]) or vector(0))[1h:1m])", at).Error!.Message, StringComparison.Ordinal);
        Assert.NotNull(_engine.Instant(_store.Reader, "absent_over_time(rate(up_total[1h])[1h:1m])", at).Error);
        QueryResult whole = _engine.Instant(_store.Reader, "count_over_time(rate(up_total[1h])[1h:5m])", at);
        Assert.Equal((12.0, false), (Assert.Single(whole.Series).Points[0].Value, whole.IsPartial));
        // The first windows reach back to where slots are, the last do not.
        long newest = _store.Blocks.Files.Where(f => f.ResolutionMs > 0).Max(f => f.Footer.MaxMs), from = newest + Slot, to = newest + (4 * Hour);
        QueryResult some = _engine.Range(_store.Reader, "count_over_time((rate(up_total[1h]) or vector(0))[1h:1m])", from, to, Minute);
        Assert.True(some.IsPartial);
        Assert.All(some.Series.SelectMany(s => s.Points), p => Assert.True(p.TimestampMs > newest + Hour));
        Assert.Equal(to, some.Series[0].Points[^1].TimestampMs);
        // A range vector tells its steps itself.
        QueryResult steps = _engine.Instant(_store.Reader, "(rate(up_total[1h]) or vector(0))[1h:1m]", at);
        Assert.True(steps.IsPartial);
        Assert.Equal(12, Assert.Single(steps.Series).Points.Count);
    }

    [Fact]
    public void A_range_query_of_which_a_part_is_known_gives_what_it_gives_without()
    {
        Live(20);
        // Every step lies within a slot: the first windows that reach none begin here, and all before are refused.
        long newest = _store.Blocks.Files.Where(f => f.ResolutionMs > 0).Max(f => f.Footer.MaxMs);
        long known = ((newest + Slot - 1) / Slot * Slot) + Hour + 90_000, to = known + (2 * Hour), from = known - (4 * Hour);
        const string Query = "sum(rate(up_total[1h]))";
        Assert.Empty(_engine.Range(_store.Reader, Query, known, to, Slot).Warnings);
        QueryResult warm = _engine.Range(_store.Reader, Query, from, to, Slot), again = _engine.Range(_store.Reader, Query, from, to, Slot);
        QueryResult cold = new PromQlEngine(new EngineOptions(), _time).Range(_store.Reader, Query, from, to, Slot);
        Assert.NotNull(_engine.Range(_store.Reader, Query, from, known - Slot, Slot).Error);
        Assert.Null(cold.Error);
        Assert.True(cold.IsPartial);
        foreach (QueryResult result in (QueryResult[])[warm, again])
        {
            Assert.Null(result.Error);
            Assert.True(result.IsPartial);
            Assert.Equal(cold.Warnings, result.Warnings);
            Assert.Equal(cold.Series[0].Points, result.Series[0].Points);
        }
    }

    [Fact]
    public async Task Results_stay_where_it_is_not_known_any_more_what_they_would_be()
    {
        var world = new RuleWorld(this, "groups: [{name: a, interval: 1m, rules: [{record: total, expr: 'sum(sum_over_time(load[5h]))'}, {record: of:total, expr: total * 2}]}]");
        Live(12);
        // While all that they read are samples.
        await world.LiveAsync(4);
        Live(4);
        long from = _time.NowMs - (5 * Hour), to = from + (20 * Minute);
        SortedDictionary<long, double> total = world.Results("total", from, to), twice = world.Results("of:total", from, to);
        Assert.Equal((21, 21), (total.Count, twice.Count));
        Assert.Equal(AppendOutcome.Stored, Append("load", from - 30_000, 1000, "late"));
        HealReport report = await world.Healer.HealAsync(from - 30_000, from - 30_000, default);
        Assert.True(report is { Failures: > 0, Replaced: > 0, Removed: 0, Added: 0 }, report.ToString());
        // At the ends of slots they are evaluated again; in between they stay, and so does what is made of them.
        SortedDictionary<long, double> totalNow = world.Results("total", from, to), twiceNow = world.Results("of:total", from, to);
        Assert.Equal(total.Select(r => (r.Key, r.Value + (r.Key % Slot == 0 ? 1000 : 0))), totalNow.Select(r => (r.Key, r.Value)));
        Assert.Equal(twice.Select(r => (r.Key, r.Value + (r.Key % Slot == 0 ? 2000 : 0))), twiceNow.Select(r => (r.Key, r.Value)));
        Assert.Equal(0, (await world.Healer.HealAsync(from - 30_000, from - 30_000, default)).Changes);
    }

    [Fact]
    public async Task A_backfill_writes_nothing_where_it_is_not_known_what_the_result_would_be()
    {
        var world = new RuleWorld(this, "groups: [{name: a, interval: 1m, rules: [{record: first, expr: sum(load)}]}]");
        Live(18);
        await world.LiveAsync(2);
        world.Use("groups: [{name: a, interval: 1m, rules: [{record: total, expr: 'sum(sum_over_time(load[5h]))'}, {record: either, expr: 'count(rate(up_total[5h])) or vector(0)'}, {record: none, expr: 'absent(rate(up_total[5h]))'}]}]");
        await world.LiveAsync(1);
        long from = _time.NowMs - (5 * Hour), to = from + (20 * Minute);
        HealReport report = await world.Healer.HealAsync(new HealRequest(from, to) { Kind = HealKind.Backfill, Rules = (_, _) => true }, default);
        Assert.True(report is { Failures: > 0, Added: > 0, Replaced: 0, Removed: 0 }, report.ToString());
        long[] ends = [.. Enumerable.Range(0, 5).Select(i => from + (i * Slot))];
        Assert.Equal(ends, world.Results("total", from, to).Keys);
        Assert.Equal(ends.Select(t => (t, 1.0)), world.Results("either", from, to).Select(r => (r.Key, r.Value)));
        Assert.Empty(world.Results("none", from, to));
    }

    [Fact]
    public async Task Nothing_is_made_for_times_that_the_store_takes_nothing_for_any_more()
    {
        var world = new RuleWorld(this, "groups: [{name: a, interval: 1m, rules: [{record: total, expr: sum(load)}]}]");
        Live(18);
        await world.LiveAsync(2);
        world.Use("groups: [{name: a, interval: 1m, rules: [{record: recent, expr: 'count_over_time(total[10m])'}, {record: total, expr: sum(load)}, {record: up, expr: sum(up_total)}]}]");
        await world.LiveAsync(1);
        long newest = _store.Blocks.Files.Where(f => f.ResolutionMs > 0).Max(f => f.Footer.MaxMs);
        foreach (HealKind kind in (HealKind[])[HealKind.Backfill, HealKind.Reopen])
        {
            HealReport report = await world.Healer.HealAsync(new HealRequest(_startMs, _time.NowMs) { Kind = kind, Reason = "r", By = "b", Rules = (_, _) => true }, default);
            Assert.Equal((0, 0), (report.Refused, report.Removed));
            // All that counts as added is there, and a second time there is nothing to do.
            Assert.Equal(kind == HealKind.Backfill, report.Added > 0);
            Assert.All(report.Changed, c => Assert.True(c.FromMs > newest));
            foreach (RuleChange change in report.Changed.Where(c => c.Record == "up"))
                Assert.Equal(change.Added, world.Results("up", change.FromMs, change.ToMs).Count);
        }
    }

    [Fact]
    public async Task Values_between_the_ends_of_slots_never_take_the_place_of_exact_ones()
    {
        var world = new RuleWorld(this, "groups: [{name: a, interval: 1m, rules: [{record: then, expr: 'sum(load offset 10h) + 0 * sum(late)'}]}]");
        Live(12);
        await world.LiveAsync(4);
        long to = _time.NowMs - (3 * Hour / Minute * Minute), from = to - (20 * Minute);
        // What it reads of ten hours before is in slots by now. Written while it was, those of the first hours were exact.
        Assert.Equal(AppendOutcome.Stored, Append("late", from - Minute, 1));
        HealReport report = await world.Healer.HealAsync(from - Minute, from - Minute, default);
        Assert.True(report is { Failures: > 0, Added: > 0, Replaced: 0, Removed: 0 }, report.ToString());
        // A slot is known at its first sample, a minute after its beginning, and at its last, at its end.
        SortedDictionary<long, double> added = world.Results("then", from, from + (4 * Minute));
        Assert.All(added, r => Assert.True(r.Key % Slot is 0 or Minute, $"{r.Key}"));
        Assert.All(added.Where(r => !SpecialValues.IsStale(r.Value)), r => Assert.Equal((r.Key - (10 * Hour)) / Minute % 7, r.Value));
        // Who only asks gets the newest that is known, and is told.
        long between = (from / Slot * Slot) + (3 * Minute);
        QueryResult asked = _engine.Instant(_store.Reader, "load offset 10h", between);
        Assert.Contains("up to 5m old", Assert.Single(asked.Infos), StringComparison.Ordinal);
        Assert.Equal("only slots of up to 5m are kept of a part of the range (retention): values between multiples of 5m are not known", _engine.Instant(_store.Reader, _engine.Prepare("load offset 10h").Exactly(), between).Error!.Message);
    }

    [Fact]
    public async Task A_backfill_of_plain_selectors_writes_only_what_is_known()
    {
        var world = new RuleWorld(this, "groups: [{name: a, interval: 1m, rules: [{record: first, expr: sum(load)}]}]");
        Live(18);
        await world.LiveAsync(2);
        world.Use("groups: [{name: a, interval: 1m, rules: [{record: then, expr: sum(load offset 10h)}]}]");
        await world.LiveAsync(1);
        long from = (_time.NowMs - (5 * Hour)) / Slot * Slot, to = from + (20 * Minute);
        HealReport report = await world.Healer.HealAsync(new HealRequest(from, to) { Kind = HealKind.Backfill, Rules = (_, _) => true }, default);
        Assert.True(report is { Failures: > 0, Added: > 0 }, report.ToString());
        Assert.Equal(Enumerable.Range(0, 21).Where(i => i % 5 < 2).Select(i => (from + (i * Minute), (double)((from / Minute) - 600 + i) % 7)), world.Results("then", from, to).Where(r => !SpecialValues.IsStale(r.Value)).Select(r => (r.Key, r.Value)));
    }

    private void Live(int hours)
    {
        for (int h = 0; h < hours; h++)
        {
            for (int i = 0; i < 60; i++)
                Tick();
            Upkeep();
        }
    }

    private void Upkeep()
    {
        _store.Commit();
        _store.Maintain();
        _store.MergeFiles(CancellationToken.None);
    }

    private void Tick()
    {
        Put();
        _time.Advance(TimeSpan.FromMinutes(1));
    }

    private void Put()
    {
        Append("up_total", _time.NowMs, _time.NowMs / Minute % 100_000);
        Append("load", _time.NowMs, _time.NowMs / Minute % 7);
    }

    private AppendOutcome Append(string name, long timeMs, double value, string job = "")
    {
        var batch = new SampleBatch();
        batch.Samples.Add(new SeriesSample(Labels.Of("__name__", name, "job", job), timeMs, value));
        AppendResult result = _store.AppendBatch(batch);
        return Enum.GetValues<AppendOutcome>().Single(o => result[o] == 1);
    }

    private sealed class RuleWorld
    {
        private readonly RefusedStepsTests _owner;
        private readonly RevisionReader _reader;
        private readonly RuleEngine _rules;
        private readonly RuleVersions _versions = new(null, "");

        public RuleWorld(RefusedStepsTests owner, string rules)
        {
            _owner = owner;
            _reader = new RevisionReader(owner._store.Reader);
            var around = new RuleSurroundings(owner._engine, _reader, new Appender(owner._store), new Passed());
            _rules = new RuleEngine(around, new RuleEngineOptions(), owner._time, owner._meter, NullLogger.Instance);
            Healer = new RuleHealer(around, _rules, _versions, new RuleHealerOptions(), owner._time, owner._meter, NullLogger.Instance);
            Use(rules);
        }

        public RuleHealer Healer { get; }

        public void Use(string text)
        {
            IReadOnlyList<RuleGroupDefinition> groups = RuleFiles.Parse(text, "rules.yml", new RuleFileOptions()).Value!.Groups;
            _rules.Apply(groups);
            _versions.Note(groups, _owner._time.NowMs);
        }

        public async Task LiveAsync(int hours)
        {
            for (int i = 0; i < hours * 60; i++)
            {
                _owner.Put();
                await _rules.StepAsync(default);
                _owner._time.Advance(TimeSpan.FromMinutes(1));
                if (i % 60 == 59)
                    _owner.Upkeep();
            }
        }

        /// <summary>All that is stored of a rule, stale markers too.</summary>
        public SortedDictionary<long, double> Results(string name, long fromMs, long toMs)
        {
            var found = new SortedDictionary<long, double>();
            var buffer = new SampleBuffer();
            using ISeriesSet set = _reader.Select(fromMs, toMs, [new LabelMatcher(MatchType.Equal, "__name__", name)], default);
            for (int i = 0; i < set.Count; i++)
            {
                set.Read(i, buffer);
                for (int n = 0; n < buffer.Count; n++)
                    found.Add(buffer.Times[n], buffer.Values[n]);
            }
            return found;
        }

        private sealed class Appender(StoreEngine store) : ISampleAppender
        {
            public long OldestMs => store.OldestTakenMs;

            public ValueTask<AppendResult> AppendAsync(SampleBatch batch, CancellationToken cancellation)
            {
                AppendResult result = store.AppendBatch(batch);
                store.Commit();
                return ValueTask.FromResult(result);
            }
        }

        private sealed class Passed : IIngestProgress
        {
            public long PassedMs => long.MaxValue;
        }
    }
}
