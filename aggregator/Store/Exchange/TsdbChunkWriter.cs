using Bellwether.Core.Model;

namespace Bellwether.Store.Exchange;

/// <summary>Writes chunks of Prometheus: a run of samples of one kind, and for native histograms of one layout without a counter reset within. Not thread-safe; reused.</summary>
internal sealed class TsdbChunkWriter
{
    /// <summary>Samples of a chunk, as Prometheus cuts them.</summary>
    public const int MaxSamples = 120;

    private readonly TsdbBitWriter _bits = new();
    private TsdbXorWriter[] _columns = [];

    /// <summary>The chunk's data; valid until the next one.</summary>
    public ReadOnlySpan<byte> Data => _bits.Written;

    /// <summary>How many samples from an index on go into one chunk, and its encoding.</summary>
    public static int RunOf(SampleBuffer samples, int from, out byte encoding)
    {
        NativeHistogram? first = samples.HistogramAt(from);
        encoding = first is null ? TsdbFormat.XorEncoding : first.IsInteger ? TsdbFormat.HistogramEncoding : TsdbFormat.FloatHistogramEncoding;
        int to = from + 1;
        while (to < samples.Count && to - from < MaxSamples && Continues(samples.HistogramAt(to - 1), samples.HistogramAt(to)))
            to++;
        return to - from;
    }

    /// <summary>Writes samples that <see cref="RunOf"/> found.</summary>
    public void Write(SampleBuffer samples, int from, int count, byte encoding)
    {
        _bits.Clear();
        _bits.Bits((ulong)count, 16);
        if (encoding == TsdbFormat.XorEncoding)
            WriteFloats(samples, from, count);
        else
            WriteHistograms(samples, from, count, encoding == TsdbFormat.HistogramEncoding);
    }

    // A stale marker has no buckets, and so no layout: it stands alone.
    private static bool Continues(NativeHistogram? before, NativeHistogram? next)
    {
        if (before is null || next is null)
            return before is null && next is null;
        if (before.IsStale || next.IsStale || before.IsInteger != next.IsInteger || before.Schema != next.Schema || BitConverter.DoubleToInt64Bits(before.ZeroThreshold) != BitConverter.DoubleToInt64Bits(next.ZeroThreshold)
            || !before.PositiveSpans.AsSpan().SequenceEqual(next.PositiveSpans) || !before.NegativeSpans.AsSpan().SequenceEqual(next.NegativeSpans) || !before.CustomValues.AsSpan().SequenceEqual(next.CustomValues))
            return false;
        if (before.ResetHint == CounterResetHint.Gauge || next.ResetHint == CounterResetHint.Gauge)
            return before.ResetHint == next.ResetHint;
        // Within a chunk of a counter nobody looks for a reset.
        return next.ResetHint != CounterResetHint.Reset && next.Count >= before.Count && next.ZeroCount >= before.ZeroCount && Grows(before.PositiveBuckets, next.PositiveBuckets) && Grows(before.NegativeBuckets, next.NegativeBuckets);
    }

    private static bool Grows(double[] before, double[] next)
    {
        for (int b = 0; b < before.Length; b++)
        {
            if (!(next[b] >= before[b]))
                return false;
        }
        return true;
    }

    private void WriteFloats(SampleBuffer samples, int from, int count)
    {
        TsdbXorWriter value = default;
        long time = samples.Times[from], delta = 0;
        _bits.Varint(time);
        value.Begin(samples.Values[from], _bits);
        for (int i = 1; i < count; i++)
        {
            long next = samples.Times[from + i] - time;
            if (i == 1)
                _bits.Uvarint((ulong)next);
            else
                _bits.TimeDifference(next - delta);
            delta = next;
            time = samples.Times[from + i];
            value.Next(samples.Values[from + i], _bits);
        }
    }

    private void WriteHistograms(SampleBuffer samples, int from, int count, bool isInteger)
    {
        NativeHistogram first = samples.HistogramAt(from)!;
        WriteLayout(first);
        int positive = first.PositiveBuckets.Length, buckets = positive + first.NegativeBuckets.Length;
        var values = new long[3 + buckets];
        var before = new long[3 + buckets];
        var deltas = new long[3 + buckets];
        if (_columns.Length < 3 + buckets)
            _columns = new TsdbXorWriter[3 + buckets];
        for (int i = 0; i < count; i++)
        {
            NativeHistogram histogram = samples.HistogramAt(from + i)!;
            values[0] = samples.Times[from + i];
            WriteTime(values[0], ref before[0], ref deltas[0], i);
            if (isInteger)
                WriteIntegers(histogram, i, values, before, deltas);
            else
                WriteDoubles(histogram, i);
        }
    }

