using Bellwether.Core.Model;

namespace Bellwether.Core.Codec;

/// <summary>
/// The series of one source (one target, or one collector of an agent), each in a slot of its own. Slots are only appended: a collector that has too many dead
/// slots starts a new table. Both ends of the stream keep the same table per source: the agent fills it, the decoder rebuilds it. Not thread-safe.
/// </summary>
public sealed class SourceTable
{
    private readonly List<Labels> _series = [];
    private readonly Dictionary<string, MetricMetadata> _metadata = [];
    private readonly List<string> _metadataOrder = [];

    /// <summary>Makes an empty table.</summary>
    /// <param name="name">The source's name, stable over restarts and unique in the agent, e.g. <c>shop/http://127.0.0.1:8080/metrics</c> or <c>host</c>.</param>
    /// <param name="intervalMs">How often a tick is due, in ms; 0: irregular. Coverage counts ticks received against ticks due.</param>
    public SourceTable(string name, int intervalMs)
    {
        Name = name;
        IntervalMs = intervalMs;
    }

    /// <summary>The source's name.</summary>
    public string Name { get; }

    /// <summary>How often a tick is due, in ms; 0: irregular.</summary>
    public int IntervalMs { get; }

    /// <summary>How many slots there are.</summary>
    public int Count => _series.Count;

    /// <summary>Families with metadata, in the order they were first described or last changed.</summary>
    public IReadOnlyList<string> MetadataLog => _metadataOrder;

    /// <summary>The series in a slot.</summary>
    public Labels this[int slot] => _series[slot];

    /// <summary>Adds a series and returns its slot.</summary>
    public int Add(Labels labels)
    {
        _series.Add(labels);
        return _series.Count - 1;
    }

    /// <summary>Describes a metric family. A changed description is appended to <see cref="MetadataLog"/> again, an equal one is not.</summary>
    public void Describe(string family, MetricMetadata metadata)
    {
        if (_metadata.TryGetValue(family, out MetricMetadata? old) && old == metadata)
            return;
        _metadata[family] = metadata;
        _metadataOrder.Add(family);
    }

    /// <summary>The description of a family as it is now.</summary>
    public MetricMetadata? MetadataOf(string family) => _metadata.GetValueOrDefault(family);
}
