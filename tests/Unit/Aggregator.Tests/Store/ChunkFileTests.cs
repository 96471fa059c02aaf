using Bellwether.Core.Model;
using Bellwether.Core.Platform;
using Bellwether.Store;
using Bellwether.Store.Blocks;
using Bellwether.Store.Chunks;
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
    private const string GoldenTwo = ""
        + "QldDSAIAAADQDwToBwKq6+vN7AkEAAMAAQMPAw8AAAAAAAAAK0ABAYIBFAQFBGTgAQMA6/WWigEBCLzxXlwJBQAEAQAAWfZGN92avz8AAAAAAAAAAIAAAAAA"
        + "AAAAAIAAnHUAiDzkN34AAAAAAAAA+P8AAAAAAAAA+P8BAwhZ9kY33Zq/PwhB2wJjJru2fwiEWETcx8U+PgicdQCIPOTPgQL4f8EywpsGCF9fbmFtZV9fAWED"
        + "am9iBHNob3ABYgFjAAMpAgABAgMBBdAPoB8ABxYgAgAEAgMBBQCgHwAHAAMBAAUBBQCgHwAHAGWnAAAAAAAAAEUAAABp/vd36AMAAAAAAACIEwAAAAAAAA8A"
        + "AAAAAAAAAwAAAAAAAAAAAAAAAgAAAEJXQ0gM3sHp";

    // Version 4: the same content, and two series with brief summaries and times of their own.
    private const string GoldenNow = ""
        + "QldDSAQAAADQDwPQDwCIrIBRCQQAAwABAw8DDwAAAAAAAAArQAEBggEUBwUAAxoOAQMAsSBIdQEBCLzxXlwJBQAEAQAAWfZGN92avz8AAAAAAAAAAIAAAAAA"
        + "AAAAAIAAnHUAiDzkN34AAAAAAAAA+P8AAAAAAAAA+P8BAwhZ9kY33Zq/PwhB2wJjJru2fwiEWETcx8U+PgicdQCIPOTPgQL4f8EywpvQDwPQDwCIrIBRIRdk"
        + "BFkAAgDIAQMABQe00AFTd/kuIRI2AQEAZmZmZmZm/j8ENwACAQYCBAWlRMAB13fzYwgIX19uYW1lX18BYQNqb2IEc2hvcAFiAWMBZAFlAAIF0A+gHwAGBgCI"
        + "J6oCBgUoAgABAgMBQwAUAgAEAgMBBwEAAQAFAcsBAQABAAYBIwAUAQAHATcBAOUAAAAAAAAAVwAAAMtvd3boAwAAAAAAAHAXAAAAAAAAGwAAAAAAAAAFAAAA"
        + "AAAAAAAAAAAEAAAAQldDSMvs5nM=";

    [Theory]
    [InlineData(Golden)]
    [InlineData(GoldenTwo)]
    public void The_golden_files_of_earlier_versions_are_read(string golden)
    {
        var disk = new MemoryDisk();
        Put(disk, "/chunks/0-00000000.chunks", Convert.FromBase64String(golden));
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
            writer.Add(Labels.Of("__name__", "d"), Samples(100, 107, 107, 120, 121, 150));
            writer.Add(Labels.Of("__name__", "e"), Samples(0.3, 0.7, 0.7, 1.9, 0.2, 3));
            writer.Finish();
        }
        Assert.Equal(GoldenNow, Convert.ToBase64String(disk.Content("/chunks/0-00000000.chunks")));
        CheckContent(disk);
        blocks.Load();
        BlockFile file = Assert.Single(blocks.Files);
        BlockIndex index = blocks.TryIndex(file)!;
        BlockEntry entry = index[index.Find(Labels.Of("__name__", "e"))];
        Assert.True(file.TryReadSummary(entry, new ChunkScratch(), out SlotSummary summary));
        ChunkSummary.Of([0.3, 0.7, 0.7, 1.9, 0.2, 3]).TryForSlot(1000, 6000, 6, out SlotSummary all);
        Assert.Equal(all, summary);
    }

    // Version 3: slots of 5 minutes, and a chunk of samples beside them.
    private const string GoldenCoarseThree = ""
        + "QldDSAMAAADAzyQGoPc2gJ9JAQKELuPuEAYAAQHQDwTnBwEB8L8kBtCGA76aDAEBAAbgpxIAAQECAAEBBAABAQEGAgABAoIAAgIEAAECAQAAAAAAAPj/AAIA"
        + "BAYFCAEBAAIAAgYCBAECAAIBRgYyUAEBAIIBggEC3AEAAQIBAAAAAAAA+P8AggAAAAABAgEAAAAAAAD4/wACAUYEIwEBH5YYuMDPJAbgpxKAn0kBApA5DiUQ"
        + "AgABAtAPAAAAAAAABugHAAECAAAAAAAAAAaACAABAgEOAQEBAQABAAABAJQ/gsLQDwboB6AfAQJ8pFdgCQMAAgAAAwAAAAAAAAAMQAMAAAAAAAAADEAAAAAA"
        + "AAAAGkABAQIBFAYPKAECw25t4AYIX19uYW1lX18BYQNqb2IEc2hvcAFiAWMAAy4CAAECAwED0A+4pE8ADCCHAQIABAIDAQMAwM8ktgIMICwBAAUBAwDQD4AB"
        + "CRotIQEAAAAAAABKAAAABv14VegDAAAAAAAAINYTAAAAAAAJAAAAAAAAAAMAAADgkwQAAAAAAAMAAABCV0NIV8WoqQ==";

    // Version 5, the same content.
    private const string GoldenCoarse = ""
        + "QldDSAUAAADAzyQHwM8kwM8kAQLKtQypEAYAAQHQDwfnB80PAQLwvyQHuYUGkZgSAQIABuCnEgABAQIAAQEEAAEBAQMCAQKCAAIDAAEBAQIBAAAAAAAA+P8A"
        + "AgAEBgUIAQEAAgACAwIBAgACAUYGMlABAQCCAYIBBy0AAQEBAgEAAAAAAAD4/wCCAAADAAABAgEAAAAAAAD4/wACAUYHI0UBArkeg2LAzyQDwM8kALaD7skQ"
        + "AgABAtAPAwAAAAMAAAAH6AcAAQIAAwAAAAMAAAAHgAgAAQIBDgEBAQEAAQAAAQDcAj5Y0A8D0A8AiKyAUSEfMgEAAgEUBwUUAQJI1CcXBghfX25hbWVfXwFh"
        + "A2pvYgRzaG9wAWIBYwADLgIAAQIDAQPQD7ikTwAMIIsBAgAEAgMBAwDAzyS+AggYMAEABQEDANAPgAEGFA0CAQAAAAAAAEoAAADcqX5v6AMAAAAAAAAg1hMA"
        + "AAAAAAkAAAAAAAAAAwAAAOCTBAAAAAAABQAAAEJXQ0j2/xhe";

    [Fact]
    public void The_golden_file_of_a_coarser_resolution_of_version_3_is_read()
    {
        var disk = new MemoryDisk();
        Put(disk, "/chunks/0-00000000.chunks", Convert.FromBase64String(GoldenCoarseThree));
        using var blocks = new BlockSet(disk, "/chunks", new StoreOptions { Folder = "/" }, NullLogger.Instance);
        CheckCoarse(blocks);
    }

    [Fact]
    public void The_golden_file_of_a_coarser_resolution_is_written_to_the_byte_and_read_back()
    {
        var disk = new MemoryDisk();
        using var blocks = new BlockSet(disk, "/chunks", new StoreOptions { Folder = "/" }, NullLogger.Instance);
        using (BlockWriter writer = blocks.Begin(0, null, 300_000))
        {
            writer.Add(Labels.Of("__name__", "a", "job", "shop"), Counter);
            writer.Add(Labels.Of("__name__", "b", "job", "shop"), Constant);
            writer.Add(Labels.Of("__name__", "c"), Samples(1, 2, 3.5));
            writer.Finish();
        }
        Assert.Equal(GoldenCoarse, Convert.ToBase64String(disk.Content("/chunks/0-00000000.chunks")));
        CheckCoarse(blocks);
    }

    private static CoarseSlot[] Counter => Slots((1_000, 1), (200_000, 3.5), (300_000, 2), (300_001, 2), (450_000, 9), (600_000, SpecialValues.StaleMarker), (1_200_001, double.NaN), (1_300_000, 4));

    private static CoarseSlot[] Constant => Slots((1_000, 7), (301_000, 7), (601_000, SpecialValues.StaleMarker));

    private static void CheckCoarse(BlockSet blocks)
    {
        blocks.Load();
        BlockFile file = Assert.Single(blocks.Files);
        Assert.Equal((300_000, 1_000L, 1_300_000L), (file.ResolutionMs, file.Footer.MinMs, file.Footer.MaxMs));
        BlockIndex index = blocks.TryIndex(file)!;
        foreach ((string name, CoarseSlot[] slots) in (ReadOnlySpan<(string, CoarseSlot[])>)[("a", Counter), ("b", Constant)])
        {
            var read = new List<CoarseSlot>();
            Assert.True(file.TryRead(index[index.Find(Labels.Of("__name__", name, "job", "shop"))], long.MinValue, long.MaxValue, new ChunkScratch(), new SampleGather(), read));
            Assert.Equal(slots, read);
        }
        var gather = new SampleGather();
        Assert.True(file.TryRead(index[index.Find(Labels.Of("__name__", "a", "job", "shop"))], 100_000, 700_000, new ChunkScratch(), gather));
        // What is known of the samples: first, last and stale marker of each slot.
        Assert.Equal([300_000, 300_001, 450_000, 600_000], gather.Times);
        Assert.Equal([2, 2, 9], gather.Values[..3]);
    }

    [Fact]
    public void A_slot_is_what_its_samples_are_and_slots_of_slots_as_well()
    {
        CoarseSlot[] slots = Slots((1_000, 5), (2_000, 7.5), (3_000, SpecialValues.StaleMarker), (4_000, 2), (300_000, 2), (300_001, 1), (400_000, SpecialValues.StaleMarker), (500_000, SpecialValues.StaleMarker));
        Assert.Equal(2, slots.Length);
        SlotSummary first = slots[0].Floats;
        Assert.Equal((1_000, 300_000, 4, 1, 2), (first.FirstMs, first.LastMs, first.Count, first.Resets, first.Changes));
        Assert.Equal((5, 2, 2, 7.5, 16.5, 7.5), (first.First, first.Last, first.Min, first.Max, first.Sum, first.ResetCorrection));
        Assert.Equal((CoarseSlot.None, -1), (slots[0].StaleMs, slots[0].Unit));
        Assert.Equal((400_000, 0), (slots[1].StaleMs, slots[1].Unit));
        var hours = new CoarseSlots(3_600_000);
        foreach (CoarseSlot slot in slots)
            hours.Add(slot);
        hours.End();
        CoarseSlot hour = Assert.Single(hours.Done);
        Assert.Equal((5, 2, 3, 400_000L, -1), (hour.Floats.Count, hour.Floats.Resets, hour.Floats.Changes, hour.StaleMs, hour.Unit));
        Assert.Equal((5, 1, 17.5, 9.5), (hour.Floats.First, hour.Floats.Last, hour.Floats.Sum, hour.Floats.ResetCorrection));
        Assert.Equal([0, 1, -3, -1074, 0, CoarseSlot.AnyUnit, CoarseSlot.NoUnit], new[] { 1, 2, 0.125, double.Epsilon, 3e9 + 1, 0, double.PositiveInfinity }.Select(CoarseSlot.UnitOf));
        Assert.Equal([0L, 300_000, 300_000, 600_000, 0, -300_000], new[] { 0L, 1, 300_000, 300_001, -1, -300_000 }.Select(t => CoarseSlot.EndOf(t, 300_000)));
    }

    private static CoarseSlot[] Slots(params (long TimeMs, double Value)[] samples)
    {
        var slots = new CoarseSlots(300_000);
        foreach ((long timeMs, double value) in samples)
            slots.Add(timeMs, value);
        slots.End();
        return [.. slots.Done];
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

    [Fact]
    public void A_brief_summary_says_the_same_to_the_bit_wherever_it_can_be_written()
    {
        int written = 0;
        var random = new Random(3);
        for (int round = 0; round < 3000; round++)
        {
            var values = new double[random.Next(2, 300)];
            double level = random.Next(1000), unit = Math.Pow(10, random.Next(5));
            int kind = random.Next(5);
            for (int i = 0; i < values.Length; i++)
            {
                level += kind == 1 ? random.Next(-50, 50) : kind == 2 ? random.Next(2) : random.Next(100_000);
                values[i] = kind == 3 ? random.NextInt64(1L << 51) : kind == 4 && random.Next(20) == 0 ? double.NaN : level / unit;
            }
            if (ValueBlock.IsConstant(values))
                continue;
            var block = new ByteWriter();
            ValueBlock.Encode(values, block);
            var writer = new ByteWriter();
            if (!BriefSummary.TryWrite(values, block.Written, writer))
                continue;
            written++;
            int length = writer.Length;
            writer.Bytes(block.Written);
            var reader = new ByteReader(writer.Written);
            Assert.Equal(Bits(ChunkSummary.Of(values)), Bits(BriefSummary.Read(ref reader, values.Length)));
            Assert.Equal(length, reader.Position);
            var again = new ByteReader(writer.Written);
            BriefSummary.Skip(ref again, values.Length);
            Assert.Equal(length, again.Position);
        }
        Assert.True(written > 1500, $"only {written} were written");
    }

    [Fact]
    public void Bytes_at_random_are_a_brief_summary_or_refused()
    {
        var random = new Random(4);
        int read = 0;
        for (int round = 0; round < 20_000; round++)
        {
            byte[] bytes = new byte[random.Next(60)];
            random.NextBytes(bytes);
            if (bytes.Length > 0)
                bytes[0] &= 31;
            try
            {
                var reader = new ByteReader(bytes);
                BriefSummary.Read(ref reader, random.Next(1, 1000));
                read++;
            }
            catch (InvalidDataException e)
            {
                Assert.NotEmpty(e.Message);
            }
        }
        Assert.True(read > 0);
    }

    private static (long, long, long, long, long, long, long, int, int, int) Bits(ChunkSummary s) =>
        (BitConverter.DoubleToInt64Bits(s.First), BitConverter.DoubleToInt64Bits(s.Last), BitConverter.DoubleToInt64Bits(s.Min), BitConverter.DoubleToInt64Bits(s.Max), BitConverter.DoubleToInt64Bits(s.Sum),
            BitConverter.DoubleToInt64Bits(s.SumCompensation), BitConverter.DoubleToInt64Bits(s.ResetCorrection), s.Count, s.Resets, s.Changes);

    private static SampleGather Samples(params double[] values)
    {
        var gather = new SampleGather();
        gather.Begin();
        for (int i = 0; i < values.Length; i++)
            gather.Add(1000 * (i + 1), values[i]);
        return gather;
    }
}
