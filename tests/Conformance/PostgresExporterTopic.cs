using System.Text.Json;
using Bellwether.Agent.Collect.Postgres;
using Bellwether.Core.Model;

namespace Bellwether.Conformance;

/// <summary>
/// Names, labels and types of postgres_exporter against what the PostgreSQL collector describes. No server is asked: which of them one gives depends on its version
/// and role. A case is a metric.
/// </summary>
internal sealed class PostgresExporterTopic : ITopic
{
    private const string ExpectedFile = "metrics.shared.json";

    /// <inheritdoc/>
    public string Name => "postgres_exporter";

    /// <inheritdoc/>
    public void Run(string folder, TopicReport report)
    {
        ILookup<string, PostgresMetricDescription> ours = PostgresCollector.DescribeMetrics().ToLookup(m => m.Name);
        using JsonDocument document = JsonDocument.Parse(File.ReadAllText(Path.Combine(folder, ExpectedFile)));
        var oldVersions = new List<string>();
        foreach (JsonProperty collector in document.RootElement.EnumerateObject())
        {
            foreach (JsonElement metric in collector.Value.EnumerateArray())
            {
                string name = metric.GetProperty("name").GetString() ?? "";
                // WAL was called xlog before PostgreSQL 10, which ended in 2021.
                if (name.EndsWith("_pg_xlog_location_diff", StringComparison.Ordinal))
                    oldVersions.Add(name);
                else
                    Check(name, metric, ours, report);
            }
        }
        report.Note($"only on PostgreSQL 9, not judged: {string.Join(' ', oldVersions)}");
    }

    private static void Check(string name, JsonElement metric, ILookup<string, PostgresMetricDescription> ours, TopicReport report)
    {
        string labels = string.Join(',', metric.GetProperty("labels").EnumerateArray().Select(l => l.GetString()).Order(StringComparer.Ordinal));
        string? type = metric.GetProperty("type").GetString();
        string expected = $"{name}{{{labels}}} {type}";
        IEnumerable<string> got = ours[name].Select(m => $"{m.Name}{{{string.Join(',', m.Labels.Order(StringComparer.Ordinal))}}} {TypeText(m.Type)}");
        if (got.Contains(expected))
            report.Pass();
        else
            report.Fail($"postgres_exporter/{ExpectedFile}", 0, name, expected, ours.Contains(name) ? string.Join(" | ", got) : "no such metric");
    }

    private static string TypeText(MetricType type) => type switch
    {
        MetricType.Counter => "counter",
        MetricType.Gauge => "gauge",
        _ => "untyped",
    };
}
