using System.Diagnostics.Metrics;
using System.Globalization;
using System.Net;
using System.Net.Http.Headers;
using System.Text;
using System.Text.Json;
using Bellwether.Core.Codec;
using Bellwether.Core.Model;
using Bellwether.Evaluate.PromQl;
using Bellwether.Kit;
using Bellwether.Serve.Console;
using Bellwether.Serve.QueryApi;
using Bellwether.Serve.RemoteWrite;
using Bellwether.Serve.Rest;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.TestHost;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging.Abstractions;

namespace Bellwether.Aggregator.Tests.Serve;

public sealed class HttpTests : IAsyncLifetime, IDisposable
{
    private static readonly Labels s_up = Labels.Of("__name__", "up", "job", "shop", "ä.b", "1");
    private readonly SeriesInMemory _store = new();
    private readonly VirtualTime _time = new(DateTimeOffset.FromUnixTimeSeconds(1_800_000_000));
    private readonly Meter _meter = new("test");
    private WebApplication? _app;
    private QueryApi? _api;
    private RemoteWriteReceiver? _receiver;
    private HttpClient _client = new();

    public async Task InitializeAsync()
    {
        WebApplicationBuilder builder = WebApplication.CreateEmptyBuilder(new());
        builder.WebHost.UseTestServer();
        builder.Services.AddRoutingCore();
        _app = builder.Build();
        _app.UseRouting();
        _api = new QueryApi(new QueryApiSources { Engine = new PromQlEngine(new EngineOptions(), _time), Reader = _store }, new QueryApiOptions(), _time, _meter, NullLogger.Instance);
        _receiver = new RemoteWriteReceiver(_store, new RemoteWriteReceiveOptions(), _meter);
        _app.MapQueryApi(_api);
        _app.MapOpenApi();
        _app.MapConsole();
        _receiver.Map(_app);
        await _app.StartAsync();
        _client = _app.GetTestClient();
        _store.Add(s_up, 1_799_999_999_000, 1);
    }

    public async Task DisposeAsync() => await _app!.DisposeAsync();

    public void Dispose()
    {
        _client.Dispose();
        _api?.Dispose();
        _receiver?.Dispose();
        _meter.Dispose();
    }

    [Theory]
    [InlineData("DELETE", "/api/v1/query", 405, "GET, HEAD, POST")]
    [InlineData("PUT", "/api/v1/label/job/values", 405, "GET, HEAD")]
    [InlineData("GET", "/api/v1/admin/tsdb/snapshot", 405, "POST, PUT")]
    [InlineData("GET", "/api/v1/write", 405, "POST")]
    [InlineData("DELETE", "/api/v1/nothing", 404, "")]
    [InlineData("HEAD", "/api/v1/query?query=up", 200, "")]
    [InlineData("HEAD", "/", 200, "")]
    public async Task A_method_that_a_path_does_not_take_is_told_with_those_that_it_takes(string method, string path, int status, string allowed)
    {
        using var request = new HttpRequestMessage(new HttpMethod(method), path);
        using HttpResponseMessage response = await _client.SendAsync(request);
        Assert.Equal(status, (int)response.StatusCode);
        Assert.Equal(allowed, string.Join(", ", response.Content.Headers.Allow));
        if (method == "HEAD")
            Assert.Empty(await response.Content.ReadAsByteArrayAsync());
    }

    [Theory]
    [InlineData("/api/v1/query", "application/json", "{\"status\":\"error\",\"errorType\":\"bad_data\",\"error\":\"/api/v1/query does not take DELETE; it takes GET, HEAD, POST\"}")]
    [InlineData("/api/v1/openapi.json", "application/problem+json",
        "{\"type\":\"about:blank\",\"title\":\"the method is not taken\",\"status\":405,\"detail\":\"/api/v1/openapi.json does not take DELETE; it takes GET, HEAD\"}")]
    public async Task A_method_that_is_not_taken_is_told_as_the_path_tells_its_other_errors(string path, string type, string body)
    {
        using HttpResponseMessage response = await _client.DeleteAsync(path);
        Assert.Equal(HttpStatusCode.MethodNotAllowed, response.StatusCode);
        Assert.Equal((type, body), (response.Content.Headers.ContentType!.MediaType, await response.Content.ReadAsStringAsync()));
    }

