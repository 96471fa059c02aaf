using Bellwether.Core.Model;
using Bellwether.Store.Chunks;

namespace Bellwether.Store.Head;

/// <summary>A native histogram as bytes (the store's own form, used in the WAL's batches and in chunk files) and the order in which equal times are resolved.</summary>
internal static class HistogramCodec
{
    private const int MaxSpans = 1 << 12;
    private const int MaxBuckets = 1 << 16;

    public static void Write(NativeHistogram histogram, ByteWriter into)
    {
        into.Byte((byte)((int)histogram.ResetHint | (histogram.IsInteger ? 4 : 0) | (histogram.CustomValues.Length > 0 ? 8 : 0)));
        into.Zigzag(histogram.Schema);
        into.Double(histogram.ZeroThreshold);
        Number(histogram.ZeroCount, into);
        Number(histogram.Count, into);
        into.Double(histogram.Sum);
        WriteSide(histogram.PositiveSpans, histogram.PositiveBuckets, into);
        WriteSide(histogram.NegativeSpans, histogram.NegativeBuckets, into);
        if (histogram.CustomValues.Length == 0)
            return;
        into.Varint((ulong)histogram.CustomValues.Length);
        foreach (double bound in histogram.CustomValues)
            into.Double(bound);
    }

    public static NativeHistogram Read(ref ByteReader from)
    {
        byte flags = from.Byte();
        int schema = (int)from.Zigzag();
        double zeroThreshold = from.Double();
        double zeroCount = Number(ref from);
        double count = Number(ref from);
        double sum = from.Double();
        ReadSide(ref from, out BucketSpan[] positiveSpans, out double[] positive);
        ReadSide(ref from, out BucketSpan[] negativeSpans, out double[] negative);
        double[] custom = [];
        if ((flags & 8) != 0)
        {
            custom = new double[from.Count(Math.Min(MaxBuckets, from.Left / 8))];
            for (int i = 0; i < custom.Length; i++)
                custom[i] = from.Double();
        }
        return new NativeHistogram
        {
            Schema = schema,
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
            IsInteger = (flags & 4) != 0,
        };
    }

    /// <summary>0: the same histogram. Positive: <paramref name="a"/> stands against <paramref name="b"/>: stale loses, then the larger count, the larger sum, then bytes.</summary>
    public static int Compare(NativeHistogram a, NativeHistogram b)
    {
        if (ReferenceEquals(a, b))
            return 0;
        if (a.IsStale != b.IsStale)
            return a.IsStale ? -1 : 1;
        int c = a.Count.CompareTo(b.Count);
        if (c == 0)
            c = a.Sum.CompareTo(b.Sum);
        if (c != 0)
            return c;
        var left = new ByteWriter();
        var right = new ByteWriter();
        Write(a, left);
        Write(b, right);
        return left.Written.SequenceCompareTo(right.Written);
    }

    // Counts are integers mostly: a varint of value + 1; 0 announces raw bits.
    private static void Number(double value, ByteWriter into)
    {
        if (value >= 0 && value < 1L << 52 && BitConverter.DoubleToInt64Bits(value) == BitConverter.DoubleToInt64Bits((long)value))
        {
            into.Varint((ulong)value + 1);
            return;
        }
        into.Varint(0);
        into.Double(value);
    }

    private static double Number(ref ByteReader from)
    {
        ulong value = from.Varint();
        return value == 0 ? from.Double() : value - 1;
    }

    private static void WriteSide(BucketSpan[] spans, double[] buckets, ByteWriter into)
    {
        into.Varint((ulong)spans.Length);
        foreach (BucketSpan span in spans)
        {
            into.Zigzag(span.Offset);
            into.Varint((ulong)span.Length);
        }
        into.Varint((ulong)buckets.Length);
        foreach (double bucket in buckets)
            Number(bucket, into);
    }

    private static void ReadSide(ref ByteReader from, out BucketSpan[] spans, out double[] buckets)
    {
        spans = new BucketSpan[from.Count(Math.Min(MaxSpans, from.Left / 2))];
        for (int i = 0; i < spans.Length; i++)
            spans[i] = new BucketSpan((int)from.Zigzag(), from.Count(int.MaxValue));
        buckets = new double[from.Count(Math.Min(MaxBuckets, from.Left))];
        for (int i = 0; i < buckets.Length; i++)
            buckets[i] = Number(ref from);
    }
}
