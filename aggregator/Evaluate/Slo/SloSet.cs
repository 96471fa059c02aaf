using Bellwether.Core.Configuration;

namespace Bellwether.Evaluate.Slo;

/// <summary>What SLO files hold, read and resolved. Immutable.</summary>
public sealed record SloSet
{
    /// <summary>The objectives, in file order.</summary>
    public IReadOnlyList<SloDefinition> Slos { get; init; } = [];

    /// <summary>Alert windows that files gave (<c>kind: AlertWindows</c>).</summary>
    public IReadOnlyList<BurnWindows> Windows { get; init; } = [];

    /// <summary>How many documents were read.</summary>
    public int Documents { get; init; }

    /// <summary>What refuses nothing and is probably not what was meant.</summary>
    public IReadOnlyList<ConfigError> Warnings { get; init; } = [];
}
