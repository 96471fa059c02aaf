using Bellwether.Agent.Spool;
using Bellwether.Agent.Stream;
using Bellwether.Core.Codec;
using Bellwether.Core.Durable;
using Bellwether.Core.Model;
using Bellwether.Core.Platform;
using Bellwether.Kit;

namespace Bellwether.Agent.Tests.Spool;

/// <summary>Appending, acknowledging, and what gives way at the bounds.</summary>
public sealed class LogSpoolTests : LogSpoolSite
{
    [Fact]
    public void Only_what_is_acknowledged_and_closed_is_freed()
    {
        using LogSpool spool = Open();
        for (int i = 0; i < 3; i++)
            spool.Append(Ticks.Next());
        spool.Sync();
        SegmentRef live = List(spool)[0].Id;
        spool.Acknowledge(live, 3, complete: true);
        Assert.Single(List(spool));
        Assert.Equal(0, spool.Records);
        spool.StartSegment();
        spool.Acknowledge(live, 2, complete: true);
        Assert.Empty(List(spool));
        spool.Append(Ticks.Next());
        spool.Sync();
        SegmentRef next = List(spool)[0].Id;
        spool.StartSegment();
        spool.Acknowledge(next, 0, complete: true);
        Assert.Single(List(spool));
    }

    [Fact]
    public void A_full_spool_drops_its_oldest_segments_and_counts_their_samples_by_source()
    {
        using LogSpool spool = Open(new SpoolOptions { BytesMax = 64 << 10, SegmentBytes = 8 << 10 });
        long appended = 0;
        for (int i = 0; i < 3000; i++)
        {
            SourceTick tick = Ticks.Next();
            Assert.Equal(SpoolAppend.Appended, spool.Append(tick));
            appended += tick.PresentCount + CountBits(tick.Ended);
            if (i % 10 == 9)
                spool.Sync();
        }
        spool.Sync();
        Assert.True(spool.Statistics.DiskBytes <= 64 << 10, $"{spool.Statistics.DiskBytes} bytes on disk");
        long kept = 0;
        foreach (SpooledSegment segment in List(spool))
        {
            foreach (ReadOnlyMemory<byte> record in ReadAll(spool, segment, 0))
            {
                RecordHeader.TryRead(record.Span, CodecLimits.Default, out RecordHeader header);
                kept += header.Samples;
            }
        }
        Assert.Equal(appended, kept + spool.Statistics.Dropped.Sum(d => d.Samples));
        Assert.Equal(["a", "b"], spool.Statistics.Dropped.Select(d => d.Source).Order());
        Assert.All(spool.Statistics.Dropped, d => Assert.Equal(SpoolDropReasons.Size, d.Reason));
    }

    [Fact]
    public void Segments_stay_whole_behind_a_ledger_that_is_larger_than_a_file()
    {
        // Files go on to the next at 64 KiB; so many sources make a ledger beyond that.
        using LogSpool spool = Open(new SpoolOptions { SegmentBytes = 8 << 10, DropSourcesMax = 2_000 });
        var tick = new SourceTick();
        for (int i = 0; i < 1_000; i++)
        {
            var table = new SourceTable("a-source-with-a-name-of-its-own-" + i, 1000);
            table.Add(Labels.Of("__name__", "m"));
            tick.Begin(table, 1_700_000_000_000 + i);
            tick.Set(0, i);
            tick.Complete();
            Assert.Equal(SpoolAppend.Appended, spool.Append(tick));
        }
        spool.StartSegment();
        int before = List(spool).Count;
        for (int i = 0; i < 4_000; i++)
        {
            Assert.Equal(SpoolAppend.Appended, spool.Append(Ticks.Next()));
            spool.Sync();
        }
        spool.StartSegment();
        var held = new List<HeldSegment>();
        spool.ListHeld(held);
        Assert.True(held.Count >= before + 5);
        Assert.All(held[before..^1], s => Assert.InRange(s.Bytes, 8 << 10, 9 << 10));
        Assert.Equal(held.Count, Disk.List("/spool/log").Count(f => f.EndsWith(".seg", StringComparison.Ordinal)));
    }

    [Fact]
    public void Records_past_the_age_bound_are_dropped_and_counted()
    {
        using LogSpool spool = Open(new SpoolOptions { AgeMax = TimeSpan.FromHours(1) });
        spool.Append(Ticks.Next());
        spool.Sync();
        spool.StartSegment();
        Ticks.Advance(TimeSpan.FromHours(2));
        spool.Append(Ticks.Next());
        spool.Sync();
        Assert.Single(List(spool));
        Assert.Equal(SpoolDropReasons.Age, Assert.Single(spool.Statistics.Dropped).Reason);
    }

