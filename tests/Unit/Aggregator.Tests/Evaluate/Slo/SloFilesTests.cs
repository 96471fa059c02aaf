using Bellwether.Core.Configuration;
using Bellwether.Evaluate.Slo;
using Bellwether.Evaluate.Slo.Compiling;
using Bellwether.Evaluate.Slo.Reading;

namespace Bellwether.Aggregator.Tests.Evaluate.Slo;

public sealed class SloFilesTests
{
    private const string Slis = """
        ---
        apiVersion: openslo/v1
        kind: SLI
        metadata: {name: cart}
        spec:
          ratioMetric:
            counter: true
            good: {metricSource: {metricSourceRef: prom, spec: {query: 'sum(cart_total{code="200"})'}}}
            total: {metricSource: {metricSourceRef: prom, spec: {query: cart_total}}}
        ---
        apiVersion: openslo/v1
        kind: SLI
        metadata: {name: pay}
        spec:
          ratioMetric:
            counter: true
            bad: {metricSource: {type: Prometheus, spec: {query: 'pay_total{code="500"}'}}}
            total: {metricSource: {type: Prometheus, spec: {query: pay_total}}}
        ---
        apiVersion: openslo/v1
        kind: DataSource
        metadata: {name: prom}
        spec: {type: Prometheus, connectionDetails: {url: here}}

        """;

    /// <summary>An OpenSLO file with a composite of two objectives.</summary>
    public static string Journey(string method, string first, string second) => $"""
        apiVersion: openslo/v1
        kind: SLO
        metadata: {"{"}name: journey{"}"}
        spec:
          service: shop
          timeWindow: [{"{"}duration: 1w, isRolling: true{"}"}]
          budgetingMethod: {method}
          objectives:
            - {first}
            - {second}

        """ + Slis;

    /// <summary>An OpenSLO file with a policy: burn rate over 30 minutes against 2 for 5 minutes.</summary>
    public static string WithPolicy(string op, bool noData = false, string reference = "burn") => $$$"""
        apiVersion: openslo/v1
        kind: SLO
        metadata: {name: buying}
        spec:
          service: shop
          timeWindow: [{duration: 30d, isRolling: true}]
          budgetingMethod: Occurrences
          indicatorRef: cart
          objectives: [{target: 0.99}]
          alertPolicies: [fast]
        ---
        apiVersion: openslo/v1
        kind: AlertPolicy
        metadata: {name: fast}
        spec:
          alertWhenBreaching: true
          alertWhenNoData: {{{(noData ? "true" : "false")}}}
          alertWhenResolved: false
          conditions: [{conditionRef: {{{reference}}}}]
          notificationTargets: [{targetRef: mail}]
        ---
        apiVersion: openslo/v1
        kind: AlertCondition
        metadata: {name: burn}
        spec: {severity: page, condition: {kind: burnrate, op: {{{op}}}, threshold: 2, lookbackWindow: 30m, alertAfter: 5m}}
        ---
        apiVersion: openslo/v1
        kind: AlertNotificationTarget
        metadata: {name: mail}
        spec: {target: email}

        """ + Slis;

    private static ConfigResult<SloSet> Read(string text) => SloFiles.Parse([("slo.yaml", text)]);

