namespace Bellwether.Core.Model;

/// <summary>The type of a metric family. The numbers stand in files and on the wire.</summary>
public enum MetricType
{
    /// <summary>Not said.</summary>
    Unknown = 0,
    /// <summary>Only goes up, but for resets.</summary>
    Counter = 1,
    /// <summary>Goes up and down.</summary>
    Gauge = 2,
    /// <summary>Cumulative buckets.</summary>
    Histogram = 3,
    /// <summary>Buckets of current values.</summary>
    GaugeHistogram = 4,
    /// <summary>Quantiles computed at the source.</summary>
    Summary = 5,
    /// <summary>Text in labels, value 1.</summary>
    Info = 6,
    /// <summary>A boolean per state.</summary>
    StateSet = 7,
}

/// <summary>What a metric family says about itself.</summary>
/// <param name="Type">Its type.</param>
/// <param name="Help">Its help text, or empty.</param>
/// <param name="Unit">Its unit, or empty.</param>
public sealed record MetricMetadata(MetricType Type, string Help, string Unit);

/// <summary>One example of what went into a sample (a trace id, usually).</summary>
/// <param name="Labels">Its labels; at most 128 code points in all (OpenMetrics 1.0).</param>
/// <param name="Value">Its value.</param>
/// <param name="TimestampMs">Unix ms; null when the source gave none.</param>
public sealed record Exemplar(Labels Labels, double Value, long? TimestampMs);
