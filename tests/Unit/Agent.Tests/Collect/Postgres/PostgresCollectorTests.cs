using Bellwether.Agent.Collect.Postgres;
using Bellwether.Agent.Configuration;
using Bellwether.Agent.Run;
using Bellwether.Agent.Stream;
using Bellwether.Core.Codec;
using Bellwether.Core.Configuration;
using Bellwether.Core.Model;
using Bellwether.Kit;
using Microsoft.Extensions.Logging.Abstractions;
using Xunit.Abstractions;

namespace Bellwether.Agent.Tests.Collect.Postgres;

/// <summary>One server for all tests of the class.</summary>
public sealed class PostgresFixture : IDisposable
{
    public PostgresFixture()
    {
        Server = PostgresServer.TryStart("shared_preload_libraries='pg_stat_statements'");
        Server?.Sql("CREATE EXTENSION pg_stat_statements");
        Server?.Sql("CREATE DATABASE shop");
        Server?.Sql("CREATE TABLE orders (id int PRIMARY KEY, total numeric(10,2), placed timestamptz, note text); INSERT INTO orders SELECT i, i * 1.25, '2026-01-02 03:04:05+00', 'x' FROM generate_series(1, 100) AS i", "shop");
        // A session tells its counts when it ends, which may be after its client has gone.
        Server?.WaitForSql("SELECT n_tup_ins FROM pg_stat_user_tables WHERE relname = 'orders'", "100", "shop");
    }

    public PostgresServer? Server { get; }

    public void Dispose() => Server?.Dispose();
}

public sealed class PostgresCollectorTests(PostgresFixture fixture, ITestOutputHelper output) : IClassFixture<PostgresFixture>
{
    private const long Start = 1_700_000_000_000;

    [Fact]
    public async Task A_real_server_gives_the_series_that_dashboards_read()
    {
        if (fixture.Server is not { } server)
            return;
        await using PostgresCollector collector = Make(new PostgresCollectorOptions { ConnectionString = server.ConnectionString("shop") });
        Dictionary<string, double> samples = await CollectAsync(collector);
        output.WriteLine($"{samples.Count} series");

        Assert.Null(collector.LastError);
        Assert.Equal($"postgres/127.0.0.1:{server.Port}/shop", collector.Name);
        string common = $"instance=\"127.0.0.1:{server.Port}\", job=\"postgres\"";
        Assert.Equal(1, samples[$"pg_up{{{common}, server=\"127.0.0.1:{server.Port}\"}}"]);
        Assert.Equal(100, Value(samples, "pg_settings_max_connections"));
        Assert.Equal(128 * 1024 * 1024, Value(samples, "pg_settings_shared_buffers_bytes"));
        Assert.True(Value(samples, "pg_database_size_bytes", "datname=\"shop\"") > 1_000_000);
        Assert.True(Value(samples, "pg_stat_activity_count", "datname=\"shop\"", "state=\"active\"") >= 1);
        Assert.True(Value(samples, "pg_stat_database_xact_commit", "datname=\"shop\"") >= 1);
        Assert.Equal(100, Value(samples, "pg_stat_user_tables_n_tup_ins", "relname=\"orders\""));
        Assert.All(samples.Where(s => s.Key.StartsWith("pg_scrape_collector_success", StringComparison.Ordinal)), s => Assert.Equal(1, s.Value));
    }

    /// <summary>By them the aggregator makes up <c>up</c> while the agent is silent: other ones would be another series.</summary>
    [Fact]
    public async Task The_labels_that_are_told_of_the_target_are_those_of_its_up()
    {
        await using PostgresCollector collector = Make(new PostgresCollectorOptions { ConnectionString = "Host=127.0.0.1;Port=1;Username=u;Database=d", Labels = new Dictionary<string, string> { ["site"] = "a" } });
        Dictionary<string, double> samples = await CollectAsync(collector);
        Assert.Equal(0, samples["up" + collector.TargetLabels]);
        Assert.Equal("127.0.0.1:1", collector.TargetLabels.Get("server"));
    }

