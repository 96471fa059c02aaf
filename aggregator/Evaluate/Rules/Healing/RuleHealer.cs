using System.Diagnostics.Metrics;
using System.Runtime.ExceptionServices;
using Bellwether.Core.Model;
using Bellwether.Core.Telemetry;
using Microsoft.Extensions.Logging;
using MatchType = Bellwether.Core.Model.MatchType;

namespace Bellwether.Evaluate.Rules.Healing;

/// <summary>Limits of <see cref="RuleHealer"/>.</summary>
public sealed record RuleHealerOptions
{
    /// <summary>
    /// How far back results are evaluated again. Older ones are sealed: late data changes them no more, and a backfill adds only where there was none. Default 7 days (docs/ARCHITECTURE.md, idea 5:
    /// late_window and seal_after).
    /// </summary>
    public TimeSpan LateWindow { get; init; } = TimeSpan.FromDays(7);

    /// <summary>Times evaluated in one query, and kept in memory before they are compared and written. Default 1,000.</summary>
    public int SliceSteps { get; init; } = 1000;

    /// <summary>
    /// Results that are kept in memory before they are compared and written. How many a step brings the slices before tell: slices begin short, and are as long as fits, up to
    /// <see cref="SliceSteps"/>. Default 2 million; one step may bring more.
    /// </summary>
    public int SliceResults { get; init; } = 2_000_000;

    /// <summary>Threads that evaluate rules which do not read each other. Default: as many as there are processors, at most 4.</summary>
    public int Threads { get; init; } = Math.Min(Environment.ProcessorCount, 4);

    /// <summary>Results in one append. Default 50,000.</summary>
    public int BatchSamples { get; init; } = 50_000;
}

/// <summary>What a re-evaluation did.</summary>
/// <param name="FromMs">First late sample.</param>
/// <param name="ToMs">Last one.</param>
/// <param name="Rules">Rules that were evaluated again.</param>
/// <param name="Steps">Their steps.</param>
/// <param name="Added">Results that were not there.</param>
/// <param name="Replaced">Results that changed.</param>
/// <param name="Removed">Results that are gone.</param>
/// <param name="Failures">Steps that failed; what was stored there stands.</param>
public sealed record HealReport(long FromMs, long ToMs, int Rules, long Steps, long Added, long Replaced, long Removed, long Failures)
{
    /// <summary>Results that differ from before.</summary>
    public long Changes => Added + Replaced + Removed;

    /// <summary>The rules whose results changed.</summary>
    public IReadOnlyList<RuleChange> Changed { get; init; } = [];

    /// <summary>Results that the store did not take (a limit, mostly); they are none of those above. What retention reached while it ran does not count.</summary>
    public long Refused { get; init; }

    /// <summary>Why, of the first of them; empty: none.</summary>
    public string WhyRefused { get; init; } = "";

    /// <summary>How long it took.</summary>
    public TimeSpan Took { get; init; }
}

/// <summary>
/// Evaluates recording rules again over ranges that late data changed, dependents in order, and corrects what is stored, so that it is what on-time arrival would have given (docs/ARCHITECTURE.md, idea 5).
/// The flow: 1 the plan says which rules over which times; 2 slice by slice they are computed (<see cref="HealComputation"/>); 3 the differences to what is stored are appended, as revisions
/// where something stood. Alerting rules, and rules that read alerts, stay as they were. One run at a time; the live engine goes on beside it.
/// </summary>
public sealed partial class RuleHealer
{
    /// <summary>Rules that are compared with what is stored before their differences are written.</summary>
    private const int ComparedAtOnce = 32;

    private const int FirstSliceSteps = 16;

    /// <summary>How much longer than the one before a slice may be.</summary>
    private const int SliceGrowth = 4;

    private readonly RuleSurroundings _around;
    private readonly RuleEngine _rules;
    private readonly RuleHealerOptions _options;
    private readonly TimeProvider _time;
    private readonly ILogger _log;
    private readonly Counter<long> _runs;
    private readonly Counter<long> _steps;
    private readonly Counter<long> _results;
    private readonly Counter<long> _failures;
    private readonly Counter<double> _seconds;
    private readonly RuleVersions _versions;

