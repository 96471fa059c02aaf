using Bellwether.Agent.Stream;
using Bellwether.Core.Codec;
using Bellwether.Core.Durable;

namespace Bellwether.Agent.Spool;

// What is held, and reading it.
internal sealed partial class LogSpool
{
    /// <inheritdoc/>
    public void ListLedger(List<SourceLedger> into, IReadOnlySet<SegmentRef>? carried = null)
    {
        into.Clear();
        lock (_gate)
        {
            SourceSpan[] held = Held(carried);
            for (int i = 0; i < held.Length; i++)
            {
                SpoolLedger.Account account = _ledger[i];
                into.Add(new SourceLedger(account.Name, account.Spooled + account.Early, account.Spooled, held[i], [.. account.Lost]));
            }
        }
    }

    /// <summary>What is held, by account, but for what is in the segments of <paramref name="carried"/>.</summary>
    private SourceSpan[] Held(IReadOnlySet<SegmentRef>? carried = null)
    {
        var held = new SourceSpan[_ledger.Accounts.Count];
        foreach (SpoolSegment segment in _segments)
        {
            if (carried?.Contains(segment.Id) ?? false)
                continue;
            foreach ((int account, SourceSpan span) in segment.Sources)
            {
                SourceSpan known = held[account];
                held[account] = known.Samples == 0 ? span : new SourceSpan(known.Samples + span.Samples, Math.Min(known.FromMs, span.FromMs), Math.Max(known.ToMs, span.ToMs));
            }
        }
        return held;
    }

    /// <inheritdoc/>
    public void ListBuffered(ulong liveFrom, List<SpooledClass> into, IReadOnlySet<SegmentRef>? carried = null)
    {
        into.Clear();
        lock (_gate)
        {
            SpooledClass live = new("live", 0, 0, 0, 0, 0), backlog = new("backlog", 0, 0, 0, 0, 0), locked = new("locked", 0, 0, 0, 0, 0);
            foreach (SpoolSegment segment in _segments)
            {
                if (segment.OpenRecords == 0 || (carried?.Contains(segment.Id) ?? false))
                    continue;
                ref SpooledClass of = ref segment.Locked is not null ? ref locked : ref segment.Id.Number >= liveFrom ? ref live : ref backlog;
                long from = segment.OpenOldestMs;
                of = new SpooledClass(of.Name, of.Segments + 1, of.Records + (long)segment.OpenRecords, of.Bytes + segment.OpenBytes,
                    of.Segments == 0 ? from : Math.Min(of.FromMs, from), Math.Max(of.ToMs, segment.NewestMs));
            }
            into.Add(live);
            into.Add(backlog);
            if (locked.Segments > 0)
                into.Add(locked);
        }
    }

    /// <inheritdoc/>
    public void ListHeld(List<HeldSegment> into)
    {
        into.Clear();
        AddHeld(into);
    }

    /// <summary>Adds the segments behind what is in the list.</summary>
    internal void AddHeld(List<HeldSegment> into)
    {
        lock (_gate)
        {
            foreach (SpoolSegment segment in _segments)
                into.Add(new HeldSegment(segment.Id, segment.Records, segment.Closed && segment.Waiting == 0 && segment.Locked is null, segment.Bytes, segment.Records == 0 ? 0 : segment.OldestMs, segment.Records == 0 ? 0 : segment.NewestMs));
        }
    }

    /// <inheritdoc/>
    public void ListSegments(List<SpooledSegment> into)
    {
        into.Clear();
        AddSegments(into);
    }

    /// <summary>Adds the segments behind what is in the list.</summary>
    internal void AddSegments(List<SpooledSegment> into)
    {
        lock (_gate)
        {
            foreach (SpoolSegment segment in _segments)
            {
                // While records of a closed segment still wait, it must not look complete.
                if (segment.Records > 0 && segment.Locked is null)
                    into.Add(new SpooledSegment(segment.Id, segment.Records, segment.Closed && segment.Waiting == 0));
            }
        }
    }

    /// <inheritdoc/>
    public void ListDropped(List<SegmentRef> into)
    {
        into.Clear();
        AddDropped(into);
    }

    /// <summary>Adds the segments behind what is in the list.</summary>
    internal void AddDropped(List<SegmentRef> into)
    {
        lock (_gate)
        {
            foreach (DroppedSegment dropped in _state.Dropped)
                into.Add(dropped.Id);
        }
    }

    /// <inheritdoc/>
    public bool TryRead(SegmentRef segment, ulong firstRecord, int maxBytes, List<ReadOnlyMemory<byte>> into)
    {
        lock (_gate)
        {
            SpoolSegment? found = Find(segment);
            if (found is null || found.Locked is not null)
                return false;
            try
            {
                if (_readers.Read(found, firstRecord, maxBytes, into, out ulong next) == SegmentRead.Damaged)
                    CutDamaged(found, next);
                found.ReadErrors = 0;
                found.UnreadableSinceMs = null;
                found.MayBeSent = true;
            }
            catch (IOException error)
            {
                NoteError(error);
                long nowMs = _clock.GetUtcNow().ToUnixTimeMilliseconds();
                found.UnreadableSinceMs ??= nowMs;
                // A disk that fails for a moment costs nothing; one that goes on failing here must not hold up what stands behind.
                if (++found.ReadErrors >= ReadErrorsMax && Math.Abs(nowMs - found.UnreadableSinceMs.Value) >= UnreadableMaxMs)
                    CutDamaged(found, firstRecord);
            }
            return _segments.Contains(found);
        }
    }

    private long OldestMsLocked()
    {
        long oldest = long.MaxValue;
        foreach (SpoolSegment segment in _segments)
        {
            if (segment.OpenRecords > 0 && segment.Locked is null)
                oldest = Math.Min(oldest, segment.OpenOldestMs);
        }
        return oldest == long.MaxValue ? 0 : oldest;
    }

    /// <summary>Reads which record is whose from the log again, as far as it can be read.</summary>
    private List<RecordFact> ReadFacts(SpoolSegment segment, ulong records)
    {
        var facts = new List<RecordFact>((int)records);
        var names = new Dictionary<int, string>();
        using LogReader reader = _log.Read(segment.FirstSequence);
        try
        {
            while ((ulong)facts.Count < records && reader.MoveNext() == LogRead.Frame && reader.Sequence == segment.FirstSequence + (ulong)facts.Count)
            {
                ReadOnlySpan<byte> record = reader.Payload;
                if (segment.Cipher is { } cipher)
                {
                    byte[] opened = new byte[record.Length];
                    if (!cipher.TryOpen(reader.Sequence, record, opened))
                        break;
                    record = opened.AsSpan(0, record.Length - SegmentCipher.AddedBytes);
                }
                if (RecordHeader.TryRead(record, CodecLimits.Default, out RecordHeader header) != DecodeOutcome.Applied)
                    break;
                if (header.NewName is { } name)
                    names[header.Source] = name;
                facts.Add(new RecordFact(_ledger.IndexOf(names.GetValueOrDefault(header.Source, "")), header.Samples, header.TimestampMs));
            }
        }
        catch (IOException error)
        {
            NoteError(error);
        }
        return facts;
    }
}
