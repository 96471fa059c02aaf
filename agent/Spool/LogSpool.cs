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
    private const int RecordSlackBytes = 1024;
    private const int ReadErrorsMax = 3;
    private const long UnreadableMaxMs = 10_000;

    /// <summary>So many records that a usual segment has; more make the list grow.</summary>
    private const int FactsCapacity = 1024;

    /// <summary>Dropped segments that are remembered because they may have arrived: more than the window of a session holds.</summary>
    private const int DroppedSegmentsMax = 32;

    private const int DroppedRecordsMax = 16_384;

    /// <summary>Room for the two frames before a segment's records, beside the ledger.</summary>
    private const int FramesBytes = 96;

    /// <summary>Drops of what was never in a record are written down with a sync, at most this often; those of records before their files are freed.</summary>
    private const long StateIntervalMs = 1_000;

    /// <summary>Metadata is repeated in each so many segments: once an hour by default.</summary>
    private const int MetadataEvery = 12;

    private readonly Lock _gate;
    private readonly SpoolShare _share;
    private readonly IDisk _disk;
    private readonly string _statePath;
    private readonly SpoolOptions _options;
    private readonly TimeProvider _clock;
    private readonly Random _random;
    private readonly SegmentLog _log;
    private readonly SpoolReaders _readers;
    private readonly SegmentEncoder _encoder = new();
    private readonly List<SpoolSegment> _segments;
    private readonly SpoolLedger _ledger;
    private readonly SpoolState _state;
    private readonly AgeClock _age;
    private SpoolSegment? _live;
    private int _segmentsSinceMetadata = MetadataEvery;
    private long _droppedSamples;
    private int _largestRecord;
    private byte[] _sealed = [];
    private bool _stateDirty;
    private long _acknowledgedRecords;
    private long _stateSavedMs;
    private long _appended;
    private long _errors;
    private long _damaged;
    private IOException? _lastError;

    private LogSpool(IDisk disk, string folder, SpoolOptions options, TimeProvider clock, Random random, SpoolShare share, string className)
    {
        _share = share;
        _gate = share.Gate;
        ClassName = className;
        _disk = disk;
        _statePath = Path.Combine(folder, "state");
        _options = options;
        _clock = clock;
        _random = random;
        _ledger = new SpoolLedger(options.DropSourcesMax);
        SpoolState? kept = ReadState();
        var replay = new SpoolReplay(_ledger, kept, options.Keys);
        _log = SegmentLog.Open(disk, Path.Combine(folder, "log"), LogOptions(options), clock, random, replay.Visit);
        _readers = new SpoolReaders(_log);
        _segments = replay.Segments;
        _age = new AgeClock(clock, _segments.Count == 0 ? long.MaxValue : _segments.Max(s => s.NewestMs));
        _state = Recover(replay, kept);
        _share.Epoch = Math.Max(_share.Epoch, _state.Epoch);
        _share.NextNumber = Math.Max(_share.NextNumber, _state.NextNumber);
        _share.Add(this);
        SaveState();
        _damaged = _log.Report.Lost.Count;
    }

    /// <summary>The name of its priority class.</summary>
    public string ClassName { get; }

    /// <summary>Records appended since it was opened.</summary>
    public long Appended => Volatile.Read(ref _appended);

    /// <summary>Records that an aggregator said it holds, since it was opened.</summary>
    public long AcknowledgedRecords => Volatile.Read(ref _acknowledgedRecords);

    /// <summary>Damaged places found.</summary>
    public long Damaged => Volatile.Read(ref _damaged);

    /// <summary>Bytes of the log, what waits for a sync included. The gate must be held.</summary>
    internal long LogBytes => _log.Bytes + _log.PendingBytes;

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
                return _segments.Sum(s => s.OpenBytes);
        }
    }

    /// <inheritdoc/>
    public long Records
    {
        get
        {
            lock (_gate)
                return (long)_segments.Aggregate(0UL, (sum, s) => sum + s.OpenRecords);
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
                foreach (SpoolLedger.Account account in _ledger.Accounts)
                    dropped.AddRange(account.Dropped.Select(d => new SpoolDrop(account.Name, d.Key, d.Value.Samples)));
                return new SpoolStatistics(
                    _segments.Sum(s => s.OpenBytes), (long)_segments.Aggregate(0UL, (sum, s) => sum + s.OpenRecords), _segments.Count, OldestMsLocked(),
                    _log.Bytes, _log.PendingBytes, _errors + _log.Errors, (_lastError ?? _log.LastError)?.Message, dropped, _segments.Count(s => s.Locked is not null), _segments.Find(s => s.Locked is not null)?.Locked);
            }
        }
    }

    /// <inheritdoc/>
    public PreviousEnd Previous { get; private set; }

    /// <inheritdoc/>
    public long DroppedSamples => Volatile.Read(ref _droppedSamples);

    /// <inheritdoc/>
    public void ListLedger(List<SourceLedger> into)
    {
        into.Clear();
        lock (_gate)
        {
            var held = new SourceSpan[_ledger.Accounts.Count];
            foreach (SpoolSegment segment in _segments)
            {
                foreach ((int account, SourceSpan span) in segment.Sources)
                {
                    SourceSpan known = held[account];
                    held[account] = known.Samples == 0 ? span : new SourceSpan(known.Samples + span.Samples, Math.Min(known.FromMs, span.FromMs), Math.Max(known.ToMs, span.ToMs));
                }
            }
            for (int i = 0; i < held.Length; i++)
            {
                SpoolLedger.Account account = _ledger[i];
                into.Add(new SourceLedger(account.Name, account.Spooled + account.Early, account.Spooled, held[i], [.. account.Lost]));
            }
        }
    }

    /// <inheritdoc/>
    public void ListBuffered(ulong liveFrom, List<SpooledClass> into)
    {
        into.Clear();
        lock (_gate)
        {
            SpooledClass live = new("live", 0, 0, 0, 0, 0), backlog = new("backlog", 0, 0, 0, 0, 0), locked = new("locked", 0, 0, 0, 0, 0);
            foreach (SpoolSegment segment in _segments)
            {
                if (segment.OpenRecords == 0)
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

    /// <summary>Leaves the end marker: this run stops on purpose. Written with the state at once, and again when the spool is closed.</summary>
    public void MarkStop()
    {
        lock (_gate)
        {
            _state.StoppedMs = _clock.GetUtcNow().ToUnixTimeMilliseconds();
            SyncLocked();
            SaveState();
        }
    }

    /// <summary>What the log found at opening.</summary>
    public LogOpenReport Report => _log.Report;

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
            return Find(segment) is not null || _state.Dropped.Exists(d => d.Id == segment);
    }

    /// <inheritdoc/>
    public SpoolAppend Append(SourceTick tick)
    {
        lock (_gate)
        {
            long nowMs = _clock.GetUtcNow().ToUnixTimeMilliseconds();
            DropAged();
            if (_live is not null && (_encoder.Bytes >= _options.SegmentBytes || nowMs - _live.CreatedMs >= _options.SegmentAge.TotalMilliseconds || nowMs < _live.CreatedMs))
                CloseLive();
            int likely = Math.Max(_largestRecord, RecordSlackBytes);
            MakeRoom(likely);
            if (!_share.HasRoom(likely))
                return DropTick(tick, _options.WhenFull == SpoolPolicy.RefuseNew ? SpoolDropReasons.Refused : SpoolDropReasons.Size, SpoolAppend.Refused);
            if (_live is null && !TryBegin(nowMs))
                return DropTick(tick, SpoolDropReasons.Disk, SpoolAppend.DiskFailed);
            EncodeOutcome outcome = _encoder.Encode(tick);
            if (outcome == EncodeOutcome.SegmentFull)
            {
                CloseLive();
                if (!TryBegin(nowMs))
                    return DropTick(tick, SpoolDropReasons.Disk, SpoolAppend.DiskFailed);
                outcome = _encoder.Encode(tick);
            }
            if (outcome != EncodeOutcome.Encoded)
            {
                CloseLive(); // the next tick cannot build on this one
                return DropTick(tick, SpoolDropReasons.OverLimit, SpoolAppend.OverLimit);
            }
            _largestRecord = Math.Max(_largestRecord, _encoder.Record.Length);
            MakeRoom(_encoder.Record.Length);
            if (!TryAppendRecord(_encoder.Record))
                return DropTick(tick, SpoolDropReasons.Disk, SpoolAppend.DiskFailed);
            int account = _ledger.IndexOf(tick.Table.Name);
            _ledger[account].Spooled += _encoder.Samples;
            _live!.Saw(account, _encoder.Samples, tick.TimestampMs, _encoder.Record.Length);
            _appended++;
            return SpoolAppend.Appended;
        }
    }

    /// <inheritdoc/>
    public LogSync Sync()
    {
        lock (_gate)
            return SyncLocked();
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

    /// <inheritdoc/>
    public void Acknowledge(SegmentRef segment, ulong records, bool complete)
    {
        lock (_gate)
        {
            SpoolSegment? found = Find(segment);
            if (found is null)
            {
                NoteArrived(segment, records, complete);
                return;
            }
            ulong before = found.Acknowledged;
            TakeAcknowledged(found, Math.Min(records, found.Records));
            Volatile.Write(ref _acknowledgedRecords, _acknowledgedRecords + (long)(found.Acknowledged - before));
            // Freed is only what is closed here and wholly held there, whatever the answer says.
            if (!complete || !found.Closed || found.Waiting > 0 || found.Acknowledged < found.Records)
                return;
            Remove(found);
            SaveState();
            FreeFiles();
        }
    }

    /// <inheritdoc/>
    public ulong StartSegment()
    {
        lock (_gate)
        {
            if (_live is not null)
                CloseLive();
            _segmentsSinceMetadata = MetadataEvery;
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
            _stateDirty = true;
        }
    }

    /// <summary>Syncs, remembers how far acknowledgements came, and closes.</summary>
    public void Dispose()
    {
        lock (_gate)
        {
            SyncLocked();
            SaveState();
            _readers.Dispose();
            _log.Dispose();
        }
    }

    private static SegmentLogOptions LogOptions(SpoolOptions options) => new()
    {
        FileBytes = Math.Max(2L * options.SegmentBytes, 64 << 10),
        PayloadBytesMax = CodecLimits.Default.RecordBytesMax + RecordSlackBytes,
        PendingBytesMax = options.PendingBytesMax,
        SpareFiles = 2,
    };

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

    private SpoolState? ReadState()
    {
        try
        {
            return SpoolState.TryRead(_disk, _statePath);
        }
        catch (IOException error)
        {
            NoteError(error);
            return null;
        }
    }

    /// <summary>Brings the replayed segments and the remembered state together, and says which epoch it is.</summary>
    private SpoolState Recover(SpoolReplay replay, SpoolState? kept)
    {
        SpoolState state = kept ?? new SpoolState();
        bool lost = _log.Report.Lost.Any(l => l.NextSequence > l.FirstSequence);
        bool recreated = _log.Report.IsNew && state.NextNumber > 1;
        // Without a state the old epoch may be unknown: seconds since 1970 lie above every epoch that grew by losses.
        if (kept is null)
            state.Epoch = Math.Max(replay.EpochMax + 1, (ulong)Math.Max(1, _clock.GetUtcNow().ToUnixTimeSeconds()));
        else if (lost || recreated)
            state.Epoch = Math.Max(state.Epoch, replay.EpochMax) + 1;
        else
            state.Epoch = Math.Max(state.Epoch, replay.EpochMax);
        state.NextNumber = Math.Max(state.NextNumber, replay.NumberMax + 1);
        long newestMs = _segments.Count == 0 ? 0 : _segments.Max(s => s.NewestMs);
        Previous = new PreviousEnd(kept is not null && state.NextNumber > 1, state.StoppedMs > 0, state.StoppedMs > 0 ? state.StoppedMs : Math.Max(0, newestMs));
        state.StoppedMs = 0;
        RecoverLedger(replay, state, recreated);
        state.TakeDropped(_ledger);
        foreach (SpoolSegment segment in _segments)
        {
            if (state.Acknowledged.TryGetValue(segment.Id, out (ulong Records, bool Complete) held))
                TakeAcknowledged(segment, held.Complete ? segment.Records : Math.Min(held.Records, segment.Records));
        }
        _segments.RemoveAll(s => s.Records == 0 || (state.Acknowledged.TryGetValue(s.Id, out (ulong Records, bool Complete) held) && held.Complete));
        return state;
    }

    /// <summary>Brings the ledger of the log and that of the state together: each number is the larger of the two, since both only grow.</summary>
    private void RecoverLedger(SpoolReplay replay, SpoolState state, bool recreated)
    {
        var unseen = new List<(int Account, long Samples)>();
        if (state.Ledger is { } written)
        {
            _ledger.Take(written, (account, spooled) =>
            {
                if (spooled > account.Spooled)
                    unseen.Add((_ledger.IndexOf(account.Name), spooled - account.Spooled));
                account.Spooled = Math.Max(account.Spooled, spooled);
            });
        }
        replay.TakeLost(_log.Report.Lost);
        // Behind the last frame that was read no ledger speaks: what the state knows to have been there is missing.
        if (!recreated && _log.Report.Lost.Any(l => l.NextSequence >= _log.NextSequence) && !_segments.Exists(s => s.Locked is not null))
            replay.Damaged.AddRange(unseen.Select(u => (_log.NextSequence, u.Account, u.Samples, _segments.Count == 0 ? 0 : _segments[^1].NewestMs)));
        replay.Finish(locked => unseen.ForEach(u => locked.Sources[u.Account] = new SourceSpan(u.Samples, locked.CreatedMs, locked.CreatedMs)));
        foreach (SpoolLedger.Account account in _ledger.Accounts)
            _droppedSamples += account.Dropped.Values.Sum(d => d.Samples);
        HashSet<ulong> counted = [];
        foreach ((ulong key, int account, long samples, long timeMs) in replay.Damaged)
        {
            if (state.DamageCounted.Contains(key))
                continue;
            counted.Add(key);
            CountDrop(account, SpoolDropReasons.Damaged, samples, timeMs, timeMs);
        }
        state.DamageCounted.UnionWith(counted);
        if (!recreated)
            return;
        // The whole log is gone: what it held when the state was last written is what is known to be lost.
        foreach ((string source, SourceSpan span) in state.Buffered)
            CountDrop(_ledger.IndexOf(source), SpoolDropReasons.Damaged, span.Samples, span.FromMs, span.ToMs);
    }

    private SpoolSegment? Find(SegmentRef id) => _segments.Find(s => s.Id == id);

    private bool TryBegin(long nowMs)
    {
        bool withMetadata = ++_segmentsSinceMetadata >= MetadataEvery;
        if (withMetadata)
            _segmentsSinceMetadata = 0;
        _encoder.StartSegment(withMetadata);
        var id = new SegmentRef(_share.Epoch, _share.NextNumber++, (uint)_random.NextInt64(uint.MaxValue + 1L));
        ReadOnlyMemory<byte> ledger = _ledger.Frame();
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
            segment.Settle();
        long nowMs = _clock.GetUtcNow().ToUnixTimeMilliseconds();
        // What was dropped before it reached a record stands nowhere else.
        if (_stateDirty && (nowMs - _stateSavedMs >= StateIntervalMs || nowMs < _stateSavedMs))
            SaveState();
        return outcome;
    }

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

    /// <summary>Drops the oldest closed segment, counting its samples by source; false when there is none.</summary>
    internal bool DropOldest(string reason)
    {
        SpoolSegment? oldest = _segments.Find(s => s.Closed && s.Waiting == 0 && s.Locked is null);
        if (oldest is null)
            return false;
        Remember(oldest, reason);
        CountRest(oldest, reason);
        Remove(oldest);
        SaveState();
        FreeFiles();
        if (_stateDirty)
        {
            // On a full disk only what was freed makes room for the count of it: before the log takes that room, a crash would lose the count.
            _log.ReleaseReserve();
            SaveState();
        }
        return true;
    }

    /// <summary>What may have been sent may have arrived: the aggregator is asked for it at the next hello.</summary>
    private void Remember(SpoolSegment segment, string reason)
    {
        if (!segment.MayBeSent || segment.OpenRecords == 0)
            return;
        List<RecordFact> facts = segment.Facts ?? ReadFacts(segment, segment.Records);
        if ((ulong)facts.Count <= segment.Acknowledged)
            return;
        _state.Dropped.Add(new DroppedSegment(segment.Id, reason, segment.Acknowledged, facts[(int)segment.Acknowledged..]));
        while (_state.Dropped.Count > DroppedSegmentsMax || (_state.Dropped.Count > 1 && _state.Dropped.Sum(d => d.Rest.Count) > DroppedRecordsMax))
            _state.Dropped.RemoveAt(0);
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

    /// <summary>Takes the samples of acknowledged records out of what a segment holds.</summary>
    private void TakeAcknowledged(SpoolSegment segment, ulong records)
    {
        if (records <= segment.Acknowledged)
            return;
        if (records == segment.Records && segment.Waiting == 0)
        {
            segment.Sources.Clear();
        }
        else
        {
            segment.Facts ??= ReadFacts(segment, segment.Records);
            for (ulong i = segment.Acknowledged; i < records && i < (ulong)segment.Facts.Count; i++)
                segment.TakeOut(segment.Facts[(int)i]);
        }
        segment.Acknowledged = records;
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
        _state.DamageCounted.Add(segment.FirstSequence);
    }

    private void Remove(SpoolSegment segment)
    {
        _readers.Forget(segment);
        _segments.Remove(segment);
        if (ReferenceEquals(segment, _live))
            _live = null;
        _state.Acknowledged[segment.Id] = (segment.Records, true);
    }

    /// <summary>Frees the log's files in which no segment has a frame any more.</summary>
    private void FreeFiles()
    {
        var needless = new List<ulong>();
        foreach (LogFileInfo file in _log.Files)
        {
            bool used = _segments.Exists(s => s.FirstSequence - 1 < file.NextSequence && s.EndSequence > file.FirstSequence);
            if (!used)
                needless.Add(file.Number);
        }
        if (needless.Count > 0)
            _log.FreeFiles(needless);
    }

    private void SaveState()
    {
        foreach (SpoolSegment segment in _segments)
        {
            if (segment.Acknowledged > 0)
                _state.Acknowledged[segment.Id] = (segment.Acknowledged, false);
        }
        _state.Epoch = _share.Epoch;
        _state.NextNumber = _share.NextNumber;
        ForgetFreed();
        _stateSavedMs = _clock.GetUtcNow().ToUnixTimeMilliseconds();
        try
        {
            _state.Write(_disk, _statePath, _ledger, NotDurable());
            _stateDirty = false;
        }
        catch (IOException error)
        {
            NoteError(error);
            _stateSavedMs = 0; // what was dropped stands nowhere else: the next sync tries again
        }
    }

    /// <summary>Keeps of the finished segments only the newest: its frames may still stand in the log's newest file, which is never freed.</summary>
    private void ForgetFreed()
    {
        ulong keepFrom = _segments.Count > 0 ? _segments[0].Id.Number : _state.NextNumber;
        foreach (SegmentRef id in _state.Acknowledged.Keys)
        {
            if (id.Number + 8 < keepFrom)
                _state.Acknowledged.Remove(id);
        }
    }

    /// <summary>Samples by account that wait for a sync; notes beside what is held, for the case that the log is lost.</summary>
    private Dictionary<int, long> NotDurable()
    {
        var waiting = new Dictionary<int, long>();
        _state.Buffered.Clear();
        foreach (SpoolSegment segment in _segments)
        {
            for (int i = (int)segment.Records; segment.Waiting > 0 && i < (segment.Facts?.Count ?? 0); i++)
                waiting[segment.Facts![i].Account] = waiting.GetValueOrDefault(segment.Facts[i].Account) + segment.Facts[i].Samples;
            foreach ((int account, SourceSpan span) in segment.Sources)
            {
                string name = _ledger[account].Name;
                SourceSpan known = _state.Buffered.GetValueOrDefault(name);
                _state.Buffered[name] = known.Samples == 0 ? span : new SourceSpan(known.Samples + span.Samples, Math.Min(known.FromMs, span.FromMs), Math.Max(known.ToMs, span.ToMs));
            }
        }
        return waiting;
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

    private void NoteError(IOException error)
    {
        _errors++;
        _lastError = error;
    }
}
