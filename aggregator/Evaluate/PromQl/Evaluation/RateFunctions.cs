using System.Runtime.CompilerServices;
using Bellwether.Core.Model;

namespace Bellwether.Evaluate.PromQl.Evaluation;

/// <summary>rate, increase, delta and their instant forms, with Prometheus' extrapolation and its rule for counters that were zero.</summary>
internal static class RateFunctions
{
    public static bool Rate(in Window w, RangeCall c, out double value, out NativeHistogram? histogram) => Extrapolated(w, c, true, true, out value, out histogram);

    public static bool Increase(in Window w, RangeCall c, out double value, out NativeHistogram? histogram) => Extrapolated(w, c, true, false, out value, out histogram);

    public static bool Delta(in Window w, RangeCall c, out double value, out NativeHistogram? histogram) => Extrapolated(w, c, false, false, out value, out histogram);

    public static bool InstantRate(in Window w, RangeCall c, out double value, out NativeHistogram? histogram) => Instant(w, c, true, out value, out histogram);

    public static bool InstantDelta(in Window w, RangeCall c, out double value, out NativeHistogram? histogram) => Instant(w, c, false, out value, out histogram);

    /// <summary>
    /// Whether the start timestamps say that the counter was reset between two samples. A start equal to the time before is a delta, but for a sample
    /// before it whose own start is unknown or not before it.
    /// </summary>
    public static bool StartSaysReset(long previousTime, long previousStart, long time, long start)
    {
        if (start == 0 || start >= time)
            return false;
        return start > previousTime || (start == previousTime && previousStart != 0 && previousStart < previousTime);
    }

    private static bool Extrapolated(in Window w, RangeCall c, bool counter, bool perSecond, out double value, out NativeHistogram? histogram)
    {
        (value, histogram) = (0, null);
        if (w.Floats.Length > 0 && w.Histograms.Length > 0)
        {
            c.Notes.MixedFloatsHistograms(c.Metric, c.Span);
            return false;
        }
        bool floats = w.Floats.Length > 0;
        ReadOnlySpan<long> times = floats ? w.FloatTimes : w.HistogramTimes, starts = floats ? w.FloatStarts : w.HistogramStarts;
        // A start timestamp within the range is a sample of zero at that time.
        bool fromZero = counter && starts[0] != 0 && starts[0] > w.StartMs && starts[0] < times[0];
        if (times.Length < 2 && !fromZero)
            return false;
        if (floats)
            value = FloatIncrease(w, counter, fromZero);
        else if ((histogram = HistogramIncrease(w, c, counter, fromZero)) is null)
            return false;
        double first = floats ? w.Floats[0] : w.Histograms[0].Count;
        double increase = floats ? value : histogram!.Count;
        double factor = Factor(w.StartMs, w.EndMs, new Edges(times[0], times[^1], times.Length), fromZero ? starts[0] : times[0], counter, fromZero ? 0 : first, increase);
        if (perSecond)
            factor /= c.RangeMs / 1000.0;
        if (floats)
            value *= factor;
        else
            histogram = histogram!.Multiply(factor);
        return true;
    }

    /// <summary>Times of the first and last sample of a window (Unix ms) and how many there are.</summary>
    public readonly record struct Edges(long FirstMs, long LastMs, long Count);

    /// <summary>By how much an increase between samples is extrapolated to the window's edges.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static double Factor(long rangeStart, long rangeEnd, Edges samples, long firstTime, bool counter, double first, double increase)
    {
        (double sampled, double toStart, double toEnd) = Reach(rangeStart, rangeEnd, samples, firstTime);
        if (counter)
        {
            double toZero = toStart;
            if (increase > 0 && first >= 0)
                toZero = sampled * (first / increase);
            toStart = Math.Min(toStart, toZero);
        }
        return (sampled + toStart + toEnd) / sampled;
    }

