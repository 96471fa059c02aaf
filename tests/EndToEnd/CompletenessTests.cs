using System.Text.Json;

namespace Bellwether.EndToEnd;

/// <summary>What the aggregator says of agents that were killed, stopped or stood still, and of a store that was put back, with real programs.</summary>
public sealed class CompletenessTests
{
    private const int Series = 20;

    [Fact]
    public async Task A_killed_agent_was_dead_and_the_ledger_balances()
    {
        await using CountingTarget target = await CountingTarget.StartAsync(Series);
        await using var site = new Site();
        Configure(site, target);
        await site.StartAggregatorAsync();
        site.StartAgent();
        await site.WaitForAsync("ticks", async () => Received(await AgentAsync(site)) >= 4);
        await site.Agent!.KillAsync();
        await Wait.ForAsync("silence", async () => State(await AgentAsync(site)) == "silent", Site.Limit, site.Aggregator!);
        await Wait.ForAsync("up to be made up", async () => await site.Api.ValueAsync("count(up{bellwether_synthesised=\"silent\"} == 0)") > 0, Site.Limit, site.Aggregator!);
        site.StartAgent();
        await site.WaitForAsync("the death to be known", async () => Kinds(await AgentAsync(site)).Contains("died"));
        await site.WaitForAsync("ticks after it", async () => Gaps(await AgentAsync(site)).Contains("agent_down"));
        // Stopped on purpose everything is sent and reported: the books balance to the sample.
        Assert.Equal(0, await site.Agent!.StopAsync());
        await Wait.ForAsync("the goodbye", async () => State(await AgentAsync(site)) == "stopped", Site.Limit, site.Aggregator!);
        site.StartAgent();
        await site.WaitForAsync("its return", async () => Kinds(await AgentAsync(site)).Contains("started"));
        await site.WaitForAsync("the books to balance", async () =>
        {
            JsonElement ledger = (await AgentAsync(site)).GetProperty("ledger");
            return ledger.GetProperty("produced").GetInt64() > 0 && ledger.GetProperty("reportedMs").GetInt64() > 0
                && ledger.GetProperty("produced").GetInt64() == ledger.GetProperty("stored").GetProperty("samples").GetInt64() + ledger.GetProperty("buffered").GetInt64();
        });
    }

    [Fact]
    public async Task A_process_that_stood_still_and_an_aggregator_that_was_killed_are_told_apart_from_a_death()
    {
        if (OperatingSystem.IsWindows())
            return;
        await using CountingTarget target = await CountingTarget.StartAsync(Series);
        await using var site = new Site();
        Configure(site, target);
        await site.StartAggregatorAsync();
        site.StartAgent();
        await site.WaitForAsync("ticks", async () => Received(await AgentAsync(site)) >= 3);
        site.Agent!.Signal("STOP");
        await site.WaitForAsync("silence", async () => State(await AgentAsync(site)) == "silent");
        site.Agent.Signal("CONT");
        await site.WaitForAsync("its return", async () => State(await AgentAsync(site)) == "present");
        await site.Aggregator!.KillAsync();
        int seen = target.Answered.Length;
        await Wait.ForAsync("scrapes without an aggregator", () => Task.FromResult(target.Answered.Length >= seen + 3), Site.Limit, site.Agent!);
        await site.StartAggregatorAsync();
        await site.WaitForAsync("the backlog to close the gap", async () =>
        {
            JsonElement agent = await AgentAsync(site);
            return State(agent) == "present" && Kinds(agent).Contains("aggregator_down") && Kinds(agent).Contains("cut_off") && Received(agent) >= seen + 3 && !Gaps(agent).Contains("buffered");
        });
        Assert.DoesNotContain("died", Kinds(await AgentAsync(site)));
    }

    [Fact]
    public async Task A_store_put_back_from_a_backup_names_what_it_lost_and_the_stream_goes_on()
    {
        await using CountingTarget target = await CountingTarget.StartAsync(Series);
        await using var site = new Site();
        Configure(site, target);
        await site.StartAggregatorAsync();
        site.StartAgent();
        await site.WaitForAsync("ticks", async () => Received(await AgentAsync(site)) >= 3);
        await site.Aggregator!.KillAsync();
        Copy(Path.Combine(site.Folder, "store"), Path.Combine(site.Folder, "backup"));
        // Each session closes the segment before it: the agent frees what was acknowledged.
        for (int session = 0; session < 2; session++)
        {
            await site.StartAggregatorAsync();
            long before = target.Answered.Length;
            await site.WaitForAsync("acknowledged ticks", async () => target.Answered.Length >= before + 3 && (await AgentAsync(site)).GetProperty("ledger").GetProperty("spoolRecords").GetInt64() <= 2
                && State(await AgentAsync(site)) == "present" && Received(await AgentAsync(site)) >= before);
            await site.Aggregator!.KillAsync();
        }
        Directory.Delete(Path.Combine(site.Folder, "store"), recursive: true);
        Directory.Move(Path.Combine(site.Folder, "backup"), Path.Combine(site.Folder, "store"));
        await site.StartAggregatorAsync();
        await site.WaitForAsync("the loss to be named", async () => (await AgentAsync(site)).GetProperty("lost").EnumerateArray().Any(l => l.GetProperty("reason").GetString() == "restored"));
        int last = target.Answered.Max();
        await site.WaitForAsync("a fresh sample", async () => await site.Api.ValueAsync("max(ledger_value{i=\"0\"})") >= last * 1000);
        await site.WaitForAsync("the gap of it", async () => Gaps(await AgentAsync(site)).Contains("restored"));
    }

    private static void Configure(Site site, CountingTarget target)
    {
        site.ConfigureAggregator("fleet:\n  expected: [never-came]\n  silent_after: 2s");
        site.ConfigureAgent(Ledger.Scraping(target));
    }

    private static async Task<JsonElement> AgentAsync(Site site)
    {
        JsonElement data = (await site.Api.GetAsync("/api/v1/completeness")).GetProperty("data");
        Assert.Equal(1, data.GetProperty("fleet").GetProperty("expected").GetInt32());
        return data.GetProperty("agents").EnumerateArray().Single(a => a.GetProperty("id").GetString() == "test-agent");
    }

    private static string State(JsonElement agent) => agent.GetProperty("state").GetString()!;

    private static string[] Kinds(JsonElement agent) => [.. agent.GetProperty("events").EnumerateArray().Select(e => e.GetProperty("kind").GetString()!)];

    private static string[] Gaps(JsonElement agent) => [.. Scraped(agent).SelectMany(s => s.GetProperty("gaps").EnumerateArray()).Select(g => g.GetProperty("reason").GetString()!)];

    private static long Received(JsonElement agent) => Scraped(agent).Sum(s => s.GetProperty("stored").GetProperty("records").GetInt64());

    // The target, without the agent's own metrics.
    private static IEnumerable<JsonElement> Scraped(JsonElement agent) => agent.GetProperty("sources").EnumerateArray().Where(s => s.GetProperty("name").GetString()!.Contains("127.0.0.1", StringComparison.Ordinal));

    private static void Copy(string from, string to)
    {
        Directory.CreateDirectory(to);
        foreach (string folder in Directory.GetDirectories(from))
            Copy(folder, Path.Combine(to, Path.GetFileName(folder)));
        foreach (string file in Directory.GetFiles(from))
            File.Copy(file, Path.Combine(to, Path.GetFileName(file)));
    }
}
