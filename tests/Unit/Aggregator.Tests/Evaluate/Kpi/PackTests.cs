using Bellwether.Core.Configuration;
using Bellwether.Evaluate.Kpi;
using Bellwether.Evaluate.Rules;
using Bellwether.Evaluate.Slo;
using Bellwether.Evaluate.Slo.Reading;
using Bellwether.Kit;

namespace Bellwether.Aggregator.Tests.Evaluate.Kpi;

/// <summary>The ready-made KPI files over made data: every KPI of every file has a value that was worked out by hand.</summary>
public sealed class PackTests
{
    // increase() over a week or more sees the made data's coarse part at its begin, and extrapolates by what is half of its step.
    private const double Tolerance = 2e-3;

    [Fact]
    public async Task The_platform_pack_gives_every_number()
    {
        using KpiSite site = Site("platform");
        site.LongCounter("deployments_total{team=a}", 60.0 / 10080).LongCounter("deployments_total{team=b}", 20.0 / 10080).LongGauge("active_developers", 20);
        site.LongCounter("deployment_lead_time_seconds_sum", 86400.0 / 60).LongCounter("deployment_lead_time_seconds_count", 0.5 / 60);
        site.LongCounter("ci_pipelines_total{status=success}", 9).LongCounter("ci_pipelines_total{status=failed}", 1);
        site.LongHistogram("ci_job_queue_duration_seconds", "", 10, 60, 120, 900);
        site.LongCounter("http_requests_total{job=gitlab-web,code=200}", 998.2).LongCounter("http_requests_total{job=gitlab-web,code=503}", 1.8);
        site.LongHistogram("http_request_duration_seconds", "job=gitlab-api", 100, 0.5, 1.5, 100);
        site.LongGauge("probe_success{service=database,instance=1}", 1).Long("probe_success{service=database,instance=2}", 31, m => m == 31 * 1440 - 30 ? 0 : 1);
        site.LongGauge("cost_dollars_per_hour{part=compute}", 100).LongGauge("cost_dollars_per_hour{part=storage}", 20).LongGauge("active_users", 1000);
        site.LongGauge("cpu_used_cores", 30).LongGauge("cpu_allocated_cores", 100).LongCounter("revenue_dollars_total", 10);
        await site.RunAsync(0);
        double database = 100 * (2 - (1.0 / ProbeSamples(site))) / 2;
        double quality = 100 * ((0.4 * (99.82 - 99) / 0.9) + (0.2 * 500 / 1450) + (0.3 * Math.Min(1, (database - 99) / 0.95)) + (0.1 * 1));
        Expect(site, new()
        {
            ["deployment_frequency"] = 4,
            ["deployment_lead_time"] = 48,
            ["build_success"] = 90,
            ["build_queue_wait"] = 114,
            ["gitlab_web_availability"] = 99.82,
            ["gitlab_api_response_time"] = 1450,
            ["database_availability"] = database,
            ["business:kpi:developer_productivity_index"] = 100 * ((0.3 * 0.8) + (0.3 * 0.5) + (0.2 * 0.8) + (0.2 * 1)),
            ["business:kpi:service_quality_score"] = quality,
            ["business:cost:per_user_monthly"] = 87.6,
            ["cpu_utilisation"] = 30,
            ["business:kpi:cost_efficiency_index"] = 100 * ((2.0 / 3 * 80 / 87.6) + (1.0 / 3 * 0.5)),
            ["business:impact:revenue_impact_hourly"] = 0.0018 * 600,
        });
        Assert.Equal("HEALTHY", State(site, "business:cost:per_user_monthly"));
    }

    private static double ProbeSamples(KpiSite site) => site.Ask("count_over_time(probe_success{instance=\"1\"}[1d])").Values.Single();

