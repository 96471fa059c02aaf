using Bellwether.Agent.Stream;

namespace Bellwether.Agent.Spool;

/// <summary>One segment of the spool, as kept in memory: a run of frames with consecutive sequences.</summary>
internal sealed class SpoolSegment(SegmentRef id, ulong firstSequence, long createdMs)
{
    public SegmentRef Id { get; } = id;

    /// <summary>The log's sequence of record 0; the frame before it opens the segment.</summary>
    public ulong FirstSequence { get; } = firstSequence;

    public long CreatedMs { get; } = createdMs;

    /// <summary>Durable records.</summary>
    public ulong Records { get; set; }

    /// <summary>Records that wait for a sync.</summary>
    public ulong Waiting { get; private set; }

    /// <summary>Bytes of its durable records.</summary>
    public long Bytes { get; private set; }

    /// <summary>Bytes of the records that wait.</summary>
    public long WaitingBytes { get; private set; }

    /// <summary>Records that the aggregator holds.</summary>
    public ulong Acknowledged { get; set; }

    public bool Closed { get; set; }

    /// <summary>Opens and seals its records; null: they are plain, or it is locked.</summary>
    public SegmentCipher? Cipher { get; init; }

    /// <summary>Why nobody here can read it (a key is missing); null: it can be read. It stays where it is until its key is there again.</summary>
    public string? Locked { get; init; }

    /// <summary>Least and greatest time of its records, Unix ms.</summary>
    public long OldestMs { get; set; } = long.MaxValue;

    public long NewestMs { get; set; } = long.MinValue;

    /// <summary>Samples that are not acknowledged, by account; what waits is included.</summary>
    public Dictionary<int, SourceSpan> Sources { get; } = [];

    /// <summary>Each record's source and samples, from record 0 on; null where it is read from the log again when it is needed.</summary>
    public List<RecordFact>? Facts { get; set; }

    /// <summary>Its records were read, by this process or, for all that is known, by one before: they may have been sent.</summary>
    public bool MayBeSent { get; set; }

    /// <summary>Reads in a row that the disk refused.</summary>
    public int ReadErrors { get; set; }

    /// <summary>When the first of these was (Unix ms); null: there is none.</summary>
    public long? UnreadableSinceMs { get; set; }

    /// <summary>One more than its last durable frame.</summary>
    public ulong EndSequence => FirstSequence + Records;

    public ulong OpenRecords => Records - Acknowledged;

    /// <summary>Bytes of what is not acknowledged; within a segment by share.</summary>
    public long OpenBytes => Records == 0 ? 0 : (long)(Bytes * (double)OpenRecords / Records);

    /// <summary>Time of the first record that is not acknowledged; within a segment by share.</summary>
    public long OpenOldestMs => OldestMs + (long)((NewestMs - OldestMs) * (double)Acknowledged / Math.Max(1, Records));

    public void Saw(int account, long samples, long timestampMs, int bytes)
    {
        Facts?.Add(new RecordFact(account, samples, timestampMs));
        Sources[account] = Sources.GetValueOrDefault(account).Plus(samples, timestampMs);
        OldestMs = Math.Min(OldestMs, timestampMs);
        NewestMs = Math.Max(NewestMs, timestampMs);
        Waiting++;
        WaitingBytes += bytes;
    }

    /// <summary>The log's file in which its first records became durable; 0: none has, or it was there when the spool was opened.</summary>
    public ulong File { get; private set; }

    /// <summary>What waited is durable, in a file of the log.</summary>
    public void Settle(ulong file = 0)
    {
        if (Records == 0)
            File = file;
        Records += Waiting;
        Bytes += WaitingBytes;
        Waiting = 0;
        WaitingBytes = 0;
    }

    /// <summary>What waited is given up.</summary>
    public void Discard()
    {
        Waiting = 0;
        WaitingBytes = 0;
    }

    /// <summary>Takes a record's samples out: they are acknowledged or dropped. Returns how many there were.</summary>
    public long TakeOut(in RecordFact fact)
    {
        SourceSpan span = Sources.GetValueOrDefault(fact.Account);
        if (span.Samples <= fact.Samples)
            Sources.Remove(fact.Account);
        else
            Sources[fact.Account] = span with { Samples = span.Samples - fact.Samples, FromMs = Math.Max(span.FromMs, Math.Min(span.ToMs, fact.TimestampMs + 1)) };
        return Math.Min(span.Samples, fact.Samples);
    }
}

/// <summary>
/// A segment that was dropped although records of it may have been sent: when the aggregator says that it has them, they were not lost. Not thread-safe: the spool's lock covers it.
/// </summary>
internal sealed class DroppedSegment(SegmentRef id, string reason, ulong acknowledged, List<RecordFact> rest)
{
    public SegmentRef Id { get; } = id;

    /// <summary>Why it was dropped.</summary>
    public string Reason { get; } = reason;

    /// <summary>Records that the aggregator is known to have.</summary>
    public ulong Acknowledged { get; set; } = acknowledged;

    /// <summary>The records from <see cref="Acknowledged"/> on.</summary>
    public List<RecordFact> Rest { get; } = rest;
}

/// <summary>One record's source (its account), samples and time (Unix ms).</summary>
internal readonly record struct RecordFact(int Account, long Samples, long TimestampMs);

/// <summary>Samples of one source in a segment and the range (Unix ms) that they lie in.</summary>
internal readonly record struct SourceSpan(long Samples, long FromMs, long ToMs)
{
    public SourceSpan Plus(long samples, long timestampMs) =>
        Plus(new SourceSpan(samples, timestampMs, timestampMs));

    public SourceSpan Plus(in SourceSpan more) => Samples == 0 ? more : new SourceSpan(Samples + more.Samples, Math.Min(FromMs, more.FromMs), Math.Max(ToMs, more.ToMs));
}

/// <summary>What became of a segment, for the next start.</summary>
/// <param name="Records">Records that are acknowledged; of a segment that is done with, all.</param>
/// <param name="Complete">Nothing of it is held any more: it was acknowledged, or dropped and counted.</param>
/// <param name="FirstSequence">The log's sequence of record 0.</param>
/// <param name="EndSequence">One more than its last.</param>
internal readonly record struct SegmentFate(ulong Records, bool Complete, ulong FirstSequence, ulong EndSequence);
