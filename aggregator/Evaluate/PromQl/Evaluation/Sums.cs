using System.Runtime.InteropServices;
using Bellwether.Core.Model;

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

    /// <summary>Adds what another sum holds.</summary>
    public void Add(in CompensatedSum other)
    {
        Add(other.Sum);
        if (!double.IsInfinity(Sum))
            Compensation += other.Compensation;
    }

    public readonly double Total => double.IsInfinity(Sum) ? Sum : Sum + Compensation;
}

/// <summary>
/// What is summed over the samples of a window: in time order within each slot (<see cref="TimeSlot"/>), then over the slots. So the number depends on the window's
/// samples only, and a slot that lies whole in the window may be taken from a summary.
/// </summary>
internal static class SlottedSums
{
    /// <summary>The sum of a window.</summary>
    public static CompensatedSum Sum(ReadOnlySpan<long> times, ReadOnlySpan<double> values)
    {
        CompensatedSum total = default, slot = default;
        long slotEnd = long.MinValue;
        for (int i = 0; i < values.Length; i++)
        {
            if (times[i] >= slotEnd)
            {
                if (i > 0)
                    total.Add(slot);
                slot = default;
                slotEnd = TimeSlot.StartOf(times[i]) + TimeSlot.LengthMs;
            }
            slot.Add(values[i]);
        }
        total.Add(slot);
        return total;
    }

    /// <summary>The mean of a window; one that overflows is made incrementally.</summary>
    public static double Mean(ReadOnlySpan<long> times, ReadOnlySpan<double> values) => Mean(Sum(times, values), values.Length, values);

    /// <summary>The mean from the sum; <paramref name="values"/> are needed where the sum is not finite.</summary>
    public static double Mean(in CompensatedSum sum, long count, ReadOnlySpan<double> values)
    {
        if (double.IsFinite(sum.Sum) && double.IsFinite(sum.Compensation))
        {
            // The sum rounded and what that leaves: the same whatever the order in which an exact sum was made.
            double total = sum.Sum + sum.Compensation, part = total - sum.Sum, rest = sum.Sum - (total - part) + (sum.Compensation - part);
            return double.IsFinite(total) ? (total / count) + (rest / count) : (sum.Sum / count) + (sum.Compensation / count);
        }
        var mean = new CompensatedMean();
        foreach (double v in values)
            mean.Add(v);
        return mean.Mean;
    }
}

/// <summary>The correction of a counter for its resets: plain sums of the values before each reset, within slots, then over slots.</summary>
internal struct ResetCorrection
{
    private double _total;
    private double _slot;

    /// <summary>A reset after <paramref name="previous"/>; both samples lie in one slot.</summary>
    public void Within(double previous) => _slot += previous;

    /// <summary>The next sample lies in another slot.</summary>
    public void NextSlot()
    {
        _total += _slot;
        _slot = 0;
    }

    /// <summary>A reset between the last sample of a slot and the first of the next, after <see cref="NextSlot"/>.</summary>
    public void Across(double previous) => _total += previous;

    public readonly double Total => _total + _slot;
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
        return OfSorted(q, CollectionsMarshal.AsSpan(values));
    }

    /// <summary>The q-quantile of sorted numbers (NaN first), q within [0, 1]. Equal zeros of both signs stand in any order, so zero comes out positive.</summary>
    public static double OfSorted(double q, ReadOnlySpan<double> sorted)
    {
        double rank = q * (sorted.Length - 1);
        int lower = (int)Math.Max(0, Math.Floor(rank));
        int upper = Math.Min(sorted.Length - 1, lower + 1);
        double weight = rank - Math.Floor(rank);
        double value = (sorted[lower] * (1 - weight)) + (sorted[upper] * weight);
        return double.IsNaN(value) ? double.NaN : value + 0.0;
    }
}
