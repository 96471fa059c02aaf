using FsCheck;
using FsCheck.Fluent;
using Bellwether.Core.Model;
using Bellwether.Evaluate.PromQl;
using Bellwether.Kit;
using Bellwether.Kit.PromQl;

namespace Bellwether.PromQl.Tests;

/// <summary>The samples that a query looked at, as Prometheus' <c>stats</c> count them, however they were answered.</summary>
public sealed class SampleCountTests
{
    private static readonly AskOptions s_counted = new() { CountsSamples = true };
    private readonly VirtualTime _time = new();

    [Theory]
    [InlineData("v", "2 2 2")]
    [InlineData("sum(v) + 1", "2 2 2")]
    [InlineData("v{s=\"0\"} @ 30", "1 1 1")]
    [InlineData("timestamp(v)", "2 2 2")]
    [InlineData("sum_over_time(v[60s])", "12 12 12")]
    [InlineData("sum(rate(v[60s]))", "12 12 12")]
    [InlineData("stddev_over_time(v[60s])", "12 12 12")]
    [InlineData("absent_over_time(v[60s])", "12 12 12")]
    [InlineData("max_over_time(v{s=\"0\"}[60s] @ 90) + v{s=\"1\"}", "7 7 7")]
    [InlineData("max_over_time(v{s=\"0\"}[60s:5s])", "12 12 36")]
    [InlineData("v offset 1d", "0 0 0")]
    [InlineData("1", "0 0 0")]
    public void Each_step_counts_the_points_and_the_windows_that_it_looks_at(string query, string steps)
    {
        var data = new MemorySeries();
        for (int i = 0; i <= 60; i++)
        {
            data.Add(Labels.Of("__name__", "v", "s", "0"), i * 10_000, i);
            data.Add(Labels.Of("__name__", "v", "s", "1"), i * 10_000, i);
        }
        var engine = new PromQlEngine(new EngineOptions(), _time);
        SampleCounts counts = engine.Range(data, query, 201_000, 261_000, 30_000, s_counted).Samples!;
        Assert.Equal(steps, string.Join(' ', counts.PerStep.Select(s => s.Count)));
        Assert.Equal([201_000, 231_000, 261_000], counts.PerStep.Select(s => s.TimeMs));
        Assert.Equal(counts.PerStep.Sum(s => s.Count), counts.Total);
        Assert.Null(engine.Range(data, query, 201_000, 261_000, 30_000).Samples);
    }

    [Fact]
    public void An_instant_query_counts_a_subquery_as_its_steps_and_what_they_give()
    {
        var data = new MemorySeries();
        for (int i = 0; i <= 60; i++)
            data.Add(Labels.Of("__name__", "v"), i * 10_000, i);
        var engine = new PromQlEngine(new EngineOptions(), _time);
        Assert.Equal((24, 6, 1), (Total("max_over_time(v[60s:5s])"), Total("v[60s]"), Total("v")));

        long Total(string query) => engine.Instant(data, query, 201_000, s_counted).Samples!.Total;
    }

    [Fact]
    public void What_is_held_at_once_is_counted_as_the_limit_counts_it()
    {
        var data = new MemorySeries();
        for (int i = 0; i < 500; i++)
            data.Add(Labels.Of("__name__", "v"), i * 10_000, i);
        long most = new PromQlEngine(new EngineOptions(), _time).Instant(data, "stddev_over_time(v[1h])", 4_000_000, s_counted).Samples!.Most;
        Assert.InRange(most, 360, 400);
        Assert.Null(Asked(most).Error);
        Assert.Equal(QueryErrorKind.Execution, Asked(most - 1).Error!.Kind);

        QueryResult Asked(long limit) => new PromQlEngine(new EngineOptions { MaxSamples = limit }, _time).Instant(data, "stddev_over_time(v[1h])", 4_000_000);
    }

    [Fact]
    public void Nothing_is_taken_from_what_is_kept_so_that_all_is_counted()
    {
        using var data = new HeldSeries();
        data.Release();
        data.Add(0, 1);
        data.Add(60_000, 2);
        var engine = new PromQlEngine(new EngineOptions(), _time);
        Assert.Null(engine.Range(data, "v", 0, 60_000, 60_000).Samples);
        for (int i = 0; i < 2; i++)
            Assert.Equal(2, engine.Range(data, "v", 0, 60_000, 60_000, s_counted).Samples!.Total);
    }

    [Fact]
    public void What_summaries_stand_for_counts_as_if_it_had_been_read() =>
        Check.One(Config.QuickThrowOnFailure.WithMaxTest(300), Prop.ForAll(ArbMap.Default.ArbFor<int>(), seed =>
        {
            var random = new Random(seed);
            MemorySeries data = RandomSeries.Make(random);
            var fast = new PromQlEngine(new EngineOptions { Experimental = true }, _time);
            var plain = new PromQlEngine(new EngineOptions { Experimental = true, Plain = true }, _time);
            string query = RandomExpressions.Make(random);
            (long start, long step, int count) = RandomSeries.Steps(random);
            var slots = new SlottedSeries(data, random.Next(4) * 0.33, seed);
            SampleCounts? expected = plain.Range(data, query, start, start + (step * (count - 1)), step, s_counted).Samples;
            SampleCounts? got = fast.Range(slots, query, start, start + (step * (count - 1)), step, s_counted).Samples;
            Assert.Equal(expected?.PerStep, got?.PerStep);
        }));
}
