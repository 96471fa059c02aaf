namespace Bellwether.Evaluate.Rules.Healing;

/// <summary>What a re-evaluation did, counted apart by those that work side by side. Not thread-safe.</summary>
internal sealed class HealTally
{
    public HashSet<string> Rules { get; } = new(StringComparer.Ordinal);
    private readonly Dictionary<string, Change> _changes = new(StringComparer.Ordinal);

    public IReadOnlyList<RuleChange> Changed => [.. _changes.Values.Select(c => new RuleChange(c.Unit.GroupName, c.Unit.Rule.Name,
        new SortedDictionary<string, string>(c.Unit.Fixed.ToDictionary(), StringComparer.Ordinal), c.FromMs, c.ToMs, c.Added, c.Replaced, c.Removed))];

    /// <summary>What is stored before this time stays.</summary>
    public long KeepBeforeMs { get; init; } = long.MinValue;
    public long Steps;
    public long Added;
    public long Replaced;
    public long Removed;
    public long Failures;
    public long Refused;
    public string WhyRefused = "";

    /// <summary>Adds what was counted apart.</summary>
    public void Add(HealTally own)
    {
        Rules.UnionWith(own.Rules);
        Steps += own.Steps;
        Added += own.Added;
        Replaced += own.Replaced;
        Removed += own.Removed;
        Failures += own.Failures;
        Refuse(own.Refused, own.WhyRefused);
        foreach ((string key, Change change) in own._changes)
        {
            if (_changes.TryGetValue(key, out Change? known))
                known.Add(change);
            else
                _changes.Add(key, change);
        }
    }

    public void Refuse(long samples, string why)
    {
        Refused += samples;
        WhyRefused = WhyRefused.Length > 0 ? WhyRefused : why;
    }

    /// <summary>Counts what was stored.</summary>
    public void Note(HealUnit unit, long timeMs, HealDifference what)
    {
        if (!_changes.TryGetValue(unit.Key, out Change? change))
            _changes.Add(unit.Key, change = new Change(unit));
        change.FromMs = Math.Min(change.FromMs, timeMs);
        change.ToMs = Math.Max(change.ToMs, timeMs);
        switch (what)
        {
            case HealDifference.Added:
                Added++;
                change.Added++;
                break;
            case HealDifference.Replaced:
                Replaced++;
                change.Replaced++;
                break;
            case HealDifference.Removed:
                Removed++;
                change.Removed++;
                break;
        }
    }

    private sealed class Change(HealUnit unit)
    {
        public HealUnit Unit => unit;
        public long FromMs = long.MaxValue;
        public long ToMs = long.MinValue;
        public long Added;
        public long Replaced;
        public long Removed;

        public void Add(Change other)
        {
            FromMs = Math.Min(FromMs, other.FromMs);
            ToMs = Math.Max(ToMs, other.ToMs);
            Added += other.Added;
            Replaced += other.Replaced;
            Removed += other.Removed;
        }
    }
}
