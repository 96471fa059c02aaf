using System.Text;
using Bellwether.Core.Model;
using Bellwether.Core.Text;
using Bellwether.Evaluate.PromQl.Syntax;
using MatchType = Bellwether.Core.Model.MatchType;

namespace Bellwether.Evaluate.PromQl.Evaluation;

/// <content>Functions over instant vectors and scalars.</content>
internal sealed partial class Evaluator
{
    /// <summary>
    /// Where only count and sum of histograms are asked for, selectors find out for each histogram whether its counter was reset, as Prometheus does, which then reads no
    /// buckets: it is seen by the hints, and in the warning about those that do not agree.
    /// </summary>
    private EvalValue? CallDetecting(CallExpr c, Grid grid)
    {
        bool outer = _detectsResets;
        _detectsResets = c.Function.Name switch
        {
            "histogram_count" or "histogram_sum" or "histogram_avg" => true,
            "histogram_quantile" or "histogram_quantiles" or "histogram_fraction" or "histogram_stddev" or "histogram_stdvar" => false,
            _ => outer,
        };
        EvalValue? value = Call(c, grid);
        _detectsResets = outer;
        return value;
    }

    private EvalValue? Call(CallExpr c, Grid grid)
    {
        string name = c.Function.Name;
        if (name == "absent_over_time")
            return AbsentOverTime(c, grid);
        if (OverTimeFunctions.All.TryGetValue(name, out RangeFunction? range))
        {
            _functionName = name;
            return OverRange(c, range, grid);
        }
        switch (name)
        {
            case "time":
                return EvalValue.OfScalars(Column(grid, i => grid.At(i) / 1000.0));
            case "pi":
                return EvalValue.OfScalars(Filled(Math.PI, grid.Count));
            case "start":
                return EvalValue.OfScalars(Filled(_query.StartMs / 1000.0, grid.Count));
            case "end":
                return EvalValue.OfScalars(Filled(_query.EndMs / 1000.0, grid.Count));
            case "step":
                return EvalValue.OfScalars(Filled(_query.StepMs / 1000.0, grid.Count));
            case "range":
                return EvalValue.OfScalars(Filled(_rangeMs / 1000.0, grid.Count));
            case "max_of" or "min_of":
                return MinMaxOf(c, grid);
            case "timestamp" or "start_timestamp":
                return Timestamps(c, grid);
            case "label_replace":
                return LabelReplace(c, grid);
            case "label_join":
                return LabelJoin(c, grid);
            case "info":
                return Info(c, grid);
            case "histogram_quantile" or "histogram_fraction" or "histogram_quantiles":
                return HistogramCall(c, grid);
            case "vector":
                return Eval(c.Arguments[0], grid) is { } s ? EvalValue.OfSeries([new EvalSeries(Labels.Empty, false, s.Scalars, null)]) : null;
            case "day_of_month" or "day_of_week" or "day_of_year" or "days_in_month" or "hour" or "minute" or "month" or "year" when c.Arguments.Count == 0:
                return EvalValue.OfSeries([new EvalSeries(Labels.Empty, false, Column(grid, i => ScalarFunctions.DatePart(name, grid.At(i) / 1000.0)), null)]);
        }
        EvalValue? argument = Eval(c.Arguments[0], grid);
        if (argument is null)
            return null;
        return name switch
        {
            "scalar" => EvalValue.OfScalars(ToScalar(argument.Series, grid)),
            "absent" => Absent(c, argument.Series, grid),
            "sort" or "sort_desc" or "sort_by_label" or "sort_by_label_desc" => Sort(c, argument, grid),
            _ => PerPoint(c, argument.Series, grid),
        };
    }

    private static double[] Column(Grid grid, Func<int, double> at)
    {
        var values = new double[grid.Count];
        for (int i = 0; i < values.Length; i++)
            values[i] = at(i);
        return values;
    }

    private EvalValue? MinMaxOf(CallExpr c, Grid grid)
    {
        if (Scalars(c.Arguments[0], grid) is not { } a || Scalars(c.Arguments[1], grid) is not { } b)
            return null;
        bool max = c.Function.Name == "max_of";
        return EvalValue.OfScalars(Column(grid, i => max ? ScalarFunctions.Max(a[i], b[i]) : ScalarFunctions.Min(a[i], b[i])));
    }

    private EvalValue? Timestamps(CallExpr c, Grid grid)
    {
        Expr argument = c.Arguments[0];
        while (argument is ParenExpr p)
            argument = p.Inner;
        bool starts = c.Function.Name == "start_timestamp";
        EvalValue? value = argument is VectorSelector selector
            ? Select(selector, grid, starts ? PointValue.StartTimestamp : PointValue.Timestamp)
            : Eval(argument, grid);
        if (value is null)
            return null;
        if (starts && argument is not VectorSelector)
            return EvalValue.OfSeries([]);
        var result = new List<EvalSeries>(value.Series.Count);
        foreach (EvalSeries series in value.Series)
        {
            EvalSeries times = Renamed(series, grid.Count);
            for (int i = 0; i < grid.Count; i++)
            {
                if (series.Has(i))
                    times.Set(i, argument is VectorSelector ? series.Values[i] : grid.At(i) / 1000.0);
            }
            result.Add(times);
        }
        return Unique(result, c, false);
    }

