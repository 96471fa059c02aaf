namespace Bellwether.Ingest;

/// <summary>Limits of the agents' door, with their defaults. Immutable.</summary>
public sealed record IngestOptions
{
    /// <summary>Payload bytes of one batch that agents are told to keep to. Default: 256 KiB.</summary>
    public int MaxBatchBytes { get; init; } = 256 * 1024;

    /// <summary>Records of one batch: each costs memory and a frame of the store's log, however short it is. Our agents stay below by <see cref="MaxBatchBytes"/>. Default: 32,768.</summary>
    public int MaxRecordsPerBatch { get; init; } = 32_768;

    /// <summary>Largest message taken, bytes; a single record may be larger than a batch. Default: 4 MiB.</summary>
    public int MaxMessageBytes { get; init; } = 4 * 1024 * 1024;

    /// <summary>Unacknowledged bytes that an agent may have under way; reading stops at twice as much. Default: 2 MiB.</summary>
    public int WindowBytes { get; init; } = 2 * 1024 * 1024;

    /// <summary>Runs of one session handed to the store and not yet durable. Default: 64.</summary>
    public int MaxRunsUnderWay { get; init; } = 64;

    /// <summary>How often an agent says its watermark. Default: 500 ms.</summary>
    public TimeSpan WatermarkInterval { get; init; } = TimeSpan.FromMilliseconds(500);

    /// <summary>An agent's clock that is further off is warned of. Default: 1 s.</summary>
    public TimeSpan ClockOffsetWarning { get; init; } = TimeSpan.FromSeconds(1);

    /// <summary>How long a fenced process is turned away while the newer one is there. Default: 1 min after the newer was last seen.</summary>
    public TimeSpan FenceTime { get; init; } = TimeSpan.FromMinutes(1);

    /// <summary>The window of coverage. Default: 5 min.</summary>
    public TimeSpan CoverageWindow { get; init; } = TimeSpan.FromMinutes(5);

    /// <summary>Agents known at a time. Default: 10,000.</summary>
    public int MaxAgents { get; init; } = 10_000;

    /// <summary>Sources of one agent whose coverage is followed. Default: 2,000.</summary>
    public int MaxSourcesPerAgent { get; init; } = 2_000;

    /// <summary>Targets of one agent that are known; more are only in the series. Default: 10,000.</summary>
    public int MaxTargetsPerAgent { get; init; } = 10_000;

    /// <summary>Bytes of target facts kept of one agent. Default: 16 MiB.</summary>
    public int MaxTargetBytesPerAgent { get; init; } = 16 * 1024 * 1024;

    /// <summary>Segments that a hello may announce. Default: 20,000.</summary>
    public int MaxAnnouncedSegments { get; init; } = 20_000;

    /// <summary>Labels that a hello may carry. Default: 64.</summary>
    public int MaxLabels { get; init; } = 64;

    /// <summary>Longest agent id, version, process id, label name or label value, characters. Default: 256.</summary>
    public int MaxTextLength { get; init; } = 256;
}
