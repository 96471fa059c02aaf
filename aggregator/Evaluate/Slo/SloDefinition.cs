namespace Bellwether.Evaluate.Slo;

/// <summary>The form that a definition was written in.</summary>
public enum SloForm
{
    /// <summary>Sloth's <c>version: prometheus/v1</c>.</summary>
    Sloth,

    /// <summary>Sloth's Kubernetes object, <c>kind: PrometheusServiceLevel</c>.</summary>
    SlothObject,

    /// <summary><c>apiVersion: openslo/v1alpha</c>.</summary>
    OpenSloAlpha,

    /// <summary><c>apiVersion: openslo/v1</c>.</summary>
    OpenSlo,

    /// <summary>Pyrra's <c>kind: ServiceLevelObjective</c>.</summary>
    Pyrra,

    /// <summary>Bellwether's short form: a file with a list <c>slos</c>.</summary>
    Short,
}

/// <summary>How the error budget is counted (OpenSLO v1, "budgetingMethod").</summary>
public enum BudgetingMethod
{
    /// <summary>Good events of all events.</summary>
    Occurrences,

    /// <summary>Good time slices of all time slices.</summary>
    Timeslices,

    /// <summary>The mean of the slices' ratios.</summary>
    RatioTimeslices,
}

/// <summary>Where in a file something stands.</summary>
/// <param name="File">The file as it was named.</param>
/// <param name="Line">1-based.</param>
/// <param name="Column">1-based.</param>
/// <param name="Path">The option's path.</param>
public sealed record SloPlace(string File, int Line, int Column, string Path);

/// <summary>What a query's value is.</summary>
public enum SloQueryKind
{
    /// <summary>It has <c>{{.window}}</c> where its range goes.</summary>
    Windowed,

    /// <summary>Selectors of counters, perhaps summed; what grows in a window counts.</summary>
    Counter,

    /// <summary>A value at each time; samples of a window are summed.</summary>
    Gauge,
}

/// <summary>A PromQL text as written.</summary>
/// <param name="Text">The text, trimmed.</param>
/// <param name="Kind">What its value is.</param>
/// <param name="Place">Where it stands.</param>
public sealed record SloQuery(string Text, SloQueryKind Kind, SloPlace Place);

/// <summary>A service level indicator: exactly one of events, raw ratio, threshold.</summary>
public sealed record SloIndicator
{
    /// <summary>Good events; exactly one of this and <see cref="Bad"/> with <see cref="Total"/>.</summary>
    public SloQuery? Good { get; init; }

    /// <summary>Bad events.</summary>
    public SloQuery? Bad { get; init; }

    /// <summary>All events.</summary>
    public SloQuery? Total { get; init; }

    /// <summary>A ratio (0 to 1) that is there already.</summary>
    public SloQuery? Raw { get; init; }

    /// <summary>Whether <see cref="Raw"/> is the share of failures.</summary>
    public bool RawIsFailure { get; init; }

    /// <summary>A value that is good when it stands in relation <see cref="Operator"/> to <see cref="Value"/>.</summary>
    public SloQuery? Threshold { get; init; }

    /// <summary><c>&lt;</c>, <c>&lt;=</c>, <c>&gt;</c> or <c>&gt;=</c>.</summary>
    public string Operator { get; init; } = "";

    /// <summary>The bound of <see cref="Threshold"/>.</summary>
    public double Value { get; init; }

    /// <summary>Its queries.</summary>
    public IEnumerable<SloQuery> Queries => new[] { Good, Bad, Total, Raw, Threshold }.OfType<SloQuery>();
}

/// <summary>The time that an objective holds over: rolling, or calendar periods.</summary>
/// <param name="Length">Its length; of a calendar period the nominal one (month 30 d, quarter 90 d, year 365 d).</param>
/// <param name="Calendar">The calendar, or null when it is rolling.</param>
public sealed record SloWindow(TimeSpan Length, CalendarPeriods? Calendar = null);

/// <summary>One of the two kinds of burn-rate alerts.</summary>
public sealed record SloAlert
{
    /// <summary>Whether it is left out.</summary>
    public bool Disabled { get; init; }

    /// <summary>Labels to add.</summary>
    public IReadOnlyDictionary<string, string> Labels { get; init; } = new Dictionary<string, string>();

    /// <summary>Annotations to add; templates.</summary>
    public IReadOnlyDictionary<string, string> Annotations { get; init; } = new Dictionary<string, string>();
}

/// <summary>An OpenSLO alert policy with its condition.</summary>
public sealed record SloAlertPolicy
{
    /// <summary>The policy's name.</summary>
    public required string Name { get; init; }

    /// <summary>Described in words, or empty.</summary>
    public string Description { get; init; } = "";

    /// <summary>The condition's severity.</summary>
    public required string Severity { get; init; }

