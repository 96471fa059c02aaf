using Bellwether.Core.Model;

namespace Bellwether.Core.Exposition;

/// <summary>One metric family with its samples, as read from or to be written to an exposition.</summary>
/// <param name="Name">The name on its TYPE line: for a counter with _total in the text format, without it in OpenMetrics.</param>
/// <param name="Type">Its type.</param>
/// <param name="Help">Its help text, or empty.</param>
/// <param name="Unit">Its unit, or empty.</param>
/// <param name="Samples">Its samples in order.</param>
public sealed record ExposedFamily(string Name, MetricType Type, string Help, string Unit, IReadOnlyList<ExposedSample> Samples);

/// <summary>One sample of a family.</summary>
public sealed record ExposedSample
{
    /// <summary>Makes a sample.</summary>
    /// <param name="name">The whole name, e.g. with _bucket.</param>
    /// <param name="labels">Labels as written: order kept, values may be empty, without the metric name.</param>
    /// <param name="value">The value.</param>
    public ExposedSample(string name, IReadOnlyList<Label> labels, double value)
    {
        Name = name;
        Labels = labels;
        Value = value;
    }

    /// <summary>The whole name.</summary>
    public string Name { get; init; }

    /// <summary>Labels in the order written, without the metric name.</summary>
    public IReadOnlyList<Label> Labels { get; init; }

    /// <summary>The value; 0 where <see cref="Histogram"/> is set.</summary>
    public double Value { get; init; }

    /// <summary>Its own time in seconds since 1970, to the nanosecond; null when it has none.</summary>
    public decimal? TimestampSeconds { get; init; }

    /// <summary>Its exemplar, or null.</summary>
    public ExposedExemplar? Exemplar { get; init; }

    /// <summary>A native histogram (protobuf only), or null.</summary>
    public NativeHistogram? Histogram { get; init; }

    /// <summary>When the counter was started, Unix ms; 0: unknown. From protobuf; the text formats say it by _created samples.</summary>
    public long StartMs { get; init; }
}

/// <summary>An exemplar as written.</summary>
/// <param name="Labels">Its labels in order.</param>
/// <param name="Value">Its value.</param>
/// <param name="TimestampSeconds">Its time in seconds since 1970, or null.</param>
public sealed record ExposedExemplar(IReadOnlyList<Label> Labels, double Value, decimal? TimestampSeconds);
