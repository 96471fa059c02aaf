using System.Globalization;
using System.Text;
using System.Text.Json;
using Bellwether.Core.Configuration;
using Bellwether.Core.Configuration.Prometheus;
using Bellwether.Core.Model;
using Bellwether.Core.Relabel;

namespace Bellwether.Conformance.Relabel;

/// <summary>Relabelling of targets and of samples, recorded from Prometheus.</summary>
internal sealed class RelabelTopic : ITopic
{
    private const string Server = "127.0.0.1:19100";

    public string Name => "relabel";

    public void Run(string folder, TopicReport report)
    {
        ForEach(folder, "target-relabel-cases.json", report, c => RunTarget(c, report));
        List<(Labels Labels, double Value)> samples = ReadExposition(Path.Combine(folder, "exposition.txt"));
        ForEach(folder, "metric-relabel-cases.json", report, c => RunMetric(c, samples, report));
        ScrapeCases.Run(folder, Server, report);
    }

    private static void ForEach(string folder, string file, TopicReport report, Action<JsonElement> run)
    {
        using JsonDocument cases = JsonDocument.Parse(File.ReadAllText(Path.Combine(folder, file)));
        foreach (JsonElement c in cases.RootElement.EnumerateArray())
            report.Case(file, 0, c.GetProperty("name").GetString()!, () => run(c));
    }

    private static ScrapeConfig ReadJob(JsonElement c, string key)
    {
        // JSON is YAML: the rules go through the real reader.
        string yaml = $$"""{"scrape_configs": [{"job_name": "JOB", "scrape_interval": "2s", "scrape_timeout": "1s", "{{key}}": {{c.GetProperty(key).GetRawText()}}}]}""";
        ConfigResult<PrometheusConfig> config = PrometheusConfigFile.Parse(yaml, "case.yml");
        return config.IsOk ? config.Value.ScrapeConfigs[0] : throw new InvalidOperationException(string.Join("; ", config.Errors));
    }

    private static void RunTarget(JsonElement c, TopicReport report)
    {
        ScrapeConfig job = ReadJob(c, "relabel_configs");
        TargetOutcome got = TargetLabels.Build(job, Labels.Of(TargetLabels.Address, c.GetProperty("static_target").GetString()!), ReadLabels(c.GetProperty("static_labels")));
        string expected = "dropped";
        if (c.TryGetProperty("active", out JsonElement active))
            expected = $"{ReadLabels(active.GetProperty("discoveredLabels"))} {ReadLabels(active.GetProperty("labels"))} {active.GetProperty("scrapeUrl").GetString()}";
        string actual = got.Target is { } target ? $"{target.Discovered} {target.Labels} {target.Url}" : got.Error ?? "dropped";
        Compare(report, "target-relabel-cases.json", c, expected, actual);
    }

    private static void RunMetric(JsonElement c, List<(Labels Labels, double Value)> samples, TopicReport report)
    {
        ScrapeConfig job = ReadJob(c, "metric_relabel_configs");
        var lines = new List<string>();
        bool nameless = false;
        foreach ((Labels labels, double value) in samples)
        {
            Labels? after = RelabelRules.Apply(job.MetricRelabelConfigs, WithTarget(labels));
            nameless |= after is not null && after.MetricName.Length == 0;
            if (after is not null)
                lines.Add(string.Create(CultureInfo.InvariantCulture, $"{after} {value}"));
        }
        // A sample that lost its name fails the whole scrape.
        string actual = nameless ? "" : string.Join('\n', lines.Distinct().Order(StringComparer.Ordinal));
        string expected = string.Join('\n', c.GetProperty("series").EnumerateArray()
            .Select(s => $"{ReadLabels(s.GetProperty("labels"))} {s.GetProperty("value").GetString()}").Order(StringComparer.Ordinal));
        Compare(report, "metric-relabel-cases.json", c, expected, actual);
    }

    private static void Compare(TopicReport report, string file, JsonElement c, string expected, string actual)
    {
        if (expected == actual)
            report.Pass();
        else
            report.Fail(file, 0, c.GetProperty("name").GetString()!, expected, actual);
    }

    private static Labels ReadLabels(JsonElement labels) => Labels.From([.. labels.EnumerateObject().Select(p => new Label(p.Name, p.Value.GetString()!))]);

    /// <summary>What the scrape does before the rules: the target's labels win, and a clashing label gets exported_ in front until it is free.</summary>
    private static Labels WithTarget(Labels sample)
    {
        Labels target = Labels.Of("job", "JOB", "instance", Server);
        var labels = new LabelsBuilder(sample);
        var clashing = new List<Label>();
        foreach (Label label in target.AsSpan().ToArray())
        {
            if (labels.Get(label.Name).Length > 0)
                clashing.Add(new Label(label.Name, labels.Get(label.Name)));
            labels.Set(label.Name, label.Value);
        }
        foreach (Label label in clashing)
        {
            string name = label.Name;
            do
                name = "exported_" + name;
            while (labels.Get(name).Length > 0);
            labels.Set(name, label.Value);
        }
        return labels.Build();
    }

    private static List<(Labels, double)> ReadExposition(string file)
    {
        var samples = new List<(Labels, double)>();
        foreach (string line in File.ReadAllLines(file, Encoding.UTF8).Where(l => l.Length > 0 && l[0] != '#'))
        {
            int open = line.IndexOf('{'), close = line.LastIndexOf('}');
            var labels = new LabelsBuilder().Set(LabelNames.MetricName, line[..open]);
            foreach (string pair in line[(open + 1)..close].Split(','))
                labels.Set(pair[..pair.IndexOf('=')], pair[(pair.IndexOf('=') + 2)..^1]);
            samples.Add((labels.Build(), double.Parse(line[(close + 1)..], CultureInfo.InvariantCulture)));
        }
        return samples;
    }
}
