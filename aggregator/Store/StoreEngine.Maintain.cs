using Bellwether.Core.Model;
using Bellwether.Core.Platform;
using Bellwether.Core.Telemetry;
using Bellwether.Store.Blocks;
using Bellwether.Store.Head;
using Microsoft.Extensions.Logging;

namespace Bellwether.Store;

// What is due by time. Steps of the flow in the class comment: 4 cut, 5 checkpoint, 6 drop.
public sealed partial class StoreEngine
{
    private const long ClockAheadMs = 24L * 3600 * 1000;
    private bool _isClockAhead;
    private long _heldDroppedTold;
    private long _aheadRunsTold;
    private bool _isHoldFull;
    private readonly RepeatedLines<(SeriesLimit, string)> _refusalLines;

    /// <summary>Unix ms of the last maintenance that went through; 0: none yet. Thread-safe.</summary>
    public long MaintainedMs => Volatile.Read(ref _maintainedMs);

    // A file of the log that takes longer than so many intervals to fill is not worth a spare.
    private const int SlowFilePaces = 20;
    private static readonly TimeSpan s_paceInterval = TimeSpan.FromSeconds(30);
    private long _paceSince;
    private long _paceBytes;
    private long _maintainedMs;
    private long _checkpointedMs;
    private long _failedCuts;

    /// <summary>Unix ms of the last checkpoint since the store was opened; 0: none yet. Thread-safe.</summary>
    public long CheckpointedMs => Volatile.Read(ref _checkpointedMs);

    /// <summary>Cuts that failed (full disk, mostly) and are tried again. Thread-safe.</summary>
    public long FailedCuts => Volatile.Read(ref _failedCuts);

    /// <summary>Does what is due now: samples whose time has come, partitions that are over, retention. A full disk is survived: it is tried again.</summary>
    public void Maintain()
    {
        if (BeginMaintain() is { } cut)
        {
            WriteCut(cut, CancellationToken.None);
            PublishCut(cut);
            while (DropCut(cut))
            {
            }
        }
        if (IsSaveDue)
            TrySaveHead();
    }

    private void TrySaveHead()
    {
        try
        {
            SaveHead();
        }
        catch (IOException e)
        {
            NoteFailedCut(e);
        }
    }

    /// <summary>
    /// As <see cref="Maintain"/>, but what is to be cut into chunk files is only begun: <see cref="WriteCut"/> may run beside the writer then, and <see cref="PublishCut"/> and
    /// <see cref="DropCut"/> follow on the writer's thread, with anything between them. Null: nothing is to be cut, or a cut is under way.
    /// </summary>
    internal CutJob? BeginMaintain(bool mayCut = true)
    {
        TakeTime();
        WatchClock();
        ReleaseHeld();
        WatchHold();
        WatchLimits();
        WatchLog();
        try
        {
            if (mayCut && BeginCutIfDue() is { } cut)
                return cut;
            if (mayCut)
                EndMaintain();
            return null;
        }
        catch (IOException e)
        {
            NoteFailedCut(e);
            return null;
        }
    }

    private void EndMaintain()
    {
        DropOld();
        _blocks.DeleteLeft();
        _blocks.TrimIndexes();
        Volatile.Write(ref _maintainedMs, _head.NowMs);
    }

    private void NoteFailedCut(Exception error)
    {
        // The store is being closed.
        if (error is OperationCanceledException)
            return;
        Interlocked.Increment(ref _failedCuts);
        LogCutFailed(_log, error);
    }

    // Files of the log that were freed are kept to be written over. Where it would take hours until one is needed they are only bytes on the disk.
    private void WatchLog()
    {
        if (_time.GetElapsedTime(_paceSince) < s_paceInterval)
            return;
        if ((_wal.AppendedBytes - _paceBytes) * SlowFilePaces < _options.WalFileBytes)
            _wal.ReleaseSpares();
        (_paceSince, _paceBytes) = (_time.GetTimestamp(), _wal.AppendedBytes);
    }

    private void WatchClock()
    {
        long aheadMs = _head.NowMs - _head.AgeNowMs;
        bool isAhead = aheadMs > (_isClockAhead ? ClockAheadMs / 24 : ClockAheadMs);
        if (isAhead && !_isClockAhead)
            LogClockAhead(_log, TimeSpan.FromMilliseconds(aheadMs), AgeClock.Pace);
        _isClockAhead = isAhead;
    }

    private void WatchHold()
    {
        if (_records.AheadRuns > _aheadRunsTold && !_isHoldFull)
        {
            _isHoldFull = true;
            LogHoldFull(_log, _options.FutureBound, _head.Held.Count);
        }
        else if (_isHoldFull && _head.Held.Count < _head.HeldMax / 2)
        {
            _isHoldFull = false;
            LogHoldHasRoom(_log, _head.Held.Count);
        }
        _aheadRunsTold = _records.AheadRuns;
        if (_head.HeldDropped == _heldDroppedTold)
            return;
        LogHeldDropped(_log, _head.HeldDropped - _heldDroppedTold, _options.FutureBound);
        _heldDroppedTold = _head.HeldDropped;
    }