    /// <summary>A healer of the rules of an engine. <paramref name="around"/>.Reader must show revisions (<see cref="RevisionReader"/>).</summary>
    public RuleHealer(RuleSurroundings around, RuleEngine rules, RuleVersions versions, RuleHealerOptions options, TimeProvider time, Meter meter, ILogger log)
    {
        _around = around;
        _rules = rules;
        _versions = versions;
        _options = options;
        _time = time;
        _log = log;
        _runs = meter.CreateCounter<long>(MetricNames.HealRuns, description: "Re-evaluations after late data.");
        _steps = meter.CreateCounter<long>(MetricNames.HealSteps, description: "Rule steps evaluated again.");
        _results = meter.CreateCounter<long>(MetricNames.HealResults, description: "Rule results that late data changed, by what became of them.");
        _failures = meter.CreateCounter<long>(MetricNames.HealFailures, description: "Rule steps that could not be evaluated again; what was stored stands.");
        _seconds = meter.CreateCounter<double>(MetricNames.HealSeconds, description: "Seconds spent on re-evaluation.");
    }

    /// <summary>Heals what samples between two times change. See <see cref="HealAsync(HealRequest, CancellationToken)"/>.</summary>
    /// <param name="fromMs">First late sample, Unix ms.</param>
    /// <param name="toMs">Last one.</param>
    /// <param name="cancellation">Ends it between two slices.</param>
    public Task<HealReport> HealAsync(long fromMs, long toMs, CancellationToken cancellation) => HealAsync(new HealRequest(fromMs, toMs), cancellation);

    /// <summary>
    /// Evaluates again what a request says. Throws <see cref="StoreUnavailableException"/> when results cannot be stored now: run it again, what was done is not done twice.
    /// </summary>
    /// <param name="request">What, and why.</param>
    /// <param name="cancellation">Ends it between two slices.</param>
    public async Task<HealReport> HealAsync(HealRequest request, CancellationToken cancellation)
    {
        long started = _time.GetTimestamp();
        if (request.Kind == HealKind.Late)
            request = request with { FromMs = Math.Max(request.FromMs, SealedBeforeMs) };
        var tally = new HealTally { KeepBeforeMs = request.Kind == HealKind.Reopen ? long.MinValue : SealedBeforeMs };
        Dictionary<HealUnit, long> done = await PassAsync(request, tally, null, cancellation);
        // While it ran the live engine has evaluated steps over results that were not healed yet: these are done again while it stands still.
        using (await _rules.PauseAsync(cancellation))
            await PassAsync(request with { Progress = null }, tally, done, cancellation);
        TimeSpan took = _time.GetElapsedTime(started);
        _runs.Add(1);
        _seconds.Add(took.TotalSeconds);
        _failures.Add(tally.Failures);
        foreach ((string what, long count) in new[] { ("added", tally.Added), ("replaced", tally.Replaced), ("removed", tally.Removed), ("refused", tally.Refused) })
            _results.Add(count, new KeyValuePair<string, object?>("change", what));
        var healing = new HealReport(request.FromMs, request.ToMs, tally.Rules.Count, tally.Steps, tally.Added, tally.Replaced, tally.Removed, tally.Failures)
        {
            Changed = tally.Changed,
            Refused = tally.Refused,
            WhyRefused = tally.WhyRefused,
            Took = took,
        };
        if (healing.Changes > 0)
            LogHealed(_log, request.Reason.Length > 0 ? request.Reason : "late data", Text(request.FromMs), Text(request.ToMs), healing.Rules, healing.Steps, healing.Added, healing.Replaced, healing.Removed, took);
        return healing;
    }

    /// <summary>Results before this time are sealed, Unix ms.</summary>
    public long SealedBeforeMs => NowMs() - (long)_options.LateWindow.TotalMilliseconds;

    /// <summary>Results before this time are not made: the store does not take them. Unix ms.</summary>
    public long OldestMs => _around.Appender.OldestMs;

    private long NowMs() => _time.GetUtcNow().ToUnixTimeMilliseconds();

