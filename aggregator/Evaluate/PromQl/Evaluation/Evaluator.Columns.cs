using System.Runtime.InteropServices;
using Bellwether.Core.Model;
using Bellwether.Evaluate.PromQl.Syntax;

namespace Bellwether.Evaluate.PromQl.Evaluation;

/// <content>
/// The fast path: one series at a time, all steps at once, over arrays; long windows from summaries. It gives what the plain path gives, to the last bit.
/// </content>
internal sealed partial class Evaluator
{
    private readonly WindowColumns _windows;
    private readonly List<SlotSummary> _summaries;

    /// <summary>A range function over a range selector without boundary modifiers.</summary>
    private EvalValue? OverColumns(CallExpr c, RangeFunction function, MatrixSelector m, List<double[]> scalars, Grid grid)
    {
        if (WindowsOf(m) is not { } input || !CheckBoundary(c, input))
            return null;
        string name = c.Function.Name;
        bool keepName = name is "last_over_time" or "first_over_time";
        ColumnCall call = CallOver(c, function, m, input, scalars, grid);
        using ISeriesSet set = _reader.Select(call.FromMs, call.ToMs, m.Selector.Matchers, _deadline.Cancellation);
        CheckScalarRanges(c, scalars);
        if (set is ICoarseSeriesSet { ResolutionMs: > 0 } coarse)
            return OverCoarse(c, function, m, input, scalars, coarse, grid);
        call.Take(set);
        var result = new List<EvalSeries>();
        long results = 0;
        for (int s = 0; s < set.Count; s++)
        {
            if (Stopped(c))
                return null;
            // A series of which the edges are read holds its steps only.
            if (call.Edges is not null && !MayHold(_samples + results + grid.Count, c))
                return null;
            Labels labels = set.LabelsAt(s);
            EvalSeries? series = null;
            if (call.Edges is not null)
            {
                series = Target(labels, keepName, grid);
                if (SlideEdges(call, s, labels, series) is { } slid)
                {
                    if (!slid)
                        continue;
                    result.Add(series);
                    results += grid.Count;
                    continue;
                }
            }
            ReadSeries(set, s, call.Windows, call.TakesSummaries);
            if (_buffer.Count == 0 && _summaries.Count == 0)
                continue;
            if (!MayHold(_samples + _buffer.Count + SampleWeight.Of(_buffer.Histograms) + results, c))
                return null;
            series ??= Target(labels, keepName, grid);
            if (!SlideSamples(call, s, labels, series))
                continue;
            result.Add(series);
            results += series.Samples;
        }
        return keepName ? EvalValue.OfSeries(result) : Unique(result, c, true);
    }

    private EvalSeries Target(Labels labels, bool keepName, Grid grid) => keepName ? new EvalSeries(labels, grid.Count) : Renamed(new EvalSeries(labels, 0), grid.Count);

    /// <summary>What evaluating a range function over a selection needs for each series of it.</summary>
    private sealed class ColumnCall
    {
        public required CallExpr Expr { get; init; }

        public required RangeFunction Function { get; init; }

        public required RangeInput Input { get; init; }

        public required RangeCall Range { get; init; }

        public required List<double[]> Scalars { get; init; }

        public required Grid Grid { get; init; }

        public required WindowCuts Windows { get; init; }

        /// <summary>Null: the windows are cut one by one.</summary>
        public WindowKind? Kind { get; init; }

        public string Name => Expr.Function.Name;

        /// <summary>The times that are read.</summary>
        public long FromMs => Windows.FirstEndMs - Windows.RangeMs + 1;

        public long ToMs => Windows.FirstEndMs + ((Windows.Count - 1) * Windows.StepMs);

        public ISeriesSet Set { get; private set; } = null!;

        /// <summary>Where it is worth it, what gives the samples at the windows' edges only.</summary>
        public IEdgeSeriesSet? Edges { get; private set; }

        public bool TakesSummaries { get; private set; }

        public void Take(ISeriesSet set)
        {
            Set = set;
            TakesSummaries = Kind is { } k && WindowColumns.TakesSummaries(k);
            Edges = Kind is { } r && WindowColumns.TakesEdges(r) && HasFewEdges(Windows) ? set as IEdgeSeriesSet : null;
        }
    }

    private ColumnCall CallOver(CallExpr c, RangeFunction function, MatrixSelector m, RangeInput input, List<double[]> scalars, Grid grid) => new()
    {
        Expr = c,
        Function = function,
        Input = input,
        Scalars = scalars,
        Grid = grid,
        Range = new RangeCall { Notes = _notes, Span = m.Span, RangeMs = input.RangeMs, Scalars = scalars.Count == 0 ? [] : new double[scalars.Count] },
        Windows = new WindowCuts((input.AtMs ?? grid.StartMs) - input.OffsetMs, grid.StepMs, grid.Count, input.RangeMs),
        Kind = WindowColumns.KindOf(c.Function.Name),
    };

