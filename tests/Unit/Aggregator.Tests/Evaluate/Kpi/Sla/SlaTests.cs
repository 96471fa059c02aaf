using Bellwether.Core.Configuration;
using Bellwether.Core.Model;
using Bellwether.Evaluate.Kpi;
using Bellwether.Evaluate.Kpi.Sla;
using Bellwether.Evaluate.Rules.Healing;
using Bellwether.Kit;

namespace Bellwether.Aggregator.Tests.Evaluate.Kpi.Sla;

public sealed class SlaTests
{
    internal const string Availability = """
        sla_definitions:
          availability:
            target: 99.9
            measurement_window: "5m"
            evaluation_window: "1h"
            grace_period: "2m"
        sla_inputs:
          availability:
            bad: sum(increase(http_requests_total{code=~"5.."}[$window]))
            total: sum(increase(http_requests_total[$window]))

        """;

    [Fact]
    public void The_definitions_and_tiers_read_as_they_stand()
    {
        SlaSet set = KpiFiles.Load([Path.Combine("packs", "kpi", "debate.yaml")], SourceTree.Root).Value!.Slas;
        Assert.Equal(
            [
                ("availability", "", "percent", 99.9), ("response_time_p95", "", "ms", 2000), ("response_time_p99", "", "ms", 5000), ("llm_quality_error_rate", "", "", 5), ("llm_quality_response_quality", "", "", 4),
                ("availability", "gold", "percent", 99.95), ("response_time_p95", "gold", "ms", 500), ("response_time_p99", "gold", "ms", 1000),
                ("availability", "silver", "percent", 99.9), ("response_time_p95", "silver", "ms", 1000), ("response_time_p99", "silver", "ms", 2500),
                ("availability", "bronze", "percent", 99.5), ("response_time_p95", "bronze", "ms", 2000), ("response_time_p99", "bronze", "ms", 5000),
            ],
            set.Checks.Select(c => (c.Id, c.Tier, c.Unit, c.Target)));
        SlaCheck first = set.Checks[0];
        Assert.Equal((TimeSpan.FromMinutes(5), TimeSpan.FromHours(1), TimeSpan.FromMinutes(2)), (first.MeasurementWindow, first.EvaluationWindow, first.GracePeriod));
        Assert.Equal(TimeSpan.FromMinutes(15), set.Checks[1].EvaluationWindow);
        Assert.Equal((KpiDirection.Lower, KpiDirection.Higher), (set.Checks[3].Direction, set.Checks[4].Direction));
        Assert.Equal("histogram_quantile(0.95, sum by (le) (rate(http_request_duration_seconds_bucket{tier=\"gold\"}[$window]))) * 1000", set.Checks[6].Value);
    }

    [Fact]
    public async Task Late_data_corrects_the_promise_to_all_and_that_of_each_tier()
    {
        using var site = new KpiSite(Availability + "service_tiers: {gold: {availability_target: 99.95}, silver: {availability_target: 99}}\n");
        site.Counter("http_requests_total{tier=gold,code=200}", 99).Counter("http_requests_total{tier=silver,code=200}", 99);
        await site.RunAsync();
        site.Counter("http_requests_total{tier=gold,code=500}", 1);
        (HealDesk desk, HealBook book) = site.Desk();
        using (desk)
        using (book)
            await desk.HealAsync(new HealRequest(KpiSite.StartMs, site.Time.NowMs) { Reason = "late data" }, default);
        IReadOnlyDictionary<string, double> actual = site.Healed("sla:actual"), state = site.Healed("sla:state");
        Assert.Equal((99.497487, 99.0, 100.0), (Math.Round(actual["sla=availability"], 6), Math.Round(actual["sla=availability,tier=gold"], 6), actual["sla=availability,tier=silver"]));
        Assert.Equal((2.0, 2.0, 0.0), (state["sla=availability"], state["sla=availability,tier=gold"], state["sla=availability,tier=silver"]));
    }