    // One line a minute for each agent, job or metric; what a limit keeps out is in no other log.
    private void WatchLimits()
    {
        if (_head.UntoldRefusals.Count == 0)
            return;
        foreach (((SeriesLimit, string) key, (long count, string first)) in _head.UntoldRefusals)
        {
            if (!_refusalLines.IsDue(key, out _))
                continue;
            LogSeriesRefused(_log, count, first);
            _head.UntoldRefusals.Remove(key);
        }
    }

    private void DropOld()
    {
        long oldest = _head.AgeNowMs - (long)_options.LongestRetention.TotalMilliseconds;
        List<BlockFile> gone = [.. _blocks.Files.Where(f => f.Footer.MaxMs < oldest)];
        long excess = _options.RetentionBytes > 0 ? _blocks.Bytes - gone.Sum(f => f.Bytes) - _options.RetentionBytes : 0;
        foreach (BlockFile file in _blocks.Files.Except(gone).OrderBy(f => f.Footer.MaxMs).ToList())
        {
            if (excess <= 0)
                break;
            excess -= file.Bytes;
            gone.Add(file);
        }
        BlockFile? overdue = OverdueOnFullDisk();
        if (overdue is not null && gone.Count == 0)
            gone.Add(overdue);
        else
            overdue = null;
        if (gone.Count == 0)
            return;
        _index.Gate.EnterWriteLock();
        try
        {
            if (!_blocks.TryDropLocked(gone))
                return;
            _head.Changes.Note(long.MinValue);
        }
        finally
        {
            _index.Gate.ExitWriteLock();
        }
        if (overdue is not null)
            NoteDroppedEarly(overdue);
        LogDropped(_log, gone.Count, gone.Max(f => f.Footer.MaxMs));
    }

    // They go into the log again: the files with the records that brought them may be gone before the samples stand in chunk files.
    private void ReleaseHeld()
    {
        bool isMore = _head.Held.Count > 0;
        while (isMore && PendingBytes < _options.MaxGroupBytes)
        {
            _batches.Begin();
            _index.Gate.EnterWriteLock();
            try
            {
                ReleaseHeldLocked();
            }
            finally
            {
                _index.Gate.ExitWriteLock();
            }
            isMore = _batches.IsLarge;
            LogBatch();
        }
    }

    private void ReleaseHeldLocked()
    {
        int kept = 0;
        for (int i = 0; i < _head.Held.Count; i++)
        {
            HeldSample held = _head.Held[i];
            if (_batches.IsLarge || _head.Judge(held.TimeMs) == AppendOutcome.TooNew)
            {
                _head.Held[kept++] = held;
                continue;
            }
            if (_head.Resolve(held.Labels, out AppendOutcome refused, out _, held.Agent) is not { } series)
            {
                _head.Count(refused);
                continue;
            }
            AppendOutcome outcome = held.Histogram is { } histogram
                ? _head.Append(series, held.TimeMs, histogram, held.StartMs)
                : _head.Append(series, held.TimeMs, held.Value, held.StartMs);
            if (outcome is AppendOutcome.Stored or AppendOutcome.Conflict)
                _batches.Add(series, held.TimeMs, held.Value, held.Histogram, held.StartMs);
        }
        _head.Held.RemoveRange(kept, _head.Held.Count - kept);
    }

    [LoggerMessage(EventId = 5730, Level = LogLevel.Information, Message = "the store wrote {Files} chunk files with {Samples} samples of {Series} series; {Left} series are in memory")]
    private static partial void LogCut(ILogger log, int files, long samples, int series, int left);

    [LoggerMessage(EventId = 5731, Level = LogLevel.Error, Message = "the store could not write chunk files or its checkpoint; it will try again")]
    private static partial void LogCutFailed(ILogger log, Exception error);

    [LoggerMessage(EventId = 5733, Level = LogLevel.Warning, Message = "the clock is {Ahead} past the newest data: the store was down that long, or the clock is wrong; retention follows it at {Pace} times the pace of time only")]
    private static partial void LogClockAhead(ILogger log, TimeSpan ahead, int pace);

    [LoggerMessage(EventId = 5734, Level = LogLevel.Error, Message = "{Samples} samples of agents were dropped: they are more than {FutureBound} ahead of the clock, and have an explicit timestamp far ahead of their own scrape, or are of an agent whose clock was days ahead and is right by now")]
    private static partial void LogHeldDropped(ILogger log, long samples, TimeSpan futureBound);

    [LoggerMessage(EventId = 5735, Level = LogLevel.Error, Message = "agents send samples that are more than {FutureBound} ahead of the clock, and {Held} such samples wait already (StoreOptions.MaxHeldSamples): more are refused, the agents keep them and send them again; check the clocks of this host and of the agents")]
    private static partial void LogHoldFull(ILogger log, TimeSpan futureBound, int held);

    [LoggerMessage(EventId = 5736, Level = LogLevel.Information, Message = "samples that are ahead of the clock are taken again: {Held} wait")]
    private static partial void LogHoldHasRoom(ILogger log, int held);

    [LoggerMessage(EventId = 5737, Level = LogLevel.Error, Message = "new series were refused {Count} times, and their samples are not stored; series that are known go on. The first: {Reason}")]
    private static partial void LogSeriesRefused(ILogger log, long count, string reason);

    [LoggerMessage(EventId = 5732, Level = LogLevel.Information, Message = "the store deleted {Files} chunk files by retention; their newest sample was of {NewestMs}")]
    private static partial void LogDropped(ILogger log, int files, long newestMs);
}
