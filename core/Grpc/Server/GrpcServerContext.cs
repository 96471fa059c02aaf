using System.Net;

namespace Bellwether.Core.Grpc.Server;

/// <summary>What a handler knows of its call beside the messages.</summary>
public sealed class GrpcServerContext
{
    private readonly CallLifetime _lifetime;

    internal GrpcServerContext(string path, ClientIdentity? identity, EndPoint? remote, GrpcMetadata headers, CallLifetime lifetime)
    {
        Path = path;
        Identity = identity;
        Remote = remote;
        Headers = headers;
        _lifetime = lifetime;
        Cancellation = lifetime.Token;
    }

    /// <summary><c>/service/method</c>.</summary>
    public string Path { get; }

    /// <summary>Who is calling; null only for methods that are open to everyone.</summary>
    public ClientIdentity? Identity { get; }

    /// <summary>Where the client is.</summary>
    public EndPoint? Remote { get; }

    /// <summary>The client's metadata.</summary>
    public GrpcMetadata Headers { get; }

    /// <summary>
    /// Fires when the client has gone or cancelled, the deadline has passed, a wait was too long, or the server stops. A handler ends soon after it: the call's
    /// objects must not be used once the handler has returned.
    /// </summary>
    public CancellationToken Cancellation { get; }

    /// <summary>Ends the call from outside its handler: <see cref="Cancellation"/> fires, and this is the status, unless there is one already. Does nothing when the handler has returned. Any thread.</summary>
    public void End(GrpcStatus status) => _lifetime.End(status);

    /// <summary>Metadata to send with the status.</summary>
    public GrpcMetadata Trailers { get; } = new();
}
