using System.Text;
using Bellwether.Core.Durable;
using Bellwether.Core.Platform;
using Bellwether.Kit;

namespace Bellwether.Core.Tests.Durable;

public sealed class SegmentLogTests
{
    private static readonly SegmentLogOptions Small = new() { FileBytes = 512, SpareFiles = 1 };
    private readonly FaultyDisk _disk = new(new Random(1));

    [Fact]
    public void A_failed_sync_moves_what_waits_to_a_new_file_and_never_writes_the_old_one_again()
    {
        using SegmentLog log = Open(out _);
        Append(log, "one");
        Assert.Equal(LogSync.Durable, log.Sync());
        Append(log, "two");
        ulong first = log.ActiveFile;
        SegmentLogModelTests.FailSome(_disk, DiskCall.Sync, 1);
        Assert.Equal(LogSync.Durable, log.Sync());
        Assert.NotEqual(first, log.ActiveFile);
        Assert.Equal(1, log.Errors);
        byte[] old = _disk.Content("/log/0000000000000001.seg");
        Append(log, "three");
        Assert.Equal(LogSync.Durable, log.Sync());
        Assert.Equal(old, _disk.Content("/log/0000000000000001.seg"));
        _disk.Crash();
        using SegmentLog again = Open(out List<string> found);
        Assert.Equal(["one", "two", "three"], found);
        Assert.Empty(again.Report.Lost);
    }

    [Fact]
    public void What_was_given_up_after_failed_syncs_never_comes_back()
    {
        using (SegmentLog log = Open(out _))
        {
            Append(log, "one");
            Assert.Equal(LogSync.Durable, log.Sync());
            Append(log, "given up");
            SegmentLogModelTests.FailSome(_disk, DiskCall.Sync, 2);
            Assert.Equal(LogSync.Failed, log.Sync());
            log.DiscardPending();
            Append(log, "two");
            Assert.Equal(LogSync.Durable, log.Sync());
        }
        // What the failed syncs wrote is still to be read: the process was killed, the machine was not.
        _disk.Crash(onlyProcess: true);
        using SegmentLog again = Open(out List<string> found);
        Assert.Equal(["one", "two"], found);
    }

    [Fact]
    public void Files_of_which_no_frame_is_asked_for_are_not_read_and_the_log_goes_on_as_if_they_were()
    {
        using (SegmentLog log = Open(out _))
        {
            for (int i = 0; i < 100; i++)
            {
                Append(log, "frame number " + i.ToString("D4", System.Globalization.CultureInfo.InvariantCulture));
                Assert.Equal(LogSync.Durable, log.Sync());
            }
            Assert.True(log.Files.Count > 4);
        }
        IReadOnlyList<LogFileInfo> files;
        using (SegmentLog log = Open(out List<string> all))
        {
            files = log.Files;
            Assert.Equal(100, all.Count);
        }
        var found = new List<ulong>();
        _disk.FlipBit("/log/0000000000000001.seg", 80 * 8);
        using (SegmentLog log = SegmentLog.Open(_disk, "/log", Small, TimeProvider.System, new Random(1), (_, sequence, _, _) => found.Add(sequence), files[2].FirstSequence))
        {
            Assert.Equal(files[2].FirstSequence, found[0]);
            Assert.Equal(100 - (int)files[2].FirstSequence, found.Count);
            Assert.Empty(log.Report.Lost);
            Assert.Equal(files.Take(3), log.Files.Take(3));
            Assert.Equal(100UL, log.NextSequence);
        }
        using SegmentLog whole = Open(out _);
        Assert.NotEmpty(whole.Report.Lost);
    }

    [Fact]
    public void A_read_that_fails_once_while_the_log_is_opened_costs_nothing()
    {
        var all = new List<string>();
        using (SegmentLog log = Open(out _))
        {
            for (int i = 0; i < 30; i++)
            {
                all.Add(Text(i));
                Append(log, Text(i));
                Assert.Equal(LogSync.Durable, log.Sync());
            }
        }
        for (int failing = 1, reads = int.MaxValue; failing <= reads; failing++)
        {
            FaultyDisk disk = _disk.Copy(new Random(1));
            int count = 0;
            disk.Fault = (call, path) => call == DiskCall.Read && path.EndsWith(".seg", StringComparison.Ordinal) && ++count == failing;
            using SegmentLog again = Open(disk, out List<string> found);
            Assert.Equal(all, found);
            Assert.Empty(again.Report.Lost);
            reads = count;
        }
    }

