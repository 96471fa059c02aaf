using Bellwether.Agent.Status;

namespace Bellwether.Agent.Tests.Status;

/// <summary>What <c>status</c> shows.</summary>
public sealed class AgentStatusTests
{
    private static readonly AgentStatus s_status = new()
    {
        Id = "a1",
        Version = "1.0.0",
        StartedMs = 1_000,
        NowMs = 61_000,
        ReloadedMs = 31_000,
        ReloadErrors = ["agent.yaml:2:3: agent.idd: unknown key 'idd'; did you mean 'id'?"],
        Sources = [new SourceStatus("job/new", 5_000, 0, 0, ""), new SourceStatus("job/old", 5_000, 60_000, 7, ""), new SourceStatus("postgres/db:5432/x", 5_000, 60_000, 1, "db:5432: connection refused")],
    };

    [Fact]
    public void A_source_that_has_not_run_yet_waits_and_one_that_fails_tells_why()
    {
        string[] lines = s_status.ToText().Split('\n');
        Assert.Matches(@"^job/new +5s +- +0  waiting$", lines.Single(l => l.StartsWith("job/new", StringComparison.Ordinal)));
        Assert.Matches(@"^job/old +5s +1s ago +7  ok$", lines.Single(l => l.StartsWith("job/old", StringComparison.Ordinal)));
        Assert.EndsWith("db:5432: connection refused", lines.Single(l => l.StartsWith("postgres", StringComparison.Ordinal)), StringComparison.Ordinal);
    }

    [Fact]
    public void A_refused_reload_is_told_with_its_errors_and_survives_the_socket()
    {
        AgentStatus read = AgentStatus.FromJson(s_status.ToJson());
        Assert.Equal(s_status.ToText(), read.ToText());
        Assert.Contains("config      the last reload was refused; in force is the one taken 30s ago\n            agent.yaml:2:3: agent.idd", read.ToText(), StringComparison.Ordinal);
        Assert.DoesNotContain("reload was refused", (read with { ReloadErrors = [] }).ToText(), StringComparison.Ordinal);
    }

    [Fact]
    public void What_a_target_wrote_cannot_steer_the_terminal()
    {
        AgentStatus status = s_status with { Sources = [new SourceStatus("job/x", 5000, 1, 5, "got '\0\u001b[2J'")] };
        Assert.EndsWith("got '\\x00\\x1b[2J'\n", status.ToText(), StringComparison.Ordinal);
    }
}
