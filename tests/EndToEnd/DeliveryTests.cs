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
            int wanted = seen + 2 + random.Next(4);
            await site.WaitForAsync("more scrapes", () => Task.FromResult(target.Answered.Length >= wanted));
            await site.Aggregator!.KillAsync();
            int without = target.Answered.Length + random.Next(3);
            await Wait.ForAsync("scrapes without an aggregator", () => Task.FromResult(target.Answered.Length >= without), Site.Limit, site.Agent!);
            await site.StartAggregatorAsync();
        }
        int last = target.Answered.Max();
        await site.WaitForAsync("the last scrape", async () => await site.Api.ValueAsync("max(ledger_value{i=\"0\"})") >= last * 1000);
        await Ledger.WaitForAllAsync(site, target, last, lostMax: 0);
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
            int wanted = seen + 2 + random.Next(4);
            await site.WaitForAsync("more scrapes", () => Task.FromResult(target.Answered.Length >= wanted));
            await site.Agent!.KillAsync();
        }
        site.StartAgent();
        int from = target.Answered.Max();
        await site.WaitForAsync("a scrape after the last start", async () => await site.Api.ValueAsync("max(ledger_value{i=\"0\"})") > (from * 1000) + 999);
        await Ledger.WaitForAllAsync(site, target, from, lostMax: Kills + Ledger.SlowSyncs);
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
        // The aggregator first: an agent that has knocked in vain for a while knocks at most every 30 s.
        await site.StartAggregatorAsync();
        site.StartAgent();
        await Ledger.WaitForAfterAsync(site, kept);
        await Ledger.WaitForAllAsync(site, target, kept, lostMax: 0);
    }

    [Fact]
    public async Task Samples_reach_the_store_once_and_unaltered_while_both_sides_are_killed_in_turn()
    {
        await using CountingTarget target = await CountingTarget.StartAsync(Series);
        await using var site = new Site();
        Configure(site, target);
        await site.StartAggregatorAsync();
        site.StartAgent();
        var random = new Random(3);
        const int Pairs = 5;
        for (int pair = 0; pair < Pairs; pair++)
        {
            await ScrapesAsync(random.Next(1, 3));
            await site.Aggregator!.KillAsync();
            await ScrapesAsync(random.Next(2));
            await site.Agent!.KillAsync();
            // Which of the two is back first differs.
            if (pair % 2 == 0)
                site.StartAgent();
            await site.StartAggregatorAsync();
            if (pair % 2 != 0)
                site.StartAgent();
        }
        int last = target.Answered.Max();
        await Ledger.WaitForAfterAsync(site, last);
        await Ledger.WaitForAllAsync(site, target, last, lostMax: Pairs + Ledger.SlowSyncs);

        async Task ScrapesAsync(int more)
        {
            int seen = target.Answered.Length;
            await Wait.ForAsync("more scrapes", () => Task.FromResult(target.Answered.Length >= seen + more), Site.Limit, site.Agent!);
        }
    }

    private static void Configure(Site site, CountingTarget target)
    {
        site.ConfigureAggregator();
        site.ConfigureAgent(Ledger.Scraping(target));
    }
}
