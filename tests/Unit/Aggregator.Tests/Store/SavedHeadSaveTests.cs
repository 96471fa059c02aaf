using System.Globalization;
using Bellwether.Core.Model;
using Bellwether.Core.Platform;
using Bellwether.Core.Telemetry;
using Bellwether.Store;
using Microsoft.Extensions.Logging.Abstractions;

namespace Bellwether.Aggregator.Tests.Store;

/// <summary>When the head is saved, when that is given up, and what the store says of it.</summary>
public sealed class SavedHeadSaveTests : SavedHeadSite
{
    [Fact]
    public void One_that_would_leave_too_little_room_is_given_up_and_leaves_nothing()
    {
        var disk = new MemoryDisk { Free = 999 };
        using StoreEngine store = StoreEngine.Open(Options with { MinFreeBytes = 1000 }, disk, Time, new Random(1), Meter, NullLogger.Instance);
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
        using var metrics = new SelfMetrics(Meter);
        double Of(string name) => metrics.Collect().Single(f => f.Name == name).Samples[0].Value;
        using StoreEngine store = StoreEngine.Open(Options with { MinFreeBytes = 1000 }, disk, Time, new Random(1), Meter, NullLogger.Instance);
        Fill(store, 1);
        store.SaveHead();
        Assert.Equal((0, 1, 0, 0), (Of(MetricNames.StoreHeadSaves), Of(MetricNames.StoreHeadSavesFailed), Of(MetricNames.StoreHeadSaved), Of(MetricNames.StoreHeadSavedBytes)));
        disk.Free = 1000;
        Bellwether.Store.Wal.HeadSaver saver = store.BeginSave();
        Time.Advance(TimeSpan.FromSeconds(2));
        store.WriteSave(saver, CancellationToken.None);
        store.EndSave(saver);
        StoreEngine.PutSaved(saver);
        store.FinishSave(saver);
        Assert.Equal((1, 1, Time.NowMs / 1000.0, 2), (Of(MetricNames.StoreHeadSaves), Of(MetricNames.StoreHeadSavesFailed), Of(MetricNames.StoreHeadSaved), Of(MetricNames.StoreHeadSaveSeconds)));
        Assert.Equal(disk.LengthOf(HeadPath), Of(MetricNames.StoreHeadSavedBytes));
    }

    [Fact]
    public async Task The_writer_saves_it_by_itself_while_data_come()
    {
        long now = TimeProvider.System.GetUtcNow().ToUnixTimeMilliseconds();
        StoreOptions options = Options with { Folder = Folder, SaveHeadSamples = 300 };
        long frames = 0;
        await using (StoreWriter store = StoreWriter.Open(options, new OsDisk(), TimeProvider.System, ProcessRandom.Create(), Meter, NullLogger.Instance))
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
        using StoreEngine again = StoreEngine.Open(options, new OsDisk(), TimeProvider.System, ProcessRandom.Create(), Meter, NullLogger.Instance);
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
}
