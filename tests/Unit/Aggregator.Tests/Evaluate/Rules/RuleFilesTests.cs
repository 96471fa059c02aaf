using Bellwether.Core.Configuration;
using Bellwether.Evaluate.Rules;

namespace Bellwether.Aggregator.Tests.Evaluate.Rules;

public sealed class RuleFilesTests
{
    [Fact]
    public void A_group_is_read_with_all_its_keys()
    {
        RuleGroupDefinition group = Assert.Single(Good("""
            groups:
              - name: shop
                interval: 30s
                limit: 5
                query_offset: 10s
                labels: {team: pay, tier: gold}
                rules:
                  - record: shop:orders:rate5m
                    expr: sum   by(shop) (rate(orders_total[5m]))
                    labels: {tier: silver}
                  - alert: NoOrders
                    expr: shop:orders:rate5m == 0
                    for: 10m
                    keep_firing_for: 5m
                    annotations: {summary: "no orders in {{ $labels.shop }}"}
            """).Groups);
        Assert.Equal((TimeSpan.FromSeconds(30), 5, TimeSpan.FromSeconds(10)), (group.Interval!.Value, group.Limit, group.QueryOffset!.Value));
        Assert.Equal("sum by (shop) (rate(orders_total[5m]))", group.Rules[0].Query);
        Assert.Equal(["team=pay", "tier=silver"], group.Rules[0].Labels.Select(l => $"{l.Key}={l.Value.Text}"));
        Assert.Equal((true, TimeSpan.FromMinutes(10), TimeSpan.FromMinutes(5)), (group.Rules[1].IsAlert, group.Rules[1].For, group.Rules[1].KeepFiringFor));
    }

    [Fact]
    public void PrometheusRule_objects_are_read_all_of_them()
    {
        RuleSet set = Good("""
            apiVersion: monitoring.coreos.com/v1
            kind: PrometheusRule
            metadata: {name: a, labels: {x: y}}
            spec:
              groups: [{name: a, rules: [{record: a, expr: "1"}]}]
            ---
            apiVersion: monitoring.coreos.com/v1
            kind: PrometheusRule
            metadata: {name: b}
            spec:
              groups: [{name: b, rules: [{record: b, expr: "2"}]}]
            """);
        Assert.Equal(["a", "b"], set.Groups.Select(g => g.Name));
    }

    [Theory]
    [InlineData("groups: [{name: g, rules: [{record: a, exprr: '1', expr: '1'}]}]", "expr")]
    [InlineData("groups: [{name: g, rules: [{alert: A, record: a, expr: '1'}]}]", "only one of")]
    [InlineData("groups: [{name: g, rules: [{expr: '1'}]}]", "one of 'record' or 'alert'")]
    [InlineData("groups: [{name: g, rules: [{alert: A}]}]", "expr")]
    [InlineData("groups: [{name: g, rules: [{alert: A, expr: 'sum('}]}]", "could not parse")]
    [InlineData("groups: [{name: g, rules: [{record: a, expr: '1', for: 1m}]}]", "'for' in recording rule")]
    [InlineData("groups: [{name: g, rules: [{alert: A, expr: '1', labels: {__name__: x}}]}]", "invalid label name")]
    [InlineData("groups: [{name: g, rules: [{alert: A, expr: '1', annotations: {s: '{{ $x }}'}}]}]", "undefined variable")]
    [InlineData("groups: [{name: g}, {name: g}]", "twice")]
    [InlineData("kind: ConfigMap\nspec: {groups: []}", "PrometheusRule")]
    public void What_is_wrong_is_told_with_its_place(string text, string part)
    {
        ConfigResult<RuleSet> read = RuleFiles.Parse(text, "r.yaml", new RuleFileOptions());
        Assert.Contains(read.Errors, e => e.ToString().Contains(part, StringComparison.Ordinal) && e.Line > 0);
    }

    [Fact]
    public void Patterns_find_files_in_folders()
    {
        string folder = Directory.CreateTempSubdirectory().FullName;
        try
        {
            Directory.CreateDirectory(Path.Combine(folder, "a1"));
            File.WriteAllText(Path.Combine(folder, "a1", "x.yaml"), "groups: [{name: x, rules: []}]\n");
            File.WriteAllText(Path.Combine(folder, "a1", "y.yml"), "groups: [{name: y, rules: []}]\n");
            RuleSet set = RuleFiles.Load(["a?/*.yaml", "none/*.yaml"], folder, new RuleFileOptions()).Value!;
            Assert.Equal("x", Assert.Single(set.Groups).Name);
            Assert.Single(set.Warnings);
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    private static RuleSet Good(string text)
    {
        ConfigResult<RuleSet> read = RuleFiles.Parse(text, "r.yaml", new RuleFileOptions());
        Assert.True(read.IsOk, string.Join('\n', read.Errors));
        return read.Value;
    }
}
