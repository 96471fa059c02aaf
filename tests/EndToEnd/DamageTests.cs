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
        site.ConfigureAggregator("admin_api:\n  enabled: true");
        await site.StartAggregatorAsync();
        long now = TimeProvider.System.GetUtcNow().ToUnixTimeMilliseconds();
        // Five partitions of two hours that are over, 120 samples in each.
        long start = ((now / 7_200_000) - 5) * 7_200_000;
        await RemoteWrite.SendAsync(site, [.. Enumerable.Range(0, 600).Select(n => ("old_value", start + (n * 60_000L), (double)n))]);
        // So little history stays in memory for up to two hours. A snapshot puts all of it into chunk files, one for each partition, and writes both checkpoints: the log brings nothing of it back.
        using (HttpResponseMessage snapshot = await site.Api.Client.PostAsync("/api/v1/admin/tsdb/snapshot", null))
            Assert.True(snapshot.IsSuccessStatusCode, await snapshot.Content.ReadAsStringAsync());
        Assert.True(await CountedAsync(site, "bellwether_store_checkpoint_last_success_timestamp_seconds") * 1000 >= now);
        string chunks = Path.Combine(site.Folder, "store", "chunks");
        await site.Aggregator!.KillAsync();
        // Those of the five, and what came of the present.
        Assert.InRange(Directory.GetFiles(chunks, "*", SearchOption.AllDirectories).Length, 5, 7);
        string damaged = FlipBytes(chunks);
        await site.StartAggregatorAsync();
        await Wait.ForOutputAsync(site.Aggregator!, "was moved to quarantine", Site.Limit);
        Assert.Equal(1, await CountedAsync(site, "bellwether_store_files_quarantined_total"));
        // The samples of that file are gone, and no others.
        List<(double Time, double Value)> left = (await site.Api.RawAsync("old_value", "13h")).Single().Samples;
        Assert.Equal(Enumerable.Range(120, 480).Select(n => ((start / 1000.0) + (n * 60), (double)n)), left);
        Assert.Equal([Path.GetFileName(damaged)], Directory.GetFiles(Path.Combine(chunks, "quarantine")).Select(Path.GetFileName));
        Assert.False(File.Exists(damaged));
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

    /// <summary>Inverts bytes in the middle of what is written in a folder's first file, and gives its path.</summary>
    private static string FlipBytes(string folder)
    {
        string file = Directory.GetFiles(folder, "*", SearchOption.AllDirectories).Order(StringComparer.Ordinal).First(f => File.ReadAllBytes(f).AsSpan().ContainsAnyExcept((byte)0));
        byte[] content = File.ReadAllBytes(file);
        int middle = content.AsSpan().LastIndexOfAnyExcept((byte)0) / 2;
        for (int i = 0; i < 4; i++)
            content[middle + i] ^= 0xFF;
        File.WriteAllBytes(file, content);
        return file;
    }

    private static async Task<double> CountedAsync(Site site, string metric)
    {
        string line = (await site.Api.Client.GetStringAsync("/metrics")).Split('\n').Single(l => l.StartsWith(metric + " ", StringComparison.Ordinal));
        return double.Parse(line[(line.LastIndexOf(' ') + 1)..], System.Globalization.CultureInfo.InvariantCulture);
    }
}
