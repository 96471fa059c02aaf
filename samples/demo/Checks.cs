using System.Globalization;
using System.Text.Json;
using Npgsql;

namespace Bellwether.Samples.Demo;

/// <summary>What <c>--check</c> asserts: values, against what the shop's database and the host themselves say.</summary>
internal sealed class Checks(DemoSite site, TimeProvider time, TextWriter output)
{
    private const int LedgerRows = 3;
    private const int RulesOfFiles = 12;
    private const int RulesOfKpis = 34;
    private const int RulesOfSlos = 35;
    private static readonly TimeSpan s_firstAnswers = TimeSpan.FromSeconds(30);
    private int _passed;
    private int _failed;

    public async Task<bool> RunAsync(CancellationToken cancellation)
    {
        await CheckAsync("all sources are up", () => SourcesAsync(cancellation));
        await CheckAsync("orders and revenue in the store equal the shop's database at each scrape, to the order and the cent", () => LedgerAsync(cancellation));
        await CheckAsync("the orders that the PostgreSQL query counts are those that the shop counts", () => CustomQueryAsync(cancellation));
        await CheckAsync("the counted orders and revenue of the hour reconcile with the shop's database, to the order and the cent", () => ReconciledAsync(cancellation));
        await CheckAsync("every rule is healthy", () => RulesAsync(cancellation));
        await CheckAsync("each KPI equals its expression, asked at the same time", () => KpisAsync(cancellation));
        await CheckAsync("the shop's index explains itself, and its promise has a state", () => ExplainedAsync(cancellation));
        await CheckAsync("the month's evidence is signed, and computed again offline it is equal", () => EvidenceAsync(cancellation));
        await CheckAsync("KPI values are plausible", () => PlausibleAsync(cancellation));
        await CheckAsync("the shop's objective has its budget", () => ObjectiveAsync(cancellation));
        await CheckAsync("host memory equals /proc/meminfo", () => MemoryAsync(cancellation));
        await CheckAsync("the database's size equals what PostgreSQL says", () => DatabaseSizeAsync(cancellation));
        await CheckAsync("the fleet shows the agent, connected and complete", () => FleetAsync(cancellation));
        await CheckAsync("the alert on declined payments is active", () => AlertAsync(cancellation));
        await CheckAsync("the console answers", async () => Expect((await site.Api.GetTextAsync("/", cancellation)).Contains("<title>Bellwether</title>", StringComparison.Ordinal), "no Bellwether in the page's title"));
        await CheckAsync("a scrape is seen in its KPI soon", () => LatencyAsync(cancellation));
        await output.WriteLineAsync($"demo: {_passed} checks passed, {_failed} failed");
        return _failed == 0;
    }

    private async Task CheckAsync(string what, Func<Task> body)
    {
        try
        {
            await body();
            _passed++;
            await output.WriteLineAsync($"ok    {what}");
        }
        catch (Exception e) when (e is DemoException or HttpRequestException or JsonException or NpgsqlException or KeyNotFoundException or InvalidOperationException)
        {
            _failed++;
            await output.WriteLineAsync($"FAIL  {what}: {e.Message}");
        }
    }

    private async Task SourcesAsync(CancellationToken cancellation)
    {
        // Each source has its own moment in the interval, so the shop's first KPI may be here before the first answer of PostgreSQL or of the host.
        foreach ((string expression, double least) in new[] { ("up{job=\"shop\"}", 1.0), ("pg_up", 1.0), ("node_load1", 0.0) })
            await site.WaitAsync(expression, async () => await site.Api.ValueAsync(expression, cancellation) >= least, s_firstAnswers, cancellation);
    }

    private async Task LedgerAsync(CancellationToken cancellation)
    {
        List<(DateTime At, long Orders, long Cents)> rows = [];
        await site.WaitAsync("ledger rows", async () =>
        {
            rows = await LedgerRowsAsync(cancellation);
            return rows.Count >= LedgerRows + 1;
        }, TimeSpan.FromSeconds(60), cancellation);
        // The newest scrape may still be on its way; the ones before it are stored.
        foreach ((DateTime at, long orders, long cents) in rows.SkipLast(1).TakeLast(LedgerRows))
        {
            double seconds = new DateTimeOffset(at).ToUnixTimeMilliseconds() / 1000.0;
            double? storedOrders = await site.Api.ValueAsync("sum(orders_created_total)", cancellation, seconds);
            double? storedEuros = await site.Api.ValueAsync("sum(revenue_total_euros)", cancellation, seconds);
            Expect(storedOrders == orders, $"at {at:O} the store has {storedOrders} orders, the shop's database {orders}");
            Expect(storedEuros is { } euros && Math.Round(euros * 100) == cents, $"at {at:O} the store has {storedEuros} euros, the shop's database {cents / 100m}");
        }
    }

