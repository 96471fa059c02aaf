using System.Diagnostics;
using Xunit.Abstractions;

namespace Bellwether.EndToEnd;

/// <summary>Disks that fail or are full: nothing is acknowledged that is not durable, and everything arrives once there is room. The counting target's ledger is the judge.</summary>
public sealed class FailingDiskTests(ITestOutputHelper output)
{
    [Fact]
    public async Task Syncs_of_the_agent_that_fail_lose_and_double_nothing()
    {
        await using CountingTarget target = await CountingTarget.StartAsync(10);
        await using var site = new Site();
        site.ConfigureAggregator();
        site.ConfigureAgent(Ledger.Scraping(target));
        await site.StartAggregatorAsync();
        await using Running agent = site.StartWithFailingSyncs("3..5", Programs.Agent, "run", "--config", "agent.yaml");
        await Wait.ForAsync("scrapes while syncs fail", () => Task.FromResult(target.Answered.Length >= 8), Site.Limit, agent, site.Aggregator!);
        // Counted per thread: which of them syncs how often is not known.
        await Wait.ForAsync("a failed sync", async () => (await File.ReadAllTextAsync(Path.Combine(site.Folder, "syncs"))).Contains("EIO", StringComparison.Ordinal), Site.Limit, agent, site.Aggregator!);
        int seen = target.Answered.Max();
        await Ledger.WaitForAfterAsync(site, seen);
        await Ledger.WaitForAllAsync(site, target, seen, lostMax: 0);
        Assert.True(SyncLog.AssertNoFileIsSyncedAfterAFailure(Path.Combine(site.Folder, "syncs")) > 0);
        await agent.DisposeAsync();
        int last = target.Answered.Max();
        site.StartAgent();
        await Ledger.WaitForAfterAsync(site, last);
        // The kill may have caught answers that waited for a sync that failed: they were never acknowledged.
        await Ledger.WaitForAllAsync(site, target, last, lostMax: Math.Max(1, last - seen));
    }

    [Fact]
    public async Task Syncs_of_the_aggregator_that_fail_lose_and_double_nothing()
    {
        await using CountingTarget target = await CountingTarget.StartAsync(10);
        await using var site = new Site();
        site.ConfigureAggregator();
        site.ConfigureAgent(Ledger.Scraping(target));
        await using Running aggregator = site.StartWithFailingSyncs("6..11", Programs.Aggregator, "serve", "--config", "aggregator.yaml");
        await Wait.ForAsync("the aggregator to be ready", site.Api.IsReadyAsync, Site.Limit, aggregator);
        site.StartAgent();
        await Wait.ForAsync("scrapes while syncs fail", () => Task.FromResult(target.Answered.Length >= 8), Site.Limit, aggregator, site.Agent!);
        await Wait.ForAsync("a failed sync", async () => (await File.ReadAllTextAsync(Path.Combine(site.Folder, "syncs"))).Contains("EIO", StringComparison.Ordinal), Site.Limit, aggregator);
        await aggregator.DisposeAsync();
        Assert.True(SyncLog.AssertNoFileIsSyncedAfterAFailure(Path.Combine(site.Folder, "syncs")) > 0);
        await site.StartAggregatorAsync();
        int last = target.Answered.Max();
        await Ledger.WaitForAfterAsync(site, last);
        await Ledger.WaitForAllAsync(site, target, last, lostMax: 0);
    }

    [Fact]
    public async Task An_aggregator_without_room_says_so_and_gets_everything_later()
    {
        await using CountingTarget target = await CountingTarget.StartAsync(10);
        await using var site = new Site();
        site.ConfigureAggregator("limits: {min_free_disk: 900000GB}");
        site.ConfigureAgent(Ledger.Scraping(target));
        await site.StartAggregatorAsync();
        site.StartAgent();
        await site.WaitForAsync("the agent to be told", () => Task.FromResult(site.Agent!.Output.Contains("bytes free", StringComparison.Ordinal)));
        await site.WaitForAsync("scrapes meanwhile", () => Task.FromResult(target.Answered.Length >= 4));
        await Wait.ForOutputAsync(site.Aggregator!, "disk is full", Site.Limit);
        Assert.Null(await site.Api.ValueAsync("count(ledger_value)"));
        Assert.Equal(0, await site.Aggregator!.StopAsync());
        site.ConfigureAggregator();
        await site.StartAggregatorAsync();
        int last = target.Answered.Max();
        await Ledger.WaitForAfterAsync(site, last);
        await Ledger.WaitForAllAsync(site, target, last, lostMax: 0);
    }

    [Fact]
    public async Task A_store_whose_disk_runs_full_goes_on_when_there_is_room_again()
    {
        await using CountingTarget target = await CountingTarget.StartAsync(10);
        await using var site = new Site();
        string disk = Path.Combine(site.Folder, "store");
        Directory.CreateDirectory(disk);
        if (!Mount("mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", disk))
        {
            output.WriteLine("NOT TESTED: a full disk of the store, since mounting a tmpfs takes root.");
            return;
        }
        try
        {
            site.ConfigureAggregator("limits: {min_free_disk: 0B}");
            site.ConfigureAgent(Ledger.Scraping(target));
            await site.StartAggregatorAsync();
            site.StartAgent();
            await site.WaitForAsync("samples", async () => await site.Api.ValueAsync("count(ledger_value)") == 10);
            string ballast = Path.Combine(disk, "ballast");
            Fill(ballast);
            int full = target.Answered.Max();
            // What the store's files have reserved is still taken: large batches bring it to its end.
            await site.WaitForAsync("the store to be full", async () => await FloodAsync(site) == System.Net.HttpStatusCode.ServiceUnavailable);
            await site.WaitForAsync("scrapes meanwhile", () => Task.FromResult(target.Answered.Max() >= full + 2));
            Assert.Equal(10, await site.Api.ValueAsync("count(last_over_time(ledger_value[5m]))"));
            File.Delete(ballast);
            int last = target.Answered.Max();
            await Ledger.WaitForAfterAsync(site, last);
            await Ledger.WaitForAllAsync(site, target, last, lostMax: 0);
        }
        finally
        {
            await site.Agent!.DisposeAsync();
            await site.Aggregator!.DisposeAsync();
            await Wait.ForAsync("the disk to be let go", () => Task.FromResult(Mount("umount", disk)), Site.Limit);
        }
    }

    private static async Task<System.Net.HttpStatusCode> FloodAsync(Site site)
    {
        long now = TimeProvider.System.GetUtcNow().ToUnixTimeMilliseconds();
        var random = new Random(4);
        byte[] message = RemoteWrite.Message([.. Enumerable.Range(0, 20_000).Select(n => ("flood_value", now - 20_000 + n, random.NextDouble()))]);
        return (await RemoteWrite.PostAsync(site, RemoteWrite.Compress(message))).Status;
    }

    private static void Fill(string file)
    {
        using FileStream ballast = File.Create(file);
        byte[] zeros = new byte[64 * 1024];
        try
        {
            while (true)
            {
                ballast.Write(zeros);
                ballast.Flush();
            }
        }
        catch (IOException)
        {
            // No room is left: that is what it is for.
        }
    }

    private static bool Mount(string command, params string[] arguments)
    {
        var start = new ProcessStartInfo(command) { RedirectStandardError = true };
        foreach (string argument in arguments)
            start.ArgumentList.Add(argument);
        using Process mount = Process.Start(start)!;
        mount.WaitForExit();
        return mount.ExitCode == 0;
    }
}
