using System.Net;
using System.Net.Security;
using System.Security.Cryptography.X509Certificates;
using Bellwether.Core.Platform;
using Google.Protobuf;

namespace Bellwether.Core.Grpc;

/// <summary>How a unary call ended, with its answer when it succeeded.</summary>
/// <param name="Status">How it ended.</param>
/// <param name="Response">The answer; not null exactly when the status is Ok.</param>
/// <param name="Trailers">Metadata that came with the status.</param>
public readonly record struct GrpcResult<T>(GrpcStatus Status, T? Response, GrpcMetadata Trailers) where T : class;

/// <summary>A gRPC client to one address over HTTP/2. Connects when first used and again when needed. Thread-safe.</summary>
public sealed class GrpcChannel : IDisposable
{
    private readonly HttpMessageInvoker _invoker;
    private volatile bool _isSecured;
    private volatile bool _isHeard;

    /// <summary>Prepares a channel; nothing is sent yet. Throws <see cref="ArgumentException"/> for options that cannot be.</summary>
    /// <param name="options">How to connect.</param>
    /// <param name="time">Clock of deadlines.</param>
    public GrpcChannel(GrpcChannelOptions options, TimeProvider time)
    {
        Check(options);
        Options = options;
        Time = time;
        _invoker = new HttpMessageInvoker(Handler(options), disposeHandler: true);
    }

    /// <summary>How it connects.</summary>
    public GrpcChannelOptions Options { get; }

    /// <summary>
    /// Whether TLS with a client certificate was set up and the peer has sent nothing behind it, not even HTTP/2's first frame. With TLS 1.3 a client is done before the server
    /// has judged its certificate: a connection that ends so was most likely refused for it.
    /// </summary>
    public bool IsUnheardAfterCertificate => _isSecured && !_isHeard;

    internal TimeProvider Time { get; }

    /// <summary>Opens a call whose request, response or both are streams. Errors, also of connecting, are the call's status.</summary>
    public GrpcCall<TRequest, TResponse> Open<TRequest, TResponse>(GrpcMethod<TRequest, TResponse> method, GrpcCallOptions options, CancellationToken cancellation)
        where TRequest : class, IMessage<TRequest>
        where TResponse : class, IMessage<TResponse>
    {
        var call = new GrpcCall<TRequest, TResponse>(this, method, options, cancellation);
        call.Start();
        return call;
    }

    /// <summary>One request, one response. Never throws but for bad arguments: cancellation, too, is a status.</summary>
    public async Task<GrpcResult<TResponse>> UnaryAsync<TRequest, TResponse>(GrpcMethod<TRequest, TResponse> method, TRequest request, GrpcCallOptions options, CancellationToken cancellation)
        where TRequest : class, IMessage<TRequest>
        where TResponse : class, IMessage<TResponse>
    {
        await using GrpcCall<TRequest, TResponse> call = Open(method, options, cancellation);
        TResponse? response = null;
        int count = 0;
        try
        {
            await call.WriteAsync(request, CancellationToken.None);
            call.CompleteWriting();
        }
        catch (GrpcStatusException e) when (call.Status is null)
        {
            return new GrpcResult<TResponse>(e.Status, null, GrpcMetadata.None);
        }
        catch (GrpcStatusException)
        {
            // The call has ended, perhaps with an answer before it had read the request: the reader below knows how.
            count = 0;
        }
        while (await call.ReadAsync(CancellationToken.None) is { } message)
        {
            response = message;
            count++;
        }
        GrpcStatus status = call.Status ?? new GrpcStatus(GrpcStatusCode.Unknown);
        if (status.IsOk && count != 1)
            status = new GrpcStatus(GrpcStatusCode.Unimplemented, $"a unary call was answered with {count} messages");
        return new GrpcResult<TResponse>(status, status.IsOk ? response : null, call.Trailers);
    }

    /// <inheritdoc/>
    public void Dispose() => _invoker.Dispose();

    internal Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellation) => _invoker.SendAsync(request, cancellation);

    private static void Check(GrpcChannelOptions options)
    {
        if (options.Address.Scheme != "http" && options.Address.Scheme != "https")
            throw new ArgumentException($"The address '{options.Address}' must start with https:// (or http:// on loopback).", nameof(options));
        if (options.Address.Scheme == "http" && !options.Address.IsLoopback && !options.AllowPlaintextBeyondLoopback)
            throw new ArgumentException($"The address '{options.Address}' would send data and tokens in the clear: use https://, or allow plaintext beyond loopback.", nameof(options));
        if (options.KeepAliveDelay < GrpcChannelOptions.MinKeepAliveDelay)
            throw new ArgumentException($"A keepalive every {options.KeepAliveDelay.TotalSeconds:0.###} s is below the minimum of {GrpcChannelOptions.MinKeepAliveDelay.TotalSeconds:0} s: peers cut such connections (too many pings).", nameof(options));
    }

    private SocketsHttpHandler Handler(GrpcChannelOptions options)
    {
        var handler = new SocketsHttpHandler
        {
            AllowAutoRedirect = false,
            UseProxy = false,
            UseCookies = false,
            AutomaticDecompression = DecompressionMethods.None,
            ConnectTimeout = options.ConnectTimeout,
            MaxConnectionsPerServer = 2,
            EnableMultipleHttp2Connections = false,
            PooledConnectionLifetime = TimeSpan.FromMinutes(5),
            MaxResponseHeadersLength = 16,
            KeepAlivePingDelay = options.KeepAliveDelay,
            KeepAlivePingTimeout = options.KeepAliveTimeout,
            KeepAlivePingPolicy = HttpKeepAlivePingPolicy.WithActiveRequests,
            ActivityHeadersPropagator = null,
        };
        SslClientAuthenticationOptions tls = handler.SslOptions;
        tls.TargetHost = options.ServerName;
        tls.RemoteCertificateValidationCallback = FailureText.CheckServerCertificate;
        if (options.TrustedRoots is { } roots)
        {
            tls.CertificateChainPolicy = new X509ChainPolicy { TrustMode = X509ChainTrustMode.CustomRootTrust, RevocationMode = X509RevocationMode.NoCheck };
            tls.CertificateChainPolicy.CustomTrustStore.AddRange(roots);
        }
        if (options.Address.Scheme == "https" && options.ClientCertificate is { } certificate)
        {
            tls.ClientCertificateContext = SslStreamCertificateContext.Create(certificate, additionalCertificates: null, offline: true);
            // Comes between the handshake and HTTP/2.
            handler.PlaintextStreamFilter = (context, _) =>
            {
                _isSecured = true;
                return ValueTask.FromResult<Stream>(new HeardStream(context.PlaintextStream, () => _isHeard = true));
            };
        }
        return handler;
    }
}