    [Fact]
    public async Task A_password_that_was_changed_in_its_file_counts_at_the_next_connecting()
    {
        if (fixture.Server is not { } server)
            return;
        string hba = server.Sql("SHOW hba_file").Trim();
        server.Sql($"COPY (VALUES ('host all locked 127.0.0.1/32 scram-sha-256'), ('host all all 127.0.0.1/32 trust'), ('local all all trust')) TO '{hba}'");
        server.Sql("CREATE ROLE locked LOGIN PASSWORD 'first'");
        server.Sql("SELECT pg_reload_conf()");
        string file = Path.GetTempFileName();
        try
        {
            File.WriteAllText(file, "first\n");
            await using PostgresCollector collector = Make(new PostgresCollectorOptions { ConnectionString = $"Host=127.0.0.1;Port={server.Port};Username=locked;Database=shop;SSL Mode=Disable", PasswordFile = file });
            Assert.Equal(1, Value(await CollectAsync(collector), "pg_up"));
            server.Sql("ALTER ROLE locked PASSWORD 'second'");
            EndSessions(server, "locked");
            await CollectAsync(collector);
            Assert.Equal(0, Value(await CollectAsync(collector), "pg_up"));
            File.WriteAllText(file, "second\n");
            Assert.Equal(1, Value(await CollectAsync(collector), "pg_up"));
            File.Delete(file);
            EndSessions(server, "locked");
            await CollectAsync(collector);
            Assert.Equal(0, Value(await CollectAsync(collector), "pg_up"));
            Assert.Contains(file, collector.LastError, StringComparison.Ordinal);
        }
        finally
        {
            File.Delete(file);
        }
    }

    [Fact]
    public async Task A_server_that_is_not_there_is_down_and_says_why()
    {
        await using PostgresCollector collector = Make(new PostgresCollectorOptions { ConnectionString = "Host=127.0.0.1;Port=1;Username=x;Database=y;SSL Mode=Disable" });
        Dictionary<string, double> samples = await CollectAsync(collector);

        Assert.Equal(0, Value(samples, "pg_up"));
        Assert.Equal(0, Value(samples, "up"));
        Assert.Equal(1, Value(samples, "pg_exporter_last_scrape_error"));
        Assert.Contains("127.0.0.1:1", collector.LastError, StringComparison.Ordinal);
        Assert.Equal(("down", collector.LastError), HealthOf(collector));
    }

    [Fact]
    public async Task Queries_that_fail_are_named_and_leave_the_target_up()
    {
        if (fixture.Server is not { } server)
            return;
        PostgresQuery[] queries =
        [
            new() { Name = "wrong", Sql = "SELECT nowhere FROM nothing", Metrics = [new("nowhere", "wrong_metric", MetricType.Gauge)] },
            new() { Name = "other_column", Sql = "SELECT 1 AS a", Metrics = [new("b", "b_metric", MetricType.Gauge)] },
        ];
        await using (PostgresCollector collector = Make(new PostgresCollectorOptions { ConnectionString = server.ConnectionString("shop"), Queries = queries }))
        {
            Dictionary<string, double> samples = await CollectAsync(collector);
            Assert.Equal((1, 1, 1), (Value(samples, "up"), Value(samples, "pg_up"), Value(samples, "pg_exporter_last_scrape_error")));
            Assert.Matches("^wrong: relation \"nothing\" does not exist .*; other_column: the query has no column 'b'", collector.LastError);
            Assert.Equal(("up", collector.LastError), HealthOf(collector));
        }
        // Without pg_monitor it may not list the WAL's files.
        server.Sql("CREATE ROLE guest LOGIN");
        await using (PostgresCollector collector = Make(new PostgresCollectorOptions { ConnectionString = $"Host=127.0.0.1;Port={server.Port};Username=guest;Database=shop;SSL Mode=Disable", Queries = queries }))
        {
            Dictionary<string, double> samples = await CollectAsync(collector);
            Assert.Equal((1, 1), (Value(samples, "up"), Value(samples, "pg_up")));
            Assert.Equal(0, Value(samples, "pg_scrape_collector_success", "collector=\"wal\""));
            Assert.StartsWith("wal: permission denied for function pg_ls_waldir", collector.LastError, StringComparison.Ordinal);
            Assert.Equal(("up", collector.LastError), HealthOf(collector));
        }
    }