    [Theory]
    [InlineData("query?query=up&time=soon", "time")]
    [InlineData("query?query=up&timeout=x", "timeout")]
    [InlineData("query?query=up&lookback_delta=x", "lookback delta")]
    [InlineData("query?query=up&time=2027-01-15t08:00:00Z", "time")]
    [InlineData("query?query=up&time=2027-01-15T08:00:00.5", "time")]
    [InlineData("query?query=1e999", "value out of range")]
    [InlineData("query_range?query=up&start=1&end=x&step=1", "end")]
    [InlineData("query_range?query=up&start=2&end=1&step=1", "end")]
    [InlineData("query_range?query=up&start=1&end=2&step=-1", "step")]
    [InlineData("query_range?query=up&start=0&end=1000000&step=1", "exceeded maximum resolution")]
    [InlineData("series", "no match[]")]
    [InlineData("series?match[]={job=~\".*\"}", "non-empty matcher")]
    [InlineData("series?match[]=up[5m]", "match[]")]
    [InlineData("labels?limit=-1", "limit must be non-negative")]
    [InlineData("query?query=up&limit=x", "limit")]
    [InlineData("query_range?query=up&start=1&end=2&step=1&limit=-1", "limit must be non-negative")]
    [InlineData("rules?type=x", "type")]
    [InlineData("rules?exclude_alerts=x", "exclude_alerts")]
    [InlineData("rules?group_limit=0", "group_limit needs to be greater than 0")]
    [InlineData("rules?group_limit=x", "group_limit")]
    [InlineData("rules?group_next_token=x", "group_limit needs to be present in order to paginate over the groups")]
    [InlineData("rules?group_limit=1&group_next_token=x", "invalid group_next_token")]
    [InlineData("metadata?limit=x", "limit")]
    public async Task A_wrong_parameter_is_named(string path, string part)
    {
        using HttpResponseMessage response = await _client.GetAsync("/api/v1/" + path);
        using JsonDocument json = JsonDocument.Parse(await response.Content.ReadAsStringAsync());
        Assert.Equal(HttpStatusCode.BadRequest, response.StatusCode);
        Assert.Equal(("error", "bad_data"), (json.RootElement.GetProperty("status").GetString(), json.RootElement.GetProperty("errorType").GetString()));
        Assert.Contains(part, json.RootElement.GetProperty("error").GetString(), StringComparison.Ordinal);
    }

    /// <summary>As a Prometheus 2.42 words them, place by place.</summary>
    [Theory]
    [InlineData("query?query=up&time=x", "invalid parameter \"time\": Invalid time value for 'time': cannot parse \"x\" to a valid timestamp")]
    [InlineData("query_range?query=up&start=x&end=1&step=1", "invalid parameter \"start\": cannot parse \"x\" to a valid timestamp")]
    [InlineData("series?match[]=up&start=x", "invalid parameter \"start\": Invalid time value for 'start': cannot parse \"x\" to a valid timestamp")]
    [InlineData("label/job/values?end=x", "invalid parameter \"end\": Invalid time value for 'end': cannot parse \"x\" to a valid timestamp")]
    [InlineData("query_exemplars?query=up&start=2&end=1", "end timestamp must not be before start timestamp")]
    [InlineData("series?match[]={}", "invalid parameter \"match[]\": match[] must contain at least one non-empty matcher")]
    [InlineData("labels?match[]={}", "match[] must contain at least one non-empty matcher")]
    [InlineData("label/job/values?match[]={a=\"\"}", "match[] must contain at least one non-empty matcher")]
    public async Task A_wrong_parameter_is_told_in_the_words_of_Prometheus(string path, string error)
    {
        using HttpResponseMessage response = await _client.GetAsync("/api/v1/" + path);
        using JsonDocument json = JsonDocument.Parse(await response.Content.ReadAsStringAsync());
        Assert.Equal(HttpStatusCode.BadRequest, response.StatusCode);
        Assert.Equal(error, json.RootElement.GetProperty("error").GetString());
    }

