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
