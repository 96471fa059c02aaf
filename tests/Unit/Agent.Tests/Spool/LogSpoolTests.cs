using System.Diagnostics.Metrics;
using Bellwether.Agent.Spool;
using Bellwether.Agent.Stream;
using Bellwether.Core.Codec;
using Bellwether.Core.Durable;
using Bellwether.Core.Model;
using Bellwether.Core.Platform;
using Bellwether.Kit;
using FsCheck;
using FsCheck.Fluent;

namespace Bellwether.Agent.Tests.Spool;

public sealed class LogSpoolTests : IDisposable
{
    private readonly Meter _meter = new("test");
    private readonly FaultyDisk _disk = new(new Random(1));
    private readonly SpoolTicks _ticks = new();

    public void Dispose() => _meter.Dispose();

    [Fact]
    public void Nothing_synced_is_lost_nothing_comes_twice_and_every_record_decodes() =>
        Prop.ForAll(ArbMap.Default.ArbFor<int[]>(), operations => new Scenario(operations).Run())
            .Check(Config.QuickThrowOnFailure.WithMaxTest(250).WithEndSize(120));

    [Fact]
    public void A_restart_makes_old_segments_a_closed_backlog_and_opens_a_new_one()
    {
        using (LogSpool spool = Open())
        {
            spool.Append(_ticks.Next());
            Assert.Empty(List(spool));
            Assert.Equal(LogSync.Durable, spool.Sync());
            Assert.False(Assert.Single(List(spool)).Closed);
        }
        using LogSpool again = Open();
        SpooledSegment old = Assert.Single(List(again));
        Assert.True(old.Closed);
        again.Append(_ticks.Next());
        again.Sync();
        Assert.Equal(2, List(again).Count);
        Assert.Equal(old.Id.Epoch, List(again)[1].Id.Epoch);
        Assert.True(List(again)[1].Id.Number > old.Id.Number);
    }

