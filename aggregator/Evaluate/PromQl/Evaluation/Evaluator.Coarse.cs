using System.Runtime.InteropServices;
using Bellwether.Core.Model;
using Bellwether.Evaluate.PromQl.Syntax;

namespace Bellwether.Evaluate.PromQl.Evaluation;

/// <content>
/// Times of which only a coarser resolution is kept (docs/decisions/0009-resolutions.md). What slots say is what samples would say, or it is not said: a step whose window cuts a slot, or
/// whose function needs samples, has no result, of any series, and the query says so; when no step has one, it fails.
/// </content>
internal sealed partial class Evaluator
{
    private readonly List<CoarseSlot> _slots = [];

    /// <summary>The steps of the grid at hand that have no result; null: none. Never of a grid of one step: that fails.</summary>
    private bool[]? _refused;

    /// <summary>Why the first of them have none.</summary>
    private string _whyRefused = "";

    /// <summary>Whether a step of the query has no result, whatever the operators around made of what was left out (<c>or</c>, <c>absent</c>).</summary>
    public bool IsRefused(int step) => _refused is not null && _refused[step];

    /// <summary>Whether any has none.</summary>
    public bool IsPartial => _refused is not null;

    /// <summary>A range function over a selection that may hold slots.</summary>
    private EvalValue? OverCoarse(CallExpr c, RangeFunction function, MatrixSelector m, RangeInput input, List<double[]> scalars, ICoarseSeriesSet set, Grid grid)
    {
        string name = c.Function.Name;
        WindowKind? kind = WindowColumns.KindOf(name);
        bool keepName = name is "last_over_time" or "first_over_time";
        var windows = new WindowCuts((input.AtMs ?? grid.StartMs) - input.OffsetMs, grid.StepMs, grid.Count, input.RangeMs);
        var call = new RangeCall { Notes = _notes, Span = m.Span, RangeMs = input.RangeMs, Scalars = new double[scalars.Count] };
        var result = new List<EvalSeries>();
        var refused = new bool[grid.Count];
        bool needsSamples = kind is not { } k || !WindowColumns.TakesSummaries(k), byEdges = kind is WindowKind.Present or WindowKind.Last or WindowKind.TimeOfLast or WindowKind.First or WindowKind.TimeOfFirst;
        long results = 0;
        for (int s = 0; s < set.Count; s++)
        {
            if (Stopped(c))
                return null;
            set.Read(s, _buffer, _slots);
            if (!MayHold(_samples + _buffer.Count + SampleWeight.Of(_buffer.Histograms) + _slots.Count + results, c))
                return null;
            Labels labels = set.LabelsAt(s);
            call.Metric = labels.MetricName;
            TakeSlots();
            bool isPlain = _buffer.HasHistograms || _buffer.HasStartTimes;
            if (byEdges && !isPlain)
                RefuseInside(kind!.Value, windows, refused);
            else
                Refuse(windows, needsSamples || isPlain, refused);
            if (byEdges && !isPlain && _slots.Count > 0)
            {
                // What is known of the slots is all that is asked for.
                _summaries.Clear();
                set.Read(s, _buffer);
            }
            EvalSeries series = keepName ? new EvalSeries(labels, grid.Count) : Renamed(new EvalSeries(labels, 0), grid.Count);
            bool? any = isPlain ? SlidePlain(labels, input, function, call, scalars, series, grid, name)
                : needsSamples && kind is null ? SlideGeneric(function, input, call, windows, scalars, series, grid)
                : SlideSlots(kind!.Value, windows, scalars, series, name, call, refused);
            if (any is null)
                return Fail<EvalValue>($"{name} over infinite values needs samples, and only slots of {DurationText.Format(set.ResolutionMs)} are kept of a part of its range (retention)", m.Span);
            if (any == false)
                continue;
            result.Add(series);
            results += series.Samples;
        }
        string why = needsSamples ? WhySamples(name, set.ResolutionMs) : byEdges ? WhyInside(name, set.ResolutionMs) : WhyCut(name, set.ResolutionMs);
        if (!LeaveOut(refused, result, why, m.Span))
            return null;
        return keepName ? EvalValue.OfSeries(result) : Unique(result, c, true);
    }

    /// <summary>Slots with floats become the summaries that windows are made of.</summary>
    private void TakeSlots()
    {
        _summaries.Clear();
        foreach (ref readonly CoarseSlot slot in CollectionsMarshal.AsSpan(_slots))
        {
            if (slot.Floats.Count > 0)
                _summaries.Add(slot.Floats);
        }
    }

