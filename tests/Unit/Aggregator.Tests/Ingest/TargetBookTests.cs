using Bellwether.Ingest;
using Bellwether.V1;

namespace Bellwether.Aggregator.Tests.Ingest;

/// <summary>What is kept of what agents tell of their targets.</summary>
public sealed class TargetBookTests
{
    private readonly TargetBook _book = new();

    [Fact]
    public void Changes_are_merged_and_a_restart_forgets()
    {
        Take(new Targets { Restart = true, Changed = { Of("a", "up"), Of("b", "up") }, Dropped = { new DroppedTargets { Pool = "j", Count = 2 } } });
        Take(new Targets { Changed = { Of("b", "down") }, Removed = { "a" } });
        AgentTargets now = Snapshot();
        Assert.Equal(("b", "down", 7L), (Assert.Single(now.Active) is var one ? one.Target.Name : "", one.Target.Health, one.NewestMs));
        Assert.Equal(2UL, Assert.Single(now.Dropped).Count);
        Take(new Targets { Dropped = { new DroppedTargets { Pool = "j" } } });
        Assert.Empty(Snapshot().Dropped);
        Take(new Targets { Restart = true });
        Assert.Empty(Snapshot().Active);
    }

    [Fact]
    public void A_hostile_agent_fills_no_memory()
    {
        var options = new IngestOptions { MaxTargetsPerAgent = 3, MaxTargetBytesPerAgent = 1_000 };
        for (int i = 0; i < 10; i++)
            _book.Take(new Targets { Changed = { Of($"t{i}", "up") } }, options);
        Assert.Equal(3, Snapshot().Active.Count);
        _book.Take(new Targets { Restart = true }, options);
        for (int i = 0; i < 2; i++)
            _book.Take(new Targets { Changed = { Of($"t{i}", new string('x', 600)) } }, options);
        Assert.Single(Snapshot().Active);
        // Told again and again, one target takes its place once.
        for (int i = 0; i < 10; i++)
            _book.Take(new Targets { Changed = { Of("t0", new string('y', 600)) } }, options);
        Assert.StartsWith("y", Assert.Single(Snapshot().Active).Target.Health, StringComparison.Ordinal);
    }

    private void Take(Targets targets) => _book.Take(targets, new IngestOptions());

    private AgentTargets Snapshot() => _book.Snapshot("web", true, _ => 7);

    private static Target Of(string name, string health) => new() { Name = name, Health = health };
}