    [Theory]
    [InlineData(24)]
    [InlineData(13)]
    public void Files_that_the_process_cannot_open_just_now_are_not_given_up(int errno)
    {
        using (SegmentLog log = Open(out _))
        {
            for (int i = 0; i < 3; i++)
            {
                Append(log, "frame " + i);
                Assert.Equal(LogSync.Durable, log.Rotate());
            }
        }
        for (int file = 1; file <= 3; file++)
        {
            string path = $"/log/000000000000000{file}.seg";
            _disk.Fault = (call, at) => call == DiskCall.Open && at == path ? throw new IOException("cannot open", errno) : false;
            Assert.Throws<IOException>(() => Open(out _));
        }
        _disk.Fault = null;
        using SegmentLog again = Open(out List<string> found);
        Assert.Equal(["frame 0", "frame 1", "frame 2"], found);
        Assert.Empty(again.Report.Lost);
    }

    [Fact]
    public void A_disk_that_fails_twice_keeps_what_waits_and_takes_it_later()
    {
        using SegmentLog log = Open(out _);
        Append(log, "one");
        SegmentLogModelTests.FailSome(_disk, DiskCall.Sync, 2);
        Assert.Equal(LogSync.Failed, log.Sync());
        Assert.Contains("Input/output error", log.LastError!.Message, StringComparison.Ordinal);
        Assert.Equal(0UL, log.DurableSequence);
        Assert.Equal(LogSync.Durable, log.Sync());
        Assert.Equal(1UL, log.DurableSequence);
    }

    [Fact]
    public void A_disk_that_is_full_at_any_byte_loses_nothing_that_was_durable()
    {
        for (int capacity = 64 + 32; capacity < 900; capacity += 7)
        {
            var disk = new FaultyDisk(new Random(capacity)) { Capacity = capacity };
            var durable = new List<string>();
            using (SegmentLog log = Open(disk, out _))
            {
                for (int i = 0; i < 12; i++)
                {
                    string text = new((char)('a' + i), 30);
                    Append(log, text);
                    if (log.Sync() == LogSync.Durable)
                        durable.Add(text);
                    else
                        log.DiscardPending();
                }
            }
            disk.Crash();
            disk.Capacity = long.MaxValue;
            using SegmentLog again = Open(disk, out List<string> found);
            Assert.Equal(durable, found.Take(durable.Count));
            Assert.DoesNotContain(again.Report.Lost, l => l.NextSequence > l.FirstSequence);
        }
    }

    [Fact]
    public void A_flipped_bit_costs_only_its_frame_and_is_reported()
    {
        byte[] whole;
        using (SegmentLog log = Open(out _))
        {
            Fill(log, 12);
            whole = _disk.Content("/log/0000000000000001.seg");
        }
        string[] all = [.. Enumerable.Range(0, 12).Select(Text)];
        for (int bit = 0; bit < whole.Length * 8; bit += 5)
        {
            var disk = new FaultyDisk(new Random(2));
            using (SegmentLog log = Open(disk, out _))
            {
                Fill(log, 12);
                Append(log, "end");
                log.Sync();
            }
            disk.FlipBit("/log/0000000000000001.seg", bit);
            disk.Crash(onlyProcess: true);
            using SegmentLog again = Open(disk, out List<string> found);
            // Damage in the very last group before a stop looks like a torn write: it is left out, and nothing else.
            found.Remove("end");
            Assert.Equal(found, all.Where(found.Contains));
            Assert.True(found.Count >= 11, $"bit {bit}: {found.Count} of 12 frames came back");
            if (found.Count < 12)
            {
                LostRange lost = Assert.Single(again.Report.Lost, l => l.NextSequence > l.FirstSequence);
                Assert.Equal((ulong)Array.FindIndex(all, t => !found.Contains(t)), lost.FirstSequence);
                Assert.Equal(lost.FirstSequence + 1, lost.NextSequence);
            }
        }
    }

    [Fact]
    public void A_reader_reports_damage_that_came_after_opening_and_goes_on_behind_it()
    {
        using SegmentLog log = Open(out _);
        Fill(log, 4);
        _disk.FlipBit("/log/0000000000000001.seg", (64 + 24 + 2) * 8);
        using LogReader reader = log.Read();
        Assert.Equal(LogRead.Lost, reader.MoveNext());
        Assert.Equal((0UL, 1UL), (reader.Lost.FirstSequence, reader.Lost.NextSequence));
        Assert.Equal(LogRead.Frame, reader.MoveNext());
        Assert.Equal(Text(1), Encoding.UTF8.GetString(reader.Payload));
    }

