using System.Buffers.Binary;
using System.Text;
using Bellwether.Core.Model;

namespace Bellwether.Core.Exposition;

/// <summary>
/// Reads varint-delimited io.prometheus.client.MetricFamily messages into families: classic samples, and native histograms where a message has them.
/// Allocates; protobuf is asked for only where native histograms are wanted. Source: prometheus/client_model metrics.proto. Stateless.
/// </summary>
public static class ProtobufFamilies
{
    /// <summary>Reads a body; returns null, or what is wrong and at which byte.</summary>
    public static string? Read(ReadOnlySpan<byte> body, out List<ExposedFamily> families)
    {
        families = [];
        var reader = new Wire(body);
        while (!reader.AtEnd)
        {
            ReadOnlySpan<byte> message = reader.Bytes();
            if (reader.Failed || !ReadFamily(message, out ExposedFamily? family))
                return $"the protobuf message that ends at byte {reader.Position} is damaged";
            families.Add(family!);
        }
        return null;
    }

    private static bool ReadFamily(ReadOnlySpan<byte> message, out ExposedFamily? family)
    {
        string name = "", help = "", unit = "";
        int type = 0;
        family = null;
        var first = new Wire(message);
        while (first.Next(out int field))
        {
            switch (field)
            {
                case 1:
                    name = first.Text();
                    break;
                case 2:
                    help = first.Text();
                    break;
                case 3:
                    type = (int)first.Varint();
                    break;
                case 5:
                    unit = first.Text();
                    break;
                default:
                    first.Skip();
                    break;
            }
        }
        var samples = new List<ExposedSample>();
        var second = new Wire(message);
        while (second.Next(out int field))
        {
            if (field != 4)
                second.Skip();
            else if (!ReadMetric(second.Bytes(), name, samples))
                return false;
        }
        MetricType known = type switch
        {
            0 => MetricType.Counter,
            1 => MetricType.Gauge,
            2 => MetricType.Summary,
            4 => MetricType.Histogram,
            5 => MetricType.GaugeHistogram,
            _ => MetricType.Unknown,
        };
        family = new ExposedFamily(name, known, help, unit, samples);
        return !first.Failed && !second.Failed && name.Length > 0;
    }

    private static bool ReadMetric(ReadOnlySpan<byte> message, string name, List<ExposedSample> samples)
    {
        var labels = new List<Label>();
        decimal? time = null;
        var first = new Wire(message);
        while (first.Next(out int field))
        {
            if (field == 1)
                labels.Add(ReadLabel(first.Bytes(), ref first));
            else if (field == 6)
                time = (long)first.Varint() / 1000m;
            else
                first.Skip();
        }
        var second = new Wire(message);
        while (second.Next(out int field))
        {
            switch (field)
            {
                case 2 or 3 or 5:
                    ReadValue(second.Bytes(), name, labels, time, samples, ref second);
                    break;
                case 4:
                    ReadSummary(second.Bytes(), name, labels, time, samples, ref second);
                    break;
                case 7:
                    ReadHistogram(second.Bytes(), name, labels, time, samples, ref second);
                    break;
                default:
                    second.Skip();
                    break;
            }
        }
        return !first.Failed && !second.Failed;
    }

    private static void ReadValue(ReadOnlySpan<byte> message, string name, List<Label> labels, decimal? time, List<ExposedSample> samples, ref Wire owner)
    {
        var r = new Wire(message);
        var sample = new ExposedSample(name, labels, 0) { TimestampSeconds = time };
        while (r.Next(out int field))
        {
            if (field == 1)
                sample = sample with { Value = r.Double() };
            else if (field == 2)
                sample = sample with { Exemplar = ReadExemplar(r.Bytes(), ref r) };
            else if (field == 3)
                sample = sample with { StartMs = (long)(ReadTime(r.Bytes(), ref r) * 1000) };
            else
                r.Skip();
        }
        samples.Add(sample);
        owner.Join(r);
    }

