using Bellwether.Core.Model;
using Bellwether.Store.Head;
using Bellwether.Store.Wal;
using Microsoft.Extensions.Logging;

namespace Bellwether.Store;

// The head is saved from time to time, so that opening replays only what came after (docs/formats/head.md). The log is kept as if it were not: a saved head that is damaged costs time and nothing else.
// It is begun on the writer's thread and written beside it; a commit comes before it is put in place. A cut and a save do not run at once: both walk through all series.
public sealed partial class StoreEngine
{
    // The head is saved again when a sample came for so many of its bytes: saving then costs a few hundredths of what it follows (docs/performance.md).
    private const int BytesPerSample = 10;

    // What else the log holds, names of series most of all.
    private const int BytesPerDefinition = 16;
    private HeadSaver? _saver;
    private long _savedAtBytes;
    private long _savedAtSamples;
    private long _savedBytes;
    private long _savedHeads;
    private long _failedSaves;
    private bool _isHeadStale;
    private long _saveBegan;
    private long _savedAtMs;
    private long _saveTicks;

    /// <summary>Unix ms of the last save of the head since the store was opened; 0: none yet. Thread-safe.</summary>
    public long SavedHeadMs => Interlocked.Read(ref _savedAtMs);

    /// <summary>Bytes of the saved head; 0: there is none. Thread-safe.</summary>
    public long SavedHeadBytes => Interlocked.Read(ref _savedBytes);

    /// <summary>How long the last save took; zero: none yet. Thread-safe.</summary>
    public TimeSpan SaveDuration => TimeSpan.FromTicks(Interlocked.Read(ref _saveTicks));
    private bool _isHeadShrunk;

    /// <summary>How often the head was saved since the store was opened. Thread-safe.</summary>
    public long SavedHeads => Interlocked.Read(ref _savedHeads);

    /// <summary>Saves of the head that failed. Thread-safe.</summary>
    public long FailedSaves => Interlocked.Read(ref _failedSaves);

    /// <summary>
    /// So much was logged since the head was saved last that replaying it would take longer than is wanted. It goes by the size of the saved head as well, so that saving costs a small part of what
    /// it follows. The writer's thread.
    /// </summary>
    internal bool IsSaveDue => _saver is null && _cut is null && IsMuchUnsaved && _disk.FreeBytes(_options.Folder) - (2 * _savedBytes) >= _options.MinFreeBytes;

    // What a cut took out of memory need not be read at a restart, nor stand on the disk twice.
    private bool IsMuchUnsaved => (_isHeadShrunk && _savedBytes > 0) || _head.Outcomes[(int)AppendOutcome.Stored] - _savedAtSamples >= Math.Max(_options.SaveHeadSamples, _savedBytes / BytesPerSample)
        || UnsavedBytes >= Math.Max(_options.SaveHeadSamples * BytesPerDefinition, 2 * _savedBytes);

    /// <summary>The number of the next frame of the log.</summary>
    internal ulong NextFrame => _wal.Next;

    private long UnsavedBytes => _wal.AppendedBytes - _savedAtBytes;

    /// <summary>Saves the head now, whether that is due or not. Must not be called while a cut is under way.</summary>
    internal void SaveHead()
    {
        HeadSaver saver = BeginSave();
        WriteSave(saver, CancellationToken.None);
        EndSave(saver);
        PutSaved(saver);
        FinishSave(saver);
    }

    /// <summary>The first part. Throws <see cref="IOException"/>: nothing was begun.</summary>
    internal HeadSaver BeginSave()
    {
        if (_saver is not null || _cut is not null)
            throw new InvalidOperationException("a cut or a save is under way; the caller has to wait for its end");
        Commit();
        ulong next = _wal.Next;
        // Only the writer changes what is read here.
        HeadSeries[] series = _index.Live();
        ulong firstNeeded = _records.FirstNeeded(next);
        var saver = new HeadSaver
        {
            Next = next,
            FirstNeeded = firstNeeded,
            Begin = HeadLoader.WriteBegin(next, firstNeeded, _head, series.Length, _batches.Context, _ledger),
            State = CheckpointFile.Build(new Checkpoint(_checkpoint.Number, next, _checkpoint.BoundaryMs), _records, _head),
            Series = series,
            Dictionary = _batches.TakeDictionary(),
        };
        _saveBegan = _time.GetTimestamp();
        _isHeadShrunk = false;
        _savedAtBytes = _wal.AppendedBytes;
        _savedAtSamples = _head.Outcomes[(int)AppendOutcome.Stored];
        return _saver = saver;
    }

    /// <summary>The second part. May run beside the writer. What fails is noted.</summary>
    internal void WriteSave(HeadSaver saver, CancellationToken cancellation)
    {
        try
        {
            saver.Write(_disk, _options.Folder, _options.MinFreeBytes, _index, cancellation);
        }
        catch (Exception e) when (e is IOException or OperationCanceledException)
        {
            saver.Failed = e;
        }
    }