    [Fact]
    public async Task Each_tier_is_measured_by_its_own_data_against_its_own_target()
    {
        using KpiSite site = PackTests.Site("debate");
        foreach ((string tier, double bad) in new[] { ("gold", 0.7), ("silver", 0.7), ("bronze", 0.7) })
            site.LongCounter($"http_requests_total{{tier={tier},code=200}}", 1000 - bad).LongCounter($"http_requests_total{{tier={tier},code=500}}", bad).LongHistogram("http_request_duration_seconds", $"tier={tier}", 1000, 0.5, 1.5, 1000);
        site.LongGauge("llm_quality_rating", 3.9).LongCounter("llm_requests_total{outcome=ok}", 100);
        await site.RunAsync(0);
        IReadOnlyDictionary<string, double> actual = site.Ask("sla:actual"), state = site.Ask("sla:state");
        Assert.Equal(99.93, actual["sla=availability,tier=gold"], 6);
        Assert.Equal(1450, actual["sla=response_time_p95,tier=silver"], 6);
        Assert.Equal((2.0, 0.0, 0.0, 0.0), (state["sla=availability,tier=gold"], state["sla=availability,tier=silver"], state["sla=availability,tier=bronze"], state["sla=availability"]));
        Assert.Equal((2.0, 2.0, 0.0), (state["sla=response_time_p95,tier=gold"], state["sla=response_time_p95,tier=silver"], state["sla=response_time_p95,tier=bronze"]));
        Assert.Equal((0.0, 2.0), (state["sla=llm_quality_error_rate"], state["sla=llm_quality_response_quality"]));
        Assert.Equal(0, actual["sla=llm_quality_error_rate"]);
    }

    [Fact]
    public async Task A_target_missed_for_less_than_the_grace_period_is_a_warning()
    {
        using var site = new KpiSite(Availability);
        // From minute 60 on every second request fails: over an hour that is beyond 0.1 % at once.
        site.Series("http_requests_total{code=200}", 90, k => k <= 60 ? k * 100 : 6000 + ((k - 60) * 50)).Series("http_requests_total{code=500}", 90, k => k <= 60 ? 0 : (k - 60) * 50);
        await site.RunAsync(90);
        double State(int minute) => site.Ask("sla:state", KpiSite.StartMs + (minute * 60_000L))["sla=availability"];
        Assert.Equal((0.0, 1.0, 2.0, 2.0), (State(60), State(61), State(62), State(80)));
        Assert.Equal(1, site.Ask("sla:missed")["sla=availability"]);
    }

    [Fact]
    public void A_calendar_month_is_told_before_and_after_planned_work_with_its_credit()
    {
        using KpiSite site = Month();
        SlaReport report = new(site.Engine, site.Store, site.Set.Slas);
        SlaContract contract = site.Set.Slas.Contracts[0];
        (long from, long to) = SlaReport.MonthOf("2027-01", contract.TimeZone)!.Value;
        Assert.Equal((DateTimeOffset.Parse("2026-12-31T23:00:00Z", null), DateTimeOffset.Parse("2027-01-31T23:00:00Z", null)), (DateTimeOffset.FromUnixTimeMilliseconds(from), DateTimeOffset.FromUnixTimeMilliseconds(to)));
        SlaMonth month = report.Month(contract, from, to, to + 1, default);
        Assert.Equal("", month.Error);
        Assert.True(month.IsOver);
        // 31 days of a request per second; an hour of planned work on the 10th and ten minutes that were not planned on the 20th, in which all fail.
        Near(31 * 86_400, month.Before.Total);
        Near((31 * 86_400) - 3600 - 600, month.Before.Good);
        Near(3600, Assert.Single(month.Corrections).Counts.Total);
        Near(0, month.Corrections[0].Counts.Good);
        Near(100 * (1 - (600.0 / ((31 * 86_400) - 3600))), month.Value);
        Near(100 * (1 - (4200.0 / (31 * 86_400))), month.ValueBefore);
        Assert.Equal((true, 0.0), (!month.Check.Misses(month.Value!.Value), month.Credit));
        Assert.Contains("[31d] @ 1801436400.000", string.Join('\n', month.Queries), StringComparison.Ordinal);
    }

    [Fact]
    public void A_month_whose_planned_work_cannot_be_computed_has_no_value_and_no_credit()
    {
        using KpiSite site = Month();
        SlaContract contract = site.Set.Slas.Contracts[0];
        (long from, long to) = SlaReport.MonthOf("2027-01", contract.TimeZone)!.Value;
        SlaMonth month = new SlaReport(site.Engine, new WithoutShortRanges(site.Store), site.Set.Slas).Month(contract, from, to, to + 1, default);
        Assert.StartsWith("planned work database-upgrade: ", month.Error, StringComparison.Ordinal);
        Assert.Equal((null, null, new SlaCounts()), (month.Value, month.Credit, month.After));
        Near(31 * 86_400, month.Before.Total);
        Near(100 * (1 - (4200.0 / (31 * 86_400))), month.ValueBefore);
    }

