using Bellwether.Core.Model;
using Bellwether.Evaluate.PromQl.Syntax;

namespace Bellwether.Evaluate.PromQl.Evaluation;

/// <content>histogram_quantile, histogram_quantiles and histogram_fraction over classic and native histograms.</content>
internal sealed partial class Evaluator
{
    /// <summary>The series that make one histogram: classic buckets, a native one, or (wrongly) both.</summary>
    private sealed class HistogramGroup
    {
        public required Labels Labels { get; init; }

        public List<(double Upper, EvalSeries Series)> Buckets { get; } = [];

        public List<EvalSeries> Native { get; } = [];

        public bool DropName { get; set; }
    }

    private EvalValue? HistogramCall(CallExpr c, Grid grid)
    {
        string name = c.Function.Name;
        int vectorAt = name switch { "histogram_quantile" => 1, "histogram_fraction" => 2, _ => 0 };
        string label = "";
        var parameters = new List<(double[] Values, Expr Expr)>();
        for (int i = 0; i < c.Arguments.Count; i++)
        {
            if (i == vectorAt)
                continue;
            if (Eval(c.Arguments[i], grid) is not { } value)
                return null;
            if (value.Type == ValueType.String)
                label = value.Text;
            else
                parameters.Add((value.Scalars, c.Arguments[i]));
        }
        if (Eval(c.Arguments[vectorAt], grid) is not { } vector)
            return null;
        if (name != "histogram_fraction" && !CheckQuantiles(parameters, name, label))
            return null;
        List<HistogramGroup> groups = GroupBuckets(vector.Series, c.Arguments[vectorAt].Span);
        var result = new List<EvalSeries>();
        foreach (HistogramGroup group in groups)
        {
            if (Stopped(c))
                return null;
            AddHistogramResults(c, grid, vectorAt, label, parameters, group, result);
        }
        return Unique(result, c, false);
    }

    private bool CheckQuantiles(List<(double[] Values, Expr Expr)> parameters, string name, string label)
    {
        if (name == "histogram_quantiles" && label.Length == 0)
            return FailBool("invalid label name \"\"", parameters[0].Expr.Span);
        foreach ((double[] values, Expr expr) in parameters)
        {
            foreach (double q in values)
            {
                if (double.IsNaN(q) || q < 0 || q > 1)
                    _notes.QuantileOutOfRange(q, expr.Span);
            }
        }
        return true;
    }

    private List<HistogramGroup> GroupBuckets(List<EvalSeries> series, TextSpan span)
    {
        var byKey = new Dictionary<Labels, HistogramGroup>();
        var groups = new List<HistogramGroup>();
        foreach (EvalSeries one in series)
        {
            bool hasFloats = one.Histograms is null && !one.IsEmpty, hasHistograms = false;
            for (int i = 0; one.Histograms is not null && i < one.Values.Length; i++)
            {
                hasFloats |= one.Has(i) && one.HistogramAt(i) is null;
                hasHistograms |= one.HistogramAt(i) is not null;
            }
            if (hasFloats && TryUpper(one.Labels, span, out double upper))
                GroupOf(one, one.Labels.Without(LabelNames.Bucket)).Buckets.Add((upper, one));
            if (hasHistograms)
                GroupOf(one, one.Labels).Native.Add(one);
        }
        // Once, not at each step; equal bounds stay in the order of their series.
        foreach (HistogramGroup group in groups)
        {
            List<(double Upper, EvalSeries Series)> sorted = [.. group.Buckets.OrderBy(b => b.Upper)];
            group.Buckets.Clear();
            group.Buckets.AddRange(sorted);
        }
        return groups;

        HistogramGroup GroupOf(EvalSeries one, Labels key)
        {
            if (!byKey.TryGetValue(key, out HistogramGroup? group))
            {
                group = new HistogramGroup { Labels = key };
                byKey.Add(key, group);
                groups.Add(group);
            }
            group.DropName |= one.DropName;
            return group;
        }
    }

    private bool TryUpper(Labels labels, TextSpan span, out double upper)
    {
        string text = labels.Get(LabelNames.Bucket);
        if (NumberText.TryParse(text, out upper))
            return true;
        _notes.Warn($"bucket label \"le\" is missing or has a malformed value of {GoText.Quote(text)}{Annotations.ForMetric(labels.MetricName)}", span);
        return false;
    }

