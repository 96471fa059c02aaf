using System.Net;
using System.Security.Cryptography.X509Certificates;
using Bellwether.Core.Grpc;
using Bellwether.Core.Grpc.Server;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.AspNetCore.Server.Kestrel.Https;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;

namespace Bellwether.Core.Tests.Grpc;

/// <summary>A real Kestrel on a free loopback port with the echo service (or others).</summary>
internal sealed class GrpcTestServer : IAsyncDisposable
{
    private readonly WebApplication _app;

    private GrpcTestServer(WebApplication app, Uri address, GrpcRouter router, CancellationSeen seen)
    {
        _app = app;
        Address = address;
        Router = router;
        Seen = seen;
    }

    public Uri Address { get; }

    public GrpcRouter Router { get; }

    public CancellationSeen Seen { get; }

    public static async Task<GrpcTestServer> StartAsync(
        GrpcServerOptions? options = null, IGrpcAuthenticator? authenticator = null, X509Certificate2? tls = null, TimeProvider? time = null, GrpcMethods? methods = null, bool clientCertificates = false)
    {
        WebApplicationBuilder builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.Services.Configure<HostOptions>(o => o.ShutdownTimeout = TimeSpan.FromSeconds(20));
        builder.WebHost.UseKestrelHttpsConfiguration().ConfigureKestrel(kestrel =>
        {
            GrpcKestrel.SetLimits(kestrel);
            kestrel.Listen(IPAddress.Loopback, 0, listen =>
            {
                listen.Protocols = tls is null ? HttpProtocols.Http2 : HttpProtocols.Http1AndHttp2;
                if (tls is not null)
                {
                    listen.UseHttps(new HttpsConnectionAdapterOptions
                    {
                        ServerCertificate = tls,
                        ClientCertificateMode = clientCertificates ? ClientCertificateMode.AllowCertificate : ClientCertificateMode.NoCertificate,
                        ClientCertificateValidation = (_, _, _) => true,
                    });
                }
            });
        });
        WebApplication app = builder.Build();
        var seen = new CancellationSeen();
        var router = new GrpcRouter(
            methods ?? EchoService.Methods(seen), options ?? new GrpcServerOptions(), authenticator, time ?? TimeProvider.System, NullLogger.Instance, app.Lifetime.ApplicationStopping);
        router.UseIn(app);
        app.Run(http => http.Response.WriteAsync("not gRPC"));
        await app.StartAsync();
        string address = app.Services.GetRequiredService<IServer>().Features.Get<IServerAddressesFeature>()!.Addresses.Single();
        return new GrpcTestServer(app, new Uri(address), router, seen);
    }

    public GrpcChannel Channel(X509Certificate2Collection? roots = null, Func<GrpcChannelOptions, GrpcChannelOptions>? with = null)
    {
        var options = new GrpcChannelOptions { Address = Address, TrustedRoots = roots };
        return new GrpcChannel(with is null ? options : with(options), TimeProvider.System);
    }

    public Task StopAsync() => _app.StopAsync();

    public ValueTask DisposeAsync() => _app.DisposeAsync();
}
