namespace Bellwether.Core.Model;

/// <summary>One label: a name and a value, both any UTF-8 text.</summary>
/// <param name="Name">The label's name; never empty inside <see cref="Labels"/>.</param>
/// <param name="Value">The label's value; never empty inside <see cref="Labels"/> (an empty value means the label is absent).</param>
public readonly record struct Label(string Name, string Value);

/// <summary>Label names with a meaning of their own.</summary>
public static class LabelNames
{
    /// <summary>The metric name.</summary>
    public const string MetricName = "__name__";

    /// <summary>The upper bound of a classic histogram's bucket.</summary>
    public const string Bucket = "le";

    /// <summary>The quantile of a summary's series.</summary>
    public const string Quantile = "quantile";

    /// <summary>The name of the alerting rule, on ALERTS and on alerts.</summary>
    public const string AlertName = "alertname";

    /// <summary>The scrape job.</summary>
    public const string Job = "job";

    /// <summary>The scraped instance.</summary>
    public const string Instance = "instance";

    /// <summary>The agent that a series came through, stamped by the aggregator.</summary>
    public const string Agent = "agent";
}
