using System.Net;
using System.Text.Json;
using Bellwether.Aggregator.Tests.Evaluate.Kpi;
using Bellwether.Core.Model;
using Bellwether.Evaluate.Kpi;
using Bellwether.Evaluate.Rules.Healing;
using Bellwether.Serve.Rest;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.TestHost;
using Microsoft.Extensions.DependencyInjection;

namespace Bellwether.Aggregator.Tests.Serve.Rest;

public sealed class KpiEndpointsTests : IAsyncLifetime, IDisposable
{
    private readonly KpiSite _site = new("""
        kpis:
          - {name: revenue, title: Revenue, unit: euros/hour, owner: finance, audience: [board], target: 100, thresholds: {warning: 90, critical: 50}, expr: 'sum(rate(revenue_total_euros[5m])) * 3600', by: [tier]}
          - {name: speed, unit: ms, owner: shop, direction: lower, target: 200, expr: max(speed_ms)}
          - {name: worth, unit: score, owner: shop, index: {inputs: [{kpi: revenue, weight: 3}, {kpi: speed}]}}
          - {name: nothing, owner: shop, expr: sum(no_such_metric)}
        """);

    private (HealDesk Desk, HealBook Book) _heals;
    private WebApplication? _app;
    private HttpClient _client = new();

    public async Task InitializeAsync()
    {
        _site.Counter("revenue_total_euros{tier=gold,job=shop,instance=1}", 1).Counter("revenue_total_euros{tier=bronze,job=shop,instance=2}", 0.25).Gauge("speed_ms{job=web,instance=3}", 400);
        await _site.RunAsync();
        WebApplicationBuilder builder = WebApplication.CreateEmptyBuilder(new());
        builder.WebHost.UseTestServer();
        builder.Services.AddRoutingCore();
        _app = builder.Build();
        _app.UseRouting();
        _heals = _site.Desk();
        new KpiEndpoints(new KpiSources(_site.Book, _site.Engine, _site.Store, new Known()) { Heals = _heals.Book }, _site.Time).Map(_app);
        await _app.StartAsync();
        _client = _app.GetTestClient();
    }

    public async Task DisposeAsync() => await _app!.DisposeAsync();

    public void Dispose()
    {
        _client.Dispose();
        _heals.Desk.Dispose();
        _heals.Book.Dispose();
        _site.Dispose();
    }

    [Fact]
    public async Task The_list_tells_value_state_and_target_in_pages()
    {
        JsonElement first = await GetAsync("/api/v1/kpis?limit=2");
        Assert.Equal(["nothing", "revenue"], first.GetProperty("kpis").EnumerateArray().Select(k => k.GetProperty("name").GetString()));
        JsonElement revenue = first.GetProperty("kpis")[1];
        Assert.Equal((75.0, "WARNING", false), (Math.Round(revenue.GetProperty("value").GetDouble(), 9), revenue.GetProperty("state").GetString(), revenue.GetProperty("meetsTarget").GetBoolean()));
        Assert.True(first.GetProperty("kpis")[0].GetProperty("absent").GetBoolean());
        Assert.Equal(JsonValueKind.Null, first.GetProperty("kpis")[0].GetProperty("value").ValueKind);
        JsonElement second = await GetAsync($"/api/v1/kpis?limit=2&after={first.GetProperty("next").GetString()}");
        Assert.Equal(["speed", "worth"], second.GetProperty("kpis").EnumerateArray().Select(k => k.GetProperty("name").GetString()));
        Assert.Equal(JsonValueKind.Null, second.GetProperty("next").ValueKind);
        Assert.Equal("revenue", Assert.Single((await GetAsync("/api/v1/kpis?owner=finance&audience=board&state=WARNING")).GetProperty("kpis").EnumerateArray()).GetProperty("name").GetString());
    }