    private static double[] ToScalar(List<EvalSeries> series, Grid grid) => Column(grid, i =>
    {
        double value = double.NaN;
        int found = 0;
        foreach (EvalSeries one in series)
        {
            if (!one.Has(i) || one.HistogramAt(i) is not null)
                continue;
            value = one.Values[i];
            found++;
        }
        return found == 1 ? value : double.NaN;
    });

    private static EvalValue Absent(CallExpr c, List<EvalSeries> series, Grid grid)
    {
        var absent = new EvalSeries(AbsentLabels(c.Arguments[0]), grid.Count);
        for (int i = 0; i < grid.Count; i++)
        {
            if (!series.Exists(s => s.Has(i)))
                absent.Set(i, 1);
        }
        return EvalValue.OfSeries(absent.IsEmpty ? [] : [absent]);
    }

    /// <summary>The labels that the selector fixes by equality and names once.</summary>
    private static Labels AbsentLabels(Expr expr)
    {
        while (expr is ParenExpr p)
            expr = p.Inner;
        IReadOnlyList<LabelMatcher>? matchers = expr switch { VectorSelector v => v.Matchers, MatrixSelector m => m.Selector.Matchers, _ => null };
        if (matchers is null)
            return Labels.Empty;
        var builder = new LabelsBuilder();
        var seen = new HashSet<string>();
        foreach (LabelMatcher m in matchers)
        {
            if (m.Name == LabelNames.MetricName)
                continue;
            if (m.Type == MatchType.Equal && seen.Add(m.Name))
                builder.Set(m.Name, m.Value);
            else
                builder.Remove(m.Name);
        }
        return builder.Build();
    }

    private EvalValue? Sort(CallExpr c, EvalValue argument, Grid grid)
    {
        bool byLabel = c.Function.Name.StartsWith("sort_by_label", StringComparison.Ordinal);
        List<EvalSeries> series = byLabel ? argument.Series : FloatsOf(argument.Series);
        if (_query.Count > 1 || _isRange)
        {
            _notes.Warn("sort is ineffective for range queries since results are always ordered by labels", c.Span);
            return EvalValue.OfSeries(series);
        }
        bool descending = c.Function.Name.EndsWith("_desc", StringComparison.Ordinal);
        if (byLabel)
        {
            var names = new List<string>();
            foreach (Expr label in c.Arguments.Skip(1))
            {
                if (Eval(label, grid) is not { } text)
                    return null;
                names.Add(text.Text);
            }
            int sign = descending ? -1 : 1;
            return EvalValue.OfSeries([.. series.Order(Comparer<EvalSeries>.Create((a, b) => sign * ByLabels(a.Labels, b.Labels, names)))]);
        }
        IOrderedEnumerable<EvalSeries> sorted = series.OrderBy(s => double.IsNaN(s.Values[0]) ? 1 : 0);
        sorted = descending ? sorted.ThenByDescending(s => s.Values[0]) : sorted.ThenBy(s => s.Values[0]);
        return EvalValue.OfSeries([.. sorted]);
    }

    /// <summary>The series without their histograms, of which nothing is said.</summary>
    private static List<EvalSeries> FloatsOf(List<EvalSeries> all)
    {
        if (!all.Exists(s => s.Histograms is not null))
            return all;
        var floats = new List<EvalSeries>(all.Count);
        foreach (EvalSeries one in all)
        {
            var kept = new EvalSeries(one.Labels, one.Values.Length) { DropName = one.DropName };
            for (int i = 0; i < one.Values.Length; i++)
            {
                if (one.Has(i) && one.HistogramAt(i) is null)
                    kept.Set(i, one.Values[i], null);
            }
            if (!kept.IsEmpty)
                floats.Add(kept);
        }
        return floats;
    }

    private static int ByLabels(Labels a, Labels b, List<string> names)
    {
        foreach (string name in names)
        {
            int order = NaturalOrder.Compare(a.Get(name), b.Get(name));
            if (order != 0)
                return order;
        }
        return a.CompareTo(b);
    }

