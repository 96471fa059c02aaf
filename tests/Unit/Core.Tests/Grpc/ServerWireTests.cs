using System.Buffers.Binary;
using System.Net;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text;
using Bellwether.Core.Grpc;
using Bellwether.Core.Grpc.Server;
using Bellwether.GrpcHealth.V1;
using Bellwether.Kit;
using Google.Protobuf.WellKnownTypes;

namespace Bellwether.Core.Tests.Grpc;

/// <summary>The server's answers on the wire, seen by a plain HTTP/2 client, and what its router refuses.</summary>
public sealed class ServerWireTests
{
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(120);

    [Fact]
    public async Task A_compressed_message_is_answered_unimplemented_with_the_accepted_encoding()
    {
        await using GrpcTestServer server = await GrpcTestServer.StartAsync();
        using HttpResponseMessage response = await PostAsync(server, EchoService.Unary.Path, Frame([10, 1, 1], flag: 1));
        await AssertStatusAsync(response, GrpcStatusCode.Unimplemented);
        Assert.Equal("identity", response.Headers.GetValues("grpc-accept-encoding").Single());
    }

    [Fact]
    public async Task An_unknown_grpc_encoding_is_answered_unimplemented_before_the_body_is_read()
    {
        await using GrpcTestServer server = await GrpcTestServer.StartAsync();
        using HttpResponseMessage response = await PostAsync(server, EchoService.Unary.Path, Frame([10, 1, 1]), ("grpc-encoding", "gzip"));
        await AssertStatusAsync(response, GrpcStatusCode.Unimplemented, trailersOnly: true);
        Assert.Equal("identity", response.Headers.GetValues("grpc-accept-encoding").Single());
    }

    [Fact]
    public async Task An_unknown_method_is_answered_unimplemented_by_headers_alone()
    {
        await using GrpcTestServer server = await GrpcTestServer.StartAsync();
        using HttpResponseMessage response = await PostAsync(server, "/bellwether.test.Echo/Nothing", Frame([]));
        await AssertStatusAsync(response, GrpcStatusCode.Unimplemented, trailersOnly: true);
    }

    [Theory]
    [InlineData("application/json", HttpStatusCode.UnsupportedMediaType)]
    [InlineData("application/grpc-web", HttpStatusCode.UnsupportedMediaType)]
    [InlineData("application/grpc+proto", HttpStatusCode.OK)]
    [InlineData("application/grpc;x=y", HttpStatusCode.OK)]
    public async Task A_wrong_content_type_is_answered_415(string type, HttpStatusCode expected)
    {
        await using GrpcTestServer server = await GrpcTestServer.StartAsync();
        using HttpResponseMessage response = await PostAsync(server, EchoService.Unary.Path, Frame([]), contentType: type);
        Assert.Equal(expected, response.StatusCode);
    }

    [Fact]
    public async Task What_is_not_grpc_passes_to_the_rest_of_the_pipeline()
    {
        await using GrpcTestServer server = await GrpcTestServer.StartAsync();
        using HttpResponseMessage response = await PostAsync(server, "/somewhere", [], contentType: "text/plain");
        Assert.Equal("not gRPC", await response.Content.ReadAsStringAsync());
    }

    [Fact]
    public async Task Grpc_over_http_1_is_answered_426()
    {
        using var certificates = new TestCertificates();
        await using GrpcTestServer server = await GrpcTestServer.StartAsync(tls: certificates.Server);
        using var handler = new SocketsHttpHandler();
        handler.SslOptions.CertificateChainPolicy = new X509ChainPolicy { TrustMode = X509ChainTrustMode.CustomRootTrust, RevocationMode = X509RevocationMode.NoCheck };
        handler.SslOptions.CertificateChainPolicy.CustomTrustStore.AddRange(certificates.Roots);
        using var client = new HttpClient(handler);
        using var content = new ByteArrayContent(Frame([]));
        content.Headers.TryAddWithoutValidation("content-type", "application/grpc");
        using HttpResponseMessage response = await client.PostAsync(new Uri(server.Address, EchoService.Unary.Path), content);
        Assert.Equal(HttpStatusCode.UpgradeRequired, response.StatusCode);
    }

