using System.Numerics;
using System.Runtime.InteropServices;
using Bellwether.Core.Model;

namespace Bellwether.Evaluate.PromQl.Evaluation;

/// <summary>
/// Moves a window over the columns of one series, step by step, and gives to the last bit what the plain functions give of the window's samples: nothing is ever subtracted
/// that was added before. Reused from series to series; not thread-safe.
/// </summary>
internal sealed partial class WindowColumns
{
    /// <summary>So many new samples are sorted together instead of put in one by one.</summary>
    private const int SortAtOnce = 64;

    private readonly RatePlan _rates = new();
    private readonly List<Piece> _pieces = [];
    private readonly List<CompensatedSum> _sums = [];
    private readonly List<int> _transitions = [];
    private readonly List<int> _extremes = [];
    private readonly List<double> _sorted = [];
    private int _extremesFrom;
    private (int Piece, int To, CompensatedSum Sum) _prefix;
    private int _from, _to, _summaryFrom, _summaryTo, _pieceFrom, _pieceTo, _transitionFrom;
    private int _sortedFrom, _sortedTo, _extremesTo;

    /// <summary>A slot: a run of samples, or (<see cref="Summary"/> not negative) a summary.</summary>
    private readonly record struct Piece(int From, int To, int Summary);

    /// <summary>Entries that its longest list has room for.</summary>
    public int Capacity => Math.Max(Math.Max(Math.Max(_pieces.Capacity, _transitions.Capacity), Math.Max(_extremes.Capacity, _sorted.Capacity)), _rates.Capacity);

    /// <summary>The kind of a function by its name, or null when it has none: then its windows are cut one by one.</summary>
    public static WindowKind? KindOf(string function) => function switch
    {
        "rate" => WindowKind.Rate,
        "increase" => WindowKind.Increase,
        "delta" => WindowKind.Delta,
        "count_over_time" => WindowKind.Count,
        "present_over_time" => WindowKind.Present,
        "last_over_time" => WindowKind.Last,
        "first_over_time" => WindowKind.First,
        "ts_of_last_over_time" => WindowKind.TimeOfLast,
        "ts_of_first_over_time" => WindowKind.TimeOfFirst,
        "sum_over_time" => WindowKind.Sum,
        "avg_over_time" => WindowKind.Average,
        "max_over_time" => WindowKind.Max,
        "min_over_time" => WindowKind.Min,
        "changes" => WindowKind.Changes,
        "resets" => WindowKind.Resets,
        "quantile_over_time" => WindowKind.Quantile,
        _ => null,
    };

    /// <summary>Whether summaries can answer the function exactly.</summary>
    public static bool TakesSummaries(WindowKind kind) => kind != WindowKind.Quantile;

    /// <summary>
    /// Puts the function's value into each step whose window gives one. Null: the summaries do not suffice (a mean that overflows), the samples are needed.
    /// </summary>
    /// <param name="parameters">Of quantile_over_time: one per step.</param>
    public bool? Run(WindowKind kind, in FloatColumns columns, in WindowCuts windows, ReadOnlySpan<double> parameters, Span<double> into)
    {
        Begin(kind, columns);
        if (kind is WindowKind.Rate or WindowKind.Increase or WindowKind.Delta && _transitions.Count == 0 && columns.Summaries.IsEmpty)
            return _rates.Slide(kind, columns.Times, columns.Values, [], windows, into);
        bool any = false;
        for (int i = 0; i < windows.Count; i++)
        {
            long end = windows.FirstEndMs + (i * windows.StepMs), start = end - windows.RangeMs;
            Advance(columns, start, end);
            if (_from == _to && _summaryFrom == _summaryTo)
                continue;
            bool? has = Value(kind, columns, start, end, kind == WindowKind.Quantile ? parameters[i] : 0, out double value);
            if (has is null)
                return null;
            if (has == false)
                continue;
            into[i] = value;
            any = true;
        }
        return any;
    }

