using Bellwether.Agent.Spool;
using Bellwether.Agent.Stream;
using Bellwether.Core.Durable;
using Bellwether.Kit;

namespace Bellwether.Agent.Tests.Spool;

/// <summary>Reading segments, and damage that is met there.</summary>
public sealed class LogSpoolReadingTests : LogSpoolSite
{
    [Fact]
    public void Several_readers_stand_in_one_segment_and_batches_keep_their_bound()
    {
        using LogSpool spool = Open();
        for (int i = 0; i < 200; i++)
            spool.Append(Ticks.Next());
        spool.Sync();
        SpooledSegment segment = Assert.Single(List(spool));
        List<ReadOnlyMemory<byte>> all = ReadAll(spool, segment, 0);
        Assert.Equal(200, all.Count);
        var batch = new List<ReadOnlyMemory<byte>>();
        ulong[] positions = [0, 50, 150];
        for (int round = 0; round < 10; round++)
        {
            for (int r = 0; r < positions.Length; r++)
            {
                batch.Clear();
                Assert.True(spool.TryRead(segment.Id, positions[r], 100, batch));
                Assert.True(batch.Count == 1 || batch.Sum(b => b.Length) <= 100);
                foreach (ReadOnlyMemory<byte> record in batch)
                    Assert.True(record.Span.SequenceEqual(all[(int)positions[r]++].Span));
            }
        }
        Assert.False(spool.TryRead(segment.Id with { Nonce = ~segment.Id.Nonce }, 0, 100, batch));
    }

    [Fact]
    public void Damage_ends_its_segment_and_leaves_the_others()
    {
        using (LogSpool spool = Open())
        {
            AppendSegments(spool, 3);
            Assert.Equal(3, List(spool).Count);
        }
        Disk.FlipBit("/spool/log/0000000000000002.seg", 260 * 8);
        using LogSpool again = Open();
        List<SpooledSegment> segments = List(again);
        Assert.Equal(4UL, segments[0].Records);
        Assert.True(segments.Count == 2 || segments[1].Records < 4);
        foreach (SpooledSegment segment in segments)
            Decode(ReadAll(again, segment, 0));
    }

    [Fact]
    public void Damage_that_comes_while_running_ends_its_segment_and_what_is_behind_it_is_counted()
    {
        using LogSpool spool = Open();
        for (int i = 0; i < 20; i++)
            spool.Append(Ticks.Next());
        spool.Sync();
        SpooledSegment segment = Assert.Single(List(spool));
        int middle = Disk.Content("/spool/log/0000000000000001.seg").Length / 2;
        Disk.FlipBit("/spool/log/0000000000000001.seg", middle * 8L);
        var records = new List<ReadOnlyMemory<byte>>();
        Assert.True(spool.TryRead(segment.Id, 0, 1 << 20, records));
        Decode(records);
        SpooledSegment cut = Assert.Single(List(spool));
        Assert.Equal((ulong)records.Count, cut.Records);
        Assert.True(cut.Closed && records.Count is > 2 and < 19);
        Assert.Equal((20 - records.Count) * 10, spool.Statistics.Dropped.Where(d => d.Reason == SpoolDropReasons.Damaged).Sum(d => d.Samples));
        spool.Acknowledge(cut.Id, cut.Records, complete: true);
        Assert.Empty(List(spool));
        spool.Append(Ticks.Next());
        Assert.Equal(LogSync.Durable, spool.Sync());
        Assert.Single(Decode(ReadAll(spool, List(spool)[0], 0)));
    }

    [Fact]
    public void A_disk_that_cannot_be_read_for_a_moment_costs_nothing()
    {
        using LogSpool spool = Open();
        spool.Append(Ticks.Next());
        spool.Sync();
        SpooledSegment segment = Assert.Single(List(spool));
        var records = new List<ReadOnlyMemory<byte>>();
        Disk.Fault = (call, _) => call == DiskCall.Read;
        for (int i = 0; i < 50; i++)
        {
            Assert.True(spool.TryRead(segment.Id, 0, 1000, records));
            Assert.Empty(records);
        }
        Disk.Fault = null;
        Assert.True(spool.TryRead(segment.Id, 0, 1000, records));
        Assert.Single(Decode(records));
    }

    [Fact]
    public void A_disk_that_goes_on_failing_at_a_place_does_not_hold_up_what_stands_behind()
    {
        using LogSpool spool = Open();
        spool.Append(Ticks.Next());
        spool.Sync();
        SpooledSegment segment = Assert.Single(List(spool));
        var records = new List<ReadOnlyMemory<byte>>();
        Disk.Fault = (call, _) => call == DiskCall.Read;
        for (int i = 0; i < 3; i++)
            Assert.True(spool.TryRead(segment.Id, 0, 1000, records));
        Ticks.Step(TimeSpan.FromSeconds(11));
        Assert.False(spool.TryRead(segment.Id, 0, 1000, records));
        Disk.Fault = null;
        spool.Append(Ticks.Next());
        spool.Sync();
        Assert.Single(Decode(ReadAll(spool, Assert.Single(List(spool)), 0)));
    }
}
