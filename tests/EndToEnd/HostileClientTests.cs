using System.Globalization;
using System.IO.Compression;
using System.Net;
using System.Net.Http.Headers;
using System.Net.Sockets;
using System.Text;
using Bellwether.Core.Grpc;
using Bellwether.V1;
using Google.Protobuf;

namespace Bellwether.EndToEnd;

/// <summary>Hostile clients on both ports: each gets a clear status or is cut, in bounded memory, and a well-behaved agent's samples keep arriving.</summary>
public sealed class HostileClientTests : IAsyncLifetime
{
    /// <summary>What one remote write may hold (16 MiB as sent, 32 MiB inflated, a quarter to spare), twice: the one before may not be collected yet.</summary>
    private const long GrowthMaxBytes = 2 * ((16L + 40) << 20);
    private readonly Site _site = new();
    private CountingTarget _target = null!;
    private long _peakBefore;

    public async Task InitializeAsync()
    {
        _target = await CountingTarget.StartAsync(20);
        _site.Write("hostile.token", "0f343b0931126a20f133d67c2b018a3b\n");
        _site.ConfigureAggregator("""
              - id: hostile
                token_file: hostile.token
            """);
        _site.ConfigureAgent(Ledger.Scraping(_target));
        await _site.StartAggregatorAsync();
        _site.StartAgent();
        await _site.WaitForAsync("samples", async () => await _site.Api.ValueAsync("count(ledger_value)") == 20);
        // What everyone does once is no growth by the hostile.
        await RemoteWrite.SendAsync(_site, [("warm_value", TimeProvider.System.GetUtcNow().ToUnixTimeMilliseconds(), 1)]);
        _peakBefore = PeakBytes();
    }

    /// <summary>After each attack: memory, and the samples of the agent that behaves.</summary>
    public async Task DisposeAsync()
    {
        try
        {
            long growth = PeakBytes() - _peakBefore;
            Assert.True(growth < GrowthMaxBytes, $"the aggregator's memory grew by {growth >> 20} MiB");
            int last = _target.Answered.Max();
            await Ledger.WaitForAfterAsync(_site, last);
            await Ledger.CompareAsync(_site, _target, last, lostMax: 0);
        }
        finally
        {
            await _site.DisposeAsync();
            await _target.DisposeAsync();
        }
    }

    [Fact]
    public async Task Garbage_and_http_1_on_the_agents_port_are_cut()
    {
        byte[] garbage = new byte[64 * 1024];
        new Random(5).NextBytes(garbage);
        for (int i = 0; i < 20; i++)
            await UntilCutAsync(_site.Grpc, garbage);
        string answer = Encoding.Latin1.GetString(await UntilCutAsync(_site.Grpc, "GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n"u8.ToArray()));
        Assert.StartsWith("HTTP/1.1 400", answer, StringComparison.Ordinal);
        for (int i = 0; i < 20; i++)
            await UntilCutAsync(_site.Http, garbage);
    }

