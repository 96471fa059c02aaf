using Bellwether.Aggregator.Tests.Evaluate.Slo;
using Bellwether.Core.Model;
using Bellwether.Evaluate.Kpi;
using Bellwether.Evaluate.Slo.Compiling;

namespace Bellwether.Aggregator.Tests.Evaluate.Kpi;

/// <summary>When a number is provisional, complete or sealed.</summary>
public sealed class FinalityTests
{
    private const string Orders = """
        kpis:
          - {name: orders, expr: 'sum(increase(orders_total[10m]))'}
          - {name: index, index: {inputs: [{kpi: orders, normalise: {target: 10}}]}}
          - {name: fixed, expr: 'vector(7)'}
          - {name: alerts, expr: 'count(ALERTS) or vector(0)'}
          - {name: nothing, expr: sum(no_such_metric)}
        """;

    [Theory]
    [InlineData(20, 20, true, false, 0, "Complete")]
    [InlineData(20, 20, true, false, 8, "Sealed")]
    [InlineData(20, 20, false, false, 0, "Provisional")]
    [InlineData(20, 20, true, true, 0, "Provisional")]
    [InlineData(19, 20, true, false, 0, "Complete")]
    [InlineData(19, 20, false, false, 0, "Provisional")]
    [InlineData(19, 20, false, false, 8, "Sealed")]
    [InlineData(0, 0, true, false, 0, "Provisional")]
    [InlineData(-1, 0, true, false, 0, "Complete")]
    [InlineData(-1, 0, false, false, 0, "Provisional")]
    public async Task A_number_is_provisional_until_all_that_is_owed_is_here_and_counted_in_or_it_is_sealed(long received, long due, bool isSettled, bool isWaiting, int daysLater, string state)
    {
        using var site = new KpiSite(Orders);
        site.Counter("orders_total{job=shop,instance=1}", 1);
        await site.RunAsync();
        long at = site.Time.NowMs;
        var asked = new List<(int Series, long FromMs, long ToMs)>();
        bool isUncounted = received < 0;
        received = Math.Max(0, received);
        FinalityJudge judge = Judge(site, new Told(asked, new Coverage(received, due, 1) { IsSettled = isSettled, IsUncounted = isUncounted }), isWaiting);
        site.Time.Advance(TimeSpan.FromDays(daysLater));
        foreach (string kpi in new[] { "orders", "index" })
        {
            Finality finality = judge.Of(site.Book.Find(kpi)!.Record, [], at, default);
            Assert.Equal((state, received, due, at + 604_800_000), (finality.State.ToString(), finality.Coverage.Received, finality.Coverage.Due, finality.SealsAtMs));
        }
        // The index stands on what its input stands on, at least as far back as that reads.
        Assert.Equal((1, at - 600_000, at), asked[0]);
        Assert.Equal((1, at, true), (asked[1].Series, asked[1].ToMs, asked[1].FromMs <= at - 600_000));
    }

    [Fact]
    public async Task What_nobody_owes_is_complete_at_once_and_no_data_is_provisional()
    {
        using var site = new KpiSite(Orders);
        await site.RunAsync();
        FinalityJudge judge = Judge(site, new Senders(site), false);
        Assert.Equal(FinalityState.Complete, judge.Of("kpi:fixed", [], site.Time.NowMs, default).State);
        Assert.Equal(FinalityState.Complete, judge.Of("kpi:alerts", [], site.Time.NowMs, default).State);
        Assert.Equal(FinalityState.Provisional, judge.Of("kpi:nothing", [], site.Time.NowMs, default).State);
    }

    [Fact]
    public async Task A_source_that_has_gone_silent_keeps_a_number_provisional_after_its_series_are_out_of_sight()
    {
        using var site = new KpiSite(Orders);
        site.Counter("orders_total{job=shop,instance=1}", 1, 120).Counter("orders_total{job=shop,instance=2}", 1, 40);
        await site.RunAsync(100);
        Finality finality = Judge(site, new Senders(site), false).Of("kpi:orders", [], site.Time.NowMs, default);
        Assert.Equal((FinalityState.Provisional, 2, 11L, 22L), (finality.State, finality.Coverage.Sources, finality.Coverage.Received, finality.Coverage.Due));
    }

