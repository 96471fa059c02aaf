using System.Runtime.InteropServices;
using Bellwether.Core.Model;
using Bellwether.Evaluate.PromQl.Syntax;

namespace Bellwether.Evaluate.PromQl.Evaluation;

/// <summary>
/// The experimental <c>anchored</c> and <c>smoothed</c> ranges (PROM-52): the range gets a sample at each edge, taken from before it or interpolated, and
/// nothing is extrapolated. A start timestamp is a sample of zero at that time: an anchored counter that began within the range, or that began anew, counts whole.
/// </summary>
internal static class ExtendedRange
{
    public static bool Evaluate(RangeSeries source, long start, long end, Boundary boundary, long lookback, EvalSeries into, int i, RangeCall call, string function)
    {
        bool counter = function is "rate" or "increase" or "resets" or "changes";
        return source.Histograms.Count > 0
            ? Histograms(source, start, end, boundary, lookback, into, i, call, function)
            : Floats(source, start, end, boundary, lookback, into, i, call, function, counter && function is not "changes");
    }

    private static bool Floats(RangeSeries source, long start, long end, Boundary boundary, long lookback, EvalSeries into, int i, RangeCall call, string function, bool counter)
    {
        if (!Cover(source.FloatTimes, start, end, boundary, lookback, out int from, out int to))
            return false;
        if (boundary == Boundary.Anchored && function is ("increase" or "rate"))
            return SetDifference(AnchoredIncrease(source, from, to, start, lookback), into, i, call, function);
        List<long> times = source.FloatTimes;
        List<double> values = source.Floats;
        var points = new List<double>();
        bool smoothed = boundary == Boundary.Smoothed;
        for (int k = from; k <= to; k++)
        {
            double value = values[k];
            if (smoothed && times[k] < start && k < to)
            {
                if (times[k + 1] <= start)
                    continue;
                value = Between(times[k], values[k], times[k + 1], values[k + 1], start, counter);
            }
            else if (smoothed && times[k] > end)
            {
                value = k > from ? Between(times[k - 1], values[k - 1], times[k], values[k], end, counter) : value;
            }
            points.Add(value);
        }
        if (smoothed && from < to && times[from] < start && times[to] > end && to == from + 1)
            return SetDifference(Between(times[from], values[from], times[to], values[to], end, counter) - Between(times[from], values[from], times[to], values[to], start, counter), into, i, call, function);
        if (function is "changes" or "resets")
        {
            int count = 0;
            for (int k = 1; k < points.Count; k++)
                count += function == "resets" ? (points[k] < points[k - 1] ? 1 : 0) : (points[k] != points[k - 1] && !(double.IsNaN(points[k]) && double.IsNaN(points[k - 1])) ? 1 : 0);
            into.Set(i, count);
            return true;
        }
        return SetDifference(Increase(points, counter, smoothed && times[to] > end && to > from && values[to] < values[to - 1]), into, i, call, function);
    }

    /// <summary>The last value less the first, or less the zero that its start timestamp says, and what was there before each reset of the counter.</summary>
    private static double AnchoredIncrease(RangeSeries source, int from, int to, long startMs, long lookback)
    {
        ReadOnlySpan<double> values = CollectionsMarshal.AsSpan(source.Floats);
        ReadOnlySpan<long> times = CollectionsMarshal.AsSpan(source.FloatTimes), starts = CollectionsMarshal.AsSpan(source.FloatStarts);
        // A sample before the range is nearer to its edge than the zero before that sample; only without one the zero takes its place.
        bool fromZero = times[from] > startMs && starts[from] != 0 && starts[from] > startMs - lookback && starts[from] < times[from];
        double increase = values[to] - (fromZero ? 0 : values[from]);
        for (int k = from + 1; k <= to; k++)
        {
            if (values[k] < values[k - 1] || RateFunctions.StartSaysReset(times[k - 1], starts[k - 1], times[k], starts[k]))
                increase += values[k - 1];
        }
        return increase;
    }

    private static double Increase(List<double> points, bool counter, bool rightCrossesReset)
    {
        double increase = points[^1] - points[0];
        if (!counter)
            return increase;
        for (int k = 1; k < points.Count; k++)
        {
            bool crossing = (k == points.Count - 1 && rightCrossesReset && points.Count > 1);
            if (points[k] < points[k - 1] || crossing)
                increase += points[k - 1];
        }
        return increase;
    }

    private static bool SetDifference(double difference, EvalSeries into, int i, RangeCall call, string function)
    {
        into.Set(i, function == "rate" ? difference / (call.RangeMs / 1000.0) : difference);
        return true;
    }

    /// <summary>The samples to use: the last at or before the start (within the lookback), those within, and for smoothed the first after the end.</summary>
    private static bool Cover(List<long> times, long start, long end, Boundary boundary, long lookback, out int from, out int to)
    {
        int firstInside = FirstAfter(times, start);
        from = firstInside > 0 && times[firstInside - 1] > start - lookback ? firstInside - 1 : firstInside;
        to = FirstAfter(times, end) - 1;
        bool inside = to >= firstInside;
        if (boundary == Boundary.Anchored)
            return inside && from < times.Count;
        if (to + 1 < times.Count && times[to + 1] <= end + lookback && (to < 0 || times[to] < end))
            to++;
        // Nothing at or before the end: there is nothing to smooth.
        if (from >= times.Count || to < from || times[from] > end)
            return false;
        return inside || (to > from);
    }

