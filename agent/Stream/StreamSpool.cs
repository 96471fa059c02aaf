namespace Bellwether.Agent.Stream;

/// <summary>Names a segment of the spool, as the wire does.</summary>
/// <param name="Epoch">Grows when the spool was lost or recreated.</param>
/// <param name="Number">Grows within the epoch.</param>
/// <param name="Nonce">Random.</param>
internal readonly record struct SegmentRef(ulong Epoch, ulong Number, uint Nonce);

/// <summary>A segment that is not yet wholly acknowledged.</summary>
/// <param name="Id">Its name.</param>
/// <param name="Records">Records in it now.</param>
/// <param name="Closed">No record will be added.</param>
internal readonly record struct SpooledSegment(SegmentRef Id, ulong Records, bool Closed);

/// <summary>What the session needs of the spool. Called from the session's thread only; the collectors may append from theirs meanwhile.</summary>
internal interface IStreamSpool
{
    /// <summary>The spool's epoch.</summary>
    ulong Epoch { get; }

    /// <summary>The number of the next segment.</summary>
    ulong NextNumber { get; }

    /// <summary>Unacknowledged payload bytes.</summary>
    long Bytes { get; }

    /// <summary>Unacknowledged records.</summary>
    long Records { get; }

    /// <summary>Time of the oldest unacknowledged record, Unix ms; 0: none.</summary>
    long OldestMs { get; }

    /// <summary>Replaces the list's content by the segments that are not wholly acknowledged, oldest first; the last one may be open.</summary>
    void ListSegments(List<SpooledSegment> into);

    /// <summary>Replaces the list's content by segments that were dropped, but may have been sent before: acknowledging one takes back that its samples were lost.</summary>
    void ListDropped(List<SegmentRef> into);

    /// <summary>
    /// Appends records of a segment from an index on to the list: at least one if there is one, then as long as they stay within the bytes. Returns false when the
    /// segment is gone (dropped by a bound, quarantined); true with nothing appended when it cannot be read just now. The payloads may be kept.
    /// </summary>
    bool TryRead(SegmentRef segment, ulong firstRecord, int maxBytes, List<ReadOnlyMemory<byte>> into);

    /// <summary>Records 0 .. <paramref name="records"/> - 1 are durable at the aggregator; complete: the segment may be freed.</summary>
    void Acknowledge(SegmentRef segment, ulong records, bool complete);

    /// <summary>Closes the open segment, if any record is in it, and returns the lowest number that records appended from now on can have.</summary>
    ulong StartSegment();

    /// <summary>Segments that begin from now on have at least this number.</summary>
    void SkipTo(ulong number);
}

/// <summary>What the collectors promise about time.</summary>
internal interface IWatermarkSource
{
    /// <summary>Unix ms below which no record will be appended to the spool any more; 0: no promise yet. Asked before the spool's end is read.</summary>
    long PromisedMs { get; }
}

/// <summary>
/// The promise as the agent's loop makes it: read the scheduler's watermark, sync the spool, publish. A tick that is appended but not synced cannot be sent yet, so
/// a promise must not reach past it. Thread-safe.
/// </summary>
internal sealed class SyncedWatermark : IWatermarkSource
{
    private long _promisedMs;

    /// <inheritdoc/>
    public long PromisedMs => Volatile.Read(ref _promisedMs);

    /// <summary>Everything that was handed over when the watermark was read is synced now. Never goes back.</summary>
    public void Publish(long watermarkMs)
    {
        long old = Volatile.Read(ref _promisedMs);
        while (watermarkMs > old)
        {
            long seen = Interlocked.CompareExchange(ref _promisedMs, watermarkMs, old);
            if (seen == old)
                return;
            old = seen;
        }
    }
}