    /// <summary>Whether the first and last samples of windows answer the function where nothing falls between them.</summary>
    public static bool TakesEdges(WindowKind kind) => kind is WindowKind.Rate or WindowKind.Increase or WindowKind.Delta;

    /// <summary>As <see cref="Run"/>, of some samples with their numbers among all, the first and the last of each window among them. Null: a value falls, all samples are needed.</summary>
    public bool? RunEdges(WindowKind kind, ReadOnlySpan<long> times, ReadOnlySpan<double> values, ReadOnlySpan<long> ordinals, in WindowCuts windows, Span<double> into)
    {
        if (kind != WindowKind.Delta && Falls(values))
            return null;
        return _rates.Slide(kind, times, values, ordinals, windows, into);
    }

    private void Begin(WindowKind kind, in FloatColumns columns)
    {
        _from = _to = _summaryFrom = _summaryTo = _pieceFrom = _pieceTo = _transitionFrom = 0;
        _sortedFrom = _sortedTo = _extremesFrom = _extremesTo = 0;
        _prefix = (-1, 0, default);
        _pieces.Clear();
        _transitions.Clear();
        _extremes.Clear();
        _sorted.Clear();
        if (kind is WindowKind.Rate or WindowKind.Increase or WindowKind.Resets)
            FindTransitions(columns.Values, resets: true);
        else if (kind == WindowKind.Changes)
            FindTransitions(columns.Values, resets: false);
        bool folds = kind is WindowKind.Sum or WindowKind.Average || !columns.Summaries.IsEmpty || (_transitions.Count > 0 && kind is WindowKind.Rate or WindowKind.Increase);
        if (folds)
            CutPieces(columns);
    }

    private static bool Falls(ReadOnlySpan<double> values)
    {
        int i = 1;
        for (; i + Vector<double>.Count <= values.Length; i += Vector<double>.Count)
        {
            if (Vector.LessThanAny(new Vector<double>(values[i..]), new Vector<double>(values[(i - 1)..])))
                return true;
        }
        for (; i < values.Length; i++)
        {
            if (values[i] < values[i - 1])
                return true;
        }
        return false;
    }

    private void FindTransitions(ReadOnlySpan<double> values, bool resets)
    {
        for (int i = 1; i < values.Length; i++)
        {
            // Most counters are never reset: pass over whole vectors without one.
            while (resets && i + Vector<double>.Count <= values.Length && !Vector.LessThanAny(new Vector<double>(values[i..]), new Vector<double>(values[(i - 1)..])))
                i += Vector<double>.Count;
            if (i >= values.Length)
                return;
            double previous = values[i - 1], value = values[i];
            if (resets ? value < previous : value != previous && !(double.IsNaN(value) && double.IsNaN(previous)))
                _transitions.Add(i);
        }
    }

    private void Advance(in FloatColumns columns, long start, long end)
    {
        ReadOnlySpan<long> times = columns.Times;
        while (_to < times.Length && times[_to] <= end)
            _to++;
        while (_from < _to && times[_from] <= start)
            _from++;
        ReadOnlySpan<SlotSummary> summaries = columns.Summaries;
        while (_summaryTo < summaries.Length && summaries[_summaryTo].LastMs <= end)
            _summaryTo++;
        while (_summaryFrom < _summaryTo && summaries[_summaryFrom].FirstMs <= start)
            _summaryFrom++;
        ReadOnlySpan<Piece> pieces = CollectionsMarshal.AsSpan(_pieces);
        while (_pieceTo < pieces.Length && (pieces[_pieceTo].Summary >= 0 ? pieces[_pieceTo].Summary < _summaryTo : pieces[_pieceTo].From < _to))
            _pieceTo++;
        while (_pieceFrom < _pieceTo && (pieces[_pieceFrom].Summary >= 0 ? pieces[_pieceFrom].Summary < _summaryFrom : pieces[_pieceFrom].To <= _from))
            _pieceFrom++;
    }

