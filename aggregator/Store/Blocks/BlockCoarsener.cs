using Bellwether.Core.Model;
using Bellwether.Store.Chunks;
using Bellwether.Store.Head;

namespace Bellwether.Store.Blocks;

/// <summary>
/// Writes chunk files as one of a coarser resolution, series by series in label order. What has no exact coarse form stays as it is: native histograms, start times, series with
/// revisions (docs/decisions/0009-resolutions.md). So does a series whose samples take fewer bytes than its slots would. One thread at a time.
/// </summary>
internal sealed class BlockCoarsener : IDisposable
{
    /// <summary>A series with fewer samples per slot stays as it is.</summary>
    public const int SamplesPerSlotMin = 3;

    private readonly int _resolutionMs;
    private readonly bool _whateverTheSize;
    private readonly ByteWriter _encoded = new();
    private readonly ChunkScratch _scratch = new();
    private readonly SampleGather _gather = new();
    private readonly SampleGather _part = new();
    private readonly List<CoarseSlot> _finer = [];
    private readonly CoarseSlots _slots;
    private readonly HashSet<Labels> _revised = [];

    /// <param name="resolutionMs">Length of the slots.</param>
    /// <param name="whateverTheSize">Samples become slots also where these take more bytes.</param>
    public BlockCoarsener(int resolutionMs, bool whateverTheSize)
    {
        _whateverTheSize = whateverTheSize;
        _resolutionMs = resolutionMs;
        _slots = new CoarseSlots(resolutionMs);
    }

    /// <summary>Adds everything of the sources to a writer. Throws <see cref="DamagedChunkException"/> when a chunk cannot be read.</summary>
    public void Write(IReadOnlyList<BlockFile> sources, BlockWriter into, CancellationToken cancellation)
    {
        NoteRevised(sources, cancellation);
        foreach (List<(BlockFile File, BlockEntry Entry)> chunks in SourceSeries.Of(sources, cancellation))
            WriteSeries(chunks, into);
    }

    public void Dispose() => _scratch.Dispose();

    // A revision is laid over the samples of its series one by one: neither has a coarse form that would say what came of it.
    private void NoteRevised(IReadOnlyList<BlockFile> sources, CancellationToken cancellation)
    {
        _revised.Clear();
        foreach (List<(BlockFile File, BlockEntry Entry)> chunks in SourceSeries.Of(sources, cancellation))
        {
            if (chunks[0].Entry.Labels.TryGet(Revision.Label, out _))
                _revised.Add(chunks[0].Entry.Labels.Without(Revision.Label));
        }
    }

    private void WriteSeries(List<(BlockFile File, BlockEntry Entry)> chunks, BlockWriter into)
    {
        Labels labels = chunks[0].Entry.Labels;
        _gather.Begin();
        _finer.Clear();
        foreach ((BlockFile file, BlockEntry entry) in chunks)
        {
            if (!file.TryRead(entry, long.MinValue, long.MaxValue, _scratch, _gather, _finer))
                throw new DamagedChunkException(file);
        }
        _gather.Resolve();
        _finer.Sort(static (a, b) => a.FirstMs.CompareTo(b.FirstMs));
        bool staysAsItIs = _gather.HasHistograms || _gather.HasStarts || labels.TryGet(Revision.Label, out _) || _revised.Contains(labels);
        _slots.Clear();
        int sample = 0;
        foreach (ref readonly CoarseSlot slot in System.Runtime.InteropServices.CollectionsMarshal.AsSpan(_finer))
        {
            if (!staysAsItIs)
                AddSamples(ref sample, slot.FirstMs);
            _slots.Add(slot);
        }
        if (!staysAsItIs)
            AddSamples(ref sample, long.MaxValue);
        _slots.End();
        staysAsItIs |= _finer.Count == 0 && (_gather.Count < (long)_slots.Done.Count * SamplesPerSlotMin || !IsSmaller(chunks));
        if (staysAsItIs && _gather.Count > 0)
            WriteSamples(labels, into);
        if (_slots.Done.Count > 0 && (!staysAsItIs || _finer.Count > 0))
            into.Add(labels, System.Runtime.InteropServices.CollectionsMarshal.AsSpan(_slots.Done));
    }

    // A gauge that is scraped each minute takes fewer bytes than what its slots keep of it; as samples it answers more.
    private bool IsSmaller(List<(BlockFile File, BlockEntry Entry)> chunks)
    {
        if (_whateverTheSize)
            return true;
        _encoded.Clear();
        CoarseChunk.Write(System.Runtime.InteropServices.CollectionsMarshal.AsSpan(_slots.Done), _resolutionMs, _encoded);
        return _encoded.Length < chunks.Sum(static c => (long)c.Entry.Length);
    }

    private void AddSamples(ref int from, long beforeMs)
    {
        ReadOnlySpan<long> times = _gather.Times;
        for (; from < times.Length && times[from] < beforeMs; from++)
            _slots.Add(times[from], _gather.Values[from]);
    }

    private void WriteSamples(Labels labels, BlockWriter into)
    {
        int at = 0;
        while (at < _gather.Count)
        {
            _part.Begin();
            at = _gather.CopyUntil(TimeSlot.StartOf(_gather.Times[at]) + TimeSlot.LengthMs, at, _part);
            into.Add(labels, _part);
        }
    }
}

/// <summary>The series of several files in label order, each with all its chunks.</summary>
internal static class SourceSeries
{
    /// <summary>Each series in turn; the list is reused.</summary>
    public static IEnumerable<List<(BlockFile File, BlockEntry Entry)>> Of(IReadOnlyList<BlockFile> files, CancellationToken cancellation)
    {
        var queue = new PriorityQueue<Source, Labels>();
        foreach (BlockFile file in files)
        {
            var source = new Source(file);
            if (source.Next())
                queue.Enqueue(source, source.Labels);
        }
        var chunks = new List<(BlockFile File, BlockEntry Entry)>();
        while (queue.TryDequeue(out Source? source, out Labels? labels))
        {
            cancellation.ThrowIfCancellationRequested();
            chunks.Clear();
            TakeFrom(source, chunks, queue);
            while (queue.TryPeek(out Source? same, out Labels? next) && next.Equals(labels))
            {
                queue.Dequeue();
                TakeFrom(same, chunks, queue);
            }
            chunks.Sort(static (a, b) => a.Entry.MinMs != b.Entry.MinMs ? a.Entry.MinMs.CompareTo(b.Entry.MinMs) : a.Entry.MaxMs.CompareTo(b.Entry.MaxMs));
            yield return chunks;
        }
    }

    private static void TakeFrom(Source source, List<(BlockFile File, BlockEntry Entry)> chunks, PriorityQueue<Source, Labels> queue)
    {
        foreach (BlockEntry entry in source.Chunks)
            chunks.Add((source.File, entry));
        if (source.Next())
            queue.Enqueue(source, source.Labels);
    }

    /// <summary>A source and its next series.</summary>
    private sealed class Source(BlockFile file)
    {
        private readonly BlockIndexReader _index = file.ReadIndex();
        private int _read;

        public BlockFile File { get; } = file;

        public List<BlockEntry> Chunks { get; } = [];

        public Labels Labels => Chunks[0].Labels;

        public bool Next()
        {
            Chunks.Clear();
            if (_read++ >= _index.Series)
                return false;
            _index.Next(Chunks);
            return true;
        }
    }
}
