using System.Diagnostics.Metrics;
using Bellwether.Agent.Stream;
using Bellwether.Core.Codec;
using Bellwether.Core.Durable;
using Bellwether.Core.Platform;
using Bellwether.Core.Telemetry;

namespace Bellwether.Agent.Spool;

/// <summary>
/// The spool on the durable log: each segment of records begins with a frame that names it, and begins a file of the log, so that freeing it frees the file.
/// Folder: <c>log/</c> (docs/formats/log.md, docs/formats/segment.md) and <c>state</c>. Thread-safe; one process at a time.
/// </summary>
internal sealed class LogSpool : ISpool
{
    private const int RecordSlackBytes = 1024;
    private const int ReadErrorsMax = 3;
    private const long UnreadableMaxMs = 10_000;

    /// <summary>Metadata is repeated in each so many segments: once an hour by default.</summary>
    private const int MetadataEvery = 12;

    private readonly Lock _gate = new();
    private readonly IDisk _disk;
    private readonly string _statePath;
    private readonly SpoolOptions _options;
    private readonly TimeProvider _clock;
    private readonly Random _random;
    private readonly SegmentLog _log;
    private readonly SpoolReaders _readers;
    private readonly SegmentEncoder _encoder = new();
    private readonly List<SpoolSegment> _segments;
    private readonly List<(string Source, long Samples)> _waiting = [];
    private readonly SpoolState _state;
    private readonly AgeClock _age;
    private readonly Counter<long> _droppedCounter;
    private readonly Counter<long> _appendedCounter;
    private SpoolSegment? _live;
    private int _segmentsSinceMetadata = MetadataEvery;
    private long _errors;
    private long _damaged;
    private IOException? _lastError;

    private LogSpool(IDisk disk, string folder, SpoolOptions options, TimeProvider clock, Random random, Meter meter)
    {
        _disk = disk;
        _statePath = Path.Combine(folder, "state");
        _options = options;
        _clock = clock;
        _random = random;
        _droppedCounter = meter.CreateCounter<long>(MetricNames.SpoolSamplesDropped);
        _appendedCounter = meter.CreateCounter<long>(MetricNames.SpoolRecordsAppended);
        var replay = new SpoolReplay();
        _log = SegmentLog.Open(disk, Path.Combine(folder, "log"), LogOptions(options), clock, random, replay.Visit);
        _readers = new SpoolReaders(_log);
        _segments = replay.Segments;
        _age = new AgeClock(clock, _segments.Count == 0 ? long.MaxValue : _segments.Max(s => s.NewestMs));
        _state = Recover(replay);
        SaveState();
        meter.CreateObservableGauge(MetricNames.SpoolBytes, () => Bytes);
        meter.CreateObservableGauge(MetricNames.SpoolRecords, () => Records);
        meter.CreateObservableCounter(MetricNames.SpoolErrors, () => Statistics.Errors);
        _damaged = _log.Report.Lost.Count;
        meter.CreateObservableCounter(MetricNames.SpoolDamaged, () => Volatile.Read(ref _damaged));
    }

