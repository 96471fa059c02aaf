using Google.Protobuf;
using Microsoft.AspNetCore.Http;

namespace Bellwether.Core.Grpc.Server;

/// <summary>The messages of one call at the server. One reader at a time; writes are serialized; reading and writing may go on at the same time.</summary>
public sealed class GrpcServerStream<TRequest, TResponse>
    where TRequest : class, IMessage<TRequest>
    where TResponse : class, IMessage<TResponse>
{
    private readonly HttpContext _http;
    private readonly CallLifetime _lifetime;
    private readonly GrpcServerOptions _options;
    private readonly MessageParser<TRequest> _parser;
    private readonly SemaphoreSlim _writing;

    internal GrpcServerStream(HttpContext http, CallLifetime lifetime, GrpcServerOptions options, MessageParser<TRequest> parser, SemaphoreSlim writing)
    {
        _http = http;
        _lifetime = lifetime;
        _options = options;
        _parser = parser;
        _writing = writing;
    }

    /// <summary>
    /// The client's next message; null when it said that no more will come. Throws <see cref="GrpcStatusException"/> when the client broke the protocol or a limit
    /// (let it pass: it becomes the call's status) and <see cref="OperationCanceledException"/> when the call is over.
    /// </summary>
    public async ValueTask<TRequest?> ReadAsync()
    {
        _lifetime.Idle.Arm();
        try
        {
            return await GrpcFrames.ReadAsync(_http.Request.BodyReader, _parser, _options.MaxReceiveMessageBytes, GrpcStatusCode.Unimplemented, _lifetime.Token);
        }
        finally
        {
            _lifetime.Idle.Disarm();
        }
    }

    /// <summary>Sends a message and flushes; waits while the client does not read, at most <see cref="GrpcServerOptions.WriteTimeout"/>. Throws as <see cref="ReadAsync"/>.</summary>
    public async ValueTask WriteAsync(TResponse message)
    {
        int size = message.CalculateSize();
        if (size > _options.MaxSendMessageBytes)
            throw new GrpcStatusException(new GrpcStatus(GrpcStatusCode.ResourceExhausted, $"an answer of {size} bytes is above the limit of {_options.MaxSendMessageBytes}"));
        await _writing.WaitAsync(_lifetime.Token);
        try
        {
            _lifetime.Stalled.Arm();
            GrpcFrames.Write(_http.Response.BodyWriter, message, size);
            await _http.Response.BodyWriter.FlushAsync(_lifetime.Token);
        }
        finally
        {
            _lifetime.Stalled.Disarm();
            _writing.Release();
        }
    }
}
