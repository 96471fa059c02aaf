using System.Diagnostics.Metrics;
using System.Globalization;
using Bellwether.Core.Codec;
using Bellwether.Core.Model;
using Bellwether.Core.Platform;
using Bellwether.Kit;
using Bellwether.Store;
using Microsoft.Extensions.Logging.Abstractions;
using MatchType = Bellwether.Core.Model.MatchType;

namespace Bellwether.Aggregator.Tests.Store;

/// <summary>Deletions and snapshots run beside the writer: what comes between their parts is taken, and nothing of it is lost; what was deleted never comes back.</summary>
public sealed class StoreDeletionTests : StoreSite
{
    [Fact]
    public void Whatever_comes_between_the_parts_of_deletions_and_snapshots_stands_in_the_store_once_also_after_crashes()
    {
        int deletions = 0, snapshots = 0, crashes = 0, between = 0;
        for (int seed = 0; seed < 60; seed++)
        {
            var run = new Run(seed, Time, Meter);
            run.Go();
            deletions += run.Deletions;
            snapshots += run.Snapshots;
            crashes += run.Crashes;
            between += run.Between;
        }
        Assert.True(deletions > 200 && snapshots > 200 && crashes > 100 && between > 200, $"{deletions} deletions, {snapshots} snapshots, {crashes} crashes, {between} appends while files were written");
    }

    [Fact]
    public async Task A_writer_takes_data_while_it_writes_files_for_a_snapshot()
    {
        var disk = new GatedDisk();
        var options = new StoreOptions { Folder = Path.Combine(Folder, "store"), MinFreeBytes = 0 };
        long now = TimeProvider.System.GetUtcNow().ToUnixTimeMilliseconds();
        string copy = Path.Combine(Folder, "copy");
        await using (StoreWriter store = StoreWriter.Open(options, disk, TimeProvider.System, ProcessRandom.Create(), Meter, NullLogger.Instance))
        {
            Task snapshot;
            try
            {
                await store.AppendAsync(Batch(now - 100_000, 50), CancellationToken.None);
                snapshot = store.SnapshotAsync(copy, CancellationToken.None);
                await disk.Reached;
                await store.AppendAsync(Batch(now - 50_000, 50), CancellationToken.None);
                Assert.False(snapshot.IsCompleted);
            }
            finally
            {
                // Else the store would wait for its disk for ever when something above fails.
                disk.Open();
            }
            await snapshot;
            DeletionResult deleted = await store.DeleteAsync(new SeriesDeletion([[new LabelMatcher(MatchType.Equal, "__name__", "m")]], now - 80_000, now - 60_000), CancellationToken.None);
            Assert.Equal(21, deleted.Samples);
            Assert.Equal(79, Count(store.Reader));
        }
        await using StoreWriter copied = StoreWriter.Open(options with { Folder = copy }, new OsDisk(), TimeProvider.System, ProcessRandom.Create(), Meter, NullLogger.Instance);
        Assert.Equal(50, Count(copied.Reader));
        await using StoreWriter again = StoreWriter.Open(options, new OsDisk(), TimeProvider.System, ProcessRandom.Create(), Meter, NullLogger.Instance);
        Assert.Equal(79, Count(again.Reader));
    }

    [Theory]
    [InlineData("record")]
    [InlineData("close")]
    [InlineData("refused")]
    public void What_comes_of_open_segments_while_files_are_written_keeps_nothing_of_the_log_before(string comes)
    {
        var disk = new MemoryDisk();
        var options = new StoreOptions { Folder = "/store", MinFreeBytes = 0 };
        var segment = new SegmentKey("a", 1, 1, 1);
        // One is ahead of the clock, and held.
        List<ReadOnlyMemory<byte>> records = Records(Time.NowMs, Time.NowMs + 1_000, Time.NowMs + 3_600_000, Time.NowMs + 2_000);
        ReadOnlyMemory<byte> bad = new byte[] { 255, 255, 255 };
        int isStored = comes == "record" ? 1 : 0;
        using (StoreEngine store = StoreEngine.Open(options, disk, Time, new Random(1), Meter, NullLogger.Instance))
        {
            Assert.Equal(RunOutcome.Applied, store.ApplyRun(new RecordRun(segment, 0, [.. records.Take(3)], false)).Outcome);
            if (comes == "refused")
                Assert.Single(store.ApplyRun(new RecordRun(segment, 3, [bad], false)).Refused);
            store.Commit();
            Assert.Equal((2, 1), (Count(store.Reader), store.HeldSamples));
            MemoryDeletion going = store.BeginDelete(new SeriesDeletion([[new LabelMatcher(MatchType.Equal, "__name__", "m")]], long.MinValue, long.MaxValue));
            while (store.DeleteSome(going))
            {
            }
            CutJob cut = store.BeginCutAll(dropsLog: true);
            if (comes == "record")
            {
                // It begins again, and what of it was here is not taken again.
                Assert.Equal(RunOutcome.NeedsStart, store.ApplyRun(new RecordRun(segment, 3, [records[3]], false)).Outcome);
                Assert.Single(store.ApplyRun(new RecordRun(segment, 0, records, false)).Ticks);
            }
            else
            {
                Assert.Equal(RunOutcome.Applied, store.ApplyRun(comes == "close" ? new RecordRun(segment, 3, [], true) : new RecordRun(segment, 4, [bad], false)).Outcome);
            }
            store.Commit();
            store.WriteCut(cut, CancellationToken.None);
            store.PublishCut(cut);
            while (store.DropCut(cut))
            {
            }
            Assert.Null(cut.Problem);
            Assert.Equal((isStored, 0), (Count(store.Reader), store.HeldSamples));
        }
        // All that the log holds of samples is told to a tap that is new.
        var told = new CountingTap();
        using StoreEngine again = StoreEngine.Open(options, disk, Time, new Random(1), Meter, NullLogger.Instance, told);
        Assert.Equal((isStored, 0, isStored, 0L), (Count(again.Reader), again.HeldSamples, told.Samples, again.Opened.UnreadableFrames));
        SegmentProgress progress = again.HeldOf(segment);
        Assert.Equal((comes == "close", comes == "record" ? 4UL : comes == "refused" ? 5UL : 0UL, true), (progress.Complete, progress.Records, progress.Resumable));
    }

