using Bellwether.Core.Model;
using Bellwether.Store.Chunks;
using Bellwether.Store.Head;
using Bellwether.Store.Wal;
using FsCheck;
using FsCheck.Fluent;

namespace Bellwether.Aggregator.Tests.Store;

/// <summary>What came by remote write comes back from the log to the bit, and takes little room there.</summary>
public sealed class BatchFrameTests
{
    private const long Now = 1_760_000_000_000;
    private static readonly double[] s_values = [0, 1, -1, 0.25, 12.5, 1e-13, 1e-14, 1.0 / 3, -0.0, double.NaN, SpecialValues.StaleMarker, double.PositiveInfinity, 4503599627370495, 4503599627370496, double.MaxValue, double.Epsilon];

    [Fact]
    public void Samples_in_any_order_come_back_to_the_bit()
    {
        Check.One(Config.QuickThrowOnFailure.WithMaxTest(500), Prop.ForAll(ArbMap.Default.ArbFor<int>(), seed =>
        {
            var random = new Random(seed);
            HeadSeries[] series = [.. Enumerable.Range(0, random.Next(1, 40)).Select(Series)];
            var writer = new BatchFrameWriter();
            var reader = new BatchFrameReader();
            for (int frame = 0; frame < 4; frame++)
            {
                if (random.Next(4) == 0)
                    writer.Forget();
                SeriesSample[] samples = Samples(random, series);
                writer.Begin();
                foreach (SeriesSample sample in samples)
                    writer.Add(series.Single(s => ReferenceEquals(s.Labels, sample.Labels)), sample.TimestampMs, sample.Value, null, sample.StartMs);
                Same(samples, Read(reader, writer.Finish(), (ulong)frame));
                writer.Logged((ulong)frame);
            }
        }));
    }

    [Fact]
    public void A_scrape_takes_a_byte_for_what_stays_and_few_for_what_changes()
    {
        HeadSeries[] series = [.. Enumerable.Range(0, 300).Select(Series)];
        var writer = new BatchFrameWriter();
        int last = 0;
        for (int tick = 0; tick < 3; tick++)
        {
            writer.Begin();
            for (int s = 0; s < series.Length; s++)
                writer.Add(series[s], Now + (tick * 15_000), (s % 3) switch { 0 => 7, 1 => 1000 + (50 * tick), _ => 12.25 + (tick * 0.5) }, null, 0);
            last = writer.Finish().Length;
            writer.Logged(1);
        }
        Assert.InRange(last, 300, 300 + (100 * 2) + (100 * 1) + 20);
    }

    [Fact]
    public void History_takes_two_bytes_for_what_stays()
    {
        HeadSeries[] series = [.. Enumerable.Range(0, 20).Select(Series)];
        var writer = new BatchFrameWriter();
        int last = 0;
        for (int part = 0; part < 2; part++)
        {
            writer.Begin();
            foreach (HeadSeries one in series)
            {
                for (int tick = 0; tick < 50; tick++)
                    writer.Add(one, Now + ((tick + (part * 50)) * 120_000), 3, null, 0);
            }
            last = writer.Finish().Length;
            writer.Logged(1);
        }
        Assert.InRange(last, 2000, 2000 + (20 * 4) + 20);
    }

    [Fact]
    public void A_dictionary_that_begins_with_a_frame_that_was_never_logged_begins_with_the_next()
    {
        HeadSeries series = Series(0);
        var writer = new BatchFrameWriter();
        writer.Begin();
        writer.Add(series, Now, 7, null, 0);
        writer.Begin();
        writer.Add(series, Now + 1, 8, null, 0);
        SeriesSample[] second = [new SeriesSample(series.Labels, Now + 1, 8)];
        Same(second, Read(new BatchFrameReader(), writer.Finish(), 1));
    }

