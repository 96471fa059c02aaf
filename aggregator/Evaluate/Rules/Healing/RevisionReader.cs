using Bellwether.Core.Model;

namespace Bellwether.Evaluate.Rules.Healing;

/// <summary>
/// Shows each series with its newest revision (<see cref="Revision"/>). Who asks for the label <c>__revision__</c> by name gets the revisions as they are stored. Thread-safe as the reader below.
/// </summary>
public sealed class RevisionReader(ISeriesReader inner) : ISeriesReader, IChangeLog
{
    /// <inheritdoc/>
    public ISeriesSet Select(long fromMs, long toMs, IReadOnlyList<LabelMatcher> matchers, CancellationToken cancellation)
    {
        ISeriesSet set = inner.Select(fromMs, toMs, matchers, cancellation);
        if (Names(matchers))
            return set;
        for (int i = 0; i < set.Count; i++)
        {
            if (set.LabelsAt(i).TryGet(Revision.Label, out _))
                return new RevisedSet(set);
        }
        return set;
    }

    /// <inheritdoc/>
    public IReadOnlyList<string> LabelNames(long fromMs, long toMs, IReadOnlyList<LabelMatcher> matchers, CancellationToken cancellation)
    {
        IReadOnlyList<string> names = inner.LabelNames(fromMs, toMs, matchers, cancellation);
        return names.Contains(Revision.Label) && !Names(matchers) ? [.. names.Where(n => n != Revision.Label)] : names;
    }

    /// <inheritdoc/>
    public IReadOnlyList<string> LabelValues(string name, long fromMs, long toMs, IReadOnlyList<LabelMatcher> matchers, CancellationToken cancellation) =>
        inner.LabelValues(name, fromMs, toMs, matchers, cancellation);

    /// <inheritdoc/>
    public MetricMetadata? Metadata(string family) => inner.Metadata(family);

    /// <inheritdoc/>
    public IReadOnlyDictionary<string, MetricMetadata> AllMetadata() => inner.AllMetadata();

    // A revision changes what is read at the times of its own samples only, and these are told.

    /// <inheritdoc/>
    public long TakeMark() => (inner as IChangeLog)?.TakeMark() ?? 0;

    /// <inheritdoc/>
    public long OldestChangeSince(long mark) => (inner as IChangeLog)?.OldestChangeSince(mark) ?? long.MinValue;

    /// <inheritdoc/>
    public bool Covers(IReadOnlyList<LabelMatcher> matchers) => (inner as IChangeLog)?.Covers(matchers) == true;

    private static bool Names(IReadOnlyList<LabelMatcher> matchers)
    {
        foreach (LabelMatcher matcher in matchers)
        {
            if (matcher.Name == Revision.Label)
                return true;
        }
        return false;
    }

    private sealed class RevisedSet : OverlaidSet
    {
        private readonly List<Entry> _series = [];
        private readonly SampleBuffer _below = new();
        private readonly SampleBuffer _above = new();

        public RevisedSet(ISeriesSet inner)
            : base(inner)
        {
            var revised = new Dictionary<Labels, List<(int Number, int Index)>>();
            for (int i = 0; i < inner.Count; i++)
            {
                Labels labels = inner.LabelsAt(i);
                if (Revision.Of(labels) is not (> 0 and var number))
                    continue;
                Labels series = labels.Without(Revision.Label);
                if (!revised.TryGetValue(series, out List<(int Number, int Index)>? all))
                    revised.Add(series, all = []);
                all.Add((number, i));
            }
            for (int i = 0; i < inner.Count; i++)
            {
                Labels labels = inner.LabelsAt(i);
                if (Revision.Of(labels) > 0)
                    continue;
                revised.Remove(labels, out List<(int Number, int Index)>? above);
                _series.Add(new Entry(labels, i, above));
            }
            foreach ((Labels labels, List<(int Number, int Index)> above) in revised)
                _series.Add(new Entry(labels, -1, above));
            foreach (Entry entry in _series)
                entry.Revisions?.Sort();
            if (revised.Count > 0)
                _series.Sort(static (a, b) => a.Labels.CompareTo(b.Labels));
        }

        public override int Count => _series.Count;

        public override Labels LabelsAt(int index) => _series[index].Labels;

        protected override int StoredAt(int index) => _series[index].Stored;

        // What a revision may change never becomes slots, nor do revisions.
        protected override void Lay(int index, SampleBuffer into)
        {
            if (_series[index].Revisions is not { } revisions)
                return;
            foreach ((_, int above) in revisions)
            {
                Samples.Copy(into, _below);
                Stored.Read(above, _above);
                Samples.Lay(_above, _below, into);
            }
            if (into.Values.ContainsAnyRemoved())
            {
                Samples.Copy(into, _below);
                into.Clear();
                for (int i = 0; i < _below.Count; i++)
                {
                    if (!Revision.IsRemoved(_below.Values[i]))
                        Samples.Add(into, _below, i);
                }
            }
        }

        private sealed record Entry(Labels Labels, int Stored, List<(int Number, int Index)>? Revisions);
    }
}

/// <summary>Moves samples between buffers.</summary>
internal static class Samples
{
    /// <summary>Replaces one buffer's content by another's.</summary>
    public static void Copy(SampleBuffer from, SampleBuffer into)
    {
        into.Clear();
        for (int i = 0; i < from.Count; i++)
            Add(into, from, i);
    }

    /// <summary>Adds one sample of a buffer.</summary>
    public static void Add(SampleBuffer into, SampleBuffer from, int index)
    {
        if (from.HistogramAt(index) is { } histogram)
            into.Add(from.Times[index], histogram, from.StartTimeAt(index));
        else
            into.Add(from.Times[index], from.Values[index], from.StartTimeAt(index));
    }

    /// <summary>Both in time order; at the same time the upper one counts.</summary>
    public static void Lay(SampleBuffer upper, SampleBuffer lower, SampleBuffer into)
    {
        into.Clear();
        int u = 0, l = 0;
        while (u < upper.Count || l < lower.Count)
        {
            bool takeUpper = l == lower.Count || (u < upper.Count && upper.Times[u] <= lower.Times[l]);
            if (takeUpper && l < lower.Count && lower.Times[l] == upper.Times[u])
                l++;
            if (takeUpper)
                Add(into, upper, u++);
            else
                Add(into, lower, l++);
        }
    }

    /// <summary>Whether a removed result is among them.</summary>
    public static bool ContainsAnyRemoved(this ReadOnlySpan<double> values)
    {
        foreach (double value in values)
        {
            if (Revision.IsRemoved(value))
                return true;
        }
        return false;
    }
}