    /// <summary>Evaluates the samples and summaries that were read of a series. False: it has no point.</summary>
    private bool SlideSamples(ColumnCall call, int s, Labels labels, EvalSeries into)
    {
        call.Range.Metric = labels.MetricName;
        if (_buffer.HasHistograms || _buffer.HasStartTimes)
            return SlidePlain(labels, call.Input, call.Function, call.Range, call.Scalars, into, call.Grid, call.Name);
        return call.Kind is { } fast
            ? SlideFast(fast, call.Set, s, call.Windows, call.Scalars, into, call.Name, call.Range)
            : SlideGeneric(call.Function, call.Input, call.Range, call.Windows, call.Scalars, into, call.Grid);
    }

    /// <summary>Whether reading what lies at the windows' edges is less than reading all.</summary>
    private static bool HasFewEdges(in WindowCuts windows)
    {
        const int EdgesPerSlot = 12;
        long length = windows.RangeMs + ((windows.Count - 1) * windows.StepMs);
        return length >= TimeSlot.LengthMs && (windows.Count == 1 || 2 * TimeSlot.LengthMs <= EdgesPerSlot * windows.StepMs);
    }

    /// <summary>A series of which only the samples at the windows' edges are read. Null: more is needed, and nothing was written; false: it has no point.</summary>
    private bool? SlideEdges(ColumnCall call, int s, Labels labels, EvalSeries into)
    {
        List<long> ordinals = _scratch.Ordinals;
        WindowCuts windows = call.Windows;
        if (!call.Edges!.TryReadEdges(s, windows, _buffer, ordinals))
            return null;
        bool? any = _windows.RunEdges(call.Kind!.Value, _buffer.Times, _buffer.Values, CollectionsMarshal.AsSpan(ordinals), windows, into.Values);
        if (any is null)
            return null;
        CountWindows(new FloatColumns { Times = _buffer.Times, Values = _buffer.Values, Summaries = [] }, CollectionsMarshal.AsSpan(ordinals), windows);
        call.Range.Metric = labels.MetricName;
        // A sample beside the range is there only so that none within is missed.
        int first = _buffer.Times.BinarySearch(call.FromMs);
        first = first < 0 ? ~first : first;
        if (first < _buffer.Count && _buffer.Times[first] <= call.ToMs)
            NoteCounterName(call.Name, call.Range);
        return any;
    }

    /// <summary>Reads into the buffer and the list of summaries. What has histograms or start times is read whole.</summary>
    private void ReadSeries(ISeriesSet set, int s, in WindowCuts windows, bool summarised)
    {
        _summaries.Clear();
        if (!summarised || set is not ISummarySeriesSet summaries)
        {
            set.Read(s, _buffer);
            return;
        }
        summaries.Read(s, windows, _buffer, _summaries);
        if (_summaries.Count == 0 || (!_buffer.HasHistograms && !_buffer.HasStartTimes))
            return;
        _summaries.Clear();
        set.Read(s, _buffer);
    }

    private bool SlidePlain(Labels labels, RangeInput input, RangeFunction function, RangeCall call, List<double[]> scalars, EvalSeries into, Grid grid, string name)
    {
        RangeSeries source = Split(labels);
        if (source.Count == 0)
            return false;
        CountWindows(source, input, grid);
        bool any = Slide(source, input, function, call, scalars, into, grid);
        NoteCounterName(name, source, call);
        return any;
    }

    private bool SlideFast(WindowKind kind, ISeriesSet set, int s, in WindowCuts windows, List<double[]> scalars, EvalSeries into, string name, RangeCall call)
    {
        FloatColumns columns = Columns();
        if (columns.Times.IsEmpty && columns.Summaries.IsEmpty)
            return false;
        CountWindows(columns, [], windows);
        ReadOnlySpan<double> parameters = scalars.Count > 0 ? scalars[0] : [];
        bool? any = _windows.Run(kind, columns, windows, parameters, into.Values);
        if (any is null)
        {
            Array.Fill(into.Values, SpecialValues.StaleMarker);
            ReadSeries(set, s, windows, summarised: false);
            any = _windows.Run(kind, Columns(), windows, parameters, into.Values);
        }
        NoteCounterName(name, call);
        return any == true;
    }

