using System.Diagnostics.Metrics;
using Bellwether.Core.Model;
using Bellwether.Kit;
using Bellwether.Store;
using Bellwether.Store.Blocks;
using Microsoft.Extensions.Logging.Abstractions;
using MatchType = Bellwether.Core.Model.MatchType;

namespace Bellwether.Aggregator.Tests.Store;

/// <summary>What writes chunk files anew: merging, deleting, copying.</summary>
public sealed class StoreRewriteTests : IDisposable
{
    private const long Hour = 3_600_000;
    private readonly VirtualTime _time = new();
    private readonly Meter _meter = new("store-rewrite-tests");
    private MemoryDisk _disk = new();
    private StoreOptions _options = new() { Folder = "/store", MinFreeBytes = 0 };

    public void Dispose() => _meter.Dispose();

    [Fact]
    public void The_number_of_chunk_files_grows_with_the_logarithm_of_the_history()
    {
        using StoreEngine store = Open();
        int samples = 0;
        for (int i = 0; i < 30 * 12; i++)
        {
            for (int k = 0; k < 4; k++, samples++)
                Append(store, "m" + (k % 2), _time.NowMs + k, i + k);
            _time.Advance(TimeSpan.FromHours(2));
            store.Maintain();
            store.MergeFiles(CancellationToken.None);
        }
        Assert.InRange(store.Blocks.Count, 4, 20);
        Assert.InRange(store.MergedFiles, 400, 600);
        Assert.Equal(samples, CountAll(store));
        // A chunk never reaches over a slot, or summaries could not answer.
        Assert.All(store.Blocks.Files, f =>
        {
            BlockIndex index = store.Blocks.TryIndex(f)!;
            for (int c = 0; c < index.Count; c++)
                Assert.Equal(TimeSlot.StartOf(index[c].MinMs), TimeSlot.StartOf(index[c].MaxMs));
        });
    }

    [Fact]
    public void Late_samples_are_merged_with_the_files_of_their_time()
    {
        _options = _options with { MaxLateSamples = 1 };
        using StoreEngine store = Open();
        long t = _time.NowMs;
        for (int i = 0; i < 100; i += 2)
            Append(store, "m", t + i, i);
        Cut(store);
        for (int i = 1; i < 100; i += 2)
            Append(store, "m", t + i, i);
        Append(store, "m", t, 50);
        Cut(store);
        Assert.Equal(2, store.Blocks.Count);
        _time.Advance(TimeSpan.FromHours(2));
        store.MergeFiles(CancellationToken.None);
        BlockFile file = Assert.Single(store.Blocks.Files);
        Assert.Equal((1, 100), (store.Blocks.TryIndex(file)!.Count, file.Footer.Samples));
        Assert.Equal(50, Read(store, "m").Values[0]);
    }

    [Fact]
    public void A_crash_at_any_change_of_a_merge_leaves_everything_once()
    {
        for (int cut = 1; ; cut++)
        {
            _disk = new MemoryDisk();
            StoreEngine store = Open();
            for (int i = 0; i < 4; i++)
            {
                Append(store, "m", _time.NowMs, i);
                _time.Advance(TimeSpan.FromHours(2));
                store.Maintain();
            }
            _time.Advance(TimeSpan.FromHours(12));
            store.Maintain();
            _disk.CutAfter = cut;
            bool isWhole = true;
            try
            {
                store.MergeFiles(CancellationToken.None);
            }
            catch (PowerCutException)
            {
                isWhole = false;
            }
            _disk.CutAfter = long.MaxValue;
            _disk = _disk.Crash(new Random(cut));
            using StoreEngine again = Open();
            Assert.Equal(4, CountAll(again));
            Assert.Equal(0, again.Opened.QuarantinedFiles);
            Assert.Equal(4, again.Blocks.Files.Sum(f => f.Footer.Samples));
            if (isWhole)
            {
                Assert.InRange(again.Blocks.Count, 1, 2);
                Assert.True(cut > 4);
                return;
            }
        }
    }

