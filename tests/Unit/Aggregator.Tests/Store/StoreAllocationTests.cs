using System.Diagnostics.Metrics;
using Bellwether.Core.Codec;
using Bellwether.Core.Model;
using Bellwether.Kit;
using Bellwether.Store;
using Microsoft.Extensions.Logging.Abstractions;

namespace Bellwether.Aggregator.Tests.Store;

/// <summary>What is done for each sample on its way into memory and the log allocates nothing: a tick of many series costs as many bytes of garbage as one of few.</summary>
public sealed class StoreAllocationTests : IDisposable
{
    private const int Few = 100;
    private const int Many = 3_000;
    private readonly VirtualTime _time = new();
    private readonly Meter _meter = new("store-allocation-tests");

    public void Dispose() => _meter.Dispose();

    [Fact]
    public void A_tick_of_an_agents_stream_allocates_nothing_per_sample() => Assert.Equal(OfStream(Few), OfStream(Many));

    [Fact]
    public void A_batch_of_known_series_allocates_nothing_per_sample() => Assert.Equal(OfBatch(Few), OfBatch(Many));

    // From the fourth tick on open blocks have their arrays, the log its room. The least of several: a lock that is contended takes memory, too.
    private long OfStream(int count)
    {
        using StoreEngine store = Open();
        var table = new SourceTable("source", 15_000);
        for (int i = 0; i < count; i++)
            table.Add(Series(i));
        var tick = new SourceTick();
        var encoder = new SegmentEncoder();
        encoder.StartSegment(withMetadata: true);
        long allocated = long.MaxValue;
        for (int t = 0; t < 10; t++)
        {
            tick.Begin(table, _time.NowMs + (t * 15_000));
            for (int i = 0; i < count; i++)
                tick.Set(i, ValueAt(i, t));
            tick.Complete();
            Assert.Equal(EncodeOutcome.Encoded, encoder.Encode(tick));
            var run = new RecordRun(new SegmentKey("a", 1, 1, 1), (ulong)t, [encoder.Record.ToArray()], false);
            long before = GC.GetAllocatedBytesForCurrentThread();
            RunResult result = store.ApplyRun(run);
            allocated = t < 3 ? allocated : Math.Min(allocated, GC.GetAllocatedBytesForCurrentThread() - before);
            Assert.Equal(count, result.Ticks[0].Samples);
            store.Commit();
        }
        return allocated;
    }

    private long OfBatch(int count)
    {
        using StoreEngine store = Open();
        Labels[] labels = [.. Enumerable.Range(0, count).Select(Series)];
        long allocated = long.MaxValue;
        for (int t = 0; t < 10; t++)
        {
            var batch = new SampleBatch();
            for (int i = 0; i < count; i++)
                batch.Samples.Add(new SeriesSample(store.Known(labels[i]) ?? labels[i], _time.NowMs + (t * 15_000), ValueAt(i, t)));
            long before = GC.GetAllocatedBytesForCurrentThread();
            AppendResult result = store.AppendBatch(batch);
            allocated = t < 3 ? allocated : Math.Min(allocated, GC.GetAllocatedBytesForCurrentThread() - before);
            Assert.Equal(count, result[AppendOutcome.Stored]);
            store.Commit();
        }
        return allocated;
    }

    private static double ValueAt(int series, int tick) => (series % 3) switch { 0 => 7, 1 => 1_000 + (tick * series), _ => (tick * series * 37 % 1_000) / 100.0 };

    private static Labels Series(int i) => Labels.Of("__name__", "m", "i", i.ToString(System.Globalization.CultureInfo.InvariantCulture));

    private StoreEngine Open() => StoreEngine.Open(new StoreOptions { Folder = "/store", MinFreeBytes = 0 }, new MemoryDisk(), _time, new Random(1), _meter, NullLogger.Instance);
}
