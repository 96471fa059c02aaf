using Bellwether.Core.Model;
namespace Bellwether.Aggregator.Tests.Evaluate.Slo;

/// <summary>What the compiled rules give over made data.</summary>
public sealed class SloValueTests
{
    private const string Availability = """
        service: shop
        slos:
          - name: web
            objective: 99
            total: requests_total
            bad: requests_total{code="500"}
        """;

    [Fact]
    public async Task Uneven_traffic_weighs_by_events_not_by_time()
    {
        // An hour of 1,000 a minute without errors, then an hour of 10 a minute of which half fail.
        using var site = new SloSite(Availability);
        site.Counter("requests_total", "code", "200", 121, m => m < 60 ? 1000 : 5).Counter("requests_total", "code", "500", 121, m => m < 60 ? 0 : 5);
        await site.RunAsync(120);
        Assert.Equal(0.5, site.Ask("slo:sli_error:ratio5m"));
        // 300 bad of 60,600: the mean of the ratios would say 25 %.
        double ratio = site.Ask("slo:sli_error:ratio2h")!.Value;
        Assert.InRange(ratio, 0.0047, 0.0052);
        Assert.Equal(site.Ask("(slo:sli_total:count2h - slo:sli_good:count2h) / slo:sli_total:count2h"), ratio);
        Assert.Equal(site.Ask("1 - slo:sli_error:ratio30d / 0.01"), site.Ask("slo:period_error_budget_remaining:ratio"));
        Assert.Equal(50, site.Ask("slo:current_burn_rate:ratio"));
    }

    [Fact]
    public async Task No_traffic_is_no_number_and_ends_none()
    {
        using var site = new SloSite(Availability);
        site.Counter("requests_total", "code", "200", 121, m => m < 60 ? 100 : 0).Counter("requests_total", "code", "500", 121, m => m is >= 30 and < 60 ? 10 : 0);
        await site.RunAsync(120);
        Assert.Equal(0, site.Ask("slo:sli_total:count5m"));
        Assert.Null(site.Ask("slo:sli_error:ratio5m"));
        Assert.Null(site.Ask("slo:current_burn_rate:ratio"));
        Assert.InRange(site.Ask("slo:sli_error:ratio2h")!.Value, 0.047, 0.049);
        Assert.InRange(site.Ask("slo:period_burn_rate:ratio")!.Value, 4.7, 4.9);
    }

    [Fact]
    public async Task No_series_of_errors_while_there_is_a_total_is_no_error()
    {
        using var site = new SloSite(Availability);
        site.Counter("requests_total", "code", "200", 31, _ => 100);
        await site.RunAsync(30);
        Assert.Equal(0, site.Ask("slo:sli_error:ratio5m"));
        Assert.Equal(1, site.Ask("slo:period_error_budget_remaining:ratio"));
        Assert.Empty(site.Firing);
    }

    [Fact]
    public async Task No_series_of_good_events_while_there_is_a_total_is_all_bad()
    {
        using var site = new SloSite("""
            service: shop
            slos: [{name: web, objective: 99.9% availability, total: requests_total, good: 'requests_total{code="200"}'}]
            """);
        site.Counter("requests_total", "code", "500", 31, _ => 100);
        await site.RunAsync(30);
        Assert.Equal(1, site.Ask("slo:sli_error:ratio5m"));
        Assert.Contains("SloErrorBudgetBurn/page", site.Firing);
    }

    [Fact]
    public async Task No_data_at_all_is_no_number()
    {
        using var site = new SloSite(Availability);
        await site.RunAsync(30);
        Assert.Null(site.Ask("slo:sli_total:count5m"));
        Assert.Null(site.Ask("slo:period_error_budget_remaining:ratio"));
        Assert.Equal(0.99, site.Ask("slo:objective:ratio"));
    }