    private static void ReadSummary(ReadOnlySpan<byte> message, string name, List<Label> labels, decimal? time, List<ExposedSample> samples, ref Wire owner)
    {
        var r = new Wire(message);
        double count = 0, sum = 0;
        long start = 0;
        var own = new List<ExposedSample>();
        while (r.Next(out int field))
        {
            switch (field)
            {
                case 1:
                    count = r.Varint();
                    break;
                case 2:
                    sum = r.Double();
                    break;
                case 3:
                    (double quantile, double value, _, _) = ReadPair(r.Bytes(), ref r);
                    own.Add(new ExposedSample(name, [.. labels, new Label(LabelNames.Quantile, FloatText.ToBoundText(quantile))], value) { TimestampSeconds = time });
                    break;
                case 4:
                    start = (long)(ReadTime(r.Bytes(), ref r) * 1000);
                    break;
                default:
                    r.Skip();
                    break;
            }
        }
        own.Add(new ExposedSample(name + "_sum", labels, sum) { TimestampSeconds = time });
        own.Add(new ExposedSample(name + "_count", labels, count) { TimestampSeconds = time });
        samples.AddRange(own.Select(s => s with { StartMs = start }));
        owner.Join(r);
    }

    private static void ReadHistogram(ReadOnlySpan<byte> message, string name, List<Label> labels, decimal? time, List<ExposedSample> samples, ref Wire owner)
    {
        var r = new Wire(message);
        double count = 0, countFloat = 0, sum = 0, threshold = 0, zero = 0, zeroFloat = 0;
        int schema = 0;
        long start = 0;
        List<BucketSpan> negative = [], positive = [];
        List<double> negativeCounts = [], positiveCounts = [];
        double negativeLast = 0, positiveLast = 0;
        var buckets = new List<ExposedSample>();
        bool infinite = false;
        while (r.Next(out int field))
        {
            switch (field)
            {
                case 1:
                    count = r.Varint();
                    break;
                case 2:
                    sum = r.Double();
                    break;
                case 3:
                    (double cumulative, double bound, double asFloat, ExposedExemplar? exemplar) = ReadPair(r.Bytes(), ref r, bucket: true);
                    infinite |= double.IsPositiveInfinity(bound);
                    buckets.Add(new ExposedSample(name + "_bucket", [.. labels, new Label(LabelNames.Bucket, FloatText.ToBoundText(bound))], asFloat > 0 ? asFloat : cumulative) { Exemplar = exemplar });
                    break;
                case 4:
                    countFloat = r.Double();
                    break;
                case 5:
                    schema = r.ZigZag32();
                    break;
                case 6:
                    threshold = r.Double();
                    break;
                case 7:
                    zero = r.Varint();
                    break;
                case 8:
                    zeroFloat = r.Double();
                    break;
                case 9:
                    negative.Add(ReadSpan(r.Bytes(), ref r));
                    break;
                case 12:
                    positive.Add(ReadSpan(r.Bytes(), ref r));
                    break;
                case 10:
                    r.Deltas(negativeCounts, ref negativeLast);
                    break;
                case 13:
                    r.Deltas(positiveCounts, ref positiveLast);
                    break;
                case 11:
                    r.Doubles(negativeCounts);
                    break;
                case 14:
                    r.Doubles(positiveCounts);
                    break;
                case 15:
                    start = (long)(ReadTime(r.Bytes(), ref r) * 1000);
                    break;
                default:
                    r.Skip();
                    break;
            }
        }
        owner.Join(r);
        bool native = positive.Count > 0 || negative.Count > 0 || threshold > 0 || zero > 0 || zeroFloat > 0;
        double total = countFloat > 0 ? countFloat : count;
        if (native)
        {
            // Spans that name more buckets than there are counts would send readers out of bounds.
            if (positive.Sum(s => (long)s.Length) != positiveCounts.Count || negative.Sum(s => (long)s.Length) != negativeCounts.Count)
            {
                owner.Fail();
                return;
            }
            samples.Add(new ExposedSample(name, labels, 0)
            {
                TimestampSeconds = time,
                StartMs = start,
                Histogram = new NativeHistogram
                {
                    Schema = schema,
                    ZeroThreshold = threshold,
                    ZeroCount = zeroFloat > 0 ? zeroFloat : zero,
                    Count = total,
                    Sum = sum,
                    PositiveSpans = [.. positive],
                    PositiveBuckets = [.. positiveCounts],
                    NegativeSpans = [.. negative],
                    NegativeBuckets = [.. negativeCounts],
                    IsInteger = countFloat == 0,
                },
            });
            return;
        }
        if (!infinite)
            buckets.Add(new ExposedSample(name + "_bucket", [.. labels, new Label(LabelNames.Bucket, "+Inf")], total));
        buckets.Add(new ExposedSample(name + "_sum", labels, sum));
        buckets.Add(new ExposedSample(name + "_count", labels, total));
        samples.AddRange(buckets.Select(s => s with { TimestampSeconds = time, StartMs = start }));
    }

