using Bellwether.Core.Model;

namespace Bellwether.Serve.RemoteWrite;

/// <summary>Decodes and checks one native histogram of remote write. Source: prometheus.io/docs/specs/native_histograms/. Not thread-safe.</summary>
internal sealed class HistogramReader
{
    private const int BucketsMax = 10_000;
    private const double FloatTolerance = 1e-6;

    private readonly List<BucketSpan> _positiveSpans = [];
    private readonly List<BucketSpan> _negativeSpans = [];
    private readonly List<double> _positiveCounts = [];
    private readonly List<double> _negativeCounts = [];
    private readonly List<long> _positiveDeltas = [];
    private readonly List<long> _negativeDeltas = [];
    private readonly List<double> _custom = [];

    /// <summary>False: the bytes are malformed. True with a null histogram: well-formed, but refused for the reason given.</summary>
    public bool TryRead(ReadOnlySpan<byte> bytes, out NativeHistogram? histogram, out long timestamp, out long start, out string? wrong)
    {
        histogram = null;
        wrong = null;
        bool isWhole = TryFields(bytes, out Numbers read);
        (timestamp, start) = (read.Timestamp, read.Start);
        if (!isWhole)
            return false;
        if (SpecialValues.IsStale(read.Sum))
        {
            histogram = new NativeHistogram { Sum = read.Sum, Count = SpecialValues.StaleMarker, Schema = (int)Math.Clamp(read.Schema, -53, 8) };
            return true;
        }
        if (!read.IsFloat)
        {
            Sum(_positiveDeltas, _positiveCounts);
            Sum(_negativeDeltas, _negativeCounts);
        }
        wrong = Check(read);
        if (wrong is null)
            histogram = Made(read);
        return true;
    }

    /// <summary>Reads all fields: the numbers into <paramref name="read"/>, spans and buckets into the lists.</summary>
    private bool TryFields(ReadOnlySpan<byte> bytes, out Numbers read)
    {
        read = default;
        Clear();
        var reader = new WireReader(bytes);
        while (!reader.AtEnd)
        {
            if (!reader.TryField(out int field, out int type))
                return false;
            ulong raw = 0;
            double real = 0;
            ReadOnlySpan<byte> part = default;
            bool ok = type switch
            {
                0 => reader.TryVarint(out raw),
                1 => reader.TryDouble(out real),
                2 => reader.TryBytes(out part),
                _ => reader.TrySkip(type),
            };
            if (!ok)
                return false;
            switch (field)
            {
                case 1 when type == 0: read.Count = raw; break;
                case 2 when type == 1: read.Count = real; read.IsFloat = true; break;
                case 3 when type == 1: read.Sum = real; break;
                case 4 when type == 0: read.Schema = WireReader.ZigZag(raw); break;
                case 5 when type == 1: read.Threshold = real; break;
                case 6 when type == 0: read.ZeroCount = raw; break;
                case 7 when type == 1: read.ZeroCount = real; break;
                case 8 when type == 2: ok = Span(part, _negativeSpans); break;
                case 9: ok = Deltas(type, raw, part, _negativeDeltas); break;
                case 10: ok = Doubles(type, real, part, _negativeCounts); break;
                case 11 when type == 2: ok = Span(part, _positiveSpans); break;
                case 12: ok = Deltas(type, raw, part, _positiveDeltas); break;
                case 13: ok = Doubles(type, real, part, _positiveCounts); break;
                case 14 when type == 0: read.Hint = raw; break;
                case 15 when type == 0: read.Timestamp = (long)raw; break;
                case 16: ok = Doubles(type, real, part, _custom); break;
                case 17 when type == 0: read.Start = (long)raw; break;
            }
            if (!ok)
                return false;
        }
        return true;
    }

    private NativeHistogram Made(in Numbers read) => new()
    {
        Schema = (int)read.Schema,
        ZeroThreshold = read.Threshold,
        ZeroCount = read.ZeroCount,
        Count = read.Count,
        Sum = read.Sum,
        PositiveSpans = [.. _positiveSpans],
        PositiveBuckets = [.. _positiveCounts],
        NegativeSpans = [.. _negativeSpans],
        NegativeBuckets = [.. _negativeCounts],
        CustomValues = [.. _custom],
        ResetHint = read.Hint <= 3 ? (CounterResetHint)read.Hint : CounterResetHint.Unknown,
        IsInteger = !read.IsFloat,
    };