    private void AddHistogramResults(CallExpr c, Grid grid, int vectorAt, string label, List<(double[] Values, Expr Expr)> parameters, HistogramGroup group, List<EvalSeries> result)
    {
        bool fraction = c.Function.Name == "histogram_fraction";
        var columns = new List<EvalSeries>();
        int count = fraction ? 1 : parameters.Count;
        for (int k = 0; k < count; k++)
        {
            Labels labels = group.Labels;
            if (label.Length > 0)
                labels = labels.With(label, OpenMetricsNumber(parameters[k].Values[0]));
            columns.Add(Renamed(new EvalSeries(labels, 0), grid.Count));
        }
        TextSpan span = c.Arguments[vectorAt].Span;
        int most = group.Buckets.Count;
        double[] uppers = new double[most], counts = new double[most];
        for (int i = 0; i < grid.Count; i++)
        {
            int buckets = 0;
            foreach ((double upper, EvalSeries series) in group.Buckets)
            {
                if (series.Has(i) && series.HistogramAt(i) is null)
                    (uppers[buckets], counts[buckets++]) = (upper, series.Values[i]);
            }
            NativeHistogram? native = group.Native.Count == 0 ? null : group.Native.Find(n => n.HistogramAt(i) is not null)?.HistogramAt(i);
            if (native is null && buckets == 0)
                continue;
            if (native is not null && buckets > 0)
            {
                _notes.Warn($"vector contains a mix of classic and native histograms{Annotations.ForMetric(group.Labels.MetricName)}", span);
                continue;
            }
            bool prepared = native is not null || PrepareClassic(uppers.AsSpan(0, buckets), counts.AsSpan(0, buckets), ref buckets, c.Function.Name, group, span);
            for (int k = 0; k < count; k++)
            {
                columns[k].Set(i, native is null
                    ? OfClassic(fraction, parameters, uppers.AsSpan(0, buckets), counts.AsSpan(0, buckets), prepared, i, k)
                    : OfNative(fraction, span, group, parameters, native, i, k));
            }
        }
        columns.RemoveAll(s => s.IsEmpty);
        result.AddRange(columns);
    }

    /// <summary>A number as the label le has it: whole numbers with a fraction of zero.</summary>
    private static string OpenMetricsNumber(double value)
    {
        string text = Printer.FormatNumber(value);
        return double.IsFinite(value) && text.AsSpan().IndexOfAny('.', 'e') < 0 ? text + ".0" : text;
    }

    private bool PrepareClassic(Span<double> uppers, Span<double> counts, ref int length, string function, HistogramGroup group, TextSpan span)
    {
        // Fractions are of the counts as they are.
        bool ok = ClassicBuckets.Prepare(uppers, counts, function != "histogram_fraction", out length, out bool forced);
        if (forced)
            _notes.Info($"input to histogram_quantile needed to be fixed for monotonicity (see https://prometheus.io/docs/prometheus/latest/querying/functions/#histogram_quantile){Annotations.ForMetric(group.Labels.MetricName)}", span);
        return ok;
    }

    private static double OfClassic(bool fraction, List<(double[] Values, Expr Expr)> parameters, ReadOnlySpan<double> uppers, ReadOnlySpan<double> counts, bool prepared, int i, int k)
    {
        if (fraction)
            return prepared ? ClassicBuckets.Fraction(parameters[0].Values[i], parameters[1].Values[i], uppers, counts) : double.NaN;
        double q = parameters[k].Values[i];
        return double.IsNaN(q) || q < 0 || q > 1 || prepared ? ClassicBuckets.Quantile(q, uppers, counts) : double.NaN;
    }

    private double OfNative(bool fraction, TextSpan span, HistogramGroup group, List<(double[] Values, Expr Expr)> parameters, NativeHistogram native, int i, int k)
    {
        string metric = Annotations.ForMetric(group.Labels.MetricName);
        if (fraction)
        {
            if (double.IsNaN(native.Sum))
                _notes.Info($"input to histogram_fraction has NaN observations, which are excluded from all fractions{metric}", span);
            return HistogramBuckets.Fraction(parameters[0].Values[i], parameters[1].Values[i], native);
        }
        double value = HistogramBuckets.Quantile(parameters[k].Values[i], native, out int nan);
        if (nan == 1)
            _notes.Info($"input to histogram_quantile has NaN observations, result is skewed higher{metric}", span);
        else if (nan == 2)
            _notes.Info($"input to histogram_quantile has NaN observations, result is NaN{metric}", span);
        return value;
    }
}