    [Fact]
    public async Task The_debate_pack_gives_every_number()
    {
        using KpiSite site = Site("debate");
        site.LongCounter("debates_created_total", 2).LongCounter("debates_completed_total{outcome=success}", 1.5).LongCounter("debates_completed_total{outcome=abandoned}", 0.3);
        site.LongCounter("debate_messages_total", 36).LongCounter("debate_duration_seconds_sum", 1.8 * 900).LongCounter("debate_duration_seconds_count", 1.8).LongGauge("debate_satisfaction_rating", 4);
        site.LongGauge("active_users{window=5m}", 120).LongGauge("active_users{window=1h}", 400).LongGauge("active_users{window=week}", 5000).LongGauge("users_returning{window=week}", 2000);
        site.Long("users_total", 31, m => m <= 24 * 1440 ? 9500 : 10000).LongCounter("users_lost_total", 380.0 / 43200);
        site.LongCounter("users_new_total", 0.5).LongCounter("users_first_debate_total", 0.2);
        site.LongCounter("revenue_dollars_total{organization=acme,plan=pro}", 3).LongCounter("revenue_dollars_total{organization=bolt,plan=free}", 1);
        site.LongCounter("subscription_changes_total{change=upgrade}", 12.0 / 1440).LongCounter("subscription_changes_total{change=downgrade}", 4.0 / 1440);
        site.LongCounter("http_requests_total{code=200}", 999.5).LongCounter("http_requests_total{code=500}", 0.5).LongHistogram("http_request_duration_seconds", "", 1000, 1, 2, 1500);
        site.LongCounter("llm_requests_total{provider=a,outcome=ok}", 95).LongCounter("llm_requests_total{provider=a,outcome=error}", 5).LongCounter("llm_requests_total{provider=b,outcome=ok}", 100);
        site.LongCounter("llm_cost_dollars_total{provider=a}", 1).LongCounter("llm_cost_dollars_total{provider=b}", 3);
        site.LongCounter("llm_tokens_total{provider=a,direction=input}", 1000).LongCounter("llm_tokens_total{provider=a,direction=output}", 250);
        site.LongGauge("llm_quality_rating", 4.2).LongGauge("llm_safety_rating", 4.9);
        site.LongCounter("context_cache_requests_total{result=hit}", 85).LongCounter("context_cache_requests_total{result=miss}", 15).LongCounter("context_bytes_total{stage=before}", 3000).LongCounter("context_bytes_total{stage=after}", 1000);
        site.LongGauge("resource_used_ratio{resource=cpu}", 0.6).LongGauge("resource_used_ratio{resource=memory}", 0.4).LongGauge("resource_used_ratio{resource=storage}", 0.2);
        await site.RunAsync(0);
        double engagement = 100 * ((0.25 * 1) + (0.25 * 1) + (0.5 * 0.75)), success = 1.5 / 1.8 * 100;
        Expect(site, new()
        {
            ["debate_creation_rate"] = 2,
            ["debate_completion_rate"] = 90,
            ["debate_success_ratio"] = success,
            ["messages_per_debate"] = 20,
            ["debate_duration"] = 15,
            ["debate_satisfaction"] = 4,
            ["engagement_score"] = engagement,
            ["debate_active_users"] = 120,
            ["retention_rate"] = 40,
            ["debate_conversion_rate"] = 40,
            ["growth_rate"] = ((10000.0 / 9500) - 1) * 100,
            ["revenue_per_user"] = 0.6,
            ["revenue"] = 240,
            ["plan_upgrades"] = 12,
            ["plan_downgrades"] = 4,
            ["churn_rate"] = 4,
            ["lifetime_value"] = 4.0 * 43200 / 10000 / 0.04,
            ["availability"] = 99.95,
            ["debate_response_time_p95"] = 1950,
            ["debate_response_time_p99"] = 1990,
            ["debate_error_rate"] = 0.05,
            ["llm_error_rate"] = 2.5,
            ["llm_quality"] = 4.2,
            ["safety_score"] = 4.9,
            ["cost_per_request"] = 0.02,
            ["cost_per_debate"] = 4 / 1.8,
            ["token_efficiency"] = 0.25,
            ["provider_cost"] = 240,
            ["context_cache_hit_rate"] = 85,
            ["context_optimization"] = 3,
            ["resource_utilization"] = 0.4,
            ["platform_health_score"] = 100 * (0.3 + 0.2 + 0.2 + 0.1 + (0.1 * (success - 50) / 45) + 0.1),
        }, several: ["revenue_per_organization"]);
        Near(180, site.Ask("kpi:revenue_per_organization:dollars_per_hour")["organization=acme"]);
        Near(60, site.Ask("kpi:revenue:dollars_per_hour:by_organization")["organization=bolt"]);
        Near(5, site.Ask("kpi:llm_error_rate:percent:by_provider")["provider=a"]);
        Near(0, site.Ask("kpi:llm_error_rate:percent:by_provider")["provider=b"]);
        Near(180, site.Ask("kpi:provider_cost:dollars_per_hour:by_provider")["provider=b"]);
        Near(0.6, site.Ask("kpi:resource_utilization:ratio:by_resource")["resource=cpu"]);
        Assert.Equal(("WARNING", "HEALTHY"), (State(site, "debate_response_time_p95"), State(site, "availability")));
    }

