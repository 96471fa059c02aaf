using System.Text;
using System.Text.Json;
using Bellwether.Core.Configuration;
using Bellwether.Core.Configuration.Prometheus;

namespace Bellwether.Conformance.Configuration;

/// <summary>Prometheus configuration files that must load or be refused.</summary>
internal sealed class PrometheusConfigTopic : ITopic
{
    public string Name => "prometheus-config";

    public void Run(string folder, TopicReport report)
    {
        RunConfigs(Path.Combine(folder, "config"), Path.Combine(folder, "config-cases.json"), report);
        foreach (string file in Directory.GetFiles(Path.Combine(folder, "examples"), "prometheus*.yml").Order(StringComparer.Ordinal))
            Expect(report, file, shouldLoad: true, "", Load(file, new PrometheusReadOptions { ForeignDiscovery = ForeignDiscovery.Ignore }));
        report.Note("examples/web-config.yml is no Prometheus configuration but one of the exporter toolkit; left out");
        RunChecks(Path.Combine(folder, "promtool"), report);
        RunDiscovery(Path.Combine(folder, "sd"), report);
    }

    private static void RunConfigs(string folder, string cases, TopicReport report)
    {
        int leftOut = 0;
        using JsonDocument list = JsonDocument.Parse(File.ReadAllText(cases));
        foreach (JsonElement entry in list.RootElement.EnumerateArray())
        {
            string name = entry.GetProperty("file").GetString()!;
            string file = Path.Combine(folder, name);
            bool ok = entry.GetProperty("expect").GetString() == "ok";
            string topic = entry.TryGetProperty("topic", out JsonElement t) ? t.GetString()! : "";
            string why = entry.TryGetProperty("why", out JsonElement w) ? w.GetString()! : "";
            bool discovery = topic == "sd" && !name.StartsWith("http_", StringComparison.Ordinal);
            if (discovery || name == "first.rules")
            {
                leftOut++;
                continue;
            }
            report.Case(name, 0, why, () =>
            {
                if (name == "static_config.bad.yml")
                {
                    var reading = new ConfigReading(file);
                    TargetReading.ReadGroup(reading.Root(File.ReadAllText(file)), "", checkAddresses: true);
                    Expect(report, file, ok, why, [.. reading.Errors]);
                    return;
                }
                bool agent = entry.TryGetProperty("mode", out JsonElement mode) && mode.GetString() == "agent";
                Expect(report, file, ok, why, Load(file, new PrometheusReadOptions { AgentMode = agent, ForeignDiscovery = ForeignDiscovery.Ignore }));
            });
        }
        report.Note($"{leftOut} cases left out: discovery mechanisms that we do not have, and first.rules, which is a rule file. In good files such discovery is skipped and the rest is checked");
    }

    private static void RunChecks(string folder, TopicReport report)
    {
        var full = new PrometheusReadOptions { FullCheck = true };
        foreach (string file in Directory.GetFiles(folder, "*.yml").Order(StringComparer.Ordinal))
        {
            string name = Path.GetFileName(file);
            if (name.StartsWith("prometheus-rules", StringComparison.Ordinal) || name == "prometheus-config.rules.good.yml")
                continue;
            bool missing = name.StartsWith("config_with", StringComparison.Ordinal);
            bool good = !missing && !name.Contains(".bad.", StringComparison.Ordinal);
            Expect(report, file, good, "full check", Load(file, full));
            if (missing)
                Expect(report, file, shouldLoad: true, "plain load", Load(file, new PrometheusReadOptions()));
        }
    }

    private static void RunDiscovery(string folder, TopicReport report)
    {
        foreach ((string file, int groups) in new[] { ("valid.json", 2), ("valid.yml", 2), ("valid2.yml", 3), ("invalid_nil.yml", -1), ("bad-sd-file-format.yml", -1) })
            ExpectGroups(report, Path.Combine(folder, "file_sd", file), groups, TargetGroupFile.Load(Path.Combine(folder, "file_sd", file)));
        string answer = Path.Combine(folder, "http_sd", "http_sd.good.json");
        ExpectGroups(report, answer, 1, TargetGroupFile.Parse(Encoding.UTF8.GetBytes(File.ReadAllText(answer)), "http://sd.example/", json: true));
        ValueList<TargetGroup>? json = TargetGroupFile.Load(Path.Combine(folder, "file_sd", "valid.json")).Value;
        ValueList<TargetGroup>? yaml = TargetGroupFile.Load(Path.Combine(folder, "file_sd", "valid.yml")).Value;
        bool same = json is not null && yaml is not null && json.Select(g => g with { Source = "" }).SequenceEqual(yaml.Select(g => g with { Source = "" }));
        if (same)
            report.Pass();
        else
            report.Fail("file_sd/valid.json", 0, "equals valid.yml", $"{yaml}", $"{json}");
    }

    private static IReadOnlyList<ConfigError> Load(string file, PrometheusReadOptions options) => PrometheusConfigFile.Load(file, options).Errors;

    private static void Expect(TopicReport report, string file, bool shouldLoad, string why, IReadOnlyList<ConfigError> errors)
    {
        if (errors.Count == 0 == shouldLoad)
            report.Pass();
        else
            report.Fail(Path.GetFileName(file), 0, why, shouldLoad ? "loads" : $"refused: {why}", errors.Count == 0 ? "loaded" : string.Join("; ", errors));
    }

    private static void ExpectGroups(TopicReport report, string file, int groups, ConfigResult<ValueList<TargetGroup>> got)
    {
        int count = got.Value?.Count ?? -1;
        if (count == groups)
            report.Pass();
        else
            report.Fail(Path.GetFileName(file), 0, "groups (-1: refused)", $"{groups}", $"{count} {string.Join("; ", got.Errors)}");
    }
}
