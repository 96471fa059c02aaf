using System.Text.Json.Serialization;

namespace Bellwether.Ingest.Completeness;

/// <summary>How an agent of the expected fleet stands.</summary>
public enum AgentPresence
{
    /// <summary>The configuration expects it; it never came.</summary>
    Expected,
    /// <summary>It was heard within <see cref="CompletenessOptions.SilentAfter"/>.</summary>
    Present,
    /// <summary>Nothing was heard for longer: it is cut off or dead, and only its return will tell which.</summary>
    Silent,
    /// <summary>It said goodbye: its silence is on purpose.</summary>
    Stopped,
    /// <summary>It does not belong to the fleet any more.</summary>
    Retired,
    /// <summary>Its records are carried here by bundles; it was never heard over the wire, and how it stands now nobody knows.</summary>
    Carried,
}

/// <summary>Something that happened to an agent. Times are Unix ms.</summary>
/// <param name="TimeMs">When it was noticed.</param>
/// <param name="Kind">A word of <see cref="FleetEvents"/>.</param>
/// <param name="Detail">In words.</param>
/// <param name="FromMs">The begin of what it speaks of.</param>
/// <param name="ToMs">Its end.</param>
public sealed record FleetEvent(long TimeMs, string Kind, string Detail, long FromMs, long ToMs);

/// <summary>The kinds of events.</summary>
public static class FleetEvents
{
    /// <summary>It became known.</summary>
    public const string Registered = "registered";

    /// <summary>Nothing was heard of it for the named time.</summary>
    public const string Silent = "silent";

    /// <summary>It is back, as the same process: it was cut off, and its spool brings what is missing.</summary>
    public const string CutOff = "cut_off";

    /// <summary>It is back, as a new process that was not stopped on purpose: what was due in between was never collected.</summary>
    public const string Died = "died";

    /// <summary>It said goodbye.</summary>
    public const string Stopped = "stopped";

    /// <summary>It is back after a planned stop.</summary>
    public const string Started = "started";

    /// <summary>It left the fleet.</summary>
    public const string Retired = "retired";

    /// <summary>Its spool was lost or recreated.</summary>
    public const string EpochGrew = "epoch_grew";

    /// <summary>Its spool was put back to an older state of the same epoch.</summary>
    public const string WentBack = "went_back";

    /// <summary>A session was refused.</summary>
    public const string Refused = "refused";

    /// <summary>A newer process of the same identity came.</summary>
    public const string Fenced = "fenced";

    /// <summary>Segments are neither here nor at the agent.</summary>
    public const string Lost = "lost";

    /// <summary>Segments that counted as lost have come after all.</summary>
    public const string Found = "found";

    /// <summary>A bundle of it came.</summary>
    public const string Carried = "carried";

    /// <summary>The aggregator itself was down.</summary>
    public const string AggregatorDown = "aggregator_down";
}

/// <summary>Why something is not here.</summary>
public static class MissingReasons
{
    /// <summary>The agent holds it and will send it.</summary>
    public const string Buffered = "buffered";

    /// <summary>The agent is silent: its return will tell.</summary>
    public const string Awaited = "awaited";

    /// <summary>The agent had to drop it, and said so.</summary>
    public const string Dropped = "dropped";

    /// <summary>Damage at the agent or here took it.</summary>
    public const string Lost = "lost";

    /// <summary>It was acknowledged, and then this store was put back to an older state.</summary>
    public const string Restored = "restored";

    /// <summary>A bundle announced it, and it has not come: it waits at the site, or a one-way gate lost it.</summary>
    public const string Announced = "announced";

    /// <summary>The agent was dead: nobody collected it.</summary>
    public const string AgentDown = "agent_down";

    /// <summary>The agent was stopped on purpose.</summary>
    public const string PlannedStop = "planned_stop";

    /// <summary>The agent ran, but this source brought nothing.</summary>
    public const string NotCollected = "not_collected";
}

/// <summary>A time during which an agent was away.</summary>
/// <param name="FromMs">Last heard before.</param>
/// <param name="ToMs">Heard again.</param>
/// <param name="Reason"><see cref="MissingReasons.AgentDown"/> or <see cref="MissingReasons.PlannedStop"/>.</param>
public sealed record Absence(long FromMs, long ToMs, string Reason);

/// <summary>Segments that are neither here nor at their agent.</summary>
/// <param name="Epoch">Their epoch.</param>
/// <param name="First">The first number.</param>
/// <param name="Last">The last one.</param>
/// <param name="FromMs">Their records are not older than this, Unix ms.</param>
/// <param name="ToMs">Nor newer than this.</param>
/// <param name="Reason"><see cref="MissingReasons.Restored"/>, <see cref="MissingReasons.Dropped"/> or <see cref="MissingReasons.Lost"/>.</param>
/// <param name="FoundMs">When it was noticed.</param>
public sealed record LostSegments(ulong Epoch, ulong First, ulong Last, long FromMs, long ToMs, string Reason, long FoundMs);

/// <summary>What an agent dropped of one source for one reason.</summary>
/// <param name="Reason">The agent's word for it.</param>
/// <param name="Samples">How many samples, over all its restarts.</param>
/// <param name="FromMs">They are not older than this, Unix ms; 0: not known.</param>
/// <param name="ToMs">Nor newer.</param>
public sealed record ReportedDrop(string Reason, long Samples, long FromMs, long ToMs);

