using Bellwether.Core.Model;
using Bellwether.Store.Blocks;
using Bellwether.Store.Head;
using Bellwether.Store.Reading;

namespace Bellwether.Store;

/// <summary>
/// A selection over the head and the chunk files. Files are leased until it is disposed; what is cut from the head into new files meanwhile is looked up there,
/// so that no sample is missed or comes twice. Slots that stand whole in one chunk and have nothing in the head can be answered by the chunk's summary.
/// </summary>
internal sealed partial class StoreSeriesSet : IEdgeSeriesSet, ISummarySeriesSet, ICoarseSeriesSet
{
    private readonly HeadIndex _index;
    private readonly BlockSet _blocks;
    private readonly BlockList _files;
    private readonly long _fromMs;
    private readonly long _toMs;
    private readonly List<SelectedSeries> _series;
    private readonly ReadScratches _scratches;
    private readonly ReadScratch _reading;
    private readonly SampleGather _gather;
    private readonly ChunkScratch _scratch;
    private bool _isDisposed;

    private StoreSeriesSet(HeadIndex index, BlockSet blocks, BlockList files, List<SelectedSeries> series, ReadScratches scratches, long fromMs, long toMs)
    {
        _scratches = scratches;
        _reading = scratches.Rent();
        (_gather, _scratch) = (_reading.Gather, _reading.Chunks);
        _index = index;
        _blocks = blocks;
        _files = files;
        _series = series;
        _fromMs = fromMs;
        _toMs = toMs;
        ResolutionMs = files.ResolutionMs(fromMs, toMs);
    }

    public int Count => _series.Count;

    public long ResolutionMs { get; }

    public static StoreSeriesSet Select(HeadIndex index, BlockSet blocks, SelectionCache cache, ReadScratches scratches, long fromMs, long toMs, IReadOnlyList<LabelMatcher> matchers, CancellationToken cancellation)
    {
        Selection selection = cache.Get(fromMs, toMs, matchers, out BlockList files, cancellation);
        try
        {
            var series = new List<SelectedSeries>(selection.Series.Length);
            index.Gate.EnterReadLock();
            try
            {
                foreach (SelectedSeries one in selection.Series)
                {
                    // One that was removed since stands in files now, which reading it finds.
                    if (one.HasChunks(fromMs, toMs) || (one.Head is { } head && (head.IsRemoved || head.Overlaps(fromMs, toMs))))
                        series.Add(one);
                }
            }
            finally
            {
                index.Gate.ExitReadLock();
            }
            var set = new StoreSeriesSet(index, blocks, files, series, scratches, fromMs, toMs);
            // Series follow each other in the files as in the selection.
            set._scratch.ReadsAhead = series.Count >= ChunkScratch.SeriesToReadAhead;
            return set;
        }
        catch
        {
            files.Drop();
            throw;
        }
    }

    public Labels LabelsAt(int index) => _series[index].Labels;

    public void Read(int index, SampleBuffer into) => ReadAll(index, into, null);

    public void Read(int index, SampleBuffer samples, List<CoarseSlot> slots)
    {
        slots.Clear();
        ReadAll(index, samples, slots);
        slots.Sort(static (a, b) => a.FirstMs.CompareTo(b.FirstMs));
    }

    private void ReadAll(int index, SampleBuffer into, List<CoarseSlot>? slots)
    {
        SelectedSeries series = _series[index];
        _gather.Begin();
        for (int i = series.FirstAfter(_fromMs); i < series.Chunks.Length && series.Chunks[i].MinMs <= _toMs; i++)
            ReadChunks(series.Chunks[i], slots);
        _index.Gate.EnterReadLock();
        try
        {
            ReadHead(series, slots);
        }
        finally
        {
            _index.Gate.ExitReadLock();
        }
        _gather.Resolve();
        _gather.CopyTo(into);
    }

