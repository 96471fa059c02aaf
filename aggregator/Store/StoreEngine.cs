using System.Diagnostics.Metrics;
using System.Runtime.InteropServices;
using Bellwether.Core.Model;
using Bellwether.Core.Platform;
using Bellwether.Core.Telemetry;
using Bellwether.Store.Blocks;
using Bellwether.Store.Head;
using Bellwether.Store.Records;
using Bellwether.Store.Wal;
using Microsoft.Extensions.Logging;

namespace Bellwether.Store;

/// <summary>
/// The store as a synchronous state machine with one writer (docs/ARCHITECTURE.md, idea 8): apply records and batches, commit, maintain. Everything that changes it is called
/// by one thread at a time; reading (<see cref="Reader"/>, <see cref="HeldOf"/>, <see cref="Statistics"/>) is thread-safe beside it.
/// The flow: 1 a record or batch is framed into the write-ahead log, 2 it is applied to the head, 3 <see cref="Commit"/> makes it durable,
/// 4 <see cref="Maintain"/> cuts whole partitions out of the head into chunk files, 5 writes a checkpoint, 6 drops the log and the files that nothing needs.
/// </summary>
public sealed partial class StoreEngine : ILedgerSource, IDisposable
{
    // Of one batch; what a frame of the log may have and what may wait in it are above this.
    private const int PendingBytesMax = 64 << 20;
    private readonly StoreOptions _options;
    private readonly IDisk _disk;
    private readonly TimeProvider _time;
    private readonly ILogger _log;
    private readonly IDisposable _lock;
    private readonly HeadIndex _index = new();
    private readonly HeadWriter _head;
    private readonly BatchFrameWriter _batches = new();
    private readonly RecordApplier _records;
    private readonly WalLedger _ledger = new();
    private readonly BlockSet _blocks;
    private readonly CheckpointFile _checkpoints;
    private readonly StoreReader _reader;
    private readonly WriteAheadLog _wal;
    private AgeClock _age = null!;
    private Checkpoint _checkpoint;
    private long _ageNowMs;
    private readonly ISampleTap? _tap;
    // The position of what the tap was told last and took: behind it nothing came that it has to hold.
    private ulong _told;
    private HeadSeries? _lastAppended;
    private Labels? _lastLabels;

    private StoreEngine(StoreOptions options, IDisk disk, TimeProvider time, Random random, Meter meter, ILogger log, ISampleTap? tap, IDisposable folderLock)
    {
        _tap = tap;
        _told = tap?.HeldTo ?? 0;
        _options = options;
        _disk = disk;
        _time = time;
        _log = log;
        _lock = folderLock;
        _refusalLines = new RepeatedLines<(SeriesLimit, string)>(time);
        StoreId = StoreIdentity.ReadOrMake(disk, options.Folder, random);
        _head = new HeadWriter(options, _index);
        _records = new RecordApplier(options, _head, _ledger);
        _blocks = new BlockSet(disk, Path.Combine(options.Folder, "chunks"), options, log);
        _checkpoints = new CheckpointFile(disk, options.Folder);
        _reader = new StoreReader(_index, _blocks, _head, options.MaxSelectionBytes);
        _wal = Load(random);
        Telemetry = new StoreTelemetry(meter, this);
    }

    /// <summary>Names this store for ever.</summary>
    public string StoreId { get; }

    /// <summary>What opening found.</summary>
    public OpenReport Opened { get; private set; } = new();

    /// <summary>Selections. Thread-safe.</summary>
    public ISeriesReader Reader => _reader;

    /// <summary>Exemplars in memory of series that match, with a time in the range (Unix ms, inclusive), by labels. Thread-safe.</summary>
    public IReadOnlyList<(Labels Labels, IReadOnlyList<Exemplar> Exemplars)> Exemplars(long fromMs, long toMs, IReadOnlyList<LabelMatcher> matchers, CancellationToken cancellation) =>
        _reader.Exemplars(fromMs, toMs, matchers, cancellation);

    /// <summary>Bytes framed since the last <see cref="Commit"/>.</summary>
    public long PendingBytes => _wal.Pending;

    internal StoreTelemetry Telemetry { get; }

    /// <summary>
    /// Opens a store and replays its log. Succeeds on any content of the folder; what is damaged is counted, logged and left aside. Throws <see cref="IOException"/> when the folder is in use or cannot be read.
    /// </summary>
    /// <param name="tap">Learns of every sample committed from now on, and before this returns of what the log holds behind its <see cref="ISampleTap.HeldTo"/>.</param>
    public static StoreEngine Open(StoreOptions options, IDisk disk, TimeProvider time, Random random, Meter meter, ILogger log, ISampleTap? tap = null)
    {
        CheckResolutions(options);
        disk.CreateFolder(options.Folder);
        IDisposable folderLock = disk.Lock(options.Folder);
        try
        {
            return new StoreEngine(options, disk, time, random, meter, log, tap, folderLock);
        }
        catch
        {
            folderLock.Dispose();
            throw;
        }
    }

