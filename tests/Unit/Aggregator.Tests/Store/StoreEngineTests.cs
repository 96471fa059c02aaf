using System.Diagnostics.Metrics;
using Bellwether.Core.Codec;
using Bellwether.Core.Model;
using Bellwether.Kit;
using Bellwether.Store;
using Microsoft.Extensions.Logging.Abstractions;
using MatchType = Bellwether.Core.Model.MatchType;

namespace Bellwether.Aggregator.Tests.Store;

public sealed class StoreEngineTests : IDisposable
{
    private readonly MemoryDisk _disk = new();
    private readonly VirtualTime _time = new();
    private readonly Meter _meter = new("store-engine-tests");
    private StoreOptions _options = new() { Folder = "/store", MinFreeBytes = 0 };

    public void Dispose() => _meter.Dispose();

    [Fact]
    public void Histograms_start_times_and_stale_markers_come_back_from_chunk_files()
    {
        var histogram = new NativeHistogram { Schema = 1, Count = 5, Sum = 7.5, ZeroCount = 1, ZeroThreshold = 1e-9, PositiveSpans = [new BucketSpan(-2, 2)], PositiveBuckets = [3, 1], ResetHint = CounterResetHint.NotReset, IsInteger = true };
        long t = _time.NowMs;
        using StoreEngine store = Open();
        var batch = new SampleBatch();
        batch.Samples.Add(new SeriesSample(Labels.Of("__name__", "h"), t, 0, histogram, t - 500));
        batch.Samples.Add(new SeriesSample(Labels.Of("__name__", "h"), t + 1000, SpecialValues.StaleMarker));
        batch.Samples.Add(new SeriesSample(Labels.Of("__name__", "c"), t, 1, null, t - 100));
        batch.Samples.Add(new SeriesSample(Labels.Of("__name__", "c"), t + 1000, 2, null, t - 100));
        batch.Samples.Add(new SeriesSample(Labels.Of("__name__", "c"), t + 2000, 0, null, t + 1500));
        store.AppendBatch(batch);
        SampleBuffer headH = Read(store, "h"), headC = Read(store, "c");
        Cut(store);
        Assert.Equal(0, store.Statistics().HeadSeries);
        SampleBuffer fileH = Read(store, "h"), fileC = Read(store, "c");
        foreach (SampleBuffer h in (SampleBuffer[])[headH, fileH])
        {
            Assert.Equal(2, h.Count);
            NativeHistogram back = h.HistogramAt(0)!;
            Assert.Equal((5, 7.5, CounterResetHint.NotReset, true), (back.Count, back.Sum, back.ResetHint, back.IsInteger));
            Assert.Equal([3, 1], back.PositiveBuckets);
            Assert.Equal([new BucketSpan(-2, 2)], back.PositiveSpans);
            Assert.Equal(t - 500, h.StartTimeAt(0));
            Assert.Null(h.HistogramAt(1));
            Assert.True(SpecialValues.IsStale(h.Values[1]));
        }
        foreach (SampleBuffer c in (SampleBuffer[])[headC, fileC])
            Assert.Equal([t - 100, t - 100, t + 1500], [c.StartTimeAt(0), c.StartTimeAt(1), c.StartTimeAt(2)]);
    }