    [Fact]
    public void A_clock_set_a_year_ahead_does_not_drop_the_backlog()
    {
        using LogSpool spool = Open();
        spool.Append(Ticks.Next());
        spool.Sync();
        spool.StartSegment();
        Ticks.Step(TimeSpan.FromDays(365));
        spool.Append(Ticks.Next());
        spool.Sync();
        Ticks.Step(TimeSpan.FromDays(-365));
        spool.Append(Ticks.Next());
        spool.Sync();
        Assert.Empty(spool.Statistics.Dropped);
        Assert.Equal(3, spool.Records);
    }

    [Fact]
    public void A_disk_that_takes_nothing_costs_what_does_not_fit_in_memory_and_is_counted()
    {
        using LogSpool spool = Open(new SpoolOptions { PendingBytesMax = 4096 });
        spool.Append(Ticks.Next());
        spool.Sync();
        Disk.Fault = (call, _) => call is DiskCall.Write or DiskCall.Sync;
        SpoolAppend outcome = SpoolAppend.Appended;
        for (int i = 0; i < 2000 && outcome == SpoolAppend.Appended; i++)
            outcome = spool.Append(Ticks.Next());
        Assert.Equal(SpoolAppend.DiskFailed, outcome);
        Assert.Equal(LogSync.Durable, spool.Sync());
        Assert.Contains(spool.Statistics.Dropped, d => d.Reason == SpoolDropReasons.Disk && d.Samples > 0);
        Disk.Fault = null;
        Assert.Equal(SpoolAppend.Appended, spool.Append(Ticks.Next()));
        Assert.Equal(LogSync.Durable, spool.Sync());
        foreach (SpooledSegment segment in List(spool))
            Decode(ReadAll(spool, segment, 0));
        Assert.True(spool.Statistics.Errors > 0);
    }

    [Fact]
    public void Acknowledged_records_are_counted_once_and_not_what_was_only_sent()
    {
        using LogSpool spool = Open();
        for (int i = 0; i < 5; i++)
            spool.Append(Ticks.Next());
        spool.Sync();
        spool.StartSegment();
        var segments = new List<SpooledSegment>();
        spool.ListSegments(segments);
        SegmentRef id = segments[0].Id;
        spool.TryRead(id, 0, 1 << 20, []);
        Assert.Equal(0, spool.AcknowledgedRecords);
        spool.Acknowledge(id, 3, false);
        spool.Acknowledge(id, 2, false);
        spool.Acknowledge(id, 99, true);
        spool.Acknowledge(id, 99, true);
        Assert.Equal(5, spool.AcknowledgedRecords);
    }

    [Fact]
    public void What_gives_way_keeps_its_file_until_its_count_is_written_down()
    {
        var options = new SpoolOptions { BytesMax = 64 << 10, SegmentBytes = 8 << 10 };
        bool refused = false;
        LogSpool spool = Open(options);
        while (spool.Statistics.DiskBytes < 24 << 10)
        {
            spool.Append(Ticks.Next());
            spool.Sync();
        }
        Disk.Fault = (call, path) => call == DiskCall.Sync && path.StartsWith("/spool/state", StringComparison.Ordinal);
        for (int i = 0; i < 3000; i++)
        {
            refused |= spool.Append(Ticks.Next()) == SpoolAppend.Refused;
            spool.Sync();
        }
        Assert.True(refused);
        long spooled = Spooled(spool);
        Disk.Crash();
        Disk.Fault = null;
        spool = Open(options);
        Assert.Equal(spooled, Spooled(spool));
        Assert.Equal((spooled, spooled, 0), Ledger(spool));
        Assert.Equal(spooled, List(spool).Sum(s => Decode(ReadAll(spool, s, 0)).Count * 10L));
        // What waited for its count goes on once it can be written.
        for (int i = 0; i < 500; i++)
        {
            Assert.Equal(SpoolAppend.Appended, spool.Append(Ticks.Next()));
            spool.Sync();
        }
        Assert.True(spool.DroppedSamples > 0);
        spool.Dispose();

        static long Spooled(LogSpool spool)
        {
            var ledger = new List<SourceLedger>();
            spool.ListLedger(ledger);
            return ledger.Sum(l => l.Spooled);
        }
    }

