using System.Diagnostics.Metrics;
using Bellwether.Aggregator.Run;
using Bellwether.Core.Model;
using Bellwether.Evaluate.Kpi.Sla;
using Bellwether.Evaluate.Rules.Healing;
using Bellwether.Evaluate.Slo.Compiling;
using Bellwether.Ingest.Bundles;
using Bellwether.Kit;
using Microsoft.Extensions.Logging.Abstractions;

namespace Bellwether.Aggregator.Tests.Evaluate.Slo;

/// <summary>Planned work is taken out of objectives: entered before, afterwards, and withdrawn.</summary>
public sealed class PlannedWorkTests : IDisposable
{
    private const string Slos = """
        service: shop
        slos:
          - {name: events, objective: 90, total: requests_total, bad: 'requests_total{code="500"}', window: 7d}
          - {name: month, objective: 90, calendar: month, total: requests_total, good: 'requests_total{code="200"}'}
          - {name: samples, objective: 90, value: wait_seconds, below: 1, window: 7d}
          - {name: slices, objective: 90, slice: 1m, slice_target: 95, total: 'sum(rate(requests_total[5m]))', bad: 'sum(rate(requests_total{code="500"}[5m]))', calendar: month}
          - {name: long, objective: 90, slice: 10m, total: requests_total, bad: 'requests_total{code="500"}', window: 7d}
        """;

    private readonly Meter _meter = new("test");
    private readonly FaultyDisk _disk = new(new Random(1));

    public void Dispose() => _meter.Dispose();

    // Requests grow by 100 a minute; all fail in the second half hour.
    private static SloSite Site() => new SloSite(Slos).Counter("requests_total", "code", "200", 101, m => m is >= 30 and < 60 ? 0 : 100)
        .Counter("requests_total", "code", "500", 101, m => m is >= 30 and < 60 ? 100 : 0).Gauge("wait_seconds", 101, m => m is > 30 and <= 60 ? 9 : 0.1);

    private static Maintenance Hour(params string[] slos) =>
        new() { Name = "upgrade", Reason = "r", ApprovedBy = "me", FromMs = SloSite.StartMs + 1_800_000, ToMs = SloSite.StartMs + 3_600_000, Slos = [.. slos] };

    private static MaintenanceKeeper Keeper(SloSite site, LateRanges late) => new(site.Store, site.Reader, late, TimeSpan.FromDays(37), site.Time, NullLogger.Instance);

    private LateRanges Late(SloSite site)
    {
        _disk.CreateFolder("/data");
        return new LateRanges(new LateRangesOptions(), _disk, "/data", site.Time, _meter) { EvaluatedMs = () => site.Rules.EvaluatedMs };
    }

    [Fact]
    public async Task What_happens_in_planned_work_does_not_count_and_is_told_beside()
    {
        using SloSite site = Site();
        LateRanges late = Late(site);
        MaintenanceKeeper keeper = Keeper(site, late);
        for (int minute = 1; minute <= 100; minute++)
        {
            await keeper.StepAsync([Hour()], site.Slos.Set, default);
            await site.RunAsync(minute);
            if (minute == 60)
                Assert.Null(site.Ask("slo:sli_error:ratio30m{slo_name=\"events\"}"));
        }
        Assert.Empty(late.List());
        foreach ((string slo, string period) in new[] { ("events", "1w"), ("month", "1M"), ("samples", "1w"), ("slices", "1M") })
        {
            string own = $"{{slo_name=\"{slo}\"}}";
            double? before = site.Ask($"1 - slo:sli_good:count{period}{own} / slo:sli_total:count{period}{own}");
            Assert.True(before is > 0.2 and < 0.4, $"{slo}: {before}");
            Assert.True(site.Ask($"slo:sli_error:ratio{period}{own}") is >= 0 and < 0.005, $"{slo}: {before} {site.Ask($"slo:sli_error:ratio{period}{own}")}");
            Assert.InRange(site.Ask($"max(slo:period_error_budget_remaining:ratio{own})")!.Value, 0.9, 1);
        }
        Assert.Equal(0, site.Ask("slo:sli_error:ratio1w{slo_name=\"long\"}"));
        Assert.Empty(site.Firing);
    }

