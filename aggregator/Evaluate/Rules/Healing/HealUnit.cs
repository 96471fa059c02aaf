using Bellwether.Core.Model;
using Bellwether.Evaluate.PromQl;
using MatchType = Bellwether.Core.Model.MatchType;

namespace Bellwether.Evaluate.Rules.Healing;

/// <summary>
/// One recording rule as re-evaluation sees it: its place in the order, what it reads, which stored series are its own, and what was computed in the slice at hand. One thread.
/// </summary>
internal sealed class HealUnit
{
    private readonly SortedDictionary<Labels, SampleBuffer> _computed = [];
    private readonly RecordingRule _state;
    private readonly int _limit;
    private bool _isSeeded;

    public HealUnit(RuleGroupDefinition group, RuleDefinition rule, PreparedQuery query, RuleReach reach, RuleEngineOptions options)
    {
        Rule = rule;
        Query = query.Exactly();
        Reach = reach;
        GroupName = group.Name;
        IntervalMs = (long)(group.Interval ?? options.DefaultInterval).TotalMilliseconds;
        OffsetMs = (long)(group.QueryOffset ?? options.DefaultQueryOffset).TotalMilliseconds;
        Fixed = [.. rule.Labels.Where(l => l.Value.Text.Length > 0).Select(l => KeyValuePair.Create(l.Key, l.Value.Text))];
        TakenOff = [.. rule.Labels.Where(l => l.Value.Text.Length == 0).Select(l => l.Key)];
        Key = $"{GroupName}\n{rule.Name}\n{string.Join('\n', Fixed)}";
        _limit = group.Limit;
        _state = new RecordingRule(rule, group.Limit);
    }

    public RuleDefinition Rule { get; }

    /// <summary>Its expression, parsed.</summary>
    public PreparedQuery Query { get; }

    /// <summary>Its place in the order.</summary>
    public required int Index { get; init; }

    public string GroupName { get; }

    /// <summary>Tells it from other rules.</summary>
    public string Key { get; }

    /// <summary>Whether the request names it, rather than what it reads.</summary>
    public bool IsAsked { get; init; }

    public RuleReach Reach { get; }

    public long IntervalMs { get; }

    public long OffsetMs { get; }

    /// <summary>Labels that every series of it has.</summary>
    public IReadOnlyList<KeyValuePair<string, string>> Fixed { get; }

    /// <summary>Labels that no series of it has: the rule sets them to nothing.</summary>
    public IReadOnlyList<string> TakenOff { get; }

    /// <summary>First time of a result that may have changed, Unix ms; <see cref="long.MaxValue"/>: none. Times lie on the rule's grid once the plan stands.</summary>
    public long FromMs { get; set; } = long.MaxValue;

    /// <summary>Last such time.</summary>
    public long ToMs { get; set; } = long.MinValue;

    public bool IsDirty => FromMs <= ToMs;

    /// <summary>The first and last time that were begun in this slice; what is stored between them is hidden by what was computed.</summary>
    public long SliceFromMs { get; private set; } = long.MaxValue;

    /// <summary>See <see cref="SliceFromMs"/>.</summary>
    public long SliceToMs { get; private set; } = long.MinValue;

    /// <summary>The time of the last result of this slice, on the rule's grid.</summary>
    public long SliceLastMs => SliceToMs - ((SliceToMs + OffsetMs) % IntervalMs);

    /// <summary>Times whose evaluation failed: what is stored there stands.</summary>
    public HashSet<long> Failed { get; } = [];

    /// <summary>What was computed in this slice, by series.</summary>
    public IReadOnlyDictionary<Labels, SampleBuffer> Computed => _computed;

    /// <summary>How many results these are.</summary>
    public long Results => _computed.Values.Sum(s => (long)s.Count);

    /// <summary>Whether a stored series is this rule's.</summary>
    public bool Owns(Labels labels)
    {
        if (labels.MetricName != Rule.Name)
            return false;
        foreach ((string name, string value) in Fixed)
        {
            if (labels.Get(name) != value)
                return false;
        }
        foreach (string name in TakenOff)
        {
            if (labels.Get(name).Length > 0)
                return false;
        }
        return true;
    }

    /// <summary>Whether a series can never be of both rules.</summary>
    public bool IsApartFrom(HealUnit other) => Rule.Name != other.Rule.Name || Fixed.Any(f => other.Fixed.Any(o => o.Key == f.Key && o.Value != f.Value) || other.TakenOff.Contains(f.Key))
        || other.Fixed.Any(o => TakenOff.Contains(o.Key));

