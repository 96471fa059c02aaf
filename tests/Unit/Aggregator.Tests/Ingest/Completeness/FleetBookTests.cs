using Bellwether.Ingest.Completeness;
using Microsoft.Extensions.Logging.Abstractions;

namespace Bellwether.Aggregator.Tests.Ingest.Completeness;

/// <summary>The fleet's book, step by step; times are in seconds.</summary>
public sealed class FleetBookTests
{
    private readonly KnownLedger _ledger = new();
    private readonly FleetBook _book;

    public FleetBookTests() => _book = new FleetBook(new CompletenessOptions(), _ledger, NullLogger.Instance, [], []);

    [Fact]
    public void An_expected_agent_that_never_came_is_in_the_fleet()
    {
        _book.Configure(0, ["b"], []);
        Join(10, "a");
        Assert.Equal([("a", AgentPresence.Present), ("b", AgentPresence.Expected)], _book.Agents().Select(a => (a.Id, a.Presence)));
    }

    [Fact]
    public void An_agent_whose_records_are_carried_is_no_silent_one_until_it_was_heard()
    {
        _book.Carried("a", 50_000, 20_000, "bundle x");
        Step(500);
        Assert.Equal((AgentPresence.Carried, 20_000), (A.Presence, A.LastHeardMs));
        Assert.Equal([FleetEvents.Registered, FleetEvents.Carried], A.Events.Select(e => e.Kind));
        Join(600, "a", process: "p1");
        _book.Carried("a", 610_000, 605_000, "bundle y");
        Assert.Equal(AgentPresence.Present, A.Presence);
        Step(700);
        Assert.Equal(AgentPresence.Silent, A.Presence);
    }

    [Fact]
    public void Bundles_that_come_all_the_time_leave_room_for_what_else_happened()
    {
        _book.Joined(1_000, new Greeting("a", "p1", 1, []));
        for (int i = 0; i < 200; i++)
            _book.Carried("a", 2_000 + i, i, "bundle " + i);
        IReadOnlyList<FleetEvent> events = _book.Agents()[0].Events;
        Assert.Equal(FleetEvents.Registered, events[0].Kind);
        Assert.Equal(16, events.Count(e => e.Kind == FleetEvents.Carried));
        Assert.Equal("bundle 199", events[^1].Detail);
    }

    [Fact]
    public void What_a_bundle_announces_and_does_not_bring_is_told_until_it_comes()
    {
        LostSegments Announced(ulong number) => new(1, number, number, 10_000, 20_000, MissingReasons.Announced, 50_000);
        _ledger.Hold("a", 1, (1, 2), (5, 5));
        _book.Carried("a", 50_000, 20_000, "bundle x", [Announced(4), Announced(3)]);
        // The next bundle announces them again, and says nothing else.
        _book.Carried("a", 60_000, 30_000, "bundle y", [Announced(3), Announced(4)]);
        Assert.Equal([3UL, 4UL], A.Announced.Select(s => s.First));
        _ledger.Hold("a", 1, (1, 3), (5, 5));
        Step(70);
        Assert.Equal([4UL], A.Announced.Select(s => s.First));
        _ledger.Hold("a", 1, (1, 5));
        _book.Carried("a", 80_000, 40_000, "bundle z");
        Assert.Empty(A.Announced);
    }

    [Fact]
    public void A_silent_agent_that_comes_back_as_the_same_process_was_cut_off()
    {
        Join(10, "a", process: "p1");
        Step(40);
        Assert.Equal(AgentPresence.Present, A.Presence);
        Step(41);
        Assert.Equal(AgentPresence.Silent, A.Presence);
        Join(100, "a", process: "p1");
        Assert.Equal(AgentPresence.Present, A.Presence);
        Assert.Equal([FleetEvents.Registered, FleetEvents.Silent, FleetEvents.CutOff], A.Events.Select(e => e.Kind));
        Assert.Equal((10_000, 100_000), (A.Events[^1].FromMs, A.Events[^1].ToMs));
        Assert.Empty(A.Absences);
    }

    [Fact]
    public void A_silent_agent_that_comes_back_as_a_new_process_was_dead()
    {
        Join(10, "a", process: "p1");
        Step(60);
        Join(100, "a", process: "p2");
        Assert.Equal(FleetEvents.Died, A.Events[^1].Kind);
        Assert.Equal(new Absence(10_000, 100_000, MissingReasons.AgentDown), Assert.Single(A.Absences));
    }

