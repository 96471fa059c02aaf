using Bellwether.Core.Configuration;

namespace Bellwether.Evaluate.Kpi;

/// <summary>Which values of a KPI are good.</summary>
public enum KpiDirection
{
    /// <summary>The higher the better.</summary>
    Higher,

    /// <summary>The lower the better.</summary>
    Lower,
}

/// <summary>How a KPI stands against its thresholds.</summary>
public enum KpiState
{
    /// <summary>There is no value, or there are no thresholds.</summary>
    Unknown,

    /// <summary>On the good side of every threshold.</summary>
    Healthy,

    /// <summary>Beyond <c>warning</c>.</summary>
    Warning,

    /// <summary>Beyond <c>critical</c>.</summary>
    Critical,
}

/// <summary>What an index does while one of its inputs has no value.</summary>
public enum MissingInput
{
    /// <summary>It has no value either.</summary>
    Absent,

    /// <summary>The other inputs share the weight.</summary>
    Skip,
}

/// <summary>How a value becomes a share from 0 to 1.</summary>
public enum Normalisation
{
    /// <summary>It does not: inputs are added in their own unit.</summary>
    None,

    /// <summary>It is a share already.</summary>
    Share,

    /// <summary>It is a percentage.</summary>
    Percent,

    /// <summary>Linear between two bounds: at <c>from</c> 0, at <c>to</c> 1.</summary>
    Range,

    /// <summary>Against a target: 1 when it is reached, less in proportion.</summary>
    Target,
}

/// <summary>One input of an index. Immutable.</summary>
public sealed record KpiInput
{
    /// <summary>The value of its label <c>input</c>; unique in its index.</summary>
    public required string Id { get; init; }

    /// <summary>The KPI that it is, by name; empty: <see cref="Expression"/> stands for itself.</summary>
    public string Kpi { get; init; } = "";

    /// <summary>PromQL of its value.</summary>
    public string Expression { get; init; } = "";

    /// <summary>Its unit.</summary>
    public string Unit { get; init; } = "";

    /// <summary>Its weight; above 0.</summary>
    public double Weight { get; init; } = 1;

    /// <summary>How it becomes a share.</summary>
    public Normalisation Normalisation { get; init; }

    /// <summary>The value that counts as 0, of <see cref="Normalisation.Range"/>.</summary>
    public double From { get; init; }

    /// <summary>The value that counts as 1, of <see cref="Normalisation.Range"/>; the target of <see cref="Normalisation.Target"/>.</summary>
    public double To { get; init; }

    /// <summary>Which side of the target is good.</summary>
    public KpiDirection Direction { get; init; }

    /// <summary>Whether the share is kept between 0 and 1.</summary>
    public bool Clamp { get; init; } = true;
}

/// <summary>A composite index. Immutable.</summary>
public sealed record KpiIndex
{
    /// <summary>Its inputs in file order.</summary>
    public required ValueList<KpiInput> Inputs { get; init; }

    /// <summary>Whether inputs are added in their own unit rather than averaged as shares.</summary>
    public bool IsSum { get; init; }

    /// <summary>What the best index is; 100 unless the file says otherwise. Not for sums.</summary>
    public double Scale { get; init; } = 100;

    /// <summary>What a missing input does.</summary>
    public MissingInput Missing { get; init; }
}

/// <summary>What of a native histogram an exact count takes; a classic histogram has series of its own for it.</summary>
public enum NativePart
{
    /// <summary>It is none: plain counters.</summary>
    None,

    /// <summary>How many observations there were.</summary>
    Count,

    /// <summary>What they add up to.</summary>
    Sum,
}

/// <summary>The form <c>exact</c>: what counters grew by in a window, from scrape to scrape, without extrapolation. Immutable.</summary>
public sealed record KpiExact
{
    /// <summary>The ending of PromQL's plain figure.</summary>
    public const string PlainSuffix = ":plain";

    /// <summary>The ending of the figure of the application's own books.</summary>
    public const string LedgerSuffix = ":ledger";

    /// <summary>The ending of the count less the ledger.</summary>
    public const string DifferenceSuffix = ":difference";

    /// <summary>The ending of that part of a difference that cannot have been counted between the reading of the one and the other.</summary>
    public const string UnexplainedSuffix = ":unexplained";

    /// <summary>The selector of the counters.</summary>
    public required string Counter { get; init; }

    /// <summary>What of them counts when they are native histograms.</summary>
    public NativePart Native { get; init; }

    /// <summary>The window.</summary>
    public TimeSpan Window { get; init; }

    /// <summary>The smallest step of the unit; the value is a multiple of it.</summary>
    public double Step { get; init; } = 1;

    /// <summary>What it is compared with; null: nothing.</summary>
    public KpiReconcile? Reconcile { get; init; }
}

/// <summary>The figure of the application's own books that an exact count is compared with. Immutable.</summary>
public sealed record KpiReconcile
{
    /// <summary>PromQL of the figure for the same window.</summary>
    public required string Expression { get; init; }

