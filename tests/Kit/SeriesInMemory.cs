using Bellwether.Core.Model;

namespace Bellwether.Kit;

/// <summary>A store in a dictionary: what rules, the query API and remote write need of one. Thread-safe.</summary>
public sealed class SeriesInMemory : ISeriesReader, ISampleAppender
{
    private readonly Lock _gate = new();
    private readonly SortedDictionary<Labels, SortedDictionary<long, SeriesSample>> _series = [];
    private readonly Dictionary<string, MetricMetadata> _metadata = [];

    /// <summary>When set, every append throws <see cref="StoreUnavailableException"/> with this text.</summary>
    public string? Unavailable { get; set; }

    /// <summary>Samples before this are refused as too old.</summary>
    public long OldestMs { get; set; } = long.MinValue;

    /// <summary>When set: why a sample is over a limit, or null.</summary>
    public Func<SeriesSample, string?>? OverLimit { get; set; }

    /// <summary>Adds one sample, with the start of its counter where it is known.</summary>
    public void Add(Labels labels, long timestampMs, double value, long startMs = 0) => Put(new SeriesSample(labels, timestampMs, value, null, startMs));

    /// <summary>All samples of a series, in time order.</summary>
    public IReadOnlyList<SeriesSample> Of(Labels labels)
    {
        lock (_gate)
            return _series.TryGetValue(labels, out var samples) ? [.. samples.Values] : [];
    }

    /// <summary>All series of a metric.</summary>
    public IReadOnlyList<Labels> Named(string metric)
    {
        lock (_gate)
            return [.. _series.Keys.Where(l => l.MetricName == metric)];
    }

    /// <inheritdoc/>
    public ValueTask<AppendResult> AppendAsync(SampleBatch batch, CancellationToken cancellation)
    {
        if (Unavailable is { } reason)
            throw new StoreUnavailableException(reason);
        var result = new AppendResult();
        foreach (SeriesSample sample in batch.Samples)
        {
            if (sample.TimestampMs < OldestMs)
                result.Add(AppendOutcome.TooOld, $"{sample.Labels} at {sample.TimestampMs} is too old");
            else if (OverLimit?.Invoke(sample) is { } limit)
                result.Add(AppendOutcome.OverLimit, limit);
            else
                result.Add(Put(sample) ? AppendOutcome.Stored : AppendOutcome.Duplicate);
        }
        lock (_gate)
        {
            foreach ((string family, MetricMetadata metadata) in batch.Metadata)
                _metadata[family] = metadata;
        }
        return ValueTask.FromResult(result);
    }

    /// <inheritdoc/>
    public ISeriesSet Select(long fromMs, long toMs, IReadOnlyList<LabelMatcher> matchers, CancellationToken cancellation)
    {
        lock (_gate)
        {
            var found = new List<(Labels, SeriesSample[])>();
            foreach ((Labels labels, SortedDictionary<long, SeriesSample> samples) in _series)
            {
                if (!matchers.All(m => m.Matches(labels)))
                    continue;
                SeriesSample[] inRange = [.. samples.Values.Where(s => s.TimestampMs >= fromMs && s.TimestampMs <= toMs)];
                if (inRange.Length > 0)
                    found.Add((labels, inRange));
            }
            return new Set(found);
        }
    }

    /// <inheritdoc/>
    public IReadOnlyList<string> LabelNames(long fromMs, long toMs, IReadOnlyList<LabelMatcher> matchers, CancellationToken cancellation) =>
        Texts(fromMs, toMs, matchers, l => l.AsSpan().ToArray().Select(x => x.Name), cancellation);

    /// <inheritdoc/>
    public IReadOnlyList<string> LabelValues(string name, long fromMs, long toMs, IReadOnlyList<LabelMatcher> matchers, CancellationToken cancellation) =>
        Texts(fromMs, toMs, matchers, l => l.TryGet(name, out string? value) ? [value] : [], cancellation);

    /// <inheritdoc/>
    public MetricMetadata? Metadata(string family)
    {
        lock (_gate)
            return _metadata.GetValueOrDefault(family);
    }

    /// <inheritdoc/>
    public IReadOnlyDictionary<string, MetricMetadata> AllMetadata()
    {
        lock (_gate)
            return new Dictionary<string, MetricMetadata>(_metadata);
    }

    private bool Put(SeriesSample sample)
    {
        lock (_gate)
        {
            if (!_series.TryGetValue(sample.Labels, out SortedDictionary<long, SeriesSample>? samples))
                _series[sample.Labels] = samples = [];
            return samples.TryAdd(sample.TimestampMs, sample);
        }
    }

    private List<string> Texts(long fromMs, long toMs, IReadOnlyList<LabelMatcher> matchers, Func<Labels, IEnumerable<string>> texts, CancellationToken cancellation)
    {
        var found = new SortedSet<string>(Comparer<string>.Create(Utf8Order.Compare));
        using ISeriesSet set = Select(fromMs, toMs, matchers, cancellation);
        for (int i = 0; i < set.Count; i++)
            found.UnionWith(texts(set.LabelsAt(i)));
        return [.. found];
    }

    private sealed class Set(List<(Labels Labels, SeriesSample[] Samples)> found) : ISeriesSet
    {
        public int Count => found.Count;

        public Labels LabelsAt(int index) => found[index].Labels;

        public void Read(int index, SampleBuffer into)
        {
            into.Clear();
            foreach (SeriesSample sample in found[index].Samples)
            {
                if (sample.Histogram is { } histogram)
                    into.Add(sample.TimestampMs, histogram, sample.StartMs);
                else
                    into.Add(sample.TimestampMs, sample.Value, sample.StartMs);
            }
        }

        public void Dispose()
        {
        }
    }
}