    [Fact]
    public void A_dropped_segment_in_the_newest_file_does_not_come_back()
    {
        var options = new SpoolOptions { AgeMax = TimeSpan.FromHours(1), PendingBytesMax = 256 };
        LogSpool spool = Open(options);
        spool.Append(Ticks.Next());
        spool.Sync();
        spool.StartSegment();
        Ticks.Advance(TimeSpan.FromHours(2));
        Disk.Fault = (call, path) => call is DiskCall.Write && path.EndsWith(".seg", StringComparison.Ordinal);
        for (int restart = 0; restart < 3; restart++)
        {
            // Nothing new reaches the log: its newest file is the one with the dropped segment.
            for (int i = 0; i < 20; i++)
            {
                spool.Append(Ticks.Next());
                spool.StartSegment();
                Ticks.Advance(TimeSpan.FromSeconds(2));
            }
            spool.MarkStop(); // writes the state
            Assert.Equal(10, spool.Statistics.Dropped.Where(d => d.Reason == SpoolDropReasons.Age).Sum(d => d.Samples));
            Disk.Crash(onlyProcess: true);
            Func<DiskCall, string, bool> fault = Disk.Fault;
            Disk.Fault = null;
            spool = Open(options);
            Disk.Fault = fault;
            Assert.Empty(List(spool));
        }
        spool.Dispose();
    }

    [Fact]
    public void A_record_that_was_given_up_after_a_failed_sync_does_not_come_back_behind_a_segment_that_is_done_with()
    {
        var options = new SpoolOptions { PendingBytesMax = 256 };
        LogSpool spool = Open(options);
        spool.Append(Ticks.Next());
        spool.Append(Ticks.Next());
        spool.Sync();
        Disk.Fault = (call, path) => call is DiskCall.Sync && path.EndsWith(".seg", StringComparison.Ordinal);
        SpoolAppend outcome = SpoolAppend.Appended;
        while (outcome == SpoolAppend.Appended)
        {
            outcome = spool.Append(Ticks.Next());
            spool.Sync();
        }
        Assert.Equal(SpoolAppend.DiskFailed, outcome);
        spool.Acknowledge(Assert.Single(List(spool)).Id, 2, complete: true);
        Assert.Empty(List(spool));
        (long Produced, long Buffered, long Dropped) before = Ledger(spool);
        Disk.Crash(onlyProcess: true);
        Disk.Fault = null;
        spool = Open(options);
        Assert.Equal(before, Ledger(spool));
        Assert.DoesNotContain(spool.Statistics.Dropped, d => d.Reason == SpoolDropReasons.Damaged);
        spool.Dispose();
    }

    [Fact]
    public void On_a_full_disk_the_room_that_is_kept_takes_the_count_of_what_gives_way()
    {
        var options = new SpoolOptions { SegmentBytes = 4 << 10 };
        LogSpool spool = Open(options);
        for (int i = 0; i < 2000; i++)
        {
            spool.Append(Ticks.Next());
            spool.Sync();
        }
        Disk.Capacity = Disk.UsedBytes;
        for (int i = 0; i < 2000; i++)
        {
            Assert.Equal(SpoolAppend.Appended, spool.Append(Ticks.Next()));
            Assert.Equal(LogSync.Durable, spool.Sync());
        }
        (long produced, long buffered, long dropped) = Ledger(spool);
        Assert.True(dropped > 0 && produced == 40_000 && buffered == produced - dropped, $"{produced} - {buffered} - {dropped}");
        Disk.Crash();
        spool = Open(options);
        Assert.Equal((produced, buffered, dropped), Ledger(spool));
        spool.Dispose();
    }

    [Fact]
    public void On_the_real_disk_a_steady_append_allocates_nothing()
    {
        string folder = Path.Combine(Path.GetTempPath(), Path.GetRandomFileName());
        using (LogSpool spool = LogSpool.Open(new OsDisk(), folder, new SpoolOptions(), TimeProvider.System, new Random(1), Meter))
        {
            for (int i = 0; i < 50; i++)
                spool.Append(Ticks.Next());
            spool.Sync();
            long allocated = 0;
            for (int i = 0; i < 40; i++)
            {
                SourceTick tick = Ticks.Next();
                long before = GC.GetAllocatedBytesForCurrentThread();
                spool.Append(tick);
                spool.Sync();
                allocated += GC.GetAllocatedBytesForCurrentThread() - before;
            }
            Assert.Equal(0, allocated);
        }
        Directory.Delete(folder, recursive: true);
    }
}
