using Bellwether.Core.Model;
using Bellwether.Store.Head;

namespace Bellwether.Store.Blocks;

/// <summary>
/// Writes several chunk files as one, series by series in label order, in memory bounded by the sources' indexes. A chunk that is alone in its slot is taken over
/// as it is; chunks that overlap or share a slot are merged into one by the rule of clashes. One thread at a time.
/// </summary>
internal sealed class BlockMerger : IDisposable
{
    private readonly ChunkScratch _scratch = new();
    private byte[] _timesBytes = new byte[4096];
    private byte[] _chunkBytes = new byte[4096];
    private readonly SampleGather _gather = new();
    private readonly SampleGather _part = new();
    private readonly List<CoarseSlot> _slots = [];
    private List<(BlockFile File, BlockEntry Entry)> _chunks = [];

    /// <summary>What a rewrite leaves out; null: nothing.</summary>
    public Func<Labels, (long FromMs, long ToMs)?>? LeftOut { get; init; }

    /// <summary>Samples that were left out so far.</summary>
    public long SamplesLeftOut { get; private set; }

    /// <summary>Adds everything of the sources to a writer. Throws <see cref="DamagedChunkException"/> when chunks that have to be merged cannot be read.</summary>
    public void Merge(IReadOnlyList<BlockFile> sources, BlockWriter into, CancellationToken cancellation)
    {
        foreach (List<(BlockFile File, BlockEntry Entry)> chunks in SourceSeries.Of(sources, cancellation))
        {
            _chunks = chunks;
            if (sources[0].ResolutionMs > 0)
                WriteCoarse(into);
            else
                WriteSeries(into);
        }
    }

    public void Dispose() => _scratch.Dispose();

    private void WriteSeries(BlockWriter into)
    {
        (long FromMs, long ToMs)? leftOut = LeftOut?.Invoke(_chunks[0].Entry.Labels);
        int from = 0;
        while (from < _chunks.Count)
        {
            long newest = _chunks[from].Entry.MaxMs;
            int count = _chunks[from].Entry.Count, to = from + 1;
            while (to < _chunks.Count && (_chunks[to].Entry.MinMs <= newest || (TimeSlot.StartOf(_chunks[to].Entry.MinMs) == TimeSlot.StartOf(newest) && count + _chunks[to].Entry.Count <= BlockFormat.MaxSamples)))
            {
                newest = Math.Max(newest, _chunks[to].Entry.MaxMs);
                count += _chunks[to].Entry.Count;
                to++;
            }
            bool isCut = leftOut is { } cut && cut.FromMs <= newest && cut.ToMs >= _chunks[from].Entry.MinMs;
            if (to - from == 1 && !isCut)
                TakeOver(_chunks[from], into);
            else
                Decode(from, to, isCut ? leftOut : null, into);
            from = to;
        }
    }

    // Files of one coarser resolution share no slot of a series but at their borders, where each has its own samples: their chunks follow each other.
    private void WriteCoarse(BlockWriter into)
    {
        (long FromMs, long ToMs)? leftOut = LeftOut?.Invoke(_chunks[0].Entry.Labels);
        for (int i = 0; i < _chunks.Count; i++)
        {
            (BlockFile file, BlockEntry entry) = _chunks[i];
            if (leftOut is not { } cut || cut.FromMs > entry.MaxMs || cut.ToMs < entry.MinMs)
            {
                TakeOver(_chunks[i], into);
                continue;
            }
            _gather.Begin();
            _slots.Clear();
            if (!file.TryRead(entry, long.MinValue, long.MaxValue, _scratch, _gather, _slots))
                throw new DamagedChunkException(file);
            if (_slots.Count == 0)
                Decode(i, i + 1, leftOut, into);
            else
                WriteSlots(entry.Labels, cut, into);
        }
    }

    // A slot cannot be parted: one that holds a part of what is to go goes whole.
    private void WriteSlots(Labels labels, (long FromMs, long ToMs) cut, BlockWriter into)
    {
        foreach (CoarseSlot slot in _slots)
            SamplesLeftOut += slot.FirstMs <= cut.ToMs && slot.NewestMs >= cut.FromMs ? slot.Floats.Count : 0;
        _slots.RemoveAll(slot => slot.FirstMs <= cut.ToMs && slot.NewestMs >= cut.FromMs);
        if (_slots.Count > 0)
            into.Add(labels, System.Runtime.InteropServices.CollectionsMarshal.AsSpan(_slots));
    }

    private void TakeOver((BlockFile File, BlockEntry Entry) chunk, BlockWriter into)
    {
        BlockEntry entry = chunk.Entry;
        into.Add(entry, chunk.File.ReadRaw(entry.TimesOffset, entry.TimesLength, ref _timesBytes), chunk.File.ReadRaw(entry.Offset, entry.Length, ref _chunkBytes));
    }

    private void Decode(int from, int to, (long FromMs, long ToMs)? leftOut, BlockWriter into)
    {
        _gather.Begin();
        for (int i = from; i < to; i++)
        {
            (BlockFile file, BlockEntry entry) = _chunks[i];
            if (leftOut is { } all && all.FromMs <= entry.MinMs && all.ToMs >= entry.MaxMs)
            {
                SamplesLeftOut += entry.Count;
                continue;
            }
            int before = _gather.Count;
            if (leftOut is not { } cut)
            {
                Read(file, entry, long.MinValue, long.MaxValue);
                continue;
            }
            if (cut.FromMs > entry.MinMs)
                Read(file, entry, long.MinValue, cut.FromMs - 1);
            if (cut.ToMs < entry.MaxMs)
                Read(file, entry, cut.ToMs + 1, long.MaxValue);
            SamplesLeftOut += entry.Count - (_gather.Count - before);
        }
        _gather.Resolve();
        if (_gather.Count > 0)
            WriteSlots(_chunks[from].Entry.Labels, into);
    }

    private void Read(BlockFile file, in BlockEntry entry, long fromMs, long toMs)
    {
        if (!file.TryRead(entry, fromMs, toMs, _scratch, _gather))
            throw new DamagedChunkException(file);
    }

    // Chunks of a store with other partitions may reach over slots; what is written here never does.
    private void WriteSlots(Labels labels, BlockWriter into)
    {
        ReadOnlySpan<long> times = _gather.Times;
        if (TimeSlot.StartOf(times[0]) == TimeSlot.StartOf(times[^1]))
        {
            into.Add(labels, _gather);
            return;
        }
        int at = 0;
        while (at < _gather.Count)
        {
            long end = TimeSlot.StartOf(_gather.Times[at]) + TimeSlot.LengthMs;
            _part.Begin();
            at = _gather.CopyUntil(end, at, _part);
            into.Add(labels, _part);
        }
    }
}

/// <summary>A chunk that has to be decoded cannot be.</summary>
internal sealed class DamagedChunkException(BlockFile file) : Exception($"chunk file {file.Name} has a damaged chunk")
{
    public BlockFile File { get; } = file;
}
