using System.Diagnostics.Metrics;
using System.Net;
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

/// <summary>/api/v1/targets/metadata over HTTP. What a Prometheus 2.42 answers to the same questions was looked up at one.</summary>
public sealed class TargetMetadataTests : IAsyncLifetime, IDisposable, ITargetSource
{
    private const long NowMs = 1_800_000_000_000;
    private const string A = "{\"target\":{\"instance\":\"a:1\",\"job\":\"shop\"},";
    private const string B = "{\"target\":{\"instance\":\"b:1\",\"job\":\"shop\"},";
    private const string Orders = "\"type\":\"counter\",\"help\":\"Orders.\",\"unit\":\"\"}";
    private const string Seconds = "\"type\":\"histogram\",\"help\":\"Time.\",\"unit\":\"seconds\"}";
    private readonly SeriesInMemory _store = new();
    private readonly VirtualTime _time = new(DateTimeOffset.FromUnixTimeMilliseconds(NowMs));
    private readonly Meter _meter = new("test");
    private WebApplication? _app;
    private QueryApi? _api;
    private HttpClient _client = new();

    public IReadOnlyList<TargetStatus> Targets() =>
    [
        new TargetStatus { Job = "shop", Labels = Labels.Of("instance", "b:1", "job", "shop"), LastScrapeMs = NowMs },
        new TargetStatus { Job = "shop", Labels = Labels.Of("instance", "a:1", "job", "shop"), LastScrapeMs = NowMs },
        // Scraped each half an hour: its series are far back.
        new TargetStatus { Job = "slow", Labels = Labels.Of("instance", "c:1", "job", "slow"), LastScrapeMs = NowMs - 1_700_000 },
        new TargetStatus { Job = "silent", Labels = Labels.Of("instance", "d:1", "job", "silent") },
        new TargetStatus { Job = "", Labels = Labels.Empty },
    ];

    public async Task InitializeAsync()
    {
        WebApplicationBuilder builder = WebApplication.CreateEmptyBuilder(new());
        builder.WebHost.UseTestServer();
        builder.Services.AddRoutingCore();
        _app = builder.Build();
        _app.UseRouting();
        _api = new QueryApi(new QueryApiSources { Engine = new PromQlEngine(new EngineOptions(), _time), Reader = _store, Targets = this }, new QueryApiOptions(), _time, _meter, NullLogger.Instance);
        _app.MapQueryApi(_api);
        await _app.StartAsync();
        _client = _app.GetTestClient();
        var described = new SampleBatch();
        described.Metadata.Add(("orders_total", new MetricMetadata(MetricType.Counter, "Orders.", "")));
        described.Metadata.Add(("pay_seconds", new MetricMetadata(MetricType.Histogram, "Time.", "seconds")));
        described.Metadata.Add(("nobodys", new MetricMetadata(MetricType.Gauge, "Of no target.", "")));
        await _store.AppendAsync(described, CancellationToken.None);
        foreach (string instance in new[] { "a:1", "b:1" })
        {
            _store.Add(Labels.Of("__name__", "up", "instance", instance, "job", "shop"), NowMs - 1_000, 1);
            _store.Add(Labels.Of("__name__", "orders_total", "instance", instance, "job", "shop", "kind", "x"), NowMs - 1_000, 1);
        }
        foreach (string part in new[] { "bucket", "count", "sum" })
            _store.Add(Labels.Of("__name__", "pay_seconds_" + part, "instance", "b:1", "job", "shop"), NowMs - 1_000, 1);
        _store.Add(Labels.Of("__name__", "orders_total", "instance", "c:1", "job", "slow"), NowMs - 1_700_000, 1);
        _store.Add(Labels.Of("__name__", "nobodys", "instance", "z:1", "job", "other"), NowMs, 1);
    }

    public async Task DisposeAsync() => await _app!.DisposeAsync();

    public void Dispose()
    {
        _client.Dispose();
        _api?.Dispose();
        _meter.Dispose();
    }

    [Theory]
    [InlineData("?match_target={job=\"shop\"}", A + "\"metric\":\"orders_total\"," + Orders + "," + B + "\"metric\":\"orders_total\"," + Orders + "," + B + "\"metric\":\"pay_seconds\"," + Seconds)]
    [InlineData("?match_target={instance=\"b:1\"}&limit=1", B + "\"metric\":\"orders_total\"," + Orders + "," + B + "\"metric\":\"pay_seconds\"," + Seconds)]
    [InlineData("?match_target={job=\"shop\"}&limit=1", A + "\"metric\":\"orders_total\"," + Orders)]
    [InlineData("?match_target={job=\"shop\"}&metric=orders_total", A + Orders + "," + B + Orders)]
    [InlineData("?match_target={job=\"shop\"}&metric=orders_total&limit=1", A + Orders)]
    [InlineData("?metric=pay_seconds&limit=-1", B + Seconds)]
    [InlineData("?match_target={}&metric=pay_seconds", B + Seconds)]
    [InlineData("?match_target={job=\"slow\"}", "{\"target\":{\"instance\":\"c:1\",\"job\":\"slow\"},\"metric\":\"orders_total\"," + Orders)]
    [InlineData("?match_target={job=\"silent\"}", "")]
    [InlineData("?match_target=up{job=\"shop\"}", "")]
    [InlineData("?metric=pay_seconds_bucket", "")]
    [InlineData("?metric=nobodys", "")]
    [InlineData("?limit=0", "")]
    public async Task Families_are_told_by_target(string query, string expected) =>
        Assert.Equal("{\"status\":\"success\",\"data\":[" + expected + "]}", await _client.GetStringAsync("/api/v1/targets/metadata" + query));

    [Fact]
    public async Task All_targets_are_asked_when_none_is_named()
    {
        using JsonDocument json = JsonDocument.Parse(await _client.GetStringAsync("/api/v1/targets/metadata"));
        Assert.Equal(["a:1 orders_total", "b:1 orders_total", "b:1 pay_seconds", "c:1 orders_total"],
            json.RootElement.GetProperty("data").EnumerateArray().Select(e => $"{e.GetProperty("target").GetProperty("instance").GetString()} {e.GetProperty("metric").GetString()}"));
    }

    [Theory]
    [InlineData("?limit=x", "limit must be a number")]
    [InlineData("?match_target={job=", "invalid parameter \"match_target\": ")]
    public async Task Wrong_parameters_are_named(string query, string error)
    {
        using HttpResponseMessage response = await _client.GetAsync("/api/v1/targets/metadata" + query);
        using JsonDocument json = JsonDocument.Parse(await response.Content.ReadAsStringAsync());
        Assert.Equal((HttpStatusCode.BadRequest, "bad_data"), (response.StatusCode, json.RootElement.GetProperty("errorType").GetString()));
        Assert.StartsWith(error, json.RootElement.GetProperty("error").GetString(), StringComparison.Ordinal);
    }
}
