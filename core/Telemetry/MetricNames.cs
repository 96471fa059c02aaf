namespace Bellwether.Core.Telemetry;

/// <summary>
/// Every metric that the programs expose about themselves, in one closed list: bellwether_STAGE_NOUN_UNIT[_total]. At every stage in = out + rejected + dropped + pending.
/// </summary>
public static class MetricNames
{
    /// <summary>The one meter of a process; components take it in their constructor.</summary>
    public const string Meter = "bellwether";
}