    [Fact]
    public void What_an_overwritten_file_held_before_never_comes_back()
    {
        using (SegmentLog log = Open(out _))
        {
            for (int i = 0; i < 40; i++)
            {
                Append(log, Text(i));
                log.Sync();
            }
            int freed = log.FreeBelow(30);
            Assert.True(freed > 0);
            log.Rotate();
            Append(log, "new");
            log.Sync();
            Assert.Contains(_disk.List("/log"), n => n.EndsWith(".seg", StringComparison.Ordinal));
            Assert.True(_disk.Content($"/log/{log.ActiveFile:D16}.seg").Length > 64 + 32, "the spare was overwritten in place");
        }
        using SegmentLog again = Open(out List<string> found);
        Assert.Equal("new", found[^1]);
        Assert.Equal(found.Distinct(), found);
        Assert.Empty(again.Report.Lost);
    }

    [Fact]
    public void A_reader_beside_the_writer_sees_whole_frames_in_order_while_files_are_freed_and_overwritten_under_it()
    {
        var random = new Random(11);
        using SegmentLog log = Open(out _);
        using LogReader reader = log.Read();
        long last = -1;
        int read = 0;
        for (int i = 0; i < 3000; i++)
        {
            Append(log, Text(i));
            if (random.Next(3) == 0)
                Assert.Equal(LogSync.Durable, log.Sync());
            if (random.Next(60) == 0)
                log.FreeBelow((ulong)random.Next(i + 1));
            for (int moves = random.Next(4); moves > 0 && reader.MoveNext() is var found && found != LogRead.End; moves--)
            {
                Assert.Equal(LogRead.Frame, found);
                Assert.True((long)reader.Sequence > last);
                last = (long)reader.Sequence;
                Assert.Equal(Text((int)last), Encoding.UTF8.GetString(reader.Payload));
                read++;
            }
        }
        Assert.InRange(read, 1000, 3000);
    }

    [Fact]
    public void A_missing_file_is_an_expected_state()
    {
        using (SegmentLog log = Open(out _))
        {
            for (int i = 0; i < 40; i++)
            {
                Append(log, Text(i));
                log.Sync();
            }
            Assert.True(log.Files.Count > 2);
        }
        _disk.Lose("/log/0000000000000002.seg");
        _disk.Crash(onlyProcess: true);
        using SegmentLog again = Open(out List<string> found);
        Assert.Equal(Text(0), found[0]);
        Assert.Equal(Text(39), found[^1]);
        using LogReader reader = again.Read();
        int count = 0;
        while (reader.MoveNext() == LogRead.Frame)
            count++;
        Assert.Equal(found.Count, count);
    }

    [Fact]
    public void A_file_of_garbage_is_put_into_quarantine_and_the_rest_flows()
    {
        using (SegmentLog log = Open(out _))
            Fill(log, 3);
        using (IDiskFile file = _disk.Open("/log/0000000000000000.seg", DiskOpen.CreateNew))
            file.Write(0, new byte[1000]);
        using SegmentLog again = Open(out List<string> found);
        Assert.Equal(3, found.Count);
        Assert.Contains(again.Report.Lost, l => l.Reason.Contains("quarantine", StringComparison.Ordinal));
        Assert.Contains("0000000000000000.seg", _disk.List("/log/quarantine"));
    }

