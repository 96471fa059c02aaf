using Bellwether.Core.Model;
using Bellwether.Store.Head;

namespace Bellwether.Aggregator.Tests.Store;

public sealed class HeadSeriesTests
{
    private const long SlotMs = 7_200_000;

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    public void Blocks_that_join_hold_every_sample_as_it_came(int seed)
    {
        var random = new Random(seed);
        var pools = new HeadPools();
        HeadSeries[] series = [.. Enumerable.Range(0, 20).Select(i => new HeadSeries(Labels.Of("__name__", "a", "i", $"{i}"), (uint)i))];
        List<(long TimeMs, double Value)>[] expected = [.. series.Select(_ => new List<(long, double)>())];
        double[] values = new double[series.Length];
        for (int tick = 0; tick < 1_000; tick++)
        {
            long timeMs = (tick * 15_000L) + random.Next(2);
            for (int s = 0; s < series.Length; s++)
            {
                // Series 0 is constant, 1 changes between long rests, the others nearly always; some miss ticks, so that their columns fork.
                if (s > 10 && random.Next(20) == 0)
                    continue;
                values[s] = s switch { 0 => 1, 1 => tick / 150, _ => random.Next(4) == 0 ? values[s] : random.Next(8) == 0 ? double.NaN : random.NextDouble() };
                Assert.Equal(AppendOutcome.Stored, series[s].Append(timeMs, values[s], SlotMs, pools));
                expected[s].Add((timeMs, values[s]));
            }
        }
        // One for all, as a selection has it: what it remembers of a series' times must be right for the next one.
        var gather = new SampleGather();
        for (int s = 0; s < series.Length; s++)
        {
            Assert.Equal(expected[s], Read(series[s], long.MinValue, long.MaxValue, gather));
            for (int i = 0; i < 20; i++)
            {
                long fromMs = random.Next(15_000_000), toMs = fromMs + random.Next(6_000_000);
                Assert.Equal(expected[s].FindAll(e => e.TimeMs >= fromMs && e.TimeMs <= toMs), Read(series[s], fromMs, toMs, gather));
            }
            // 15 million ms are three partitions; each has 480 ticks at most: four blocks of 128 less what the last of them lacks.
            Assert.InRange(series[s].BlockCount, 3, 12);
        }
    }

    [Fact]
    public void A_series_with_exemplars_and_no_start_says_of_no_start()
    {
        var pools = new HeadPools();
        var series = new HeadSeries(Labels.Of("__name__", "a"), 0);
        var gather = new SampleGather();
        for (int i = 0; i < 3; i++)
        {
            series.Append(i * 15_000, i, SlotMs, pools);
            series.Add(new Exemplar(Labels.Of("trace_id", $"{i}"), i, i * 15_000), 10);
            series.SetStart(i * 15_000, 0);
        }
        Read(series, 0, 60_000, gather);
        Assert.False(gather.HasStarts);
        series.SetStart(30_000, 29_000);
        Read(series, 0, 60_000, gather);
        Assert.Equal((true, 0, 29_000), (gather.HasStarts, gather.StartAt(1), gather.StartAt(2)));
    }

    [Fact]
    public void What_is_dropped_goes_but_for_the_partitions_that_were_touched_and_takes_only_the_samples_before()
    {
        for (int seed = 0; seed < 40; seed++)
        {
            var random = new Random(seed);
            var pools = new HeadPools();
            var series = new HeadSeries(Labels.Of("__name__", "a"), 0);
            for (long at = -2 * SlotMs; at < 8 * SlotMs; at += random.Next(10) == 0 ? SlotMs / 2 : 60_000 + random.Next(30_000))
                Put(series, at, random, pools);
            for (int late = random.Next(1500); late > 0; late--)
                Put(series, random.NextInt64(-4 * SlotMs, 8 * SlotMs), random, pools);
            for (int round = 0; round < 3; round++)
            {
                long before = random.NextInt64(-3, 10) * SlotMs;
                var touched = new TouchedPartitions(TimeSpan.FromMilliseconds(SlotMs));
                var slots = new HashSet<long>();
                for (int n = random.Next(4); n > 0; n--)
                {
                    long at = random.NextInt64(-4 * SlotMs, 8 * SlotMs);
                    slots.Add(HeadSeries.SlotOf(at, SlotMs));
                    touched.Add(series, at);
                }
                touched.Add(new HeadSeries(Labels.Of("__name__", "b"), 1), 0);
                List<(long TimeMs, double Value, bool IsHistogram, long StartMs)> expected = ReadAll(series).FindAll(s => s.TimeMs >= before || slots.Contains(HeadSeries.SlotOf(s.TimeMs, SlotMs)));
                series.DropBefore(before, pools, touched);
                Assert.Equal(expected, ReadAll(series));
                Assert.Equal((expected.Count == 0, expected.Count == 0 ? long.MaxValue : expected[0].TimeMs), (series.IsEmpty, series.OldestMs));
                // What it holds still can be built on.
                for (int n = random.Next(200); n > 0; n--)
                    Put(series, random.NextInt64(-4 * SlotMs, 8 * SlotMs), random, pools);
            }
            series.DropBefore(long.MaxValue, pools);
            Assert.Equal((true, 0), (series.IsEmpty, pools.LateSamples));
        }
    }

    private static void Put(HeadSeries series, long atMs, Random random, HeadPools pools)
    {
        if (random.Next(20) == 0)
            series.Append(atMs, new NativeHistogram { Schema = 0, Count = random.Next(100), Sum = 1 });
        else
            series.Append(atMs, random.Next(3) == 0 ? random.NextDouble() : random.Next(100), SlotMs, pools);
        series.SetStart(atMs, random.Next(30) == 0 ? atMs - 1 : 0);
    }

    private static List<(long TimeMs, double Value, bool IsHistogram, long StartMs)> ReadAll(HeadSeries series)
    {
        var gather = new SampleGather();
        var samples = Read(series, long.MinValue, long.MaxValue, gather);
        return [.. samples.Select((s, i) => (s.TimeMs, gather.HistogramAt(i) is { } h ? h.Count : s.Value, gather.HistogramAt(i) is not null, gather.StartAt(i)))];
    }

    private static List<(long TimeMs, double Value)> Read(HeadSeries series, long fromMs, long toMs, SampleGather gather)
    {
        gather.Begin();
        series.Read(fromMs, toMs, gather);
        gather.Resolve();
        var samples = new List<(long, double)>();
        for (int i = 0; i < gather.Count; i++)
            samples.Add((gather.Times[i], gather.Values[i]));
        return samples;
    }
}