    [Fact]
    public async Task A_server_that_restarts_is_found_again_within_the_tick()
    {
        using PostgresServer? server = PostgresServer.TryStart();
        if (server is null)
            return;
        await using PostgresCollector collector = Make(new PostgresCollectorOptions { ConnectionString = server.ConnectionString() });
        Assert.Equal(1, Value(await CollectAsync(collector), "pg_up"));
        server.Stop(immediate: true);
        Assert.Equal(0, Value(await CollectAsync(collector), "pg_up"));
        server.Start();
        await using PostgresCollector again = Make(new PostgresCollectorOptions { ConnectionString = server.ConnectionString() });
        Assert.Equal(1, Value(await CollectAsync(again), "pg_up"));
        server.Stop();
        server.Start();
        Assert.Equal(1, Value(await CollectAsync(again), "pg_up"));
        Assert.Null(again.LastError);
    }

    [Fact]
    public async Task Own_queries_become_metrics_and_a_wrong_one_costs_only_itself()
    {
        if (fixture.Server is not { } server)
            return;
        await using PostgresCollector collector = Make(new PostgresCollectorOptions
        {
            ConnectionString = server.Uri("shop"),
            Queries =
            [
                new PostgresQuery
                {
                    Name = "orders",
                    Sql = "SELECT note AS kind, count(*) AS n, sum(total) AS total, max(placed) AS last, bool_and(total > 0) AS fine, NULL AS nothing FROM orders GROUP BY note;",
                    Labels = [new PostgresQueryLabel("kind", "order_kind")],
                    Metrics =
                    [
                        new("n", "shop_orders", MetricType.Gauge), new("total", "shop_revenue_cents", MetricType.Gauge, "Revenue.", 100), new("last", "shop_last_order_timestamp_seconds", MetricType.Gauge),
                        new("fine", "shop_fine", MetricType.Gauge), new("nothing", "shop_nothing", MetricType.Gauge),
                    ],
                },
                new PostgresQuery { Name = "wrong", Sql = "SELECT nowhere FROM nothing", Metrics = [new("nowhere", "wrong_metric", MetricType.Gauge)] },
                new PostgresQuery { Name = "other_column", Sql = "SELECT 1 AS a", Metrics = [new("b", "b_metric", MetricType.Gauge)] },
                new PostgresQuery { Name = "writes", Sql = "CREATE TABLE x ()", Metrics = [new("b", "b_metric", MetricType.Gauge)] },
                new PostgresQuery { Name = "slow", Sql = "SELECT pg_sleep(30), 1 AS a", Timeout = TimeSpan.FromSeconds(1), Metrics = [new("a", "slow_metric", MetricType.Gauge)] },
                new PostgresQuery { Name = "many", Sql = "SELECT i, i AS v FROM generate_series(1, 1000) AS i", RowsMax = 7, Labels = [new("i")], Metrics = [new("v", "many_metric", MetricType.Gauge)] },
            ],
        });
        Dictionary<string, double> samples = await CollectAsync(collector);

        Assert.Equal(100, Value(samples, "shop_orders", "order_kind=\"x\""));
        Assert.Equal(631_250, Value(samples, "shop_revenue_cents"));
        Assert.Equal(1_767_323_045, Value(samples, "shop_last_order_timestamp_seconds"));
        Assert.Equal(1, Value(samples, "shop_fine"));
        Assert.DoesNotContain(samples, s => s.Key.StartsWith("shop_nothing", StringComparison.Ordinal));
        Assert.Equal(1, Value(samples, "pg_scrape_collector_success", "collector=\"orders\""));
        foreach (string failing in new[] { "wrong", "other_column", "writes", "slow" })
            Assert.Equal(0, Value(samples, "pg_scrape_collector_success", $"collector=\"{failing}\""));
        Assert.Equal(7, samples.Count(s => s.Key.StartsWith("many_metric", StringComparison.Ordinal)));
        Assert.Equal(1, Value(samples, "pg_up"));
        Assert.True(Value(samples, "pg_stat_database_numbackends", "datname=\"shop\"") >= 1);
    }

    [Fact]
    public async Task A_query_with_an_interval_repeats_its_rows_until_it_is_due()
    {
        if (fixture.Server is not { } server)
            return;
        await using PostgresCollector collector = Make(new PostgresCollectorOptions
        {
            ConnectionString = server.ConnectionString("shop"),
            Queries = [new PostgresQuery { Name = "clock", Sql = "SELECT clock_timestamp() AS now", Interval = TimeSpan.FromSeconds(60), Metrics = [new("now", "clock_now", MetricType.Gauge)] }],
        });
        var tick = new SourceTick();
        var seen = new List<double>();
        foreach (long second in new long[] { 0, 15, 45, 60 })
        {
            await collector.CollectAsync(tick, Start + second * 1000, CancellationToken.None);
            int slot = Enumerable.Range(0, tick.Table.Count).First(s => tick.Table[s].MetricName == "clock_now");
            Assert.True(SourceTick.IsSet(tick.Present, slot));
            seen.Add(tick.Values[slot]);
        }

        Assert.Equal(seen[0], seen[1]);
        Assert.Equal(seen[0], seen[2]);
        Assert.True(seen[3] > seen[0]);
    }

