using System.Collections.Frozen;
using Google.Protobuf;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.AspNetCore.Server.Kestrel.Core.Features;
using Microsoft.Extensions.Logging;

namespace Bellwether.Core.Grpc.Server;

/// <summary>A unary handler. A null response needs a status that is not Ok.</summary>
public delegate Task<GrpcResult<TResponse>> GrpcUnaryHandler<in TRequest, TResponse>(TRequest request, GrpcServerContext context) where TResponse : class;

/// <summary>A handler of a call with streams. Its status is the call's.</summary>
public delegate Task<GrpcStatus> GrpcStreamHandler<TRequest, TResponse>(GrpcServerStream<TRequest, TResponse> stream, GrpcServerContext context)
    where TRequest : class, IMessage<TRequest>
    where TResponse : class, IMessage<TResponse>;

/// <summary>Which handler takes which method. Filled once, before <see cref="GrpcRouter"/> is made.</summary>
public sealed class GrpcMethods
{
    internal delegate Task<GrpcStatus> Invoke(HttpContext http, CallLifetime lifetime, GrpcServerContext context, GrpcServerOptions options);

    internal sealed record Endpoint(Invoke Invoke, bool Streams, bool OpenToAll);

    internal Dictionary<string, Endpoint> Endpoints { get; } = new(StringComparer.Ordinal);

    /// <summary>Adds a unary method. <paramref name="openToAll"/>: without authentication (health).</summary>
    public GrpcMethods Unary<TRequest, TResponse>(GrpcMethod<TRequest, TResponse> method, GrpcUnaryHandler<TRequest, TResponse> handler, bool openToAll = false)
        where TRequest : class, IMessage<TRequest>
        where TResponse : class, IMessage<TResponse>
    {
        Endpoints.Add(method.Path, new Endpoint((http, lifetime, context, options) => UnaryAsync(method, handler, http, lifetime, context, options), Streams: false, openToAll));
        return this;
    }

    /// <summary>Adds a method whose request, response or both are streams.</summary>
    public GrpcMethods Streaming<TRequest, TResponse>(GrpcMethod<TRequest, TResponse> method, GrpcStreamHandler<TRequest, TResponse> handler, bool openToAll = false)
        where TRequest : class, IMessage<TRequest>
        where TResponse : class, IMessage<TResponse>
    {
        Endpoints.Add(method.Path, new Endpoint((http, lifetime, context, options) => StreamAsync(method, handler, http, lifetime, context, options), Streams: true, openToAll));
        return this;
    }

    private static async Task<GrpcStatus> UnaryAsync<TRequest, TResponse>(
        GrpcMethod<TRequest, TResponse> method, GrpcUnaryHandler<TRequest, TResponse> handler, HttpContext http, CallLifetime lifetime, GrpcServerContext context, GrpcServerOptions options)
        where TRequest : class, IMessage<TRequest>
        where TResponse : class, IMessage<TResponse>
    {
        using var writing = new SemaphoreSlim(1, 1);
        var stream = new GrpcServerStream<TRequest, TResponse>(http, lifetime, options, method.Requests, writing);
        TRequest? request = await stream.ReadAsync();
        if (request is null)
            return new GrpcStatus(GrpcStatusCode.Unimplemented, "a unary call needs one message, none came");
        if (await stream.ReadAsync() is not null)
            return new GrpcStatus(GrpcStatusCode.Unimplemented, "a unary call takes one message, more came");
        GrpcResult<TResponse> result = await handler(request, context);
        if (!result.Status.IsOk)
            return result.Status;
        await stream.WriteAsync(result.Response ?? throw new InvalidOperationException($"The handler of {method.Path} answered Ok without a message."));
        return GrpcStatus.Ok;
    }

    private static async Task<GrpcStatus> StreamAsync<TRequest, TResponse>(
        GrpcMethod<TRequest, TResponse> method, GrpcStreamHandler<TRequest, TResponse> handler, HttpContext http, CallLifetime lifetime, GrpcServerContext context, GrpcServerOptions options)
        where TRequest : class, IMessage<TRequest>
        where TResponse : class, IMessage<TResponse>
    {
        // The headers go out before the first message: the client may wait for them before it speaks.
        await http.Response.StartAsync(lifetime.Token);
        await http.Response.BodyWriter.FlushAsync(lifetime.Token);
        using var writing = new SemaphoreSlim(1, 1);
        return await handler(new GrpcServerStream<TRequest, TResponse>(http, lifetime, options, method.Requests, writing), context);
    }
}

/// <summary>
/// The server half of the gRPC wire protocol as an ASP.NET Core middleware: takes calls by path, answers unknown gRPC methods itself and passes everything else on.
/// Thread-safe. Steps: 1 is it for us, 2 transport and content type, 3 identity, 4 encoding and deadline, 5 handler, 6 status.
/// </summary>
public sealed partial class GrpcRouter
{
    private readonly FrozenDictionary<string, GrpcMethods.Endpoint> _endpoints;
    private readonly GrpcServerOptions _options;
    private readonly IGrpcAuthenticator? _authenticator;
    private readonly TimeProvider _time;
    private readonly CancellationToken _stopping;
    private readonly ILogger _log;
    private readonly RefusalLog _refusals;
    private int _calls;

