using Bellwether.Core.Model;

namespace Bellwether.Evaluate.PromQl.Evaluation;

/// <summary>Folds columns of floats member by member, all steps at once; at each step the members come in the same order as in <see cref="AggregateFold"/>. Reused; not thread-safe.</summary>
internal sealed class ColumnFold
{
    private CompensatedSum[] _sums = [];
    private CompensatedMean[] _means = [];
    private Variance[] _variances = [];

    /// <summary>Steps that it has room for.</summary>
    public int Capacity => Math.Max(_sums.Length, Math.Max(_means.Length, _variances.Length));

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
        CompensatedSum[] sums = Zeroed(ref _sums, into.Length);
        foreach (EvalSeries member in members)
        {
            double[] values = member.Values;
            for (int i = 0; i < values.Length && i < sums.Length; i++)
            {
                if (SpecialValues.IsStale(values[i]))
                    continue;
                sums[i].Add(values[i]);
                into[i] = 0;
            }
        }
        for (int i = 0; i < into.Length; i++)
        {
            if (!SpecialValues.IsStale(into[i]))
                into[i] = sums[i].Total;
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
