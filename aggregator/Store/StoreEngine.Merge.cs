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
                while (HasRoom() && (CoarsenOnce(cancellation) || MergeOnce(cancellation)))
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
        foreach ((int resolution, TimeSpan retention) in Levels())
        {
            IReadOnlyList<BlockFile> sources = MergePlan.Choose(files, resolution, slot, Math.Max(slot, (long)retention.TotalMilliseconds / RetentionParts), _options.MaxMergedBytes, over);
            if (sources.Count == 0 || !HasRoomFor(sources))
                continue;
            using var merger = new BlockMerger();
            return Rewrite(sources, resolution, merger.Merge, cancellation);
        }
        return false;
    }

    // What is made of files is at most as large as they are.
    private bool HasRoomFor(IReadOnlyList<BlockFile> sources) => _disk.FreeBytes(_options.Folder) - sources.Sum(f => f.Bytes) >= _options.MinFreeBytes;

    private IEnumerable<(int ResolutionMs, TimeSpan Retention)> Levels() =>
        [(0, _options.Retention), .. _options.Resolutions.Select(r => ((int)r.Length.TotalMilliseconds, r.Retention))];

    /// <summary>Writes files anew as one and puts it in their place. False: one of them went meanwhile. Throws <see cref="NoRoomException"/> when it takes more than it may.</summary>
    private bool Rewrite(IReadOnlyList<BlockFile> sources, int resolutionMs, Action<IReadOnlyList<BlockFile>, BlockWriter, CancellationToken> write, CancellationToken cancellation, long maxBytes = long.MaxValue)
    {
        foreach (BlockFile source in sources)
            source.Lease();
        try
        {
            using BlockWriter writer = _blocks.Begin(sources.Min(f => f.Footer.MinMs), sources, resolutionMs, maxBytes);
            write(sources, writer, cancellation);
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
            _blocks.Delete([.. sources.Select(f => f.Name)]);
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