    [Fact]
    public async Task The_payments_pack_gives_every_number()
    {
        using KpiSite site = Payments();
        await site.RunAsync(0);
        Expect(site, new()
        {
            ["revenue_today"] = 14400,
            ["service_availability"] = 99.9,
            ["response_time"] = 150,
            ["revenue_impact"] = 600.0 / 570 * 30,
            ["request_rate"] = 1000 / 60.0,
            ["error_rate"] = 0.1,
            ["response_time_p50"] = 200,
            ["response_time_p95"] = 290,
            ["response_time_p99"] = 298,
            ["payment_success_rate"] = 95,
            ["payment_processing_time"] = 1.95,
            ["active_users"] = 42,
            ["database_connections"] = 7,
            ["error_budget_remaining"] = 0,
            ["slo_compliance"] = 99.9,
            ["lead_time"] = 96,
            ["time_to_detection"] = 2,
            ["time_to_recovery"] = 3,
            ["alert_response_time"] = 30,
            ["weekly_availability"] = 99.9,
            ["false_positive_rate"] = 5,
            ["business_visibility"] = 95,
        }, several: [.. site.Set.Kpis.Select(k => k.Name).Where(n => n.EndsWith("_as_written", StringComparison.Ordinal))]);
        Near(0.2, site.Ask("kpi:error_rate:percent:by_route")["route=/pay"]);
    }

    [Theory]
    [InlineData("revenue_today", 10_000, "Healthy")]
    [InlineData("revenue_today", 9_999.99, "Warning")]
    [InlineData("revenue_today", 4_999.99, "Critical")]
    [InlineData("service_availability", 99.95, "Healthy")]
    [InlineData("service_availability", 99.9, "Warning")]
    [InlineData("service_availability", 99.89, "Critical")]
    [InlineData("response_time", 200, "Healthy")]
    [InlineData("response_time", 201, "Warning")]
    [InlineData("response_time", 501, "Critical")]
    public void The_executives_green_yellow_and_red_are_states(string kpi, double value, string state)
    {
        using KpiSite site = Site("payments");
        Assert.Equal(state, site.Set.Kpis.Single(k => k.Name == kpi).StateOf(value).ToString());
    }

