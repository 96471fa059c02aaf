using System.Diagnostics.Metrics;
using Bellwether.Agent.Collect;
using Bellwether.Core.Codec;
using Bellwether.Core.Model;
using Bellwether.Kit;
using Microsoft.Extensions.Logging.Abstractions;

namespace Bellwether.Agent.Tests.Collect;

public class ScrapeSchedulerTests
{
    private static readonly TimeSpan Interval = TimeSpan.FromSeconds(10);

    [Fact]
    public async Task Each_collector_runs_once_per_interval_at_its_own_offset()
    {
        using var run = new Run();
        await using ScrapeScheduler scheduler = run.Scheduler;
        scheduler.Replace([.. Enumerable.Range(0, 20).Select(i => new FakeCollector($"c{i}"))]);
        run.Time.Advance(TimeSpan.FromSeconds(60));
        Dictionary<string, List<long>> byName = run.Sink.Ticks.GroupBy(t => t.Name).ToDictionary(g => g.Key, g => g.Select(t => t.TimestampMs).ToList());
        Assert.Equal(20, byName.Count);
        Assert.All(byName.Values, times =>
        {
            Assert.Equal(6, times.Count);
            Assert.All(times.Zip(times.Skip(1)), pair => Assert.Equal(10_000, pair.Second - pair.First));
        });
        Assert.True(byName.Values.Select(t => t[0] % 10_000).Distinct().Count() > 15);
    }

    [Fact]
    public async Task Offsets_are_the_same_after_a_restart()
    {
        using var first = new Run();
        await using ScrapeScheduler one = first.Scheduler;
        one.Replace([new FakeCollector("shop")]);
        first.Time.Advance(Interval);
        using var second = new Run(first.Time.GetUtcNow() + TimeSpan.FromMilliseconds(12_345));
        await using ScrapeScheduler two = second.Scheduler;
        two.Replace([new FakeCollector("shop")]);
        second.Time.Advance(Interval);
        Assert.Equal(first.Sink.Ticks[0].TimestampMs % 10_000, second.Sink.Ticks[0].TimestampMs % 10_000);
    }

    [Fact]
    public async Task A_last_round_collects_everything_once_more_and_what_hangs_costs_only_the_grace()
    {
        using var run = new Run();
        await using ScrapeScheduler scheduler = run.Scheduler;
        var hangs = new FakeCollector("hangs");
        scheduler.Replace([.. Enumerable.Range(0, 50).Select(i => new FakeCollector($"c{i}")), hangs]);
        run.Time.Advance(TimeSpan.FromSeconds(25));
        hangs.Gate = new TaskCompletionSource();
        int before = run.Sink.Ticks.Count;
        long stopMs = run.Time.GetUtcNow().ToUnixTimeMilliseconds();
        Task stopping = scheduler.StopAsync(lastRound: true, TimeSpan.FromSeconds(2));
        Assert.Equal(50, run.Sink.Ticks.Count(t => t.TimestampMs == stopMs));
        Assert.False(stopping.IsCompleted);
        run.Time.Advance(TimeSpan.FromSeconds(3));
        hangs.Gate.TrySetCanceled();
        await stopping;
        Assert.Equal(before + 50, run.Sink.Ticks.Count);
    }

    [Fact]
    public async Task A_slow_collector_never_overlaps_itself_and_misses_are_counted()
    {
        using var run = new Run();
        await using ScrapeScheduler scheduler = run.Scheduler;
        var slow = new FakeCollector("slow") { Gate = new TaskCompletionSource() };
        scheduler.Replace([slow]);
        run.Time.Advance(TimeSpan.FromSeconds(35));
        Assert.Equal(1, slow.Started);
        Assert.Empty(run.Sink.Ticks);
        TaskCompletionSource gate = slow.Gate;
        slow.Gate = null;
        gate.SetResult();
        Assert.Single(run.Sink.Ticks);
        Assert.InRange(run.Missed, 2, 3);
        run.Time.Advance(Interval);
        Assert.Equal(2, run.Sink.Ticks.Count);
    }

