using Bellwether.Core.Grpc;
using Google.Protobuf.WellKnownTypes;

namespace Bellwether.Core.Tests.Grpc;

/// <summary>Our client with our server over real loopback connections.</summary>
public sealed class CallTests
{
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(120);

    [Fact]
    public async Task A_unary_call_answers_what_the_handler_said()
    {
        await using GrpcTestServer server = await GrpcTestServer.StartAsync();
        using GrpcChannel channel = server.Channel();
        GrpcResult<BytesValue> result = await channel.UnaryAsync(EchoService.Unary, EchoService.Bytes(100), GrpcCallOptions.Default, CancellationToken.None).WaitAsync(s_patience);
        Assert.Equal(GrpcStatus.Ok, result.Status);
        Assert.Equal(EchoService.Bytes(100), result.Response);
    }

    [Fact]
    public async Task A_bidi_call_answers_each_message_as_it_comes()
    {
        await using GrpcTestServer server = await GrpcTestServer.StartAsync();
        using GrpcChannel channel = server.Channel();
        await using GrpcCall<BytesValue, BytesValue> call = channel.Open(EchoService.Bidi, GrpcCallOptions.Default, CancellationToken.None);
        for (int i = 0; i < 200; i++)
        {
            await call.WriteAsync(EchoService.Bytes(i * 17, (byte)i), CancellationToken.None);
            Assert.Equal(EchoService.Bytes(i * 17, (byte)i), await call.ReadAsync(CancellationToken.None).AsTask().WaitAsync(s_patience));
        }
        call.CompleteWriting();
        Assert.Null(await call.ReadAsync(CancellationToken.None).AsTask().WaitAsync(s_patience));
        Assert.Equal(GrpcStatus.Ok, call.Status);
    }

    [Fact]
    public async Task An_error_comes_with_its_text_and_details()
    {
        await using GrpcTestServer server = await GrpcTestServer.StartAsync();
        using GrpcChannel channel = server.Channel();
        GrpcResult<BytesValue> result = await channel.UnaryAsync(EchoService.Fail, EchoService.Text("8 100 % voll: schöne Grüße\n"), GrpcCallOptions.Default, CancellationToken.None).WaitAsync(s_patience);
        Assert.Equal(GrpcStatusCode.ResourceExhausted, result.Status.Code);
        Assert.Equal("100 % voll: schöne Grüße\n", result.Status.Message);
        Assert.Equal(EchoService.Details, result.Status.Details.ToArray());
        Assert.Null(result.Response);
    }
}