    /// <summary>
    /// Applies a batch; durable after the next <see cref="Commit"/>. Throws <see cref="StoreUnavailableException"/> when it is so large that a part had to be made durable at once and
    /// the disk did not take that: what was applied waits with the rest, and the batch may be sent again.
    /// </summary>
    public AppendResult AppendBatch(SampleBatch batch)
    {
        ArgumentNullException.ThrowIfNull(batch);
        var result = new AppendResult();
        TakeTime();
        _batches.Begin();
        _index.Gate.EnterWriteLock();
        try
        {
            foreach (ref readonly SeriesSample sample in System.Runtime.InteropServices.CollectionsMarshal.AsSpan(batch.Samples))
            {
                AppendOne(sample, result);
                FlushLarge();
            }
            AppendRest(batch);
        }
        finally
        {
            _index.Gate.ExitWriteLock();
        }
        LogBatch();
        return result;
    }

    /// <summary>The label set's own object of the series in memory; null: there is no such series. Thread-safe.</summary>
    public Labels? Known(Labels labels)
    {
        _index.Gate.EnterReadLock();
        try
        {
            return _index.TryGet(labels, out HeadSeries? series) ? series.Labels : null;
        }
        finally
        {
            _index.Gate.ExitReadLock();
        }
    }

    /// <summary>Applies a run of records; the result holds once the next <see cref="Commit"/> has returned.</summary>
    public RunResult ApplyRun(RecordRun run)
    {
        ArgumentNullException.ThrowIfNull(run);
        TakeTime();
        _index.Gate.EnterWriteLock();
        try
        {
            return _records.Apply(run, _wal);
        }
        finally
        {
            _index.Gate.ExitWriteLock();
        }
    }

    /// <summary>Makes everything applied so far durable. Throws <see cref="IOException"/>: nothing since the last commit may be acknowledged.</summary>
    public void Commit()
    {
        _wal.Sync();
        _records.Committed();
        Tell(_wal.Next);
    }

    /// <summary>What is durable of a segment. Thread-safe.</summary>
    public SegmentProgress HeldOf(SegmentKey segment) => _records.HeldOf(segment);

    /// <inheritdoc/>
    public IReadOnlyList<StoredLedger> Ledgers(string? agent = null) => _records.Ledgers(agent);

    /// <inheritdoc/>
    public IReadOnlyList<EpochSegments> SegmentsOf(string agent) => _records.SegmentsOf(agent);

    /// <summary>Whether there is room for new data.</summary>
    public bool HasRoom() => _disk.FreeBytes(_options.Folder) >= _options.MinFreeBytes;