    [Theory]
    [InlineData(-1)]
    [InlineData(-400)]
    [InlineData(30_000)]
    public async Task A_clock_that_is_set_costs_no_more_than_two_intervals(int days)
    {
        using var run = new Run();
        await using ScrapeScheduler scheduler = run.Scheduler;
        scheduler.Replace([new FakeCollector("one"), new FakeCollector("two")]);
        run.Time.Advance(TimeSpan.FromSeconds(25));
        run.Time.Step(TimeSpan.FromDays(days));
        long setMs = run.Time.NowMs;
        int before = run.Sink.Ticks.Count;
        run.Time.Advance(TimeSpan.FromSeconds(60));
        List<(string Name, long TimestampMs, bool End)> after = [.. run.Sink.Ticks.Skip(before)];
        Assert.InRange(after.Count, 8, 14);
        Assert.All(after, t => Assert.InRange(t.TimestampMs, setMs - 10_000, run.Time.NowMs));
    }

    [Fact]
    public async Task The_watermark_waits_for_what_is_under_way()
    {
        using var run = new Run();
        await using ScrapeScheduler scheduler = run.Scheduler;
        var slow = new FakeCollector("slow") { Gate = new TaskCompletionSource() };
        scheduler.Replace([slow, new FakeCollector("quick")]);
        run.Time.Advance(TimeSpan.FromSeconds(40));
        Assert.Equal(slow.LastTimestampMs, scheduler.WatermarkMs);
        Assert.True(run.Time.NowMs - scheduler.WatermarkMs > 20_000);
        slow.Gate.SetResult();
        Assert.True(run.Time.NowMs - scheduler.WatermarkMs < 10_000);
        long watermark = scheduler.WatermarkMs;
        int before = run.Sink.Ticks.Count;
        run.Time.Advance(TimeSpan.FromSeconds(30));
        Assert.All(run.Sink.Ticks.Skip(before), t => Assert.True(t.TimestampMs >= watermark));
    }

    [Fact]
    public async Task Without_collectors_the_watermark_is_now()
    {
        using var run = new Run();
        await using ScrapeScheduler scheduler = run.Scheduler;
        Assert.Equal(run.Time.NowMs, scheduler.WatermarkMs);
    }

    [Fact]
    public async Task At_most_the_set_number_runs_at_a_time_and_the_rest_follows()
    {
        using var run = new Run(options: new ScrapeSchedulerOptions { ConcurrencyMax = 2 });
        await using ScrapeScheduler scheduler = run.Scheduler;
        FakeCollector[] all = [.. Enumerable.Range(0, 5).Select(i => new FakeCollector($"c{i}") { Gate = new TaskCompletionSource() })];
        scheduler.Replace(all);
        run.Time.Advance(Interval);
        Assert.Equal(2, all.Sum(c => c.Started));
        for (int i = 0; i < 5; i++)
            all.First(c => c.Started == 1 && !c.Gate!.Task.IsCompleted).Gate!.SetResult();
        Assert.Equal(5, run.Sink.Ticks.Count);
    }

    [Fact]
    public async Task A_reload_keeps_the_rhythm_of_what_stays_and_ends_what_goes()
    {
        using var run = new Run();
        await using ScrapeScheduler scheduler = run.Scheduler;
        var stays = new FakeCollector("stays");
        var goes = new FakeCollector("goes");
        scheduler.Replace([stays, goes]);
        run.Time.Advance(TimeSpan.FromSeconds(25));
        scheduler.Replace([stays, new FakeCollector("new")]);
        Assert.True(goes.Ended);
        Assert.True(goes.Disposed);
        Assert.Equal(2, scheduler.Count);
        run.Time.Advance(TimeSpan.FromSeconds(35));
        List<long> times = [.. run.Sink.Ticks.Where(t => t.Name == "stays").Select(t => t.TimestampMs)];
        Assert.Equal(6, times.Count);
        Assert.All(times.Zip(times.Skip(1)), pair => Assert.Equal(10_000, pair.Second - pair.First));
        Assert.InRange(run.Sink.Ticks.Count(t => t.Name == "goes" && !t.End), 2, 3);
        Assert.Equal("goes", Assert.Single(run.Sink.Ticks, t => t.End).Name);
        Assert.False(stays.Ended);
    }

    [Fact]
    public async Task What_is_removed_while_it_runs_ends_after_it_has_finished()
    {
        using var run = new Run();
        await using ScrapeScheduler scheduler = run.Scheduler;
        var goes = new FakeCollector("goes") { Gate = new TaskCompletionSource() };
        scheduler.Replace([goes]);
        run.Time.Advance(Interval);
        scheduler.Replace([]);
        Assert.False(goes.Ended);
        Assert.Equal(goes.LastTimestampMs, scheduler.WatermarkMs);
        goes.Gate.SetResult();
        Assert.True(goes.Ended);
        Assert.Equal(0, scheduler.Count);
        Assert.True(run.Sink.Ticks[1].End && run.Sink.Ticks[1].TimestampMs > run.Sink.Ticks[0].TimestampMs);
    }