    [Fact]
    public async Task A_declared_length_above_the_limit_is_refused_before_it_is_waited_for()
    {
        await using GrpcTestServer server = await GrpcTestServer.StartAsync(new GrpcServerOptions { MaxReceiveMessageBytes = 1000 });
        byte[] frame = [0, 0x7f, 0xff, 0xff, 0xff, 1, 2, 3];
        long before = GC.GetTotalAllocatedBytes();
        using HttpResponseMessage response = await PostAsync(server, EchoService.Unary.Path, frame);
        await AssertStatusAsync(response, GrpcStatusCode.ResourceExhausted);
        // The declared 2 GiB are not in it; what other tests allocate at the same time is.
        Assert.InRange(GC.GetTotalAllocatedBytes() - before, 0, 1_500_000_000);
    }

    [Fact]
    public async Task A_message_at_the_limit_is_taken_and_one_byte_more_is_not()
    {
        await using GrpcTestServer server = await GrpcTestServer.StartAsync(new GrpcServerOptions { MaxReceiveMessageBytes = 1003 });
        using GrpcChannel channel = server.Channel();
        Assert.Equal(1003, EchoService.Bytes(1000).CalculateSize());
        Assert.True((await channel.UnaryAsync(EchoService.Unary, EchoService.Bytes(1000), GrpcCallOptions.Default, CancellationToken.None)).Status.IsOk);
        Assert.Equal(GrpcStatusCode.ResourceExhausted, (await channel.UnaryAsync(EchoService.Unary, EchoService.Bytes(1001), GrpcCallOptions.Default, CancellationToken.None)).Status.Code);
    }

    [Fact]
    public async Task A_body_that_ends_within_a_message_is_answered_internal()
    {
        await using GrpcTestServer server = await GrpcTestServer.StartAsync();
        using HttpResponseMessage response = await PostAsync(server, EchoService.Unary.Path, [0, 0, 0, 0, 9, 1]);
        await AssertStatusAsync(response, GrpcStatusCode.Internal);
    }

    [Fact]
    public async Task Bytes_that_are_no_protobuf_are_answered_internal()
    {
        await using GrpcTestServer server = await GrpcTestServer.StartAsync();
        using HttpResponseMessage response = await PostAsync(server, EchoService.Unary.Path, Frame([10, 200, 1]));
        await AssertStatusAsync(response, GrpcStatusCode.Internal);
    }

    [Fact]
    public async Task A_unary_call_without_or_with_two_messages_is_refused()
    {
        await using GrpcTestServer server = await GrpcTestServer.StartAsync();
        using HttpResponseMessage none = await PostAsync(server, EchoService.Unary.Path, []);
        await AssertStatusAsync(none, GrpcStatusCode.Unimplemented);
        using HttpResponseMessage two = await PostAsync(server, EchoService.Unary.Path, [.. Frame([]), .. Frame([])]);
        await AssertStatusAsync(two, GrpcStatusCode.Unimplemented);
    }

    [Fact]
    public async Task A_broken_timeout_is_refused()
    {
        await using GrpcTestServer server = await GrpcTestServer.StartAsync();
        using HttpResponseMessage response = await PostAsync(server, EchoService.Unary.Path, Frame([]), ("grpc-timeout", "5 minutes"));
        await AssertStatusAsync(response, GrpcStatusCode.Internal, trailersOnly: true);
    }

    [Fact]
    public async Task The_deadline_that_the_client_names_ends_the_handler()
    {
        await using GrpcTestServer server = await GrpcTestServer.StartAsync();
        using HttpResponseMessage response = await PostAsync(server, EchoService.Hang.Path, Frame([]), ("grpc-timeout", "50m"));
        await AssertStatusAsync(response, GrpcStatusCode.DeadlineExceeded);
        Assert.True(await server.Seen.Cancelled.Task.WaitAsync(s_patience));
    }

    [Fact]
    public async Task The_client_gives_up_at_its_deadline_by_itself()
    {
        await using GrpcTestServer server = await GrpcTestServer.StartAsync();
        using GrpcChannel channel = server.Channel();
        await using GrpcCall<BytesValue, BytesValue> call = channel.Open(EchoService.Hang, new GrpcCallOptions { Timeout = TimeSpan.FromMilliseconds(100) }, CancellationToken.None);
        Assert.Equal(GrpcStatusCode.DeadlineExceeded, (await call.Ended.WaitAsync(s_patience)).Code);
    }

