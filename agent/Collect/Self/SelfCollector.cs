using Bellwether.Core.Codec;
using Bellwether.Core.Exposition;
using Bellwether.Core.Model;
using Bellwether.Core.Telemetry;

namespace Bellwether.Agent.Collect.Self;

/// <summary>The agent's own metrics as a source of its own stream: source <c>agent</c>, job <c>bellwether-agent</c>.</summary>
public sealed class SelfCollector : ICollector
{
    /// <summary>The job label of the agent's own series.</summary>
    public const string Job = "bellwether-agent";

    private readonly SelfMetrics _metrics;
    private readonly Labels _base;
    private readonly SourceTable _table;
    private readonly Dictionary<Labels, int> _slots = [];
    private readonly LabelsBuilder _builder = new();
    private readonly int _upSlot;

    /// <summary>Makes the collector.</summary>
    /// <param name="metrics">What to send.</param>
    /// <param name="instance">The instance label: the agent's id or host name.</param>
    /// <param name="interval">How often.</param>
    public SelfCollector(SelfMetrics metrics, string instance, TimeSpan interval)
    {
        _metrics = metrics;
        Interval = interval;
        _base = Labels.Of(LabelNames.Job, Job, LabelNames.Instance, instance);
        _table = new SourceTable(Name, (int)interval.TotalMilliseconds);
        _upSlot = SlotOf(_base.With(LabelNames.MetricName, "up"));
    }

    /// <inheritdoc/>
    public string Name => "agent";

    /// <summary>The labels of all its series.</summary>
    public Labels TargetLabels => _base;

    /// <inheritdoc/>
    public TimeSpan Interval { get; }

    /// <inheritdoc/>
    public ValueTask CollectAsync(SourceTick tick, long timestampMs, CancellationToken cancellation)
    {
        tick.Begin(_table, timestampMs);
        tick.Set(_upSlot, 1);
        foreach (ExposedFamily family in _metrics.Collect())
        {
            _table.Describe(family.Name, new MetricMetadata(family.Type, family.Help, family.Unit));
            foreach (ExposedSample sample in family.Samples)
            {
                _builder.Reset(_base).Set(LabelNames.MetricName, sample.Name);
                foreach (Label label in sample.Labels)
                    _builder.Set(label.Name, label.Value);
                tick.Set(SlotOf(_builder.Build()), sample.Value);
            }
        }
        tick.Complete();
        return ValueTask.CompletedTask;
    }

    /// <inheritdoc/>
    public void End(SourceTick tick, long timestampMs)
    {
        tick.Begin(_table, timestampMs);
        tick.Complete();
    }

    /// <inheritdoc/>
    public ValueTask DisposeAsync() => ValueTask.CompletedTask;

    private int SlotOf(Labels labels)
    {
        // Bounded by SelfMetrics.SeriesMax.
        if (!_slots.TryGetValue(labels, out int slot))
        {
            slot = _table.Add(labels);
            _slots.Add(labels, slot);
        }
        return slot;
    }
}