    [Fact]
    public async Task Queries_as_they_are_often_written_give_what_their_notes_say()
    {
        using KpiSite site = Payments();
        await site.RunAsync(0);
        Near(100, Assert.Single(site.Ask("kpi:error_rate_as_written:percent")).Value);
        Near(100, Assert.Single(site.Ask("kpi:payment_success_rate_as_written:percent")).Value);
        Near(0, Assert.Single(site.Ask("kpi:service_availability_as_written:percent")).Value);
        Near(0, Assert.Single(site.Ask("kpi:slo_compliance_as_written:percent")).Value);
        Near(99_900, Assert.Single(site.Ask("kpi:error_budget_remaining_as_written:percent")).Value, 1e-6);
        Near(200, Assert.Single(site.Ask("kpi:response_time_as_written:ms")).Value);
        Assert.Equal(3, site.Ask("kpi:request_rate_as_written:requests_per_second").Count);
    }

    [Fact]
    public async Task Without_error_series_the_corrected_kpis_say_zero_errors_where_the_written_ones_say_nothing()
    {
        using KpiSite site = Site("payments");
        site.LongCounter("http_requests_total{status=200,route=/pay}", 100).LongCounter("payment_processing_total{status=success,payment_method=card}", 10).LongCounter("revenue_total_euros", 10);
        await site.RunAsync(0);
        foreach ((string kpi, double value) in new[] { ("service_availability", 100.0), ("error_rate", 0), ("error_budget_remaining", 100), ("slo_compliance", 100), ("payment_success_rate", 100), ("revenue_impact", 0) })
            Near(value, site.Value(kpi)!.Value);
        foreach (string kpi in new[] { "service_availability", "error_rate", "error_budget_remaining", "slo_compliance" })
            Assert.Empty(site.Ask($"kpi:{kpi}_as_written:percent"));
    }

    [Fact]
    public async Task The_data_platform_pack_gives_every_number_and_its_states()
    {
        using KpiSite site = Site("data-platform");
        site.Long("data_last_update_timestamp_seconds{product=a}", 31, m => m == 31 * 1440 ? (KpiSite.StartMs / 1000.0) - 210 : 0).Long("data_last_update_timestamp_seconds{product=b}", 31, m => m == 31 * 1440 ? (KpiSite.StartMs / 1000.0) - 60 : 0);
        site.LongHistogram("api_request_duration_seconds", "", 100, 1, 3, 200);
        site.LongCounter("pipeline_runs_total{product=a,status=success}", 9.8).LongCounter("pipeline_runs_total{product=a,status=failed}", 0.2);
        site.LongCounter("data_quality_checks_total{product=a,result=pass}", 94).LongCounter("data_quality_checks_total{product=a,result=fail}", 6);
        site.LongGauge("kafka_consumer_lag_seconds{topic=x}", 45).LongGauge("kafka_consumer_lag_seconds{topic=y}", 1000);
        site.LongGauge("product_up{product=a}", 1).LongGauge("product_up{product=b}", 1).LongGauge("pipelines_running{product=a}", 12);
        site.LongGauge("cpu_used_ratio", 0.5).LongGauge("memory_used_ratio", 0.91).LongGauge("disk_used_ratio", 0.7).LongGauge("spark_executors", 80).LongGauge("kafka_brokers", 5);
        site.LongGauge("storage_bytes{layer=bronze}", 500e9).LongGauge("storage_bytes{layer=silver}", 750e9).LongGauge("storage_bytes{layer=gold}", 1250e9);
        site.Gauge("ALERTS{alertname=x,alertstate=firing}", 1, 0);
        await site.RunAsync(0);
        Expect(site, new()
        {
            ["data_freshness"] = 3.5,
            ["api_p99_latency"] = 2980,
            ["pipeline_success"] = 98,
            ["data_quality"] = 94,
            ["kafka_lag"] = 1000,
            ["products_online"] = 2,
            ["pipelines_running"] = 12,
            ["alerts_active"] = 1,
            ["pipeline_failure_rate"] = 2,
            ["cpu_utilization"] = 50,
            ["memory_utilization"] = 91,
            ["disk_utilization"] = 70,
            ["spark_cost_monthly"] = 292_000,
            ["kafka_cost_monthly"] = 7_300,
            ["storage_cost_monthly"] = 57.5,
            ["platform_cost_monthly"] = 299_357.5,
        });
        Assert.Equal(("HEALTHY", "WARNING", "WARNING", "CRITICAL", "CRITICAL"), (State(site, "data_freshness"), State(site, "api_p99_latency"), State(site, "pipeline_success"), State(site, "data_quality"), State(site, "kafka_lag")));
        Near(1, site.Ask("kpi:data_freshness:minutes:by_product")["product=b"]);
        Near(45, site.Ask("kpi:kafka_lag:seconds:by_topic")["topic=x"]);
    }

