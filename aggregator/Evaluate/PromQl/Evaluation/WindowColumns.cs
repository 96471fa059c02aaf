using System.Numerics;
using System.Runtime.InteropServices;
using Bellwether.Core.Model;

namespace Bellwether.Evaluate.PromQl.Evaluation;

/// <summary>Range functions of floats that move over a column in one pass.</summary>
internal enum WindowKind
{
    Rate,
    Increase,
    Delta,
    Count,
    Present,
    Last,
    First,
    TimeOfLast,
    TimeOfFirst,
    Sum,
    Average,
    Max,
    Min,
    Changes,
    Resets,
    Quantile,
}

/// <summary>The floats of one series within the range of a query: samples, and slots that are known by their summaries only. Times ascend; stale markers are out.</summary>
internal readonly ref struct FloatColumns
{
    public required ReadOnlySpan<long> Times { get; init; }

    public required ReadOnlySpan<double> Values { get; init; }

    public required ReadOnlySpan<SlotSummary> Summaries { get; init; }

    /// <summary>Samples below the one before them, at most.</summary>
    public long Resets()
    {
        long resets = 0;
        double previous = double.NaN;
        int sample = 0;
        foreach (ref readonly SlotSummary summary in Summaries)
        {
            for (; sample < Times.Length && Times[sample] < summary.FirstMs; previous = Values[sample++])
                resets += Values[sample] < previous ? 1 : 0;
            resets += summary.Resets + (summary.First < previous ? 1 : 0);
            previous = summary.Last;
        }
        for (; sample < Times.Length; previous = Values[sample++])
            resets += Values[sample] < previous ? 1 : 0;
        return resets;
    }

    public long Count
    {
        get
        {
            long count = Times.Length;
            foreach (ref readonly SlotSummary summary in Summaries)
                count += summary.Count;
            return count;
        }
    }
}

