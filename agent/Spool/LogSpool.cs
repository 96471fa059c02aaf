using System.Diagnostics.Metrics;
using Bellwether.Agent.Stream;
using Bellwether.Core.Codec;
using Bellwether.Core.Durable;
using Bellwether.Core.Platform;

namespace Bellwether.Agent.Spool;

/// <summary>
/// The spool on the durable log: each segment of records begins with a frame that names it, and begins a file of the log, so that freeing it frees the file.
/// Folder: <c>log/</c> (docs/formats/log.md, docs/formats/segment.md) and <c>state</c>. Thread-safe; one process at a time.
/// </summary>
internal sealed class LogSpool : ISpool, ISpoolLedger
{
    private const int ReadErrorsMax = 3;
    private const long UnreadableMaxMs = 10_000;

    private readonly Lock _gate;
    private readonly SpoolShare _share;
    private readonly SpoolOptions _options;
    private readonly TimeProvider _clock;
    private readonly SpoolBooks _books;
    private readonly SpoolWriter _writer;
    private readonly SpoolDrops _drops;
    private int _largestRecord;
    private long _acknowledgedRecords;
    private long _appended;

    private LogSpool(IDisk disk, string folder, SpoolOptions options, TimeProvider clock, Random random, SpoolShare share, string className)
    {
        _share = share;
        _gate = share.Gate;
        ClassName = className;
        _options = options;
        _clock = clock;
        _books = new SpoolBooks(disk, folder, options, clock, random, share);
        _writer = new SpoolWriter(this, _books, share, options, random);
        _drops = new SpoolDrops(_books, _writer, options, clock);
        _share.Add(this);
    }

    /// <summary>The name of its priority class.</summary>
    public string ClassName { get; }

    /// <summary>Records appended since it was opened.</summary>
    public long Appended => Volatile.Read(ref _appended);

    /// <summary>Records that an aggregator said it holds, since it was opened.</summary>
    public long AcknowledgedRecords => Volatile.Read(ref _acknowledgedRecords);

    /// <summary>Damaged places found.</summary>
    public long Damaged => _drops.Damaged;

    /// <summary>Bytes of the log, what waits for a sync included. The gate must be held.</summary>
    internal long LogBytes => _books.Log.Bytes + _books.Log.PendingBytes;

    /// <inheritdoc/>
    public ulong Epoch => _share.Epoch;

    /// <inheritdoc/>
    public ulong NextNumber
    {
        get
        {
            lock (_gate)
                return _share.NextNumber;
        }
    }

    /// <inheritdoc/>
    public long Bytes
    {
        get
        {
            lock (_gate)
                return _books.Segments.Sum(s => s.OpenBytes);
        }
    }

    /// <inheritdoc/>
    public long Records
    {
        get
        {
            lock (_gate)
                return (long)_books.Segments.Aggregate(0UL, (sum, s) => sum + s.OpenRecords);
        }
    }

    /// <inheritdoc/>
    public long OldestMs
    {
        get
        {
            lock (_gate)
                return OldestMsLocked();
        }
    }

    /// <inheritdoc/>
    public SpoolStatistics Statistics
    {
        get
        {
            lock (_gate)
            {
                var dropped = new List<SpoolDrop>();
                foreach (SpoolLedger.Account account in _books.Ledger.Accounts)
                    dropped.AddRange(account.Dropped.Select(d => new SpoolDrop(account.Name, d.Key, d.Value.Samples)));
                return new SpoolStatistics(
                    _books.Segments.Sum(s => s.OpenBytes), (long)_books.Segments.Aggregate(0UL, (sum, s) => sum + s.OpenRecords), _books.Segments.Count, OldestMsLocked(),
                    _books.Log.Bytes, _books.Log.PendingBytes, _books.Errors, _books.LastError?.Message, dropped, _books.Segments.Count(s => s.Locked is not null), _books.Segments.Find(s => s.Locked is not null)?.Locked);
            }
        }
    }

    /// <inheritdoc/>
    public PreviousEnd Previous => _books.Previous;

    /// <inheritdoc/>
    public long DroppedSamples => _books.DroppedSamples;

    /// <summary>Leaves the end marker: this run stops on purpose. Written with the state at once, and again when the spool is closed.</summary>
    public void MarkStop()
    {
        lock (_gate)
        {
            _books.State.StoppedMs = _clock.GetUtcNow().ToUnixTimeMilliseconds();
            _writer.Sync();
            _books.Save();
        }
    }

    /// <summary>What the log found at opening.</summary>
    public LogOpenReport Report => _books.Log.Report;

