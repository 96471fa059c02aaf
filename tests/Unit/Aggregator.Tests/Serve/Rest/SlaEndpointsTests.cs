using System.Net;
using System.Text.Json;
using Bellwether.Aggregator.Tests.Evaluate.Kpi;
using Bellwether.Aggregator.Tests.Evaluate.Kpi.Sla;
using Bellwether.Core.Model;
using Bellwether.Evaluate.Kpi;
using Bellwether.Serve.Rest;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.TestHost;
using Microsoft.Extensions.DependencyInjection;

namespace Bellwether.Aggregator.Tests.Serve.Rest;

public sealed class SlaEndpointsTests
{
    [Fact]
    public async Task The_status_tells_each_promise_with_target_value_and_state_and_the_worst_of_all()
    {
        using var site = new KpiSite(SlaTests.Availability + """
            service_tiers:
              gold: {availability_target: 99.95}
            kpis:
              - {name: lag, title: Kafka Lag, unit: seconds, sla: true, direction: lower, target: 60, thresholds: {warning: 300, critical: 900}, expr: max(lag_seconds)}
            """);
        site.Counter("http_requests_total{code=200,tier=gold}", 999.3).Counter("http_requests_total{code=500,tier=gold}", 0.7).Gauge("lag_seconds", 45);
        await site.RunAsync();
        await using WebApplication app = await StartAsync(site);
        JsonElement answer = await GetAsync(app, "/api/v1/sla/status");
        Assert.Equal("CRITICAL", answer.GetProperty("overall_status").GetString());
        Assert.Equal(
            [("Kafka Lag", "", 60.0, 45.0, "HEALTHY"), ("availability", "", 99.9, 99.93, "HEALTHY"), ("availability", "gold", 99.95, 99.93, "CRITICAL")],
            answer.GetProperty("sla_checks").EnumerateArray().Select(c => (c.GetProperty("metric").GetString(), c.GetProperty("tier").GetString(), c.GetProperty("target").GetDouble(), Math.Round(c.GetProperty("actual").GetDouble(), 6), c.GetProperty("status").GetString())));
        JsonElement gold = await GetAsync(app, "/api/v1/sla/status?tier=gold");
        Assert.Equal("2m", Assert.Single(gold.GetProperty("sla_checks").EnumerateArray()).GetProperty("grace_period").GetString());
        Assert.Contains("there are: gold", await ProblemAsync(app, "/api/v1/sla/status?tier=golden", HttpStatusCode.BadRequest), StringComparison.Ordinal);
        Assert.Contains("RFC 3339", await ProblemAsync(app, "/api/v1/sla/status?time=x", HttpStatusCode.BadRequest), StringComparison.Ordinal);
    }

    [Fact]
    public async Task The_report_of_a_month_tells_the_numbers_before_and_after_planned_work()
    {
        using KpiSite site = SlaTests.Month();
        site.Time.Advance(DateTimeOffset.Parse("2027-02-02T00:00:00Z", null) - site.Time.GetUtcNow());
        await using WebApplication app = await StartAsync(site);
        JsonElement month = Assert.Single((await GetAsync(app, "/api/v1/sla/report?month=2027-01&contract=acme")).GetProperty("contracts").EnumerateArray());
        Assert.Equal(("acme", "Acme", true, true, 0.0), (month.GetProperty("name").GetString(), month.GetProperty("customer").GetString(), month.GetProperty("met").GetBoolean(), month.GetProperty("over").GetBoolean(), month.GetProperty("credit_percent").GetDouble()));
        Assert.True(month.GetProperty("before").GetProperty("value").GetDouble() < 99.9);
        Assert.True(month.GetProperty("after").GetProperty("value").GetDouble() > 99.9);
        Assert.Equal(("database-upgrade", "operations"), (month.GetProperty("corrections")[0].GetProperty("maintenance").GetString(), month.GetProperty("corrections")[0].GetProperty("approved_by").GetString()));
        Assert.Contains("did you mean 'acme'", await ProblemAsync(app, "/api/v1/sla/report?month=2027-01&contract=acne", HttpStatusCode.NotFound), StringComparison.Ordinal);
        Assert.Contains("write for example 2026-10", await ProblemAsync(app, "/api/v1/sla/report?month=january", HttpStatusCode.BadRequest), StringComparison.Ordinal);
        Assert.Contains("is missing", await ProblemAsync(app, "/api/v1/sla/report", HttpStatusCode.BadRequest), StringComparison.Ordinal);
    }

    private static async Task<WebApplication> StartAsync(KpiSite site)
    {
        WebApplicationBuilder builder = WebApplication.CreateEmptyBuilder(new());
        builder.WebHost.UseTestServer();
        builder.Services.AddRoutingCore();
        WebApplication app = builder.Build();
        app.UseRouting();
        new SlaEndpoints(new KpiSources(site.Book, site.Engine, site.Store, new Unknown()), site.Time).Map(app);
        await app.StartAsync();
        return app;
    }

    private static async Task<JsonElement> GetAsync(WebApplication app, string path)
    {
        using HttpClient client = app.GetTestClient();
        using HttpResponseMessage response = await client.GetAsync(path);
        string body = await response.Content.ReadAsStringAsync();
        Assert.True(response.IsSuccessStatusCode, body);
        return JsonDocument.Parse(body).RootElement;
    }

    private static async Task<string> ProblemAsync(WebApplication app, string path, HttpStatusCode status)
    {
        using HttpClient client = app.GetTestClient();
        using HttpResponseMessage response = await client.GetAsync(path);
        Assert.Equal((status, "application/problem+json"), (response.StatusCode, response.Content.Headers.ContentType?.MediaType));
        return JsonDocument.Parse(await response.Content.ReadAsStringAsync()).RootElement.GetProperty("detail").GetString()!;
    }

    private sealed class Unknown : ICoverageSource
    {
        public Coverage Of(IReadOnlyCollection<Labels> series, long fromMs, long toMs, CancellationToken cancellation) => default;
    }
}
