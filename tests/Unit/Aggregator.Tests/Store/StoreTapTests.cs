using System.Diagnostics.Metrics;
using System.Globalization;
using Bellwether.Core.Codec;
using Bellwether.Core.Configuration.Prometheus;
using Bellwether.Core.Durable;
using Bellwether.Core.Model;
using Bellwether.Core.Telemetry;
using Bellwether.Kit;
using Bellwether.Serve.RemoteWrite;
using Bellwether.Store;
using Microsoft.Extensions.Logging.Abstractions;

namespace Bellwether.Aggregator.Tests.Store;

/// <summary>What the store tells of its commits, over crashes between its own fsync and that of who listens.</summary>
public sealed class StoreTapTests : IDisposable
{
    private const string QueueFolder = "/forward";
    private readonly VirtualTime _time = new();
    private readonly Meter _meter = new("store-tap-tests");
    private readonly StoreOptions _options = new() { Folder = "/store", MinFreeBytes = 0, SaveHeadSamples = 30 };

    public void Dispose() => _meter.Dispose();

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    public void A_power_cut_at_any_write_leaves_the_queue_with_every_sample_of_the_store_once(int seed)
    {
        int cuts = 0;
        for (int after = 0; ; after += 1 + (after / 64))
        {
            var disk = new MemoryDisk { CutAfter = after };
            bool isCut = !TryWork(disk, 0);
            MemoryDisk left = isCut ? disk.Crash(new Random((seed * 100_000) + after)) : disk;
            // A second life, which may be cut too while it tells what was missing.
            left.CutAfter = after % 7;
            if (!TryWork(left, 1))
                left = left.Crash(new Random((seed * 200_000) + after));
            left.CutAfter = long.MaxValue;
            Assert.True(TryWork(left, 2));
            (Dictionary<string, int> stored, Dictionary<string, int> queued) = Contents(left);
            Assert.True(stored.Count > 0);
            Assert.Equal(stored.OrderBy(s => s.Key, StringComparer.Ordinal), queued.OrderBy(s => s.Key, StringComparer.Ordinal));
            cuts += isCut ? 1 : 0;
            if (!isCut)
                break;
        }
        Assert.True(cuts > 50, $"{cuts} cuts");
    }

