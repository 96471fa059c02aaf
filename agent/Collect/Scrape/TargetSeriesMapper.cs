using System.Text;
using Bellwether.Core.Configuration.Prometheus;
using Bellwether.Core.Exposition;
using Bellwether.Core.Model;
using Bellwether.Core.Relabel;

namespace Bellwether.Agent.Collect.Scrape;

/// <summary>
/// What becomes of a target's series, as Prometheus does it: target labels join (conflicts by honor_labels), metric_relabel_configs apply, then the
/// label limits hold. Not thread-safe.
/// </summary>
internal sealed class TargetSeriesMapper(ScrapeConfig job, Labels target) : ISeriesMapper
{
    // Where the configuration sets no limit these hold, so that one target cannot take the agent's memory by labels.
    private const int LabelsMax = 256;
    private const int LabelNameBytesMax = 1024;
    private const int LabelValueBytesMax = 64 * 1024;
    private const string ExportedPrefix = "exported_";

    private readonly int _labelsMax = job.LabelLimit > 0 ? job.LabelLimit : LabelsMax;
    private readonly int _nameBytesMax = job.LabelNameLengthLimit > 0 ? job.LabelNameLengthLimit : LabelNameBytesMax;
    private readonly int _valueBytesMax = job.LabelValueLengthLimit > 0 ? job.LabelValueLengthLimit : LabelValueBytesMax;
    private readonly LabelsBuilder _builder = new();

    /// <inheritdoc/>
    public MapOutcome Map(Labels exposed, out Labels kept, out string? reason)
    {
        kept = Labels.Empty;
        reason = null;
        _builder.Reset(exposed);
        if (job.HonorLabels)
            AddMissing();
        else
            AddResolving(exposed);
        if (!RelabelRules.Apply(job.MetricRelabelConfigs, _builder) || _builder.Count == 0)
            return MapOutcome.Drop;
        kept = _builder.Build();
        reason = Refusal(kept);
        return reason is null ? MapOutcome.Keep : MapOutcome.Refuse;
    }

    private void AddMissing()
    {
        foreach (ref readonly Label label in target.AsSpan())
        {
            if (_builder.Get(label.Name).Length == 0)
                _builder.Set(label.Name, label.Value);
        }
    }

    private void AddResolving(Labels exposed)
    {
        List<Label>? conflicts = null;
        foreach (ref readonly Label label in target.AsSpan())
        {
            string own = exposed.Get(label.Name);
            if (own.Length > 0)
                (conflicts ??= []).Add(new Label(label.Name, own));
            _builder.Set(label.Name, label.Value);
        }
        if (conflicts is null)
            return;
        foreach (Label conflict in conflicts.OrderBy(l => Encoding.UTF8.GetByteCount(l.Name)))
        {
            string name = ExportedPrefix + conflict.Name;
            while (_builder.Get(name).Length > 0)
                name = ExportedPrefix + name;
            _builder.Set(name, conflict.Value);
        }
    }

    private string? Refusal(Labels labels)
    {
        string metric = labels.MetricName;
        if (metric.Length == 0)
            return "metric name or label is missing: relabelling removed __name__";
        if (job.MetricNameValidationScheme == NameValidation.Legacy && !IsLegacy(labels))
            return $"invalid metric name or label names: {labels}";
        if (labels.Count > _labelsMax)
            return $"label_limit exceeded (metric: {metric}, number of labels: {labels.Count}, limit: {_labelsMax})";
        foreach (ref readonly Label label in labels.AsSpan())
        {
            int nameBytes = Encoding.UTF8.GetByteCount(label.Name);
            if (nameBytes > _nameBytesMax)
                return $"label_name_length_limit exceeded (metric: {metric}, label name: {Cut(label.Name)}, length: {nameBytes}, limit: {_nameBytesMax})";
            int valueBytes = Encoding.UTF8.GetByteCount(label.Value);
            if (valueBytes > _valueBytesMax)
                return $"label_value_length_limit exceeded (metric: {metric}, label name: {Cut(label.Name)}, value: {Cut(label.Value)}, length: {valueBytes}, limit: {_valueBytesMax})";
        }
        return null;
    }

    private static bool IsLegacy(Labels labels)
    {
        foreach (ref readonly Label label in labels.AsSpan())
        {
            if (label.Name == LabelNames.MetricName ? !Labels.IsLegacyMetricName(label.Value) : !Labels.IsLegacyLabelName(label.Name))
                return false;
        }
        return true;
    }

    private static string Cut(string text) => text.Length > 50 ? text[..50] : text;
}
