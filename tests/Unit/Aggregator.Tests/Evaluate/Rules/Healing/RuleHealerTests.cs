using System.Diagnostics.Metrics;
using Bellwether.Core.Model;
using Bellwether.Evaluate.PromQl;
using Bellwether.Evaluate.Rules;
using Bellwether.Evaluate.Rules.Healing;
using Bellwether.Kit;
using Microsoft.Extensions.Logging.Abstractions;
using MatchType = Bellwether.Core.Model.MatchType;

namespace Bellwether.Aggregator.Tests.Evaluate.Rules.Healing;

/// <summary>What late data leaves behind is what on-time arrival would have given, bit for bit.</summary>
public sealed class RuleHealerTests : IDisposable
{
    private const long StartMs = 1_800_000_000_000;
    private static readonly Dictionary<int, List<SeriesSample>> s_none = [];
    private readonly Meter _meter = new("test");

    private const string Rules = """
        groups:
          - name: a
            interval: 5s
            rules:
              - record: job:rate
                expr: sum by (job) (rate(requests_total[1m]))
              - record: job:mean
                expr: avg_over_time(job:rate[1m])
              - record: busy
                expr: job:rate > 0.5
                labels: {kind: busy}
              - record: later:seen
                expr: sum(from:later) + 0
              - record: none
                expr: absent(requests_total{job="c"})
          - name: b
            interval: 10s
            query_offset: 5s
            rules:
              - record: ratio
                expr: job:rate{job="c"} / ignoring(job) sum(job:rate)
              - record: from:later
                expr: count(requests_total) by (job)
              - record: before
                expr: sum(requests_total offset 30s) by (job)
          - name: c
            interval: 10s
            rules:
              - record: running
                expr: (sum(running) or vector(0)) + sum(job:rate)
              - record: sub
                expr: max_over_time(sum(job:rate)[1m:10s])
              - record: spread
                expr: histogram_quantile(0.9, sum by (le) (rate(latency_bucket[1m])))
              - record: fixed
                expr: sum(requests_total @ end()) by (job)
              - alert: Low
                expr: job:rate < 0.1
                for: 10s
              - record: alerts
                expr: count(ALERTS)
        """;

    public void Dispose() => _meter.Dispose();

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    [InlineData(4)]
    [InlineData(5)]
    [InlineData(6)]
    [InlineData(7)]
    [InlineData(8)]
    public async Task Whatever_comes_late_in_whatever_order_the_results_are_those_of_on_time_arrival(int seed)
    {
        var random = new Random(seed);
        List<SeriesSample> all = Data(random, 120);
        long from = StartMs + (random.Next(20, 60) * 5000L), to = from + (random.Next(1, 40) * 5000L);
        string[] away = seed % 2 == 0 ? ["c"] : ["b", "c"];
        List<SeriesSample> late = all.FindAll(s => away.Contains(s.Labels.Get("job")) && s.TimestampMs >= from && s.TimestampMs <= to);
        var onTime = new World(_meter);
        await onTime.RunAsync(all, 130, s_none);
        var healed = new World(_meter);
        // They come in up to four parts, each in any order, at any moment after the cut.
        SeriesSample[] shuffled = [.. late];
        random.Shuffle(shuffled);
        var arrivals = new Dictionary<int, List<SeriesSample>>();
        foreach (SeriesSample sample in shuffled)
        {
            int tick = random.Next((int)((to - StartMs) / 5000) + 1, 130);
            tick -= tick % 7;
            tick = Math.Max(tick, (int)((to - StartMs) / 5000) + 1);
            (arrivals.TryGetValue(tick, out List<SeriesSample>? part) ? part : arrivals[tick] = []).Add(sample);
        }
        await healed.RunAsync(all.Except(late), 130, arrivals);
        Assert.True(healed.Changes > 0);
        Same(onTime, healed);
    }

