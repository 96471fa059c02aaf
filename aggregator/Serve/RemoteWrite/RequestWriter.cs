using System.Buffers;
using System.Buffers.Binary;
using System.Text;
using Bellwether.Core.Model;

namespace Bellwether.Serve.RemoteWrite;

/// <summary>What the writers of both versions share. Samples of one series that stand together become one time series. Not thread-safe; reused.</summary>
internal abstract class RequestWriter
{
    private readonly ArrayBufferWriter<byte> _inner = new(256);

    /// <summary>The message so far.</summary>
    public abstract ReadOnlySpan<byte> Bytes { get; }

    protected ArrayBufferWriter<byte> Request { get; } = new(64 * 1024);

    protected ArrayBufferWriter<byte> OneSeries { get; } = new(4 * 1024);

    protected ArrayBufferWriter<byte> Part { get; } = new(1024);

    /// <summary>Begins the next message.</summary>
    public virtual void Clear() => Request.ResetWrittenCount();

    /// <summary>Adds samples; those of one series must be in time order.</summary>
    public void Add(ReadOnlySpan<SeriesSample> samples)
    {
        for (int i = 0; i < samples.Length;)
        {
            int end = i + 1;
            while (end < samples.Length && ReferenceEquals(samples[end].Labels, samples[i].Labels) && Together(samples[i], samples[end]))
                end++;
            Series(samples[i..end]);
            i = end;
        }
    }

    /// <summary>Adds exemplars that have a time, as series without samples; those of one series that stand together become one.</summary>
    public void AddExemplars(ReadOnlySpan<(Labels Labels, Exemplar Exemplar)> exemplars)
    {
        for (int i = 0; i < exemplars.Length;)
        {
            int end = i + 1;
            while (end < exemplars.Length && ReferenceEquals(exemplars[end].Labels, exemplars[i].Labels))
                end++;
            Series(exemplars[i..end]);
            i = end;
        }
    }

    protected virtual bool Together(in SeriesSample first, in SeriesSample next) => true;

    protected abstract void Series(ReadOnlySpan<SeriesSample> samples);

    protected abstract void Series(ReadOnlySpan<(Labels Labels, Exemplar Exemplar)> exemplars);

    /// <summary>Encodes a native histogram into <see cref="Part"/>; the fields are the same in both versions, but for the start time, which only 2.0 has.</summary>
    protected void Histogram(NativeHistogram h, long timestampMs, long startMs)
    {
        if (h.IsInteger)
            Field(Part, 1, (ulong)h.Count, always: true);
        else
            Double(Part, 2, h.Count);
        Double(Part, 3, h.Sum);
        Field(Part, 4, ZigZag(h.Schema));
        Double(Part, 5, h.ZeroThreshold);
        if (h.IsInteger)
            Field(Part, 6, (ulong)h.ZeroCount, always: true);
        else
            Double(Part, 7, h.ZeroCount);
        Buckets(h.NegativeSpans, h.NegativeBuckets, h.IsInteger, 8);
        Buckets(h.PositiveSpans, h.PositiveBuckets, h.IsInteger, 11);
        Field(Part, 14, (ulong)h.ResetHint);
        Field(Part, 15, (ulong)timestampMs);
        if (h.CustomValues.Length > 0)
            Doubles(16, h.CustomValues);
        Field(Part, 17, (ulong)startMs);
    }

    private void Buckets(BucketSpan[] spans, double[] counts, bool isInteger, int field)
    {
        foreach (BucketSpan span in spans)
        {
            _inner.ResetWrittenCount();
            Field(_inner, 1, ZigZag(span.Offset));
            Field(_inner, 2, (ulong)span.Length);
            Nested(Part, field, _inner);
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
        Nested(Part, field + 1, _inner);
    }

    private void Doubles(int field, double[] values)
    {
        _inner.ResetWrittenCount();
        foreach (double value in values)
        {
            BinaryPrimitives.WriteDoubleLittleEndian(_inner.GetSpan(8), value);
            _inner.Advance(8);
        }
        Nested(Part, field, _inner);
    }

    private static ulong ZigZag(long value) => (ulong)((value << 1) ^ (value >> 63));

    protected static void Field(ArrayBufferWriter<byte> into, int number, ulong value, bool always = false)
    {
        if (value == 0 && !always)
            return;
        Varint(into, (ulong)number << 3);
        Varint(into, value);
    }

    protected static void Double(ArrayBufferWriter<byte> into, int number, double value)
    {
        if (BitConverter.DoubleToUInt64Bits(value) == 0)
            return;
        Varint(into, ((ulong)number << 3) | 1);
        BinaryPrimitives.WriteDoubleLittleEndian(into.GetSpan(8), value);
        into.Advance(8);
    }

    protected static void Text(ArrayBufferWriter<byte> into, int number, string text)
    {
        if (text.Length == 0)
            return;
        Varint(into, ((ulong)number << 3) | 2);
        Varint(into, (ulong)Encoding.UTF8.GetByteCount(text));
        Encoding.UTF8.GetBytes(text, into);
    }

    protected static void Nested(ArrayBufferWriter<byte> into, int number, ArrayBufferWriter<byte> message)
    {
        Varint(into, ((ulong)number << 3) | 2);
        Varint(into, (ulong)message.WrittenCount);
        into.Write(message.WrittenSpan);
    }

    protected static void Varint(ArrayBufferWriter<byte> into, ulong value)
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
