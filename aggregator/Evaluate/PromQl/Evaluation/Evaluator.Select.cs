using Bellwether.Core.Model;
using Bellwether.Evaluate.PromQl.Syntax;

namespace Bellwether.Evaluate.PromQl.Evaluation;

/// <content>Selectors: instant, range, subquery.</content>
internal sealed partial class Evaluator
{
    private enum PointValue
    {
        Value,
        Timestamp,
        StartTimestamp,
    }

    private EvalValue? Select(VectorSelector v, Grid grid, PointValue what = PointValue.Value)
    {
        if (!Resolve(v.Offset, out long offset, v))
            return null;
        if (v.Boundary == Boundary.Smoothed && what == PointValue.Value)
            return SelectSmoothed(v, grid, offset);
        long lookback = (long)_options.Lookback.TotalMilliseconds;
        long? at = AtTime(v.At);
        long first = (at ?? grid.StartMs) - offset, last = (at ?? grid.EndMs) - offset;
        using ISeriesSet set = SelectWhole(first - lookback + 1, last, v.Matchers);
        ICoarseSeriesSet? coarse = set is ICoarseSeriesSet { ResolutionMs: > 0 } slots ? slots : null;
        var result = new List<EvalSeries>(set.Count);
        bool[]? refused = coarse is not null && _isExact ? new bool[grid.Count] : null;
        for (int s = 0; s < set.Count; s++)
        {
            if ((s & 1023) == 0 && Stopped(v))
                return null;
            if (coarse is null)
                set.Read(s, _buffer);
            if (coarse is null && _buffer.Count == 0)
                continue;
            var series = new EvalSeries(set.LabelsAt(s), grid.Count);
            if (coarse is null ? !Walk(series, grid, at, offset, lookback, what) : !WalkCoarse(coarse, s, series, grid, at, offset, lookback, what, v.Span, refused))
                continue;
            result.Add(series);
            CountPoints(series);
            if (!Account(series.Samples, v))
                return null;
        }
        return refused is null || LeaveOut(refused, result, WhyBetween(coarse!.ResolutionMs), v.Span) ? EvalValue.OfSeries(result) : null;
    }

    /// <summary>Selects; a slot in which the last time lies is there also when its first float comes later, since something may have ended before that.</summary>
    private ISeriesSet SelectWhole(long fromMs, long toMs, IReadOnlyList<LabelMatcher> matchers)
    {
        ISeriesSet set = _reader.Select(fromMs, toMs, matchers, _deadline.Cancellation);
        long resolution = CoarseSets.ResolutionOf(set);
        if (resolution == 0 || toMs % resolution == 0)
            return set;
        set.Dispose();
        return _reader.Select(fromMs, CoarseSlot.EndOf(toMs, resolution), matchers, _deadline.Cancellation);
    }

    /// <summary>Takes for each step the newest sample within the lookback; a stale marker means none.</summary>
    private bool Walk(EvalSeries series, Grid grid, long? at, long offset, long lookback, PointValue what)
    {
        ReadOnlySpan<long> times = _buffer.Times;
        ReadOnlySpan<double> values = _buffer.Values;
        bool any = false;
        int next = 0;
        for (int i = 0; i < grid.Count; i++)
        {
            long t = (at ?? grid.At(i)) - offset;
            while (next < times.Length && times[next] <= t)
                next++;
            if (next == 0 || times[next - 1] <= t - lookback)
                continue;
            int k = next - 1;
            NativeHistogram? histogram = _buffer.HistogramAt(k);
            if (histogram is null ? SpecialValues.IsStale(values[k]) : histogram.IsStale)
                continue;
            switch (what)
            {
                case PointValue.Value:
                    series.Set(i, values[k], histogram is not null && _detectsResets ? WithDetectedReset(histogram, PreviousHistogram(k)) : histogram);
                    break;
                case PointValue.Timestamp:
                    series.Set(i, times[k] / 1000.0);
                    break;
                default:
                    if (_buffer.StartTimeAt(k) == 0)
                        series.Set(i, 0);
                    else
                        series.Set(i, _buffer.StartTimeAt(k) / 1000.0);
                    break;
            }
            any = true;
        }
        return any;
    }