/// <summary>What an agent counts of one source, over its restarts.</summary>
/// <param name="Name">The source.</param>
/// <param name="Produced">Samples handed to its spool.</param>
/// <param name="Buffered">Samples in its spool.</param>
/// <param name="BufferedFromMs">Time of the oldest of them; 0: none.</param>
/// <param name="BufferedToMs">Time of the newest.</param>
/// <param name="Dropped">Samples dropped, by reason.</param>
public sealed record ReportedSource(string Name, long Produced, long Buffered, long BufferedFromMs, long BufferedToMs, IReadOnlyList<ReportedDrop> Dropped);

/// <summary>What is remembered of one agent, in the journal. Immutable; lists are bounded by <see cref="CompletenessOptions"/>.</summary>
public sealed record AgentFacts
{
    /// <summary>Its identity.</summary>
    public required string Id { get; init; }

    /// <summary>How it stands.</summary>
    public AgentPresence Presence { get; init; }

    /// <summary>Since when, Unix ms.</summary>
    public long SinceMs { get; init; }

    /// <summary>When it became known.</summary>
    public long RegisteredMs { get; init; }

    /// <summary>When it was last heard.</summary>
    public long LastHeardMs { get; init; }

    /// <summary>The process that was heard last.</summary>
    public string ProcessId { get; init; } = "";

    /// <summary>Its epoch.</summary>
    public ulong Epoch { get; init; }

    /// <summary>Unacknowledged records at the agent, as it last said.</summary>
    public long SpoolRecords { get; init; }

    /// <summary>Bytes of them.</summary>
    public long SpoolBytes { get; init; }

    /// <summary>Time of the oldest of them; 0: none.</summary>
    public long SpoolOldestMs { get; init; }

    /// <summary>When it last told its counts; 0: never.</summary>
    public long ReportedMs { get; init; }

    /// <summary>Its counts by source.</summary>
    public IReadOnlyList<ReportedSource> Reported { get; init; } = [];

    /// <summary>The labels of its targets, by source: what <c>up</c> is synthesised for while it is silent.</summary>
    public IReadOnlyDictionary<string, IReadOnlyDictionary<string, string>> Targets { get; init; } = new Dictionary<string, IReadOnlyDictionary<string, string>>();

    /// <summary>When it was away, oldest first.</summary>
    public IReadOnlyList<Absence> Absences { get; init; } = [];

    /// <summary>What was lost, oldest first.</summary>
    public IReadOnlyList<LostSegments> Losses { get; init; } = [];

    /// <summary>What bundles announced and is not here, oldest first, with the reason <see cref="MissingReasons.Announced"/>.</summary>
    public IReadOnlyList<LostSegments> Announced { get; init; } = [];

    /// <summary>What happened, oldest first.</summary>
    public IReadOnlyList<FleetEvent> Events { get; init; } = [];

    /// <summary>Samples that it said it dropped, all sources and reasons.</summary>
    [JsonIgnore]
    public long Dropped => Reported.Sum(s => s.Dropped.Sum(d => d.Samples));
}

/// <summary>Limits of what is remembered. Immutable.</summary>
public sealed record CompletenessOptions
{
    /// <summary>An agent of which nothing was heard for so long is silent. Default 30 s.</summary>
    public TimeSpan SilentAfter { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>How often facts that change all the time (when it was last heard, its counts) are written. Default 30 s; events are written with the next step.</summary>
    public TimeSpan WriteInterval { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>How often the journal is told that the aggregator runs: how exactly it is known afterwards when it was down. Default 5 s.</summary>
    public TimeSpan AliveInterval { get; init; } = TimeSpan.FromSeconds(5);

    /// <summary>How long after a session's first live record its older segments may still come before they count as lost. Default 10 s.</summary>
    public TimeSpan Settles { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>Agents known. Default 10,000.</summary>
    public int MaxAgents { get; init; } = 10_000;

    /// <summary>Events kept of one agent. Default 64.</summary>
    public int MaxEvents { get; init; } = 64;

    /// <summary>Of these, events that say that a bundle came; of more, the oldest goes. Default 16.</summary>
    public int MaxCarriedEvents { get; init; } = 16;

    /// <summary>Absences kept of one agent. Default 64.</summary>
    public int MaxAbsences { get; init; } = 64;

    /// <summary>Losses kept of one agent; of more, the two oldest of an epoch become one. Default 64.</summary>
    public int MaxLosses { get; init; } = 64;

    /// <summary>Segments of one agent that bundles announced and that are not here; of more, the oldest are forgotten. Default 256.</summary>
    public int MaxAnnounced { get; init; } = 256;

    /// <summary>Sources of one agent whose counts are kept. Default 2,000.</summary>
    public int MaxSources { get; init; } = 2_000;

    /// <summary>Events of agents that are not known (refused sessions). Default 256.</summary>
    public int MaxStrangerEvents { get; init; } = 256;

    /// <summary>Bytes after which the journal begins a new file with a snapshot. Default 4 MiB.</summary>
    public int JournalFileBytes { get; init; } = 4 << 20;
}

[JsonSerializable(typeof(AgentFacts))]
[JsonSerializable(typeof(FleetEvent))]
internal sealed partial class FactsJson : JsonSerializerContext;
