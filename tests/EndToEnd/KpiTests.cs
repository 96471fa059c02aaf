using System.Text.Json;

namespace Bellwether.EndToEnd;

/// <summary>KPIs of real programs: exact through kills, final or not, and with a past.</summary>
public sealed class KpiTests
{
    private const string Kpis = """
        interval: 1s
        kpis:
          - name: orders
            unit: orders
            exact: {counter: orders_total, window: 30m}
            by: [region]
            reconcile: {total: books_orders, skew: 2s}
          - {name: revenue, unit: euros, exact: {counter: revenue_euros_total, window: 30m}}
          - {name: pace, unit: orders/minute, expr: 'sum(rate(orders_total[5s])) * 60'}
        """;

    [Fact]
    public async Task Exact_counts_equal_the_applications_own_books_through_kills_of_the_agent_and_restarts_of_the_application()
    {
        await using SellingShop shop = await SellingShop.StartAsync();
        await using var site = new Site();
        site.Write("kpi.yaml", Kpis + "\n");
        site.ConfigureAggregator("kpi_files: [kpi.yaml]");
        site.ConfigureAgent(Scraping(shop));
        await site.StartAggregatorAsync();
        site.StartAgent();
        // The books tell no start: what they have when they are seen first is not counted.
        await site.WaitForAsync("a look at the empty books", async () => await site.Api.ValueAsync("books_orders") == 0);
        for (int round = 0; round < 4; round++)
        {
            await SellDuringAsync(site, shop, 3);
            await site.Agent!.KillAsync();
            // Nobody looks while these are sold; the counters keep them.
            shop.Sell(17);
            site.StartAgent();
            await SellDuringAsync(site, shop, 2);
            // What a process counted after its last scrape is gone with it: this one ends when all was seen.
            await SeenAsync(site, shop);
            if (round % 2 == 1)
                shop.Restart();
        }
        shop.Sell(5);
        await SeenAsync(site, shop);
        await site.WaitForAsync("the orders of the regions", async () => await site.Api.ValueAsync("sum(kpi:orders:orders:by_region)") == shop.Orders);
        Assert.Equal(shop.Cents / 100.0, await site.Api.ValueAsync("kpi:revenue:euros"));
        JsonElement exact = default;
        await site.WaitForAsync("the books to be reconciled", async () =>
            (exact = (await site.Api.GetAsync("/api/v1/kpis/orders")).GetProperty("exact").GetProperty("reconciliation")).GetProperty("state").GetString() == "RECONCILED" && exact.GetProperty("difference").GetDouble() == 0);
        Assert.Equal((double)shop.Orders, exact.GetProperty("ledger").GetDouble());
    }

    [Fact]
    public async Task A_number_is_provisional_while_an_agent_is_cut_off_and_complete_when_its_backlog_is_here()
    {
        await using SellingShop shop = await SellingShop.StartAsync();
        await using var site = new Site();
        site.Write("kpi.yaml", Kpis + "\n");
        site.ConfigureAggregator("kpi_files: [kpi.yaml]\nfleet:\n  silent_after: 3s");
        site.ConfigureAgent(Scraping(shop));
        await site.StartAggregatorAsync();
        site.StartAgent();
        await SellDuringAsync(site, shop, 5);
        await site.WaitForAsync("a complete number", async () => await FinalityAsync(site, "pace") is ("complete", 1.0));
        // Frozen, as behind a cut: nothing is heard of it, and its series are soon out of the window.
        site.Agent!.Signal("STOP");
        await site.WaitForAsync("the window to be empty", async () => await site.Api.ValueAsync("sum(rate(orders_total[5s]))") is null);
        long cut = TimeProvider.System.GetUtcNow().ToUnixTimeSeconds();
        await site.WaitForAsync("a provisional number", async () => (await FinalityAsync(site, "pace")).State == "provisional");
        await site.WaitForAsync("what is missing to be told", async () => await FinalityAsync(site, "pace", cut + 5) is ("provisional", < 1));
        site.Agent.Signal("CONT");
        await site.WaitForAsync("the number of now to be complete again", async () => (await FinalityAsync(site, "pace")).State == "complete");
        await site.WaitForAsync("nothing to be owed of the time of the cut", async () => (await FinalityAsync(site, "pace", cut)).State == "complete");
    }

