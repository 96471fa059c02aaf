using Bellwether.Core.Model;
using Bellwether.Core.Platform;
using Bellwether.Kit;
using Bellwether.Store;
using MatchType = Bellwether.Core.Model.MatchType;

namespace Bellwether.Aggregator.Tests.Store;

/// <summary>A store that is opened with its saved head is the store that its log alone would make, and opens sooner.</summary>
public sealed class SavedHeadTests : SavedHeadSite
{
    [Fact]
    public void It_brings_back_all_that_memory_held_and_only_the_log_behind_it_is_replayed()
    {
        var disk = new MemoryDisk();
        using (StoreEngine store = Open(disk))
        {
            Fill(store, 3);
            store.SaveHead();
            Fill(store, 1);
        }
        (string plain, OpenReport all) = Opened(disk, Options, withHead: false);
        (string saved, OpenReport tail) = Opened(disk, Options, withHead: true);
        Assert.Equal(plain, saved);
        Assert.Equal((false, true), (all.SavedHead, tail.SavedHead));
        Assert.True(tail.ReplayedFrames * 3 < all.ReplayedFrames, $"{tail.ReplayedFrames} of {all.ReplayedFrames} frames were replayed");
        Assert.Contains("histogram", plain, StringComparison.Ordinal);
        Assert.Contains("start", plain, StringComparison.Ordinal);
        Assert.Contains("exemplar", plain, StringComparison.Ordinal);
        Assert.Contains("ahead 1", plain, StringComparison.Ordinal);
        Assert.Contains("late", plain, StringComparison.Ordinal);
    }

    [Fact]
    public void What_was_cut_into_files_since_does_not_come_back_into_memory()
    {
        var disk = new MemoryDisk();
        using (StoreEngine store = Open(disk))
        {
            Fill(store, 8);
            store.SaveHead();
            Time.Advance(TimeSpan.FromMinutes(40));
            store.Maintain();
            Assert.True(store.Blocks.Count > 0);
            Fill(store, 1);
        }
        (string plain, OpenReport all) = Opened(disk, Options, withHead: false);
        (string saved, OpenReport tail) = Opened(disk, Options, withHead: true);
        Assert.Equal(plain, saved);
        Assert.True(tail.SavedHead && tail.ReplayedFrames < all.ReplayedFrames);
    }

    [Fact]
    public void What_is_too_old_by_now_does_not_come_back_to_the_sample()
    {
        var disk = new MemoryDisk();
        long begin = Time.NowMs;
        using (StoreEngine store = Open(disk))
        {
            Fill(store, 8);
            Time.Advance(TimeSpan.FromMinutes(40));
            store.Maintain();
            var batch = new SampleBatch();
            for (int i = 0; i < 100; i++)
            {
                batch.Samples.Add(new SeriesSample(Of(2), begin + (i * 20_000) + 7, i));
                batch.Samples.Add(new SeriesSample(Labels.Of("__name__", "history"), begin + (i * 20_000), i));
                batch.Samples.Add(new SeriesSample(Labels.Of("__name__", "old"), begin + i, i));
            }
            store.AppendBatch(batch);
            store.SaveHead();
        }
        string plain = Opened(disk, Options, withHead: true).Content;
        StoreOptions shorter = Options with { Retention = TimeSpan.FromMinutes(20) };
        string saved = Opened(disk, shorter, withHead: true).Content;
        Assert.Equal(Opened(disk, shorter, withHead: false).Content, saved);
        Assert.True(saved.Length < plain.Length);
        Assert.Contains("history", saved, StringComparison.Ordinal);
        Assert.DoesNotContain("old", saved, StringComparison.Ordinal);
    }

