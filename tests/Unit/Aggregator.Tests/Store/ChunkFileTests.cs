using Bellwether.Core.Model;
using Bellwether.Core.Platform;
using Bellwether.Store;
using Bellwether.Store.Blocks;
using Bellwether.Store.Head;
using Microsoft.Extensions.Logging.Abstractions;

namespace Bellwether.Aggregator.Tests.Store;

public sealed class ChunkFileTests
{
    // Version 1 as it stands on disks: what reads it may never change, what writes it only with a new version.
    private const string Golden = ""
        + "QldDSAEAAADQDwToBwKq6+vN7AkEAAMAAQMPAw8AAAAAAAAAK0ABAYIBFAQFBGTgAQMA6/WWigEBCLzxXlwJBQAEAQAAWfZGN92avz8AAAAAAAAAAIAAAAAA"
        + "AAAAAIAAnHUAiDzkN34AAAAAAAAA+P8AAAAAAAAA+P8BAwhZ9kY33Zq/PwhB2wJjJru2fwiEWETcx8U+PgicdQCIPOTPgQL4f8EywpsGCF9fbmFtZV9fAWED"
        + "am9iBHNob3ABYgFjAygCAAECAwXQD6AfCAcTIAIABAIDBdAPoB8IBzcDAQAFBdAPoB8IBz5lBAABAQACAwIAAAAEAQEABQECpwAAAAAAAABVAAAAvxLyhegD"
        + "AAAAAAAAiBMAAAAAAAAPAAAAAAAAAAMAAAAAAAAAAAAAAAEAAABCV0NIM8i2Mw==";

    // Version 2, the same content.
    private const string GoldenNow = ""
        + "QldDSAIAAADQDwToBwKq6+vN7AkEAAMAAQMPAw8AAAAAAAAAK0ABAYIBFAQFBGTgAQMA6/WWigEBCLzxXlwJBQAEAQAAWfZGN92avz8AAAAAAAAAAIAAAAAA"
        + "AAAAAIAAnHUAiDzkN34AAAAAAAAA+P8AAAAAAAAA+P8BAwhZ9kY33Zq/PwhB2wJjJru2fwiEWETcx8U+PgicdQCIPOTPgQL4f8EywpsGCF9fbmFtZV9fAWED"
        + "am9iBHNob3ABYgFjAAMpAgABAgMBBdAPoB8ABxYgAgAEAgMBBQCgHwAHAAMBAAUBBQCgHwAHAGWnAAAAAAAAAEUAAABp/vd36AMAAAAAAACIEwAAAAAAAA8A"
        + "AAAAAAAAAwAAAAAAAAAAAAAAAgAAAEJXQ0gM3sHp";

    [Fact]
    public void The_golden_file_of_version_1_is_read()
    {
        var disk = new MemoryDisk();
        Put(disk, "/chunks/0-00000000.chunks", Convert.FromBase64String(Golden));
        CheckContent(disk);
    }

    [Fact]
    public void The_golden_file_is_written_to_the_byte_and_read_back()
    {
        var disk = new MemoryDisk();
        using var blocks = new BlockSet(disk, "/chunks", new StoreOptions { Folder = "/" }, NullLogger.Instance);
        using (BlockWriter writer = blocks.Begin(0))
        {
            writer.Add(Labels.Of("__name__", "a", "job", "shop"), Samples(1, 2, 3.5, SpecialValues.StaleMarker, 7));
            writer.Add(Labels.Of("__name__", "b", "job", "shop"), Samples(4, 4, 4, 4, 4));
            writer.Add(Labels.Of("__name__", "c"), Samples(0.1234567890123456, Math.PI, 1e300, double.NaN, -0.0));
            writer.Finish();
        }
        Assert.Equal(GoldenNow, Convert.ToBase64String(disk.Content("/chunks/0-00000000.chunks")));
        CheckContent(disk);
    }

    private static void Put(MemoryDisk disk, string path, byte[] bytes)
    {
        using IDiskFile file = disk.Open(path, DiskOpen.CreateNew);
        file.Write(0, bytes);
    }

    private static void CheckContent(MemoryDisk disk)
    {
        using var blocks = new BlockSet(disk, "/chunks", new StoreOptions { Folder = "/" }, NullLogger.Instance);
        blocks.Load();
        BlockFile file = Assert.Single(blocks.Files);
        BlockIndex index = blocks.TryIndex(file)!;
        var gather = new SampleGather();
        Assert.True(file.TryRead(index[index.Find(Labels.Of("__name__", "a", "job", "shop"))], 1000, 4000, new ChunkScratch(), gather));
        Assert.Equal([1000, 2000, 3000, 4000], gather.Times);
        Assert.Equal([1, 2, 3.5], gather.Values[..3]);
        Assert.True(SpecialValues.IsStale(gather.Values[3]));
    }

    [Fact]
    public void A_summary_says_what_its_values_are()
    {
        ChunkSummary summary = ChunkSummary.Of([5, 7, 7, 2, SpecialValues.StaleMarker, double.NaN, 3]);
        Assert.Equal((6, 1, 1, 1), (summary.Count, summary.NaNs, summary.Stale, summary.Resets));
        Assert.Equal((5, 3, 2, 7, 7), (summary.First, summary.Last, summary.Min, summary.Max, summary.ResetCorrection));
        Assert.Equal(4, summary.Changes);
        ChunkSummary sum = ChunkSummary.Of([1e100, 1, -1e100]);
        Assert.Equal(1, sum.Sum + sum.SumCompensation);
    }

    private static SampleGather Samples(params double[] values)
    {
        var gather = new SampleGather();
        gather.Begin();
        for (int i = 0; i < values.Length; i++)
            gather.Add(1000 * (i + 1), values[i]);
        return gather;
    }
}