    [Fact]
    public async Task The_web_shop_pack_gives_every_number()
    {
        using KpiSite site = Site("web-shop");
        Shop(site).LongCounter("http_requests_total{job=web,status_code=500}", 6).LongCounter("user_logouts_total", 3);
        await site.RunAsync(0);
        Expect(site, new()
        {
            ["shop_error_rate"] = 1,
            ["shop_error_rate_as_written"] = 1,
            ["shop_response_time_p95"] = 0.29,
            ["revenue_per_hour"] = 1200,
            ["registrations_per_hour"] = 60,
            ["registrations_per_hour_as_written"] = 60,
            ["orders_per_hour"] = 60,
            ["shop_conversion_rate"] = 25,
            ["active_sessions"] = 60,
            ["active_sessions_as_written"] = 60,
            ["shop_database_connections"] = 9,
            ["database_size"] = 3000,
            ["database_cache_hit_ratio"] = 99,
        }, several: ["shop_request_rate", "revenue_per_hour_as_written", "shop_conversion_rate_as_written", "memory_by_pod"]);
        Near(10, site.Ask("kpi:shop_request_rate:requests_per_second")["job=web"]);
        Near(512, site.Ask("kpi:memory_by_pod:mib")["pod=a"]);
        Near(40, site.Ask("kpi:orders_per_hour:orders:by_payment_method")["payment_method=card"]);
        // Nothing matches: orders carry labels that logins do not.
        Assert.Empty(site.Ask("kpi:shop_conversion_rate_as_written:percent"));
        Assert.Empty(site.Ask("kpi:revenue_per_hour_as_written:dollars_per_hour"));
    }

    [Fact]
    public async Task A_shop_without_errors_and_logouts_has_zero_of_both()
    {
        using KpiSite site = Site("web-shop");
        Shop(site);
        await site.RunAsync(0);
        Near(0, site.Value("shop_error_rate")!.Value);
        Near(240, site.Value("active_sessions")!.Value);
        Assert.Null(site.Value("shop_error_rate_as_written"));
        Assert.Null(site.Value("active_sessions_as_written"));
    }

    [Theory]
    [InlineData("platform", 1)]
    [InlineData("payments", 6)]
    [InlineData("data-platform", 4)]
    public void The_packs_alerts_are_rules_of_prometheus(string pack, int alerts)
    {
        ConfigResult<RuleSet> read = RuleFiles.Parse(File.ReadAllText(Path.Combine(SourceTree.Root, "packs", "rules", pack + ".yaml")), pack, new RuleFileOptions());
        Assert.True(read.IsOk, string.Join('\n', read.Errors));
        Assert.Equal(alerts, read.Value.Groups.Sum(g => g.Rules.Count(r => r.IsAlert)));
    }