    [Fact]
    public void Only_what_is_acknowledged_and_closed_is_freed()
    {
        using LogSpool spool = Open();
        for (int i = 0; i < 3; i++)
            spool.Append(_ticks.Next());
        spool.Sync();
        SegmentRef live = List(spool)[0].Id;
        spool.Acknowledge(live, 3, complete: true);
        Assert.Single(List(spool));
        Assert.Equal(0, spool.Records);
        spool.StartSegment();
        spool.Acknowledge(live, 2, complete: true);
        Assert.Empty(List(spool));
        spool.Append(_ticks.Next());
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
            SourceTick tick = _ticks.Next();
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
            Assert.Equal(SpoolAppend.Appended, spool.Append(_ticks.Next()));
            spool.Sync();
        }
        spool.StartSegment();
        var held = new List<HeldSegment>();
        spool.ListHeld(held);
        Assert.True(held.Count >= before + 5);
        Assert.All(held[before..^1], s => Assert.InRange(s.Bytes, 8 << 10, 9 << 10));
        Assert.Equal(held.Count, _disk.List("/spool/log").Count(f => f.EndsWith(".seg", StringComparison.Ordinal)));
    }

    [Fact]
    public void Records_past_the_age_bound_are_dropped_and_counted()
    {
        using LogSpool spool = Open(new SpoolOptions { AgeMax = TimeSpan.FromHours(1) });
        spool.Append(_ticks.Next());
        spool.Sync();
        spool.StartSegment();
        _ticks.Advance(TimeSpan.FromHours(2));
        spool.Append(_ticks.Next());
        spool.Sync();
        Assert.Single(List(spool));
        Assert.Equal(SpoolDropReasons.Age, Assert.Single(spool.Statistics.Dropped).Reason);
    }

    [Fact]
    public void A_clock_set_a_year_ahead_does_not_drop_the_backlog()
    {
        using LogSpool spool = Open();
        spool.Append(_ticks.Next());
        spool.Sync();
        spool.StartSegment();
        _ticks.Step(TimeSpan.FromDays(365));
        spool.Append(_ticks.Next());
        spool.Sync();
        _ticks.Step(TimeSpan.FromDays(-365));
        spool.Append(_ticks.Next());
        spool.Sync();
        Assert.Empty(spool.Statistics.Dropped);
        Assert.Equal(3, spool.Records);
    }

    [Fact]
    public void A_disk_that_takes_nothing_costs_what_does_not_fit_in_memory_and_is_counted()
    {
        using LogSpool spool = Open(new SpoolOptions { PendingBytesMax = 4096 });
        spool.Append(_ticks.Next());
        spool.Sync();
        _disk.Fault = (call, _) => call is DiskCall.Write or DiskCall.Sync;
        SpoolAppend outcome = SpoolAppend.Appended;
        for (int i = 0; i < 2000 && outcome == SpoolAppend.Appended; i++)
            outcome = spool.Append(_ticks.Next());
        Assert.Equal(SpoolAppend.DiskFailed, outcome);
        Assert.Equal(LogSync.Durable, spool.Sync());
        Assert.Contains(spool.Statistics.Dropped, d => d.Reason == SpoolDropReasons.Disk && d.Samples > 0);
        _disk.Fault = null;
        Assert.Equal(SpoolAppend.Appended, spool.Append(_ticks.Next()));
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
            spool.Append(_ticks.Next());
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
    public void Numbers_that_are_skipped_stay_skipped_after_a_restart()
    {
        using (LogSpool spool = Open())
        {
            spool.Append(_ticks.Next());
            spool.SkipTo(500);
            spool.SkipTo(400);
            Assert.Equal(500UL, spool.StartSegment());
        }
        using LogSpool again = Open();
        Assert.Equal(500UL, again.NextNumber);
    }

    [Fact]
    public void A_lost_folder_grows_the_epoch()
    {
        ulong epoch;
        using (LogSpool spool = Open())
        {
            epoch = spool.Epoch;
            spool.Append(_ticks.Next());
            spool.Sync();
        }
        using (LogSpool spool = Open())
            Assert.Equal(epoch, spool.Epoch);
        _disk.Lose("/spool/state");
        _ticks.Advance(TimeSpan.FromSeconds(5));
        ulong next;
        using (LogSpool spool = Open())
            next = spool.Epoch;
        Assert.True(next > epoch);
        foreach (string name in _disk.List("/spool/log"))
            _disk.Lose("/spool/log/" + name);
        using (LogSpool spool = Open())
            Assert.True(spool.Epoch > next);
    }

    [Fact]
    public void Damage_ends_its_segment_and_leaves_the_others()
    {
        using (LogSpool spool = Open())
        {
            for (int s = 0; s < 3; s++)
            {
                for (int i = 0; i < 4; i++)
                    spool.Append(_ticks.Next());
                spool.StartSegment();
            }
            Assert.Equal(3, List(spool).Count);
        }
        _disk.FlipBit("/spool/log/0000000000000002.seg", 260 * 8);
        using LogSpool again = Open();
        List<SpooledSegment> segments = List(again);
        Assert.Equal(4UL, segments[0].Records);
        Assert.True(segments.Count == 2 || segments[1].Records < 4);
        foreach (SpooledSegment segment in segments)
            Decode(ReadAll(again, segment, 0));
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void What_cannot_be_read_when_the_spool_is_opened_is_counted_once(bool isRot)
    {
        using (LogSpool spool = Open())
        {
            for (int s = 0; s < 4; s++)
            {
                for (int i = 0; i < 4; i++)
                    spool.Append(_ticks.Next());
                spool.StartSegment();
            }
        }
        const string Second = "/spool/log/0000000000000002.seg";
        if (isRot)
            _disk.FlipBit(Second, (_disk.Content(Second).Length - 40) * 8L); // the last frame of a closed file
        else
            _disk.Fault = (call, path) => call == DiskCall.Read && path == Second;
        for (int opening = 0; opening < 3; opening++)
        {
            using LogSpool again = Open();
            var ledger = new List<SourceLedger>();
            again.ListLedger(ledger);
            Assert.Equal(160, ledger.Sum(l => l.Produced));
            long damaged = ledger.Sum(l => l.Dropped.Sum(d => d.Value.Samples));
            Assert.Equal(isRot ? 10 : 40, damaged);
            Assert.Equal(160 - damaged, ledger.Sum(l => l.Buffered.Samples));
            foreach (SpooledSegment segment in List(again))
                Decode(ReadAll(again, segment, 0));
        }
    }

    [Fact]
    public void What_cannot_be_read_at_one_opening_and_can_at_the_next_is_not_lost()
    {
        using (LogSpool spool = Open())
        {
            for (int s = 0; s < 4; s++)
            {
                for (int i = 0; i < 4; i++)
                    spool.Append(_ticks.Next());
                spool.StartSegment();
            }
            spool.Acknowledge(List(spool)[0].Id, 4, complete: true);
            spool.Acknowledge(List(spool)[1].Id, 1, complete: false);
        }
        _disk.Fault = (call, path) => call == DiskCall.Read && path == "/spool/log/0000000000000003.seg";
        using (LogSpool spool = Open())
        {
            Assert.Equal(30, spool.Statistics.Dropped.Where(d => d.Reason == SpoolDropReasons.Damaged).Sum(d => d.Samples));
            Assert.Equal((160, 80, 30), Ledger(spool));
        }
        _disk.Fault = null;
        using LogSpool again = Open();
        Assert.Equal((160, 110, 0), Ledger(again));
        Assert.Equal(0, again.DroppedSamples);
    }

    [Fact]
    public void What_gives_way_keeps_its_file_until_its_count_is_written_down()
    {
        var options = new SpoolOptions { BytesMax = 64 << 10, SegmentBytes = 8 << 10 };
        bool refused = false;
        LogSpool spool = Open(options);
        while (spool.Statistics.DiskBytes < 24 << 10)
        {
            spool.Append(_ticks.Next());
            spool.Sync();
        }
        _disk.Fault = (call, path) => call == DiskCall.Sync && path.StartsWith("/spool/state", StringComparison.Ordinal);
        for (int i = 0; i < 3000; i++)
        {
            refused |= spool.Append(_ticks.Next()) == SpoolAppend.Refused;
            spool.Sync();
        }
        Assert.True(refused);
        long spooled = Spooled(spool);
        _disk.Crash();
        _disk.Fault = null;
        spool = Open(options);
        Assert.Equal(spooled, Spooled(spool));
        Assert.Equal((spooled, spooled, 0), Ledger(spool));
        Assert.Equal(spooled, List(spool).Sum(s => Decode(ReadAll(spool, s, 0)).Count * 10L));
        // What waited for its count goes on once it can be written.
        for (int i = 0; i < 500; i++)
        {
            Assert.Equal(SpoolAppend.Appended, spool.Append(_ticks.Next()));
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
        spool.Append(_ticks.Next());
        spool.Sync();
        spool.StartSegment();
        _ticks.Advance(TimeSpan.FromHours(2));
        _disk.Fault = (call, path) => call is DiskCall.Write && path.EndsWith(".seg", StringComparison.Ordinal);
        for (int restart = 0; restart < 3; restart++)
        {
            // Nothing new reaches the log: its newest file is the one with the dropped segment.
            for (int i = 0; i < 20; i++)
            {
                spool.Append(_ticks.Next());
                spool.StartSegment();
                _ticks.Advance(TimeSpan.FromSeconds(2));
            }
            spool.MarkStop(); // writes the state
            Assert.Equal(10, spool.Statistics.Dropped.Where(d => d.Reason == SpoolDropReasons.Age).Sum(d => d.Samples));
            _disk.Crash(onlyProcess: true);
            Func<DiskCall, string, bool> fault = _disk.Fault;
            _disk.Fault = null;
            spool = Open(options);
            _disk.Fault = fault;
            Assert.Empty(List(spool));
        }
        spool.Dispose();
    }

    [Fact]
    public void A_record_that_was_given_up_after_a_failed_sync_does_not_come_back_behind_a_segment_that_is_done_with()
    {
        var options = new SpoolOptions { PendingBytesMax = 256 };
        LogSpool spool = Open(options);
        spool.Append(_ticks.Next());
        spool.Append(_ticks.Next());
        spool.Sync();
        _disk.Fault = (call, path) => call is DiskCall.Sync && path.EndsWith(".seg", StringComparison.Ordinal);
        SpoolAppend outcome = SpoolAppend.Appended;
        while (outcome == SpoolAppend.Appended)
        {
            outcome = spool.Append(_ticks.Next());
            spool.Sync();
        }
        Assert.Equal(SpoolAppend.DiskFailed, outcome);
        spool.Acknowledge(Assert.Single(List(spool)).Id, 2, complete: true);
        Assert.Empty(List(spool));
        (long Produced, long Buffered, long Dropped) before = Ledger(spool);
        _disk.Crash(onlyProcess: true);
        _disk.Fault = null;
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
            spool.Append(_ticks.Next());
            spool.Sync();
        }
        _disk.Capacity = _disk.UsedBytes;
        for (int i = 0; i < 2000; i++)
        {
            Assert.Equal(SpoolAppend.Appended, spool.Append(_ticks.Next()));
            Assert.Equal(LogSync.Durable, spool.Sync());
        }
        (long produced, long buffered, long dropped) = Ledger(spool);
        Assert.True(dropped > 0 && produced == 40_000 && buffered == produced - dropped, $"{produced} - {buffered} - {dropped}");
        _disk.Crash();
        spool = Open(options);
        Assert.Equal((produced, buffered, dropped), Ledger(spool));
        spool.Dispose();
    }

    [Fact]
    public void A_lost_state_makes_nothing_damaged_of_what_was_acknowledged()
    {
        using (LogSpool spool = Open())
        {
            for (int s = 0; s < 4; s++)
            {
                for (int i = 0; i < 4; i++)
                    spool.Append(_ticks.Next());
                spool.StartSegment();
            }
            spool.Acknowledge(List(spool)[0].Id, 4, complete: true);
        }
        _disk.Lose("/spool/state");
        using LogSpool again = Open();
        Assert.Equal((160, 120, 0), Ledger(again));
    }

    private static (long Produced, long Buffered, long Dropped) Ledger(LogSpool spool)
    {
        var ledger = new List<SourceLedger>();
        spool.ListLedger(ledger);
        return (ledger.Sum(l => l.Produced), ledger.Sum(l => l.Buffered.Samples), ledger.Sum(l => l.Dropped.Sum(d => d.Value.Samples)));
    }

    [Fact]
    public void Damage_that_comes_while_running_ends_its_segment_and_what_is_behind_it_is_counted()
    {
        using LogSpool spool = Open();
        for (int i = 0; i < 20; i++)
            spool.Append(_ticks.Next());
        spool.Sync();
        SpooledSegment segment = Assert.Single(List(spool));
        int middle = _disk.Content("/spool/log/0000000000000001.seg").Length / 2;
        _disk.FlipBit("/spool/log/0000000000000001.seg", middle * 8L);
        var records = new List<ReadOnlyMemory<byte>>();
        Assert.True(spool.TryRead(segment.Id, 0, 1 << 20, records));
        Decode(records);
        SpooledSegment cut = Assert.Single(List(spool));
        Assert.Equal((ulong)records.Count, cut.Records);
        Assert.True(cut.Closed && records.Count is > 2 and < 19);
        Assert.Equal((20 - records.Count) * 10, spool.Statistics.Dropped.Where(d => d.Reason == SpoolDropReasons.Damaged).Sum(d => d.Samples));
        spool.Acknowledge(cut.Id, cut.Records, complete: true);
        Assert.Empty(List(spool));
        spool.Append(_ticks.Next());
        Assert.Equal(LogSync.Durable, spool.Sync());
        Assert.Single(Decode(ReadAll(spool, List(spool)[0], 0)));
    }

    [Fact]
    public void A_disk_that_cannot_be_read_for_a_moment_costs_nothing()
    {
        using LogSpool spool = Open();
        spool.Append(_ticks.Next());
        spool.Sync();
        SpooledSegment segment = Assert.Single(List(spool));
        var records = new List<ReadOnlyMemory<byte>>();
        _disk.Fault = (call, _) => call == DiskCall.Read;
        for (int i = 0; i < 50; i++)
        {
            Assert.True(spool.TryRead(segment.Id, 0, 1000, records));
            Assert.Empty(records);
        }
        _disk.Fault = null;
        Assert.True(spool.TryRead(segment.Id, 0, 1000, records));
        Assert.Single(Decode(records));
    }

    [Fact]
    public void A_disk_that_goes_on_failing_at_a_place_does_not_hold_up_what_stands_behind()
    {
        using LogSpool spool = Open();
        spool.Append(_ticks.Next());
        spool.Sync();
        SpooledSegment segment = Assert.Single(List(spool));
        var records = new List<ReadOnlyMemory<byte>>();
        _disk.Fault = (call, _) => call == DiskCall.Read;
        for (int i = 0; i < 3; i++)
            Assert.True(spool.TryRead(segment.Id, 0, 1000, records));
        _ticks.Step(TimeSpan.FromSeconds(11));
        Assert.False(spool.TryRead(segment.Id, 0, 1000, records));
        _disk.Fault = null;
        spool.Append(_ticks.Next());
        spool.Sync();
        Assert.Single(Decode(ReadAll(spool, Assert.Single(List(spool)), 0)));
    }

    [Fact]
    public void A_second_process_is_refused()
    {
        using LogSpool spool = Open();
        Assert.Contains("/spool/log", Assert.Throws<IOException>(() => Open()).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Several_readers_stand_in_one_segment_and_batches_keep_their_bound()
    {
        using LogSpool spool = Open();
        for (int i = 0; i < 200; i++)
            spool.Append(_ticks.Next());
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
    public void On_the_real_disk_a_steady_append_allocates_nothing()
    {
        string folder = Path.Combine(Path.GetTempPath(), Path.GetRandomFileName());
        using (LogSpool spool = LogSpool.Open(new OsDisk(), folder, new SpoolOptions(), TimeProvider.System, new Random(1), _meter))
        {
            for (int i = 0; i < 50; i++)
                spool.Append(_ticks.Next());
            spool.Sync();
            long allocated = 0;
            for (int i = 0; i < 40; i++)
            {
                SourceTick tick = _ticks.Next();
                long before = GC.GetAllocatedBytesForCurrentThread();
                spool.Append(tick);
                spool.Sync();
                allocated += GC.GetAllocatedBytesForCurrentThread() - before;
            }
            Assert.Equal(0, allocated);
        }
        Directory.Delete(folder, recursive: true);
    }

    private static int CountBits(ReadOnlySpan<ulong> words)
    {
        int count = 0;
        foreach (ulong word in words)
            count += System.Numerics.BitOperations.PopCount(word);
        return count;
    }

    private static List<SpooledSegment> List(LogSpool spool)
    {
        var segments = new List<SpooledSegment>();
        spool.ListSegments(segments);
        return segments;
    }

    private static List<ReadOnlyMemory<byte>> ReadAll(LogSpool spool, SpooledSegment segment, ulong from)
    {
        var records = new List<ReadOnlyMemory<byte>>();
        while (from + (ulong)records.Count < segment.Records)
        {
            int before = records.Count;
            Assert.True(spool.TryRead(segment.Id, from + (ulong)records.Count, 200, records));
            Assert.True(records.Count > before, "a record that is listed cannot be read");
        }
        return records;
    }

    private static List<(long Time, double Value)> Decode(List<ReadOnlyMemory<byte>> records)
    {
        var decoder = new SegmentDecoder();
        var found = new List<(long, double)>();
        foreach (ReadOnlyMemory<byte> record in records)
        {
            Assert.Equal(DecodeOutcome.Applied, decoder.Apply(record.Span));
            found.Add((decoder.Tick.TimestampMs, decoder.Tick.Values[0]));
        }
        return found;
    }

    private LogSpool Open(SpoolOptions? options = null) => LogSpool.Open(_disk, "/spool", options ?? new SpoolOptions(), _ticks, new Random(2), _meter);

    private sealed class Scenario(int[] operations) : IDisposable
    {
        private readonly Meter _meter = new("test");
        private readonly FaultyDisk _disk = new(new Random(operations.Length > 0 ? operations[0] : 0));
        private readonly Random _random = new(operations.Length);
        private readonly SpoolTicks _ticks = new();
        private readonly Dictionary<long, double> _appended = [];
        private readonly HashSet<long> _waiting = [];
        private readonly HashSet<long> _durable = [];
        private LogSpool _spool = null!;

        public void Dispose() => _meter.Dispose();

        public bool Run()
        {
            Reopen();
            foreach (int operation in operations)
            {
                try
                {
                    Do(operation & 0x7FFFFFFF);
                    CheckLedger();
                }
                catch (PowerCutException)
                {
                    _disk.Crash();
                    Reopen();
                }
            }
            _disk.Crash();
            Reopen();
            Dispose();
            return true;
        }

        private void Do(int operation)
        {
            switch (operation % 16)
            {
                case < 6: Append(); break;
                case < 9: Sync(); break;
                case 9: Fail(DiskCall.Write, 1 + (operation / 16 % 3)); break;
                case 10: Fail(DiskCall.Sync, 1 + (operation / 16 % 3)); break;
                case 11: _disk.PowerCutAt = _disk.Changes + 1 + (operation / 16 % 12); break;
                case 12: Restart(onlyProcess: true); break;
                case 13: Restart(onlyProcess: false); break;
                case 14:
                    _spool.StartSegment();
                    break;
                default: Acknowledge(operation / 16); break;
            }
        }

        private void Append()
        {
            SourceTick tick = _ticks.Next();
            Assert.Equal(SpoolAppend.Appended, _spool.Append(tick));
            _appended[tick.TimestampMs] = tick.Values[0];
            _waiting.Add(tick.TimestampMs);
        }

        private void Sync()
        {
            if (_spool.Sync() != LogSync.Durable)
                return;
            _durable.UnionWith(_waiting);
            _waiting.Clear();
        }

        private void Fail(DiskCall call, int times)
        {
            int left = times;
            _disk.Fault = (c, path) => c == call && path.EndsWith(".seg", StringComparison.Ordinal) && left-- > 0;
        }

        private void Restart(bool onlyProcess)
        {
            _disk.Crash(onlyProcess);
            Reopen();
        }

        private void Acknowledge(int pick)
        {
            List<SpooledSegment> segments = List(_spool);
            if (segments.Count == 0)
                return;
            SpooledSegment segment = segments[pick % segments.Count];
            foreach ((long time, double _) in Decode(ReadAll(_spool, segment, 0)))
            {
                // It may be gone from now on, or come back after a crash: never must.
                _durable.Remove(time);
                _waiting.Remove(time);
            }
            _spool.Acknowledge(segment.Id, segment.Records, segment.Closed);
            _acknowledged[segment.Id] = segment.Records;
        }

        /// <summary>What is held by source and record must be what the ledger says is buffered; and nothing is ever counted twice.</summary>
        private void CheckLedger()
        {
            var ledger = new List<SourceLedger>();
            _spool.ListLedger(ledger);
            long held = 0;
            foreach (SpooledSegment segment in List(_spool))
            {
                foreach (ReadOnlyMemory<byte> record in ReadAll(_spool, segment, 0).Skip((int)(_acknowledged.GetValueOrDefault(segment.Id))))
                {
                    RecordHeader.TryRead(record.Span, CodecLimits.Default, out RecordHeader header);
                    held += header.Samples;
                }
            }
            Assert.True(ledger.Sum(l => l.Buffered.Samples) >= held);
            Assert.All(ledger, l => Assert.True(l.Spooled >= l.Buffered.Samples && l.Produced >= l.Spooled));
        }

        private readonly Dictionary<SegmentRef, ulong> _acknowledged = [];

        private void Reopen()
        {
            _disk.Fault = null;
            _disk.PowerCutAt = long.MaxValue;
            _spool = LogSpool.Open(_disk, "/spool", new SpoolOptions { SegmentBytes = 2048 }, _ticks, _random, _meter);
            var found = new HashSet<long>();
            foreach (SpooledSegment segment in List(_spool))
            {
                Assert.True(segment.Closed);
                foreach ((long time, double value) in Decode(ReadAll(_spool, segment, 0)))
                {
                    Assert.True(found.Add(time), "a record came twice");
                    Assert.Equal(_appended[time], value);
                }
            }
            Assert.Superset(_durable, found);
            _waiting.Clear();
            _durable.Clear();
            _durable.UnionWith(found);
        }
    }
}
