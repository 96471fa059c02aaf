using System.Security.Cryptography.X509Certificates;

namespace Bellwether.Core.Grpc;

/// <summary>How a <see cref="GrpcChannel"/> connects. Immutable.</summary>
public sealed record GrpcChannelOptions
{
    /// <summary>The peer, <c>https://host:port</c>, or <c>http://host:port</c> (HTTP/2 without TLS) on loopback.</summary>
    public required Uri Address { get; init; }

    /// <summary>Lets <c>http://</c> go beyond loopback. Tokens and data then travel in the clear. Default: false.</summary>
    public bool AllowPlaintextBeyondLoopback { get; init; }

    /// <summary>Certificate authorities to trust instead of the system's; null: the system's.</summary>
    public X509Certificate2Collection? TrustedRoots { get; init; }

    /// <summary>Own certificate with its key; null: none. Owned by the caller.</summary>
    public X509Certificate2? ClientCertificate { get; init; }

    /// <summary>Name to expect in the server's certificate; null: the address's host.</summary>
    public string? ServerName { get; init; }

    /// <summary>Largest message taken, bytes. Default: 4 MiB.</summary>
    public int MaxReceiveMessageBytes { get; init; } = 4 * 1024 * 1024;

    /// <summary>Largest message sent, bytes. Default: 4 MiB.</summary>
    public int MaxSendMessageBytes { get; init; } = 4 * 1024 * 1024;

    /// <summary>Messages read ahead of the caller, per call. Default: 64. Behind a full queue the peer is held by flow control.</summary>
    public int MaxQueuedMessages { get; init; } = 64;

    /// <summary>How long connecting may take, TLS included. Default: 5 s.</summary>
    public TimeSpan ConnectTimeout { get; init; } = TimeSpan.FromSeconds(5);

    /// <summary>Quiet time before a ping while a call is open. At least 30 s: grpcio answers more with GOAWAY "too many pings". Default: 30 s.</summary>
    public TimeSpan KeepAliveDelay { get; init; } = MinKeepAliveDelay;

    /// <summary>How long the answer to a ping may take before the connection counts as dead (calls end as Unavailable). Default: 10 s.</summary>
    public TimeSpan KeepAliveTimeout { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>The lower bound of <see cref="KeepAliveDelay"/>.</summary>
    public static TimeSpan MinKeepAliveDelay { get; } = TimeSpan.FromSeconds(30);
}

/// <summary>What a single call adds.</summary>
public sealed record GrpcCallOptions
{
    /// <summary>Nothing.</summary>
    public static GrpcCallOptions Default { get; } = new();

    /// <summary>How long the call may take; it is told to the peer, too. Null: no deadline.</summary>
    public TimeSpan? Timeout { get; init; }

    /// <summary>Metadata to send, e.g. <c>authorization</c>.</summary>
    public GrpcMetadata Metadata { get; init; } = GrpcMetadata.None;
}