    /// <summary>Figures as of now. Thread-safe; walks all series in memory.</summary>
    /// <param name="limit">How many entries each list has at most.</param>
    public StoreStatistics Statistics(int limit = 10)
    {
        _index.Gate.EnterReadLock();
        try
        {
            return HeadStatistics.Take(_index, limit) with
            {
                Limits =
                [
                    LimitState("max_series", _options.MaxSeries, SeriesLimit.Series),
                    LimitState("max_series_per_job", _options.MaxSeriesPerJob, SeriesLimit.SeriesPerJob),
                    LimitState("max_series_per_agent", _options.MaxSeriesPerAgent, SeriesLimit.SeriesPerAgent),
                ],
                ChunkFiles = _blocks.Count,
                ChunkFileBytes = _blocks.Bytes,
                WalBytes = _wal.Bytes,
            };
        }
        finally
        {
            _index.Gate.ExitReadLock();
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        Telemetry.Dispose();
        _wal.Dispose();
        _blocks.Dispose();
        _lock.Dispose();
    }

    internal long[] Outcomes => _head.Outcomes;

    internal long[] SeriesRefused => _head.SeriesRefused;

    /// <summary>Series in memory by job, most first. Thread-safe.</summary>
    internal IReadOnlyList<NamedCount> SeriesByJob(int limit)
    {
        _index.Gate.EnterReadLock();
        try
        {
            return HeadStatistics.ByValue(_index, HeadWriter.JobLabel, limit);
        }
        finally
        {
            _index.Gate.ExitReadLock();
        }
    }

    /// <summary>Series in memory by the agent that was the first to send them, most first. Thread-safe.</summary>
    public IReadOnlyList<NamedCount> SeriesByAgent(int limit)
    {
        _index.Gate.EnterReadLock();
        try
        {
            return HeadStatistics.ByAgent(_index, limit);
        }
        finally
        {
            _index.Gate.ExitReadLock();
        }
    }

    private SeriesLimitState LimitState(string name, int value, SeriesLimit limit) => new(name, value, Volatile.Read(ref _head.SeriesRefused[(int)limit]));

    internal int HeadSeries => _index.Count;

    internal int HeldSamples => _head.Held.Count;

    internal BlockSet Blocks => _blocks;

    internal long WalBytes => _wal.Bytes;

    /// <summary>The first time that is taken now, Unix ms: retention, or what became slots of a coarser resolution, stands against older ones. Thread-safe.</summary>
    public long OldestTakenMs => Math.Max(Volatile.Read(ref _ageNowMs) - (long)_options.Retention.TotalMilliseconds, _head.ClosedMs == long.MinValue ? long.MinValue : _head.ClosedMs + 1);

    internal RecordApplier Records => _records;

    // Positions are the sequence behind the commit's last frame, so they are the same when it is told again after a crash.
    private void Tell(ulong position)
    {
        if (_head.Tapped is not { } tapped || tapped.Count + _head.TappedExemplars.Count == 0)
            return;
        if (_tap!.OnCommitted(position, CollectionsMarshal.AsSpan(tapped), CollectionsMarshal.AsSpan(_head.TappedExemplars)))
            _told = position;
        tapped.Clear();
        _head.TappedExemplars.Clear();
    }

    private long NowMs() => _time.GetUtcNow().ToUnixTimeMilliseconds();

    private void TakeTime()
    {
        _head.NowMs = NowMs();
        _head.AgeNowMs = _age.NowMs;
        Volatile.Write(ref _ageNowMs, _head.AgeNowMs);
    }

    private void LogBatch()
    {
        if (_batches.IsEmpty)
            return;
        ulong sequence = _wal.Append(FrameKind.Batch, _batches.Finish());
        _batches.Logged(sequence);
        _ledger.Note(sequence, _head.TakeNewest(), _batches.Context);
    }

    private void AppendOne(in SeriesSample sample, AppendResult result)
    {
        AppendOutcome outcome = _head.Judge(sample.TimestampMs);
        if (outcome != AppendOutcome.Stored)
        {
            result.Add(_head.Count(outcome), $"{sample.Labels}: the time {sample.TimestampMs} is {(outcome == AppendOutcome.TooNew ? "too far ahead of the clock" : "older than retention")}", sample.Histogram is not null);
            return;
        }
        // Samples of one series come together.
        if (_lastAppended is not { } series || !ReferenceEquals(sample.Labels, _lastLabels) || series.IsRemoved)
        {
            if (_head.Resolve(sample.Labels, out outcome, out string? error) is not { } found)
            {
                result.Add(_head.Count(outcome), error, sample.Histogram is not null);
                return;
            }
            _lastAppended = series = found;
            _lastLabels = sample.Labels;
        }
        if (sample.Histogram is { } histogram)
            outcome = _head.Append(series, sample.TimestampMs, histogram, sample.StartMs);
        else
            outcome = _head.Append(series, sample.TimestampMs, sample.Value, sample.StartMs);
        result.Add(outcome, outcome is AppendOutcome.Invalid or AppendOutcome.OverLimit ? $"{sample.Labels}: the native histogram is not valid or has too many buckets" : null, sample.Histogram is not null);
        if (outcome is AppendOutcome.Stored or AppendOutcome.Conflict)
            _batches.Add(series, sample.TimestampMs, sample.Value, sample.Histogram, sample.StartMs);
    }

    private void FlushLarge()
    {
        if (!_batches.IsLarge)
            return;
        LogBatch();
        _batches.Begin();
        if (PendingBytes < PendingBytesMax)
            return;
        try
        {
            _wal.Sync();
        }
        catch (IOException e)
        {
            throw new StoreUnavailableException("the store could not write to its disk: " + e.Message, e);
        }
    }

    private void AppendRest(SampleBatch batch)
    {
        for (int i = 0; i < batch.Exemplars.Count; i++)
        {
            (Labels labels, Exemplar exemplar) = batch.Exemplars[i];
            // Those of one series come together; of more than are kept only the last are worth their bytes.
            bool isTooMany = i + _options.MaxExemplarsPerSeries < batch.Exemplars.Count && ReferenceEquals(batch.Exemplars[i + _options.MaxExemplarsPerSeries].Labels, labels);
            if (isTooMany || !_index.TryGet(labels, out HeadSeries? series))
                continue;
            _head.Add(series, exemplar);
            _batches.Add(labels, exemplar);
            FlushLarge();
        }
        foreach ((string family, MetricMetadata metadata) in batch.Metadata)
        {
            if (_head.Metadata.TryGetValue(family, out MetricMetadata? known) && known == metadata)
                continue;
            _head.Describe(family, metadata);
            _batches.Add(family, metadata);
            FlushLarge();
        }
    }
}
