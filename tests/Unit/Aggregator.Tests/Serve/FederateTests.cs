using System.Diagnostics.Metrics;
using System.Net;
using System.Net.Http.Headers;
using System.Text.Json;
using Bellwether.Core.Model;
using Bellwether.Evaluate.PromQl;
using Bellwether.Kit;
using Bellwether.Serve.QueryApi;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.TestHost;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging.Abstractions;

namespace Bellwether.Aggregator.Tests.Serve;

/// <summary>/federate, query_exemplars, targets and the limit of queries over HTTP.</summary>
public sealed class FederateTests : IAsyncLifetime, IDisposable, ITargetSource
{
    private const long NowMs = 1_800_000_000_000;
    private readonly SeriesInMemory _store = new();
    private readonly VirtualTime _time = new(DateTimeOffset.FromUnixTimeMilliseconds(NowMs));
    private readonly Meter _meter = new("test");
    private ConfigState _config = new(true, NowMs);
    private WebApplication? _app;
    private QueryApi? _api;
    private HttpClient _client = new();

    public IReadOnlyList<TargetStatus> Targets() =>
    [
        new TargetStatus
        {
            Agent = "web-1", Job = "shop", Labels = Labels.Of("instance", "a:1", "job", "shop"), Discovered = Labels.Of("__address__", "a:1"), ScrapeUrl = "http://a:1/metrics", Up = false,
            LastError = "connection refused", LastScrapeMs = NowMs, LastScrapeDuration = TimeSpan.FromMilliseconds(5), Interval = TimeSpan.FromSeconds(15), Timeout = TimeSpan.FromSeconds(10),
        },
    ];

    public IReadOnlyList<DroppedPool> Dropped() => [new DroppedPool("shop", "web-1", 2, [Labels.Of("__address__", "b:1")])];

    public async Task InitializeAsync()
    {
        WebApplicationBuilder builder = WebApplication.CreateEmptyBuilder(new());
        builder.WebHost.UseTestServer();
        builder.Services.AddRoutingCore();
        _app = builder.Build();
        _app.UseRouting();
        var sources = new QueryApiSources
        {
            Engine = new PromQlEngine(new EngineOptions { Experimental = true }, _time),
            Reader = _store,
            Targets = this,
            Config = () => _config,
            Store = _ => new StoreFacts(7, 8, 9, NowMs, NowMs)
            {
                ByJob = [KeyValuePair.Create("shop", 7L), KeyValuePair.Create("other", 1L)],
                ByAgent = [KeyValuePair.Create("web-1", 5L)],
                Limits = [("max_series", 10, 3)],
            },
            Exemplars = (from, to, matchers, _) => matchers.Any(m => m.Value == "up") && from <= NowMs && to >= NowMs
                ? [(Labels.Of("__name__", "up", "job", "shop"), [new Exemplar(Labels.Of("trace", "x"), 6, NowMs - 500)])]
                : [],
        };
        _api = new QueryApi(sources, new QueryApiOptions { ExternalLabels = Labels.Of("site", "b") }, _time, _meter, NullLogger.Instance);
        _app.MapQueryApi(_api);
        await _app.StartAsync();
        _client = _app.GetTestClient();
        _store.Add(Labels.Of("__name__", "up", "job", "shop", "instance", "a:1"), NowMs - 1_500, 1);
        _store.Add(Labels.Of("__name__", "up", "job", "self"), NowMs - 1_000, 0.5);
        _store.Add(Labels.Of("__name__", "up", "job", "gone"), NowMs - 1_000, SpecialValues.StaleMarker);
        _store.Add(Labels.Of("__name__", "up", "job", "old"), NowMs - 300_000, 1);
        _store.Add(Labels.Of("__name__", "load", "site", "own"), NowMs, 3);
    }

    public async Task DisposeAsync() => await _app!.DisposeAsync();

    public void Dispose()
    {
        _client.Dispose();
        _api?.Dispose();
        _meter.Dispose();
    }

