using System.Diagnostics.Metrics;
using System.Globalization;
using Bellwether.Core.Model;
using Bellwether.Kit;
using Bellwether.Store;
using Bellwether.Store.Blocks;
using Bellwether.Store.Head;
using Microsoft.Extensions.Logging.Abstractions;
using MatchType = Bellwether.Core.Model.MatchType;

namespace Bellwether.Aggregator.Tests.Store;

/// <summary>History that is loaded: when it goes into chunk files, how many files that makes, and what it keeps of the log.</summary>
public sealed class StoreHistoryTests : IDisposable
{
    private const int Series = 50;

    // At 30 s.
    private const int TicksPerPartition = 240;

    // No border of partitions passes during a test.
    private static readonly DateTimeOffset s_start = new(2026, 1, 1, 0, 20, 0, TimeSpan.Zero);
    private readonly VirtualTime _time = new(s_start);
    private readonly Meter _meter = new("store-history-tests");
    private readonly FaultyDisk _disk = new(new Random(1));
    private StoreOptions _options = new() { Folder = "/store", MinFreeBytes = 0, MaxLateSamples = 100, WalFileBytes = 16 << 10 };
    private int _hoursBack = 6;
    private readonly Labels[] _labels = [.. Enumerable.Range(0, Series).Select(i => Labels.Of("__name__", "m", "i", i.ToString(CultureInfo.InvariantCulture)))];

    public void Dispose() => _meter.Dispose();

    [Fact]
    public void History_is_cut_when_there_is_much_of_it_per_series_or_it_stopped_growing_not_each_maintenance()
    {
        using StoreEngine store = Open();
        // 700 ticks within one partition that is over, a maintenance every two of them.
        Load(store, 0, 700, maintainEach: 2);
        Assert.Equal(2, store.Blocks.Count);
        Assert.All(store.Blocks.Files, f => Assert.InRange(f.Footer.Samples, 240 * Series, 243 * Series));
        store.Maintain();
        Assert.InRange(store.HistorySamples, 214 * Series, 220 * Series);
        // It stopped: what is left follows after a minute.
        for (int i = 0; i < 13; i++)
            Maintain(store);
        Assert.Equal((3, 700L * Series, 0L), (store.Blocks.Count, store.Blocks.Files.Sum(f => f.Footer.Samples), store.HistorySamples));
        Assert.Equal(700 * Series, Count(store));
    }

    [Fact]
    public void A_window_over_a_slot_that_was_cut_in_parts_reads_its_edges_only()
    {
        using StoreEngine store = OpenWithPartsOfOneSlot(out long first);
        // Over the borders of both cuts, its own edges within chunks.
        var cuts = new WindowCuts(first + (600 * 10_000L) + 1, 0, 1, 590 * 10_000L);
        using ISeriesSet set = store.Reader.Select(cuts.FirstEndMs - cuts.RangeMs + 1, cuts.FirstEndMs, [new(MatchType.Equal, "i", "9")], CancellationToken.None);
        SampleBuffer all = new(), edges = new();
        var ordinals = new List<long>();
        set.Read(0, all);
        Assert.True(((IEdgeSeriesSet)set).TryReadEdges(0, cuts, edges, ordinals));
        Assert.InRange(edges.Count, 2, 6);
        int from = edges.Times.IndexOf(all.Times[0]), to = edges.Times.IndexOf(all.Times[^1]);
        Assert.Equal((590, all.Values[0], all.Values[^1], 589L), (all.Count, edges.Values[from], edges.Values[to], ordinals[to] - ordinals[from]));
    }

    [Fact]
    public void The_parts_of_a_slot_are_read_once_for_all_windows_of_a_series()
    {
        using StoreEngine store = OpenWithPartsOfOneSlot(out long first);
        var cuts = new WindowCuts(first + 1_000_001, 300_000, 18, 900_000);
        using ISeriesSet set = store.Reader.Select(cuts.FirstEndMs - cuts.RangeMs + 1, cuts.FirstEndMs + (17 * cuts.StepMs), [new(MatchType.Equal, "i", "9")], CancellationToken.None);
        int reads = 0;
        _disk.Fault = (call, _) =>
        {
            reads += call == DiskCall.Read ? 1 : 0;
            return false;
        };
        var edges = new SampleBuffer();
        Assert.True(((IEdgeSeriesSet)set).TryReadEdges(0, cuts, edges, []));
        Assert.InRange(edges.Count, 2 * 18, 4 * 18);
        // Of each of its files the times and the values.
        Assert.Equal(2 * 3, reads);
    }