    [Fact]
    public async Task A_collector_that_throws_costs_its_own_tick_only()
    {
        using var run = new Run();
        await using ScrapeScheduler scheduler = run.Scheduler;
        scheduler.Replace([new FakeCollector("bad") { Throws = true }, new FakeCollector("good")]);
        run.Time.Advance(TimeSpan.FromSeconds(20));
        Assert.Equal(["good", "good"], run.Sink.Ticks.Select(t => t.Name));
    }

    [Fact]
    public async Task After_a_long_sleep_only_the_latest_tick_is_collected()
    {
        using var run = new Run(options: new ScrapeSchedulerOptions { ConcurrencyMax = 1 });
        await using ScrapeScheduler scheduler = run.Scheduler;
        var blocker = new FakeCollector("a") { Gate = new TaskCompletionSource() };
        var waiting = new FakeCollector("b");
        scheduler.Replace([blocker]);
        run.Time.Advance(Interval);
        scheduler.Replace([blocker, waiting]);
        run.Time.Advance(TimeSpan.FromSeconds(60));
        Assert.Equal(0, waiting.Started);
        blocker.Gate.SetResult();
        Assert.Equal(1, waiting.Started);
        Assert.InRange(run.Time.NowMs - waiting.LastTimestampMs, 0, 10_000);
    }

    private sealed class Run : IDisposable
    {
        private readonly MeterListener _listener = new();
        private readonly Meter _meter = new("bellwether");

        public Run(DateTimeOffset? start = null, ScrapeSchedulerOptions? options = null)
        {
            Time = new VirtualTime(start);
            Scheduler = new ScrapeScheduler(Time, Sink, options ?? new ScrapeSchedulerOptions(), _meter, NullLogger.Instance);
            _listener.InstrumentPublished = (i, l) =>
            {
                if (ReferenceEquals(i.Meter, _meter) && i.Name.Contains("missed", StringComparison.Ordinal))
                    l.EnableMeasurementEvents(i);
            };
            _listener.SetMeasurementEventCallback<long>((_, v, _, _) => Missed += v);
            _listener.Start();
        }

        public VirtualTime Time { get; }

        public RecordingSink Sink { get; } = new();

        public ScrapeScheduler Scheduler { get; }

        public long Missed { get; private set; }

        public void Dispose()
        {
            _listener.Dispose();
            _meter.Dispose();
        }
    }

    private sealed class RecordingSink : ITickSink
    {
        public List<(string Name, long TimestampMs, bool End)> Ticks { get; } = [];

        public void Take(SourceTick tick) => Ticks.Add((tick.Table.Name, tick.TimestampMs, tick.PresentCount == 0));
    }

    private sealed class FakeCollector(string name) : ICollector
    {
        private readonly SourceTable _table = new(name, 10_000);
        private int _slot = -1;

        public TaskCompletionSource? Gate { get; set; }

        public bool Throws { get; init; }

        public int Started { get; private set; }

        public bool Ended { get; private set; }

        public bool Disposed { get; private set; }

        public long LastTimestampMs { get; private set; }

        public string Name => name;

        public TimeSpan Interval => ScrapeSchedulerTests.Interval;

        public async ValueTask CollectAsync(SourceTick tick, long timestampMs, CancellationToken cancellation)
        {
            Started++;
            LastTimestampMs = timestampMs;
            if (Throws)
                throw new InvalidOperationException("a bug");
            if (Gate is not null)
                await Gate.Task.WaitAsync(cancellation);
            if (_slot < 0)
                _slot = _table.Add(Labels.Of("__name__", "up"));
            tick.Begin(_table, timestampMs);
            tick.Set(_slot, 1);
            tick.Complete();
        }

        public void End(SourceTick tick, long timestampMs)
        {
            Ended = true;
            tick.Begin(_table, timestampMs);
            tick.Complete();
        }

        public ValueTask DisposeAsync()
        {
            Disposed = true;
            return ValueTask.CompletedTask;
        }
    }
}
