using Bellwether.Core.Grpc;
using Bellwether.Core.Grpc.Server;
using Google.Protobuf;
using Google.Protobuf.WellKnownTypes;

namespace Bellwether.Core.Tests.Grpc;

/// <summary>The service that these tests and their peers in other languages agree on: <c>bellwether.test.Echo</c>, messages google.protobuf.BytesValue.</summary>
internal static class EchoService
{
    public const string Name = "bellwether.test.Echo";

    public static GrpcMethod<BytesValue, BytesValue> Unary { get; } = Method("Unary");

    /// <summary>Answers each message as it comes.</summary>
    public static GrpcMethod<BytesValue, BytesValue> Bidi { get; } = Method("Bidi");

    /// <summary>Fails as the request says: code, then the message.</summary>
    public static GrpcMethod<BytesValue, BytesValue> Fail { get; } = Method("Fail");

    /// <summary>Answers nothing until it is cancelled.</summary>
    public static GrpcMethod<BytesValue, BytesValue> Hang { get; } = Method("Hang");

    /// <summary>Answers two messages, then fails with DataLoss.</summary>
    public static GrpcMethod<BytesValue, BytesValue> FailMidStream { get; } = Method("FailMidStream");

    /// <summary>Answers the metadata 'x-text' and 'x-bytes-bin' in the message and in trailers.</summary>
    public static GrpcMethod<BytesValue, BytesValue> Metadata { get; } = Method("Metadata");

    /// <summary>Answers at once, without reading the requests.</summary>
    public static GrpcMethod<BytesValue, BytesValue> AnswerFirst { get; } = Method("AnswerFirst");

    public static byte[] Details { get; } = [8, 3, 18, 3, 0xff, 0, 0x7f];

    public static BytesValue Bytes(int count, byte seed = 1)
    {
        byte[] bytes = new byte[count];
        for (int i = 0; i < count; i++)
            bytes[i] = (byte)(seed + (i * 31));
        return new BytesValue { Value = ByteString.CopyFrom(bytes) };
    }

    public static BytesValue Text(string text) => new() { Value = ByteString.CopyFromUtf8(text) };

    public static GrpcMethods Methods(CancellationSeen seen) => new GrpcMethods()
        .Unary(Unary, (request, context) => Task.FromResult(Ok(request, context)))
        .Streaming(Bidi, async (stream, _) =>
        {
            while (await stream.ReadAsync() is { } message)
                await stream.WriteAsync(message);
            return GrpcStatus.Ok;
        })
        .Unary(Fail, (request, context) =>
        {
            string[] parts = request.Value.ToStringUtf8().Split(' ', 2);
            var code = (GrpcStatusCode)int.Parse(parts[0], System.Globalization.CultureInfo.InvariantCulture);
            return Task.FromResult(new GrpcResult<BytesValue>(new GrpcStatus(code, parts[1], Details), null, context.Trailers));
        })
        .Streaming(Hang, async (stream, context) =>
        {
            seen.Started.TrySetResult();
            try
            {
                while (await stream.ReadAsync() is not null)
                    continue;
                await Task.Delay(Timeout.InfiniteTimeSpan, TimeProvider.System, context.Cancellation);
                return GrpcStatus.Ok;
            }
            finally
            {
                seen.Cancelled.TrySetResult(context.Cancellation.IsCancellationRequested);
            }
        })
        .Streaming(FailMidStream, async (stream, _) =>
        {
            await stream.WriteAsync(Text("one"));
            await stream.WriteAsync(Text("two"));
            return new GrpcStatus(GrpcStatusCode.DataLoss, "lost");
        })
        .Unary(Metadata, (_, context) =>
        {
            string text = context.Headers.Text("x-text") ?? "";
            ReadOnlyMemory<byte> bytes = context.Headers.Bytes("x-bytes-bin") ?? default;
            context.Trailers.Add("x-text", text);
            context.Trailers.Add("x-bytes-bin", bytes);
            return Task.FromResult(Ok(Text(text + "/" + Convert.ToHexString(bytes.Span)), context));
        })
        .Streaming(AnswerFirst, (_, _) => Task.FromResult(new GrpcStatus(GrpcStatusCode.FailedPrecondition, "not now")));

    private static GrpcResult<BytesValue> Ok(BytesValue response, GrpcServerContext context) => new(GrpcStatus.Ok, response, context.Trailers);

    private static GrpcMethod<BytesValue, BytesValue> Method(string name) => new(Name, name, BytesValue.Parser, BytesValue.Parser);
}

/// <summary>What a handler saw of its end.</summary>
internal sealed class CancellationSeen
{
    public TaskCompletionSource Started { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);

    public TaskCompletionSource<bool> Cancelled { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);
}
