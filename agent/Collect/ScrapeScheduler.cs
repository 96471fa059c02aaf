using System.Diagnostics.Metrics;
using System.Text;
using Bellwether.Core.Codec;
using Bellwether.Core.Telemetry;
using Microsoft.Extensions.Logging;

namespace Bellwether.Agent.Collect;

/// <summary>Bounds of the scheduler.</summary>
public sealed record ScrapeSchedulerOptions
{
    /// <summary>Collections under way at the same time. Default 32.</summary>
    public int ConcurrencyMax { get; init; } = 32;

    /// <summary>How long collections under way may go on when the scheduler stops. Default 3 s.</summary>
    public TimeSpan StopGrace { get; init; } = TimeSpan.FromSeconds(3);

    /// <summary>Shifts all offsets, so that two agents do not scrape the same targets at the same moments. Any number; e.g. a hash of the agent's id.</summary>
    public ulong OffsetSeed { get; init; }
}

/// <summary>
/// Runs collectors on their intervals. Each has a fixed offset inside its interval, from a hash of its name, as in Prometheus, so that load is spread and
/// stays the same over restarts. A tick's time is the time it was due. A collector never overlaps itself; what it misses by that is counted. Completed ticks go to
/// the sink one at a time. Thread-safe.
/// </summary>
public sealed partial class ScrapeScheduler : IAsyncDisposable
{
    private readonly TimeProvider _time;
    private readonly ITickSink _sink;
    private readonly ScrapeSchedulerOptions _options;
    private readonly ILogger _log;
    private readonly Counter<long> _ticks;
    private readonly Counter<long> _missed;
    private readonly Lock _gate = new();
    private readonly Lock _delivery = new();
    private readonly CancellationTokenSource _stop = new();
    private readonly ITimer _timer;
    private List<Entry> _entries = [];
    private int _running;
    private int _lastLeft;
    private bool _stopped;
    private TaskCompletionSource? _idle;

    /// <summary>Makes a scheduler without collectors.</summary>
    public ScrapeScheduler(TimeProvider time, ITickSink sink, ScrapeSchedulerOptions options, Meter meter, ILogger log)
    {
        _time = time;
        _sink = sink;
        _options = options;
        _log = log;
        _ticks = meter.CreateCounter<long>(MetricNames.CollectTicks, description: "Ticks collected and handed on.");
        _missed = meter.CreateCounter<long>(MetricNames.CollectTicksMissed, description: "Ticks that were due while their collector was still busy, or while the agent was held up.");
        _timer = time.CreateTimer(_ => Pump(), null, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
    }

    /// <summary>How many collectors there are.</summary>
    public int Count
    {
        get
        {
            lock (_gate)
                return _entries.Count;
        }
    }

    /// <summary>The earliest time (Unix ms) that a tick not yet handed to the sink may carry; never later than now.</summary>
    public long WatermarkMs
    {
        get
        {
            lock (_gate)
            {
                long earliest = NowMs();
                foreach (Entry e in _entries)
                    earliest = Math.Min(earliest, e.Running ? e.CurrentMs : e.NextDueMs);
                return earliest;
            }
        }
    }

    /// <summary>
    /// Sets which collectors run. Those that ran before (the same objects) keep their rhythm; those left out finish what they are at, end their series and are disposed.
    /// </summary>
    public void Replace(IReadOnlyList<ICollector> collectors)
    {
        List<Entry> gone = [];
        lock (_gate)
        {
            if (_stopped)
                return;
            long now = NowMs();
            var known = new Dictionary<object, Entry>(ReferenceEqualityComparer.Instance);
            var next = new List<Entry>(collectors.Count);
            foreach (Entry entry in _entries)
            {
                if (entry.Removed)
                    next.Add(entry);
                else
                    known.Add(entry.Collector, entry);
            }
            foreach (ICollector collector in collectors)
            {
                if (known.Remove(collector, out Entry? entry))
                    next.Add(entry);
                else
                    next.Add(new Entry(collector, _options.OffsetSeed, now));
            }
            foreach (Entry entry in known.Values)
            {
                entry.Removed = true;
                next.Add(entry);
                if (!entry.Running)
                {
                    entry.Running = true;
                    // Later than its last tick: at the same time the sample would win over the stale marker.
                    entry.CurrentMs = Math.Max(now, entry.CurrentMs + 1);
                    _running++;
                    gone.Add(entry);
                }
            }
            _entries = next;
        }
        foreach (Entry entry in gone)
            _ = EndAsync(entry);
        Pump();
    }

    /// <summary>
    /// Starts nothing more, lets what is under way finish within <see cref="ScrapeSchedulerOptions.StopGrace"/> (an answer that a target has given is not thrown away), then
    /// cancels the rest and waits for it. Series are not ended: the agent will be back.
    /// </summary>
    public Task StopAsync() => StopAsync(lastRound: false, _options.StopGrace);

    /// <summary>
    /// As <see cref="StopAsync()"/>, within another grace; with <paramref name="lastRound"/> every collector is run once more, so that the last value before the end is known. Its tick
    /// carries the time of the stop.
    /// </summary>
    public async Task StopAsync(bool lastRound, TimeSpan grace)
    {
        Task idle;
        List<Entry> last = [];
        lock (_gate)
        {
            if (lastRound && !_stopped)
                last = TakeLastLocked();
            _stopped = true;
            _lastLeft = last.Count;
            idle = _running == 0 ? Task.CompletedTask : (_idle ??= new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously)).Task;
        }
        await _timer.DisposeAsync();
        using (var rest = new CancellationTokenSource())
        {
            for (int i = Math.Min(last.Count, _options.ConcurrencyMax); i > 0; i--)
                _ = RunLastAsync(last);
            await Task.WhenAny(idle, Task.Delay(grace, _time, rest.Token));
            await rest.CancelAsync();
        }
        await _stop.CancelAsync();
        await idle;
    }

