using System.Net;
using System.Security.Authentication;
using Bellwether.Core.Platform;

namespace Bellwether.Core.Grpc;

/// <summary>What a failure of HTTP means in gRPC's codes (grpc/grpc doc/PROTOCOL-HTTP2.md "Errors", doc/http-grpc-status-mapping.md).</summary>
internal static class HttpErrorMap
{
    /// <summary>An answer that is no gRPC answer, by its HTTP status.</summary>
    public static GrpcStatus FromHttpStatus(HttpStatusCode status)
    {
        GrpcStatusCode code = (int)status switch
        {
            400 => GrpcStatusCode.Internal,
            401 => GrpcStatusCode.Unauthenticated,
            403 => GrpcStatusCode.PermissionDenied,
            404 => GrpcStatusCode.Unimplemented,
            429 or 502 or 503 or 504 => GrpcStatusCode.Unavailable,
            _ => GrpcStatusCode.Unknown,
        };
        return new GrpcStatus(code, $"the peer answered HTTP {(int)status}, which is no gRPC answer");
    }

    /// <summary>A failure of the transport.</summary>
    public static GrpcStatus FromException(Exception exception)
    {
        for (Exception? e = exception; e is not null; e = e.InnerException)
        {
            switch (e)
            {
                case GrpcStatusException status:
                    return status.Status;
                case HttpProtocolException protocol:
                    return FromHttp2Error(protocol.ErrorCode);
                case AuthenticationException:
                    return new GrpcStatus(GrpcStatusCode.Unavailable, $"TLS failed: {FailureText.Of(e)}");
            }
        }
        return new GrpcStatus(GrpcStatusCode.Unavailable, FailureText.Of(exception));
    }

    /// <summary>An HTTP/2 error code, of a reset stream or of a connection that went down with it.</summary>
    public static GrpcStatus FromHttp2Error(long errorCode) => errorCode switch
    {
        // A time-out of our own keepalive ping shows as PROTOCOL_ERROR of the connection and cannot be told from a peer's: for the caller both are 'connect again'.
        0x1 => new(GrpcStatusCode.Unavailable, "the HTTP/2 connection failed (PROTOCOL_ERROR; a ping without an answer shows so, too)"),
        0x5 => new(GrpcStatusCode.Unavailable, "the HTTP/2 stream was closed (STREAM_CLOSED)"),
        0x7 => new(GrpcStatusCode.Unavailable, "the peer refused the stream (REFUSED_STREAM)"),
        0x8 => new(GrpcStatusCode.Cancelled, "the peer cancelled the call (CANCEL)"),
        0xb => new(GrpcStatusCode.ResourceExhausted, "the peer asks for calm (ENHANCE_YOUR_CALM): back off"),
        0xc => new(GrpcStatusCode.PermissionDenied, "the peer asks for better transport security (INADEQUATE_SECURITY)"),
        _ => new(GrpcStatusCode.Internal, $"the peer ended the stream with HTTP/2 error {errorCode}"),
    };
}
