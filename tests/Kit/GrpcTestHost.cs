using System.Net;
using System.Security.Cryptography.X509Certificates;
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

namespace Bellwether.Kit;

/// <summary>A real Kestrel on a free loopback port with a gRPC router in front of a plain page.</summary>
public sealed class GrpcTestHost : IAsyncDisposable
{
    /// <summary>How long a stop waits for open streams: longer than any test does.</summary>
    public static readonly TimeSpan StopMax = TimeSpan.FromSeconds(120);

    private readonly WebApplication _app;

    private GrpcTestHost(WebApplication app, Uri address)
    {
        _app = app;
        Address = address;
    }

    /// <summary><c>http://127.0.0.1:port</c> or <c>https://...</c>.</summary>
    public Uri Address { get; }

    /// <summary>Starts.</summary>
    /// <param name="router">Makes the router; gets the token of ApplicationStopping.</param>
    /// <param name="tls">The server's certificate; null: HTTP/2 with prior knowledge.</param>
    /// <param name="clientCertificates">Whether clients may show certificates.</param>
    /// <param name="kestrel">Further settings.</param>
    /// <param name="before">Sees every request first; true: it has answered.</param>
    /// <param name="takes">Which certificates get through the handshake; null: any (the authenticator decides).</param>
    public static async Task<GrpcTestHost> StartAsync(Func<CancellationToken, GrpcRouter> router, X509Certificate2? tls = null, bool clientCertificates = false, Action<KestrelServerOptions>? kestrel = null,
        Func<HttpContext, Task<bool>>? before = null, Func<X509Certificate2, bool>? takes = null)
    {
        WebApplicationBuilder builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.Services.Configure<HostOptions>(o => o.ShutdownTimeout = StopMax);
        builder.WebHost.UseKestrelHttpsConfiguration().ConfigureKestrel(options =>
        {
            GrpcKestrel.SetLimits(options);
            kestrel?.Invoke(options);
            options.Listen(IPAddress.Loopback, 0, listen =>
            {
                listen.Protocols = tls is null ? HttpProtocols.Http2 : HttpProtocols.Http1AndHttp2;
                if (tls is not null)
                {
                    listen.UseHttps(new HttpsConnectionAdapterOptions
                    {
                        ServerCertificate = tls,
                        ClientCertificateMode = clientCertificates ? ClientCertificateMode.AllowCertificate : ClientCertificateMode.NoCertificate,
                        ClientCertificateValidation = (shown, _, _) => takes?.Invoke(shown) ?? true,
                    });
                }
            });
        });
        WebApplication app = builder.Build();
        if (before is not null)
        {
            app.Use(async (http, next) =>
            {
                if (!await before(http))
                    await next(http);
            });
        }
        router(app.Lifetime.ApplicationStopping).UseIn(app);
        app.Run(http => http.Response.WriteAsync("not gRPC"));
        await app.StartAsync();
        string address = app.Services.GetRequiredService<IServer>().Features.Get<IServerAddressesFeature>()!.Addresses.Single();
        return new GrpcTestHost(app, new Uri(address));
    }

    /// <summary>Stops as at SIGTERM.</summary>
    public Task StopAsync() => _app.StopAsync();

    /// <inheritdoc/>
    public ValueTask DisposeAsync() => _app.DisposeAsync();
}