    private EvalValue? PerPoint(CallExpr c, List<EvalSeries> series, Grid grid)
    {
        var parameters = new List<double[]>();
        foreach (Expr argument in c.Arguments.Skip(1))
        {
            if (Scalars(argument, grid) is not { } column)
                return null;
            parameters.Add(column);
        }
        string name = c.Function.Name;
        bool ofHistograms = name.StartsWith("histogram_", StringComparison.Ordinal);
        var result = new List<EvalSeries>(series.Count);
        foreach (EvalSeries source in series)
        {
            EvalSeries into = Renamed(source, grid.Count);
            bool any = false;
            for (int i = 0; i < grid.Count; i++)
            {
                if (!source.Has(i) || source.HistogramAt(i) is null == ofHistograms)
                    continue;
                double p1 = parameters.Count > 0 ? parameters[0][i] : double.NaN, p2 = parameters.Count > 1 ? parameters[1][i] : double.NaN;
                if (name == "clamp" && p1 > p2)
                    continue;
                if (name == "round" && parameters.Count == 0)
                    p1 = 1;
                into.Set(i, ofHistograms ? OfHistogram(name, source.HistogramAt(i)!) : ScalarFunctions.Apply(name, source.Values[i], p1, p2));
                any = true;
            }
            if (any)
                result.Add(into);
        }
        return Unique(result, c, false);
    }

    private static double OfHistogram(string name, NativeHistogram h) => name switch
    {
        "histogram_count" => h.Count,
        "histogram_sum" => h.Sum,
        "histogram_avg" => h.Sum / h.Count,
        "histogram_stddev" => Math.Sqrt(HistogramBuckets.Variance(h)),
        _ => HistogramBuckets.Variance(h),
    };

    private string? Text(CallExpr c, int argument, Grid grid) => Eval(c.Arguments[argument], grid)?.Text;

    private EvalValue? LabelReplace(CallExpr c, Grid grid)
    {
        if (Text(c, 1, grid) is not { } target || Text(c, 2, grid) is not { } replacement || Text(c, 3, grid) is not { } source || Text(c, 4, grid) is not { } regex)
            return null;
        Re2Pattern pattern;
        try
        {
            pattern = Re2Pattern.CompileAnchored(regex);
        }
        catch (FormatException)
        {
            return Fail<EvalValue>($"invalid regular expression in label_replace(): {regex}", c.Arguments[4].Span);
        }
        if (!IsLabelName(target))
            return Fail<EvalValue>($"invalid destination label name in label_replace(): {target}", c.Arguments[1].Span);
        return Relabel(c, grid, target, (labels, maxLength) => pattern.Replace(labels.Get(source), replacement, maxLength));
    }

    private EvalValue? LabelJoin(CallExpr c, Grid grid)
    {
        if (Text(c, 1, grid) is not { } target || Text(c, 2, grid) is not { } separator)
            return null;
        var sources = new List<string>();
        for (int i = 3; i < c.Arguments.Count; i++)
        {
            if (Text(c, i, grid) is not { } source)
                return null;
            if (!IsLabelName(source))
                return Fail<EvalValue>($"invalid source label name in label_join(): {source}", c.Arguments[i].Span);
            sources.Add(source);
        }
        if (!IsLabelName(target))
            return Fail<EvalValue>($"invalid destination label name in label_join(): {target}", c.Arguments[1].Span);
        return Relabel(c, grid, target, (labels, maxLength) => Join(labels, sources, separator, maxLength));
    }

    // Of a longer result only so much that it is longer.
    private static string Join(Labels labels, List<string> sources, string separator, int maxLength)
    {
        var text = new StringBuilder();
        for (int i = 0; i < sources.Count && text.Length <= maxLength; i++)
            text.Append(i > 0 ? separator : "").Append(labels.Get(sources[i]));
        return text.ToString();
    }

    private static bool IsLabelName(string name) => name.Length > 0 && GoText.IsUtf8(name);

    /// <summary>
    /// Counts text of labels that the query makes. It is never given back: nested calls could make a text as long as they like of a short one. False: it is more than the limit.
    /// </summary>
    private bool MayMake(int length, Expr expr)
    {
        _textMade += length;
        return _textMade <= MaxText || FailBool($"the query makes label values of more than {MaxText} characters in all ({CharactersPerSample} for each sample that a query may hold)", expr.Span);
    }

    private EvalValue? Relabel(CallExpr c, Grid grid, string target, Func<Labels, int, string?> value)
    {
        EvalValue? argument = Eval(c.Arguments[0], grid);
        if (argument is null)
            return null;
        var result = new List<EvalSeries>(argument.Series.Count);
        foreach (EvalSeries series in argument.Series)
        {
            string? text = value(series.Labels, (int)Math.Min(MaxText - _textMade, int.MaxValue / 4));
            if (text is not null && !MayMake(text.Length, c))
                return null;
            // Long texts take their time.
            if (text?.Length > 10_000 && Stopped(c))
                return null;
            Labels labels = text is null ? series.Labels : series.Labels.With(target, text);
            bool dropName = series.DropName && (text is null || target != LabelNames.MetricName);
            result.Add(new EvalSeries(labels, dropName, (double[])series.Values.Clone(), (NativeHistogram?[]?)series.Histograms?.Clone()));
        }
        return Unique(result, c, false);
    }
}