/// <summary>
/// Moves a window over the columns of one series, step by step, and gives to the last bit what the plain functions give of the window's samples: nothing is ever subtracted
/// that was added before. Reused from series to series; not thread-safe.
/// </summary>
internal sealed class WindowColumns
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

    private void CutPieces(in FloatColumns columns)
    {
        int sample = 0, summary = 0;
        ReadOnlySpan<long> times = columns.Times;
        while (sample < times.Length || summary < columns.Summaries.Length)
        {
            if (summary < columns.Summaries.Length && (sample == times.Length || columns.Summaries[summary].FirstMs < times[sample]))
            {
                _pieces.Add(new Piece(sample, sample, summary++));
                continue;
            }
            long slotEnd = TimeSlot.StartOf(times[sample]) + TimeSlot.LengthMs;
            int from = sample;
            while (sample < times.Length && times[sample] < slotEnd)
                sample++;
            _pieces.Add(new Piece(from, sample, -1));
        }
        CollectionsMarshal.SetCount(_sums, _pieces.Count);
        CollectionsMarshal.AsSpan(_sums).Fill(new CompensatedSum { Sum = double.NaN });
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
                if (double.IsNaN(sum.Sum) && _summaryFrom < _summaryTo)
                {
                    value = double.NaN;
                    return true;
                }
                value = isFinite || _summaryFrom == _summaryTo ? SlottedSums.Mean(sum, CountOf(columns), columns.Values[_from.._to]) : 0;
                return isFinite || _summaryFrom == _summaryTo ? true : null;
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

    private double Correction(in FloatColumns columns)
    {
        if (columns.Summaries.IsEmpty && !AnyTransition())
            return 0;
        var correction = new ResetCorrection();
        ReadOnlySpan<int> resets = CollectionsMarshal.AsSpan(_transitions);
        double previous = 0;
        int r = _transitionFrom;
        for (int p = _pieceFrom; p < _pieceTo; p++)
        {
            Piece piece = _pieces[p];
            int from = Math.Max(piece.From, _from), to = Math.Min(piece.To, _to);
            double first = piece.Summary >= 0 ? columns.Summaries[piece.Summary].First : columns.Values[from];
            if (p > _pieceFrom)
            {
                correction.NextSlot();
                if (first < previous)
                    correction.Across(previous);
            }
            if (piece.Summary >= 0)
            {
                if (columns.Summaries[piece.Summary].Resets > 0)
                    correction.Within(columns.Summaries[piece.Summary].ResetCorrection);
                previous = columns.Summaries[piece.Summary].Last;
                continue;
            }
            for (; r < resets.Length && resets[r] < to; r++)
            {
                if (resets[r] > from)
                    correction.Within(columns.Values[resets[r] - 1]);
            }
            previous = columns.Values[to - 1];
        }
        return correction.Total;
    }

    /// <summary>Whether two samples of the window, one after the other, make a transition.</summary>
    private bool AnyTransition()
    {
        while (_transitionFrom < _transitions.Count && _transitions[_transitionFrom] <= _from)
            _transitionFrom++;
        return _transitionFrom < _transitions.Count && _transitions[_transitionFrom] < _to;
    }

    private long Transitions(in FloatColumns columns, bool resets)
    {
        AnyTransition();
        ReadOnlySpan<int> transitions = CollectionsMarshal.AsSpan(_transitions);
        long count = 0;
        if (columns.Summaries.IsEmpty)
        {
            int end = transitions[_transitionFrom..].BinarySearch(_to);
            return end < 0 ? ~end : end;
        }
        double previous = 0;
        int t = _transitionFrom;
        for (int p = _pieceFrom; p < _pieceTo; p++)
        {
            Piece piece = _pieces[p];
            int from = Math.Max(piece.From, _from), to = Math.Min(piece.To, _to);
            double first = piece.Summary >= 0 ? columns.Summaries[piece.Summary].First : columns.Values[from];
            if (p > _pieceFrom && (resets ? first < previous : first != previous && !(double.IsNaN(first) && double.IsNaN(previous))))
                count++;
            if (piece.Summary >= 0)
            {
                count += resets ? columns.Summaries[piece.Summary].Resets : columns.Summaries[piece.Summary].Changes;
                previous = columns.Summaries[piece.Summary].Last;
                continue;
            }
            for (; t < transitions.Length && transitions[t] < to; t++)
                count += transitions[t] > from ? 1 : 0;
            previous = columns.Values[to - 1];
        }
        return count;
    }

    private CompensatedSum SumOf(in FloatColumns columns)
    {
        CompensatedSum total = default;
        Span<CompensatedSum> sums = CollectionsMarshal.AsSpan(_sums);
        for (int p = _pieceFrom; p < _pieceTo; p++)
        {
            Piece piece = _pieces[p];
            if (piece.Summary >= 0)
            {
                ref readonly SlotSummary summary = ref columns.Summaries[piece.Summary];
                total.Add(new CompensatedSum { Sum = summary.Sum, Compensation = summary.SumCompensation });
                continue;
            }
            int from = Math.Max(piece.From, _from), to = Math.Min(piece.To, _to);
            if (from == piece.From && to == piece.To)
            {
                // NaN: not made yet, or made of a NaN, which is then made again.
                if (double.IsNaN(sums[p].Sum))
                    sums[p] = PrefixOf(columns.Values, p, from, to);
                total.Add(sums[p]);
            }
            else if (from == piece.From)
            {
                total.Add(PrefixOf(columns.Values, p, from, to));
            }
            else
            {
                CompensatedSum part = default;
                foreach (double v in columns.Values[from..to])
                    part.Add(v);
                total.Add(part);
            }
        }
        return total;
    }

    /// <summary>The sum of a slot from its start, going on from the step before.</summary>
    private CompensatedSum PrefixOf(ReadOnlySpan<double> values, int piece, int from, int to)
    {
        (int known, int done, CompensatedSum sum) = _prefix;
        if (known != piece || done > to)
            (done, sum) = (from, default);
        foreach (double v in values[done..to])
            sum.Add(v);
        _prefix = (piece, to, sum);
        return sum;
    }

    /// <summary>Candidates stand in a queue, the best first, each better than all after it: so the first of it is the window's, and the first of equals.</summary>
    private double SlideExtreme(in FloatColumns columns, bool max)
    {
        ReadOnlySpan<double> values = columns.Values;
        for (; _extremesTo < _to; _extremesTo++)
        {
            double value = values[_extremesTo];
            if (double.IsNaN(value))
                continue;
            while (_extremes.Count > _extremesFrom && (max ? value > values[_extremes[^1]] : value < values[_extremes[^1]]))
                _extremes.RemoveAt(_extremes.Count - 1);
            _extremes.Add(_extremesTo);
        }
        while (_extremesFrom < _extremes.Count && _extremes[_extremesFrom] < _from)
            _extremesFrom++;
        return _extremesFrom < _extremes.Count ? values[_extremes[_extremesFrom]] : values[_to - 1];
    }

    private double FoldExtreme(in FloatColumns columns, bool max)
    {
        double best = double.NaN;
        for (int p = _pieceFrom; p < _pieceTo; p++)
        {
            Piece piece = _pieces[p];
            if (piece.Summary >= 0)
            {
                double value = max ? columns.Summaries[piece.Summary].Max : columns.Summaries[piece.Summary].Min;
                if (double.IsNaN(best) || (max ? value > best : value < best))
                    best = value;
                continue;
            }
            foreach (double value in columns.Values[Math.Max(piece.From, _from)..Math.Min(piece.To, _to)])
            {
                if (double.IsNaN(best) || (max ? value > best : value < best))
                    best = value;
            }
        }
        return best;
    }

    private double SlideQuantile(in FloatColumns columns, double q)
    {
        if (_sortedTo < _from)
        {
            _sorted.Clear();
            _sortedFrom = _sortedTo = _from;
        }
        for (; _sortedFrom < _from; _sortedFrom++)
            _sorted.RemoveAt(_sorted.BinarySearch(columns.Values[_sortedFrom]));
        if (_to - _sortedTo > SortAtOnce)
        {
            _sorted.AddRange(columns.Values[_sortedTo.._to]);
            _sorted.Sort();
            _sortedTo = _to;
        }
        for (; _sortedTo < _to; _sortedTo++)
        {
            int at = _sorted.BinarySearch(columns.Values[_sortedTo]);
            _sorted.Insert(at < 0 ? ~at : at, columns.Values[_sortedTo]);
        }
        if (double.IsNaN(q))
            return double.NaN;
        return q < 0 ? double.NegativeInfinity : q > 1 ? double.PositiveInfinity : Quantiles.OfSorted(q, CollectionsMarshal.AsSpan(_sorted));
    }
}
