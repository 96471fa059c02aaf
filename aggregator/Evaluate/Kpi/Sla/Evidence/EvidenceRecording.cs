using Bellwether.Core.Model;

namespace Bellwether.Evaluate.Kpi.Sla.Evidence;

/// <summary>A store that remembers what was asked of it, so that the same can be asked of a pack. Not thread-safe.</summary>
internal sealed class EvidenceRecording(ISeriesReader store) : ISeriesReader
{
    private readonly Dictionary<string, IReadOnlyList<LabelMatcher>> _asked = new(StringComparer.Ordinal);
    private long _fromMs = long.MaxValue;
    private long _toMs = long.MinValue;

    public ISeriesSet Select(long fromMs, long toMs, IReadOnlyList<LabelMatcher> matchers, CancellationToken cancellation)
    {
        _asked.TryAdd(string.Join(',', matchers.Select(m => $"{m.Name}{m.Type}{m.Value}")), [.. matchers]);
        (_fromMs, _toMs) = (Math.Min(_fromMs, fromMs), Math.Max(_toMs, toMs));
        return store.Select(fromMs, toMs, matchers, cancellation);
    }

    public IReadOnlyList<string> LabelNames(long fromMs, long toMs, IReadOnlyList<LabelMatcher> matchers, CancellationToken cancellation) => store.LabelNames(fromMs, toMs, matchers, cancellation);

    public IReadOnlyList<string> LabelValues(string name, long fromMs, long toMs, IReadOnlyList<LabelMatcher> matchers, CancellationToken cancellation) => store.LabelValues(name, fromMs, toMs, matchers, cancellation);

    public MetricMetadata? Metadata(string family) => store.Metadata(family);

    public IReadOnlyDictionary<string, MetricMetadata> AllMetadata() => store.AllMetadata();

    /// <summary>Takes over what another was asked for.</summary>
    public void Join(EvidenceRecording other)
    {
        foreach ((string key, IReadOnlyList<LabelMatcher> matchers) in other._asked)
            _asked.TryAdd(key, matchers);
        (_fromMs, _toMs) = (Math.Min(_fromMs, other._fromMs), Math.Max(_toMs, other._toMs));
    }

    /// <summary>The labels of all series that were asked for.</summary>
    public HashSet<Labels> Labels(CancellationToken cancellation)
    {
        var labels = new HashSet<Labels>();
        Each((set, i) => labels.Add(set.LabelsAt(i)), cancellation);
        return labels;
    }

    /// <summary>Writes all series that were asked for, each over the whole range of all that was asked.</summary>
    public void Write(EvidenceSeriesWriter into, CancellationToken cancellation)
    {
        var written = new HashSet<Labels>();
        var buffer = new SampleBuffer();
        var slots = new List<CoarseSlot>();
        Each((set, i) =>
        {
            if (!written.Add(set.LabelsAt(i)))
                return;
            CoarseSets.Read(set, i, buffer, slots);
            if (slots.Count > 0)
                throw new EvidenceException($"the samples of {set.LabelsAt(i)} are not kept any more: evidence can be made as long as retention.raw keeps the month and what its rules look back over");
            if (buffer.Count > 0)
                into.Add(set.LabelsAt(i), buffer);
        }, cancellation);
        into.Complete();
    }

    private void Each(Action<ISeriesSet, int> take, CancellationToken cancellation)
    {
        foreach ((_, IReadOnlyList<LabelMatcher> matchers) in _asked.OrderBy(a => a.Key, StringComparer.Ordinal))
        {
            using ISeriesSet set = store.Select(_fromMs, _toMs, matchers, cancellation);
            for (int i = 0; i < set.Count; i++)
            {
                cancellation.ThrowIfCancellationRequested();
                take(set, i);
            }
        }
    }
}
