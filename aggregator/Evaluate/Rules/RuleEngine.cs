using System.Diagnostics.Metrics;
using Bellwether.Core.Model;
using Microsoft.Extensions.Logging;

namespace Bellwether.Evaluate.Rules;

/// <summary>
/// Evaluates rule groups on a fixed grid (multiples of the interval since 1970) in event time: a step is due when every connected source has passed it, at the latest
/// <see cref="RuleEngineOptions.EvaluationDelayMax"/> after it. Steps missed while the process was down are caught up (docs/ARCHITECTURE.md, idea 5).
/// <see cref="StepAsync"/> is called by one thread at a time; everything else is thread-safe.
/// </summary>
public sealed partial class RuleEngine : IDisposable
{
    private static readonly TimeSpan s_poll = TimeSpan.FromMilliseconds(50);
    private static readonly TimeSpan s_retry = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan s_sleepMax = TimeSpan.FromSeconds(1);

    /// <summary>Results that are stored in one append at most, about.</summary>
    private const int AppendedAtOnce = 10_000;

    private readonly RuleSurroundings _around;
    private readonly RuleEngineOptions _options;
    private readonly TimeProvider _time;
    private readonly RuleMetrics _metrics;
    private readonly ILogger _logger;
    private readonly Lock _gate = new();
    private RuleSchedule _schedule = RuleSchedule.Empty;
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
            foreach (RuleGroup group in Volatile.Read(ref _schedule).Groups)
                newest = Math.Max(newest, group.LastStepMs);
            return newest;
        }
    }

    /// <summary>The groups as they stand, in order, for who evaluates their rules again.</summary>
    internal IReadOnlyList<RuleGroup> Groups => Volatile.Read(ref _schedule).Groups;

    /// <summary>Holds evaluation until the result is disposed.</summary>
    internal async ValueTask<IDisposable> PauseAsync(CancellationToken cancellation)
    {
        await _turn.WaitAsync(cancellation);
        return new Pause(_turn);
    }

    /// <summary>The groups as they stand, by file and name.</summary>
    public IReadOnlyList<RuleGroupStatus> Status => [.. Volatile.Read(ref _schedule).Groups.Select(g => g.Status)];

    /// <summary>
    /// Takes new groups. Unchanged ones keep their state; series of rules that went get stale markers at the next step. At the first call missed steps are looked up.
    /// </summary>
    public void Apply(IReadOnlyList<RuleGroupDefinition> definitions)
    {
        lock (_gate)
        {
            long nowMs = NowMs();
            var old = _schedule.Groups.ToDictionary(g => (g.Definition.File, g.Definition.Name));
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
            Volatile.Write(ref _schedule, RuleSchedule.Of([.. next]));
        }
    }

    /// <summary>Evaluates every step that is due. Returns when to call again.</summary>
    public async ValueTask<TimeSpan> StepAsync(CancellationToken cancellation)
    {
        await _turn.WaitAsync(cancellation);
        using var turn = new Pause(_turn);
        await EndOrphansAsync(cancellation);
        RuleSchedule schedule = Volatile.Read(ref _schedule);
        foreach (RuleGroup group in schedule.Groups)
        {
            GiveUpOldSteps(group);
            GoBackWithClock(group);
        }
        var due = new HashSet<RuleGroup>();
        for (int i = 0; i < _options.StepsPerTurn; i++)
        {
            long stepMs = NextStep(schedule.Groups, due, out TimeSpan wait);
            if (due.Count == 0)
                return wait;
            cancellation.ThrowIfCancellationRequested();
            await EvaluateAsync(schedule, due, stepMs, cancellation);
        }
        return TimeSpan.Zero;
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

    /// <summary>The oldest step that is due, and the groups that have it; without one, how long to wait.</summary>
    private long NextStep(RuleGroup[] groups, HashSet<RuleGroup> due, out TimeSpan wait)
    {
        due.Clear();
        wait = s_sleepMax;
        long nowMs = NowMs(), passedMs = _around.Progress.PassedMs, oldestMs = long.MaxValue;
        foreach (RuleGroup group in groups)
        {
            long stepMs = group.LastStepMs + group.IntervalMs, lateMs = stepMs + (long)_options.EvaluationDelayMax.TotalMilliseconds;
            double needMs = nowMs < stepMs ? stepMs - nowMs : nowMs < lateMs && passedMs < stepMs ? Math.Min(lateMs - nowMs, s_poll.TotalMilliseconds) : 0;
            if (needMs > 0)
            {
                wait = TimeSpan.FromMilliseconds(Math.Min(needMs, wait.TotalMilliseconds));
                continue;
            }
            if (stepMs > oldestMs)
                continue;
            if (stepMs < oldestMs)
                due.Clear();
            oldestMs = stepMs;
            due.Add(group);
        }
        return oldestMs;
    }

    /// <summary>
    /// Evaluates all rules of some groups at one step, stage by stage. Throws <see cref="StoreUnavailableException"/> when results cannot be stored: the step is to be done again.
    /// </summary>
    private async ValueTask EvaluateAsync(RuleSchedule schedule, HashSet<RuleGroup> due, long stepMs, CancellationToken cancellation)
    {
        // Series of a group that was replaced end with its step: groups after it must see that.
        if (due.Count > 1 && due.Any(g => g.HasGone))
        {
            foreach (RuleGroup group in schedule.Groups.Where(due.Contains))
                await EvaluateAsync(schedule, [group], stepMs, cancellation);
            return;
        }
        var batch = new SampleBatch();
        var pending = new List<RuleState>();
        schedule.Shared.Reset();
        foreach (RuleGroup group in due)
            group.Begin();
        foreach (IReadOnlyList<(RuleGroup Group, int Rule)> stage in schedule.Stages)
        {
            foreach ((RuleGroup group, int rule) in stage)
            {
                if (!due.Contains(group))
                    continue;
                group.Evaluate(rule, stepMs, schedule.Shared, batch, pending);
                // What comes later in the stage reads nothing of it: it may be stored early.
                if (batch.Samples.Count >= AppendedAtOnce)
                    await StoreAsync(schedule, due, batch, pending, cancellation);
            }
            await StoreAsync(schedule, due, batch, pending, cancellation);
        }
        foreach (RuleGroup group in due)
            group.AddGone(batch, stepMs);
        await StoreAsync(schedule, due, batch, pending, cancellation);
        foreach (RuleGroup group in due)
            group.Done(stepMs);
    }

    private async ValueTask StoreAsync(RuleSchedule schedule, HashSet<RuleGroup> due, SampleBatch batch, List<RuleState> pending, CancellationToken cancellation)
    {
        if (batch.Samples.Count > 0)
        {
            long started = _time.GetTimestamp();
            AppendResult stored = await _around.Appender.AppendAsync(batch, cancellation);
            _metrics.Appended(stored);
            batch.Samples.Clear();
            // What was stored may change what expressions give.
            schedule.Shared.Reset();
            TimeSpan share = _time.GetElapsedTime(started) / due.Count;
            foreach (RuleGroup group in due)
                group.Stored(share);
        }
        foreach (RuleState rule in pending)
            rule.Committed();
        pending.Clear();
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
        var written = Volatile.Read(ref _schedule).Groups.SelectMany(g => g.LastSeries).ToHashSet();
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
