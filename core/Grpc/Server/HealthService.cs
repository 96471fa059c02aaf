using System.Threading.Channels;
using Bellwether.GrpcHealth.V1;

namespace Bellwether.Core.Grpc.Server;

/// <summary>The standard health service (grpc.health.v1). The empty name stands for the whole server. Open to all, so that common probes work. Thread-safe.</summary>
public sealed class HealthService
{
    /// <summary>Watches at a time; more are refused.</summary>
    public const int MaxWatches = 100;

    private readonly Lock _gate = new();
    private readonly Dictionary<string, HealthCheckResponse.Types.ServingStatus> _services = new() { [""] = HealthCheckResponse.Types.ServingStatus.NotServing };
    private readonly HashSet<Watcher> _watchers = [];

    private sealed record Watcher(string Service, Channel<HealthCheckResponse.Types.ServingStatus> News);

    /// <summary>Says whether a service (empty: the server) serves.</summary>
    public void Set(string service, bool serving)
    {
        lock (_gate)
        {
            HealthCheckResponse.Types.ServingStatus status = serving ? HealthCheckResponse.Types.ServingStatus.Serving : HealthCheckResponse.Types.ServingStatus.NotServing;
            if (_services.TryGetValue(service, out HealthCheckResponse.Types.ServingStatus old) && old == status)
                return;
            _services[service] = status;
            foreach (Watcher watcher in _watchers)
            {
                if (watcher.Service == service)
                    watcher.News.Writer.TryWrite(status);
            }
        }
    }

    /// <summary>Adds Check and Watch.</summary>
    public void AddTo(GrpcMethods methods) => methods.Unary(WireMethods.HealthCheck, CheckAsync, openToAll: true).Streaming(WireMethods.HealthWatch, WatchAsync, openToAll: true);

    private Task<GrpcResult<HealthCheckResponse>> CheckAsync(HealthCheckRequest request, GrpcServerContext context)
    {
        lock (_gate)
        {
            return Task.FromResult(_services.TryGetValue(request.Service, out HealthCheckResponse.Types.ServingStatus status)
                ? new GrpcResult<HealthCheckResponse>(GrpcStatus.Ok, new HealthCheckResponse { Status = status }, context.Trailers)
                : new GrpcResult<HealthCheckResponse>(new GrpcStatus(GrpcStatusCode.NotFound, "there is no such service"), null, context.Trailers));
        }
    }

    private async Task<GrpcStatus> WatchAsync(GrpcServerStream<HealthCheckRequest, HealthCheckResponse> stream, GrpcServerContext context)
    {
        if (await stream.ReadAsync() is not { } request)
            return new GrpcStatus(GrpcStatusCode.InvalidArgument, "Watch needs a request");
        // Only the newest state matters: a slow watcher misses what lay between.
        var news = Channel.CreateBounded<HealthCheckResponse.Types.ServingStatus>(new BoundedChannelOptions(1) { FullMode = BoundedChannelFullMode.DropOldest });
        var watcher = new Watcher(request.Service, news);
        lock (_gate)
        {
            if (_watchers.Count >= MaxWatches)
                return new GrpcStatus(GrpcStatusCode.ResourceExhausted, $"{MaxWatches} watches are open already");
            _watchers.Add(watcher);
            news.Writer.TryWrite(_services.GetValueOrDefault(request.Service, HealthCheckResponse.Types.ServingStatus.ServiceUnknown));
        }
        try
        {
            while (true)
                await stream.WriteAsync(new HealthCheckResponse { Status = await news.Reader.ReadAsync(context.Cancellation) });
        }
        finally
        {
            lock (_gate)
                _watchers.Remove(watcher);
        }
    }
}
