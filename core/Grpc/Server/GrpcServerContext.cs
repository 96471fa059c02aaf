using System.Net;

namespace Bellwether.Core.Grpc.Server;

/// <summary>What a handler knows of its call beside the messages.</summary>
public sealed class GrpcServerContext
{
    internal GrpcServerContext(string path, ClientIdentity? identity, EndPoint? remote, GrpcMetadata headers, CancellationToken cancellation)
    {
        Path = path;
        Identity = identity;
        Remote = remote;
        Headers = headers;
        Cancellation = cancellation;
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

    /// <summary>Metadata to send with the status.</summary>
    public GrpcMetadata Trailers { get; } = new();
}