    [Fact]
    public async Task Under_even_traffic_the_default_style_agrees_with_Sloths()
    {
        const string file = """
            version: prometheus/v1
            service: shop
            slos:
              - name: web
                objective: 99
                sli:
                  events:
                    error_query: sum(rate(requests_total{code="500"}[{{.window}}]))
                    total_query: sum(rate(requests_total[{{.window}}]))
                alerting: {name: Web}
            """;
        using var ours = new SloSite(file);
        using var sloth = new SloSite(file, asSloth: true);
        foreach (SloSite site in new[] { ours, sloth })
        {
            site.Counter("requests_total", "code", "200", 121, _ => 90).Counter("requests_total", "code", "500", 121, _ => 10);
            await site.RunAsync(120);
        }
        foreach (string window in new[] { "5m", "30m", "1h", "30d" })
            Assert.Equal(sloth.Ask("slo:sli_error:ratio_rate" + window), ours.Ask("slo:sli_error:ratio" + window));
        Assert.Equal(sloth.Ask("1 - slo:sli_error:ratio_rate30d / 0.01"), ours.Ask("slo:period_error_budget_remaining:ratio"));
        Assert.Equal(sloth.Ask("slo:sli_error:ratio_rate5m / 0.01"), ours.Ask("slo:current_burn_rate:ratio"));
        Assert.Equal(["Web/page", "Web/ticket"], ours.Firing.Order());
    }

    [Fact]
    public async Task Page_and_ticket_fire_when_both_windows_burn_and_end_with_the_short_one()
    {
        using var site = new SloSite(Availability);
        site.Counter("requests_total", "code", "200", 200, m => m < 60 ? 80 : 100).Counter("requests_total", "code", "500", 200, m => m < 60 ? 20 : 0);
        await site.RunAsync(60);
        Assert.Equal(["SloErrorBudgetBurn/page", "SloErrorBudgetBurn/ticket"], site.Firing.Order());
        await site.RunAsync(100);
        Assert.DoesNotContain("SloErrorBudgetBurn/page", site.Firing);
    }

    [Fact]
    public async Task Time_slices_count_minutes_not_events()
    {
        using var site = new SloSite("""
            service: shop
            slos: [{name: web, objective: 90, slice: 1m, slice_target: 95, total: requests_total, bad: 'requests_total{code="500"}'}]
            """);
        // Every tenth minute half of very few requests fail; in all others each hundredth of many.
        site.Counter("requests_total", "code", "200", 121, m => m % 10 == 9 ? 2 : 990).Counter("requests_total", "code", "500", 121, m => m % 10 == 9 ? 2 : 10);
        await site.RunAsync(120);
        Assert.Equal(60, site.Ask("slo:sli_total:count1h"));
        Assert.InRange(site.Ask("slo:sli_error:ratio1h")!.Value, 0.0999, 0.101);
    }

    [Fact]
    public async Task Ratio_time_slices_are_the_mean_of_the_slices()
    {
        using var site = new SloSite("""
            service: shop
            slos: [{name: web, objective: 90, slice: 5m, total: requests_total, bad: 'requests_total{code="500"}'}]
            """);
        site.Counter("requests_total", "code", "200", 121, m => m < 60 ? 1000 : 5).Counter("requests_total", "code", "500", 121, m => m < 60 ? 0 : 5);
        await site.RunAsync(120);
        Assert.Equal(12, site.Ask("slo:sli_total:count1h"));
        Assert.InRange(site.Ask("slo:sli_error:ratio2h")!.Value, 0.24, 0.28);
    }

    [Fact]
    public async Task A_threshold_counts_the_samples_that_hold_it()
    {
        using var site = new SloSite("""
            service: ci
            slos: [{name: queue, objective: 90th percentile < 120s wait time, value: queue_wait_seconds}]
            """);
        site.Gauge("queue_wait_seconds", 120, m => m % 5 == 0 ? 200 : 20);
        await site.RunAsync(120);
        Assert.Equal((60, 48), (site.Ask("slo:sli_total:count1h"), site.Ask("slo:sli_good:count1h")));
        Assert.Equal(0.2, site.Ask("slo:sli_error:ratio1h"));
    }

