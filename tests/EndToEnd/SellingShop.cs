using System.Globalization;
using System.Text;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;

namespace Bellwether.EndToEnd;

/// <summary>A shop that sells when it is told to, counts as applications do (OpenMetrics, with start times), and keeps books of its own that no restart takes back.</summary>
internal sealed class SellingShop : IAsyncDisposable
{
    private static readonly string[] s_regions = ["eu", "us"];
    private readonly WebApplication _app;
    private readonly TimeProvider _time = TimeProvider.System;
    private readonly Lock _gate = new();
    private readonly Random _random = new(5);
    private readonly long[] _orders = new long[2];
    private readonly long[] _cents = new long[2];
    private double _startedAt;
    private long _scrapes;

    private SellingShop()
    {
        WebApplicationBuilder builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.UseUrls("http://127.0.0.1:0");
        _app = builder.Build();
        _app.MapGet("/metrics", AnswerAsync);
        _startedAt = Now;
    }

    public string Address { get; private set; } = "";

    /// <summary>Orders in the books.</summary>
    public long Orders { get; private set; }

    /// <summary>Revenue in the books, cents.</summary>
    public long Cents { get; private set; }

    /// <summary>Answers that were written completely.</summary>
    public long Scrapes => Interlocked.Read(ref _scrapes);

    private double Now => _time.GetUtcNow().ToUnixTimeMilliseconds() / 1000.0;

    public static async Task<SellingShop> StartAsync()
    {
        var shop = new SellingShop();
        await shop._app.StartAsync();
        shop.Address = new Uri(shop._app.Services.GetRequiredService<IServer>().Features.Get<IServerAddressesFeature>()!.Addresses.First()).Authority;
        return shop;
    }

    /// <summary>Sells, each order at a price of its own.</summary>
    public void Sell(int orders)
    {
        lock (_gate)
        {
            for (int i = 0; i < orders; i++)
            {
                int region = _random.Next(s_regions.Length), cents = _random.Next(1, 10_000);
                (_orders[region], _cents[region]) = (_orders[region] + 1, _cents[region] + cents);
                (Orders, Cents) = (Orders + 1, Cents + cents);
            }
        }
    }

    /// <summary>The process begins anew: its counters are zero, its books are not.</summary>
    public void Restart()
    {
        lock (_gate)
        {
            Array.Clear(_orders);
            Array.Clear(_cents);
            _startedAt = Now;
        }
    }

    public ValueTask DisposeAsync() => _app.DisposeAsync();

    private async Task AnswerAsync(HttpContext context)
    {
        context.Response.ContentType = "application/openmetrics-text; version=1.0.0; charset=utf-8";
        await context.Response.WriteAsync(Page());
        await context.Response.CompleteAsync();
        Interlocked.Increment(ref _scrapes);
    }

    private string Page()
    {
        var text = new StringBuilder();
        lock (_gate)
        {
            text.Append("# TYPE orders counter\n");
            for (int i = 0; i < s_regions.Length; i++)
                text.Append(CultureInfo.InvariantCulture, $"orders_total{{region=\"{s_regions[i]}\"}} {_orders[i]}\norders_created{{region=\"{s_regions[i]}\"}} {_startedAt:F3}\n");
            text.Append("# TYPE revenue_euros counter\n");
            for (int i = 0; i < s_regions.Length; i++)
                text.Append(CultureInfo.InvariantCulture, $"revenue_euros_total{{region=\"{s_regions[i]}\"}} {_cents[i] / 100m}\nrevenue_euros_created{{region=\"{s_regions[i]}\"}} {_startedAt:F3}\n");
            text.Append(CultureInfo.InvariantCulture, $"# TYPE books_orders gauge\nbooks_orders {Orders}\n# EOF\n");
        }
        return text.ToString();
    }
}