    private static Label ReadLabel(ReadOnlySpan<byte> message, ref Wire owner)
    {
        var r = new Wire(message);
        string name = "", value = "";
        while (r.Next(out int field))
        {
            if (field == 1)
                name = r.Text();
            else if (field == 2)
                value = r.Text();
            else
                r.Skip();
        }
        owner.Join(r);
        if (name.Length == 0)
            owner.Fail();
        return new Label(name, value);
    }

    /// <summary>A quantile (1, 2: double), or a bucket (1: count, 2: bound, 3: exemplar, 4: count as float).</summary>
    private static (double First, double Second, double Float, ExposedExemplar? Exemplar) ReadPair(ReadOnlySpan<byte> message, ref Wire owner, bool bucket = false)
    {
        var r = new Wire(message);
        double first = 0, second = 0, asFloat = 0;
        ExposedExemplar? exemplar = null;
        while (r.Next(out int field))
        {
            if (field == 1)
                first = bucket ? r.Varint() : r.Double();
            else if (field == 2)
                second = r.Double();
            else if (field == 3 && bucket)
                exemplar = ReadExemplar(r.Bytes(), ref r);
            else if (field == 4 && bucket)
                asFloat = r.Double();
            else
                r.Skip();
        }
        owner.Join(r);
        return (first, second, asFloat, exemplar);
    }

    private static ExposedExemplar ReadExemplar(ReadOnlySpan<byte> message, ref Wire owner)
    {
        var r = new Wire(message);
        var labels = new List<Label>();
        double value = 0;
        decimal? time = null;
        while (r.Next(out int field))
        {
            if (field == 1)
                labels.Add(ReadLabel(r.Bytes(), ref r));
            else if (field == 2)
                value = r.Double();
            else if (field == 3)
                time = ReadTime(r.Bytes(), ref r);
            else
                r.Skip();
        }
        owner.Join(r);
        return new ExposedExemplar(labels, value, time);
    }

    private static BucketSpan ReadSpan(ReadOnlySpan<byte> message, ref Wire owner)
    {
        var r = new Wire(message);
        int offset = 0;
        uint length = 0;
        while (r.Next(out int field))
        {
            if (field == 1)
                offset = r.ZigZag32();
            else if (field == 2)
                length = (uint)r.Varint();
            else
                r.Skip();
        }
        owner.Join(r);
        if (length > int.MaxValue)
            owner.Fail();
        return new BucketSpan(offset, (int)length);
    }