    [Fact]
    public void What_the_disk_did_not_delete_does_not_come_back_though_what_stood_in_for_it_was_replaced()
    {
        var disk = new FaultyDisk(new Random(1));
        StoreEngine OpenIt() => StoreEngine.Open(_options, disk, _time, new Random(1), _meter, NullLogger.Instance);
        string[] left;
        using (StoreEngine store = OpenIt())
        {
            for (int i = 0; i < 4; i++)
            {
                Append(store, "m", _time.NowMs, i);
                Append(store, "gone", _time.NowMs, i);
                _time.Advance(TimeSpan.FromHours(2));
                store.Maintain();
            }
            left = [.. store.Blocks.Files.Select(f => f.Name)];
            // Nothing is deleted from here on; new files get their names.
            disk.Fault = (call, path) => call == DiskCall.Name && path.EndsWith(BlockFormat.Ending, StringComparison.Ordinal);
            var deletion = new SeriesDeletion([[new LabelMatcher(MatchType.Equal, "__name__", "gone")]], long.MinValue, long.MaxValue);
            store.DeleteFromMemory(deletion);
            Assert.Equal(0, store.DeleteFromFiles(deletion, CancellationToken.None).FailedFiles);
            _time.Advance(TimeSpan.FromHours(12));
            store.MergeFiles(CancellationToken.None);
            Assert.Equal(4, CountAll(store));
            Assert.All(left, name => Assert.True(disk.Exists("/store/chunks/" + name)));
            // While it runs it is tried again.
            disk.Fault = (call, path) => call == DiskCall.Name && path.EndsWith(left[0], StringComparison.Ordinal);
            store.Maintain();
            Assert.Equal([left[0]], left.Where(name => disk.Exists("/store/chunks/" + name)));
        }
        // A start survives it, too, and does not serve it.
        using (StoreEngine stuck = OpenIt())
            Assert.Equal((4, true), (CountAll(stuck), disk.Exists("/store/chunks/" + left[0])));
        disk.Fault = null;
        using StoreEngine again = OpenIt();
        Assert.Equal(4, CountAll(again));
        Assert.All(left, name => Assert.False(disk.Exists("/store/chunks/" + name)));
    }

    [Fact]
    public void A_damaged_file_is_not_merged_and_keeps_what_it_has()
    {
        StoreEngine store = Open();
        long t = _time.NowMs;
        Append(store, "a", t, 1);
        Append(store, "b", t, 2);
        Cut(store);
        Append(store, "a", t + 1, 3);
        _time.Advance(TimeSpan.FromHours(2));
        Append(store, "x", _time.NowMs, 3);
        Cut(store);
        store.Dispose();
        string name = _disk.Paths.Where(p => p.EndsWith(".chunks", StringComparison.Ordinal)).Order(StringComparer.Ordinal).First();
        _disk.FlipBit(name, 12 * 8);
        using StoreEngine again = Open();
        int before = CountAll(again);
        _time.Advance(TimeSpan.FromDays(1));
        again.MergeFiles(CancellationToken.None);
        Assert.Equal(before, CountAll(again));
        Assert.True(_disk.Exists(name));
    }

    [Fact]
    public void Retention_by_size_drops_the_oldest_files()
    {
        _options = _options with { RetentionBytes = 1200 };
        using StoreEngine store = Open();
        for (int i = 0; i < 30; i++)
        {
            Append(store, "m", _time.NowMs, i);
            store.Commit();
            Cut(store);
        }
        Assert.InRange(store.Blocks.Bytes, 200, 1200);
        Assert.Equal(29, Read(store, "m").Values[^1]);
    }

