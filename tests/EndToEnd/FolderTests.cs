using Xunit.Abstractions;

namespace Bellwether.EndToEnd;

/// <summary>Folders that cannot be written: the programs refuse to start, in one line that names the folder.</summary>
public sealed class FolderTests(ITestOutputHelper output)
{
    [Theory]
    [InlineData("agent")]
    [InlineData("aggregator")]
    public async Task A_read_only_folder_is_refused_with_its_name(string side)
    {
        await using var site = new Site();
        site.ConfigureAggregator();
        site.ConfigureAgent("");
        string folder = Path.Combine(site.Folder, side == "agent" ? "spool" : "store");
        Directory.CreateDirectory(folder);
        (int mounted, string reason) = await Running.ToEndAsync("mount", site.Folder, "-t", "tmpfs", "-o", "ro", "tmpfs", folder);
        if (mounted != 0)
        {
            output.WriteLine($"NOT TESTED: a read-only folder, since mounting one takes root ({reason}).");
            return;
        }
        try
        {
            (int code, string said) = side == "agent"
                ? await Running.ToEndAsync(Programs.Agent, site.Folder, "run", "--config", "agent.yaml")
                : await Running.ToEndAsync(Programs.Aggregator, site.Folder, "serve", "--config", "aggregator.yaml");
            Assert.Equal(1, code);
            string line = Assert.Single(said.Split('\n', StringSplitOptions.RemoveEmptyEntries), l => l.Contains("cannot start", StringComparison.Ordinal));
            Assert.Contains(folder, line, StringComparison.Ordinal);
            Assert.Contains("Read-only file system", line, StringComparison.Ordinal);
        }
        finally
        {
            await Running.ToEndAsync("umount", site.Folder, folder);
        }
    }

    [Fact]
    public async Task Orderly_stops_at_any_moment_of_heavy_writing_lose_nothing_and_leave_no_file_half_made()
    {
        await using CountingTarget target = await CountingTarget.StartAsync(900);
        await using var site = new Site();
        site.ConfigureAggregator();
        site.ConfigureAgent(Ledger.Scraping(target).Replace("1s", "100ms", StringComparison.Ordinal));
        await site.StartAggregatorAsync();
        var random = new Random(7);
        for (int stop = 0; stop < 6; stop++)
        {
            site.StartAgent();
            int seen = target.Answered.Length;
            await site.WaitForAsync("scrapes", () => Task.FromResult(target.Answered.Length > seen + 2 + random.Next(5)));
            Assert.Equal(0, await site.Agent!.StopAsync());
        }
        Assert.Empty(Directory.EnumerateFiles(Path.Combine(site.Folder, "spool"), "*.new", SearchOption.AllDirectories));
        int last = target.Answered.Max();
        site.StartAgent();
        await Ledger.WaitForAfterAsync(site, last);
        // The scrape that a stop cuts off may have been answered already.
        await Ledger.WaitForAllAsync(site, target, last, lostMax: 6);
        Assert.Equal(0, await site.Aggregator!.StopAsync());
        Assert.Empty(Directory.EnumerateFiles(Path.Combine(site.Folder, "store"), "*.new", SearchOption.AllDirectories));
    }
}
