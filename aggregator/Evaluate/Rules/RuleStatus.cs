using Bellwether.Core.Model;

namespace Bellwether.Evaluate.Rules;

/// <summary>The state of an alert or of an alerting rule.</summary>
public enum AlertState
{
    /// <summary>Not active (or resolved).</summary>
    Inactive,
    /// <summary>The expression holds, but not yet long enough.</summary>
    Pending,
    /// <summary>Firing.</summary>
    Firing,
}

/// <summary>The health of a rule.</summary>
public enum RuleHealth
{
    /// <summary>Not evaluated yet.</summary>
    Unknown,
    /// <summary>The last evaluation worked.</summary>
    Ok,
    /// <summary>The last evaluation failed.</summary>
    Err,
}

/// <summary>One alert as it stands. Times are Unix ms; 0: never.</summary>
public sealed record AlertStatus
{
    /// <summary>Its labels, <c>alertname</c> included.</summary>
    public required Labels Labels { get; init; }

    /// <summary>Its annotations by name.</summary>
    public required IReadOnlyList<KeyValuePair<string, string>> Annotations { get; init; }

    /// <summary>Its state.</summary>
    public AlertState State { get; init; }

    /// <summary>When the expression began to hold.</summary>
    public long ActiveAtMs { get; init; }

    /// <summary>When it began to fire.</summary>
    public long FiredAtMs { get; init; }

    /// <summary>When it was resolved.</summary>
    public long ResolvedAtMs { get; init; }

    /// <summary>Since when it fires only because of <c>keep_firing_for</c>.</summary>
    public long KeepFiringSinceMs { get; init; }

    /// <summary>The value of the expression.</summary>
    public double Value { get; init; }
}

/// <summary>One rule and what became of its last evaluation.</summary>
public sealed record RuleStatus
{
    /// <summary>The rule.</summary>
    public required RuleDefinition Definition { get; init; }

    /// <summary>Its health.</summary>
    public RuleHealth Health { get; init; }

    /// <summary>Why the last evaluation failed, or empty.</summary>
    public string LastError { get; init; } = "";

    /// <summary>How long the last evaluation took.</summary>
    public TimeSpan EvaluationTime { get; init; }

    /// <summary>When the last evaluation began, Unix ms; 0: never.</summary>
    public long LastEvaluationMs { get; init; }

    /// <summary>Active alerts (pending and firing), by labels.</summary>
    public IReadOnlyList<AlertStatus> Alerts { get; init; } = [];

    /// <summary>The highest state of its alerts.</summary>
    public AlertState State => Alerts.Count == 0 ? AlertState.Inactive : Alerts.Max(a => a.State);
}

/// <summary>One group and what became of its last step.</summary>
public sealed record RuleGroupStatus
{
    /// <summary>The group.</summary>
    public required RuleGroupDefinition Definition { get; init; }

    /// <summary>How often it is evaluated.</summary>
    public TimeSpan Interval { get; init; }

    /// <summary>How long the last step took.</summary>
    public TimeSpan EvaluationTime { get; init; }

    /// <summary>When the last step was evaluated, Unix ms; 0: never.</summary>
    public long LastEvaluationMs { get; init; }

    /// <summary>The newest step evaluated, Unix ms; 0: none.</summary>
    public long LastStepMs { get; init; }

    /// <summary>Its rules in order.</summary>
    public IReadOnlyList<RuleStatus> Rules { get; init; } = [];
}