    [Fact]
    public async Task Metadata_goes_both_ways_as_text_and_bytes()
    {
        await using GrpcTestServer server = await GrpcTestServer.StartAsync();
        using GrpcChannel channel = server.Channel();
        var metadata = new GrpcMetadata { { "x-text", "some text" }, { "x-bytes-bin", new byte[] { 0, 255, 1, 2 } } };
        GrpcResult<BytesValue> result = await channel.UnaryAsync(EchoService.Metadata, EchoService.Text(""), new GrpcCallOptions { Metadata = metadata }, CancellationToken.None);
        Assert.Equal("some text/00FF0102", result.Response!.Value.ToStringUtf8());
        Assert.Equal("some text", result.Trailers.Text("x-text"));
        Assert.Equal([0, 255, 1, 2], result.Trailers.Bytes("x-bytes-bin")!.Value.ToArray());
    }

    [Fact]
    public async Task A_failure_mid_stream_comes_after_the_messages_before_it()
    {
        await using GrpcTestServer server = await GrpcTestServer.StartAsync();
        using GrpcChannel channel = server.Channel();
        await using GrpcCall<BytesValue, BytesValue> call = channel.Open(EchoService.FailMidStream, GrpcCallOptions.Default, CancellationToken.None);
        Assert.Equal(EchoService.Text("one"), await call.ReadAsync(CancellationToken.None).AsTask().WaitAsync(s_patience));
        Assert.Equal(EchoService.Text("two"), await call.ReadAsync(CancellationToken.None).AsTask().WaitAsync(s_patience));
        Assert.Null(await call.ReadAsync(CancellationToken.None).AsTask().WaitAsync(s_patience));
        Assert.Equal(new GrpcStatus(GrpcStatusCode.DataLoss, "lost"), call.Status);
    }

