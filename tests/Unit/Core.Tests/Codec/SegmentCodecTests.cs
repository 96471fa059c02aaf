using Bellwether.Core.Codec;
using Bellwether.Core.Model;
using FsCheck;
using FsCheck.Fluent;
using Xunit.Abstractions;

namespace Bellwether.Core.Tests.Codec;

public sealed class SegmentCodecTests(ITestOutputHelper output)
{
    [Fact]
    public void What_is_encoded_comes_back_bit_for_bit_over_segments_tables_and_sources() =>
        Prop.ForAll(ArbMap.Default.ArbFor<int>(), RoundTrip).Check(Config.QuickThrowOnFailure.WithMaxTest(150));

    private static bool RoundTrip(int seed)
    {
        var random = new Random(seed);
        TickMaker[] makers = [new(seed), new(seed + 1)];
        var encoder = new SegmentEncoder();
        var decoder = new SegmentDecoder();
        for (int i = 0; i < 60; i++)
        {
            if (random.Next(20) == 0)
            {
                encoder.StartSegment(random.Next(2) == 0);
                decoder = new SegmentDecoder();
            }
            SourceTick tick = makers[random.Next(2)].Next();
            Assert.Equal(EncodeOutcome.Encoded, encoder.Encode(tick));
            Assert.Equal(DecodeOutcome.Applied, RecordHeader.TryRead(encoder.Record, CodecLimits.Default, out RecordHeader header));
            Assert.Equal((tick.TimestampMs, encoder.Samples), (header.TimestampMs, header.Samples));
            Assert.Equal(DecodeOutcome.Applied, decoder.Apply(encoder.Record));
            TickComparison.Same(tick, decoder.Tick);
            Assert.Equal(encoder.Records, decoder.Records);
        }
        return true;
    }

    [Fact]
    public void Start_timestamps_are_said_again_in_every_segment_and_metadata_on_request()
    {
        var table = new SourceTable("s", 1000);
        int slot = table.Add(Labels.Of("__name__", "c_total"));
        table.Describe("c", new MetricMetadata(MetricType.Counter, "Help.", ""));
        var tick = new SourceTick();
        var encoder = new SegmentEncoder();
        for (int segment = 0; segment < 3; segment++)
        {
            var decoder = new SegmentDecoder();
            if (segment > 0)
                encoder.StartSegment(withMetadata: segment == 2);
            tick.Begin(table, 1000 + segment);
            tick.Set(slot, 5);
            if (segment == 0)
                tick.Starts.Add(new SlotStart(slot, 400));
            tick.Complete();
            Assert.Equal(EncodeOutcome.Encoded, encoder.Encode(tick));
            Assert.Equal(DecodeOutcome.Applied, decoder.Apply(encoder.Record));
            Assert.Equal(400, decoder.Tick.Source.StartOf(slot));
            Assert.Equal(segment == 1 ? 0 : 1, decoder.Tick.Metadata.Count);
        }
    }

    [Fact]
    public void A_record_cut_at_any_byte_is_refused()
    {
        foreach (byte[] record in Segment(seed: 4, count: 30))
        {
            for (int length = 0; length < record.Length; length++)
                Assert.NotEqual(DecodeOutcome.Applied, new SegmentDecoder().Apply(record.AsSpan(0, length)));
        }
    }

    [Fact]
    public void Each_record_of_a_segment_cut_or_lengthened_is_refused_where_it_stands()
    {
        List<byte[]> records = Segment(seed: 9, count: 40);
        for (int i = 0; i < records.Count; i++)
        {
            for (int length = 0; length <= records[i].Length + 1; length += length < 40 ? 1 : 17)
            {
                if (length == records[i].Length)
                    continue;
                var decoder = new SegmentDecoder();
                for (int before = 0; before < i; before++)
                    Assert.Equal(DecodeOutcome.Applied, decoder.Apply(records[before]));
                byte[] wrong = records[i];
                Array.Resize(ref wrong, length);
                Assert.NotEqual(DecodeOutcome.Applied, decoder.Apply(wrong));
                Assert.Equal(DecodeOutcome.Broken, decoder.Apply(records[i]));
                length = Math.Max(length, Math.Min(records[i].Length - 18, length + 30));
            }
        }
    }