    [Fact]
    public async Task Federation_gives_the_newest_samples_that_are_not_stale_with_external_labels()
    {
        using HttpResponseMessage response = await _client.GetAsync("/federate?match[]=up&match[]={__name__=~\"up|load\"}");
        Assert.Equal("text/plain; version=0.0.4; charset=utf-8", response.Content.Headers.ContentType!.ToString());
        Assert.Equal(
            "# TYPE load untyped\nload{site=\"own\",instance=\"\"} 3 1800000000000\n"
            + "# TYPE up untyped\nup{instance=\"a:1\",job=\"shop\",site=\"b\"} 1 1799999998500\nup{job=\"self\",site=\"b\",instance=\"\"} 0.5 1799999999000\n",
            await response.Content.ReadAsStringAsync());
    }

    [Fact]
    public async Task Federation_speaks_OpenMetrics_when_asked_and_refuses_a_wrong_selector()
    {
        using var request = new HttpRequestMessage(HttpMethod.Get, "/federate?match[]=load");
        request.Headers.Accept.Add(MediaTypeWithQualityHeaderValue.Parse("application/openmetrics-text;version=1.0.0"));
        using HttpResponseMessage response = await _client.SendAsync(request);
        Assert.Equal("# TYPE load unknown\nload{site=\"own\",instance=\"\"} 3 1800000000\n# EOF\n", await response.Content.ReadAsStringAsync());
        using HttpResponseMessage wrong = await _client.GetAsync("/federate?match[]=up[5m]");
        Assert.Equal(HttpStatusCode.BadRequest, wrong.StatusCode);
    }

    [Theory]
    [InlineData("text/plain;version=0.0.4", "# TYPE _2xx_count untyped\n_2xx_count{s___label=\"\u00e4\",site=\"b\",instance=\"\"} 7 1800000000000\n")]
    [InlineData("text/plain;version=1.0.0;escaping=allow-utf-8", "# TYPE \"22xx.count\" untyped\n{\"22xx.count\",\"s\u00fc\ud83d\ude00.label\"=\"\u00e4\",site=\"b\",instance=\"\"} 7 1800000000000\n")]
    public async Task Names_that_are_not_classic_are_told_only_to_who_asks_for_them(string accept, string body)
    {
        _store.Add(Labels.Of("__name__", "22xx.count", "s\u00fc\ud83d\ude00.label", "\u00e4"), NowMs, 7);
        using var request = new HttpRequestMessage(HttpMethod.Get, "/federate?match[]={\"22xx.count\"}");
        request.Headers.TryAddWithoutValidation("Accept", accept);
        using HttpResponseMessage response = await _client.SendAsync(request);
        Assert.Equal(body, await response.Content.ReadAsStringAsync());
    }

    [Theory]
    [InlineData("query_exemplars?query=sum(rate(up[5m]))/2&start=1&end=1800000000", "[{\"seriesLabels\":{\"__name__\":\"up\",\"job\":\"shop\"},\"exemplars\":[{\"labels\":{\"trace\":\"x\"},\"value\":\"6\",\"timestamp\":1799999999.500}]}]")]
    [InlineData("query_exemplars?query=mad_over_time({\"up\"}[5m])&start=1799999999.5&end=1800000000", "[{\"seriesLabels\":{\"__name__\":\"up\",\"job\":\"shop\"},\"exemplars\":[{\"labels\":{\"trace\":\"x\"},\"value\":\"6\",\"timestamp\":1799999999.500}]}]")]
    [InlineData("query_exemplars?query=up&start=1&end=2", "[]")]
    [InlineData("notifications", "[]")]
    [InlineData("status/walreplay", "{\"min\":0,\"max\":0,\"current\":0,\"state\":\"done\"}")]
    [InlineData("targets?state=odd", "{\"activeTargets\":[],\"droppedTargets\":[]}")]
    [InlineData("targets?state=dropped", "{\"activeTargets\":[],\"droppedTargets\":[{\"discoveredLabels\":{\"__address__\":\"b:1\"},\"scrapePool\":\"shop\",\"agent\":\"web-1\"}],\"droppedTargetCounts\":{\"shop\":2}}")]
    [InlineData("targets?scrapePool=other", "{\"activeTargets\":[],\"droppedTargets\":[]}")]
    [InlineData("targets?state=active", "{\"activeTargets\":[{\"discoveredLabels\":{\"__address__\":\"a:1\"},\"labels\":{\"instance\":\"a:1\",\"job\":\"shop\"},\"scrapePool\":\"shop\",\"scrapeUrl\":\"http://a:1/metrics\",\"globalUrl\":\"http://a:1/metrics\",\"lastError\":\"connection refused\",\"lastScrape\":\"2027-01-15T08:00:00Z\",\"lastScrapeDuration\":0.005,\"health\":\"down\",\"scrapeInterval\":\"15s\",\"scrapeTimeout\":\"10s\",\"agent\":\"web-1\"}],\"droppedTargets\":[]}")]
    public async Task Answers_are_as_Prometheus_has_them(string path, string data) =>
        Assert.Equal("{\"status\":\"success\",\"data\":" + data + "}", await _client.GetStringAsync("/api/v1/" + path));

