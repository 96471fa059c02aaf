using System.Runtime.InteropServices;
using Bellwether.Core.Model;
using Bellwether.Evaluate.PromQl.Syntax;

namespace Bellwether.Evaluate.PromQl.Evaluation;

/// <content>
/// Boundary modifiers where only slots are kept. An anchored range takes the last sample before it in; what is smoothed lies between the samples on both sides of a time: the first and the
/// last sample of a slot are known, so both are where no slot is cut.
/// </content>
internal sealed partial class Evaluator
{
    private bool SlideExtended(RangeSeries source, RangeInput input, string name, RangeFunction function, RangeCall call, EvalSeries into, Grid grid, bool[] refused)
    {
        long lookback = (long)_options.Lookback.TotalMilliseconds, step = input.AtMs is null ? grid.StepMs : 0;
        bool isSmoothed = input.Boundary == Boundary.Smoothed;
        var windows = new WindowCuts((input.AtMs ?? grid.StartMs) - input.OffsetMs, step, grid.Count, input.RangeMs);
        if (isSmoothed && source.Histograms.Count == 0)
            return SlideSmoothed(source, windows, lookback, name, call, into, refused);
        if (!isSmoothed && source.Histograms.Count == 0 && !source.FloatStarts.Exists(static s => s != 0))
            return SlideAnchored(source, windows, lookback, name, call, into, refused);
        var touched = new WindowCuts(windows.FirstEndMs + (isSmoothed ? lookback : 0), step, grid.Count, input.RangeMs + (isSmoothed ? 2 * lookback : lookback));
        RefuseTouched(source, touched, refused);
        return Slide(source, input, function, call, [], into, grid);
    }

    /// <summary>Refuses the steps whose windows touch a slot.</summary>
    private static void RefuseTouched(RangeSeries source, in WindowCuts windows, bool[] refused)
    {
        ReadOnlySpan<CoarseSlot> slots = CollectionsMarshal.AsSpan(source.Slots);
        for (int i = 0; i < refused.Length && slots.Length > 0; i++)
        {
            long end = windows.FirstEndMs + (i * windows.StepMs);
            int last = LastBegun(slots, end);
            refused[i] |= last >= 0 && slots[last].Floats.LastMs > end - windows.RangeMs;
        }
    }

    /// <summary>Samples and slots in time order; a sample is a slot of one.</summary>
    private static List<SlotSummary> PiecesOf(RangeSeries source)
    {
        var pieces = new List<SlotSummary>(source.Floats.Count + source.Slots.Count);
        int at = 0;
        foreach (CoarseSlot slot in source.Slots)
        {
            for (; at < source.Floats.Count && source.FloatTimes[at] < slot.Floats.FirstMs; at++)
                pieces.Add(PieceOf(source, at));
            pieces.Add(slot.Floats);
        }
        for (; at < source.Floats.Count; at++)
            pieces.Add(PieceOf(source, at));
        return pieces;
    }

    private static SlotSummary PieceOf(RangeSeries source, int at)
    {
        (long time, double value) = (source.FloatTimes[at], source.Floats[at]);
        return new SlotSummary(time, time, 1, 0, 0, value, value, value, value, value, 0, 0);
    }

    private bool SlideAnchored(RangeSeries source, in WindowCuts windows, long lookback, string name, RangeCall call, EvalSeries into, bool[] refused)
    {
        List<SlotSummary> merged = PiecesOf(source);
        ReadOnlySpan<SlotSummary> pieces = CollectionsMarshal.AsSpan(merged);
        bool any = false;
        for (int i = 0; i < refused.Length; i++)
        {
            long end = windows.FirstEndMs + (i * windows.StepMs), start = end - windows.RangeMs;
            int before = LastBegun(pieces, start), last = LastBegun(pieces, end);
            if (IsCut(pieces, before, start) || IsCut(pieces, last, end))
            {
                refused[i] = true;
                continue;
            }
            if (last == before)
                continue;
            bool isAnchored = before >= 0 && pieces[before].LastMs > start - lookback;
            double value = Anchored(name, pieces[(before + 1)..(last + 1)], isAnchored ? pieces[before].Last : null);
            into.Set(i, name == "rate" ? value / (call.RangeMs / 1000.0) : value);
            any = true;
        }
        if (name is not ("increase" or "rate") || IsSameInAnyOrder(source))
            return any;
        if (_isExact)
            RefuseTouched(source, windows, refused);
        else
            NoteLastBits(call);
        return any;
    }

    /// <summary>What the function gives of the pieces within the range, and of the sample before it, if there is one.</summary>
    private static double Anchored(string name, ReadOnlySpan<SlotSummary> pieces, double? anchor)
    {
        double increase = pieces[^1].Last - (anchor ?? pieces[0].First);
        if (name == "delta")
            return increase;
        long count = 0;
        bool isChanges = name == "changes";
        double? previous = anchor;
        foreach (ref readonly SlotSummary piece in pieces)
        {
            if (previous is { } p)
            {
                count += (isChanges ? piece.First != p && !(double.IsNaN(piece.First) && double.IsNaN(p)) : piece.First < p) ? 1 : 0;
                if (piece.First < p)
                    increase += p;
            }
            count += isChanges ? piece.Changes : piece.Resets;
            if (piece.Resets > 0)
                increase += piece.ResetCorrection;
            previous = piece.Last;
        }
        return name is "changes" or "resets" ? count : increase;
    }