    /// <summary>Stops, and disposes the collectors.</summary>
    public async ValueTask DisposeAsync()
    {
        await StopAsync();
        foreach (Entry entry in _entries)
            await entry.Collector.DisposeAsync();
        _entries = [];
        _stop.Dispose();
    }

    private long NowMs() => _time.GetUtcNow().ToUnixTimeMilliseconds();

    /// <summary>Starts what is due, oldest first, as far as there is room, and sets the timer for the rest.</summary>
    private void Pump()
    {
        List<Entry> start = [];
        lock (_gate)
        {
            if (_stopped)
                return;
            long now = NowMs();
            foreach (Entry entry in _entries)
                entry.Realign(now);
            foreach (Entry entry in _entries.Where(e => !e.Running && e.NextDueMs <= now).OrderBy(e => e.NextDueMs))
            {
                if (_running >= _options.ConcurrencyMax)
                    break;
                Skip(entry, now - entry.IntervalMs);
                entry.CurrentMs = entry.NextDueMs;
                entry.NextDueMs += entry.IntervalMs;
                entry.Running = true;
                _running++;
                start.Add(entry);
            }
            long next = long.MaxValue;
            foreach (Entry entry in _entries)
            {
                if (!entry.Running && !(entry.NextDueMs <= now))
                    next = Math.Min(next, entry.NextDueMs);
            }
            // The extra millisecond keeps a timer that fires a moment early from spinning.
            _timer.Change(next == long.MaxValue ? Timeout.InfiniteTimeSpan : TimeSpan.FromMilliseconds(Math.Max(1, next - now)), Timeout.InfiniteTimeSpan);
        }
        foreach (Entry entry in start)
            _ = RunAsync(entry);
    }

    /// <summary>Takes what is not under way for a last run; they count as running from here on.</summary>
    private List<Entry> TakeLastLocked()
    {
        long now = NowMs();
        // Times of one source must grow.
        List<Entry> last = [.. _entries.Where(e => !e.Running && !e.Removed && e.CurrentMs < now)];
        foreach (Entry entry in last)
        {
            entry.CurrentMs = now;
            entry.Running = true;
            _running++;
        }
        return last;
    }

    /// <summary>Works through the last round, one collector after the other; several run at once.</summary>
    private async Task RunLastAsync(List<Entry> last)
    {
        while (true)
        {
            Entry entry;
            lock (_gate)
            {
                if (_lastLeft == 0)
                    return;
                entry = last[--_lastLeft];
            }
            // After the grace this ends at once: what is left is passed over.
            await RunAsync(entry);
        }
    }

