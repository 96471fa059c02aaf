using Bellwether.Core.Configuration;
using Bellwether.Evaluate.Kpi;
using Bellwether.Evaluate.Rules;

namespace Bellwether.Aggregator.Tests.Evaluate.Kpi;

public sealed class KpiFilesTests
{
    [Theory]
    [InlineData("kpis:\n  - name: a\n    unit: euros\n    expr: sum(\n", "kpi.yaml:4:11: kpis[0].expr: could not parse expression")]
    [InlineData("kpis:\n  - name: a\n    exprr: x\n", "kpi.yaml:3:5: kpis[0].exprr: unknown key 'exprr'; did you mean 'expr'?")]
    [InlineData("kpis:\n  - name: a\n", "kpi.yaml:2:5: kpis[0]: has no value; give one of 'expr', 'ratio', 'exact' and 'index'")]
    [InlineData("kpis:\n  - name: a\n    expr: x\n    ratio: {bad: y, total: z}\n", "has several values")]
    [InlineData("kpis:\n  - name: a b\n    expr: x\n", "'a b' makes no metric name")]
    [InlineData("kpis:\n  - {name: a, expr: x}\n  - {name: a, expr: y}\n", "the KPI 'a' is there already: kpi.yaml:2")]
    [InlineData("kpis:\n  - {name: a, expr: 'x[5m]'}\n", "is a range vector")]
    [InlineData("kpis:\n  - {name: a, expr: x, direction: up}\n", "'up' is not known")]
    [InlineData("kpis:\n  - {name: a, expr: x, thresholds: {warning: 1, critical: 2}}\n", "critical 2 would be reached before warning 1")]
    [InlineData("kpis:\n  - {name: a, expr: x, target: 1, thresholds: {critical: 2}}\n", "the target 1 is beyond critical 2")]
    [InlineData("kpis:\n  - {name: a, expr: x, by: [org]}\n", "cannot be broken down by org: the expression aggregates nothing")]
    [InlineData("kpis:\n  - {name: a, expr: sum(x) or vector(0), by: [org]}\n", "vector() has no labels to break down by")]
    [InlineData("kpis:\n  - {name: a, unit: percent, ratio: {bad: 'rate(x[5m])', total: 'rate(y[5m])'}}\n", "each series of the part is divided by itself")]
    [InlineData("kpis:\n  - {name: a, unit: euros, ratio: {bad: sum(x), total: sum(y)}}\n", "cannot be a ratio's")]
    [InlineData("kpis:\n  - {name: a, index: {inputs: [{kpi: b}]}}\n  - {name: bb, expr: x}\n", "there is no KPI 'b'; did you mean 'bb'?")]
    [InlineData("kpis:\n  - {name: a, index: {inputs: [{name: i, unit: euros, expr: x}]}}\n", "'i' in euros is no share")]
    [InlineData("kpis:\n  - {name: a, index: {inputs: [{name: i, expr: x, weight: 0, normalise: {target: 1}}]}}\n", "must be above 0")]
    [InlineData("kpis:\n  - {name: a, index: {inputs: [{name: i, expr: x, normalise: {from: 1, to: 1}}]}}\n", "must differ from 'from'")]
    [InlineData("kpis:\n  - {name: a, index: {inputs: []}}\n", "an index has at least one input")]
    [InlineData("interval: 0s\n", "below the minimum 1s")]
    public void A_wrong_definition_is_refused_with_its_place_and_what_would_be_right(string text, string part)
    {
        ConfigResult<KpiSet> read = KpiFiles.Parse(text, "kpi.yaml");
        Assert.False(read.IsOk);
        Assert.Contains(read.Errors, e => e.ToString().Contains(part, StringComparison.Ordinal));
    }

    [Fact]
    public void What_definitions_say_of_each_other_is_checked_beside_one_that_is_wrong_in_itself()
    {
        ConfigResult<KpiSet> read = KpiFiles.Parse("""
            kpis:
              - {name: wrong, unit: euros, exprr: x}
              - {name: twice, expr: x}
              - {name: missing, index: {inputs: [{kpi: twise}, {kpi: wrong}]}}
              - {name: a, expr: 'sum(kpi:b)'}
              - {name: b, expr: 'sum(kpi:a)'}
              - {name: on_wrong, unit: seconds, by: [org], expr: 'kpi:wrong:euros'}
            """, "kpi.yaml");
        Assert.Equal(
            [
                "kpi.yaml:2:5: kpis[0]: has no value; give one of 'expr', 'ratio', 'exact' and 'index'",
                "kpi.yaml:2:32: kpis[0].exprr: unknown key 'exprr'; did you mean 'expr'?",
                "kpi.yaml:4:44: kpis[2].index.inputs[0].kpi: there is no KPI 'twise'; did you mean 'twice'?",
                "kpi.yaml:5:5: kpis[3]: reads itself: a → b → a; let one of them read the past (offset), or leave one out",
            ],
            read.Errors.Select(e => e.ToString()));
    }