    [Theory]
    [InlineData("series?match[]=up&start=2&end=1", "{\"status\":\"success\",\"data\":[]}")]
    [InlineData("labels?start=2&end=1", "{\"status\":\"success\",\"data\":[]}")]
    [InlineData("label/job/values?start=2&end=1", "{\"status\":\"success\",\"data\":[]}")]
    [InlineData("series?match[]=up", "{\"status\":\"success\",\"data\":[{\"__name__\":\"up\",\"job\":\"shop\",\"ä.b\":\"1\"}]}")]
    [InlineData("labels", "{\"status\":\"success\",\"data\":[\"__name__\",\"job\",\"ä.b\"]}")]
    [InlineData("label/job/values", "{\"status\":\"success\",\"data\":[\"shop\"]}")]
    [InlineData("label/U___e4__2e_b/values", "{\"status\":\"success\",\"data\":[\"1\"]}")]
    [InlineData("label/nope/values", "{\"status\":\"success\",\"data\":[]}")]
    [InlineData("metadata", "{\"status\":\"success\",\"data\":{}}")]
    [InlineData("rules", "{\"status\":\"success\",\"data\":{\"groups\":[]}}")]
    [InlineData("alerts", "{\"status\":\"success\",\"data\":{\"alerts\":[]}}")]
    [InlineData("targets", "{\"status\":\"success\",\"data\":{\"activeTargets\":[],\"droppedTargets\":[]}}")]
    [InlineData("parse_query?query=sum(up)by(job)", "{\"status\":\"success\",\"data\":{\"type\":\"aggregation\",\"op\":\"sum\",\"expr\":{\"type\":\"vectorSelector\",\"name\":\"up\",\"matchers\":[{\"name\":\"__name__\",\"value\":\"up\",\"type\":\"=\"}],\"offset\":0,\"timestamp\":null,\"startOrEnd\":null},\"param\":null,\"grouping\":[\"job\"],\"without\":false}}")]
    [InlineData("parse_query?query=rate(a[5m]%20@%20end())>1", "{\"status\":\"success\",\"data\":{\"type\":\"binaryExpr\",\"op\":\">\",\"lhs\":{\"type\":\"call\",\"func\":{\"name\":\"rate\",\"argTypes\":[\"matrix\"],\"variadic\":0,\"returnType\":\"vector\"},\"args\":[{\"type\":\"matrixSelector\",\"range\":300000,\"name\":\"a\",\"matchers\":[{\"name\":\"__name__\",\"value\":\"a\",\"type\":\"=\"}],\"offset\":0,\"timestamp\":null,\"startOrEnd\":\"end\"}]},\"rhs\":{\"type\":\"numberLiteral\",\"val\":\"1\"},\"bool\":false,\"matching\":null}}")]
    [InlineData("format_query?query=sum(up)by(job)", "{\"status\":\"success\",\"data\":\"sum by (job) (up)\"}")]
    [InlineData("format_query?query=up{z='1',a='2'}", "{\"status\":\"success\",\"data\":\"up{a=\\\"2\\\",z=\\\"1\\\"}\"}")]
    [InlineData("format_query?query=topk(3,sum%20by(job)(rate(a_counter_with_a_long_name_total[5m]))/sum%20by(job)(rate(another_counter_with_a_long_name_total[5m])))",
        "{\"status\":\"success\",\"data\":\"topk(\\n  3,\\n    sum by (job) (rate(a_counter_with_a_long_name_total[5m]))\\n  /\\n    sum by (job) (rate(another_counter_with_a_long_name_total[5m]))\\n)\"}")]
    [InlineData("query?query=up&time=1800000399&lookback_delta=6m", "{\"status\":\"success\",\"data\":{\"resultType\":\"vector\",\"result\":[]}}")]
    [InlineData("query?query=count(up)&time=1800000399&lookback_delta=7m", "{\"status\":\"success\",\"data\":{\"resultType\":\"vector\",\"result\":[{\"metric\":{},\"value\":[1800000399,\"1\"]}]}}")]
    [InlineData("query_range?query=count(up)&start=1800000298&end=1800000300&step=1&lookback_delta=0", "{\"status\":\"success\",\"data\":{\"resultType\":\"matrix\",\"result\":[{\"metric\":{},\"values\":[[1800000298,\"1\"]]}]}}")]
    [InlineData("query?query=up&time=1800000000&stats=true", "{\"status\":\"success\",\"data\":{\"resultType\":\"vector\",\"result\":[{\"metric\":{\"__name__\":\"up\",\"job\":\"shop\",\"ä.b\":\"1\"},\"value\":[1800000000,\"1\"]}],\"stats\":{\"timings\":{\"evalTotalTime\":0,\"execQueueTime\":0,\"execTotalTime\":0},\"samples\":{\"totalQueryableSamples\":1,\"peakSamples\":1}}}}")]
    [InlineData("query_range?query=count(up)&start=1800000298&end=1800000299.5&step=0.5&stats=all", "{\"status\":\"success\",\"data\":{\"resultType\":\"matrix\",\"result\":[{\"metric\":{},\"values\":[[1800000298,\"1\"],[1800000298.500,\"1\"]]}],\"stats\":{\"timings\":{\"evalTotalTime\":0,\"execQueueTime\":0,\"execTotalTime\":0},\"samples\":{\"totalQueryableSamplesPerStep\":[[1800000298,1],[1800000298.500,1],[1800000299,0],[1800000299.500,0]],\"totalQueryableSamples\":2,\"peakSamples\":8}}}}")]
    [InlineData("metadata?limit=-1", "{\"status\":\"success\",\"data\":{}}")]
    public async Task Answers_are_fixed_to_the_byte(string path, string expected) => Assert.Equal(expected, await _client.GetStringAsync("/api/v1/" + path));

