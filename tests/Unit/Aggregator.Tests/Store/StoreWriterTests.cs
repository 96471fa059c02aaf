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

    private sealed class DefectiveTap : ISampleTap
    {
        public ulong HeldTo => 0;

        public bool OnCommitted(ulong position, ReadOnlySpan<SeriesSample> samples, ReadOnlySpan<(Labels Labels, Exemplar Exemplar)> exemplars) => throw new NotSupportedException("a defect");
    }

    private StoreWriter Open() =>
        StoreWriter.Open(new StoreOptions { Folder = _folder, MinFreeBytes = 0 }, new OsDisk(), TimeProvider.System, ProcessRandom.Create(), _meter, NullLogger.Instance);
}