    private static List<ReadOnlyMemory<byte>> Records(params ReadOnlySpan<long> timesMs)
    {
        var table = new SourceTable("host", 1000);
        table.Add(Labels.Of("__name__", "m"));
        var encoder = new SegmentEncoder();
        encoder.StartSegment(true);
        var tick = new SourceTick();
        var records = new List<ReadOnlyMemory<byte>>();
        foreach (long timeMs in timesMs)
        {
            tick.Begin(table, timeMs);
            tick.Set(0, records.Count);
            tick.Complete();
            Assert.Equal(EncodeOutcome.Encoded, encoder.Encode(tick));
            records.Add(encoder.Record.ToArray());
        }
        return records;
    }

    private static SampleBatch Batch(long fromMs, int count)
    {
        var batch = new SampleBatch();
        for (int i = 0; i < count; i++)
            batch.Samples.Add(new SeriesSample(Labels.Of("__name__", "m"), fromMs + (i * 1_000), i));
        return batch;
    }

    private static int Count(ISeriesReader reader) => reader.Samples(new LabelMatcher(MatchType.Equal, "__name__", "m")).Count;

    // One thread, one seed.
    private sealed class Run(int seed, VirtualTime time, Meter meter)
    {
        private const int Series = 8;
        private readonly Random _random = new(seed);
        private readonly FaultyDisk _disk = new(new Random(seed));
        private readonly Dictionary<(int Series, long TimeMs), double> _model = [];

        // What a deletion that did not come to its end may have left.
        private readonly HashSet<(int Series, long TimeMs)> _doubtful = [];
        private StoreEngine _store = null!;
        private SeriesDeletion? _going;
        private bool _isWithin;

        public int Deletions { get; private set; }

        public int Snapshots { get; private set; }

        public int Crashes { get; private set; }

        public int Between { get; private set; }

        public void Go()
        {
            Open();
            for (int i = 0; i < 120; i++)
            {
                int dice = _random.Next(100);
                if (dice < 60)
                    Append();
                else if (dice < 70)
                    time.Advance(TimeSpan.FromMinutes(_random.Next(60)));
                else if (dice < 78)
                    _store.Maintain();
                else if (dice < 82)
                    _store.SaveHead();
                else if (dice < 89)
                    Delete();
                else if (dice < 96)
                    Snapshot();
                else
                    Crash();
                if (i % 5 == 0)
                    Compare(_store, _model);
            }
            Crash();
            Compare(_store, _model);
        }

        private void Open()
        {
            _store = StoreEngine.Open(new StoreOptions { Folder = "/store", MinFreeBytes = 0, MaxLateSamples = 30, HistorySamplesPerSeries = 0, WalFileBytes = 4 << 10 }, _disk, time, new Random(seed), meter, NullLogger.Instance);
            _store.SeriesPerStep = 3;
            _store.DeletedPerStep = 1;
        }

        private void Crash()
        {
            Crashes++;
            _going = null;
            _disk.Fault = null;
            _disk.Crash(onlyProcess: _random.Next(2) == 0);
            Open();
        }

        private void Append()
        {
            var batch = new SampleBatch();
            long back = _random.Next(3) == 0 ? _random.Next(8 * 3600) * 1000L : _random.Next(900) * 1000L;
            for (int n = _random.Next(1, 6), i = 0; i < n; i++)
            {
                (int series, long at, double value) = (_random.Next(Series), time.NowMs - back + (i * 1_000), _random.Next(5));
                // Where something was deleted, perhaps, a smaller value may meet it; what comes while a deletion goes through memory may go with it.
                if (_doubtful.Contains((series, at)) || (_going is { } going && going.Matches(Of(series)) && going.Takes(at)))
                    continue;
                batch.Samples.Add(new SeriesSample(Of(series), at, value));
                _model[(series, at)] = _model.TryGetValue((series, at), out double known) ? Math.Max(known, value) : value;
            }
            _store.AppendBatch(batch);
            _store.Commit();
        }

