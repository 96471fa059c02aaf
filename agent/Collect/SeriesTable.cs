using Bellwether.Core.Codec;
using Bellwether.Core.Model;

namespace Bellwether.Agent.Collect;

/// <summary>
/// The series that a built-in collector writes: one <see cref="SourceTable"/>, the labels that all of them share, and a bound on their number. Not thread-safe.
/// </summary>
internal sealed class SeriesTable
{
    private const int DeadSlotsMin = 1_000;

    private readonly LabelsBuilder _builder = new();
    private readonly Labels _common;
    private readonly int _seriesMax;

    /// <summary>Makes an empty one.</summary>
    /// <param name="source">The source's name.</param>
    /// <param name="interval">How often a tick is due.</param>
    /// <param name="common">Labels on every series (job, instance).</param>
    /// <param name="seriesMax">Series beyond this many are refused and counted.</param>
    public SeriesTable(string source, TimeSpan interval, Labels common, int seriesMax)
    {
        Table = new SourceTable(source, (int)interval.TotalMilliseconds);
        _common = common;
        _seriesMax = seriesMax;
    }

    /// <summary>The slots.</summary>
    public SourceTable Table { get; }

    /// <summary>The tick being filled.</summary>
    public SourceTick Tick { get; private set; } = new();

    /// <summary>How many series were refused because the table is full, since it was made.</summary>
    public long Refused { get; private set; }

    /// <summary>Starts a tick.</summary>
    public void Begin(SourceTick tick, long timestampMs)
    {
        Tick = tick;
        tick.Begin(Table, timestampMs);
    }

    /// <summary>Adds a series; -1 when the table is full.</summary>
    /// <param name="name">Metric name.</param>
    /// <param name="labels">Label names and values, alternating; empty values are left out.</param>
    public int Add(string name, ReadOnlySpan<string> labels)
    {
        if (Table.Count >= _seriesMax)
        {
            Refused++;
            return -1;
        }
        _builder.Reset(_common);
        for (int i = 0; i < labels.Length; i += 2)
            _builder.Set(labels[i], labels[i + 1]);
        _builder.Set(LabelNames.MetricName, name);
        return Table.Add(_builder.Build());
    }

    /// <summary>Whether more than half of many slots are dead: time for a new table. Ask before Begin.</summary>
    public bool IsMostlyDead(SourceTick tick) => ReferenceEquals(tick.Table, Table) && Table.Count > DeadSlotsMin && tick.PresentCount * 2 < Table.Count;

    /// <summary>The series present in the last tick of this table, for <see cref="EndMissing"/> of the next one.</summary>
    public List<Labels> PresentIn(SourceTick tick)
    {
        var present = new List<Labels>();
        for (int slot = 0; slot < Table.Count; slot++)
        {
            if (SourceTick.IsSet(tick.Present, slot))
                present.Add(Table[slot]);
        }
        return present;
    }

    /// <summary>
    /// Replaces a table that has mostly dead slots: series that <paramref name="old"/> had in its last tick and this one does not have in the current tick end now.
    /// Call it between the last Set and Complete of the new table's first tick.
    /// </summary>
    /// <param name="old">Series present in the old table's last tick.</param>
    public void EndMissing(IReadOnlyList<Labels> old)
    {
        var present = new HashSet<Labels>(Table.Count);
        for (int slot = 0; slot < Table.Count; slot++)
        {
            if (SourceTick.IsSet(Tick.Present, slot))
                present.Add(Table[slot]);
        }
        foreach (Labels labels in old)
        {
            if (present.Contains(labels))
                continue;
            int slot = Table.Add(labels);
            Tick.Set(slot, 0);
            Tick.End(slot);
        }
    }
}

/// <summary>One metric family of a built-in collector. Described when its first series appears. Not thread-safe.</summary>
internal sealed class MetricFamily(SeriesTable series, string name, MetricType type, string help)
{
    private int _bare = -1;

    /// <summary>Adds a series of this family; -1 when the table is full, which <see cref="Set(int, double)"/> takes silently.</summary>
    public int Add(params ReadOnlySpan<string> labels)
    {
        int slot = series.Add(name, labels);
        if (slot >= 0)
            series.Table.Describe(name, new MetricMetadata(type, help, ""));
        return slot;
    }

    /// <summary>Sets the family's only series, which has no labels of its own.</summary>
    public void Set(double value)
    {
        if (_bare < 0)
            _bare = Add();
        Set(_bare, value);
    }

    /// <summary>Sets a series by its slot.</summary>
    public void Set(int slot, double value)
    {
        if (slot >= 0)
            series.Tick.Set(slot, value);
    }
}
