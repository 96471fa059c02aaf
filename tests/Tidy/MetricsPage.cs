using System.Text;
using System.Text.RegularExpressions;

namespace Bellwether.Tidy;

/// <summary>Writes docs/metrics.md from the names and their documentation in core/Telemetry/MetricNames.cs.</summary>
internal static partial class MetricsPage
{
    /// <summary>The source of the names.</summary>
    public const string Source = "core/Telemetry/MetricNames.cs";

    private const string Intro = """
        # Metrics that the programs expose about themselves

        Made from [core/Telemetry/MetricNames.cs](../core/Telemetry/MetricNames.cs) by tests/Tidy (`BELLWETHER_UPDATE=1 dotnet test tests/Tidy` writes it anew); do not edit it.

        The agent streams its own like those of any target (every 15s, job `bellwether-agent`); the aggregator serves its own at `/metrics`. At every stage in = out + rejected + dropped + pending.
        Names that end in `_total` are counters, the others gauges. Beside them stand the usual `process_*` series (CPU, memory, open files, start time).

        """;

    /// <summary>The whole page.</summary>
    public static string Write()
    {
        var page = new StringBuilder(Intro);
        foreach (IGrouping<string, (string Name, string Text)> stage in Metrics().GroupBy(m => m.Name.Split('_')[1]))
        {
            page.Append($"\n## {stage.Key}\n\n| metric | |\n| --- | --- |\n");
            foreach ((string name, string text) in stage)
                page.Append($"| `{name}` | {text} |\n");
        }
        return page.ToString();
    }

    /// <summary>Every name with its documentation, in the order of the source.</summary>
    public static IReadOnlyList<(string Name, string Text)> Metrics() =>
        [.. Constant().Matches(Repository.Read(Source)).Select(m => (m.Groups["name"].Value, m.Groups["text"].Value.Trim()))];

    [GeneratedRegex(@"/// <summary>(?<text>[^\n]*)</summary>\s*public const string \w+ = ""(?<name>bellwether_\w+)"";")]
    private static partial Regex Constant();
}