    [Fact]
    public async Task Entered_afterwards_it_is_late_data_that_heals_to_the_bit_and_withdrawn_it_goes_back()
    {
        using SloSite before = Site(), after = Site();
        LateRanges early = Late(before), late = Late(after);
        MaintenanceKeeper first = Keeper(before, early), second = Keeper(after, late);
        for (int minute = 1; minute <= 100; minute++)
        {
            await first.StepAsync([Hour()], before.Slos.Set, default);
            await before.RunAsync(minute);
            await second.StepAsync([], after.Slos.Set, default);
            await after.RunAsync(minute);
        }
        const string Remaining = "slo:period_error_budget_remaining:ratio{slo_name=\"events\"}";
        double counted = after.Ask(Remaining)!.Value;
        Assert.InRange(counted, -2.5, -1);
        Assert.Equal(150, await second.StepAsync([Hour()], after.Slos.Set, default));
        LateRange range = Assert.Single(late.List());
        Assert.Equal(("", PlannedSeries.Metric, SloSite.StartMs + 1_860_000, SloSite.StartMs + 3_600_000), (range.Agent, range.Source, range.FromMs, range.ToMs));
        (HealDesk desk, HealBook book) = after.Desk();
        using (desk)
        using (book)
        {
            var request = new HealRequest(range.FromMs, range.ToMs) { Metrics = [range.Source], Reason = "planned work was entered or changed" };
            HealReport report = await desk.HealAsync(request, default);
            Assert.True(report is { Replaced: > 500, Failures: 0 }, report.ToString());
            Assert.Equal(Text(before), Text(after));
            Assert.Equal(0, await second.StepAsync([Hour()], after.Slos.Set, default));
            // Another one, which covers a single objective: the others are as if there had been none.
            Assert.Equal(120, await second.StepAsync([Hour("month")], after.Slos.Set, default));
            await desk.HealAsync(request, default);
            Assert.Equal(counted, after.Ask(Remaining));
            Assert.Equal(before.Ask("max(slo:period_error_budget_remaining:ratio{slo_name=\"month\"})"), after.Ask("max(slo:period_error_budget_remaining:ratio{slo_name=\"month\"})"));
            Assert.Equal(60, await second.StepAsync([Hour("month"), Hour() with { Name = "other", Slos = ["events"], FromMs = SloSite.StartMs }], after.Slos.Set, default));
        }
    }

    [Theory]
    [InlineData("", "", "", "", true, true)]
    [InlineData("availability", "", "", "", true, false)]
    [InlineData("", "", "web", "", false, true)]
    [InlineData("", "", "shop-web", "", false, true)]
    [InlineData("", "", "", "shop", false, true)]
    [InlineData("", "", "other", "", false, false)]
    [InlineData("availability", "gold", "web", "", true, true)]
    public void It_corrects_what_it_names_and_everything_when_it_names_nothing(string sla, string tier, string slo, string service, bool coversSla, bool coversSlo)
    {
        var maintenance = new Maintenance { Name = "m", Slas = Of(sla), Tiers = Of(tier), Slos = Of(slo), Services = Of(service) };
        Assert.Equal((coversSla, coversSlo), (maintenance.Covers("availability", "gold"), maintenance.CoversSlo("shop-web", "web", "shop")));

        static Core.Configuration.ValueList<string> Of(string text) => text.Length == 0 ? [] : [text];
    }

    // All results of objectives, to the bit.
    private static string Text(SloSite site)
    {
        var text = new System.Text.StringBuilder();
        var samples = new SampleBuffer();
        using ISeriesSet set = site.Reader.Select(0, site.Time.NowMs, [new LabelMatcher(Core.Model.MatchType.Regex, "__name__", "slo:(sli|period|current|planned).*")], default);
        for (int i = 0; i < set.Count; i++)
        {
            set.Read(i, samples);
            for (int s = 0; s < samples.Count; s++)
                text.Append(System.Globalization.CultureInfo.InvariantCulture, $"{set.LabelsAt(i)} {(samples.Times[s] - SloSite.StartMs) / 1000} {BitConverter.DoubleToInt64Bits(samples.Values[s]):x}\n");
        }
        return text.ToString();
    }
}
