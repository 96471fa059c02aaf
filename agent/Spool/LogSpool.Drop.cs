using Bellwether.Agent.Stream;
using Bellwether.Core.Codec;

namespace Bellwether.Agent.Spool;

// What gives way, and the count of it.
internal sealed partial class LogSpool
{
    /// <summary>The disk fails and memory is full: what waits is given up, counted, and the live segment ends before it.</summary>
    private void DiscardWaiting()
    {
        _log.DiscardPending();
        foreach (SpoolSegment segment in _segments)
        {
            if (segment.Waiting > 0 && segment.Facts is { } facts)
            {
                for (int i = (int)segment.Records; i < facts.Count; i++)
                {
                    segment.TakeOut(facts[i]);
                    // Never in a record that the disk has: as if it had not been spooled.
                    _ledger[facts[i].Account].Spooled -= facts[i].Samples;
                    _ledger[facts[i].Account].Early += facts[i].Samples;
                    CountDrop(facts[i].Account, SpoolDropReasons.Disk, facts[i].Samples, facts[i].TimestampMs, facts[i].TimestampMs);
                }
                facts.RemoveRange((int)segment.Records, facts.Count - (int)segment.Records);
            }
            segment.Closed |= segment.Waiting > 0 || ReferenceEquals(segment, _live);
            segment.Discard();
        }
        _live = null;
        _segments.RemoveAll(s => s.Records == 0);
    }

    private SpoolAppend DropTick(SourceTick tick, string reason, SpoolAppend outcome)
    {
        CloseLive(); // a tick is coded against the one before: the next cannot build on this one
        int account = _ledger.IndexOf(tick.Table.Name);
        long samples = tick.PresentCount + tick.Timed.Count + tick.Histograms.Count;
        _ledger[account].Early += samples;
        CountDrop(account, reason, samples, tick.TimestampMs, tick.TimestampMs);
        return outcome;
    }

    private void MakeRoom(int bytes)
    {
        while (!_share.HasRoom(bytes) && _options.WhenFull != SpoolPolicy.RefuseNew && _share.DropFor(this, SpoolDropReasons.Size))
        {
        }
    }

    private void DropAged()
    {
        long limit = _age.NowMs - (long)_options.AgeMax.TotalMilliseconds;
        while (_segments.Find(s => s.Locked is null) is { Closed: true, Records: > 0 } oldest && oldest.NewestMs < limit && DropOldest(SpoolDropReasons.Age))
        {
        }
    }

    /// <summary>Drops the oldest closed segment, counting its samples by source; false when there is none, or when the disk does not take the count of it.</summary>
    internal bool DropOldest(string reason)
    {
        // What gave way before must be written down first: until then its files stay, and dropping more makes no room.
        if (_stateDirty)
            SaveState();
        if (_stateDirty)
            return false;
        if (FreeFiles() > 0)
            return true;
        SpoolSegment? oldest = _segments.Find(s => s.Closed && s.Waiting == 0 && s.Locked is null);
        if (oldest is null)
            return false;
        // What may have arrived and cannot be asked for, since its records cannot be read, is counted as what cannot be read.
        CountRest(oldest, Remember(oldest, reason) ? reason : SpoolDropReasons.Damaged);
        Remove(oldest);
        SaveState();
        FreeFiles();
        return !_stateDirty;
    }

    /// <summary>What may have been sent may have arrived: the aggregator is asked for it at the next hello. False: the disk does not say what it was.</summary>
    private bool Remember(SpoolSegment segment, string reason)
    {
        if (!segment.MayBeSent || segment.OpenRecords == 0)
            return true;
        List<RecordFact> facts = segment.Facts ?? ReadFacts(segment, segment.Records);
        if ((ulong)facts.Count < segment.Records)
            return false;
        _state.Dropped.Add(new DroppedSegment(segment.Id, reason, segment.Acknowledged, facts[(int)segment.Acknowledged..]));
        while (_state.Dropped.Count > DroppedSegmentsMax || (_state.Dropped.Count > 1 && _state.Dropped.Sum(d => d.Rest.Count) > DroppedRecordsMax))
            _state.Dropped.RemoveAt(0);
        return true;
    }

    /// <summary>The aggregator has records of a segment that was dropped: they were not lost.</summary>
    private void NoteArrived(SegmentRef id, ulong records, bool complete)
    {
        if (_state.Dropped.Find(d => d.Id == id) is not { } dropped)
            return;
        ulong arrived = complete ? (ulong)dropped.Rest.Count : Math.Min((ulong)dropped.Rest.Count, records > dropped.Acknowledged ? records - dropped.Acknowledged : 0);
        foreach (RecordFact fact in dropped.Rest.Take((int)arrived))
        {
            Dictionary<string, long> counts = _ledger[fact.Account].Arrived;
            counts[dropped.Reason] = counts.GetValueOrDefault(dropped.Reason) + fact.Samples;
        }
        dropped.Rest.RemoveRange(0, (int)arrived);
        dropped.Acknowledged += arrived;
        if (dropped.Rest.Count == 0)
            _state.Dropped.Remove(dropped);
        if (arrived == 0)
            return;
        _stateDirty = true;
        SaveState();
    }

    /// <summary>Counts what of a segment was not acknowledged as dropped.</summary>
    private void CountRest(SpoolSegment segment, string reason)
    {
        foreach ((int account, SourceSpan span) in segment.Sources)
            CountDrop(account, reason, span.Samples, span.FromMs, span.ToMs);
        segment.Sources.Clear();
    }

    /// <summary>Ends a segment before a record that cannot be read any more; what stands behind cannot be decoded without it.</summary>
    private void CutDamaged(SpoolSegment segment, ulong records)
    {
        _damaged++;
        if (ReferenceEquals(segment, _live))
            CloseLive();
        CountDamaged(segment, records);
        segment.Records = records;
        segment.Acknowledged = Math.Min(segment.Acknowledged, records);
        segment.Closed = true;
        if (records == 0)
            Remove(segment);
        SaveState();
        FreeFiles();
    }

    /// <summary>Counts what stands behind the last record that can be read.</summary>
    private void CountDamaged(SpoolSegment segment, ulong readable)
    {
        List<RecordFact> facts = segment.Facts ?? ReadFacts(segment, readable);
        var kept = new Dictionary<int, SourceSpan>();
        for (ulong i = segment.Acknowledged; i < readable && i < (ulong)facts.Count; i++)
            kept[facts[(int)i].Account] = kept.GetValueOrDefault(facts[(int)i].Account).Plus(facts[(int)i].Samples, facts[(int)i].TimestampMs);
        foreach ((int account, SourceSpan span) in segment.Sources)
        {
            SourceSpan rest = kept.GetValueOrDefault(account);
            CountDrop(account, SpoolDropReasons.Damaged, span.Samples - rest.Samples, rest.Samples == 0 ? span.FromMs : Math.Min(span.ToMs, rest.ToMs + 1), span.ToMs);
        }
        segment.Sources.Clear();
        foreach ((int account, SourceSpan span) in kept)
            segment.Sources[account] = span;
        segment.Facts = null;
    }

    private void CountDrop(int account, string reason, long samples, long fromMs, long toMs)
    {
        if (samples <= 0)
            return;
        Dictionary<string, DropCount> dropped = _ledger[account].Dropped;
        dropped[reason] = dropped.GetValueOrDefault(reason).Plus(samples, fromMs, toMs);
        Volatile.Write(ref _droppedSamples, _droppedSamples + samples);
        _stateDirty = true;
    }
}
