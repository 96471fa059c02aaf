namespace Bellwether.Core.Model;

/// <summary>
/// What the PromQL engine and the query API know of a store. Implementations are thread-safe; every call sees a consistent state at least as new as the last
/// append that was reported done before the call.
/// </summary>
public interface ISeriesReader
{
    /// <summary>
    /// The series that match all matchers and may have samples in the range, sorted by labels. Samples are read one series at a time through the set.
    /// </summary>
    /// <param name="fromMs">Unix ms, inclusive.</param>
    /// <param name="toMs">Unix ms, inclusive.</param>
    /// <param name="matchers">All must match; an absent label is the empty string.</param>
    /// <param name="cancellation">Checked at least once per 1,000 series.</param>
    ISeriesSet Select(long fromMs, long toMs, IReadOnlyList<LabelMatcher> matchers, CancellationToken cancellation);

    /// <summary>Label names in use by series that match (none: all series) with samples in the range, sorted.</summary>
    IReadOnlyList<string> LabelNames(long fromMs, long toMs, IReadOnlyList<LabelMatcher> matchers, CancellationToken cancellation);

    /// <summary>Values of a label in use by series that match with samples in the range, sorted.</summary>
    IReadOnlyList<string> LabelValues(string name, long fromMs, long toMs, IReadOnlyList<LabelMatcher> matchers, CancellationToken cancellation);

    /// <summary>Metadata of a metric family, or null.</summary>
    MetricMetadata? Metadata(string family);

    /// <summary>All metadata known, by family name.</summary>
    IReadOnlyDictionary<string, MetricMetadata> AllMetadata();
}

/// <summary>The result of a selection. Not thread-safe; dispose it when done.</summary>
public interface ISeriesSet : IDisposable
{
    /// <summary>How many series were selected.</summary>
    int Count { get; }

    /// <summary>The labels of the series at an index.</summary>
    Labels LabelsAt(int index);

    /// <summary>
    /// Replaces the buffer's content by the samples of the series at an index within the range of the selection, stale markers included, in time order.
    /// </summary>
    void Read(int index, SampleBuffer into);
}
