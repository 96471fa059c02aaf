using System.Collections.Frozen;
using Bellwether.Core.Model;

namespace Bellwether.Evaluate.PromQl.Evaluation;

/// <summary>Functions over the samples of a window.</summary>
internal static class OverTimeFunctions
{
    private delegate double FloatFunction(in Window w, RangeCall c);

    public static FrozenDictionary<string, RangeFunction> All { get; } = new Dictionary<string, RangeFunction>
    {
        ["rate"] = RateFunctions.Rate,
        ["increase"] = RateFunctions.Increase,
        ["delta"] = RateFunctions.Delta,
        ["irate"] = RateFunctions.InstantRate,
        ["idelta"] = RateFunctions.InstantDelta,
        ["count_over_time"] = (in w, _, out v, out h) => Number(w.Count, out v, out h),
        ["present_over_time"] = (in _, _, out v, out h) => Number(1, out v, out h),
        ["last_over_time"] = (in w, _, out v, out h) => Edge(w, true, out v, out h),
        ["first_over_time"] = (in w, _, out v, out h) => Edge(w, false, out v, out h),
        ["ts_of_last_over_time"] = (in w, _, out v, out h) => Number(Math.Max(Last(w.FloatTimes), Last(w.HistogramTimes)) / 1000.0, out v, out h),
        ["ts_of_first_over_time"] = (in w, _, out v, out h) => Number(Math.Min(First(w.FloatTimes), First(w.HistogramTimes)) / 1000.0, out v, out h),
        ["sum_over_time"] = Sum,
        ["avg_over_time"] = Average,
        ["max_over_time"] = Floats((in w, _) => w.Floats[IndexOfExtreme(w, true)]),
        ["min_over_time"] = Floats((in w, _) => w.Floats[IndexOfExtreme(w, false)]),
        ["ts_of_max_over_time"] = Floats((in w, _) => w.FloatTimes[IndexOfExtreme(w, true, true)] / 1000.0),
        ["ts_of_min_over_time"] = Floats((in w, _) => w.FloatTimes[IndexOfExtreme(w, false, true)] / 1000.0),
        ["stdvar_over_time"] = Floats((in w, _) => VarianceOf(w)),
        ["stddev_over_time"] = Floats((in w, _) => Math.Sqrt(VarianceOf(w))),
        ["quantile_over_time"] = Floats((in w, c) => Quantiles.Of(c.Scalars[0], [.. w.Floats])),
        ["mad_over_time"] = Floats(MedianDeviation),
        ["changes"] = (in w, _, out v, out h) => Transitions(w, false, out v, out h),
        ["resets"] = (in w, _, out v, out h) => Transitions(w, true, out v, out h),
        ["deriv"] = Derivative,
        ["predict_linear"] = Predict,
        ["double_exponential_smoothing"] = Smooth,
    }.ToFrozenDictionary();

    private static long First(ReadOnlySpan<long> times) => times.Length > 0 ? times[0] : long.MaxValue;

    private static long Last(ReadOnlySpan<long> times) => times.Length > 0 ? times[^1] : long.MinValue;

    private static bool Number(double number, out double value, out NativeHistogram? histogram)
    {
        (value, histogram) = (number, null);
        return true;
    }

    /// <summary>A function of floats only: histograms beside floats are ignored with an info, histograms alone give nothing.</summary>
    private static RangeFunction Floats(FloatFunction function) => (in w, c, out v, out h) =>
    {
        (v, h) = (0, null);
        if (!OnlyFloats(w, c, 1))
            return false;
        v = function(w, c);
        return true;
    };

    private static bool OnlyFloats(in Window w, RangeCall c, int needed)
    {
        if (w.Floats.Length < needed)
        {
            if (w.Floats.Length > 0 && w.Histograms.Length > 0)
                NoteIgnored(c);
            return false;
        }
        if (w.Histograms.Length > 0)
            NoteIgnored(c);
        return true;
    }

