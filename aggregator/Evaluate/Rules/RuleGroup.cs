using Bellwether.Core.Model;
using Bellwether.Evaluate.PromQl;
using Bellwether.Evaluate.Rules.Healing;
using Bellwether.Evaluate.Rules.Templates;
using MatchType = Bellwether.Core.Model.MatchType;

namespace Bellwether.Evaluate.Rules;

/// <summary>What the rules work on.</summary>
/// <param name="Engine">Evaluates expressions.</param>
/// <param name="Reader">The data.</param>
/// <param name="Appender">Where results go.</param>
/// <param name="Progress">How far event time has come.</param>
public sealed record RuleSurroundings(PromQlEngine Engine, ISeriesReader Reader, ISampleAppender Appender, IIngestProgress Progress);

/// <summary>A group with the state of its rules: evaluates one step at a time. Used by one thread at a time; <see cref="Status"/> may be read by any.</summary>
internal sealed class RuleGroup
{
    private readonly RuleSurroundings _around;
    private readonly RuleEngineOptions _options;
    private readonly TimeProvider _time;
    private readonly RuleMetrics _metrics;
    private readonly RuleState[] _rules;
    private readonly RuleReach?[] _reaches;
    private long _lastEvaluationMs;
    private TimeSpan _evaluationTime;
    private TimeSpan _took;
    private long _began;
    private List<Labels> _gone = [];

    public RuleGroup(RuleGroupDefinition definition, RuleSurroundings around, RuleEngineOptions options, TimeProvider time, RuleMetrics metrics)
    {
        Definition = definition;
        _around = around;
        _options = options;
        _time = time;
        _metrics = metrics;
        IntervalMs = (long)(definition.Interval ?? options.DefaultInterval).TotalMilliseconds;
        OffsetMs = (long)(definition.QueryOffset ?? options.DefaultQueryOffset).TotalMilliseconds;
        _rules = [.. definition.Rules.Select(Make)];
        Queries = [.. definition.Rules.Select(r => around.Engine.Prepare(r.Expression))];
        _reaches = new RuleReach?[_rules.Length];
    }

    public RuleGroupDefinition Definition { get; }

    /// <summary>The expressions of its rules, parsed once for as long as the group stands as it is.</summary>
    public IReadOnlyList<PreparedQuery> Queries { get; }

    /// <summary>What a rule reads; null: its expression does not parse.</summary>
    public RuleReach? ReachOf(int rule) => _reaches[rule] ??= Queries[rule].Expression is { } expr ? RuleReach.Of(expr, _around.Engine.Lookback) : null;

    public long IntervalMs { get; }

    public long OffsetMs { get; }

    /// <summary>The newest step that is done; the next is one interval later. 0: none yet.</summary>
    public long LastStepMs { get; set; }

    public RuleGroupStatus Status => new()
    {
        Definition = Definition,
        Interval = TimeSpan.FromMilliseconds(IntervalMs),
        EvaluationTime = _evaluationTime,
        LastEvaluationMs = Volatile.Read(ref _lastEvaluationMs),
        LastStepMs = LastStepMs,
        Rules = [.. _rules.Select(r => r.Status)],
    };

    /// <summary>Series that its rules wrote last: they need stale markers when the group goes.</summary>
    public IEnumerable<Labels> LastSeries => _rules.SelectMany(r => r.LastSeries);

    /// <summary>Series of a group that this one replaces; those that it does not write itself at its next step get stale markers.</summary>
    public void TakeOver(IEnumerable<Labels> series) => _gone = [.. _gone, .. series];

    /// <summary>Whether series that nobody writes any more wait for their stale markers.</summary>
    public bool HasGone => _gone.Count > 0;

    /// <summary>Begins a step.</summary>
    public void Begin()
    {
        _began = _time.GetUtcNow().ToUnixTimeMilliseconds();
        _took = TimeSpan.Zero;
    }

    /// <summary>Time that was spent on storing its results.</summary>
    public void Stored(TimeSpan took) => _took += took;