    [Fact]
    public void A_planned_stop_is_no_death()
    {
        Join(10, "a", process: "p1");
        _book.Goodbye("a", 20_000, "stop", drained: true);
        Step(1000);
        Assert.Equal(AgentPresence.Stopped, A.Presence);
        Join(2000, "a", process: "p2");
        Assert.Equal((FleetEvents.Started, AgentPresence.Present), (A.Events[^1].Kind, A.Presence));
        Assert.Equal(MissingReasons.PlannedStop, Assert.Single(A.Absences).Reason);
    }

    [Fact]
    public void An_end_marker_turns_a_death_into_a_planned_stop_that_nobody_heard()
    {
        Join(10, "a", process: "p1");
        Step(60);
        Join(100, "a", process: "p2");
        _book.Reported("a", 101_000, [], plannedStop: true);
        Assert.Equal((FleetEvents.Started, MissingReasons.PlannedStop), (A.Events[^1].Kind, A.Absences[0].Reason));
    }

    [Fact]
    public void A_process_that_stood_still_is_silent_and_then_present_again()
    {
        Join(10, "a");
        Step(60);
        Assert.Equal(AgentPresence.Silent, A.Presence);
        _book.Told("a", 70_000, 5, 100, 11_000);
        Assert.Equal((AgentPresence.Present, FleetEvents.CutOff), (A.Presence, A.Events[^1].Kind));
    }

    [Fact]
    public void Retired_by_the_agent_or_by_the_configuration_is_out_of_the_fleet()
    {
        Join(10, "a");
        _book.Goodbye("a", 20_000, "retire", drained: true);
        Assert.Equal(AgentPresence.Retired, A.Presence);
        Join(30, "b");
        _book.Configure(40_000, [], ["b"]);
        Step(1000);
        Assert.Equal(AgentPresence.Retired, _book.Agents()[1].Presence);
    }

    [Fact]
    public void Segments_that_were_acknowledged_and_are_gone_from_a_restored_store_are_lost_by_range()
    {
        // The store was put back to segment 5; the agent has freed 6 to 8 since, holds 9, and begins 10.
        _ledger.Hold("a", 1, (1, 5));
        _ledger.Ticks("a", (0, 50));
        Join(100, "a", announced: [(1, 9)]);
        // The backlog may be here before the first live record.
        _ledger.Hold("a", 1, (1, 5), (9, 9));
        _book.LiveBegan(101_000, "a", 1, 10);
        _ledger.Hold("a", 1, (1, 5), (9, 10));
        Step(102);
        Assert.Empty(A.Losses);
        Step(112);
        Assert.Equal(new LostSegments(1, 6, 8, 50_000, 101_000, MissingReasons.Restored, 112_000), Assert.Single(A.Losses));
        Assert.Equal(FleetEvents.Lost, A.Events[^1].Kind);
        // The next session does not tell it again.
        Join(200, "a", announced: []);
        _book.LiveBegan(201_000, "a", 1, 11);
        Step(300);
        Assert.Single(A.Losses);
    }

    [Fact]
    public void A_segment_of_which_a_restored_store_has_only_the_first_part_is_lost_when_the_same_process_has_it_no_more()
    {
        Join(10, "a");
        _book.LiveBegan(11_000, "a", 1, 5);
        _ledger.Hold("a", 1, (1, 5));
        _ledger.Open("a", 5);
        Join(100, "a", announced: [(1, 6)]);
        _book.LiveBegan(101_000, "a", 1, 7);
        Step(120);
        Assert.Equal((5UL, 5UL, MissingReasons.Restored), (A.Losses[0].First, A.Losses[0].Last, A.Losses[0].Reason));
        Step(121);
        Assert.Single(A.Losses);
        // Its end comes after all.
        _ledger.Hold("a", 1, (1, 7));
        Step(122);
        Assert.Empty(A.Losses);
    }

    [Theory]
    [InlineData("p1", true)]
    [InlineData("p2", false)]
    public void A_segment_without_its_end_is_no_loss_while_the_agent_has_it_or_when_its_process_died(string process, bool isAnnounced)
    {
        Join(10, "a");
        _book.LiveBegan(11_000, "a", 1, 5);
        _ledger.Hold("a", 1, (1, 5));
        _ledger.Open("a", 5);
        Join(100, process, announced: isAnnounced ? [(1, 5), (1, 6)] : [(1, 6)]);
        _book.LiveBegan(101_000, "a", 1, 7);
        Step(120);
        Assert.Empty(A.Losses);
    }

