using Bellwether.Core.Model;

namespace Bellwether.Evaluate.PromQl.Evaluation;

/// <summary>Which labels of a series say what it goes together with, in an aggregation or a match. Not thread-safe.</summary>
internal sealed class GroupKeys
{
    private readonly IReadOnlyList<string> _names;
    private readonly LabelsBuilder _builder = new();
    private readonly HashSet<string>? _drop;

    /// <param name="keeps">The named labels, else all but them and the metric's name.</param>
    /// <param name="names">Labels.</param>
    public GroupKeys(bool keeps, IReadOnlyList<string> names)
    {
        _names = names;
        if (!keeps)
            _drop = [.. names, LabelNames.MetricName];
    }

    /// <summary>The labels that name the group of a series.</summary>
    public Labels Of(Labels labels)
    {
        if (_drop is not null)
        {
            _builder.Reset(labels);
            foreach (string name in _drop)
                _builder.Remove(name);
            return _builder.Build();
        }
        if (_names.Count == 0)
            return Labels.Empty;
        _builder.Reset();
        foreach (string name in _names)
            _builder.Set(name, labels.Get(name));
        return _builder.Build();
    }
}
