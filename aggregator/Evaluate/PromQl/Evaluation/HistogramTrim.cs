using Bellwether.Core.Model;

namespace Bellwether.Evaluate.PromQl.Evaluation;

/// <summary>The experimental trim operators: a histogram without what lies above or below a value.</summary>
internal static class HistogramTrim
{
    /// <summary>Keeps what is at most (<paramref name="upper"/>) or at least the bound; the bucket that the bound cuts keeps its share. Count and sum are estimated anew.</summary>
    public static NativeHistogram Trim(NativeHistogram h, double bound, bool upper)
    {
        if (double.IsNaN(bound))
            return h;
        bool changed = false;
        double count = 0, sum = 0;
        var positive = new List<BucketCount>();
        var negative = new List<BucketCount>();
        double zero = 0;
        foreach (HistogramBucket bucket in HistogramBuckets.All(h))
        {
            double share = Share(h, bucket, bound, upper);
            double kept = upper ? share : 1 - share;
            double left = bucket.Count * kept;
            changed |= kept < 1 && bucket.Count != 0;
            count += left;
            sum += left == 0 ? 0 : left * Middle(h, bucket, bound, upper, kept);
            if (left == 0)
                continue;
            if (bucket.Side == 0)
                zero = left;
            else
                (bucket.Side > 0 ? positive : negative).Add(new BucketCount(bucket.Index, left));
        }
        if (!changed)
            return h;
        negative.Reverse();
        return h.WithBuckets([.. positive], [.. negative]).Copy(count, sum, zero).Compact();
    }

    /// <summary>How much of a bucket lies below the bound, 0 to 1.</summary>
    private static double Share(NativeHistogram h, HistogramBucket b, double bound, bool upper)
    {
        if (bound >= b.Upper)
            return 1;
        if (bound <= b.Lower)
            return 0;
        if (h.HasCustomBuckets)
        {
            double lower = b.Lower;
            if (double.IsNegativeInfinity(lower))
            {
                // Nothing says how far down it reaches: below zero all of it counts as below the bound.
                if (b.Upper <= 0 || (bound < 0 && !upper))
                    return 1;
                lower = 0;
                if (bound <= 0)
                    return 0;
            }
            return double.IsPositiveInfinity(b.Upper) ? 0 : (bound - lower) / (b.Upper - lower);
        }
        if (b.Side == 0)
            return (bound - b.Lower) / (b.Upper - b.Lower);
        double logLower = Math.Log2(Math.Abs(b.Lower)), logUpper = Math.Log2(Math.Abs(b.Upper)), logBound = Math.Log2(Math.Abs(bound));
        return b.Side > 0 ? (logBound - logLower) / (logUpper - logLower) : 1 - ((logBound - logUpper) / (logLower - logUpper));
    }

    private static double Middle(NativeHistogram h, HistogramBucket b, double bound, bool upper, double kept)
    {
        double lower = b.Lower, top = b.Upper;
        if (kept < 1 && upper)
            top = bound;
        else if (kept < 1)
            lower = bound;
        if (h.HasCustomBuckets)
        {
            if (double.IsNegativeInfinity(lower))
                lower = top > 0 ? 0 : top = upper ? Math.Min(top, bound) : top;
            if (double.IsPositiveInfinity(top))
                top = lower = upper ? lower : Math.Max(lower, bound);
            return (lower + top) / 2;
        }
        if (b.Side == 0)
            return (lower + top) / 2;
        return Math.Sign(b.Side) * Math.Sqrt(Math.Abs(lower) * Math.Abs(top));
    }
}
