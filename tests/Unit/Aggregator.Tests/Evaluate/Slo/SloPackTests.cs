using Bellwether.Kit;

namespace Bellwether.Aggregator.Tests.Evaluate.Slo;

/// <summary>The ready-made SLO files over made data.</summary>
public sealed class SloPackTests
{
    private static SloSite Site(string pack) => new(File.ReadAllText(Path.Combine(SourceTree.Root, "packs", "slo", pack + ".yaml")));

    [Fact]
    public async Task The_platforms_objectives_have_budgets_and_burn_alerts()
    {
        using SloSite site = Site("platform");
        site.Counter("http_requests_total", "job=gitlab-web,code", "200", 61, _ => 998).Counter("http_requests_total", "job=gitlab-web,code", "502", 61, _ => 2);
        site.Counter("http_request_duration_seconds_bucket", "job=gitlab-api,le", "0.5", 61, _ => 99).Counter("http_request_duration_seconds_count", "job", "gitlab-api", 61, _ => 100);
        site.Counter("ci_job_queue_duration_seconds_bucket", "le", "120.0", 61, _ => 5).Counter("ci_job_queue_duration_seconds_count", "job", "ci", 61, _ => 10);
        site.Gauge("probe_success{service=database}", 61, m => m == 30 ? 0 : 1);
        await site.RunAsync(60);
        Assert.Equal(-1, site.Ask("slo:period_error_budget_remaining:ratio{slo_name=\"web\"}"));
        Assert.Equal(0.8, site.Ask("slo:period_error_budget_remaining:ratio{slo_name=\"api\"}"));
        Assert.Equal(-4, site.Ask("slo:period_error_budget_remaining:ratio{slo_name=\"build-queue\"}"));
        Assert.Equal(1.0 / 60, site.Ask("slo:sli_error:ratio1h{slo_name=\"database\"}")!.Value, 6);
        Assert.Equal(["build-queue/ticket", "database/ticket", "web/ticket"], Firing(site));
    }

    [Fact]
    public async Task The_payment_gateways_objectives_have_budgets_and_burn_alerts()
    {
        using SloSite site = Site("payments");
        site.Counter("http_requests_total", "status", "200", 61, _ => 1000);
        site.Counter("http_request_duration_seconds_bucket", "le", "0.2", 61, _ => 90).Counter("http_request_duration_seconds_count", "job", "api", 61, _ => 100);
        site.Counter("payment_processing_total", "status", "success", 61, _ => 99).Counter("payment_processing_total", "status", "failed", 61, _ => 1);
        await site.RunAsync(60);
        Assert.Equal(1, site.Ask("slo:period_error_budget_remaining:ratio{slo_name=\"availability\"}"));
        Assert.Equal(-1, site.Ask("slo:period_error_budget_remaining:ratio{slo_name=\"response-time\"}"));
        Assert.Equal(-1, site.Ask("slo:period_error_budget_remaining:ratio{slo_name=\"success\", slo_period=\"2027-01-01\"}"));
        Assert.Equal(["response-time/ticket", "success/ticket"], Firing(site));
    }

    private static IEnumerable<string> Firing(SloSite site) => site.Rules.Status.SelectMany(g => g.Rules).SelectMany(r => r.Alerts)
        .Where(a => a.State == Bellwether.Evaluate.Rules.AlertState.Firing).Select(a => $"{a.Labels.Get("slo_name")}/{a.Labels.Get("severity")}").Distinct().Order(StringComparer.Ordinal);
}