    private static decimal ReadTime(ReadOnlySpan<byte> message, ref Wire owner)
    {
        var r = new Wire(message);
        long seconds = 0, nanos = 0;
        while (r.Next(out int field))
        {
            if (field == 1)
                seconds = (long)r.Varint();
            else if (field == 2)
                nanos = (int)r.Varint();
            else
                r.Skip();
        }
        owner.Join(r);
        if (Math.Abs((decimal)seconds) > 1e12m)
            owner.Fail();
        return owner.Failed ? 0 : seconds + (nanos / 1_000_000_000m);
    }

    /// <summary>The protobuf wire format over a span. Once something does not fit, everything reads as nothing and <see cref="Failed"/> stays set.</summary>
    private ref struct Wire(ReadOnlySpan<byte> data)
    {
        private readonly ReadOnlySpan<byte> _data = data;
        private int _type;

        public int Position { get; private set; }

        public bool Failed { get; private set; }

        public readonly bool AtEnd => Failed || Position >= _data.Length;

        public void Fail() => Failed = true;

        public void Join(Wire inner) => Failed |= inner.Failed;

        public bool Next(out int field)
        {
            field = 0;
            if (AtEnd)
                return false;
            ulong tag = RawVarint();
            _type = (int)(tag & 7);
            field = (int)(tag >> 3);
            return !Failed;
        }

        public ulong Varint()
        {
            if (_type != 0)
                Failed = true;
            return Failed ? 0 : RawVarint();
        }

        public int ZigZag32()
        {
            uint n = (uint)Varint();
            return (int)(n >> 1) ^ -(int)(n & 1);
        }

        public double Double()
        {
            if (_type != 1 || Position + 8 > _data.Length)
                Failed = true;
            return Failed ? 0 : RawDouble();
        }

        public string Text() => Encoding.UTF8.GetString(Bytes());

        public ReadOnlySpan<byte> Bytes()
        {
            // The outermost frames have a length but no tag; everything else must be of wire type 2.
            if (_type != 2 && Position != 0 && _type != 0)
                Failed = true;
            ulong length = RawVarint();
            if (Failed || length > (ulong)(_data.Length - Position))
            {
                Failed = true;
                return default;
            }
            ReadOnlySpan<byte> bytes = _data.Slice(Position, (int)length);
            Position += (int)length;
            return bytes;
        }

        public void Deltas(List<double> counts, ref double last)
        {
            if (_type == 0)
            {
                counts.Add(last += ZigZag64(RawVarint()));
                return;
            }
            var packed = new Wire(Bytes());
            while (!packed.AtEnd)
                counts.Add(last += ZigZag64(packed.RawVarint()));
            Join(packed);
        }

        public void Doubles(List<double> counts)
        {
            if (_type == 1)
            {
                counts.Add(Double());
                return;
            }
            var packed = new Wire(Bytes());
            while (packed.Position + 8 <= packed._data.Length)
                counts.Add(packed.RawDouble());
            Failed |= packed.Position != packed._data.Length;
        }

        public void Skip()
        {
            switch (_type)
            {
                case 0:
                    RawVarint();
                    break;
                case 1:
                    Advance(8);
                    break;
                case 2:
                    Bytes();
                    break;
                case 5:
                    Advance(4);
                    break;
                default:
                    Failed = true;
                    break;
            }
        }

        private static long ZigZag64(ulong n) => (long)(n >> 1) ^ -(long)(n & 1);

        private void Advance(int count)
        {
            Failed |= Position + count > _data.Length;
            Position = Failed ? _data.Length : Position + count;
        }

        private double RawDouble()
        {
            double value = BinaryPrimitives.ReadDoubleLittleEndian(_data[Position..]);
            Position += 8;
            return value;
        }

        private ulong RawVarint()
        {
            ulong value = 0;
            for (int shift = 0; shift < 64; shift += 7)
            {
                if (Position >= _data.Length)
                    break;
                byte b = _data[Position++];
                value |= (ulong)(b & 0x7F) << shift;
                if (b < 0x80)
                    return value;
            }
            Failed = true;
            return 0;
        }
    }
}