    private static void NoteIgnored(RangeCall c) =>
        c.Notes.Info($"ignored histograms in a range containing both floats and histograms{Annotations.ForMetric(c.Metric)}", c.Span);

    private static bool Edge(in Window w, bool last, out double value, out NativeHistogram? histogram)
    {
        bool floats = last ? Last(w.FloatTimes) > Last(w.HistogramTimes) : First(w.FloatTimes) < First(w.HistogramTimes);
        value = floats ? (last ? w.Floats[^1] : w.Floats[0]) : 0;
        histogram = floats ? null : last ? w.Histograms[^1] : w.Histograms[0];
        return true;
    }

    private static int IndexOfExtreme(in Window w, bool max, bool lastOfEqual = false)
    {
        int best = 0;
        for (int i = 1; i < w.Floats.Length; i++)
        {
            double value = w.Floats[i], current = w.Floats[best];
            if (double.IsNaN(current) || (max ? value > current : value < current) || (lastOfEqual && value == current))
                best = i;
        }
        return best;
    }

    private static double VarianceOf(in Window w)
    {
        var variance = new Variance();
        foreach (double value in w.Floats)
            variance.Add(value);
        return variance.Population;
    }

    private static double MedianDeviation(in Window w, RangeCall c)
    {
        double median = Quantiles.Of(0.5, [.. w.Floats]);
        var deviations = new List<double>(w.Floats.Length);
        foreach (double value in w.Floats)
        {
            // Quantiles sort NaN to the bottom; here it would be passed over, and the result would say nothing of it.
            if (double.IsNaN(value))
                return double.NaN;
            deviations.Add(Math.Abs(value - median));
        }
        return Quantiles.Of(0.5, deviations);
    }

    private static bool Sum(in Window w, RangeCall c, out double value, out NativeHistogram? histogram)
    {
        (value, histogram) = (0, null);
        if (w.Histograms.Length > 0)
            return SumHistograms(w, c, out histogram);
        value = SlottedSums.Sum(w.FloatTimes, w.Floats).Total;
        return true;
    }

    private static bool Average(in Window w, RangeCall c, out double value, out NativeHistogram? histogram)
    {
        (value, histogram) = (0, null);
        if (w.Histograms.Length > 0)
        {
            if (!SumHistograms(w, c, out histogram))
                return false;
            histogram = HistogramSum.Mean(histogram!, w.Histograms);
            return histogram is not null;
        }
        value = SlottedSums.Mean(w.FloatTimes, w.Floats);
        return true;
    }

    private static bool SumHistograms(in Window w, RangeCall c, out NativeHistogram? histogram)
    {
        histogram = null;
        if (w.Floats.Length > 0)
        {
            c.Notes.MixedFloatsHistograms(c.Metric, c.Span);
            return false;
        }
        var sum = new HistogramSum();
        foreach (NativeHistogram h in w.Histograms)
            sum.Add(h);
        if (sum.Reconciled)
            c.Notes.Reconciled("aggregation", c.Span);
        if (sum.HintsCollide)
            c.Notes.HintsCollide("aggregation", c.Span);
        if (sum.Total is null)
            c.Notes.MixedSchemas(c.Metric, c.Span);
        histogram = sum.Total;
        return histogram is not null;
    }

