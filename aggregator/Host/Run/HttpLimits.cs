using Microsoft.AspNetCore.Server.Kestrel.Core;

namespace Bellwether.Aggregator.Run;

/// <summary>Kestrel's settings for the HTTP port. Bodies have their own limits per endpoint; this is the outer one.</summary>
internal static class HttpLimits
{
    /// <summary>Connections at a time.</summary>
    public const int ConnectionsMax = 1000;

    /// <summary>Bytes of a body, before an endpoint's own limit. Remote write's is 16 MiB.</summary>
    public const long BodyBytesMax = 32L << 20;

    /// <summary>Bytes of all headers of a request.</summary>
    public const int HeadersBytesMax = 16 * 1024;

    public static void Set(KestrelServerOptions options)
    {
        options.AddServerHeader = false;
        KestrelServerLimits limits = options.Limits;
        limits.MaxConcurrentConnections = ConnectionsMax;
        limits.MaxRequestBodySize = BodyBytesMax;
        limits.MaxRequestHeadersTotalSize = HeadersBytesMax;
        limits.MaxRequestLineSize = HeadersBytesMax;
        limits.RequestHeadersTimeout = TimeSpan.FromSeconds(10);
        limits.KeepAliveTimeout = TimeSpan.FromSeconds(60);
    }
}