    [Fact]
    public async Task The_packs_alerts_fire_on_what_they_are_for()
    {
        using KpiSite payments = Payments();
        payments.LongCounter("http_requests_total{status=502,route=/pay,method=POST}", 100).LongGauge("up{job=payment-gateway-metrics}", 0);
        await payments.RunAsync(0);
        // Half a failed payment a minute is no alert.
        Assert.Equal(["ErrorBudgetExhausted", "HighErrorRate", "SLOViolation", "ServiceDown"], Holding(payments, "payments"));

        using KpiSite failing = Payments();
        failing.LongCounter("payment_processing_total{status=failure,payment_method=card}", 6);
        await failing.RunAsync(0);
        Assert.Equal(["ErrorBudgetExhausted", "PaymentProcessingFailures"], Holding(failing, "payments"));

        using KpiSite slow = Site("payments");
        slow.LongHistogram("http_request_duration_seconds", "route=/pay", 1000, 0.5, 1, 700);
        Assert.Equal(["HighResponseTime"], Holding(slow, "payments"));

        using KpiSite costly = new KpiSite("kpis: []\n").Gauge("business:cost:per_user_monthly", 100.01);
        Assert.Equal(["HighCostPerUser"], Holding(costly, "platform"));
    }

    [Theory]
    [InlineData(0.86, 0.91, 0.02, 31, new[] { "HighCpuUtilization", "HighMemoryUtilization", "PipelineFailures", "StaleData" })]
    [InlineData(0.85, 0.9, 0.009, 29, new string[0])]
    public void The_data_platforms_alerts_fire_beyond_their_bounds_only(double cpu, double memory, double failures, int minutesOld, string[] firing)
    {
        using KpiSite site = Site("data-platform");
        site.LongGauge("cpu_used_ratio", cpu).LongGauge("memory_used_ratio", memory);
        site.LongCounter("pipeline_runs_total{status=success}", 10 * (1 - failures)).LongCounter("pipeline_runs_total{status=failed}", 10 * failures);
        site.LongGauge("data_last_update_timestamp_seconds{product=a}", (KpiSite.StartMs / 1000.0) - (minutesOld * 60));
        Assert.Equal(firing, Holding(site, "data-platform"));
    }

    [Fact]
    public void All_packs_can_be_loaded_together()
    {
        string folder = Path.Combine(SourceTree.Root, "packs");
        ConfigResult<KpiSet> kpis = KpiFiles.Load(["kpi/*.yaml"], folder);
        Assert.Empty(kpis.Errors);
        ConfigResult<SloSet> slos = SloFiles.Load(["slo/*.yaml"], folder);
        Assert.Empty(slos.Errors);
        ConfigResult<SloRuleSet> sloRules = SloRuleSet.Make(slos.Value!, KpiSite.StartMs);
        Assert.Empty(sloRules.Errors);
        ConfigResult<RuleSet> rules = RuleFiles.Load(["rules/*.yaml"], folder, new RuleFileOptions());
        Assert.Empty(rules.Errors);
        RuleGroupDefinition[] groups = [.. kpis.Value!.Groups, .. sloRules.Value!.Groups, .. rules.Value!.Groups];
        Assert.True(groups.Length > 90, $"{groups.Length} groups");
        Assert.Empty(groups.GroupBy(g => (g.File, g.Name)).Where(g => g.Count() > 1).Select(g => g.Key));
        // No two rules write the same series, and no two alerts are the same one.
        IEnumerable<string> written = groups.SelectMany(g => g.Rules).Select(r => $"{r.Name}{{{string.Join(',', r.Labels.Select(l => $"{l.Key}={l.Value.Text}"))}}}");
        Assert.Empty(written.GroupBy(w => w).Where(w => w.Count() > 1).Select(w => w.Key));
    }

    private static List<string> Holding(KpiSite site, string pack)
    {
        RuleSet rules = RuleFiles.Parse(File.ReadAllText(Path.Combine(SourceTree.Root, "packs", "rules", pack + ".yaml")), pack, new RuleFileOptions()).Value!;
        return [.. rules.Groups.SelectMany(g => g.Rules).Where(r => site.Ask(r.Expression).Count > 0).Select(r => r.Name).Order(StringComparer.Ordinal)];
    }