    /// <summary>Plans and runs. With <paramref name="done"/> only what lies behind it.</summary>
    private async Task<Dictionary<HealUnit, long>> PassAsync(HealRequest request, HealTally tally, Dictionary<HealUnit, long>? done, CancellationToken cancellation)
    {
        var lastOf = new Dictionary<HealUnit, long>();
        var units = new UnitIndex();
        foreach (RuleGroup group in _rules.Groups)
        {
            foreach (HealUnit unit in UnitsOf(group, request, () => units.All.Count))
            {
                if (units.Find(unit.Rule.Name, unit.Fixed).FirstOrDefault(u => !u.IsApartFrom(unit)) is { } twin)
                {
                    LogNotApart(_log, unit.Rule.Name, unit.GroupName, twin.GroupName);
                    continue;
                }
                units.Add(unit);
                lastOf[unit] = group.LastStepMs - unit.OffsetMs;
            }
        }
        HealPlan plan = HealPlan.Make(units, request, unit => (OldestOf(unit, request), lastOf[unit]));
        if (done is not null)
        {
            Dictionary<string, long> before = done.GroupBy(d => d.Key.Key).ToDictionary(g => g.Key, g => g.Max(d => d.Value), StringComparer.Ordinal);
            foreach (HealUnit unit in units.All.Where(u => u.IsDirty))
                unit.FromMs = Math.Max(unit.FromMs, before.TryGetValue(unit.Key, out long to) ? to + unit.IntervalMs : unit.FromMs);
        }
        List<HealUnit> dirty = [.. units.All.Where(u => u.IsDirty)];
        if (dirty.Count > 0)
            await RunAsync(plan, dirty, request.Progress, tally, cancellation);
        return units.All.Where(u => u.ToMs > long.MinValue).ToDictionary(u => u, u => u.ToMs);
    }

    /// <summary>
    /// The first result of a rule that may change: history stays what the rule of its time made it, and what is sealed stays, unless it is opened again. What the store would not take is not
    /// made at all: rules that read it would see what nobody sees afterwards.
    /// </summary>
    private long OldestOf(HealUnit unit, HealRequest request) => Math.Max(OldestMs, request.Kind switch
    {
        HealKind.Reopen => request.FromMs,
        HealKind.Backfill when unit.IsAsked => Math.Max(request.FromMs, _versions.SinceMs(unit.GroupName, unit.Rule)),
        _ => Math.Max(SealedBeforeMs, _versions.SinceMs(unit.GroupName, unit.Rule)),
    });

    private IEnumerable<HealUnit> UnitsOf(RuleGroup group, HealRequest request, Func<int> next)
    {
        for (int r = 0; r < group.Queries.Count; r++)
        {
            RuleDefinition rule = group.Definition.Rules[r];
            if (rule.IsAlert || group.ReachOf(r) is not { } reach)
                continue;
            // Alerts are what people were told at the time: what reads them stays, too.
            bool readsAlerts = reach.Readings.Any(r => r.Matchers.Any(m => m.Name == LabelNames.MetricName && (m.Matches(AlertingRule.AlertsMetric) || m.Matches(AlertingRule.ForStateMetric))
                && m.Type is MatchType.Equal or MatchType.Regex));
            if (!readsAlerts)
                yield return new HealUnit(group.Definition, rule, group.Queries[r], reach, _rules.Options) { Index = next(), IsAsked = request.Rules?.Invoke(group.Definition.Name, rule) ?? false };
        }
    }

