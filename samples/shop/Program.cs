using Bellwether.Samples.Shop;

// The sample shop: orders in PostgreSQL, metrics named as web shops name them, and its own load.
// Settings: SHOP_DATABASE (Npgsql connection string), SHOP_RATE (requests per second), SHOP_SEED, and ASP.NET Core's --urls.
WebApplicationBuilder builder = WebApplication.CreateSlimBuilder(args);
builder.Logging.SetMinimumLevel(LogLevel.Warning);
string database = Environment.GetEnvironmentVariable("SHOP_DATABASE")
    ?? throw new InvalidOperationException("SHOP_DATABASE is not set: it is the Npgsql connection string of the shop's database");
builder.Services.AddSingleton(TimeProvider.System);
builder.Services.AddSingleton(new LoadSettings(
    RatePerSecond: double.Parse(Environment.GetEnvironmentVariable("SHOP_RATE") ?? "20", System.Globalization.CultureInfo.InvariantCulture),
    Seed: int.Parse(Environment.GetEnvironmentVariable("SHOP_SEED") ?? "1", System.Globalization.CultureInfo.InvariantCulture)));
builder.Services.AddSingleton<ShopMetrics>();
builder.Services.AddSingleton(_ => Npgsql.NpgsqlDataSource.Create(database));
builder.Services.AddSingleton<OrderBook>();
builder.Services.AddHostedService<LoadGenerator>();

WebApplication app = builder.Build();
using (var process = System.Diagnostics.Process.GetCurrentProcess())
    app.Services.GetRequiredService<ShopMetrics>().ProcessStart.Set(new DateTimeOffset(process.StartTime).ToUnixTimeSeconds());
await app.Services.GetRequiredService<OrderBook>().CreateTablesAsync();
app.UseMiddleware<RequestMetrics>();
ShopEndpoints.Map(app);
await app.RunAsync();
