using System.Text;
using Bellwether.Core.Durable;
using Bellwether.Kit;

namespace Bellwether.Core.Tests.Durable;

/// <summary>Every damage that a file can come back with, on each file of a log: it opens, gives only what was written, costs no frame that was not touched, and names what is missing.</summary>
public sealed class LogDamageTests
{
    private const int HeaderBytes = 64;
    private const int FrameHeaderBytes = 24;
    private static readonly SegmentLogOptions s_small = new() { FileBytes = 3 << 10, SpareFiles = 1 };
    private static readonly SegmentLogOptions s_large = new() { FileBytes = 64 << 10, SpareFiles = 1 };
    private static readonly int s_flips = Environment.GetEnvironmentVariable("BELLWETHER_LONG") == "1" ? 20_000 : 500;

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    public void Whatever_happens_to_a_file_costs_only_the_frames_that_it_touches(int file)
    {
        (FaultyDisk sound, List<string> all) = Written();
        string path = Path(file);
        byte[] whole = sound.Content(path);
        (int From, int To)[] places = [.. all.Select(text => Place(whole, text))];
        int count = 0;
        foreach (Damage damage in Damages.Of(whole, HeaderBytes, s_flips, new Random(file)))
        {
            count++;
            FaultyDisk disk = sound.Copy(new Random(1));
            disk.Put(path, damage.Content);
            List<string> found = Open(disk, out LogOpenReport report, out long allocated);
            Assert.True(allocated < 16 << 20, $"{damage.What}: opening took {allocated} bytes");
            // A file whose header is gone cannot be told from another log's.
            bool headerGone = damage.From < HeaderBytes;
            Check(damage, all, found, report, i => places[i].To > 0 && (headerGone || Overlap(places[i], damage)), isLastFile: file == 3, isFirstWithoutHeader: file == 1 && headerGone);
            // A second opening finds the same.
            if (count % 16 == 0)
                Assert.Equal(found, Open(disk, out _, out _));
        }
        Assert.True(count > 3000, $"only {count} kinds of damage");
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    public void A_file_that_is_gone_costs_its_frames_and_no_other(int file)
    {
        (FaultyDisk disk, List<string> all) = Written();
        byte[] whole = disk.Content(Path(file));
        disk.Lose(Path(file));
        // Not named: files are freed in any order, so only the log's owner can know that this one should be there.
        Assert.Equal(all.Where(t => Place(whole, t).To == 0), Open(disk, out _, out _));
    }

    [Fact]
    public void A_file_under_anothers_name_or_twice_brings_nothing_twice()
    {
        for (int from = 1; from <= 3; from++)
        {
            for (int to = 1; to <= 5; to++)
            {
                if (to == from)
                    continue;
                (FaultyDisk disk, List<string> all) = Written();
                byte[] overwritten = to <= 3 ? disk.Content(Path(to)) : [];
                disk.Put(Path(to), disk.Content(Path(from)));
                List<string> found = Open(disk, out _, out _);
                Assert.Equal(found.Distinct(), found);
                Assert.Equal(all.Where(t => overwritten.Length == 0 || Place(overwritten, t).To == 0), found);
            }
        }
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    public void A_place_that_the_disk_cannot_read_costs_only_the_frames_that_it_touches(int file)
    {
        (FaultyDisk sound, List<string> all) = Written(s_large, 2, 40 << 10);
        byte[] whole = sound.Content(Path(file));
        (int From, int To)[] places = [.. all.Select(text => Place(whole, text))];
        const int Page = 4096;
        for (int page = 1; page * Page < whole.Length; page++)
        {
            FaultyDisk disk = sound.Copy(new Random(1));
            (int from, int to) = (page * Page, (page + 1) * Page);
            disk.BadSector = (path, offset, bytes) => path == Path(file) && offset < to && offset + bytes > from;
            List<string> found = Open(disk, out LogOpenReport report, out _);
            HashSet<string> there = [.. found];
            Assert.Equal(all.Where(there.Contains), found);
            int last = all.FindLastIndex(there.Contains);
            for (int i = 0; i < all.Count; i++)
            {
                bool isTouched = places[i].From < to && from < places[i].To;
                Assert.True(there.Contains(all[i]) || isTouched, $"page {page}: frame {i} was not touched and is gone");
                bool isTold = report.Lost.Any(l => i > last ? l.Reason == "unreadable at its end" : l.FirstSequence <= (ulong)i && (ulong)i < l.NextSequence);
                Assert.True(there.Contains(all[i]) || isTold, $"page {page}: frame {i} is gone and nobody says so");
            }
            // The disk gives it after all: nothing is lost for good.
            disk.BadSector = null;
            Assert.Equal(all, Open(disk, out _, out _));
        }
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    public void A_file_of_which_nothing_can_be_read_now_is_there_when_it_can(int file)
    {
        (FaultyDisk disk, List<string> all) = Written();
        byte[] whole = disk.Content(Path(file));
        disk.BadSector = (path, offset, bytes) => path == Path(file) && offset + bytes > HeaderBytes;
        Assert.Equal(all.Where(t => Place(whole, t).To == 0), Open(disk, out LogOpenReport report, out _));
        Assert.Contains(report.Lost, l => l.Reason.StartsWith("unreadable", StringComparison.Ordinal));
        disk.BadSector = null;
        Assert.Equal(all, Open(disk, out _, out _));
    }

    [Fact]
    public void A_disk_that_fails_from_a_place_on_costs_what_is_behind_it()
    {
        (FaultyDisk disk, List<string> all) = Written(s_large with { FileBytes = 1 << 20 }, 1, 600 << 10);
        byte[] whole = disk.Content(Path(1));
        int from = 100 << 10;
        disk.BadSector = (path, offset, bytes) => path == Path(1) && offset + bytes > from;
        List<string> found = Open(disk, out LogOpenReport report, out _);
        Assert.Equal(all.Where(t => Place(whole, t).To <= from), found);
        Assert.Contains(report.Lost, l => l.Reason.StartsWith("unreadable", StringComparison.Ordinal));
    }

    [Fact]
    public void A_disk_without_room_to_write_the_last_group_again_keeps_nobody_from_starting()
    {
        (FaultyDisk disk, List<string> all) = Written();
        disk.FaultError = 28;
        disk.Fault = (call, path) => call == DiskCall.Write && path == Path(3);
        Assert.Equal(all, Open(disk, out LogOpenReport report, out _));
        Assert.Contains("there is no room to write it again", Assert.Single(report.Lost).Reason, StringComparison.Ordinal);
    }

    private static void Check(Damage damage, List<string> all, List<string> found, LogOpenReport report, Func<int, bool> mayBeGone, bool isLastFile, bool isFirstWithoutHeader)
    {
        HashSet<string> there = [.. found];
        Assert.Equal(all.Where(there.Contains), found);
        int last = all.FindLastIndex(there.Contains);
        for (int i = 0; i < all.Count; i++)
        {
            if (there.Contains(all[i]))
                continue;
            Assert.True(mayBeGone(i), $"{damage.What}: frame {i} was not touched and is gone");
            bool isNamed = report.Lost.Any(l => l.FirstSequence <= (ulong)i && (ulong)i < l.NextSequence);
            // What is broken at the very end looks like a write that a crash cut short. With which frame the first file began only its header says; that it is damaged is told.
            Assert.True(isNamed || (isLastFile && i > last) || (isFirstWithoutHeader && report.Lost.Count > 0), $"{damage.What}: frame {i} is gone and nobody says so");
        }
    }

    private static bool Overlap((int From, int To) place, Damage damage) => place.From < damage.To && damage.From < place.To;

    private static (int From, int To) Place(byte[] file, string text)
    {
        int at = file.AsSpan().IndexOf(Encoding.UTF8.GetBytes(text));
        // With the zeros up to the next frame.
        return at < 0 ? default : (at - FrameHeaderBytes, (at + text.Length + 7) / 8 * 8);
    }

    private static string Path(int file) => $"/log/000000000000000{file}.seg";

    // Three files.
    private static (FaultyDisk Disk, List<string> All) Written() => Written(s_small, 3, 2 << 10);

    // Every frame has its own sync.
    private static (FaultyDisk Disk, List<string> All) Written(SegmentLogOptions options, ulong files, int lastBytes)
    {
        var disk = new FaultyDisk(new Random(7));
        var all = new List<string>();
        using (SegmentLog log = SegmentLog.Open(disk, "/log", options, TimeProvider.System, new Random(3), (_, _, _, _) => { }))
        {
            while (log.ActiveFile < files || disk.Content(Path((int)files)).Length < lastBytes)
            {
                all.Add($"frame number {all.Count:D4} " + new string('x', all.Count * 31 % 190) + ".");
                Assert.Equal(LogAppend.Appended, log.Append(1, Encoding.UTF8.GetBytes(all[^1]), out _));
                Assert.Equal(LogSync.Durable, log.Sync());
            }
        }
        disk.Crash(onlyProcess: true);
        return (disk.Copy(new Random(1)), all);
    }

    private static List<string> Open(FaultyDisk disk, out LogOpenReport report, out long allocated)
    {
        var found = new List<string>();
        long before = GC.GetAllocatedBytesForCurrentThread();
        using SegmentLog log = SegmentLog.Open(disk, "/log", s_small, TimeProvider.System, new Random(3), (_, _, _, payload) => found.Add(Encoding.UTF8.GetString(payload)));
        allocated = GC.GetAllocatedBytesForCurrentThread() - before;
        report = log.Report;
        return found;
    }
}
