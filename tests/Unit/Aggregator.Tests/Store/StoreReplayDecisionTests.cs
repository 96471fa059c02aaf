using System.Diagnostics.Metrics;
using Bellwether.Core.Model;
using Bellwether.Kit;
using Bellwether.Store;
using Microsoft.Extensions.Logging.Abstractions;

namespace Bellwether.Aggregator.Tests.Store;

/// <summary>What was taken is there after a start and what was refused is not, whatever clock, limits and retention are by then.</summary>
public sealed class StoreReplayDecisionTests : IDisposable
{
    private const int Series = StoreAgent.Series;
    private readonly MemoryDisk _disk = new();
    private readonly VirtualTime _time = new();
    private readonly Meter _meter = new("store-replay-decision-tests");
    private StoreOptions _options = new()
    {
        Folder = "/store",
        MinFreeBytes = 0,
        Retention = TimeSpan.FromHours(6),
        Resolutions = [new CoarseResolution(TimeSpan.FromMinutes(5), TimeSpan.FromDays(30))],
    };

    public void Dispose() => _meter.Dispose();

    [Fact]
    public void What_was_refused_as_too_old_does_not_come_back_with_the_log()
    {
        var agent = new StoreAgent("a");
        agent.Collect(_time.NowMs - (7 * 3_600_000), 3);
        agent.Collect(_time.NowMs, 2);
        agent.CollectTimed(_time.NowMs + 5000, _time.NowMs - (8 * 3_600_000), _time.NowMs - 1);
        agent.CollectHistograms(_time.NowMs + 6000, _time.NowMs - (8 * 3_600_000), _time.NowMs + 6000);
        string content;
        StoredSource ledger;
        using (StoreEngine store = Open())
        {
            Apply(store, agent);
            // The series of the first two ticks ended with the third.
            Assert.Equal((2 * Series) + Series + 2, Count(store));
            Assert.Equal((3 * Series) + 2, store.Outcomes[(int)AppendOutcome.TooOld]);
            content = Content(store);
            ledger = store.Ledgers().Single().Sources.Single();
        }
        using StoreEngine again = Open();
        Assert.Equal(0, again.Opened.UnreadableFrames);
        Assert.Equal(content, Content(again));
        Assert.Equal((3 * Series) + 2, again.Outcomes[(int)AppendOutcome.TooOld]);
        StoredSource replayed = again.Ledgers().Single().Sources.Single();
        Assert.Equal((ledger.Samples, ledger.SamplesRefused, ledger.Records), (replayed.Samples, replayed.SamplesRefused, replayed.Records));
    }

    [Fact]
    public void What_a_limit_kept_out_does_not_come_back_when_it_is_raised_and_what_it_let_in_stays_when_it_is_lowered()
    {
        _options = _options with { MaxSeries = 14 };
        var first = new StoreAgent("a");
        var second = new StoreAgent("b");
        string content;
        using (StoreEngine store = Open())
        {
            first.Collect(_time.NowMs, 3);
            second.Collect(_time.NowMs, 3);
            Apply(store, first);
            Apply(store, second);
            second.Collect(_time.NowMs + 5000, 2);
            Apply(store, second);
            var batch = new SampleBatch();
            batch.Samples.Add(new SeriesSample(Labels.Of("__name__", "m0", "agent", "a"), _time.NowMs + 20_000, 7));
            batch.Samples.Add(new SeriesSample(Labels.Of("__name__", "new"), _time.NowMs, 7));
            Assert.Equal(1, store.AppendBatch(batch)[AppendOutcome.OverLimit]);
            store.Commit();
            Assert.Equal((3 * Series) + (5 * 4) + 1, Count(store));
            content = Content(store);
        }
        foreach (int limit in (int[])[1000, 2, 14])
        {
            _options = _options with { MaxSeries = limit, MaxSeriesPerAgent = limit, MaxSeriesPerJob = limit };
            using StoreEngine again = Open();
            Assert.Equal(content, Content(again));
            // From now on the new limit counts.
            var batch = new SampleBatch();
            batch.Samples.Add(new SeriesSample(Labels.Of("__name__", "m0", "agent", "a"), _time.NowMs + 20_000, 7));
            batch.Samples.Add(new SeriesSample(Labels.Of("__name__", "m9", "agent", "b"), _time.NowMs, 7));
            Assert.Equal(limit == 1000 ? 0 : 1, again.AppendBatch(batch)[AppendOutcome.OverLimit]);
        }
    }

    [Fact]
    public void What_was_refused_for_a_time_to_come_stays_refused_when_that_time_has_come()
    {
        var agent = new StoreAgent("a");
        agent.CollectTimed(_time.NowMs, _time.NowMs + 601_000, _time.NowMs + 500_000);
        using (StoreEngine store = Open())
        {
            Apply(store, agent);
            Assert.Equal(1, Count(store));
        }
        _time.Advance(TimeSpan.FromHours(1));
        using StoreEngine again = Open();
        Assert.Equal(1, Count(again));
    }

    [Fact]
    public void An_explicit_time_ahead_of_its_scrape_that_was_taken_waits_when_the_clock_went_back()
    {
        var agent = new StoreAgent("a");
        // Its host is half an hour behind, the sample's own time is right.
        agent.CollectTimed(_time.NowMs - 1_800_000, _time.NowMs, _time.NowMs);
        using (StoreEngine store = Open())
        {
            Apply(store, agent);
            Assert.Equal(2, Count(store));
        }
        _time.Step(TimeSpan.FromHours(-1));
        using StoreEngine again = Open();
        Assert.Equal((0, 2), (Count(again), again.HeldSamples));
        _time.Step(TimeSpan.FromHours(1));
        again.Maintain();
        Assert.Equal(2, Count(again));
    }

