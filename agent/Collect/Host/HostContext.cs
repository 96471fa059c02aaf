using Bellwether.Core.Model;

namespace Bellwether.Agent.Collect.Host;

/// <summary>What the parts of the host collector share. Made anew when most slots of the table are dead, with all parts. Not thread-safe.</summary>
internal sealed class HostContext(HostCollectorOptions options, SeriesTable series, TimeProvider time)
{
    /// <summary>Settings.</summary>
    public HostCollectorOptions Options { get; } = options;

    /// <summary>The series.</summary>
    public SeriesTable Series { get; } = series;

    /// <summary>Files below the roots.</summary>
    public HostFiles Files { get; } = new(options);

    /// <summary>The clock.</summary>
    public TimeProvider Time { get; } = time;

    /// <summary>Entries in all <see cref="ByteMap{T}"/> of the parts.</summary>
    public int Remembered { get; set; }

    /// <summary>A counter family.</summary>
    public MetricFamily Counter(string name, string help) => new(Series, name, MetricType.Counter, help);

    /// <summary>A gauge family.</summary>
    public MetricFamily Gauge(string name, string help) => new(Series, name, MetricType.Gauge, help);

    /// <summary>A family of no stated type.</summary>
    public MetricFamily Untyped(string name, string help) => new(Series, name, MetricType.Unknown, help);
}

/// <summary>One collector in node_exporter's sense: it reads some kernel files and sets its series.</summary>
internal abstract class HostPart
{
    /// <summary>Sets this tick's samples. False when its files are not there or make no sense: <c>node_scrape_collector_success</c> is 0 then.</summary>
    public abstract bool Collect();
}
