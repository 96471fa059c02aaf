namespace Bellwether.Ingest;

/// <summary>One agent as the console and the API show it: a snapshot. Times are Unix ms; 0: never.</summary>
public sealed record AgentState
{
    /// <summary>Its identity.</summary>
    public required string Id { get; init; }

    /// <summary>Its program version.</summary>
    public string Version { get; init; } = "";

    /// <summary>Its labels; those of its credential win.</summary>
    public IReadOnlyDictionary<string, string> Labels { get; init; } = new Dictionary<string, string>();

    /// <summary>Whether a session is open.</summary>
    public bool Connected { get; init; }

    /// <summary>It said goodbye: its silence is on purpose.</summary>
    public bool SaidGoodbye { get; init; }

    /// <summary>When anything last came from it.</summary>
    public long LastSeenMs { get; init; }

    /// <summary>Time of its newest record.</summary>
    public long NewestMs { get; init; }

    /// <summary>Its promise: nothing older will come by its live segment.</summary>
    public long WatermarkMs { get; init; }

    /// <summary>Its clock minus ours, ms.</summary>
    public double ClockOffsetMs { get; init; }

    /// <summary>Records received and durable since the aggregator started.</summary>
    public long Records { get; init; }

    /// <summary>Payload bytes received since then.</summary>
    public long Bytes { get; init; }

    /// <summary>Samples received since then.</summary>
    public long Samples { get; init; }

    /// <summary>Records refused for good since then.</summary>
    public long Refused { get; init; }

    /// <summary>Unacknowledged bytes at the agent, as it last said.</summary>
    public long SpoolBytes { get; init; }

    /// <summary>Unacknowledged records at the agent.</summary>
    public long SpoolRecords { get; init; }

    /// <summary>Time of the oldest of them.</summary>
    public long SpoolOldestMs { get; init; }

    /// <summary>Its sources, by name.</summary>
    public IReadOnlyList<SourceState> Sources { get; init; } = [];

    /// <summary>Ticks received ÷ ticks due over all sources in the coverage window; null when nothing was due.</summary>
    public double? Coverage
    {
        get
        {
            long due = Sources.Sum(s => s.Due);
            return due == 0 ? null : (double)Sources.Sum(s => s.Received) / due;
        }
    }
}

/// <summary>One source of an agent.</summary>
/// <param name="Name">Its name.</param>
/// <param name="IntervalMs">How often a tick is due; 0: irregular.</param>
/// <param name="NewestMs">Time of its newest tick.</param>
/// <param name="Received">Ticks received in the coverage window, at most <paramref name="Due"/>.</param>
/// <param name="Due">Ticks due in it.</param>
public readonly record struct SourceState(string Name, int IntervalMs, long NewestMs, long Received, long Due);