    /// <summary>The third part, on the writer's thread: what it holds becomes durable in the log first, so that the log's numbers stand for it.</summary>
    internal void EndSave(HeadSaver saver)
    {
        if (saver.Failed is not null)
            return;
        try
        {
            Commit();
            saver.End = _wal.Next;
            // Frames without anything to forward, the end of a segment for one, come behind it, and must not look as if they were missing.
            saver.Told = _tap is null ? null : Math.Min(_told, saver.End);
        }
        catch (IOException e)
        {
            saver.Failed = e;
        }
    }

    /// <summary>The fourth part: puts the file in place. May run beside the writer. What fails is noted.</summary>
    internal static void PutSaved(HeadSaver saver)
    {
        try
        {
            if (saver.Failed is null)
                saver.Finish();
        }
        catch (IOException e)
        {
            saver.Failed = e;
        }
        finally
        {
            saver.Writer?.Dispose();
        }
    }

    /// <summary>The last part, on the writer's thread.</summary>
    internal void FinishSave(HeadSaver saver)
    {
        _saver = null;
        if (saver.Failed is null)
        {
            Interlocked.Exchange(ref _savedBytes, saver.Bytes);
            Interlocked.Exchange(ref _savedAtMs, NowMs());
            Interlocked.Exchange(ref _saveTicks, _time.GetElapsedTime(_saveBegan).Ticks);
            _isHeadStale = false;
            Interlocked.Increment(ref _savedHeads);
        }
        // Else cancelled: the store is being closed.
        else if (saver.Failed is IOException failed)
        {
            Interlocked.Increment(ref _failedSaves);
            LogSaveFailed(_log, failed);
            RemoveUnfinishedHead();
        }
    }

    // A full disk needs the room.
    private void RemoveUnfinishedHead()
    {
        try
        {
            SavedHeadWriter.RemoveUnfinished(_disk, _options.Folder);
        }
        catch (IOException e)
        {
            LogSaveFailed(_log, e);
        }
    }

    // Opening went past it: what stands in its list of held samples may have gone into memory meanwhile, without a frame that says so. A checkpoint of this memory must not be read beside it.
    // Where checkpoints are written: never while a save runs.
    private void RemoveStaleHead()
    {
        if (!_isHeadStale)
            return;
        SavedHeadFile.Remove(_disk, _options.Folder);
        _isHeadStale = false;
    }

    // Before the log is read. The head that is not used stays until it is replaced or a checkpoint follows.
    private HeadLoader? OpenSaved(byte[]? checkpoint)
    {
        RemoveUnfinishedHead();
        HeadLoader? saved = HeadLoader.TryOpen(_disk, _options.Folder, out string? damage);
        _damagedHead = damage is not null;
        if (damage is not null)
            LogSavedDamaged(_log, damage);
        if (saved is not null && checkpoint is not null && _checkpoint.Number > saved.CheckpointNumber && !CheckpointFile.IsOfProgramWithSavedHeads(checkpoint))
        {
            LogSavedPassed(_log);
            saved.Dispose();
            return null;
        }
        // The tap must hear of every sample again that it does not hold: only the log tells which came when.
        if (saved is not null && _tap is not null && _tap.HeldTo < saved.Told)
        {
            saved.Dispose();
            return null;
        }
        return saved;
    }

    private bool TryLoadSaved(HeadLoader saved, BatchFrameReader batches)
    {
        // A checkpoint behind it says that what was older stands in files since; else that stands in files of which none was dropped from this head.
        long cutMs = saved.Next <= _checkpoint.Next ? _checkpoint.BoundaryMs : long.MinValue;
        long goneMs = _head.ClosedMs == long.MinValue ? _head.OldestTakenMs : Math.Max(_head.OldestTakenMs, _head.ClosedMs + 1);
        _index.Gate.EnterWriteLock();
        try
        {
            saved.Load(_head, new SavedBounds(cutMs, goneMs), (long)_options.Partition.TotalMilliseconds, _ledger, batches);
            _head.Restored(saved.OldestMs, saved.NewestMs, saved.Next <= _checkpoint.Next ? 0 : saved.BehindBoundary);
            return true;
        }
        catch (Exception e) when (e is IOException or InvalidDataException or ArgumentException)
        {
            _index.Clear();
            _head.Pools.Clear();
            _damagedHead = true;
            LogSavedDamaged(_log, e.Message);
            return false;
        }
        finally
        {
            _index.Gate.ExitWriteLock();
        }
    }

    [LoggerMessage(EventId = 5747, Level = LogLevel.Error, Message = "the head could not be saved; a restart would replay more of the log; it will be tried again")]
    private static partial void LogSaveFailed(ILogger log, Exception error);

    [LoggerMessage(EventId = 5749, Level = LogLevel.Information, Message = "an older version ran on this store since the head was saved: the log is replayed instead")]
    private static partial void LogSavedPassed(ILogger log);

    [LoggerMessage(EventId = 5748, Level = LogLevel.Error, Message = "the saved head is damaged ({Damage}): the log is replayed instead, nothing is lost")]
    private static partial void LogSavedDamaged(ILogger log, string damage);
}
