namespace Bellwether.Evaluate.PromQl.Evaluation;

/// <summary>What is computed from the buckets of classic histograms (series with <c>le</c>).</summary>
internal static class ClassicBuckets
{
    /// <summary>Differences below this share are noise, not a break of monotonicity.</summary>
    private const double Tolerance = 1e-12;

    /// <summary>Sorts, merges equal bounds and makes the counts rise. False: there is no +Inf bucket or only one bucket.</summary>
    public static bool Prepare(List<(double Upper, double Count)> buckets, out bool forced)
    {
        forced = false;
        if (!IsSorted(buckets))
            buckets.Sort(static (a, b) => a.Upper.CompareTo(b.Upper));
        if (buckets.Count == 0 || !double.IsPositiveInfinity(buckets[^1].Upper))
            return false;
        int last = 0;
        for (int i = 1; i < buckets.Count; i++)
        {
            if (buckets[i].Upper == buckets[last].Upper)
                buckets[last] = (buckets[last].Upper, buckets[last].Count + buckets[i].Count);
            else
                buckets[++last] = buckets[i];
        }
        buckets.RemoveRange(last + 1, buckets.Count - last - 1);
        double previous = buckets[0].Count;
        for (int i = 1; i < buckets.Count; i++)
        {
            double current = buckets[i].Count;
            if (current == previous)
                continue;
            bool noise = Math.Abs(previous - current) / Math.Min(Math.Abs(previous) + Math.Abs(current), double.MaxValue) < Tolerance;
            if (noise || current < previous)
            {
                forced |= !noise;
                buckets[i] = (buckets[i].Upper, previous);
                continue;
            }
            previous = current;
        }
        return true;
    }

    private static bool IsSorted(List<(double Upper, double Count)> buckets)
    {
        for (int i = 1; i < buckets.Count; i++)
        {
            if (!(buckets[i - 1].Upper <= buckets[i].Upper))
                return false;
        }
        return true;
    }

    public static double Quantile(double q, List<(double Upper, double Count)> buckets)
    {
        if (double.IsNaN(q))
            return double.NaN;
        if (q < 0)
            return double.NegativeInfinity;
        if (q > 1)
            return double.PositiveInfinity;
        if (buckets.Count < 2 || !double.IsPositiveInfinity(buckets[^1].Upper) || buckets[^1].Count == 0 || double.IsNaN(buckets[^1].Count))
            return double.NaN;
        double rank = q * buckets[^1].Count;
        int b = 0;
        while (b < buckets.Count - 1 && !(buckets[b].Count >= rank))
            b++;
        if (b == buckets.Count - 1)
            return buckets[^2].Upper;
        if (b == 0 && buckets[0].Upper <= 0)
            return buckets[0].Upper;
        double start = 0, count = buckets[b].Count;
        if (b > 0)
        {
            start = buckets[b - 1].Upper;
            count -= buckets[b - 1].Count;
            rank -= buckets[b - 1].Count;
        }
        return start + ((buckets[b].Upper - start) * (rank / count));
    }

    public static double Fraction(double lower, double upper, List<(double Upper, double Count)> buckets)
    {
        if (buckets.Count == 0 || !double.IsPositiveInfinity(buckets[^1].Upper) || buckets[^1].Count == 0 || double.IsNaN(lower) || double.IsNaN(upper))
            return double.NaN;
        return lower >= upper ? 0 : (Rank(upper, buckets) - Rank(lower, buckets)) / buckets[^1].Count;
    }

    private static double Rank(double value, List<(double Upper, double Count)> buckets)
    {
        double rank = 0;
        for (int i = 0; i < buckets.Count; i++)
        {
            double lower = i > 0 ? buckets[i - 1].Upper : buckets[0].Upper > 0 ? 0 : double.NegativeInfinity, upper = buckets[i].Upper;
            if (value >= upper)
            {
                rank = buckets[i].Count;
                continue;
            }
            if (double.IsNegativeInfinity(lower) && !double.IsPositiveInfinity(upper))
                return double.IsNegativeInfinity(value) ? rank : buckets[i].Count;
            if (value <= lower || double.IsPositiveInfinity(upper))
                return rank;
            return rank + ((buckets[i].Count - rank) * (value - lower) / (upper - lower));
        }
        return rank;
    }
}
