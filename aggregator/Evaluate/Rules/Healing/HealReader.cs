using Bellwether.Core.Model;

namespace Bellwether.Evaluate.Rules.Healing;

/// <summary>
/// The stored data with what this run has computed so far in place of the results that are evaluated again. While rules go time by time, what on-time evaluation had not written yet
/// is hidden. One thread.
/// </summary>
internal sealed class HealReader(ISeriesReader inner, UnitIndex units) : ISeriesReader
{
    /// <summary>The place at which a stepwise run is: its step, the rule, and the rules that are in it.</summary>
    public (long StepMs, int Unit, int First, int Last)? Place { get; set; }

    public ISeriesSet Select(long fromMs, long toMs, IReadOnlyList<LabelMatcher> matchers, CancellationToken cancellation)
    {
        ISeriesSet stored = inner.Select(fromMs, toMs, matchers, cancellation);
        var entries = new List<Entry>(stored.Count);
        bool isPlain = true;
        var found = new HashSet<(HealUnit, Labels)>();
        for (int i = 0; i < stored.Count; i++)
        {
            Labels labels = stored.LabelsAt(i);
            HealUnit? owner = OwnerOf(labels);
            entries.Add(new Entry(labels, i, owner));
            isPlain &= owner is null;
            if (owner is not null)
                found.Add((owner, labels));
        }
        int before = entries.Count;
        foreach (HealUnit unit in units.Find(matchers))
        {
            // What cannot be selected may be in the making beside this.
            if (!Reading.MaySelect(matchers, unit.Rule.Name, unit.Fixed) || unit.SliceFromMs > toMs || unit.SliceToMs < fromMs)
                continue;
            foreach (Labels labels in unit.Computed.Keys)
            {
                if (matchers.All(m => m.Matches(labels)) && found.Add((unit, labels)))
                    entries.Add(new Entry(labels, -1, unit));
            }
        }
        if (isPlain && entries.Count == before)
            return stored;
        if (entries.Count > before)
            entries.Sort(static (a, b) => a.Labels.CompareTo(b.Labels));
        return new Set(stored, entries, fromMs, toMs, Place);
    }

    public IReadOnlyList<string> LabelNames(long fromMs, long toMs, IReadOnlyList<LabelMatcher> matchers, CancellationToken cancellation) => inner.LabelNames(fromMs, toMs, matchers, cancellation);

    public IReadOnlyList<string> LabelValues(string name, long fromMs, long toMs, IReadOnlyList<LabelMatcher> matchers, CancellationToken cancellation) =>
        inner.LabelValues(name, fromMs, toMs, matchers, cancellation);

    public MetricMetadata? Metadata(string family) => inner.Metadata(family);

    public IReadOnlyDictionary<string, MetricMetadata> AllMetadata() => inner.AllMetadata();

    private HealUnit? OwnerOf(Labels labels)
    {
        if (!units.Writes(labels.MetricName))
            return null;
        foreach (HealUnit unit in units.Find(labels.MetricName, labels.AsSpan().ToArray().Select(l => KeyValuePair.Create(l.Name, l.Value))))
        {
            bool counts = unit.SliceFromMs <= unit.SliceToMs || (Place is { } place && unit.Index >= place.First && unit.Index <= place.Last);
            if (counts && unit.Owns(labels))
                return unit;
        }
        return null;
    }

    private sealed record Entry(Labels Labels, int Stored, HealUnit? Owner);

    private sealed class Set(ISeriesSet stored, List<Entry> entries, long fromMs, long toMs, (long StepMs, int Unit, int First, int Last)? place) : OverlaidSet(stored)
    {
        private readonly SampleBuffer _all = new();
        private readonly SampleBuffer _kept = new();
        private readonly SampleBuffer _made = new();

        public override int Count => entries.Count;

        public override Labels LabelsAt(int index) => entries[index].Labels;

        protected override int StoredAt(int index) => entries[index].Stored;

        // Results are evaluated again only where there are samples.
        protected override void Lay(int index, SampleBuffer into)
        {
            Entry entry = entries[index];
            if (entry.Owner is not { } owner)
                return;
            Samples.Copy(into, _all);
            _kept.Clear();
            for (int i = 0; i < _all.Count; i++)
            {
                long time = _all.Times[i];
                bool isReplaced = time >= owner.SliceFromMs && time <= owner.SliceToMs && !owner.Failed.Contains(time);
                if (!owner.IsOnGrid(time) || !(isReplaced || IsToCome(owner, time)))
                    Samples.Add(_kept, _all, i);
            }
            _made.Clear();
            if (owner.Computed.TryGetValue(entry.Labels, out SampleBuffer? computed))
            {
                for (int i = 0; i < computed.Count; i++)
                {
                    if (computed.Times[i] >= fromMs && computed.Times[i] <= toMs)
                        Samples.Add(_made, computed, i);
                }
            }
            Samples.Lay(_made, _kept, into);
        }

        private bool IsToCome(HealUnit owner, long timeMs)
        {
            if (place is not { } now || owner.Index < now.First || owner.Index > now.Last)
                return false;
            long step = timeMs + owner.OffsetMs;
            return step > now.StepMs || (step == now.StepMs && owner.Index >= now.Unit);
        }
    }
}