    /// <summary>Makes a router.</summary>
    /// <param name="methods">The methods; later additions are not seen.</param>
    /// <param name="options">Limits.</param>
    /// <param name="authenticator">Tells who is calling; null: every method is open to all (then <see cref="GrpcServerContext.Identity"/> is null).</param>
    /// <param name="time">Clock of deadlines.</param>
    /// <param name="log">Unexpected failures of handlers.</param>
    /// <param name="stopping">Fires when the process is to stop (ApplicationStopping): Kestrel itself leaves open streams open.</param>
    public GrpcRouter(GrpcMethods methods, GrpcServerOptions options, IGrpcAuthenticator? authenticator, TimeProvider time, ILogger log, CancellationToken stopping)
    {
        _endpoints = methods.Endpoints.ToFrozenDictionary(StringComparer.Ordinal);
        _options = options;
        _authenticator = authenticator;
        _time = time;
        _stopping = stopping;
        _log = log;
        _refusals = new RefusalLog(time, log);
    }

    /// <summary>Called with the remote and the reason when a credential does not count; any thread.</summary>
    public Action<System.Net.IPEndPoint, string>? Refused { get; init; }

    /// <summary>Calls that are open now.</summary>
    public int OpenCalls => Volatile.Read(ref _calls);

    /// <summary>Puts the router into a pipeline.</summary>
    public void UseIn(IApplicationBuilder app) => app.Use((HttpContext http, RequestDelegate next) => InvokeAsync(http, next));

    /// <summary>Takes a request, or passes it on.</summary>
    public async Task InvokeAsync(HttpContext http, RequestDelegate next)
    {
        bool isGrpc = IsGrpc(http.Request.ContentType);
        bool known = _endpoints.TryGetValue(http.Request.Path.Value ?? "", out GrpcMethods.Endpoint? endpoint);
        if (!known && !isGrpc)
        {
            await next(http);
            return;
        }
        if (!AcceptTransport(http, isGrpc))
            return;
        if (endpoint is null)
        {
            AnswerAlone(http, new GrpcStatus(GrpcStatusCode.Unimplemented, $"there is no method {http.Request.Path.Value}"));
            return;
        }
        ClientIdentity? identity = null;
        string reason = "";
        if (!endpoint.OpenToAll && _authenticator is not null && (identity = _authenticator.Authenticate(http, out reason)) is null)
        {
            _refusals.Refused(RemoteOf(http), http.Request.Path.Value!, reason);
            if (RemoteOf(http) is { } remote)
                Refused?.Invoke(remote, reason);
            AnswerAlone(http, new GrpcStatus(GrpcStatusCode.Unauthenticated, reason));
            return;
        }
        if (!AcceptEncoding(http) || !TryTimeout(http, out TimeSpan? timeout))
            return;
        try
        {
            if (Interlocked.Increment(ref _calls) > _options.MaxConcurrentCalls)
                AnswerAlone(http, new GrpcStatus(GrpcStatusCode.ResourceExhausted, $"{_options.MaxConcurrentCalls} calls are open already"));
            else
                await RunAsync(http, endpoint, identity, timeout);
        }
        finally
        {
            Interlocked.Decrement(ref _calls);
        }
    }

    private static bool IsGrpc(string? contentType) =>
        contentType is not null && contentType.StartsWith("application/grpc", StringComparison.OrdinalIgnoreCase)
        && (contentType.Length == 16 || contentType[16] is ';' or ' ' || contentType.AsSpan(16).StartsWith("+proto", StringComparison.OrdinalIgnoreCase));

    private static bool AcceptTransport(HttpContext http, bool isGrpc)
    {
        if (!isGrpc)
            http.Response.StatusCode = StatusCodes.Status415UnsupportedMediaType;
        else if (!HttpProtocol.IsHttp2(http.Request.Protocol) && !HttpProtocol.IsHttp3(http.Request.Protocol))
            http.Response.StatusCode = StatusCodes.Status426UpgradeRequired;
        else if (!HttpMethods.IsPost(http.Request.Method))
            http.Response.StatusCode = StatusCodes.Status405MethodNotAllowed;
        else
            return true;
        return false;
    }

    private static bool AcceptEncoding(HttpContext http)
    {
        http.Response.Headers["grpc-accept-encoding"] = "identity";
        string? encoding = http.Request.Headers["grpc-encoding"];
        if (encoding is null or "identity")
            return true;
        AnswerAlone(http, new GrpcStatus(GrpcStatusCode.Unimplemented, $"grpc-encoding '{(encoding.Length > 32 ? encoding[..32] : encoding)}' is not taken, only identity"));
        return false;
    }