    [Fact]
    public async Task Messages_and_records_that_claim_or_hold_too_much_are_refused()
    {
        byte[] claims = [0, 0xFF, 0xFF, 0xFF, 0xFF, 1, 2, 3];
        Assert.Equal(GrpcStatusCode.ResourceExhausted, await PostGrpcAsync("Stream", new ByteArrayContent(claims)));
        Assert.Equal(GrpcStatusCode.ResourceExhausted, await PostGrpcAsync("Register", new ByteArrayContent(claims)));
        Assert.Equal(GrpcStatusCode.ResourceExhausted, await PostGrpcAsync("Register", new EndlessContent([0, 6, 0x40, 0, 0], 100 << 20)));
        Assert.Equal(GrpcStatusCode.Unimplemented, await PostGrpcAsync("Stream", new ByteArrayContent([1, 0, 0, 0, 1, 0])));
        Assert.Equal(GrpcStatusCode.Internal, await PostGrpcAsync("Stream", new ByteArrayContent([0, 0, 0, 0, 4, 0xFF, 0xFF, 0xFF, 0xFF])));

        var manyLabels = new Hello { AgentId = "hostile", ProcessId = "hostile" };
        for (int i = 0; i < 100_000; i++)
            manyLabels.Labels.Add("l" + i.ToString(CultureInfo.InvariantCulture), "v");
        Assert.Equal(GrpcStatusCode.InvalidArgument, await PostGrpcAsync("Stream", new ByteArrayContent(Frame(new AgentMessage { Hello = manyLabels }))));

        byte[] bomb = Bomb(256 << 20);
        RecordBatch records = new() { Segment = new SegmentId { Epoch = 1, Number = 1, Nonce = 1 }, FirstRecord = 0 };
        records.Records.Add(ByteString.CopyFrom([.. RecordHead(), .. Varint(256 << 20), .. bomb]));
        RecordBatch lie = new() { Segment = new SegmentId { Epoch = 1, Number = 2, Nonce = 2 }, FirstRecord = 0 };
        lie.Records.Add(ByteString.CopyFrom([.. RecordHead(), .. Varint(16 * 1024), .. bomb]));
        using var channel = new GrpcChannel(new GrpcChannelOptions { Address = new Uri("http://" + _site.Grpc) }, TimeProvider.System);
        var metadata = new GrpcMetadata();
        metadata.Add("authorization", "Bearer " + Token());
        await using GrpcCall<AgentMessage, AggregatorMessage> call = channel.Open(WireMethods.Stream, new GrpcCallOptions { Metadata = metadata }, CancellationToken.None);
        await call.WriteAsync(new AgentMessage { Hello = new Hello { AgentId = "hostile", ProcessId = "hostile", ClockUnixMs = TimeProvider.System.GetUtcNow().ToUnixTimeMilliseconds() } }, CancellationToken.None);
        await call.WriteAsync(new AgentMessage { Records = records }, CancellationToken.None);
        await call.WriteAsync(new AgentMessage { Records = lie }, CancellationToken.None);
        var refused = new List<string>();
        while (refused.Count < 2 && await call.ReadAsync(CancellationToken.None) is { } answer)
            refused.AddRange((answer.Ack?.Refused ?? []).Select(r => r.Reason));
        Assert.Equal(2, refused.Count);
    }

    [Fact]
    public async Task Remote_writes_that_claim_or_hold_too_much_are_refused()
    {
        await RefusedAsync(HttpStatusCode.BadRequest, [0xFF, 0xFF, 0xFF, 0xFF, 0x0F, 1, 2, 3], "declares more");
        await RefusedAsync(HttpStatusCode.BadRequest, RemoteWrite.Compress(new byte[64 << 20]), "declares more");
        await RefusedAsync(HttpStatusCode.BadRequest, RemoteWrite.Compress(new byte[16 << 20]), "");
        await RefusedAsync(HttpStatusCode.BadRequest, RemoteWrite.ManyLabels(1_000_000), "labels");
        await RefusedAsync(HttpStatusCode.BadRequest, Encoding.UTF8.GetBytes("no snappy at all"), "");
        string answer = Encoding.Latin1.GetString(await UntilCutAsync(_site.Http, "POST /api/v1/write HTTP/1.1\r\nHost: a\r\nContent-Type: application/x-protobuf\r\nContent-Encoding: snappy\r\nContent-Length: 104857600\r\nConnection: close\r\n\r\n"u8.ToArray()));
        Assert.StartsWith("HTTP/1.1 413", answer, StringComparison.Ordinal);
        foreach (string path in new[] { "/api/v1/write", "/api/v1/query" })
        {
            using var content = new EndlessContent([], 100 << 20);
            content.Headers.ContentType = new MediaTypeHeaderValue(path.EndsWith("write", StringComparison.Ordinal) ? "application/x-protobuf" : "application/x-www-form-urlencoded");
            try
            {
                using HttpResponseMessage response = await _site.Api.Client.PostAsync(path, content);
                Assert.True(response.StatusCode is HttpStatusCode.RequestEntityTooLarge or HttpStatusCode.BadRequest, $"{path}: {response.StatusCode}");
            }
            catch (HttpRequestException e)
            {
                // Cut while it still sends.
                Assert.IsAssignableFrom<IOException>(e.InnerException);
            }
        }
    }

    [Fact]
    public async Task A_slow_client_is_cut()
    {
        Task<byte[]> headers = UntilCutAsync(_site.Http, "GET /metrics HTTP/1.1\r\nHos"u8.ToArray());
        Task<byte[]> body = UntilCutAsync(_site.Http, "POST /api/v1/write HTTP/1.1\r\nHost: a\r\nContent-Type: application/x-protobuf\r\nContent-Length: 1000\r\n\r\nab"u8.ToArray());
        Assert.StartsWith("HTTP/1.1 408", Encoding.Latin1.GetString(await headers), StringComparison.Ordinal);
        Assert.StartsWith("HTTP/1.1 408", Encoding.Latin1.GetString(await body), StringComparison.Ordinal);
    }

