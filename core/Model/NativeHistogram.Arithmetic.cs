using System.Runtime.CompilerServices;

namespace Bellwether.Core.Model;

/// <content>Arithmetic, resets, and conversions between resolutions.</content>
public sealed partial class NativeHistogram
{
    /// <summary>Whether the buckets have custom bounds.</summary>
    public bool HasCustomBuckets => Schema == CustomBucketsSchema;

    /// <summary>The buckets of one side as (index, count) pairs in index order.</summary>
    public BucketCount[] Buckets(bool positive)
    {
        BucketSpan[] spans = positive ? PositiveSpans : NegativeSpans;
        double[] counts = positive ? PositiveBuckets : NegativeBuckets;
        var result = new BucketCount[counts.Length];
        int at = 0, index = 0;
        foreach (BucketSpan span in spans)
        {
            index += span.Offset;
            for (int i = 0; i < span.Length && at < counts.Length; i++)
                result[at] = new BucketCount(index++, counts[at++]);
        }
        return result;
    }

    /// <summary>All counts and the sum times a factor.</summary>
    public NativeHistogram Multiply(double factor) =>
        Map(v => v * factor, factor < 0 ? CounterResetHint.Gauge : ResetHint);

    /// <summary>All counts and the sum divided by a number; division by zero leaves no buckets.</summary>
    public NativeHistogram Divide(double divisor)
    {
        NativeHistogram divided = Map(v => v / divisor, divisor < 0 ? CounterResetHint.Gauge : ResetHint);
        return divisor != 0 ? divided : divided.WithBuckets([], []);
    }

    /// <summary>The same with another reset hint.</summary>
    public NativeHistogram WithHint(CounterResetHint hint) => hint == ResetHint ? this : Copy(hint: hint);

    /// <summary>
    /// The sum of two histograms, at the coarser resolution and wider zero bucket of the two; null when one has custom buckets and the other has not.
    /// </summary>
    /// <param name="other">The second operand.</param>
    /// <param name="reconciled">Whether custom bounds differed and only common ones are left.</param>
    /// <param name="hintsCollide">Whether one says it was reset and the other that it was not.</param>
    public NativeHistogram? Add(NativeHistogram other, out bool reconciled, out bool hintsCollide)
    {
        hintsCollide = (ResetHint, other.ResetHint) is (CounterResetHint.Reset, CounterResetHint.NotReset) or (CounterResetHint.NotReset, CounterResetHint.Reset);
        return Combine(other, 1, SumHint(ResetHint, other.ResetHint), out reconciled);
    }

    /// <summary>The difference of two histograms; the rules are those of <see cref="Add"/>. The result is a gauge.</summary>
    public NativeHistogram? Subtract(NativeHistogram other, out bool reconciled, out bool hintsCollide)
    {
        hintsCollide = (ResetHint, other.ResetHint) is (CounterResetHint.Reset, CounterResetHint.NotReset) or (CounterResetHint.NotReset, CounterResetHint.Reset);
        return Combine(other, -1, CounterResetHint.Gauge, out reconciled);
    }

    /// <summary>Whether a counter reset lies between the earlier histogram and this one.</summary>
    public bool IsResetAfter(NativeHistogram previous)
    {
        if (ResetHint == CounterResetHint.Reset)
            return true;
        if (ResetHint == CounterResetHint.NotReset)
            return false;
        if (Count < previous.Count)
            return true;
        if (HasCustomBuckets != previous.HasCustomBuckets)
            return true;
        if (HasCustomBuckets)
            return !CustomValues.AsSpan().SequenceEqual(previous.CustomValues)
                ? CustomReset(previous)
                : Drops(Buckets(true), previous.Buckets(true));
        if (Schema > previous.Schema || ZeroThreshold < previous.ZeroThreshold)
            return true;
        NativeHistogram old = previous.Schema == Schema ? previous : previous.Reduce(Schema);
        if (old.ZeroThreshold != ZeroThreshold)
        {
            NativeHistogram widened = old.WithZeroThreshold(ZeroThreshold);
            if (widened.ZeroThreshold != ZeroThreshold)
                return true;
            old = widened;
        }
        return ZeroCount < old.ZeroCount || Drops(Buckets(true), old.Buckets(true)) || Drops(Buckets(false), old.Buckets(false));
    }

