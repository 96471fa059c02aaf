using Bellwether.Core.Model;
using Bellwether.Store.Blocks;
using Bellwether.Store.Wal;
using Microsoft.Extensions.Logging;

namespace Bellwether.Store;

// Deleting and copying: what is deleted leaves memory, then everything in memory goes into chunk files, so that the log holds nothing that replay would bring back. Only the steps through
// memory are the writer's; the files are written beside it as those of any cut.
public sealed partial class StoreEngine
{
    /// <summary>Series of which samples are deleted under the head's lock at once.</summary>
    internal int DeletedPerStep { get; set; } = 256;

    /// <summary>
    /// The first half of a deletion in one go: what is to go leaves memory, all else in it is written to chunk files, and two checkpoints say so, so that neither the log nor an older
    /// checkpoint brings it back. Throws <see cref="IOException"/>: what was deleted may be there again after a restart; ask again. <see cref="StoreWriter"/> does the same in steps.
    /// </summary>
    public void DeleteFromMemory(SeriesDeletion deletion)
    {
        ArgumentNullException.ThrowIfNull(deletion);
        MemoryDeletion going = BeginDelete(deletion);
        while (DeleteSome(going))
        {
        }
        CutNow(BeginCutAll(dropsLog: true));
        NoteChange(deletion.FromMs);
    }

    /// <summary>The first part of a deletion, on the writer's thread. No cut or save may be under way from here on until <see cref="BeginCutAll"/>. Throws <see cref="IOException"/>: nothing was begun.</summary>
    internal MemoryDeletion BeginDelete(SeriesDeletion deletion)
    {
        TakeTime();
        // The checkpoints behind the cut leave nothing of it; without them it would bring back what is deleted.
        SavedHeadFile.Remove(_disk, _options.Folder);
        _savedBytes = 0;
        _head.Held.RemoveAll(h => deletion.Takes(h.TimeMs) && deletion.Matches(h.Labels));
        return new MemoryDeletion(deletion, _index.NextReference);
    }

    /// <summary>Takes samples of some series out of memory. False: that was all.</summary>
    internal bool DeleteSome(MemoryDeletion going)
    {
        SeriesDeletion deletion = going.Deletion;
        _index.Gate.EnterWriteLock();
        try
        {
            int deleted = 0, end = Math.Min(going.References, going.Next + SeriesPerStep);
            while (going.Next < end && deleted < DeletedPerStep)
            {
                if (_index.At((uint)going.Next++) is { } series && deletion.Matches(series.Labels)
                    && series.Delete(deletion.FromMs, deletion.ToMs, (long)_options.Partition.TotalMilliseconds, _head.Pools, _cutGather))
                    deleted++;
            }
            if (deleted > 0)
                _head.Changes.Note(deletion.FromMs);
            return going.Next < going.References;
        }
        finally
        {
            _index.Gate.ExitWriteLock();
        }
    }

    // Results that were kept do not hold any more.
    private void NoteChange(long fromMs)
    {
        _index.Gate.EnterWriteLock();
        try
        {
            _head.Changes.Note(fromMs);
        }
        finally
        {
            _index.Gate.ExitWriteLock();
        }
    }

    /// <summary>
    /// The second half, beside the writer: chunk files that hold such samples are written anew without them, one by one. A crash leaves each of them old or new; the
    /// deletion may then be asked for again. Thread-safe. Throws <see cref="IOException"/> when the disk does not take it.
    /// </summary>
    public DeletionResult DeleteFromFiles(SeriesDeletion deletion, CancellationToken cancellation)
    {
        ArgumentNullException.ThrowIfNull(deletion);
        long samples = 0;
        int rewritten = 0, failed = 0;
        lock (_rewriteGate)
        {
            foreach (BlockFile file in _blocks.Files)
            {
                cancellation.ThrowIfCancellationRequested();
                if (!Holds(file, deletion, cancellation))
                    continue;
                using var merger = new BlockMerger { LeftOut = labels => deletion.Matches(labels) ? (deletion.FromMs, deletion.ToMs) : null };
                try
                {
                    if (!Rewrite([file], file.ResolutionMs, merger.Merge, cancellation))
                        continue;
                    rewritten++;
                    samples += merger.SamplesLeftOut;
                }
                catch (DamagedChunkException e)
                {
                    failed++;
                    _blocks.NoteDamage(e.File);
                }
            }
        }
        NoteChange(deletion.FromMs);
        LogDeleted(_log, samples, rewritten, failed);
        return new DeletionResult(samples, rewritten, failed);
    }

    /// <summary>
    /// The first half of a snapshot in one go: all that is in memory is written to chunk files, a checkpoint says so, and the files are held until
    /// the snapshot is disposed. Throws <see cref="IOException"/> when the disk does not take it. <see cref="StoreWriter"/> does the same in steps.
    /// </summary>
    public StoreSnapshot BeginSnapshot()
    {
        StoreSnapshot? snapshot = null;
        CutNow(BeginCutAll(dropsLog: false), () => snapshot = TakeSnapshot());
        return snapshot!;
    }

    /// <summary>Begins a cut of everything in memory. The writer's thread. Throws <see cref="IOException"/>: nothing was begun.</summary>
    internal CutJob BeginCutAll(bool dropsLog)
    {
        if (_cut is not null || _saver is not null)
            throw new InvalidOperationException("a cut or a save is under way; the caller has to wait for its end");
        TakeTime();
        long boundary = Math.Max(_checkpoint.BoundaryMs, _head.NewestMs == long.MinValue ? long.MinValue : _head.NewestMs + 1);
        CutJob cut = BeginCut(boundary);
        cut.DropsLog = dropsLog;
        // What comes while the files are written must not need frames that go: segments begin again behind the checkpoint.
        if (dropsLog)
            _records.LogFreedBelow(cut.Checkpoint.Next);
        return cut;
    }

    /// <summary>Holds what a cut of everything has published: the store as of its begin. Right behind <see cref="PublishCut"/>, on the writer's thread.</summary>
    internal StoreSnapshot TakeSnapshot()
    {
        _index.Gate.EnterReadLock();
        try
        {
            return new StoreSnapshot(_disk, _options.Folder, _blocks.Lease(), _checkpoints.ReadRaw());
        }
        finally
        {
            _index.Gate.ExitReadLock();
        }
    }

    private bool Holds(BlockFile file, SeriesDeletion deletion, CancellationToken cancellation)
    {
        if (file.Footer.MinMs > deletion.ToMs || file.Footer.MaxMs < deletion.FromMs || _blocks.TryIndex(file) is not { } index)
            return false;
        var found = new List<int>();
        foreach (IReadOnlyList<LabelMatcher> selector in deletion.Selectors)
            index.Select(deletion.FromMs, deletion.ToMs, selector, found, cancellation);
        return found.Count > 0;
    }

    [LoggerMessage(EventId = 5742, Level = LogLevel.Warning, Message = "series were deleted on request: {Samples} samples from {Files} chunk files; {Failed} files could not be written anew because of damage")]
    private static partial void LogDeleted(ILogger log, long samples, int files, int failed);
}