    [Fact]
    public async Task History_is_broken_down_and_lies_on_the_grid()
    {
        JsonElement answer = await GetAsync("/api/v1/kpis/revenue?step=10m&by=tier");
        JsonElement[] history = [.. answer.GetProperty("history").EnumerateArray()];
        Assert.Equal(["bronze", "gold"], history.Select(h => h.GetProperty("labels").GetProperty("tier").GetString()));
        Assert.Equal((15.0, 60.0), (Last(history[0]), Last(history[1])));
        Assert.EndsWith("0:00.000Z", history[0].GetProperty("points")[0][0].GetString(), StringComparison.Ordinal);
        Assert.Equal("tier=bronze", (await GetAsync("/api/v1/kpis/revenue?by=tier&limit=1")).GetProperty("next").GetString());

        static double Last(JsonElement series) => Math.Round(series.GetProperty("points")[series.GetProperty("points").GetArrayLength() - 1][1].GetDouble(), 9);
    }

    [Fact]
    public async Task An_explanation_tells_contributions_series_rules_version_and_coverage()
    {
        JsonElement answer = await GetAsync("/api/v1/kpis/worth/explain");
        JsonElement[] parts = [.. answer.GetProperty("parts").EnumerateArray()];
        double worth = answer.GetProperty("recorded")[0].GetProperty("value").GetDouble();
        Assert.Equal(worth, parts.Sum(p => p.GetProperty("contribution").GetDouble()));
        Assert.Equal((56.25, 12.5, 0.75), (Math.Round(parts[0].GetProperty("contribution").GetDouble(), 9), parts[1].GetProperty("contribution").GetDouble(), Math.Round(parts[0].GetProperty("share").GetDouble(), 9)));
        Assert.Equal((2, 1), (parts[0].GetProperty("seriesRead").GetInt32(), parts[1].GetProperty("seriesRead").GetInt32()));
        Assert.Equal(0.9, answer.GetProperty("coverage").GetProperty("share").GetDouble());
        Assert.Equal(1, answer.GetProperty("version").GetProperty("number").GetInt32());
        Assert.Contains(answer.GetProperty("version").GetProperty("rules").EnumerateArray(), r => r.GetProperty("record").GetString() == "kpi:worth:score:contribution");

        JsonElement sum = await GetAsync("/api/v1/kpis/revenue/explain");
        Assert.True(sum.GetProperty("same").GetBoolean());
        Assert.Equal(2, Assert.Single(sum.GetProperty("parts").EnumerateArray()).GetProperty("members").GetArrayLength());
        Assert.True((await GetAsync("/api/v1/kpis/nothing/explain")).GetProperty("absent").GetBoolean());
    }

    [Fact]
    public async Task An_explanation_of_the_past_is_by_the_version_of_the_past()
    {
        _site.Change("kpis:\n  - {name: speed, unit: ms, expr: 2 * max(speed_ms)}\n");
        await _site.RunAsync(65);
        Assert.Equal("max(speed_ms)", Rule(await GetAsync("/api/v1/kpis/speed/explain?time=1800000600")));
        Assert.Equal("2 * max(speed_ms)", Rule(await GetAsync("/api/v1/kpis/speed/explain")));
        Assert.Equal(JsonValueKind.Array, (await GetAsync("/api/v1/kpis/worth/explain?time=1800000600")).GetProperty("parts").ValueKind);
        Assert.Contains("was not defined", (await ProblemAsync("/api/v1/kpis/worth/explain", HttpStatusCode.NotFound)).GetProperty("detail").GetString(), StringComparison.Ordinal);

        static string? Rule(JsonElement answer) => answer.GetProperty("version").GetProperty("rules")[0].GetProperty("expr").GetString();
    }