    /// <summary>The same distribution at a coarser schema.</summary>
    public NativeHistogram Reduce(int schema)
    {
        if (schema >= Schema || HasCustomBuckets)
            return this;
        int shift = Schema - schema;
        return FromParts(this, schema, ZeroThreshold, ZeroCount, Shift(Buckets(true), shift), Shift(Buckets(false), shift), CustomValues);
    }

    /// <summary>The same without empty buckets.</summary>
    public NativeHistogram Compact()
    {
        if (Array.IndexOf(PositiveBuckets, 0) < 0 && Array.IndexOf(NegativeBuckets, 0) < 0)
            return this;
        return WithBuckets(Array.FindAll(Buckets(true), b => b.Count != 0), Array.FindAll(Buckets(false), b => b.Count != 0));
    }

    /// <summary>Whether two have the same schema, bounds, counts and sum, by value, empty buckets aside.</summary>
    public bool SameDistribution(NativeHistogram other)
    {
        return Schema == other.Schema && ZeroThreshold == other.ZeroThreshold && Same(ZeroCount, other.ZeroCount) && Same(Count, other.Count) && Same(Sum, other.Sum)
            && CustomValues.AsSpan().SequenceEqual(other.CustomValues)
            && SameBuckets(Compact().Buckets(true), other.Compact().Buckets(true)) && SameBuckets(Compact().Buckets(false), other.Compact().Buckets(false));
    }

    /// <summary>The lower and upper bound of a positive bucket. For custom buckets the first reaches down to -Inf and the last up to +Inf.</summary>
    public (double Lower, double Upper) Bounds(int index)
    {
        if (!HasCustomBuckets)
            return (ExponentialBound(index - 1, Schema), ExponentialBound(index, Schema));
        double lower = index <= 0 ? double.NegativeInfinity : CustomValues[Math.Min(index, CustomValues.Length) - 1];
        double upper = index < CustomValues.Length ? CustomValues[index] : double.PositiveInfinity;
        return (lower, upper);
    }

    /// <summary>The upper bound of the exponential bucket: 2^(index * 2^-schema). Overflow gives the largest finite double for the last bucket, then +Inf.</summary>
    public static double ExponentialBound(int index, int schema)
    {
        if (schema < 0)
        {
            int exponent = index << -schema;
            return exponent == 1024 ? double.MaxValue : Math.ScaleB(1, exponent);
        }
        int steps = 1 << schema;
        int fraction = index & (steps - 1);
        int whole = index >> schema;
        if (whole == 1024 && fraction == 0)
            return double.MaxValue;
        return Math.ScaleB(fraction == 0 ? 1 : Math.Pow(2, (double)fraction / steps), whole);
    }

    /// <summary>The same with other buckets; count and sum stay.</summary>
    public NativeHistogram WithBuckets(BucketCount[] positive, BucketCount[] negative) =>
        FromParts(this, Schema, ZeroThreshold, ZeroCount, positive, negative, CustomValues);

    /// <summary>A copy with some values replaced.</summary>
    public NativeHistogram Copy(double? count = null, double? sum = null, double? zeroCount = null, CounterResetHint? hint = null) => new()
    {
        Schema = Schema,
        ZeroThreshold = ZeroThreshold,
        ZeroCount = zeroCount ?? ZeroCount,
        Count = count ?? Count,
        Sum = sum ?? Sum,
        PositiveSpans = PositiveSpans,
        PositiveBuckets = PositiveBuckets,
        NegativeSpans = NegativeSpans,
        NegativeBuckets = NegativeBuckets,
        CustomValues = CustomValues,
        ResetHint = hint ?? ResetHint,
    };

    private NativeHistogram Map(Func<double, double> change, CounterResetHint hint) => new()
    {
        Schema = Schema,
        ZeroThreshold = ZeroThreshold,
        ZeroCount = change(ZeroCount),
        Count = change(Count),
        Sum = change(Sum),
        PositiveSpans = PositiveSpans,
        PositiveBuckets = Array.ConvertAll(PositiveBuckets, v => change(v)),
        NegativeSpans = NegativeSpans,
        NegativeBuckets = Array.ConvertAll(NegativeBuckets, v => change(v)),
        CustomValues = CustomValues,
        ResetHint = hint,
    };