    [Fact]
    public void A_tap_is_not_told_of_what_was_refused()
    {
        var agent = new StoreAgent("a");
        agent.Collect(_time.NowMs - (7 * 3_600_000), 3);
        agent.Collect(_time.NowMs, 2);
        using (StoreEngine store = Open())
        {
            Apply(store, agent);
            _time.Advance(TimeSpan.FromHours(3));
            store.Maintain();
            Assert.True(store.Blocks.Count > 0);
        }
        var tap = new CountingTap();
        using (Open(tap))
            Assert.Equal(2 * Series, tap.Samples);
    }

    [Fact]
    public void A_log_in_which_what_was_refused_is_damaged_is_read_as_well_as_it_can_be()
    {
        var agent = new StoreAgent("a");
        using (StoreEngine store = Open())
        {
            agent.Collect(_time.NowMs - (7 * 3_600_000), 1);
            Apply(store, agent);
            agent.Collect(_time.NowMs, 1);
            Apply(store, agent);
        }
        string path = _disk.Paths.Single(p => p.Contains("/wal/", StringComparison.Ordinal) && _disk.LengthOf(p) > 100);
        var counts = new HashSet<int>();
        for (long at = 0; at < _disk.LengthOf(path); at++)
        {
            MemoryDisk damaged = _disk.Crash(new Random(1));
            damaged.FlipBit(path, (at * 8) + 3);
            using StoreEngine again = StoreEngine.Open(_options, damaged, _time, new Random(1), _meter, NullLogger.Instance);
            counts.Add(Count(again));
        }
        // Without the frame that says what was refused of a record its age is judged by what is kept at all.
        Assert.Equal([0, Series, 2 * Series], counts.Order());
    }

    /// <summary>The clock went back, an opening made held samples of stored ones, and the checkpoint that lists them is damaged.</summary>
    [Theory]
    [InlineData(false, -2, 5)]
    [InlineData(true, -2, 5)]
    [InlineData(false, -2, 0)]
    [InlineData(true, -2, 0)]
    [InlineData(false, -30, 30)]
    [InlineData(true, -30, 30)]
    public void A_clock_that_goes_back_and_a_newest_checkpoint_that_is_damaged_lose_nothing_together(bool saved, int backHours, int forthHours)
    {
        _options = _options with { Partition = TimeSpan.FromMinutes(30), Retention = TimeSpan.FromDays(30), Resolutions = [] };
        var agent = new StoreAgent("a");
        int sent = 0;
        void Send(StoreEngine store, int ticks)
        {
            agent.Collect(_time.NowMs, ticks);
            Apply(store, agent);
            sent += ticks * Series;
            _time.Advance(TimeSpan.FromMinutes(20));
            store.Maintain();
        }
        using (StoreEngine store = Open())
        {
            for (int i = 0; i < 4; i++)
                Send(store, 10);
            Assert.True(store.CheckpointedMs > 0);
            Assert.Equal(sent, Count(store));
        }
        _time.Step(TimeSpan.FromHours(backHours));
        using (StoreEngine store = Open())
        {
            Assert.Equal(sent, Count(store) + store.HeldSamples);
            Assert.True(store.HeldSamples > 0);
            if (saved)
                store.SaveHead();
            // By a clock that is behind nothing is due; a copy of the store writes its checkpoints at once.
            using (store.BeginSnapshot())
                Assert.Equal(sent, Count(store) + store.HeldSamples);
        }
        Damage("newest");
        _time.Step(TimeSpan.FromHours(forthHours));
        using (StoreEngine store = Open())
        {
            Assert.Equal(1, store.Opened.DamagedCheckpoints);
            store.Maintain();
            Assert.Equal(sent, Count(store) + store.HeldSamples);
        }
        _time.Step(TimeSpan.FromHours(-backHours));
        using StoreEngine again = Open();
        again.Maintain();
        Assert.Equal((sent, 0), (Count(again), again.HeldSamples));
    }

    private void Damage(string which)
    {
        Assert.Equal("newest", which);
        string newest = _disk.Paths.Where(p => p.Contains("checkpoint", StringComparison.Ordinal)).MaxBy(p =>
        {
            Assert.Equal(Core.Durable.AtomicFileOutcome.Read, Core.Durable.AtomicFile.TryRead(_disk, p, int.MaxValue, out byte[] content));
            return content[1] | (content[2] << 8);
        })!;
        _disk.FlipBit(newest, _disk.LengthOf(newest) * 4);
    }

    private static void Apply(StoreEngine store, StoreAgent agent)
    {
        RunResult result = store.ApplyRun(agent.RunNew());
        Assert.Equal(RunOutcome.Applied, result.Outcome);
        store.Commit();
    }

    private static int Count(StoreEngine store) => store.Reader.Samples().Count;

    private static string Content(StoreEngine store) =>
        string.Join('\n', store.Reader.Samples().Select(s => $"{s.Labels} {s.TimestampMs} {s.Value} {s.Histogram?.Count}"));

    private StoreEngine Open(ISampleTap? tap = null) => StoreEngine.Open(_options, _disk, _time, new Random(1), _meter, NullLogger.Instance, tap);
}
