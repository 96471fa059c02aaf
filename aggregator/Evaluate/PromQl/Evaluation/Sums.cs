namespace Bellwether.Evaluate.PromQl.Evaluation;

/// <summary>A sum with Neumaier's compensation, as Prometheus keeps it. Source: Neumaier 1974.</summary>
internal struct CompensatedSum
{
    public double Sum;
    public double Compensation;

    public void Add(double value)
    {
        double total = Sum + value;
        if (double.IsInfinity(total))
            Compensation = 0;
        else if (Math.Abs(Sum) >= Math.Abs(value))
            Compensation += Sum - total + value;
        else
            Compensation += value - total + Sum;
        Sum = total;
    }

    public readonly double Total => double.IsInfinity(Sum) ? Sum : Sum + Compensation;
}

/// <summary>A mean that goes over to incremental calculation when the sum overflows.</summary>
internal struct CompensatedMean
{
    private CompensatedSum _sum;
    private double _count;
    private bool _incremental;

    public void Add(double value)
    {
        _count++;
        if (!_incremental)
        {
            CompensatedSum next = _sum;
            next.Add(value);
            if (_count == 1 || !double.IsInfinity(next.Sum))
            {
                _sum = next;
                return;
            }
            _incremental = true;
            _sum.Sum /= _count - 1;
            _sum.Compensation /= _count - 1;
        }
        double weight = (_count - 1) / _count;
        _sum.Sum *= weight;
        _sum.Compensation *= weight;
        _sum.Add(value / _count);
    }

    public readonly double Mean => _incremental ? _sum.Sum + _sum.Compensation : (_sum.Sum / _count) + (_sum.Compensation / _count);
}

/// <summary>Welford's variance with compensated sums.</summary>
internal struct Variance
{
    private CompensatedSum _mean;
    private CompensatedSum _squares;
    private double _count;

    public void Add(double value)
    {
        _count++;
        double delta = value - (_mean.Sum + _mean.Compensation);
        _mean.Add(delta / _count);
        _squares.Add(delta * (value - (_mean.Sum + _mean.Compensation)));
    }

    public readonly double Population => (_squares.Sum + _squares.Compensation) / _count;
}

/// <summary>Quantiles of plain numbers.</summary>
internal static class Quantiles
{
    /// <summary>The q-quantile with linear interpolation; NaN counts as smallest. Sorts the list.</summary>
    public static double Of(double q, List<double> values)
    {
        if (values.Count == 0 || double.IsNaN(q))
            return double.NaN;
        if (q < 0)
            return double.NegativeInfinity;
        if (q > 1)
            return double.PositiveInfinity;
        values.Sort();
        double rank = q * (values.Count - 1);
        int lower = (int)Math.Max(0, Math.Floor(rank));
        int upper = Math.Min(values.Count - 1, lower + 1);
        double weight = rank - Math.Floor(rank);
        return (values[lower] * (1 - weight)) + (values[upper] * weight);
    }
}
