using Bellwether.Core.Model;
using Bellwether.Store.Reading;

namespace Bellwether.Store;

// Windows of a counter that was not reset need their first and last samples only. The flow: 1 the chunks that stand in a slot each and before the head, and whose summaries say that nothing falls;
// 2 edge by edge the samples beside it, from a chunk's summary where that has them, else from the chunk; 3 what lies behind these chunks, whole.
internal sealed partial class StoreSeriesSet
{
    private EdgeColumns Edges => _reading.Edges;

    public bool TryReadEdges(int index, in WindowCuts cuts, SampleBuffer samples, List<long> ordinals)
    {
        SelectedSeries series = _series[index];
        int from = series.FirstAfter(_fromMs), to = series.FirstFrom(Math.Min(_toMs == long.MaxValue ? _toMs : _toMs + 1, StartOfHead(series)));
        if (to <= from || series.CountsWithoutReset(from, to, _blocks, _reading) is not { } counts)
            return false;
        if (!TryAsBefore(series, from, to, counts, cuts))
        {
            Edges.Begin(from, to, counts, cuts);
            if (!TryWalk(series, cuts))
            {
                // Half of what one series has must not be taken for the whole of another's.
                Edges.Forget();
                return false;
            }
            Remember(series);
        }
        long baseOrdinal = counts[to];
        _gather.Begin();
        for (int i = to; i < series.Chunks.Length && series.Chunks[i].MinMs <= _toMs; i++)
            ReadChunks(series.Chunks[i]);
        if (!TryReadHead(series, series.Chunks[to - 1].SlotMs + TimeSlot.LengthMs))
            return false;
        _gather.Resolve();
        if (_gather.HasHistograms || _gather.HasStarts)
            return false;
        Edges.CopyTo(samples, ordinals);
        ReadOnlySpan<long> times = _gather.Times;
        ReadOnlySpan<double> values = _gather.Values;
        for (int i = 0; i < times.Length; i++)
        {
            if (SpecialValues.IsStale(values[i]))
                continue;
            samples.Add(times[i], values[i]);
            ordinals.Add(baseOrdinal++);
        }
        return true;
    }

    /// <summary>
    /// Series of one scrape have the same times, so the samples at the edges are at the same places: only their values are read. False: they are not, or nothing is remembered.
    /// </summary>
    private bool TryAsBefore(SelectedSeries series, int from, int to, long[] counts, in WindowCuts cuts)
    {
        if (!Edges.IsOf(from, to, cuts))
            return false;
        foreach (ref readonly EdgeChunk edge in Edges.Chunks)
        {
            ref readonly ChunkPlace place = ref series.Chunks[edge.Chunk];
            bool isSame = place.MinMs == edge.Place.MinMs && place.MaxMs == edge.Place.MaxMs && counts[edge.Chunk] == edge.Before && counts[edge.Chunk + 1] - edge.Before == edge.Count
                && (edge.Chunk + 1 == to || series.Chunks[edge.Chunk + 1].MinMs == edge.NextMinMs);
            if (!isSame || !TryReadEdge(series, edge))
                return false;
        }
        return true;
    }

    private bool TryReadEdge(SelectedSeries series, in EdgeChunk edge)
    {
        ref readonly SlotSummary summary = ref series.SummaryOf(edge.Chunk);
        Span<double> values = Edges.ValuesOf(edge);
        ReadOnlySpan<int> places = Edges.PlacesOf(edge);
        if (edge.HasFirst)
        {
            values[0] = summary.First;
            values = values[1..];
            places = places[1..];
        }
        if (edge.HasLast)
        {
            values[^1] = summary.Last;
            values = values[..^1];
            places = places[..^1];
        }
        if (places.IsEmpty)
            return true;
        ref readonly ChunkPlace place = ref series.Chunks[edge.Chunk];
        return HasTimesOf(place, edge.Place) && TryReadAt(place, places, values);
    }

    private bool HasTimesOf(in ChunkPlace place, in ChunkPlace other)
    {
        if (place.Parts?.Length != other.Parts?.Length)
            return false;
        if (place.Parts is not { } parts)
            return place.File == other.File && _blocks.TryIndex(place.File) is { } index && index[place.Series].TimesOffset == index[other.Series].TimesOffset;
        for (int i = 0; i < parts.Length; i++)
        {
            if (!HasTimesOf(parts[i], other.Parts![i]))
                return false;
        }
        return true;
    }

