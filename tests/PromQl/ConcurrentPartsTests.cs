using FsCheck;
using FsCheck.Fluent;
using Bellwether.Core.Model;
using Bellwether.Evaluate.PromQl;
using Bellwether.Kit;
using Bellwether.Kit.PromQl;

namespace Bellwether.PromQl.Tests;

/// <summary>What different range queries that are asked at the same time have in common is evaluated once, and never another answer for it.</summary>
public sealed class ConcurrentPartsTests : IDisposable
{
    private readonly HeldSeries _data = new();
    private readonly VirtualTime _time = new();
    private readonly PromQlEngine _engine;
    private readonly ConcurrentQueries _queries;

    public ConcurrentPartsTests()
    {
        _engine = new PromQlEngine(new EngineOptions { MaxCachedPoints = 0 }, _time);
        _queries = new ConcurrentQueries(_engine, _data, new Places(), 16, _time);
        for (int i = 0; i <= 10; i++)
            _data.Add(i * 60_000, i);
    }

    public void Dispose() => _data.Dispose();

    [Fact]
    public async Task Different_queries_evaluate_what_they_have_in_common_once_and_nothing_is_kept_when_all_are_over()
    {
        // A sum that is asked alone is made without its parts.
        Task<ConcurrentAnswer> sum = Range("avg(count_over_time(v[2m]))");
        await _data.Begun();
        Task<ConcurrentAnswer> twice = Range("max( count_over_time( v[2m] ) ) * 2"), bare = Range("count_over_time(v[2m])"), other = Range("sum(count_over_time(v[3m]))");
        await _data.Begun();
        _data.Release();
        Assert.Equal((2, 4, 2, 3), (Last(await sum), Last(await twice), Last(await bare), Last(await other)));
        Assert.Equal((2, 2), (_data.Selects, _engine.PartsShared));
        Assert.Equal(0, _engine.Parts!.Count);
        await Range("min(count_over_time(v[2m]))");
        Assert.Equal(3, _data.Selects);
    }

    [Fact]
    public async Task A_sum_is_made_without_its_parts_when_it_is_asked_alone_and_with_them_beside_others()
    {
        _data.Release();
        Assert.Equal(2, Last(await Range("sum(count_over_time(v[2m]))")));
        long asked = _engine.Parts!.Enter();
        long shared = _engine.PartsShared;
        Assert.Equal(2, Last(await Range("sum(count_over_time(v[2m]))")));
        Assert.Equal(2, Last(await Range("max(count_over_time(v[2m]))")));
        Assert.Equal((2, shared + 1), (_data.Selects, _engine.PartsShared));
        _engine.Parts.Leave(asked);
    }

    [Fact]
    public async Task What_is_done_is_kept_for_those_that_were_asked_before_it_was_done()
    {
        _data.Release();
        long asked = _engine.Parts!.Enter();
        await Range("sum(count_over_time(v[2m]))");
        Assert.Equal(2, Last(await Range("max(count_over_time(v[2m]))")));
        Assert.Equal(1, _data.Selects);
        _engine.Parts.Leave(asked);
        Assert.Equal(0, _engine.Parts.Count);
    }

    [Fact]
    public async Task A_query_does_not_take_what_lacks_a_sample_that_was_stored_before_it_was_asked()
    {
        Task<ConcurrentAnswer> first = Range("sum(max_over_time(v[2m]))");
        await _data.Begun();
        _data.Add(600_001, 50);
        Task<ConcurrentAnswer> behind = Range("max(max_over_time(v[2m]))");
        // It reads nothing itself: what came lies behind what the queries read.
        _data.Add(590_000, 40);
        Task<ConcurrentAnswer> apart = Range("min(max_over_time(v[2m]))");
        await _data.Begun();
        _data.Release();
        Assert.Equal(40, Last(await apart));
        await first;
        await behind;
        Assert.InRange(_data.Selects, 2, 3);
    }

    [Fact]
    public async Task What_reads_ahead_is_taken_only_if_it_was_begun_later()
    {
        _data.Release();
        long asked = _engine.Parts!.Enter();
        await Range("sum(max_over_time(v[2m] offset -5m))");
        _data.Add(620_000, 70);
        Assert.Equal(70, Last(await Range("max(max_over_time(v[2m] offset -5m))")));
        Assert.Equal(2, _data.Selects);
        _engine.Parts.Leave(asked);
    }

    [Fact]
    public async Task When_the_one_who_evaluates_goes_away_another_one_does_it()
    {
        using var stop = new CancellationTokenSource();
        Task<ConcurrentAnswer> first = Range("sum(count_over_time(v[2m]))", stop.Token);
        await _data.Begun();
        Task<ConcurrentAnswer> second = Range("max(count_over_time(v[2m]))");
        await stop.CancelAsync();
        Assert.Equal(QueryErrorKind.Canceled, (await first).Result!.Error!.Kind);
        await _data.Begun();
        _data.Release();
        Assert.Equal(2, Last(await second));
        Assert.Equal(2, _data.Selects);
    }

    [Fact]
    public async Task Who_waits_for_another_ends_when_its_caller_goes()
    {
        using var stop = new CancellationTokenSource();
        Task<ConcurrentAnswer> first = Range("sum(count_over_time(v[2m]))");
        await _data.Begun();
        Task<ConcurrentAnswer> second = Range("max(count_over_time(v[2m]))", stop.Token);
        await stop.CancelAsync();
        Assert.Equal(QueryErrorKind.Canceled, (await second).Result!.Error!.Kind);
        _data.Release();
        Assert.Equal(2, Last(await first));
    }