    private static bool TryTimeout(HttpContext http, out TimeSpan? timeout)
    {
        timeout = null;
        string? text = http.Request.Headers["grpc-timeout"];
        if (text is null)
            return true;
        if (GrpcText.TryParseTimeout(text, out TimeSpan parsed))
        {
            timeout = parsed;
            return true;
        }
        AnswerAlone(http, new GrpcStatus(GrpcStatusCode.Internal, "grpc-timeout must be one to eight digits and one of H M S m u n"));
        return false;
    }

    private async Task RunAsync(HttpContext http, GrpcMethods.Endpoint endpoint, ClientIdentity? identity, TimeSpan? timeout)
    {
        PrepareBody(http, endpoint);
        http.Response.ContentType = "application/grpc";
        using var lifetime = new CallLifetime(timeout, _options, _time, http.RequestAborted, _stopping);
        var headers = new GrpcMetadata();
        foreach ((string name, Microsoft.Extensions.Primitives.StringValues values) in http.Request.Headers)
        {
            foreach (string? value in values)
                headers.AddFromWire(name, value ?? "");
        }
        var context = new GrpcServerContext(http.Request.Path.Value!, identity, RemoteOf(http), headers, lifetime);
        GrpcStatus status = await HandleAsync(http, endpoint, lifetime, context);
        if (lifetime.ClientGone)
            return;
        if (http.Response.HasStarted)
            WriteStatus(status, context.Trailers, (name, value) => http.Response.AppendTrailer(name, value));
        else
            AnswerAlone(http, status, context.Trailers);
    }

    private static System.Net.IPEndPoint? RemoteOf(HttpContext http) =>
        http.Connection.RemoteIpAddress is { } address ? new System.Net.IPEndPoint(address, http.Connection.RemotePort) : null;

    private async Task<GrpcStatus> HandleAsync(HttpContext http, GrpcMethods.Endpoint endpoint, CallLifetime lifetime, GrpcServerContext context)
    {
        try
        {
            if (lifetime.Reason() is { } before)
                return before;
            GrpcStatus status = await endpoint.Invoke(http, lifetime, context, _options);
            return status.IsOk ? lifetime.EndedWith ?? status : status;
        }
        catch (GrpcStatusException e)
        {
            return e.Status;
        }
        catch (OperationCanceledException) when (lifetime.Reason() is not null)
        {
            return lifetime.Reason()!.Value;
        }
        catch (IOException e) when (lifetime.Reason() is null)
        {
            return new GrpcStatus(GrpcStatusCode.Unavailable, $"the connection failed: {e.Message}");
        }
        catch (Exception e)
        {
            if (lifetime.Reason() is { } reason)
                return reason;
            HandlerFailed(_log, context.Path, e);
            return new GrpcStatus(GrpcStatusCode.Unknown, "the handler failed; the server's log says more");
        }
    }

    private void PrepareBody(HttpContext http, GrpcMethods.Endpoint endpoint)
    {
        IHttpMaxRequestBodySizeFeature? size = http.Features.Get<IHttpMaxRequestBodySizeFeature>();
        if (size is { IsReadOnly: false })
            size.MaxRequestBodySize = endpoint.Streams ? null : _options.MaxReceiveMessageBytes + 64L;
        // A stream may be quiet for minutes: our own idle deadline stands in for the data rate, which would cut it.
        if (!endpoint.Streams)
            return;
        if (http.Features.Get<IHttpMinRequestBodyDataRateFeature>() is { } request)
            request.MinDataRate = null;
        if (http.Features.Get<IHttpMinResponseDataRateFeature>() is { } response)
            response.MinDataRate = null;
    }

    private static void AnswerAlone(HttpContext http, GrpcStatus status, GrpcMetadata? trailers = null)
    {
        http.Response.StatusCode = StatusCodes.Status200OK;
        http.Response.ContentType = "application/grpc";
        http.Response.Headers["grpc-accept-encoding"] = "identity";
        WriteStatus(status, trailers ?? new GrpcMetadata(), (name, value) => http.Response.Headers.Append(name, value));
    }

    private static void WriteStatus(GrpcStatus status, GrpcMetadata trailers, Action<string, string> add)
    {
        add("grpc-status", ((int)status.Code).ToString(System.Globalization.CultureInfo.InvariantCulture));
        if (status.Message.Length > 0)
            add("grpc-message", GrpcText.EncodeMessage(status.Message.Length > GrpcStatus.MaxMessageLength ? status.Message[..GrpcStatus.MaxMessageLength] : status.Message));
        if (status.Details.Length is > 0 and <= GrpcStatus.MaxDetailsBytes)
            add("grpc-status-details-bin", GrpcText.EncodeBytes(status.Details.Span));
        foreach (GrpcMetadataEntry entry in trailers)
            add(entry.Key, entry.IsBinary ? GrpcText.EncodeBytes(entry.Bytes.Span) : entry.Text);
    }

    [LoggerMessage(2001, LogLevel.Error, "{Path}: the handler failed; the client was answered UNKNOWN")]
    private static partial void HandlerFailed(ILogger log, string path, Exception exception);
}