    [Theory]
    [InlineData("service: s\nslos:\n  - name: a\n    objective: 99.9\n", "slo.yaml:3:5: slos[0]: has no metric; write 'total' with 'good' or 'bad', or 'latency', 'value', or 'ratio'")]
    [InlineData("service: s\nslos:\n  - {name: a, objective: 99, total: x, bda: y}\n", "slos[0].bda: unknown key 'bda'; did you mean 'bad'?")]
    [InlineData("service: s\nslos:\n  - {name: a, objective: high, total: x, bad: y}\n", "slo.yaml:3:26: slos[0].objective: 'high' is not an objective")]
    [InlineData("service: s\nslos:\n  - {name: a, objective: 101, total: x, bad: y}\n", "101 is not between 0 (exclusive) and 100 percent")]
    [InlineData("service: s\nslos:\n  - {name: a, objective: 99, total: 'sum(', bad: y}\n", "slos[0].total: is not PromQL")]
    [InlineData("service: s\nslos:\n  - {name: a, objective: 99, total: 'max(x)', bad: y}\n", "of this no growth over a window can be told")]
    [InlineData("service: s\nslos:\n  - {name: a, objective: 99, total: x, bad: y, good: z}\n", "has good and bad; write only one")]
    [InlineData("service: s\nslos:\n  - {name: a, objective: 99, total: x, bad: y, calendar: month, timezone: Mars/Base}\n", "'Mars/Base' is not a time zone of the IANA database")]
    [InlineData("service: s\nslos:\n  - {name: a, objective: 99, total: x, bad: y, calendar: mounth}\n", "did you mean 'month'?")]
    [InlineData("service: s\nslos:\n  - {name: a, objective: 99, total: x, bad: y, slice_target: 95}\n", "slos[0].slice: is missing")]
    [InlineData("service: s\nslos:\n  - {name: a, objective: p95 < 500ms, total: x, bad: y}\n", "a percentile needs 'latency'")]
    [InlineData("slos:\n  - {name: a, objective: 99, total: x, bad: y}\n", "slos[0].service: is missing")]
    [InlineData("service: s\nslos:\n  - {name: a, objective: 99, total: x, bad: y}\n  - {name: a, objective: 99, total: x, bad: y}\n", "slo.yaml:4:5: slos[1]: objective 'a' of service 's' is there twice; first in slo.yaml:3")]
    [InlineData("service: s\nslos: []\n", "slos: is empty")]
    [InlineData("# nothing\n", "holds no document")]
    [InlineData("a: 1\n", "this is no SLO document")]
    [InlineData("apiVersion: v1\nkind: Pod\n", "'v1' with kind 'Pod' is not known")]
    [InlineData("version: prometheus/v2\nservice: s\nslos: []\n", "'prometheus/v2' is not known; there is: prometheus/v1")]
    [InlineData("version: prometheus/v1\nservice: s\nslos:\n  - {name: a, objective: 99, alerting: {name: A}, sli: {events: {error_query: 'rate(x[5m])', total_query: 'rate(x[{{.window}}])'}}}\n", "sli.events.error_query: has no {{.window}}")]
    [InlineData("version: prometheus/v1\nservice: s\nslos:\n  - {name: a, objective: 99, alerting: {name: A}, sli: {}}\n", "slos[0].sli: is empty")]
    [InlineData("version: prometheus/v1\nservice: s\nslos:\n  - {name: a, objective: 99, sli: {raw: {error_ratio_query: 'x[{{.window}}]'}}}\n", "must give a vector")]
    [InlineData("version: prometheus/v1\nservice: s\nslos:\n  - {name: a, objective: 99, sli: {raw: {error_ratio_query: 'avg_over_time(x[{{.window}}])'}}}\n", "alerting.name: is missing: the alerts need a name")]
    [InlineData("version: prometheus/v1\nservice: s\nslos:\n  - {name: a, objective: 99, alerting: {name: A}, sli: {plugin: {id: p}}}\n", "write the queries that it gives")]
    [InlineData("apiVersion: pyrra.dev/v1alpha1\nkind: ServiceLevelObjective\nmetadata: {name: a}\nspec: {target: '99', window: 4w, indicator: {latency: {success: {metric: 'b{'}, total: {metric: c}}}}\n", "is not PromQL")]
    [InlineData("apiVersion: pyrra.dev/v1alpha1\nkind: ServiceLevelObjective\nmetadata: {name: a}\nspec: {target: '99', window: 4w, indicator: {latency: {success: {metric: b_bucket}, total: {metric: b_count}}}}\n", "has no le=")]
    [InlineData("apiVersion: openslo/v1\nkind: SLOO\nmetadata: {name: a}\nspec: {}\n", "did you mean 'SLO'?")]
    [InlineData("apiVersion: openslo/v1\nkind: Service\nmetadata: {name: A_b}\nspec: {}\n", "metadata.name: 'A_b' is no name")]
    [InlineData("apiVersion: openslo/v1\nkind: SLO\nmetadata: {name: a}\nspec: {service: s, budgetingMethod: Occurrences, indicatorRef: i, timeWindow: [{duration: 30s, isRolling: true}], objectives: [{target: 0.9}]}\n", "'30s' is not a duration")]
    [InlineData("apiVersion: openslo/v1\nkind: SLO\nmetadata: {name: a}\nspec: {service: s, budgetingMethod: Occurrences, indicatorRef: i, timeWindow: [{duration: 30d, isRolling: true}], objectives: [{target: 1}]}\n", "1 is not between 0 and 1 (exclusive)")]
    [InlineData("apiVersion: openslo/v1\nkind: SLO\nmetadata: {name: a}\nspec: {service: s, budgetingMethod: Timeslices, indicatorRef: i, timeWindow: [{duration: 30d, isRolling: true}], objectives: [{target: 0.9}]}\n", "timeSliceTarget: is missing")]
    [InlineData("apiVersion: openslo/v1\nkind: SLO\nmetadata: {name: a}\nspec: {service: s, budgetingMethod: Occurrences, indicatorRef: i, timeWindow: [{duration: 1M, calendar: {startTime: yesterday, timeZone: Europe/Berlin}}], objectives: [{target: 0.9}]}\n", "'yesterday' is not a time")]
    [InlineData("apiVersion: openslo/v1\nkind: SLO\nmetadata: {name: a}\nspec: {service: s, budgetingMethod: Occurrences, timeWindow: [{duration: 30d, isRolling: true}], objectives: [{target: 0.9}]}\n", "has no indicator")]
    public void A_wrong_file_is_refused_with_its_place_and_what_would_be_right(string text, string part)
    {
        ConfigResult<SloSet> read = Read(text);
        Assert.False(read.IsOk);
        Assert.Contains(read.Errors, e => e.ToString().Contains(part, StringComparison.Ordinal));
        Assert.All(read.Errors, e => Assert.Equal("slo.yaml", e.File));
    }

