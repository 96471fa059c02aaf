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
internal sealed partial class LogSpool : ISpool, ISpoolLedger
{
    private const int RecordSlackBytes = 1024;
    private const int ReadErrorsMax = 3;
    private const long UnreadableMaxMs = 10_000;

    /// <summary>So many records that a usual segment has; more make the list grow.</summary>
    private const int FactsCapacity = 1024;

    /// <summary>Dropped segments that are remembered because they may have arrived: more than the window of a session holds, also where a failing disk made them short.</summary>
    private const int DroppedSegmentsMax = 256;

    private const int DroppedRecordsMax = 16_384;

    /// <summary>Room for the two frames before a segment's records, beside the ledger.</summary>
    private const int FramesBytes = 96;

    /// <summary>Drops of what was never in a record are written down with a sync, at most this often; those of records before their files are freed.</summary>
    private const long StateIntervalMs = 1_000;

    /// <summary>Metadata is repeated in each so many segments: once an hour by default.</summary>
    private const int MetadataEvery = 12;

    private readonly Lock _gate;
    private readonly SpoolShare _share;
    private readonly SpoolStateFile _stateFile;
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
        _stateFile = new SpoolStateFile(disk, folder, NoteError);
        _options = options;
        _clock = clock;
        _random = random;
        _ledger = new SpoolLedger(options.DropSourcesMax);
        SpoolState? kept = _stateFile.Read();
        var replay = new SpoolReplay(_ledger, kept, options.Keys);
        _log = SegmentLog.Open(disk, Path.Combine(folder, "log"), LogOptions(options), clock, random, replay.Visit);
        _readers = new SpoolReaders(_log);
        _segments = replay.Segments;
        _age = new AgeClock(clock, _segments.Count == 0 ? long.MaxValue : _segments.Max(s => s.NewestMs));
        _state = Recover(replay, kept);
        _share.Epoch = Math.Max(_share.Epoch, _state.Epoch);
        _share.NextNumber = Math.Max(_share.NextNumber, _state.NextNumber);
        _share.Add(this);
        // What was read may not be durable: until it is written again, nothing is freed because of it.
        _stateDirty = true;
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
            if (_live is not null && (_encoder.Bytes >= _options.SegmentBytes || nowMs - _live.CreatedMs >= _options.SegmentAge.TotalMilliseconds || nowMs < _live.CreatedMs || IsCut(_live)))
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
                return DropTick(tick, SpoolDropReasons.OverLimit, SpoolAppend.OverLimit);
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
            TakeAcknowledged(found, Math.Min(records, found.Records), isNew: true);
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

    private SpoolSegment? Find(SegmentRef id) => _segments.Find(s => s.Id == id);

    /// <summary>Takes the samples of acknowledged records out of what a segment holds. Not <paramref name="isNew"/>: the ledger counts them already.</summary>
    private void TakeAcknowledged(SpoolSegment segment, ulong records, bool isNew)
    {
        if (records <= segment.Acknowledged)
            return;
        if (records == segment.Records && segment.Waiting == 0)
        {
            foreach ((int account, SourceSpan span) in segment.Sources)
                _ledger[account].Acknowledged += isNew ? span.Samples : 0;
            segment.Sources.Clear();
        }
        else
        {
            List<RecordFact> facts = segment.Facts ?? ReadFacts(segment, segment.Records);
            if ((ulong)facts.Count < records)
                return; // the disk does not say whose they are: the next acknowledgement says it again
            segment.Facts = facts;
            for (ulong i = segment.Acknowledged; i < records; i++)
            {
                long taken = segment.TakeOut(facts[(int)i]);
                _ledger[facts[(int)i].Account].Acknowledged += isNew ? taken : 0;
            }
        }
        segment.Acknowledged = records;
    }

    private void Remove(SpoolSegment segment)
    {
        _readers.Forget(segment);
        _segments.Remove(segment);
        if (ReferenceEquals(segment, _live))
            _live = null;
        _state.Acknowledged[segment.Id] = new SegmentFate(segment.Records, true, segment.FirstSequence, segment.EndSequence);
        _stateDirty = true;
    }

    private void NoteError(IOException error)
    {
        _errors++;
        _lastError = error;
    }
}