    private async Task<List<(DateTime At, long Orders, long Cents)>> LedgerRowsAsync(CancellationToken cancellation)
    {
        await using NpgsqlDataSource database = NpgsqlDataSource.Create(site.Database);
        await using NpgsqlCommand select = database.CreateCommand("select at, orders, cents from scrapes order by at");
        await using NpgsqlDataReader reader = await select.ExecuteReaderAsync(cancellation);
        var rows = new List<(DateTime, long, long)>();
        while (await reader.ReadAsync(cancellation))
            rows.Add((reader.GetDateTime(0), reader.GetInt64(1), reader.GetInt64(2)));
        return rows;
    }

    private async Task CustomQueryAsync(CancellationToken cancellation)
    {
        // Orders come in between the two collections of one interval: pause the customers until both have seen the same.
        using var client = new HttpClient();
        await client.PostAsync($"http://{site.ShopAddress}/load/pause", null, cancellation);
        await site.WaitAsync("equal counts", async () =>
            await site.Api.ValueAsync("sum(shop_orders_total)", cancellation) is { } counted && counted == await site.Api.ValueAsync("sum(orders_created_total)", cancellation),
            TimeSpan.FromSeconds(30), cancellation);
        await client.PostAsync($"http://{site.ShopAddress}/load/resume", null, cancellation);
    }

    /// <summary>The customers pause, so that all have seen the same; then count, ledger and database are one number.</summary>
    private async Task ReconciledAsync(CancellationToken cancellation)
    {
        using var client = new HttpClient();
        await client.PostAsync($"http://{site.ShopAddress}/load/pause", null, cancellation);
        await site.WaitAsync("orders and revenue to be reconciled", async () => await IsReconciledAsync("orders_of_the_hour", cancellation) && await IsReconciledAsync("revenue_of_the_hour", cancellation), TimeSpan.FromSeconds(60), cancellation);
        await using NpgsqlDataSource database = NpgsqlDataSource.Create(site.Database);
        await using NpgsqlCommand select = database.CreateCommand("select count(*), sum(cents)::bigint from orders where at > now() - interval '1 hour'");
        await using NpgsqlDataReader reader = await select.ExecuteReaderAsync(cancellation);
        await reader.ReadAsync(cancellation);
        (long orders, long cents) = (reader.GetInt64(0), reader.GetInt64(1));
        double? counted = await site.Api.ValueAsync("kpi:orders_of_the_hour:orders", cancellation), euros = await site.Api.ValueAsync("kpi:revenue_of_the_hour:euros", cancellation);
        double? plain = await site.Api.ValueAsync("kpi:orders_of_the_hour:orders:plain", cancellation);
        await output.WriteLineAsync(string.Create(CultureInfo.InvariantCulture, $"      orders of the hour: {counted} counted, {orders} in the database, {plain:F2} by increase()"));
        Expect(counted == orders, $"{counted} orders are counted, the shop's database has {orders}");
        Expect(euros == (double)(cents / 100m), $"{euros} euros are counted, the shop's database has {cents / 100m}");
        await client.PostAsync($"http://{site.ShopAddress}/load/resume", null, cancellation);
    }

    private async Task<bool> IsReconciledAsync(string kpi, CancellationToken cancellation)
    {
        JsonElement now = (await site.Api.GetAsync($"/api/v1/kpis/{kpi}", cancellation)).GetProperty("exact").GetProperty("reconciliation");
        return now.GetProperty("state").GetString() == "RECONCILED" && now.GetProperty("difference") is { ValueKind: JsonValueKind.Number } difference && difference.GetDouble() == 0;
    }