    private string? Check(in Numbers read)
    {
        (long schema, double count, double zeroCount, double sum, bool isInteger) = (read.Schema, read.Count, read.ZeroCount, read.Sum, !read.IsFloat);
        bool custom = schema == NativeHistogram.CustomBucketsSchema;
        if (schema is < -4 or > 8 && !custom)
            return $"schema {schema} is none of -4 to 8 and -53";
        if (custom && (_negativeSpans.Count > 0 || zeroCount != 0 || read.Threshold != 0))
            return "custom buckets have no negative and no zero bucket";
        if (!custom && _custom.Count > 0)
            return "bounds are given, but the schema is not -53";
        for (int i = 1; i < _custom.Count; i++)
        {
            if (!(_custom[i - 1] < _custom[i]))
                return "custom bounds do not ascend";
        }
        string? spans = Spans(_positiveSpans, _positiveCounts, "positive") ?? Spans(_negativeSpans, _negativeCounts, "negative");
        if (spans is not null)
            return spans;
        if (custom && _positiveSpans.Sum(s => (long)s.Offset + s.Length) > _custom.Count + 1)
            return "there are more buckets than custom bounds";
        double buckets = zeroCount + _positiveCounts.Sum() + _negativeCounts.Sum();
        if (double.IsNaN(count) || count < 0 || zeroCount < 0 || _positiveCounts.Exists(c => !(c >= 0)) || _negativeCounts.Exists(c => !(c >= 0)))
            return "a count is negative or not a number";
        // Observations of NaN count, but are in no bucket.
        if (isInteger && (double.IsNaN(sum) ? buckets > count : buckets != count))
            return $"count is {count}, its buckets hold {buckets}";
        return !isInteger && buckets > count + (FloatTolerance * Math.Max(count, 1)) ? $"count is {count}, its buckets hold {buckets}" : null;
    }

    private static string? Spans(List<BucketSpan> spans, List<double> counts, string side)
    {
        long length = 0;
        for (int i = 0; i < spans.Count; i++)
        {
            if (i > 0 && spans[i].Offset < 0)
                return $"a {side} span has a negative offset";
            length += (uint)spans[i].Length;
        }
        return length != counts.Count ? $"the {side} spans name {length} buckets, there are {counts.Count}" : null;
    }

    private static void Sum(List<long> deltas, List<double> counts)
    {
        counts.Clear();
        long count = 0;
        foreach (long delta in deltas)
        {
            count = unchecked(count + delta);
            counts.Add(count);
        }
    }

    private static bool Span(ReadOnlySpan<byte> bytes, List<BucketSpan> into)
    {
        long offset = 0;
        ulong length = 0;
        var reader = new WireReader(bytes);
        while (!reader.AtEnd)
        {
            if (!reader.TryField(out int field, out int type))
                return false;
            ulong raw = 0;
            if (type == 0 ? !reader.TryVarint(out raw) : !reader.TrySkip(type))
                return false;
            if (field == 1)
                offset = WireReader.ZigZag(raw);
            if (field == 2)
                length = raw;
        }
        if (length > BucketsMax || offset is < int.MinValue or > int.MaxValue || into.Count >= BucketsMax)
            return false;
        into.Add(new BucketSpan((int)offset, (int)length));
        return true;
    }

    private static bool Deltas(int type, ulong single, ReadOnlySpan<byte> packed, List<long> into)
    {
        if (type == 0)
            into.Add(WireReader.ZigZag(single));
        var reader = new WireReader(type == 2 ? packed : default);
        while (!reader.AtEnd)
        {
            if (into.Count >= BucketsMax || !reader.TryVarint(out ulong raw))
                return false;
            into.Add(WireReader.ZigZag(raw));
        }
        return into.Count <= BucketsMax;
    }

    private static bool Doubles(int type, double single, ReadOnlySpan<byte> packed, List<double> into)
    {
        if (type == 1)
            into.Add(single);
        var reader = new WireReader(type == 2 ? packed : default);
        while (!reader.AtEnd)
        {
            if (into.Count >= BucketsMax || !reader.TryDouble(out double value))
                return false;
            into.Add(value);
        }
        return into.Count <= BucketsMax;
    }

    private void Clear()
    {
        _positiveSpans.Clear();
        _negativeSpans.Clear();
        _positiveCounts.Clear();
        _negativeCounts.Clear();
        _positiveDeltas.Clear();
        _negativeDeltas.Clear();
        _custom.Clear();
    }

    /// <summary>The fields that are single numbers.</summary>
    private struct Numbers
    {
        public double Count;
        public double ZeroCount;
        public double Sum;
        public double Threshold;
        public long Schema;
        public ulong Hint;
        public long Timestamp;
        public long Start;
        public bool IsFloat;
    }
}