    private static bool Transitions(in Window w, bool resets, out double value, out NativeHistogram? histogram)
    {
        (value, histogram) = (0, null);
        int f = 0, h = 0, count = 0;
        double previous = 0;
        NativeHistogram? previousHistogram = null;
        long previousTime = 0, previousStart = 0;
        bool first = true;
        while (f < w.Floats.Length || h < w.Histograms.Length)
        {
            bool isFloat = h >= w.Histograms.Length || (f < w.Floats.Length && w.FloatTimes[f] <= w.HistogramTimes[h]);
            double current = isFloat ? w.Floats[f] : 0;
            NativeHistogram? currentHistogram = isFloat ? null : w.Histograms[h];
            long time = isFloat ? w.FloatTimes[f] : w.HistogramTimes[h], start = isFloat ? w.FloatStarts[f] : w.HistogramStarts[h];
            if (isFloat)
                f++;
            else
                h++;
            if (!first)
            {
                bool kindChanged = previousHistogram is null != currentHistogram is null;
                bool hit = resets
                    ? kindChanged || (isFloat ? current < previous : currentHistogram!.IsResetAfter(previousHistogram!)) || RateFunctions.StartSaysReset(previousTime, previousStart, time, start)
                    : kindChanged || (isFloat ? current != previous && !(double.IsNaN(current) && double.IsNaN(previous)) : !currentHistogram!.SameDistribution(previousHistogram!));
                if (hit)
                    count++;
            }
            (first, previous, previousHistogram, previousTime, previousStart) = (false, current, currentHistogram, time, start);
        }
        value = count;
        return true;
    }

    private static (double Slope, double Intercept) Regression(in Window w, long interceptTime)
    {
        double n = w.Floats.Length, constant = w.Floats[0];
        bool same = true;
        CompensatedSum x = default, y = default, xy = default, xx = default;
        for (int i = 0; i < w.Floats.Length; i++)
        {
            same &= w.Floats[i] == constant;
            double t = (w.FloatTimes[i] - interceptTime) / 1000.0;
            x.Add(t);
            y.Add(w.Floats[i]);
            xy.Add(t * w.Floats[i]);
            xx.Add(t * t);
        }
        if (same)
            return double.IsInfinity(constant) ? (double.NaN, double.NaN) : (0, constant);
        double sx = x.Sum + x.Compensation, sy = y.Sum + y.Compensation;
        double covariance = xy.Sum + xy.Compensation - (sx * sy / n), variance = xx.Sum + xx.Compensation - (sx * sx / n);
        double slope = covariance / variance;
        return (slope, (sy / n) - (slope * sx / n));
    }

    private static bool Derivative(in Window w, RangeCall c, out double value, out NativeHistogram? histogram)
    {
        (value, histogram) = (0, null);
        if (!OnlyFloats(w, c, 2))
            return false;
        // The first sample's time as origin, because large times lose digits.
        value = Regression(w, w.FloatTimes[0]).Slope;
        return true;
    }

    private static bool Predict(in Window w, RangeCall c, out double value, out NativeHistogram? histogram)
    {
        (value, histogram) = (0, null);
        if (!OnlyFloats(w, c, 2))
            return false;
        (double slope, double intercept) = Regression(w, c.TimeMs);
        value = (slope * c.Scalars[0]) + intercept;
        return true;
    }

    private static bool Smooth(in Window w, RangeCall c, out double value, out NativeHistogram? histogram)
    {
        (value, histogram) = (0, null);
        double factor = c.Scalars[0], trendFactor = c.Scalars[1];
        if (factor is <= 0 or >= 1 || trendFactor is <= 0 or >= 1)
        {
            (string kind, string name, double wrong) = factor is <= 0 or >= 1 ? ("smoothing", "sf", factor) : ("trend", "tf", trendFactor);
            c.Failure = $"invalid {kind} factor. Expected: 0 < {name} < 1, got: {Fixed(wrong)}";
            return false;
        }
        if (!OnlyFloats(w, c, 2))
            return false;
        double level = w.Floats[0], previous = 0, trend = w.Floats[1] - w.Floats[0];
        for (int i = 1; i < w.Floats.Length; i++)
        {
            double scaled = factor * w.Floats[i];
            if (i > 1)
                trend = (trendFactor * (level - previous)) + ((1 - trendFactor) * trend);
            previous = level;
            level = scaled + ((1 - factor) * (level + trend));
        }
        value = level;
        return true;
    }

    // With six digits, as Go's %f.
    private static string Fixed(double value) => double.IsFinite(value) ? value.ToString("F6", System.Globalization.CultureInfo.InvariantCulture) : Syntax.Printer.FormatNumber(value);
}