    [Fact]
    public async Task Numbers_of_remote_write_alone_are_complete_once_their_sender_has_come_past()
    {
        await using var site = new Site();
        site.Write("kpi.yaml", "interval: 1s\nkpis:\n  - {name: pushed, expr: 'sum(sum_over_time(pushed_value[5s]))'}\n");
        site.ConfigureAggregator("kpi_files: [kpi.yaml]");
        await site.StartAggregatorAsync();
        long start = (TimeProvider.System.GetUtcNow().ToUnixTimeSeconds() - 30) * 1000, at = (start / 1000) + 20;
        await RemoteWrite.SendAsync(site, [.. Enumerable.Range(0, 15).Select(k => ("pushed_value", start + (k * 1000L), 1.0))]);
        await site.WaitForAsync("a provisional number", async () => await FinalityAsync(site, "pushed", at) is ("provisional", < 1));
        await RemoteWrite.SendAsync(site, [.. Enumerable.Range(15, 10).Select(k => ("pushed_value", start + (k * 1000L), 1.0))]);
        await site.WaitForAsync("a complete number", async () => await FinalityAsync(site, "pushed", at) is ("complete", 1.0));
    }

    [Fact]
    public async Task A_new_kpi_has_a_past_when_it_is_loaded_and_each_of_its_values_explains_itself()
    {
        await using SellingShop shop = await SellingShop.StartAsync();
        await using var site = new Site();
        site.Write("kpi.yaml", Kpis + "\n");
        site.ConfigureAggregator("kpi_files: [kpi*.yaml]\nevaluation:\n  backfill_new: 1h");
        site.ConfigureAgent(Scraping(shop));
        await site.StartAggregatorAsync();
        site.StartAgent();
        await SellDuringAsync(site, shop, 6);
        long past = TimeProvider.System.GetUtcNow().ToUnixTimeSeconds() - 3;
        await SellDuringAsync(site, shop, 3);
        site.Write("kpi-new.yaml", "interval: 1s\nkpis:\n  - {name: sold, unit: orders, expr: sum(orders_total)}\n");
        using HttpResponseMessage reloaded = await site.Api.Client.PostAsync("/-/reload", null);
        Assert.True(reloaded.IsSuccessStatusCode, await reloaded.Content.ReadAsStringAsync());
        await site.WaitForAsync("the past", async () => await site.Api.ValueAsync($"kpi:sold:orders @ {past}") is { } told && told == await site.Api.ValueAsync($"sum(orders_total @ {past})"));
        JsonElement why = default;
        await site.WaitForAsync("its explanation", async () => (why = await site.Api.GetAsync($"/api/v1/kpis/sold/explain?time={past}")).GetProperty("same").GetBoolean() && why.GetProperty("heal").ValueKind == JsonValueKind.Number);
        Assert.Equal(1, why.GetProperty("version").GetProperty("number").GetInt32());
        JsonElement heal = (await site.Api.GetAsync("/api/v1/heals?kind=backfill")).GetProperty("heals").EnumerateArray().Single(h => h.GetProperty("id").GetUInt64() == why.GetProperty("heal").GetUInt64());
        Assert.Equal("evaluation.backfill_new", heal.GetProperty("by").GetString());
    }

    private static string Scraping(SellingShop shop) => $"""
        global:
          scrape_interval: 1s
          scrape_timeout: 1s
        scrape_configs:
          - job_name: shop
            static_configs:
              - targets: ["{shop.Address}"]
        """;

    /// <summary>Sells until the agent has looked some times more.</summary>
    private static Task SellDuringAsync(Site site, SellingShop shop, int scrapes)
    {
        long until = shop.Scrapes + scrapes;
        return site.WaitForAsync("scrapes", () =>
        {
            shop.Sell(3);
            return Task.FromResult(shop.Scrapes >= until);
        });
    }

    /// <summary>Waits until the count has all that was sold.</summary>
    private static Task SeenAsync(Site site, SellingShop shop) =>
        site.WaitForAsync($"{shop.Orders} orders to be counted", async () => await site.Api.ValueAsync("kpi:orders:orders") == shop.Orders && await site.Api.ValueAsync("kpi:revenue:euros") == shop.Cents / 100.0);

    private static async Task<(string State, double? Coverage)> FinalityAsync(Site site, string kpi, long? at = null)
    {
        JsonElement finality = (await site.Api.GetAsync($"/api/v1/kpis/{kpi}{(at is { } time ? $"?end={time}" : "")}")).GetProperty("finality");
        return (finality.GetProperty("state").GetString()!, finality.GetProperty("coverage") is { ValueKind: JsonValueKind.Number } coverage ? coverage.GetDouble() : null);
    }
}