    /// <summary>Notes which chunks the samples came from.</summary>
    private void Remember(SelectedSeries series)
    {
        for (int at = 0; Edges.NextChunk(ref at, out EdgeChunk edge);)
        {
            long next = edge.Chunk + 1 < series.Chunks.Length ? series.Chunks[edge.Chunk + 1].MinMs : 0;
            Edges.Remember(edge with { Place = series.Chunks[edge.Chunk], NextMinMs = next });
        }
    }

    // The slot in which the head begins, and all after it, are not answered by chunks alone.
    private long StartOfHead(SelectedSeries series)
    {
        long oldest = OldestInHead(series);
        return oldest == long.MaxValue ? oldest : TimeSlot.StartOf(oldest);
    }

    /// <summary>Goes through the windows' edges in time order. False: a chunk cannot be read.</summary>
    private bool TryWalk(SelectedSeries series, in WindowCuts cuts)
    {
        long start = cuts.FirstEndMs - cuts.RangeMs, end = cuts.FirstEndMs;
        int starts = 0, ends = 0;
        while (ends < cuts.Count)
        {
            bool isEnd = starts == cuts.Count || end <= start;
            if (!TryEdge(series, isEnd ? end : start, isEnd))
                return false;
            if (isEnd)
                end = cuts.FirstEndMs + (++ends * cuts.StepMs);
            else
                start = cuts.FirstEndMs - cuts.RangeMs + (++starts * cuts.StepMs);
        }
        if (!TryFill(series))
            return false;
        // So that it is seen whether the value falls from here to what follows.
        Edges.Chunk = Edges.To - 1;
        Edges.AddLast(series, Edges.Chunk);
        return true;
    }

    /// <summary>Adds the last sample up to a time and, of a window's start, the first after it.</summary>
    private bool TryEdge(SelectedSeries series, long timeMs, bool isEnd)
    {
        int chunk = series.LastBegun(Edges.Chunk, Edges.To, timeMs);
        if (chunk != Edges.Chunk && !TryFill(series))
            return false;
        Edges.Chunk = chunk;
        ref readonly ChunkPlace place = ref series.Chunks[chunk];
        if (timeMs < place.MinMs)
        {
            // Before all; or the last sample up to it stands at the end of the chunk before, and was added with the window's start that lead here.
            if (!isEnd)
                Edges.AddFirst(series, chunk);
            return true;
        }
        if (timeMs >= place.MaxMs)
        {
            Edges.AddLast(series, chunk);
            if (isEnd || chunk + 1 == Edges.To)
                return true;
            if (!TryFill(series))
                return false;
            Edges.Chunk = chunk + 1;
            Edges.AddFirst(series, chunk + 1);
            return true;
        }
        if (!TryReadTimes(place, out ReadOnlySpan<long> times))
            return false;
        int at = times.BinarySearch(timeMs);
        int last = at < 0 ? ~at - 1 : at;
        Edges.AddPlace(times, last);
        if (!isEnd)
            Edges.AddPlace(times, last + 1);
        return true;
    }

    /// <summary>Reads the values that are wanted of the chunk at hand.</summary>
    private bool TryFill(SelectedSeries series)
    {
        if (Edges.Pending.Length == 0)
            return true;
        ref readonly ChunkPlace place = ref series.Chunks[Edges.Chunk];
        bool isRead = TryReadAt(place, Edges.Pending, Edges.PendingValues);
        Edges.Filled();
        return isRead;
    }

    private bool TryReadTimes(in ChunkPlace place, out ReadOnlySpan<long> times)
    {
        times = default;
        if (place.Parts is null)
            return _blocks.TryIndex(place.File) is { } index && place.File.TryReadTimes(index[place.Series], _scratch, out times);
        if (_reading.TryReadJoint(place.Parts, _blocks) is not { } joint)
            return false;
        times = joint.Times;
        return true;
    }

    private bool TryReadAt(in ChunkPlace place, ReadOnlySpan<int> places, Span<double> values)
    {
        if (place.Parts is null)
            return _blocks.TryIndex(place.File) is { } index && place.File.TryReadAt(index[place.Series], _scratch, places, values);
        if (_reading.TryReadJoint(place.Parts, _blocks) is not { } joint)
            return false;
        for (int i = 0; i < places.Length; i++)
            values[i] = joint.Values[places[i]];
        return true;
    }
}
