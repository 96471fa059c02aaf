using Bellwether.Core.Model;
using Bellwether.Store.Blocks;
using Bellwether.Store.Head;
using Bellwether.Store.Wal;
using Microsoft.Extensions.Logging;

namespace Bellwether.Store;

// Deleting and copying: first everything in memory goes into chunk files, so that the log holds nothing that replay would bring back.
public sealed partial class StoreEngine
{
    /// <summary>
    /// The first half of a deletion, on the writer's thread: all that is in memory is written to chunk files without what is to go, and two checkpoints are written, so that
    /// neither the log nor an older checkpoint brings it back. Throws <see cref="IOException"/>: nothing was deleted.
    /// </summary>
    public void DeleteFromMemory(SeriesDeletion deletion)
    {
        ArgumentNullException.ThrowIfNull(deletion);
        TakeTime();
        _head.Held.RemoveAll(h => deletion.Takes(h.TimeMs) && deletion.Matches(h.Labels));
        // The checkpoints behind the cut leave nothing of it; without them it would bring back what is deleted.
        SavedHeadFile.Remove(_disk, _options.Folder);
        CutAll(deletion);
        NoteChange(deletion.FromMs);
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
    /// The first half of a snapshot, on the writer's thread: all that is in memory is written to chunk files, a checkpoint says so, and the files are held until
    /// the snapshot is disposed. Throws <see cref="IOException"/> when the disk does not take it.
    /// </summary>
    public StoreSnapshot BeginSnapshot()
    {
        TakeTime();
        CutAll(null);
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

    private void CutAll(SeriesDeletion? deletion)
    {
        long boundary = Math.Max(_checkpoint.BoundaryMs, _head.NewestMs == long.MinValue ? long.MinValue : _head.NewestMs + 1);
        foreach (HeadSeries series in _index.All)
            boundary = Math.Max(boundary, series.NewestOfAllMs == long.MinValue ? long.MinValue : series.NewestOfAllMs + 1);
        CutNow(boundary, deletion);
        // The older of the two files would bring back what the log still holds, should the newer be damaged.
        WriteCheckpoint(boundary);
    }

    [LoggerMessage(EventId = 5742, Level = LogLevel.Warning, Message = "series were deleted on request: {Samples} samples from {Files} chunk files; {Failed} files could not be written anew because of damage")]
    private static partial void LogDeleted(ILogger log, long samples, int files, int failed);
}
