using Bellwether.Core.Model;
using Bellwether.Evaluate.Kpi;

namespace Bellwether.Aggregator.Tests.Evaluate.Kpi;

/// <summary>Counts to the order and the cent: made shops sell, scrapes see them, and the KPI must say what the shop's own books say.</summary>
public sealed class KpiExactTests
{
    private const string Orders = """
        kpis:
          - name: orders
            unit: orders
            exact: {counter: orders_total, window: 30m}
            by: [method]
            reconcile: {total: orders_in_books, skew: 1m}
          - {name: revenue, unit: euros, exact: {counter: revenue_euros_total, window: 30m}}
        """;

    [Fact]
    public async Task A_count_is_whole_and_stands_beside_promqls_figure()
    {
        using var site = new KpiSite(Orders);
        site.Series("orders_total{method=card}", 60, k => k * k).Series("orders_total{method=cash}", 60, k => 2 * k).Series("revenue_euros_total", 60, k => 0.07 * k);
        await site.RunAsync();
        Assert.Equal((3600.0 - 900) + 60, site.Value("orders"));
        Assert.Equal(2700, site.Ask("kpi:orders:orders:by_method")["method=card"]);
        Assert.Equal(2.1, site.Value("revenue"));
        double plain = site.Ask("kpi:orders:orders:plain")[""];
        Assert.InRange(plain, 2760.0001, 3000);
        Assert.Contains("round(sum(increase(revenue_euros_total[30m] anchored)), 0.01)", site.Set.Groups.SelectMany(g => g.Rules).Select(r => r.Query));
    }

    [Fact]
    public async Task What_a_series_had_at_its_first_scrape_counts_when_its_start_is_known()
    {
        using var site = new KpiSite(Orders);
        site.Series("orders_total{method=card}", 60, k => k);
        Labels late = Labels.Of("__name__", "orders_total", "method", "cash");
        for (int k = 50; k <= 60; k++)
            site.Store.Add(late, KpiSite.StartMs + (k * 60_000L), k - 43, KpiSite.StartMs + (49 * 60_000L));
        await site.RunAsync();
        Assert.Equal(30 + 17, site.Value("orders"));
    }

    [Fact]
    public async Task A_restart_counts_what_was_before_and_after_whether_or_not_the_value_fell()
    {
        using var site = new KpiSite(Orders);
        // Falls from 40 to 3; and one that grew past what it had, of which only its start tells.
        site.Series("orders_total{method=card}", 60, k => k <= 40 ? k : k - 38);
        Labels quick = Labels.Of("__name__", "orders_total", "method", "cash");
        for (int k = 0; k <= 60; k++)
            site.Store.Add(quick, KpiSite.StartMs + (k * 60_000L), k < 45 ? 5 : k - 35, KpiSite.StartMs + (k < 45 ? -1 : (44 * 60_000L) + 30_000));
        await site.RunAsync();
        Assert.Equal(10 + 22, site.Ask("kpi:orders:orders:by_method")["method=card"]);
        Assert.Equal(25, site.Ask("kpi:orders:orders:by_method")["method=cash"]);
    }

    [Fact]
    public async Task Windows_side_by_side_add_up_to_the_whole_through_restarts_gaps_and_new_series()
    {
        var random = new Random(7);
        using var site = new KpiSite("kpis: [{name: orders, exact: {counter: orders_total, window: 10m}}]");
        long sold = 0;
        foreach (string method in new[] { "a", "b", "c", "d" })
        {
            Labels labels = Labels.Of("__name__", "orders_total", "method", method);
            long value = 0, start = 0;
            for (int k = 0; k <= 120; k++)
            {
                long now = KpiSite.StartMs + (k * 60_000L);
                // A restart, or the first order of its kind: the last good scrape was a minute ago.
                if (k == 0 || random.Next(20) == 0)
                    (value, start) = (0, now - 60_000 + 1);
                int more = random.Next(5);
                value += more;
                sold += more;
                site.Store.Add(labels, now, value, start);
            }
        }
        await site.RunAsync(120);
        double told = Enumerable.Range(0, 13).Sum(i => site.Ask("kpi:orders", KpiSite.StartMs + (i * 600_000L)).Values.DefaultIfEmpty().Single());
        Assert.Equal(sold, told);
    }

