using System.Diagnostics.Metrics;
using System.Globalization;
using Bellwether.Core.Codec;
using Bellwether.Core.Exposition;
using Bellwether.Core.Model;
using Bellwether.Core.Telemetry;
using Bellwether.Kit;
using Bellwether.Store;
using Bellwether.Store.Head;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;

namespace Bellwether.Aggregator.Tests.Store;

/// <summary>Which agent brought the series in memory, and the limit on them.</summary>
public sealed class StoreSenderTests : IDisposable
{
    private readonly MemoryDisk _disk = new();
    private readonly VirtualTime _time = new();
    private readonly Meter _meter = new("store-sender-tests");
    private readonly StoreOptions _options = new() { Folder = "/store", MinFreeBytes = 0, MaxSeriesPerAgent = 5 };

    public void Dispose() => _meter.Dispose();

    [Fact]
    public void An_agent_that_runs_wild_does_not_take_the_place_of_others()
    {
        var log = new Lines();
        using var metrics = new SelfMetrics(_meter);
        using StoreEngine store = Open(log);
        Send(store, "wild", 1, 8);
        Send(store, "shop", 1, 3);
        Assert.Equal([new NamedCount("wild", 5), new NamedCount("shop", 3)], store.SeriesByAgent(10));
        StoreStatistics statistics = store.Statistics();
        Assert.Equal(store.SeriesByAgent(10), statistics.SeriesByAgent);
        Assert.Equal([new SeriesLimitState("max_series", 2_000_000, 0), new SeriesLimitState("max_series_per_job", 1_000_000, 0), new SeriesLimitState("max_series_per_agent", 5, 3)], statistics.Limits);
        Assert.Equal([("wild", 5, 3), ("shop", 3, 0)], store.Ledgers().OrderByDescending(l => l.Agent).Select(l => (l.Agent, l.Samples - l.SamplesRefused, l.SamplesRefused)));
        // Known ones go on, and the log says it once a minute.
        _time.Advance(TimeSpan.FromSeconds(10));
        Send(store, "wild", 2, 9);
        Assert.Equal((5 + 3 + 5, 3 + 4), (Count(store), store.SeriesRefused[(int)SeriesLimit.SeriesPerAgent]));
        store.Maintain();
        string line = Assert.Single(log.All, l => l.Contains("refused", StringComparison.Ordinal));
        Assert.StartsWith("new series were refused 7 times", line, StringComparison.Ordinal);
        Assert.Contains("5 series of agent 'wild'", line, StringComparison.Ordinal);
        Assert.Contains("limits.max_series_per_agent", line, StringComparison.Ordinal);
        Send(store, "wild", 3, 9);
        store.Maintain();
        Assert.Single(log.All, l => l.Contains("refused", StringComparison.Ordinal));
        _time.Advance(TimeSpan.FromMinutes(1));
        store.Maintain();
        Assert.Equal(2, log.All.Count(l => l.Contains("refused", StringComparison.Ordinal)));
        IReadOnlyList<ExposedFamily> families = metrics.Collect();
        Assert.Equal([("wild", 5), ("shop", 3)], families.Single(f => f.Name == MetricNames.StoreAgentSeries).Samples.Select(s => (s.Labels.Single().Value, (int)s.Value)));
        Assert.Contains(families.Single(f => f.Name == MetricNames.StoreSeriesRefused).Samples, s => s.Labels.Single().Value == "max_series_per_agent" && s.Value == 11);
        // There is room again when its series have ended.
        _time.Advance(TimeSpan.FromHours(5));
        store.Maintain();
        Assert.Empty(store.SeriesByAgent(10));
        Send(store, "wild", 4, 4, first: 100);
        Assert.Equal([new NamedCount("wild", 4)], store.SeriesByAgent(10));
    }

    [Fact]
    public void A_series_counts_for_the_agent_that_was_the_first_to_send_it()
    {
        using StoreEngine store = Open();
        var batch = new SampleBatch();
        batch.Samples.Add(new SeriesSample(Of(0), _time.NowMs, 1));
        batch.Samples.Add(new SeriesSample(Labels.Of("__name__", "rule"), _time.NowMs, 1));
        store.AppendBatch(batch);
        store.Commit();
        Assert.Empty(store.SeriesByAgent(10));
        _time.Advance(TimeSpan.FromSeconds(1));
        Send(store, "a", 1, 2);
        _time.Advance(TimeSpan.FromSeconds(1));
        Send(store, "b", 1, 4);
        Assert.Equal([new NamedCount("a", 2), new NamedCount("b", 2)], store.SeriesByAgent(10));
    }