    [Fact]
    public void Names_that_documents_use_of_each_other_are_looked_up_over_all_files()
    {
        string[] parts = WithPolicy("gte").Split("---", 2);
        ConfigResult<SloSet> read = SloFiles.Parse([("a.yaml", parts[0]), ("b.yaml", parts[1])]);
        Assert.True(read.IsOk, string.Join('\n', read.Errors));
        Assert.Equal(("shop-buying", 99m, ">=", 2.0), (read.Value.Slos[0].Id, read.Value.Slos[0].ObjectivePercent, read.Value.Slos[0].Policies[0].Operator, read.Value.Slos[0].Policies[0].Threshold));
        Assert.Contains(SloFiles.Parse([("a.yaml", parts[0])]).Errors, e => e.Message == "there is no SLI 'cart'" && e.Line == 8);
        Assert.Contains(Read(WithPolicy("gte", reference: "burm")).Errors, e => e.Message == "there is no AlertCondition 'burm'; did you mean 'burn'?");
    }

    [Fact]
    public void Names_are_looked_up_beside_a_document_that_is_wrong_in_itself_unless_its_own_name_is_not_known()
    {
        string policy = WithPolicy("gte", reference: "burm");
        const string Wrong = "\n---\napiVersion: openslo/v1\nkind: Service\nmetadata: {name: A_b}\nspec: {}\n";
        Assert.Equal(["there is no AlertCondition 'burm'; did you mean 'burn'?", "'A_b' is no name"], Read(policy + Wrong).Errors.Select(e => e.Message.Split(':')[0]).Order(StringComparer.Ordinal).Reverse());
        foreach (string unknown in new[] { "\n---\na: [\n", "\n---\napiVersion: openslo/v1\nkind: AlertCondition\nspec: {}\n", "\n---\napiVersion: opnslo/v1\nkind: AlertCondition\nmetadata: {name: burm}\n" })
        {
            IReadOnlyList<ConfigError> errors = Read(policy + unknown).Errors;
            Assert.NotEmpty(errors);
            Assert.DoesNotContain(errors, e => e.Message.StartsWith("there is no", StringComparison.Ordinal));
        }
    }

    [Fact]
    public void A_metric_source_that_cannot_be_asked_is_refused()
    {
        ConfigResult<SloSet> read = Read(Journey("Occurrences", "{target: 0.9, indicatorRef: cart}", "{target: 0.9, indicatorRef: pay}").Replace("type: Prometheus, connectionDetails", "type: Datadog, connectionDetails", StringComparison.Ordinal));
        Assert.Contains(read.Errors, e => e.Message == "a metric source of type 'Datadog' cannot be asked; there are: Prometheus, Bellwether");
    }

    [Fact]
    public void A_policy_that_fires_while_all_is_well_is_warned_of() =>
        Assert.Contains(Read(WithPolicy("lte")).Value!.Warnings, w => w.Message.Contains("that is while all is well", StringComparison.Ordinal));

    [Fact]
    public void A_key_that_Sloth_would_pass_over_is_told()
    {
        ConfigResult<SloSet> read = Read("version: prometheus/v1\nservice: s\nslos:\n  - {name: a, objective: 99, alerting: {name: A, pageAlert: {disable: true}}, sli: {raw: {error_ratio_query: 'avg_over_time(x[{{.window}}])'}}}\n");
        Assert.Contains(read.Value!.Warnings, w => w.Message == "unknown key 'pageAlert'; did you mean 'page_alert'? (it has no effect)");
    }

