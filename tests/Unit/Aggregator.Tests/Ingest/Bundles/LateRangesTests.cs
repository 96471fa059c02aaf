using System.Diagnostics.Metrics;
using Bellwether.Ingest.Bundles;
using Bellwether.Kit;

namespace Bellwether.Aggregator.Tests.Ingest.Bundles;

public sealed class LateRangesTests : IDisposable
{
    private const long NowMs = 1_700_000_000_000;
    private readonly Meter _meter = new("test");
    private readonly FaultyDisk _disk = new(new Random(1));
    private readonly VirtualTime _time = new(DateTimeOffset.FromUnixTimeMilliseconds(NowMs));

    public void Dispose() => _meter.Dispose();

    [Fact]
    public void Late_ticks_that_lie_close_are_one_range_in_whatever_order_they_come()
    {
        var random = new Random(3);
        long[] times = [.. Enumerable.Range(0, 50).Select(i => NowMs - 600_000 + (i * 5000L)).Where((_, i) => i is < 20 or > 24)];
        for (int round = 0; round < 50; round++)
        {
            random.Shuffle(times);
            LateRanges late = Open();
            foreach (long time in times)
                late.Note("a", "s", 5000, time);
            Assert.Equal([(NowMs - 600_000, NowMs - 505_000), (NowMs - 475_000, NowMs - 355_000)], late.List().Select(r => (r.FromMs, r.ToMs)));
        }
    }

    [Fact]
    public void What_comes_in_time_is_not_late()
    {
        LateRanges late = Open();
        late.Note("a", "s", 5000, NowMs - 9_999);
        late.Note("a", "slow", 60_000, NowMs - 119_999);
        Assert.Empty(late.List());
        late.Note("a", "s", 5000, NowMs - 10_001);
        late.Note("a", "slow", 60_000, NowMs - 120_001);
        Assert.Equal(2, late.Count);
    }

    [Fact]
    public void Ranges_survive_a_crash_once_saved_and_leave_when_done()
    {
        LateRanges late = Open();
        late.Note("a", "s", 5000, NowMs - 60_000);
        late.Note("b", "s", 5000, NowMs - 60_000);
        Assert.True(late.Save());
        _disk.Crash();
        late = Open();
        Assert.Equal(["a", "b"], late.List().Select(r => r.Agent));
        late.Done([late.List()[0]]);
        Assert.True(late.Save());
        _disk.Crash();
        Assert.Equal("b", Assert.Single(Open().List()).Agent);
    }

    [Fact]
    public void A_range_that_grew_while_it_was_evaluated_stays()
    {
        LateRanges late = Open();
        late.Note("a", "s", 5000, NowMs - 60_000);
        IReadOnlyList<LateRange> listed = late.List();
        late.Note("a", "s", 5000, NowMs - 55_000);
        late.Done(listed);
        Assert.Equal((NowMs - 60_000, NowMs - 55_000), late.List().Select(r => (r.FromMs, r.ToMs)).Single());
    }

    [Fact]
    public void Beyond_the_bound_the_ranges_of_a_source_become_one_and_nothing_is_forgotten()
    {
        var late = new LateRanges(new LateRangesOptions { RangesMax = 8 }, _disk, "/data", _time, _meter);
        for (int i = 0; i < 100; i++)
            late.Note("a", i % 2 == 0 ? "s" : "t", 1000, NowMs - 1_100_000 + (i * 10_000L));
        Assert.InRange(late.Count, 1, 8);
        foreach (int i in Enumerable.Range(0, 100))
            Assert.Contains(late.List(), r => r.Source == (i % 2 == 0 ? "s" : "t") && r.FromMs <= NowMs - 1_100_000 + (i * 10_000L) && r.ToMs >= NowMs - 1_100_000 + (i * 10_000L));
    }

    [Fact]
    public void A_disk_that_fails_is_tried_again_and_a_damaged_file_counts_as_empty()
    {
        LateRanges late = Open();
        late.Note("a", "s", 5000, NowMs - 60_000);
        _disk.Fault = (call, _) => call == DiskCall.Sync;
        Assert.False(late.Save());
        _disk.Fault = null;
        Assert.True(late.Save());
        Assert.Single(Open().List());
    }

    private LateRanges Open()
    {
        _disk.CreateFolder("/data");
        return new LateRanges(new LateRangesOptions(), _disk, "/data", _time, _meter);
    }
}
