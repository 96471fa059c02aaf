namespace Bellwether.Aggregator.Tests.Evaluate.Kpi;

/// <summary>Queries that people write, to the letter, over made data: what they give (docs/seeds.md), be it what was meant or not.</summary>
public sealed class WrittenQueriesTests : IClassFixture<WrittenQueriesTests.Data>
{
    private readonly Data _data;

    public WrittenQueriesTests(Data data) => _data = data;

    [Theory]
    [InlineData("up", 20, null)]
    [InlineData("rate(http_request_duration_seconds_sum[5m]) / rate(http_request_duration_seconds_count[5m])", 1, 0.15)]
    [InlineData("rate(http_requests_total{status=~\"5..\"}[5m]) / rate(http_requests_total[5m]) * 100", 1, 100.0)]
    [InlineData("histogram_quantile(0.95, rate(http_request_duration_seconds_bucket[5m]))", 1, 0.29)]
    [InlineData("increase(revenue_total_euros[24h])", 1, 14400.0)]
    [InlineData("(1 - (rate(http_requests_total{status=~\"5..\"}[24h]) / rate(http_requests_total[24h]))) * 100", 1, 0.0)]
    [InlineData("histogram_quantile(0.50, rate(http_request_duration_seconds_bucket[5m])) * 1000", 1, 200.0)]
    [InlineData("rate(http_requests_total[5m])", 3, null)]
    [InlineData("(rate(http_requests_total{status=~\"5..\"}[5m]) / rate(http_requests_total[5m])) * 100", 1, 100.0)]
    [InlineData("histogram_quantile(0.95, rate(http_request_duration_seconds_bucket[5m])) * 1000", 1, 290.0)]
    [InlineData("histogram_quantile(0.99, rate(http_request_duration_seconds_bucket[5m])) * 1000", 1, 298.0)]
    [InlineData("rate(payment_processing_total{status=\"success\"}[5m]) / rate(payment_processing_total[5m]) * 100", 1, 100.0)]
    [InlineData("histogram_quantile(0.95, rate(payment_processing_duration_seconds_bucket[5m]))", 1, 1.95)]
    [InlineData("active_users_current", 1, 42.0)]
    [InlineData("database_connections_active", 1, 7.0)]
    [InlineData("((0.999 - (1 - rate(http_requests_total{status=~\"5..\"}[30d]) / rate(http_requests_total[30d]))) / 0.001) * 100", 1, 99_900.0)]
    [InlineData("(1 - (rate(http_requests_total{status=~\"5..\"}[1h]) / rate(http_requests_total[1h]))) * 100", 1, 0.0)]
    [InlineData("(rate(http_requests_total{status=~\"5..\"}[5m]) / rate(http_requests_total[5m])) * 100 > 5", 1, 100.0)]
    [InlineData("histogram_quantile(0.95, rate(http_request_duration_seconds_bucket[5m])) > 0.5", 0, null)]
    [InlineData("histogram_quantile(0.95, http_request_duration_seconds_bucket) > 0.5", 0, null)]
    [InlineData("rate(payment_processing_total{status=\"failure\"}[5m]) > 0.1", 0, null)]
    [InlineData("(1 - (rate(http_requests_total{status=~\"5..\"}[1h]) / rate(http_requests_total[1h]))) * 100 < 99.9", 1, 0.0)]
    [InlineData("((0.999 - (1 - rate(http_requests_total{status=~\"5..\"}[30d]) / rate(http_requests_total[30d]))) / 0.001) * 100 < 10", 0, null)]
    [InlineData("up{job=\"payment-gateway-metrics\"} == 0", 0, null)]
    [InlineData("cpu_usage > 80", 0, null)]
    public void Queries_of_a_payment_gateway_run_as_they_are_written(string query, int series, double? value) => Check(_data.Payments, query, series, value);

    [Theory]
    [InlineData("sum(rate(http_requests_total[5m])) by (job)", 1, 9.9)]
    [InlineData("sum(rate(http_requests_total{status_code=~\"5..\"}[5m])) / sum(rate(http_requests_total[5m])) * 100", 0, null)]
    [InlineData("histogram_quantile(0.95, sum(rate(http_request_duration_seconds_bucket[5m])) by (le))", 1, 0.29)]
    [InlineData("increase(revenue_total_dollars[1h])", 0, null)]
    [InlineData("rate(user_registrations_total[5m]) * 3600", 1, 60.0)]
    [InlineData("increase(orders_created_total[1h]) / increase(user_logins_total[1h]) * 100", 0, null)]
    [InlineData("sum(container_memory_working_set_bytes{namespace=\"3-tier-app-eks\"}) by (pod) / 1024 / 1024", 1, 512.0)]
    [InlineData("pg_stat_database_numbackends", 2, null)]
    [InlineData("increase(user_logins_total[1h]) - increase(user_logouts_total[1h])", 0, null)]
    [InlineData("rate(http_requests_total[1m])", 0, null)]
    [InlineData("increase(user_registrations_total[1h])", 1, 60.0)]
    [InlineData("rate(pg_stat_database_blks_hit[5m])", 1, 16.5)]
    [InlineData("pg_database_size_bytes", 1, 3000.0)]
    public void Queries_of_a_three_tier_shop_run_as_they_are_written(string query, int series, double? value) => Check(_data.Shop, query, series, value);

    [Theory]
    [InlineData("business:kpi:developer_productivity_index", 1)]
    [InlineData("business:kpi:service_quality_score", 1)]
    [InlineData("business:cost:per_user_monthly > 100", 0)]
    public void Queries_of_a_platforms_reports_run_as_they_are_written(string query, int series) => Check(_data.Platform, query, series, null);

    private static void Check(KpiSite site, string query, int series, double? value)
    {
        IReadOnlyDictionary<string, double> result = site.Ask(query);
        Assert.Equal(series, result.Count);
        if (value is { } expected)
            Assert.InRange(Assert.Single(result).Value, expected - (1e-6 * Math.Max(1, expected)), expected + (1e-6 * Math.Max(1, expected)));
    }

    /// <summary>The made data, once for all queries.</summary>
    public sealed class Data : IDisposable
    {
        internal KpiSite Payments { get; } = PackTests.Payments();

        internal KpiSite Shop { get; } = PackTests.Shop(PackTests.Site("web-shop"));

        internal KpiSite Platform { get; } = new KpiSite("kpis: []\n")
            .Gauge("business:kpi:developer_productivity_index", 70).Gauge("business:kpi:service_quality_score", 90).Gauge("business:cost:per_user_monthly", 88);

        public void Dispose()
        {
            Payments.Dispose();
            Shop.Dispose();
            Platform.Dispose();
        }
    }
}
