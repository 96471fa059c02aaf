using System.Diagnostics.Metrics;
using Bellwether.Core.Model;
using Bellwether.Kit;
using Bellwether.Store;
using Bellwether.Store.Head;
using FsCheck;
using FsCheck.Fluent;
using Microsoft.Extensions.Logging.Abstractions;
using MatchType = Bellwether.Core.Model.MatchType;

namespace Bellwether.Aggregator.Tests.Store;

/// <summary>What a store says about changes, and where history goes that is loaded in order.</summary>
public sealed class ChangeLogTests
{
    [Fact]
    public void The_oldest_change_since_a_mark_is_never_later_than_it_was() =>
        Check.One(Config.QuickThrowOnFailure.WithMaxTest(100), Prop.ForAll(ArbMap.Default.ArbFor<int>(), seed =>
        {
            var random = new Random(seed);
            var log = new ChangeLog();
            var changes = new List<long>();
            var marks = new List<(long Mark, int At)>();
            bool isShort = random.Next(3) > 0;
            for (int i = 0; i < (isShort ? 100 : 6000); i++)
            {
                if (random.Next(2) == 0)
                {
                    changes.Add(random.Next(10) == 0 ? random.Next(1000) : i);
                    log.Note(changes[^1]);
                }
                else
                {
                    marks.Add((log.Mark(), changes.Count));
                }
            }
            foreach ((long mark, int at) in marks)
            {
                long expected = changes.Skip(at).DefaultIfEmpty(long.MaxValue).Min(), told = log.OldestSince(mark);
                Assert.True(isShort ? told == expected : told <= expected, $"{told} for {expected}");
            }
        }));

    [Fact]
    public void A_store_tells_late_and_replaced_samples_and_retention()
    {
        using var run = new Run();
        long t = run.Time.NowMs;
        var changes = (IChangeLog)run.Store.Reader;
        run.Append(t, 1);
        long mark = changes.TakeMark();
        Assert.Equal(long.MaxValue, changes.OldestChangeSince(mark));
        run.Append(t, 1);
        Assert.Equal(long.MaxValue, changes.OldestChangeSince(mark));
        run.Append(t + 5000, 2);
        Assert.Equal(t + 5000, changes.OldestChangeSince(mark));
        run.Append(t, 7);
        Assert.Equal(t, changes.OldestChangeSince(mark));
        run.Append(t - 60_000, 7);
        Assert.Equal(t - 60_000, changes.OldestChangeSince(mark));
        run.Time.Advance(TimeSpan.FromHours(3));
        run.Store.Maintain();
        long later = changes.TakeMark();
        run.Append(run.Time.NowMs, 1);
        run.Time.Advance(TimeSpan.FromHours(30));
        run.Store.Maintain();
        Assert.Equal(long.MinValue, changes.OldestChangeSince(later));
    }

    [Fact]
    public void History_that_is_loaded_in_order_goes_into_files_when_no_more_comes()
    {
        using var run = new Run();
        run.Store.Maintain();
        long from = run.Time.NowMs - 36_000_000;
        for (int i = 0; i < 12_000; i++)
            run.Append(from + (i * 1000), i);
        int before = run.Store.Blocks.Count;
        run.Store.Maintain();
        Assert.Equal(before, run.Store.Blocks.Count);
        run.Time.Advance(TimeSpan.FromMinutes(1));
        run.Store.Maintain();
        Assert.InRange(run.Store.Blocks.Count, before + 2, before + 3);
        using ISeriesSet set = run.Store.Reader.Select(0, long.MaxValue, [new LabelMatcher(MatchType.Equal, "__name__", "m")], CancellationToken.None);
        var all = new SampleBuffer();
        set.Read(0, all);
        Assert.Equal((12_000, 11_999.0), (all.Count, all.Values[^1]));
    }

    private sealed class Run : IDisposable
    {
        private readonly Meter _meter = new("change-log");

        public Run()
        {
            var options = new StoreOptions { Folder = "/store", MinFreeBytes = 0, Retention = TimeSpan.FromHours(24) };
            Store = StoreEngine.Open(options, new MemoryDisk(), Time, new Random(1), _meter, NullLogger.Instance);
        }

        public VirtualTime Time { get; } = new();

        public StoreEngine Store { get; }

        public void Append(long timeMs, double value)
        {
            var batch = new SampleBatch();
            batch.Samples.Add(new SeriesSample(Labels.Of("__name__", "m"), timeMs, value));
            Store.AppendBatch(batch);
        }

        public void Dispose()
        {
            Store.Dispose();
            _meter.Dispose();
        }
    }
}
