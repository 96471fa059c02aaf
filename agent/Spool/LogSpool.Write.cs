using Bellwether.Agent.Stream;
using Bellwether.Core.Durable;

namespace Bellwether.Agent.Spool;

// Segments begin and end, records are appended and made durable.
internal sealed partial class LogSpool
{
    private bool TryBegin(long nowMs)
    {
        bool withMetadata = ++_segmentsSinceMetadata >= MetadataEvery;
        if (withMetadata)
            _segmentsSinceMetadata = 0;
        _encoder.StartSegment(withMetadata);
        var id = new SegmentRef(_share.Epoch, _share.NextNumber++, (uint)_random.NextInt64(uint.MaxValue + 1L));
        ReadOnlyMemory<byte> ledger = _ledger.Frame();
        // The ledger must not crowd out the records behind it: a segment that goes on in another file is cut there.
        _log.HeadBytes = ledger.Length;
        MakeRoom(ledger.Length + FramesBytes + (_options.Keys?.WrappedBytes ?? 0));
        if (ledger.Length <= LogOptions(_options).PayloadBytesMax && !TryAppend(SpoolFrames.Ledger, ledger.Span))
            return false;
        Span<byte> payload = stackalloc byte[SpoolFrames.BeginBytes + (_options.Keys?.WrappedBytes ?? 0)];
        SpoolFrames.WriteBegin(payload, id, nowMs);
        SegmentCipher? cipher = _options.Keys?.Begin(payload, id);
        if (!TryAppend(SpoolFrames.SegmentBegins, payload))
            return false;
        _live = new SpoolSegment(id, _log.NextSequence, nowMs) { Cipher = cipher, Facts = new List<RecordFact>(FactsCapacity) };
        _segments.Add(_live);
        FreeFiles();
        return true;
    }

    /// <summary>After an error the log went on in another file: only behind a ledger of its own is it known what is missing when one of the two cannot be read.</summary>
    private bool IsCut(SpoolSegment live) => live.Records > 0 && live.File != _log.ActiveFile;

    /// <summary>Closes the live segment; the next one begins a new file where the disk allows.</summary>
    private void CloseLive()
    {
        if (_live is not { } live)
            return;
        _live = null;
        live.Closed = true;
        SyncLocked();
        _log.Rotate();
        if (live.Records + live.Waiting == 0)
            _segments.Remove(live);
        // Of what waits untouched the sums suffice.
        foreach (SpoolSegment segment in _segments)
        {
            if (segment is { Closed: true, Waiting: 0, Acknowledged: 0 } && !ReferenceEquals(segment, live))
                segment.Facts = null;
        }
    }

    private bool TryAppendRecord(ReadOnlySpan<byte> record)
    {
        if (_live!.Cipher is not { } cipher)
            return TryAppend(SpoolFrames.Record, record);
        int bytes = record.Length + SegmentCipher.AddedBytes;
        if (_sealed.Length < bytes)
            _sealed = new byte[bytes * 2];
        cipher.Seal(_log.NextSequence, record, _sealed.AsSpan(0, bytes));
        return TryAppend(SpoolFrames.SealedRecord, _sealed.AsSpan(0, bytes));
    }

    private bool TryAppend(ushort kind, ReadOnlySpan<byte> payload)
    {
        LogAppend outcome = _log.Append(kind, payload, out _);
        if (outcome == LogAppend.PendingFull && SyncLocked() == LogSync.Durable)
            outcome = _log.Append(kind, payload, out _);
        if (outcome == LogAppend.Appended)
            return true;
        DiscardWaiting();
        return false;
    }

    private LogSync SyncLocked()
    {
        LogSync outcome = _log.Sync();
        // A full disk: what is oldest gives way to what is new, as at the spool's own bound.
        while (outcome == LogSync.DiskFull && _options.WhenFull != SpoolPolicy.RefuseNew && _share.DropFor(this, SpoolDropReasons.Disk))
            outcome = _log.Sync();
        if (outcome != LogSync.Durable)
            return outcome;
        foreach (SpoolSegment segment in _segments)
            segment.Settle(_log.ActiveFile);
        long nowMs = _clock.GetUtcNow().ToUnixTimeMilliseconds();
        // What was dropped before it reached a record stands nowhere else; and what waits for its count to be written is freed.
        if (_stateDirty && (nowMs - _stateSavedMs >= StateIntervalMs || nowMs < _stateSavedMs))
        {
            SaveState();
            FreeFiles();
        }
        return outcome;
    }
}
