using Bellwether.Store.Blocks;
using Bellwether.Store.Head;
using Bellwether.Store.Wal;

namespace Bellwether.Store;

// Steps 4 to 6 of the flow in the class comment. A cut has four parts: begin (the writer), write files and checkpoint (beside it, at any length), publish (the writer, short), drop what the files
// hold from memory (the writer, some series at a time). Until the last part the samples stand in memory and in files: reading takes them once.
public sealed partial class StoreEngine
{
    /// <summary>Fewer samples of cut partitions wait in the head for the next cut.</summary>
    private const long HistoryAtRest = 10_000;

    /// <summary>Series that are looked at under the head's lock at once.</summary>
    internal int SeriesPerStep { get; set; } = 4096;

    private static readonly TimeSpan s_lateCutInterval = TimeSpan.FromMinutes(1);
    private readonly SampleGather _cutGather = new();
    private CutJob? _cut;
    private long _behindBefore;
    private long? _lastLateCut;

    /// <summary>History comes faster than the cut under way writes it: nothing more should be taken until its files are written, or memory would grow without bound.</summary>
    internal bool IsCutOverrun => _cut is not null && _head.BehindBoundary > 2L * _options.MaxLateSamples;

    /// <summary>Writes the files of a cut and its checkpoint. May run beside the writer; one at a time. What fails is noted in the cut.</summary>
    internal void WriteCut(CutJob cut, CancellationToken cancellation)
    {
        try
        {
            List<HeadSeries> due = SeriesBefore(cut, out long oldestMs);
            cut.Series = due.Count;
            due.Sort(static (a, b) => a.Labels.CompareTo(b.Labels));
            WritePartitions(due, oldestMs, cut, cancellation);
        }
        catch (Exception e) when (e is IOException or OperationCanceledException)
        {
            foreach (BlockFile file in cut.Written)
                _blocks.Discard(file);
            cut.Written.Clear();
            cut.Failed = e;
            return;
        }
        try
        {
            RemoveStaleHead();
            _checkpoints.Write(cut.Checkpoint, cut.State);
        }
        catch (IOException e)
        {
            cut.CheckpointFailed = e;
        }
    }

    /// <summary>Puts the files of a cut among those that are read, and lets the log before them go. The writer's thread.</summary>
    internal void PublishCut(CutJob cut)
    {
        if (cut.Failed is { } error)
        {
            _head.BehindBoundary += cut.Behind;
            EndCut();
            NoteFailedCut(error);
            return;
        }
        _index.Gate.EnterWriteLock();
        try
        {
            _blocks.AddLocked(cut.Written);
        }
        finally
        {
            _index.Gate.ExitWriteLock();
        }
        try
        {
            if (cut.CheckpointFailed is { } failed)
                throw failed;
            Adopt(cut.Checkpoint);
        }
        catch (IOException e)
        {
            // The log stays as long as it is: the next cut tries it again.
            cut.EndsMaintenance = false;
            NoteFailedCut(e);
        }
    }

    /// <summary>Drops from memory what the files of a cut hold, of some series. False: all is done. The writer's thread.</summary>
    internal bool DropCut(CutJob cut)
    {
        if (cut.Failed is not null)
            return false;
        _index.Gate.EnterWriteLock();
        try
        {
            long slot = (long)_options.Partition.TotalMilliseconds;
            int end = Math.Min(cut.References, cut.NextDropped + SeriesPerStep);
            for (; cut.NextDropped < end; cut.NextDropped++)
            {
                if (_index.At((uint)cut.NextDropped) is not { } series)
                    continue;
                // What came since the begin stands in no file: its partition stays, and goes into another file with the next cut.
                long before = cut.Touched.TryGetValue(series, out long touchedMs) ? Math.Min(cut.BoundaryMs, PartitionOf(touchedMs, slot)) : cut.BoundaryMs;
                series.DropBefore(before, _head.Pools);
                cut.OldestMs = Math.Min(cut.OldestMs, series.OldestMs);
                if (series.IsEmpty)
                    cut.Empty.Add(series);
            }
            if (cut.NextDropped < cut.References)
                return true;
            _index.Remove(cut.Empty.FindAll(static s => s.IsEmpty));
            _head.CutEnded(cut.OldestMs);
            _head.Pools.ForgetColumns();
        }
        finally
        {
            _index.Gate.ExitWriteLock();
        }
        EndCut();
        LogCut(_log, cut.Written.Count, cut.Samples, cut.Series, _index.Count);
        if (cut.EndsMaintenance)
            TryEndMaintain();
        return false;
    }

