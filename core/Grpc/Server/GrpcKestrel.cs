using Microsoft.AspNetCore.Server.Kestrel.Core;

namespace Bellwether.Core.Grpc.Server;

/// <summary>Kestrel's settings for the agents' port: memory is bounded by connections x window.</summary>
public static class GrpcKestrel
{
    /// <summary>Connections at a time.</summary>
    public const int MaxConnections = 2000;

    /// <summary>Calls at a time on one connection; an agent has one stream and a unary call now and then.</summary>
    public const int MaxStreamsPerConnection = 8;

    /// <summary>Unread bytes of one connection.</summary>
    public const int ConnectionWindowBytes = 512 * 1024;

    /// <summary>Unread bytes of one call.</summary>
    public const int StreamWindowBytes = 256 * 1024;

    /// <summary>All headers of a request.</summary>
    public const int MaxHeadersBytes = 16 * 1024;

    /// <summary>Sets the limits of a server; they hold for all its listeners.</summary>
    public static void SetLimits(KestrelServerOptions options)
    {
        options.AddServerHeader = false;
        KestrelServerLimits limits = options.Limits;
        limits.MaxConcurrentConnections = MaxConnections;
        limits.MaxRequestHeadersTotalSize = MaxHeadersBytes;
        limits.RequestHeadersTimeout = TimeSpan.FromSeconds(10);
        limits.KeepAliveTimeout = TimeSpan.FromSeconds(60);
        limits.Http2.MaxStreamsPerConnection = MaxStreamsPerConnection;
        limits.Http2.InitialConnectionWindowSize = ConnectionWindowBytes;
        limits.Http2.InitialStreamWindowSize = StreamWindowBytes;
        limits.Http2.KeepAlivePingDelay = TimeSpan.FromSeconds(30);
        limits.Http2.KeepAlivePingTimeout = TimeSpan.FromSeconds(10);
    }
}
