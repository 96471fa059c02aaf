using System.Runtime.InteropServices;
using Bellwether.Core.Model;

namespace Bellwether.Evaluate.PromQl.Evaluation;

/// <content>How many samples a query looks at, for who asks (<see cref="AskOptions.CountsSamples"/>): at each step one of each series that an instant selector finds, and those in the window of each series of a range.</content>
internal sealed partial class Evaluator
{
    /// <summary>By steps of the query. In a subquery, and in what is the same at all steps, all of them together. Null: nobody asks.</summary>
    private long[]? _counted;
    private long _most;

    /// <summary>Counts from now on.</summary>
    public void CountSamples() => _counted = new long[_query.Count];

    /// <summary>What was counted; null: nobody asked.</summary>
    public SampleCounts? Counts => _counted is null ? null : new SampleCounts(_counted.Sum(), _most, [.. _counted.Select((n, i) => (_query.At(i), n))]);

    private void Count(int step, long samples) => _counted![Math.Min(step, _counted.Length - 1)] += samples;

    /// <summary>Evaluates something over other steps than those at hand; what it looks at counts for each step (as where it is the same at all of them), or for the last one.</summary>
    private EvalValue? EvalApart(Syntax.Expr expr, Grid grid, bool forEachStep)
    {
        if (_counted is null)
            return Eval(expr, grid);
        long[] outer = _counted, inner = new long[1];
        _counted = inner;
        EvalValue? value = Eval(expr, grid);
        _counted = outer;
        for (int i = forEachStep ? 0 : outer.Length - 1; i < outer.Length; i++)
            outer[i] += inner[0];
        return value;
    }

    /// <summary>Counts the points of an instant selector.</summary>
    private void CountPoints(EvalSeries series)
    {
        for (int i = 0; _counted is not null && i < series.Values.Length; i++)
        {
            if (series.Has(i))
                Count(i, series.HistogramAt(i) is { } histogram ? SampleWeight.Of(histogram) : 1);
        }
    }

    /// <summary>Counts the floats in each window, those that summaries stand for and those between edges among them.</summary>
    private void CountWindows(in FloatColumns columns, ReadOnlySpan<long> ordinals, in WindowCuts windows)
    {
        if (_counted is null)
            return;
        int from = 0, to = 0, summaryFrom = 0, summaryTo = 0;
        ReadOnlySpan<SlotSummary> summaries = columns.Summaries;
        long count = 0;
        for (int i = 0; i < windows.Count; i++)
        {
            long end = windows.FirstEndMs + (i * windows.StepMs), start = end - windows.RangeMs;
            Advance(columns.Times, start, end, ref from, ref to);
            for (; summaryTo < summaries.Length && summaries[summaryTo].LastMs <= end; summaryTo++)
                count += summaries[summaryTo].Count;
            for (; summaryFrom < summaryTo && summaries[summaryFrom].FirstMs <= start; summaryFrom++)
                count -= summaries[summaryFrom].Count;
            Count(i, count + (ordinals.IsEmpty || from == to ? to - from : ordinals[to - 1] - ordinals[from] + 1));
        }
    }

    /// <summary>Counts what is in each window of a series of which all samples are at hand.</summary>
    private void CountWindows(RangeSeries source, RangeInput input, Grid grid)
    {
        if (_counted is null)
            return;
        var windows = new WindowCuts((input.AtMs ?? grid.StartMs) - input.OffsetMs, input.AtMs is null ? grid.StepMs : 0, grid.Count, input.RangeMs);
        var columns = source.Slots.Count > 0
            ? new FloatColumns { Times = [], Values = [], Summaries = CollectionsMarshal.AsSpan(PiecesOf(source)) }
            : new FloatColumns { Times = CollectionsMarshal.AsSpan(source.FloatTimes), Values = [], Summaries = [] };
        CountWindows(columns, [], windows);
        ReadOnlySpan<long> times = CollectionsMarshal.AsSpan(source.HistogramTimes);
        int from = 0, to = 0;
        for (int i = 0; i < windows.Count && !times.IsEmpty; i++)
        {
            long end = windows.FirstEndMs + (i * windows.StepMs);
            Advance(times, end - windows.RangeMs, end, ref from, ref to);
            Count(i, SampleWeight.Of(CollectionsMarshal.AsSpan<NativeHistogram?>(source.Histograms!)[from..to]));
        }
    }
}