    [Fact]
    public void What_was_deleted_does_not_come_back_with_it_even_without_checkpoint_and_log()
    {
        var disk = new MemoryDisk();
        using (StoreEngine store = Open(disk))
        {
            Fill(store, 2);
            store.SaveHead();
            var deletion = new SeriesDeletion([[new LabelMatcher(MatchType.Equal, "i", "1")]], long.MinValue, long.MaxValue);
            store.DeleteFromMemory(deletion);
            store.DeleteFromFiles(deletion, CancellationToken.None);
        }
        // Whatever else is lost.
        foreach (string path in disk.Paths.Where(p => p.Contains("checkpoint", StringComparison.Ordinal) || p.Contains("/wal/", StringComparison.Ordinal)).ToList())
            disk.Delete(path);
        using StoreEngine again = Open(disk);
        using ISeriesSet set = again.Reader.Select(long.MinValue, long.MaxValue, [], CancellationToken.None);
        Assert.True(set.Count > 3);
        for (int i = 0; i < set.Count; i++)
            Assert.NotEqual("1", set.LabelsAt(i).Get("i"));
    }

    [Fact]
    public void The_log_is_kept_for_what_came_back_with_it_so_that_it_may_be_lost_at_any_time()
    {
        var disk = new MemoryDisk();
        string content;
        using (StoreEngine store = Open(disk))
        {
            Fill(store, 8);
            store.SaveHead();
        }
        using (StoreEngine store = Open(disk))
        {
            Assert.True(store.Opened.SavedHead);
            Fill(store, 4);
            store.Maintain();
            Fill(store, 1);
            Time.Advance(TimeSpan.FromMinutes(5));
            store.Maintain();
            Assert.True(store.Blocks.Count > 0 && store.HeadSeries > 0);
            content = Content(store);
        }
        Assert.Equal(content, Opened(disk, Options, withHead: true).Content);
        Assert.Equal(content, Opened(disk, Options, withHead: false).Content);
    }

    [Fact]
    public void Damage_at_any_byte_of_it_costs_nothing()
    {
        var disk = new MemoryDisk();
        using (StoreEngine store = Open(disk))
        {
            Fill(store, 1);
            store.SaveHead();
        }
        string whole = Opened(disk, Options, withHead: true).Content;
        long bytes = disk.LengthOf(HeadPath);
        int tried = 0;
        for (long at = 0; at < bytes; at += at < 200 ? 1 : 97)
        {
            disk.FlipBit(HeadPath, (at * 8) + (at % 8));
            (string content, OpenReport report) = Opened(disk, Options, withHead: true);
            Assert.Equal((false, true), (report.SavedHead, report.DamagedHead));
            Assert.Equal(whole, content);
            disk.FlipBit(HeadPath, (at * 8) + (at % 8));
            tried++;
        }
        Assert.True(tried > 200);
        for (long length = bytes - 1; length > 0; length -= 1 + (bytes / 50))
        {
            MemoryDisk cut = disk.Crash(new Random(1));
            using (IDiskFile file = cut.Open(HeadPath, DiskOpen.Existing))
                file.SetLength(length);
            Assert.Equal(whole, Opened(cut, Options, withHead: true).Content);
        }
    }

    [Fact]
    public void The_golden_saved_head_of_version_1_is_read_for_ever()
    {
        var disk = new MemoryDisk();
        using (StoreEngine store = Open(disk))
        {
            Fill(store, 1);
            store.SaveHead();
        }
        byte[] made = disk.Content(HeadPath);
        string path = Path.Combine(SourceTree.Root, "tests", "Unit", "Aggregator.Tests", "Store", "Golden", "head-v1.bin");
        if (Environment.GetEnvironmentVariable("BELLWETHER_WRITE_GOLDEN") == "1")
            File.WriteAllBytes(path, made);
        byte[] golden = File.ReadAllBytes(path);
        // Also byte for byte what is written now: a change of the form needs a new version.
        Assert.Equal(golden, made);
        string content = Opened(disk, Options, withHead: false).Content;
        using (IDiskFile file = disk.Open(HeadPath, DiskOpen.Existing))
        {
            file.SetLength(0);
            file.Write(0, golden);
        }
        (string read, OpenReport report) = Opened(disk, Options, withHead: true);
        Assert.True(report.SavedHead);
        Assert.Equal(content, read);
    }
}
