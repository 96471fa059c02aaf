using System.Diagnostics.Metrics;
using Bellwether.Core.Model;
using Bellwether.Kit;
using Bellwether.Store;
using Microsoft.Extensions.Logging.Abstractions;

namespace Bellwether.Aggregator.Tests.Store;

/// <summary>Samples of agents that are ahead of the store's clock: whatever the clocks do, nothing acknowledged is lost.</summary>
public sealed class StoreHoldTests : IDisposable
{
    private const int Series = StoreAgent.Series;
    private readonly MemoryDisk _disk = new();
    private readonly VirtualTime _time = new();
    private readonly Meter _meter = new("store-hold-tests");
    private readonly StoreOptions _options = new() { Folder = "/store", MinFreeBytes = 0, MaxHeldSamples = 50 };

    public void Dispose() => _meter.Dispose();

    [Fact]
    public void What_is_ahead_of_the_clock_is_refused_once_the_hold_is_full_and_is_taken_when_the_clock_allows()
    {
        using StoreEngine store = Open();
        var agent = new StoreAgent("a");
        agent.Collect(_time.NowMs + 3_600_000, 8);
        RunResult result = store.ApplyRun(agent.Run(0));
        store.Commit();
        Assert.Equal(RunOutcome.Ahead, result.Outcome);
        Assert.Equal((5UL, true), (result.Progress.Records, result.Progress.Resumable));
        Assert.Equal(5, result.Ticks.Count);
        Assert.Equal(5UL, store.HeldOf(agent.Segment).Records);
        Assert.Equal(50, store.HeldSamples);
        Assert.Equal(RunOutcome.Ahead, store.ApplyRun(agent.Run(5)).Outcome);
        Assert.Equal(RunOutcome.Ahead, store.ApplyRun(agent.Run(0)).Outcome);
        Assert.Equal(50, store.HeldSamples);

        _time.Step(TimeSpan.FromHours(1));
        store.Maintain();
        result = store.ApplyRun(agent.Run(5));
        store.Commit();
        Assert.Equal((RunOutcome.Applied, 8UL, 3), (result.Outcome, result.Progress.Records, result.Ticks.Count));
        Assert.Equal(8 * Series, Count(store));
        Assert.Equal(3, store.Records.AheadRuns);
    }

    [Fact]
    public void An_agent_with_a_right_clock_goes_on_while_another_one_is_refused()
    {
        using StoreEngine store = Open();
        var ahead = new StoreAgent("ahead");
        ahead.Collect(_time.NowMs + 3_600_000, 8);
        store.ApplyRun(ahead.Run(0));
        var right = new StoreAgent("right");
        right.Collect(_time.NowMs, 8);
        Assert.Equal(RunOutcome.Applied, store.ApplyRun(right.Run(0)).Outcome);
        store.Commit();
        Assert.Equal(8 * Series, Count(store));
    }

    [Fact]
    public void Segments_that_could_only_begin_leave_nothing_behind()
    {
        using StoreEngine store = Open();
        var first = new StoreAgent("a");
        first.Collect(_time.NowMs + 3_600_000, 5);
        store.ApplyRun(first.Run(0));
        store.Commit();
        for (uint i = 2; i < 100; i++)
        {
            var next = new StoreAgent("a", i);
            next.Collect(_time.NowMs + 3_600_000, 1);
            Assert.Equal((RunOutcome.Ahead, 0UL), (store.ApplyRun(next.Run(0)) is var r ? r.Outcome : default, r.Progress.Records));
        }
        Assert.Equal(1, store.Records.OpenSegments);
    }

