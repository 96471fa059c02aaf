using Bellwether.Core.Model;
using Bellwether.Evaluate.PromQl.Syntax;

namespace Bellwether.Evaluate.PromQl.Evaluation;

/// <content>Aggregations. Group keys are made once per series; then every step is folded group by group.</content>
internal sealed partial class Evaluator
{
    private readonly ColumnFold _columnFold;

    private sealed class AggregateGroup
    {
        public required Labels Labels { get; init; }

        public List<EvalSeries> Members { get; init; } = [];
    }

    private EvalValue? Aggregate(AggregateExpr a, Grid grid)
    {
        EvalValue? parameter = a.Parameter is null ? null : Eval(a.Parameter, grid);
        if (a.Parameter is not null && parameter is null)
            return null;
        if (TrySumOverWindows(a, grid, out EvalValue? sum))
            return sum;
        EvalValue? inner = Eval(a.Inner, grid);
        if (inner is null)
            return null;
        List<EvalSeries> members = inner.Series;
        // What is summed, or chosen from among equals, must not come in an order that depends on the first step of the query.
        if (a.Op is not ("limit_ratio" or "count_values") && !HasStableOrder(a.Inner))
            members = [.. members.OrderBy(m => m.Labels)];
        List<AggregateGroup> groups = Group(a, members);
        return a.Op switch
        {
            "topk" or "bottomk" or "limitk" => Choose(a, groups, parameter!.Scalars, grid),
            "limit_ratio" => LimitRatio(a, inner.Series, parameter!.Scalars, grid),
            "count_values" => CountValues(a, groups, parameter!.Text, grid),
            _ => Fold(a, groups, parameter?.Scalars, grid),
        };
    }

    /// <summary>Whether the series of an expression come in an order that does not depend on their values or on the steps.</summary>
    private static bool HasStableOrder(Expr expr) => expr switch
    {
        VectorSelector or MatrixSelector => true,
        ParenExpr p => HasStableOrder(p.Inner),
        UnaryExpr u => HasStableOrder(u.Operand),
        SubqueryExpr q => HasStableOrder(q.Inner),
        // Groups come in the order in which their first members have points.
        AggregateExpr a => a.Op is not ("topk" or "bottomk" or "limitk" or "limit_ratio" or "count_values") && !a.Without && a.Grouping.Count == 0,
        BinaryExpr { Matching: null } b => (b.Left.Type == ValueType.Scalar || HasStableOrder(b.Left)) && (b.Right.Type == ValueType.Scalar || HasStableOrder(b.Right)),
        CallExpr c => c.Function.Name is not ("sort" or "sort_desc" or "info") && c.Arguments.All(x => x.Type is ValueType.Scalar or ValueType.String || HasStableOrder(x)),
        _ => false,
    };

    private static List<AggregateGroup> Group(AggregateExpr a, List<EvalSeries> series)
    {
        if (!a.Without && a.Grouping.Count == 0)
            return series.Count == 0 ? [] : [new AggregateGroup { Labels = Labels.Empty, Members = series }];
        var byKey = new Dictionary<Labels, AggregateGroup>();
        var groups = new List<AggregateGroup>();
        var keys = new GroupKeys(!a.Without, a.Grouping);
        foreach (EvalSeries one in series)
        {
            Labels key = keys.Of(one.Labels);
            if (!byKey.TryGetValue(key, out AggregateGroup? group))
            {
                group = new AggregateGroup { Labels = key };
                byKey.Add(key, group);
                groups.Add(group);
            }
            group.Members.Add(one);
        }
        return groups;
    }

    private EvalValue? Fold(AggregateExpr a, List<AggregateGroup> groups, double[]? parameter, Grid grid)
    {
        var fold = new AggregateFold(a, _notes);
        var result = new List<EvalSeries>(groups.Count);
        if (parameter is not null)
        {
            foreach (double q in parameter)
            {
                if (double.IsNaN(q) || q < 0 || q > 1)
                    _notes.QuantileOutOfRange(q, a.Parameter!.Span);
            }
        }
        foreach (AggregateGroup group in groups)
        {
            if (Stopped(a))
                return null;
            var series = new EvalSeries(group.Labels, grid.Count) { DropName = group.Members.Exists(m => m.DropName) };
            if (!_options.Plain && _columnFold.TryFold(a.Op, group.Members, series.Values))
            {
                result.Add(series);
                continue;
            }
            for (int i = 0; i < grid.Count; i++)
                fold.Step(group.Members, i, parameter is null ? 0 : parameter[i], series);
            if (!series.IsEmpty)
                result.Add(series);
        }
        return EvalValue.OfSeries(result);
    }

    private EvalValue? Choose(AggregateExpr a, List<AggregateGroup> groups, double[] parameter, Grid grid)
    {
        if (WhyNotCounts(parameter) is { } why)
            return Fail<EvalValue>(why, a.Parameter!.Span);
        var chosen = new Dictionary<EvalSeries, EvalSeries>();
        var order = new List<EvalSeries>();
        var candidates = new List<Candidate>();
        for (int i = 0; i < grid.Count; i++)
        {
            if (IsTimeToLook(i) && Stopped(a))
                return null;
            long k = (long)Math.Clamp(parameter[i], 0, int.MaxValue);
            if (k < 1)
                continue;
            foreach (AggregateGroup group in groups)
            {
                Candidates(a, group, i, candidates);
                for (int c = 0; c < candidates.Count && c < k; c++)
                {
                    EvalSeries member = candidates[c].Series;
                    if (!chosen.TryGetValue(member, out EvalSeries? copy))
                    {
                        copy = new EvalSeries(member.Labels, grid.Count) { DropName = member.DropName };
                        chosen.Add(member, copy);
                        order.Add(copy);
                    }
                    copy.Set(i, member.Values[i], member.HistogramAt(i));
                }
            }
        }
        return EvalValue.OfSeries(order);
    }

