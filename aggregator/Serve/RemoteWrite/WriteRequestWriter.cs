using System.Buffers;
using System.Buffers.Binary;
using System.Text;
using Bellwether.Core.Model;

namespace Bellwether.Serve.RemoteWrite;

/// <summary>Encodes <c>prometheus.WriteRequest</c> by hand. Samples of one series that stand together become one time series. Not thread-safe; reused.</summary>
internal sealed class WriteRequestWriter
{
    private readonly ArrayBufferWriter<byte> _request = new(64 * 1024);
    private readonly ArrayBufferWriter<byte> _series = new(4 * 1024);
    private readonly ArrayBufferWriter<byte> _part = new(1024);
    private readonly ArrayBufferWriter<byte> _inner = new(256);

    /// <summary>The message so far.</summary>
    public ReadOnlySpan<byte> Bytes => _request.WrittenSpan;

    public void Clear() => _request.ResetWrittenCount();

    /// <summary>Adds samples; those of one series must be in time order.</summary>
    public void Add(ReadOnlySpan<SeriesSample> samples)
    {
        for (int i = 0; i < samples.Length;)
        {
            int end = i + 1;
            while (end < samples.Length && ReferenceEquals(samples[end].Labels, samples[i].Labels))
                end++;
            Series(samples[i..end]);
            i = end;
        }
    }

    /// <summary>Adds the description of a family.</summary>
    public void Add(string family, MetricMetadata metadata)
    {
        _series.ResetWrittenCount();
        Field(_series, 1, (ulong)metadata.Type);
        Text(_series, 2, family);
        Text(_series, 4, metadata.Help);
        Text(_series, 5, metadata.Unit);
        Nested(_request, 3, _series);
    }

    private void Series(ReadOnlySpan<SeriesSample> samples)
    {
        _series.ResetWrittenCount();
        foreach (ref readonly Label label in samples[0].Labels.AsSpan())
        {
            _part.ResetWrittenCount();
            Text(_part, 1, label.Name);
            Text(_part, 2, label.Value);
            Nested(_series, 1, _part);
        }
        foreach (ref readonly SeriesSample sample in samples)
        {
            _part.ResetWrittenCount();
            if (sample.Histogram is { } histogram)
            {
                Histogram(histogram, sample.TimestampMs);
                Nested(_series, 4, _part);
                continue;
            }
            Double(_part, 1, sample.Value);
            Field(_part, 2, (ulong)sample.TimestampMs);
            Nested(_series, 2, _part);
        }
        Nested(_request, 1, _series);
    }

    private void Histogram(NativeHistogram h, long timestampMs)
    {
        if (h.IsInteger)
            Field(_part, 1, (ulong)h.Count, always: true);
        else
            Double(_part, 2, h.Count);
        Double(_part, 3, h.Sum);
        Field(_part, 4, ZigZag(h.Schema));
        Double(_part, 5, h.ZeroThreshold);
        if (h.IsInteger)
            Field(_part, 6, (ulong)h.ZeroCount, always: true);
        else
            Double(_part, 7, h.ZeroCount);
        Buckets(h.NegativeSpans, h.NegativeBuckets, h.IsInteger, 8);
        Buckets(h.PositiveSpans, h.PositiveBuckets, h.IsInteger, 11);
        Field(_part, 14, (ulong)h.ResetHint);
        Field(_part, 15, (ulong)timestampMs);
        if (h.CustomValues.Length > 0)
            Doubles(16, h.CustomValues);
    }

    private void Buckets(BucketSpan[] spans, double[] counts, bool isInteger, int field)
    {
        foreach (BucketSpan span in spans)
        {
            _inner.ResetWrittenCount();
            Field(_inner, 1, ZigZag(span.Offset));
            Field(_inner, 2, (ulong)span.Length);
            Nested(_part, field, _inner);
        }
        if (counts.Length == 0)
            return;
        if (!isInteger)
        {
            Doubles(field + 2, counts);
            return;
        }
        _inner.ResetWrittenCount();
        long before = 0;
        foreach (double count in counts)
        {
            Varint(_inner, ZigZag((long)count - before));
            before = (long)count;
        }
        Nested(_part, field + 1, _inner);
    }

    private void Doubles(int field, double[] values)
    {
        _inner.ResetWrittenCount();
        foreach (double value in values)
        {
            BinaryPrimitives.WriteDoubleLittleEndian(_inner.GetSpan(8), value);
            _inner.Advance(8);
        }
        Nested(_part, field, _inner);
    }

    private static ulong ZigZag(long value) => (ulong)((value << 1) ^ (value >> 63));

    private static void Field(ArrayBufferWriter<byte> into, int number, ulong value, bool always = false)
    {
        if (value == 0 && !always)
            return;
        Varint(into, (ulong)number << 3);
        Varint(into, value);
    }

    private static void Double(ArrayBufferWriter<byte> into, int number, double value)
    {
        if (BitConverter.DoubleToUInt64Bits(value) == 0)
            return;
        Varint(into, ((ulong)number << 3) | 1);
        BinaryPrimitives.WriteDoubleLittleEndian(into.GetSpan(8), value);
        into.Advance(8);
    }

    private static void Text(ArrayBufferWriter<byte> into, int number, string text)
    {
        if (text.Length == 0)
            return;
        Varint(into, ((ulong)number << 3) | 2);
        Varint(into, (ulong)Encoding.UTF8.GetByteCount(text));
        Encoding.UTF8.GetBytes(text, into);
    }

    private static void Nested(ArrayBufferWriter<byte> into, int number, ArrayBufferWriter<byte> message)
    {
        Varint(into, ((ulong)number << 3) | 2);
        Varint(into, (ulong)message.WrittenCount);
        into.Write(message.WrittenSpan);
    }

    private static void Varint(ArrayBufferWriter<byte> into, ulong value)
    {
        Span<byte> span = into.GetSpan(10);
        int n = 0;
        while (value >= 0x80)
        {
            span[n++] = (byte)(value | 0x80);
            value >>= 7;
        }
        span[n++] = (byte)value;
        into.Advance(n);
    }
}
