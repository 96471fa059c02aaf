using System.Buffers.Binary;
using Bellwether.Core.Model;

namespace Bellwether.Store.Exchange;

/// <summary>Reads chunks of Prometheus: floats, native histograms, native histograms of floats. Throws <see cref="InvalidDataException"/> on what does not fit; memory is bounded by the chunk.</summary>
internal static class TsdbChunk
{
    private const int MaxSpans = 4096;
    private const int MaxBuckets = 1 << 16;
    private const byte CounterReset = 0x80, Gauge = 0xC0;

    /// <summary>Adds the samples of a chunk, in time order, to those of its series.</summary>
    public static void Read(byte encoding, ReadOnlySpan<byte> data, Labels labels, List<SeriesSample> into)
    {
        if (data.Length < 2)
            throw new InvalidDataException("the chunk has no count of samples");
        int count = BinaryPrimitives.ReadUInt16BigEndian(data);
        var bits = new TsdbBits(data[2..]);
        int first = into.Count;
        switch (encoding)
        {
            case TsdbFormat.XorEncoding:
                ReadFloats(ref bits, count, labels, into);
                break;
            case TsdbFormat.HistogramEncoding or TsdbFormat.FloatHistogramEncoding:
                ReadHistograms(ref bits, count, labels, encoding == TsdbFormat.HistogramEncoding, into);
                break;
            default:
                throw new InvalidDataException($"the chunk's encoding {encoding} is not known; 1 (floats), 2 and 3 (native histograms) are");
        }
        for (int i = first + 1; i < into.Count; i++)
        {
            if (into[i].TimestampMs <= into[i - 1].TimestampMs)
                throw new InvalidDataException("the times of the chunk do not ascend");
        }
    }

    private static void ReadFloats(ref TsdbBits bits, int count, Labels labels, List<SeriesSample> into)
    {
        long time = 0, delta = 0;
        TsdbXor value = default;
        for (int i = 0; i < count; i++)
        {
            if (i == 0)
            {
                time = bits.Varint();
                value.Begin(ref bits);
            }
            else
            {
                delta = i == 1 ? (long)bits.Uvarint() : delta + bits.TimeDifference();
                time += delta;
                value.Next(ref bits);
            }
            into.Add(new SeriesSample(labels, time, value.Value));
        }
    }

    private static void ReadHistograms(ref TsdbBits bits, int count, Labels labels, bool isInteger, List<SeriesSample> into)
    {
        if (count == 0)
            return;
        byte flags = (byte)(bits.Byte() & 0xC0);
        var layout = Layout.Read(ref bits);
        var integers = new IntegerState(layout);
        var floats = new FloatState(layout);
        long time = 0, delta = 0;
        for (int i = 0; i < count; i++)
        {
            delta = i switch { 0 => 0, 1 => bits.VarbitInt(), _ => delta + bits.VarbitInt() };
            time = i == 0 ? bits.VarbitInt() : time + delta;
            CounterResetHint hint = flags == Gauge ? CounterResetHint.Gauge : flags == CounterReset && i == 0 ? CounterResetHint.Reset : CounterResetHint.Unknown;
            NativeHistogram histogram = isInteger ? integers.Next(ref bits, i, hint) : floats.Next(ref bits, i, hint);
            into.Add(new SeriesSample(labels, time, 0, histogram));
        }
    }

    /// <summary>What all histograms of a chunk share.</summary>
    private sealed class Layout
    {
        public double ZeroThreshold { get; private init; }

        public int Schema { get; private init; }

        public BucketSpan[] Positive { get; private init; } = [];

        public BucketSpan[] Negative { get; private init; } = [];

        public double[] Custom { get; private init; } = [];

        public static Layout Read(ref TsdbBits bits)
        {
            byte zero = bits.Byte();
            double threshold = zero switch { 0 => 0, 255 => bits.Double(), _ => Math.ScaleB(0.5, zero - 243) };
            int schema = (int)bits.VarbitInt();
            if (schema is not (NativeHistogram.CustomBucketsSchema or (>= -4 and <= 8)))
                throw new InvalidDataException($"the histogram's schema {schema} is not known; -4 to 8 and -53 are");
            return new Layout
            {
                ZeroThreshold = threshold,
                Schema = schema,
                Positive = Spans(ref bits),
                Negative = Spans(ref bits),
                Custom = schema == NativeHistogram.CustomBucketsSchema ? Bounds(ref bits) : [],
            };
        }

        public static int BucketsOf(BucketSpan[] spans)
        {
            long buckets = spans.Sum(s => (long)s.Length);
            return buckets <= MaxBuckets ? (int)buckets : throw new InvalidDataException($"a histogram of the chunk has {buckets} buckets; {MaxBuckets} are allowed");
        }