    [Fact]
    public async Task A_latency_objective_on_a_native_histogram_counts_what_lies_below_its_bound()
    {
        using var site = new SloSite("""
            service: shop
            slos: [{name: api, objective: 95th percentile < 1s, latency: 'http_seconds{job="api"}', native: true}]
            """);
        for (int k = 0; k <= 31 * 4; k++)
        {
            // Of each hundred 80 between a half and one second, 20 between one and two.
            var histogram = new NativeHistogram { Schema = 0, Count = 100 * k, Sum = 90 * k, PositiveSpans = [new(0, 2)], PositiveBuckets = [80 * k, 20 * k] };
            await site.Store.AppendAsync(new SampleBatch { Samples = { new SeriesSample(Labels.Of("__name__", "http_seconds", "job", "api"), SloSite.StartMs + (k * 15_000L), 0, histogram) } }, default);
        }
        await site.RunAsync(30);
        Assert.Equal((0.2, -3.0), (site.Ask("slo:sli_error:ratio5m"), site.Ask("slo:period_error_budget_remaining:ratio")));
        Assert.Equal(2000, site.Ask("slo:sli_total:count5m"));
    }

    [Fact]
    public async Task A_latency_objective_counts_the_bucket_of_its_bound()
    {
        using var site = new SloSite("""
            service: gitlab
            slos: [{name: api, objective: 95th percentile < 500ms response time, latency: http_seconds}]
            """);
        site.Counter("http_seconds_bucket", "le", "0.5", 61, _ => 96).Counter("http_seconds_bucket", "le", "+Inf", 61, _ => 100).Counter("http_seconds_count", "job", "api", 61, _ => 100);
        await site.RunAsync(60);
        Assert.Equal(0.04, site.Ask("slo:sli_error:ratio1h"));
        Assert.Equal(0.2, site.Ask("slo:period_error_budget_remaining:ratio"));
    }

    [Fact]
    public async Task A_composite_with_occurrences_weighs_burn_rates_and_leaves_out_who_has_no_traffic()
    {
        using var site = new SloSite(SloFilesTests.Journey("Occurrences", "{target: 0.99, compositeWeight: 3, indicatorRef: cart}", "{target: 0.9, indicatorRef: pay}"));
        site.Counter("cart_total", "code", "200", 121, _ => 98).Counter("cart_total", "code", "500", 121, _ => 2);
        site.Counter("pay_total", "code", "200", 121, m => m < 60 ? 60 : 0).Counter("pay_total", "code", "500", 121, m => m < 60 ? 40 : 0);
        await site.RunAsync(60);
        // (3 × 2 + 1 × 4) ÷ 4
        Assert.Equal(2.5, site.Ask("slo:burn_rate:ratio5m"));
        await site.RunAsync(120);
        Assert.Equal(2, site.Ask("slo:burn_rate:ratio5m"));
        Assert.Equal(site.Ask("1 - slo:burn_rate:ratio1w"), site.Ask("slo:period_error_budget_remaining:ratio{slo_name=\"journey\"}"));
    }

    [Fact]
    public async Task A_composite_with_time_slices_is_bad_when_any_member_is()
    {
        using var site = new SloSite(SloFilesTests.Journey("Timeslices", "{target: 0.9, timeSliceTarget: 0.95, timeSliceWindow: 1m, indicatorRef: cart}", "{target: 0.9, timeSliceTarget: 0.95, timeSliceWindow: 1m, indicatorRef: pay}"));
        site.Counter("cart_total", "code", "200", 121, _ => 100).Counter("cart_total", "code", "500", 121, m => m % 10 == 0 ? 100 : 0);
        site.Counter("pay_total", "code", "200", 121, _ => 100).Counter("pay_total", "code", "500", 121, m => m % 10 == 5 ? 100 : 0);
        await site.RunAsync(120);
        Assert.InRange(site.Ask("slo:sli_error:ratio1h")!.Value, 0.199, 0.201);
    }

    [Fact]
    public async Task A_composite_with_ratio_time_slices_adds_up_what_the_members_miss()
    {
        using var site = new SloSite(SloFilesTests.Journey("RatioTimeslices", "{target: 0.9, timeSliceWindow: 1m, indicatorRef: cart}", "{target: 0.9, timeSliceWindow: 1m, indicatorRef: pay}"));
        site.Counter("cart_total", "code", "200", 61, _ => 95).Counter("cart_total", "code", "500", 61, _ => 5).Counter("pay_total", "code", "200", 61, _ => 95).Counter("pay_total", "code", "500", 61, _ => 5);
        await site.RunAsync(60);
        Assert.Equal(0.1, site.Ask("slo:sli_error:ratio30m"));
    }

