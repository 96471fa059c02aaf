using System.Net;
using System.Text.Json;
using Bellwether.Aggregator.Tests.Evaluate.Slo;
using Bellwether.Evaluate.Slo;
using Bellwether.Serve.Rest;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.TestHost;
using Microsoft.Extensions.DependencyInjection;

namespace Bellwether.Aggregator.Tests.Serve.Rest;

public sealed class SloEndpointsTests : IAsyncLifetime, IDisposable
{
    private readonly SloSite _site = new("""
        service: shop
        slos:
          - {name: bad, description: Pages are served, objective: 99, total: requests_total, bad: 'requests_total{code="500"}'}
          - {name: good, objective: 90, calendar: month, total: requests_total, good: 'requests_total{code="200"}'}
          - {name: none, service: other, objective: 99.9, total: nothing_total, bad: 'nothing_total{code="500"}'}
          - {name: split, objective: 90, total: 'sum by (code) (requests_total)', good: 'sum by (code) (requests_total{code="200"})'}
        """);

    private WebApplication? _app;
    private HttpClient _client = new();

    public async Task InitializeAsync()
    {
        _site.Counter("requests_total", "code", "200", 61, _ => 95).Counter("requests_total", "code", "500", 61, _ => 5);
        await _site.RunAsync(60);
        WebApplicationBuilder builder = WebApplication.CreateEmptyBuilder(new());
        builder.WebHost.UseTestServer();
        builder.Services.AddRoutingCore();
        _app = builder.Build();
        _app.UseRouting();
        new SloEndpoints(new SloSources(() => _site.Slos, () => _site.Rules.Status, _site.Engine, _site.Store), _site.Time).Map(_app);
        await _app.StartAsync();
        _client = _app.GetTestClient();
    }

    public async Task DisposeAsync() => await _app!.DisposeAsync();

    public void Dispose()
    {
        _client.Dispose();
        _site.Dispose();
    }

    [Fact]
    public async Task The_list_tells_objective_window_sli_budget_burn_and_alerts_in_pages()
    {
        JsonElement first = await GetAsync("/api/v1/slos?limit=2");
        Assert.Equal(["other-none", "shop-bad"], first.GetProperty("slos").EnumerateArray().Select(s => s.GetProperty("id").GetString()));
        Assert.Equal("shop-bad", first.GetProperty("next").GetString());
        JsonElement bad = first.GetProperty("slos")[1];
        Assert.Equal((99.0, "30d", 0.95, -4.0, 5.0, "WARNING"), (bad.GetProperty("objective").GetDouble(), bad.GetProperty("window").GetProperty("name").GetString(), Rounded(bad, "sli"), Rounded(bad, "budgetRemaining"), Rounded(bad, "currentBurnRate"), bad.GetProperty("state").GetString()));
        Assert.Equal([("page", "inactive"), ("ticket", "firing")], bad.GetProperty("alerts").EnumerateArray().Select(a => (a.GetProperty("severity").GetString()!, a.GetProperty("state").GetString()!)));
        JsonElement hour = Assert.Single(bad.GetProperty("series").EnumerateArray()).GetProperty("windows")[2];
        Assert.Equal(("1h", 0.05, 5.0), (hour.GetProperty("window").GetString(), Rounded(hour, "errorRatio"), Rounded(hour, "burnRate")));
        Assert.InRange(hour.GetProperty("total").GetDouble(), 5_900, 6_100);
        JsonElement none = first.GetProperty("slos")[0];
        Assert.Equal((true, "UNKNOWN", JsonValueKind.Null), (none.GetProperty("absent").GetBoolean(), none.GetProperty("state").GetString(), none.GetProperty("sli").ValueKind));
        JsonElement second = await GetAsync("/api/v1/slos?limit=2&after=shop-bad");
        Assert.Equal(["shop-good", "shop-split"], second.GetProperty("slos").EnumerateArray().Select(s => s.GetProperty("id").GetString()));
        Assert.Equal(JsonValueKind.Null, second.GetProperty("next").ValueKind);
        Assert.Equal("shop-good", Assert.Single((await GetAsync("/api/v1/slos?service=shop&state=HEALTHY")).GetProperty("slos").EnumerateArray()).GetProperty("id").GetString());
    }