    [Fact]
    public void What_was_deleted_is_gone_from_memory_log_and_files_and_stays_gone()
    {
        StoreEngine store = Open();
        long t = _time.NowMs;
        foreach (string name in (string[])["gone", "kept"])
        {
            for (int i = 0; i < 10; i++)
                Append(store, name, t + (i * 1000), i);
        }
        Cut(store);
        long t2 = _time.NowMs;
        foreach (string name in (string[])["gone", "kept"])
        {
            for (int i = 0; i < 10; i++)
                Append(store, name, t2 + (i * 1000), i);
        }
        var deletion = new SeriesDeletion([[new LabelMatcher(MatchType.Equal, "__name__", "gone")]], t + 5000, t2 + 4000);
        store.DeleteFromMemory(deletion);
        DeletionResult result = store.DeleteFromFiles(deletion, CancellationToken.None);
        Assert.Equal((5, 1, 0), (result.Samples, result.Files, result.FailedFiles));
        Check(store);
        Append(store, "kept", t2 + 20_000, 1);
        Append(store, "gone", t2 + 20_000, 1);
        store.Commit();
        store.Maintain();
        store.Dispose();
        // The newest checkpoint is damaged: the one before must not bring anything back.
        using (StoreEngine again = Open())
            Check2(again);
        // The deletion wrote checkpoints 2 and 3.
        string newest = _disk.Paths.Single(p => p.EndsWith("checkpoint-1", StringComparison.Ordinal));
        _disk.FlipBit(newest, 6 * 8);
        using StoreEngine third = Open();
        Assert.Equal(1, third.Opened.DamagedCheckpoints);
        Check2(third);

        void Check(StoreEngine s)
        {
            Assert.Equal([.. Enumerable.Range(0, 5).Select(i => t + (i * 1000L)), .. Enumerable.Range(5, 5).Select(i => t2 + (i * 1000L))], Read(s, "gone").Times.ToArray());
            Assert.Equal(20, Read(s, "kept").Count);
        }

        void Check2(StoreEngine s)
        {
            Assert.Equal((11, 21), (Read(s, "gone").Count, Read(s, "kept").Count));
        }
    }

    [Fact]
    public void A_file_of_which_nothing_stays_goes()
    {
        using StoreEngine store = Open();
        Append(store, "m", _time.NowMs, 1);
        Cut(store);
        var deletion = new SeriesDeletion([[new LabelMatcher(MatchType.Equal, "__name__", "m")]], long.MinValue, long.MaxValue);
        store.DeleteFromMemory(deletion);
        Assert.Equal(1, store.DeleteFromFiles(deletion, CancellationToken.None).Samples);
        Assert.Empty(store.Blocks.Files);
        Assert.Equal(0, CountAll(store));
    }

    [Fact]
    public void A_snapshot_is_a_store_as_it_was()
    {
        using StoreEngine store = Open();
        Append(store, "m", _time.NowMs, 1);
        Cut(store);
        Append(store, "m", _time.NowMs, 2);
        using (StoreSnapshot snapshot = store.BeginSnapshot())
        {
            Append(store, "m", _time.NowMs + 1000, 3);
            store.Commit();
            snapshot.CopyTo("/copy", 0, CancellationToken.None);
            Assert.Throws<IOException>(() => snapshot.CopyTo("/copy", 0, CancellationToken.None));
        }
        Assert.Equal(3, CountAll(store));
        using (StoreEngine copy = OpenCopy())
        {
            Assert.Equal([1, 2], Read(copy, "m").Values.ToArray());
            Assert.Equal(store.StoreId, copy.StoreId);
            // Older than the checkpoint's boundary: only the log has it.
            Append(copy, "m", _time.NowMs - 1000, 7);
            copy.Commit();
        }
        using StoreEngine again = OpenCopy();
        Assert.Equal([1, 7, 2], Read(again, "m").Values.ToArray());
        Assert.Equal(0, again.Opened.UnreadableFrames);

        StoreEngine OpenCopy() => StoreEngine.Open(_options with { Folder = "/copy" }, _disk, _time, new Random(2), _meter, NullLogger.Instance);
    }

    private static void Append(StoreEngine store, string name, long time, double value)
    {
        var batch = new SampleBatch();
        batch.Samples.Add(new SeriesSample(Labels.Of("__name__", name), time, value));
        store.AppendBatch(batch);
    }

    private static int CountAll(StoreEngine store) => store.Reader.Samples().Count;

    private static SampleBuffer Read(StoreEngine store, string name) => store.Reader.SeriesNamed(name);

    private void Cut(StoreEngine store)
    {
        _time.Advance(TimeSpan.FromMilliseconds(3 * Hour));
        store.Maintain();
    }

    private StoreEngine Open() => StoreEngine.Open(_options, _disk, _time, new Random(1), _meter, NullLogger.Instance);
}
