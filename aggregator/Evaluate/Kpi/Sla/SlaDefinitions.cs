using Bellwether.Core.Configuration;

namespace Bellwether.Evaluate.Kpi.Sla;

/// <summary>One thing that is promised and measured: of all customers, or of one service tier. Immutable.</summary>
public sealed record SlaCheck
{
    /// <summary>What is measured, e.g. <c>availability</c>, <c>response_time_p95</c>.</summary>
    public required string Id { get; init; }

    /// <summary>The element of <c>sla_definitions</c> that it belongs to.</summary>
    public required string Definition { get; init; }

    /// <summary>The service tier; empty: all.</summary>
    public string Tier { get; init; } = "";

    /// <summary>Unit of value and target: <c>percent</c>, <c>ms</c>, or empty.</summary>
    public string Unit { get; init; } = "";

    /// <summary>What is promised.</summary>
    public double Target { get; init; }

    /// <summary>Which values are good.</summary>
    public KpiDirection Direction { get; init; }

    /// <summary>The window of the value of now.</summary>
    public TimeSpan MeasurementWindow { get; init; } = TimeSpan.FromMinutes(5);

    /// <summary>The window of the value that is judged.</summary>
    public TimeSpan EvaluationWindow { get; init; } = TimeSpan.FromHours(1);

    /// <summary>How long the target must be missed before it counts.</summary>
    public TimeSpan GracePeriod { get; init; }

    /// <summary>PromQL of the good (or bad) events, with <c>$window</c>; empty: the value is no share of counts.</summary>
    public string Part { get; init; } = "";

    /// <summary>PromQL of all events, with <c>$window</c>.</summary>
    public string Total { get; init; } = "";

    /// <summary>Whether <see cref="Part"/> are the bad events.</summary>
    public bool IsBad { get; init; }

    /// <summary>PromQL of the value, with <c>$window</c>, when it is no share of counts.</summary>
    public string Value { get; init; } = "";

    /// <summary>Whether good and total are counted, so that a month can be added up and corrected.</summary>
    public bool IsCounted => Part.Length > 0;

    /// <summary>Whether a value misses the target. NaN does not.</summary>
    public bool Misses(double value) => Direction == KpiDirection.Higher ? value < Target : value > Target;
}

/// <summary>A step of a contract's credits.</summary>
/// <param name="Below">Below this compliance (above, where low values are good).</param>
/// <param name="Credit">Percent of the month's price that is given back.</param>
public sealed record SlaCredit(double Below, double Credit);

/// <summary>A promise to a customer, judged by calendar month. Immutable.</summary>
public sealed record SlaContract
{
    /// <summary>Its name.</summary>
    public required string Name { get; init; }

    /// <summary>The customer.</summary>
    public string Customer { get; init; } = "";

    /// <summary>What is promised: the id of a check.</summary>
    public required string Sla { get; init; }

    /// <summary>The service tier; empty: all.</summary>
    public string Tier { get; init; } = "";

    /// <summary>Whose months count.</summary>
    public TimeZoneInfo TimeZone { get; init; } = TimeZoneInfo.Utc;

    /// <summary>Credits, the worst last.</summary>
    public ValueList<SlaCredit> Credits { get; init; } = [];
}

/// <summary>What the files say of service levels. Immutable.</summary>
public sealed record SlaSet
{
    /// <summary>What is measured, by id and tier.</summary>
    public IReadOnlyList<SlaCheck> Checks { get; init; } = [];

    /// <summary>Promises to customers.</summary>
    public IReadOnlyList<SlaContract> Contracts { get; init; } = [];

    /// <summary>Planned work.</summary>
    public IReadOnlyList<Maintenance> Maintenances { get; init; } = [];
}