    private void WriteTime(long time, ref long before, ref long delta, int index)
    {
        long next = time - before;
        _bits.VarbitInt(index == 0 ? time : index == 1 ? next : next - delta);
        delta = index == 0 ? 0 : next;
        before = time;
    }

    private void WriteIntegers(NativeHistogram histogram, int index, long[] values, long[] before, long[] deltas)
    {
        values[1] = (long)histogram.Count;
        values[2] = (long)histogram.ZeroCount;
        int at = Differences(histogram.PositiveBuckets, values, 3);
        Differences(histogram.NegativeBuckets, values, at);
        for (int k = 1; k < values.Length; k++)
        {
            if (k == 3)
                WriteDouble(ref _columns[0], histogram.Sum, index);
            long next = values[k] - before[k];
            if (index == 0 && k < 3)
                _bits.VarbitUint((ulong)values[k]);
            else
                _bits.VarbitInt(index == 0 ? values[k] : index == 1 ? next : next - deltas[k]);
            deltas[k] = index == 0 ? 0 : next;
            before[k] = values[k];
        }
        if (values.Length == 3)
            WriteDouble(ref _columns[0], histogram.Sum, index);
    }

    private void WriteDoubles(NativeHistogram histogram, int index)
    {
        WriteDouble(ref _columns[0], histogram.Count, index);
        WriteDouble(ref _columns[1], histogram.ZeroCount, index);
        WriteDouble(ref _columns[2], histogram.Sum, index);
        for (int b = 0; b < histogram.PositiveBuckets.Length; b++)
            WriteDouble(ref _columns[3 + b], histogram.PositiveBuckets[b], index);
        for (int b = 0; b < histogram.NegativeBuckets.Length; b++)
            WriteDouble(ref _columns[3 + histogram.PositiveBuckets.Length + b], histogram.NegativeBuckets[b], index);
    }

    private void WriteDouble(ref TsdbXorWriter column, double value, int index)
    {
        if (index == 0)
            column.Begin(value, _bits);
        else
            column.Next(value, _bits);
    }

    // A bucket is kept as its difference from the bucket before.
    private static int Differences(double[] counts, long[] into, int at)
    {
        long before = 0;
        foreach (double count in counts)
        {
            into[at++] = (long)count - before;
            before = (long)count;
        }
        return at;
    }

    private void WriteLayout(NativeHistogram histogram)
    {
        byte flags = histogram.ResetHint switch { CounterResetHint.Gauge => 0xC0, CounterResetHint.Reset => 0x80, _ => 0 };
        _bits.Byte(flags);
        WriteZeroThreshold(histogram.ZeroThreshold);
        _bits.VarbitInt(histogram.Schema);
        WriteSpans(histogram.PositiveSpans);
        WriteSpans(histogram.NegativeSpans);
        if (histogram.Schema != NativeHistogram.CustomBucketsSchema)
            return;
        _bits.VarbitUint((ulong)histogram.CustomValues.Length);
        foreach (double bound in histogram.CustomValues)
        {
            double thousandths = Math.Round(bound * 1000);
            if (thousandths is >= 0 and <= 33_554_430 && BitConverter.DoubleToInt64Bits(thousandths / 1000) == BitConverter.DoubleToInt64Bits(bound))
            {
                _bits.VarbitUint((ulong)thousandths + 1);
                continue;
            }
            _bits.Bits(0, 1);
            _bits.Double(bound);
        }
    }

    private void WriteZeroThreshold(double threshold)
    {
        long bits = BitConverter.DoubleToInt64Bits(threshold);
        int exponent = (int)(bits >> 52);
        bool isPower = threshold > 0 && (bits & ((1L << 52) - 1)) == 0 && exponent is > 0 and < 2047;
        // The byte is the exponent with the mantissa at one half.
        int code = exponent - 1022 + 243;
        if (bits == 0)
        {
            _bits.Byte(0);
        }
        else if (isPower && code is > 0 and < 255)
        {
            _bits.Byte((byte)code);
        }
        else
        {
            _bits.Byte(255);
            _bits.Double(threshold);
        }
    }

    private void WriteSpans(BucketSpan[] spans)
    {
        _bits.VarbitUint((ulong)spans.Length);
        foreach (BucketSpan span in spans)
        {
            _bits.VarbitUint((ulong)span.Length);
            _bits.VarbitInt(span.Offset);
        }
    }
}
