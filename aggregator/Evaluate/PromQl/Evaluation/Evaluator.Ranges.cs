using System.Runtime.InteropServices;
using Bellwether.Core.Model;
using Bellwether.Evaluate.PromQl.Syntax;

namespace Bellwether.Evaluate.PromQl.Evaluation;

/// <summary>One call of a range function: what it may need besides the window.</summary>
internal sealed class RangeCall
{
    public required Annotations Notes { get; init; }

    /// <summary>Where the range vector stands.</summary>
    public required TextSpan Span { get; init; }

    /// <summary>Length of the range, in ms.</summary>
    public required long RangeMs { get; init; }

    /// <summary>The series' metric name.</summary>
    public string Metric { get; set; } = "";

    /// <summary>The time of evaluation.</summary>
    public long TimeMs { get; set; }

    /// <summary>Why the query fails, once a function has said so; null: it does not.</summary>
    public string? Failure { get; set; }

    /// <summary>The scalar arguments at this step, in their order.</summary>
    public double[] Scalars { get; set; } = [];
}

/// <summary>A function of a window; false: no point.</summary>
internal delegate bool RangeFunction(in Window window, RangeCall call, out double value, out NativeHistogram? histogram);

/// <content>Functions over range vectors.</content>
internal sealed partial class Evaluator
{
    private EvalValue? OverRange(CallExpr c, RangeFunction function, Grid grid)
    {
        int rangeAt = c.Arguments[0].Type == ValueType.Matrix ? 0 : 1;
        var scalars = new List<double[]>();
        for (int i = 0; i < c.Arguments.Count; i++)
        {
            if (i == rangeAt)
                continue;
            if (Scalars(c.Arguments[i], grid) is not { } column)
                return null;
            scalars.Add(column);
        }
        if (!_options.Plain && Unwrapped(c.Arguments[rangeAt]) is MatrixSelector { Selector.Boundary: Boundary.None } matrix && (matrix.Selector.At.Kind == AtKind.None || grid.Count == 1))
            return OverColumns(c, function, matrix, scalars, grid);
        bool isExtended = Unwrapped(c.Arguments[rangeAt]) is MatrixSelector { Selector.Boundary: not Boundary.None };
        RangeInput? input = Range(c.Arguments[rangeAt], grid, isExtended ? SlotUse.Beside : SlotUse.Fail);
        if (input is null || !CheckBoundary(c, input) || !RefuseOver(input, grid, c.Arguments[rangeAt].Span))
            return null;
        CheckScalarRanges(c, scalars);
        string name = c.Function.Name;
        bool keepName = name is "last_over_time" or "first_over_time";
        var call = new RangeCall { Notes = _notes, Span = c.Arguments[rangeAt].Span, RangeMs = input.RangeMs, Scalars = new double[scalars.Count] };
        var result = new List<EvalSeries>(input.Series.Count);
        bool[]? refused = input.ResolutionMs > 0 ? new bool[grid.Count] : null;
        foreach (RangeSeries source in input.Series)
        {
            if (Stopped(c))
                return null;
            call.Metric = source.Labels.MetricName;
            CountWindows(source, input, grid);
            EvalSeries series = keepName
                ? new EvalSeries(source.Labels, grid.Count) { DropName = source.DropName }
                : Renamed(new EvalSeries(source.Labels, 0), grid.Count);
            if (source.Slots.Count > 0 ? SlideExtended(source, input, name, function, call, series, grid, refused!) : Slide(source, input, function, call, scalars, series, grid))
                result.Add(series);
            NoteCounterName(name, source, call);
        }
        if (refused is not null && !LeaveOut(refused, result, WhyCut(name, input.ResolutionMs), call.Span))
            return null;
        return keepName ? EvalValue.OfSeries(result) : Unique(result, c, true);
    }

    private void NoteCounterName(string function, RangeSeries source, RangeCall call)
    {
        if (source.Floats.Count + source.Slots.Count > 0)
            NoteCounterName(function, call);
    }

    private void NoteCounterName(string function, RangeCall call)
    {
        if (function is not ("rate" or "increase") || call.Metric.Length == 0)
            return;
        foreach (string suffix in (ReadOnlySpan<string>)["_total", "_sum", "_count", "_bucket"])
        {
            if (call.Metric.EndsWith(suffix, StringComparison.Ordinal))
                return;
        }
        _notes.Info($"metric might not be a counter, name does not end in _total/_sum/_count/_bucket: {GoText.Quote(call.Metric)}", call.Span);
    }

    private void CheckScalarRanges(CallExpr c, List<double[]> scalars)
    {
        if (c.Function.Name != "quantile_over_time")
            return;
        foreach (double q in scalars[0])
        {
            if (double.IsNaN(q) || q < 0 || q > 1)
                _notes.QuantileOutOfRange(q, c.Arguments[0].Span);
        }
    }

    private bool CheckBoundary(CallExpr c, RangeInput input)
    {
        string name = c.Function.Name;
        if (input.Boundary == Boundary.Anchored && name is not ("changes" or "delta" or "increase" or "rate" or "resets"))
            return FailBool($"anchored modifier can only be used with: changes, delta, increase, rate, resets - not with {name}", c.Span);
        if (input.Boundary == Boundary.Smoothed && name is not ("delta" or "increase" or "rate"))
            return FailBool($"smoothed modifier can only be used with: delta, increase, rate - not with {name}", c.Span);
        return true;
    }

