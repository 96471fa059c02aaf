using Bellwether.Core.Model;
using Bellwether.Store.Head;

namespace Bellwether.Aggregator.Tests.Store;

/// <summary>Samples of several sources come out in order, one per time, whichever source they came from first.</summary>
public sealed class SampleGatherTests
{
    [Fact]
    public void Sources_that_overlap_give_one_sample_per_time_in_order()
    {
        var random = new Random(3);
        var gather = new SampleGather();
        for (int round = 0; round < 400; round++)
        {
            List<(long TimeMs, double Value)[]> sources = [.. Enumerable.Range(0, 1 + random.Next(6)).Select(_ => Source(random))];
            gather.Begin();
            foreach ((long TimeMs, double Value)[] source in sources)
                Add(source, gather, asOne: random.Next(2) == 0);
            int dropped = gather.Resolve();
            var expected = new SortedDictionary<long, double>();
            foreach ((long timeMs, double value) in sources.SelectMany(static s => s))
                expected[timeMs] = expected.TryGetValue(timeMs, out double known) && !SampleRule.Wins(value, known) ? known : value;
            Assert.Equal(expected.Select(static e => (e.Key, BitConverter.DoubleToInt64Bits(e.Value))), gather.Times.ToArray().Zip(gather.Values.ToArray().Select(BitConverter.DoubleToInt64Bits)));
            Assert.Equal(sources.Sum(static s => s.Length) - expected.Count, dropped);
        }
    }

    [Fact]
    public void Overlapping_sources_take_no_memory_once_it_has_grown()
    {
        var random = new Random(4);
        var gather = new SampleGather();
        (long TimeMs, double Value)[] first = Source(random, 500), second = Source(random, 500);
        long before = 0;
        for (int round = 0; round < 50; round++)
        {
            if (round == 10)
                before = GC.GetAllocatedBytesForCurrentThread();
            gather.Begin();
            Add(first, gather, asOne: true);
            Add(second, gather, asOne: true);
            gather.Resolve();
        }
        Assert.Equal(0, GC.GetAllocatedBytesForCurrentThread() - before);
    }

    [Fact]
    public void Series_with_histograms_between_others_leave_nothing_behind()
    {
        var gather = new SampleGather();
        var buffer = new SampleBuffer();
        for (int round = 0; round < 6; round++)
        {
            int count = 200 << round;
            gather.Begin();
            Add([.. Enumerable.Range(0, count).Select(static i => (i * 10L, (double)i))], gather, asOne: true);
            Add([.. Enumerable.Range(0, count).Select(static i => ((i * 10L) + 5, (double)i))], gather, asOne: true);
            gather.Resolve();
            gather.CopyTo(buffer);
            Assert.Equal((2 * count, false), (buffer.Count, buffer.HasHistograms));
            gather.Begin();
            for (int i = 0; i < 50; i++)
                gather.Add(1000 - (i * 10L), new NativeHistogram { Count = i });
            gather.Add(705, 1);
            gather.Resolve();
            Assert.Equal((51, 25d), (gather.Count, gather.HistogramAt(gather.Times.IndexOf(750))!.Count));
            Assert.Null(gather.HistogramAt(gather.Times.IndexOf(705)));
        }
    }

    private static void Add((long TimeMs, double Value)[] source, SampleGather gather, bool asOne)
    {
        gather.BeginSource();
        if (asOne)
        {
            gather.Extend(source.Length, out Span<long> times, out Span<double> values);
            for (int i = 0; i < source.Length; i++)
                (times[i], values[i]) = source[i];
            gather.Close(source.Length, long.MinValue, long.MaxValue);
            return;
        }
        foreach ((long timeMs, double value) in source)
            gather.Add(timeMs, value);
    }

    private static (long TimeMs, double Value)[] Source(Random random, int count = 0)
    {
        long at = random.Next(300);
        return [.. Enumerable.Range(0, count > 0 ? count : 1 + random.Next(60)).Select(_ => (at += 1 + random.Next(5), (double)random.Next(4)))];
    }
}