    /// <summary>Selects its stored series.</summary>
    public List<LabelMatcher> Matchers() =>
        [new LabelMatcher(MatchType.Equal, LabelNames.MetricName, Rule.Name), .. Fixed.Where(f => f.Key != LabelNames.MetricName).Select(f => new LabelMatcher(MatchType.Equal, f.Key, f.Value)), .. TakenOff.Select(t => new LabelMatcher(MatchType.Equal, t, ""))];

    /// <summary>Whether a time lies on the rule's grid.</summary>
    public bool IsOnGrid(long timeMs) => (timeMs + OffsetMs) % IntervalMs == 0;

    /// <summary>The time of the result of the first step at or after a time.</summary>
    public long FirstAt(long stepMs)
    {
        long rest = stepMs % IntervalMs;
        return (rest == 0 ? stepMs : stepMs + IntervalMs - rest) - OffsetMs;
    }

    /// <summary>Begins a slice: nothing is computed yet, and what is stored between its first and last time is hidden.</summary>
    public void BeginSlice(long fromMs, long toMs)
    {
        _computed.Clear();
        Failed.Clear();
        SliceFromMs = fromMs;
        SliceToMs = toMs;
    }

    /// <summary>Ends it: what is stored counts again.</summary>
    public void EndSlice() => BeginSlice(long.MaxValue, long.MinValue);

    /// <summary>Says which series had a result at the time before the first; needed once per run.</summary>
    public void SeedOnce(Func<IEnumerable<Labels>> before)
    {
        if (!_isSeeded)
            _state.Seed(before());
        _isSeeded = true;
    }

    /// <summary>
    /// Takes the results of all times of the slice at once: what <see cref="Take"/> gives of them time by time. False: it cannot, since at some time there may be too many series, or two of
    /// one name; nothing is taken then.
    /// </summary>
    /// <param name="matrix">The expression's result from the first to the last time.</param>
    /// <param name="lastMs">The last time on the rule's grid.</param>
    public bool TryTakeAll(IReadOnlyList<ResultSeries> matrix, long lastMs)
    {
        if (_limit > 0 && matrix.Count > _limit)
            return false;
        Labels[] names = [.. matrix.Select(s => _state.Named(s.Labels))];
        var gone = new HashSet<Labels>(_state.LastSeries);
        var now = new HashSet<Labels>(names.Length);
        if (!Array.TrueForAll(names, now.Add))
            return false;
        for (int s = 0; s < names.Length; s++)
        {
            SampleBuffer samples = _computed[names[s]] = new SampleBuffer();
            if (!Lay(matrix[s].Points, gone.Remove(names[s]), lastMs, samples))
                now.Remove(names[s]);
        }
        foreach (Labels labels in gone)
            (_computed[labels] = new SampleBuffer()).Add(SliceFromMs, SpecialValues.StaleMarker);
        _state.Seed(now);
        return true;
    }

    // Points with a stale marker wherever the series ends; whether it is there at the last time.
    private bool Lay(IReadOnlyList<Point> points, bool wasThere, long lastMs, SampleBuffer into)
    {
        long before = wasThere ? SliceFromMs - IntervalMs : long.MaxValue;
        for (int i = 0; i < points.Count; i++)
        {
            Point point = points[i];
            if (before != long.MaxValue && point.TimestampMs > before + IntervalMs)
                into.Add(before + IntervalMs, SpecialValues.StaleMarker);
            if (point.Histogram is { } histogram)
                into.Add(point.TimestampMs, histogram);
            else
                into.Add(point.TimestampMs, point.Value);
            before = point.TimestampMs;
        }
        if (before < lastMs)
            into.Add(before + IntervalMs, SpecialValues.StaleMarker);
        return before == lastMs;
    }

    /// <summary>Takes the result of one time, as the rule engine takes it.</summary>
    public void Take(QueryResult result, long timeMs)
    {
        RuleOutcome outcome = result.Error is { } failed ? new RuleOutcome([], failed.Message) : _state.Evaluate(result, timeMs + OffsetMs, timeMs, null!);
        if (outcome.Error is not null)
        {
            Failed.Add(timeMs);
            return;
        }
        _state.AddStaleMarkers(outcome.Samples, timeMs);
        _state.Committed();
        foreach (SeriesSample sample in outcome.Samples)
        {
            if (!_computed.TryGetValue(sample.Labels, out SampleBuffer? samples))
                _computed.Add(sample.Labels, samples = new SampleBuffer());
            if (sample.Histogram is { } histogram)
                samples.Add(timeMs, histogram);
            else
                samples.Add(timeMs, sample.Value);
        }
    }
}
