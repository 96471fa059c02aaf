using Bellwether.Store.Blocks;
using Microsoft.Extensions.Logging;

namespace Bellwether.Store;

// Chunk files are merged beside the writer: it only waits while one list of files is put in place of another.
public sealed partial class StoreEngine
{
    private const int RetentionParts = 6;
    private readonly Lock _rewriteGate = new();
    private long _mergedFiles;
    private long _failedMerges;

    /// <summary>Chunk files that were merged into others since the store was opened. Thread-safe.</summary>
    public long MergedFiles => Interlocked.Read(ref _mergedFiles);

    /// <summary>Merges that failed and are tried again. Thread-safe.</summary>
    public long FailedMerges => Interlocked.Read(ref _failedMerges);

    /// <summary>
    /// Merges chunk files as long as that is worth it. Thread-safe, may run beside the writer. A crash at any point leaves either the sources or the merged file
    /// (docs/formats/chunk.md). A full disk or a damaged source is survived.
    /// </summary>
    public void MergeFiles(CancellationToken cancellation)
    {
        lock (_rewriteGate)
        {
            try
            {
                while (HasRoom() && MergeOnce(cancellation))
                {
                }
            }
            catch (Exception e) when (e is IOException or InvalidDataException)
            {
                Interlocked.Increment(ref _failedMerges);
                LogMergeFailed(_log, e);
            }
            catch (DamagedChunkException e)
            {
                _blocks.NoteDamage(e.File);
            }
        }
    }

    private bool MergeOnce(CancellationToken cancellation)
    {
        BlockFile[] files = _blocks.Files;
        long slot = (long)_options.Partition.TotalMilliseconds;
        long over = NowMs() - (long)_options.PartitionGrace.TotalMilliseconds - slot;
        IReadOnlyList<BlockFile> sources = MergePlan.Choose(files, slot, Math.Max(slot, (long)_options.Retention.TotalMilliseconds / RetentionParts), _options.MaxMergedBytes, over);
        // The merged file is at most as large as its sources.
        if (sources.Count == 0 || _disk.FreeBytes(_options.Folder) - sources.Sum(f => f.Bytes) < _options.MinFreeBytes)
            return false;
        using var merger = new BlockMerger();
        return Rewrite(sources, merger, cancellation);
    }

    /// <summary>Writes files anew as one and puts it in their place. False: one of them went meanwhile.</summary>
    private bool Rewrite(IReadOnlyList<BlockFile> sources, BlockMerger merger, CancellationToken cancellation)
    {
        foreach (BlockFile source in sources)
            source.Lease();
        try
        {
            using BlockWriter writer = _blocks.Begin(sources.Min(f => f.Footer.MinMs), sources);
            merger.Merge(sources, writer, cancellation);
            BlockFile? merged = null;
            if (writer.Count > 0)
            {
                writer.Finish();
                merged = _blocks.OpenWritten(writer.Name);
            }
            if (!TryPutInPlace(sources, merged))
            {
                if (merged is not null)
                    _blocks.Discard(merged);
                return false;
            }
            _blocks.Delete(sources);
            Interlocked.Add(ref _mergedFiles, sources.Count);
            LogMerged(_log, sources.Count, sources.Sum(f => f.Bytes), merged?.Bytes ?? 0);
            return true;
        }
        finally
        {
            foreach (BlockFile source in sources)
                source.Drop();
        }
    }

    private bool TryPutInPlace(IReadOnlyList<BlockFile> sources, BlockFile? merged)
    {
        _index.Gate.EnterWriteLock();
        try
        {
            return _blocks.TryReplaceLocked(sources, merged);
        }
        finally
        {
            _index.Gate.ExitWriteLock();
        }
    }

    [LoggerMessage(EventId = 5740, Level = LogLevel.Information, Message = "the store wrote {Files} chunk files of {Bytes} bytes as one of {MergedBytes} bytes")]
    private static partial void LogMerged(ILogger log, int files, long bytes, long mergedBytes);

    [LoggerMessage(EventId = 5741, Level = LogLevel.Error, Message = "chunk files could not be merged; it will be tried again")]
    private static partial void LogMergeFailed(ILogger log, Exception error);
}
