namespace Bellwether.Store;

/// <summary>A name and how often it stands.</summary>
public readonly record struct NamedCount(string Name, long Count);

/// <summary>A limit on series.</summary>
/// <param name="Name">Its name in the configuration's section <c>limits</c>.</param>
/// <param name="Value">How many series.</param>
/// <param name="Refused">New series that it kept out since the store was opened; one counts each time it is tried.</param>
public readonly record struct SeriesLimitState(string Name, int Value, long Refused);

/// <summary>Figures of the head and of the files, in the shape of Prometheus' <c>/api/v1/status/tsdb</c>.</summary>
public sealed record StoreStatistics
{
    /// <summary>Series in memory.</summary>
    public int HeadSeries { get; init; }

    /// <summary>Blocks of samples in memory.</summary>
    public long HeadChunks { get; init; }

    /// <summary>Distinct pairs of label name and value in memory.</summary>
    public int LabelPairs { get; init; }

    /// <summary>Oldest time in memory, Unix ms; 0: none.</summary>
    public long MinTimeMs { get; init; }

    /// <summary>Newest time in memory, Unix ms; 0: none.</summary>
    public long MaxTimeMs { get; init; }

    /// <summary>Metric names with the most series, most first.</summary>
    public IReadOnlyList<NamedCount> SeriesByMetricName { get; init; } = [];

    /// <summary>Label names with the most values, most first.</summary>
    public IReadOnlyList<NamedCount> ValuesByLabelName { get; init; } = [];

    /// <summary>Label names by the bytes of their values in all series, most first.</summary>
    public IReadOnlyList<NamedCount> BytesByLabelName { get; init; } = [];

    /// <summary>Pairs <c>name=value</c> with the most series, most first.</summary>
    public IReadOnlyList<NamedCount> SeriesByLabelPair { get; init; } = [];

    /// <summary>Jobs with the most series, most first.</summary>
    public IReadOnlyList<NamedCount> SeriesByJob { get; init; } = [];

    /// <summary>Agents that were the first to send the most series, most first. What came another way is nobody's.</summary>
    public IReadOnlyList<NamedCount> SeriesByAgent { get; init; } = [];

    /// <summary>Limits that keep new series out.</summary>
    public IReadOnlyList<SeriesLimitState> Limits { get; init; } = [];

    /// <summary>Chunk files.</summary>
    public int ChunkFiles { get; init; }

    /// <summary>Bytes of the chunk files.</summary>
    public long ChunkFileBytes { get; init; }

    /// <summary>Bytes of the write-ahead log.</summary>
    public long WalBytes { get; init; }
}

/// <summary>What opening a store found.</summary>
public sealed record OpenReport
{
    /// <summary>Frames of the log that were applied.</summary>
    public long ReplayedFrames { get; init; }

    /// <summary>Whether a saved head was read, so that only the log behind it was replayed.</summary>
    public bool SavedHead { get; init; }

    /// <summary>A saved head was there and was damaged: the whole log was replayed in its place.</summary>
    public bool DamagedHead { get; init; }

    /// <summary>Samples that the log held for the head.</summary>
    public long ReplayedSamples { get; init; }

    /// <summary>Frames that checked but could not be read.</summary>
    public long UnreadableFrames { get; init; }

    /// <summary>Damaged places in the log: frames that were durable and are gone.</summary>
    public int DamagedLogPlaces { get; init; }

    /// <summary>Bytes of an unfinished write at the log's end: nothing that was ever acknowledged.</summary>
    public long TornLogBytes { get; init; }

    /// <summary>Checkpoint files that were not whole; the one before was taken.</summary>
    public int DamagedCheckpoints { get; init; }

    /// <summary>Chunk files moved to quarantine.</summary>
    public int QuarantinedFiles { get; init; }
}
