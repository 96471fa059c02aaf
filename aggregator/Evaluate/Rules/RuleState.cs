using Bellwether.Core.Model;
using Bellwether.Evaluate.PromQl;
using Bellwether.Evaluate.Rules.Templates;

namespace Bellwether.Evaluate.Rules;

/// <summary>What an evaluation of one rule gave: samples to append, or why not.</summary>
internal sealed record RuleOutcome(List<SeriesSample> Samples, string? Error);

/// <summary>One rule with its state between steps. Used by one thread at a time; <see cref="Status"/> may be read by any.</summary>
internal abstract class RuleState(RuleDefinition definition, int limit)
{
    // Never changed once it stands here: a reload reads it from another thread.
    private volatile HashSet<Labels> _before = [];
    private HashSet<Labels> _now = [];
    private volatile RuleStatus _status = new() { Definition = definition };

    public RuleDefinition Definition { get; } = definition;

    protected int Limit { get; } = limit;

    public RuleStatus Status
    {
        get => _status;
        set => _status = value;
    }

    /// <summary>Series that the last good evaluation wrote.</summary>
    public IEnumerable<Labels> LastSeries => _before;

    /// <summary>Turns a query result at a step into samples at <paramref name="sampleMs"/>.</summary>
    public abstract RuleOutcome Evaluate(QueryResult result, long stepMs, long sampleMs, TemplateContext context);

    /// <summary>Alerts as they stand, for the status.</summary>
    public virtual IReadOnlyList<AlertStatus> ActiveAlerts() => [];

    /// <summary>Adds stale markers for series that the evaluation before wrote and this one did not.</summary>
    public void AddStaleMarkers(List<SeriesSample> samples, long sampleMs)
    {
        if (IsAsBefore(samples))
        {
            _now = _before;
            return;
        }
        _now = new HashSet<Labels>(samples.Count);
        foreach (SeriesSample sample in samples)
            _now.Add(sample.Labels);
        foreach (Labels gone in _before)
        {
            if (!_now.Contains(gone))
                samples.Add(new SeriesSample(gone, sampleMs, SpecialValues.StaleMarker));
        }
    }

    // The series of one evaluation are all different.
    private bool IsAsBefore(List<SeriesSample> samples)
    {
        if (samples.Count != _before.Count)
            return false;
        foreach (SeriesSample sample in samples)
        {
            if (!_before.Contains(sample.Labels))
                return false;
        }
        return true;
    }

    /// <summary>Says which series the evaluation before the next one wrote.</summary>
    public void Seed(IEnumerable<Labels> before) => _before = [.. before];

    /// <summary>The samples of the last <see cref="AddStaleMarkers"/> are stored.</summary>
    public void Committed() => _before = _now;

    /// <summary>A scalar counts as one series without labels; strings and ranges are no rule results.</summary>
    protected static IReadOnlyList<ResultSeries>? VectorOf(QueryResult result, out string? error)
    {
        error = null;
        switch (result.Type)
        {
            case PromQl.ValueType.Vector:
                return result.Series;
            case PromQl.ValueType.Scalar:
                return [new ResultSeries(Labels.Empty, [result.Scalar])];
            default:
                error = "rule result is not a vector or scalar";
                return null;
        }
    }
}

/// <summary>Writes its result under a new name.</summary>
internal sealed class RecordingRule(RuleDefinition definition, int limit) : RuleState(definition, limit)
{
    private readonly LabelsBuilder _builder = new();
    private readonly Dictionary<Labels, Labels> _names = [];
    private readonly HashSet<Labels> _seen = [];

    public override RuleOutcome Evaluate(QueryResult result, long stepMs, long sampleMs, TemplateContext context)
    {
        IReadOnlyList<ResultSeries>? vector = VectorOf(result, out string? error);
        if (vector is null)
            return new RuleOutcome([], error);
        // The label sets repeat step after step: remember what each became, but not those of long ago.
        if (_names.Count > (2 * vector.Count) + 1024)
            _names.Clear();
        var samples = new List<SeriesSample>(vector.Count);
        _seen.Clear();
        foreach (ResultSeries series in vector)
        {
            if (!_names.TryGetValue(series.Labels, out Labels? labels))
            {
                labels = Named(series.Labels);
                _names[series.Labels] = labels;
            }
            if (!_seen.Add(labels))
                return new RuleOutcome([], "vector contains metrics with the same labelset after applying rule labels");
            Point point = series.Points[0];
            samples.Add(new SeriesSample(labels, sampleMs, point.Value, point.Histogram));
        }
        if (Limit > 0 && samples.Count > Limit)
            return new RuleOutcome([], $"exceeded limit of {Limit} with {samples.Count} series");
        return new RuleOutcome(samples, null);
    }

    /// <summary>The series that a series of the expression's result becomes.</summary>
    public Labels Named(Labels labels)
    {
        _builder.Reset(labels).Set(LabelNames.MetricName, Definition.Name);
        foreach ((string name, AlertTemplate value) in Definition.Labels)
            _builder.Set(name, value.Text);
        return _builder.Build();
    }
}