    [Fact]
    public void A_selection_that_is_remembered_finds_series_that_came_since_whether_their_lists_are_long_or_short()
    {
        using StoreEngine store = Open();
        long t = _time.NowMs;
        LabelMatcher[][] selections =
        [
            [new(MatchType.Equal, "job", "a")],
            [new(MatchType.Equal, "job", "a"), new(MatchType.Equal, "i", "7")],
            [new(MatchType.Equal, "job", "a"), new(MatchType.NotEqual, "i", "7")],
            [new(MatchType.Regex, "job", "a|c"), new(MatchType.Regex, "i", "7|1007|2007")],
            [new(MatchType.Equal, "job", "b"), new(MatchType.Equal, "i", "")],
            [new(MatchType.Equal, "job", "none")],
        ];
        var all = new List<Labels>();
        for (int round = 0; round < 3; round++)
        {
            var batch = new SampleBatch();
            for (int i = 0; i < 700; i++)
                all.Add(Labels.Of("__name__", "m", "job", "a", "i", ((round * 1000) + i).ToString(System.Globalization.CultureInfo.InvariantCulture)));
            all.Add(Labels.Of("__name__", "m", "job", "b", "round", round.ToString(System.Globalization.CultureInfo.InvariantCulture)));
            foreach (Labels labels in all)
                batch.Samples.Add(new SeriesSample(labels, t + round, round));
            store.AppendBatch(batch);
            foreach (LabelMatcher[] matchers in selections)
            {
                using ISeriesSet set = store.Reader.Select(t, t + 10, matchers, CancellationToken.None);
                Assert.Equal(all.Where(l => matchers.All(m => m.Matches(l))).Order(), Enumerable.Range(0, set.Count).Select(set.LabelsAt));
            }
        }
    }

    [Fact]
    public void Many_late_samples_are_cut_before_the_partition_is_over()
    {
        _options = _options with { MaxLateSamples = 100 };
        using StoreEngine store = Open();
        Cut(store);
        long t = _time.NowMs;
        Append(store, "m", t, 1);
        for (int i = 1; i <= 150; i++)
            Append(store, "m", t - 7_200_000 * 2 - (i * 1000), i);
        long before = store.CheckpointedMs;
        _time.Advance(TimeSpan.FromSeconds(5));
        store.Maintain();
        Assert.True(store.CheckpointedMs > before);
        Assert.NotEmpty(store.Blocks.Files);
        Assert.Equal(151, CountAll(store));
    }

