using Bellwether.Core.Model;

namespace Bellwether.Evaluate.PromQl.Evaluation;

/// <summary>A bucket with its bounds. Side: -1 negative, 0 the zero bucket, 1 positive.</summary>
internal readonly record struct HistogramBucket(double Lower, double Upper, double Count, int Side, int Index);

/// <summary>What is computed from the buckets of native histograms.</summary>
internal static class HistogramBuckets
{
    /// <summary>All buckets in order of their bounds. A zero bucket beside buckets of one sign only reaches from zero to that side.</summary>
    public static List<HistogramBucket> All(NativeHistogram h)
    {
        var all = new List<HistogramBucket>(h.NegativeBuckets.Length + h.PositiveBuckets.Length + 1);
        BucketCount[] negative = h.Buckets(false);
        for (int i = negative.Length - 1; i >= 0; i--)
        {
            (double lower, double upper) = h.Bounds(negative[i].Index);
            all.Add(new HistogramBucket(-upper, -lower, negative[i].Count, -1, negative[i].Index));
        }
        if (h.ZeroCount != 0)
        {
            bool onlyPositive = h.NegativeBuckets.Length == 0 && h.PositiveBuckets.Length > 0;
            bool onlyNegative = h.PositiveBuckets.Length == 0 && h.NegativeBuckets.Length > 0;
            all.Add(new HistogramBucket(onlyPositive ? 0 : -h.ZeroThreshold, onlyNegative ? 0 : h.ZeroThreshold, h.ZeroCount, 0, 0));
        }
        foreach (BucketCount bucket in h.Buckets(true))
        {
            (double lower, double upper) = h.Bounds(bucket.Index);
            all.Add(new HistogramBucket(lower, upper, bucket.Count, 1, bucket.Index));
        }
        return all;
    }

    /// <summary>The q-quantile. <paramref name="nan"/>: 1 when NaN observations skew it higher, 2 when it is NaN because of them.</summary>
    public static double Quantile(double q, NativeHistogram h, out int nan)
    {
        nan = 0;
        if (q < 0)
            return double.NegativeInfinity;
        if (q > 1)
            return double.PositiveInfinity;
        if (h.Count == 0 || double.IsNaN(q))
            return double.NaN;
        bool forward = double.IsNaN(h.Sum) || q < 0.5;
        List<HistogramBucket> buckets = All(h);
        if (!forward)
            buckets.Reverse();
        double rank = forward ? q * h.Count : (1 - q) * h.Count, count = 0;
        HistogramBucket bucket = default;
        foreach (HistogramBucket b in buckets)
        {
            if (b.Count == 0)
                continue;
            bucket = b;
            count += b.Count;
            if (count >= rank)
                break;
        }
        if (double.IsNaN(h.Sum))
            nan = count < rank ? 2 : 1;
        if (nan == 2)
            return double.NaN;
        return Interpolate(h, bucket, count, rank, forward);
    }

    private static double Interpolate(NativeHistogram h, HistogramBucket bucket, double count, double rank, bool forward)
    {
        double lower = bucket.Lower, upper = bucket.Upper;
        if (h.HasCustomBuckets && double.IsNegativeInfinity(lower))
        {
            if (upper <= 0)
                return upper;
            lower = 0;
        }
        else if (h.HasCustomBuckets && double.IsPositiveInfinity(upper))
        {
            return lower;
        }
        if (count < rank)
            return upper;
        count = Math.Min(count, h.Count);
        rank = forward ? rank - (count - bucket.Count) : count - rank;
        double fraction = rank / bucket.Count;
        if (h.HasCustomBuckets || (lower <= 0 && upper >= 0))
            return lower + ((upper - lower) * fraction);
        double logLower = Math.Log2(Math.Abs(lower)), logUpper = Math.Log2(Math.Abs(upper));
        return lower > 0
            ? Math.Pow(2, logLower + ((logUpper - logLower) * fraction))
            : -Math.Pow(2, logUpper + ((logLower - logUpper) * (1 - fraction)));
    }

    /// <summary>The share of observations between two values.</summary>
    public static double Fraction(double lower, double upper, NativeHistogram h)
    {
        if (h.Count == 0 || double.IsNaN(lower) || double.IsNaN(upper))
            return double.NaN;
        if (lower >= upper)
            return 0;
        double below = Rank(lower, h), above = Rank(upper, h);
        return (above - below) / h.Count;
    }

    /// <summary>Observations below a value, with interpolation inside its bucket.</summary>
    private static double Rank(double value, NativeHistogram h)
    {
        double rank = 0;
        foreach (HistogramBucket b in All(h))
        {
            double lower = b.Lower;
            if (h.HasCustomBuckets && double.IsNegativeInfinity(lower) && b.Upper > 0)
                lower = 0;
            if (value >= b.Upper)
            {
                rank += b.Count;
                continue;
            }
            if (double.IsNegativeInfinity(lower))
                return double.IsNegativeInfinity(value) ? rank : rank + b.Count;
            if (value <= lower)
                return rank;
            if (double.IsPositiveInfinity(b.Upper))
                return rank;
            if (h.HasCustomBuckets || b.Side == 0)
                return rank + (b.Count * (value - lower) / (b.Upper - lower));
            double logLower = Math.Log2(Math.Abs(lower)), logUpper = Math.Log2(Math.Abs(b.Upper)), log = Math.Log2(Math.Abs(value));
            double fraction = b.Side > 0 ? (log - logLower) / (logUpper - logLower) : 1 - ((log - logUpper) / (logLower - logUpper));
            return rank + (b.Count * fraction);
        }
        return Math.Min(rank, h.Count);
    }

    /// <summary>The estimated variance: every observation at the middle of its bucket.</summary>
    public static double Variance(NativeHistogram h)
    {
        if (h.Count == 0)
            return double.NaN;
        double mean = h.Sum / h.Count;
        var sum = new CompensatedSum();
        foreach (HistogramBucket b in All(h))
        {
            if (b.Count == 0)
                continue;
            double middle;
            if (h.HasCustomBuckets)
                middle = double.IsPositiveInfinity(b.Upper) ? b.Lower : double.IsNegativeInfinity(b.Lower) ? (b.Upper > 0 ? b.Upper / 2 : b.Upper) : (b.Upper + b.Lower) / 2;
            else if (b.Side == 0)
                middle = 0;
            else
                middle = b.Side * Math.Sqrt(b.Upper * b.Lower);
            double delta = middle - mean;
            sum.Add(b.Count * delta * delta);
        }
        return sum.Total / h.Count;
    }
}