    /// <summary>Counts dues up to a time as missed and goes past them.</summary>
    private void Skip(Entry entry, long upToMs)
    {
        if (entry.NextDueMs > upToMs)
            return;
        // Not in a loop: a clock that is set for the first time jumps over decades.
        long missed = ((upToMs - entry.NextDueMs) / entry.IntervalMs) + 1;
        entry.NextDueMs += missed * entry.IntervalMs;
        _missed.Add(missed);
    }

    private async Task RunAsync(Entry entry)
    {
        bool filled = false;
        try
        {
            await entry.Collector.CollectAsync(entry.Tick, entry.CurrentMs, _stop.Token);
            filled = !_stop.IsCancellationRequested;
        }
        catch (OperationCanceledException) when (_stop.IsCancellationRequested)
        {
            LogCancelled(_log, entry.Collector.Name);
        }
        catch (Exception e)
        {
            // A collector must not throw; if one does, it costs its own tick only.
            LogBug(_log, e, entry.Collector.Name);
        }
        if (filled)
            Deliver(entry);
        bool end;
        lock (_gate)
        {
            end = entry.Removed && !_stopped;
            if (end)
                entry.CurrentMs = Math.Max(NowMs(), entry.CurrentMs + 1);
            else
                Finish(entry);
        }
        if (end)
            await EndAsync(entry);
        else
            Pump();
    }

    /// <summary>Ends the series of a collector that was taken out, and lets it go.</summary>
    private async Task EndAsync(Entry entry)
    {
        try
        {
            entry.Collector.End(entry.Tick, entry.CurrentMs);
            Deliver(entry);
            await entry.Collector.DisposeAsync();
        }
        catch (Exception e)
        {
            LogBug(_log, e, entry.Collector.Name);
        }
        lock (_gate)
        {
            _entries = [.. _entries.Where(e => e != entry)];
            Finish(entry);
        }
        Pump();
    }

    private void Deliver(Entry entry)
    {
        try
        {
            lock (_delivery)
                _sink.Take(entry.Tick);
            _ticks.Add(1);
        }
        catch (Exception e)
        {
            LogSink(_log, e, entry.Collector.Name);
        }
    }

    private void Finish(Entry entry)
    {
        entry.Running = false;
        _running--;
        Skip(entry, NowMs());
        if (_running == 0)
            _idle?.TrySetResult();
    }

    [LoggerMessage(EventId = 1101, Level = LogLevel.Debug, Message = "collection of {Source} was cut short: the agent stops")]
    private static partial void LogCancelled(ILogger log, string source);

    [LoggerMessage(EventId = 1102, Level = LogLevel.Error, Message = "BUG: the collector {Source} threw; this tick of it is lost")]
    private static partial void LogBug(ILogger log, Exception error, string source);

    [LoggerMessage(EventId = 1103, Level = LogLevel.Error, Message = "a tick of {Source} could not be spooled and is lost")]
    private static partial void LogSink(ILogger log, Exception error, string source);

    private sealed class Entry
    {
        public Entry(ICollector collector, ulong seed, long nowMs)
        {
            Collector = collector;
            IntervalMs = Math.Max(1, (long)collector.Interval.TotalMilliseconds);
            _offsetMs = (long)((NameHash(collector.Name) ^ seed) % (ulong)IntervalMs);
            NextDueMs = FirstDue(nowMs);
        }

        private readonly long _offsetMs;

        public ICollector Collector { get; }

        public SourceTick Tick { get; } = new();

        public long IntervalMs { get; }

        public long NextDueMs { get; set; }

        public long CurrentMs { get; set; }

        public bool Running { get; set; }

        public bool Removed { get; set; }

        /// <summary>When the clock went back, the next due lies further off than any interval: without this nothing would be collected until the old time comes again.</summary>
        public void Realign(long nowMs)
        {
            if (NextDueMs - nowMs > 2 * IntervalMs)
                NextDueMs = FirstDue(nowMs);
        }

        private long FirstDue(long nowMs)
        {
            long due = nowMs - (nowMs % IntervalMs) + _offsetMs;
            return due < nowMs ? due + IntervalMs : due;
        }

        /// <summary>FNV-1a, 64 bit, then spread: the same in every process.</summary>
        private static ulong NameHash(string name)
        {
            ulong hash = 14695981039346656037;
            foreach (byte b in Encoding.UTF8.GetBytes(name))
                hash = (hash ^ b) * 1099511628211;
            return hash ^ (hash >> 32);
        }
    }
}
