using System.Diagnostics.Metrics;
using Bellwether.Core.Model;
using Bellwether.Core.Platform;
using Bellwether.Kit;
using Bellwether.Store;
using Bellwether.Store.Upkeep;
using Microsoft.Extensions.Logging.Abstractions;

namespace Bellwether.Aggregator.Tests.Store.Upkeep;

public sealed class StoreScrubTests : IDisposable
{
    private readonly VirtualTime _time = new();
    private readonly Meter _meter = new("store-scrub-tests");
    private readonly string _folder = Directory.CreateTempSubdirectory("bellwether-scrub-").FullName;
    private readonly StoreEngine _store;

    public StoreScrubTests()
    {
        _store = StoreEngine.Open(new StoreOptions { Folder = _folder, MinFreeBytes = 0 }, new OsDisk(), _time, new Random(1), _meter, NullLogger.Instance);
        for (int file = 0; file < 3; file++)
        {
            var batch = new SampleBatch();
            for (int s = 0; s < 50; s++)
            {
                Labels labels = Labels.Of("__name__", "m", "i", $"{s}");
                for (int i = 0; i < 100; i++)
                    batch.Samples.Add(new SeriesSample(labels, _time.NowMs - 60_000 + (i * 500), Math.Sin(i * s)));
            }
            _store.AppendBatch(batch);
            _store.Commit();
            _time.Advance(TimeSpan.FromHours(2));
            _store.Maintain();
        }
    }

    public void Dispose()
    {
        _store.Dispose();
        _meter.Dispose();
        Directory.Delete(_folder, recursive: true);
    }

    [Fact]
    public async Task A_whole_store_is_read_to_its_end_a_piece_per_second_and_again_after_a_day()
    {
        long all = _store.Statistics(0).ChunkFileBytes;
        await using StoreScrub scrub = Scrub((int)(all / 10));
        int seconds = 0;
        while (scrub.Passes == 0 && seconds++ < 100)
            _time.Advance(TimeSpan.FromSeconds(1));
        Assert.InRange(seconds, 5, 20);
        Assert.Equal(0, scrub.Damaged);
        // Nearly every byte was looked at: only heads and footers are not.
        Assert.InRange(scrub.Bytes, all - (3 * 100), all);
        long bytes = scrub.Bytes;
        _time.Advance(TimeSpan.FromHours(12));
        Assert.Equal(bytes, scrub.Bytes);
        _time.Advance(TimeSpan.FromHours(13));
        Assert.True(scrub.Bytes > bytes);
    }

    [Fact]
    public async Task A_damaged_chunk_is_counted_once_and_kept_aside_and_left_out()
    {
        string file = Directory.GetFiles(Path.Combine(_folder, "chunks"))[1];
        byte[] bytes = File.ReadAllBytes(file);
        bytes[bytes.Length / 2] ^= 4;
        File.WriteAllBytes(file, bytes);
        await using StoreScrub scrub = Scrub(1 << 20);
        while (!scrub.Step(1000))
        {
        }
        Assert.Equal(1, scrub.Damaged);
        Assert.Single(Directory.GetFiles(Path.Combine(_folder, "chunks", "quarantine"), "*.piece"));
        while (!scrub.Step(1 << 20))
        {
        }
        Assert.Equal((1L, 2L), (scrub.Damaged, scrub.Passes));
        Assert.True(_store.Blocks.Files.Single(f => f.Name == Path.GetFileName(file)).IsDamaged);
    }

    [Fact]
    public async Task Files_that_are_merged_meanwhile_are_let_go()
    {
        await using StoreScrub scrub = Scrub(0);
        scrub.Step(2000);
        _time.Advance(TimeSpan.FromHours(30));
        _store.Maintain();
        _store.MergeFiles(CancellationToken.None);
        Assert.Equal(1, _store.Blocks.Count);
        for (int i = 0; !scrub.Step(1 << 20); i++)
            Assert.True(i < 100);
        Assert.Equal(0, scrub.Damaged);
    }

    private StoreScrub Scrub(int bytesPerSecond) => new(_store, _folder, new StoreScrubOptions { BytesPerSecond = bytesPerSecond }, new OsDisk(), _time, _meter, NullLogger.Instance);
}