    /// <summary>Processor time of this thread: on a busy machine the clock tells of others, too.</summary>
    private static TimeSpan ThreadTime()
    {
        if (!OperatingSystem.IsLinux())
            return TimeSpan.FromTicks(TimeProvider.System.GetTimestamp() * TimeSpan.TicksPerSecond / TimeProvider.System.TimestampFrequency);
        string stat = File.ReadAllText("/proc/thread-self/stat");
        string[] fields = stat[(stat.LastIndexOf(')') + 2)..].Split(' ');
        // utime and stime, in hundredths of a second (proc(5)).
        return TimeSpan.FromMilliseconds(10 * (long.Parse(fields[11], System.Globalization.CultureInfo.InvariantCulture) + long.Parse(fields[12], System.Globalization.CultureInfo.InvariantCulture)));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Many_late_samples_of_one_series_in_any_order_are_kept_once_and_in_time(bool descending)
    {
        const int count = 300_000;
        using StoreEngine store = Open();
        long newest = _time.NowMs;
        Append(store, "m", newest, -1);
        int[] order = [.. Enumerable.Range(1, count)];
        if (!descending)
            new Random(5).Shuffle(order);
        var batch = new SampleBatch();
        foreach (int i in order)
            batch.Samples.Add(new SeriesSample(Labels.Of("__name__", "m"), newest - (i * 10L), i));
        // Again, and once with a value that wins and once with one that loses.
        foreach (int i in order.Take(1000))
            batch.Samples.Add(new SeriesSample(Labels.Of("__name__", "m"), newest - (i * 10L), i % 2 == 0 ? i : i + 1));
        TimeSpan begin = ThreadTime();
        AppendResult result = store.AppendBatch(batch);
        Assert.Equal((count, order.Take(1000).Count(i => i % 2 == 0)), (result[AppendOutcome.Stored], result[AppendOutcome.Duplicate]));
        Check();
        Cut(store);
        Check();
        // With a shift of the whole run for each sample this took over a minute.
        Assert.True(ThreadTime() - begin < TimeSpan.FromSeconds(30));

        void Check()
        {
            SampleBuffer read = Read(store, "m");
            Assert.Equal(count + 1, read.Count);
            var raised = order.Take(1000).Where(i => i % 2 == 1).ToHashSet();
            for (int k = 0; k < count; k++)
            {
                int i = count - k;
                Assert.Equal((newest - (i * 10L), raised.Contains(i) ? i + 1 : i), (read.Times[k], read.Values[k]));
            }
        }
    }

    [Fact]
    public void A_clock_that_went_ahead_and_back_does_not_stop_cuts_and_loses_nothing()
    {
        StoreEngine store = Open();
        Append(store, "m", _time.NowMs, 1);
        _time.Step(TimeSpan.FromDays(10));
        store.Maintain();
        _time.Step(TimeSpan.FromDays(-10));
        for (int i = 0; i < 24; i++)
        {
            _time.Advance(TimeSpan.FromMinutes(30));
            Append(store, "m", _time.NowMs, i);
            store.Commit();
            store.Maintain();
        }
        Assert.InRange(store.Statistics().ChunkFiles, 4, 8);
        Assert.Equal(25, CountAll(store));
        store.Dispose();
        using StoreEngine again = Open();
        Assert.Equal(25, CountAll(again));
    }

    [Fact]
    public void A_clock_set_a_year_ahead_does_not_delete_what_is_kept()
    {
        StoreEngine store = Open();
        Append(store, "m", _time.NowMs, 1);
        store.Commit();
        Cut(store);
        Append(store, "in_log", _time.NowMs, 2);
        store.Commit();
        _time.Step(TimeSpan.FromDays(365));
        store.Maintain();
        Assert.Equal(2, CountAll(store));
        store.Dispose();
        using (StoreEngine atBoot = Open())
        {
            _time.Advance(TimeSpan.FromHours(1));
            atBoot.Maintain();
            Assert.Equal(2, CountAll(atBoot));
        }
        _time.Step(TimeSpan.FromDays(-365));
        using StoreEngine again = Open();
        again.Maintain();
        Assert.Equal(2, CountAll(again));
        // What is too old by a clock that is right goes all the same.
        _time.Advance(TimeSpan.FromDays(40));
        Append(again, "new", _time.NowMs, 3);
        again.Maintain();
        Assert.Equal(1, CountAll(again));
    }

    [Fact]
    public void Runs_of_unknown_segments_that_do_not_begin_at_the_start_leave_nothing_behind()
    {
        using StoreEngine store = Open();
        for (uint i = 0; i < 1000; i++)
            Assert.Equal(RunOutcome.NeedsStart, store.ApplyRun(new RecordRun(new SegmentKey("a", 1, i, i), 5, [new byte[] { 1 }], false)).Outcome);
        for (uint i = 0; i < 1000; i++)
            Assert.Equal(RunOutcome.Applied, store.ApplyRun(new RecordRun(new SegmentKey("a", 1, i, i), 0, [], false)).Outcome);
        Assert.Equal(0, store.Records.OpenSegments);
        for (uint i = 0; i < 1000; i++)
            Assert.True(store.ApplyRun(new RecordRun(new SegmentKey("a", i, 1, i), 0, [], true)).Progress.Complete);
        store.Commit();
        Assert.Equal((0, 64, 936UL), (store.Records.OpenSegments, store.SegmentsOf("a").Count, store.SegmentsOf("a")[0].Epoch));
    }

    [Fact]
    public void A_damaged_bit_in_a_chunk_file_costs_one_series_or_sends_the_file_to_quarantine()
    {
        StoreEngine store = Open();
        for (int i = 0; i < 50; i++)
            Append(store, "m" + (i % 10), _time.NowMs + (i * 1000), i * 1.5);
        Cut(store);
        store.Dispose();
        string path = _disk.Paths.Single(p => p.EndsWith(".chunks", StringComparison.Ordinal));
        long bits = _disk.LengthOf(path) * 8;
        int lost = 0, aside = 0;
        var random = new Random(5);
        for (int i = 0; i < 300; i++)
        {
            long bit = random.NextInt64(bits);
            _disk.FlipBit(path, bit);
            using (StoreEngine damaged = Open())
            {
                int samples = CountAll(damaged);
                aside += damaged.Opened.QuarantinedFiles;
                // Five samples of one series; more only where the series share their times.
                lost += damaged.Opened.QuarantinedFiles == 0 && samples < 50 ? 1 : 0;
                if (damaged.Opened.QuarantinedFiles > 0)
                {
                    string quarantined = _disk.Paths.Single(p => p.Contains("quarantine/", StringComparison.Ordinal) && p.EndsWith(".chunks", StringComparison.Ordinal));
                    Assert.Equal(0, samples);
                    _disk.Rename(quarantined, path);
                }
            }
            _disk.FlipBit(path, bit);
        }
        Assert.True(lost > 10 && aside > 10, $"{lost} times a series was lost, {aside} times the file was put aside");
        using StoreEngine whole = Open();
        Assert.Equal(50, CountAll(whole));
    }

    [Fact]
    public async Task A_full_disk_refuses_new_data_serves_the_old_and_takes_up_again()
    {
        await using StoreWriter store = StoreWriter.Open(_options, _disk, _time, new Random(1), _meter, NullLogger.Instance);
        await store.AppendAsync(Batch("a", _time.NowMs, 1), CancellationToken.None);
        _disk.IsFull = true;
        await Assert.ThrowsAsync<StoreUnavailableException>(async () => await store.AppendAsync(Batch("a", _time.NowMs + 1, 2), CancellationToken.None));
        Assert.Equal(RunOutcome.Unavailable, (await store.ApplyAsync(new RecordRun(new SegmentKey("x", 1, 1, 1), 0, [new byte[] { 1 }], false), CancellationToken.None)).Outcome);
        Assert.True(store.IsUnavailable);
        Assert.NotEqual(0, Read(store.Engine, "a").Count);
        _disk.IsFull = false;
        AppendResult again = await store.AppendAsync(Batch("a", _time.NowMs + 2, 3), CancellationToken.None);
        Assert.Equal(1, again[AppendOutcome.Stored]);
        Assert.False(store.IsUnavailable);
    }

    [Fact]
    public void Below_the_minimum_of_free_space_nothing_new_is_taken()
    {
        _options = _options with { MinFreeBytes = 1000 };
        using StoreEngine store = Open();
        Assert.True(store.HasRoom());
        _disk.Free = 999;
        Assert.False(store.HasRoom());
    }

    [Fact]
    public void An_agents_samples_ahead_of_our_clock_wait_for_their_time_even_over_a_restart()
    {
        long ahead = _time.NowMs + 3_600_000;
        var table = new SourceTable("host", 1000);
        table.Add(Labels.Of("__name__", "up"));
        var tick = new SourceTick();
        tick.Begin(table, ahead);
        tick.Set(0, 1);
        tick.Complete();
        var encoder = new SegmentEncoder();
        encoder.StartSegment(true);
        encoder.Encode(tick);
        using (StoreEngine store = Open())
        {
            RunResult result = store.ApplyRun(new RecordRun(new SegmentKey("a", 1, 1, 1), 0, [encoder.Record.ToArray()], true));
            store.Commit();
            Assert.Equal(RunOutcome.Applied, result.Outcome);
            Assert.Equal(0, CountAll(store));
        }
        using (StoreEngine store = Open())
        {
            Assert.True(store.HeldOf(new SegmentKey("a", 1, 1, 1)).Complete);
            Assert.Equal(0, CountAll(store));
            _time.Advance(TimeSpan.FromMinutes(55));
            store.Maintain();
            Assert.Equal(1, CountAll(store));
        }
    }

    [Fact]
    public void Behind_a_lost_frame_of_the_log_no_value_is_wrong()
    {
        StoreEngine store = Open();
        for (int i = 0; i < 40; i++)
        {
            Append(store, "m", _time.NowMs + (i * 1000), 1_000_000 + (i * i));
            store.Commit();
        }
        store.Dispose();
        string path = _disk.Paths.Single(p => p.EndsWith(".seg", StringComparison.Ordinal));
        _disk.FlipBit(path, _disk.LengthOf(path) / 2 * 8);
        using StoreEngine again = Open();
        Assert.Equal(1, again.Opened.DamagedLogPlaces);
        Assert.True(again.Opened.UnreadableFrames > 0);
        SampleBuffer read = Read(again, "m");
        Assert.InRange(read.Count, 10, 39);
        for (int i = 0; i < read.Count; i++)
        {
            long n = (read.Times[i] - _time.NowMs) / 1000;
            Assert.Equal(1_000_000 + (n * n), read.Values[i]);
        }
        // What comes now is whole again after the next opening.
        Append(again, "m", _time.NowMs + 100_000, 7);
        again.Commit();
        Assert.Equal(read.Count + 1, CountAll(again));
    }

    [Fact]
    public async Task A_batch_that_is_far_larger_than_a_frame_of_the_log_is_taken_whole_and_survives()
    {
        var batch = new SampleBatch();
        for (int i = 0; i < 3000; i++)
            batch.Metadata.Add(("family" + i, new MetricMetadata(MetricType.Gauge, new string('h', 8000), "")));
        Labels wide = Labels.Of("__name__", "m", "wide", new string('w', 2000));
        for (int i = 0; i < 200; i++)
        {
            Labels each = i == 0 ? wide : Labels.Of("__name__", "m" + i, "wide", new string('w', 2000));
            batch.Samples.Add(new SeriesSample(each, _time.NowMs, i));
            for (int e = 0; e < 50; e++)
                batch.Exemplars.Add((each, new Exemplar(Labels.Of("trace", new string('t', 5000)), e, _time.NowMs)));
        }
        StoreWriter store = StoreWriter.Open(_options, _disk, _time, new Random(1), _meter, NullLogger.Instance);
        Assert.Equal(200, (await store.AppendAsync(batch, CancellationToken.None))[AppendOutcome.Stored]);
        Assert.Null(store.Failure);
        await store.DisposeAsync();
        using StoreEngine again = Open();
        Assert.Equal(200, CountAll(again));
        Assert.Equal(3000, again.Reader.AllMetadata().Count);
        Assert.Equal([42, 43, 44, 45, 46, 47, 48, 49], again.Exemplars(0, long.MaxValue, [new LabelMatcher(MatchType.Equal, "__name__", "m")], CancellationToken.None).Single().Exemplars.Select(e => e.Value));
    }

    [Fact]
    public void A_job_that_runs_wild_does_not_take_the_place_of_others()
    {
        _options = _options with { MaxSeriesPerJob = 3 };
        using StoreEngine store = Open();
        AppendResult Append(string job, int from, int count)
        {
            var batch = new SampleBatch();
            for (int i = from; i < from + count; i++)
                batch.Samples.Add(new SeriesSample(Labels.Of("__name__", "m" + i, "job", job), _time.NowMs, 1));
            return store.AppendBatch(batch);
        }
        AppendResult wild = Append("wild", 0, 5);
        Assert.Equal((3, 2), (wild[AppendOutcome.Stored], wild[AppendOutcome.OverLimit]));
        Assert.Contains("3 series of job 'wild'", wild.FirstError, StringComparison.Ordinal);
        Assert.Equal(2, Append("shop", 0, 2)[AppendOutcome.Stored]);
        Assert.Equal([0, 2, 0, 0], store.SeriesRefused);
        Assert.Equal([new NamedCount("wild", 3), new NamedCount("shop", 2)], store.SeriesByJob(10));
        // Known ones go on, and there is room again when they have ended.
        _time.Advance(TimeSpan.FromMinutes(1));
        Assert.Equal(3, Append("wild", 0, 3)[AppendOutcome.Stored]);
        _time.Advance(TimeSpan.FromHours(5));
        store.Maintain();
        Assert.Equal(3, Append("wild", 10, 3)[AppendOutcome.Stored]);
    }

    [Fact]
    public void Each_refusal_has_its_outcome_and_says_why()
    {
        _options = _options with { MaxSeries = 2, MaxLabels = 3 };
        using StoreEngine store = Open();
        var batch = new SampleBatch();
        long t = _time.NowMs;
        batch.Samples.Add(new SeriesSample(Labels.Of("__name__", "a"), t, 1));
        batch.Samples.Add(new SeriesSample(Labels.Of("__name__", "a"), t, 1));
        batch.Samples.Add(new SeriesSample(Labels.Of("__name__", "a"), t, 2));
        batch.Samples.Add(new SeriesSample(Labels.Of("__name__", "a"), t + 601_000, 1));
        batch.Samples.Add(new SeriesSample(Labels.Of("__name__", "a"), t - (38L * 86_400_000), 1));
        batch.Samples.Add(new SeriesSample(Labels.Of("__name__", "b", "x", "1", "y", "2", "z", "3"), t, 1));
        batch.Samples.Add(new SeriesSample(Labels.Empty, t, 1));
        batch.Samples.Add(new SeriesSample(Labels.Of("__name__", "b"), t, 1));
        batch.Samples.Add(new SeriesSample(Labels.Of("__name__", "c"), t, 1));
        AppendResult result = store.AppendBatch(batch);
        Assert.Equal(2, result[AppendOutcome.Stored]);
        Assert.Equal(1, result[AppendOutcome.Duplicate]);
        Assert.Equal(1, result[AppendOutcome.Conflict]);
        Assert.Equal(1, result[AppendOutcome.TooNew]);
        Assert.Equal(1, result[AppendOutcome.TooOld]);
        Assert.Equal(2, result[AppendOutcome.OverLimit]);
        Assert.Equal(1, result[AppendOutcome.Invalid]);
        Assert.Contains("too far ahead", result.FirstError, StringComparison.Ordinal);
        Assert.Equal(2, Read(store, "a").Values[0]);
    }

    [Fact]
    public void Matchers_select_from_head_and_files_alike()
    {
        using StoreEngine store = Open();
        for (int i = 0; i < 20; i++)
            Append(store, Labels.Of("__name__", "req", "code", (i % 5 * 100).ToString(System.Globalization.CultureInfo.InvariantCulture), "job", i % 2 == 0 ? "shop" : "", "n", "n" + i), _time.NowMs, i);
        for (int round = 0; round < 2; round++)
        {
            Assert.Equal(20, Count(store));
            Assert.Equal(10, Count(store, new LabelMatcher(MatchType.Equal, "job", "shop")));
            Assert.Equal(10, Count(store, new LabelMatcher(MatchType.Equal, "job", "")));
            Assert.Equal(8, Count(store, new LabelMatcher(MatchType.Regex, "code", "100|200")));
            Assert.Equal(12, Count(store, new LabelMatcher(MatchType.NotRegex, "code", "1.*|2.*")));
            Assert.Equal(2, Count(store, new LabelMatcher(MatchType.Equal, "code", "100"), new LabelMatcher(MatchType.NotEqual, "job", "shop")));
            Assert.Equal(["100", "200", "300", "400", "0"], store.Reader.LabelValues("code", long.MinValue, long.MaxValue, [], CancellationToken.None).OrderBy(v => v.Length == 1));
            Assert.Equal(["__name__", "code", "job", "n"], store.Reader.LabelNames(long.MinValue, long.MaxValue, [], CancellationToken.None));
            Cut(store);
        }
        Assert.Equal(0, store.Statistics().HeadSeries);
    }

    [Fact]
    public void Retention_deletes_files_and_the_log_shrinks_after_a_checkpoint()
    {
        _options = _options with { Retention = TimeSpan.FromDays(2), WalFileBytes = 4096 };
        using StoreEngine store = Open();
        long largest = 0;
        for (int hour = 0; hour < 100; hour++)
        {
            for (int i = 0; i < 60; i++)
            {
                Append(store, "m", _time.NowMs, i * 0.1);
                store.Commit();
                _time.Advance(TimeSpan.FromMinutes(1));
            }
            largest = Math.Max(largest, store.Statistics().WalBytes);
            store.Maintain();
        }
        StoreStatistics statistics = store.Statistics();
        Assert.Equal(0, store.FailedCuts);
        Assert.InRange(statistics.ChunkFiles, 23, 26);
        Assert.InRange(largest, 1, 100_000);
        Assert.InRange(CountAll(store), 48 * 60, (50 * 60) + 120);
    }

    [Fact]
    public void Retention_keeps_a_file_until_all_of_it_is_old()
    {
        _options = _options with { Retention = TimeSpan.FromDays(2) };
        using StoreEngine store = Open();
        var written = new List<long>();
        for (int i = 0; i < 60 * 60; i++)
        {
            written.Add(_time.NowMs);
            Append(store, "m", _time.NowMs, i);
            store.Commit();
            _time.Advance(TimeSpan.FromMinutes(1));
            if (i % 30 != 29)
                continue;
            store.Maintain();
            long young = _time.NowMs - (long)TimeSpan.FromDays(2).TotalMilliseconds;
            Assert.True(CountAll(store) >= written.Count(t => t >= young), "what is young is gone");
        }
        Assert.True(CountAll(store) < written.Count, "nothing was old");
    }

    [Fact]
    public void Metadata_survive_the_log_that_brought_them()
    {
        using (StoreEngine store = Open())
        {
            var batch = new SampleBatch();
            batch.Metadata.Add(("up", new MetricMetadata(MetricType.Gauge, "Whether it is up.", "")));
            store.AppendBatch(batch);
            store.Commit();
            Cut(store);
            Cut(store);
        }
        using StoreEngine again = Open();
        Assert.Equal("Whether it is up.", again.Reader.Metadata("up")?.Help);
    }

    [Fact]
    public void A_steady_stream_of_samples_allocates_next_to_nothing()
    {
        _time.Advance(TimeSpan.FromDays(1));
        using StoreEngine store = Open();
        var table = new SourceTable("host", 1000);
        var tick = new SourceTick();
        for (int i = 0; i < 1000; i++)
            table.Add(Labels.Of("__name__", "m" + i));
        var encoder = new SegmentEncoder();
        encoder.StartSegment(true);
        // What decoding allocates is the codec's; it is taken off by decoding each record beside.
        var decoder = new SegmentDecoder();
        long allocated = 0;
        int samples = 0;
        for (int n = 0; n < 600; n++)
        {
            tick.Begin(table, _time.NowMs);
            for (int i = 0; i < 1000; i++)
                tick.Set(i, i % 3 == 0 ? n * i : i);
            tick.Complete();
            encoder.Encode(tick);
            var run = new RecordRun(new SegmentKey("a", 1, 1, 1), (ulong)n, [encoder.Record.ToArray()], false);
            long begin = GC.GetAllocatedBytesForCurrentThread();
            decoder.Apply(run.Records[0].Span);
            long before = GC.GetAllocatedBytesForCurrentThread();
            store.ApplyRun(run);

            if (n >= 200)
            {
                allocated += GC.GetAllocatedBytesForCurrentThread() - before - (before - begin);
                samples += 1000;
            }
            store.Commit();
            _time.Advance(TimeSpan.FromSeconds(1));
        }
        // What is left are the compressed blocks themselves and one result per record.
        Assert.True(allocated < samples * 2L, $"{(double)allocated / samples:F2} bytes per sample");
    }

    private static SampleBatch Batch(string name, long time, double value)
    {
        var batch = new SampleBatch();
        batch.Samples.Add(new SeriesSample(Labels.Of("__name__", name), time, value));
        return batch;
    }

    private static void Append(StoreEngine store, string name, long time, double value) => store.AppendBatch(Batch(name, time, value));

    private static void Append(StoreEngine store, Labels labels, long time, double value)
    {
        var batch = new SampleBatch();
        batch.Samples.Add(new SeriesSample(labels, time, value));
        store.AppendBatch(batch);
    }

    private static int Count(StoreEngine store, params LabelMatcher[] matchers)
    {
        using ISeriesSet set = store.Reader.Select(long.MinValue, long.MaxValue, matchers, CancellationToken.None);
        return set.Count;
    }

    private static int CountAll(StoreEngine store) => store.Reader.Samples().Count;

    private static SampleBuffer Read(StoreEngine store, string name) => store.Reader.SeriesNamed(name);

    private void Cut(StoreEngine store)
    {
        _time.Advance(TimeSpan.FromHours(3));
        store.Maintain();
    }

    private StoreEngine Open() => StoreEngine.Open(_options, _disk, _time, new Random(1), _meter, NullLogger.Instance);
}
