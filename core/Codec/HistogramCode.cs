using Bellwether.Core.Model;

namespace Bellwether.Core.Codec;

/// <summary>One native histogram (docs/formats/record.md, "Native histograms"). Bucket counts are coded against the bucket before.</summary>
internal static class HistogramCode
{
    private const byte IntegerFlag = 1 << 2;

    public static void Write(ByteSink sink, NativeHistogram h)
    {
        sink.Byte((byte)((int)h.ResetHint | (h.IsInteger ? IntegerFlag : 0)));
        sink.Signed(h.Schema);
        ValueCode.WriteAlone(sink, h.ZeroThreshold);
        ValueCode.WriteAlone(sink, h.ZeroCount);
        ValueCode.WriteAlone(sink, h.Count);
        ValueCode.WriteAlone(sink, h.Sum);
        WriteSide(sink, h.PositiveSpans, h.PositiveBuckets);
        WriteSide(sink, h.NegativeSpans, h.NegativeBuckets);
        WriteValues(sink, h.CustomValues);
    }

    public static NativeHistogram? Read(ref ByteSource source, CodecLimits limits)
    {
        byte flags = source.Byte();
        if (flags > 7)
            source.Fail(DecodeOutcome.Malformed);
        long schema = source.Signed();
        if (schema is < NativeHistogram.CustomBucketsSchema or > 127)
            source.Fail(DecodeOutcome.Malformed);
        double zeroThreshold = ValueCode.ReadAlone(ref source);
        double zeroCount = ValueCode.ReadAlone(ref source);
        double count = ValueCode.ReadAlone(ref source);
        double sum = ValueCode.ReadAlone(ref source);
        ReadSide(ref source, limits, out BucketSpan[] positiveSpans, out double[] positive);
        ReadSide(ref source, limits, out BucketSpan[] negativeSpans, out double[] negative);
        double[] custom = ReadValues(ref source, limits.BucketsMax);
        if (!source.Ok)
            return null;
        return new NativeHistogram
        {
            Schema = (int)schema,
            ZeroThreshold = zeroThreshold,
            ZeroCount = zeroCount,
            Count = count,
            Sum = sum,
            PositiveSpans = positiveSpans,
            PositiveBuckets = positive,
            NegativeSpans = negativeSpans,
            NegativeBuckets = negative,
            CustomValues = custom,
            ResetHint = (CounterResetHint)(flags & 3),
            IsInteger = (flags & IntegerFlag) != 0,
        };
    }

    /// <summary>Whether a histogram is one that the decoder would take.</summary>
    public static bool IsWithin(NativeHistogram h, CodecLimits limits) =>
        h.PositiveBuckets.Length <= limits.BucketsMax && h.NegativeBuckets.Length <= limits.BucketsMax && h.CustomValues.Length <= limits.BucketsMax
        && h.Schema is >= NativeHistogram.CustomBucketsSchema and <= 127
        && SpansMatch(h.PositiveSpans, h.PositiveBuckets.Length) && SpansMatch(h.NegativeSpans, h.NegativeBuckets.Length);

    private static void WriteSide(ByteSink sink, BucketSpan[] spans, double[] buckets)
    {
        sink.Varint((ulong)spans.Length);
        foreach (BucketSpan span in spans)
        {
            sink.Signed(span.Offset);
            sink.Varint((ulong)span.Length);
        }
        WriteValues(sink, buckets);
    }

    private static void ReadSide(ref ByteSource source, CodecLimits limits, out BucketSpan[] spans, out double[] buckets)
    {
        spans = new BucketSpan[source.Count(2, limits.BucketsMax)];
        for (int i = 0; i < spans.Length; i++)
        {
            long offset = source.Signed();
            ulong length = source.Varint();
            if (offset is < int.MinValue or > int.MaxValue || length > (ulong)limits.BucketsMax)
                source.Fail(DecodeOutcome.Malformed);
            spans[i] = new BucketSpan((int)offset, (int)length);
        }
        buckets = ReadValues(ref source, limits.BucketsMax);
        if (source.Ok && !SpansMatch(spans, buckets.Length))
            source.Fail(DecodeOutcome.Malformed);
    }

    private static bool SpansMatch(BucketSpan[] spans, int buckets)
    {
        long total = 0;
        foreach (BucketSpan span in spans)
        {
            if (span.Length < 0)
                return false;
            total += span.Length;
        }
        return total == buckets;
    }

    private static void WriteValues(ByteSink sink, double[] values)
    {
        sink.Varint((ulong)values.Length);
        double last = 0;
        long mantissa = 0;
        byte scale = ValueCode.Raw;
        foreach (double value in values)
            sink.Length += ValueCode.Write(sink.Room(ValueCode.BytesMax), value, ref last, ref mantissa, ref scale, search: true);
    }

    private static double[] ReadValues(ref ByteSource source, int max)
    {
        var values = new double[source.Count(1, max)];
        double last = 0;
        long mantissa = 0;
        byte scale = ValueCode.Raw;
        for (int i = 0; i < values.Length; i++)
        {
            ValueCode.Read(ref source, ref last, ref mantissa, ref scale);
            values[i] = last;
        }
        return values;
    }
}
