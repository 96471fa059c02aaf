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

    /// <summary>Least and greatest time of its records, Unix ms.</summary>
    public long OldestMs { get; set; } = long.MaxValue;

    public long NewestMs { get; set; } = long.MinValue;

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

    public void Saw(long timestampMs, int bytes)
    {
        OldestMs = Math.Min(OldestMs, timestampMs);
        NewestMs = Math.Max(NewestMs, timestampMs);
        Waiting++;
        WaitingBytes += bytes;
    }

    /// <summary>What waited is durable.</summary>
    public void Settle()
    {
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
}