    private NativeHistogram? PreviousHistogram(int before)
    {
        for (int k = before - 1; k >= 0; k--)
        {
            if (_buffer.HistogramAt(k) is { IsStale: false } histogram)
                return histogram;
        }
        return null;
    }

    /// <summary>A histogram that does not say itself whether its counter was reset says it as compared with the one before, if there is one.</summary>
    private static NativeHistogram WithDetectedReset(NativeHistogram histogram, NativeHistogram? previous) =>
        histogram.ResetHint != CounterResetHint.Unknown || previous is null
            ? histogram
            : histogram.WithHint(histogram.IsResetAfter(previous) ? CounterResetHint.Reset : CounterResetHint.NotReset);

    /// <summary>The argument of a range function: samples and how to cut windows from them.</summary>
    private sealed class RangeInput
    {
        public List<RangeSeries> Series { get; } = [];

        public long RangeMs { get; set; }

        public long OffsetMs { get; set; }

        public long? AtMs { get; set; }

        public Boundary Boundary { get; set; }

        /// <summary>The length of the coarsest slots in the series, in ms; 0: there are none.</summary>
        public long ResolutionMs { get; set; }

        /// <summary>Times of a subquery's steps that have no result, in order.</summary>
        public List<long> Refused { get; } = [];

        public string WhyRefused { get; set; } = "";
    }

    /// <summary>What is done where only slots are kept.</summary>
    private enum SlotUse
    {
        /// <summary>The samples are needed: it fails.</summary>
        Fail,

        /// <summary>The series keep them beside their samples.</summary>
        Beside,

        /// <summary>The same, and the samples that are known of them are samples of the series.</summary>
        Known,
    }

    private RangeInput? Range(Expr expr, Grid grid, SlotUse slots = SlotUse.Fail)
    {
        while (expr is ParenExpr p)
            expr = p.Inner;
        return expr switch
        {
            MatrixSelector m => Matrix(m, grid, slots),
            SubqueryExpr q => Subquery(q, grid),
            _ => Fail<RangeInput>("expected a range vector", expr.Span),
        };
    }

    /// <summary>The windows of a range selector, without its series.</summary>
    private RangeInput? WindowsOf(MatrixSelector m)
    {
        var input = new RangeInput { AtMs = AtTime(m.Selector.At), Boundary = m.Selector.Boundary };
        if (!Resolve(m.Selector.Offset, out long offset, m) || !Resolve(m.Range, out long range, m))
            return null;
        if (range <= 0)
            return Fail<RangeInput>("duration must be greater than 0", m.Range.Span);
        input.OffsetMs = offset;
        input.RangeMs = range;
        return input;
    }

    private RangeInput? Matrix(MatrixSelector m, Grid grid, SlotUse slots)
    {
        if (WindowsOf(m) is not { } input)
            return null;
        (long offset, long range) = (input.OffsetMs, input.RangeMs);
        long lookback = (long)_options.Lookback.TotalMilliseconds;
        long before = input.Boundary == Boundary.None ? 0 : lookback, after = input.Boundary == Boundary.Smoothed ? lookback : 0;
        long first = (input.AtMs ?? grid.StartMs) - offset - range - before, last = (input.AtMs ?? grid.EndMs) - offset + after;
        using ISeriesSet set = _reader.Select(first + 1, last, m.Selector.Matchers, _deadline.Cancellation);
        for (int s = 0; s < set.Count; s++)
        {
            if ((s & 1023) == 0 && Stopped(m))
                return null;
            if (ReadSamples(set, s, slots, m.Span) is not { } series)
                return null;
            if (!Account(series.Samples, m))
                return null;
            if (series.Count + series.Slots.Count > 0)
                input.Series.Add(series);
            input.ResolutionMs = Math.Max(input.ResolutionMs, series.Slots.Count > 0 ? CoarseSets.ResolutionOf(set) : 0);
        }
        return input;
    }

    private RangeSeries Split(Labels labels)
    {
        var series = new RangeSeries { Labels = labels };
        ReadOnlySpan<long> times = _buffer.Times;
        ReadOnlySpan<double> values = _buffer.Values;
        NativeHistogram? previous = null;
        for (int i = 0; i < times.Length; i++)
        {
            NativeHistogram? histogram = _buffer.HistogramAt(i);
            if (histogram is null)
            {
                if (SpecialValues.IsStale(values[i]))
                    continue;
                series.FloatTimes.Add(times[i]);
                series.Floats.Add(values[i]);
                series.FloatStarts.Add(_buffer.StartTimeAt(i));
            }
            else if (!histogram.IsStale)
            {
                series.HistogramTimes.Add(times[i]);
                series.Histograms.Add(_detectsResets ? WithDetectedReset(histogram, previous) : histogram);
                series.HistogramStarts.Add(_buffer.StartTimeAt(i));
                previous = histogram;
            }
        }
        return series;
    }

