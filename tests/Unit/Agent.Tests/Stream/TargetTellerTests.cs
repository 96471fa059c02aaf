using Bellwether.Agent.Stream;
using Bellwether.V1;

namespace Bellwether.Agent.Tests.Stream;

/// <summary>What is told of targets, and when.</summary>
public sealed class TargetTellerTests : ITargetFacts
{
    private readonly Dictionary<string, (object Identity, string Health, string Error)> _targets = [];

    private IReadOnlyList<DroppedTargets> _dropped = [];

    IReadOnlyList<DroppedTargets> ITargetFacts.Dropped => _dropped;

    void ITargetFacts.List(List<TargetFact> into)
    {
        foreach ((string name, (object identity, string health, string error)) in _targets)
            into.Add(new TargetFact(name, identity, health, error, () => new Target { Name = name, Health = health, LastError = error, Url = new string('u', 1_000) }));
    }

    [Fact]
    public void Everything_is_told_once_and_an_unchanged_fleet_tells_nothing()
    {
        Set("a", "up");
        Set("b", "down", "refused");
        var teller = new TargetTeller(this);
        Targets first = teller.Next(0)!.Targets;
        Assert.True(first.Restart);
        Assert.Equal(["a", "b"], first.Changed.Select(t => t.Name));
        for (long ms = 1; ms < 100_000; ms += 500)
            Assert.Null(teller.Next(ms));
    }

    [Fact]
    public void A_change_of_health_of_reason_or_of_the_set_is_told_alone()
    {
        Set("a", "up");
        Set("b", "up");
        var teller = new TargetTeller(this);
        teller.Next(0);
        _targets["b"] = _targets["b"] with { Health = "down", Error = "refused" };
        Assert.Null(teller.Next(TargetTeller.LookIntervalMs - 1));
        Assert.Equal(("b", "refused"), One(teller.Next(TargetTeller.LookIntervalMs)));
        _targets["b"] = _targets["b"] with { Error = "no answer" };
        Assert.Equal(("b", "no answer"), One(teller.Next(100_000)));
        _targets.Remove("a");
        Targets removal = teller.Next(200_000)!.Targets;
        Assert.False(removal.Restart);
        Assert.Equal(["a"], removal.Removed);
        Assert.Empty(removal.Changed);
        _dropped = [new DroppedTargets { Pool = "j", Count = 3 }];
        Assert.Equal(3UL, teller.Next(300_000)!.Targets.Dropped.Single().Count);
        _dropped = [];
        Assert.Equal(("j", 0UL), (teller.Next(400_000)!.Targets.Dropped.Single() is var d ? d.Pool : "", d.Count));
    }

    [Fact]
    public void Many_targets_go_in_messages_of_bounded_size_up_to_the_bound()
    {
        for (int i = 0; i < TargetTeller.TargetsMax + 10; i++)
            Set($"t{i}", "up");
        var teller = new TargetTeller(this);
        int told = 0;
        while (teller.Next(5) is { } message)
        {
            Assert.InRange(message.CalculateSize(), 1, TargetTeller.MessageBytesMax + 2_000);
            told += message.Targets.Changed.Count;
        }
        Assert.Equal(TargetTeller.TargetsMax, told);
    }

    private void Set(string name, string health, string error = "") => _targets[name] = (new object(), health, error);

    private static (string, string) One(AgentMessage? message) => (Assert.Single(message!.Targets.Changed) is var t ? t.Name : "", t.LastError);
}