    /// <summary>The seconds between the first and the last sample, and how far it is extrapolated from them to the window's edges: what of the factor does not depend on values.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static (double Sampled, double ToStart, double ToEnd) Reach(long rangeStart, long rangeEnd, Edges samples, long firstTime)
    {
        double toStart = (firstTime - rangeStart) / 1000.0, toEnd = (rangeEnd - samples.LastMs) / 1000.0, sampled = (samples.LastMs - firstTime) / 1000.0;
        double average = samples.Count > 1 ? (samples.LastMs - samples.FirstMs) / 1000.0 / (samples.Count - 1) : 0;
        double threshold = average * 1.1;
        return (sampled, toStart >= threshold ? average / 2 : toStart, toEnd >= threshold ? average / 2 : toEnd);
    }

    private static double FloatIncrease(in Window w, bool counter, bool fromZero)
    {
        double increase = w.Floats[^1] - (fromZero ? 0 : w.Floats[0]);
        if (!counter)
            return increase;
        var correction = new ResetCorrection();
        long slotEnd = TimeSlot.StartOf(w.FloatTimes[0]) + TimeSlot.LengthMs;
        for (int i = 1; i < w.Floats.Length; i++)
        {
            double previous = w.Floats[i - 1];
            bool across = w.FloatTimes[i] >= slotEnd;
            if (across)
            {
                correction.NextSlot();
                slotEnd = TimeSlot.StartOf(w.FloatTimes[i]) + TimeSlot.LengthMs;
            }
            if (!(w.Floats[i] < previous) && !StartSaysReset(w.FloatTimes[i - 1], w.FloatStarts[i - 1], w.FloatTimes[i], w.FloatStarts[i]))
                continue;
            if (across)
                correction.Across(previous);
            else
                correction.Within(previous);
        }
        return increase + correction.Total;
    }

    private static bool IsReset(in Window w, int i, NativeHistogram previous) =>
        w.Histograms[i].IsResetAfter(previous) || StartSaysReset(w.HistogramTimes[i - 1], w.HistogramStarts[i - 1], w.HistogramTimes[i], w.HistogramStarts[i]);

    private static NativeHistogram? HistogramIncrease(in Window w, RangeCall c, bool counter, bool fromZero)
    {
        ReadOnlySpan<NativeHistogram> points = w.Histograms;
        NativeHistogram first = points[0], last = points[^1];
        bool mustBeGauge = !counter && (first.ResetHint != CounterResetHint.Gauge || last.ResetHint != CounterResetHint.Gauge);
        if (counter && HasGauge(points))
            c.Notes.Warn($"this native histogram metric is not a counter: {Syntax.GoText.Quote(c.Metric)}", c.Span);
        if (mustBeGauge)
            c.Notes.Warn($"this native histogram metric is not a gauge: {Syntax.GoText.Quote(c.Metric)}", c.Span);
        // A first sample before a reset counts for nothing, its buckets included.
        if (fromZero || (counter && points.Length > 1 && IsReset(w, 1, first)))
        {
            NativeHistogram like = points[fromZero ? 0 : 1];
            NativeHistogram zero = new() { Schema = like.Schema, CustomValues = like.CustomValues };
            return Accumulate(w, c, zero, counter, fromZero ? 1 : 2);
        }
        return Accumulate(w, c, first, counter, 1);
    }

    private static bool HasGauge(ReadOnlySpan<NativeHistogram> points)
    {
        foreach (NativeHistogram point in points)
        {
            if (point.ResetHint == CounterResetHint.Gauge)
                return true;
        }
        return false;
    }