    [Fact]
    public void Damage_of_one_part_of_a_slot_costs_that_part_of_its_series_only()
    {
        using StoreEngine store = OpenWithPartsOfOneSlot(out long first);
        BlockFile second = store.Blocks.Files.OrderBy(f => f.Footer.MinMs).ElementAt(1);
        BlockIndex index = store.Blocks.TryIndex(second)!;
        BlockEntry damaged = index[index.Find(_labels[9])];
        _disk.FlipBit("/store/chunks/" + second.Name, (damaged.Offset * 8) + 3);
        long slot = TimeSlot.StartOf(first);
        var cuts = new WindowCuts(slot + TimeSlot.LengthMs - 1, 0, 1, TimeSlot.LengthMs);
        var samples = new SampleBuffer();
        var summaries = new List<SlotSummary>();
        (int Summarised, int Read, bool ByEdges) Of(string series)
        {
            using ISeriesSet set = store.Reader.Select(slot, cuts.FirstEndMs, [new(MatchType.Equal, "i", series)], CancellationToken.None);
            ((ISummarySeriesSet)set).Read(0, cuts, samples, summaries);
            return (summaries.Sum(s => s.Count), samples.Count, ((IEdgeSeriesSet)set).TryReadEdges(0, cuts, new SampleBuffer(), []));
        }
        Assert.Equal((700, 0, true), Of("8"));
        Assert.Equal(0, store.Blocks.DamagedReads);
        Assert.Equal((0, 700 - damaged.Count, false), Of("9"));
        Assert.Equal(1, store.Blocks.DamagedReads);
    }

    [Fact]
    public void A_series_is_not_selected_for_a_time_between_the_parts_of_a_slot()
    {
        _options = _options with { HistorySamplesPerSeries = 0, MaxLateSamples = (2 * Series) - 1 };
        using StoreEngine store = Open();
        Load(store, 0, 2, maintainEach: 2);
        Load(store, 500, 2, maintainEach: 2);
        Assert.Equal((2, 1), (store.Blocks.Count, SlotsOf(store)));
        long first = store.Blocks.Files.Min(f => f.Footer.MinMs);
        int Selected(int fromTick, int toTick)
        {
            using ISeriesSet set = store.Reader.Select(first + (fromTick * 10_000L), first + (toTick * 10_000L), [], CancellationToken.None);
            return set.Count;
        }
        // Also once all of it is known.
        Assert.Equal((0, Series, 0), (Selected(2, 499), Selected(-9, 999), Selected(2, 499)));
        Assert.Equal((Series, Series), (Selected(1, 499), Selected(2, 500)));
    }

    [Fact]
    public void History_keeps_no_more_of_the_log_than_it_may()
    {
        _options = _options with { MaxHistoryLogBytes = 20 << 10 };
        using StoreEngine store = Open();
        long most = 0;
        for (int tick = 0; tick < 600; tick += 10)
        {
            Load(store, tick, 10, maintainEach: 5);
            most = Math.Max(most, store.WalBytes);
        }
        Assert.True(store.Blocks.Count >= 3, $"{store.Blocks.Count} files");
        // Files of the log are freed whole, and the first of them has the names of all series.
        Assert.InRange(most, 20 << 10, (20 + 3 * 16) << 10);
        Assert.Equal(600 * Series, Count(store));
    }