    [Fact]
    public void A_commit_of_which_a_crash_left_a_part_in_the_queue_is_told_again()
    {
        int torn = 0;
        for (int seed = 0; seed < 5; seed++)
        {
            var disk = new MemoryDisk();
            Assert.Throws<PowerCutException>(() =>
            {
                using RemoteWriteForwarder forwarder = Forwarder(disk);
                using StoreEngine store = Open(disk, forwarder);
                store.AppendBatch(Numbered(0, 1));
                store.Commit();
                store.AppendBatch(Numbered(1, 25_000));
                // The store's write and sync go through, of the queue's the write only.
                disk.CutAfter = 3;
                store.Commit();
            });
            MemoryDisk left = disk.Crash(new Random(seed));
            (int inStore, int before) = (Contents(left).Stored.Count, Contents(left).Queued.Count);
            Assert.Equal(25_001, inStore);
            using (RemoteWriteForwarder forwarder = Forwarder(left))
            using (StoreEngine store = Open(left, forwarder))
                Assert.Equal(1UL, forwarder.HeldTo);
            (Dictionary<string, int> stored, Dictionary<string, int> queued) = Contents(left);
            Assert.Equal(25_001, stored.Count);
            Assert.Equal(stored.Keys.Order(StringComparer.Ordinal), queued.Keys.Order(StringComparer.Ordinal));
            torn += before is > 1 and < 25_001 ? 1 : 0;
        }
        Assert.True(torn > 0, "no crash left a part");
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_last_commit_that_no_upstream_takes_does_not_make_a_start_replay_the_whole_log(bool exemplars)
    {
        var disk = new MemoryDisk();
        SampleBatch batch = Numbered(0, 3);
        using (RemoteWriteForwarder forwarder = Forwarder(disk))
        using (StoreEngine store = Open(disk, forwarder))
        {
            store.AppendBatch(batch);
            store.Commit();
            var rest = new SampleBatch();
            if (exemplars)
                rest.Exemplars.Add((batch.Samples[0].Labels, new Exemplar(Labels.Of("trace_id", "a"), 1, _time.NowMs)));
            else
                rest.Samples.Add(new SeriesSample(Revision.Make(batch.Samples[0].Labels, 1), _time.NowMs, 5));
            store.AppendBatch(rest);
            store.Commit();
            store.SaveHead();
        }
        using (RemoteWriteForwarder forwarder = Forwarder(disk))
        using (StoreEngine store = Open(disk, forwarder))
            Assert.True(store.Opened.SavedHead);
        // What the queue lacks is told all the same.
        foreach (string path in disk.Paths.Where(p => p.StartsWith(QueueFolder, StringComparison.Ordinal)).ToList())
            disk.Delete(path);
        using (RemoteWriteForwarder forwarder = Forwarder(disk))
        using (StoreEngine store = Open(disk, forwarder))
            Assert.False(store.Opened.SavedHead);
        Assert.Equal(3, Contents(disk).Queued.Count);
    }

    [Fact]
    public void A_tap_is_told_what_stands_in_chunk_files_while_the_log_has_it()
    {
        var disk = new MemoryDisk();
        using (StoreEngine store = Open(disk, new Recorder(0)))
        {
            store.AppendBatch(Numbered(0, 5));
            store.Commit();
            _time.Advance(TimeSpan.FromHours(3));
            store.Maintain();
            Assert.Equal(0, store.Statistics().HeadSeries);
        }
        var late = new Recorder(0);
        using StoreEngine again = Open(disk, late);
        Assert.Equal(5, late.Told.Sum(t => t.Samples));
    }

    [Fact]
    public void Positions_grow_over_restarts_and_start_behind_those_that_the_tap_knows()
    {
        var disk = new MemoryDisk();
        ulong last = 1000;
        for (int life = 0; life < 4; life++)
        {
            var tap = new Recorder(last);
            using StoreEngine store = Open(disk, tap);
            Assert.Empty(tap.Told);
            for (int i = 0; i < 3; i++)
            {
                store.AppendBatch(Numbered((life * 3) + i, 1));
                store.Commit();
            }
            store.Commit();
            Assert.Equal([last + 1, last + 2, last + 3], tap.Told.Select(t => t.Position));
            last = tap.Told[^1].Position;
        }
        var all = new Recorder(1000);
        using StoreEngine whole = Open(disk, all);
        Assert.Equal((last, 12), Assert.Single(all.Told));
    }

    [Fact]
    public void The_store_says_how_its_files_and_its_maintenance_are()
    {
        var disk = new MemoryDisk();
        using var metrics = new SelfMetrics(_meter);
        double Of(string name) => metrics.Collect().Single(f => f.Name == name).Samples[0].Value;
        using StoreEngine store = Open(disk, null);
        store.AppendBatch(Numbered(0, 3));
        store.Commit();
        Assert.Equal((3, 0, 0, 0), (Of(MetricNames.StoreSeries), Of(MetricNames.StoreChunkFiles), Of(MetricNames.StoreMaintained), Of(MetricNames.StoreCheckpointed)));
        Assert.True(Of(MetricNames.StoreWalBytes) > 0);
        _time.Advance(TimeSpan.FromHours(3));
        disk.IsFull = true;
        store.Maintain();
        Assert.Equal((1, 0), (Of(MetricNames.StoreCutsFailed), Of(MetricNames.StoreMaintained)));
        disk.IsFull = false;
        store.Maintain();
        Assert.Equal((0, 1), (Of(MetricNames.StoreSeries), Of(MetricNames.StoreChunkFiles)));
        Assert.Equal((_time.NowMs / 1000.0, _time.NowMs / 1000.0), (Of(MetricNames.StoreMaintained), Of(MetricNames.StoreCheckpointed)));
        string path = disk.Paths.Single(p => p.EndsWith(".chunks", StringComparison.Ordinal));
        Assert.Equal(disk.LengthOf(path), Of(MetricNames.StoreChunkFileBytes));
        // Behind the file's head: in its first chunk.
        disk.FlipBit(path, 8 * 24);
        using ISeriesSet set = store.Reader.Select(long.MinValue, long.MaxValue, [], CancellationToken.None);
        var buffer = new SampleBuffer();
        for (int i = 0; i < set.Count; i++)
            set.Read(i, buffer);
        Assert.True(Of(MetricNames.StoreReadsDamaged) > 0);
        Assert.Equal(0, Of(MetricNames.StoreFilesQuarantined));
    }

    /// <summary>One life of a store with its queue: batches, records of an agent and maintenance. False: the power went.</summary>
    private bool TryWork(MemoryDisk disk, int life)
    {
        try
        {
            using RemoteWriteForwarder forwarder = Forwarder(disk);
            using StoreEngine store = Open(disk, forwarder);
            var encoder = new SegmentEncoder();
            encoder.StartSegment(true);
            var table = new SourceTable("host", 1000);
            table.Add(Labels.Of("__name__", "up", "life", life.ToString(CultureInfo.InvariantCulture)));
            var tick = new SourceTick();
            for (int i = 0; i < 8; i++)
            {
                store.AppendBatch(Numbered((life * 100) + (i * 3), 3));
                tick.Begin(table, _time.NowMs + i + (life * 100));
                tick.Set(0, i);
                tick.Complete();
                encoder.Encode(tick);
                store.ApplyRun(new RecordRun(new SegmentKey("a", 1, (ulong)life + 1, 1), (ulong)i, [encoder.Record.ToArray()], i == 7));
                store.Commit();
                if (i == 4)
                    store.Maintain();
            }
            return true;
        }
        catch (PowerCutException)
        {
            return false;
        }
    }

    private (Dictionary<string, int> Stored, Dictionary<string, int> Queued) Contents(MemoryDisk disk)
    {
        var stored = new Dictionary<string, int>();
        using (StoreEngine store = Open(disk, null))
        using (ISeriesSet set = store.Reader.Select(long.MinValue, long.MaxValue, [], CancellationToken.None))
        {
            var buffer = new SampleBuffer();
            for (int s = 0; s < set.Count; s++)
            {
                set.Read(s, buffer);
                foreach (long time in buffer.Times)
                    Count(stored, set.LabelsAt(s), time);
            }
        }
        var queued = new Dictionary<string, int>();
        using (var queue = new ForwardQueue(new ForwardQueueOptions { Folder = QueueFolder }, disk, _time, new Random(1)))
        using (LogReader reader = queue.Read(0))
        {
            var decoder = new WriteRequestReader(new RemoteWriteReceiveOptions { SamplesMax = int.MaxValue });
            while (reader.MoveNext() == LogRead.Frame)
            {
                var batch = new SampleBatch();
                Assert.Null(decoder.Read(reader.Payload[ForwardQueue.HeaderBytes..], batch).Malformed);
                foreach (SeriesSample sample in batch.Samples)
                    Count(queued, sample.Labels, sample.TimestampMs);
            }
        }
        return (stored, queued);
    }

    private static void Count(Dictionary<string, int> into, Labels labels, long time)
    {
        string key = string.Create(CultureInfo.InvariantCulture, $"{labels}@{time}");
        into[key] = into.GetValueOrDefault(key) + 1;
    }

    private SampleBatch Numbered(int from, int count)
    {
        var batch = new SampleBatch();
        for (int i = from; i < from + count; i++)
            batch.Samples.Add(new SeriesSample(Labels.Of("__name__", "m", "i", i.ToString(CultureInfo.InvariantCulture)), _time.NowMs, i));
        return batch;
    }

    private RemoteWriteForwarder Forwarder(MemoryDisk disk)
    {
        var around = new ForwardSurroundings(Labels.Empty, () => new Dictionary<string, MetricMetadata>(), _meter, RemoteWriteForwarder.DefaultHandler);
        return new RemoteWriteForwarder(new ForwardQueueOptions { Folder = QueueFolder }, [new RemoteWriteConfig { Url = "http://127.0.0.1:9/" }], around, disk, _time, NullLogger.Instance);
    }

    private StoreEngine Open(MemoryDisk disk, ISampleTap? tap) => StoreEngine.Open(_options, disk, _time, new Random(1), _meter, NullLogger.Instance, tap);

    [Fact]
    public void Exemplars_are_told_once_with_the_samples_of_their_commit_and_again_after_a_crash()
    {
        var disk = new MemoryDisk();
        var batch = Numbered(0, 1);
        Labels labels = batch.Samples[0].Labels;
        var exemplar = new Exemplar(Labels.Of("trace_id", "a"), 1, batch.Samples[0].TimestampMs);
        batch.Exemplars.AddRange([(labels, exemplar), (labels, exemplar), (labels, exemplar with { TimestampMs = null })]);
        for (int life = 0; life < 2; life++)
        {
            var told = new Recorder(0);
            using StoreEngine store = Open(disk, told);
            if (life == 0)
            {
                store.AppendBatch(batch);
                store.Commit();
                store.AppendBatch(batch);
                store.Commit();
            }
            Assert.Equal([(labels, exemplar)], told.Exemplars);
            disk = disk.Crash(new Random(1));
        }
    }

    private sealed class Recorder(ulong heldTo) : ISampleTap
    {
        public List<(Labels Labels, Exemplar Exemplar)> Exemplars { get; } = [];

        public List<(ulong Position, int Samples)> Told { get; } = [];

        public ulong HeldTo => heldTo;

        public bool OnCommitted(ulong position, ReadOnlySpan<SeriesSample> samples, ReadOnlySpan<(Labels Labels, Exemplar Exemplar)> exemplars)
        {
            Told.Add((position, samples.Length));
            Exemplars.AddRange(exemplars);
            return true;
        }
    }
}
