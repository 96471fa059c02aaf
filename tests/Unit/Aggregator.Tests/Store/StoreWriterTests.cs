using System.Diagnostics.Metrics;
using Bellwether.Core.Model;
using Bellwether.Core.Platform;
using Bellwether.Kit;
using Bellwether.Store;
using Microsoft.Extensions.Logging.Abstractions;

namespace Bellwether.Aggregator.Tests.Store;

public sealed class StoreWriterTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("bellwether-store").FullName;
    private readonly Meter _meter = new("store-writer-tests");

    public void Dispose()
    {
        _meter.Dispose();
        Directory.Delete(_folder, true);
    }

    [Fact]
    public async Task What_was_appended_is_read_at_once_and_after_a_restart_on_a_real_disk()
    {
        long now = TimeProvider.System.GetUtcNow().ToUnixTimeMilliseconds();
        await using (StoreWriter store = Open())
        {
            var batch = new SampleBatch();
            for (int i = 0; i < 500; i++)
                batch.Samples.Add(new SeriesSample(Labels.Of("__name__", "up", "job", "shop"), now - 1_000_000 + (i * 1000), i % 3));
            AppendResult result = await store.AppendAsync(batch, CancellationToken.None);
            Assert.Equal(500, result[AppendOutcome.Stored]);
            Assert.Equal(500, Read(store, "up").Count);
        }
        await using (StoreWriter store = Open())
        {
            SampleBuffer samples = Read(store, "up");
            Assert.Equal(500, samples.Count);
            Assert.Equal(now - 1_000_000, samples.Times[0]);
            for (int i = 0; i < 500; i++)
                Assert.Equal(i % 3, samples.Values[i]);
        }
    }

    private static SampleBuffer Read(StoreWriter store, string name) => store.Reader.SeriesNamed(name);

    [Fact]
    public async Task A_writer_that_dies_by_a_defect_says_so_and_takes_nothing_more()
    {
        await using StoreWriter store = StoreWriter.Open(
            new StoreOptions { Folder = _folder, MinFreeBytes = 0 }, new OsDisk(), TimeProvider.System, ProcessRandom.Create(), _meter, NullLogger.Instance, new DefectiveTap());
        Assert.Null(store.Failure);
        var batch = new SampleBatch();
        batch.Samples.Add(new SeriesSample(Labels.Of("__name__", "up"), TimeProvider.System.GetUtcNow().ToUnixTimeMilliseconds(), 1));
        await Assert.ThrowsAsync<StoreUnavailableException>(async () => await store.AppendAsync(batch, CancellationToken.None));
        Assert.IsType<NotSupportedException>(store.Failure);
        await Assert.ThrowsAsync<StoreUnavailableException>(async () => await store.AppendAsync(batch, CancellationToken.None));
    }

    [Fact]
    public async Task A_disk_that_does_not_say_how_much_room_there_is_refuses_new_data_and_ends_nothing()
    {
        var disk = new GatedDisk();
        await using StoreWriter store = StoreWriter.Open(new StoreOptions { Folder = _folder, MinFreeBytes = 0, SaveHeadSamples = 1 }, disk, TimeProvider.System, ProcessRandom.Create(), _meter, NullLogger.Instance);
        await store.AppendAsync(One(1), CancellationToken.None);
        disk.HidesItsRoom = true;
        await Assert.ThrowsAsync<StoreUnavailableException>(async () => await store.AppendAsync(One(2), CancellationToken.None));
        disk.HidesItsRoom = false;
        await store.AppendAsync(One(3), CancellationToken.None);
        Assert.Null(store.Failure);
        disk.Open();
    }

    [Fact]
    public async Task Maintenance_goes_on_while_more_comes_than_the_queue_takes()
    {
        var time = new VirtualTime();
        var tap = new SlowTap();
        await using StoreWriter store = StoreWriter.Open(new StoreOptions { Folder = _folder, MinFreeBytes = 0, MaxQueued = 2 }, new OsDisk(), time, ProcessRandom.Create(), _meter, NullLogger.Instance, tap);
        await store.MaintainAsync(CancellationToken.None);
        Task[] appends;
        try
        {
            tap.Goes.Reset();
            var first = store.AppendAsync(One(time.NowMs), CancellationToken.None).AsTask();
            await tap.Reached.Task;
            // Two fill the queue, the others wait in front of it.
            appends = [first, .. Enumerable.Range(1, 5).Select(i => store.AppendAsync(One(time.NowMs + i), CancellationToken.None).AsTask())];
            time.Advance(TimeSpan.FromSeconds(5));
        }
        finally
        {
            tap.Goes.Set();
        }
        await Task.WhenAll(appends);
        await store.AppendAsync(One(time.NowMs + 9), CancellationToken.None);
        Assert.Equal(time.NowMs, store.Engine.MaintainedMs);
    }

    private static SampleBatch One(long timeMs)
    {
        var batch = new SampleBatch();
        batch.Samples.Add(new SeriesSample(Labels.Of("__name__", "up"), timeMs > 1000 ? timeMs : TimeProvider.System.GetUtcNow().ToUnixTimeMilliseconds() + timeMs, 1));
        return batch;
    }

    private sealed class SlowTap : ISampleTap
    {
        public ManualResetEventSlim Goes { get; } = new(true);

        public TaskCompletionSource Reached { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public ulong HeldTo => 0;

        public bool OnCommitted(ulong position, ReadOnlySpan<SeriesSample> samples, ReadOnlySpan<(Labels Labels, Exemplar Exemplar)> exemplars)
        {
            Reached.TrySetResult();
            Goes.Wait();
            return true;
        }
    }

    private sealed class DefectiveTap : ISampleTap
    {
        public ulong HeldTo => 0;

        public bool OnCommitted(ulong position, ReadOnlySpan<SeriesSample> samples, ReadOnlySpan<(Labels Labels, Exemplar Exemplar)> exemplars) => throw new NotSupportedException("a defect");
    }

    private StoreWriter Open() =>
        StoreWriter.Open(new StoreOptions { Folder = _folder, MinFreeBytes = 0 }, new OsDisk(), TimeProvider.System, ProcessRandom.Create(), _meter, NullLogger.Instance);
}
