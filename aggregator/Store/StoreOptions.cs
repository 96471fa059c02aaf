namespace Bellwether.Store;

/// <summary>How a store keeps its data, and its limits. Every limit is on by default.</summary>
public sealed record StoreOptions
{
    /// <summary>The folder that belongs to this store alone.</summary>
    public required string Folder { get; init; }

    /// <summary>How long raw samples are kept. Default 37 days (30 days of rule window and 7 days of late data).</summary>
    public TimeSpan Retention { get; init; } = TimeSpan.FromDays(37);

    /// <summary>Coarser resolutions, the finest first, each kept longer than the one before; a slot's length is a multiple of that of the one before. Samples older than <see cref="Retention"/> become slots of the first. Default: none.</summary>
    public IReadOnlyList<CoarseResolution> Resolutions { get; init; } = [];

    /// <summary>Samples become slots also where these take more bytes. Default false.</summary>
    internal bool CoarsensWhateverTheSize { get; init; }

    /// <summary>How long anything is kept.</summary>
    public TimeSpan LongestRetention => Resolutions.Count > 0 ? Resolutions[^1].Retention : Retention;

    /// <summary>Bytes of all chunk files above which the oldest of them go, whatever their age; the log is not counted. Default 0: no bound.</summary>
    public long RetentionBytes { get; init; }

    /// <summary>Chunk files are not merged into larger ones than this. Default 2 GiB.</summary>
    public long MaxMergedBytes { get; init; } = 2L << 30;

    /// <summary>Length of a time partition; chunks never reach over its borders. Default 2 hours, at least 1 minute.</summary>
    public TimeSpan Partition { get; init; } = TimeSpan.FromHours(2);

    /// <summary>How long after its end a partition stays in memory for late samples. Default 15 minutes.</summary>
    public TimeSpan PartitionGrace { get; init; } = TimeSpan.FromMinutes(15);

    /// <summary>How far ahead of this machine's clock a sample may be. Default 10 minutes.</summary>
    public TimeSpan FutureBound { get; init; } = TimeSpan.FromMinutes(10);

    /// <summary>Series in memory. New series beyond are refused, known ones go on. Default 2,000,000.</summary>
    public int MaxSeries { get; init; } = 2_000_000;

    /// <summary>Series in memory with the same <c>job</c> label: one job that runs wild must not take the place of all others. New series beyond are refused, known ones go on. Default 1,000,000.</summary>
    public int MaxSeriesPerJob { get; init; } = 1_000_000;

    /// <summary>Series in memory that one agent was the first to send. New series beyond are refused, known ones go on. Default 1,000,000.</summary>
    public int MaxSeriesPerAgent { get; init; } = 1_000_000;

    /// <summary>Labels of one series. Default 64.</summary>
    public int MaxLabels { get; init; } = 64;

    /// <summary>Characters of a label name. Default 128.</summary>
    public int MaxLabelNameLength { get; init; } = 128;

    /// <summary>Characters of a label value (and of a metric name). Default 2,048.</summary>
    public int MaxLabelValueLength { get; init; } = 2048;

    /// <summary>Buckets of a native histogram, both sides. Default 1,024.</summary>
    public int MaxHistogramBuckets { get; init; } = 1024;

    /// <summary>Exemplars kept per series. Default 8.</summary>
    public int MaxExemplarsPerSeries { get; init; } = 8;

    /// <summary>Metric families with metadata. Default 100,000.</summary>
    public int MaxMetadataFamilies { get; init; } = 100_000;

    /// <summary>Late samples in memory, and samples of partitions that are cut already; above it they are written to chunk files at once. Default 2,000,000 (32 MB).</summary>
    public int MaxLateSamples { get; init; } = 2_000_000;

    /// <summary>Samples per series of partitions that are over (history that is loaded) that wait in memory until they are written to chunk files together; <see cref="MaxLateSamples"/> may always wait. Default 240.</summary>
    public int HistorySamplesPerSeries { get; init; } = 240;

    /// <summary>Bytes of the log that history in memory may keep: above it it is written to chunk files. Default 1 GiB.</summary>
    public long MaxHistoryLogBytes { get; init; } = 1L << 30;

    /// <summary>Samples from agents beyond the future bound that are held back until their time comes. Above it the agents keep them. Default 1,000,000.</summary>
    public int MaxHeldSamples { get; init; } = 1_000_000;

    /// <summary>What is further ahead, of an agent whose clock is right by now, is dropped and counted rather than kept by the agent: its clock was wrong when it collected it. Default 1 day.</summary>
    public TimeSpan HopelessAhead { get; init; } = TimeSpan.FromDays(1);

    /// <summary>Segments of agents whose decoder is kept in memory. Beyond it the longest idle one must be sent again from its start. Default 4,096.</summary>
    public int MaxOpenSegments { get; init; } = 4096;

    /// <summary>Memory of the decoders of one agent's open segments; beyond it the longest idle ones must be sent again. Default 512 MiB: a segment of a million series has about 200.</summary>
    public long MaxDecoderBytesPerAgent { get; init; } = 512L << 20;

    /// <summary>Runs and batches that wait for the writer. Default 1,024.</summary>
    public int MaxQueued { get; init; } = 1024;

    /// <summary>Bytes that one group commit takes at most. Default 8 MiB.</summary>
    public int MaxGroupBytes { get; init; } = 8 << 20;

    /// <summary>Bytes of one file of the write-ahead log: it is freed file by file, and up to two freed ones are kept to be written over while the log grows fast. Default 16 MiB.</summary>
    public long WalFileBytes { get; init; } = 16L << 20;

    /// <summary>The head is saved when so many samples came since it was saved last, and no fewer than one for ten bytes that it takes. Default 1,000,000.</summary>
    public long SaveHeadSamples { get; init; } = 1_000_000;

    /// <summary>Below this much free space new data are refused; queries go on. Default 256 MiB.</summary>
    public long MinFreeBytes { get; init; } = 256L << 20;

    /// <summary>Bytes of remembered selections with the summaries of their chunks. Default 128 MiB.</summary>
    public long MaxSelectionBytes { get; init; } = 128L << 20;

    /// <summary>Bytes of chunk file indexes held in memory. Default 256 MiB.</summary>
    public long MaxIndexBytes { get; init; } = 256L << 20;
}

/// <summary>A coarser resolution.</summary>
/// <param name="Length">Length of its slots, at most 1 day.</param>
/// <param name="Retention">How long its slots are kept.</param>
public sealed record CoarseResolution(TimeSpan Length, TimeSpan Retention);
