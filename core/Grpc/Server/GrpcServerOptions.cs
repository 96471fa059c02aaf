namespace Bellwether.Core.Grpc.Server;

/// <summary>Limits of the server half, with their defaults. Immutable.</summary>
public sealed record GrpcServerOptions
{
    /// <summary>Largest message taken, bytes. There is no gRPC-level compression, so this is the inflated length, too. Default: 4 MiB.</summary>
    public int MaxReceiveMessageBytes { get; init; } = 4 * 1024 * 1024;

    /// <summary>Largest message sent, bytes. Default: 4 MiB.</summary>
    public int MaxSendMessageBytes { get; init; } = 4 * 1024 * 1024;

    /// <summary>How long a read may wait for the client's next message before the call ends as Unavailable: streams have no minimum data rate. Default: 2 min.</summary>
    public TimeSpan IdleTimeout { get; init; } = TimeSpan.FromMinutes(2);

    /// <summary>How long a write may wait for a client that does not read before the call ends as Unavailable. Default: 30 s.</summary>
    public TimeSpan WriteTimeout { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>Calls of all clients at a time; more are answered ResourceExhausted. Default: 4,000.</summary>
    public int MaxConcurrentCalls { get; init; } = 4000;
}