    [Fact]
    public async Task Broken_down_objectives_tell_each_series_and_the_worst_on_top()
    {
        JsonElement split = await GetAsync("/api/v1/slos/shop-split");
        Assert.Equal(["200", "500"], split.GetProperty("series").EnumerateArray().Select(s => s.GetProperty("labels").GetProperty("code").GetString()));
        Assert.Equal((0.0, "CRITICAL"), (Rounded(split, "sli"), split.GetProperty("state").GetString()));
    }

    [Fact]
    public async Task One_objective_has_its_burn_down_since_the_period_began_and_its_rules()
    {
        JsonElement good = await GetAsync("/api/v1/slos/shop-good?step=10m");
        // It has results for an hour only, of a month that began two weeks before.
        Assert.Equal("2027-01-15T08:00:00.000Z", good.GetProperty("start").GetString());
        Assert.Equal("2027-01-01T00:00:00.000Z", (await GetAsync("/api/v1/slos/shop-good?step=10m&start=2027-01-01T00:00:00Z")).GetProperty("start").GetString());
        Assert.Equal(("2027-01-01", "UTC", false), (good.GetProperty("window").GetProperty("period").GetString(), good.GetProperty("window").GetProperty("timeZone").GetString(), good.GetProperty("window").GetProperty("rolling").GetBoolean()));
        JsonElement history = Assert.Single(good.GetProperty("history").GetProperty("budgetRemaining").EnumerateArray());
        Assert.Equal("2027-01-01", history.GetProperty("labels").GetProperty("slo_period").GetString());
        Assert.Equal(0.5, Math.Round(history.GetProperty("points")[history.GetProperty("points").GetArrayLength() - 1][1].GetDouble(), 6));
        Assert.Contains(good.GetProperty("rules").EnumerateArray(), r => r.TryGetProperty("record", out JsonElement record) && record.GetString() == "slo:sli_total:count1M");
    }

    [Theory]
    [InlineData("/api/v1/slos?limit=0", HttpStatusCode.BadRequest, "limit: must be a whole number from 1 to 1000")]
    [InlineData("/api/v1/slos?time=soon", HttpStatusCode.BadRequest, "time: must be RFC 3339 or Unix seconds")]
    [InlineData("/api/v1/slos?state=fine", HttpStatusCode.BadRequest, "'fine' is no state")]
    [InlineData("/api/v1/slos/shop-bda", HttpStatusCode.NotFound, "did you mean 'shop-bad'?")]
    [InlineData("/api/v1/slos/shop-bad?start=10&end=5", HttpStatusCode.BadRequest, "is before start")]
    [InlineData("/api/v1/slos/shop-bad?step=1s&start=2027-01-01T00:00:00Z", HttpStatusCode.BadRequest, "take a longer step or a shorter range")]
    public async Task A_wrong_request_is_a_problem(string path, HttpStatusCode status, string part)
    {
        using HttpResponseMessage answer = await _client.GetAsync(new Uri(path, UriKind.Relative));
        Assert.Equal((status, "application/problem+json"), (answer.StatusCode, answer.Content.Headers.ContentType?.MediaType));
        Assert.Contains(part, (await JsonDocument.ParseAsync(await answer.Content.ReadAsStreamAsync())).RootElement.GetProperty("detail").GetString(), StringComparison.Ordinal);
    }

    [Fact]
    public void A_later_period_has_its_rules_before_it_begins()
    {
        Assert.Equal(1_801_440_000_000, _site.Slos.PeriodEndMs);
        SloRuleSet next = _site.Slos.At(_site.Slos.PeriodEndMs + 1);
        Assert.Equal(1_803_859_200_000, next.PeriodEndMs);
        Assert.Equal(["2027-02-01", "2027-03-01"], next.Groups.Single(g => g.Name == "slo-shop-good").Rules.Where(r => r.Name == "slo:sli_total:count1M").Select(r => r.Labels.Single(l => l.Key == "slo_period").Value.Text));
    }

    private static double Rounded(JsonElement element, string name) => Math.Round(element.GetProperty(name).GetDouble(), 6);

    private async Task<JsonElement> GetAsync(string path)
    {
        using HttpResponseMessage answer = await _client.GetAsync(new Uri(path, UriKind.Relative));
        string text = await answer.Content.ReadAsStringAsync();
        Assert.True(answer.StatusCode == HttpStatusCode.OK, text);
        Assert.NotNull(answer.Headers.ETag);
        return JsonDocument.Parse(text).RootElement;
    }
}
