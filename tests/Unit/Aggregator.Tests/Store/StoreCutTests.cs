using System.Diagnostics.Metrics;
using Bellwether.Core.Model;
using Bellwether.Core.Platform;
using Bellwether.Kit;
using Bellwether.Store;
using Bellwether.Store.Wal;
using Microsoft.Extensions.Logging.Abstractions;
using MatchType = Bellwether.Core.Model.MatchType;

namespace Bellwether.Aggregator.Tests.Store;

/// <summary>Chunk files are written beside the writer: data are taken and acknowledged between all parts of a cut, and nothing of them is lost or doubled.</summary>
public sealed class StoreCutTests : StoreSite
{
    [Fact]
    public void Whatever_comes_between_the_parts_of_a_cut_or_a_save_stands_in_the_store_once_also_after_crashes()
    {
        int cuts = 0, saves = 0, duringWriting = 0, crashes = 0;
        for (int seed = 0; seed < 60; seed++)
        {
            var run = new Run(seed, Time, Meter);
            run.Go();
            cuts += run.Cuts;
            saves += run.Saves;
            duringWriting += run.DuringWriting;
            crashes += run.Crashes;
        }
        Assert.True(cuts > 200 && saves > 200 && duringWriting > 200 && crashes > 100, $"{cuts} cuts, {saves} saved heads, {duringWriting} appends while files were written, {crashes} crashes");
    }

    [Fact]
    public void A_cut_that_has_nothing_to_write_is_not_told()
    {
        var lines = new Lines();
        using StoreEngine store = StoreEngine.Open(new StoreOptions { Folder = "/store", MinFreeBytes = 0 }, new MemoryDisk(), Time, new Random(1), Meter, lines);
        for (int i = 0; i < 3; i++)
        {
            Time.Advance(TimeSpan.FromHours(5));
            store.Maintain();
        }
        Assert.True(store.CheckpointedMs > 0);
        Assert.DoesNotContain(lines.All, l => l.Contains("chunk files", StringComparison.Ordinal));

        var batch = new SampleBatch();
        batch.Samples.Add(new SeriesSample(Labels.Of("__name__", "m"), Time.NowMs, 1));
        store.AppendBatch(batch);
        store.Commit();
        Time.Advance(TimeSpan.FromHours(5));
        store.Maintain();
        Assert.Contains(lines.All, l => l.StartsWith("the store wrote 1 chunk files with 1 samples", StringComparison.Ordinal));
    }

    [Fact]
    public void The_writers_own_parts_of_a_cut_write_no_chunk_file_and_look_at_so_many_series_at_once()
    {
        var disk = new FaultyDisk(new Random(1));
        using StoreEngine store = StoreEngine.Open(new StoreOptions { Folder = "/store", MinFreeBytes = 0 }, disk, Time, new Random(1), Meter, NullLogger.Instance);
        var batch = new SampleBatch();
        for (int i = 0; i < 10_000; i++)
            batch.Samples.Add(new SeriesSample(Labels.Of("__name__", "m", "i", i.ToString(System.Globalization.CultureInfo.InvariantCulture)), Time.NowMs, i));
        store.AppendBatch(batch);
        store.Commit();
        Time.Advance(TimeSpan.FromHours(5));
        int slow = 0;
        disk.Fault = (call, path) =>
        {
            slow += call is not DiskCall.Read && !path.Contains("/wal/", StringComparison.Ordinal) ? 1 : 0;
            return false;
        };
        CutJob cut = store.BeginMaintain()!;
        Assert.Equal(0, slow);
        store.WriteCut(cut, CancellationToken.None);
        Assert.NotEqual(0, slow);
        slow = 0;
        store.PublishCut(cut);
        int steps = 1;
        while (store.DropCut(cut))
            steps++;
        Assert.Equal((0, (10_000 + store.SeriesPerStep - 1) / store.SeriesPerStep), (slow, steps));
        Assert.Equal((0, 1), (store.HeadSeries, store.Blocks.Count));
    }

