using Bellwether.Core.Model;
using Bellwether.Evaluate.Rules.Templates;

namespace Bellwether.Evaluate.Rules;

/// <summary>One rule as its file says it, checked. Immutable.</summary>
public sealed record RuleDefinition
{
    /// <summary>The name of the recorded metric, or of the alert.</summary>
    public required string Name { get; init; }

    /// <summary>Whether it is an alerting rule.</summary>
    public required bool IsAlert { get; init; }

    /// <summary>The expression as written.</summary>
    public required string Expression { get; init; }

    /// <summary>The expression in normal form, as the API shows it.</summary>
    public required string Query { get; init; }

    /// <summary>How long the expression must hold before an alert fires. Zero: at once.</summary>
    public TimeSpan For { get; init; }

    /// <summary>How long an alert keeps firing after the expression stopped holding.</summary>
    public TimeSpan KeepFiringFor { get; init; }

    /// <summary>Labels to add, by name; those of the group included. Templates on alerts, plain text on recorded series. An empty value removes the label.</summary>
    public IReadOnlyList<KeyValuePair<string, AlertTemplate>> Labels { get; init; } = [];

    /// <summary>Annotations of alerts, by name.</summary>
    public IReadOnlyList<KeyValuePair<string, AlertTemplate>> Annotations { get; init; } = [];

    /// <summary>1-based line in its file; 0: unknown.</summary>
    public int Line { get; init; }

    /// <summary>Whether another rule means the same, so that its state may be kept over a reload.</summary>
    internal bool SameAs(RuleDefinition other) =>
        Name == other.Name && IsAlert == other.IsAlert && Expression == other.Expression && For == other.For && KeepFiringFor == other.KeepFiringFor
        && Same(Labels, other.Labels) && Same(Annotations, other.Annotations);

    private static bool Same(IReadOnlyList<KeyValuePair<string, AlertTemplate>> a, IReadOnlyList<KeyValuePair<string, AlertTemplate>> b) =>
        a.Select(p => (p.Key, p.Value.Text)).SequenceEqual(b.Select(p => (p.Key, p.Value.Text)));
}

/// <summary>One group of a rule file. Immutable.</summary>
public sealed record RuleGroupDefinition
{
    /// <summary>Its name; unique in its file.</summary>
    public required string Name { get; init; }

    /// <summary>The file that it stands in.</summary>
    public required string File { get; init; }

    /// <summary>How often it is evaluated; null: the default interval.</summary>
    public TimeSpan? Interval { get; init; }

    /// <summary>Most series or alerts of one rule; 0: no limit.</summary>
    public int Limit { get; init; }

    /// <summary>How far behind the step it queries and records; null: the default offset.</summary>
    public TimeSpan? QueryOffset { get; init; }

    /// <summary>Its rules in order.</summary>
    public IReadOnlyList<RuleDefinition> Rules { get; init; } = [];

    internal bool SameAs(RuleGroupDefinition other) =>
        Name == other.Name && File == other.File && Interval == other.Interval && Limit == other.Limit && QueryOffset == other.QueryOffset
        && Rules.Count == other.Rules.Count && Rules.Zip(other.Rules).All(p => p.First.SameAs(p.Second));
}

/// <summary>Settings of the rule engine. Immutable.</summary>
public sealed record RuleEngineOptions
{
    /// <summary>Interval of groups that name none. Default 1 min; at least 1 s.</summary>
    public TimeSpan DefaultInterval { get; init; } = TimeSpan.FromMinutes(1);

    /// <summary>Query offset of groups that name none. Default 0.</summary>
    public TimeSpan DefaultQueryOffset { get; init; } = TimeSpan.Zero;

    /// <summary>A step is evaluated at the latest so long after its time, even when a connected source has not passed it. Default 2 s.</summary>
    public TimeSpan EvaluationDelayMax { get; init; } = TimeSpan.FromSeconds(2);

    /// <summary>How far back missed steps are caught up after a stop; older ones are given up and counted. Default 1 h.</summary>
    public TimeSpan CatchUpMax { get; init; } = TimeSpan.FromHours(1);

    /// <summary>Steps evaluated in one go, each for all groups that have it, before the clock is looked at for old steps again. Default 16.</summary>
    public int StepsPerTurn { get; init; } = 16;

    /// <summary>How old the last ALERTS_FOR_STATE may be for an alert's state to be restored from it. Default 1 h, as Prometheus.</summary>
    public TimeSpan OutageTolerance { get; init; } = TimeSpan.FromHours(1);

    /// <summary>The least time between a restored pending state and firing, and the least <c>for</c> that is restored over a gap. Default 10 min, as Prometheus.</summary>
    public TimeSpan ForGracePeriod { get; init; } = TimeSpan.FromMinutes(10);

    /// <summary>How long a resolved alert is kept. Default 15 min, as Prometheus.</summary>
    public TimeSpan ResolvedRetention { get; init; } = TimeSpan.FromMinutes(15);

    /// <summary>Labels of this aggregator, for templates.</summary>
    public Labels ExternalLabels { get; init; } = Labels.Empty;

    /// <summary>Where this aggregator is reached, for templates.</summary>
    public string ExternalUrl { get; init; } = "";
}