    [Fact]
    public void The_limit_stands_against_what_was_held_for_its_time_as_well()
    {
        using StoreEngine store = Open();
        Send(store, "wild", 1, 8, aheadMs: 3_600_000);
        Assert.Equal((8, 0), (store.HeldSamples, Count(store)));
        _time.Advance(TimeSpan.FromHours(1));
        store.Maintain();
        Assert.Equal((0, 5, 3L), (store.HeldSamples, Count(store), store.SeriesRefused[(int)SeriesLimit.SeriesPerAgent]));
        Assert.Equal([new NamedCount("wild", 5)], store.SeriesByAgent(10));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_start_knows_whose_series_are_and_how_many_more_an_agent_may_have(bool saved)
    {
        using (StoreEngine store = Open())
        {
            Send(store, "b", 1, 2, first: 10);
            Send(store, "a", 1, 4);
            Send(store, "b", 2, 2, first: 20);
            var batch = new SampleBatch();
            batch.Samples.Add(new SeriesSample(Labels.Of("__name__", "rule"), _time.NowMs, 1));
            store.AppendBatch(batch);
            store.Commit();
            if (saved)
                store.SaveHead();
        }
        using StoreEngine again = Open();
        Assert.Equal(saved, again.Opened.SavedHead);
        Assert.Equal([new NamedCount("a", 4), new NamedCount("b", 4)], again.SeriesByAgent(10));
        Assert.Equal(9, again.Statistics().HeadSeries);
        Send(again, "a", 3, 3, first: 30);
        Assert.Equal((5, 2), (again.SeriesByAgent(1)[0].Count, again.SeriesRefused[(int)SeriesLimit.SeriesPerAgent]));
    }

    [Fact]
    public void Agents_that_come_and_go_take_no_memory()
    {
        var senders = new SeriesSenders();
        for (int round = 0; round < 4; round++)
        {
            HeadSeries[] series = [.. Enumerable.Range(0, 30_000).Select(i => new HeadSeries(Labels.Empty, (uint)i))];
            foreach (HeadSeries one in series)
                senders.Give(one, $"agent-{round}-{one.Reference}");
            Assert.All(series, s => Assert.Equal($"agent-{round}-{s.Reference}", senders.Of(s)));
            foreach (HeadSeries one in series)
                senders.Take(one);
            Assert.Empty(senders.Counts);
        }
        // Of more at a time the rest is nobody's.
        HeadSeries[] many = [.. Enumerable.Range(0, 70_000).Select(i => new HeadSeries(Labels.Empty, (uint)i))];
        foreach (HeadSeries one in many)
            senders.Give(one, $"agent-{one.Reference}");
        Assert.Equal(ushort.MaxValue, senders.Counts.Sum(c => c.Count));
        Assert.Equal("", senders.Of(many[^1]));
    }

    private static Labels Of(int series) => Labels.Of("__name__", "m" + series.ToString(CultureInfo.InvariantCulture));

    private static int Count(StoreEngine store) => store.Reader.Samples().Count;

    private void Send(StoreEngine store, string agent, uint segment, int series, int first = 0, long aheadMs = 0)
    {
        var table = new SourceTable("host", 1000);
        for (int i = 0; i < series; i++)
            table.Add(agent == "wild" ? Labels.Of("__name__", "w" + (first + i)) : Of(first + i));
        var encoder = new SegmentEncoder();
        encoder.StartSegment(true);
        var tick = new SourceTick();
        tick.Begin(table, _time.NowMs + aheadMs);
        for (int i = 0; i < series; i++)
            tick.Set(i, i);
        tick.Complete();
        Assert.Equal(EncodeOutcome.Encoded, encoder.Encode(tick));
        Assert.Equal(RunOutcome.Applied, store.ApplyRun(new RecordRun(new SegmentKey(agent, 1, segment, segment), 0, [encoder.Record.ToArray()], true)).Outcome);
        store.Commit();
    }

    private StoreEngine Open(ILogger? log = null) => StoreEngine.Open(_options, _disk, _time, new Random(1), _meter, log ?? NullLogger.Instance);
}
