namespace Bellwether.EndToEnd;

/// <summary>An agent without a network, its records carried by files: by hand with a receipt back, and through a one-way gate.</summary>
public sealed class BundleTests
{
    private const int Series = 20;

    [Fact]
    public async Task A_bundle_is_carried_twice_into_a_running_and_a_stopped_aggregator_and_its_receipt_frees_the_spool()
    {
        await using CountingTarget target = await CountingTarget.StartAsync(Series);
        await using var site = new Site();
        await KeysAsync(site);
        site.Write("agent.yaml", AirGapped(target, ""));
        site.StartAgent();
        await Wait.ForAsync("scrapes", () => Task.FromResult(target.Answered.Length >= 4), Site.Limit, site.Agent!);
        // Before the export: the agent goes on meanwhile. The newest may be on its way into the spool.
        int last = target.Answered.Max() - 1;
        await RunAsync(site, Programs.Agent, "bundle", "export", "--config", "agent.yaml", "--unsent", "-o", "one.bwb");
        await site.StartAggregatorAsync();
        await RunAsync(site, Programs.Aggregator, "bundle", "verify", "--config", "aggregator.yaml", "one.bwb");
        Assert.Contains("imported", await RunAsync(site, Programs.Aggregator, "bundle", "import", "--config", "aggregator.yaml", "one.bwb"), StringComparison.Ordinal);
        await Ledger.WaitForAllAsync(site, target, last, 0);
        await site.WaitForAsync("the agent's state", async () => (await site.Api.GetAsync("/api/v1/completeness")).GetProperty("data").GetProperty("agents").EnumerateArray()
            .Single(a => a.GetProperty("id").GetString() == "test-agent").GetProperty("state").GetString() == "carried");
        // The second time with the aggregator stopped: nothing is new, and the receipt says the same.
        Assert.Equal(0, await site.Aggregator!.StopAsync());
        string again = await RunAsync(site, Programs.Aggregator, "bundle", "import", "--config", "aggregator.yaml", "one.bwb");
        Assert.Contains("imported: 0 new records with 0 samples", again, StringComparison.Ordinal);
        string receipt = Assert.Single(Directory.GetFiles(site.Folder, "*.receipt"));
        string freed = await RunAsync(site, Programs.Agent, "bundle", "receipt", "--config", "agent.yaml", receipt);
        Assert.DoesNotContain(" 0 were freed here", freed, StringComparison.Ordinal);
        Assert.Contains(", 0 were freed here", await RunAsync(site, Programs.Agent, "bundle", "receipt", "--config", "agent.yaml", receipt), StringComparison.Ordinal);
        // The agent stops, and what it still had is exported without it.
        Assert.Equal(0, await site.Agent!.StopAsync());
        await RunAsync(site, Programs.Agent, "bundle", "export", "--config", "agent.yaml", "--unsent", "-o", "two.bwb");
        await RunAsync(site, Programs.Aggregator, "bundle", "import", "--config", "aggregator.yaml", "two.bwb", "one.bwb");
        await site.StartAggregatorAsync();
        // The scrape that the stop cut off may have been answered already.
        await Wait.ForAsync("what was carried", async () => (await site.Api.RawAsync("ledger_value", "30m")).Count == Series, Site.Limit, site.Aggregator!);
        await Ledger.CompareAsync(site, target, target.Answered.Max(), 1);
    }

    [Fact]
    public async Task Bundles_that_were_altered_cut_or_signed_by_others_are_refused_with_a_reason()
    {
        await using CountingTarget target = await CountingTarget.StartAsync(Series);
        await using var site = new Site();
        await KeysAsync(site);
        await RunAsync(site, Programs.Agent, "bundle", "keygen", "-o", "stranger");
        site.Write("agent.yaml", AirGapped(target, ""));
        site.StartAgent();
        await Wait.ForAsync("scrapes", () => Task.FromResult(target.Answered.Length >= 2), Site.Limit, site.Agent!);
        Assert.Equal(0, await site.Agent!.StopAsync());
        await RunAsync(site, Programs.Agent, "bundle", "export", "--config", "agent.yaml", "-o", "good.bwb");
        byte[] good = await File.ReadAllBytesAsync(Path.Combine(site.Folder, "good.bwb"));
        byte[] altered = [.. good];
        altered[good.Length / 2] ^= 1;
        await File.WriteAllBytesAsync(Path.Combine(site.Folder, "altered.bwb"), altered);
        await File.WriteAllBytesAsync(Path.Combine(site.Folder, "cut.bwb"), good[..(good.Length / 2)]);
        site.Write("agent.yaml", AirGapped(target, "").Replace("agent.key", "stranger.key", StringComparison.Ordinal));
        await RunAsync(site, Programs.Agent, "bundle", "export", "--config", "agent.yaml", "-o", "stranger.bwb");
        foreach ((string file, string reason) in new[] { ("altered.bwb", "Altered"), ("cut.bwb", "Cut"), ("stranger.bwb", "WrongSignature"), ("aggregator.yaml", "NotABundle") })
        {
            (int code, string output) = await Running.ToEndAsync(Programs.Aggregator, site.Folder, "bundle", "import", "--config", "aggregator.yaml", file);
            Assert.Equal(1, code);
            Assert.Contains($"refused ({reason})", output, StringComparison.Ordinal);
        }
        Assert.Empty(Directory.GetFiles(site.Folder, "*.receipt"));
    }

    [Fact]
    public async Task Through_a_one_way_gate_everything_arrives_by_itself()
    {
        await using CountingTarget target = await CountingTarget.StartAsync(Series);
        await using var site = new Site();
        await KeysAsync(site);
        // The gate here: the agent's outbox is the aggregator's inbox.
        site.Write("agent.yaml", AirGapped(target, "  outbox:\n    folder: store/inbox\n    interval: 1s"));
        await site.StartAggregatorAsync();
        site.StartAgent();
        await Ledger.WaitForAfterAsync(site, 3);
        Assert.Equal(0, await site.Agent!.StopAsync());
        // The last bundle was made at the stop.
        await Wait.ForAsync("an empty inbox", () => Task.FromResult(Directory.GetFiles(Path.Combine(site.Folder, "store", "inbox")).Length == 0), Site.Limit, site.Aggregator!);
        // The scrape that the stop cut off may have been answered already.
        await Ledger.CompareAsync(site, target, target.Answered.Max(), 1);
    }

    private static async Task KeysAsync(Site site)
    {
        await RunAsync(site, Programs.Agent, "bundle", "keygen", "-o", "agent");
        await RunAsync(site, Programs.Aggregator, "bundle", "keygen", "-o", "aggregator");
        site.Write("aggregator.yaml", $"""
            listen:
              grpc:
                address: {site.Grpc}
              http:
                address: {site.Http}
            data_dir: store
            agents:
              - id: test-agent
                bundle_key_file: agent.pub
            bundle:
              key_file: aggregator.key
            """ + "\n");
    }

    private static string AirGapped(CountingTarget target, string more) => $"""
        agent:
          id: test-agent
        spool:
          path: spool
        status:
          socket: agent.sock
        bundle:
          key_file: agent.key
          recipient_file: aggregator.pub
          receipt_key_file: aggregator.pub
        {more}
        {Ledger.Scraping(target)}
        """ + "\n";

    private static async Task<string> RunAsync(Site site, string program, params string[] arguments)
    {
        (int code, string output) = await Running.ToEndAsync(program, site.Folder, arguments);
        Assert.True(code == 0, $"{string.Join(' ', arguments)}: exit code {code}\n{output}");
        return output;
    }
}
