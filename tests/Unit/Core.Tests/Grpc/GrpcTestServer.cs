using System.Security.Cryptography.X509Certificates;
using Bellwether.Core.Grpc;
using Bellwether.Core.Grpc.Server;
using Bellwether.Kit;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.Logging.Abstractions;

namespace Bellwether.Core.Tests.Grpc;

/// <summary>The echo service (or others) on a real Kestrel.</summary>
internal sealed class GrpcTestServer : IAsyncDisposable
{
    private readonly GrpcTestHost _host;

    private GrpcTestServer(GrpcTestHost host, GrpcRouter router, CancellationSeen seen)
    {
        _host = host;
        Router = router;
        Seen = seen;
    }

    public Uri Address => _host.Address;

    public GrpcRouter Router { get; }

    public CancellationSeen Seen { get; }

    public static async Task<GrpcTestServer> StartAsync(
        GrpcServerOptions? options = null, IGrpcAuthenticator? authenticator = null, X509Certificate2? tls = null, TimeProvider? time = null, GrpcMethods? methods = null, bool clientCertificates = false,
        Action<KestrelServerOptions>? kestrel = null, Func<HttpContext, Task<bool>>? before = null)
    {
        var seen = new CancellationSeen();
        GrpcRouter? router = null;
        GrpcTestHost host = await GrpcTestHost.StartAsync(
            stopping => router = new GrpcRouter(methods ?? EchoService.Methods(seen), options ?? new GrpcServerOptions(), authenticator, time ?? TimeProvider.System, NullLogger.Instance, stopping),
            tls, clientCertificates, kestrel, before);
        return new GrpcTestServer(host, router!, seen);
    }

    public GrpcChannel Channel(X509Certificate2Collection? roots = null, Func<GrpcChannelOptions, GrpcChannelOptions>? with = null, TimeProvider? time = null)
    {
        var options = new GrpcChannelOptions { Address = Address, TrustedRoots = roots };
        return new GrpcChannel(with is null ? options : with(options), time ?? TimeProvider.System);
    }

    public Task StopAsync() => _host.StopAsync();

    public ValueTask DisposeAsync() => _host.DisposeAsync();
}