    [Fact]
    public async Task A_backfilled_value_is_explained_by_the_version_that_made_it()
    {
        _site.Change("""
            kpis:
              - {name: speed, unit: ms, direction: lower, target: 200, expr: max(speed_ms)}
              - {name: late, unit: ms, expr: min(speed_ms)}
            """);
        await _site.RunAsync(61);
        const string Past = "/api/v1/kpis/late/explain?time=1800001230";
        Assert.Contains("was not defined", (await ProblemAsync(Past, HttpStatusCode.NotFound)).GetProperty("detail").GetString(), StringComparison.Ordinal);
        await _heals.Desk.HealAsync(new HealRequest(KpiSite.StartMs, _site.Time.NowMs) { Kind = HealKind.Backfill, Reason = "it is new", Rules = (_, rule) => rule.Name == "kpi:late:ms" }, default);
        JsonElement answer = await GetAsync(Past);
        Assert.Equal((400.0, true, 1), (answer.GetProperty("recorded")[0].GetProperty("value").GetDouble(), answer.GetProperty("same").GetBoolean(), answer.GetProperty("version").GetProperty("number").GetInt32()));
        Assert.Equal(Assert.Single(_heals.Book.Newest()).Id, answer.GetProperty("heal").GetUInt64());
        Assert.Equal(JsonValueKind.Null, (await GetAsync("/api/v1/kpis/speed/explain?time=1800001230")).GetProperty("heal").ValueKind);
    }

    [Fact]
    public async Task The_same_answer_is_not_sent_twice()
    {
        using HttpResponseMessage first = await _client.GetAsync("/api/v1/kpis?time=1800003000");
        using var again = new HttpRequestMessage(HttpMethod.Get, "/api/v1/kpis?time=1800003000");
        again.Headers.IfNoneMatch.Add(first.Headers.ETag!);
        using HttpResponseMessage second = await _client.SendAsync(again);
        Assert.Equal((HttpStatusCode.NotModified, 0), (second.StatusCode, (await second.Content.ReadAsByteArrayAsync()).Length));
    }

    [Theory]
    [InlineData("/api/v1/kpis?limit=0", 400, "limit")]
    [InlineData("/api/v1/kpis?limit=1001", 400, "limit")]
    [InlineData("/api/v1/kpis?state=GOOD", 400, "HEALTHY")]
    [InlineData("/api/v1/kpis?time=soon", 400, "time")]
    [InlineData("/api/v1/kpis/speedd", 404, "did you mean 'speed'?")]
    [InlineData("/api/v1/kpis/speed?by=tier", 400, "it has none")]
    [InlineData("/api/v1/kpis/revenue?by=region", 400, "there are: tier")]
    [InlineData("/api/v1/kpis/speed?start=2&end=1", 400, "before start")]
    [InlineData("/api/v1/kpis/speed?step=1ms", 400, "more than 11000 points")]
    [InlineData("/api/v1/kpis/speed?step=x", 400, "must be a duration")]
    [InlineData("/api/v1/kpis/speed/explain?time=1", 404, "was not defined")]
    [InlineData("/api/v1/kpis/nope/explain", 404, "there is no KPI 'nope'")]
    public async Task A_wrong_request_is_told_as_a_problem(string path, int status, string part)
    {
        JsonElement problem = await ProblemAsync(path, (HttpStatusCode)status);
        Assert.Equal(status, problem.GetProperty("status").GetInt32());
        Assert.Contains(part, problem.GetProperty("detail").GetString(), StringComparison.Ordinal);
    }

    private async Task<JsonElement> GetAsync(string path)
    {
        using HttpResponseMessage response = await _client.GetAsync(path);
        string body = await response.Content.ReadAsStringAsync();
        Assert.True(response.IsSuccessStatusCode, body);
        return JsonDocument.Parse(body).RootElement;
    }

    private async Task<JsonElement> ProblemAsync(string path, HttpStatusCode status)
    {
        using HttpResponseMessage response = await _client.GetAsync(path);
        Assert.Equal((status, "application/problem+json"), (response.StatusCode, response.Content.Headers.ContentType?.MediaType));
        return JsonDocument.Parse(await response.Content.ReadAsStringAsync()).RootElement;
    }

    private sealed class Known : ICoverageSource
    {
        public Coverage Of(IReadOnlyCollection<Labels> series, long fromMs, long toMs, CancellationToken cancellation) => series.Count == 0 ? default : new Coverage(9, 10, series.Count);
    }
}