    private NativeHistogram? Combine(NativeHistogram other, int sign, CounterResetHint hint, out bool reconciled)
    {
        reconciled = false;
        if (HasCustomBuckets != other.HasCustomBuckets)
            return null;
        NativeHistogram a = this, b = other;
        if (HasCustomBuckets)
        {
            if (!CustomValues.AsSpan().SequenceEqual(other.CustomValues))
            {
                reconciled = true;
                double[] common = [.. CustomValues.Intersect(other.CustomValues)];
                a = a.ToBounds(common);
                b = b.ToBounds(common);
            }
        }
        else
        {
            (a, b) = SameZeroBucket(a, b);
            int schema = Math.Min(a.Schema, b.Schema);
            (a, b) = (a.Reduce(schema), b.Reduce(schema));
        }
        return new NativeHistogram
        {
            Count = a.Count + sign * b.Count,
            Sum = a.Sum + sign * b.Sum,
            ResetHint = hint,
        }.WithLayout(a.Schema, a.ZeroThreshold, a.ZeroCount + sign * b.ZeroCount, Merge(a.Buckets(true), b.Buckets(true), sign), Merge(a.Buckets(false), b.Buckets(false), sign), a.CustomValues);
    }

    private NativeHistogram WithLayout(int schema, double zeroThreshold, double zeroCount, BucketCount[] positive, BucketCount[] negative, double[] bounds) =>
        FromParts(this, schema, zeroThreshold, zeroCount, positive, negative, bounds);

    private static CounterResetHint SumHint(CounterResetHint a, CounterResetHint b)
    {
        if (a == b)
            return a;
        if (a == CounterResetHint.Gauge || b == CounterResetHint.Gauge)
            return CounterResetHint.Gauge;
        return CounterResetHint.Unknown;
    }

    private static (NativeHistogram A, NativeHistogram B) SameZeroBucket(NativeHistogram a, NativeHistogram b)
    {
        while (a.ZeroThreshold != b.ZeroThreshold)
        {
            double wider = Math.Max(a.ZeroThreshold, b.ZeroThreshold);
            if (a.ZeroThreshold < wider)
                a = a.WithZeroThreshold(wider);
            else
                b = b.WithZeroThreshold(wider);
        }
        return (a, b);
    }

    /// <summary>Moves buckets that lie in a wider zero bucket into it. A filled bucket that the threshold cuts widens the zero bucket to its end.</summary>
    private NativeHistogram WithZeroThreshold(double threshold)
    {
        BucketCount[] positive = Buckets(true), negative = Buckets(false);
        while (true)
        {
            double wanted = threshold;
            foreach (BucketCount[] side in (ReadOnlySpan<BucketCount[]>)[positive, negative])
            {
                foreach (BucketCount bucket in side)
                {
                    (double lower, double upper) = Bounds(bucket.Index);
                    if (bucket.Count != 0 && lower < threshold && upper > threshold)
                        wanted = Math.Max(wanted, upper);
                }
            }
            if (wanted == threshold)
                break;
            threshold = wanted;
        }
        double zero = ZeroCount;
        positive = TakeBelow(positive, threshold, ref zero);
        negative = TakeBelow(negative, threshold, ref zero);
        return FromParts(this, Schema, threshold, zero, positive, negative, CustomValues);
    }

    private BucketCount[] TakeBelow(BucketCount[] side, double threshold, ref double zero)
    {
        var kept = new List<BucketCount>(side.Length);
        foreach (BucketCount bucket in side)
        {
            if (Bounds(bucket.Index).Upper <= threshold)
                zero += bucket.Count;
            else if (Bounds(bucket.Index).Lower >= threshold)
                kept.Add(bucket);
        }
        return [.. kept];
    }