    private void TryEndMaintain()
    {
        try
        {
            EndMaintain();
        }
        catch (IOException e)
        {
            NoteFailedCut(e);
        }
    }

    private CutJob? BeginCutIfDue()
    {
        if (_cut is not null || _saver is not null)
            return null;
        long slot = (long)_options.Partition.TotalMilliseconds;
        long boundary = PartitionOf(_head.NowMs - (long)_options.PartitionGrace.TotalMilliseconds, slot);
        // A clock that was ahead and went back takes the boundary with it: nothing would be cut until the old time comes again, and the head would grow without bound.
        // A deletion or snapshot cut everything: the boundary is ahead by what samples may be, at most.
        if (boundary < _checkpoint.BoundaryMs && _checkpoint.BoundaryMs - boundary <= slot + (long)(_options.PartitionGrace + _options.FutureBound).TotalMilliseconds)
            boundary = _checkpoint.BoundaryMs;
        _head.BoundaryMs = boundary;
        bool isLate = IsHistoryLoaded() || (_head.Pools.LateSamples > _options.MaxLateSamples && (_lastLateCut is not { } last || _time.GetElapsedTime(last) >= s_lateCutInterval));
        if (boundary == _checkpoint.BoundaryMs && !isLate)
            return null;
        if (isLate)
            _lastLateCut = _time.GetTimestamp();
        CutJob cut = BeginCut(boundary, null);
        cut.EndsMaintenance = true;
        return cut;
    }

    /// <summary>
    /// History that is loaded in order is not late for its series, but it belongs into files all the same: at once when there is much of it, and the rest when no more comes.
    /// </summary>
    private bool IsHistoryLoaded()
    {
        long behind = _head.BehindBoundary;
        bool isAtRest = behind == _behindBefore && behind > HistoryAtRest;
        _behindBefore = behind;
        return isAtRest || behind > _options.MaxLateSamples;
    }

    private CutJob BeginCut(long boundaryMs, SeriesDeletion? deletion)
    {
        Commit();
        Checkpoint checkpoint = NextCheckpoint(boundaryMs, out byte[] state);
        var cut = new CutJob { BoundaryMs = boundaryMs, Checkpoint = checkpoint, State = state, References = _index.NextReference, Deletion = deletion, Behind = _head.BehindBoundary };
        _head.BehindBoundary = 0;
        _index.Gate.EnterWriteLock();
        try
        {
            _head.CutBegins();
        }
        finally
        {
            _index.Gate.ExitWriteLock();
        }
        _head.Cut = cut;
        return _cut = cut;
    }

    private void EndCut() => _cut = _head.Cut = null;

    // All at once, when nothing may come between.
    private void CutNow(long boundaryMs, SeriesDeletion? deletion)
    {
        if (_cut is not null || _saver is not null)
            throw new InvalidOperationException("a cut or a save is under way; the caller has to wait for its end");
        CutJob cut = BeginCut(boundaryMs, deletion);
        WriteCut(cut, CancellationToken.None);
        if (cut.Failed is IOException error)
        {
            _head.BehindBoundary += cut.Behind;
            EndCut();
            throw error;
        }
        PublishCut(cut);
        while (DropCut(cut))
        {
        }
        if (cut.CheckpointFailed is { } failed)
            throw failed;
    }

