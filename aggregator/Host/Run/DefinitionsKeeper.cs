using Bellwether.Core.Model;
using Bellwether.Evaluate.Kpi;
using Bellwether.Evaluate.Rules.Healing;
using Bellwether.Evaluate.Rules;
using Bellwether.Evaluate.Slo;
using Microsoft.Extensions.Logging;

namespace Bellwether.Aggregator.Run;

/// <summary>
/// The definitions in force: gives them to the rule engine and to the books that remember since when each has its text, turns calendar objectives into the next period, and keeps the series
/// of planned work in line with the files. Thread-safe.
/// </summary>
internal sealed partial class DefinitionsKeeper
{
    private static readonly TimeSpan s_periodsLook = TimeSpan.FromHours(1);
    private static readonly TimeSpan s_plannedLook = TimeSpan.FromSeconds(10);
    private readonly RuleEngine _rules;
    private readonly DefinitionBooks _books;
    private readonly MaintenanceKeeper _maintenance;
    private readonly TimeSpan _interval;
    private readonly TimeProvider _time;
    private readonly ILogger _log;
    private readonly Lock _gate = new();
    private Definitions? _now;

    /// <summary>Without definitions yet.</summary>
    /// <param name="rules">Evaluates their groups.</param>
    /// <param name="books">Remember them.</param>
    /// <param name="maintenance">Writes planned work.</param>
    /// <param name="interval">That of a group that names none.</param>
    /// <param name="time">The clock.</param>
    /// <param name="log">Where remarks go.</param>
    public DefinitionsKeeper(RuleEngine rules, DefinitionBooks books, MaintenanceKeeper maintenance, TimeSpan interval, TimeProvider time, ILogger log)
    {
        _rules = rules;
        _books = books;
        _maintenance = maintenance;
        _interval = interval;
        _time = time;
        _log = log;
    }

    /// <summary>The SLOs in force.</summary>
    public SloRuleSet Slos => Volatile.Read(ref _now)?.Slos ?? SloRuleSet.Empty;

    private long NowMs => _time.GetUtcNow().ToUnixTimeMilliseconds();

    /// <summary>The first definitions: steps that were missed while the aggregator was down are made by them.</summary>
    public void Start(Definitions definitions)
    {
        lock (_gate)
            Take(definitions, NextStepMs);
    }

    /// <summary>New definitions while running: a changed group begins with the step of now.</summary>
    public void Replace(Definitions definitions)
    {
        long nowMs = NowMs;
        lock (_gate)
            Take(definitions, group => FloorMs(nowMs, group));
    }

    /// <summary>Gives calendar objectives the rules of the next periods: the one that comes has its rules already, so an hour is soon enough.</summary>
    public async Task TurnPeriodsAsync(CancellationToken stopping)
    {
        while (!stopping.IsCancellationRequested)
        {
            try
            {
                await Task.Delay(s_periodsLook, _time, stopping);
            }
            catch (OperationCanceledException)
            {
                return;
            }
            lock (_gate)
            {
                if (_now is not { } now || now.Slos.PeriodEndMs >= NowMs)
                    continue;
                Definitions next = now with { Slos = now.Slos.At(NowMs) };
                ApplyRules(next.Groups);
                Volatile.Write(ref _now, next);
                PeriodsTurned(_log, next.Slos.Groups.Count);
            }
        }
    }

    /// <summary>Keeps the series of planned work in line with the files.</summary>
    public async Task KeepPlannedAsync(CancellationToken stopping)
    {
        while (!stopping.IsCancellationRequested)
        {
            try
            {
                if (Volatile.Read(ref _now) is { } now)
                {
                    int changed = await _maintenance.StepAsync(now.Kpis.Slas.Maintenances, now.Slos.Set, stopping);
                    if (changed > 0)
                        PlannedWritten(_log, changed);
                }
                await Task.Delay(s_plannedLook, _time, stopping);
            }
            catch (OperationCanceledException) when (stopping.IsCancellationRequested)
            {
                return;
            }
            catch (StoreUnavailableException e)
            {
                PlannedNotWritten(_log, e.Message);
                await Task.Delay(s_plannedLook, _time, stopping).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            }
        }
    }

    private void Take(Definitions definitions, Func<RuleGroupDefinition, long> firstStepMs)
    {
        foreach (string warning in definitions.Warnings)
            RuleWarning(_log, warning);
        ApplyRules(definitions.Groups);
        Volatile.Write(ref _now, definitions);
        _books.Kpis.Apply(definitions.Kpis, firstStepMs);
        _books.Slos.Apply(SloVersions.Of(definitions.Slos.Set), definitions.Slos.Groups.Select(firstStepMs).DefaultIfEmpty(NowMs).Min());
    }

    private void ApplyRules(IReadOnlyList<RuleGroupDefinition> groups)
    {
        _rules.Apply(groups);
        if (!_books.Rules.Note(groups, NowMs))
            VersionsNotKept(_log);
    }

    /// <summary>The step that a changed group makes first after a reload.</summary>
    private long FloorMs(long nowMs, RuleGroupDefinition group) => nowMs - (nowMs % (long)(group.Interval ?? _interval).TotalMilliseconds);

    /// <summary>The step that a group makes next, at the start.</summary>
    private long NextStepMs(RuleGroupDefinition group) =>
        _rules.Status.FirstOrDefault(s => s.Definition.Name == group.Name && s.Definition.File == group.File) is { } status ? status.LastStepMs + (long)status.Interval.TotalMilliseconds : FloorMs(NowMs, group);

    [LoggerMessage(4030, LogLevel.Warning, "since when each rule has its text cannot be written down now: after a restart changed rules may be applied to history before the change")]
    private static partial void VersionsNotKept(ILogger log);

    [LoggerMessage(5003, LogLevel.Warning, "rules: {Warning}")]
    private static partial void RuleWarning(ILogger log, string warning);

    [LoggerMessage(5014, LogLevel.Information, "calendar objectives have the rules of the next periods; {Groups} groups")]
    private static partial void PeriodsTurned(ILogger log, int groups);

    [LoggerMessage(5015, LogLevel.Debug, "planned work: {Minutes} minutes of objectives were entered or withdrawn")]
    private static partial void PlannedWritten(ILogger log, int minutes);

    [LoggerMessage(5016, LogLevel.Warning, "planned work cannot be written now, trying again: {Reason}")]
    private static partial void PlannedNotWritten(ILogger log, string reason);
}

/// <summary>What remembers since when each definition has its text.</summary>
/// <param name="Rules">Of rules.</param>
/// <param name="Kpis">Of KPIs.</param>
/// <param name="Slos">Of SLOs.</param>
internal sealed record DefinitionBooks(RuleVersions Rules, KpiBook Kpis, DefinitionBook Slos);