    [Fact]
    public void Series_that_are_known_are_added_without_allocating()
    {
        HeadSeries[] series = [.. Enumerable.Range(0, 500).Select(Series)];
        var writer = new BatchFrameWriter();
        long before = 0, bytes = 0;
        for (int tick = 0; tick < 4; tick++)
        {
            if (tick == 3)
                before = GC.GetAllocatedBytesForCurrentThread();
            writer.Begin();
            for (int s = 0; s < series.Length; s++)
                writer.Add(series[s], Now + (tick * 15_000), s_values[(s + tick) % s_values.Length], null, 0);
            bytes += writer.Finish().Length;
            writer.Logged(1);
        }
        Assert.Equal(0, GC.GetAllocatedBytesForCurrentThread() - before);
        Assert.True(bytes > 4 * series.Length);
    }

    [Fact]
    public void A_frame_of_a_log_that_is_older_than_the_short_form_is_read()
    {
        // A dictionary begins, three samples: two new series, then the first again with a start time.
        var frame = new ByteWriter();
        frame.Byte(1);
        frame.Varint(3);
        Old(frame, 8 | 1, 0, "a", Now, 0);
        frame.Zigzag(42);
        Old(frame, 8 | 2, 1, "b", 5, 0);
        frame.Double(0.1);
        Old(frame, 4 | 0, 0, null, 15_000, 60_000);
        frame.Varint(0);
        frame.Varint(0);
        Same(
            [new SeriesSample(Labels.Of("__name__", "a"), Now, 42), new SeriesSample(Labels.Of("__name__", "b"), Now + 5, 0.1), new SeriesSample(Labels.Of("__name__", "a"), Now + 15_005, 42, null, Now + 15_005 - 60_000)],
            Read(new BatchFrameReader(), frame.Written, 1));
    }

    [Theory]
    [InlineData(new byte[] { 3, 1, 4, 4, 0, 0 })]
    [InlineData(new byte[] { 3, 1, 0xE1, 0, 1, 0, 0 })]
    public void A_frame_that_names_what_is_not_there_is_refused(byte[] frame)
    {
        Assert.Throws<InvalidDataException>(() => Read(new BatchFrameReader(), frame, 1));
    }

    private static void Old(ByteWriter frame, byte head, int number, string? name, long step, long sinceStart)
    {
        frame.Byte(head);
        frame.Varint((ulong)number);
        if (name is not null)
            RecordFrame.WriteLabels(Labels.Of("__name__", name), frame);
        frame.Zigzag(step);
        if (sinceStart != 0)
            frame.Zigzag(sinceStart);
    }

    private static SeriesSample[] Samples(Random random, HeadSeries[] series)
    {
        var samples = new SeriesSample[random.Next(1, 200)];
        long time = Now;
        int at = 0;
        for (int i = 0; i < samples.Length; i++)
        {
            at = random.Next(4) == 0 ? random.Next(series.Length) : (at + random.Next(2)) % series.Length;
            time += random.Next(5) switch { 0 => random.Next(-100_000, 100_000), 1 => 15_000, _ => 0 };
            double value = random.Next(3) == 0 ? s_values[random.Next(s_values.Length)] : random.Next(-5_000, 5_000) / Math.Pow(10, random.Next(4));
            samples[i] = new SeriesSample(series[at].Labels, time, value, null, random.Next(6) == 0 ? time - random.Next(1, 1_000_000) : 0);
        }
        return samples;
    }

    private static List<SeriesSample> Read(BatchFrameReader reader, ReadOnlySpan<byte> frame, ulong sequence)
    {
        var batch = new SampleBatch();
        var from = new ByteReader(frame);
        Assert.True(reader.TryRead(ref from, sequence, batch));
        Assert.Equal(0, from.Left);
        return batch.Samples;
    }

    private static void Same(IReadOnlyList<SeriesSample> expected, IReadOnlyList<SeriesSample> got)
    {
        Assert.Equal(expected.Count, got.Count);
        for (int i = 0; i < expected.Count; i++)
        {
            Assert.Equal(expected[i].Labels, got[i].Labels);
            Assert.Equal((expected[i].TimestampMs, BitConverter.DoubleToInt64Bits(expected[i].Value), expected[i].StartMs), (got[i].TimestampMs, BitConverter.DoubleToInt64Bits(got[i].Value), got[i].StartMs));
        }
    }

    private static HeadSeries Series(int number) => new(Labels.Of("__name__", "m" + number), (uint)number);
}
