using System.Diagnostics.Metrics;
using System.Globalization;
using Bellwether.Core.Codec;
using Bellwether.Core.Durable;
using Bellwether.Core.Model;
using Bellwether.Core.Platform;
using Bellwether.Core.Telemetry;
using Bellwether.Kit;
using Bellwether.Store;
using Microsoft.Extensions.Logging.Abstractions;
using MatchType = Bellwether.Core.Model.MatchType;

namespace Bellwether.Aggregator.Tests.Store;

/// <summary>A store that is opened with its saved head is the store that its log alone would make, and opens sooner.</summary>
public sealed class SavedHeadTests : IDisposable
{
    private const string HeadPath = "/store/head";
    private readonly VirtualTime _time = new();
    private readonly Meter _meter = new("saved-head-tests");
    private readonly StoreOptions _options = new() { Folder = "/store", MinFreeBytes = 0, Partition = TimeSpan.FromMinutes(30), WalFileBytes = 8 << 10, MaxExemplarsPerSeries = 3 };
    private readonly string _folder = Directory.CreateTempSubdirectory("bellwether-store").FullName;

    public void Dispose()
    {
        _meter.Dispose();
        Directory.Delete(_folder, true);
    }

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
        (string plain, OpenReport all) = Opened(disk, _options, withHead: false);
        (string saved, OpenReport tail) = Opened(disk, _options, withHead: true);
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
    public void A_segment_whose_beginning_is_not_needed_has_to_begin_anew_also_where_that_lies_in_a_file_that_is_read()
    {
        var disk = new MemoryDisk();
        Sender first = new(), second = new() { Agent = "web-2" };
        // One decoder: the second segment takes that of the first, whose beginning the saved head does not ask for then.
        using (StoreEngine store = StoreEngine.Open(_options with { MaxOpenSegments = 1 }, disk, _time, new Random(1), _meter, NullLogger.Instance))
        {
            long now = _time.GetUtcNow().ToUnixTimeMilliseconds();
            first.Send(store, now);
            second.Send(store, now + 1);
            store.SaveHead();
        }
        using StoreEngine again = Open(disk);
        Assert.True(again.Opened.SavedHead);
        Assert.False(again.HeldOf(Sender.Key).Resumable);
        Assert.True(again.HeldOf(Sender.Key with { Agent = "web-2" }).Resumable);
    }

    [Fact]
    public void One_that_would_leave_too_little_room_is_given_up_and_leaves_nothing()
    {
        var disk = new MemoryDisk { Free = 999 };
        using StoreEngine store = StoreEngine.Open(_options with { MinFreeBytes = 1000 }, disk, _time, new Random(1), _meter, NullLogger.Instance);
        Fill(store, 1);
        store.SaveHead();
        Assert.Equal((0, 1), (store.SavedHeads, store.FailedSaves));
        Assert.DoesNotContain(disk.Paths, p => Path.GetFileName(p).StartsWith("head", StringComparison.Ordinal));
        disk.Free = 1000;
        store.SaveHead();
        Assert.Equal((1, 1), (store.SavedHeads, store.FailedSaves));
    }

    [Fact]
    public void The_store_says_how_its_saves_went()
    {
        var disk = new MemoryDisk { Free = 999 };
        using var metrics = new SelfMetrics(_meter);
        double Of(string name) => metrics.Collect().Single(f => f.Name == name).Samples[0].Value;
        using StoreEngine store = StoreEngine.Open(_options with { MinFreeBytes = 1000 }, disk, _time, new Random(1), _meter, NullLogger.Instance);
        Fill(store, 1);
        store.SaveHead();
        Assert.Equal((0, 1, 0, 0), (Of(MetricNames.StoreHeadSaves), Of(MetricNames.StoreHeadSavesFailed), Of(MetricNames.StoreHeadSaved), Of(MetricNames.StoreHeadSavedBytes)));
        disk.Free = 1000;
        Bellwether.Store.Wal.HeadSaver saver = store.BeginSave();
        _time.Advance(TimeSpan.FromSeconds(2));
        store.WriteSave(saver, CancellationToken.None);
        store.EndSave(saver);
        StoreEngine.PutSaved(saver);
        store.FinishSave(saver);
        Assert.Equal((1, 1, _time.NowMs / 1000.0, 2), (Of(MetricNames.StoreHeadSaves), Of(MetricNames.StoreHeadSavesFailed), Of(MetricNames.StoreHeadSaved), Of(MetricNames.StoreHeadSaveSeconds)));
        Assert.Equal(disk.LengthOf(HeadPath), Of(MetricNames.StoreHeadSavedBytes));
    }

