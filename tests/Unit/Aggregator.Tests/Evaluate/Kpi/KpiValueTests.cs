using Bellwether.Core.Model;
using Bellwether.Evaluate.Kpi;

namespace Bellwether.Aggregator.Tests.Evaluate.Kpi;

public sealed class KpiValueTests
{
    [Fact]
    public async Task A_ratio_without_errors_is_zero_errors_and_without_data_is_absent()
    {
        using var site = new KpiSite("""
            kpis:
              - {name: good, unit: percent, ratio: {bad: 'sum(rate(http_requests_total{status=~"5.."}[5m]))', total: 'sum(rate(http_requests_total[5m]))'}, by: [job]}
              - {name: other, unit: ratio, ratio: {bad: 'sum(rate(nothing_total{status=~"5.."}[5m]))', total: 'sum(rate(nothing_total[5m]))'}}
            """);
        site.Counter("http_requests_total{status=200,job=a}", 97).Counter("http_requests_total{status=500,job=a}", 3).Counter("http_requests_total{status=200,job=b}", 100);
        await site.RunAsync();
        Assert.Equal(98.5, site.Value("good")!.Value, 9);
        Assert.Equal(97, site.Ask("kpi:good:percent:by_job")["job=a"], 9);
        Assert.Equal(100, site.Ask("kpi:good:percent:by_job")["job=b"], 9);
        Assert.Null(site.Value("other"));
    }

    [Fact]
    public async Task An_index_is_the_sum_of_its_contributions()
    {
        using var site = new KpiSite("""
            kpis:
              - {name: speed, unit: ms, direction: lower, target: 200, expr: max(speed_ms)}
              - {name: good, unit: percent, target: 99.9, expr: avg(good_percent)}
              - name: quality
                unit: score
                index:
                  inputs:
                    - {kpi: speed, weight: 1}
                    - {kpi: good, weight: 2, normalise: {from: 90, to: 100}}
                    - {name: rating, unit: score, expr: avg(rating), weight: 1, normalise: {from: 1, to: 5}}
            """);
        site.Gauge("speed_ms", 400).Gauge("good_percent", 95).Gauge("rating", 6);
        await site.RunAsync();
        IReadOnlyDictionary<string, double> parts = site.Ask("kpi:quality:score:contribution");
        Assert.Equal((12.5, 25.0, 25.0), (parts["input=speed"], parts["input=good"], parts["input=rating"]));
        Assert.Equal(62.5, site.Value("quality"));
    }

    [Fact]
    public async Task A_missing_input_takes_the_index_with_it_or_leaves_its_weight_to_the_others()
    {
        const string Inputs = "inputs: [{name: a, expr: avg(a), weight: 3, normalise: {target: 10}}, {name: b, expr: avg(b), normalise: {target: 10}}]";
        using var site = new KpiSite($"kpis:\n  - {{name: whole, index: {{{Inputs}}}}}\n  - {{name: part, index: {{missing: skip, {Inputs}}}}}\n");
        site.Gauge("a", 5);
        site.Series("b", 10, _ => 10);
        await site.RunAsync(5);
        Assert.Equal((62.5, 62.5), (site.Value("whole"), site.Value("part")));
        await site.RunAsync(30);
        Assert.Null(site.Value("whole"));
        Assert.Equal(50, site.Value("part"));
        Assert.Equal(["input=a"], site.Ask("kpi:part:contribution").Keys);
    }

    [Fact]
    public async Task States_follow_the_thresholds_and_nan_has_none()
    {
        using var site = new KpiSite("""
            kpis:
              - {name: lag, unit: seconds, direction: lower, target: 60, thresholds: {warning: 300, critical: 900}, expr: max(lag_seconds)}
              - {name: nan, direction: lower, thresholds: {warning: 300, critical: 900}, expr: max(zero) / max(zero)}
            """);
        site.Series("lag_seconds", 60, k => k == 10 ? 300 : k == 20 ? 301 : k == 30 ? 900.5 : 5).Gauge("zero", 0);
        await site.RunAsync();
        foreach ((int minute, double state) in new[] { (5, 0.0), (10, 0), (20, 1), (30, 2), (40, 0) })
            Assert.Equal(state, site.Ask("kpi:state", KpiSite.StartMs + (minute * 60_000L))["kpi=lag"]);
        Assert.DoesNotContain("kpi=nan", site.Ask("kpi:state").Keys);
        Assert.Equal(60, site.Ask("kpi:target")["kpi=lag"]);
        KpiDefinition lag = site.Book.Find("lag")!;
        Assert.Equal((KpiState.Healthy, KpiState.Warning, KpiState.Critical, KpiState.Unknown), (lag.StateOf(300), lag.StateOf(301), lag.StateOf(901), lag.StateOf(double.NaN)));
    }