    private async Task RunAsync(HealPlan plan, List<HealUnit> dirty, Action<long, long>? progress, HealTally tally, CancellationToken cancellation)
    {
        long steps = dirty.Sum(u => ((u.ToMs - u.FromMs) / u.IntervalMs) + 1);
        progress?.Invoke(0, steps);
        // Slices are of steps, not of the times that results bear: a rule must not see what another one writes at a later step.
        int sliceSteps = Math.Min(_options.SliceSteps, FirstSliceSteps);
        double mostOfAStep = dirty.Count;
        long end = dirty.Max(u => u.ToMs + u.OffsetMs), stepMs = dirty.Min(u => u.IntervalMs), sliceMs;
        var computation = new HealComputation(_around, plan);
        for (long at = dirty.Min(u => u.FromMs + u.OffsetMs); at <= end; at += sliceMs)
        {
            sliceMs = sliceSteps * stepMs;
            cancellation.ThrowIfCancellationRequested();
            foreach (IReadOnlyList<(int First, int Last, bool IsStepwise)> level in plan.Levels)
                SideBySide(level, (run, own) => computation.Run(run, (at, at + sliceMs), own, cancellation), tally, cancellation);
            List<HealUnit> done = [.. dirty.Where(u => u.SliceFromMs <= u.SliceToMs)];
            tally.Rules.UnionWith(done.Select(u => u.Key));
            mostOfAStep = Math.Max(mostOfAStep, (double)done.Sum(u => u.Results) / sliceSteps);
            sliceSteps = (int)Math.Clamp(_options.SliceResults / mostOfAStep, 1, Math.Min(_options.SliceSteps, sliceSteps * SliceGrowth));
            await CorrectAsync(done, tally, cancellation);
            dirty.ForEach(u => u.EndSlice());
            progress?.Invoke(Math.Min(tally.Steps, steps), steps);
            // The live engine and queries get their turn between two slices.
            await Task.Yield();
        }
    }

    /// <summary>Does the same with each of some items on as many threads as are allowed; each item counts by itself, and the counts come together in the items' order.</summary>
    private void SideBySide<T>(IReadOnlyList<T> items, Action<T, HealTally> work, HealTally tally, CancellationToken cancellation)
    {
        var counts = new HealTally[items.Count];
        void Do(int i) => work(items[i], counts[i] = new HealTally { KeepBeforeMs = tally.KeepBeforeMs });
        if (_options.Threads <= 1 || items.Count == 1)
        {
            for (int i = 0; i < items.Count; i++)
                Do(i);
        }
        else
        {
            try
            {
                Parallel.For(0, items.Count, new ParallelOptions { MaxDegreeOfParallelism = _options.Threads, CancellationToken = cancellation }, Do);
            }
            catch (AggregateException e)
            {
                ExceptionDispatchInfo.Throw(e.InnerExceptions[0]);
            }
        }
        foreach (HealTally own in counts)
            tally.Add(own);
    }

    /// <summary>Stores what differs: while one batch is written the next rules are compared, of which none has a series in it.</summary>
    private async Task CorrectAsync(List<HealUnit> units, HealTally tally, CancellationToken cancellation)
    {
        Task<HealTally> writing = Task.FromResult(new HealTally());
        var batch = new List<HealDifferences>();
        try
        {
            foreach (HealUnit[] some in units.Chunk(ComparedAtOnce))
            {
                var differences = some.Select(u => new HealDifferences(u)).ToList();
                SideBySide(differences, (d, own) => Correct(d, own, cancellation), tally, cancellation);
                batch.AddRange(differences);
                if (batch.Sum(d => d.Samples.Count) < _options.BatchSamples)
                    continue;
                tally.Add(await writing);
                writing = AppendAsync(batch, cancellation);
                batch = [];
            }
        }
        finally
        {
            tally.Add(await writing);
        }
        tally.Add(await AppendAsync(batch, cancellation));
    }

    /// <summary>Finds what differs from what is stored.</summary>
    private void Correct(HealDifferences into, HealTally tally, CancellationToken cancellation)
    {
        HealUnit unit = into.Unit;
        Dictionary<Labels, int> revisions = RevisionsOf(unit);
        var known = new HashSet<Labels>();
        var stored = new SampleBuffer();
        var none = new SampleBuffer();
        using (ISeriesSet set = _around.Reader.Select(unit.SliceFromMs, unit.SliceToMs, unit.Matchers(), cancellation))
        {
            for (int i = 0; i < set.Count; i++)
            {
                Labels labels = set.LabelsAt(i);
                if (!unit.Owns(labels) || !known.Add(labels))
                    continue;
                set.Read(i, stored);
                into.Compare(labels, (stored, unit.Computed.GetValueOrDefault(labels) ?? none), revisions.GetValueOrDefault(labels), tally.KeepBeforeMs);
            }
        }
        foreach ((Labels labels, SampleBuffer computed) in unit.Computed)
        {
            if (known.Add(labels))
                into.Compare(labels, (none, computed), revisions.GetValueOrDefault(labels), tally.KeepBeforeMs);
        }
        _steps.Add(((unit.SliceLastMs - unit.SliceFromMs) / unit.IntervalMs) + 1);
    }