    /// <summary>Only whole days can be asked of it, as of slots.</summary>
    private sealed class WithoutShortRanges(ISeriesReader inner) : ISeriesReader
    {
        public ISeriesSet Select(long fromMs, long toMs, IReadOnlyList<LabelMatcher> matchers, CancellationToken cancellation) =>
            toMs - fromMs < 86_400_000 ? throw new InvalidOperationException("no such range") : inner.Select(fromMs, toMs, matchers, cancellation);

        public IReadOnlyList<string> LabelNames(long fromMs, long toMs, IReadOnlyList<LabelMatcher> matchers, CancellationToken cancellation) => inner.LabelNames(fromMs, toMs, matchers, cancellation);

        public IReadOnlyList<string> LabelValues(string name, long fromMs, long toMs, IReadOnlyList<LabelMatcher> matchers, CancellationToken cancellation) => inner.LabelValues(name, fromMs, toMs, matchers, cancellation);

        public MetricMetadata? Metadata(string family) => inner.Metadata(family);

        public IReadOnlyDictionary<string, MetricMetadata> AllMetadata() => inner.AllMetadata();
    }

    [Fact]
    public void Without_the_planned_work_the_credit_would_be_due()
    {
        using KpiSite site = Month();
        SlaReport report = new(site.Engine, site.Store, site.Set.Slas with { Maintenances = [] });
        (long from, long to) = SlaReport.MonthOf("2027-01", site.Set.Slas.Contracts[0].TimeZone)!.Value;
        SlaMonth month = report.Month(site.Set.Slas.Contracts[0], from, to, to, default);
        Assert.Equal((true, 10.0), (month.Check.Misses(month.Value!.Value), month.Credit));
    }

    [Fact]
    public void Weekly_work_follows_the_clock_of_its_zone_over_the_change_of_the_clocks()
    {
        Maintenance weekly = Read("""
            maintenance:
              - {name: weekly, reason: updates, approved_by: ops, days: [sunday], at: "02:30", duration: 1h, time_zone: Europe/Zagreb, from: 2026-03-01T00:00:00Z}
            """).Maintenances[0];
        List<string> times = [.. weekly.Within(Ms("2026-02-01T00:00:00Z"), Ms("2026-04-06T00:00:00Z")).Select(t => DateTimeOffset.FromUnixTimeMilliseconds(t.FromMs).ToString("MM-dd HH:mm", null))];
        // On 29 March 2:30 is left out: the work begins when the clocks have changed.
        Assert.Equal(["03-01 01:30", "03-08 01:30", "03-15 01:30", "03-22 01:30", "03-29 01:00", "04-05 00:30"], times);
        Assert.Equal(Ms("2026-03-08T02:00:00Z"), Assert.Single(weekly.Within(Ms("2026-03-08T02:00:00Z"), Ms("2026-03-08T05:00:00Z"))).FromMs);
    }

    [Fact]
    public void Work_that_overlaps_counts_once()
    {
        SlaSet set = Read("""
            maintenance:
              - {name: a, reason: r, approved_by: p, from: 2026-03-01T00:00:00Z, to: 2026-03-01T02:00:00Z}
              - {name: b, reason: r, approved_by: p, from: 2026-03-01T01:00:00Z, to: 2026-03-01T03:00:00Z, slas: [availability], tiers: [gold]}
            """);
        IReadOnlyList<MaintenanceTime> merged = Maintenance.Merged(set.Maintenances, 0, long.MaxValue);
        Assert.Equal(10_800_000, merged.Sum(m => m.ToMs - m.FromMs));
        Assert.Equal((true, false, false), (set.Maintenances[1].Covers("availability", "gold"), set.Maintenances[1].Covers("availability", "silver"), set.Maintenances[1].Covers("latency", "gold")));
    }