    /// <summary>
    /// Opens the spool in a folder, made when missing. What is there is kept as backlog; the first append begins a new segment. Succeeds whatever the files hold.
    /// Throws <see cref="IOException"/> when the folder cannot be made or another process has it.
    /// </summary>
    public static LogSpool Open(IDisk disk, string folder, SpoolOptions options, TimeProvider clock, Random random, Meter meter)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(options.BytesMax, 4L * options.SegmentBytes);
        LogSpool spool = OpenShared(disk, folder, options, clock, random, new SpoolShare(options), "normal");
        SpoolMetrics.Observe(meter, spool, spool, () => spool.Appended, () => spool.Damaged);
        return spool;
    }

    /// <summary>Opens one log of several that share bound and names; without instruments of its own.</summary>
    internal static LogSpool OpenShared(IDisk disk, string folder, SpoolOptions options, TimeProvider clock, Random random, SpoolShare share, string className)
    {
        disk.CreateFolder(folder);
        return new LogSpool(disk, folder, options, clock, random, share, className);
    }

    /// <summary>Whether a segment is here.</summary>
    internal bool Has(SegmentRef segment)
    {
        lock (_gate)
            return _books.Find(segment) is not null || _books.State.Dropped.Exists(d => d.Id == segment);
    }

    /// <inheritdoc/>
    public SpoolAppend Append(SourceTick tick)
    {
        lock (_gate)
        {
            long nowMs = _clock.GetUtcNow().ToUnixTimeMilliseconds();
            _drops.DropAged();
            if (_writer.IsLiveDone(nowMs))
                _writer.CloseLive();
            int likely = Math.Max(_largestRecord, SpoolBooks.RecordSlackBytes);
            _share.MakeRoom(this, likely);
            if (!_share.HasRoom(likely))
                return _drops.DropTick(tick, _options.WhenFull == SpoolPolicy.RefuseNew ? SpoolDropReasons.Refused : SpoolDropReasons.Size, SpoolAppend.Refused);
            if (_writer.Live is null && !_writer.TryBegin(nowMs))
                return _drops.DropTick(tick, SpoolDropReasons.Disk, SpoolAppend.DiskFailed);
            EncodeOutcome outcome = _writer.Encoder.Encode(tick);
            if (outcome == EncodeOutcome.SegmentFull)
            {
                _writer.CloseLive();
                if (!_writer.TryBegin(nowMs))
                    return _drops.DropTick(tick, SpoolDropReasons.Disk, SpoolAppend.DiskFailed);
                outcome = _writer.Encoder.Encode(tick);
            }
            if (outcome != EncodeOutcome.Encoded)
                return _drops.DropTick(tick, SpoolDropReasons.OverLimit, SpoolAppend.OverLimit);
            _largestRecord = Math.Max(_largestRecord, _writer.Encoder.Record.Length);
            _share.MakeRoom(this, _writer.Encoder.Record.Length);
            if (!_writer.TryAppendRecord(_writer.Encoder.Record))
                return _drops.DropTick(tick, SpoolDropReasons.Disk, SpoolAppend.DiskFailed);
            int account = _books.Ledger.IndexOf(tick.Table.Name);
            _books.Ledger[account].Spooled += _writer.Encoder.Samples;
            _writer.Live!.Saw(account, _writer.Encoder.Samples, tick.TimestampMs, _writer.Encoder.Record.Length);
            _appended++;
            return SpoolAppend.Appended;
        }
    }

    /// <inheritdoc/>
    public LogSync Sync()
    {
        lock (_gate)
            return _writer.Sync();
    }

    /// <inheritdoc/>
    public void Acknowledge(SegmentRef segment, ulong records, bool complete)
    {
        lock (_gate)
        {
            SpoolSegment? found = _books.Find(segment);
            if (found is null)
            {
                _drops.NoteArrived(segment, records, complete);
                return;
            }
            ulong before = found.Acknowledged;
            _books.TakeAcknowledged(found, Math.Min(records, found.Records), isNew: true);
            Volatile.Write(ref _acknowledgedRecords, _acknowledgedRecords + (long)(found.Acknowledged - before));
            // Freed is only what is closed here and wholly held there, whatever the answer says.
            if (!complete || !found.Closed || found.Waiting > 0 || found.Acknowledged < found.Records)
                return;
            _books.Remove(found);
            _books.Save();
            _books.FreeFiles();
        }
    }

    /// <inheritdoc/>
    public ulong StartSegment()
    {
        lock (_gate)
        {
            _writer.CloseLive();
            _writer.RepeatMetadata();
            return _share.NextNumber;
        }
    }

    /// <inheritdoc/>
    public void SkipTo(ulong number)
    {
        lock (_gate)
        {
            if (number <= _share.NextNumber)
                return;
            _share.NextNumber = number;
            _books.Change();
        }
    }

    /// <summary>Syncs, remembers how far acknowledgements came, and closes.</summary>
    public void Dispose()
    {
        lock (_gate)
        {
            _writer.Sync();
            _books.Save();
            _books.Dispose();
        }
    }

    /// <inheritdoc/>
    public void ListLedger(List<SourceLedger> into, IReadOnlySet<SegmentRef>? carried = null)
    {
        into.Clear();
        lock (_gate)
        {
            SourceSpan[] held = _books.Held(carried);
            for (int i = 0; i < held.Length; i++)
            {
                SpoolLedger.Account account = _books.Ledger[i];
                into.Add(new SourceLedger(account.Name, account.Spooled + account.Early, account.Spooled, held[i], [.. account.Lost]));
            }
        }
    }

    /// <inheritdoc/>
    public void ListBuffered(ulong liveFrom, List<SpooledClass> into, IReadOnlySet<SegmentRef>? carried = null)
    {
        into.Clear();
        lock (_gate)
        {
            SpooledClass live = new("live", 0, 0, 0, 0, 0), backlog = new("backlog", 0, 0, 0, 0, 0), locked = new("locked", 0, 0, 0, 0, 0);
            foreach (SpoolSegment segment in _books.Segments)
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
    public void ListHeld(List<HeldSegment> into) => AddHeld(Cleared(into));

    /// <summary>Adds the segments behind what is in the list.</summary>
    internal void AddHeld(List<HeldSegment> into)
    {
        lock (_gate)
        {
            foreach (SpoolSegment segment in _books.Segments)
                into.Add(new HeldSegment(segment.Id, segment.Records, segment.Closed && segment.Waiting == 0 && segment.Locked is null, segment.Bytes, segment.Records == 0 ? 0 : segment.OldestMs, segment.Records == 0 ? 0 : segment.NewestMs));
        }
    }

    /// <inheritdoc/>
    public void ListSegments(List<SpooledSegment> into) => AddSegments(Cleared(into));

    /// <summary>Adds the segments behind what is in the list.</summary>
    internal void AddSegments(List<SpooledSegment> into)
    {
        lock (_gate)
        {
            foreach (SpoolSegment segment in _books.Segments)
            {
                // While records of a closed segment still wait, it must not look complete.
                if (segment.Records > 0 && segment.Locked is null)
                    into.Add(new SpooledSegment(segment.Id, segment.Records, segment.Closed && segment.Waiting == 0));
            }
        }
    }

    /// <inheritdoc/>
    public void ListDropped(List<SegmentRef> into) => AddDropped(Cleared(into));

    /// <summary>Adds the segments behind what is in the list.</summary>
    internal void AddDropped(List<SegmentRef> into)
    {
        lock (_gate)
        {
            foreach (DroppedSegment dropped in _books.State.Dropped)
                into.Add(dropped.Id);
        }
    }

    /// <inheritdoc/>
    public bool TryRead(SegmentRef segment, ulong firstRecord, int maxBytes, List<ReadOnlyMemory<byte>> into)
    {
        lock (_gate)
        {
            SpoolSegment? found = _books.Find(segment);
            if (found is null || found.Locked is not null)
                return false;
            try
            {
                if (_books.Read(found, firstRecord, maxBytes, into, out ulong next) == SegmentRead.Damaged)
                    _drops.CutDamaged(found, next);
                found.ReadErrors = 0;
                found.UnreadableSinceMs = null;
                found.MayBeSent = true;
            }
            catch (IOException error)
            {
                _books.NoteError(error);
                long nowMs = _clock.GetUtcNow().ToUnixTimeMilliseconds();
                found.UnreadableSinceMs ??= nowMs;
                // A disk that fails for a moment costs nothing; one that goes on failing here must not hold up what stands behind.
                if (++found.ReadErrors >= ReadErrorsMax && Math.Abs(nowMs - found.UnreadableSinceMs.Value) >= UnreadableMaxMs)
                    _drops.CutDamaged(found, firstRecord);
            }
            return _books.Segments.Contains(found);
        }
    }

    private long OldestMsLocked()
    {
        long oldest = long.MaxValue;
        foreach (SpoolSegment segment in _books.Segments)
        {
            if (segment.OpenRecords > 0 && segment.Locked is null)
                oldest = Math.Min(oldest, segment.OpenOldestMs);
        }
        return oldest == long.MaxValue ? 0 : oldest;
    }

    private static List<T> Cleared<T>(List<T> list)
    {
        list.Clear();
        return list;
    }

    /// <summary>Drops the oldest closed segment; see <see cref="SpoolDrops.DropOldest"/>. The gate must be held.</summary>
    internal bool DropOldest(string reason) => _drops.DropOldest(reason);
}
