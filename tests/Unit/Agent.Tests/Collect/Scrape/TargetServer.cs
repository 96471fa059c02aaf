using System.Net;
using System.Security.Cryptography.X509Certificates;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.Logging;

namespace Bellwether.Agent.Tests.Collect.Scrape;

/// <summary>A real HTTP server on a free port of the loopback, whose answers a test decides.</summary>
internal sealed class TargetServer : IAsyncDisposable
{
    private readonly WebApplication _app;

    private TargetServer(WebApplication app, string scheme)
    {
        _app = app;
        Url = new Uri(app.Urls.Single().Replace("http://", scheme + "://", StringComparison.Ordinal));
    }

    /// <summary>The server's address.</summary>
    public Uri Url { get; }

    /// <summary>Headers of the last request.</summary>
    public IHeaderDictionary LastHeaders { get; private set; } = new HeaderDictionary();

    /// <summary>Requests so far.</summary>
    public int Requests { get; private set; }

    /// <summary>Starts it.</summary>
    public static async Task<TargetServer> StartAsync(RequestDelegate answer, X509Certificate2? certificate = null)
    {
        WebApplicationBuilder builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.UseKestrelCore().UseKestrelHttpsConfiguration();
        builder.WebHost.ConfigureKestrel(k => k.Listen(IPAddress.Loopback, 0, l =>
        {
            l.Protocols = HttpProtocols.Http1AndHttp2;
            if (certificate is not null)
                l.UseHttps(certificate);
        }));
        WebApplication app = builder.Build();
        TargetServer? server = null;
        app.Run(context =>
        {
            server!.LastHeaders = new HeaderDictionary(context.Request.Headers.ToDictionary(h => h.Key, h => h.Value));
            server.Requests++;
            return answer(context);
        });
        await app.StartAsync();
        server = new TargetServer(app, certificate is null ? "http" : "https");
        return server;
    }

    /// <summary>Answers with a text body.</summary>
    public static RequestDelegate Text(Func<string> body, string contentType = "text/plain; version=0.0.4") => context =>
    {
        context.Response.ContentType = contentType;
        return context.Response.WriteAsync(body());
    };

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        using var now = new CancellationTokenSource();
        await now.CancelAsync();
        await _app.StopAsync(now.Token);
        await _app.DisposeAsync();
    }
}