    internal static KpiSite Payments()
    {
        KpiSite site = Site("payments");
        site.LongCounter("http_requests_total{method=POST,route=/pay,status=200}", 499).LongCounter("http_requests_total{method=POST,route=/pay,status=500}", 1).LongCounter("http_requests_total{method=GET,route=/,status=200}", 500);
        site.LongHistogram("http_request_duration_seconds", "route=/pay", 1000, 0.1, 0.3, 150);
        site.LongCounter("payment_processing_total{status=success,payment_method=card}", 9.5).LongCounter("payment_processing_total{status=failure,payment_method=unknown}", 0.5);
        site.LongHistogram("payment_processing_duration_seconds", "", 10, 1, 2, 15).LongCounter("revenue_total_euros{currency=EUR}", 10).LongGauge("active_users_current", 42).LongGauge("database_connections_active", 7);
        site.LongCounter("deployment_lead_time_seconds_sum", 96 * 3600 * 0.01).LongCounter("deployment_lead_time_seconds_count", 0.01);
        site.LongCounter("incident_detection_seconds_sum", 1.2).LongCounter("incident_detection_seconds_count", 0.01).LongCounter("incident_recovery_seconds_sum", 1.8).LongCounter("incident_recovery_seconds_count", 0.01);
        site.LongCounter("incident_response_seconds_sum", 0.3).LongCounter("incident_response_seconds_count", 0.01).LongCounter("alerts_sent_total", 0.1).LongCounter("alerts_false_total", 0.005);
        for (int i = 0; i < 20; i++)
            site.LongGauge($"up{{job=app,instance={i}}}", i == 0 ? 0 : 1);
        return site;
    }

    internal static KpiSite Shop(KpiSite site) => site
        .LongCounter("http_requests_total{job=web,status_code=200}", 594).LongHistogram("http_request_duration_seconds", "", 600, 0.1, 0.3, 100)
        .LongCounter("revenue_total{currency=USD}", 20).LongCounter("user_registrations_total", 1).LongCounter("user_logins_total", 4)
        .LongCounter("orders_created_total{payment_method=card,product_category=books}", 40.0 / 60).LongCounter("orders_created_total{payment_method=paypal,product_category=books}", 20.0 / 60)
        .LongGauge("container_memory_working_set_bytes{namespace=3-tier-app-eks,pod=a,container=x}", 512 * 1024 * 1024)
        .LongGauge("pg_stat_database_numbackends{datname=shop}", 7).LongGauge("pg_stat_database_numbackends{datname=postgres}", 2).LongGauge("pg_database_size_bytes{datname=shop}", 3000)
        .LongCounter("pg_stat_database_blks_hit{datname=shop}", 990).LongCounter("pg_stat_database_blks_read{datname=shop}", 10);

    internal static KpiSite Site(string pack) => new(KpiFiles.Load([Path.Combine("packs", "kpi", pack + ".yaml")], SourceTree.Root));

    /// <summary>Every KPI of the file is named, and those with one value have it.</summary>
    private static void Expect(KpiSite site, Dictionary<string, double> values, string[]? several = null)
    {
        Assert.Equal(site.Set.Kpis.Select(k => k.Name).Except(several ?? []).Order(StringComparer.Ordinal), values.Keys.Order(StringComparer.Ordinal));
        var wrong = new List<string>();
        foreach ((string kpi, double value) in values)
        {
            double? actual = site.Value(kpi);
            if (actual is null || Math.Abs(actual.Value - value) > Tolerance * Math.Max(1, Math.Abs(value)))
                wrong.Add($"{kpi}: expected {value}, is {actual?.ToString(System.Globalization.CultureInfo.InvariantCulture) ?? "absent"}");
        }
        Assert.Empty(wrong);
    }

    private static void Near(double expected, double actual, double tolerance = 1e-6) => Assert.InRange(actual, expected - (tolerance * Math.Max(1, Math.Abs(expected))), expected + (tolerance * Math.Max(1, Math.Abs(expected))));

    private static string State(KpiSite site, string kpi) => site.Book.Find(kpi)!.StateOf(site.Value(kpi)).ToString().ToUpperInvariant();
}