    private bool? Value(WindowKind kind, in FloatColumns columns, long start, long end, double parameter, out double value)
    {
        switch (kind)
        {
            case WindowKind.Rate or WindowKind.Increase or WindowKind.Delta:
                return Extrapolated(kind, columns, start, end, out value);
            case WindowKind.Count:
                value = CountOf(columns);
                return true;
            case WindowKind.Present:
                value = 1;
                return true;
            case WindowKind.Last or WindowKind.TimeOfLast:
                (long lastMs, double last) = LastOf(columns);
                value = kind == WindowKind.Last ? last : lastMs / 1000.0;
                return true;
            case WindowKind.First or WindowKind.TimeOfFirst:
                (long firstMs, double first) = FirstOf(columns);
                value = kind == WindowKind.First ? first : firstMs / 1000.0;
                return true;
            case WindowKind.Sum:
                value = SumOf(columns).Total;
                return true;
            case WindowKind.Average:
                CompensatedSum sum = SumOf(columns);
                bool isFinite = double.IsFinite(sum.Sum) && double.IsFinite(sum.Compensation);
                if (!isFinite && _summaryFrom < _summaryTo)
                {
                    // Sums of slots that overflow meet as infinities and make a NaN of which the samples know nothing.
                    value = double.NaN;
                    return HoldsNaN(columns) ? true : null;
                }
                value = SlottedSums.Mean(sum, CountOf(columns), columns.Values[_from.._to]);
                return true;
            case WindowKind.Max or WindowKind.Min:
                value = columns.Summaries.IsEmpty ? SlideExtreme(columns, kind == WindowKind.Max) : FoldExtreme(columns, kind == WindowKind.Max);
                return true;
            case WindowKind.Changes or WindowKind.Resets:
                value = Transitions(columns, kind == WindowKind.Resets);
                return true;
            default:
                value = SlideQuantile(columns, parameter);
                return true;
        }
    }

    private long CountOf(in FloatColumns columns)
    {
        long count = _to - _from;
        foreach (ref readonly SlotSummary summary in columns.Summaries[_summaryFrom.._summaryTo])
            count += summary.Count;
        return count;
    }

    private bool HoldsNaN(in FloatColumns columns)
    {
        foreach (ref readonly SlotSummary summary in columns.Summaries[_summaryFrom.._summaryTo])
        {
            if (double.IsNaN(summary.Sum))
                return true;
        }
        foreach (double value in columns.Values[_from.._to])
        {
            if (double.IsNaN(value))
                return true;
        }
        return false;
    }

    private (long TimeMs, double Value) FirstOf(in FloatColumns columns)
    {
        if (_summaryFrom < _summaryTo && (_from == _to || columns.Summaries[_summaryFrom].FirstMs < columns.Times[_from]))
            return (columns.Summaries[_summaryFrom].FirstMs, columns.Summaries[_summaryFrom].First);
        return (columns.Times[_from], columns.Values[_from]);
    }

    private (long TimeMs, double Value) LastOf(in FloatColumns columns)
    {
        if (_summaryFrom < _summaryTo && (_from == _to || columns.Summaries[_summaryTo - 1].LastMs > columns.Times[_to - 1]))
            return (columns.Summaries[_summaryTo - 1].LastMs, columns.Summaries[_summaryTo - 1].Last);
        return (columns.Times[_to - 1], columns.Values[_to - 1]);
    }

    private bool Extrapolated(WindowKind kind, in FloatColumns columns, long start, long end, out double value)
    {
        value = 0;
        long count = CountOf(columns);
        if (count < 2)
            return false;
        bool counter = kind != WindowKind.Delta;
        (long firstMs, double first) = FirstOf(columns);
        (long lastMs, double last) = LastOf(columns);
        double increase = last - first;
        if (counter)
            increase += Correction(columns);
        double factor = RateFunctions.Factor(start, end, new RateFunctions.Edges(firstMs, lastMs, count), firstMs, counter, first, increase);
        if (kind == WindowKind.Rate)
            factor /= (end - start) / 1000.0;
        value = increase * factor;
        return true;
    }
}