    [Fact]
    public async Task Without_late_data_nothing_changes_and_what_was_healed_is_not_healed_again()
    {
        var world = new World(_meter);
        await world.RunAsync(Data(new Random(1), 60), 70, s_none);
        HealReport healing = await world.Healer.HealAsync(StartMs + 50_000, StartMs + 100_000, default);
        Assert.Equal(0, healing.Changes);
        Assert.True(healing.Rules >= 10 && healing.Steps > 50, healing.ToString());
        Assert.Equal(0, healing.Failures);
    }

    [Fact]
    public async Task The_earlier_values_stay_readable_and_gone_results_are_gone()
    {
        var random = new Random(3);
        List<SeriesSample> all = Data(random, 60);
        List<SeriesSample> late = all.FindAll(s => s.Labels.Get("job") == "c" && s.TimestampMs < StartMs + 150_000);
        var world = new World(_meter);
        await world.RunAsync(all.Except(late), 60, new Dictionary<int, List<SeriesSample>> { [50] = late });
        var onTime = new World(_meter);
        await onTime.RunAsync(all, 60, s_none);
        // While c was away, "absent" said so: that was not so.
        Assert.Equal(onTime.Count("none", StartMs + 10_000, StartMs + 140_000), world.Count("none", StartMs + 10_000, StartMs + 140_000));
        Assert.True(world.Count("none", StartMs + 10_000, StartMs + 140_000, new LabelMatcher(MatchType.Equal, Revision.Label, "")) > 10);
        Assert.True(world.Count("none", StartMs + 10_000, StartMs + 140_000, new LabelMatcher(MatchType.Equal, Revision.Label, "1")) > 10);
        Assert.DoesNotContain(Revision.Label, world.Reader.LabelNames(0, long.MaxValue / 2, [], default));
    }

    [Fact]
    public async Task Alerts_and_what_reads_them_stay_as_they_were()
    {
        List<SeriesSample> all = Data(new Random(4), 60);
        List<SeriesSample> late = all.FindAll(s => s.Labels.Get("job") == "c" && s.TimestampMs > StartMs + 50_000 && s.TimestampMs < StartMs + 200_000);
        var world = new World(_meter);
        await world.RunAsync(all.Except(late), 55, s_none);
        string before = world.Text("ALERTS") + world.Text("alerts");
        foreach (SeriesSample sample in late)
            world.Store.Add(sample.Labels, sample.TimestampMs, sample.Value);
        await world.Healer.HealAsync(StartMs + 50_000, StartMs + 200_000, default);
        Assert.Equal(before, world.Text("ALERTS") + world.Text("alerts"));
    }

    [Fact]
    public async Task A_rule_whose_text_changed_leaves_the_history_of_the_one_before()
    {
        List<SeriesSample> all = Data(new Random(5), 60);
        List<SeriesSample> late = all.FindAll(s => s.Labels.Get("job") == "c" && s.TimestampMs < StartMs + 250_000);
        var world = new World(_meter);
        await world.RunAsync(all.Except(late), 30, s_none);
        string before = world.Text("job:rate", toMs: StartMs + 140_000);
        world.Use(Rules.Replace("sum by (job) (rate(requests_total[1m]))", "2 * sum by (job) (rate(requests_total[1m]))", StringComparison.Ordinal));
        await world.RunAsync(all.Except(late), 60, new Dictionary<int, List<SeriesSample>> { [55] = late }, first: 30);
        Assert.Equal(before, world.Text("job:rate", toMs: StartMs + 140_000));
        Assert.True(world.Count("job:rate", StartMs + 160_000, StartMs + 240_000, new LabelMatcher(MatchType.Equal, "job", "c")) > 5);
    }