    private NativeHistogram ToBounds(double[] bounds)
    {
        var counts = new double[bounds.Length + 1];
        foreach (BucketCount bucket in Buckets(true))
        {
            int target = 0;
            double upper = Bounds(bucket.Index).Upper;
            while (target < bounds.Length && bounds[target] < upper)
                target++;
            counts[target] += bucket.Count;
        }
        var list = new BucketCount[counts.Length];
        for (int i = 0; i < counts.Length; i++)
            list[i] = new BucketCount(i, counts[i]);
        return FromParts(this, Schema, 0, 0, Array.FindAll(list, b => b.Count != 0), [], bounds);
    }

    private bool CustomReset(NativeHistogram previous)
    {
        double[] common = [.. CustomValues.Intersect(previous.CustomValues)];
        return Drops(ToBounds(common).Buckets(true), previous.ToBounds(common).Buckets(true));
    }

    private static bool Drops(BucketCount[] now, BucketCount[] before)
    {
        int i = 0;
        foreach (BucketCount old in before)
        {
            while (i < now.Length && now[i].Index < old.Index)
                i++;
            double current = i < now.Length && now[i].Index == old.Index ? now[i].Count : 0;
            if (current < old.Count)
                return true;
        }
        return false;
    }

    private static BucketCount[] Shift(BucketCount[] buckets, int shift)
    {
        var result = new List<BucketCount>(buckets.Length);
        foreach (BucketCount bucket in buckets)
        {
            int index = ((bucket.Index - 1) >> shift) + 1;
            if (result.Count > 0 && result[^1].Index == index)
                result[^1] = new BucketCount(index, result[^1].Count + bucket.Count);
            else
                result.Add(new BucketCount(index, bucket.Count));
        }
        return [.. result];
    }

    private static BucketCount[] Merge(BucketCount[] a, BucketCount[] b, int sign)
    {
        var result = new List<BucketCount>(a.Length + b.Length);
        int i = 0, j = 0;
        while (i < a.Length || j < b.Length)
        {
            if (j >= b.Length || (i < a.Length && a[i].Index < b[j].Index))
                result.Add(a[i++]);
            else if (i >= a.Length || b[j].Index < a[i].Index)
                result.Add(new BucketCount(b[j].Index, sign * b[j++].Count));
            else
                result.Add(new BucketCount(a[i].Index, a[i++].Count + sign * b[j++].Count));
        }
        return [.. result];
    }

    private static NativeHistogram FromParts(NativeHistogram source, int schema, double zeroThreshold, double zeroCount, BucketCount[] positive, BucketCount[] negative, double[] bounds)
    {
        (BucketSpan[] positiveSpans, double[] positiveCounts) = Pack(positive);
        (BucketSpan[] negativeSpans, double[] negativeCounts) = Pack(negative);
        return new NativeHistogram
        {
            Schema = schema,
            ZeroThreshold = zeroThreshold,
            ZeroCount = zeroCount,
            Count = source.Count,
            Sum = source.Sum,
            PositiveSpans = positiveSpans,
            PositiveBuckets = positiveCounts,
            NegativeSpans = negativeSpans,
            NegativeBuckets = negativeCounts,
            CustomValues = bounds,
            ResetHint = source.ResetHint,
        };
    }

    private static (BucketSpan[] Spans, double[] Counts) Pack(BucketCount[] buckets)
    {
        var spans = new List<BucketSpan>();
        var counts = new double[buckets.Length];
        int next = 0;
        for (int i = 0; i < buckets.Length; i++)
        {
            counts[i] = buckets[i].Count;
            if (spans.Count > 0 && buckets[i].Index == next)
                spans[^1] = spans[^1] with { Length = spans[^1].Length + 1 };
            else
                spans.Add(new BucketSpan(spans.Count == 0 ? buckets[i].Index : buckets[i].Index - next, 1));
            next = buckets[i].Index + 1;
        }
        return ([.. spans], counts);
    }

    private static bool SameBuckets(BucketCount[] a, BucketCount[] b) => a.AsSpan().SequenceEqual(b);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static bool Same(double a, double b) => a.Equals(b);
}

/// <summary>One bucket.</summary>
/// <param name="Index">Its index in the schema.</param>
/// <param name="Count">Observations in it alone.</param>
public readonly record struct BucketCount(int Index, double Count);