    [Fact]
    public async Task The_packs_query_gives_mean_execution_times_by_statement()
    {
        if (fixture.Server is not { } server)
            return;
        string text = "agent: {id: a}\naggregators: [{address: \"127.0.0.1:1\", token: secret}]\n" + File.ReadAllText(Path.Combine(SourceTree.Root, "packs", "collectors", "postgres-statements.yaml"));
        ConfigResult<AgentConfig> read = AgentConfigFile.Parse(text.Replace("postgresql://bellwether@localhost:5432/postgres", $"\"{server.ConnectionString("postgres")}\"", StringComparison.Ordinal), "agent.yaml");
        Assert.True(read.IsOk, string.Join('\n', read.Errors));
        await using PostgresCollector collector = Make(Assert.Single(read.Value.Collectors.Postgres).ToOptions());
        Dictionary<string, double> samples = await CollectAsync(collector);

        Assert.Equal(1, Value(samples, "pg_scrape_collector_success", "collector=\"pg_stat_statements\""));
        Assert.True(Value(samples, "pg_stat_statements_mean_exec_time", "datname=\"postgres\"", "queryid=") > 0);
    }

    [Fact]
    public async Task Tables_beyond_the_limit_are_left_out_the_least_used_first()
    {
        if (fixture.Server is not { } server)
            return;
        server.Sql("CREATE DATABASE many");
        server.Sql(string.Concat(Enumerable.Range(0, 20).Select(i => $"CREATE TABLE t{i} (a int); INSERT INTO t{i} SELECT generate_series(1, {(i + 1) * 10});")), "many");
        server.WaitForSql("SELECT n_tup_ins FROM pg_stat_user_tables WHERE relname = 't19'", "200", "many");
        await using PostgresCollector collector = Make(new PostgresCollectorOptions { ConnectionString = server.ConnectionString("many"), TablesMax = 3 });
        Dictionary<string, double> samples = await CollectAsync(collector);

        string[] kept = [.. samples.Keys.Where(k => k.StartsWith("pg_stat_user_tables_n_tup_ins{", StringComparison.Ordinal)).Order(StringComparer.Ordinal)];
        Assert.Equal(3, kept.Length);
        Assert.All(kept.Zip(["t17", "t18", "t19"]), pair => Assert.Contains($"relname=\"{pair.Second}\"", pair.First, StringComparison.Ordinal));
    }

    /// <summary>Ends a role's sessions, and waits until they have ended.</summary>
    private static void EndSessions(PostgresServer server, string role)
    {
        server.Sql($"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{role}'");
        server.WaitForSql($"SELECT count(*) FROM pg_stat_activity WHERE usename = '{role}'", "0");
    }

    private static PostgresCollector Make(PostgresCollectorOptions options) => new(options, TimeProvider.System, NullLogger.Instance);

    /// <summary>What the agent tells the aggregator of it.</summary>
    private static (string Health, string? Error) HealthOf(PostgresCollector collector)
    {
        var facts = new TargetFacts("a", _ => Start);
        facts.Take([collector], []);
        var list = new List<TargetFact>();
        facts.List(list);
        return (Assert.Single(list).Health, list[0].Error);
    }

    private static async Task<Dictionary<string, double>> CollectAsync(PostgresCollector collector)
    {
        var tick = new SourceTick();
        await collector.CollectAsync(tick, Start, CancellationToken.None);
        var samples = new Dictionary<string, double>();
        for (int slot = 0; slot < tick.Table.Count; slot++)
        {
            if (SourceTick.IsSet(tick.Present, slot))
                samples.Add(tick.Table[slot].ToString(), tick.Values[slot]);
        }
        return samples;
    }

    private static double Value(Dictionary<string, double> samples, string name, params string[] labels) =>
        samples.First(s => s.Key.StartsWith(name + "{", StringComparison.Ordinal) && labels.All(l => s.Key.Contains(l, StringComparison.Ordinal))).Value;
}