    [Fact]
    public void Units_and_break_downs_are_checked_beside_a_definition_that_is_wrong_in_itself()
    {
        ConfigResult<KpiSet> read = KpiFiles.Parse("""
            kpis:
              - {name: wrong, exprr: x}
              - {name: seconds, unit: seconds, expr: max(a_euros)}
              - {name: plain, expr: x, by: [org]}
            """, "kpi.yaml");
        Assert.Equal([2, 2, 3, 4], read.Errors.Select(e => e.Line));
        Assert.Contains("units do not go together", read.Errors[2].Message, StringComparison.Ordinal);
        Assert.Contains("cannot be broken down by org", read.Errors[3].Message, StringComparison.Ordinal);
    }

    /// <summary>What is looked for may stand where nothing could be read.</summary>
    [Theory]
    [InlineData("kpiss: [{name: b, expr: x}]\nkpis: [{name: a, index: {inputs: [{kpi: b, normalise: {target: 1}}]}}]\n")]
    [InlineData("kpis: [{name: a, index: {inputs: [{kpi: b, normalise: {target: 1}}]}}, {nme: b, expr: x}]\n")]
    [InlineData("kpis: [{name: a, index: {inputs: [{kpi: b, normalise: {target: 1}}]}}, b]\n")]
    public void Nothing_is_called_missing_while_not_all_names_are_known(string text)
    {
        ConfigResult<KpiSet> read = KpiFiles.Parse(text, "kpi.yaml");
        Assert.NotEmpty(read.Errors);
        Assert.DoesNotContain(read.Errors, e => e.Message.Contains("there is no KPI", StringComparison.Ordinal));
    }

    [Fact]
    public void A_circle_is_told_as_its_path()
    {
        ConfigResult<KpiSet> read = KpiFiles.Parse("""
            kpis:
              - {name: a, expr: 'sum(kpi:b) + 1'}
              - {name: b, index: {inputs: [{kpi: c, normalise: {target: 1}}]}}
              - {name: c, expr: 'max(kpi:a)'}
            """, "kpi.yaml");
        ConfigError error = Assert.Single(read.Errors);
        Assert.Contains("reads itself: a → b → c → a", error.Message, StringComparison.Ordinal);
        Assert.Equal(2, error.Line);
    }

    [Fact]
    public void Reading_the_own_past_is_no_circle()
    {
        Assert.True(KpiFiles.Parse("kpis:\n  - {name: a, expr: 'sum(x) - sum(kpi:a offset 1w)'}\n  - {name: b, expr: 'sum(x) / avg_over_time(kpi:b[1d])'}\n", "kpi.yaml").IsOk);
    }

