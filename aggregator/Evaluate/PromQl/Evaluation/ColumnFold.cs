using System.Runtime.Intrinsics;
using Bellwether.Core.Model;

namespace Bellwether.Evaluate.PromQl.Evaluation;

/// <summary>Folds columns of floats member by member, all steps at once; at each step the members come in the same order as in <see cref="AggregateFold"/>. Reused; not thread-safe.</summary>
internal sealed class ColumnFold
{
    private double[] _rests = [];
    private CompensatedMean[] _means = [];
    private Variance[] _variances = [];

    /// <summary>Steps that it has room for.</summary>
    public int Capacity => Math.Max(_rests.Length, Math.Max(_means.Length, _variances.Length));

    /// <summary>Fills the column, which holds no point yet. False: the operator or the members do not fit.</summary>
    public bool TryFold(string op, List<EvalSeries> members, double[] into)
    {
        if (members.Exists(static m => m.Histograms is not null))
            return false;
        switch (op)
        {
            case "sum":
                Sum(members, into);
                return true;
            case "avg":
                Mean(members, into);
                return true;
            case "max" or "min":
                Extreme(members, into, op == "max");
                return true;
            case "count" or "group":
                Count(members, into, op == "group");
                return true;
            case "stddev" or "stdvar":
                Deviation(members, into, op == "stddev");
                return true;
            default:
                return false;
        }
    }

    private void Sum(List<EvalSeries> members, double[] into)
    {
        Span<double> rests = Zeroed(ref _rests, into.Length).AsSpan(0, into.Length);
        foreach (EvalSeries member in members)
            Add(member.Values.AsSpan(0, into.Length), into, rests);
        EndSum(into, rests);
    }

    /// <summary>
    /// Adds a column to sums, step by step as <see cref="CompensatedSum.Add(double)"/> does. Steps without a point stay as they are; a sum that has none yet is one itself. What is left over of
    /// each sum stands beside it, from zero on.
    /// </summary>
    public static void Add(ReadOnlySpan<double> values, Span<double> sums, Span<double> rests)
    {
        int i = 0;
        if (Vector256.IsHardwareAccelerated)
        {
            // "No point" is one NaN among others: it is told by its bits.
            Vector256<long> none = Vector256.Create(SpecialValues.StaleMarker).AsInt64();
            Vector256<double> infinity = Vector256.Create(double.PositiveInfinity);
            for (; i + 4 <= values.Length; i += 4)
            {
                Vector256<double> value = Vector256.Create(values[i..]), held = Vector256.Create<double>(sums[i..]), left = Vector256.Create<double>(rests[i..]);
                Vector256<double> sum = Vector256.AndNot(held, Vector256.Equals(held.AsInt64(), none).AsDouble());
                Vector256<double> total = sum + value;
                Vector256<double> isLarger = Vector256.GreaterThanOrEqual(Vector256.Abs(sum), Vector256.Abs(value));
                Vector256<double> rest = left + Vector256.ConditionalSelect(isLarger, sum - total + value, value - total + sum);
                rest = Vector256.AndNot(rest, Vector256.Equals(Vector256.Abs(total), infinity));
                Vector256<double> isMissing = Vector256.Equals(value.AsInt64(), none).AsDouble();
                Vector256.ConditionalSelect(isMissing, held, total).CopyTo(sums[i..]);
                Vector256.ConditionalSelect(isMissing, left, rest).CopyTo(rests[i..]);
            }
        }
        for (; i < values.Length; i++)
        {
            if (SpecialValues.IsStale(values[i]))
                continue;
            var sum = new CompensatedSum { Sum = SpecialValues.IsStale(sums[i]) ? 0 : sums[i], Compensation = rests[i] };
            sum.Add(values[i]);
            (sums[i], rests[i]) = (sum.Sum, sum.Compensation);
        }
    }

    /// <summary>Makes the sums whole.</summary>
    public static void EndSum(Span<double> sums, ReadOnlySpan<double> rests)
    {
        for (int i = 0; i < sums.Length; i++)
        {
            if (!SpecialValues.IsStale(sums[i]))
                sums[i] = new CompensatedSum { Sum = sums[i], Compensation = rests[i] }.Total;
        }
    }

    private void Mean(List<EvalSeries> members, double[] into)
    {
        CompensatedMean[] means = Zeroed(ref _means, into.Length);
        foreach (EvalSeries member in members)
        {
            for (int i = 0; i < into.Length; i++)
            {
                if (SpecialValues.IsStale(member.Values[i]))
                    continue;
                means[i].Add(member.Values[i]);
                into[i] = 0;
            }
        }
        for (int i = 0; i < into.Length; i++)
        {
            if (!SpecialValues.IsStale(into[i]))
                into[i] = means[i].Mean;
        }
    }

    private void Deviation(List<EvalSeries> members, double[] into, bool root)
    {
        Variance[] variances = Zeroed(ref _variances, into.Length);
        foreach (EvalSeries member in members)
        {
            for (int i = 0; i < into.Length; i++)
            {
                if (SpecialValues.IsStale(member.Values[i]))
                    continue;
                variances[i].Add(member.Values[i]);
                into[i] = 0;
            }
        }
        for (int i = 0; i < into.Length; i++)
        {
            if (!SpecialValues.IsStale(into[i]))
                into[i] = root ? Math.Sqrt(variances[i].Population) : variances[i].Population;
        }
    }

    private static void Extreme(List<EvalSeries> members, double[] into, bool max)
    {
        foreach (EvalSeries member in members)
        {
            for (int i = 0; i < into.Length; i++)
            {
                double value = member.Values[i], best = into[i];
                // A step without a point yet is a NaN, too: the first value takes its place.
                if (!SpecialValues.IsStale(value) && (double.IsNaN(best) || (max ? value > best : value < best)))
                    into[i] = value;
            }
        }
    }

    private static void Count(List<EvalSeries> members, double[] into, bool group)
    {
        foreach (EvalSeries member in members)
        {
            for (int i = 0; i < into.Length; i++)
            {
                if (!SpecialValues.IsStale(member.Values[i]))
                    into[i] = group || SpecialValues.IsStale(into[i]) ? 1 : into[i] + 1;
            }
        }
    }

    private static T[] Zeroed<T>(ref T[] scratch, int count)
    {
        if (scratch.Length < count)
            scratch = new T[count];
        else
            Array.Clear(scratch, 0, count);
        return scratch;
    }
}
