using Bellwether.Core.Model;
using MatchType = Bellwether.Core.Model.MatchType;

namespace Bellwether.Evaluate.Rules.Healing;

/// <summary>Finds rules by the metric that they record and the labels that they add, without going through all of them. One thread.</summary>
internal sealed class UnitIndex
{
    private readonly List<HealUnit> _all = [];
    private readonly Dictionary<string, OfName> _names = new(StringComparer.Ordinal);

    /// <summary>All, in the order in which they were added.</summary>
    public IReadOnlyList<HealUnit> All => _all;

    public void Add(HealUnit unit)
    {
        _all.Add(unit);
        if (!_names.TryGetValue(unit.Rule.Name, out OfName? of))
            _names.Add(unit.Rule.Name, of = new OfName());
        of.Units.Add(unit);
        foreach ((string label, string value) in unit.Fixed)
        {
            if (!of.Labels.TryGetValue(label, out ByValue? values))
                of.Labels.Add(label, values = new ByValue());
            values.Count++;
            if (!values.Units.TryGetValue(value, out List<HealUnit>? units))
                values.Units.Add(value, units = []);
            units.Add(unit);
        }
    }

    /// <summary>Rules that record a metric and may do so with labels: a superset.</summary>
    public IReadOnlyList<HealUnit> Find(string name, IEnumerable<KeyValuePair<string, string>> labels)
    {
        if (!_names.TryGetValue(name, out OfName? of))
            return [];
        IReadOnlyList<HealUnit> found = of.Units;
        foreach ((string label, string value) in labels)
        {
            // Only a label that all of them add tells them apart.
            if (of.Labels.TryGetValue(label, out ByValue? values) && values.Count == of.Units.Count)
                found = values.Units.TryGetValue(value, out List<HealUnit>? units) ? units.Count < found.Count ? units : found : [];
        }
        return found;
    }

    /// <summary>Rules whose series a selection may take: a superset.</summary>
    public IReadOnlyList<HealUnit> Find(IReadOnlyList<LabelMatcher> matchers)
    {
        string? name = null;
        foreach (LabelMatcher matcher in matchers)
        {
            if (matcher.Name == LabelNames.MetricName && matcher.Type == MatchType.Equal)
                name = matcher.Value;
        }
        return name is null ? _all : Find(name, matchers.Where(m => m.Type == MatchType.Equal).Select(m => KeyValuePair.Create(m.Name, m.Value)));
    }

    /// <summary>Whether any rule records a metric.</summary>
    public bool Writes(string name) => _names.ContainsKey(name);

    private sealed class OfName
    {
        public List<HealUnit> Units { get; } = [];

        public Dictionary<string, ByValue> Labels { get; } = new(StringComparer.Ordinal);
    }

    private sealed class ByValue
    {
        public int Count { get; set; }

        public Dictionary<string, List<HealUnit>> Units { get; } = new(StringComparer.Ordinal);
    }
}