    [Theory]
    [InlineData("query?query=up&time=1800000000&limit=1", 1, true)]
    [InlineData("query?query=up&time=1800000000&limit=2", 2, false)]
    [InlineData("query?query=up&time=1800000000&limit=0", 2, false)]
    [InlineData("query_range?query=up&start=1799999999&end=1800000000&step=1&limit=1", 1, true)]
    public async Task A_query_is_cut_at_its_limit_with_a_warning(string path, int count, bool cut)
    {
        using JsonDocument json = JsonDocument.Parse(await _client.GetStringAsync("/api/v1/" + path));
        Assert.Equal(count, json.RootElement.GetProperty("data").GetProperty("result").GetArrayLength());
        Assert.Equal(cut, json.RootElement.TryGetProperty("warnings", out JsonElement warnings) && warnings[0].GetString() == "results truncated due to limit");
    }

    [Theory]
    [InlineData("query?query=up&time=1800000100", 2)]
    [InlineData("query?query=up&time=1800000100&lookback_delta=90", 0)]
    [InlineData("query?query=up&time=1800000100&lookback_delta=2m", 2)]
    [InlineData("query?query=up&time=1800001000&lookback_delta=1h", 3)]
    [InlineData("query?query=up&time=1800001000&lookback_delta=0", 0)]
    [InlineData("query?query=up&time=1800000100&lookback_delta=1e9", 3)]
    [InlineData("query_range?query=up&start=1800000100&end=1800000101&step=1&lookback_delta=90s", 0)]
    [InlineData("query_range?query=up&start=1800000100&end=1800000101&step=1", 2)]
    public async Task A_query_looks_back_as_far_as_it_says(string path, int count)
    {
        using JsonDocument json = JsonDocument.Parse(await _client.GetStringAsync("/api/v1/" + path));
        Assert.Equal(count, json.RootElement.GetProperty("data").GetProperty("result").GetArrayLength());
    }

    [Theory]
    [InlineData("query?query=up&lookback_delta=x", "{\"status\":\"error\",\"errorType\":\"bad_data\",\"error\":\"error parsing lookback delta duration: cannot parse \\\"x\\\" to a valid duration\"}")]
    [InlineData("scrape_pools", "{\"status\":\"success\",\"data\":{\"scrapePools\":[\"shop\"]}}")]
    public async Task The_answer_is(string path, string expected)
    {
        using HttpResponseMessage answer = await _client.GetAsync("/api/v1/" + path);
        Assert.Equal(expected, await answer.Content.ReadAsStringAsync());
    }

    [Fact]
    public async Task Series_are_counted_by_job_and_agent_beside_their_limits()
    {
        using JsonDocument json = JsonDocument.Parse(await _client.GetStringAsync("/api/v1/status/tsdb?limit=1"));
        JsonElement data = json.RootElement.GetProperty("data");
        Assert.Equal("[{\"name\":\"shop\",\"value\":7}]", data.GetProperty("seriesCountByJob").GetRawText());
        Assert.Equal("[{\"name\":\"web-1\",\"value\":5}]", data.GetProperty("seriesCountByAgent").GetRawText());
        Assert.Equal("[{\"name\":\"max_series\",\"value\":10,\"refused\":3}]", data.GetProperty("seriesLimits").GetRawText());
    }

    [Fact]
    public async Task A_refused_configuration_shows()
    {
        _config = new ConfigState(false, NowMs - 60_000);
        using JsonDocument json = JsonDocument.Parse(await _client.GetStringAsync("/api/v1/status/runtimeinfo"));
        JsonElement data = json.RootElement.GetProperty("data");
        Assert.False(data.GetProperty("reloadConfigSuccess").GetBoolean());
        Assert.Equal("2027-01-15T07:59:00Z", data.GetProperty("lastConfigTime").GetString());
    }
}