    [Fact]
    public async Task A_rule_that_fails_leaves_what_is_stored()
    {
        var world = new World(_meter, """
            groups:
              - name: a
                interval: 5s
                rules:
                  - record: joined
                    expr: requests_total * on () limit
            """);
        List<SeriesSample> all = [.. Enumerable.Range(0, 20).SelectMany(i => (SeriesSample[])[new(Labels.Of("__name__", "requests_total", "job", "a"), At(i), i), new(Labels.Of("__name__", "limit"), At(i), 2)])];
        // Another "limit" makes the join ambiguous.
        List<SeriesSample> late = [.. Enumerable.Range(5, 5).Select(i => new SeriesSample(Labels.Of("__name__", "limit", "job", "x"), At(i), 3))];
        await world.RunAsync(all, 20, s_none);
        string before = world.Text("joined", toMs: At(9));
        foreach (SeriesSample sample in late)
            world.Store.Add(sample.Labels, sample.TimestampMs, sample.Value);
        HealReport healing = await world.Healer.HealAsync(At(5), At(9), default);
        Assert.True(healing.Failures > 0);
        Assert.Equal(before, world.Text("joined", toMs: At(9)));
    }

    [Fact]
    public async Task A_new_rule_is_backfilled_with_those_that_read_it_and_is_what_it_would_have_been()
    {
        List<SeriesSample> all = Data(new Random(6), 60);
        var world = new World(_meter);
        world.Use(Rules.Replace("record: job:rate", "record: not:yet", StringComparison.Ordinal));
        await world.RunAsync(all, 40, s_none);
        Assert.Equal("", world.Text("job:rate"));
        world.Use(Rules);
        await world.RunAsync(all, 60, s_none, first: 40);
        var told = new List<(long Steps, long Due)>();
        HealReport report = await world.Healer.HealAsync(new HealRequest(StartMs, At(59)) { Kind = HealKind.Backfill, Rules = (_, rule) => rule.Name == "job:rate", Progress = (steps, due) => told.Add((steps, due)) }, default);
        Assert.True(report.Added > 60, report.ToString());
        Assert.Contains(report.Changed, c => c is { Record: "job:rate", Group: "a" } && c.Added > 60 && c.Removed == 0 && c.FromMs >= StartMs && c.ToMs < At(41));
        Assert.Equal(told[0].Due, told[^1].Steps);
        Assert.True(told.Count > 3);
        var onTime = new World(_meter);
        await onTime.RunAsync(all, 60, s_none);
        Same(onTime, world, At(58));
        // Again: there is nothing left to do.
        Assert.Equal(0, (await world.Healer.HealAsync(new HealRequest(StartMs, At(59)) { Kind = HealKind.Backfill, Rules = (_, rule) => rule.Name == "job:rate" }, default)).Changes);
    }

    [Fact]
    public async Task What_the_store_refuses_does_not_count_as_added_and_the_backfill_has_failed()
    {
        List<SeriesSample> all = Data(new Random(6), 60);
        var world = new World(_meter);
        world.Use(Rules.Replace("record: job:rate", "record: not:yet", StringComparison.Ordinal));
        await world.RunAsync(all, 60, s_none);
        world.Use(Rules);
        world.Store.OverLimit = s => s.Labels.MetricName == "job:rate" && s.Labels.Get("job") == "a" ? "max_series" : null;
        using var book = new HealBook(new FaultyDisk(new Random(1)), "/heals", world.Time, new Random(1), NullLogger.Instance);
        using var desk = new HealDesk(world.Healer, book, world.Time, NullLogger.Instance);
        async Task<BackfillStatus> BackfillAsync()
        {
            Assert.Null(desk.Begin(new HealRequest(StartMs, At(59)) { Kind = HealKind.Backfill, Rules = (_, rule) => rule.Name == "job:rate" }, out Task running, default));
            await running;
            return desk.Backfill!;
        }
        BackfillStatus part = await BackfillAsync();
        Assert.Equal("failed", part.State);
        Assert.Matches("^the store refused [0-9]+ of [0-9]+ results; the first: max_series; ask again", part.Error);
        RuleChange rates = part.Report!.Changed.Single(c => c.Record == "job:rate");
        Assert.Equal(world.Store.Named("job:rate").Sum(l => world.Store.Of(l).Count), rates.Added);
        Assert.DoesNotContain(world.Store.Named("job:rate"), l => l.Get("job") == "a");
        Assert.True(part.Report.Refused > 10);
        world.Store.OverLimit = null;
        BackfillStatus rest = await BackfillAsync();
        Assert.Equal(("done", "", part.Report.Refused), (rest.State, rest.Error, rest.Report!.Changed.Single(c => c.Record == "job:rate").Added));
    }

