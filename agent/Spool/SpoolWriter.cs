using Bellwether.Agent.Stream;
using Bellwether.Core.Codec;
using Bellwether.Core.Durable;

namespace Bellwether.Agent.Spool;

/// <summary>Segments begin and end, records are coded, appended and made durable. Not thread-safe: the spool's lock covers it.</summary>
/// <param name="owner">The spool, when others give way for it.</param>
/// <param name="books">What is held.</param>
/// <param name="share">The bound, and the names of segments.</param>
/// <param name="options">Limits.</param>
/// <param name="random">For names.</param>
internal sealed class SpoolWriter(LogSpool owner, SpoolBooks books, SpoolShare share, SpoolOptions options, Random random)
{
    /// <summary>So many records that a usual segment has; more make the list grow.</summary>
    private const int FactsCapacity = 1024;

    /// <summary>Room for the two frames before a segment's records, beside the ledger.</summary>
    private const int FramesBytes = 96;

    /// <summary>Drops of what was never in a record are written down with a sync, at most this often; those of records before their files are freed.</summary>
    private const long StateIntervalMs = 1_000;

    /// <summary>Metadata is repeated in each so many segments: once an hour by default.</summary>
    private const int MetadataEvery = 12;

    private readonly SegmentEncoder _encoder = new();
    private int _segmentsSinceMetadata = MetadataEvery;
    private byte[] _sealed = [];

    /// <summary>The segment that takes records; null: the next record begins one.</summary>
    public SpoolSegment? Live { get; private set; }

    /// <summary>Codes the live segment's records; a record is valid until the next one.</summary>
    public SegmentEncoder Encoder => _encoder;

    /// <summary>The next segment's metadata is complete.</summary>
    public void RepeatMetadata() => _segmentsSinceMetadata = MetadataEvery;

    /// <summary>Whether the live segment must end before the next record.</summary>
    public bool IsLiveDone(long nowMs) =>
        Live is { } live && (_encoder.Bytes >= options.SegmentBytes || nowMs - live.CreatedMs >= options.SegmentAge.TotalMilliseconds || nowMs < live.CreatedMs || IsCut(live));

    /// <summary>Begins a segment; false: the disk does not take it.</summary>
    public bool TryBegin(long nowMs)
    {
        bool withMetadata = ++_segmentsSinceMetadata >= MetadataEvery;
        if (withMetadata)
            _segmentsSinceMetadata = 0;
        _encoder.StartSegment(withMetadata);
        var id = new SegmentRef(share.Epoch, share.NextNumber++, (uint)random.NextInt64(uint.MaxValue + 1L));
        ReadOnlyMemory<byte> ledger = books.Ledger.Frame();
        // The ledger must not crowd out the records behind it: a segment that goes on in another file is cut there.
        books.Log.HeadBytes = ledger.Length;
        share.MakeRoom(owner, ledger.Length + FramesBytes + (options.Keys?.WrappedBytes ?? 0));
        if (ledger.Length <= SpoolBooks.LogOptions(options).PayloadBytesMax && !TryAppend(SpoolFrames.Ledger, ledger.Span))
            return false;
        Span<byte> payload = stackalloc byte[SpoolFrames.BeginBytes + (options.Keys?.WrappedBytes ?? 0)];
        SpoolFrames.WriteBegin(payload, id, nowMs);
        SegmentCipher? cipher = options.Keys?.Begin(payload, id);
        if (!TryAppend(SpoolFrames.SegmentBegins, payload))
            return false;
        Live = new SpoolSegment(id, books.Log.NextSequence, nowMs) { Cipher = cipher, Facts = new List<RecordFact>(FactsCapacity) };
        books.Segments.Add(Live);
        books.FreeFiles();
        return true;
    }

    /// <summary>After an error the log went on in another file: only behind a ledger of its own is it known what is missing when one of the two cannot be read.</summary>
    private bool IsCut(SpoolSegment live) => live.Records > 0 && live.File != books.Log.ActiveFile;

    /// <summary>Closes the live segment; the next one begins a new file where the disk allows.</summary>
    public void CloseLive()
    {
        if (Live is not { } live)
            return;
        Live = null;
        live.Closed = true;
        Sync();
        books.Log.Rotate();
        if (live.Records + live.Waiting == 0)
            books.Segments.Remove(live);
        // Of what waits untouched the sums suffice.
        foreach (SpoolSegment segment in books.Segments)
        {
            if (segment is { Closed: true, Waiting: 0, Acknowledged: 0 } && !ReferenceEquals(segment, live))
                segment.Facts = null;
        }
    }

    /// <summary>Appends the coded record; false: the disk takes nothing, and all that waited is given up, counted.</summary>
    public bool TryAppendRecord(ReadOnlySpan<byte> record)
    {
        if (Live!.Cipher is not { } cipher)
            return TryAppend(SpoolFrames.Record, record);
        int bytes = record.Length + SegmentCipher.AddedBytes;
        if (_sealed.Length < bytes)
            _sealed = new byte[bytes * 2];
        cipher.Seal(books.Log.NextSequence, record, _sealed.AsSpan(0, bytes));
        return TryAppend(SpoolFrames.SealedRecord, _sealed.AsSpan(0, bytes));
    }

    private bool TryAppend(ushort kind, ReadOnlySpan<byte> payload)
    {
        LogAppend outcome = books.Log.Append(kind, payload, out _);
        if (outcome == LogAppend.PendingFull && Sync() == LogSync.Durable)
            outcome = books.Log.Append(kind, payload, out _);
        if (outcome == LogAppend.Appended)
            return true;
        DiscardWaiting();
        return false;
    }

    /// <summary>Makes everything appended durable. On a full disk what is oldest gives way.</summary>
    public LogSync Sync()
    {
        LogSync outcome = books.Log.Sync();
        // A full disk: what is oldest gives way to what is new, as at the spool's own bound.
        while (outcome == LogSync.DiskFull && options.WhenFull != SpoolPolicy.RefuseNew && share.DropFor(owner, SpoolDropReasons.Disk))
            outcome = books.Log.Sync();
        if (outcome != LogSync.Durable)
            return outcome;
        foreach (SpoolSegment segment in books.Segments)
            segment.Settle(books.Log.ActiveFile);
        // What was dropped before it reached a record stands nowhere else; and what waits for its count to be written is freed.
        if (books.IsDue(StateIntervalMs))
        {
            books.Save();
            books.FreeFiles();
        }
        return outcome;
    }

    /// <summary>The disk fails and memory is full: what waits is given up, counted, and the live segment ends before it.</summary>
    private void DiscardWaiting()
    {
        books.Log.DiscardPending();
        foreach (SpoolSegment segment in books.Segments)
        {
            if (segment.Waiting > 0 && segment.Facts is { } facts)
            {
                for (int i = (int)segment.Records; i < facts.Count; i++)
                {
                    segment.TakeOut(facts[i]);
                    // Never in a record that the disk has: as if it had not been spooled.
                    books.Ledger[facts[i].Account].Spooled -= facts[i].Samples;
                    books.Ledger[facts[i].Account].Early += facts[i].Samples;
                    books.CountDrop(facts[i].Account, SpoolDropReasons.Disk, facts[i].Samples, facts[i].TimestampMs, facts[i].TimestampMs);
                }
                facts.RemoveRange((int)segment.Records, facts.Count - (int)segment.Records);
            }
            segment.Closed |= segment.Waiting > 0 || ReferenceEquals(segment, Live);
            segment.Discard();
        }
        Live = null;
        books.Segments.RemoveAll(s => s.Records == 0);
    }
}
