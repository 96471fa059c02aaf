using System.Numerics;
using Bellwether.Core.Codec;
using Bellwether.Core.Model;
using Bellwether.Store.Head;

namespace Bellwether.Store.Records;

/// <summary>Puts a decoded tick into the head: slot by slot, with the series of each slot looked up once per segment. Under the head's write lock.</summary>
internal sealed class TickApplier
{
    private const long Refused = -1;
    private readonly HeadWriter _head;
    private string _agent = "";
    private RecordRefusals? _decided;

    public TickApplier(HeadWriter head) => _head = head;

    /// <summary>What the last tick had that was refused.</summary>
    public RecordRefusals Refusals { get; } = new();

    /// <summary>Whether something of the tick is ahead of our clock and has to be held.</summary>
    public bool IsAhead(DecodedTick tick)
    {
        if (_head.Judge(tick.TimestampMs) == AppendOutcome.TooNew)
            return true;
        foreach (TimedSample sample in tick.Timed)
        {
            if (_head.Place(sample.TimestampMs, tick.TimestampMs, false, out _) == Placing.Hold)
                return true;
        }
        foreach (SlotHistogram sample in tick.Histograms)
        {
            if (_head.Place(TimeOf(sample, tick), tick.TimestampMs, false, out _) == Placing.Hold)
                return true;
        }
        return false;
    }

    /// <summary>Applies the tick; returns how many samples it brought (duplicates and refused ones not counted).</summary>
    /// <param name="tick">The tick.</param>
    /// <param name="agent">Whose it is.</param>
    /// <param name="dropAhead">What is ahead of the clock is dropped, not held.</param>
    /// <param name="decided">During replay: what was refused of it when it came; null: nothing, or it is not known.</param>
    public int Apply(DecodedTick tick, string agent, bool dropAhead, RecordRefusals? decided = null)
    {
        _agent = agent;
        _decided = decided;
        Refusals.Clear();
        HeadSeries?[] series = SeriesOf(tick.Source);
        int stored = 0;
        if (tick.TimestampMs < _head.SkipBeforeMs)
        {
            TellCovered(tick);
        }
        else
        {
            Placing placing = _head.Place(tick.TimestampMs, tick.TimestampMs, dropAhead, out AppendOutcome refused);
            if (placing == Placing.Store)
                stored = ApplyColumns(tick, series);
            else if (placing == Placing.Hold)
                stored = Hold(tick, series);
            else
                RefuseColumns(tick, refused);
        }
        for (int i = 0; i < tick.Timed.Count; i++)
        {
            TimedSample sample = tick.Timed[i];
            stored += ApplyTimed(tick, series, RecordRefusals.PlaceOfTimed(tick, i), sample.Slot, sample.TimestampMs, sample.Value, null, dropAhead);
        }
        for (int i = 0; i < tick.Histograms.Count; i++)
        {
            SlotHistogram sample = tick.Histograms[i];
            stored += ApplyTimed(tick, series, RecordRefusals.PlaceOfHistogram(tick, i), sample.Slot, TimeOf(sample, tick), 0, sample.Histogram, dropAhead);
        }
        foreach (SlotExemplar exemplar in tick.Exemplars)
        {
            if (!Refusals.Contains(exemplar.Slot, out _) && !IsRefused(exemplar.Slot, out _) && Resolve(tick.Source, series, exemplar.Slot) is { } found)
                _head.Add(found, exemplar.Exemplar, tick.TimestampMs);
        }
        foreach (FamilyMetadata family in tick.Metadata)
            _head.Describe(family.Family, family.Metadata);
        return stored;
    }

    private static HeadSeries?[] SeriesOf(DecodedSource source)
    {
        var series = source.Tag as HeadSeries?[] ?? [];
        if (series.Length < source.Count)
        {
            Array.Resize(ref series, (int)BitOperations.RoundUpToPowerOf2((uint)source.Count));
            source.Tag = series;
        }
        return series;
    }

    private static int CountOf(ReadOnlySpan<ulong> bits)
    {
        int count = 0;
        foreach (ulong word in bits)
            count += BitOperations.PopCount(word);
        return count;
    }

    private void RefuseColumns(DecodedTick tick, AppendOutcome refused)
    {
        int count = CountOf(tick.Present) + CountOf(tick.Ended);
        if (count == 0)
            return;
        _head.Refuse(refused, count);
        Refusals.Add(0, tick.Source.Count, refused);
    }

    private bool IsRefused(int place, out AppendOutcome outcome)
    {
        outcome = AppendOutcome.Stored;
        return _decided is not null && _decided.Contains(place, out outcome);
    }

