using Bellwether.Core.Model;

namespace Bellwether.Kit.PromQl;

/// <summary>Series in memory, for tests of what reads series. Not thread-safe while it is written.</summary>
public sealed class MemorySeries : ISeriesReader
{
    private sealed record Sample(double Value, NativeHistogram? Histogram, long StartMs);

    private readonly SortedDictionary<Labels, SortedDictionary<long, Sample>> _series = [];

    /// <summary>Metadata by family, to be filled by the test.</summary>
    public Dictionary<string, MetricMetadata> Families { get; } = [];

    /// <summary>Adds or replaces a sample.</summary>
    public void Add(Labels labels, long timeMs, double value, NativeHistogram? histogram = null, long startMs = 0)
    {
        if (!_series.TryGetValue(labels, out SortedDictionary<long, Sample>? samples))
            _series.Add(labels, samples = []);
        samples[timeMs] = new Sample(value, histogram, startMs);
    }

    /// <summary>Drops everything.</summary>
    public void Clear() => _series.Clear();

    /// <summary>All series.</summary>
    public IReadOnlyCollection<Labels> All => _series.Keys;

    /// <inheritdoc/>
    public ISeriesSet Select(long fromMs, long toMs, IReadOnlyList<LabelMatcher> matchers, CancellationToken cancellation)
    {
        var found = new List<(Labels, List<KeyValuePair<long, Sample>>)>();
        foreach ((Labels labels, SortedDictionary<long, Sample> samples) in _series)
        {
            if (!matchers.All(m => m.Matches(labels)))
                continue;
            List<KeyValuePair<long, Sample>> inside = [.. samples.Where(s => s.Key >= fromMs && s.Key <= toMs)];
            if (inside.Count > 0)
                found.Add((labels, WithHints(samples, inside)));
        }
        return new Set(found);
    }

    /// <summary>
    /// Reset hints as a store gives them on reading: the first histogram of a counter and the first after a reset are unknown, the others not reset; gauges stay.
    /// </summary>
    private static List<KeyValuePair<long, Sample>> WithHints(SortedDictionary<long, Sample> all, List<KeyValuePair<long, Sample>> inside)
    {
        if (!inside.Exists(s => s.Value.Histogram is not null))
            return inside;
        var hints = new Dictionary<long, CounterResetHint>();
        NativeHistogram? previous = null;
        foreach ((long time, Sample sample) in all)
        {
            if (sample.Histogram is not { } h)
            {
                previous = null;
                continue;
            }
            if (h.ResetHint == CounterResetHint.Gauge)
                hints[time] = CounterResetHint.Gauge;
            else
                hints[time] = previous is null || previous.ResetHint == CounterResetHint.Gauge || h.ResetHint == CounterResetHint.Reset || Detected(previous, h) ? CounterResetHint.Unknown : CounterResetHint.NotReset;
            previous = h;
        }
        return inside.ConvertAll(s => s.Value.Histogram is { } h
            ? KeyValuePair.Create(s.Key, s.Value with { Histogram = h.WithHint(hints[s.Key]) })
            : s);
    }

    private static bool Detected(NativeHistogram previous, NativeHistogram h) =>
        h.WithHint(CounterResetHint.Unknown).IsResetAfter(previous) || (h.HasCustomBuckets && !h.CustomValues.AsSpan().SequenceEqual(previous.CustomValues)) || h.Schema != previous.Schema || h.ZeroThreshold != previous.ZeroThreshold;

    /// <inheritdoc/>
    public IReadOnlyList<string> LabelNames(long fromMs, long toMs, IReadOnlyList<LabelMatcher> matchers, CancellationToken cancellation)
    {
        var names = new SortedSet<string>(Comparer<string>.Create(Utf8Order.Compare));
        foreach (Labels labels in Selected(fromMs, toMs, matchers))
        {
            foreach (Label label in labels.AsSpan())
                names.Add(label.Name);
        }
        return [.. names];
    }

    /// <inheritdoc/>
    public IReadOnlyList<string> LabelValues(string name, long fromMs, long toMs, IReadOnlyList<LabelMatcher> matchers, CancellationToken cancellation)
    {
        var values = new SortedSet<string>(Comparer<string>.Create(Utf8Order.Compare));
        foreach (Labels labels in Selected(fromMs, toMs, matchers))
        {
            if (labels.TryGet(name, out string? value))
                values.Add(value);
        }
        return [.. values];
    }

    /// <inheritdoc/>
    public MetricMetadata? Metadata(string family) => Families.GetValueOrDefault(family);

    /// <inheritdoc/>
    public IReadOnlyDictionary<string, MetricMetadata> AllMetadata() => Families;

    private IEnumerable<Labels> Selected(long fromMs, long toMs, IReadOnlyList<LabelMatcher> matchers) =>
        _series.Where(s => matchers.All(m => m.Matches(s.Key)) && s.Value.Keys.Any(t => t >= fromMs && t <= toMs)).Select(s => s.Key);

    private sealed class Set(List<(Labels Labels, List<KeyValuePair<long, Sample>> Samples)> found) : ISeriesSet
    {
        public int Count => found.Count;

        public Labels LabelsAt(int index) => found[index].Labels;

        public void Read(int index, SampleBuffer into)
        {
            into.Clear();
            foreach ((long time, Sample sample) in found[index].Samples)
            {
                if (sample.Histogram is { } histogram)
                    into.Add(time, histogram, sample.StartMs);
                else
                    into.Add(time, sample.Value, sample.StartMs);
            }
        }

        public void Dispose()
        {
        }
    }
}