    [Fact]
    public async Task A_break_down_goes_through_kpis_and_indexes()
    {
        using var site = new KpiSite("""
            kpis:
              - {name: revenue, unit: euros/hour, expr: 'sum(rate(revenue_total_euros[5m])) * 3600', by: [tier]}
              - {name: users, unit: users, expr: sum(active_users), by: [tier]}
              - {name: per_user, unit: euros/user, expr: 'sum(kpi:revenue:euros_per_hour) / sum(kpi:users:users)', by: [tier]}
              - {name: worth, unit: score, by: [tier], index: {inputs: [{kpi: per_user, normalise: {target: 10}}]}}
            """);
        site.Counter("revenue_total_euros{tier=gold,instance=1}", 1).Counter("revenue_total_euros{tier=gold,instance=2}", 1).Counter("revenue_total_euros{tier=bronze}", 1);
        site.Gauge("active_users{tier=gold}", 30).Gauge("active_users{tier=bronze}", 30);
        await site.RunAsync();
        Assert.Equal(3.0, site.Value("per_user")!.Value, 9);
        Assert.Equal((4.0, 2.0), (site.Ask("kpi:per_user:euros_per_user:by_tier")["tier=gold"], site.Ask("kpi:per_user:euros_per_user:by_tier")["tier=bronze"]));
        Assert.Equal((40.0, 20.0), (site.Ask("kpi:worth:score:by_tier")["tier=gold"], site.Ask("kpi:worth:score:by_tier")["tier=bronze"]));
    }

    [Fact]
    public async Task A_changed_definition_is_a_new_version_and_history_keeps_its_own()
    {
        using var site = new KpiSite("kpis:\n  - {name: a, title: One, expr: sum(x)}\n  - {name: b, expr: sum(x)}\n");
        site.Gauge("x", 7);
        await site.RunAsync(10);
        site.Change("kpis:\n  - {name: a, title: Two, expr: sum(x)}\n  - {name: b, expr: 2 * sum(x)}\n");
        await site.RunAsync(20);
        Assert.Single(site.Book.Versions("a"));
        Assert.Equal([(1, KpiSite.StartMs), (2, KpiSite.StartMs + 600_000)], site.Book.Versions("b").Select(v => (v.Number, v.FromMs)));
        Assert.Equal("sum(x)", site.Book.VersionAt("b", KpiSite.StartMs + 599_999)!.Expression);
        Assert.Equal("2 * sum(x)", site.Book.VersionAt("b", KpiSite.StartMs + 600_000)!.Expression);
        Assert.Equal((7.0, 14.0), (site.Ask("kpi:b", KpiSite.StartMs + 540_000)[""], site.Ask("kpi:b", KpiSite.StartMs + 660_000)[""]));
        site.Change("kpis:\n  - {name: a, expr: sum(x)}\n");
        Assert.Null(site.Book.VersionAt("b", site.Time.NowMs));
        Assert.NotNull(site.Book.VersionAt("b", KpiSite.StartMs + 660_000));
    }

    [Fact]
    public async Task A_version_says_what_was_changed_and_why()
    {
        using var site = new KpiSite("kpis:\n  - {name: a, unit: euros, expr: sum(x), target: 5}\n");
        site.Gauge("x", 7);
        await site.RunAsync(10);
        site.Change("kpis:\n  - {name: a, unit: euros, expr: 2 * sum(x), target: 6.5, reason: the prices of 2027}\n");
        await site.RunAsync(20);
        site.Change("kpis:\n  - {name: b, expr: sum(x)}\n");
        IReadOnlyList<KpiVersion> versions = site.Book.Versions("a");
        Assert.Equal(["", "the prices of 2027", ""], versions.Select(v => v.Reason));
        Assert.Equal(["", "expression: sum(x) → 2 * sum(x); target: 5 → 6.5", "taken out of the files"], versions.Select(v => string.Join("; ", v.Changes)));
    }

    [Fact]
    public async Task Division_by_zero_resets_nan_and_stale_inputs_are_what_promql_says()
    {
        using var site = new KpiSite("""
            kpis:
              - {name: over_zero, expr: sum(one) / sum(zero)}
              - {name: nothing_over_nothing, expr: sum(zero) / sum(zero), thresholds: {warning: 1}}
              - {name: nan_input, expr: sum(not_a_number) + sum(one)}
              - {name: after_reset, unit: orders, expr: 'sum(rate(orders_total[10m])) * 600'}
              - {name: gone, expr: sum(ended)}
              - {name: never, expr: sum(not_there)}
            """);
        site.Gauge("one", 1).Gauge("zero", 0).Gauge("not_a_number", double.NaN).Series("orders_total", 60, k => k <= 55 ? 10 * k : 10 * (k - 56));
        site.Series("ended", 60, k => k < 58 ? 4 : SpecialValues.StaleMarker);
        await site.RunAsync();
        Assert.Equal(double.PositiveInfinity, site.Value("over_zero"));
        Assert.Equal(double.NaN, site.Value("nothing_over_nothing"));
        Assert.DoesNotContain("kpi=nothing_over_nothing", site.Ask("kpi:state").Keys);
        Assert.Equal(double.NaN, site.Value("nan_input"));
        Assert.Equal(site.Ask("sum(rate(orders_total[10m])) * 600")[""], site.Value("after_reset"));
        Assert.InRange(site.Value("after_reset")!.Value, 80, 100);
        Assert.Null(site.Value("gone"));
        Assert.Equal(4, site.Ask("kpi:gone", KpiSite.StartMs + (57 * 60_000L))[""]);
        Assert.Null(site.Value("never"));
    }
}
