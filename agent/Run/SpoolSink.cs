using System.Collections.Concurrent;
using System.Threading.Channels;
using Bellwether.Agent.Spool;
using Bellwether.Agent.Stream;
using Bellwether.Core.Codec;
using Bellwether.Core.Durable;
using Microsoft.Extensions.Logging;

namespace Bellwether.Agent.Run;

/// <summary>
/// Between the scheduler and the spool: appends each tick at once and makes what has come together durable in one sync; then the stream may read it. Ticks come from one
/// thread at a time; the loop syncs on its own.
/// </summary>
internal sealed partial class SpoolSink(ISpool spool, TimeProvider time, ILogger log) : ITickSink, IWatermarkSource
{
    private static readonly TimeSpan s_retry = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan s_toldInterval = TimeSpan.FromMinutes(1);
    private readonly Channel<bool> _appended = Channel.CreateBounded<bool>(new BoundedChannelOptions(1) { FullMode = BoundedChannelFullMode.DropWrite });
    private readonly ConcurrentDictionary<string, SourceTicks> _sources = new();
    private long _ticks;
    private SpoolAppend _lastOutcome;
    private long _durableTicks;
    private long _droppedTold = (spool as ISpoolLedger)?.DroppedSamples ?? 0;
    private long? _toldAt;

    /// <summary>Ticks taken since the start: the watchdog's measure of progress.</summary>
    public long Ticks => Volatile.Read(ref _ticks);

    /// <summary>The newest tick of a source: its time (Unix ms; 0: none yet) and samples.</summary>
    public (long TimestampMs, int Samples) NewestOf(string source) => _sources.TryGetValue(source, out SourceTicks? ticks) ? (ticks.TimestampMs, ticks.Samples) : default;

    /// <summary>Forgets sources that do not run any more: targets come and go for as long as the agent runs.</summary>
    public void KeepOnly(IReadOnlySet<string> running)
    {
        foreach (string source in _sources.Keys)
        {
            if (!running.Contains(source))
                _sources.TryRemove(source, out _);
        }
    }

    /// <summary>Called after each sync that made something durable.</summary>
    public Action? Durable { get; set; }

    /// <summary>The scheduler's promise, asked before anything else; set once the scheduler is there.</summary>
    public Func<long>? Watermark { get; set; }

    /// <inheritdoc/>
    public long PromisedMs
    {
        get
        {
            // Ticks below this are appended; those that are not yet durable cannot be read by the session, so the promise waits for them.
            long promised = Watermark?.Invoke() ?? 0;
            return Volatile.Read(ref _durableTicks) == Volatile.Read(ref _ticks) || spool.Sync() == LogSync.Durable ? promised : 0;
        }
    }

    public void Take(SourceTick tick)
    {
        SpoolAppend outcome = spool.Append(tick);
        // One line when it begins, not one per tick: the ledger counts them by source.
        if (outcome != SpoolAppend.Appended && outcome != _lastOutcome)
            TickDropped(log, tick.Table.Name, outcome);
        _lastOutcome = outcome;
        if (!_sources.TryGetValue(tick.Table.Name, out SourceTicks? source))
            source = _sources[tick.Table.Name] = new SourceTicks();
        source.TimestampMs = tick.TimestampMs;
        source.Samples = tick.PresentCount;
        Interlocked.Increment(ref _ticks);
        _appended.Writer.TryWrite(true);
    }

    /// <summary>Syncs whenever something was appended, until cancelled.</summary>
    public async Task RunAsync(CancellationToken stopping)
    {
        try
        {
            while (await _appended.Reader.WaitToReadAsync(stopping))
            {
                _appended.Reader.TryRead(out _);
                while (!SyncOnce())
                    await Task.Delay(s_retry, time, stopping);
            }
        }
        catch (OperationCanceledException)
        {
            SyncOnce();
        }
    }

    private bool SyncOnce()
    {
        long ticks = Ticks;
        LogSync sync = spool.Sync();
        if (sync != LogSync.Durable)
        {
            NotDurable(log, spool.Statistics.LastError ?? sync.ToString());
            return false;
        }
        Volatile.Write(ref _durableTicks, ticks);
        TellDropped();
        Durable?.Invoke();
        return true;
    }

    // One line a minute: a spool that is full gives way at every tick.
    private void TellDropped()
    {
        long dropped = (spool as ISpoolLedger)?.DroppedSamples ?? 0;
        if (dropped <= _droppedTold || (_toldAt is { } at && time.GetElapsedTime(at) < s_toldInterval))
            return;
        Dropped(log, dropped - _droppedTold, string.Join(", ", spool.Statistics.Dropped.GroupBy(d => d.Reason, StringComparer.Ordinal).Select(g => $"{g.Key} {g.Sum(d => d.Samples)}")));
        _droppedTold = dropped;
        _toldAt = time.GetTimestamp();
    }

    private sealed class SourceTicks
    {
        public long TimestampMs;
        public int Samples;
    }

    [LoggerMessage(1311, LogLevel.Error, "ticks are dropped, the first of {Source}: {Outcome} (counted by source and reason)")]
    private static partial void TickDropped(ILogger log, string source, SpoolAppend outcome);

    [LoggerMessage(1313, LogLevel.Error, "{Samples} more samples were dropped; since the spool was made, by reason: {Reasons}")]
    private static partial void Dropped(ILogger log, long samples, string reasons);

    [LoggerMessage(1312, LogLevel.Error, "the spool's disk does not take anything: {Reason}; trying again")]
    private static partial void NotDurable(ILogger log, string reason);
}
