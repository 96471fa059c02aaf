using Bellwether.Core.Model;
using Bellwether.Evaluate.Rules;
using Bellwether.Evaluate.Rules.Healing;
using MatchType = Bellwether.Core.Model.MatchType;

namespace Bellwether.Evaluate.Kpi;

/// <summary>How far a number may still change.</summary>
public enum FinalityState
{
    /// <summary>Data that it stands on may still come, or waits to be counted in.</summary>
    Provisional,

    /// <summary>Its sources owe nothing any more. What they never collected is not in it, and lowers its coverage.</summary>
    Complete,

    /// <summary>So old that late data changes it no more; only who opens it again, with an audit entry.</summary>
    Sealed,
}

/// <summary>Whether a number is final.</summary>
/// <param name="State">How far it may still change.</param>
/// <param name="Coverage">How complete what it stands on is.</param>
/// <param name="SealsAtMs">When it is sealed, Unix ms.</param>
public readonly record struct Finality(FinalityState State, Coverage Coverage, long SealsAtMs);

/// <summary>
/// Says of recorded numbers whether they are final: from the sources of the series that their rules stand on (docs/ARCHITECTURE.md, idea 5). Thread-safe.
/// </summary>
/// <param name="reader">The data.</param>
/// <param name="coverage">How complete it is.</param>
/// <param name="rules">The rule groups as they stand.</param>
/// <param name="lookback">How far an instant selector looks back.</param>
/// <param name="time">The clock.</param>
public sealed class FinalityJudge(ISeriesReader reader, ICoverageSource coverage, Func<IReadOnlyList<RuleGroupStatus>> rules, TimeSpan lookback, TimeProvider time)
{

    /// <summary>A source that was there so long before is looked for, too: while an agent is cut off, nothing of it is to be seen.</summary>
    private static readonly long s_recallMs = (long)TimeSpan.FromDays(1).TotalMilliseconds;

    private const int AnswersMax = 10_000;
    private static readonly TimeSpan s_answersAge = TimeSpan.FromSeconds(5);
    private readonly Lock _gate = new();
    private readonly Dictionary<(string, long, long), (long Stamp, Finality Answer)> _answers = [];
    private (RuleGroupDefinition[] Groups, RuleInputs Inputs)? _inputs;

    /// <summary>Series that one number is judged on; what stands on more is not complete before it is sealed. Default 100,000.</summary>
    public int SeriesMax { get; init; } = 100_000;

    /// <summary>How long late data changes results. Default 7 days.</summary>
    public TimeSpan SealAfter { get; init; } = TimeSpan.FromDays(7);

    /// <summary>Metrics that the aggregator itself writes besides the results of rules: they are owed by nobody.</summary>
    public IReadOnlySet<string> OwnMetrics { get; init; } = new HashSet<string>();

    /// <summary>Whether late data of a range (Unix ms) waits to be healed.</summary>
    public Func<long, long, bool> IsWaiting { get; init; } = (_, _) => false;

    /// <summary>Judges recorded series of a time.</summary>
    /// <param name="metric">Their name.</param>
    /// <param name="labels">Labels that they have.</param>
    /// <param name="atMs">The time, Unix ms.</param>
    /// <param name="cancellation">Ends it early.</param>
    public Finality Of(string metric, IReadOnlyList<(string Name, string Value)> labels, long atMs, CancellationToken cancellation) => Of(metric, labels, long.MinValue, atMs, cancellation);

    /// <summary>Judges what was counted from one time to another of the inputs of recorded series.</summary>
    /// <param name="metric">Their name.</param>
    /// <param name="labels">Labels that they have.</param>
    /// <param name="fromMs">The begin, Unix ms; <see cref="long.MinValue"/>: as far as the rules look back.</param>
    /// <param name="atMs">The end.</param>
    /// <param name="cancellation">Ends it early.</param>
    public Finality Of(string metric, IReadOnlyList<(string Name, string Value)> labels, long fromMs, long atMs, CancellationToken cancellation)
    {
        (string, long, long) key = ($"{metric}{{{string.Join(',', labels)}}}", fromMs, atMs / 1000);
        lock (_gate)
        {
            if (_answers.TryGetValue(key, out (long Stamp, Finality Answer) known) && time.GetElapsedTime(known.Stamp) < s_answersAge)
                return known.Answer;
        }
        Finality answer = Judge(metric, labels, fromMs, atMs, cancellation);
        lock (_gate)
        {
            if (_answers.Count >= AnswersMax)
                _answers.Clear();
            _answers[key] = (time.GetTimestamp(), answer);
        }
        return answer;
    }

    private Finality Judge(string metric, IReadOnlyList<(string Name, string Value)> labels, long fromMs, long atMs, CancellationToken cancellation)
    {
        var series = new HashSet<Labels>();
        long first = fromMs == long.MinValue ? atMs : fromMs;
        bool standsOnOthers = false, isWhole = true;
        foreach (RuleInput input in InputsNow().Of(metric, [.. labels]))
        {
            if (input.Matchers.Any(m => m.Name == LabelNames.MetricName && m.Type == MatchType.Equal && (m.Value is "ALERTS" or "ALERTS_FOR_STATE" || OwnMetrics.Contains(m.Value))))
                continue;
            standsOnOthers = true;
            // A fixed time in an expression: what it reads is not known from here.
            long begin = fromMs != long.MinValue ? fromMs : atMs - Math.Min(input.BackMs, (long)TimeSpan.FromDays(400).TotalMilliseconds);
            using ISeriesSet set = reader.Select(begin - s_recallMs, atMs, input.Matchers, cancellation);
            for (int i = 0; i < set.Count && series.Count < SeriesMax; i++)
                series.Add(set.LabelsAt(i));
            isWhole &= series.Count < SeriesMax;
            first = Math.Min(first, begin);
        }
        Coverage covered = coverage.Of(series, first, atMs, cancellation);
        long seals = atMs + (long)SealAfter.TotalMilliseconds;
        bool isHere = !standsOnOthers || (isWhole && (covered.Due > 0 || covered.IsUncounted) && covered.IsSettled);
        FinalityState state = seals <= time.GetUtcNow().ToUnixTimeMilliseconds() ? FinalityState.Sealed
            : isHere && !IsWaiting(first, atMs) ? FinalityState.Complete : FinalityState.Provisional;
        return new Finality(state, covered, seals);
    }

    private RuleInputs InputsNow()
    {
        RuleGroupDefinition[] groups = [.. rules().Select(s => s.Definition)];
        lock (_gate)
        {
            if (_inputs is not { } known || !known.Groups.SequenceEqual(groups, ReferenceEqualityComparer.Instance))
                _inputs = known = (groups, new RuleInputs(groups, lookback));
            return known.Inputs;
        }
    }
}
