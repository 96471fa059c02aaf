using System.Runtime.InteropServices;
using Bellwether.Core.Model;
using Bellwether.Store.Blocks;
using Bellwether.Store.Reading;

namespace Bellwether.Store;

// Windows of a counter that was not reset need their first and last samples only. The flow: 1 the chunks that stand alone and before the head, and whose summaries say that nothing falls;
// 2 edge by edge the samples beside it, from a chunk's summary where that has them, else from the chunk; 3 what lies behind these chunks, whole.
internal sealed partial class StoreSeriesSet
{
    private EdgeColumns Edges => _reading.Edges;

    public bool TryReadEdges(int index, in WindowCuts cuts, SampleBuffer samples, List<long> ordinals)
    {
        SelectedSeries series = _series[index];
        int from = series.FirstAfter(_fromMs), to = series.FirstFrom(Math.Min(_toMs == long.MaxValue ? _toMs : _toMs + 1, StartOfHead(series)));
        if (to <= from || series.CountsWithoutReset(from, to, _blocks, _scratch) is not { } counts)
            return false;
        Edges.Begin(from, to, counts);
        if (!TryWalk(series, cuts))
            return false;
        long baseOrdinal = counts[to];
        _gather.Begin();
        for (int i = to; i < series.Chunks.Length && series.Chunks[i].MinMs <= _toMs; i++)
            ReadChunk(series.Chunks[i].File, series.Chunks[i].Series);
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
        if (_blocks.TryIndex(place.File) is not { } index || !place.File.TryReadTimes(index[place.Series], _scratch, out ReadOnlySpan<long> times))
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
        bool isRead = _blocks.TryIndex(place.File) is { } index && place.File.TryReadAt(index[place.Series], _scratch, Edges.Pending, Edges.PendingValues);
        Edges.Filled();
        return isRead;
    }
}

/// <summary>The samples at edges as they are found. Those wanted of one chunk are read together. Reused; not thread-safe.</summary>
internal sealed class EdgeColumns
{
    private readonly List<long> _times = [];
    private readonly List<double> _values = [];
    private readonly List<long> _ordinals = [];
    private readonly List<int> _pending = [];
    private long[] _counts = [];

    /// <summary>The chunk at hand.</summary>
    public int Chunk { get; set; }

    /// <summary>The chunk behind the last one.</summary>
    public int To { get; private set; }

    /// <summary>Places in the chunk at hand whose values are wanted: the last ones added.</summary>
    public ReadOnlySpan<int> Pending => CollectionsMarshal.AsSpan(_pending);

    /// <summary>Where their values go.</summary>
    public Span<double> PendingValues => CollectionsMarshal.AsSpan(_values)[^_pending.Count..];

    public int Capacity => _times.Capacity;

    public void Begin(int from, int to, long[] counts)
    {
        (Chunk, To, _counts) = (from, to, counts);
        _times.Clear();
        _values.Clear();
        _ordinals.Clear();
        _pending.Clear();
    }

    /// <summary>Adds the first sample of a chunk, which its summary has. Nothing may be wanted of a chunk before it.</summary>
    public void AddFirst(SelectedSeries series, int chunk)
    {
        ref readonly SlotSummary summary = ref series.SummaryOf(chunk);
        if (IsNew(_counts[chunk]))
            Put(summary.FirstMs, summary.First, _counts[chunk]);
    }

    /// <summary>Adds the last sample of a chunk.</summary>
    public void AddLast(SelectedSeries series, int chunk)
    {
        ref readonly SlotSummary summary = ref series.SummaryOf(chunk);
        long ordinal = _counts[chunk + 1] - 1;
        if (!IsNew(ordinal))
            return;
        Put(summary.LastMs, summary.Last, ordinal);
        // What is wanted of a chunk stands together.
        if (_pending.Count > 0)
            _pending.Add((int)(ordinal - _counts[chunk]));
    }

    /// <summary>Adds a sample of the chunk at hand, whose value is to be read.</summary>
    public void AddPlace(ReadOnlySpan<long> times, int place)
    {
        if (!IsNew(_counts[Chunk] + place))
            return;
        Put(times[place], 0, _counts[Chunk] + place);
        _pending.Add(place);
    }

    public void Filled() => _pending.Clear();

    public void CopyTo(SampleBuffer samples, List<long> ordinals)
    {
        samples.Clear();
        samples.Extend(_times.Count, out Span<long> times, out Span<double> values);
        CollectionsMarshal.AsSpan(_times).CopyTo(times);
        CollectionsMarshal.AsSpan(_values).CopyTo(values);
        ordinals.Clear();
        ordinals.AddRange(_ordinals);
    }

    private bool IsNew(long ordinal) => _ordinals.Count == 0 || ordinal > _ordinals[^1];

    private void Put(long timeMs, double value, long ordinal)
    {
        _times.Add(timeMs);
        _values.Add(value);
        _ordinals.Add(ordinal);
    }
}