    [Fact]
    public void A_second_process_is_refused_with_the_folders_name()
    {
        using SegmentLog log = Open(out _);
        IOException error = Assert.Throws<IOException>(() => Open(out _));
        Assert.Contains("/log", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Limits_are_answered_as_outcomes()
    {
        using var log = SegmentLog.Open(_disk, "/log", new SegmentLogOptions { PayloadBytesMax = 100, PendingBytesMax = 256, BytesMax = 500 }, TimeProvider.System, new Random(1));
        Assert.Equal(LogAppend.TooLarge, log.Append(1, new byte[101], out _));
        Assert.Equal(LogAppend.Appended, log.Append(1, new byte[100], out _));
        Assert.Equal(LogAppend.Appended, log.Append(1, new byte[100], out _));
        Assert.Equal(LogAppend.PendingFull, log.Append(1, new byte[100], out _));
        log.Sync();
        Assert.Equal(LogAppend.Appended, log.Append(1, new byte[100], out _));
        log.Sync();
        Assert.Equal(LogAppend.LogFull, log.Append(1, new byte[100], out _));
    }

    [Fact]
    public void Appending_and_syncing_allocate_nothing_in_steady_state()
    {
        var options = new SegmentLogOptions { FileBytes = 1 << 20 };
        string folder = Path.Combine(Path.GetTempPath(), Path.GetRandomFileName());
        using (var log = SegmentLog.Open(new OsDisk(), folder, options, TimeProvider.System, new Random(1)))
        {
            byte[] payload = new byte[200];
            log.Append(1, payload, out _);
            log.Sync();
            long before = GC.GetAllocatedBytesForCurrentThread();
            for (int i = 0; i < 50; i++)
            {
                log.Append(1, payload, out _);
                log.Sync();
            }
            Assert.Equal(0, GC.GetAllocatedBytesForCurrentThread() - before);
        }
        Directory.Delete(folder, recursive: true);
    }

    [Fact]
    public void What_a_power_cut_took_never_comes_back_behind_what_was_written_later()
    {
        for (int seed = 0; seed < 400; seed++)
        {
            var random = new Random(seed);
            var disk = new FaultyDisk(random);
            var known = new HashSet<string>();
            // Frames of the same sizes each time, so that those of one life stand where those of another one ended.
            for (int life = 0; life < 6; life++)
            {
                try
                {
                    using SegmentLog log = Open(disk, out List<string> found);
                    Assert.Subset(known, found.ToHashSet());
                    known = [.. found];
                    disk.PowerCutAt = disk.Changes + random.Next(3, 14);
                    for (int i = 0; i < 12; i++)
                    {
                        string text = $"life {life}, frame {i:00}";
                        Append(log, text);
                        known.Add(text);
                        if (random.Next(3) == 0 && log.Sync() == LogSync.Durable && random.Next(2) == 0)
                            log.FreeBelow(log.DurableSequence - 1);
                    }
                }
                catch (PowerCutException)
                {
                    disk.Crash();
                    continue;
                }
                disk.Crash();
            }
        }
    }

    [Fact]
    public void What_a_failed_sync_left_in_the_page_cache_is_durable_once_it_is_replayed()
    {
        for (int seed = 0; seed < 40; seed++)
        {
            var disk = new FaultyDisk(new Random(seed));
            using (SegmentLog log = Open(disk, out _))
            {
                Append(log, "one");
                Assert.Equal(LogSync.Durable, log.Sync());
                Append(log, "two");
                SegmentLogModelTests.FailSome(disk, DiskCall.Sync, 2);
                Assert.Equal(LogSync.Failed, log.Sync());
            }
            disk.Fault = null;
            disk.Crash(onlyProcess: true);
            using (Open(disk, out List<string> replayed))
                Assert.Equal(["one", "two"], replayed);
            disk.Crash();
            using (Open(disk, out List<string> found))
                Assert.Equal(["one", "two"], found);
        }
    }

    [Fact]
    public void Opening_takes_the_memory_of_a_piece_and_not_of_the_log()
    {
        var options = new SegmentLogOptions { FileBytes = 4 << 20, PendingBytesMax = 8 << 20 };
        string folder = Path.Combine(Path.GetTempPath(), Path.GetRandomFileName());
        using (var log = SegmentLog.Open(new OsDisk(), folder, options, TimeProvider.System, new Random(1)))
        {
            for (int i = 0; i < 12_000; i++)
            {
                log.Append(1, new byte[1000], out _);
                if (i % 1000 == 999)
                    Assert.Equal(LogSync.Durable, log.Sync());
            }
            Assert.True(log.Bytes > 12_000_000);
        }
        int frames = 0;
        long before = GC.GetAllocatedBytesForCurrentThread();
        using (SegmentLog.Open(new OsDisk(), folder, options, TimeProvider.System, new Random(1), (_, _, _, _) => frames++))
        {
            // Two walks through each of three files, each with a piece of 64 KiB; what waits for a sync has as much.
            Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 1, 1 << 20);
        }
        Assert.Equal(12_000, frames);
        Directory.Delete(folder, recursive: true);
    }

    private static string Text(int i) => $"frame number {i} " + new string('x', i * 3 % 17);

    private static void Fill(SegmentLog log, int count)
    {
        for (int i = 0; i < count; i++)
        {
            Append(log, Text(i));
            if (i % 3 == 2)
                log.Sync();
        }
        Assert.Equal(LogSync.Durable, log.Sync());
    }

    private static void Append(SegmentLog log, string text) => Assert.Equal(LogAppend.Appended, log.Append(1, Encoding.UTF8.GetBytes(text), out _));

    private SegmentLog Open(out List<string> found) => Open(_disk, out found);

    private static SegmentLog Open(FaultyDisk disk, out List<string> found)
    {
        var list = new List<string>();
        found = list;
        return SegmentLog.Open(disk, "/log", Small, TimeProvider.System, new Random(3), (_, _, _, payload) => list.Add(Encoding.UTF8.GetString(payload)));
    }
}