    [Fact]
    public async Task A_limit_that_ends_one_does_not_end_the_other()
    {
        var small = new PromQlEngine(new EngineOptions { MaxCachedPoints = 0, MaxSamples = 40 }, _time);
        var queries = new ConcurrentQueries(small, _data, new Places(), 16, _time);
        _data.Release();
        long asked = small.Parts!.Enter();
        ConcurrentAnswer refused = await queries.RangeAsync("(v + v * 2) + on () sum(max_over_time(v[5m]))", 0, 600_000, 60_000, default);
        Assert.Equal(QueryErrorKind.Execution, refused.Result!.Error!.Kind);
        Assert.Equal(10, Last(await queries.RangeAsync("max(max_over_time(v[5m]))", 0, 600_000, 60_000, default)));
        small.Parts.Leave(asked);
    }

    [Fact]
    public async Task Each_query_gets_its_own_warnings_with_their_places()
    {
        _data.Release();
        long asked = _engine.Parts!.Enter();
        ConcurrentAnswer one = await Range("sum(quantile_over_time(2, v[2m]))"), other = await Range("max  (quantile_over_time(2, v[2m]))");
        Assert.Contains("(1:24)", Assert.Single(one.Result!.Warnings), StringComparison.Ordinal);
        Assert.Contains("(1:26)", Assert.Single(other.Result!.Warnings), StringComparison.Ordinal);
        _engine.Parts.Leave(asked);
    }

    [Fact]
    public async Task More_points_than_may_be_kept_are_evaluated_again()
    {
        var small = new PromQlEngine(new EngineOptions { MaxCachedPoints = 0, MaxSharedPoints = 10 }, _time);
        var queries = new ConcurrentQueries(small, _data, new Places(), 16, _time);
        _data.Release();
        long asked = small.Parts!.Enter();
        await queries.RangeAsync("sum(count_over_time(v[2m]))", 0, 600_000, 60_000, default);
        await queries.RangeAsync("max(count_over_time(v[2m]))", 0, 600_000, 60_000, default);
        Assert.Equal(2, _data.Selects);
        await queries.RangeAsync("sum(count_over_time(v[2m]))", 0, 300_000, 60_000, default);
        await queries.RangeAsync("max(count_over_time(v[2m]))", 0, 300_000, 60_000, default);
        Assert.Equal(3, _data.Selects);
        small.Parts.Leave(asked);
        Assert.Equal(0, small.Parts.Count);
    }

    [Fact]
    public void Together_is_what_alone_and_plainly_evaluated_would_be()
    {
        long shared = 0;
        Check.One(Config.QuickThrowOnFailure.WithMaxTest(60), Prop.ForAll(ArbMap.Default.ArbFor<int>(), seed =>
        {
            var random = new Random(seed);
            var data = new StillSeries(RandomSeries.Make(random));
            var engine = new PromQlEngine(new EngineOptions { Experimental = true, MaxCachedPoints = random.Next(2) * 100_000 }, _time);
            var plain = new PromQlEngine(new EngineOptions { Experimental = true, Plain = true }, _time);
            var queries = new ConcurrentQueries(engine, data, new Places(), 64, _time);
            string part = RandomExpressions.Make(random), more = RandomExpressions.Make(random);
            string[] texts = [part, $"sum({part})", $"max by (job) ({part})", $"({part}) * 2", $"{part} and {part}", $"count({part}) + on () count({more})", more, $"min({more})", $"avg_over_time(({part})[2h:30m])"];
            (long start, long step, int count) = RandomSeries.Steps(random);
            long end = start + (step * (Math.Max(2, count) - 1));
            Task<ConcurrentAnswer>[] answers = Array.ConvertAll(texts, text => queries.RangeAsync(text, start, end, step, default));
            for (int i = 0; i < texts.Length; i++)
                Assert.Equal(FastPathTests.Text(plain.Range(data, texts[i], start, end, step)), FastPathTests.Text(answers[i].GetAwaiter().GetResult().Result!));
            shared += engine.PartsShared;
            Assert.Equal(0, engine.Parts!.Count);
        }));
        Assert.True(shared > 60, $"{shared}");
    }

    private static double Last(ConcurrentAnswer answer) => answer.Result!.Series[0].Points[^1].Value;

    private Task<ConcurrentAnswer> Range(string query, CancellationToken cancellation = default) => _queries.RangeAsync(query, 0, 600_000, 60_000, cancellation);

    /// <summary>Data that do not change any more.</summary>
    private sealed class StillSeries(MemorySeries series) : ISeriesReader, IChangeLog
    {
        public long TakeMark() => 0;

        public long OldestChangeSince(long mark) => long.MaxValue;

        public bool Covers(IReadOnlyList<LabelMatcher> matchers) => true;

        public ISeriesSet Select(long fromMs, long toMs, IReadOnlyList<LabelMatcher> matchers, CancellationToken cancellation) => series.Select(fromMs, toMs, matchers, cancellation);

        public IReadOnlyList<string> LabelNames(long fromMs, long toMs, IReadOnlyList<LabelMatcher> matchers, CancellationToken cancellation) => series.LabelNames(fromMs, toMs, matchers, cancellation);

        public IReadOnlyList<string> LabelValues(string name, long fromMs, long toMs, IReadOnlyList<LabelMatcher> matchers, CancellationToken cancellation) => series.LabelValues(name, fromMs, toMs, matchers, cancellation);

        public MetricMetadata? Metadata(string family) => series.Metadata(family);

        public IReadOnlyDictionary<string, MetricMetadata> AllMetadata() => series.AllMetadata();
    }
}