    [Fact]
    public void Of_a_partition_that_still_grows_files_are_merged_so_that_they_stay_few_and_each_sample_is_written_a_few_times()
    {
        _options = _options with { HistorySamplesPerSeries = 0, MaxLateSamples = 2 * Series - 1 };
        using StoreEngine store = Open();
        // Its window is not over: late data may come for hours.
        _hoursBack = 2;
        long written = 0;
        int most = 0, cuts = 0;
        var known = new HashSet<string>();
        for (int tick = 0; tick < 400; tick += 2)
        {
            Load(store, tick, 2, maintainEach: 2);
            cuts += store.Blocks.Files.Count(f => known.Add(f.Name));
            store.MergeFiles(CancellationToken.None);
            written += store.Blocks.Files.Where(f => known.Add(f.Name)).Sum(f => f.Footer.Samples);
            most = Math.Max(most, store.Blocks.Count);
        }
        Assert.InRange(cuts, 150, 200);
        Assert.InRange(most, 1, MergePlan.MaxGrowing + 4);
        Assert.True(written < 8 * 400 * Series, $"{written} samples were written by merges, of {400 * Series}");
        Assert.Equal(400 * Series, Count(store));
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    public void What_is_loaded_while_files_are_written_goes_into_files_once_but_for_the_partition_that_each_sender_is_filling(int senders)
    {
        const int Ticks = 20 * TicksPerPartition;
        _options = _options with { HistorySamplesPerSeries = 5 * TicksPerPartition };
        using StoreEngine store = Open();
        // Each sends the same series, of days of its own, in order.
        int[] sent = new int[senders];
        bool isWithin = false;
        void SendSome()
        {
            for (int sender = 0; sender < senders; sender++)
            {
                for (int i = 0; i < 40 && sent[sender] < Ticks && !store.IsCutOverrun; i++)
                    Append(store, s_start.AddMinutes(-20).AddDays(3 * (sender - senders)).AddSeconds(30 * sent[sender]).ToUnixTimeMilliseconds(), sent[sender]++);
            }
        }
        // The senders go on whenever the disk works for a chunk file.
        _disk.Fault = (_, path) =>
        {
            if (isWithin || !path.Contains("/chunks/", StringComparison.Ordinal))
                return false;
            isWithin = true;
            SendSome();
            return isWithin = false;
        };
        int cuts = 0, files = 0;
        long written = 0;
        for (int rest = 0; rest < 15; rest += Array.TrueForAll(sent, s => s == Ticks) ? 1 : 0)
        {
            SendSome();
            _time.Advance(TimeSpan.FromSeconds(5));
            if (store.BeginMaintain() is not { } cut)
                continue;
            store.WriteCut(cut, CancellationToken.None);
            files += cut.Written.Count;
            store.PublishCut(cut);
            while (store.DropCut(cut))
            {
            }
            (cuts, written) = (cuts + 1, written + cut.Samples);
        }
        Assert.InRange(cuts, 3, 100);
        Assert.Equal(senders * Ticks * Series, Count(store));
        Assert.InRange(written, senders * Ticks * Series, (senders * Ticks * Series) + ((long)cuts * senders * TicksPerPartition * Series));
        Assert.InRange(files, senders * 20, (senders * 20) + (cuts * senders));
        Assert.Equal(0, store.HistorySamples);
    }

    [Fact]
    public void The_log_of_a_quiet_store_shrinks()
    {
        using (StoreEngine store = Open())
        {
            Load(store, 0, 700, maintainEach: 2);
            Assert.True(Files("").Sum(f => f.Bytes) > 2 * _options.WalFileBytes, "the log was hardly used");
            // What stopped growing is cut after a minute; spare files go when a minute brought nothing.
            for (int i = 0; i < 30; i++)
                Maintain(store);
            Assert.Empty(Files(".free"));
            Assert.InRange(Files("").Sum(f => f.Bytes), 1, _options.WalFileBytes + (8 << 10));
            Assert.InRange(store.WalBytes, 1, _options.WalFileBytes + (8 << 10));
        }
        // Both checkpoints stand for the files: damage of either costs nothing, though the log is gone.
        for (int damaged = 0; damaged < 2; damaged++)
        {
            FaultyDisk disk = _disk.Copy(new Random(2));
            disk.FlipBit($"/store/checkpoint-{damaged}", 8 * 20);
            using StoreEngine again = StoreEngine.Open(_options, disk, _time, new Random(1), _meter, NullLogger.Instance);
            Assert.Equal((1, 700 * Series), (again.Opened.DamagedCheckpoints, Count(again)));
        }
    }

    [Fact]
    public void The_order_of_series_is_kept_from_cut_to_cut()
    {
        var random = new Random(5);
        var index = new HeadIndex();
        var order = new SeriesOrder();
        for (int round = 0; round < 30; round++)
        {
            for (int n = random.Next(40), i = 0; i < n; i++)
            {
                Labels labels = Labels.Of("__name__", "m" + random.Next(5), "i", random.Next(200).ToString(CultureInfo.InvariantCulture));
                if (!index.TryGet(labels, out _))
                    index.Add(labels);
            }
            HeadSeries[] ordered = order.Of(index, index.NextReference, 7);
            Assert.Equal(index.All.OrderBy(s => s.Labels).ToArray(), ordered);
            index.Remove([.. index.All.Where(_ => random.Next(6) == 0)]);
        }
    }

    // Three files with samples of the same slot.
    private StoreEngine OpenWithPartsOfOneSlot(out long firstMs)
    {
        StoreEngine store = Open();
        Load(store, 0, 700, maintainEach: 2);
        for (int i = 0; i < 13; i++)
            Maintain(store);
        Assert.Equal((3, 1), (store.Blocks.Count, SlotsOf(store)));
        firstMs = store.Blocks.Files.Min(f => f.Footer.MinMs);
        return store;
    }

    private static int SlotsOf(StoreEngine store) => store.Blocks.Files.SelectMany(f => new[] { f.Footer.MinMs, f.Footer.MaxMs }).Select(TimeSlot.StartOf).Distinct().Count();

    private void Load(StoreEngine store, int from, int ticks, int maintainEach)
    {
        // A partition that was over when the clock began.
        long begin = s_start.AddMinutes(-20).AddHours(-_hoursBack).ToUnixTimeMilliseconds();
        for (int tick = from; tick < from + ticks; tick++)
        {
            Append(store, begin + (tick * 10_000L), tick);
            if ((tick + 1) % maintainEach == 0)
                Maintain(store);
        }
    }

    private void Append(StoreEngine store, long timeMs, int tick)
    {
        var batch = new SampleBatch();
        for (int s = 0; s < Series; s++)
            batch.Samples.Add(new SeriesSample(_labels[s], timeMs, (tick * s) + (0.25 * (tick % 7))));
        store.AppendBatch(batch);
        store.Commit();
    }

    private void Maintain(StoreEngine store)
    {
        _time.Advance(TimeSpan.FromSeconds(5));
        store.Maintain();
    }

    private List<(string Name, int Bytes)> Files(string ending) => [.. _disk.List("/store/wal").Where(f => f.EndsWith(ending, StringComparison.Ordinal) && f != "identity").Select(f => (f, _disk.Content("/store/wal/" + f).Length))];

    private static int Count(StoreEngine store) => store.Reader.Samples().Count;

    private StoreEngine Open() => StoreEngine.Open(_options, _disk, _time, new Random(1), _meter, NullLogger.Instance);
}