    /// <summary>The index is what its contributions add up to, and says what it rests on; the promise has a state.</summary>
    private async Task ExplainedAsync(CancellationToken cancellation)
    {
        await site.WaitAsync("the shop's index", async () => await site.Api.ValueAsync("kpi:shop_health:score", cancellation) > 0, TimeSpan.FromSeconds(60), cancellation);
        JsonElement why = await site.Api.GetAsync("/api/v1/kpis/shop_health/explain", cancellation);
        double sum = why.GetProperty("parts").EnumerateArray().Sum(p => p.GetProperty("contribution").GetDouble()), index = why.GetProperty("recorded")[0].GetProperty("value").GetDouble();
        Expect(Math.Abs(sum - index) < 1e-9, $"the contributions add up to {sum}, the index is {index}");
        Expect(why.GetProperty("coverage").GetProperty("sources").GetInt32() > 0, $"the index rests on no source: {why}");
        JsonElement promises = await site.Api.GetAsync("/api/v1/sla/status", cancellation);
        Expect(promises.GetProperty("sla_checks").EnumerateArray().Count(c => c.GetProperty("status").GetString() != "UNKNOWN") == 2, $"a promise has no state: {promises}");
    }

    private async Task EvidenceAsync(CancellationToken cancellation)
    {
        string month = time.GetUtcNow().ToString("yyyy-MM", CultureInfo.InvariantCulture);
        await site.CommandAsync(["sla", "keygen", "demo-sla"], cancellation);
        await site.CommandAsync(["sla", "evidence", "--month", month, "--key", "demo-sla.key", "-o", "evidence.zip"], cancellation);
        string verified = await site.CommandAsync(["sla", "verify", "evidence.zip", "--key", "demo-sla.pub"], cancellation);
        Expect(verified.TrimEnd().EndsWith(": equal", StringComparison.Ordinal), verified);
    }

    private async Task RulesAsync(CancellationToken cancellation)
    {
        JsonElement groups = (await site.Api.GetAsync("/api/v1/rules", cancellation)).GetProperty("data").GetProperty("groups");
        int rules = 0;
        foreach (JsonElement rule in groups.EnumerateArray().SelectMany(g => g.GetProperty("rules").EnumerateArray()))
        {
            rules++;
            Expect(rule.GetProperty("health").GetString() == "ok", $"{rule.GetProperty("name").GetString()}: {rule}");
        }
        Expect(rules == RulesOfFiles + RulesOfKpis + RulesOfSlos, $"there are {rules} rules, not {RulesOfFiles} of rule files, {RulesOfKpis} of KPIs and {RulesOfSlos} of SLOs");
    }

    private async Task KpisAsync(CancellationToken cancellation)
    {
        JsonElement groups = (await site.Api.GetAsync("/api/v1/rules?type=record", cancellation)).GetProperty("data").GetProperty("groups");
        double at = Math.Floor(time.GetUtcNow().ToUnixTimeMilliseconds() / 1000.0) - 5;
        foreach (JsonElement rule in groups.EnumerateArray().Where(g => g.GetProperty("name").GetString() == "shop-kpis").SelectMany(g => g.GetProperty("rules").EnumerateArray()))
        {
            string name = rule.GetProperty("name").GetString()!;
            double? kpi = await site.Api.ValueAsync(name, cancellation, at);
            double? asked = await site.Api.ValueAsync(rule.GetProperty("query").GetString()!, cancellation, at);
            Expect(kpi is not null && asked is not null && BitConverter.DoubleToInt64Bits(kpi.Value) == BitConverter.DoubleToInt64Bits(asked.Value), $"{name} at {at:F0} is {kpi}, its expression gives {asked}");
        }
    }

    private async Task PlausibleAsync(CancellationToken cancellation)
    {
        (string Name, double Low, double High)[] bounds =
        [
            ("kpi:revenue_per_hour:euros", 1, 10_000_000), ("kpi:orders:per_minute", 1, 100_000), ("kpi:availability:ratio", 0.9, 1), ("kpi:response_time_p95:seconds", 0.0001, 10),
            ("kpi:error_budget_left:ratio", -10, 1), ("kpi:database_cache_hit:ratio", 0.1, 1), ("kpi:cost_per_order:euros", 0.000001, 10),
        ];
        foreach ((string name, double low, double high) in bounds)
        {
            double? value = await site.Api.ValueAsync(name, cancellation);
            Expect(value >= low && value <= high, string.Create(CultureInfo.InvariantCulture, $"{name} is {value}, not between {low} and {high}"));
        }
    }