    private RangeInput? Subquery(SubqueryExpr q, Grid grid)
    {
        var input = new RangeInput { AtMs = AtTime(q.At) };
        if (!Resolve(q.Offset, out long offset, q) || !Resolve(q.Range, out long range, q) || !Resolve(q.Step, out long step, q))
            return null;
        if (q.Step is null)
            step = (long)_options.DefaultSubqueryStep.TotalMilliseconds;
        if (range <= 0 || step <= 0)
            return Fail<RangeInput>("duration must be greater than 0", q.Span);
        input.OffsetMs = offset;
        input.RangeMs = range;
        long end = (input.AtMs ?? grid.EndMs) - offset;
        long from = (input.AtMs ?? grid.StartMs) - offset - range;
        // Steps lie at multiples of the step, whatever the time of evaluation; the window is left-open.
        long start = Math.DivRem(from, step, out long rest) * step;
        if (rest < 0)
            start -= step;
        start += step;
        if (start > end)
            return input;
        long count = (end - start) / step + 1;
        if (count > _options.MaxSamples)
            return Fail<RangeInput>($"subquery has {count} steps, more than the limit of {_options.MaxSamples}", q.Span);
        var inner = new Grid(start, step, (int)count);
        // Steps skip samples: what two samples say of each other is found by the range function.
        (bool detects, bool[]? refused, string why) = (_detectsResets, _refused, _whyRefused);
        (_detectsResets, _refused) = (false, null);
        EvalValue? value = EvalApart(q.Inner, inner, forEachStep: false);
        for (int i = 0; IsPartial && i < inner.Count; i++)
        {
            if (IsRefused(i))
                input.Refused.Add(inner.At(i));
        }
        input.WhyRefused = _whyRefused;
        (_detectsResets, _refused, _whyRefused) = (detects, refused, why);
        if (value is null)
            return null;
        foreach (EvalSeries one in value.Series)
        {
            RangeSeries series = Samples(one, inner, input.Refused);
            if (!Account(series.Samples, q))
                return null;
            input.Series.Add(series);
        }
        return input;
    }

    private static RangeSeries Samples(EvalSeries one, Grid grid, List<long> refused)
    {
        var series = new RangeSeries { Labels = one.Labels, DropName = one.DropName };
        for (int i = 0; i < grid.Count; i++)
        {
            if (!one.Has(i) || (refused.Count > 0 && refused.BinarySearch(grid.At(i)) >= 0))
                continue;
            if (one.HistogramAt(i) is { } histogram)
            {
                series.HistogramTimes.Add(grid.At(i));
                // Steps skip samples, so what a sample says of the one before it no longer holds.
                series.Histograms.Add(histogram.ResetHint == CounterResetHint.Gauge ? histogram : histogram.WithHint(CounterResetHint.Unknown));
                series.HistogramStarts.Add(0);
            }
            else
            {
                series.FloatTimes.Add(grid.At(i));
                series.Floats.Add(one.Values[i]);
                series.FloatStarts.Add(0);
            }
        }
        return series;
    }

    /// <summary>A range vector as the result of an instant query.</summary>
    public List<(Labels Labels, List<Point> Points)>? RangeVector(Expr expr)
    {
        RangeInput? input = Range(expr, _query);
        if (input is null)
            return null;
        // The times of the steps that are there say which are not.
        if (input.Refused.Count > 0)
            _refused = new bool[_query.Count];
        var result = new List<(Labels, List<Point>)>();
        long end = (input.AtMs ?? _query.StartMs) - input.OffsetMs, start = end - input.RangeMs;
        foreach (RangeSeries series in input.Series)
        {
            CountWindows(series, input, _query);
            var points = new List<Point>();
            for (int i = 0; i < series.Floats.Count; i++)
            {
                if (series.FloatTimes[i] > start && series.FloatTimes[i] <= end)
                    points.Add(new Point(series.FloatTimes[i], series.Floats[i]));
            }
            for (int i = 0; i < series.Histograms.Count; i++)
            {
                if (series.HistogramTimes[i] > start && series.HistogramTimes[i] <= end)
                    points.Add(new Point(series.HistogramTimes[i], 0, series.Histograms[i]));
            }
            points.Sort((a, b) => a.TimestampMs.CompareTo(b.TimestampMs));
            if (points.Count > 0)
                result.Add((series.DropName ? WithoutName(series.Labels) : series.Labels, points));
        }
        return result;
    }