    /// <summary>The comparison of the burn rate with <see cref="Threshold"/>.</summary>
    public required string Operator { get; init; }

    /// <summary>The burn rate that is compared with.</summary>
    public double Threshold { get; init; }

    /// <summary>The window of the burn rate.</summary>
    public TimeSpan Lookback { get; init; }

    /// <summary>How long the condition must hold.</summary>
    public TimeSpan After { get; init; }

    /// <summary>Whether it fires when the burn rate has no value.</summary>
    public bool WhenNoData { get; init; }

    /// <summary>Whether it fires when the condition holds.</summary>
    public bool WhenBreaching { get; init; } = true;

    /// <summary>Whether people are told of the end, too; a label of the alert.</summary>
    public bool WhenResolved { get; init; }

    /// <summary>Whom to tell: names of notification targets.</summary>
    public IReadOnlyList<string> Targets { get; init; } = [];
}

/// <summary>One member of a composite SLO.</summary>
/// <param name="Name">Its name.</param>
/// <param name="Indicator">Its indicator.</param>
/// <param name="ObjectivePercent">Its own target.</param>
/// <param name="Weight">Its weight; more than 0.</param>
/// <param name="SliceTarget">The ratio from which on a slice of it is good.</param>
/// <param name="SliceOperator">How the slice's ratio is compared.</param>
public sealed record SloMember(string Name, SloIndicator Indicator, decimal ObjectivePercent, double Weight, double SliceTarget = 1, string SliceOperator = ">=");

/// <summary>One service level objective, read and checked. Immutable.</summary>
public sealed record SloDefinition
{
    /// <summary>The form that it was written in.</summary>
    public required SloForm Form { get; init; }

    /// <summary>Where it stands.</summary>
    public required SloPlace Place { get; init; }

    /// <summary>Which document of all files it was read from; 0-based.</summary>
    public int Document { get; init; }

    /// <summary>The service that it belongs to.</summary>
    public required string Service { get; init; }

    /// <summary>Its name; unique in the service.</summary>
    public required string Name { get; init; }

    /// <summary>Its name for people, or empty.</summary>
    public string DisplayName { get; init; } = "";

    /// <summary>In words, or empty.</summary>
    public string Description { get; init; } = "";

    /// <summary>The target in percent: more than 0, at most 100. Of a composite with occurrences: unused.</summary>
    public decimal ObjectivePercent { get; init; }

    /// <summary>What is measured; empty in a composite.</summary>
    public SloIndicator Indicator { get; init; } = new();

    /// <summary>The members of a composite; empty otherwise.</summary>
    public IReadOnlyList<SloMember> Members { get; init; } = [];

    /// <summary>How the budget is counted.</summary>
    public BudgetingMethod Method { get; init; }

    /// <summary>The length of a time slice.</summary>
    public TimeSpan Slice { get; init; } = TimeSpan.FromMinutes(1);

    /// <summary>The ratio from which on a slice is good (<see cref="BudgetingMethod.Timeslices"/>).</summary>
    public double SliceTarget { get; init; } = 1;

    /// <summary>How a slice's ratio is compared with <see cref="SliceTarget"/>.</summary>
    public string SliceOperator { get; init; } = ">=";

    /// <summary>The time that it holds over; null: the caller's default.</summary>
    public SloWindow? Window { get; init; }

    /// <summary>Labels of every series that is recorded.</summary>
    public IReadOnlyDictionary<string, string> Labels { get; init; } = new Dictionary<string, string>();

    /// <summary>The alerts' name, or empty.</summary>
    public string AlertName { get; init; } = "";

    /// <summary>Labels and annotations of both alerts; disabled: there are none.</summary>
    public SloAlert Alerting { get; init; } = new();

    /// <summary>The alert that wakes people.</summary>
    public SloAlert Page { get; init; } = new();

    /// <summary>The alert that opens a ticket.</summary>
    public SloAlert Ticket { get; init; } = new();

    /// <summary>Alert policies; when there are some, they stand in place of page and ticket.</summary>
    public IReadOnlyList<SloAlertPolicy> Policies { get; init; } = [];

    /// <summary>The Kubernetes object that it stands in, or null.</summary>
    public SloObject? Object { get; init; }

    /// <summary>Unique in a set: service and name.</summary>
    public string Id => $"{Service}-{Name}";
}

/// <summary>The metadata of a Kubernetes object.</summary>
/// <param name="Name">Its name.</param>
/// <param name="Namespace">Its namespace, or empty.</param>
/// <param name="Labels">Its labels.</param>
/// <param name="Annotations">Its annotations.</param>
public sealed record SloObject(string Name, string Namespace, IReadOnlyDictionary<string, string> Labels, IReadOnlyDictionary<string, string> Annotations);