    [Fact]
    public void What_was_cut_into_files_since_does_not_come_back_into_memory()
    {
        var disk = new MemoryDisk();
        using (StoreEngine store = Open(disk))
        {
            Fill(store, 8);
            store.SaveHead();
            _time.Advance(TimeSpan.FromMinutes(40));
            store.Maintain();
            Assert.True(store.Blocks.Count > 0);
            Fill(store, 1);
        }
        (string plain, OpenReport all) = Opened(disk, _options, withHead: false);
        (string saved, OpenReport tail) = Opened(disk, _options, withHead: true);
        Assert.Equal(plain, saved);
        Assert.True(tail.SavedHead && tail.ReplayedFrames < all.ReplayedFrames);
    }

    [Fact]
    public void What_is_too_old_by_now_does_not_come_back_to_the_sample()
    {
        var disk = new MemoryDisk();
        long begin = _time.NowMs;
        using (StoreEngine store = Open(disk))
        {
            Fill(store, 8);
            _time.Advance(TimeSpan.FromMinutes(40));
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
        string plain = Opened(disk, _options, withHead: true).Content;
        StoreOptions shorter = _options with { Retention = TimeSpan.FromMinutes(20) };
        string saved = Opened(disk, shorter, withHead: true).Content;
        Assert.Equal(Opened(disk, shorter, withHead: false).Content, saved);
        Assert.True(saved.Length < plain.Length);
        Assert.Contains("history", saved, StringComparison.Ordinal);
        Assert.DoesNotContain("old", saved, StringComparison.Ordinal);
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
        string whole = Opened(disk, _options, withHead: true).Content;
        long bytes = disk.LengthOf(HeadPath);
        int tried = 0;
        for (long at = 0; at < bytes; at += at < 200 ? 1 : 97)
        {
            disk.FlipBit(HeadPath, (at * 8) + (at % 8));
            (string content, OpenReport report) = Opened(disk, _options, withHead: true);
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
            Assert.Equal(whole, Opened(cut, _options, withHead: true).Content);
        }
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
    public void A_segment_that_was_open_when_the_head_was_saved_and_complete_at_the_checkpoint_behind_it_is_replayed()
    {
        var disk = new MemoryDisk();
        var agent = new Sender();
        using (StoreEngine store = Open(disk))
        {
            Fill(store, 8);
            for (int i = 0; i < 5; i++)
                agent.Send(store, _time.NowMs + i);
            store.SaveHead();
            _time.Advance(TimeSpan.FromMinutes(31));
            agent.Send(store, _time.NowMs);
            agent.Close(store);
            store.Maintain();
            Assert.True(store.Blocks.Count > 0);
        }
        (string plain, _) = Opened(disk, _options, withHead: false);
        (string saved, OpenReport report) = Opened(disk, _options, withHead: true);
        Assert.True(report.SavedHead);
        Assert.Equal(plain, saved);
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
            _time.Advance(TimeSpan.FromMinutes(5));
            store.Maintain();
            Assert.True(store.Blocks.Count > 0 && store.HeadSeries > 0);
            content = Content(store);
        }
        Assert.Equal(content, Opened(disk, _options, withHead: true).Content);
        Assert.Equal(content, Opened(disk, _options, withHead: false).Content);
    }

    [Fact]
    public void A_tap_that_lacks_some_of_it_is_told_from_the_log()
    {
        var disk = new MemoryDisk();
        ulong next;
        using (StoreEngine store = Open(disk))
        {
            Fill(store, 2);
            store.SaveHead();
            next = store.NextFrame;
        }
        var behind = new Counter(next - 1);
        using (StoreEngine store = Open(disk.Crash(new Random(1)), behind))
            Assert.False(store.Opened.SavedHead);
        Assert.True(behind.Samples > 0);
        var level = new Counter(next);
        using (StoreEngine store = Open(disk.Crash(new Random(1)), level))
            Assert.True(store.Opened.SavedHead);
        Assert.Equal(0, level.Samples);
    }

    [Fact]
    public void A_tap_is_not_behind_for_frames_that_have_nothing_to_forward()
    {
        var disk = new MemoryDisk();
        var agent = new Sender();
        var tap = new Counter(0);
        using (StoreEngine store = Open(disk, tap))
        {
            Fill(store, 1);
            agent.Send(store, _time.NowMs);
            ulong told = tap.Position;
            agent.Close(store);
            Assert.True(tap.Position == told && store.NextFrame > told);
            store.SaveHead();
        }
        var level = new Counter(tap.Position);
        using (StoreEngine store = Open(disk.Crash(new Random(1)), level))
            Assert.True(store.Opened.SavedHead);
        Assert.Equal(0, level.Samples);
        using (StoreEngine store = Open(disk.Crash(new Random(1)), new Counter(tap.Position - 1)))
            Assert.False(store.Opened.SavedHead);
        // Nobody forwarded when it was saved: what is new to a tap is in the log only.
        using (StoreEngine store = Open(disk))
            store.SaveHead();
        using (StoreEngine store = Open(disk, new Counter(tap.Position)))
            Assert.False(store.Opened.SavedHead);
    }

    [Fact]
    public void One_that_an_older_version_went_past_is_not_read_beside_its_checkpoint()
    {
        var disk = new MemoryDisk();
        var agent = new Sender();
        using (StoreEngine store = Open(disk))
        {
            for (int i = 0; i < 5; i++)
                agent.Send(store, _time.NowMs + (24 * 3600 * 1000) + i);
            Assert.Equal(20, store.HeldSamples);
            store.SaveHead();
        }
        byte[] head = disk.Content(HeadPath);
        disk.Delete(HeadPath);
        // An older version knows no saved head: it reads the log, puts into memory what was held, and leaves the file where it is.
        _time.Step(TimeSpan.FromDays(1));
        using (StoreEngine store = Open(disk))
        {
            Assert.Equal((false, 0), (store.Opened.SavedHead, store.HeldSamples));
            agent.Send(store, _time.NowMs + 5);
            store.Maintain();
            Assert.True(store.CheckpointedMs > 0);
        }
        Assert.True(MakeOlder(disk) > 0);
        using (IDiskFile file = disk.Open(HeadPath, DiskOpen.CreateNew))
        {
            file.Write(0, head);
            file.Sync();
        }
        using StoreEngine again = Open(disk);
        Assert.False(again.Opened.SavedHead);
        again.Maintain();
        Assert.Equal(6, Samples(again, "shop0").Count);
    }

    [Fact]
    public void An_agents_segment_goes_on_where_it_was_after_its_samples_came_back_with_it()
    {
        var disk = new MemoryDisk();
        var agent = new Sender();
        using (StoreEngine store = Open(disk))
        {
            Fill(store, 1);
            for (int i = 0; i < 5; i++)
                agent.Send(store, _time.NowMs + i);
            store.SaveHead();
            agent.Send(store, _time.NowMs + 5);
        }
        using StoreEngine again = Open(disk);
        Assert.True(again.Opened.SavedHead);
        Assert.Equal((6UL, true), (again.HeldOf(Sender.Key).Records, again.HeldOf(Sender.Key).Resumable));
        agent.Send(again, _time.NowMs + 6);
        Assert.Equal(7, Assert.Single(again.Ledgers("web-1")).Records);
        Assert.Equal(7, Samples(again, "shop0").Count);
    }

    [Fact]
    public void What_is_ahead_of_a_clock_that_went_back_since_the_checkpoint_is_held_by_a_head_of_the_same_frame()
    {
        var disk = new MemoryDisk();
        var agent = new Sender();
        using (StoreEngine store = Open(disk))
        {
            for (int i = 0; i < 5; i++)
                agent.Send(store, _time.NowMs + i);
            store.Maintain();
            Assert.True(store.CheckpointedMs > 0);
        }
        // The checkpoint took them for stored; opened with this clock they are held.
        _time.Step(TimeSpan.FromDays(-1));
        using (StoreEngine store = Open(disk))
        {
            Assert.Equal(20, store.HeldSamples);
            store.SaveHead();
        }
        using StoreEngine again = Open(disk);
        Assert.True(again.Opened.SavedHead);
        Assert.Equal(20, again.HeldSamples);
        _time.Step(TimeSpan.FromDays(1));
        again.Maintain();
        Assert.Equal(5, Samples(again, "shop0").Count);
    }

    [Fact]
    public void One_that_an_opening_went_past_is_not_read_beside_a_later_checkpoint()
    {
        var disk = new MemoryDisk();
        var agent = new Sender();
        using (StoreEngine store = Open(disk))
        {
            for (int i = 0; i < 5; i++)
                agent.Send(store, _time.NowMs + (24 * 3600 * 1000) + i);
            Assert.Equal(20, store.HeldSamples);
            store.SaveHead();
        }
        // Their time has come: read from the log they go into memory at once.
        _time.Step(TimeSpan.FromDays(1));
        using (StoreEngine store = Open(disk, new Counter(0)))
        {
            Assert.Equal((false, 0), (store.Opened.SavedHead, store.HeldSamples));
            agent.Send(store, _time.NowMs + 5);
            store.Maintain();
            Assert.True(store.CheckpointedMs > 0);
        }
        using StoreEngine again = Open(disk.Crash(new Random(1)));
        again.Maintain();
        Assert.Equal(6, Samples(again, "shop0").Count);
    }

    [Fact]
    public async Task The_writer_saves_it_by_itself_while_data_come()
    {
        long now = TimeProvider.System.GetUtcNow().ToUnixTimeMilliseconds();
        StoreOptions options = _options with { Folder = _folder, SaveHeadSamples = 300 };
        long frames = 0;
        await using (StoreWriter store = StoreWriter.Open(options, new OsDisk(), TimeProvider.System, ProcessRandom.Create(), _meter, NullLogger.Instance))
        {
            while (store.Engine.SavedHeads < 3)
            {
                var batch = new SampleBatch();
                for (int i = 0; i < 100; i++)
                    batch.Samples.Add(new SeriesSample(Labels.Of("__name__", "m", "i", i.ToString(CultureInfo.InvariantCulture)), now - 100_000 + frames, i + frames));
                await store.AppendAsync(batch, CancellationToken.None);
                frames++;
                Assert.True(frames < 50_000, "the head is not saved");
            }
        }
        using StoreEngine again = StoreEngine.Open(options, new OsDisk(), TimeProvider.System, ProcessRandom.Create(), _meter, NullLogger.Instance);
        Assert.True(again.Opened.SavedHead);
        Assert.True(again.Opened.ReplayedFrames < frames, $"{again.Opened.ReplayedFrames} of {frames} frames were replayed");
        using ISeriesSet set = again.Reader.Select(long.MinValue, long.MaxValue, [], CancellationToken.None);
        var buffer = new SampleBuffer();
        Assert.Equal(100, set.Count);
        for (int i = 0; i < set.Count; i++)
        {
            set.Read(i, buffer);
            Assert.Equal(frames, buffer.Count);
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
        string content = Opened(disk, _options, withHead: false).Content;
        using (IDiskFile file = disk.Open(HeadPath, DiskOpen.Existing))
        {
            file.SetLength(0);
            file.Write(0, golden);
        }
        (string read, OpenReport report) = Opened(disk, _options, withHead: true);
        Assert.True(report.SavedHead);
        Assert.Equal(content, read);
    }

    // Checkpoints as older versions write them end before the mark.
    private static int MakeOlder(MemoryDisk disk)
    {
        int made = 0;
        foreach (string path in disk.Paths.Where(p => p.Contains("checkpoint", StringComparison.Ordinal)).ToList())
        {
            Assert.Equal(AtomicFileOutcome.Read, AtomicFile.TryRead(disk, path, int.MaxValue, out byte[] content));
            Assert.Equal(1, content[^1]);
            AtomicFile.Write(disk, path, content.AsSpan(0, content.Length - 1));
            made++;
        }
        return made;
    }

    private StoreEngine Open(IDisk disk, ISampleTap? tap = null) => StoreEngine.Open(_options, disk, _time, new Random(1), _meter, NullLogger.Instance, tap);

    // Opened on a copy, so that what opening does is not there for the next.
    private (string Content, OpenReport Report) Opened(MemoryDisk disk, StoreOptions options, bool withHead)
    {
        MemoryDisk copy = disk.Crash(new Random(1));
        if (!withHead)
            copy.Delete(HeadPath);
        using StoreEngine store = StoreEngine.Open(options, copy, _time, new Random(1), _meter, NullLogger.Instance);
        Assert.Equal(0, store.Opened.UnreadableFrames);
        return (Content(store), store.Opened);
    }

    // Some of everything: constants and changing values over several blocks, late samples, clashes, histograms, start times, exemplars, metadata, samples ahead of the clock, a series that ends.
    private void Fill(StoreEngine store, int rounds)
    {
        for (int round = 0; round < rounds; round++)
        {
            for (int tick = 0; tick < 20; tick++)
            {
                var batch = new SampleBatch();
                for (int i = 0; i < 6; i++)
                    batch.Samples.Add(new SeriesSample(Of(i), _time.NowMs + (i == 5 ? tick % 2 : 0), i == 0 ? 7 : i == 1 ? tick : (tick * i) / 7.0));
                batch.Samples.Add(new SeriesSample(Labels.Of("__name__", "start"), _time.NowMs, tick, null, _time.NowMs - 60_000));
                batch.Samples.Add(new SeriesSample(Labels.Of("__name__", "histogram"), _time.NowMs, 0, Histogram(tick)));
                if (tick % 5 == 4)
                {
                    batch.Samples.Add(new SeriesSample(Of(2), _time.NowMs - 32_500, tick));
                    batch.Samples.Add(new SeriesSample(Of(3), _time.NowMs - 15_000, 1000 + tick));
                    batch.Samples.Add(new SeriesSample(Labels.Of("__name__", "late"), _time.NowMs - (tick * 2_000), tick));
                    batch.Exemplars.Add((Of(1), new Exemplar(Labels.Of("trace", "exemplar" + tick.ToString(CultureInfo.InvariantCulture)), tick, _time.NowMs)));
                    batch.Metadata.Add(("m", new MetricMetadata(MetricType.Counter, "help " + (tick / 10).ToString(CultureInfo.InvariantCulture), "")));
                }
                store.AppendBatch(batch);
                store.Commit();
                _time.Advance(TimeSpan.FromSeconds(15));
            }
            var ahead = new Sender { Agent = "ahead-" + round.ToString(CultureInfo.InvariantCulture) };
            if (store.HeldSamples == 0)
                ahead.Send(store, _time.NowMs + 7_200_000, 1);
        }
    }

    private static Labels Of(int series) => Labels.Of("__name__", "m", "i", series.ToString(CultureInfo.InvariantCulture), "job", "shop");

    private static NativeHistogram Histogram(int tick) => new()
    {
        Schema = 2,
        ZeroThreshold = 0.001,
        ZeroCount = 1,
        Count = tick + 3,
        Sum = tick,
        PositiveSpans = [new BucketSpan(0, 2)],
        PositiveBuckets = [tick + 1, 1],
        IsInteger = true,
    };

    private static string Content(StoreEngine store)
    {
        var lines = new List<string>();
        using ISeriesSet set = store.Reader.Select(long.MinValue, long.MaxValue, [], CancellationToken.None);
        var buffer = new SampleBuffer();
        for (int i = 0; i < set.Count; i++)
        {
            set.Read(i, buffer);
            lines.Add(set.LabelsAt(i).ToString());
            for (int s = 0; s < buffer.Count; s++)
                lines.Add(string.Create(CultureInfo.InvariantCulture, $"  {buffer.Times[s]} {buffer.Values[s]:R} {buffer.StartTimeAt(s)} {buffer.HistogramAt(s)?.Count}"));
        }
        foreach ((Labels labels, IReadOnlyList<Exemplar> exemplars) in store.Exemplars(long.MinValue, long.MaxValue, [], CancellationToken.None))
            lines.AddRange(exemplars.Select(e => $"{labels} exemplar {e}"));
        lines.Add($"ahead {store.HeldSamples} memory {store.HeadSeries}");
        // By label values too, which the saved head holds apart.
        using ISeriesSet shop = store.Reader.Select(long.MinValue, long.MaxValue, [new LabelMatcher(MatchType.Equal, "job", "shop")], CancellationToken.None);
        lines.Add($"of the shop {shop.Count}");
        return string.Join('\n', lines);
    }

    private static SampleBuffer Samples(StoreEngine store, string name) => store.Reader.SeriesNamed(name);

    private sealed class Counter(ulong heldTo) : ISampleTap
    {
        public int Samples { get; private set; }

        public ulong Position { get; private set; }

        public ulong HeldTo => heldTo;

        public bool OnCommitted(ulong position, ReadOnlySpan<SeriesSample> samples, ReadOnlySpan<(Labels Labels, Exemplar Exemplar)> exemplars)
        {
            (Position, Samples) = (position, Samples + samples.Length);
            return true;
        }
    }

    private sealed class Sender
    {
        private readonly SegmentEncoder _encoder = new();
        private readonly SourceTable _table = new("shop", 1000);
        private readonly SourceTick _tick = new();
        private ulong _sent;

        public Sender()
        {
            _encoder.StartSegment(false);
            for (int i = 0; i < 4; i++)
                _table.Add(Labels.Of("__name__", "shop" + i.ToString(CultureInfo.InvariantCulture)));
        }

        public static SegmentKey Key => new("web-1", 1, 1, 7);

        public string Agent { get; init; } = "web-1";

        public void Close(StoreEngine store)
        {
            Assert.True(store.ApplyRun(new RecordRun(Key with { Agent = Agent }, _sent, [], true)).Progress.Complete);
            store.Commit();
        }

        public void Send(StoreEngine store, long timeMs, int series = 4)
        {
            _tick.Begin(_table, timeMs);
            for (int i = 0; i < series; i++)
                _tick.Set(i, i + (double)_sent);
            _tick.Complete();
            Assert.Equal(EncodeOutcome.Encoded, _encoder.Encode(_tick));
            Assert.Equal(RunOutcome.Applied, store.ApplyRun(new RecordRun(Key with { Agent = Agent }, _sent++, [_encoder.Record.ToArray()], false)).Outcome);
            store.Commit();
        }
    }
}