    [Fact]
    public async Task Native_histograms_count_their_observations_and_what_they_add_up_to_through_restarts_and_other_buckets()
    {
        using var site = new KpiSite("""
            kpis:
              - name: orders
                unit: orders
                exact: {counter: order_value_euros, native: count, window: 30m}
                by: [method]
                reconcile: {total: orders_in_books, skew: 1m}
              - {name: revenue, unit: euros, exact: {counter: order_value_euros, native: sum, window: 30m}}
              - {name: unasked, unit: euros, exact: {counter: order_value_euros, window: 30m}}
            """);
        var batch = new SampleBatch();
        Labels card = Labels.Of("__name__", "order_value_euros", "method", "card"), cash = card.With("method", "cash");
        for (int k = 0; k <= 60; k++)
        {
            long at = KpiSite.StartMs + (k * 60_000L);
            // A restart after 40 minutes, another resolution from then on; and one that is first seen in the window, with its start.
            int sold = k <= 40 ? 2 * k : 3 * (k - 40);
            batch.Samples.Add(new SeriesSample(card, at, 0, Sold(sold, k <= 40 ? 3 : 0), KpiSite.StartMs + (k <= 40 ? -1 : (40 * 60_000L) + 1)));
            if (k >= 50)
                batch.Samples.Add(new SeriesSample(cash, at, 0, Sold(k - 43, -4), KpiSite.StartMs + (49 * 60_000L)));
        }
        await site.Store.AppendAsync(batch, CancellationToken.None);
        site.Series("orders_in_books", 60, k => k <= 33 ? 0 : 1000);
        await site.RunAsync();
        const int Orders = 20 + 60 + 17;
        Assert.Equal(Orders, site.Value("orders"));
        Assert.Equal(17, site.Ask("kpi:orders:orders:by_method")["method=cash"]);
        Assert.Equal(Math.Round(Orders * 19.99, 2), site.Value("revenue"));
        Assert.NotEmpty(site.Ask("kpi:orders:orders:plain"));
        Assert.Equal(ReconcileState.Differs, site.Book.Find("orders")!.ReconcileStateOf(site.Ask("kpi:orders:orders:unexplained").Values.Single()));
        Assert.Null(site.Value("unasked"));

        static NativeHistogram Sold(int orders, int schema) =>
            new() { Schema = schema, Count = orders, Sum = orders * 19.99, PositiveSpans = [new BucketSpan(1, 1)], PositiveBuckets = [orders], IsInteger = true };
    }

    [Fact]
    public async Task Late_data_brings_a_count_to_what_it_would_have_been()
    {
        using var site = new KpiSite(Orders);
        site.Series("orders_total{method=card}", 60, k => k);
        await site.RunAsync();
        Assert.Equal(30, site.Value("orders"));
        // What an agent that was cut off had seen comes now; asking the rule again gives the healed value.
        for (int k = 0; k <= 60; k++)
            site.Store.Add(Labels.Of("__name__", "orders_total", "method", "cash"), KpiSite.StartMs + (k * 60_000L), 3 * k, KpiSite.StartMs - 1);
        Assert.Equal(30 + 90, site.Ask(site.Book.Find("orders")!.Expression).Values.Single());
    }

    [Fact]
    public async Task Counts_that_agree_with_the_books_are_reconciled_while_orders_keep_coming()
    {
        using var site = new KpiSite(Orders);
        // The books are read half a minute after the counters, and see more.
        site.Series("orders_total{method=card}", 60, k => 10 * k);
        for (int k = 0; k <= 60; k++)
            site.Store.Add(Labels.Of("__name__", "orders_in_books"), KpiSite.StartMs + (k * 60_000L) - 30_000, 7000 + (10 * k) - 5);
        await site.RunAsync();
        Assert.Equal(0, site.Ask("kpi:orders:orders:unexplained").Values.Single());
        Assert.Equal(ReconcileState.Reconciled, site.Book.Find("orders")!.ReconcileStateOf(0));
        Assert.DoesNotContain("alertname=KpiNotReconciled", site.Ask("ALERTS").Keys.FirstOrDefault() ?? "");
    }

