using Bellwether.Core.Configuration;

namespace Bellwether.Evaluate.Slo;

/// <summary>One rule that was made.</summary>
/// <param name="Name">The recorded metric, or the alert.</param>
/// <param name="Expression">PromQL.</param>
public sealed record SloRule(string Name, string Expression)
{
    /// <summary>Whether it is an alert.</summary>
    public bool IsAlert { get; init; }

    /// <summary>How long the expression must hold before the alert fires.</summary>
    public TimeSpan For { get; init; }

    /// <summary>Labels to add.</summary>
    public IReadOnlyDictionary<string, string> Labels { get; init; } = new Dictionary<string, string>();

    /// <summary>Annotations of an alert; templates.</summary>
    public IReadOnlyDictionary<string, string> Annotations { get; init; } = new Dictionary<string, string>();
}

/// <summary>One rule group that was made.</summary>
/// <param name="Name">Unique in the file.</param>
/// <param name="Rules">In order: a rule reads only those before it.</param>
public sealed record SloRuleGroup(string Name, IReadOnlyList<SloRule> Rules)
{
    /// <summary>How often it is evaluated; null: as the reader of the file does by default.</summary>
    public TimeSpan? Interval { get; init; }

    /// <summary>A remark that stands above it, or empty.</summary>
    public string Comment { get; init; } = "";
}

/// <summary>The rules of one objective.</summary>
/// <param name="Slo">The objective.</param>
/// <param name="Groups">Its rule groups.</param>
/// <param name="Warnings">What is probably not what was meant.</param>
public sealed record CompiledSlo(SloDefinition Slo, IReadOnlyList<SloRuleGroup> Groups, IReadOnlyList<ConfigError> Warnings);