    private List<HeadSeries> SeriesBefore(CutJob cut, out long oldestMs)
    {
        oldestMs = long.MaxValue;
        var due = new List<HeadSeries>();
        for (int from = 0; from < cut.References; from += SeriesPerStep)
        {
            _index.Gate.EnterReadLock();
            try
            {
                for (int i = from; i < Math.Min(cut.References, from + SeriesPerStep); i++)
                {
                    if (_index.At((uint)i) is not { } series || series.OldestMs >= cut.BoundaryMs)
                        continue;
                    due.Add(series);
                    oldestMs = Math.Min(oldestMs, series.OldestMs);
                }
            }
            finally
            {
                _index.Gate.ExitReadLock();
            }
        }
        return due;
    }

    private void WritePartitions(List<HeadSeries> due, long oldestMs, CutJob cut, CancellationToken cancellation)
    {
        long slotMs = (long)_options.Partition.TotalMilliseconds;
        // Late data may reach far back: only partitions in which something lies are visited.
        long at = oldestMs;
        while (at < cut.BoundaryMs)
        {
            long partition = PartitionOf(at, slotMs);
            long last = Math.Min(partition + slotMs, cut.BoundaryMs) - 1;
            long next = long.MaxValue;
            using BlockWriter writer = _blocks.Begin(partition);
            foreach (HeadSeries series in due)
            {
                cancellation.ThrowIfCancellationRequested();
                next = Math.Min(next, Gather(series, partition, last, cut.Deletion));
                _cutGather.Resolve();
                if (_cutGather.Count == 0)
                    continue;
                writer.Add(series.Labels, _cutGather);
                cut.Samples += _cutGather.Count;
            }
            if (writer.Count > 0)
            {
                writer.Finish();
                cut.Written.Add(_blocks.Open(writer.Name));
            }
            at = next;
        }
    }

    // Gives where the series goes on behind the partition.
    private long Gather(HeadSeries series, long fromMs, long toMs, SeriesDeletion? deletion)
    {
        _cutGather.Begin();
        _index.Gate.EnterReadLock();
        try
        {
            if (deletion?.Matches(series.Labels) == true)
                deletion.ReadRest(series, fromMs, toMs, _cutGather);
            else
                series.Read(fromMs, toMs, _cutGather);
            return series.FirstAtOrAfter(toMs + 1);
        }
        finally
        {
            _index.Gate.ExitReadLock();
        }
    }

    // The log stays back to the checkpoint before, in case this one is found damaged.
    private void WriteCheckpoint(long boundaryMs)
    {
        Checkpoint checkpoint = NextCheckpoint(boundaryMs, out byte[] state);
        RemoveStaleHead();
        _checkpoints.Write(checkpoint, state);
        Adopt(checkpoint);
    }

    private Checkpoint NextCheckpoint(long boundaryMs, out byte[] state)
    {
        _records.DropLedgerBefore(_head.NowMs - (long)_options.Retention.TotalMilliseconds);
        var checkpoint = new Checkpoint(_checkpoint.Number + 1, _wal.Next, boundaryMs);
        state = CheckpointFile.Build(checkpoint, _records, _head);
        // A dictionary that goes on would keep the log back to its beginning.
        _batches.Forget();
        return checkpoint;
    }

    private void Adopt(Checkpoint checkpoint)
    {
        Checkpoint before = _checkpoint;
        _checkpoint = checkpoint;
        Volatile.Write(ref _checkpointedMs, _head.NowMs);
        ulong needed = _ledger.FirstNeeded(checkpoint.BoundaryMs, Math.Min(checkpoint.Next, before.Next));
        _records.LogFreedBelow(needed);
        _wal.FreeBelow(needed);
        _ledger.Forget(needed);
    }

    private static long PartitionOf(long timeMs, long slotMs) => (timeMs / slotMs * slotMs) - (timeMs < 0 && timeMs % slotMs != 0 ? slotMs : 0);
}