        private static BucketSpan[] Spans(ref TsdbBits bits)
        {
            var spans = new BucketSpan[bits.Count(MaxSpans, "spans")];
            for (int i = 0; i < spans.Length; i++)
            {
                int length = bits.Count(MaxBuckets, "buckets");
                spans[i] = new BucketSpan((int)bits.VarbitInt(), length);
            }
            return spans;
        }

        private static double[] Bounds(ref TsdbBits bits)
        {
            var bounds = new double[bits.Count(MaxBuckets, "custom bounds")];
            for (int i = 0; i < bounds.Length; i++)
            {
                // A bound of at most three decimals is a number of thousandths and one more, whose code begins with a one.
                TsdbBits ahead = bits;
                if (ahead.Bit())
                {
                    bounds[i] = (bits.VarbitUint() - 1) / 1000.0;
                    continue;
                }
                bits.Bit();
                bounds[i] = bits.Double();
            }
            return bounds;
        }

        public NativeHistogram Make(double count, double zeroCount, double sum, double[] positive, double[] negative, bool isInteger, CounterResetHint hint) => SpecialValues.IsStale(sum)
            ? new NativeHistogram { Sum = sum, Count = 0, IsInteger = isInteger }
            : new NativeHistogram
            {
                Schema = Schema,
                ZeroThreshold = ZeroThreshold,
                ZeroCount = zeroCount,
                Count = count,
                Sum = sum,
                PositiveSpans = Positive,
                NegativeSpans = Negative,
                PositiveBuckets = positive,
                NegativeBuckets = negative,
                CustomValues = Custom,
                ResetHint = hint,
                IsInteger = isInteger,
            };
    }

    private sealed class IntegerState(Layout layout)
    {
        private readonly long[] _positive = new long[Layout.BucketsOf(layout.Positive)];
        private readonly long[] _positiveDeltas = new long[Layout.BucketsOf(layout.Positive)];
        private readonly long[] _negative = new long[Layout.BucketsOf(layout.Negative)];
        private readonly long[] _negativeDeltas = new long[Layout.BucketsOf(layout.Negative)];
        private long _count, _countDelta, _zeroCount, _zeroDelta;
        private TsdbXor _sum;

        public NativeHistogram Next(ref TsdbBits bits, int index, CounterResetHint hint)
        {
            if (index == 0)
            {
                _count = (long)bits.VarbitUint();
                _zeroCount = (long)bits.VarbitUint();
                _sum.Begin(ref bits);
            }
            else
            {
                _count += _countDelta = (index == 1 ? 0 : _countDelta) + bits.VarbitInt();
                _zeroCount += _zeroDelta = (index == 1 ? 0 : _zeroDelta) + bits.VarbitInt();
                _sum.Next(ref bits);
            }
            // The end mark of a series has no buckets.
            if (index == 0 || !SpecialValues.IsStale(_sum.Value))
            {
                Buckets(ref bits, index, _positive, _positiveDeltas);
                Buckets(ref bits, index, _negative, _negativeDeltas);
            }
            return layout.Make(_count, _zeroCount, _sum.Value, Counts(_positive), Counts(_negative), isInteger: true, hint);
        }

        private static void Buckets(ref TsdbBits bits, int index, long[] values, long[] deltas)
        {
            for (int b = 0; b < values.Length; b++)
            {
                if (index == 0)
                    values[b] = bits.VarbitInt();
                else
                    values[b] += deltas[b] += bits.VarbitInt();
            }
        }

        // What is kept of a bucket is its difference from the bucket before.
        private static double[] Counts(long[] differences)
        {
            var counts = new double[differences.Length];
            long count = 0;
            for (int b = 0; b < counts.Length; b++)
                counts[b] = count += differences[b];
            return counts;
        }
    }

    private sealed class FloatState(Layout layout)
    {
        private readonly TsdbXor[] _positive = new TsdbXor[Layout.BucketsOf(layout.Positive)];
        private readonly TsdbXor[] _negative = new TsdbXor[Layout.BucketsOf(layout.Negative)];
        private TsdbXor _count, _zeroCount, _sum;

        public NativeHistogram Next(ref TsdbBits bits, int index, CounterResetHint hint)
        {
            Step(ref _count, ref bits, index);
            Step(ref _zeroCount, ref bits, index);
            Step(ref _sum, ref bits, index);
            if (index == 0 || !SpecialValues.IsStale(_sum.Value))
            {
                for (int b = 0; b < _positive.Length; b++)
                    Step(ref _positive[b], ref bits, index);
                for (int b = 0; b < _negative.Length; b++)
                    Step(ref _negative[b], ref bits, index);
            }
            return layout.Make(_count.Value, _zeroCount.Value, _sum.Value, [.. _positive.Select(x => x.Value)], [.. _negative.Select(x => x.Value)], isInteger: false, hint);
        }

        private static void Step(ref TsdbXor column, ref TsdbBits bits, int index)
        {
            if (index == 0)
                column.Begin(ref bits);
            else
                column.Next(ref bits);
        }
    }
}
