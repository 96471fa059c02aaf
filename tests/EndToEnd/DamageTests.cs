namespace Bellwether.EndToEnd;

/// <summary>Damaged files and folders that are taken: the programs start, say so and count it, and the rest flows on; or they refuse.</summary>
public sealed class DamageTests
{
    [Fact]
    public async Task A_damaged_spool_is_told_and_counted_and_the_rest_arrives()
    {
        await using CountingTarget target = await CountingTarget.StartAsync(5);
        await using var site = new Site();
        site.ConfigureAggregator();
        site.ConfigureAgent(Ledger.Scraping(target));
        int firstRun = 0;
        // Two runs, two segments: what stands in the second does not need the first.
        for (int run = 0; run < 2; run++)
        {
            firstRun = target.Answered.Length;
            site.StartAgent();
            await Wait.ForAsync("scrapes", () => Task.FromResult(target.Answered.Length >= firstRun + 4), Site.Limit, site.Agent!);
            Assert.Equal(0, await site.Agent!.StopAsync());
        }
        int kept = target.Answered.Max();
        FlipBytes(Path.Combine(site.Folder, "spool", "log"));
        await site.StartAggregatorAsync();
        site.StartAgent();
        await Ledger.WaitForAfterAsync(site, kept);
        await Ledger.WaitForAllAsync(site, target, kept, lostMax: firstRun + 1);
        await Wait.ForOutputAsync(site.Agent!, "is damaged at", Site.Limit);
        await site.WaitForAsync("the agent's count of it", async () => await site.Api.ValueAsync("bellwether_spool_damaged_places_total") >= 1);
    }

    [Fact]
    public async Task A_damaged_log_of_the_store_is_told_and_counted_and_the_rest_goes_on()
    {
        await using CountingTarget target = await CountingTarget.StartAsync(5);
        await using var site = new Site();
        site.ConfigureAggregator();
        site.ConfigureAgent(Ledger.Scraping(target));
        await site.StartAggregatorAsync();
        site.StartAgent();
        await site.WaitForAsync("samples", async () => await site.Api.ValueAsync("count_over_time(ledger_value{i=\"0\"}[5m])") >= 5);
        await site.Aggregator!.KillAsync();
        int before = target.Answered.Max();
        FlipBytes(Path.Combine(site.Folder, "store", "wal"));
        await site.StartAggregatorAsync();
        await Ledger.WaitForAfterAsync(site, before);
        await Ledger.CompareAsync(site, target, before, lostMax: before);
        await Wait.ForOutputAsync(site.Aggregator!, "is damaged at", Site.Limit);
        Assert.True(await CountedAsync(site, "bellwether_store_wal_damaged_places_total") >= 1);
    }

    [Fact]
    public async Task A_damaged_chunk_file_is_put_aside_and_the_rest_goes_on()
    {
        await using var site = new Site();
        site.ConfigureAggregator();
        await site.StartAggregatorAsync();
        // Old enough for the store to move it into chunk files at its next maintenance.
        long now = TimeProvider.System.GetUtcNow().ToUnixTimeMilliseconds();
        await RemoteWrite.SendAsync(site, [.. Enumerable.Range(0, 600).Select(n => ("old_value", now - 36_000_000 + (n * 60_000L), (double)n))]);
        string chunks = Path.Combine(site.Folder, "store", "chunks");
        await site.WaitForAsync("chunk files", () => Task.FromResult(Directory.Exists(chunks) && Directory.GetFiles(chunks, "*", SearchOption.AllDirectories).Length >= 2));
        // As long as the log holds what the files hold, nothing is lost with a file.
        await site.WaitForAsync("a checkpoint", async () => await CountedAsync(site, "bellwether_store_checkpoint_last_success_timestamp_seconds") * 1000 >= now);
        await site.Aggregator!.KillAsync();
        int files = Directory.GetFiles(chunks, "*", SearchOption.AllDirectories).Length;
        FlipBytes(chunks);
        await site.StartAggregatorAsync();
        await Wait.ForOutputAsync(site.Aggregator!, "was moved to quarantine", Site.Limit);
        Assert.Equal(1, await CountedAsync(site, "bellwether_store_files_quarantined_total"));
        List<(double Time, double Value)> left = (await site.Api.RawAsync("old_value", "11h")).Single().Samples;
        Assert.InRange(left.Count, 1, 599);
        Assert.All(left, s => Assert.Equal(s.Value, Math.Round(((s.Time * 1000) - (now - 36_000_000)) / 60_000.0)));
        Assert.Equal(files, Directory.GetFiles(chunks, "*", SearchOption.AllDirectories).Length);
    }

    [Fact]
    public async Task A_second_process_on_the_same_folder_is_refused()
    {
        await using CountingTarget target = await CountingTarget.StartAsync(1);
        await using var site = new Site();
        site.ConfigureAggregator();
        site.ConfigureAgent(Ledger.Scraping(target));
        await site.StartAggregatorAsync();
        site.StartAgent();
        await site.WaitForAsync("samples", async () => await site.Api.ValueAsync("count(ledger_value)") == 1);
        foreach ((string program, string command, string file) in new[] { (Programs.Agent, "run", "agent.yaml"), (Programs.Aggregator, "serve", "aggregator.yaml") })
        {
            (int code, string output) = await Running.ToEndAsync(program, site.Folder, command, "--config", file);
            Assert.Equal(1, code);
            Assert.Contains("is in use by another process", output, StringComparison.Ordinal);
            Assert.Single(output.Split('\n', StringSplitOptions.RemoveEmptyEntries), l => l.Contains("cannot start", StringComparison.Ordinal));
        }
        int answered = target.Answered.Max();
        await Ledger.WaitForAfterAsync(site, answered);
    }

    /// <summary>Inverts bytes in the middle of what is written in a folder's first file.</summary>
    private static void FlipBytes(string folder)
    {
        string file = Directory.GetFiles(folder, "*", SearchOption.AllDirectories).Order(StringComparer.Ordinal).First(f => File.ReadAllBytes(f).AsSpan().ContainsAnyExcept((byte)0));
        byte[] content = File.ReadAllBytes(file);
        int middle = content.AsSpan().LastIndexOfAnyExcept((byte)0) / 2;
        for (int i = 0; i < 4; i++)
            content[middle + i] ^= 0xFF;
        File.WriteAllBytes(file, content);
    }

    private static async Task<double> CountedAsync(Site site, string metric)
    {
        string line = (await site.Api.Client.GetStringAsync("/metrics")).Split('\n').Single(l => l.StartsWith(metric + " ", StringComparison.Ordinal));
        return double.Parse(line[(line.LastIndexOf(' ') + 1)..], System.Globalization.CultureInfo.InvariantCulture);
    }
}
