using Bellwether.Core.Model;
using Bellwether.Store.Blocks;
using Bellwether.Store.Head;
using Bellwether.Store.Reading;

namespace Bellwether.Store;

/// <summary>Selections over the head and the chunk files. Thread-safe.</summary>
internal sealed class StoreReader : ISeriesReader, IChangeLog
{
    private readonly HeadIndex _index;
    private readonly BlockSet _blocks;
    private readonly HeadWriter _head;
    private readonly SelectionCache _selections;
    private readonly ReadScratches _scratches = new();

    public StoreReader(HeadIndex index, BlockSet blocks, HeadWriter head, long maxSelectionBytes)
    {
        _selections = new SelectionCache(index, blocks, maxSelectionBytes);
        _blocks = blocks;
        _index = index;
        _head = head;
    }

    public ISeriesSet Select(long fromMs, long toMs, IReadOnlyList<LabelMatcher> matchers, CancellationToken cancellation) =>
        StoreSeriesSet.Select(_index, _blocks, _selections, _scratches, fromMs, toMs, matchers, cancellation);

    public long TakeMark()
    {
        _index.Gate.EnterReadLock();
        try
        {
            return _head.Changes.Mark();
        }
        finally
        {
            _index.Gate.ExitReadLock();
        }
    }

    public long OldestChangeSince(long mark)
    {
        _index.Gate.EnterReadLock();
        try
        {
            return _head.Changes.OldestSince(mark);
        }
        finally
        {
            _index.Gate.ExitReadLock();
        }
    }

    public bool Covers(IReadOnlyList<LabelMatcher> matchers) => true;

    public IReadOnlyList<string> LabelNames(long fromMs, long toMs, IReadOnlyList<LabelMatcher> matchers, CancellationToken cancellation)
    {
        var names = new HashSet<string>();
        foreach (Labels labels in LabelsOf(fromMs, toMs, matchers, cancellation))
        {
            foreach (ref readonly Label label in labels.AsSpan())
                names.Add(label.Name);
        }
        return Sorted(names);
    }

    public IReadOnlyList<string> LabelValues(string name, long fromMs, long toMs, IReadOnlyList<LabelMatcher> matchers, CancellationToken cancellation)
    {
        var values = new HashSet<string>();
        foreach (Labels labels in LabelsOf(fromMs, toMs, matchers, cancellation))
        {
            if (labels.TryGet(name, out string? value))
                values.Add(value);
        }
        return Sorted(values);
    }

    public MetricMetadata? Metadata(string family)
    {
        _index.Gate.EnterReadLock();
        try
        {
            return _head.Metadata.GetValueOrDefault(family);
        }
        finally
        {
            _index.Gate.ExitReadLock();
        }
    }

    public IReadOnlyDictionary<string, MetricMetadata> AllMetadata()
    {
        _index.Gate.EnterReadLock();
        try
        {
            return new Dictionary<string, MetricMetadata>(_head.Metadata);
        }
        finally
        {
            _index.Gate.ExitReadLock();
        }
    }

    /// <summary>Exemplars of series that match, by labels; those with a time in the range.</summary>
    public IReadOnlyList<(Labels Labels, IReadOnlyList<Exemplar> Exemplars)> Exemplars(long fromMs, long toMs, IReadOnlyList<LabelMatcher> matchers, CancellationToken cancellation)
    {
        var found = new List<(Labels Labels, IReadOnlyList<Exemplar> Exemplars)>();
        var series = new List<HeadSeries>();
        _index.Gate.EnterReadLock();
        try
        {
            _index.SelectLocked(long.MinValue, long.MaxValue, matchers, series, cancellation);
            foreach (HeadSeries s in series)
            {
                if (s.Exemplars?.Where(e => e.TimestampMs is { } t && t >= fromMs && t <= toMs).ToList() is { Count: > 0 } exemplars)
                    found.Add((s.Labels, exemplars));
            }
        }
        finally
        {
            _index.Gate.ExitReadLock();
        }
        found.Sort(static (a, b) => a.Labels.CompareTo(b.Labels));
        return found;
    }

    private List<Labels> LabelsOf(long fromMs, long toMs, IReadOnlyList<LabelMatcher> matchers, CancellationToken cancellation)
    {
        using ISeriesSet set = Select(fromMs, toMs, matchers, cancellation);
        var labels = new List<Labels>(set.Count);
        for (int i = 0; i < set.Count; i++)
            labels.Add(set.LabelsAt(i));
        return labels;
    }

    private static List<string> Sorted(HashSet<string> texts)
    {
        List<string> list = [.. texts];
        list.Sort(Utf8Order.Compare);
        return list;
    }
}
