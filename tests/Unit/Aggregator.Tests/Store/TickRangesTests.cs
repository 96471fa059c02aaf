using Bellwether.Store;
using Bellwether.Store.Records;
using FsCheck;
using FsCheck.Fluent;

namespace Bellwether.Aggregator.Tests.Store;

public sealed class TickRangesTests
{
    [Fact]
    public void Ranges_are_the_same_in_whatever_order_ticks_come()
    {
        Check.One(Config.QuickThrowOnFailure.WithMaxTest(300), Prop.ForAll(ArbMap.Default.ArbFor<int>(), seed =>
        {
            var random = new Random(seed);
            // Slots of an even schedule, each with jitter, some of them missing.
            long[] times = [.. Enumerable.Range(0, random.Next(1, 60)).Where(_ => random.Next(4) > 0).Select(i => 1_000_000L + (i * 1000L) + random.Next(-200, 200))];
            var inOrder = new TickRanges();
            foreach (long time in times)
                inOrder.Add(time, 1000);
            long[] shuffled = [.. times];
            random.Shuffle(shuffled);
            var anyOrder = new TickRanges();
            foreach (long time in shuffled)
                anyOrder.Add(time, 1000);
            Assert.Equal(inOrder.Ranges, anyOrder.Ranges);
            Assert.Equal(times.Length, anyOrder.Ranges.Sum(r => r.Ticks));
            Assert.Equal(Expected(times), anyOrder.Ranges.Select(r => (r.FirstMs, r.LastMs)));
        }));
    }

    [Fact]
    public void Beyond_the_bound_the_oldest_ranges_become_one_and_the_count_still_tells_what_is_missing()
    {
        var ranges = new TickRanges();
        for (int i = 0; i < TickRanges.MaxRanges + 10; i++)
            ranges.Add(i * 10_000L, 1000);
        Assert.Equal(TickRanges.MaxRanges, ranges.Ranges.Count);
        TickRange oldest = ranges.Ranges[0];
        Assert.Equal((0, 100_000, 11, 101), (oldest.FirstMs, oldest.LastMs, oldest.Ticks, oldest.Due));
    }

    [Fact]
    public void A_changed_interval_begins_a_new_range()
    {
        var ranges = new TickRanges();
        ranges.Add(0, 1000);
        ranges.Add(1000, 1000);
        ranges.Add(2000, 5000);
        ranges.Add(7000, 5000);
        Assert.Equal([new TickRange(0, 1000, 2, 1000), new TickRange(2000, 7000, 2, 5000)], ranges.Ranges);
    }

    private static List<(long, long)> Expected(long[] times)
    {
        var expected = new List<(long First, long Last)>();
        foreach (long time in times)
        {
            if (expected.Count > 0 && time - expected[^1].Last <= 1500)
                expected[^1] = (expected[^1].First, time);
            else
                expected.Add((time, time));
        }
        return expected;
    }
}