    [Theory]
    [InlineData("sla_definitions:\n  availability: {target: 99.9}\n", "nothing is measured for 'availability'; add sla_inputs.availability")]
    [InlineData("sla_definitions:\n  a: {targett: 1}\n", "promises nothing")]
    [InlineData("sla_definitions:\n  a: {target: 101}\n", "not between 0 and 100")]
    [InlineData("sla_definitions:\n  a: {target: 1, measurement_window: 2h}\n", "is shorter than measurement_window")]
    [InlineData("sla_definitions:\n  a: {target: 1}\nsla_inputs:\n  a: {bad: sum(x), total: 'sum(increase(x[$window]))'}\n", "has no $window")]
    [InlineData("sla_definitions:\n  a: {target: 1}\nsla_inputs:\n  a: {bad: 'sum(', total: 'sum(increase(x[$window]))'}\n", "could not parse expression")]
    [InlineData("sla_definitions:\n  a: {target: 1}\nsla_inputs:\n  a: {expr: 'avg(x[$window])'}\n  b: {expr: y}\n", "there is no promise 'b'")]
    [InlineData("service_tiers:\n  gold: {availability_target: 1}\n", "nothing is promised as 'availability'")]
    [InlineData("sla_contracts:\n  - {name: x, sla: y, time_zone: Mars}\n", "'Mars' is no time zone")]
    [InlineData("sla_contracts:\n  - {name: x, sla: y}\n", "nothing is promised as 'y'")]
    [InlineData("maintenance:\n  - {name: x, reason: r, approved_by: p, from: soon, to: 2026-03-01T00:00:00Z}\n", "'soon' is no time")]
    [InlineData("maintenance:\n  - {name: x, reason: r, approved_by: p, from: 2026-03-02T00:00:00Z, to: 2026-03-01T00:00:00Z}\n", "is not after 'from'")]
    [InlineData("maintenance:\n  - {name: x, reason: r, from: 2026-03-01T00:00:00Z, to: 2026-03-02T00:00:00Z}\n", "approved_by: is missing")]
    [InlineData("maintenance:\n  - {name: x, reason: r, approved_by: p, days: [sonday], at: '02:00', duration: 1h}\n", "did you mean 'monday'?")]
    [InlineData("maintenance:\n  - {name: x, reason: r, approved_by: p, days: [sunday], at: '2 am', duration: 1h}\n", "'2 am' is no time of day")]
    public void What_is_wrong_is_told_with_its_place(string text, string part)
    {
        ConfigResult<KpiSet> read = KpiFiles.Parse(text, "sla.yaml");
        Assert.False(read.IsOk);
        Assert.Contains(read.Errors, e => e.Line > 0 && e.ToString().Contains(part, StringComparison.Ordinal));
    }

    internal static KpiSite Month()
    {
        var site = new KpiSite(Availability + """
            sla_contracts:
              - {name: acme, customer: Acme, sla: availability, time_zone: Europe/Zagreb, credits: [{below: 99.9, credit: 10}, {below: 99, credit: 25}]}
            maintenance:
              - {name: database-upgrade, reason: a new version, approved_by: operations, from: "2027-01-10 03:00", to: "2027-01-10 04:00", time_zone: Europe/Zagreb}
            """);
        long planned = Ms("2027-01-10T02:00:00Z"), outage = Ms("2027-01-20T12:00:00Z");
        double good = 0, bad = 0;
        for (long t = Ms("2026-12-31T00:00:00Z"); t <= Ms("2027-02-01T00:00:00Z"); t += 300_000)
        {
            site.Store.Add(Bellwether.Core.Model.Labels.Of("__name__", "http_requests_total", "code", "200"), t, good);
            site.Store.Add(Bellwether.Core.Model.Labels.Of("__name__", "http_requests_total", "code", "500"), t, bad);
            bool fails = (t >= planned && t < planned + 3_600_000) || (t >= outage && t < outage + 600_000);
            (good, bad) = fails ? (good, bad + 300) : (good + 300, bad);
        }
        site.Book.Apply(site.Set, _ => 0);
        return site;
    }

    private static SlaSet Read(string text)
    {
        ConfigResult<KpiSet> read = KpiFiles.Parse(text, "sla.yaml");
        Assert.True(read.IsOk, string.Join('\n', read.Errors));
        return read.Value.Slas;
    }

    private static long Ms(string time) => DateTimeOffset.Parse(time, System.Globalization.CultureInfo.InvariantCulture).ToUnixTimeMilliseconds();

    private static void Near(double expected, double? actual)
    {
        Assert.NotNull(actual);
        Assert.InRange(actual.Value, expected - (1e-6 * Math.Max(1, expected)), expected + (1e-6 * Math.Max(1, expected)));
    }
}