    [Fact]
    public void A_loss_that_a_bundle_brings_after_all_is_found()
    {
        _ledger.Hold("a", 1, (1, 5));
        Join(100, "a");
        _book.LiveBegan(101_000, "a", 1, 9);
        Step(120);
        Assert.Equal((6UL, 8UL), (A.Losses[0].First, A.Losses[0].Last));
        _ledger.Hold("a", 1, (1, 5), (7, 7), (9, 9));
        Step(121);
        Assert.Equal([(6UL, 6UL), (8UL, 8UL)], A.Losses.Select(l => (l.First, l.Last)));
        _ledger.Hold("a", 1, (1, 9));
        Step(122);
        Assert.Empty(A.Losses);
        Assert.Equal(FleetEvents.Found, A.Events[^1].Kind);
    }

    [Fact]
    public void What_an_agent_says_it_dropped_is_not_taken_for_a_restored_store()
    {
        _ledger.Hold("a", 1, (1, 5));
        Join(100, "a");
        _book.LiveBegan(101_000, "a", 1, 9);
        _book.Reported("a", 102_000, [new ReportedSource("shop", 100, 0, 0, 0, [new ReportedDrop("size", 30, 60_000, 80_000)])]);
        Step(120);
        Assert.Equal(MissingReasons.Dropped, Assert.Single(A.Losses).Reason);
    }

    [Fact]
    public void A_store_that_never_held_anything_of_an_agent_misses_nothing()
    {
        Join(100, "a");
        _book.LiveBegan(101_000, "a", 1, 900);
        Step(120);
        Assert.Empty(A.Losses);
    }

    [Fact]
    public void An_old_epoch_is_refused_and_explained()
    {
        Join(10, "a", epoch: 5);
        Assert.Null(_book.RefusalOf(Hello("a", epoch: 5)));
        Assert.Null(_book.RefusalOf(Hello("a", epoch: 6)));
        string reason = _book.RefusalOf(Hello("a", epoch: 4))!;
        Assert.Contains("epoch 4", reason, StringComparison.Ordinal);
        Assert.Contains("epoch 5", reason, StringComparison.Ordinal);
        _book.Refused(20_000, "a", reason);
        _book.Refused(21_000, "a", reason);
        Assert.Equal([FleetEvents.Registered, FleetEvents.Refused], A.Events.Select(e => e.Kind));
        Assert.Equal((20_000, 21_000), (A.Events[^1].FromMs, A.Events[^1].ToMs));
        Join(30, "a", epoch: 6, process: "p2");
        Assert.Equal(FleetEvents.EpochGrew, A.Events[^1].Kind);
    }

    [Fact]
    public void Refused_strangers_cost_a_bounded_list()
    {
        for (int i = 0; i < 1000; i++)
            _book.Refused(i, "stranger", "reason " + i);
        Assert.Equal(new CompletenessOptions().MaxStrangerEvents, _book.Strangers().Count);
        _book.Refused(2000, "stranger", "reason 999");
        Assert.Equal((999, 2000), (_book.Strangers()[^1].FromMs, _book.Strangers()[^1].ToMs));
        Assert.Empty(_book.Agents());
    }

    [Fact]
    public void Lists_are_bounded()
    {
        var options = new CompletenessOptions();
        for (int i = 0; i < 200; i++)
            Join(100 * i, "a", process: "p" + i);
        Assert.Equal((options.MaxEvents, options.MaxAbsences), (A.Events.Count, A.Absences.Count));
    }

    [Fact]
    public void Changes_that_were_not_written_are_given_again_but_for_an_agent_that_made_room()
    {
        var book = new FleetBook(new CompletenessOptions { MaxAgents = 2 }, _ledger, NullLogger.Instance, [], []);
        book.Register("gone", 0);
        book.Register("stays", 0);
        book.Goodbye("gone", 1000, "stop", drained: true);
        IReadOnlyList<AgentFacts> taken = book.TakeChanges().Agents;
        Assert.True(book.Register("new", 2000));
        book.PutBack(taken);
        Assert.Equal(["new", "stays"], book.TakeChanges().Agents.Select(a => a.Id).Order());
    }

    private AgentFacts A => _book.Agents().Single(a => a.Id == "a");

    private void Join(long seconds, string agent, string process = "p1", ulong epoch = 1, (ulong, ulong)[]? announced = null) =>
        _book.Joined(seconds * 1000, Hello(agent, process, epoch, announced));

    private static Greeting Hello(string agent, string process = "p1", ulong epoch = 1, (ulong, ulong)[]? announced = null) => new(agent, process, epoch, announced ?? []);

    private void Step(long seconds) => _book.Step(seconds * 1000);
}
