using System.Runtime.InteropServices;
using Bellwether.Core.Model;
using Bellwether.Store.Blocks;
using Bellwether.Store.Head;

namespace Bellwether.Store;

/// <summary>
/// A selection over the head and the chunk files. Files are leased until it is disposed; what is cut from the head into new files meanwhile is looked up there,
/// so that no sample is missed or comes twice.
/// </summary>
internal sealed class StoreSeriesSet : ISeriesSet
{
    private readonly HeadIndex _index;
    private readonly BlockSet _blocks;
    private readonly BlockFile[] _files;
    private readonly long _fromMs;
    private readonly long _toMs;
    private readonly List<Selected> _series;
    private readonly SampleGather _gather = new();
    private readonly ChunkScratch _scratch = new();
    private bool _isDisposed;

    private StoreSeriesSet(HeadIndex index, BlockSet blocks, BlockFile[] files, List<Selected> series, long fromMs, long toMs)
    {
        _index = index;
        _blocks = blocks;
        _files = files;
        _series = series;
        _fromMs = fromMs;
        _toMs = toMs;
    }

    public int Count => _series.Count;

    public static StoreSeriesSet Select(HeadIndex index, BlockSet blocks, long fromMs, long toMs, IReadOnlyList<LabelMatcher> matchers, CancellationToken cancellation)
    {
        var head = new List<HeadSeries>();
        BlockFile[] files;
        index.Gate.EnterReadLock();
        try
        {
            index.SelectLocked(fromMs, toMs, matchers, head, cancellation);
            files = blocks.Files;
            foreach (BlockFile file in files)
                file.Lease();
        }
        finally
        {
            index.Gate.ExitReadLock();
        }
        try
        {
            List<Selected> series = Merge(head, blocks, files, fromMs, toMs, matchers, cancellation);
            return new StoreSeriesSet(index, blocks, files, series, fromMs, toMs);
        }
        catch
        {
            foreach (BlockFile file in files)
                file.Drop();
            throw;
        }
    }

    public Labels LabelsAt(int index) => _series[index].Labels;

    public void Read(int index, SampleBuffer into)
    {
        Selected selected = _series[index];
        _gather.Begin();
        if (selected.Chunks is not null)
        {
            foreach ((BlockFile file, int series) in selected.Chunks)
                ReadChunk(file, series);
        }
        _index.Gate.EnterReadLock();
        try
        {
            ReadHead(selected);
        }
        finally
        {
            _index.Gate.ExitReadLock();
        }
        _gather.Resolve();
        _gather.CopyTo(into);
    }

    public void Dispose()
    {
        if (_isDisposed)
            return;
        _isDisposed = true;
        foreach (BlockFile file in _files)
            file.Drop();
    }

    private static List<Selected> Merge(List<HeadSeries> head, BlockSet blocks, BlockFile[] files, long fromMs, long toMs, IReadOnlyList<LabelMatcher> matchers, CancellationToken cancellation)
    {
        var all = new Dictionary<Labels, Selected>(head.Count);
        foreach (HeadSeries series in head)
            all.Add(series.Labels, new Selected(series.Labels, series));
        var found = new List<int>();
        foreach (BlockFile file in files)
        {
            if (file.Footer.MinMs > toMs || file.Footer.MaxMs < fromMs || blocks.TryIndex(file) is not { } index)
                continue;
            cancellation.ThrowIfCancellationRequested();
            found.Clear();
            index.Select(fromMs, toMs, matchers, found, cancellation);
            foreach (int series in found)
            {
                ref Selected? selected = ref CollectionsMarshal.GetValueRefOrAddDefault(all, index[series].Labels, out _);
                selected ??= new Selected(index[series].Labels, null);
                (selected.Chunks ??= []).Add((file, series));
            }
        }
        List<Selected> sorted = [.. all.Values];
        foreach (Selected selected in sorted)
            selected.Chunks?.Sort(static (a, b) => a.File.Footer.MinMs.CompareTo(b.File.Footer.MinMs));
        sorted.Sort(static (a, b) => a.Labels.CompareTo(b.Labels));
        return sorted;
    }

    private void ReadHead(Selected selected)
    {
        BlockFile[] now = _blocks.Files;
        if (!ReferenceEquals(now, _files))
        {
            foreach (BlockFile file in now)
            {
                if (Array.IndexOf(_files, file) < 0 && file.Footer.MinMs <= _toMs && file.Footer.MaxMs >= _fromMs && _blocks.TryIndex(file) is { } index && index.Find(selected.Labels) is >= 0 and var at)
                    ReadChunk(file, at);
            }
        }
        HeadSeries? series = selected.Head;
        if (series is null or { IsRemoved: true } && !_index.TryGet(selected.Labels, out series))
            return;
        series!.Read(_fromMs, _toMs, _gather);
    }

    private void ReadChunk(BlockFile file, int series)
    {
        if (_blocks.TryIndex(file) is not { } index)
            return;
        ref readonly BlockEntry entry = ref index[series];
        if (entry.MinMs <= _toMs && entry.MaxMs >= _fromMs && !file.TryRead(entry, _fromMs, _toMs, _scratch, _gather))
            _blocks.NoteDamage(file);
    }

    private sealed class Selected(Labels labels, HeadSeries? head)
    {
        public Labels Labels { get; } = labels;

        public HeadSeries? Head { get; } = head;

        public List<(BlockFile File, int Series)>? Chunks { get; set; }
    }
}
