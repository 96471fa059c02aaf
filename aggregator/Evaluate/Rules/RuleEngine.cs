using System.Diagnostics.Metrics;
using Bellwether.Core.Model;
using Microsoft.Extensions.Logging;

namespace Bellwether.Evaluate.Rules;

/// <summary>
/// Evaluates rule groups on a fixed grid (multiples of the interval since 1970) in event time: a step is due when every connected source has passed it, at the latest
/// <see cref="RuleEngineOptions.EvaluationDelayMax"/> after it. Steps missed while the process was down are caught up (DESIGN idea 5).
/// <see cref="StepAsync"/> is called by one thread at a time; everything else is thread-safe.
/// </summary>
public sealed partial class RuleEngine : IDisposable
{
    private static readonly TimeSpan s_poll = TimeSpan.FromMilliseconds(50);
    private static readonly TimeSpan s_retry = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan s_sleepMax = TimeSpan.FromSeconds(1);

    private readonly RuleSurroundings _around;
    private readonly RuleEngineOptions _options;
    private readonly TimeProvider _time;
    private readonly RuleMetrics _metrics;
    private readonly ILogger _logger;
    private readonly Lock _gate = new();
    private RuleGroup[] _groups = [];
    private List<Labels> _orphans = [];
    private readonly SemaphoreSlim _turn = new(1, 1);
    private bool _started;

    /// <summary>An engine without groups; <see cref="Apply"/> brings them.</summary>
    public RuleEngine(RuleSurroundings around, RuleEngineOptions options, TimeProvider time, Meter meter, ILogger logger)
    {
        _around = around;
        _options = options;
        _time = time;
        _metrics = new RuleMetrics(meter);
        _logger = logger;
    }

    /// <inheritdoc/>
    public void Dispose() => _turn.Dispose();

    /// <summary>As it was made.</summary>
    public RuleEngineOptions Options => _options;

    /// <summary>Time of the newest step that any group has done, Unix ms: what comes with a time up to it is late. <see cref="long.MinValue"/>: none.</summary>
    public long EvaluatedMs
    {
        get
        {
            long newest = long.MinValue;
            foreach (RuleGroup group in Volatile.Read(ref _groups))
                newest = Math.Max(newest, group.LastStepMs);
            return newest;
        }
    }

    /// <summary>Holds evaluation until the result is disposed.</summary>
    internal async ValueTask<IDisposable> PauseAsync(CancellationToken cancellation)
    {
        await _turn.WaitAsync(cancellation);
        return new Pause(_turn);
    }

    /// <summary>The groups as they stand, by file and name.</summary>
    public IReadOnlyList<RuleGroupStatus> Status => [.. Volatile.Read(ref _groups).Select(g => g.Status)];

    /// <summary>
    /// Takes new groups. Unchanged ones keep their state; series of rules that went get stale markers at the next step. At the first call missed steps are looked up.
    /// </summary>
    public void Apply(IReadOnlyList<RuleGroupDefinition> definitions)
    {
        lock (_gate)
        {
            long nowMs = NowMs();
            var old = _groups.ToDictionary(g => (g.Definition.File, g.Definition.Name));
            var next = new List<RuleGroup>();
            foreach (RuleGroupDefinition definition in definitions.OrderBy(d => d.File, StringComparer.Ordinal).ThenBy(d => d.Name, StringComparer.Ordinal))
            {
                old.Remove((definition.File, definition.Name), out RuleGroup? known);
                if (known is not null && known.Definition.SameAs(definition))
                {
                    next.Add(known);
                    continue;
                }
                var group = new RuleGroup(definition, _around, _options, _time, _metrics);
                if (known is not null)
                    group.TakeOver(known.LastSeries);
                group.LastStepMs = Floor(nowMs, group.IntervalMs) - group.IntervalMs;
                next.Add(group);
            }
            _orphans.AddRange(old.Values.SelectMany(g => g.LastSeries));
            if (!_started)
                new RuleResume(_around.Reader, _options).Resume(next, nowMs);
            _started = true;
            Volatile.Write(ref _groups, [.. next]);
        }
    }

    /// <summary>Evaluates every step that is due. Returns when to call again.</summary>
    public async ValueTask<TimeSpan> StepAsync(CancellationToken cancellation)
    {
        await _turn.WaitAsync(cancellation);
        using var turn = new Pause(_turn);
        await EndOrphansAsync(cancellation);
        TimeSpan wait = s_sleepMax;
        foreach (RuleGroup group in Volatile.Read(ref _groups))
        {
            TimeSpan need = await StepGroupAsync(group, cancellation);
            if (need < wait)
                wait = need;
        }
        return wait;
    }

