using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;

namespace Bellwether.Samples.Shop;

/// <summary>How much load, and from which seed.</summary>
internal sealed record LoadSettings(double RatePerSecond, int Seed);

/// <summary>Customers: browses, logs in, orders and now and then meets an error, by real HTTP requests to the shop's own address.</summary>
internal sealed class LoadGenerator(LoadSettings settings, ShopMetrics metrics, IServer server, IHostApplicationLifetime lifetime, TimeProvider time) : BackgroundService
{
    private static readonly TimeSpan s_activeWindow = TimeSpan.FromMinutes(5);
    private readonly Dictionary<int, DateTimeOffset> _lastSeen = [];

    /// <summary>No requests while true.</summary>
    public volatile bool Paused;

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        await Task.Run(() => lifetime.ApplicationStarted.WaitHandle.WaitOne(), stoppingToken);
        string address = server.Features.Get<IServerAddressesFeature>()!.Addresses.First();
        using var client = new HttpClient { BaseAddress = new Uri(address) };
        var random = new Random(settings.Seed);
        using var timer = new PeriodicTimer(TimeSpan.FromSeconds(1 / settings.RatePerSecond), time);
        while (await timer.WaitForNextTickAsync(stoppingToken))
        {
            if (Paused)
                continue;
            try
            {
                await VisitAsync(client, random, stoppingToken);
            }
            catch (HttpRequestException e)
            {
                Console.Error.WriteLine($"shop: a visit failed: {e.Message}");
            }
            CountActiveUsers();
        }
    }

    private async Task VisitAsync(HttpClient client, Random random, CancellationToken cancellation)
    {
        int customer = random.Next(1, 400);
        _lastSeen[customer] = time.GetUtcNow();
        double what = random.NextDouble();
        using HttpResponseMessage _ = what switch
        {
            < 0.55 => await client.GetAsync("/api/products", cancellation),
            < 0.65 => await client.PostAsync("/api/login", null, cancellation),
            < 0.67 => await client.PostAsync("/api/register", null, cancellation),
            < 0.675 => await client.GetAsync("/api/fails", cancellation),
            _ => await client.PostAsync(OrderUrl(customer, random), null, cancellation),
        };
    }

    private static string OrderUrl(int customer, Random random)
    {
        // Log-normal, about 40 euros in the median: many small orders, some large ones.
        double normal = Math.Sqrt(-2 * Math.Log(1 - random.NextDouble())) * Math.Cos(2 * Math.PI * random.NextDouble());
        long cents = Math.Clamp((long)(4000 * Math.Exp(0.9 * normal)), 99, 1_000_000);
        string method = random.Next(10) switch { < 6 => "card", < 9 => "paypal", _ => "invoice" };
        string category = random.Next(3) == 0 ? "books" : "electronics";
        string declined = random.Next(40) == 0 ? "1" : "0";
        return FormattableString.Invariant($"/api/orders?customer={customer}&cents={cents}&method={method}&category={category}&declined={declined}");
    }

    private void CountActiveUsers()
    {
        DateTimeOffset since = time.GetUtcNow() - s_activeWindow;
        foreach ((int customer, DateTimeOffset at) in _lastSeen)
        {
            if (at < since)
                _lastSeen.Remove(customer);
        }
        metrics.ActiveUsers.Set(_lastSeen.Count);
    }
}
