using System.Diagnostics.Metrics;
using System.Threading.Channels;
using Bellwether.Core.Model;
using Bellwether.Core.Platform;
using Bellwether.Core.Telemetry;
using Microsoft.Extensions.Logging;

namespace Bellwether.Store;

/// <summary>
/// The store with its writer thread: batches and runs wait in a bounded queue, are applied in groups and answered after one sync for all of them.
/// Thread-safe. Reads go to <see cref="Reader"/> and never wait for the writer's disk.
/// </summary>
public sealed partial class StoreWriter : ISampleAppender, IRecordStore, IAsyncDisposable
{
    private static readonly TimeSpan s_maintenanceInterval = TimeSpan.FromSeconds(5);
    private static readonly TimeSpan s_mergeInterval = TimeSpan.FromSeconds(60);
    private readonly StoreEngine _engine;
    private readonly StoreOptions _options;
    private readonly GroupCommit _commit;
    private readonly ILogger _log;
    private readonly Channel<Work> _queue;
    private readonly Thread _thread;
    private readonly TaskCompletionSource _ended = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly ITimer _maintenance;
    private readonly ITimer _merging;
    private readonly CancellationTokenSource _closing = new();
    // Cuts, deletions and snapshots: one after the other.
    private readonly SemaphoreSlim _cutGate = new(1);
    private Task _cutting = Task.CompletedTask;
    private Task _cutWritten = Task.CompletedTask;
    private int _isMerging;
    private int _missedMaintenance;
    private long _refusedGroups;
    private Exception? _failure;
    private bool _isRefusing;

    private StoreWriter(StoreEngine engine, StoreOptions options, TimeProvider time, Meter meter, ILogger log)
    {
        _engine = engine;
        _options = options;
        _commit = new GroupCommit(engine, options, log);
        _log = log;
        _queue = Channel.CreateBounded<Work>(new BoundedChannelOptions(options.MaxQueued) { SingleReader = true, FullMode = BoundedChannelFullMode.Wait });
        meter.CreateObservableCounter(MetricNames.StoreGroupsRefused, () => RefusedGroups, null, "Groups of writes refused because the disk was full or failed.");
        _thread = new Thread(Run) { IsBackground = true, Name = "store writer" };
        _thread.Start();
        _maintenance = time.CreateTimer(_ => MaintainSoon(), null, s_maintenanceInterval, s_maintenanceInterval);
        _merging = time.CreateTimer(_ => MergeBeside(), null, s_mergeInterval, s_mergeInterval);
    }

    /// <summary>The engine behind it, for what is thread-safe there.</summary>
    public StoreEngine Engine => _engine;

    /// <summary>Selections. Thread-safe.</summary>
    public ISeriesReader Reader => _engine.Reader;

    /// <inheritdoc/>
    public string StoreId => _engine.StoreId;

    /// <summary>Whether new data are refused now (full or failed disk).</summary>
    public bool IsUnavailable => Volatile.Read(ref _isRefusing);

    /// <summary>The defect by which the writer ended; null: none. A program must not go on when there is one: nothing is stored any more.</summary>
    public Exception? Failure => Volatile.Read(ref _failure);

    /// <summary>Groups that were refused because the disk was full or failed.</summary>
    public long RefusedGroups => Volatile.Read(ref _refusedGroups);

    /// <summary>Opens the store in a folder and starts its writer. See <see cref="StoreEngine.Open"/>.</summary>
    public static StoreWriter Open(StoreOptions options, IDisk disk, TimeProvider time, Random random, Meter meter, ILogger log, ISampleTap? tap = null) =>
        new(StoreEngine.Open(options, disk, time, random, meter, log, tap), options, time, meter, log);

    /// <inheritdoc/>
    public SegmentProgress HeldOf(SegmentKey segment) => _engine.HeldOf(segment);

    /// <inheritdoc/>
    public Labels? Known(Labels labels) => _engine.Known(labels);

    /// <inheritdoc/>
    public long OldestMs => _engine.OldestTakenMs;

    /// <inheritdoc/>
    public async ValueTask<AppendResult> AppendAsync(SampleBatch batch, CancellationToken cancellation)
    {
        var work = new BatchWork(batch);
        await EnqueueAsync(work, cancellation).ConfigureAwait(false);
        return await work.Done.Task.WaitAsync(cancellation).ConfigureAwait(false);
    }

    /// <inheritdoc/>
    public async ValueTask<RunResult> ApplyAsync(RecordRun run, CancellationToken cancellation)
    {
        var work = new RunWork(run);
        try
        {
            await EnqueueAsync(work, cancellation).ConfigureAwait(false);
            // No WaitAsync: the records' memory belongs to the caller until the task completes.
            return await work.Done.Task.ConfigureAwait(false);
        }
        catch (StoreUnavailableException e)
        {
            return new RunResult(RunOutcome.Unavailable, _engine.HeldOf(run.Segment), [], [], e.Message);
        }
    }

    /// <summary>Runs maintenance now, whatever its interval; completes when it is done.</summary>
    public async Task MaintainAsync(CancellationToken cancellation)
    {
        var work = new MaintenanceWork(this);
        await EnqueueAsync(work, cancellation).ConfigureAwait(false);
        await work.Done.Task.WaitAsync(cancellation).ConfigureAwait(false);
        await Volatile.Read(ref _cutting).WaitAsync(cancellation).ConfigureAwait(false);
    }

    private async Task<T> OnWriterAsync<T>(Func<StoreEngine, T> call, CancellationToken cancellation)
    {
        var work = new CallWork<T>(call);
        await EnqueueAsync(work, cancellation).ConfigureAwait(false);
        return await work.Done.Task.ConfigureAwait(false);
    }