    [Fact]
    public async Task What_comes_while_the_disk_takes_its_time_for_a_chunk_file_is_acknowledged()
    {
        var disk = new GatedDisk();
        var options = new StoreOptions { Folder = Folder, MinFreeBytes = 0, Partition = TimeSpan.FromMinutes(1), PartitionGrace = TimeSpan.FromMinutes(1), MaxLateSamples = 60, HistorySamplesPerSeries = 0 };
        long now = TimeProvider.System.GetUtcNow().ToUnixTimeMilliseconds();
        await using (StoreWriter store = StoreWriter.Open(options, disk, TimeProvider.System, ProcessRandom.Create(), Meter, NullLogger.Instance))
        {
            Task maintained;
            try
            {
                await store.AppendAsync(Batch(now - 600_000, 100), CancellationToken.None);
                maintained = store.MaintainAsync(CancellationToken.None);
                await disk.Reached.WaitAsync(Until.Limit);
                // Of the partition that is being written, and new ones.
                await store.AppendAsync(Batch(now - 599_500, 100), CancellationToken.None).AsTask().WaitAsync(Until.Limit);
                await store.AppendAsync(Batch(now - 10_000, 10), CancellationToken.None).AsTask().WaitAsync(Until.Limit);
                Assert.False(maintained.IsCompleted);
                Assert.Equal(210, Count(store.Reader));
            }
            finally
            {
                // Else the store would wait for its disk for ever when something above fails.
                disk.Open();
            }
            await maintained.WaitAsync(Until.Limit);
            Assert.Equal(210, Count(store.Reader));
            Assert.True(store.Engine.Blocks.Count > 0);
        }
        await using StoreWriter again = StoreWriter.Open(options, new OsDisk(), TimeProvider.System, ProcessRandom.Create(), Meter, NullLogger.Instance);
        Assert.Equal(210, Count(again.Reader));
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
        private readonly Random _random = new(seed);
        private readonly FaultyDisk _disk = new(new Random(seed));
        private readonly Dictionary<(int Series, long TimeMs), double> _model = [];
        private StoreEngine _store = null!;
        private CutJob? _cut;
        private HeadSaver? _saver;
        private int _phase;
        private bool _isWithin;

        public int Cuts { get; private set; }

        public int Saves { get; private set; }

        public int DuringWriting { get; private set; }

        public int Crashes { get; private set; }

        public void Go()
        {
            Open();
            for (int i = 0; i < 200; i++)
            {
                int dice = _random.Next(100);
                if (dice < 55)
                    Append();
                else if (dice < 65)
                    time.Advance(TimeSpan.FromMinutes(_random.Next(60)));
                else if (dice < 96)
                    Advance();
                else
                    Crash();
                if (i % 4 == 0)
                    Compare();
            }
            while (_cut is not null || _saver is not null)
                Advance();
            time.Advance(TimeSpan.FromHours(3));
            _store.Maintain();
            Compare();
            Crash();
            Compare();
        }

        private void Open()
        {
            _store = StoreEngine.Open(new StoreOptions { Folder = "/store", MinFreeBytes = 0, MaxLateSamples = 30, HistorySamplesPerSeries = 0, WalFileBytes = 1 << 20 }, _disk, time, new Random(seed), meter, NullLogger.Instance);
            _store.SeriesPerStep = 3;
        }

        private void Crash()
        {
            Crashes++;
            _cut = null;
            _saver = null;
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
                int series = _random.Next(12);
                long at = time.NowMs - back + (i * 1_000);
                double value = _random.Next(5);
                batch.Samples.Add(new SeriesSample(Of(series), at, value));
                _model[(series, at)] = _model.TryGetValue((series, at), out double known) ? Math.Max(known, value) : value;
            }
            _store.AppendBatch(batch);
            _store.Commit();
        }

        private void Advance()
        {
            if (_saver is not null)
            {
                Save(_saver);
                return;
            }
            if (_cut is null && _random.Next(2) == 0)
            {
                _saver = _store.BeginSave();
                _phase = 0;
                return;
            }
            if (_cut is null)
            {
                _cut = _store.BeginMaintain();
                _phase = 0;
                return;
            }
            switch (_phase++)
            {
                case 0:
                    _disk.Fault = Between;
                    _store.WriteCut(_cut, CancellationToken.None);
                    _disk.Fault = null;
                    break;
                case 1:
                    _store.PublishCut(_cut);
                    Cuts++;
                    break;
                default:
                    if (!_store.DropCut(_cut))
                        _cut = null;
                    break;
            }
        }

        private void Save(HeadSaver saver)
        {
            switch (_phase++)
            {
                case 0:
                    _disk.Fault = Between;
                    _store.WriteSave(saver, CancellationToken.None);
                    _disk.Fault = null;
                    break;
                case 1:
                    _store.EndSave(saver);
                    break;
                case 2:
                    _disk.Fault = Between;
                    StoreEngine.PutSaved(saver);
                    _disk.Fault = null;
                    break;
                default:
                    _store.FinishSave(saver);
                    Saves++;
                    _saver = null;
                    break;
            }
        }

        // The writer goes on while the disk works for a chunk file, the checkpoint or the saved head.
        private bool Between(DiskCall call, string path)
        {
            if (_isWithin || path.Contains("/wal/", StringComparison.Ordinal) || _random.Next(3) != 0)
                return false;
            _isWithin = true;
            Append();
            DuringWriting++;
            _isWithin = false;
            return false;
        }

        private void Compare()
        {
            var found = _store.Reader.Samples(new LabelMatcher(MatchType.Equal, "__name__", "m")).ToDictionary(s => (int.Parse(s.Labels.Get("i"), System.Globalization.CultureInfo.InvariantCulture), s.TimestampMs), s => s.Value);
            Assert.Equal(_model.Count, found.Count);
            foreach (((int, long) key, double value) in _model)
                Assert.True(found.TryGetValue(key, out double stored) && stored == value, $"seed {seed}: {key}");
        }

        private static Labels Of(int series) => Labels.Of("__name__", "m", "i", series.ToString(System.Globalization.CultureInfo.InvariantCulture));
    }
}
