using System.Globalization;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;

namespace Bellwether.EndToEnd;

/// <summary>
/// A scrape target that answers a number that grows with every scrape and keeps a ledger of what it answered: so a lost, doubled or altered sample is seen.
/// Series i of scrape n has the value n * 1000 + i.
/// </summary>
internal sealed class CountingTarget : IAsyncDisposable
{
    private readonly WebApplication _app;
    private readonly Lock _gate = new();
    private readonly List<int> _answered = [];
    private int _scrapes;

    private CountingTarget(int series)
    {
        Series = series;
        WebApplicationBuilder builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.UseUrls("http://127.0.0.1:0");
        _app = builder.Build();
        _app.MapGet("/metrics", AnswerAsync);
    }

    public string Address { get; private set; } = "";

    /// <summary>How many series it answers.</summary>
    public int Series { get; }

    /// <summary>Numbers of the scrapes whose answer was written completely, in order.</summary>
    public int[] Answered
    {
        get
        {
            lock (_gate)
                return [.. _answered];
        }
    }

    public static async Task<CountingTarget> StartAsync(int series)
    {
        var target = new CountingTarget(series);
        await target._app.StartAsync();
        target.Address = new Uri(target._app.Services.GetRequiredService<Microsoft.AspNetCore.Hosting.Server.IServer>()
            .Features.Get<IServerAddressesFeature>()!.Addresses.First()).Authority;
        return target;
    }

    public ValueTask DisposeAsync() => _app.DisposeAsync();

    private async Task AnswerAsync(HttpContext context)
    {
        int n = Interlocked.Increment(ref _scrapes);
        var text = new System.Text.StringBuilder();
        text.Append("# TYPE ledger_value gauge\n");
        for (int i = 0; i < Series; i++)
            text.Append(CultureInfo.InvariantCulture, $"ledger_value{{i=\"{i}\"}} {((long)n * 1000) + i}\n");
        context.Response.ContentType = "text/plain; version=0.0.4";
        await context.Response.WriteAsync(text.ToString());
        await context.Response.CompleteAsync();
        lock (_gate)
            _answered.Add(n);
    }
}
