using System.Diagnostics.Metrics;
using System.Globalization;
using System.Net;
using System.Text.Json;
using Bellwether.Aggregator.Configuration;
using Bellwether.Aggregator.Run;
using Bellwether.Aggregator.Tests.Store;
using Bellwether.Core.Model;
using Bellwether.Evaluate.PromQl;
using Bellwether.Kit;
using Bellwether.Serve.QueryApi;
using Bellwether.Store;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.TestHost;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging.Abstractions;

namespace Bellwether.Aggregator.Tests.Serve;

/// <summary>A store with the retention of a configuration file lives for 65 days and is asked over HTTP: beside one that has kept all samples, its answers are the same, or say why not.</summary>
public sealed class ResolutionHttpTests : IAsyncLifetime, IDisposable
{
    private const long Hour = 3_600_000, Day = 24 * Hour;
    private readonly VirtualTime _time = new(DateTimeOffset.FromUnixTimeMilliseconds(1_800_000_000_000 / Day * Day));
    private readonly Meter _meter = new("test");
    private readonly List<IDisposable> _parts = [];
    private StoreEngine? _tiered;
    private HttpClient? _coarse, _raw;

    public async Task InitializeAsync()
    {
        AggregatorConfig config = AggregatorConfigFile.Parse("retention:\n  raw: 6d\n  5m: 18d\n  1h: 50d\n", "/etc/b/aggregator.yaml").Value!;
        StoreOptions options = ConfiguredOptions.Store(config) with { Folder = "/store", MinFreeBytes = 0, CoarsensWhateverTheSize = true };
        _tiered = StoreEngine.Open(options, new MemoryDisk(), _time, new Random(1), _meter, NullLogger.Instance);
        var all = new SeriesInMemory();
        Live(_tiered, all, days: 65);
        _parts.Add(_tiered);
        (_coarse, _raw) = (await Serve(_tiered.Reader), await Serve(all));
    }

    public Task DisposeAsync() => Task.CompletedTask;

    public void Dispose()
    {
        foreach (IDisposable part in _parts)
            part.Dispose();
        _meter.Dispose();
    }

    [Fact]
    public async Task Bronze_silver_and_gold_answer_what_all_samples_would_or_say_why_not()
    {
        Assert.Equal([0, 300_000, 3_600_000], _tiered!.Blocks.Files.Select(f => f.ResolutionMs).Distinct().Order());
        long now = _time.NowMs / Hour * Hour;
        // Over hours, five minutes and samples; over five minutes and samples; over samples.
        foreach ((long from, long step) in ((long, long)[])[(now - (46 * Day), 6 * Hour), (now - (16 * Day), 2 * Hour), (now - (5 * Day), Hour)])
        {
            foreach (string query in (string[])[
                "sum by (shop) (increase(orders_total[6h]))", "rate(orders_total[1d])", "load", "avg_over_time(load[6h])", "max_over_time(load[1d]) - min_over_time(load[1d])",
                "count_over_time(load[3h])", "resets(orders_total[2d]) + changes(orders_total[1h])", "last_over_time(load[1h]) > 3", "sum(orders_total) / count(orders_total)"])
            {
                string asked = string.Create(CultureInfo.InvariantCulture, $"/api/v1/query_range?query={Uri.EscapeDataString(query)}&start={from / 1000}&end={now / 1000}&step={step / 1000}");
                string expected = await _raw!.GetStringAsync(asked);
                Assert.Contains("\"values\":[[", expected, StringComparison.Ordinal);
                Assert.True(expected == await _coarse!.GetStringAsync(asked), query);
            }
        }
        JsonElement between = await Ask("load", now - (41 * Day) + (20 * 60_000));
        Assert.Contains("up to 1h old", between.GetProperty("infos")[0].GetString(), StringComparison.Ordinal);
        Assert.Equal(2, between.GetProperty("data").GetProperty("result").GetArrayLength());
        JsonElement cut = await Ask("sum(rate(orders_total[1h]))", now - (41 * Day) + (20 * 60_000));
        Assert.Equal(("error", "execution"), (cut.GetProperty("status").GetString(), cut.GetProperty("errorType").GetString()));
        Assert.Contains("begin and end at multiples of 1h", cut.GetProperty("error").GetString(), StringComparison.Ordinal);
        JsonElement quantile = await Ask("quantile_over_time(0.9, load[1h])", now - (12 * Day));
        Assert.Contains("quantile_over_time needs samples, and only slots of up to 5m are kept", quantile.GetProperty("error").GetString(), StringComparison.Ordinal);
        Assert.Equal(0, (await Ask("load", now - (64 * Day))).GetProperty("data").GetProperty("result").GetArrayLength());
    }

    private async Task<JsonElement> Ask(string query, long timeMs)
    {
        using HttpResponseMessage response = await _coarse!.GetAsync(string.Create(CultureInfo.InvariantCulture, $"/api/v1/query?query={Uri.EscapeDataString(query)}&time={timeMs / 1000.0}"));
        Assert.True(response.StatusCode is HttpStatusCode.OK or HttpStatusCode.UnprocessableEntity);
        return JsonDocument.Parse(await response.Content.ReadAsStringAsync()).RootElement;
    }

    // A sample each 80 seconds of two counters, which begin anew now and then, and two gauges, which end now and then; what is due is done every six hours.
    private void Live(StoreEngine tiered, SeriesInMemory all, int days)
    {
        var random = new Random(5);
        double[] orders = [0, 0];
        for (int i = 0; i < days * 4; i++)
        {
            var batch = new SampleBatch();
            for (int s = 0; s < 2; s++)
            {
                string shop = s == 0 ? "a" : "b";
                for (int m = 0; m < 270; m++)
                {
                    long at = _time.NowMs + (m * 80_000) + (s * 17_000);
                    orders[s] = random.Next(2000) == 0 ? 0 : orders[s] + random.Next(4);
                    batch.Samples.Add(new SeriesSample(Labels.Of("__name__", "orders_total", "shop", shop), at, orders[s]));
                    bool isGone = i % 9 == 4 && m is > 100 and < 200;
                    if (!isGone)
                        batch.Samples.Add(new SeriesSample(Labels.Of("__name__", "load", "shop", shop), at, m == 200 ? SpecialValues.StaleMarker : Math.Round(random.NextDouble() * 8, 2)));
                }
            }
            batch.Samples.Sort((a, b) => a.Labels.CompareTo(b.Labels) is var order && order != 0 ? order : a.TimestampMs.CompareTo(b.TimestampMs));
            _time.Advance(TimeSpan.FromHours(6));
            Assert.Equal(0, tiered.AppendBatch(batch).Refused);
            foreach (SeriesSample sample in batch.Samples)
                all.Add(sample.Labels, sample.TimestampMs, sample.Value);
            tiered.Commit();
            tiered.Maintain();
            tiered.MergeFiles(CancellationToken.None);
        }
        _time.Advance(TimeSpan.FromMinutes(30));
    }

    private async Task<HttpClient> Serve(ISeriesReader reader)
    {
        WebApplicationBuilder builder = WebApplication.CreateEmptyBuilder(new());
        builder.WebHost.UseTestServer();
        builder.Services.AddRoutingCore();
        WebApplication app = builder.Build();
        app.UseRouting();
        var api = new QueryApi(new QueryApiSources { Engine = new PromQlEngine(new EngineOptions(), _time), Reader = reader }, new QueryApiOptions(), _time, _meter, NullLogger.Instance);
        app.MapQueryApi(api);
        await app.StartAsync();
        HttpClient client = app.GetTestClient();
        _parts.AddRange([client, api, (IDisposable)app]);
        return client;
    }
}