    [Theory]
    [InlineData("query_exemplars?query=1&start=1&end=2", HttpStatusCode.NoContent)]
    [InlineData("query/", HttpStatusCode.NotFound)]
    [InlineData("query?query=1&timeout=0", HttpStatusCode.ServiceUnavailable)]
    [InlineData("query?query=1&timeout=-5", HttpStatusCode.ServiceUnavailable)]
    public async Task What_gives_no_data_has_the_status_of_Prometheus(string path, HttpStatusCode status) => Assert.Equal(status, (await _client.GetAsync("/api/v1/" + path)).StatusCode);

    [Fact]
    public async Task Gzip_is_sent_when_it_is_asked_for()
    {
        using var request = new HttpRequestMessage(HttpMethod.Get, "/api/v1/labels");
        request.Headers.AcceptEncoding.Add(new StringWithQualityHeaderValue("gzip"));
        using HttpResponseMessage response = await _client.SendAsync(request);
        Assert.Equal("gzip", Assert.Single(response.Content.Headers.ContentEncoding));
        await using var zip = new System.IO.Compression.GZipStream(await response.Content.ReadAsStreamAsync(), System.IO.Compression.CompressionMode.Decompress);
        using var reader = new StreamReader(zip);
        Assert.StartsWith("{\"status\":\"success\"", await reader.ReadToEndAsync(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Health_readiness_and_unknown_paths_answer()
    {
        Assert.Equal("Bellwether is Healthy.\n", await _client.GetStringAsync("/-/healthy"));
        Assert.Equal("Bellwether is Ready.\n", await _client.GetStringAsync("/-/ready"));
        Assert.Equal(HttpStatusCode.NotFound, (await _client.GetAsync("/api/v1/nope")).StatusCode);
        Assert.Equal(HttpStatusCode.Forbidden, (await _client.PostAsync("/-/reload", null)).StatusCode);
    }

    [Theory]
    [InlineData(0, "0")]
    [InlineData(-0.0, "-0")]
    [InlineData(1e6, "1000000")]
    [InlineData(123456789.123456789, "123456789.12345679")]
    [InlineData(1e20, "100000000000000000000")]
    [InlineData(1e21, "1e+21")]
    [InlineData(0.000001, "0.000001")]
    [InlineData(0.0000123, "0.0000123")]
    [InlineData(-0.0000012345, "-0.0000012345")]
    [InlineData(1e-7, "1e-07")]
    [InlineData(double.NaN, "NaN")]
    [InlineData(double.PositiveInfinity, "+Inf")]
    [InlineData(double.MaxValue, "1.7976931348623157e+308")]
    public void Floats_are_written_as_prometheus_writes_them(double value, string expected)
    {
        byte[] text = new byte[400];
        Assert.Equal(expected, Encoding.ASCII.GetString(text, 0, ApiJson.FormatFloat(value, text)));
    }

    [Theory]
    [InlineData("1700011000.123", 1_700_011_000_123)]
    [InlineData("2023-11-15T01:16:40Z", 1_700_011_000_000)]
    [InlineData("2023-11-15T02:16:40.5+01:00", 1_700_011_000_500)]
    [InlineData("-1.5", -1500)]
    public void Times_are_seconds_or_rfc_3339(string text, long expected)
    {
        Assert.True(ApiParameters.TryTime(text, out long ms));
        Assert.Equal(expected, ms);
    }

    [Theory]
    [InlineData("FFFFFFFF0F0041", HttpStatusCode.BadRequest)]
    [InlineData("00", HttpStatusCode.NoContent)]
    [InlineData("", HttpStatusCode.BadRequest)]
    [InlineData("0304FFFF", HttpStatusCode.BadRequest)]
    public async Task Hostile_bodies_are_refused(string hex, HttpStatusCode expected) => Assert.Equal(expected, (await PostAsync(Convert.FromHexString(hex))).StatusCode);

    [Theory]
    [InlineData("application/json", "snappy")]
    [InlineData("application/x-protobuf;proto=io.prometheus.write.v3.Request", "snappy")]
    [InlineData("application/x-protobuf", "gzip")]
    public async Task Unknown_content_is_415(string type, string encoding) => Assert.Equal(HttpStatusCode.UnsupportedMediaType, (await PostAsync([0], type, encoding)).StatusCode);

    [Fact]
    public async Task What_the_writer_encodes_the_receiver_stores()
    {
        var histogram = new NativeHistogram
        {
            Schema = 1,
            Count = 7,
            Sum = 12.5,
            ZeroCount = 1,
            ZeroThreshold = 0.001,
            IsInteger = true,
            PositiveSpans = [new BucketSpan(-1, 2), new BucketSpan(1, 1)],
            PositiveBuckets = [1, 3, 2],
        };
        var writer = new WriteRequestWriter();
        writer.Add([new SeriesSample(s_up, 1, 5), new SeriesSample(s_up, 2, SpecialValues.StaleMarker), new SeriesSample(s_up.With("h", "1"), -3, 0, histogram)]);
        writer.Add("up", new MetricMetadata(MetricType.Gauge, "Is it up?", ""));
        Assert.Equal(HttpStatusCode.NoContent, (await PostAsync(Compress(writer.Bytes))).StatusCode);
        Assert.Equal([5.0, SpecialValues.StaleMarker, 1.0], _store.Of(s_up).Select(s => s.Value));
        NativeHistogram stored = _store.Of(s_up.With("h", "1"))[0].Histogram!;
        Assert.Equal((7.0, 12.5, 1.0), (stored.Count, stored.Sum, stored.ZeroCount));
        Assert.Equal(histogram.PositiveBuckets, stored.PositiveBuckets);
        Assert.Equal(histogram.PositiveSpans, stored.PositiveSpans);
        Assert.Equal("Is it up?", _store.Metadata("up")!.Help);
    }

    [Fact]
    public async Task Valid_samples_are_stored_beside_invalid_ones_and_the_answer_is_400_with_the_reason()
    {
        var writer = new WriteRequestWriter();
        writer.Add([new SeriesSample(Labels.Of("job", "x"), 1, 1), new SeriesSample(Labels.Of("__name__", "good"), 1, 2)]);
        HttpResponseMessage response = await PostAsync(Compress(writer.Bytes));
        Assert.Equal(HttpStatusCode.BadRequest, response.StatusCode);
        Assert.Contains("no metric name", await response.Content.ReadAsStringAsync(), StringComparison.Ordinal);
        Assert.Single(_store.Of(Labels.Of("__name__", "good")));
    }

    [Fact]
    public async Task A_full_store_is_503_with_retry_after()
    {
        _store.Unavailable = "the disk is full";
        HttpResponseMessage response = await PostAsync([0]);
        Assert.Equal(HttpStatusCode.ServiceUnavailable, response.StatusCode);
        Assert.Equal("5", response.Headers.RetryAfter!.Delta!.Value.TotalSeconds.ToString(CultureInfo.InvariantCulture));
    }

    private static byte[] Compress(ReadOnlySpan<byte> plain)
    {
        byte[] block = new byte[Snappy.MaxCompressedLength(plain.Length)];
        return block[..Snappy.Compress(plain, block)];
    }

    private async Task<HttpResponseMessage> PostAsync(byte[] body, string type = "application/x-protobuf", string encoding = "snappy")
    {
        using var content = new ByteArrayContent(body);
        content.Headers.ContentType = MediaTypeHeaderValue.Parse(type);
        content.Headers.ContentEncoding.Add(encoding);
        return await _client.PostAsync("/api/v1/write", content);
    }
}