    private string Token() => File.ReadAllText(Path.Combine(_site.Folder, "hostile.token")).Trim();

    private long PeakBytes()
    {
        string line = File.ReadLines($"/proc/{_site.Aggregator!.Id}/status").First(l => l.StartsWith("VmHWM:", StringComparison.Ordinal));
        return long.Parse(line.AsSpan(6, line.Length - 8).Trim(), CultureInfo.InvariantCulture) * 1024;
    }

    private async Task RefusedAsync(HttpStatusCode expected, byte[] body, string reason)
    {
        (HttpStatusCode status, string answer) = await RemoteWrite.PostAsync(_site, body);
        Assert.True(status == expected && answer.Contains(reason, StringComparison.Ordinal), $"{status}: {answer}");
    }

    private async Task<GrpcStatusCode> PostGrpcAsync(string method, HttpContent body)
    {
        using var client = new HttpClient(new SocketsHttpHandler()) { Timeout = TimeSpan.FromSeconds(120) };
        using var request = new HttpRequestMessage(HttpMethod.Post, $"http://{_site.Grpc}/{WireMethods.AggregatorService}/{method}")
        {
            Version = HttpVersion.Version20,
            VersionPolicy = HttpVersionPolicy.RequestVersionExact,
            Content = body,
        };
        body.Headers.ContentType = new MediaTypeHeaderValue("application/grpc");
        request.Headers.Authorization = new AuthenticationHeaderValue("Bearer", Token());
        using HttpResponseMessage response = await client.SendAsync(request);
        Assert.Equal(HttpStatusCode.OK, response.StatusCode);
        HttpResponseHeaders holder = response.TrailingHeaders.Contains("grpc-status") ? response.TrailingHeaders : response.Headers;
        return (GrpcStatusCode)int.Parse(holder.GetValues("grpc-status").Single(), CultureInfo.InvariantCulture);
    }

    /// <summary>Sends bytes and reads until the server closes; fails when it does not within 90 s.</summary>
    private static async Task<byte[]> UntilCutAsync(string address, byte[] bytes)
    {
        using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(90), TimeProvider.System);
        using var client = new TcpClient();
        await client.ConnectAsync(IPEndPoint.Parse(address), limit.Token);
        using var received = new MemoryStream();
        NetworkStream stream = client.GetStream();
        try
        {
            await stream.WriteAsync(bytes, limit.Token);
            await stream.CopyToAsync(received, limit.Token);
        }
        catch (IOException)
        {
            // Reset: cut as well.
        }
        return received.ToArray();
    }

    private static byte[] Frame(AgentMessage message)
    {
        byte[] body = message.ToByteArray();
        return [0, (byte)(body.Length >> 24), (byte)(body.Length >> 16), (byte)(body.Length >> 8), (byte)body.Length, .. body];
    }

    /// <summary>The head of a compressed record that begins a source (docs/formats/record.md).</summary>
    private static byte[] RecordHead() => [1, 3, 0, 0, 1, (byte)'x', .. Varint(1000), .. Varint((ulong)TimeProvider.System.GetUtcNow().ToUnixTimeMilliseconds() << 1), 1];

    private static byte[] Varint(ulong value)
    {
        var bytes = new List<byte>();
        for (; value >= 0x80; value >>= 7)
            bytes.Add((byte)(value | 0x80));
        bytes.Add((byte)value);
        return [.. bytes];
    }

    private static byte[] Bomb(int length)
    {
        using var into = new MemoryStream();
        using (var brotli = new BrotliStream(into, CompressionLevel.Fastest))
        {
            byte[] zeros = new byte[1 << 20];
            for (int written = 0; written < length; written += zeros.Length)
                brotli.Write(zeros);
        }
        return into.ToArray();
    }

    /// <summary>A head and then zeros, written piece by piece, without a length.</summary>
    private sealed class EndlessContent(byte[] head, long zeros) : HttpContent
    {
        protected override async Task SerializeToStreamAsync(Stream stream, TransportContext? context)
        {
            await stream.WriteAsync(head);
            byte[] piece = new byte[64 * 1024];
            for (long written = 0; written < zeros; written += piece.Length)
                await stream.WriteAsync(piece);
        }

        protected override bool TryComputeLength(out long length)
        {
            length = 0;
            return false;
        }
    }
}