    private int ApplyColumns(DecodedTick tick, HeadSeries?[] series)
    {
        RecordRefusals? decided = _decided;
        DecodedSource source = tick.Source;
        ReadOnlySpan<double> values = tick.Values;
        ReadOnlySpan<ulong> present = tick.Present, ended = tick.Ended;
        long time = tick.TimestampMs;
        int stored = 0, refused = 0;
        for (int w = 0; w < present.Length; w++)
        {
            for (ulong bits = present[w] | ended[w]; bits != 0; bits &= bits - 1)
            {
                int slot = (w << 6) + BitOperations.TrailingZeroCount(bits);
                if (decided is not null && decided.Contains(slot, out AppendOutcome was))
                {
                    _head.Refuse(was, 1);
                    continue;
                }
                HeadSeries? into = series[slot];
                if ((into is null || into.IsRemoved) && (into = Resolve(source, series, slot)) is null)
                {
                    refused++;
                    Refusals.Add(slot, 1, AppendOutcome.OverLimit);
                    continue;
                }
                double value = (ended[w] & (1UL << slot)) != 0 ? SpecialValues.StaleMarker : values[slot];
                if (_head.Append(into, time, value, source.StartOf(slot)) is AppendOutcome.Stored or AppendOutcome.Conflict)
                    stored++;
            }
        }
        _head.Count(AppendOutcome.OverLimit, refused);
        return stored;
    }

    private static long TimeOf(in SlotHistogram sample, DecodedTick tick) => sample.TimestampMs == 0 ? tick.TimestampMs : sample.TimestampMs;

    private int ApplyTimed(DecodedTick tick, HeadSeries?[] series, int place, int slot, long time, double value, NativeHistogram? histogram, bool dropAhead)
    {
        DecodedSource source = tick.Source;
        if (IsRefused(place, out AppendOutcome was))
        {
            if (time >= _head.SkipBeforeMs)
                _head.Refuse(was, 1);
            return 0;
        }
        if (time < _head.SkipBeforeMs)
        {
            _head.TellCovered(source[slot]!, time, value, histogram, source.StartOf(slot));
            return 0;
        }
        Placing placing = _head.Place(time, tick.TimestampMs, dropAhead, out AppendOutcome refused);
        if (placing == Placing.Refuse)
        {
            _head.Refuse(refused, 1);
            Refusals.Add(place, 1, refused);
            return 0;
        }
        if (placing == Placing.Hold && _head.Hold(new HeldSample(source[slot]!, time, value, histogram, source.StartOf(slot), _agent)))
            return 0;
        return Append(source, series, place, slot, time, value, histogram);
    }

    private int Append(DecodedSource source, HeadSeries?[] series, int place, int slot, long time, double value, NativeHistogram? histogram)
    {
        if (Resolve(source, series, slot) is not { } into)
        {
            _head.Count(AppendOutcome.OverLimit);
            Refusals.Add(place, 1, AppendOutcome.OverLimit);
            return 0;
        }
        AppendOutcome outcome = histogram is null ? _head.Append(into, time, value, source.StartOf(slot)) : _head.Append(into, time, histogram, source.StartOf(slot));
        return outcome is AppendOutcome.Stored or AppendOutcome.Conflict ? 1 : 0;
    }

    private void TellCovered(DecodedTick tick)
    {
        if (_head.Tapped is null)
            return;
        for (int slot = 0; slot < tick.Source.Count; slot++)
        {
            bool ended = SourceTick.IsSet(tick.Ended, slot);
            if ((ended || SourceTick.IsSet(tick.Present, slot)) && !IsRefused(slot, out _))
                _head.TellCovered(tick.Source[slot]!, tick.TimestampMs, ended ? SpecialValues.StaleMarker : tick.Values[slot], null, tick.Source.StartOf(slot));
        }
    }

    private int Hold(DecodedTick tick, HeadSeries?[] series)
    {
        int stored = 0;
        for (int slot = 0; slot < tick.Source.Count; slot++)
        {
            bool ended = SourceTick.IsSet(tick.Ended, slot);
            if (!ended && !SourceTick.IsSet(tick.Present, slot))
                continue;
            if (IsRefused(slot, out AppendOutcome was))
            {
                _head.Refuse(was, 1);
                continue;
            }
            double value = ended ? SpecialValues.StaleMarker : tick.Values[slot];
            if (!_head.Hold(new HeldSample(tick.Source[slot]!, tick.TimestampMs, value, null, tick.Source.StartOf(slot), _agent)))
                stored += Append(tick.Source, series, slot, slot, tick.TimestampMs, value, null);
        }
        return stored;
    }

    // A series that a limit stands against is asked for once per segment only.
    private HeadSeries? Resolve(DecodedSource source, HeadSeries?[] series, int slot)
    {
        if (series[slot] is { IsRemoved: false } known)
            return known;
        Span<long> marks = source.References;
        if (marks[slot] == Refused || source[slot] is not { } labels)
            return null;
        HeadSeries? found = _head.Resolve(labels, out _, out _, _agent);
        marks[slot] = found is null ? Refused : 1;
        series[slot] = found;
        return found;
    }
}