    /// <summary>Notes the steps whose window cuts a slot (or, where samples are needed, touches one).</summary>
    private void Refuse(in WindowCuts windows, bool needsSamples, bool[] refused)
    {
        ReadOnlySpan<SlotSummary> slots = CollectionsMarshal.AsSpan(_summaries);
        for (int i = 0; i < refused.Length && slots.Length > 0; i++)
        {
            long end = windows.FirstEndMs + (i * windows.StepMs), start = end - windows.RangeMs;
            int last = LastBegun(slots, end);
            refused[i] |= needsSamples ? last >= 0 && slots[last].LastMs > start : IsCut(slots, last, end) || IsCut(slots, LastBegun(slots, start), start);
        }
        if (needsSamples)
            _summaries.Clear();
    }

    /// <summary>As <see cref="Refuse"/>, of functions that ask for a first or a last sample, or for any: only where that lies inside a slot.</summary>
    private void RefuseInside(WindowKind kind, in WindowCuts windows, bool[] refused)
    {
        ReadOnlySpan<SlotSummary> slots = CollectionsMarshal.AsSpan(_summaries);
        for (int i = 0; i < refused.Length && slots.Length > 0; i++)
        {
            long end = windows.FirstEndMs + (i * windows.StepMs), start = end - windows.RangeMs;
            refused[i] |= kind switch
            {
                WindowKind.Present => IsInside(slots, start, end),
                WindowKind.First or WindowKind.TimeOfFirst => IsUnknownAt(slots, start),
                _ => IsUnknownAt(slots, end),
            };
        }
    }

    /// <summary>Whether a slot holds samples on both sides of an edge of which it is not known which are the nearest: the first and the last are known.</summary>
    private static bool IsUnknownAt(ReadOnlySpan<SlotSummary> slots, long edge) => LastBegun(slots, edge) is var at && IsCut(slots, at, edge) && slots[at].Count > 2;

    /// <summary>Whether a window lies inside a slot, so that it is not known whether it holds a sample.</summary>
    private static bool IsInside(ReadOnlySpan<SlotSummary> slots, long start, long end) =>
        LastBegun(slots, start) is var at && IsCut(slots, at, end) && slots[at].Count > 2;

    private static bool MayHoldUnknown(ReadOnlySpan<CoarseSlot> slots, long start, long end) =>
        LastBegun(slots, start) is >= 0 and var at && end < slots[at].Floats.LastMs && slots[at].Floats.Count > 2;

    private static int LastBegun(ReadOnlySpan<CoarseSlot> slots, long timeMs)
    {
        int low = 0, high = slots.Length;
        while (low < high)
        {
            int middle = (low + high) / 2;
            (low, high) = slots[middle].FirstMs <= timeMs ? (middle + 1, high) : (low, middle);
        }
        return low - 1;
    }

    private static bool IsCut(ReadOnlySpan<SlotSummary> slots, int at, long edge) => at >= 0 && edge < slots[at].LastMs;

    /// <summary>The last slot that has begun at a time; -1: none.</summary>
    private static int LastBegun(ReadOnlySpan<SlotSummary> slots, long timeMs)
    {
        int low = 0, high = slots.Length;
        while (low < high)
        {
            int middle = (low + high) / 2;
            if (slots[middle].FirstMs <= timeMs)
                low = middle + 1;
            else
                high = middle;
        }
        return low - 1;
    }

    private bool? SlideSlots(WindowKind kind, in WindowCuts windows, List<double[]> scalars, EvalSeries into, string name, RangeCall call, bool[] refused)
    {
        FloatColumns columns = Columns();
        if (columns.Times.IsEmpty && columns.Summaries.IsEmpty)
            return false;
        CountWindows(columns, [], windows);
        bool? any = _windows.Run(kind, columns, windows, scalars.Count > 0 ? scalars[0] : [], into.Values);
        if (!columns.Summaries.IsEmpty && !IsSameInAnyOrder(kind, columns, windows.RangeMs))
        {
            if (_isExact)
                Refuse(windows, needsSamples: true, refused);
            else
                NoteLastBits(call);
        }
        NoteCounterName(name, call);
        return any;
    }