    /// <summary>How far apart the two are read at most: the longest interval of both sources.</summary>
    public TimeSpan Skew { get; init; }

    /// <summary>A difference up to this is none.</summary>
    public double Tolerance { get; init; }
}

/// <summary>Whether an exact count agrees with the application's own books.</summary>
public enum ReconcileState
{
    /// <summary>One of the two is not there.</summary>
    Unknown,

    /// <summary>They agree, but for what was counted between the reading of the one and the other.</summary>
    Reconciled,

    /// <summary>They differ by more than can have been counted between.</summary>
    Differs,
}

/// <summary>One KPI as its file says it, checked. Immutable; compares by content.</summary>
public sealed record KpiDefinition
{
    /// <summary>Its name; unique among all files.</summary>
    public required string Name { get; init; }

    /// <summary>The metric that its value is recorded as.</summary>
    public required string Record { get; init; }

    /// <summary>Its name for people.</summary>
    public string Title { get; init; } = "";

    /// <summary>Its unit, as written.</summary>
    public string Unit { get; init; } = "";

    /// <summary>Who answers for it.</summary>
    public string Owner { get; init; } = "";

    /// <summary>Whom it is for.</summary>
    public ValueList<string> Audience { get; init; } = [];

    /// <summary>What it means.</summary>
    public string Description { get; init; } = "";

    /// <summary>What a reader must know, such as what another query for it gets wrong.</summary>
    public string Note { get; init; } = "";

    /// <summary>Why the definition was changed last; it stays with the version that it makes.</summary>
    public string Reason { get; init; } = "";

    /// <summary>PromQL of the value; empty for an index.</summary>
    public string Expression { get; init; } = "";

    /// <summary>Its parts when it is a composite index, else null.</summary>
    public KpiIndex? Index { get; init; }

    /// <summary>What is counted when it is an exact count, else null.</summary>
    public KpiExact? Exact { get; init; }

    /// <summary>The value that is aimed at, or null.</summary>
    public double? Target { get; init; }

    /// <summary>Which values are good.</summary>
    public KpiDirection Direction { get; init; }

    /// <summary>Beyond it: WARNING. Null: none.</summary>
    public double? Warning { get; init; }

    /// <summary>Beyond it: CRITICAL. Null: none.</summary>
    public double? Critical { get; init; }

    /// <summary>Label sets to break it down by.</summary>
    public ValueList<ValueList<string>> By { get; init; } = [];

    /// <summary>Expressions of the break-downs that the file gives itself, by label.</summary>
    public ValueList<KeyValuePair<string, string>> BreakDowns { get; init; } = [];

    /// <summary>How often it is evaluated; null: the default of rules.</summary>
    public TimeSpan? Interval { get; init; }

    /// <summary>Most series of one of its rules.</summary>
    public int SeriesMax { get; init; } = KpiLimits.SeriesMax;

    /// <summary>Whether it is promised to customers, so that it stands in the SLA status.</summary>
    public bool IsSla { get; init; }

    /// <summary>The file that it stands in.</summary>
    public required string File { get; init; }

    /// <summary>1-based.</summary>
    public int Line { get; init; }

    /// <summary>1-based.</summary>
    public int Column { get; init; }

    /// <summary>The state of a value.</summary>
    public KpiState StateOf(double? value)
    {
        if (value is not { } v || double.IsNaN(v) || (Warning is null && Critical is null))
            return KpiState.Unknown;
        if (Beyond(v, Critical))
            return KpiState.Critical;
        return Beyond(v, Warning) ? KpiState.Warning : KpiState.Healthy;
    }

    /// <summary>What the unexplained part of a difference means; null: it is not known.</summary>
    public ReconcileState ReconcileStateOf(double? unexplained) =>
        unexplained is not { } u || double.IsNaN(u) || Exact?.Reconcile is not { } reconcile ? ReconcileState.Unknown : u > reconcile.Tolerance ? ReconcileState.Differs : ReconcileState.Reconciled;

    /// <summary>Whether a value reaches the target; null: there is no target or no value.</summary>
    public bool? MeetsTarget(double? value) =>
        Target is not { } target || value is not { } v || double.IsNaN(v) ? null : Direction == KpiDirection.Higher ? v >= target : v <= target;

    private bool Beyond(double value, double? threshold) => threshold is { } t && (Direction == KpiDirection.Higher ? value < t : value > t);
}

/// <summary>Bounds of KPI files.</summary>
public static class KpiLimits
{
    /// <summary>Most files that the patterns may match.</summary>
    public const int FilesMax = 1_000;

    /// <summary>Most KPIs of all files.</summary>
    public const int KpisMax = 10_000;

    /// <summary>Most inputs of one index.</summary>
    public const int InputsMax = 100;

    /// <summary>Most break-downs of one KPI.</summary>
    public const int BreakDownsMax = 20;

    /// <summary>Most series of one rule of a KPI, unless it says otherwise.</summary>
    public const int SeriesMax = 10_000;

    /// <summary>Most versions that are kept of one KPI's definition.</summary>
    public const int VersionsMax = 1_000;
}
