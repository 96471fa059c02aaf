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
    private const int FailedScrapesMax = 10;
    private const int LatenciesMax = 9;

    /// <summary>For what comes with the next answers of the sources and the next rounds of the rules; generous, for machines that are busy.</summary>
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(90);
    private static readonly TimeSpan s_soon = TimeSpan.FromSeconds(5);
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
        catch (Exception e) when (DemoSite.IsNotYet(e))
        {
            _failed++;
            await output.WriteLineAsync($"FAIL  {what}: {e.Message}");
        }
    }

    private async Task SourcesAsync(CancellationToken cancellation)
    {
        // Each source has its own moment in the interval, so the shop's first KPI may be here before the first answer of PostgreSQL or of the host.
        foreach ((string expression, double least) in new[] { ("up{job=\"shop\"}", 1.0), ("pg_up", 1.0), ("node_load1", 0.0) })
            await site.WaitAsync(expression, async () => await site.Api.ValueAsync(expression, cancellation) >= least, s_patience, cancellation);
    }

    private async Task LedgerAsync(CancellationToken cancellation)
    {
        int first = Math.Max(0, (await LedgerRowsAsync(cancellation)).Count - LedgerRows - 1), compared = 0;
        for (int row = first; compared < LedgerRows; row++)
        {
            Expect(row - first - compared <= FailedScrapesMax, $"{FailedScrapesMax} scrapes of the shop failed");
            if (await IsStoredAsync(row, cancellation))
                compared++;
        }
    }

    /// <summary>Waits until a scrape's row is here and what the store has of that moment equals it. False: the scrape failed by the agent's own word, so its row has nothing to be compared with.</summary>
    private async Task<bool> IsStoredAsync(int row, CancellationToken cancellation)
    {
        bool isScraped = true;
        await site.WaitAsync("a scrape to be stored as the shop's database has it", async () =>
        {
            List<(DateTime At, long Orders, long Cents)> rows = await LedgerRowsAsync(cancellation);
            if (rows.Count <= row)
                return false;
            (DateTime at, long orders, long cents) = rows[row];
            double seconds = new DateTimeOffset(at).ToUnixTimeMilliseconds() / 1000.0;
            isScraped = await site.Api.ValueAsync("up{job=\"shop\"}", cancellation, seconds) != 0;
            if (!isScraped)
                return true;
            double? storedOrders = await site.Api.ValueAsync("sum(orders_created_total)", cancellation, seconds);
            double? storedEuros = await site.Api.ValueAsync("sum(revenue_total_euros)", cancellation, seconds);
            Expect(storedOrders == orders, $"at {at:O} the store has {storedOrders} orders, the shop's database {orders}");
            Expect(storedEuros is { } euros && Math.Round(euros * 100) == cents, $"at {at:O} the store has {storedEuros} euros, the shop's database {cents / 100m}");
            return true;
        }, s_patience, cancellation);
        return isScraped;
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

    // Orders come in between the two collections of one interval: pause the customers until both have seen the same.
    private Task CustomQueryAsync(CancellationToken cancellation) => WithoutCustomersAsync("equal counts", async () =>
        await site.Api.ValueAsync("sum(shop_orders_total)", cancellation) is { } counted && counted == await site.Api.ValueAsync("sum(orders_created_total)", cancellation), cancellation);

    /// <summary>The customers pause, so that all have seen the same; then count, ledger and database are one number.</summary>
    private async Task ReconciledAsync(CancellationToken cancellation)
    {
        string told = "";
        // All in one look: the state may still be that of the pause before, and a last order may come after the pause began.
        await WithoutCustomersAsync("orders and revenue to be reconciled", async () =>
        {
            Expect(await IsReconciledAsync("orders_of_the_hour", cancellation), "orders are not reconciled");
            Expect(await IsReconciledAsync("revenue_of_the_hour", cancellation), "revenue is not reconciled");
            (long orders, long cents) = await BooksAsync(cancellation);
            double? counted = await site.Api.ValueAsync("kpi:orders_of_the_hour:orders", cancellation), euros = await site.Api.ValueAsync("kpi:revenue_of_the_hour:euros", cancellation);
            double? plain = await site.Api.ValueAsync("kpi:orders_of_the_hour:orders:plain", cancellation);
            Expect(counted == orders, $"{counted} orders are counted, the shop's database has {orders}");
            Expect(euros == (double)(cents / 100m), $"{euros} euros are counted, the shop's database has {cents / 100m}");
            told = string.Create(CultureInfo.InvariantCulture, $"      orders of the hour: {counted} counted, {orders} in the database, {plain:F2} by increase()");
            return true;
        }, cancellation);
        await output.WriteLineAsync(told);
    }

    private async Task<(long Orders, long Cents)> BooksAsync(CancellationToken cancellation)
    {
        await using NpgsqlDataSource database = NpgsqlDataSource.Create(site.Database);
        await using NpgsqlCommand select = database.CreateCommand("select count(*), sum(cents)::bigint from orders where at > now() - interval '1 hour'");
        await using NpgsqlDataReader reader = await select.ExecuteReaderAsync(cancellation);
        await reader.ReadAsync(cancellation);
        return (reader.GetInt64(0), reader.GetInt64(1));
    }

    private async Task WithoutCustomersAsync(string what, Func<Task<bool>> done, CancellationToken cancellation)
    {
        using var client = new HttpClient();
        await client.PostAsync($"http://{site.ShopAddress}/load/pause", null, cancellation);
        try
        {
            await site.WaitAsync(what, done, s_patience, cancellation);
        }
        finally
        {
            await client.PostAsync($"http://{site.ShopAddress}/load/resume", null, cancellation);
        }
    }

    private async Task<bool> IsReconciledAsync(string kpi, CancellationToken cancellation)
    {
        JsonElement now = (await site.Api.GetAsync($"/api/v1/kpis/{kpi}", cancellation)).GetProperty("exact").GetProperty("reconciliation");
        return now.GetProperty("state").GetString() == "RECONCILED" && now.GetProperty("difference") is { ValueKind: JsonValueKind.Number } difference && difference.GetDouble() == 0;
    }

    /// <summary>The index is what its contributions add up to, and says what it rests on; the promise has a state.</summary>
    private async Task ExplainedAsync(CancellationToken cancellation)
    {
        await site.WaitAsync("the shop's index", async () => await site.Api.ValueAsync("kpi:shop_health:score", cancellation) > 0, s_patience, cancellation);
        double at = Math.Floor(time.GetUtcNow().ToUnixTimeMilliseconds() / 1000.0);
        // Of one moment: what comes late for it corrects index and contributions one after the other.
        await EventuallyAsync("the contributions to add up to the index", async () =>
        {
            JsonElement why = await site.Api.GetAsync(string.Create(CultureInfo.InvariantCulture, $"/api/v1/kpis/shop_health/explain?time={at:F0}"), cancellation);
            double sum = why.GetProperty("parts").EnumerateArray().Sum(p => p.GetProperty("contribution").GetDouble()), index = why.GetProperty("recorded")[0].GetProperty("value").GetDouble();
            Expect(Math.Abs(sum - index) < 1e-9, $"the contributions add up to {sum}, the index is {index}");
            Expect(why.GetProperty("coverage").GetProperty("sources").GetInt32() > 0, $"the index rests on no source: {why}");
        }, cancellation);
        await EventuallyAsync("the promises' states", async () =>
        {
            JsonElement promises = await site.Api.GetAsync("/api/v1/sla/status", cancellation);
            Expect(promises.GetProperty("sla_checks").EnumerateArray().Count(c => c.GetProperty("status").GetString() != "UNKNOWN") == 2, $"a promise has no state: {promises}");
        }, cancellation);
    }

    private async Task EvidenceAsync(CancellationToken cancellation)
    {
        string month = time.GetUtcNow().ToString("yyyy-MM", CultureInfo.InvariantCulture);
        await site.CommandAsync(["sla", "keygen", "demo-sla"], cancellation);
        await site.CommandAsync(["sla", "evidence", "--month", month, "--key", "demo-sla.key", "-o", "evidence.zip"], cancellation);
        string verified = await site.CommandAsync(["sla", "verify", "evidence.zip", "--key", "demo-sla.pub"], cancellation);
        Expect(verified.TrimEnd().EndsWith(": equal", StringComparison.Ordinal), verified);
    }

    // A rule that has not had its first turn yet says so.
    private Task RulesAsync(CancellationToken cancellation) => EventuallyAsync("every rule to be healthy", async () =>
    {
        JsonElement groups = (await site.Api.GetAsync("/api/v1/rules", cancellation)).GetProperty("data").GetProperty("groups");
        int rules = 0;
        foreach (JsonElement rule in groups.EnumerateArray().SelectMany(g => g.GetProperty("rules").EnumerateArray()))
        {
            rules++;
            Expect(rule.GetProperty("health").GetString() == "ok", $"{rule.GetProperty("name").GetString()}: {rule}");
        }
        Expect(rules == RulesOfFiles + RulesOfKpis + RulesOfSlos, $"there are {rules} rules, not {RulesOfFiles} of rule files, {RulesOfKpis} of KPIs and {RulesOfSlos} of SLOs");
    }, cancellation);

    private async Task KpisAsync(CancellationToken cancellation)
    {
        JsonElement groups = (await site.Api.GetAsync("/api/v1/rules?type=record", cancellation)).GetProperty("data").GetProperty("groups");
        double at = Math.Floor(time.GetUtcNow().ToUnixTimeMilliseconds() / 1000.0) - 5;
        foreach (JsonElement rule in groups.EnumerateArray().Where(g => g.GetProperty("name").GetString() == "shop-kpis").SelectMany(g => g.GetProperty("rules").EnumerateArray()))
        {
            string name = rule.GetProperty("name").GetString()!;
            // What came after the rule's turn corrects it soon.
            await EventuallyAsync($"{name} to be what its expression gives", async () =>
            {
                double? kpi = await site.Api.ValueAsync(name, cancellation, at);
                double? asked = await site.Api.ValueAsync(rule.GetProperty("query").GetString()!, cancellation, at);
                Expect(kpi is not null && asked is not null && BitConverter.DoubleToInt64Bits(kpi.Value) == BitConverter.DoubleToInt64Bits(asked.Value), $"{name} at {at:F0} is {kpi}, its expression gives {asked}");
            }, cancellation);
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
            // The customers have paused just before: a rate may still be that of the pause.
            await EventuallyAsync($"{name} to be plausible", async () =>
            {
                double? value = await site.Api.ValueAsync(name, cancellation);
                Expect(value >= low && value <= high, string.Create(CultureInfo.InvariantCulture, $"{name} is {value}, not between {low} and {high}"));
            }, cancellation);
        }
    }

    private Task ObjectiveAsync(CancellationToken cancellation) => EventuallyAsync("the objective's budget", async () =>
    {
        JsonElement slo = await site.Api.GetAsync("/api/v1/slos/shop-availability?step=1h", cancellation);
        double sli = slo.GetProperty("sli").GetDouble(), left = slo.GetProperty("budgetRemaining").GetDouble();
        Expect(slo.GetProperty("objective").GetDouble() == 95 && sli is >= 0.9 and <= 1, $"the objective is {slo.GetProperty("objective")}, the SLI {sli}");
        Expect(Math.Abs(left - (1 - ((1 - sli) / 0.05))) < 1e-9, $"{left} of the budget are left at an SLI of {sli}");
    }, cancellation);

    // A virtual machine's memory may grow and shrink.
    private Task MemoryAsync(CancellationToken cancellation) => EventuallyAsync("the host's memory", async () =>
    {
        string line = File.ReadLines("/proc/meminfo").First(l => l.StartsWith("MemTotal:", StringComparison.Ordinal));
        double bytes = double.Parse(line.Split(' ', StringSplitOptions.RemoveEmptyEntries)[1], CultureInfo.InvariantCulture) * 1024;
        double? stored = await site.Api.ValueAsync("node_memory_MemTotal_bytes", cancellation);
        Expect(stored == bytes, $"the store has {stored}, /proc/meminfo {bytes}");
    }, cancellation);

    private Task DatabaseSizeAsync(CancellationToken cancellation) => EventuallyAsync("the database's size", async () =>
    {
        await using NpgsqlDataSource database = NpgsqlDataSource.Create(site.Database);
        await using NpgsqlCommand size = database.CreateCommand("select pg_database_size('shop')");
        long bytes = (long)(await size.ExecuteScalarAsync(cancellation))!;
        double? stored = await site.Api.ValueAsync("pg_database_size_bytes{datname=\"shop\"}", cancellation);
        Expect(stored is { } s && Math.Abs(s - bytes) < bytes * 0.05, $"the store has {stored}, PostgreSQL says {bytes}");
    }, cancellation);

    private Task FleetAsync(CancellationToken cancellation) => EventuallyAsync("the agent", async () =>
    {
        JsonElement agents = (await site.Api.GetAsync("/api/v1/agents", cancellation)).GetProperty("data").GetProperty("agents");
        Expect(agents.GetArrayLength() == 1, $"there are {agents.GetArrayLength()} agents, not 1");
        Expect(agents[0].GetProperty("connected").GetBoolean(), "the agent is not connected");
        Expect(agents[0].GetProperty("coverage").GetDouble() >= 0.8, $"coverage is {agents[0].GetProperty("coverage")}");
    }, cancellation);

    private async Task AlertAsync(CancellationToken cancellation) =>
        await site.WaitAsync("the alert PaymentsAreDeclined", async () =>
            (await site.Api.GetAsync("/api/v1/alerts", cancellation)).GetProperty("data").GetProperty("alerts").EnumerateArray()
                .Any(a => a.GetProperty("labels").GetProperty("alertname").GetString() == "PaymentsAreDeclined"), s_patience * 2, cancellation);

    /// <summary>From a scrape (its row in the shop's ledger) to the KPI that shows its count: the median of three, or of more where the machine was too busy for three.</summary>
    private async Task LatencyAsync(CancellationToken cancellation)
    {
        var seconds = new List<double>();
        while (seconds.Count < 3 || (seconds.Count < LatenciesMax && seconds.Count(s => s < s_soon.TotalSeconds) * 2 < seconds.Count))
        {
            int known = (await LedgerRowsAsync(cancellation)).Count;
            List<(DateTime At, long Orders, long Cents)> rows = [];
            await site.WaitAsync("the next scrape", async () => (rows = await LedgerRowsAsync(cancellation)).Count > known, s_patience, cancellation);
            (DateTime at, long orders, _) = rows[^1];
            await site.WaitAsync("the KPI of that scrape", async () => await site.Api.ValueAsync("kpi:orders_so_far:orders", cancellation) >= orders, s_patience, cancellation);
            seconds.Add((time.GetUtcNow() - at).TotalSeconds);
        }
        seconds.Sort();
        await output.WriteLineAsync(string.Create(CultureInfo.InvariantCulture, $"      from scrape to KPI: {seconds[seconds.Count / 2]:F2} s (median of {seconds.Count}), {seconds[^1]:F2} s (longest)"));
        Expect(seconds[(seconds.Count - 1) / 2] < s_soon.TotalSeconds, $"more than {s_soon.TotalSeconds:F0} s");
    }

    /// <summary>Waits until nothing is wrong; what is wrong at the limit is the reason.</summary>
    private Task EventuallyAsync(string what, Func<Task> body, CancellationToken cancellation) => site.WaitAsync(what, async () =>
    {
        await body();
        return true;
    }, s_patience, cancellation);

    private static void Expect(bool holds, string otherwise)
    {
        if (!holds)
            throw new DemoException(otherwise);
    }
}