    /// <inheritdoc/>
    public ulong Epoch => _state.Epoch;

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
                var dropped = new List<SpoolDrop>(_state.Dropped.Count);
                foreach (((string source, string reason), long samples) in _state.Dropped)
                    dropped.Add(new SpoolDrop(source, reason, samples));
                return new SpoolStatistics(
                    _segments.Sum(s => s.OpenBytes), (long)_segments.Aggregate(0UL, (sum, s) => sum + s.OpenRecords), _segments.Count, OldestMsLocked(),
                    _log.Bytes, _log.PendingBytes, _errors + _log.Errors, (_lastError ?? _log.LastError)?.Message, dropped);
            }
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
        disk.CreateFolder(folder);
        return new LogSpool(disk, folder, options, clock, random, meter);
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
            MakeRoom(_encoder.Record.Length);
            if (!TryAppend(SpoolFrames.Record, _encoder.Record))
                return DropTick(tick, SpoolDropReasons.Disk, SpoolAppend.DiskFailed);
            _live!.Saw(tick.TimestampMs, _encoder.Record.Length);
            _waiting.Add((tick.Table.Name, _encoder.Samples));
            _appendedCounter.Add(1);
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
        lock (_gate)
        {
            foreach (SpoolSegment segment in _segments)
            {
                // While records of a closed segment still wait, it must not look complete.
                if (segment.Records > 0)
                    into.Add(new SpooledSegment(segment.Id, segment.Records, segment.Closed && segment.Waiting == 0));
            }
        }
    }

    /// <inheritdoc/>
    public bool TryRead(SegmentRef segment, ulong firstRecord, int maxBytes, List<ReadOnlyMemory<byte>> into)
    {
        lock (_gate)
        {
            SpoolSegment? found = Find(segment);
            if (found is null)
                return false;
            try
            {
                if (_readers.Read(found, firstRecord, maxBytes, into, out ulong next) == SegmentRead.Damaged)
                    CutDamaged(found, next);
                found.ReadErrors = 0;
                found.UnreadableSinceMs = null;
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
                return;
            found.Acknowledged = Math.Max(found.Acknowledged, Math.Min(records, found.Records));
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
            return _state.NextNumber;
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
            if (segment.OpenRecords > 0)
                oldest = Math.Min(oldest, segment.OpenOldestMs);
        }
        return oldest == long.MaxValue ? 0 : oldest;
    }

    /// <summary>Brings the replayed segments and the remembered state together, and says which epoch it is.</summary>
    private SpoolState Recover(SpoolReplay replay)
    {
        SpoolState? kept = null;
        try
        {
            kept = SpoolState.TryRead(_disk, _statePath);
        }
        catch (IOException error)
        {
            NoteError(error);
        }
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
        foreach (SpoolSegment segment in _segments)
        {
            if (state.Acknowledged.TryGetValue(segment.Id, out (ulong Records, bool Complete) held))
                segment.Acknowledged = held.Complete ? segment.Records : Math.Min(held.Records, segment.Records);
        }
        _segments.RemoveAll(s => s.Records == 0 || (state.Acknowledged.TryGetValue(s.Id, out (ulong Records, bool Complete) held) && held.Complete));
        foreach ((string source, long samples) in replay.Damaged)
            CountDrop(state, source, SpoolDropReasons.Damaged, samples);
        return state;
    }

    private SpoolSegment? Find(SegmentRef id) => _segments.Find(s => s.Id == id);

    private bool TryBegin(long nowMs)
    {
        bool withMetadata = ++_segmentsSinceMetadata >= MetadataEvery;
        if (withMetadata)
            _segmentsSinceMetadata = 0;
        _encoder.StartSegment(withMetadata);
        var id = new SegmentRef(_state.Epoch, _state.NextNumber++, (uint)_random.NextInt64(uint.MaxValue + 1L));
        Span<byte> payload = stackalloc byte[SpoolFrames.BeginBytes];
        SpoolFrames.WriteBegin(payload, id, nowMs);
        if (!TryAppend(SpoolFrames.SegmentBegins, payload))
            return false;
        _live = new SpoolSegment(id, _log.NextSequence, nowMs);
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
        while (outcome == LogSync.DiskFull && DropOldest(SpoolDropReasons.Disk))
            outcome = _log.Sync();
        if (outcome != LogSync.Durable)
            return outcome;
        _waiting.Clear();
        foreach (SpoolSegment segment in _segments)
            segment.Settle();
        return outcome;
    }

    /// <summary>The disk fails and memory is full: what waits is given up, counted, and the live segment ends before it.</summary>
    private void DiscardWaiting()
    {
        foreach ((string source, long samples) in _waiting)
            CountDrop(_state, source, SpoolDropReasons.Disk, samples);
        _waiting.Clear();
        _log.DiscardPending();
        foreach (SpoolSegment segment in _segments)
        {
            segment.Closed |= segment.Waiting > 0 || ReferenceEquals(segment, _live);
            segment.Discard();
        }
        _live = null;
        _segments.RemoveAll(s => s.Records == 0);
    }

    private SpoolAppend DropTick(SourceTick tick, string reason, SpoolAppend outcome)
    {
        CountDrop(_state, tick.Table.Name, reason, tick.PresentCount + tick.Timed.Count + tick.Histograms.Count);
        return outcome;
    }

    private void MakeRoom(int bytes)
    {
        while (_log.Bytes + _log.PendingBytes + bytes > _options.BytesMax && DropOldest(SpoolDropReasons.Size))
        {
        }
    }

    private void DropAged()
    {
        long limit = _age.NowMs - (long)_options.AgeMax.TotalMilliseconds;
        while (_segments.Count > 0 && _segments[0] is { Closed: true, Records: > 0 } oldest && oldest.NewestMs < limit && DropOldest(SpoolDropReasons.Age))
        {
        }
    }

    /// <summary>Drops the oldest closed segment, counting its samples by source; false when there is none.</summary>
    private bool DropOldest(string reason)
    {
        SpoolSegment? oldest = _segments.Find(s => s.Closed && s.Waiting == 0);
        if (oldest is null)
            return false;
        CountSegment(oldest, oldest.Acknowledged, reason);
        Remove(oldest);
        SaveState();
        FreeFiles();
        return true;
    }

    /// <summary>Counts the samples of a segment's records from an index on, as far as their headers can be read.</summary>
    private void CountSegment(SpoolSegment segment, ulong from, string reason)
    {
        var names = new Dictionary<int, string>();
        using LogReader reader = _log.Read(segment.FirstSequence);
        try
        {
            for (LogRead read = reader.MoveNext(); read != LogRead.End; read = reader.MoveNext())
            {
                if (read == LogRead.Lost)
                    continue;
                if (reader.Sequence >= segment.EndSequence)
                    return;
                if (RecordHeader.TryRead(reader.Payload, CodecLimits.Default, out RecordHeader header) != DecodeOutcome.Applied)
                    continue;
                if (header.NewName is { } name)
                    names[header.Source] = name;
                if (reader.Sequence >= segment.FirstSequence + from)
                    CountDrop(_state, names.GetValueOrDefault(header.Source, ""), reason, header.Samples);
            }
        }
        catch (IOException error)
        {
            NoteError(error);
        }
    }

    /// <summary>Ends a segment before a record that cannot be read any more; what stands behind cannot be decoded without it.</summary>
    private void CutDamaged(SpoolSegment segment, ulong records)
    {
        _damaged++;
        if (ReferenceEquals(segment, _live))
            CloseLive();
        CountSegment(segment, Math.Max(records, segment.Acknowledged), SpoolDropReasons.Damaged);
        segment.Records = records;
        segment.Acknowledged = Math.Min(segment.Acknowledged, records);
        segment.Closed = true;
        if (records == 0)
            Remove(segment);
        SaveState();
        FreeFiles();
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
        ForgetFreed();
        try
        {
            _state.Write(_disk, _statePath);
        }
        catch (IOException error)
        {
            NoteError(error); // what it holds is a hint: the next change tries again
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

    private void CountDrop(SpoolState state, string source, string reason, long samples)
    {
        if (!state.Dropped.ContainsKey((source, reason)) && state.Dropped.Count >= _options.DropSourcesMax)
            source = "";
        state.Dropped[(source, reason)] = state.Dropped.GetValueOrDefault((source, reason)) + samples;
        if (samples > 0)
            _droppedCounter.Add(samples, new KeyValuePair<string, object?>("source", source), new KeyValuePair<string, object?>("reason", reason));
    }

    private void NoteError(IOException error)
    {
        _errors++;
        _lastError = error;
    }
}