    [Fact]
    public void Flipped_and_random_bytes_give_an_outcome_and_bounded_memory()
    {
        var random = new Random(5);
        var limits = new CodecLimits { SlotsPerSegmentMax = 4096, SlotsPerSourceMax = 4096, InflatedBytesMax = 1 << 20, DictionaryBytesMax = 1 << 20 };
        List<byte[]> records = Segment(seed: 6, count: 25);
        for (int round = 0; round < 3000; round++)
        {
            var decoder = new SegmentDecoder(limits);
            int at = random.Next(records.Count);
            for (int i = 0; i < at; i++)
                decoder.Apply(records[i]);
            byte[] wrong = (byte[])records[at].Clone();
            for (int flips = 1 + random.Next(4); flips > 0; flips--)
                wrong[random.Next(Math.Min(wrong.Length, round % 2 == 0 ? 24 : wrong.Length))] ^= (byte)(1 << random.Next(8));
            if (round % 10 == 0)
                random.NextBytes(wrong.AsSpan(random.Next(wrong.Length)));
            long before = GC.GetAllocatedBytesForCurrentThread();
            DecodeOutcome outcome = decoder.Apply(wrong);
            long allocated = GC.GetAllocatedBytesForCurrentThread() - before;
            Assert.True(allocated < 4 << 20, $"{allocated} bytes for a record of {wrong.Length}");
            Assert.Equal(outcome != DecodeOutcome.Applied, decoder.IsBroken);
        }
    }

    [Fact]
    public void A_small_record_cannot_inflate_without_bound()
    {
        byte[] zeros = new byte[64 << 20];
        byte[] bomb = new byte[1024];
        Assert.True(System.IO.Compression.BrotliEncoder.TryCompress(zeros, bomb, out int written, 9, 22));
        var record = new List<byte> { 1, 3, 1, 0, 1, (byte)'s', 0, 0, 0 };
        for (ulong length = (ulong)zeros.Length; ; length >>= 7)
        {
            record.Add((byte)(length >= 128 ? length | 128 : length));
            if (length < 128)
                break;
        }
        record.AddRange(bomb.AsSpan(0, written));
        long before = GC.GetAllocatedBytesForCurrentThread();
        Assert.Equal(DecodeOutcome.OverLimit, new SegmentDecoder(new CodecLimits { InflatedBytesMax = 128 << 20 }).Apply(record.ToArray()));
        Assert.True(GC.GetAllocatedBytesForCurrentThread() - before < 100_000);
    }

    [Fact]
    public void Another_version_and_an_unknown_source_are_told()
    {
        byte[] record = Segment(seed: 1, count: 1)[0];
        record[0] = 2;
        Assert.Equal(DecodeOutcome.UnknownVersion, new SegmentDecoder().Apply(record));
        Assert.Equal(DecodeOutcome.Malformed, new SegmentDecoder().Apply([1, 0, 0, 5, 0, 0]));
        Assert.Equal(DecodeOutcome.OverLimit, new SegmentDecoder(new CodecLimits { RecordBytesMax = 10 }).Apply(new byte[11]));
    }

    [Fact]
    public void A_tick_over_a_limit_is_refused_and_the_next_segment_works()
    {
        var limits = new CodecLimits { SlotsPerSourceMax = 10, SlotsPerSegmentMax = 15 };
        var encoder = new SegmentEncoder(limits);
        Assert.Equal(EncodeOutcome.Encoded, encoder.Encode(Plain("a", 10)));
        Assert.Equal(EncodeOutcome.SegmentFull, encoder.Encode(Plain("b", 6)));
        encoder.StartSegment(true);
        Assert.Equal(EncodeOutcome.OverLimit, encoder.Encode(Plain("c", 11)));
        Assert.Equal(EncodeOutcome.SegmentFull, encoder.Encode(Plain("b", 6)));
        encoder.StartSegment(true);
        Assert.Equal(EncodeOutcome.Encoded, encoder.Encode(Plain("b", 6)));
        Assert.Equal(DecodeOutcome.Applied, new SegmentDecoder(limits).Apply(encoder.Record));
    }

