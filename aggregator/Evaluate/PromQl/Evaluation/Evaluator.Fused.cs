using Bellwether.Core.Model;
using Bellwether.Evaluate.PromQl.Syntax;

namespace Bellwether.Evaluate.PromQl.Evaluation;

/// <content>
/// Sums over range functions: each series is added to its group as soon as it is evaluated, in the order in which the members of a group are added anyway, so that no column of a series is kept.
/// </content>
internal sealed partial class Evaluator
{
    /// <summary>The columns of one group while its members come.</summary>
    private sealed class SumGroup(Labels labels, int steps)
    {
        public EvalSeries Series { get; } = new(labels, steps);

        public double[] Rests { get; } = new double[steps];
    }

    /// <summary>Whether it was evaluated (<paramref name="value"/>, null: it failed). False: it is none of those that can be, or a series is not as simple as that.</summary>
    private bool TrySumOverWindows(AggregateExpr a, Grid grid, out EvalValue? value)
    {
        value = null;
        // What is given up half way must not count twice.
        if (_counted is not null || _options.Plain || _options.DelayedNameRemoval || a.Op != "sum" || Unwrapped(a.Inner) is not CallExpr c || !IsSummable(c, grid, out MatrixSelector? m))
            return false;
        // The function drops the name before anything is grouped by it.
        if (!a.Without && a.Grouping.Contains(LabelNames.MetricName))
            return false;
        if (Stopped(a) || WindowsOf(m) is not { } input)
            return true;
        ColumnCall call = CallOver(c, OverTimeFunctions.All[c.Function.Name], m, input, [], grid);
        using ISeriesSet set = _reader.Select(call.FromMs, call.ToMs, m.Selector.Matchers, _deadline.Cancellation);
        // Slots have rules of their own, and series that differ by their names only collide without them.
        if (set is ICoarseSeriesSet { ResolutionMs: > 0 } || !HaveOneName(set))
            return false;
        call.Take(set);
        if (SumSeries(a, call) is { } groups)
            value = EvalValue.OfSeries(groups);
        // Not simple, and nothing failed: what was noted is noted once.
        return value is not null || Error is not null;
    }

    /// <summary>A function of floats that drops the name, over a range without modifiers, whose value no other query takes.</summary>
    private bool IsSummable(CallExpr c, Grid grid, [System.Diagnostics.CodeAnalysis.NotNullWhen(true)] out MatrixSelector? matrix)
    {
        matrix = null;
        if (WindowColumns.KindOf(c.Function.Name) is null or WindowKind.Quantile or WindowKind.Last or WindowKind.First || (_shared is not null && _shared.NumberOf(c) >= 0))
            return false;
        if (_parts is { AreSeveralAsked: true })
            return false;
        matrix = Unwrapped(c.Arguments[0]) as MatrixSelector;
        return matrix is { Selector.Boundary: Boundary.None } && (matrix.Selector.At.Kind == AtKind.None || grid.Count == 1);
    }

    private static bool HaveOneName(ISeriesSet set)
    {
        string name = set.Count == 0 ? "" : set.LabelsAt(0).MetricName;
        for (int s = 0; s < set.Count; s++)
        {
            Labels labels = set.LabelsAt(s);
            if (labels.MetricName != name || labels.TryGet(_reserved[1], out _) || labels.TryGet(_reserved[2], out _))
                return false;
        }
        return true;
    }

    /// <summary>Null: it failed, or a series has more than floats.</summary>
    private List<EvalSeries>? SumSeries(AggregateExpr a, ColumnCall call)
    {
        (Grid grid, ISeriesSet set) = (call.Grid, call.Set);
        var groups = new Dictionary<Labels, SumGroup>();
        var result = new List<EvalSeries>();
        var keys = new GroupKeys(!a.Without, a.Grouping);
        EvalSeries column = _scratch.Column(grid.Count);
        for (int s = 0; s < set.Count; s++)
        {
            long held = _samples + (result.Count * (long)grid.Count);
            if (Stopped(call.Expr) || !MayHold(held + grid.Count, call.Expr))
                return null;
            Labels labels = set.LabelsAt(s);
            Array.Fill(column.Values, SpecialValues.StaleMarker);
            bool? any = call.Edges is null ? null : SlideEdges(call, s, labels, column);
            if (any is null)
            {
                ReadSeries(set, s, call.Windows, call.TakesSummaries);
                if (_buffer.HasHistograms || _buffer.HasStartTimes || !MayHold(held + _buffer.Count, call.Expr))
                    return null;
                any = _buffer.Count + _summaries.Count > 0 && SlideSamples(call, s, labels, column);
            }
            if (any == false)
                continue;
            Labels key = keys.Of(labels);
            if (!groups.TryGetValue(key, out SumGroup? group))
            {
                groups.Add(key, group = new SumGroup(key, grid.Count));
                result.Add(group.Series);
            }
            ColumnFold.Add(column.Values, group.Series.Values, group.Rests);
        }
        foreach (SumGroup group in groups.Values)
            ColumnFold.EndSum(group.Series.Values, group.Rests);
        return result;
    }
}