    [Theory]
    [InlineData("{name: a, unit: euros, expr: sum(revenue_total_euros) + sum(http_request_duration_seconds_sum)}", "is euros and", "is seconds: '+' cannot join them")]
    [InlineData("{name: a, expr: sum(revenue_euros) > sum(cost_dollars)}", "is euros and", "is dollars")]
    [InlineData("{name: a, unit: seconds, expr: sum(revenue_total_euros)}", "the expression gives euros", "the unit says seconds")]
    [InlineData("{name: a, unit: percent, expr: 'histogram_quantile(0.9, sum by (le) (rate(x_seconds_bucket[5m])))'}", "gives seconds", "says percent")]
    [InlineData("{name: a, unit: euros, expr: sum(kpi:t:seconds) + sum(kpi:m:euros)}", "is seconds and", "is euros")]
    [InlineData("{name: a, unit: euros, index: {method: sum, inputs: [{kpi: m}, {kpi: t}]}}", "'m' is in euros", "'t' in seconds")]
    [InlineData("{name: a, unit: dollars, index: {method: sum, inputs: [{kpi: m}]}}", "the inputs are in euros", "the unit says dollars")]
    public void Units_that_do_not_go_together_are_refused(string kpi, string one, string other)
    {
        ConfigResult<KpiSet> read = KpiFiles.Parse($"kpis:\n  - {{name: t, unit: seconds, expr: max(t_seconds)}}\n  - {{name: m, unit: euros, expr: sum(m_euros)}}\n  - {kpi}\n", "kpi.yaml");
        Assert.False(read.IsOk);
        ConfigError error = Assert.Single(read.Errors);
        Assert.Equal(4, error.Line);
        Assert.Contains(one, error.Message, StringComparison.Ordinal);
        Assert.Contains(other, error.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("unit: euros/hour, expr: 'sum(rate(revenue_total_euros[5m])) * 3600'")]
    [InlineData("unit: euros/hour, expr: 'sum(increase(revenue_total_euros[1h]))'")]
    [InlineData("unit: ms, expr: 'histogram_quantile(0.95, sum by (le) (rate(x_seconds_bucket[5m]))) * 1000'")]
    [InlineData("unit: euros/user, expr: sum(revenue_total_euros) / max(active_users_current)")]
    [InlineData("unit: ratio, expr: 'sum(rate(node_cpu_seconds_total[5m]))'")]
    [InlineData("unit: minutes, expr: '(time() - max(last_run_timestamp_seconds)) / 60'")]
    [InlineData("unit: euros, expr: sum(energy_joules_total) * 0.0001")]
    [InlineData("unit: euros, expr: sum(cost_euros) + 5")]
    [InlineData("unit: orders, expr: 'sum(increase(orders_created_total[1h]))'")]
    public void Units_that_go_together_pass(string kpi)
    {
        ConfigResult<KpiSet> read = KpiFiles.Parse($"kpis:\n  - {{name: a, {kpi}}}\n", "kpi.yaml");
        Assert.True(read.IsOk, string.Join('\n', read.Errors));
    }

    [Fact]
    public void Kpis_that_read_each_other_are_one_group_in_the_order_in_which_they_need_each_other()
    {
        KpiSet set = KpiFiles.Parse("""
            interval: 30s
            kpis:
              - {name: index, unit: score, index: {inputs: [{kpi: late, weight: 3}, {kpi: early}]}}
              - {name: late, unit: percent, expr: 100 * sum(kpi:early:ratio)}
              - {name: early, unit: ratio, expr: avg(x)}
              - {name: alone, expr: sum(y)}
            """, "kpi.yaml").Value!;
        Assert.Equal(["index", "alone"], set.Groups.Select(g => g.Name));
        Assert.Equal(TimeSpan.FromSeconds(30), set.Groups[0].Interval);
        List<string> names = [.. set.Groups[0].Rules.Select(r => r.Name)];
        Assert.True(names.IndexOf("kpi:early:ratio") < names.IndexOf("kpi:late:percent"));
        Assert.True(names.IndexOf("kpi:late:percent") < names.IndexOf("kpi:index:score:share"));
        Assert.Equal("kpi:index:score", names[^1]);
    }

    [Fact]
    public void What_is_compiled_reads_back_as_a_rule_file_with_the_same_rules()
    {
        KpiSet set = KpiFiles.Parse("""
            interval: 30s
            kpis:
              - name: error_rate
                unit: percent
                direction: lower
                target: 1
                thresholds: {warning: 2, critical: 5}
                ratio: {part: 'sum(rate(http_requests_total{status=~"5.."}[5m]))', total: 'sum(rate(http_requests_total[5m]))'}
                by: [service, [service, method]]
              - {name: 'business:kpi:health', unit: score, index: {missing: skip, inputs: [{kpi: error_rate, normalise: {from: 5, to: 0}}, {name: 'odd "one"', expr: avg(up), weight: 2, normalise: {target: 1}}]}}
            """, "kpi.yaml").Value!;
        string text = RuleText.Print(set.Groups);
        ConfigResult<RuleSet> read = RuleFiles.Parse(text, "kpi.yaml", new RuleFileOptions());
        Assert.True(read.IsOk, string.Join('\n', read.Errors) + text);
        Assert.Equal(
            set.Groups.Select(g => (g.Name, g.Interval, g.Limit, string.Join('\n', g.Rules.Select(Line)))),
            read.Value.Groups.Select(g => (g.Name, g.Interval, g.Limit, string.Join('\n', g.Rules.Select(Line)))));
        Assert.Contains("kpi:error_rate:percent:by_service_method", text, StringComparison.Ordinal);

        static string Line(RuleDefinition rule) => $"{rule.Name} = {rule.Query} {string.Join(',', rule.Labels.Select(l => $"{l.Key}={l.Value.Text}"))}";
    }
}
