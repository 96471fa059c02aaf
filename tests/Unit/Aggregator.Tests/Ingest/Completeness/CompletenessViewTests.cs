using Bellwether.Ingest.Completeness;
using FsCheck;
using FsCheck.Fluent;

namespace Bellwether.Aggregator.Tests.Ingest.Completeness;

/// <summary>What is missing and why; times are in seconds.</summary>
public sealed class CompletenessViewTests
{
    private readonly KnownLedger _ledger = new();

    private static readonly AgentFacts s_present = new() { Id = "a", Presence = AgentPresence.Present };

    [Fact]
    public void What_is_here_without_a_gap_is_complete()
    {
        _ledger.Ticks("a", (1, 100));
        AgentCompleteness view = View(s_present, 1, 100, now: 102);
        Assert.Equal(1.0, view.Coverage);
        Assert.Empty(view.Sources[0].Gaps);
    }

    [Fact]
    public void A_journal_that_names_a_source_twice_can_be_read()
    {
        var twice = new ReportedSource("b", 1, 0, 0, 0, []);
        AgentCompleteness view = View(s_present with { Reported = [twice, twice] }, 0, 100, now: 102);
        Assert.Equal("b", Assert.Single(view.Sources, s => s.Reported is not null).Reported!.Name);
    }

    [Fact]
    public void A_gap_is_divided_by_its_reasons()
    {
        _ledger.Ticks("a", (1, 10), (41, 100));
        AgentFacts facts = s_present with
        {
            Absences = [new Absence(20_000, 30_000, MissingReasons.AgentDown)],
            Losses = [new LostSegments(1, 1, 2, 10_000, 15_000, MissingReasons.Restored, 0)],
        };
        AgentCompleteness view = View(facts, 0, 100, now: 102);
        Assert.Equal(
            [(5, MissingReasons.Restored), (3, MissingReasons.NotCollected), (13, MissingReasons.AgentDown), (9, MissingReasons.NotCollected)],
            view.Sources[0].Gaps.Select(g => ((int)g.Due, g.Reason)));
        Assert.Equal((70, 100), (view.Sources[0].Received, view.Sources[0].Due));
    }

    [Fact]
    public void What_a_bundle_announced_and_a_gate_lost_does_not_count_as_not_collected()
    {
        _ledger.Ticks("a", (1, 10), (21, 30));
        AgentFacts facts = s_present with { Presence = AgentPresence.Carried, Announced = [new LostSegments(1, 3, 3, 11_000, 15_000, MissingReasons.Announced, 0), new LostSegments(1, 4, 4, 16_000, 20_000, MissingReasons.Announced, 0)] };
        SourceGap gap = Assert.Single(View(facts, 0, 30, now: 32).Sources[0].Gaps);
        Assert.Equal((10, MissingReasons.Announced), (gap.Due, gap.Reason));
    }

    [Theory]
    [InlineData(AgentPresence.Silent, MissingReasons.Awaited)]
    [InlineData(AgentPresence.Stopped, MissingReasons.PlannedStop)]
    [InlineData(AgentPresence.Present, MissingReasons.NotCollected)]
    public void What_has_not_come_yet_is_named_by_the_state_of_its_agent(AgentPresence presence, string reason)
    {
        _ledger.Ticks("a", (1, 10));
        SourceGap gap = Assert.Single(View(s_present with { Presence = presence }, 0, 100, now: 105).Sources[0].Gaps);
        Assert.Equal((90, reason), (gap.Due, gap.Reason));
    }

    [Fact]
    public void A_retired_agent_misses_nothing_more()
    {
        _ledger.Ticks("a", (1, 10));
        AgentCompleteness view = View(s_present with { Presence = AgentPresence.Retired }, 0, 1000, now: 1000);
        Assert.Empty(view.Sources[0].Gaps);
        Assert.True(view.Sources[0].HasEnded);
    }

    [Fact]
    public void What_the_agent_still_holds_is_buffered_and_what_it_dropped_is_dropped()
    {
        _ledger.Ticks("a", (1, 10), (91, 100));
        var reported = new ReportedSource("shop", 1000, 300, 61_000, 90_000, [new ReportedDrop("size", 500, 11_000, 60_000)]);
        AgentCompleteness view = View(s_present with { Reported = [reported], ReportedMs = 1 }, 0, 100, now: 102);
        Assert.Equal([MissingReasons.Dropped, MissingReasons.Buffered], view.Sources[0].Gaps.Select(g => g.Reason));
        Assert.Equal(80, view.Sources[0].Gaps.Sum(g => g.Due));
    }

    [Fact]
    public void Received_and_missing_make_up_what_was_due_in_any_window()
    {
        Check.One(Config.QuickThrowOnFailure.WithMaxTest(300), Prop.ForAll(ArbMap.Default.ArbFor<int>(), seed =>
        {
            var random = new Random(seed);
            var ranges = new List<(long, long)>();
            var there = new HashSet<long>();
            long at = 0;
            for (int i = 0; i < random.Next(1, 6); i++)
            {
                long first = at + random.Next(2, 20), last = first + random.Next(0, 20);
                ranges.Add((first, last));
                for (long t = first; t <= last; t++)
                    there.Add(t);
                at = last;
            }
            _ledger.Ticks("a", [.. ranges]);
            AgentFacts facts = s_present with
            {
                Absences = [.. Enumerable.Range(0, random.Next(3)).Select(_ => random.Next(100) * 1000L).Select(f => new Absence(f, f + (random.Next(20) * 1000L), MissingReasons.AgentDown))],
                Losses = [.. Enumerable.Range(0, random.Next(3)).Select(_ => random.Next(100) * 1000L).Select(f => new LostSegments(1, 1, 1, f, f + (random.Next(20) * 1000L), MissingReasons.Lost, 0))],
            };
            long from = random.Next(0, 40), to = from + random.Next(0, 60);
            SourceCompleteness source = View(facts, from, to, now: at + 2).Sources[0];
            long begin = Math.Max(from, ranges[0].Item1), end = Math.Min(to, at);
            long due = Math.Max(0, end - begin + 1), received = there.Count(t => t >= from && t <= to);
            Assert.Equal((received, due), (source.Received, source.Due));
            Assert.All(source.Gaps, g => Assert.True(g.Due > 0 && g.FromMs < g.ToMs));
        }));
    }

    private AgentCompleteness View(AgentFacts facts, long from, long to, long now) =>
        CompletenessView.Of(facts, _ledger.Stored.GetValueOrDefault(facts.Id), from * 1000, to * 1000, now * 1000);
}
