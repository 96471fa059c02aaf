using Bellwether.Store.Blocks;
using Bellwether.Store.Head;
using Bellwether.Store.Wal;

namespace Bellwether.Store;

// Steps 4 to 6 of the flow in the class comment. A cut has four parts: begin (the writer), write files and checkpoint (beside it, at any length), publish (the writer, short), drop what the files
// hold from memory (the writer, some series at a time). Until the last part the samples stand in memory and in files: reading takes them once.
public sealed partial class StoreEngine
{
    /// <summary>Series that are looked at under the head's lock at once.</summary>
    internal int SeriesPerStep { get; set; } = 4096;

    private static readonly TimeSpan s_lateCutInterval = TimeSpan.FromMinutes(1);
    private readonly SampleGather _cutGather = new();
    private readonly SeriesOrder _order = new();
    private CutJob? _cut;
    private long? _lastLateCut;

    /// <summary>Writes the files of a cut and its checkpoint. May run beside the writer; one at a time. What fails is noted in the cut.</summary>
    internal void WriteCut(CutJob cut, CancellationToken cancellation)
    {
        try
        {
            List<HeadSeries> due = SeriesBefore(cut);
            cut.Series = due.Count;
            WritePartitions(due, cut, cancellation);
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
            // The other of the two files says the same, so that the log before it may go at once: damage of one costs nothing.
            _checkpoints.Write(cut.Second, CheckpointFile.Renumbered(cut.State, cut.Second));
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
            Adopt(cut.Second, cut.DropsLog);
            cut.IsDone = true;
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
            int end = Math.Min(cut.References, cut.NextDropped + SeriesPerStep);
            for (; cut.NextDropped < end; cut.NextDropped++)
            {
                if (_index.At((uint)cut.NextDropped) is not { } series)
                    continue;
                // What came since the begin may stand in no file: its partition stays, and goes into another file with the next cut.
                series.DropBefore(cut.BoundaryMs, _head.Pools, cut.Touched);
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
        _isHeadShrunk |= cut.Samples >= _options.SaveHeadSamples;
        if (cut.Written.Count > 0)
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
        long boundary = DueBoundaryMs();
        _head.BoundaryMs = boundary;
        bool isLate = IsHistoryDue() || (_head.Pools.LateSamples > _options.MaxLateSamples && (_lastLateCut is not { } last || _time.GetElapsedTime(last) >= s_lateCutInterval));
        if (!isLate && (boundary == _checkpoint.BoundaryMs || IsFirstHistory(boundary)))
            return null;
        if (isLate)
            _lastLateCut = _time.GetTimestamp();
        CutJob cut = BeginCut(boundary);
        cut.EndsMaintenance = true;
        return cut;
    }

    private long DueBoundaryMs()
    {
        long slot = (long)_options.Partition.TotalMilliseconds;
        long boundary = PartitionOf(_head.NowMs - (long)_options.PartitionGrace.TotalMilliseconds, slot);
        // A clock that was ahead and went back takes the boundary with it: nothing would be cut until the old time comes again, and the head would grow without bound.
        // A deletion or snapshot cut everything: the boundary is ahead by what samples may be, at most.
        bool isAhead = boundary < _checkpoint.BoundaryMs && _checkpoint.BoundaryMs - boundary <= slot + (long)(_options.PartitionGrace + _options.FutureBound).TotalMilliseconds;
        return isAhead ? _checkpoint.BoundaryMs : boundary;
    }

    private CutJob BeginCut(long boundaryMs)
    {
        Commit();
        Checkpoint checkpoint = NextCheckpoint(boundaryMs, out byte[] state);
        var cut = new CutJob { BoundaryMs = boundaryMs, Checkpoint = checkpoint, State = state, References = _index.NextReference, Behind = _head.BehindBoundary, Touched = new TouchedPartitions(_options.Partition) };
        HistoryCut();
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

    // All parts at once.
    private void CutNow(CutJob cut, Action? published = null)
    {
        WriteCut(cut, CancellationToken.None);
        PublishCut(cut);
        if (cut.Problem is null)
            published?.Invoke();
        while (DropCut(cut))
        {
        }
        if (cut.Problem is { } problem)
            throw problem;
    }

    // By labels. Those that the cut before had are in order already.
    private List<HeadSeries> SeriesBefore(CutJob cut)
    {
        var due = new List<HeadSeries>();
        HeadSeries[] all = _order.Of(_index, cut.References, SeriesPerStep);
        for (int from = 0; from < all.Length; from += SeriesPerStep)
        {
            _index.Gate.EnterReadLock();
            try
            {
                foreach (HeadSeries series in all.AsSpan(from, Math.Min(SeriesPerStep, all.Length - from)))
                {
                    if (NotePartitions(series, cut))
                        due.Add(series);
                }
            }
            finally
            {
                _index.Gate.ExitReadLock();
            }
        }
        return due;
    }

    // Late data may reach far back: only partitions in which something lies are visited.
    private bool NotePartitions(HeadSeries series, CutJob cut)
    {
        long slotMs = (long)_options.Partition.TotalMilliseconds, oldest = series.OldestMs;
        for (long at = oldest; at < cut.BoundaryMs;)
        {
            long partition = PartitionOf(at, slotMs);
            cut.Partitions.Add(partition);
            at = series.FirstAtOrAfter(partition + slotMs);
        }
        return oldest < cut.BoundaryMs;
    }

    private void WritePartitions(List<HeadSeries> due, CutJob cut, CancellationToken cancellation)
    {
        long slotMs = (long)_options.Partition.TotalMilliseconds;
        foreach (long partition in cut.Partitions)
        {
            long last = Math.Min(partition + slotMs, cut.BoundaryMs) - 1;
            using BlockWriter writer = _blocks.Begin(partition);
            foreach (HeadSeries series in due)
            {
                cancellation.ThrowIfCancellationRequested();
                Gather(series, partition, last);
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
        }
    }

    private void Gather(HeadSeries series, long fromMs, long toMs)
    {
        _cutGather.Begin();
        _index.Gate.EnterReadLock();
        try
        {
            series.Read(fromMs, toMs, _cutGather);
        }
        finally
        {
            _index.Gate.ExitReadLock();
        }
    }

    private Checkpoint NextCheckpoint(long boundaryMs, out byte[] state)
    {
        // Frames that the checkpoint covers share no group, no file and no dictionary with those behind it, so that nothing else keeps them.
        _wal.SkipTo(WalLedger.GroupFrom(_wal.Next));
        _records.DropLedgerBefore(_head.NowMs - (long)_options.Retention.TotalMilliseconds);
        var checkpoint = new Checkpoint(_checkpoint.Number + 1, _wal.Next, boundaryMs);
        state = CheckpointFile.Build(checkpoint, _records, _head);
        // A dictionary that goes on would keep the log back to its beginning.
        _batches.Forget();
        return checkpoint;
    }

    // Both files hold it.
    private void Adopt(Checkpoint checkpoint, bool dropsLog)
    {
        Checkpoint before = _checkpoint;
        _checkpoint = checkpoint;
        Volatile.Write(ref _checkpointedMs, _head.NowMs);
        // Agents go on with their open segments; those that are idle since the checkpoint before are sent again from their start.
        ulong open = dropsLog ? checkpoint.Next : Math.Max(_records.FirstNeeded(checkpoint.Next), Math.Min(before.Next, checkpoint.Next));
        ulong needed = Math.Min(open, _ledger.FirstNeeded(checkpoint.BoundaryMs, checkpoint.Next));
        _records.LogFreedBelow(needed);
        _wal.FreeBelow(needed);
        _ledger.Forget(needed);
    }

    private static long PartitionOf(long timeMs, long slotMs) => (timeMs / slotMs * slotMs) - (timeMs < 0 && timeMs % slotMs != 0 ? slotMs : 0);
}