    public void Read(int index, in WindowCuts cuts, SampleBuffer samples, List<SlotSummary> summaries)
    {
        summaries.Clear();
        SelectedSeries series = _series[index];
        int first = series.FirstAfter(_fromMs);
        // Asked where there are chunks to be summarised only: it takes the head's lock.
        long headOldestMs = first < series.Chunks.Length && series.Chunks[first].MinMs <= _toMs ? OldestInHead(series) : long.MaxValue;
        _gather.Begin();
        for (int i = first; i < series.Chunks.Length; i++)
        {
            i = series.AddSummaries(i, _toMs, headOldestMs, cuts, _blocks, _reading, summaries);
            if (i == series.Chunks.Length || series.Chunks[i].MinMs > _toMs)
                break;
            ReadChunks(series.Chunks[i]);
        }
        if (!TryReadHead(series, summaries))
        {
            summaries.Clear();
            Read(index, samples);
            return;
        }
        _gather.Resolve();
        _gather.CopyTo(samples);
    }

    public void Dispose()
    {
        if (_isDisposed)
            return;
        _isDisposed = true;
        _scratches.Return(_reading);
        _files.Drop();
    }

    private long OldestInHead(SelectedSeries series)
    {
        if (series.Head is null)
            return long.MaxValue;
        _index.Gate.EnterReadLock();
        try
        {
            return series.Head.IsRemoved ? long.MinValue / 2 : series.Head.OldestMs;
        }
        finally
        {
            _index.Gate.ExitReadLock();
        }
    }

    /// <summary>False: something came into a slot that was summarised, in the head or in a new file.</summary>
    private bool TryReadHead(SelectedSeries series, List<SlotSummary> summaries)
    {
        return TryReadHead(series, summaries.Count > 0 ? TimeSlot.StartOf(summaries[^1].FirstMs) + TimeSlot.LengthMs : long.MinValue);
    }

    private bool TryReadHead(SelectedSeries series, long summarisedEnd)
    {
        _index.Gate.EnterReadLock();
        try
        {
            if (summarisedEnd > long.MinValue)
            {
                HeadSeries? head = series.Head;
                bool isAsBefore = ReferenceEquals(_blocks.Files, _files.Files) && head is not { IsRemoved: true } && (head is null ? !_index.TryGet(series.Labels, out head) || head.OldestMs >= summarisedEnd : head.OldestMs >= summarisedEnd);
                if (!isAsBefore)
                    return false;
            }
            ReadHead(series);
            return true;
        }
        finally
        {
            _index.Gate.ExitReadLock();
        }
    }

    private void ReadHead(SelectedSeries selected, List<CoarseSlot>? slots = null)
    {
        BlockFile[] now = _blocks.Files;
        if (!ReferenceEquals(now, _files.Files))
        {
            foreach (BlockFile file in now)
            {
                // What became slots meanwhile stands in the files that are leased.
                if (file.ResolutionMs == 0 && Array.IndexOf(_files.Files, file) < 0 && file.Footer.MinMs <= _toMs && file.Footer.MaxMs >= _fromMs && _blocks.TryIndex(file) is { } index)
                {
                    for (int at = index.Find(selected.Labels); at >= 0; at = index.NextOf(at))
                        ReadChunk(file, at, slots);
                }
            }
        }
        HeadSeries? series = selected.Head;
        if (series is null or { IsRemoved: true } && !_index.TryGet(selected.Labels, out series))
            return;
        series!.Read(_fromMs, _toMs, _gather);
    }

    private void ReadChunks(in ChunkPlace place, List<CoarseSlot>? slots = null)
    {
        if (place.Parts is null)
        {
            ReadChunk(place.File, place.Series, slots);
            return;
        }
        foreach (ref readonly ChunkPlace part in place.Parts.AsSpan())
            ReadChunk(part.File, part.Series, slots);
    }

    private void ReadChunk(BlockFile file, int series, List<CoarseSlot>? slots = null)
    {
        if (_blocks.TryIndex(file) is not { } index)
            return;
        ref readonly BlockEntry entry = ref index[series];
        if (entry.MinMs <= _toMs && entry.MaxMs >= _fromMs && !file.TryRead(entry, _fromMs, _toMs, _scratch, _gather, slots))
            _blocks.NoteDamage(file);
    }
}
