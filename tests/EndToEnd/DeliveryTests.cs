namespace Bellwether.EndToEnd;

/// <summary>kill -9 of either side at random points: nothing acknowledged is lost, nothing comes twice. The counting target's ledger is the judge.</summary>
public sealed class DeliveryTests
{
    private const int Series = 50;

    [Fact]
    public async Task Samples_reach_the_store_once_and_unaltered_while_the_aggregator_is_killed()
    {
        await using CountingTarget target = await CountingTarget.StartAsync(Series);
        await using var site = new Site();
        Configure(site, target);
        await site.StartAggregatorAsync();
        site.StartAgent();
        var random = new Random(1);
        for (int kill = 0; kill < 5; kill++)
        {
            int seen = target.Answered.Length;
            await site.WaitForAsync("more scrapes", () => Task.FromResult(target.Answered.Length >= seen + 2 + random.Next(4)));
            await site.Aggregator!.KillAsync();
            seen = target.Answered.Length;
            await Wait.ForAsync("scrapes without an aggregator", () => Task.FromResult(target.Answered.Length >= seen + random.Next(3)), Site.Limit, site.Agent!);
            await site.StartAggregatorAsync();
        }
        int last = target.Answered.Max();
        await site.WaitForAsync("the last scrape", async () => await site.Api.ValueAsync("max(ledger_value{i=\"0\"})") >= last * 1000);
        await CompareAsync(site, target, last, agentKills: 0);
    }

    [Fact]
    public async Task Samples_reach_the_store_once_and_unaltered_while_the_agent_is_killed()
    {
        await using CountingTarget target = await CountingTarget.StartAsync(Series);
        await using var site = new Site();
        Configure(site, target);
        await site.StartAggregatorAsync();
        var random = new Random(2);
        const int Kills = 5;
        for (int kill = 0; kill < Kills; kill++)
        {
            site.StartAgent();
            int seen = target.Answered.Length;
            await site.WaitForAsync("more scrapes", () => Task.FromResult(target.Answered.Length >= seen + 2 + random.Next(4)));
            await site.Agent!.KillAsync();
        }
        site.StartAgent();
        int from = target.Answered.Max();
        await site.WaitForAsync("a scrape after the last start", async () => await site.Api.ValueAsync("max(ledger_value{i=\"0\"})") > (from * 1000) + 999);
        await CompareAsync(site, target, from, agentKills: Kills);
    }

    [Fact]
    public async Task What_the_spool_kept_while_there_was_no_aggregator_arrives_after_a_restart_of_the_agent()
    {
        await using CountingTarget target = await CountingTarget.StartAsync(Series);
        await using var site = new Site();
        Configure(site, target);
        site.StartAgent();
        await Wait.ForAsync("scrapes", () => Task.FromResult(target.Answered.Length >= 4), Site.Limit, site.Agent!);
        Assert.Equal(0, await site.Agent!.StopAsync());
        int kept = target.Answered.Max();
        site.StartAgent();
        await site.StartAggregatorAsync();
        await site.WaitForAsync("a scrape after the restart", async () => await site.Api.ValueAsync("max(ledger_value{i=\"0\"})") > (kept * 1000) + 999);
        await site.WaitForAsync("the backlog", async () => (await site.Api.RawAsync("ledger_value{i=\"0\"}", "10m")).Single().Samples.Any(s => s.Value == target.Answered.Min() * 1000));
        await CompareAsync(site, target, kept, agentKills: 0);
    }

    private static void Configure(Site site, CountingTarget target)
    {
        site.ConfigureAggregator();
        site.ConfigureAgent($"""
            global:
              scrape_interval: 1s
              scrape_timeout: 1s
            scrape_configs:
              - job_name: ledger
                static_configs:
                  - targets: ["{target.Address}"]
            """);
    }

    /// <summary>
    /// Every stored sample is one that the target answered, each answer is stored at one time only, and none is missing up to <paramref name="upTo"/>: but for the answer that
    /// was in flight at each kill of the agent, which nobody can have kept.
    /// </summary>
    private static async Task CompareAsync(Site site, CountingTarget target, int upTo, int agentKills)
    {
        HashSet<int> answered = [.. target.Answered];
        List<(System.Text.Json.JsonElement Metric, List<(double Time, double Value)> Samples)> stored = await site.Api.RawAsync("ledger_value", "30m");
        Assert.Equal(Series, stored.Count);
        foreach ((System.Text.Json.JsonElement metric, List<(double Time, double Value)> samples) in stored)
        {
            int i = int.Parse(metric.GetProperty("i").GetString()!, System.Globalization.CultureInfo.InvariantCulture);
            List<int> scrapes = [.. samples.Select(s => (int)((s.Value - i) / 1000))];
            Assert.All(samples, s => Assert.Equal(i, s.Value % 1000));
            Assert.Equal(scrapes.Count, scrapes.Distinct().Count());
            Assert.All(scrapes, n => Assert.Contains(n, answered.Append(target.Answered.Max() + 1)));
            int[] missing = [.. answered.Where(n => n <= upTo).Except(scrapes).Order()];
            Assert.True(missing.Length <= agentKills, $"series {i}: scrapes {string.Join(", ", missing)} were answered and are not in the store");
        }
    }
}
