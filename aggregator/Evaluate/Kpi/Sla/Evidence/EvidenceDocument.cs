using System.Text.Json.Serialization;

namespace Bellwether.Evaluate.Kpi.Sla.Evidence;

/// <summary>The content of <c>evidence.json</c>. Immutable.</summary>
public sealed record EvidenceDocument
{
    /// <summary><see cref="EvidenceFormat.Format"/>.</summary>
    public string Format { get; init; } = "";

    /// <summary>The month, e.g. <c>2026-10</c>.</summary>
    public string Month { get; init; } = "";

    /// <summary>When it was made, Unix ms.</summary>
    public long MadeMs { get; init; }

    /// <summary>The program that made it.</summary>
    public string MadeBy { get; init; } = "";

    /// <summary>PromQL's lookback, ms.</summary>
    public long LookbackMs { get; init; }

    /// <summary>How many series are in the pack.</summary>
    public long Series { get; init; }

    /// <summary>How many samples are in the pack.</summary>
    public long Samples { get; init; }

    /// <summary>The contracts.</summary>
    public IReadOnlyList<EvidenceContract> Contracts { get; init; } = [];
}

/// <summary>A contract, what it promises, and its numbers. Immutable.</summary>
public sealed record EvidenceContract
{
    /// <summary>Its name.</summary>
    public string Name { get; init; } = "";

    /// <summary>The customer.</summary>
    public string Customer { get; init; } = "";

    /// <summary>Whose months count.</summary>
    public string TimeZone { get; init; } = "";

    /// <summary>Credits.</summary>
    public IReadOnlyList<SlaCredit> Credits { get; init; } = [];

    /// <summary>What is promised and how it is measured.</summary>
    public EvidencePromise Promise { get; init; } = new();

    /// <summary>Planned work of the definitions that may correct it.</summary>
    public IReadOnlyList<EvidenceMaintenance> Maintenance { get; init; } = [];

    /// <summary>The numbers.</summary>
    public EvidenceNumbers Numbers { get; init; } = new();

    /// <summary>The recording rules of the definition.</summary>
    public IReadOnlyList<KpiRuleText> Rules { get; init; } = [];

    /// <summary>The versions of the definition that were in force in the month; the numbers are by the last.</summary>
    public IReadOnlyList<KpiVersion> Versions { get; init; } = [];

    /// <summary>Scrapes received of the sources.</summary>
    public long CoverageReceived { get; init; }

    /// <summary>Scrapes due; 0: nothing can be told, as where a source sent by remote write.</summary>
    public long CoverageDue { get; init; }

    /// <summary>Sources.</summary>
    public int CoverageSources { get; init; }
}

/// <summary>A promise as <see cref="SlaCheck"/> has it. Immutable.</summary>
public sealed record EvidencePromise
{
    /// <summary>What is measured.</summary>
    public string Sla { get; init; } = "";

    /// <summary>The tier.</summary>
    public string Tier { get; init; } = "";

    /// <summary>The element of sla_definitions.</summary>
    public string Definition { get; init; } = "";

    /// <summary>The unit.</summary>
    public string Unit { get; init; } = "";

    /// <summary>The target.</summary>
    public double Target { get; init; }

    /// <summary><c>higher</c> or <c>lower</c>.</summary>
    public string Direction { get; init; } = "";

    /// <summary>PromQL of the good or bad events.</summary>
    public string Part { get; init; } = "";

    /// <summary>PromQL of all events.</summary>
    public string Total { get; init; } = "";

    /// <summary>Whether the part are the bad ones.</summary>
    public bool IsBad { get; init; }

    /// <summary>PromQL of the value, when nothing is counted.</summary>
    public string Value { get; init; } = "";

    /// <summary>The windows and the grace period, ms.</summary>
    public long MeasurementMs { get; init; }

    /// <summary>The window that is judged, ms.</summary>
    public long EvaluationMs { get; init; }

    /// <summary>The grace period, ms.</summary>
    public long GraceMs { get; init; }
}

/// <summary>Planned work as <see cref="Sla.Maintenance"/> has it. Immutable.</summary>
public sealed record EvidenceMaintenance
{
    /// <summary>Its name.</summary>
    public string Name { get; init; } = "";

    /// <summary>Why.</summary>
    public string Reason { get; init; } = "";

    /// <summary>Who allowed it.</summary>
    public string ApprovedBy { get; init; } = "";

    /// <summary>Checks that it corrects; empty: all.</summary>
    public IReadOnlyList<string> Slas { get; init; } = [];

    /// <summary>Tiers that it corrects; empty: all.</summary>
    public IReadOnlyList<string> Tiers { get; init; } = [];

    /// <summary>The begin, Unix ms.</summary>
    public long FromMs { get; init; }

    /// <summary>The end, Unix ms.</summary>
    public long ToMs { get; init; }

    /// <summary>Days of a recurring one.</summary>
    public IReadOnlyList<DayOfWeek> Days { get; init; } = [];

    /// <summary>When it begins on these days.</summary>
    public TimeOnly At { get; init; }

    /// <summary>How long a recurring one takes, ms.</summary>
    public long DurationMs { get; init; }

    /// <summary>Whose clock it is by.</summary>
    public string TimeZone { get; init; } = "";
}

/// <summary>The numbers of a month. Immutable.</summary>
public sealed record EvidenceNumbers
{
    /// <summary>The month's first moment, Unix ms.</summary>
    public long FromMs { get; init; }

    /// <summary>Its end, exclusive.</summary>
    public long ToMs { get; init; }

    /// <summary>Whether the month is over.</summary>
    public bool IsOver { get; init; }

    /// <summary>Good events before corrections.</summary>
    public double? GoodBefore { get; init; }

    /// <summary>All events before corrections.</summary>
    public double? TotalBefore { get; init; }

    /// <summary>Good events after corrections.</summary>
    public double? GoodAfter { get; init; }

    /// <summary>All events after corrections.</summary>
    public double? TotalAfter { get; init; }

    /// <summary>The value before corrections.</summary>
    public double? ValueBefore { get; init; }

    /// <summary>The value that counts.</summary>
    public double? Value { get; init; }

    /// <summary>Percent of the price that is given back.</summary>
    public double Credit { get; init; }

    /// <summary>What was taken out.</summary>
    public IReadOnlyList<EvidenceCorrection> Corrections { get; init; } = [];

    /// <summary>The queries with their literal bounds.</summary>
    public IReadOnlyList<string> Queries { get; init; } = [];
}

/// <summary>What one time of planned work took out.</summary>
/// <param name="Maintenance">The planned work.</param>
/// <param name="FromMs">Its begin, Unix ms.</param>
/// <param name="ToMs">Its end.</param>
/// <param name="Good">Good events in it.</param>
/// <param name="Total">All events in it.</param>
public sealed record EvidenceCorrection(string Maintenance, long FromMs, long ToMs, double? Good, double? Total);

/// <summary>The JSON of <c>evidence.json</c>.</summary>
[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, WriteIndented = true, UseStringEnumConverter = true, UnmappedMemberHandling = JsonUnmappedMemberHandling.Disallow,
    AllowDuplicateProperties = false, NumberHandling = JsonNumberHandling.AllowNamedFloatingPointLiterals)]
[JsonSerializable(typeof(EvidenceDocument))]
internal sealed partial class EvidenceJson : JsonSerializerContext;