    private static NativeHistogram? Accumulate(in Window w, RangeCall c, NativeHistogram baseline, bool counter, int resetsFrom)
    {
        ReadOnlySpan<NativeHistogram> points = w.Histograms;
        int schema = Math.Min(baseline.Schema, points[^1].Schema);
        for (int i = counter ? resetsFrom - 1 : points.Length - 1; i < points.Length; i++)
        {
            if (points[i].HasCustomBuckets != baseline.HasCustomBuckets)
            {
                c.Notes.MixedSchemas(c.Metric, c.Span);
                return null;
            }
            schema = Math.Min(schema, points[i].Schema);
        }
        NativeHistogram? result = points[^1].Reduce(schema).Subtract(baseline, out bool reconciled, out _);
        if (result is null)
            return null;
        if (reconciled)
            c.Notes.Reconciled("subtraction", c.Span);
        for (int i = resetsFrom; counter && i < points.Length; i++)
        {
            if (!IsReset(w, i, points[i - 1]))
                continue;
            result = result!.Add(points[i - 1], out bool bounds, out _);
            if (bounds)
                c.Notes.Reconciled("addition", c.Span);
        }
        return result!.WithHint(CounterResetHint.Gauge).Compact();
    }

    private static bool Instant(in Window w, RangeCall c, bool rate, out double value, out NativeHistogram? histogram)
    {
        (value, histogram) = (0, null);
        if (w.Count < 2)
            return false;
        // The last two of both kinds; a float and a histogram do not go together.
        int f = w.Floats.Length, h = w.Histograms.Length;
        long lastFloat = f > 0 ? w.FloatTimes[^1] : long.MinValue, lastHistogram = h > 0 ? w.HistogramTimes[^1] : long.MinValue;
        bool floats = lastFloat > lastHistogram;
        bool mixed = floats ? f < 2 || (h > 0 && lastHistogram > w.FloatTimes[^2]) : h < 2 || (f > 0 && lastFloat > w.HistogramTimes[^2]);
        if (mixed)
        {
            c.Notes.MixedFloatsHistograms(c.Metric, c.Span);
            return false;
        }
        ReadOnlySpan<long> times = floats ? w.FloatTimes : w.HistogramTimes, starts = floats ? w.FloatStarts : w.HistogramStarts;
        double seconds = (times[^1] - times[^2]) / 1000.0;
        if (seconds == 0)
            return false;
        bool reset = rate && StartSaysReset(times[^2], starts[^2], times[^1], starts[^1]);
        if (floats)
        {
            value = w.Floats[^1];
            if (!rate || (value >= w.Floats[^2] && !reset))
                value -= w.Floats[^2];
            if (double.IsNaN(w.Floats[^2]) && rate && !reset)
                value = double.NaN;
        }
        else
        {
            histogram = HistogramDelta(w, c, rate, reset);
            if (histogram is null)
                return false;
        }
        if (rate)
        {
            value /= seconds;
            histogram = histogram?.Divide(seconds);
        }
        return true;
    }

    private static NativeHistogram? HistogramDelta(in Window w, RangeCall c, bool rate, bool reset)
    {
        NativeHistogram now = w.Histograms[^1], before = w.Histograms[^2];
        bool gauge = now.ResetHint == CounterResetHint.Gauge && before.ResetHint == CounterResetHint.Gauge;
        bool anyGauge = now.ResetHint == CounterResetHint.Gauge || before.ResetHint == CounterResetHint.Gauge;
        if (rate && anyGauge)
            c.Notes.Warn($"this native histogram metric is not a counter: {Syntax.GoText.Quote(c.Metric)}", c.Span);
        if (!rate && !gauge)
            c.Notes.Warn($"this native histogram metric is not a gauge: {Syntax.GoText.Quote(c.Metric)}", c.Span);
        if (rate && (reset || now.IsResetAfter(before)))
            return now.WithHint(CounterResetHint.Gauge).Compact();
        NativeHistogram? result = now.Subtract(before, out bool reconciled, out _);
        if (result is null)
        {
            c.Notes.MixedSchemas(c.Metric, c.Span);
            return null;
        }
        if (reconciled)
            c.Notes.Reconciled("subtraction", c.Span);
        return result.WithHint(CounterResetHint.Gauge).Compact();
    }
}
