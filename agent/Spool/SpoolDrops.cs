using Bellwether.Agent.Stream;
using Bellwether.Core.Codec;
using Bellwether.Core.Platform;

namespace Bellwether.Agent.Spool;

/// <summary>What gives way, and the count of it. Not thread-safe: the spool's lock covers it.</summary>
/// <param name="books">What is held.</param>
/// <param name="writer">Ends the live segment where that must be.</param>
/// <param name="options">Bounds.</param>
/// <param name="clock">The clock.</param>
internal sealed class SpoolDrops(SpoolBooks books, SpoolWriter writer, SpoolOptions options, TimeProvider clock)
{
    /// <summary>Dropped segments that are remembered because they may have arrived: more than the window of a session holds, also where a failing disk made them short.</summary>
    private const int DroppedSegmentsMax = 256;

    private const int DroppedRecordsMax = 16_384;

    private readonly AgeClock _age = new(clock, books.FoundNewestMs);
    private long _damaged = books.Log.Report.Lost.Count;

    /// <summary>Damaged places met, those of opening included. Any thread.</summary>
    public long Damaged => Volatile.Read(ref _damaged);

    /// <summary>A tick that could not be taken: counted, and nothing is coded against it.</summary>
    public SpoolAppend DropTick(SourceTick tick, string reason, SpoolAppend outcome)
    {
        writer.CloseLive(); // a tick is coded against the one before: the next cannot build on this one
        int account = books.Ledger.IndexOf(tick.Table.Name);
        long samples = tick.PresentCount + tick.Timed.Count + tick.Histograms.Count;
        books.Ledger[account].Early += samples;
        books.CountDrop(account, reason, samples, tick.TimestampMs, tick.TimestampMs);
        return outcome;
    }

    /// <summary>Drops what is beyond the age bound.</summary>
    public void DropAged()
    {
        long limit = _age.NowMs - (long)options.AgeMax.TotalMilliseconds;
        while (books.Segments.Find(s => s.Locked is null) is { Closed: true, Records: > 0 } oldest && oldest.NewestMs < limit && DropOldest(SpoolDropReasons.Age))
        {
        }
    }

    /// <summary>Drops the oldest closed segment, counting its samples by source; false when there is none, or when the disk does not take the count of it.</summary>
    public bool DropOldest(string reason)
    {
        // What gave way before must be written down first: until then its files stay, and dropping more makes no room.
        if (books.IsDirty)
            books.Save();
        if (books.IsDirty)
            return false;
        if (books.FreeFiles() > 0)
            return true;
        SpoolSegment? oldest = books.Segments.Find(s => s.Closed && s.Waiting == 0 && s.Locked is null);
        if (oldest is null)
            return false;
        // What may have arrived and cannot be asked for, since its records cannot be read, is counted as what cannot be read.
        CountRest(oldest, Remember(oldest, reason) ? reason : SpoolDropReasons.Damaged);
        books.Remove(oldest);
        books.Save();
        books.FreeFiles();
        return !books.IsDirty;
    }

    /// <summary>What may have been sent may have arrived: the aggregator is asked for it at the next hello. False: the disk does not say what it was.</summary>
    private bool Remember(SpoolSegment segment, string reason)
    {
        if (!segment.MayBeSent || segment.OpenRecords == 0)
            return true;
        List<RecordFact> facts = segment.Facts ?? books.ReadFacts(segment, segment.Records);
        if ((ulong)facts.Count < segment.Records)
            return false;
        books.State.Dropped.Add(new DroppedSegment(segment.Id, reason, segment.Acknowledged, facts[(int)segment.Acknowledged..]));
        while (books.State.Dropped.Count > DroppedSegmentsMax || (books.State.Dropped.Count > 1 && books.State.Dropped.Sum(d => d.Rest.Count) > DroppedRecordsMax))
            books.State.Dropped.RemoveAt(0);
        return true;
    }

    /// <summary>The aggregator has records of a segment that was dropped: they were not lost.</summary>
    public void NoteArrived(SegmentRef id, ulong records, bool complete)
    {
        if (books.State.Dropped.Find(d => d.Id == id) is not { } dropped)
            return;
        ulong arrived = complete ? (ulong)dropped.Rest.Count : Math.Min((ulong)dropped.Rest.Count, records > dropped.Acknowledged ? records - dropped.Acknowledged : 0);
        foreach (RecordFact fact in dropped.Rest.Take((int)arrived))
        {
            Dictionary<string, long> counts = books.Ledger[fact.Account].Arrived;
            counts[dropped.Reason] = counts.GetValueOrDefault(dropped.Reason) + fact.Samples;
        }
        dropped.Rest.RemoveRange(0, (int)arrived);
        dropped.Acknowledged += arrived;
        if (dropped.Rest.Count == 0)
            books.State.Dropped.Remove(dropped);
        if (arrived == 0)
            return;
        books.Change();
        books.Save();
    }

    /// <summary>Counts what of a segment was not acknowledged as dropped.</summary>
    private void CountRest(SpoolSegment segment, string reason)
    {
        foreach ((int account, SourceSpan span) in segment.Sources)
            books.CountDrop(account, reason, span.Samples, span.FromMs, span.ToMs);
        segment.Sources.Clear();
    }

    /// <summary>Ends a segment before a record that cannot be read any more; what stands behind cannot be decoded without it.</summary>
    public void CutDamaged(SpoolSegment segment, ulong records)
    {
        Volatile.Write(ref _damaged, _damaged + 1);
        if (ReferenceEquals(segment, writer.Live))
            writer.CloseLive();
        CountDamaged(segment, records);
        segment.Records = records;
        segment.Acknowledged = Math.Min(segment.Acknowledged, records);
        segment.Closed = true;
        if (records == 0)
            books.Remove(segment);
        books.Save();
        books.FreeFiles();
    }

    /// <summary>Counts what stands behind the last record that can be read.</summary>
    private void CountDamaged(SpoolSegment segment, ulong readable)
    {
        List<RecordFact> facts = segment.Facts ?? books.ReadFacts(segment, readable);
        var kept = new Dictionary<int, SourceSpan>();
        for (ulong i = segment.Acknowledged; i < readable && i < (ulong)facts.Count; i++)
            kept[facts[(int)i].Account] = kept.GetValueOrDefault(facts[(int)i].Account).Plus(facts[(int)i].Samples, facts[(int)i].TimestampMs);
        foreach ((int account, SourceSpan span) in segment.Sources)
        {
            SourceSpan rest = kept.GetValueOrDefault(account);
            books.CountDrop(account, SpoolDropReasons.Damaged, span.Samples - rest.Samples, rest.Samples == 0 ? span.FromMs : Math.Min(span.ToMs, rest.ToMs + 1), span.ToMs);
        }
        segment.Sources.Clear();
        foreach ((int account, SourceSpan span) in kept)
            segment.Sources[account] = span;
        segment.Facts = null;
    }
}