    private bool SlideSmoothed(RangeSeries source, in WindowCuts windows, long lookback, string name, RangeCall call, EvalSeries into, bool[] refused)
    {
        List<SlotSummary> merged = PiecesOf(source);
        ReadOnlySpan<SlotSummary> pieces = CollectionsMarshal.AsSpan(merged);
        bool any = false, isCounter = name != "delta", isRounded = false;
        for (int i = 0; i < refused.Length; i++)
        {
            long end = windows.FirstEndMs + (i * windows.StepMs), start = end - windows.RangeMs;
            int before = LastBegun(pieces, start), last = LastBegun(pieces, end);
            if (IsCut(pieces, before, start) || IsCut(pieces, last, end))
            {
                refused[i] = true;
                continue;
            }
            // The last sample up to the start and the first behind the end, where they are near enough.
            int from = before >= 0 && pieces[before].LastMs > start - lookback ? before : before + 1;
            bool isBeyond = last + 1 < pieces.Length && pieces[last + 1].FirstMs <= end + lookback && (last < 0 || pieces[last].LastMs < end);
            int to = isBeyond ? last + 1 : last;
            if (to < from || from > last || (last == before && to == from))
                continue;
            double value = Smoothed(pieces[from..(to + 1)], from == before, isBeyond, start, end, isCounter, out bool addsTogether);
            // An interpolated edge has digits of its own: what was before resets is added one by one then.
            isRounded |= addsTogether;
            refused[i] |= addsTogether && _isExact;
            into.Set(i, name == "rate" ? value / (call.RangeMs / 1000.0) : value);
            any = true;
        }
        if (isRounded && !_isExact)
            NoteLastBits(call);
        return any;
    }

    /// <summary>
    /// What <see cref="ExtendedRange"/> gives of the samples of some pieces: the first piece's last sample lies at or before the start (<paramref name="hasBefore"/>), the last piece's first
    /// one behind the end (<paramref name="hasBeyond"/>). What was before several resets of one piece is added together (<paramref name="addsTogether"/>).
    /// </summary>
    private static double Smoothed(ReadOnlySpan<SlotSummary> pieces, bool hasBefore, bool hasBeyond, long start, long end, bool isCounter, out bool addsTogether)
    {
        addsTogether = false;
        ref readonly SlotSummary head = ref pieces[0];
        bool isLeftCut = hasBefore && head.LastMs < start;
        double first = isLeftCut ? ExtendedRange.Between(head.LastMs, head.Last, pieces[1].FirstMs, pieces[1].First, start, isCounter) : hasBefore ? head.Last : head.First;
        double beyond = 0;
        bool crosses = false;
        if (hasBeyond)
        {
            ref readonly SlotSummary a = ref pieces[^2], b = ref pieces[^1];
            beyond = ExtendedRange.Between(a.LastMs, a.Last, b.FirstMs, b.First, end, isCounter);
            crosses = b.First < a.Last;
            if (isLeftCut && pieces.Length == 2)
                return beyond - first;
        }
        double increase = (hasBeyond ? beyond : pieces[^1].Last) - first;
        if (!isCounter)
            return increase;
        double previous = first;
        foreach (ref readonly SlotSummary piece in pieces[(hasBefore ? 1 : 0)..(hasBeyond ? ^1 : ^0)])
        {
            if (piece.First < previous)
                increase += previous;
            if (piece.Resets > 0)
                increase += piece.ResetCorrection;
            addsTogether |= piece.Resets > 1;
            previous = piece.Last;
        }
        return hasBeyond && (beyond < previous || crosses) ? increase + previous : increase;
    }

    /// <summary>The points of a smoothed instant selector; steps within slots are refused.</summary>
    private static void SmoothOverSlots(RangeSeries source, in WindowCuts times, long lookback, EvalSeries into, bool[] refused)
    {
        List<SlotSummary> merged = PiecesOf(source);
        ReadOnlySpan<SlotSummary> pieces = CollectionsMarshal.AsSpan(merged);
        for (int i = 0; i < refused.Length; i++)
        {
            long t = times.FirstEndMs + (i * times.StepMs);
            int at = LastBegun(pieces, t);
            if (at < 0 || pieces[at].LastMs <= t - lookback)
                continue;
            ref readonly SlotSummary piece = ref pieces[at];
            if (piece.FirstMs == t)
                into.Set(i, piece.First);
            else if (IsCut(pieces, at, t))
                refused[i] = true;
            else if (piece.LastMs == t || at + 1 == pieces.Length || pieces[at + 1].FirstMs > t + lookback)
                into.Set(i, piece.Last);
            else
                into.Set(i, ExtendedRange.Between(piece.LastMs, piece.Last, pieces[at + 1].FirstMs, pieces[at + 1].First, t, false));
        }
    }

    /// <summary>Whether what was before resets of one slot may be added to the rest together.</summary>
    private static bool IsSameInAnyOrder(RangeSeries source)
    {
        if (!source.Slots.Exists(static s => s.Floats.Resets > 1))
            return true;
        int unit = CoarseSlot.AnyUnit;
        long count = source.Floats.Count;
        double largest = 0;
        foreach (double value in source.Floats)
            (unit, largest) = (Math.Min(unit, CoarseSlot.UnitOf(value)), Math.Max(largest, Math.Abs(value)));
        foreach (CoarseSlot slot in source.Slots)
        {
            (unit, largest) = (Math.Min(unit, slot.Unit), Math.Max(largest, Math.Max(Math.Abs(slot.Floats.Min), Math.Abs(slot.Floats.Max))));
            count += slot.Floats.Count;
        }
        return double.IsNaN(largest) || largest == 0 || (unit != CoarseSlot.NoUnit && Math.ILogB(largest) + 1 + Math.ILogB((double)count) + 1 - 53 <= unit);
    }
}