    /// <summary>The index of the first time after another.</summary>
    public static int FirstAfter(List<long> times, long after)
    {
        int at = times.BinarySearch(after + 1);
        return at < 0 ? ~at : at;
    }

    /// <summary>The value at a time between two samples; a counter that was reset between them is taken to have started from zero.</summary>
    public static double Between(long t1, double v1, long t2, double v2, long at, bool counter)
    {
        double fraction = (double)(at - t1) / (t2 - t1);
        return counter && v2 < v1 ? v2 * fraction : v1 + ((v2 - v1) * fraction);
    }

    public static NativeHistogram? Between(long t1, NativeHistogram h1, long t2, NativeHistogram h2, long at, bool counter)
    {
        double fraction = (double)(at - t1) / (t2 - t1);
        if (counter && h2.IsResetAfter(h1))
            return h2.Multiply(fraction);
        return h2.Subtract(h1, out _, out _)?.Multiply(fraction).Add(h1, out _, out _)?.WithHint(h1.ResetHint);
    }

    private static bool Histograms(RangeSeries source, long start, long end, Boundary boundary, long lookback, EvalSeries into, int i, RangeCall call, string function)
    {
        bool counter = function != "delta";
        if (!Cover(source.HistogramTimes, start, end, boundary, lookback, out int from, out int to))
            return false;
        if (source.FloatTimes.Exists(t => t > start - lookback && t <= end))
        {
            call.Notes.MixedFloatsHistograms(call.Metric, call.Span);
            return false;
        }
        List<long> times = source.HistogramTimes;
        List<NativeHistogram> values = source.Histograms;
        bool anyGauge = false, edgesGauge = values[from].ResetHint == CounterResetHint.Gauge && values[to].ResetHint == CounterResetHint.Gauge;
        for (int k = from; k <= to; k++)
            anyGauge |= values[k].ResetHint == CounterResetHint.Gauge;
        if (counter && anyGauge)
            call.Notes.Warn($"this native histogram metric is not a counter: {Syntax.GoText.Quote(call.Metric)}", call.Span);
        if (!counter && !edgesGauge)
            call.Notes.Warn($"this native histogram metric is not a gauge: {Syntax.GoText.Quote(call.Metric)}", call.Span);
        NativeHistogram? result = boundary == Boundary.Anchored && function is ("increase" or "rate")
            ? AnchoredHistogramIncrease(source, from, to, start, lookback)
            : HistogramDifference(times, values, from, to, start, end, boundary == Boundary.Smoothed, counter);
        if (result is null)
        {
            call.Notes.MixedSchemas(call.Metric, call.Span);
            return false;
        }
        if (function == "rate")
            result = result.Divide(call.RangeMs / 1000.0);
        into.Set(i, 0, result.WithHint(CounterResetHint.Gauge).Compact());
        return true;
    }

    /// <summary>As for floats; null: the buckets do not go together.</summary>
    private static NativeHistogram? AnchoredHistogramIncrease(RangeSeries source, int from, int to, long startMs, long lookback)
    {
        List<NativeHistogram> values = source.Histograms;
        List<long> times = source.HistogramTimes, starts = source.HistogramStarts;
        bool fromZero = times[from] > startMs && starts[from] != 0 && starts[from] > startMs - lookback && starts[from] < times[from];
        NativeHistogram first = fromZero ? new NativeHistogram { Schema = values[from].Schema, CustomValues = values[from].CustomValues } : values[from];
        NativeHistogram? increase = values[to].Subtract(first, out _, out _);
        for (int k = from + 1; increase is not null && k <= to; k++)
        {
            if (values[k].IsResetAfter(values[k - 1]) || RateFunctions.StartSaysReset(times[k - 1], starts[k - 1], times[k], starts[k]))
                increase = increase.Add(values[k - 1], out _, out _);
        }
        return increase;
    }

    private static NativeHistogram? HistogramDifference(List<long> times, List<NativeHistogram> values, int from, int to, long start, long end, bool smoothed, bool counter)
    {
        bool cutLeft = smoothed && times[from] < start && to > from, cutRight = smoothed && times[to] > end && to > from;
        NativeHistogram? left = cutLeft ? Between(times[from], values[from], times[from + 1], values[from + 1], start, counter) : values[from];
        NativeHistogram? right = cutRight ? Between(times[to - 1], values[to - 1], times[to], values[to], end, counter) : values[to];
        NativeHistogram? result = left is null ? null : right?.Subtract(left, out _, out _);
        // A reset inside an interval that is cut at its left edge is already in the interpolation.
        for (int k = from + 1; counter && result is not null && k <= to; k++)
        {
            bool leftCut = k == from + 1 && cutLeft;
            if (!leftCut && values[k].IsResetAfter(values[k - 1]))
                result = result.Add(values[k - 1], out _, out _);
        }
        return result;
    }
}
