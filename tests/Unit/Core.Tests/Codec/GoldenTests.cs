using System.Buffers.Binary;
using Bellwether.Core.Codec;
using Bellwether.Core.Model;
using Bellwether.Kit;

namespace Bellwether.Core.Tests.Codec;

/// <summary>
/// Files of format version 1, kept for ever: what was written once must be read by every later version. Each is a run of (length u32, record). To make them anew
/// after adding a case (never after changing the format), run with BELLWETHER_WRITE_GOLDEN=1.
/// </summary>
public sealed class GoldenTests
{
    [Fact]
    public void The_encoder_still_writes_the_golden_segment_byte_for_byte() => Assert.Equal(Kept("segment-v1.bin", Plain()), Plain());

    [Fact]
    public void The_golden_segment_is_decoded_as_it_was_meant()
    {
        SegmentDecoder decoder = new();
        List<byte[]> records = Split(Kept("segment-v1.bin", Plain()));
        Assert.Equal(6, records.Count);
        int at = 0;
        foreach (SourceTick tick in Ticks())
        {
            Assert.Equal(DecodeOutcome.Applied, decoder.Apply(records[at++]));
            TickComparison.Same(tick, decoder.Tick);
            if (at == 1)
                Assert.Equal(new FamilyMetadata("requests_total", new MetricMetadata(MetricType.Counter, "Requests.", "")), Assert.Single(decoder.Tick.Metadata));
        }
    }

    [Fact]
    public void The_golden_compressed_segment_is_decoded_as_it_was_meant()
    {
        // Decoded only: another release of Brotli may compress to other bytes.
        SegmentDecoder decoder = new();
        byte[] record = Assert.Single(Split(Kept("compressed-v1.bin", Compressed())));
        Assert.Equal(1, record[1] & 1);
        Assert.Equal(DecodeOutcome.Applied, decoder.Apply(record));
        TickComparison.Same(Wide(), decoder.Tick);
    }

    private static byte[] Plain()
    {
        var output = new List<byte>();
        var encoder = new SegmentEncoder();
        foreach (SourceTick tick in Ticks())
        {
            Assert.Equal(EncodeOutcome.Encoded, encoder.Encode(tick));
            Add(output, encoder.Record);
        }
        return [.. output];
    }

    private static byte[] Compressed()
    {
        var output = new List<byte>();
        var encoder = new SegmentEncoder();
        Assert.Equal(EncodeOutcome.Encoded, encoder.Encode(Wide()));
        Add(output, encoder.Record);
        return [.. output];
    }

    private static SourceTick Wide()
    {
        var table = new SourceTable("wide", 60_000);
        var tick = new SourceTick();
        for (int i = 0; i < 100; i++)
            table.Add(Labels.Of("__name__", "cpu_seconds_total", "cpu", $"{i}"));
        tick.Begin(table, 1_700_000_000_000);
        for (int i = 0; i < 100; i++)
            tick.Set(i, i * 0.25);
        tick.Complete();
        return tick;
    }

    /// <summary>Every part of the format once, small enough that nothing is compressed.</summary>
    private static IEnumerable<SourceTick> Ticks()
    {
        var table = new SourceTable("shop/http://127.0.0.1:8080/metrics", 15_000);
        int requests = table.Add(Labels.Of("__name__", "requests_total", "code", "200"));
        int ratio = table.Add(Labels.Of("__name__", "ratio"));
        table.Describe("requests_total", new MetricMetadata(MetricType.Counter, "Requests.", ""));
        var tick = new SourceTick();
        tick.Begin(table, 1_700_000_000_000);
        tick.Set(requests, 1027);
        tick.Set(ratio, 0.1);
        tick.Starts.Add(new SlotStart(requests, 1_699_999_000_000));
        tick.Complete();
        yield return tick;
        tick.Begin(table, 1_700_000_015_000);
        tick.Set(requests, 1030);
        tick.Set(ratio, 1.0 / 3);
        tick.Complete();
        yield return tick;
        tick.Begin(table, 1_700_000_030_000);
        tick.Set(requests, 1030);
        tick.Set(ratio, 1.0 / 3);
        tick.Complete();
        yield return tick;
        int histogram = table.Add(Labels.Of("__name__", "latency_seconds"));
        tick.Begin(table, 1_700_000_045_000);
        tick.Set(requests, 5);
        tick.Timed.Add(new TimedSample(ratio, 1_700_000_044_000, -0.0));
        tick.Histograms.Add(new SlotHistogram(histogram, new NativeHistogram
        {
            Schema = 3,
            ZeroThreshold = 1e-128,
            ZeroCount = 1,
            Count = 12,
            Sum = 3.5,
            IsInteger = true,
            PositiveSpans = [new BucketSpan(-2, 2)],
            PositiveBuckets = [4, 7],
            ResetHint = CounterResetHint.NotReset,
        }));
        tick.Exemplars.Add(new SlotExemplar(requests, new Exemplar(Labels.Of("trace_id", "abc"), 1, 1_700_000_044_500)));
        tick.Complete();
        yield return tick;
        tick.Begin(table, 1_700_000_060_000);
        tick.Set(ratio, double.PositiveInfinity);
        tick.Complete();
        yield return tick;
        var other = new SourceTable("host", 0);
        int memory = other.Add(Labels.Of("__name__", "memory_bytes"));
        tick.Begin(other, 1_700_000_060_500);
        tick.Set(memory, 8_000_000 * 1024.0);
        tick.Complete();
        yield return tick;
    }

    private static void Add(List<byte> output, ReadOnlySpan<byte> record)
    {
        byte[] length = new byte[4];
        BinaryPrimitives.WriteInt32LittleEndian(length, record.Length);
        output.AddRange(length);
        output.AddRange(record);
    }

    private static List<byte[]> Split(byte[] content)
    {
        var records = new List<byte[]>();
        for (int at = 0; at < content.Length;)
        {
            int length = BinaryPrimitives.ReadInt32LittleEndian(content.AsSpan(at));
            records.Add(content[(at + 4)..(at + 4 + length)]);
            at += 4 + length;
        }
        return records;
    }

    private static byte[] Kept(string name, byte[] made)
    {
        string path = Path.Combine(SourceTree.Root, "tests", "Unit", "Core.Tests", "Codec", "Golden", name);
        if (Environment.GetEnvironmentVariable("BELLWETHER_WRITE_GOLDEN") == "1")
            File.WriteAllBytes(path, made);
        return File.ReadAllBytes(path);
    }
}