    [Fact]
    public async Task A_handler_that_throws_says_nothing_of_why_to_the_client()
    {
        GrpcMethods methods = new GrpcMethods().Unary(EchoService.Unary, (_, _) => throw new InvalidOperationException("secret path"));
        await using GrpcTestServer server = await GrpcTestServer.StartAsync(methods: methods);
        using GrpcChannel channel = server.Channel();
        GrpcResult<BytesValue> result = await channel.UnaryAsync(EchoService.Unary, EchoService.Text(""), GrpcCallOptions.Default, CancellationToken.None);
        Assert.Equal(GrpcStatusCode.Unknown, result.Status.Code);
        Assert.DoesNotContain("secret", result.Status.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Without_a_credential_the_body_is_not_read()
    {
        bool ran = false;
        GrpcMethods methods = new GrpcMethods().Unary(EchoService.Unary, (request, context) =>
        {
            ran = true;
            return Task.FromResult(new GrpcResult<BytesValue>(GrpcStatus.Ok, EchoService.Text(context.Identity!.Name), context.Trailers));
        });
        var authenticator = new TokenAuthenticator([new ClientProof("agent-1", SHA256.HashData(Encoding.UTF8.GetBytes("secret")), default, null)]);
        await using GrpcTestServer server = await GrpcTestServer.StartAsync(methods: methods, authenticator: authenticator);
        using GrpcChannel channel = server.Channel();
        foreach (string? token in new[] { null, "wrong", "", "secret ", new string('x', 10_000) })
        {
            (string, string)[] headers = token is null ? [] : [("authorization", "Bearer " + token)];
            using HttpResponseMessage response = await PostAsync(server, EchoService.Unary.Path, Frame([]), headers);
            await AssertStatusAsync(response, GrpcStatusCode.Unauthenticated, trailersOnly: true);
        }
        Assert.False(ran);
        var metadata = new GrpcMetadata { { "authorization", "Bearer secret" } };
        GrpcResult<BytesValue> result = await channel.UnaryAsync(EchoService.Unary, EchoService.Text(""), new GrpcCallOptions { Metadata = metadata }, CancellationToken.None);
        Assert.Equal("agent-1", result.Response!.Value.ToStringUtf8());
        authenticator.Replace([]);
        Assert.Equal(GrpcStatusCode.Unauthenticated, (await channel.UnaryAsync(EchoService.Unary, EchoService.Text(""), new GrpcCallOptions { Metadata = metadata }, CancellationToken.None)).Status.Code);
    }

    [Fact]
    public async Task More_calls_than_the_limit_are_refused()
    {
        await using GrpcTestServer server = await GrpcTestServer.StartAsync(new GrpcServerOptions { MaxConcurrentCalls = 1 });
        using GrpcChannel channel = server.Channel();
        await using GrpcCall<BytesValue, BytesValue> call = channel.Open(EchoService.Hang, GrpcCallOptions.Default, CancellationToken.None);
        await server.Seen.Started.Task.WaitAsync(s_patience);
        Assert.Equal(GrpcStatusCode.ResourceExhausted, (await channel.UnaryAsync(EchoService.Unary, EchoService.Text(""), GrpcCallOptions.Default, CancellationToken.None)).Status.Code);
    }

    [Fact]
    public async Task Health_answers_check_and_tells_watchers_of_changes_without_a_credential()
    {
        var health = new HealthService();
        var methods = new GrpcMethods();
        health.AddTo(methods);
        health.Set(WireMethods.AggregatorService, serving: true);
        await using GrpcTestServer server = await GrpcTestServer.StartAsync(methods: methods, authenticator: new TokenAuthenticator([]));
        using GrpcChannel channel = server.Channel();
        Assert.Equal(HealthCheckResponse.Types.ServingStatus.NotServing, (await CheckAsync("")).Response!.Status);
        Assert.Equal(HealthCheckResponse.Types.ServingStatus.Serving, (await CheckAsync(WireMethods.AggregatorService)).Response!.Status);
        Assert.Equal(GrpcStatusCode.NotFound, (await CheckAsync("nobody")).Status.Code);
        await using GrpcCall<HealthCheckRequest, HealthCheckResponse> watch = channel.Open(WireMethods.HealthWatch, GrpcCallOptions.Default, CancellationToken.None);
        await watch.WriteAsync(new HealthCheckRequest(), CancellationToken.None);
        watch.CompleteWriting();
        Assert.Equal(HealthCheckResponse.Types.ServingStatus.NotServing, (await watch.ReadAsync(CancellationToken.None).AsTask().WaitAsync(s_patience))!.Status);
        health.Set("", serving: true);
        Assert.Equal(HealthCheckResponse.Types.ServingStatus.Serving, (await watch.ReadAsync(CancellationToken.None).AsTask().WaitAsync(s_patience))!.Status);

        Task<GrpcResult<HealthCheckResponse>> CheckAsync(string service) =>
            channel.UnaryAsync(WireMethods.HealthCheck, new HealthCheckRequest { Service = service }, GrpcCallOptions.Default, CancellationToken.None).WaitAsync(s_patience);
    }

    [Fact]
    public void Plaintext_beyond_loopback_needs_a_word()
    {
        var options = new GrpcChannelOptions { Address = new Uri("http://aggregator.example:9095") };
        Assert.Throws<ArgumentException>(() => new GrpcChannel(options, TimeProvider.System));
        new GrpcChannel(options with { AllowPlaintextBeyondLoopback = true }, TimeProvider.System).Dispose();
    }

    private static byte[] Frame(byte[] message, byte flag = 0)
    {
        byte[] frame = new byte[5 + message.Length];
        frame[0] = flag;
        BinaryPrimitives.WriteInt32BigEndian(frame.AsSpan(1), message.Length);
        message.CopyTo(frame, 5);
        return frame;
    }

    private static Task<HttpResponseMessage> PostAsync(GrpcTestServer server, string path, byte[] body, params (string Name, string Value)[] headers) => PostAsync(server, path, body, "application/grpc", headers);

    private static async Task<HttpResponseMessage> PostAsync(GrpcTestServer server, string path, byte[] body, string contentType, params (string Name, string Value)[] headers)
    {
        using var client = new HttpClient { DefaultRequestVersion = HttpVersion.Version20, DefaultVersionPolicy = HttpVersionPolicy.RequestVersionExact };
        using var content = new ByteArrayContent(body);
        content.Headers.TryAddWithoutValidation("content-type", contentType);
        using var request = new HttpRequestMessage(HttpMethod.Post, new Uri(server.Address, path)) { Version = HttpVersion.Version20, VersionPolicy = HttpVersionPolicy.RequestVersionExact, Content = content };
        foreach ((string name, string value) in headers)
            request.Headers.TryAddWithoutValidation(name, value);
        return await client.SendAsync(request).WaitAsync(s_patience);
    }

    private static async Task AssertStatusAsync(HttpResponseMessage response, GrpcStatusCode expected, bool trailersOnly = false)
    {
        Assert.Equal(HttpStatusCode.OK, response.StatusCode);
        Assert.Equal("application/grpc", response.Content.Headers.ContentType?.MediaType);
        await response.Content.ReadAsByteArrayAsync();
        IEnumerable<string>? values;
        Assert.True(response.Headers.TryGetValues("grpc-status", out values) || (!trailersOnly && response.TrailingHeaders.TryGetValues("grpc-status", out values)));
        Assert.Equal(((int)expected).ToString(System.Globalization.CultureInfo.InvariantCulture), values!.Single());
    }
}
