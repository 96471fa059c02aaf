using System.Diagnostics.Metrics;
using System.Net;
using System.Net.Http.Headers;
using Bellwether.Core.Codec;
using Bellwether.Core.Model;
using Bellwether.Kit;
using Bellwether.Serve.RemoteWrite;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.TestHost;
using Microsoft.Extensions.DependencyInjection;

namespace Bellwether.Aggregator.Tests.Serve;

/// <summary>Remote write 2.0: what our writer encodes, what the receiver answers and stores.</summary>
public sealed class RemoteWriteV2Tests : IAsyncLifetime, IDisposable
{
    private const string V2 = "application/x-protobuf;proto=io.prometheus.write.v2.Request";
    private static readonly Labels s_up = Labels.Of("__name__", "up", "job", "shop");
    private readonly SeriesInMemory _store = new();
    private readonly Meter _meter = new("test");
    private WebApplication? _app;
    private RemoteWriteReceiver? _receiver;
    private HttpClient _client = new();

    public async Task InitializeAsync()
    {
        WebApplicationBuilder builder = WebApplication.CreateEmptyBuilder(new());
        builder.WebHost.UseTestServer();
        builder.Services.AddRoutingCore();
        _app = builder.Build();
        _app.UseRouting();
        _receiver = new RemoteWriteReceiver(_store, new RemoteWriteReceiveOptions { SymbolsMax = 1000 }, _meter);
        _receiver.Map(_app);
        await _app.StartAsync();
        _client = _app.GetTestClient();
    }

    public async Task DisposeAsync() => await _app!.DisposeAsync();

    public void Dispose()
    {
        _client.Dispose();
        _receiver?.Dispose();
        _meter.Dispose();
    }

    [Fact]
    public async Task What_the_writer_encodes_is_stored_with_start_times_metadata_and_counts()
    {
        var histogram = new NativeHistogram { Schema = 1, Count = 3, Sum = 2.5, IsInteger = true, PositiveSpans = [new BucketSpan(0, 2)], PositiveBuckets = [1, 2] };
        var known = new Dictionary<string, MetricMetadata> { ["up"] = new(MetricType.Gauge, "Is it up?", ""), ["took_seconds"] = new(MetricType.Histogram, "Latency.", "seconds") };
        var writer = new WriteRequestV2Writer(() => known);
        writer.Clear();
        Labels mixed = Labels.Of("__name__", "took_seconds", "path", "ä");
        writer.Add([new(s_up, 1000, 5, null, 500), new(s_up, 2000, SpecialValues.StaleMarker), new(mixed, 1000, 0, histogram, 400), new(mixed, 2000, 7)]);
        HttpResponseMessage response = await PostAsync(writer.Bytes);
        Assert.Equal(HttpStatusCode.NoContent, response.StatusCode);
        Assert.Equal(("3", "1", "0"), Written(response));
        Assert.Equal([5.0, SpecialValues.StaleMarker], _store.Of(s_up).Select(s => s.Value));
        Assert.Equal(histogram.PositiveBuckets, _store.Of(mixed)[0].Histogram!.PositiveBuckets);
        Assert.Equal("Latency.", _store.Metadata("took_seconds")!.Help);
        Assert.Equal("seconds", _store.Metadata("took_seconds")!.Unit);
    }

    [Fact]
    public void Start_times_survive_both_forms_but_never_stand_in_version_one()
    {
        SeriesSample[] samples = [new(s_up, 1000, 5, null, 500)];
        var queue = new WriteRequestWriter(withStart: true);
        queue.Add(samples);
        var wire = new WriteRequestWriter();
        wire.Add(samples);
        var v2 = new WriteRequestV2Writer(() => new Dictionary<string, MetricMetadata>());
        v2.Clear();
        v2.Add(samples);
        Assert.Equal(500, Read(new WriteRequestReader(new()), queue.Bytes).Samples[0].StartMs);
        Assert.Equal(0, Read(new WriteRequestReader(new()), wire.Bytes).Samples[0].StartMs);
        Assert.Equal(500, Read(new WriteRequestV2Reader(new()), v2.Bytes).Samples[0].StartMs);
    }

    // Written by hand: symbols "", "__name__", "m", "other"; then one series.
    private const string Symbols = "2200" + "22085f5f6e616d655f5f" + "22016d" + "22056f74686572";