    [Fact]
    public async Task An_objective_of_slices_stands_on_its_series_and_planned_work_is_owed_by_nobody()
    {
        using var site = new SloSite("""
            service: shop
            slos:
              - {name: slices, objective: 99, slice: 1m, slice_target: 95, total: 'sum by (region) (rate(orders_total[5m]))', bad: 'sum by (region) (rate(failed_total[5m]))'}
              - {name: events, objective: 99, total: orders_total, bad: failed_total}
            """);
        site.Counter("orders_total", "region", "eu", 31, _ => 95);
        await site.RunAsync(30);
        var judge = new FinalityJudge(site.Reader, new SendersOf(site.Reader, () => site.Time.NowMs), () => site.Rules.Status, TimeSpan.FromMinutes(5), site.Time) { OwnMetrics = new HashSet<string> { PlannedSeries.Metric } };
        foreach (string id in new[] { "shop-events", "shop-slices" })
        {
            Finality finality = judge.Of(BudgetRules.Remaining, [("slo_id", id)], site.Time.NowMs, default);
            // Over the weeks of an objective samples of a sender are not counted.
            Assert.Equal((id, FinalityState.Complete, null), (id, finality.State, finality.Coverage.Share));
        }
    }

    [Fact]
    public void Samples_of_a_sender_say_what_is_due_what_is_missing_and_whether_it_has_come_past()
    {
        using var site = new KpiSite(Orders);
        Labels even = Labels.Of("__name__", "a", "job", "x", "instance", "1"), gap = Labels.Of("__name__", "a", "job", "x", "instance", "2"), ended = Labels.Of("__name__", "a", "job", "x", "instance", "3"), bare = Labels.Of("__name__", "pushed");
        for (int k = 0; k <= 40; k++)
        {
            long at = KpiSite.StartMs + (k * 15_000L);
            site.Store.Add(even, at, k);
            site.Store.Add(bare, at + 3000, k);
            if (k is < 10 or > 14)
                site.Store.Add(gap, at, k);
            if (k <= 20)
                site.Store.Add(ended, at, k == 20 ? SpecialValues.StaleMarker : k);
        }
        var senders = new SenderCoverage(site.Store);
        long end = KpiSite.StartMs + (30 * 15_000L), later = end + 3_600_000;
        Assert.Equal(new Coverage(31, 31, 1) { IsSettled = true }, senders.Of([even], KpiSite.StartMs, end, later, default));
        Assert.Equal(new Coverage(26, 31, 1) { IsSettled = true }, senders.Of([gap], KpiSite.StartMs, end, later, default));
        Assert.Equal(new Coverage(20, 20, 1) { IsSettled = true }, senders.Of([ended], KpiSite.StartMs, end, later, default));
        Assert.Equal(new Coverage(77 + 30, 82 + 30, 4) { IsSettled = true }, senders.Of([even, gap, ended, bare], KpiSite.StartMs, end, later, default));
        // At the end of what is there: first nothing is owed yet, then one is under way, then it is overdue.
        long last = KpiSite.StartMs + (40 * 15_000L);
        Assert.Equal(new Coverage(41, 41, 1) { IsSettled = true }, senders.Of([even], KpiSite.StartMs, last + 14_000, last + 14_000, default));
        Assert.Equal(new Coverage(41, 41, 1) { IsSettled = false }, senders.Of([even], KpiSite.StartMs, last + 15_000, last + 15_000, default));
        Assert.Equal(new Coverage(41, 41, 1) { IsSettled = false }, senders.Of([even], KpiSite.StartMs, last + 20_000, last + 20_000, default));
        Assert.Equal(new Coverage(41, 45, 1) { IsSettled = false }, senders.Of([even], KpiSite.StartMs, last + 60_000, last + 60_000, default));
    }

    [Theory]
    [InlineData(-1)]
    [InlineData(3)]
    [InlineData(149)]
    public void Whether_something_is_owed_is_asked_of_all_senders(int behind)
    {
        using var site = new KpiSite(Orders);
        Labels[] series = [.. Enumerable.Range(0, 150).Select(i => Labels.Of("__name__", "a", "job", "x", "instance", i.ToString("000", null)))];
        long end = KpiSite.StartMs + 1_200_000;
        for (int i = 0; i < series.Length; i++)
        {
            for (long at = KpiSite.StartMs; at <= (i == behind ? end - 300_000 : end + 60_000); at += 60_000)
                site.Store.Add(series[i], at, 1);
        }
        Coverage covered = new SenderCoverage(site.Store).Of(series, KpiSite.StartMs, end, end + 65_000, default);
        Assert.Equal((behind < 0, 100), (covered.IsSettled, covered.Sources));
    }

