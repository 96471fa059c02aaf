namespace Bellwether.Evaluate.PromQl.Evaluation;

/// <summary>What is computed from the buckets of classic histograms (series with <c>le</c>).</summary>
internal static class ClassicBuckets
{
    /// <summary>Differences below this share are noise, not a break of monotonicity.</summary>
    private const double Tolerance = 1e-12;

    /// <summary>Of bounds that ascend, merges those that are equal (<paramref name="length"/> are left) and, where they must, makes the counts rise. False: there is no +Inf bucket.</summary>
    public static bool Prepare(Span<double> uppers, Span<double> counts, bool mustRise, out int length, out bool forced)
    {
        forced = false;
        length = uppers.Length;
        if (uppers.Length == 0 || !double.IsPositiveInfinity(uppers[^1]))
            return false;
        int last = 0;
        for (int i = 1; i < uppers.Length; i++)
        {
            if (uppers[i] == uppers[last])
                counts[last] += counts[i];
            else
                (uppers[++last], counts[last]) = (uppers[i], counts[i]);
        }
        length = last + 1;
        forced = mustRise && MakeRise(counts[..length]);
        return true;
    }

    /// <summary>Makes counts rise. True: a count fell by more than noise.</summary>
    public static bool MakeRise(Span<double> counts)
    {
        bool forced = false;
        double previous = counts[0];
        for (int i = 1; i < counts.Length; i++)
        {
            double current = counts[i], difference = current - previous, size = Math.Abs(previous) + Math.Abs(current);
            // Far from the tolerance there is no need to divide.
            if (difference > size * (10 * Tolerance))
            {
                previous = current;
                continue;
            }
            if (current == previous)
                continue;
            bool noise = Math.Abs(previous - current) / Math.Min(size, double.MaxValue) < Tolerance;
            if (noise || current < previous)
            {
                forced |= !noise;
                counts[i] = previous;
                continue;
            }
            previous = current;
        }
        return forced;
    }

    public static double Quantile(double q, ReadOnlySpan<double> uppers, ReadOnlySpan<double> counts)
    {
        if (double.IsNaN(q))
            return double.NaN;
        if (q < 0)
            return double.NegativeInfinity;
        if (q > 1)
            return double.PositiveInfinity;
        if (uppers.Length < 2 || !double.IsPositiveInfinity(uppers[^1]) || counts[^1] == 0 || double.IsNaN(counts[^1]))
            return double.NaN;
        double rank = q * counts[^1];
        int b = 0;
        while (b < counts.Length - 1 && !(counts[b] >= rank))
            b++;
        if (b == counts.Length - 1)
            return uppers[^2];
        if (b == 0 && uppers[0] <= 0)
            return uppers[0];
        double start = 0, count = counts[b];
        if (b > 0)
        {
            start = uppers[b - 1];
            count -= counts[b - 1];
            rank -= counts[b - 1];
        }
        return start + ((uppers[b] - start) * (rank / count));
    }

    public static double Fraction(double lower, double upper, ReadOnlySpan<double> uppers, ReadOnlySpan<double> counts)
    {
        if (uppers.Length == 0 || !double.IsPositiveInfinity(uppers[^1]) || counts[^1] == 0 || double.IsNaN(lower) || double.IsNaN(upper))
            return double.NaN;
        return lower >= upper ? 0 : (Rank(upper, uppers, counts) - Rank(lower, uppers, counts)) / counts[^1];
    }

    private static double Rank(double value, ReadOnlySpan<double> uppers, ReadOnlySpan<double> counts)
    {
        double rank = 0;
        for (int i = 0; i < uppers.Length; i++)
        {
            double lower = i > 0 ? uppers[i - 1] : uppers[0] > 0 ? 0 : double.NegativeInfinity, upper = uppers[i];
            if (value >= upper)
            {
                rank = counts[i];
                continue;
            }
            if (double.IsNegativeInfinity(lower) && !double.IsPositiveInfinity(upper))
                return double.IsNegativeInfinity(value) ? rank : counts[i];
            if (value <= lower || double.IsPositiveInfinity(upper))
                return rank;
            return rank + ((counts[i] - rank) * (value - lower) / (upper - lower));
        }
        return rank;
    }
}