    private void NoteLastBits(RangeCall call) =>
        _notes.Info($"sums over slots of a coarser resolution may differ in their last bits from those over samples, for metric name {GoText.Quote(call.Metric)}", call.Span);

    /// <summary>
    /// Whether sums give the same in any order: no digit of a sum, or of its compensation, is lost, since all values are multiples of a unit that is not too small beside their sum.
    /// </summary>
    private bool IsSameInAnyOrder(WindowKind kind, in FloatColumns columns, long rangeMs)
    {
        if (kind is not (WindowKind.Sum or WindowKind.Average or WindowKind.Rate or WindowKind.Increase))
            return true;
        int unit = CoarseSlot.AnyUnit;
        long count = MostIn(rangeMs, columns);
        double largest = 0;
        foreach (ref readonly CoarseSlot slot in CollectionsMarshal.AsSpan(_slots))
        {
            unit = Math.Min(unit, slot.Unit);
            largest = Larger(Larger(largest, slot.Floats.Min), slot.Floats.Max);
        }
        foreach (double value in columns.Values)
        {
            unit = Math.Min(unit, CoarseSlot.UnitOf(value));
            largest = Larger(largest, value);
        }
        // Zeros and NaNs only: every sum is zero or NaN. With a NaN in it a sum is NaN in any order, but there are windows without it.
        if (largest == 0)
            return true;
        if (unit == CoarseSlot.NoUnit)
            return false;
        int size = Math.ILogB(largest) + 1, doublings = Math.ILogB((double)count) + 1;
        // The partial sums before resets are plain: each must fit into 53 bits. Two terms are the same in either order.
        if (kind is WindowKind.Rate or WindowKind.Increase)
            return columns.Resets() <= 2 || size + doublings - 53 <= unit;
        // An error of a sum is below its last digit; at most four of them per value, each a multiple of the unit.
        return doublings + 2 + (size + doublings - 53) - 53 <= unit;
    }

    // NaN is not larger than anything.
    private static double Larger(double largest, double value) => Math.Abs(value) > largest ? Math.Abs(value) : largest;

    /// <summary>At least as many values as any window of a length holds.</summary>
    private static long MostIn(long rangeMs, in FloatColumns columns)
    {
        long most = 0, count = 0;
        ReadOnlySpan<SlotSummary> slots = columns.Summaries;
        for (int from = 0, to = 0; to < slots.Length; to++)
        {
            count += slots[to].Count;
            for (; slots[to].FirstMs - slots[from].FirstMs >= rangeMs; from++)
                count -= slots[from].Count;
            most = Math.Max(most, count);
        }
        int mostSamples = 0;
        for (int from = 0, to = 0; to < columns.Times.Length; to++)
        {
            while (columns.Times[to] - columns.Times[from] >= rangeMs)
                from++;
            mostSamples = Math.Max(mostSamples, to - from + 1);
        }
        return most + mostSamples;
    }

    /// <summary>Takes the refused steps out. False: that leaves nothing, so the query fails.</summary>
    private bool LeaveOut(bool[] refused, List<EvalSeries> series, string why, TextSpan span)
    {
        if (!refused.Contains(true))
            return true;
        if (!KeepRefused(refused, why, span))
            return false;
        for (int i = 0; i < refused.Length; i++)
        {
            for (int s = 0; refused[i] && s < series.Count; s++)
                series[s].Clear(i);
        }
        series.RemoveAll(static s => s.IsEmpty);
        return true;
    }

    private static string WhySamples(string function, long resolutionMs) =>
        $"{function} needs samples, and only slots of up to {DurationText.Format(resolutionMs)} are kept of a part of its range (retention)";

    private static string WhyCut(string function, long resolutionMs)
    {
        string resolution = DurationText.Format(resolutionMs);
        return $"only slots of up to {resolution} are kept of a part of the range (retention): {function} is exact where the windows begin and end at multiples of {resolution}, so choose times, step, range and offset so";
    }

    private static string WhyInside(string function, long resolutionMs)
    {
        string resolution = DurationText.Format(resolutionMs);
        return $"only slots of up to {resolution} are kept of a part of the range (retention): what {function} asks for lies inside a slot, and is known where the windows begin and end at multiples of {resolution}";
    }

    private static string WhyBetween(long resolutionMs)
    {
        string resolution = DurationText.Format(resolutionMs);
        return $"only slots of up to {resolution} are kept of a part of the range (retention): values between multiples of {resolution} are not known";
    }

