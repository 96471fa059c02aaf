namespace Bellwether.Evaluate.Rules.Healing;

/// <summary>Why results are evaluated again.</summary>
public enum HealKind
{
    /// <summary>Data came after rules had passed its time.</summary>
    Late,

    /// <summary>Somebody asked for rules over stored history.</summary>
    Backfill,

    /// <summary>Somebody had a sealed period opened again.</summary>
    Reopen,
}

/// <summary>What is to be evaluated again. Immutable.</summary>
/// <param name="FromMs">The first late sample, or the first result that is asked for, Unix ms.</param>
/// <param name="ToMs">The last one.</param>
public sealed record HealRequest(long FromMs, long ToMs)
{
    /// <summary>Why.</summary>
    public HealKind Kind { get; init; }

    /// <summary>Why, in words.</summary>
    public string Reason { get; init; } = "";

    /// <summary>Who asked; empty: nobody did, data came.</summary>
    public string By { get; init; } = "";

    /// <summary>Metrics that changed; null: any.</summary>
    public IReadOnlyCollection<string>? Metrics { get; init; }

    /// <summary>The rules to evaluate over the whole range (group name, rule), with those that read them; null: those that read what changed.</summary>
    public Func<string, RuleDefinition, bool>? Rules { get; init; }

    /// <summary>Hears of each slice that is done: rule steps so far, and of all.</summary>
    public Action<long, long>? Progress { get; init; }
}

/// <summary>What a re-evaluation did to one rule's results.</summary>
/// <param name="Group">Its group.</param>
/// <param name="Record">The metric.</param>
/// <param name="Labels">Labels that the rule adds.</param>
/// <param name="FromMs">The first result that changed, Unix ms.</param>
/// <param name="ToMs">The last one.</param>
/// <param name="Added">Results that were not there.</param>
/// <param name="Replaced">Results that changed.</param>
/// <param name="Removed">Results that are gone.</param>
public sealed record RuleChange(string Group, string Record, IReadOnlyDictionary<string, string> Labels, long FromMs, long ToMs, long Added, long Replaced, long Removed);