    [Fact]
    public async Task Orders_that_the_counters_missed_are_told_and_alerted_on()
    {
        using var site = new KpiSite(Orders);
        // Both ends of the window are quiet: nothing can hide in what was counted between reading the one and the other.
        site.Series("orders_total{method=card}", 60, k => 10 * Math.Clamp(k - 33, 0, 17)).Series("orders_in_books", 60, k => (10 * Math.Clamp(k - 33, 0, 17)) + (k >= 45 ? 3 : 0));
        await site.RunAsync();
        Assert.Equal(-3, site.Ask("kpi:orders:orders:difference").Values.Single());
        Assert.Equal(3, site.Ask("kpi:orders:orders:unexplained").Values.Single());
        Assert.Equal(ReconcileState.Differs, site.Book.Find("orders")!.ReconcileStateOf(3));
        Assert.Contains("alertname=KpiNotReconciled,alertstate=firing,kpi=orders,severity=warning", site.Ask("ALERTS").Keys);
    }

    [Fact]
    public async Task Without_counters_or_without_books_there_is_no_verdict()
    {
        using var site = new KpiSite(Orders);
        site.Gauge("orders_in_books", 5);
        await site.RunAsync();
        Assert.Null(site.Value("orders"));
        Assert.Empty(site.Ask("kpi:orders:orders:unexplained"));
        Assert.Equal(ReconcileState.Unknown, site.Book.Find("orders")!.ReconcileStateOf(null));
    }

    [Theory]
    [InlineData("{name: a, exact: {counter: 'sum(x)'}}", "kpi.yaml:1:35: kpis[0].exact.counter: must be a metric with its labels")]
    [InlineData("{name: a, exact: {counter: 'x[5m]'}}", "must be a metric with its labels")]
    [InlineData("{name: a, exact: {counter: 'x{'}}", "kpis[0].exact.counter: could not parse expression")]
    [InlineData("{name: a, exact: {counter: x, native: counts}}", "kpi.yaml:1:46: kpis[0].exact.native: 'counts' is not known; did you mean 'count'? There are: count, sum")]
    [InlineData("{name: a, exact: {counter: 'x_count{a=\"b\"}', native: count}}", "kpi.yaml:1:35: kpis[0].exact.counter: 'x_count' is a series of a classic histogram; with 'native' give the histogram's own name ('x')")]
    [InlineData("{name: a, unit: seconds, exact: {counter: x_euros, native: sum}}", "units do not go together")]
    [InlineData("{name: a, exact: {counter: x, step: 0}}", "kpis[0].exact.step: must be above 0")]
    [InlineData("{name: a, exact: {counter: x, window: 1m}, reconcile: {total: y}}", "kpis[0].reconcile.skew: 1m is too long for a window of 1m")]
    [InlineData("{name: a, exact: {counter: x}, reconcile: {}}", "kpis[0].reconcile: needs either 'total'")]
    [InlineData("{name: a, expr: x, reconcile: {total: y}}", "kpis[0].reconcile: goes with 'exact' only")]
    [InlineData("{name: a, unit: seconds, exact: {counter: x_euros_total}}", "units do not go together")]
    [InlineData("{name: a, unit: euros, exact: {counter: x_euros_total}, reconcile: {total: y_seconds}}", "kpis[0].reconcile: units do not go together")]
    [InlineData("{name: a, exact: {counter: x}, expr: y}", "keep one of 'expr', 'ratio', 'exact' and 'index'")]
    public void A_form_that_cannot_count_is_refused_with_its_place(string kpi, string error)
    {
        string all = string.Join('\n', KpiFiles.Parse($"kpis: [{kpi}]\n", "kpi.yaml").Errors);
        Assert.Contains(error, all, StringComparison.Ordinal);
    }
}