    [Fact]
    public void A_steady_tick_allocates_nothing_on_either_side_and_takes_under_one_byte_per_sample()
    {
        var host = new HostLike();
        var encoder = new SegmentEncoder();
        var decoder = new SegmentDecoder();
        for (int i = 0; i < 40; i++)
            Assert.Equal(DecodeOutcome.Applied, Both(encoder, decoder, host.Next()));
        long bytesBefore = encoder.Bytes, allocated = 0;
        for (int i = 0; i < 200; i++)
        {
            SourceTick tick = host.Next();
            long before = GC.GetAllocatedBytesForCurrentThread();
            Both(encoder, decoder, tick);
            allocated += GC.GetAllocatedBytesForCurrentThread() - before;
            TickComparison.Same(tick, decoder.Tick);
        }
        Assert.Equal(0, allocated);
        double perSample = (encoder.Bytes - bytesBefore) / (200.0 * HostLike.Series);
        output.WriteLine($"{perSample:F3} bytes per sample");
        Assert.True(perSample < 1.0, $"{perSample} bytes per sample");
    }

    [Fact]
    public void A_tick_in_which_nothing_changed_is_a_dozen_bytes()
    {
        var table = new SourceTable("s", 1000);
        for (int i = 0; i < 5000; i++)
            table.Add(Labels.Of("__name__", "m", "i", i.ToString(System.Globalization.CultureInfo.InvariantCulture)));
        var tick = new SourceTick();
        var encoder = new SegmentEncoder();
        for (int t = 0; t < 4; t++)
        {
            tick.Begin(table, 1_700_000_000_000 + (t * 15_000));
            for (int i = 0; i < 5000; i++)
                tick.Set(i, i * 0.1);
            tick.Complete();
            Assert.Equal(EncodeOutcome.Encoded, encoder.Encode(tick));
        }
        Assert.InRange(encoder.Record.Length, 1, 13);
    }

    private static DecodeOutcome Both(SegmentEncoder encoder, SegmentDecoder decoder, SourceTick tick) =>
        encoder.Encode(tick) == EncodeOutcome.Encoded ? decoder.Apply(encoder.Record) : DecodeOutcome.Broken;

    private static List<byte[]> Segment(int seed, int count)
    {
        var maker = new TickMaker(seed);
        var encoder = new SegmentEncoder();
        var records = new List<byte[]>();
        for (int i = 0; i < count; i++)
        {
            Assert.Equal(EncodeOutcome.Encoded, encoder.Encode(maker.Next()));
            records.Add(encoder.Record.ToArray());
        }
        return records;
    }

    private static SourceTick Plain(string name, int series)
    {
        var table = new SourceTable(name, 1000);
        var tick = new SourceTick();
        for (int i = 0; i < series; i++)
            table.Add(Labels.Of("__name__", name + i));
        tick.Begin(table, 1000);
        for (int i = 0; i < series; i++)
            tick.Set(i, i);
        tick.Complete();
        return tick;
    }

    /// <summary>A host's ticks as node_exporter gives them: two thirds constant; CPU seconds, byte counters, memory in KiB, load, a few noisy ratios.</summary>
    private sealed class HostLike
    {
        public const int Series = 510;
        private readonly Random _random = new(7);
        private readonly SourceTable _table = new("host", 15_000);
        private readonly SourceTick _tick = new();
        private readonly double[] _values = new double[Series];
        private long _time = 1_700_000_000_000;

        public HostLike()
        {
            for (int i = 0; i < Series; i++)
            {
                _table.Add(Labels.Of("__name__", "node_metric_" + (i / 4), "device", "d" + (i % 4)));
                _values[i] = i % 3 == 1 ? i * 1024.0 * 977 : i;
            }
        }

        public SourceTick Next()
        {
            _time += 15_000 + _random.Next(3);
            _tick.Begin(_table, _time);
            for (int i = 0; i < Series; i++)
            {
                if (i % 3 == 0)
                    _values[i] = Move(i, _values[i]);
                _tick.Set(i, _values[i]);
            }
            _tick.Complete();
            return _tick;
        }

        private double Move(int i, double value) => (i / 3 % 10) switch
        {
            < 3 => Math.Round(value + (_random.Next(1500) / 100.0), 2),
            < 6 => value + _random.Next(3000),
            < 8 => Math.Max(0, (Math.Floor(value / 1024) + _random.Next(-400, 420)) * 1024),
            8 => Math.Round(_random.NextDouble() * 4, 2),
            _ => _random.Next(2) == 0 ? value : value + 1,
        };
    }
}
