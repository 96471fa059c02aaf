namespace Bellwether.Serve.Fleet;

/// <summary>What the faces know of the agents; the host hands it over from ingest. Thread-safe.</summary>
public interface IFleetSource
{
    /// <summary>A snapshot, by agent id.</summary>
    IReadOnlyList<FleetAgent> Agents();
}

/// <summary>One agent as the console and the API show it. Times are Unix ms; 0: never.</summary>
public sealed record FleetAgent
{
    /// <summary>Its identity.</summary>
    public required string Id { get; init; }

    /// <summary>Its program version.</summary>
    public string Version { get; init; } = "";

    /// <summary>Its own labels.</summary>
    public IReadOnlyDictionary<string, string> Labels { get; init; } = new Dictionary<string, string>();

    /// <summary>Whether a stream is open now.</summary>
    public bool Connected { get; init; }

    /// <summary>When anything last came from it.</summary>
    public long LastSeenMs { get; init; }

    /// <summary>Time of its newest record.</summary>
    public long NewestMs { get; init; }

    /// <summary>Its clock minus ours, in ms.</summary>
    public double ClockOffsetMs { get; init; }

    /// <summary>Ticks received ÷ ticks due over the last minutes, 0 to 1; null when nothing was due yet.</summary>
    public double? Coverage { get; init; }

    /// <summary>Series in the store's memory that it was the first to send.</summary>
    public long Series { get; init; }

    /// <summary>Samples received since the aggregator started.</summary>
    public long Samples { get; init; }

    /// <summary>Records that it still holds unacknowledged, as it last said.</summary>
    public long SpoolRecords { get; init; }

    /// <summary>Bytes of them.</summary>
    public long SpoolBytes { get; init; }

    /// <summary>Its sources.</summary>
    public IReadOnlyList<FleetSource> Sources { get; init; } = [];
}

/// <summary>One source of an agent.</summary>
/// <param name="Name">Its name.</param>
/// <param name="IntervalMs">How often a tick is due; 0: irregular.</param>
/// <param name="NewestMs">Time of its newest record, Unix ms.</param>
/// <param name="Received">Ticks received over the coverage window.</param>
/// <param name="Due">Ticks due over it.</param>
public sealed record FleetSource(string Name, int IntervalMs, long NewestMs, long Received, long Due);
