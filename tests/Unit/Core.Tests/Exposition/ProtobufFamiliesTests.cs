using Bellwether.Core.Codec;
using Bellwether.Core.Exposition;
using Google.Protobuf;

namespace Bellwether.Core.Tests.Exposition;

public class ProtobufFamiliesTests
{
    [Fact]
    public void A_native_histogram_and_a_counter_are_taken()
    {
        byte[] body = [.. Counter(), .. Histogram()];
        var b = new Bodies();
        for (int round = 0; round < 2; round++)
        {
            ScrapeResult r = b.Scrape(body, ExpositionFormat.PrometheusProtobuf);
            Assert.Equal(new ScrapeResult(null, 2, 2, round == 0 ? 2 : 0, 0), r);
            Assert.Equal(["orders_total{shop=\"n\"} 5"], b.Shown());
            SlotHistogram h = Assert.Single(b.Tick.Histograms);
            Assert.Equal([2.0, 1.0], h.Histogram.PositiveBuckets);
            Assert.Equal((4, 6.5, 1), (h.Histogram.Count, h.Histogram.Sum, h.Histogram.Schema));
            Assert.Equal(round == 0 ? 1 : 0, b.Tick.Starts.Count);
        }
        Assert.Equal(1_699_990_000_000, b.Tick.Starts.Count == 0 ? 1_699_990_000_000 : b.Tick.Starts[0].StartMs);
        b.Scrape(Counter(), ExpositionFormat.PrometheusProtobuf);
        Assert.Contains(b.Shown(), l => l.EndsWith(" ended", StringComparison.Ordinal));
    }

    [Fact]
    public void Damaged_messages_are_refused_and_never_throw()
    {
        byte[] good = [.. Counter(), .. Histogram()];
        var random = new Random(5);
        var b = new Bodies();
        for (int i = 0; i < 20_000; i++)
        {
            byte[] body = (byte[])good.Clone();
            for (int m = random.Next(3); m >= 0; m--)
                body[random.Next(body.Length)] = (byte)random.Next(256);
            body = body[..random.Next(body.Length + 1)];
            if (b.Scrape(body, ExpositionFormat.PrometheusProtobuf).Error is not null)
                Assert.Equal(0, b.Tick.PresentCount);
        }
    }

    private static byte[] Counter() => Delimited(f =>
    {
        Text(f, 1, "orders_total");
        Message(f, 4, m =>
        {
            Message(m, 1, l =>
            {
                Text(l, 1, "shop");
                Text(l, 2, "n");
            });
            Message(m, 3, c =>
            {
                Real(c, 1, 5);
                Message(c, 3, t => Number(t, 1, 1_699_990_000));
            });
        });
    });

    private static byte[] Histogram() => Delimited(f =>
    {
        Text(f, 1, "lat");
        Number(f, 3, 4);
        Message(f, 4, m => Message(m, 7, h =>
        {
            Number(h, 1, 4);
            Real(h, 2, 6.5);
            Number(h, 5, 2);
            Real(h, 6, 0.001);
            Number(h, 7, 1);
            Message(h, 12, s => Number(s, 2, 2));
            Number(h, 13, 4);
            Number(h, 13, 1);
        }));
    });

    private static byte[] Delimited(Action<CodedOutputStream> write)
    {
        byte[] inner = Bytes(write);
        return Bytes(o => o.WriteBytes(ByteString.CopyFrom(inner)));
    }

    private static byte[] Bytes(Action<CodedOutputStream> write)
    {
        using var memory = new MemoryStream();
        using var output = new CodedOutputStream(memory);
        write(output);
        output.Flush();
        return memory.ToArray();
    }

    private static void Text(CodedOutputStream o, int field, string text)
    {
        o.WriteTag(field, WireFormat.WireType.LengthDelimited);
        o.WriteString(text);
    }

    private static void Number(CodedOutputStream o, int field, ulong value)
    {
        o.WriteTag(field, WireFormat.WireType.Varint);
        o.WriteUInt64(value);
    }

    private static void Real(CodedOutputStream o, int field, double value)
    {
        o.WriteTag(field, WireFormat.WireType.Fixed64);
        o.WriteDouble(value);
    }

    private static void Message(CodedOutputStream o, int field, Action<CodedOutputStream> write)
    {
        o.WriteTag(field, WireFormat.WireType.LengthDelimited);
        o.WriteBytes(ByteString.CopyFrom(Bytes(write)));
    }
}