    /// <summary>Moves the window (t - range, t] over the series, step by step.</summary>
    private bool Slide(RangeSeries source, RangeInput input, RangeFunction function, RangeCall call, List<double[]> scalars, EvalSeries into, Grid grid)
    {
        ReadOnlySpan<long> floatTimes = CollectionsMarshal.AsSpan(source.FloatTimes), histogramTimes = CollectionsMarshal.AsSpan(source.HistogramTimes);
        int floatFrom = 0, floatTo = 0, histogramFrom = 0, histogramTo = 0;
        bool any = false;
        for (int i = 0; i < grid.Count; i++)
        {
            if (IsTimeToLook(i) && Stopped(call.Span))
                return false;
            long end = (input.AtMs ?? grid.At(i)) - input.OffsetMs, start = end - input.RangeMs;
            Advance(floatTimes, start, end, ref floatFrom, ref floatTo);
            Advance(histogramTimes, start, end, ref histogramFrom, ref histogramTo);
            call.TimeMs = grid.At(i);
            for (int k = 0; k < scalars.Count; k++)
                call.Scalars[k] = scalars[k][i];
            bool transitions = input.Boundary == Boundary.Anchored && _functionName is "changes" or "resets";
            int firstFloat = floatFrom, firstHistogram = histogramFrom;
            if (transitions && floatTo + histogramTo > floatFrom + histogramFrom)
                IncludeAnchor(floatTimes, histogramTimes, start - (long)_options.Lookback.TotalMilliseconds, ref firstFloat, ref firstHistogram);
            if (input.Boundary != Boundary.None && !transitions)
            {
                if (ExtendedRange.Evaluate(source, start, end, input.Boundary, (long)_options.Lookback.TotalMilliseconds, into, i, call, _functionName!))
                    any = true;
                continue;
            }
            if (floatFrom == floatTo && histogramFrom == histogramTo)
                continue;
            var window = new Window
            {
                FloatTimes = floatTimes[firstFloat..floatTo],
                Floats = CollectionsMarshal.AsSpan(source.Floats)[firstFloat..floatTo],
                FloatStarts = CollectionsMarshal.AsSpan(source.FloatStarts)[firstFloat..floatTo],
                HistogramTimes = histogramTimes[firstHistogram..histogramTo],
                Histograms = CollectionsMarshal.AsSpan(source.Histograms)[firstHistogram..histogramTo],
                HistogramStarts = CollectionsMarshal.AsSpan(source.HistogramStarts)[firstHistogram..histogramTo],
                StartMs = start,
                EndMs = end,
            };
            if (function(window, call, out double value, out NativeHistogram? histogram))
            {
                into.Set(i, value, histogram);
                any = true;
            }
            else if (call.Failure is { } failure)
            {
                return FailBool(failure, call.Span);
            }
        }
        return any;
    }

    /// <summary>Takes the last sample at or before the start of the range in, of whichever kind it is.</summary>
    private static void IncludeAnchor(ReadOnlySpan<long> floatTimes, ReadOnlySpan<long> histogramTimes, long after, ref int firstFloat, ref int firstHistogram)
    {
        long lastFloat = firstFloat > 0 ? floatTimes[firstFloat - 1] : long.MinValue, lastHistogram = firstHistogram > 0 ? histogramTimes[firstHistogram - 1] : long.MinValue;
        if (Math.Max(lastFloat, lastHistogram) <= after)
            return;
        if (lastFloat > lastHistogram)
            firstFloat--;
        else
            firstHistogram--;
    }

    private static void Advance(ReadOnlySpan<long> times, long start, long end, ref int from, ref int to)
    {
        while (to < times.Length && times[to] <= end)
            to++;
        while (from < to && times[from] <= start)
            from++;
    }

    private string? _functionName;

    private EvalValue? AbsentOverTime(CallExpr c, Grid grid)
    {
        RangeInput? input = Range(c.Arguments[0], grid, SlotUse.Known);
        if (input is null || !CheckBoundary(c, input) || !RefuseOver(input, grid, c.Arguments[0].Span))
            return null;
        foreach (RangeSeries source in input.Series)
            CountWindows(source, input, grid);
        var absent = new EvalSeries(AbsentLabels(c.Arguments[0]), grid.Count);
        var refused = new bool[grid.Count];
        for (int i = 0; i < grid.Count; i++)
        {
            long end = (input.AtMs ?? grid.At(i)) - input.OffsetMs, start = end - input.RangeMs;
            if (input.Series.Exists(s => Within(s.FloatTimes, start, end) || Within(s.HistogramTimes, start, end)))
                continue;
            refused[i] = input.Series.Exists(s => MayHoldUnknown(CollectionsMarshal.AsSpan(s.Slots), start, end));
            absent.Set(i, 1);
        }
        List<EvalSeries> result = absent.IsEmpty ? [] : [absent];
        return LeaveOut(refused, result, WhyInside(c.Function.Name, input.ResolutionMs), c.Arguments[0].Span) ? EvalValue.OfSeries(result) : null;
    }

    private static bool Within(List<long> times, long start, long end)
    {
        int at = times.BinarySearch(start + 1);
        if (at < 0)
            at = ~at;
        return at < times.Count && times[at] <= end;
    }
}