    /// <summary>Appends differences in parts, and counts what the store took.</summary>
    private async Task<HealTally> AppendAsync(List<HealDifferences> differences, CancellationToken cancellation)
    {
        var tally = new HealTally();
        var part = new SampleBatch();
        var origins = new List<(HealUnit Unit, HealDifference What)>();
        foreach (HealDifferences each in differences)
        {
            for (int i = 0; i < each.Samples.Count; i++)
            {
                part.Samples.Add(each.Samples[i]);
                origins.Add((each.Unit, each.Whats[i]));
                if (part.Samples.Count < _options.BatchSamples)
                    continue;
                await AppendAsync(part, origins, tally, cancellation);
                part = new SampleBatch();
                origins.Clear();
            }
        }
        if (part.Samples.Count > 0)
            await AppendAsync(part, origins, tally, cancellation);
        return tally;
    }

    private async Task AppendAsync(SampleBatch part, List<(HealUnit Unit, HealDifference What)> origins, HealTally tally, CancellationToken cancellation)
    {
        AppendResult result = await _around.Appender.AppendAsync(part, cancellation);
        int refused = 0;
        for (int i = 0; i < origins.Count; i++)
        {
            if (refused < result.RefusedAt.Count && result.RefusedAt[refused] == i)
                refused++;
            else
                tally.Note(origins[i].Unit, part.Samples[i].TimestampMs, origins[i].What);
        }
        // What retention has reached since the plan was made is nobody's loss.
        long lost = result.Refused - result[AppendOutcome.TooOld];
        if (lost == 0)
            return;
        tally.Refuse(lost, result.FirstError ?? "");
        LogRefused(_log, lost, result.FirstError ?? "");
    }

    private Dictionary<Labels, int> RevisionsOf(HealUnit unit)
    {
        var found = new Dictionary<Labels, int>();
        List<LabelMatcher> matchers = [.. unit.Matchers(), new LabelMatcher(MatchType.NotEqual, Revision.Label, "")];
        using ISeriesSet set = _around.Reader.Select(unit.SliceFromMs, unit.SliceToMs, matchers, CancellationToken.None);
        for (int i = 0; i < set.Count; i++)
        {
            Labels labels = set.LabelsAt(i);
            Labels series = labels.Without(Revision.Label);
            found[series] = Math.Max(found.GetValueOrDefault(series), Revision.Of(labels));
        }
        return found;
    }

    private static string Text(long ms) => DateTimeOffset.FromUnixTimeMilliseconds(ms).ToString("yyyy-MM-dd'T'HH:mm:ss'Z'", System.Globalization.CultureInfo.InvariantCulture);

    [LoggerMessage(EventId = 3251, Level = LogLevel.Information, Message = "{Reason}, {From} to {To}: {Rules} rules evaluated again over {Steps} steps; {Added} results added, {Replaced} replaced, {Removed} removed, in {Took}")]
    private static partial void LogHealed(ILogger log, string reason, string from, string to, int rules, long steps, long added, long replaced, long removed, TimeSpan took);

    [LoggerMessage(EventId = 3252, Level = LogLevel.Warning, Message = "the rule that records {Metric} in group {Group} is not evaluated again after late data: it cannot be told from the one in group {Other}; give them a label with different values")]
    private static partial void LogNotApart(ILogger log, string metric, string group, string other);

    [LoggerMessage(EventId = 3253, Level = LogLevel.Warning, Message = "{Samples} corrected results were refused by the store; the first: {Error}")]
    private static partial void LogRefused(ILogger log, long samples, string error);
}