        // Crashes at a random one of its parts, or not; appends between all of them.
        private void Delete()
        {
            int series = _random.Next(Series);
            long from = _random.Next(4) == 0 ? long.MinValue : time.NowMs - (_random.Next(6 * 3600) * 1000L), to = _random.Next(4) == 0 ? long.MaxValue : from == long.MinValue ? time.NowMs - 1800_000 : from + 3600_000;
            var deletion = new SeriesDeletion([[new LabelMatcher(MatchType.Equal, "i", series.ToString(CultureInfo.InvariantCulture))]], from, to);
            foreach ((int Series, long TimeMs) key in _model.Keys.Where(k => k.Series == series && k.TimeMs >= from && k.TimeMs <= to).ToList())
            {
                _doubtful.Add(key);
                _model.Remove(key);
            }
            _going = deletion;
            MemoryDeletion going = _store.BeginDelete(deletion);
            int crashAt = _random.Next(3) == 0 ? _random.Next(8) : -1, part = 0;
            while (_store.DeleteSome(going))
            {
                if (Ends())
                    return;
            }
            _going = null;
            if (!CutAll(null, Ends))
                return;
            _store.DeleteFromFiles(deletion, CancellationToken.None);
            foreach ((int, long) key in _doubtful.Where(k => k.Series == series && k.TimeMs >= from && k.TimeMs <= to).ToList())
                _doubtful.Remove(key);
            Compare(_store, _model);
            Deletions++;

            bool Ends()
            {
                if (part++ == crashAt)
                {
                    Crash();
                    return true;
                }
                if (_random.Next(2) == 0)
                    Append();
                return false;
            }
        }

        private void Snapshot()
        {
            var then = new Dictionary<(int Series, long TimeMs), double>(_model);
            int crashAt = _random.Next(3) == 0 ? _random.Next(5) : -1, part = 0;
            StoreSnapshot? snapshot = null;
            bool isWhole = CutAll(() => snapshot = _store.TakeSnapshot(), () =>
            {
                if (part++ == crashAt)
                {
                    Crash();
                    return true;
                }
                if (_random.Next(2) == 0)
                    Append();
                return false;
            });
            if (!isWhole)
                return;
            using (snapshot)
                snapshot!.CopyTo("/copy" + Snapshots, 0, CancellationToken.None);
            // What came while its files were written may stand in it or not.
            using StoreEngine copy = StoreEngine.Open(new StoreOptions { Folder = "/copy" + Snapshots, MinFreeBytes = 0 }, _disk, time, new Random(seed), meter, NullLogger.Instance);
            Dictionary<(int, long), double> found = Content(copy);
            foreach (((int, long) key, double value) in then)
                Assert.True(found.TryGetValue(key, out double stored) && (stored == value || stored == _model.GetValueOrDefault(key)), $"seed {seed}: {key} is not in the copy");
            Snapshots++;
        }

        // False: it crashed.
        private bool CutAll(Action? published, Func<bool> ends)
        {
            CutJob cut = _store.BeginCutAll(dropsLog: published is null);
            if (ends())
                return false;
            _disk.Fault = (_, path) =>
            {
                if (_isWithin || path.Contains("/wal/", StringComparison.Ordinal) || _random.Next(3) != 0)
                    return false;
                _isWithin = true;
                Append();
                Between++;
                _isWithin = false;
                return false;
            };
            _store.WriteCut(cut, CancellationToken.None);
            _disk.Fault = null;
            if (ends())
                return false;
            _store.PublishCut(cut);
            published?.Invoke();
            do
            {
                if (ends())
                    return false;
            }
            while (_store.DropCut(cut));
            Assert.Null(cut.Problem);
            return true;
        }

        private void Compare(StoreEngine store, Dictionary<(int Series, long TimeMs), double> model)
        {
            Dictionary<(int, long), double> found = Content(store);
            foreach (((int, long) key, double value) in model)
                Assert.True(found.TryGetValue(key, out double stored) && stored == value, $"seed {seed}: {key}");
            foreach ((int, long) key in found.Keys)
                Assert.True(model.ContainsKey(key) || _doubtful.Contains(key), $"seed {seed}: {key} was deleted");
        }

        private static Dictionary<(int Series, long TimeMs), double> Content(StoreEngine store) =>
            store.Reader.Samples(new LabelMatcher(MatchType.Equal, "__name__", "m")).ToDictionary(s => (int.Parse(s.Labels.Get("i"), CultureInfo.InvariantCulture), s.TimestampMs), s => s.Value);

        private static Labels Of(int series) => Labels.Of("__name__", "m", "i", series.ToString(CultureInfo.InvariantCulture));
    }
}