    [Fact]
    public async Task A_number_on_more_series_than_are_looked_at_is_not_complete()
    {
        using var site = new KpiSite(Orders);
        site.Counter("orders_total{job=shop,instance=1}", 1, 120).Counter("orders_total{job=shop,instance=2}", 1, 120);
        await site.RunAsync(100);
        foreach ((int most, FinalityState state) in ((int, FinalityState)[])[(3, FinalityState.Complete), (2, FinalityState.Provisional)])
        {
            var judge = new FinalityJudge(site.Store, new Senders(site), () => site.Rules.Status, TimeSpan.FromMinutes(5), site.Time) { SeriesMax = most };
            Assert.Equal(state, judge.Of("kpi:orders", [], site.Time.NowMs, default).State);
        }
    }

    [Theory]
    [InlineData(25, 0, true, 101)]
    [InlineData(26, 1, true, 0)]
    [InlineData(720, 1, true, 0)]
    [InlineData(720, 1, false, 0)]
    public void Over_more_than_a_day_a_sender_is_not_counted_and_only_whether_it_owes_something_is_told(int hours, int uncounted, bool isSettled, long received)
    {
        using var site = new KpiSite(Orders);
        Labels one = Labels.Of("__name__", "a", "job", "x", "instance", "1");
        long end = KpiSite.StartMs + 6_000_000;
        for (long at = KpiSite.StartMs; at <= end; at += 60_000)
            site.Store.Add(one, at, 1);
        // The next one is due.
        end += isSettled ? 0 : 60_000;
        Coverage covered = new SenderCoverage(site.Store).Of([one], end - (hours * 3_600_000L), end, end + 5_000, default);
        Assert.Equal(new Coverage(received, received, 1) { IsSettled = isSettled, IsUncounted = uncounted == 1 }, covered);
    }

    [Theory]
    [InlineData(0, 0, false)]
    [InlineData(3, 4, true)]
    [InlineData(3, 20, true)]
    [InlineData(2, 30, false)]
    public void A_sender_that_sends_again_after_a_long_pause_owes_nothing_of_before(int againAfterHours, int nowAfterHours, bool isSettled)
    {
        using var site = new KpiSite(Orders);
        Labels one = Labels.Of("__name__", "a", "job", "x", "instance", "1");
        long last = KpiSite.StartMs + 600_000, end = last + 300_000, hour = 3_600_000;
        for (long at = KpiSite.StartMs; at <= last; at += 60_000)
            site.Store.Add(one, at, 1);
        if (againAfterHours > 0)
            site.Store.Add(one, end + (againAfterHours * hour), 1);
        Coverage covered = new SenderCoverage(site.Store).Of([one], KpiSite.StartMs, end, end + (Math.Max(4, nowAfterHours) * hour), default);
        Assert.Equal(new Coverage(11, 16, 1) { IsSettled = isSettled }, covered);
    }

    [Fact]
    public void What_is_sent_every_two_hours_is_settled_by_the_next_sample()
    {
        using var site = new KpiSite(Orders);
        Labels one = Labels.Of("__name__", "a", "job", "x", "instance", "1");
        long hour = 3_600_000;
        for (int k = 0; k <= 20; k += 2)
            site.Store.Add(one, KpiSite.StartMs + (k * hour), 1);
        var senders = new SenderCoverage(site.Store);
        long end = KpiSite.StartMs + (16 * hour) + 60_000;
        foreach (double now in new[] { 18.1, 19.5, 21 })
            Assert.Equal((now, true), (now, senders.Of([one], end - 600_000, end, KpiSite.StartMs + (long)(now * hour), default).IsSettled));
    }

    private static FinalityJudge Judge(KpiSite site, ICoverageSource coverage, bool isWaiting) =>
        new(site.Store, coverage, () => site.Rules.Status, TimeSpan.FromMinutes(5), site.Time) { IsWaiting = (_, _) => isWaiting };

    private sealed class Told(List<(int, long, long)> asked, Coverage answer) : ICoverageSource
    {
        public Coverage Of(IReadOnlyCollection<Labels> series, long fromMs, long toMs, CancellationToken cancellation)
        {
            asked.Add((series.Count, fromMs, toMs));
            return answer;
        }
    }

    private sealed class Senders(KpiSite site) : ICoverageSource
    {
        public Coverage Of(IReadOnlyCollection<Labels> series, long fromMs, long toMs, CancellationToken cancellation) => new SenderCoverage(site.Store).Of(series, fromMs, toMs, site.Time.NowMs, cancellation);
    }

    private sealed class SendersOf(ISeriesReader reader, Func<long> now) : ICoverageSource
    {
        public Coverage Of(IReadOnlyCollection<Labels> series, long fromMs, long toMs, CancellationToken cancellation) => new SenderCoverage(reader).Of(series, fromMs, toMs, now(), cancellation);
    }
}