    /// <summary>Evaluates one rule, after those before it; its results go into the batch, and the rule into the list of those that wait for it to be stored.</summary>
    public void Evaluate(int number, long stepMs, SharedEvaluation shared, SampleBatch batch, List<RuleState> pending)
    {
        RuleState rule = _rules[number];
        long started = _time.GetTimestamp();
        long sampleMs = stepMs - OffsetMs;
        QueryResult result = _around.Engine.Instant(_around.Reader, Queries[number], sampleMs, shared);
        RuleOutcome outcome = result.Error is { } failed ? new RuleOutcome([], failed.Message) : rule.Evaluate(result, stepMs, sampleMs, rule.Definition.IsAlert ? Context(sampleMs) : null!);
        if (outcome.Error is null)
        {
            rule.AddStaleMarkers(outcome.Samples, sampleMs);
            batch.Samples.AddRange(outcome.Samples);
            pending.Add(rule);
        }
        _metrics.Rule(outcome.Error is null);
        TimeSpan took = _time.GetElapsedTime(started);
        _took += took;
        rule.Status = new RuleStatus
        {
            Definition = rule.Definition,
            Health = outcome.Error is null ? RuleHealth.Ok : RuleHealth.Err,
            LastError = outcome.Error ?? "",
            EvaluationTime = took,
            LastEvaluationMs = _began,
            Alerts = rule.ActiveAlerts(),
        };
    }

    /// <summary>The step is done and stored.</summary>
    public void Done(long stepMs)
    {
        _gone = [];
        LastStepMs = stepMs;
        _evaluationTime = _took;
        Volatile.Write(ref _lastEvaluationMs, _began);
        _metrics.Step(_took);
    }

    /// <summary>Adds stale markers for series of the group that this one replaced.</summary>
    public void AddGone(SampleBatch batch, long stepMs)
    {
        long sampleMs = stepMs - OffsetMs;
        if (_gone.Count == 0)
            return;
        var written = _rules.SelectMany(r => r.LastSeries).ToHashSet();
        written.UnionWith(batch.Samples.Select(s => s.Labels));
        foreach (Labels labels in _gone)
        {
            if (written.Add(labels))
                batch.Samples.Add(new SeriesSample(labels, sampleMs, SpecialValues.StaleMarker));
        }
    }

    private TemplateContext Context(long atMs) => new(_options.ExternalLabels, _options.ExternalUrl, query => Ask(query, atMs), _time);

    private IReadOnlyList<(Labels Labels, double Value)> Ask(string query, long atMs)
    {
        QueryResult result = _around.Engine.Instant(_around.Reader, _around.Engine.PrepareKnown(query), atMs);
        if (result.Error is { } error)
            throw new FormatException($"query {query}: {error.Message}");
        return result.Type switch
        {
            PromQl.ValueType.Vector => [.. result.Series.Select(s => (s.Labels, s.Points[0].Value))],
            PromQl.ValueType.Scalar => [(Labels.Empty, result.Scalar.Value)],
            _ => throw new FormatException($"query {query}: the result is no vector"),
        };
    }

    private RuleState Make(RuleDefinition rule) => rule.IsAlert
        ? new AlertingRule(rule, Definition.Limit, _options, Restore) { Interval = TimeSpan.FromMilliseconds(IntervalMs) }
        : new RecordingRule(rule, Definition.Limit);

    private RestoredState? Restore(Labels forState, long stepMs)
    {
        var matchers = new List<LabelMatcher>(forState.Count);
        foreach (Label label in forState.AsSpan())
            matchers.Add(new LabelMatcher(MatchType.Equal, label.Name, label.Value));
        using ISeriesSet set = _around.Reader.Select(stepMs - (long)_options.OutageTolerance.TotalMilliseconds, stepMs - 1, matchers, CancellationToken.None);
        for (int i = 0; i < set.Count; i++)
        {
            if (!set.LabelsAt(i).Equals(forState))
                continue;
            var samples = new SampleBuffer();
            set.Read(i, samples);
            if (samples.Count == 0 || double.IsNaN(samples.Values[^1]))
                return null;
            return new RestoredState(samples.Times[^1], (long)samples.Values[^1] * 1000);
        }
        return null;
    }
}