    [Theory]
    [InlineData("90", 2, "the page alert over 1h and 5m can never fire: it needs an error ratio above 14.4 × 0.1 = 1.44")]
    [InlineData("10", 4, "the ticket alert over 1d and 2h can never fire")]
    [InlineData("93.1", 0, "")]
    [InlineData("100", 1, "leaves no error budget")]
    public void An_objective_whose_alert_can_never_fire_is_warned_of(string objective, int most, string part)
    {
        SloSet set = Read($"service: s\nslos:\n  - {{name: a, objective: {objective}, total: x, bad: y}}\n").Value!;
        IReadOnlyList<ConfigError> warnings = SloCompiler.Compile(set, new CountStyleOptions())[0].Warnings;
        Assert.InRange(warnings.Count, most == 0 ? 0 : 1, most);
        Assert.Contains(warnings.Select(w => w.Message).Append(""), m => m.Contains(part, StringComparison.Ordinal));
        Assert.All(warnings, w => Assert.Equal(3, w.Line));
    }

    [Fact]
    public void The_factors_are_those_of_the_workbook()
    {
        TimeSpan month = TimeSpan.FromDays(30);
        BurnWindows table = BurnWindows.For(month, []);
        Assert.Equal([14.4, 6], table.Page.Select(w => w.Factor(month)));
        Assert.Equal([3, 1], table.Ticket.Select(w => w.Factor(month)));
        Assert.Empty(BurnWindows.For(TimeSpan.FromHours(12), []).Ticket);
        ConfigResult<SloSet> own = Read("apiVersion: sloth.slok.dev/v1\nkind: AlertWindows\nspec:\n  sloPeriod: 10d\n  page:\n    quick: {errorBudgetPercent: 3, shortWindow: 5m, longWindow: 1h}\n    slow: {errorBudgetPercent: 5, shortWindow: 30m, longWindow: 6h}\n  ticket:\n    quick: {errorBudgetPercent: 10, shortWindow: 2h, longWindow: 1d}\n    slow: {errorBudgetPercent: 10, shortWindow: 6h, longWindow: 3d}\n");
        Assert.Equal(7.2, BurnWindows.For(TimeSpan.FromDays(10), own.Value!.Windows).Page[0].Factor(TimeSpan.FromDays(10)), 12);
    }

    [Fact]
    public void Every_window_has_its_rules()
    {
        SloSet set = Read("service: s\nslos: [{name: a, objective: 99.9, total: x_total, bad: 'x_total{c=\"5\"}'}]").Value!;
        CompiledSlo slo = Assert.Single(SloCompiler.Compile(set, new CountStyleOptions()));
        foreach (string window in new[] { "5m", "30m", "1h", "2h", "6h", "1d", "3d", "30d" })
        {
            foreach (string metric in new[] { "slo:sli_total:count", "slo:sli_good:count", "slo:sli_error:ratio" })
                Assert.Single(slo.Groups.SelectMany(g => g.Rules), r => r.Name == metric + window && r.Labels["slo_window"] == window);
        }
        Assert.Equal("sum(increase(x_total[3d]))", slo.Groups[0].Rules.First(r => r.Name == "slo:sli_total:count3d").Expression);
    }

    [Theory]
    [InlineData("sum(rate(x{a=\"b\"}[5m]))", "sum(increase(x{a=\"b\"}[5m]))")]
    [InlineData("sum by (r) (rate(x[5m])) or vector(0)", "sum by (r) (increase(x[5m])) or vector(0)")]
    [InlineData("sum(rate(x[5m])) - sum(rate(y[5m]))", "sum(increase(x[5m])) - sum(increase(y[5m]))")]
    [InlineData("1 - histogram_fraction(0, 1, rate(x[5m]))", "1 - histogram_fraction(0, 1, rate(x[5m]))")]
    [InlineData("sum(rate(x[5m]) > bool 3)", "sum(rate(x[5m]) > bool 3)")]
    public void A_rate_becomes_a_count_where_the_sum_allows_it(string text, string count) => Assert.Equal(count, WindowedText.AsCount(text));

    [Fact]
    public void What_is_printed_loads_as_rules_again()
    {
        SloSet set = Read(WithPolicy("gt", noData: true)).Value!;
        IReadOnlyList<CompiledSlo> compiled = SloCompiler.Compile(set, new CountStyleOptions());
        var printed = Bellwether.Evaluate.Rules.RuleFiles.Parse(SloCompiler.ToRuleFile(compiled), "rules.yml", new());
        Assert.True(printed.IsOk, string.Join('\n', printed.Errors));
        Assert.Equal(SloCompiler.ToRules(compiled, new()).Value!.Groups.SelectMany(g => g.Rules).Select(r => (r.Name, r.Query)), printed.Value.Groups.SelectMany(g => g.Rules).Select(r => (r.Name, r.Query)));
    }
}