    [Fact]
    public void What_waits_is_taken_after_a_restart_as_well()
    {
        var agent = new StoreAgent("a");
        agent.Collect(_time.NowMs + 3_600_000, 8);
        using (StoreEngine store = Open())
        {
            store.ApplyRun(agent.Run(0));
            store.Commit();
        }
        _time.Step(TimeSpan.FromHours(1));
        using StoreEngine again = Open();
        again.Maintain();
        Assert.Equal((5UL, true), (again.HeldOf(agent.Segment).Records, again.HeldOf(agent.Segment).Resumable));
        Assert.Equal(RunOutcome.Applied, again.ApplyRun(agent.Run(5)).Outcome);
        again.Commit();
        Assert.Equal(8 * Series, Count(again));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_clock_that_goes_back_before_a_restart_loses_nothing_of_what_was_stored(bool checkpointed)
    {
        var agent = new StoreAgent("a");
        agent.Collect(_time.NowMs, 30);
        using (StoreEngine store = Open())
        {
            Assert.Equal(RunOutcome.Applied, store.ApplyRun(agent.Run(0)).Outcome);
            store.Commit();
            if (checkpointed)
            {
                // The samples are in the head, behind the boundary of the checkpoint.
                _time.Step(TimeSpan.FromMinutes(20));
                store.Maintain();
                Assert.True(store.CheckpointedMs > 0);
            }
        }
        _time.Step(TimeSpan.FromHours(-2));
        long total;
        using (StoreEngine back = Open())
        {
            total = Count(back) + back.HeldSamples;
            Assert.InRange(back.HeldSamples, 1, _options.MaxHeldSamples);
            Assert.Equal(30 * Series, total);
            back.Maintain();
        }
        _time.Step(TimeSpan.FromHours(5));
        using StoreEngine again = Open();
        again.Maintain();
        Assert.Equal(30 * Series, Count(again));
        Assert.Equal(0, again.HeldSamples);
    }

    [Fact]
    public void Restarts_do_not_hold_a_sample_twice()
    {
        var agent = new StoreAgent("a");
        agent.Collect(_time.NowMs + 86_400_000, 4);
        using (StoreEngine store = Open())
        {
            store.ApplyRun(agent.Run(0));
            store.Commit();
            _time.Advance(TimeSpan.FromHours(3));
            store.Maintain();
            Assert.True(store.CheckpointedMs > 0);
        }
        for (int i = 0; i < 3; i++)
        {
            using StoreEngine store = Open();
            Assert.Equal(4 * Series, store.HeldSamples);
            store.Commit();
        }
    }

    [Fact]
    public void Scrapes_of_a_clock_that_was_years_ahead_and_is_right_now_block_nothing()
    {
        long year2100 = new DateTimeOffset(2100, 1, 1, 0, 0, 0, TimeSpan.Zero).ToUnixTimeMilliseconds();
        var agent = new StoreAgent("a");
        agent.Collect(year2100, 8);
        agent.Collect(_time.NowMs, 2);
        var written = new StoredLedger[1];
        using (StoreEngine store = Open())
        {
            Assert.Equal(RunOutcome.Ahead, store.ApplyRun(agent.Run(0) with { SenderAheadMs = year2100 - _time.NowMs }).Outcome);
            RunResult result = store.ApplyRun(agent.Run(5) with { SenderAheadMs = 300 });
            store.Commit();
            Assert.Equal((RunOutcome.Applied, 10UL), (result.Outcome, result.Progress.Records));
            Assert.Equal(2 * Series, Count(store));
            Assert.Equal(3 * Series, store.Outcomes[(int)AppendOutcome.TooNew]);
            written = [.. store.Ledgers()];
        }
        using StoreEngine again = Open();
        Assert.Equal(2 * Series, Count(again));
        Assert.Equal(50, again.HeldSamples);
        Assert.Equal(written.Single().Sources.Single().SamplesRefused, again.Ledgers().Single().Sources.Single().SamplesRefused);
    }

    [Fact]
    public void An_explicit_timestamp_far_ahead_of_its_own_scrape_is_refused_and_counted()
    {
        using StoreEngine store = Open();
        var agent = new StoreAgent("a");
        agent.CollectTimed(_time.NowMs, _time.NowMs + 601_000);
        agent.CollectTimed(_time.NowMs + 1000, _time.NowMs + 500_000);
        Assert.Equal(RunOutcome.Applied, store.ApplyRun(agent.Run(0)).Outcome);
        store.Commit();
        Assert.Equal(0, store.HeldSamples);
        Assert.Equal(1, Count(store));
        Assert.Equal(1, store.Outcomes[(int)AppendOutcome.TooNew]);
    }

    [Fact]
    public void Decoders_of_one_agent_take_a_bounded_part_of_the_memory_and_cost_another_one_nothing()
    {
        using StoreEngine store = StoreEngine.Open(_options with { MaxDecoderBytesPerAgent = 10_000 }, _disk, _time, new Random(1), _meter, NullLogger.Instance);
        var other = new StoreAgent("other");
        other.Collect(_time.NowMs, 2);
        store.ApplyRun(other.Run(0) with { Records = [.. other.Run(0).Records.Take(1)] });
        for (uint i = 1; i <= 100; i++)
        {
            var agent = new StoreAgent("a", i);
            agent.Collect(_time.NowMs + i, 1);
            Assert.Equal(RunOutcome.Applied, store.ApplyRun(agent.Run(0)).Outcome);
        }
        store.Commit();
        int resumable = Enumerable.Range(1, 100).Count(i => store.HeldOf(new SegmentKey("a", 1, (uint)i, (uint)i)).Resumable);
        Assert.InRange(resumable, 2, 30);
        Assert.True(store.HeldOf(new SegmentKey("a", 1, 100, 100)).Resumable);
        Assert.Equal(RunOutcome.Applied, store.ApplyRun(other.Run(1)).Outcome);
        // What was given up is sent again from its start, and nothing is doubled.
        var first = new StoreAgent("a", 1);
        first.Collect(_time.NowMs + 1, 2);
        Assert.Equal(RunOutcome.NeedsStart, store.ApplyRun(first.Run(1)).Outcome);
        Assert.Single(store.ApplyRun(first.Run(0)).Ticks);
        store.Commit();
        Assert.Equal(103 * Series, Count(store));
    }

    [Fact]
    public void A_new_segment_with_the_number_of_an_old_one_is_never_taken_for_it()
    {
        // An agent that was put back to an older state gives numbers again.
        using StoreEngine store = Open();
        for (uint i = 1; i <= 5000; i++)
            Assert.True(store.ApplyRun(new RecordRun(new SegmentKey("a", 1, i, i), 0, [], true)).Progress.Complete);
        store.Commit();
        Assert.Equal([(1UL, 5000UL)], store.SegmentsOf("a").Single().Held);
        Assert.True(store.HeldOf(new SegmentKey("a", 1, 5000, 5000)).Complete);
        foreach (uint number in (uint[])[7, 4999])
        {
            var again = new StoreAgent("a", number, number + 1000);
            again.Collect(_time.NowMs + number, 1);
            Assert.False(store.HeldOf(again.Segment).Complete);
            Assert.Single(store.ApplyRun(again.Run(0)).Ticks);
        }
        store.Commit();
        Assert.Equal(2 * Series, Count(store));
    }

    private static int Count(StoreEngine store) => store.Reader.Samples().Count;

    private StoreEngine Open() => StoreEngine.Open(_options, _disk, _time, new Random(1), _meter, NullLogger.Instance);
}