    /// <summary>Applies what is queued, syncs it and closes the store.</summary>
    public async ValueTask DisposeAsync()
    {
        await _maintenance.DisposeAsync().ConfigureAwait(false);
        await _closing.CancelAsync().ConfigureAwait(false);
        // Waits for a merge that is on its way, which ends at the next series.
        await _merging.DisposeAsync().ConfigureAwait(false);
        await Volatile.Read(ref _cutting).ConfigureAwait(false);
        _queue.Writer.TryComplete();
        await _ended.Task.ConfigureAwait(false);
        // One that was begun since.
        await Volatile.Read(ref _cutting).ConfigureAwait(false);
        _engine.Dispose();
        _closing.Dispose();
        _cutGate.Dispose();
    }

    private async ValueTask EnqueueAsync(Work work, CancellationToken cancellation)
    {
        try
        {
            await _queue.Writer.WriteAsync(work, cancellation).ConfigureAwait(false);
        }
        catch (ChannelClosedException e)
        {
            throw new StoreUnavailableException("the store is closed", e);
        }
    }

    // One group: 1 take what waits, up to a size; 2 apply; 3 sync; 4 answer.
    private void Run()
    {
        var group = new List<Work>();
        ChannelReader<Work> reader = _queue.Reader;
        try
        {
            while (reader.WaitToReadAsync().AsTask().GetAwaiter().GetResult())
                RunGroup(reader, group);
            _ended.SetResult();
        }
        catch (Exception e)
        {
            LogDied(_log, e);
            Volatile.Write(ref _failure, e);
            _queue.Writer.TryComplete(e);
            var cause = new StoreUnavailableException("the store's writer ended by a defect", e);
            foreach (Work work in group)
                work.Fail(cause);
            while (reader.TryRead(out Work? left))
                left.Fail(cause);
            _ended.SetResult();
        }
    }

    private void RunGroup(ChannelReader<Work> reader, List<Work> group)
    {
        group.Clear();
        if (_engine.IsCutOverrun)
            _cutWritten.ContinueWith(static _ => { }, CancellationToken.None, TaskContinuationOptions.ExecuteSynchronously, TaskScheduler.Default).GetAwaiter().GetResult();
        StoreUnavailableException? refusal = _commit.Begin();
        while (_commit.HasRoomFor(group.Count) && reader.TryRead(out Work? work))
        {
            group.Add(work);
            if (refusal is null || !work.AddsData)
                work.Apply(_engine);
        }
        refusal ??= _commit.End();
        Volatile.Write(ref _isRefusing, refusal is not null);
        if (refusal is not null)
            Volatile.Write(ref _refusedGroups, _refusedGroups + 1);
        foreach (Work work in group)
        {
            if (refusal is null || !work.AddsData)
                work.Complete();
            else
                work.Fail(refusal);
        }
        group.Clear();
        if (Interlocked.Exchange(ref _missedMaintenance, 0) != 0)
            Maintain();
        if (refusal is null)
            SaveIfDue();
    }

    // Where more comes than the queue takes it never has room: memory would grow without bound if nothing were cut any more.
    private void MaintainSoon()
    {
        if (!_queue.Writer.TryWrite(new MaintenanceWork(this)))
            Interlocked.Exchange(ref _missedMaintenance, 1);
    }

    [LoggerMessage(EventId = 5710, Level = LogLevel.Critical, Message = "the store's writer ended by a defect")]
    private static partial void LogDied(ILogger log, Exception error);

    private abstract class Work
    {
        public virtual bool AddsData => true;

        public abstract void Apply(StoreEngine engine);

        public abstract void Complete();

        public abstract void Fail(StoreUnavailableException cause);
    }

    private sealed class BatchWork(SampleBatch batch) : Work
    {
        private AppendResult? _result;

        public TaskCompletionSource<AppendResult> Done { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public override void Apply(StoreEngine engine)
        {
            try
            {
                _result = engine.AppendBatch(batch);
            }
            catch (StoreUnavailableException e)
            {
                Done.TrySetException(e);
            }
        }

        public override void Complete() => Done.TrySetResult(_result!);

        public override void Fail(StoreUnavailableException cause) => Done.TrySetException(cause);
    }

    private sealed class RunWork(RecordRun run) : Work
    {
        private RunResult? _result;

        public TaskCompletionSource<RunResult> Done { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public override void Apply(StoreEngine engine) => _result = engine.ApplyRun(run);

        public override void Complete() => Done.TrySetResult(_result!);

        public override void Fail(StoreUnavailableException cause) => Done.TrySetException(cause);
    }

    private sealed class MaintenanceWork(StoreWriter writer) : Work
    {
        public TaskCompletionSource Done { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public override bool AddsData => false;

        public override void Apply(StoreEngine engine) => writer.Maintain();

        public override void Complete() => Done.TrySetResult();

        public override void Fail(StoreUnavailableException cause) => Done.TrySetException(cause);
    }

    private sealed class CallWork<T>(Func<StoreEngine, T> call) : Work
    {
        private T? _result;
        private IOException? _failed;

        public TaskCompletionSource<T> Done { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public override bool AddsData => false;

        public override void Apply(StoreEngine engine)
        {
            try
            {
                _result = call(engine);
            }
            catch (IOException e)
            {
                _failed = e;
            }
        }

        public override void Complete()
        {
            if (_failed is not null)
                Done.TrySetException(_failed);
            else
                Done.TrySetResult(_result!);
        }

        public override void Fail(StoreUnavailableException cause) => Done.TrySetException(cause);
    }
}