    /// <summary>A <c>smoothed</c> instant selector: the value interpolated between the samples on both sides.</summary>
    private EvalValue? SelectSmoothed(VectorSelector v, Grid grid, long offset)
    {
        long lookback = (long)_options.Lookback.TotalMilliseconds;
        long? at = AtTime(v.At);
        long first = (at ?? grid.StartMs) - offset, last = (at ?? grid.EndMs) - offset;
        using ISeriesSet set = _reader.Select(first - lookback + 1, last + lookback, v.Matchers, _deadline.Cancellation);
        var result = new List<EvalSeries>(set.Count);
        var refused = new bool[grid.Count];
        for (int s = 0; s < set.Count; s++)
        {
            if (Stopped(v) || ReadSamples(set, s, SlotUse.Beside, v.Span) is not { } samples)
                return null;
            var series = new EvalSeries(samples.Labels, grid.Count);
            long step = at is null ? grid.StepMs : 0;
            bool isOverSlots = samples.Slots.Count > 0 && samples.Histograms.Count == 0;
            if (isOverSlots)
                SmoothOverSlots(samples, new WindowCuts(first, step, grid.Count, 0), lookback, series, refused);
            else
                RefuseTouched(samples, new WindowCuts(first + lookback, step, grid.Count, 2 * lookback), refused);
            for (int i = 0; i < grid.Count && !isOverSlots; i++)
                SmoothPoint(v, samples, series, i, (at ?? grid.At(i)) - offset, lookback);
            if (series.IsEmpty)
                continue;
            result.Add(series);
            CountPoints(series);
            if (!Account(series.Samples, v))
                return null;
        }
        return LeaveOut(refused, result, WhyBetween(CoarseSets.ResolutionOf(set)), v.Span) ? EvalValue.OfSeries(result) : null;
    }

    private void SmoothPoint(VectorSelector v, RangeSeries samples, EvalSeries into, int i, long t, long lookback)
    {
        (int f, int nextFloat) = Around(samples.FloatTimes, t, lookback);
        (int h, int nextHistogram) = Around(samples.HistogramTimes, t, lookback);
        if (f < 0 && h < 0)
            return;
        bool isFloat = f >= 0 && (h < 0 || samples.FloatTimes[f] > samples.HistogramTimes[h]);
        long time = isFloat ? samples.FloatTimes[f] : samples.HistogramTimes[h];
        if (time != t && (f >= 0 || nextFloat >= 0) && (h >= 0 || nextHistogram >= 0))
        {
            _notes.MixedFloatsHistograms(into.Labels.MetricName, v.Span);
            return;
        }
        if (isFloat)
        {
            into.Set(i, time == t || nextFloat < 0
                ? samples.Floats[f]
                : ExtendedRange.Between(time, samples.Floats[f], samples.FloatTimes[nextFloat], samples.Floats[nextFloat], t, false));
            return;
        }
        NativeHistogram? value = samples.Histograms[h];
        if (time != t && nextHistogram >= 0)
            value = ExtendedRange.Between(time, value, samples.HistogramTimes[nextHistogram], samples.Histograms[nextHistogram], t, value.ResetHint != CounterResetHint.Gauge);
        if (value is null)
            _notes.MixedSchemas(into.Labels.MetricName, v.Span);
        else
            into.Set(i, 0, value);
    }

    /// <summary>The last of the times up to one and the first after it, where they are near enough; else -1.</summary>
    private static (int Last, int Next) Around(List<long> times, long t, long lookback)
    {
        int next = ExtendedRange.FirstAfter(times, t);
        return (next > 0 && times[next - 1] > t - lookback ? next - 1 : -1, next < times.Count && times[next] <= t + lookback ? next : -1);
    }
}
