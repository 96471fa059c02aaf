using System.Runtime.InteropServices;
using Bellwether.Core.Model;

namespace Bellwether.Evaluate.PromQl.Evaluation;

/// <content>What is made slot by slot: sums, corrections for resets, transitions, and extremes where some slots are known by their summaries.</content>
internal sealed partial class WindowColumns
{
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
}