    /// <summary>Functions that look at every sample of every window.</summary>
    private bool SlideGeneric(RangeFunction function, RangeInput input, RangeCall call, in WindowCuts windows, List<double[]> scalars, EvalSeries into, Grid grid)
    {
        FloatColumns columns = Columns();
        CountWindows(columns, [], windows);
        var starts = new long[columns.Times.Length];
        int from = 0, to = 0;
        bool any = false;
        for (int i = 0; i < grid.Count; i++)
        {
            if (IsTimeToLook(i) && Stopped(call.Span))
                return false;
            long end = (input.AtMs ?? grid.At(i)) - input.OffsetMs, start = end - input.RangeMs;
            Advance(columns.Times, start, end, ref from, ref to);
            if (from == to)
                continue;
            call.TimeMs = grid.At(i);
            for (int k = 0; k < scalars.Count; k++)
                call.Scalars[k] = scalars[k][i];
            var window = new Window
            {
                FloatTimes = columns.Times[from..to],
                Floats = columns.Values[from..to],
                FloatStarts = starts.AsSpan(from, to - from),
                HistogramTimes = [],
                Histograms = [],
                HistogramStarts = [],
                StartMs = start,
                EndMs = end,
            };
            if (!function(window, call, out double value, out _))
            {
                if (call.Failure is { } failure)
                    return FailBool(failure, call.Span);
                continue;
            }
            into.Values[i] = value;
            any = true;
        }
        return any;
    }

    /// <summary>The buffer's floats without stale markers, and the summaries.</summary>
    private FloatColumns Columns()
    {
        ReadOnlySpan<long> times = _buffer.Times;
        ReadOnlySpan<double> values = _buffer.Values;
        int stale = MemoryMarshal.Cast<double, ulong>(values).Count(SpecialValues.StaleBits);
        if (stale > 0)
        {
            int count = DropStale(times, values, times.Length - stale);
            times = _scratch.Times.AsSpan(0, count);
            values = _scratch.Floats.AsSpan(0, count);
        }
        return new FloatColumns { Times = times, Values = values, Summaries = CollectionsMarshal.AsSpan(_summaries) };
    }

    private int DropStale(ReadOnlySpan<long> times, ReadOnlySpan<double> values, int count)
    {
        if (_scratch.Times.Length < count)
            (_scratch.Times, _scratch.Floats) = (new long[2 * count], new double[2 * count]);
        (long[] keptTimes, double[] keptValues) = (_scratch.Times, _scratch.Floats);
        int kept = 0;
        for (int i = 0; i < times.Length; i++)
        {
            if (SpecialValues.IsStale(values[i]))
                continue;
            keptTimes[kept] = times[i];
            keptValues[kept++] = values[i];
        }
        return kept;
    }

    /// <summary>
    /// Matched vectors of floats, pair by pair: possible where no match key has two series on the one side (or, one to one, on either), nothing is filled in, and no two
    /// pairs give the same labels. Null: it is not; the plain path takes it, and finds the errors.
    /// </summary>
    private EvalValue? MatchedColumns(BinaryExpr b, List<EvalSeries> many, List<EvalSeries> one, int[] manyKeys, int[] oneKeys, int keys, Grid grid)
    {
        VectorMatching m = b.Matching!;
        bool oneToOne = m.Cardinality == MatchCardinality.OneToOne, swapped = m.Cardinality == MatchCardinality.OneToMany;
        if (m.FillLeft is not null || m.FillRight is not null || b.Op is "</" or ">/" || many.Exists(s => s.Histograms is not null) || one.Exists(s => s.Histograms is not null))
            return null;
        var oneAt = new int[keys];
        Array.Fill(oneAt, -1);
        for (int s = 0; s < one.Count; s++)
        {
            if (oneAt[oneKeys[s]] >= 0)
                return null;
            oneAt[oneKeys[s]] = s;
        }
        var taken = new bool[keys];
        var seen = new HashSet<Labels>(many.Count);
        var result = new List<EvalSeries>(many.Count);
        for (int s = 0; s < many.Count; s++)
        {
            if (oneToOne && taken[manyKeys[s]])
                return null;
            taken[manyKeys[s]] = true;
            if (oneAt[manyKeys[s]] < 0)
                continue;
            EvalSeries left = many[s], right = one[oneAt[manyKeys[s]]];
            Labels labels = ResultLabels(b, left, right);
            if (!seen.Add(labels))
                return null;
            var into = new EvalSeries(labels, grid.Count) { DropName = _options.DelayedNameRemoval && (b.ReturnBool || left.DropName) };
            if (ColumnOperators.Apply(b, swapped ? right.Values : left.Values, swapped ? left.Values : right.Values, into.Values))
                result.Add(into);
        }
        return EvalValue.OfSeries(result);
    }
}