    [Fact]
    public async Task A_calendar_period_begins_anew_and_its_budget_of_slices_never_grows_back()
    {
        // 31 January 2027, 23:00 in Berlin: an hour before the month ends.
        const long start = 1_801_432_800_000;
        using var site = new SloSite("""
            service: shop
            slos:
              - {name: web, objective: 99, calendar: month, timezone: Europe/Berlin, total: requests_total, bad: 'requests_total{code="500"}'}
              - {name: slices, objective: 99, calendar: month, timezone: Europe/Berlin, slice: 1m, slice_target: 95, total: requests_total, bad: 'requests_total{code="500"}'}
            """, startMs: start);
        site.Counter("requests_total", "code", "200", 181, _ => 90).Counter("requests_total", "code", "500", 181, m => m is < 60 or >= 120 ? 10 : 0);
        await site.RunAsync(60);
        Assert.InRange(site.Ask("slo:sli_error:ratio1M{slo_name=\"web\", slo_period=\"2027-01-01\"}")!.Value, 0.099, 0.101);
        double before = site.Ask("slo:period_error_budget_remaining:ratio{slo_name=\"slices\"}")!.Value;
        Assert.InRange(before, 1 - (61 / 446.4), 1 - (58 / 446.4));
        await site.RunAsync(115);
        Assert.Null(site.Ask("slo:sli_error:ratio1M{slo_name=\"web\", slo_period=\"2027-01-01\"}"));
        Assert.Equal(0, site.Ask("slo:sli_error:ratio1M{slo_name=\"web\", slo_period=\"2027-02-01\"}"));
        Assert.Equal(1, site.Ask("slo:period_error_budget_remaining:ratio{slo_name=\"slices\"}"));
        await site.RunAsync(180);
        // 60 bad slices of the 40,320 of February: 14.9 % of the budget, however many good ones follow.
        Assert.InRange(site.Ask("slo:period_error_budget_remaining:ratio{slo_name=\"slices\"}")!.Value, 1 - (61 / 403.2), 1 - (54 / 403.2));
        Assert.InRange(site.Ask("slo:period_burn_rate:ratio{slo_name=\"web\", slo_period=\"2027-02-01\"}")!.Value, 4.5, 5.6);
    }

    [Fact]
    public async Task An_alert_policy_becomes_a_rule_and_tells_of_no_data()
    {
        using var site = new SloSite(SloFilesTests.WithPolicy("gte", noData: true));
        site.Counter("cart_total", "code", "200", 100, m => m < 60 ? 97 : -1).Counter("cart_total", "code", "500", 100, m => m < 60 ? 3 : -1);
        await site.RunAsync(4);
        Assert.Empty(site.Firing);
        await site.RunAsync(30);
        Assert.Equal(["fast/page"], site.Firing);
        await site.RunAsync(150);
        Assert.Equal(1, site.Ask("ALERTS{alertname=\"fast\", slo_no_data=\"true\", alertstate=\"firing\", notify=\"mail\"}"));
    }

    [Fact]
    public async Task An_objective_of_all_has_no_budget_and_burns_without_bound()
    {
        using var site = new SloSite("service: shop\nslos: [{name: web, objective: 100, total: requests_total, bad: 'requests_total{code=\"500\"}'}]");
        site.Counter("requests_total", "code", "200", 61, _ => 90).Counter("requests_total", "code", "500", 61, m => m >= 50 ? 1 : 0);
        await site.RunAsync(40);
        Assert.Equal((0, 1), (site.Ask("slo:current_burn_rate:ratio"), site.Ask("slo:period_error_budget_remaining:ratio")));
        await site.RunAsync(60);
        Assert.Equal(double.PositiveInfinity, site.Ask("slo:current_burn_rate:ratio"));
        Assert.Contains("SloErrorBudgetBurn/page", site.Firing);
    }

    [Fact]
    public async Task A_ratio_that_is_there_already_is_averaged_over_its_samples()
    {
        using var site = new SloSite("service: probe\nslos: [{name: up, objective: 90, ratio: probe_success}]");
        site.Gauge("probe_success", 120, m => m % 4 == 0 ? 0 : 1);
        await site.RunAsync(120);
        Assert.Equal(0.25, site.Ask("slo:sli_error:ratio1h"));
        Assert.Equal(60, site.Ask("slo:sli_total:count1h"));
    }
}
