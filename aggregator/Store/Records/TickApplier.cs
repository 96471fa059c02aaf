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

    public TickApplier(HeadWriter head) => _head = head;

    /// <summary>Applies the tick; returns how many samples it brought (duplicates and refused ones not counted).</summary>
    public int Apply(DecodedTick tick)
    {
        HeadSeries?[] series = SeriesOf(tick.Source);
        int stored = 0;
        AppendOutcome judged = _head.Judge(tick.TimestampMs);
        if (tick.TimestampMs < _head.SkipBeforeMs)
            TellCovered(tick);
        else if (judged == AppendOutcome.Stored)
            stored = ApplyColumns(tick, series);
        else if (judged == AppendOutcome.TooNew)
            Hold(tick);
        else
            _head.Count(judged, CountOf(tick.Present) + CountOf(tick.Ended));
        foreach (TimedSample sample in tick.Timed)
            stored += ApplyTimed(tick.Source, series, sample.Slot, sample.TimestampMs, sample.Value, null);
        foreach (SlotHistogram sample in tick.Histograms)
            stored += ApplyTimed(tick.Source, series, sample.Slot, sample.TimestampMs == 0 ? tick.TimestampMs : sample.TimestampMs, 0, sample.Histogram);
        foreach (SlotExemplar exemplar in tick.Exemplars)
        {
            if (Resolve(tick.Source, series, exemplar.Slot) is { } found)
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

    private int ApplyColumns(DecodedTick tick, HeadSeries?[] series)
    {
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
                HeadSeries? into = series[slot];
                if ((into is null || into.IsRemoved) && (into = Resolve(source, series, slot)) is null)
                {
                    refused++;
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

    private int ApplyTimed(DecodedSource source, HeadSeries?[] series, int slot, long time, double value, NativeHistogram? histogram)
    {
        if (time < _head.SkipBeforeMs)
        {
            _head.TellCovered(source[slot]!, time, value, histogram, source.StartOf(slot));
            return 0;
        }
        AppendOutcome judged = _head.Judge(time);
        if (judged == AppendOutcome.TooNew)
        {
            _head.Hold(new HeldSample(source[slot]!, time, value, histogram, source.StartOf(slot)));
            return 0;
        }
        if (judged != AppendOutcome.Stored)
        {
            _head.Count(judged);
            return 0;
        }
        if (Resolve(source, series, slot) is not { } into)
        {
            _head.Count(AppendOutcome.OverLimit);
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
            if (ended || SourceTick.IsSet(tick.Present, slot))
                _head.TellCovered(tick.Source[slot]!, tick.TimestampMs, ended ? SpecialValues.StaleMarker : tick.Values[slot], null, tick.Source.StartOf(slot));
        }
    }

    private void Hold(DecodedTick tick)
    {
        for (int slot = 0; slot < tick.Source.Count; slot++)
        {
            bool ended = SourceTick.IsSet(tick.Ended, slot);
            if (ended || SourceTick.IsSet(tick.Present, slot))
                _head.Hold(new HeldSample(tick.Source[slot]!, tick.TimestampMs, ended ? SpecialValues.StaleMarker : tick.Values[slot], null, tick.Source.StartOf(slot)));
        }
    }

    // A series that a limit stands against is asked for once per segment only.
    private HeadSeries? Resolve(DecodedSource source, HeadSeries?[] series, int slot)
    {
        if (series[slot] is { IsRemoved: false } known)
            return known;
        Span<long> marks = source.References;
        if (marks[slot] == Refused || source[slot] is not { } labels)
            return null;
        HeadSeries? found = _head.Resolve(labels, out _, out _);
        marks[slot] = found is null ? Refused : 1;
        series[slot] = found;
        return found;
    }
}