    private async Task ObjectiveAsync(CancellationToken cancellation)
    {
        JsonElement slo = await site.Api.GetAsync("/api/v1/slos/shop-availability?step=1h", cancellation);
        double sli = slo.GetProperty("sli").GetDouble(), left = slo.GetProperty("budgetRemaining").GetDouble();
        Expect(slo.GetProperty("objective").GetDouble() == 95 && sli is >= 0.9 and <= 1, $"the objective is {slo.GetProperty("objective")}, the SLI {sli}");
        Expect(Math.Abs(left - (1 - ((1 - sli) / 0.05))) < 1e-9, $"{left} of the budget are left at an SLI of {sli}");
    }

    private async Task MemoryAsync(CancellationToken cancellation)
    {
        string line = File.ReadLines("/proc/meminfo").First(l => l.StartsWith("MemTotal:", StringComparison.Ordinal));
        double bytes = double.Parse(line.Split(' ', StringSplitOptions.RemoveEmptyEntries)[1], CultureInfo.InvariantCulture) * 1024;
        double? stored = await site.Api.ValueAsync("node_memory_MemTotal_bytes", cancellation);
        Expect(stored == bytes, $"the store has {stored}, /proc/meminfo {bytes}");
    }

    private async Task DatabaseSizeAsync(CancellationToken cancellation)
    {
        await using NpgsqlDataSource database = NpgsqlDataSource.Create(site.Database);
        await using NpgsqlCommand size = database.CreateCommand("select pg_database_size('shop')");
        long bytes = (long)(await size.ExecuteScalarAsync(cancellation))!;
        double? stored = await site.Api.ValueAsync("pg_database_size_bytes{datname=\"shop\"}", cancellation);
        Expect(stored is { } s && Math.Abs(s - bytes) < bytes * 0.05, $"the store has {stored}, PostgreSQL says {bytes}");
    }

    private async Task FleetAsync(CancellationToken cancellation)
    {
        JsonElement agents = (await site.Api.GetAsync("/api/v1/agents", cancellation)).GetProperty("data").GetProperty("agents");
        Expect(agents.GetArrayLength() == 1, $"there are {agents.GetArrayLength()} agents, not 1");
        Expect(agents[0].GetProperty("connected").GetBoolean(), "the agent is not connected");
        Expect(agents[0].GetProperty("coverage").GetDouble() >= 0.8, $"coverage is {agents[0].GetProperty("coverage")}");
    }

    private async Task AlertAsync(CancellationToken cancellation) =>
        await site.WaitAsync("the alert PaymentsAreDeclined", async () =>
            (await site.Api.GetAsync("/api/v1/alerts", cancellation)).GetProperty("data").GetProperty("alerts").EnumerateArray()
                .Any(a => a.GetProperty("labels").GetProperty("alertname").GetString() == "PaymentsAreDeclined"), TimeSpan.FromSeconds(60), cancellation);

    /// <summary>From a scrape (its row in the shop's ledger) to the KPI that shows its count.</summary>
    private async Task LatencyAsync(CancellationToken cancellation)
    {
        var seconds = new List<double>();
        for (int i = 0; i < 3; i++)
        {
            int known = (await LedgerRowsAsync(cancellation)).Count;
            List<(DateTime At, long Orders, long Cents)> rows = [];
            await site.WaitAsync("the next scrape", async () => (rows = await LedgerRowsAsync(cancellation)).Count > known, TimeSpan.FromSeconds(20), cancellation);
            (DateTime at, long orders, _) = rows[^1];
            await site.WaitAsync("the KPI of that scrape", async () => await site.Api.ValueAsync("kpi:orders_so_far:orders", cancellation) >= orders, TimeSpan.FromSeconds(20), cancellation);
            seconds.Add((time.GetUtcNow() - at).TotalSeconds);
        }
        seconds.Sort();
        await output.WriteLineAsync(string.Create(CultureInfo.InvariantCulture, $"      from scrape to KPI: {seconds[1]:F2} s (median of 3), {seconds[^1]:F2} s (longest)"));
        Expect(seconds[1] < 5, "more than 5 s");
    }

    private static void Expect(bool holds, string otherwise)
    {
        if (!holds)
            throw new DemoException(otherwise);
    }
}
