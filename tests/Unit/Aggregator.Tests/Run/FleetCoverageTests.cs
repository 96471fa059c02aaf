using Bellwether.Aggregator.Run;
using Bellwether.Aggregator.Tests.Ingest.Completeness;
using Bellwether.Core.Model;
using Bellwether.Evaluate.Kpi;
using Bellwether.Ingest.Completeness;
using Bellwether.Kit;
using Bellwether.Store;
using Microsoft.Extensions.Logging.Abstractions;

namespace Bellwether.Aggregator.Tests.Run;

/// <summary>Whether something is owed of series, by who brings them.</summary>
public sealed class FleetCoverageTests
{
    private const long EndMs = 1_000_000;
    private static readonly Labels s_shop = Labels.Of("__name__", "orders_total", "job", "shop", "instance", "1");
    private readonly KnownLedger _ledger = new();
    private readonly FleetBook _book;
    private readonly SeriesInMemory _store = new();

    public FleetCoverageTests()
    {
        _book = new FleetBook(new CompletenessOptions(), _ledger, NullLogger.Instance, [], []);
        _book.Configure(0, ["a"], []);
        _book.Joined(1_000, new Greeting("a", "p", 1, []));
        _book.Targets("a", new Dictionary<string, IReadOnlyDictionary<string, string>> { ["shop/1"] = new Dictionary<string, string> { ["job"] = "shop", ["instance"] = "1" } });
    }

    [Theory]
    [InlineData(1_000_000, 1_000_000, true)]
    [InlineData(991_000, 1_003_000, true)]
    [InlineData(990_000, 1_003_000, false)]
    [InlineData(988_000, 1_000_000, false)]
    [InlineData(985_000, 1_003_000, false)]
    [InlineData(900_000, 1_060_000, false)]
    public void What_an_agent_brings_is_settled_once_it_has_come_past(long lastMs, long nowMs, bool isSettled)
    {
        Ticks((500_000, lastMs));
        _book.Heard("a", nowMs);
        Assert.Equal((isSettled, 1), (Ask(nowMs, s_shop).IsSettled, Ask(nowMs, s_shop).Sources));
    }

    [Fact]
    public void While_an_agent_is_silent_its_ticks_are_owed_and_those_that_it_holds_until_they_are_here()
    {
        Ticks((500_000, 900_000));
        _book.Heard("a", 900_000);
        _book.Step(960_000);
        Coverage silent = Ask(1_060_000, s_shop);
        Assert.Equal((false, 41L, 51L), (silent.IsSettled, silent.Received, silent.Due));
        // Back, with live data and a backlog; then the backlog is here.
        _book.Joined(1_060_000, new Greeting("a", "p", 1, []));
        _book.Told("a", 1_060_000, 100, 1_000, 905_000);
        Ticks((500_000, 900_000), (1_060_000, 1_070_000));
        Assert.False(Ask(1_071_000, s_shop).IsSettled);
        _book.Told("a", 1_072_000, 0, 0, 0);
        Ticks((500_000, 1_070_000));
        Assert.Equal(new Coverage(51, 51, 1) { IsSettled = true }, Ask(1_073_000, s_shop));
    }

    [Theory]
    [InlineData(1_001_000)]
    [InlineData(1_016_000)]
    [InlineData(1_060_000)]
    public void Between_the_last_tick_of_a_silent_agent_and_its_first_gap_a_number_is_not_settled(long nowMs)
    {
        Ticks((500_000, 985_000));
        _book.Heard("a", 900_000);
        _book.Step(nowMs);
        Assert.Equal(AgentPresence.Silent, Assert.Single(_book.Agents()).Presence);
        Assert.False(Ask(nowMs, s_shop).IsSettled);
    }

    [Fact]
    public void What_was_never_collected_lowers_the_coverage_and_is_not_owed()
    {
        Ticks((500_000, 700_000), (800_000, 1_100_000));
        _book.Heard("a", 1_100_000);
        Assert.Equal(new Coverage(42, 51, 1) { IsSettled = true }, Ask(1_101_000, s_shop));
    }

    [Fact]
    public void Series_of_a_sender_and_of_an_agent_are_judged_together()
    {
        Ticks((500_000, 1_100_000));
        _book.Heard("a", 1_100_000);
        Labels pushed = Labels.Of("__name__", "orders_total", "job", "shop", "instance", "2");
        for (long at = 500_000; at <= 960_000; at += 10_000)
            _store.Add(pushed, at, 1);
        Assert.Equal(new Coverage(51 + 47, 51 + 51, 2) { IsSettled = false }, Ask(1_101_000, s_shop, pushed));
        _store.Add(pushed, 1_010_000, 1);
        Assert.Equal(new Coverage(51 + 47, 51 + 51, 2) { IsSettled = true }, Ask(1_101_000, s_shop, pushed));
    }

    [Fact]
    public void Together_with_a_sender_that_cannot_be_counted_over_a_month_no_share_is_told()
    {
        long monthMs = 2_592_000_000;
        Ticks((500_000, monthMs + 10_000));
        _book.Heard("a", monthMs + 10_000);
        Labels pushed = Labels.Of("__name__", "orders_total", "job", "shop", "instance", "2");
        for (long at = monthMs - 600_000; at <= monthMs + 10_000; at += 10_000)
            _store.Add(pushed, at, 1);
        var coverage = new FleetCoverage(_book, _ledger, new SenderCoverage(_store), new VirtualTime(DateTimeOffset.FromUnixTimeMilliseconds(monthMs + 11_000)));
        Assert.Equal(1.0, coverage.Of([s_shop], 500_000, monthMs, default).Share);
        Coverage both = coverage.Of([s_shop, pushed], 500_000, monthMs, default);
        Assert.Equal(new Coverage(0, 0, 2) { IsSettled = true, IsUncounted = true }, both);
        Assert.Null(both.Share);
    }

    private void Ticks(params (long FirstMs, long LastMs)[] ranges)
    {
        List<TickRange> ticks = [.. ranges.Select(r => new TickRange(r.FirstMs, r.LastMs, ((r.LastMs - r.FirstMs) / 10_000) + 1, 10_000))];
        _ledger.Stored["a"] = new StoredLedger("a", 0, 0, 0, 0, [new StoredSource("shop/1", 10_000, 0, 0, 0, ticks)]);
    }

    private Coverage Ask(long nowMs, params Labels[] series) =>
        new FleetCoverage(_book, _ledger, new SenderCoverage(_store), new VirtualTime(DateTimeOffset.FromUnixTimeMilliseconds(nowMs))).Of(series, 500_000, EndMs, default);
}
