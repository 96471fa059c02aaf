using System.Diagnostics.Metrics;
using Bellwether.Aggregator.Tests.Store;
using Bellwether.Ingest.Completeness;
using Bellwether.Kit;
using Microsoft.Extensions.Logging.Abstractions;

namespace Bellwether.Aggregator.Tests.Ingest.Completeness;

/// <summary>What is remembered over restarts, crashes and a full disk.</summary>
public sealed class CompletenessKeeperTests : IDisposable
{
    private readonly VirtualTime _time = new();
    private readonly Meter _meter = new("completeness-tests");
    private MemoryDisk _disk = new();
    private CompletenessOptions _options = new();

    public void Dispose() => _meter.Dispose();

    [Fact]
    public void The_fleet_and_its_events_come_back_after_a_crash()
    {
        CompletenessKeeper keeper = Open();
        Join(keeper, "a");
        keeper.Book.Refused(_time.NowMs, "stranger", "who is that");
        keeper.Step();
        _time.Advance(TimeSpan.FromSeconds(40));
        keeper.Step();
        IReadOnlyList<AgentFacts> before = keeper.Book.Agents();
        Assert.Equal(AgentPresence.Silent, before[0].Presence);
        _disk = _disk.Crash(new Random(1));
        using CompletenessKeeper again = Open();
        Assert.Equal(before[0].Events, again.Book.Agents()[0].Events);
        Assert.Equal(AgentPresence.Silent, again.Book.Agents()[0].Presence);
        Assert.Equal("who is that", Assert.Single(again.Book.Strangers()).Detail);
    }

    [Fact]
    public void The_time_in_which_the_aggregator_was_down_is_no_silence_of_agents()
    {
        using (CompletenessKeeper keeper = Open())
        {
            Join(keeper, "a");
            keeper.Step();
        }
        _time.Advance(TimeSpan.FromHours(1));
        using CompletenessKeeper again = Open();
        again.Step();
        AgentFacts agent = again.Book.Agents()[0];
        Assert.Equal((AgentPresence.Present, FleetEvents.AggregatorDown), (agent.Presence, agent.Events[^1].Kind));
        Assert.Equal(3_600_000, agent.Events[^1].ToMs - agent.Events[^1].FromMs);
        _time.Advance(TimeSpan.FromSeconds(31));
        again.Step();
        Assert.Equal(AgentPresence.Silent, again.Book.Agents()[0].Presence);
    }

    [Fact]
    public void What_is_carried_in_while_the_aggregator_is_stopped_is_known_when_it_serves_again()
    {
        using (CompletenessKeeper keeper = Open())
        {
            Join(keeper, "wired");
            keeper.Step();
        }
        _time.Advance(TimeSpan.FromMinutes(5));
        using (CompletenessKeeper carrier = Open(serves: false))
            carrier.Book.Carried("carried", _time.NowMs, 7, "a bundle", [new LostSegments(1, 4, 4, 100, 200, MissingReasons.Announced, _time.NowMs)]);
        _time.Advance(TimeSpan.FromMinutes(5));
        using CompletenessKeeper again = Open();
        AgentFacts agent = again.Book.Agents().Single(a => a.Id == "carried");
        Assert.Equal((4UL, MissingReasons.Announced), (Assert.Single(agent.Announced).First, agent.Announced[0].Reason));
        // It was down for the whole time, once.
        FleetEvent down = Assert.Single(again.Book.Agents().Single(a => a.Id == "wired").Events, e => e.Kind == FleetEvents.AggregatorDown);
        Assert.Equal(TimeSpan.FromMinutes(10).TotalMilliseconds, down.ToMs - down.FromMs);
    }

    [Fact]
    public void The_journal_stays_small_and_whole_over_many_snapshots_and_crashes()
    {
        _options = _options with { JournalFileBytes = 4 << 10 };
        var random = new Random(7);
        CompletenessKeeper keeper = Open();
        for (int i = 0; i < 400; i++)
        {
            Join(keeper, "a" + random.Next(5), "p" + i);
            _time.Advance(TimeSpan.FromSeconds(1));
            keeper.Step();
            if (random.Next(10) > 0)
                continue;
            List<(string, string)> before = [.. keeper.Book.Agents().Select(a => (a.Id, a.ProcessId))];
            _disk = _disk.Crash(random);
            keeper = Open();
            Assert.Equal(before, keeper.Book.Agents().Select(a => (a.Id, a.ProcessId)));
        }
        Assert.True(_disk.Paths.Count() < 20, string.Join(' ', _disk.Paths));
    }

    [Fact]
    public void What_a_full_disk_does_not_take_is_written_later()
    {
        CompletenessKeeper keeper = Open();
        keeper.Step();
        _disk.IsFull = true;
        Join(keeper, "a");
        keeper.Step();
        _disk.IsFull = false;
        _time.Advance(_options.WriteInterval);
        keeper.Step();
        _disk = _disk.Crash(new Random(3));
        using CompletenessKeeper again = Open();
        Assert.Equal("a", Assert.Single(again.Book.Agents()).Id);
    }

    private CompletenessKeeper Open(bool serves = true) => new(_options, new KnownLedger(), _disk, "/completeness", _time, new Random(1), _meter, NullLogger.Instance, serves);

    private void Join(CompletenessKeeper keeper, string agent, string process = "p1") => keeper.Book.Joined(_time.NowMs, new Greeting(agent, process, 1, []));
}