    [Fact]
    public async Task Slices_are_as_long_as_their_results_fit_into_memory()
    {
        var world = new World(_meter, "groups: [{name: a, interval: 5s, rules: [{record: copy, expr: g}]}]", options: new RuleHealerOptions { SliceResults = 500 });
        // Fifty series, and towards the end one.
        List<SeriesSample> all = [.. Enumerable.Range(0, 300).SelectMany(i => Enumerable.Range(0, i < 200 ? 50 : 1).Select(s => new SeriesSample(Labels.Of("__name__", "g", "s", $"{s}"), At(i), i)))];
        await world.RunAsync([], 300, s_none);
        foreach (SeriesSample sample in all)
            world.Store.Add(sample.Labels, sample.TimestampMs, sample.Value);
        var told = new List<long>();
        HealReport report = await world.Healer.HealAsync(new HealRequest(StartMs, At(299)) { Progress = (steps, _) => told.Add(steps) }, default);
        Assert.True(report.Added > 10_000, report.ToString());
        long[] slices = [.. told.Zip(told.Skip(1), (before, after) => after - before)];
        Assert.Equal(16, slices[0]);
        Assert.All(slices[1..], s => Assert.InRange(s, 1, 500 / 50));
    }

    [Fact]
    public async Task A_backfill_goes_back_as_far_as_the_store_takes_results_and_says_so()
    {
        List<SeriesSample> all = Data(new Random(6), 60);
        var world = new World(_meter);
        world.Use(Rules.Replace("record: job:rate", "record: not:yet", StringComparison.Ordinal));
        await world.RunAsync(all, 60, s_none);
        world.Use(Rules);
        world.Store.OldestMs = At(30);
        using var book = new HealBook(new FaultyDisk(new Random(1)), "/heals", world.Time, new Random(1), NullLogger.Instance);
        using var desk = new HealDesk(world.Healer, book, world.Time, NullLogger.Instance);
        var request = new HealRequest(StartMs, At(59)) { Kind = HealKind.Backfill, Rules = (_, rule) => rule.Name == "job:rate" };
        Assert.Null(desk.Begin(request, out Task running, default));
        await running;
        Assert.Equal(("done", At(30), 0), (desk.Backfill!.State, desk.Backfill.SinceMs, desk.Backfill.Report!.Refused));
        Assert.All(desk.Backfill.Report.Changed, c => Assert.True(c.FromMs >= At(30)));
        Assert.Equal(world.Store.Named("job:rate").Sum(l => world.Store.Of(l).Count), desk.Backfill.Report.Changed.Single(c => c.Record == "job:rate").Added);
        // What reads them is made of what is stored.
        Assert.Equal(0, (await world.Healer.HealAsync(request, default)).Changes);
        Assert.Contains("the store takes no results before", desk.Begin(request with { ToMs = At(29) }, out _, default), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(HealKind.Late, 0)]
    [InlineData(HealKind.Backfill, 1)]
    [InlineData(HealKind.Reopen, 2)]
    public async Task What_is_sealed_stays_and_a_backfill_only_adds_there_unless_it_is_opened_again(HealKind kind, int sealing)
    {
        List<SeriesSample> all = [.. Enumerable.Range(0, 60).Select(i => new SeriesSample(Labels.Of("__name__", "g"), At(i), i))];
        List<SeriesSample> late = [.. Enumerable.Range(0, 60).Select(i => new SeriesSample(Labels.Of("__name__", "g", "job", "late"), At(i), 1000))];
        // No rule ran in the first ten steps; the window is a hundred seconds, so that half is sealed.
        var world = new World(_meter, "groups: [{name: a, interval: 5s, rules: [{record: other, expr: sum(g)}]}]", TimeSpan.FromSeconds(103));
        await world.RunAsync(all, 10, s_none);
        world.Use("groups: [{name: b, interval: 5s, rules: [{record: sum, expr: sum(g)}]}]");
        await world.RunAsync(all, 61, s_none, first: 10);
        foreach (SeriesSample sample in late)
            world.Store.Add(sample.Labels, sample.TimestampMs, sample.Value);
        HealReport report = await world.Healer.HealAsync(new HealRequest(StartMs, At(59)) { Kind = kind, Rules = kind == HealKind.Late ? null : (_, _) => true }, default);
        double[] values = world.Values("sum");
        // Now is three seconds behind tick 60: from tick 40 on nothing is sealed. The rule began at tick 9.
        Assert.Equal(sealing switch { 0 => (51, 20), 1 => (60, 29), _ => (60, 60) }, (values.Length, values.Count(v => v >= 1000)));
        Assert.Equal(0, report.Failures);
    }

    [Fact]
    public async Task Only_rules_that_read_what_came_are_evaluated_again_when_its_metrics_are_known()
    {
        var world = new World(_meter);
        await world.RunAsync(Data(new Random(1), 60), 70, s_none);
        HealReport some = await world.Healer.HealAsync(new HealRequest(StartMs + 50_000, StartMs + 100_000) { Metrics = ["latency_bucket"] }, default);
        Assert.Equal((1, 0), (some.Rules, some.Changes));
        Assert.Equal(0, (await world.Healer.HealAsync(new HealRequest(StartMs + 50_000, StartMs + 100_000) { Metrics = ["other"] }, default)).Rules);
    }

    private static long At(int tick) => StartMs + (tick * 5000L);

    private static List<SeriesSample> Data(Random random, int ticks)
    {
        var samples = new List<SeriesSample>();
        foreach (string job in new[] { "a", "b", "c" })
        {
            double requests = 0, small = 0, large = 0;
            for (int i = 0; i < ticks; i++)
            {
                requests += random.NextDouble() * 10;
                small += random.Next(5);
                large = small + random.Next(1 + i);
                if (random.Next(40) == 0)
                    requests = 0;
                // Sources have gaps and stale markers of their own.
                if (random.Next(15) == 0)
                    continue;
                bool ends = random.Next(30) == 0;
                samples.Add(new SeriesSample(Labels.Of("__name__", "requests_total", "job", job), At(i), ends ? SpecialValues.StaleMarker : requests));
                samples.Add(new SeriesSample(Labels.Of("__name__", "latency_bucket", "job", job, "le", "0.1"), At(i), small));
                samples.Add(new SeriesSample(Labels.Of("__name__", "latency_bucket", "job", job, "le", "+Inf"), At(i), large));
            }
        }
        return samples;
    }

    private static void Same(World a, World b, long toMs = long.MaxValue / 2)
    {
        foreach (string name in new[] { "job:rate", "job:mean", "busy", "later:seen", "none", "ratio", "from:later", "before", "running", "sub", "spread", "fixed" })
            Assert.Equal(a.Text(name, toMs), b.Text(name, toMs));
    }

    private sealed class World
    {
        private readonly VirtualTime _time = new(DateTimeOffset.FromUnixTimeMilliseconds(StartMs));
        private readonly RuleEngine _engine;
        private readonly RuleVersions _versions = new(null, "");

        public World(Meter meter, string rules = RuleHealerTests.Rules, TimeSpan? lateWindow = null, RuleHealerOptions? options = null)
        {
            Reader = new RevisionReader(Store);
            var around = new RuleSurroundings(new PromQlEngine(new EngineOptions(), _time), Reader, Store, new Passed());
            _engine = new RuleEngine(around, new RuleEngineOptions { CatchUpMax = TimeSpan.FromHours(1), StepsPerTurn = 1 }, _time, meter, NullLogger.Instance);
            Use(rules);
            Healer = new RuleHealer(around, _engine, _versions, options ?? new RuleHealerOptions { SliceSteps = 7, BatchSamples = 50, LateWindow = lateWindow ?? TimeSpan.FromDays(7) }, _time, meter, NullLogger.Instance);
        }

        public SeriesInMemory Store { get; } = new();

        public VirtualTime Time => _time;

        public RevisionReader Reader { get; }

        public RuleHealer Healer { get; }

        public long Changes { get; private set; }

        public void Use(string rules)
        {
            IReadOnlyList<RuleGroupDefinition> groups = RuleFiles.Parse(rules, "rules.yml", new RuleFileOptions()).Value!.Groups;
            Assert.NotEmpty(groups);
            _engine.Apply(groups);
            _versions.Note(groups, _time.GetUtcNow().ToUnixTimeMilliseconds());
        }

        public async Task RunAsync(IEnumerable<SeriesSample> samples, int ticks, IReadOnlyDictionary<int, List<SeriesSample>> arrivals, int first = 0)
        {
            ILookup<long, SeriesSample> due = samples.ToLookup(s => s.TimestampMs);
            for (int i = first; i < ticks; i++)
            {
                _time.Advance(DateTimeOffset.FromUnixTimeMilliseconds(At(i)) - _time.GetUtcNow());
                foreach (SeriesSample sample in due[At(i)])
                    Store.Add(sample.Labels, sample.TimestampMs, sample.Value);
                _time.Advance(TimeSpan.FromSeconds(3));
                await _engine.StepAsync(default);
                if (!arrivals.TryGetValue(i, out List<SeriesSample>? late))
                    continue;
                foreach (SeriesSample sample in late)
                    Store.Add(sample.Labels, sample.TimestampMs, sample.Value);
                HealReport healing = await Healer.HealAsync(late.Min(s => s.TimestampMs), late.Max(s => s.TimestampMs), default);
                Changes += healing.Changes;
            }
        }

        public int Count(string name, long fromMs, long toMs, LabelMatcher? and = null)
        {
            int count = 0;
            var buffer = new SampleBuffer();
            using ISeriesSet set = Reader.Select(fromMs, toMs, [new LabelMatcher(MatchType.Equal, "__name__", name), .. and is null ? (LabelMatcher[])[] : [and]], default);
            for (int i = 0; i < set.Count; i++)
            {
                set.Read(i, buffer);
                foreach (double value in buffer.Values)
                    count += SpecialValues.IsStale(value) ? 0 : 1;
            }
            return count;
        }

        public double[] Values(string name)
        {
            var buffer = new SampleBuffer();
            using ISeriesSet set = Reader.Select(0, long.MaxValue / 2, [new LabelMatcher(MatchType.Equal, "__name__", name)], default);
            set.Read(0, buffer);
            return [.. buffer.Values];
        }

        /// <summary>All samples, to the bit.</summary>
        public string Text(string name, long toMs = long.MaxValue / 2)
        {
            var text = new System.Text.StringBuilder();
            var buffer = new SampleBuffer();
            using ISeriesSet set = Reader.Select(0, toMs, [new LabelMatcher(MatchType.Equal, "__name__", name)], default);
            for (int i = 0; i < set.Count; i++)
            {
                set.Read(i, buffer);
                for (int n = 0; n < buffer.Count; n++)
                    text.Append(System.Globalization.CultureInfo.InvariantCulture, $"{set.LabelsAt(i)} {(buffer.Times[n] - StartMs) / 1000.0} {buffer.Values[n]:R} {BitConverter.DoubleToInt64Bits(buffer.Values[n]):x}\n");
            }
            return text.ToString();
        }

        private sealed class Passed : IIngestProgress
        {
            public long PassedMs => long.MaxValue;
        }
    }
}