    /// <summary>Calls <see cref="StepAsync"/> when there is something to do, until cancelled.</summary>
    public async Task RunAsync(CancellationToken cancellation)
    {
        while (!cancellation.IsCancellationRequested)
        {
            TimeSpan wait;
            try
            {
                wait = await StepAsync(cancellation);
            }
            catch (OperationCanceledException) when (cancellation.IsCancellationRequested)
            {
                return;
            }
            catch (StoreUnavailableException e)
            {
                LogStoreUnavailable(e.Message);
                wait = s_retry;
            }
            catch (Exception e)
            {
                LogFailed(e);
                wait = s_retry;
            }
            if (wait <= TimeSpan.Zero)
                continue;
            try
            {
                await Task.Delay(wait, _time, cancellation);
            }
            catch (OperationCanceledException) when (cancellation.IsCancellationRequested)
            {
                return;
            }
        }
    }

    private async ValueTask<TimeSpan> StepGroupAsync(RuleGroup group, CancellationToken cancellation)
    {
        GiveUpOldSteps(group);
        GoBackWithClock(group);
        for (int i = 0; i < _options.StepsPerTurn; i++)
        {
            long stepMs = group.LastStepMs + group.IntervalMs;
            long nowMs = NowMs();
            if (nowMs < stepMs)
                return TimeSpan.FromMilliseconds(stepMs - nowMs);
            long lateMs = stepMs + (long)_options.EvaluationDelayMax.TotalMilliseconds;
            if (nowMs < lateMs && _around.Progress.PassedMs < stepMs)
                return TimeSpan.FromMilliseconds(Math.Min(lateMs - nowMs, s_poll.TotalMilliseconds));
            cancellation.ThrowIfCancellationRequested();
            await group.EvaluateAsync(stepMs, cancellation);
        }
        return TimeSpan.Zero;
    }

    private void GiveUpOldSteps(RuleGroup group)
    {
        long oldest = Floor(NowMs() - (long)_options.CatchUpMax.TotalMilliseconds, group.IntervalMs);
        if (group.LastStepMs >= oldest)
            return;
        long missed = (oldest - group.LastStepMs) / group.IntervalMs;
        _metrics.Missed(missed);
        LogMissed(missed, group.Definition.Name, group.Definition.File, _options.CatchUpMax);
        group.LastStepMs = oldest;
    }

    /// <summary>A clock that was ahead and is set right: without this no rule would run, and no alert fire, until the old time comes again.</summary>
    private void GoBackWithClock(RuleGroup group)
    {
        long newest = Floor(NowMs(), group.IntervalMs);
        if (group.LastStepMs <= newest + group.IntervalMs)
            return;
        LogClockWentBack(group.Definition.Name, group.Definition.File, TimeSpan.FromMilliseconds(group.LastStepMs - newest));
        group.LastStepMs = newest;
    }

    private async ValueTask EndOrphansAsync(CancellationToken cancellation)
    {
        List<Labels> orphans;
        lock (_gate)
        {
            if (_orphans.Count == 0)
                return;
            orphans = _orphans;
            _orphans = [];
        }
        var written = Volatile.Read(ref _groups).SelectMany(g => g.LastSeries).ToHashSet();
        var batch = new SampleBatch();
        long nowMs = NowMs();
        foreach (Labels labels in orphans.Where(written.Add))
            batch.Samples.Add(new SeriesSample(labels, nowMs, SpecialValues.StaleMarker));
        if (batch.Samples.Count == 0)
            return;
        try
        {
            _metrics.Appended(await _around.Appender.AppendAsync(batch, cancellation));
        }
        catch
        {
            lock (_gate)
                _orphans.AddRange(orphans);
            throw;
        }
    }

    private sealed class Pause(SemaphoreSlim turn) : IDisposable
    {
        public void Dispose() => turn.Release();
    }

    private long NowMs() => _time.GetUtcNow().ToUnixTimeMilliseconds();

    private static long Floor(long ms, long intervalMs) => ms - (((ms % intervalMs) + intervalMs) % intervalMs);

    [LoggerMessage(EventId = 3101, Level = LogLevel.Warning, Message = "{Steps} steps of rule group {Group} ({File}) are older than {CatchUpMax} and are not caught up")]
    private partial void LogMissed(long steps, string group, string file, TimeSpan catchUpMax);

    [LoggerMessage(EventId = 3102, Level = LogLevel.Warning, Message = "rule results cannot be stored now, the step will be done again: {Reason}")]
    private partial void LogStoreUnavailable(string reason);

    [LoggerMessage(EventId = 3104, Level = LogLevel.Warning, Message = "rule group {Group} ({File}) has steps {Ahead} ahead of the clock, which went back; it goes on from now")]
    private partial void LogClockWentBack(string group, string file, TimeSpan ahead);

    [LoggerMessage(EventId = 3103, Level = LogLevel.Error, Message = "rule evaluation failed; trying again")]
    private partial void LogFailed(Exception error);
}