    /// <summary>Notes steps as refused, for the whole query. False: that leaves none, so it fails.</summary>
    private bool KeepRefused(bool[] refused, string why, TextSpan span)
    {
        int count = refused.Count(static r => r);
        if (count < refused.Length)
            _notes.Warn($"{count} of {refused.Length} steps have no result: {why}", span);
        for (int i = 0; i < refused.Length; i++)
            refused[i] |= IsRefused(i);
        if (!refused.Contains(false))
            return FailBool(why, span);
        if (_refused is null)
            _whyRefused = why;
        _refused = refused;
        return true;
    }

    /// <summary>A step whose window holds a refused step of its subquery is refused, too. False: that leaves none, so the query fails.</summary>
    private bool RefuseOver(RangeInput input, Grid grid, TextSpan span)
    {
        if (input.Refused.Count == 0)
            return true;
        var refused = new bool[grid.Count];
        for (int i = 0; i < refused.Length; i++)
        {
            long end = (input.AtMs ?? grid.At(i)) - input.OffsetMs;
            refused[i] = Within(input.Refused, end - input.RangeMs, end);
        }
        return !refused.Contains(true) || KeepRefused(refused, $"their windows hold steps without result: {input.WhyRefused}", span);
    }

    /// <summary>The samples of a series, for those who look at each of them, and the slots beside them. Null: the samples of the slots are needed, and the query fails.</summary>
    private RangeSeries? ReadSamples(ISeriesSet set, int index, SlotUse use, TextSpan span)
    {
        Labels labels = set.LabelsAt(index);
        if (set is not ICoarseSeriesSet { ResolutionMs: > 0 } coarse)
        {
            set.Read(index, _buffer);
            return Split(labels);
        }
        coarse.Read(index, _buffer, _slots);
        bool any = _slots.Exists(static s => s.Floats.Count > 0);
        if (any && use == SlotUse.Fail)
            return Fail<RangeSeries>($"the samples themselves are needed, and only slots of up to {DurationText.Format(coarse.ResolutionMs)} are kept of a part of the range (retention)", span);
        if (_slots.Count > 0 && use == SlotUse.Known)
            set.Read(index, _buffer);
        RangeSeries series = Split(labels);
        if (any)
            series.Slots.AddRange(_slots.Where(static s => s.Floats.Count > 0));
        return series;
    }

    /// <summary>
    /// An instant selector where only slots are kept: the newest sample that is known, as old as a slot is long at most. At the end of a slot, and up to the next sample, it is what it
    /// would be of samples. With <paramref name="refused"/>, what is between is refused instead.
    /// </summary>
    private bool WalkCoarse(ICoarseSeriesSet set, int index, EvalSeries series, Grid grid, long? at, long offset, long lookback, PointValue what, TextSpan span, bool[]? refused)
    {
        set.Read(index, _buffer, _slots);
        TakeSlots();
        if (_slots.Count > 0)
            set.Read(index, _buffer);
        bool any = _buffer.Count > 0 && Walk(series, grid, at, offset, lookback, what);
        bool isBetween = false;
        ReadOnlySpan<SlotSummary> slots = CollectionsMarshal.AsSpan(_summaries);
        for (int i = 0; i < grid.Count && slots.Length > 0; i++)
        {
            long t = (at ?? grid.At(i)) - offset;
            int last = LastBegun(slots, t);
            bool isCut = IsCut(slots, last, t), isFirst = last >= 0 && slots[last].FirstMs == t;
            // Stale markers between two floats of a slot are not known, nor are those before its first.
            bool mayHaveEnded = series.Has(i) && last + 1 < slots.Length && slots[last + 1].FirstMs <= CoarseSlot.EndOf(t, set.ResolutionMs) && t % set.ResolutionMs != 0;
            bool isUnknown = !isFirst && (isCut || mayHaveEnded);
            isBetween |= isUnknown;
            if (refused is not null)
                refused[i] |= isUnknown;
            if (refused is not null || !isCut)
                continue;
            any = true;
            series.Set(i, what switch { PointValue.Value => slots[last].First, PointValue.Timestamp => slots[last].FirstMs / 1000.0, _ => 0 });
        }
        if (isBetween && refused is null)
            _notes.Info($"values are up to {DurationText.Format(set.ResolutionMs)} old where only slots are kept (retention); at multiples of it they are exact", span);
        return any;
    }
}
