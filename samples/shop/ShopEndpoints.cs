using System.Globalization;

namespace Bellwether.Samples.Shop;

/// <summary>The shop's routes.</summary>
internal static class ShopEndpoints
{
    public static void Map(WebApplication app)
    {
        app.MapGet("/health", () => "healthy\n");
        app.MapGet("/metrics", MetricsAsync);
        app.MapGet("/api/products", async (OrderBook orders, CancellationToken cancellation) =>
            (await orders.CountProductsAsync(cancellation)).ToString(CultureInfo.InvariantCulture));
        app.MapPost("/api/login", (ShopMetrics metrics) =>
        {
            metrics.Logins.Add(1);
            return Results.NoContent();
        });
        app.MapPost("/api/register", (ShopMetrics metrics) =>
        {
            metrics.Registrations.Add(1);
            return Results.NoContent();
        });
        app.MapPost("/api/orders", OrderAsync);
        app.MapGet("/api/fails", () => Results.StatusCode(StatusCodes.Status503ServiceUnavailable));
        app.MapPost("/load/{action}", (string action, IEnumerable<IHostedService> services) =>
        {
            LoadGenerator load = services.OfType<LoadGenerator>().Single();
            load.Paused = action == "pause";
            return Results.Text(load.Paused ? "paused\n" : "running\n");
        });
    }

    private static async Task MetricsAsync(HttpContext context, OrderBook orders)
    {
        // Only a scraper's call goes into the ledger: it is the one whose values reach a store.
        bool scraper = context.Request.Headers.ContainsKey("X-Prometheus-Scrape-Timeout-Seconds");
        context.Response.ContentType = "text/plain; version=0.0.4; charset=utf-8";
        await context.Response.WriteAsync(await orders.ScrapeAsync(scraper));
    }

    private static async Task<IResult> OrderAsync(HttpContext context, OrderBook orders, ShopMetrics metrics, TimeProvider time)
    {
        IQueryCollection query = context.Request.Query;
        if (!int.TryParse(query["customer"], out int customer) || !long.TryParse(query["cents"], out long cents) || cents <= 0)
            return Results.BadRequest("customer and cents must be whole numbers, cents above 0\n");
        string method = query["method"].ToString();
        if (method is not ("card" or "paypal" or "invoice"))
            return Results.BadRequest("method must be card, paypal or invoice\n");
        long start = time.GetTimestamp();
        bool declined = query["declined"] == "1";
        if (!declined)
            await orders.AddAsync(customer, query["category"].ToString() is "books" ? "books" : "electronics", method, cents);
        string status = declined ? "failure" : "success";
        metrics.Payments.Add(1, method, status);
        metrics.PaymentDuration.Observe(time.GetElapsedTime(start).TotalSeconds, 0, method, status);
        return declined ? Results.StatusCode(StatusCodes.Status402PaymentRequired) : Results.StatusCode(StatusCodes.Status201Created);
    }
}