    [Theory]
    [InlineData("2a11" + "0a020109" + "120b090000000000000840" + "1001", "labels_refs names symbol 9 of 4")]
    [InlineData("2a12" + "0a03010203" + "120b090000000000000840" + "1001", "an odd number")]
    [InlineData("2a11" + "0a020302" + "120b090000000000000840" + "1001", "no metric name")]
    [InlineData("2a17" + "0a020102" + "120b090000000000000840" + "1001" + "2a04" + "0801" + "1809", "symbol 9 of 4")]
    public async Task A_reference_to_nowhere_is_400_with_the_reason(string series, string reason)
    {
        HttpResponseMessage response = await PostAsync(Convert.FromHexString(Symbols + series));
        Assert.Equal(HttpStatusCode.BadRequest, response.StatusCode);
        Assert.Contains(reason, await response.Content.ReadAsStringAsync(), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("2a11" + "0a020102" + "120b090000000000000840" + "1001")]
    [InlineData("22016d" + "2a11" + "0a020102" + "120b090000000000000840" + "1001")]
    public async Task Symbols_begin_with_the_empty_text(string message) => Assert.Equal(HttpStatusCode.BadRequest, (await PostAsync(Convert.FromHexString(message))).StatusCode);

    [Fact]
    public async Task More_symbols_than_the_limit_are_refused()
    {
        byte[] message = [.. Enumerable.Repeat<byte[]>([0x22, 0x00], 1001).SelectMany(b => b)];
        HttpResponseMessage response = await PostAsync(message);
        Assert.Equal(HttpStatusCode.BadRequest, response.StatusCode);
        Assert.Contains("1000 texts", await response.Content.ReadAsStringAsync(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Metadata_without_samples_does_no_harm_and_counts_are_said()
    {
        HttpResponseMessage response = await PostAsync(Convert.FromHexString(Symbols + "2a0a" + "0a020102" + "2a04" + "0801" + "1803"));
        Assert.Equal(HttpStatusCode.NoContent, response.StatusCode);
        Assert.Equal(("0", "0", "0"), Written(response));
        Assert.Equal("other", _store.Metadata("m")!.Help);
    }

    [Fact]
    public async Task An_exemplar_without_a_time_is_refused_and_the_sample_is_stored()
    {
        HttpResponseMessage response = await PostAsync(Convert.FromHexString(Symbols + "2a20" + "0a020102" + "120b090000000000000840" + "1001" + "220d" + "0a020203" + "110000000000000840"));
        Assert.Equal(HttpStatusCode.BadRequest, response.StatusCode);
        Assert.Contains("it has no time", await response.Content.ReadAsStringAsync(), StringComparison.Ordinal);
        Assert.Equal(("1", "0", "0"), Written(response));
    }

    [Theory]
    [InlineData("exemplars")]
    [InlineData("metadata")]
    [InlineData("characters of labels")]
    public void What_a_small_message_can_blow_up_has_a_limit(string what)
    {
        RemoteWriteReceiveOptions options = what switch
        {
            "exemplars" => new() { ExemplarsMax = 3 },
            "metadata" => new() { MetadataMax = 3 },
            _ => new() { LabelCharsMax = 50 },
        };
        // One series with a sample, metadata and an exemplar, as often as it takes.
        const string series = "2a28" + "0a020102" + "120b090000000000000840" + "1001" + "220f" + "0a020203" + "110000000000000840" + "1801" + "2a04" + "0801" + "1803";
        string body = Symbols + string.Concat(Enumerable.Repeat(series, 4));
        WriteRequestReport report = new WriteRequestV2Reader(options).Read(Convert.FromHexString(body), new SampleBatch());
        Assert.Contains(what, report.Malformed, StringComparison.Ordinal);
        Assert.Null(new WriteRequestV2Reader(new()).Read(Convert.FromHexString(body), new SampleBatch()).Malformed);
    }

    [Fact]
    public void Any_damage_is_an_outcome_and_never_an_exception()
    {
        var writer = new WriteRequestV2Writer(() => new Dictionary<string, MetricMetadata>());
        writer.Clear();
        writer.Add([new(s_up, 1000, 5, null, 500), new(s_up, 2000, 6)]);
        byte[] whole = [.. writer.Bytes];
        var random = new Random(7);
        var reader = new WriteRequestV2Reader(new());
        for (int i = 0; i < 20_000; i++)
        {
            byte[] message = whole[..random.Next(whole.Length + 1)];
            for (int flips = random.Next(4); flips > 0 && message.Length > 0; flips--)
                message[random.Next(message.Length)] = (byte)random.Next(256);
            Assert.InRange(Read(reader, message).Samples.Count, 0, message.Length);
        }
    }

    private static SampleBatch Read(RequestReader reader, ReadOnlySpan<byte> message)
    {
        var batch = new SampleBatch();
        reader.Read(message, batch);
        return batch;
    }

    private static (string Samples, string Histograms, string Exemplars) Written(HttpResponseMessage response) =>
        (response.Headers.GetValues(RemoteWriteReceiver.SamplesWritten).Single(), response.Headers.GetValues(RemoteWriteReceiver.HistogramsWritten).Single(), response.Headers.GetValues(RemoteWriteReceiver.ExemplarsWritten).Single());

    private Task<HttpResponseMessage> PostAsync(ReadOnlySpan<byte> plain)
    {
        byte[] block = new byte[Snappy.MaxCompressedLength(plain.Length)];
        var content = new ByteArrayContent(block[..Snappy.Compress(plain, block)]);
        content.Headers.ContentType = MediaTypeHeaderValue.Parse(V2);
        content.Headers.ContentEncoding.Add("snappy");
        return _client.PostAsync(new Uri("/api/v1/write", UriKind.Relative), content);
    }
}