    /// <summary>Why the parameters are no numbers of series; null: they are, or none of them asks for any.</summary>
    private static string? WhyNotCounts(double[] parameter)
    {
        double least = double.PositiveInfinity, most = double.NegativeInfinity;
        foreach (double k in parameter)
        {
            if (double.IsNaN(k))
                return "Parameter value is NaN";
            (least, most) = (Math.Min(least, k), Math.Max(most, k));
        }
        if (most < 1)
            return null;
        return least <= long.MinValue ? $"Scalar value {Printer.FormatNumber(least)} underflows int64"
            : most >= long.MaxValue ? $"Scalar value {Printer.FormatNumber(most)} overflows int64" : null;
    }

    /// <summary>The group's points at a step, the best first; NaN is the worst for both.</summary>
    private void Candidates(AggregateExpr a, AggregateGroup group, int i, List<Candidate> into)
    {
        into.Clear();
        foreach (EvalSeries member in group.Members)
        {
            if (!member.Has(i))
                continue;
            if (a.Op != "limitk" && member.HistogramAt(i) is not null)
                _notes.Info($"ignored histogram in {a.Op} aggregation", a.Inner.Span);
            else
                into.Add(new Candidate(member, member.Values[i], into.Count));
        }
        if (a.Op != "limitk")
            into.Sort(a.Op == "topk" ? s_largestFirst : s_smallestFirst);
    }

    /// <summary>A point that may be chosen, and its place among the others.</summary>
    private readonly record struct Candidate(EvalSeries Series, double Value, int Place);

    private static readonly Comparison<Candidate> s_largestFirst = static (x, y) => Order(x, y, y.Value.CompareTo(x.Value)), s_smallestFirst = static (x, y) => Order(x, y, x.Value.CompareTo(y.Value));

    private static int Order(in Candidate x, in Candidate y, int byValue)
    {
        int byKind = double.IsNaN(x.Value).CompareTo(double.IsNaN(y.Value));
        return byKind != 0 ? byKind : byValue != 0 ? byValue : x.Place - y.Place;
    }

    private EvalValue? LimitRatio(AggregateExpr a, List<EvalSeries> members, double[] parameter, Grid grid)
    {
        var result = new List<EvalSeries>(members.Count);
        if (Array.Exists(parameter, double.IsNaN))
            return Fail<EvalValue>("Ratio value is NaN", a.Parameter!.Span);
        double[] ratios = Array.ConvertAll(parameter, static r => Math.Clamp(r, -1, 1));
        // The farthest out on each side speaks for all steps.
        foreach ((double ratio, double most) in (ReadOnlySpan<(double, double)>)[(parameter.Max(), 1), (parameter.Min(), -1)])
        {
            if (ratio * most > 1)
                _notes.Warn($"ratio value should be between -1 and 1, got {Printer.FormatNumber(ratio)}, capping to {Printer.FormatNumber(most)}", a.Parameter!.Span);
        }
        foreach (EvalSeries member in members)
        {
            double place = member.Labels.Hash / (double)ulong.MaxValue;
            var copy = new EvalSeries(member.Labels, grid.Count) { DropName = member.DropName };
            for (int i = 0; i < grid.Count; i++)
            {
                double ratio = ratios[i];
                bool taken = ratio >= 0 ? place < ratio || ratio == 1 : place >= 1 + ratio;
                if (taken && ratio != 0 && member.Has(i))
                    copy.Set(i, member.Values[i], member.HistogramAt(i));
            }
            if (!copy.IsEmpty)
                result.Add(copy);
        }
        return EvalValue.OfSeries(result);
    }

    private EvalValue? CountValues(AggregateExpr a, List<AggregateGroup> groups, string label, Grid grid)
    {
        if (!IsLabelName(label))
            return Fail<EvalValue>($"invalid label name {GoText.Quote(label)}", a.Span);
        // The label is set before the grouping, which may take it away again.
        bool isDropped = a.Without && (label == LabelNames.MetricName || a.Grouping.Contains(label));
        var byKey = new Dictionary<Labels, EvalSeries>();
        var order = new List<EvalSeries>();
        foreach (AggregateGroup group in groups)
        {
            for (int i = 0; i < grid.Count; i++)
            {
                if (IsTimeToLook(i) && Stopped(a))
                    return null;
                foreach (EvalSeries member in group.Members)
                {
                    if (!member.Has(i))
                        continue;
                    string text = isDropped ? "" : member.HistogramAt(i) is { } h ? HistogramText.Format(h) : Printer.FormatPlain(member.Values[i]);
                    Labels key = isDropped ? group.Labels : group.Labels.With(label, text);
                    if (!byKey.TryGetValue(key, out EvalSeries? count))
                    {
                        // Each value at each step may make a series of its own.
                        if (!MayHold(_samples + ((order.Count + 1L) * grid.Count), a) || !MayMake(text.Length, a))
                            return null;
                        count = new EvalSeries(key, grid.Count);
                        byKey.Add(key, count);
                        order.Add(count);
                    }
                    count.Set(i, count.Has(i) ? count.Values[i] + 1 : 1);
                }
            }
        }
        return EvalValue.OfSeries(order);
    }
}
