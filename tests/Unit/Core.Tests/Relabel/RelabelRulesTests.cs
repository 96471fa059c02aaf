using Bellwether.Core.Configuration.Prometheus;
using Bellwether.Core.Model;
using Bellwether.Core.Relabel;

namespace Bellwether.Core.Tests.Relabel;

/// <summary>Rules do what Prometheus' rules do.</summary>
public sealed class RelabelRulesTests
{
    [Theory]
    [InlineData("source_labels: [a], target_label: x", "{a=\"one\", b=\"Two\", x=\"one\"}")]
    [InlineData("source_labels: [a, b], separator: '-', target_label: x", "{a=\"one\", b=\"Two\", x=\"one-Two\"}")]
    [InlineData("source_labels: [a], regex: 'o(.*)', target_label: '${1}_x', replacement: 'v$1'", "{a=\"one\", b=\"Two\", ne_x=\"vne\"}")]
    [InlineData("source_labels: [a], regex: 'zzz', target_label: x", "{a=\"one\", b=\"Two\"}")]
    [InlineData("target_label: a, replacement: ''", "{b=\"Two\"}")]
    [InlineData("source_labels: [a], regex: 'o.*', action: keep", "{a=\"one\", b=\"Two\"}")]
    [InlineData("source_labels: [a], regex: 'o', action: keep", "dropped")]
    [InlineData("source_labels: [a], regex: 'one', action: drop", "dropped")]
    [InlineData("source_labels: [a], target_label: b, action: keepequal", "dropped")]
    [InlineData("source_labels: [a], target_label: b, action: dropequal", "{a=\"one\", b=\"Two\"}")]
    [InlineData("source_labels: [b], target_label: b, action: lowercase", "{a=\"one\", b=\"two\"}")]
    [InlineData("source_labels: [b], target_label: c, action: uppercase", "{a=\"one\", b=\"Two\", c=\"TWO\"}")]
    [InlineData("source_labels: [a], target_label: h, modulus: 10, action: hashmod", "{a=\"one\", b=\"Two\", h=\"6\"}")]
    [InlineData("regex: '(.)', replacement: 'm_$1', action: labelmap", "{a=\"one\", b=\"Two\", m_a=\"one\", m_b=\"Two\"}")]
    [InlineData("regex: 'a', action: labeldrop", "{b=\"Two\"}")]
    [InlineData("regex: 'a', action: labelkeep", "{a=\"one\"}")]
    [InlineData("source_labels: [missing], target_label: a", "{b=\"Two\"}")]
    public void One_rule(string rule, string expected)
    {
        Labels? after = RelabelRules.Apply(Read(rule).RelabelConfigs, Labels.Of("a", "one", "b", "Two"));
        Assert.Equal(expected, after?.ToString() ?? "dropped");
    }

    [Theory]
    [InlineData("host:9100", "", "http://host:9100/metrics", null)]
    [InlineData("host:9100", "__param_m: 'a b', __metrics_path__: /p, __scheme__: https", "https://host:9100/p?m=a+b", null)]
    [InlineData("http://host", "", null, "host:port")]
    [InlineData("host:1", "__scrape_timeout__: 2m", null, "longer than __scrape_interval__")]
    [InlineData("host:1", "__scrape_interval__: often", null, "not a duration")]
    public void Targets_get_their_URL_or_an_error(string address, string labels, string? url, string? error)
    {
        ScrapeConfig job = PrometheusConfigFile.Parse($"scrape_configs: [{{job_name: j, relabel_configs: [], static_configs: [{{targets: [x], labels: {{{labels}}}}}]}}]", "p.yml").Value!.ScrapeConfigs[0];
        TargetOutcome outcome = TargetLabels.Build(job, Labels.Of(TargetLabels.Address, address), job.StaticConfigs[0].Labels);
        Assert.Equal(url, outcome.Target?.Url);
        if (error is not null)
            Assert.Contains(error, outcome.Error, StringComparison.Ordinal);
        else
            Assert.Equal($"{{instance=\"{address}\", job=\"j\"}}", outcome.Target!.Labels.ToString());
    }

    private static ScrapeConfig Read(string rule) =>
        PrometheusConfigFile.Parse($"scrape_configs: [{{job_name: j, relabel_configs: [{{{rule}}}]}}]", "p.yml") is { IsOk: true } result
            ? result.Value.ScrapeConfigs[0]
            : throw new InvalidOperationException(string.Join("; ", PrometheusConfigFile.Parse($"scrape_configs: [{{job_name: j, relabel_configs: [{{{rule}}}]}}]", "p.yml").Errors));
}
