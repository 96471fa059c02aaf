using System.Diagnostics;
using System.Globalization;
using System.Net.Http.Headers;
using System.Text;
using System.Text.Json;
using System.Text.RegularExpressions;
using Bellwether.Kit;

namespace Bellwether.EndToEnd;

/// <summary><c>bellwether-aggregator store ...</c> with real programs, beside a real Prometheus and its promtool.</summary>
public sealed class StoreToolsTests
{
    [Fact]
    public async Task A_backup_of_the_running_store_is_restored_and_the_stream_goes_on_and_what_was_lost_is_named()
    {
        await using CountingTarget target = await CountingTarget.StartAsync(20);
        await using var site = new Site();
        site.ConfigureAggregator("admin_api:\n  enabled: true\nfleet:\n  silent_after: 2s");
        site.ConfigureAgent(Ledger.Scraping(target));
        await site.StartAggregatorAsync();
        site.StartAgent();
        await site.WaitForAsync("ticks", async () => await site.Api.ValueAsync("max(ledger_value)") >= 3000);
        int kept = (int)(await site.Api.ValueAsync("max(ledger_value{i=\"0\"})") ?? 0) / 1000;
        string output = await ToolAsync(site, 0, "backup", "--to", "backup");
        Assert.Contains("good: nothing is damaged", output, StringComparison.Ordinal);
        // Each session closes the segment before it: the agent frees what was acknowledged, and the copy holds the first part of a segment that it has no more.
        for (int session = 0; session < 2; session++)
        {
            long before = target.Answered.Length;
            await site.WaitForAsync("acknowledged ticks", async () => target.Answered.Length >= before + 3 && (await AgentAsync(site)).GetProperty("ledger").GetProperty("spoolRecords").GetInt64() <= 2
                && await site.Api.ValueAsync("max(ledger_value{i=\"0\"})") >= before * 1000);
            await site.Aggregator!.KillAsync();
            if (session == 0)
                await site.StartAggregatorAsync();
        }
        output = await ToolAsync(site, 0, "restore", "backup", "--into", "store");
        Assert.Contains("before-restore-", output, StringComparison.Ordinal);
        await site.StartAggregatorAsync();
        await site.WaitForAsync("the loss to be named", async () => (await AgentAsync(site)).GetProperty("lost").EnumerateArray().Any(l => l.GetProperty("reason").GetString() == "restored"));
        int last = target.Answered.Max();
        await site.WaitForAsync("a fresh sample", async () => await site.Api.ValueAsync("max(ledger_value{i=\"0\"})") >= last * 1000);
        List<(JsonElement Metric, List<(double Time, double Value)> Samples)> stored = await site.Api.RawAsync("ledger_value{i=\"0\"}", "30m");
        Assert.Contains(stored[0].Samples, s => s.Value == kept * 1000);
        Assert.Equal(stored[0].Samples.Count, stored[0].Samples.Select(s => s.Value).Distinct().Count());
        await ToolAsync(site, 1, "verify", "store");
        Assert.Equal(0, await site.Aggregator!.StopAsync());
        await ToolAsync(site, 0, "verify", "store");
    }

    [Fact]
    public async Task Blocks_that_promtool_made_are_imported_and_both_exports_are_read_by_promtool_to_the_bit()
    {
        await using var site = new Site();
        site.ConfigureAggregator();
        site.Write("in.om", OpenMetrics(NowSeconds() - (3 * 86400)));
        await PromtoolAsync(site, "tsdb", "create-blocks-from", "openmetrics", "in.om", "blocks");
        string expected = await DumpAsync(site, "blocks");
        Assert.Equal(3000, expected.Split('\n', StringSplitOptions.RemoveEmptyEntries).Length);
        await ToolAsync(site, 0, "import", "blocks");
        Assert.Contains("was imported into this store already", await ToolAsync(site, 0, "import", "blocks"), StringComparison.Ordinal);
        // The text holds the same samples: nothing is new.
        Assert.Contains("3000 samples read, 0 stored, 3000 were there already", await ToolAsync(site, 0, "import", "in.om"), StringComparison.Ordinal);
        await ToolAsync(site, 0, "export", "store", "--format", "prometheus", "--output", "out");
        Assert.Equal(expected, await DumpAsync(site, "out"));
        await ToolAsync(site, 0, "export", "store", "--output", "out.om");
        await PromtoolAsync(site, "tsdb", "create-blocks-from", "openmetrics", "out.om", "again");
        Assert.Equal(expected, await DumpAsync(site, "again"));
        await ToolAsync(site, 0, "export", "store", "--output", "part.om", "--match", "temp", "--match", "{code=\"201\"}");
        string[] part = await File.ReadAllLinesAsync(Path.Combine(site.Folder, "part.om"));
        Assert.Equal((2000 + 1, "# EOF"), (part.Length, part[^1]));
    }

    [Fact]
    public async Task What_a_real_Prometheus_wrote_is_imported_with_native_histograms_and_without_what_was_deleted()
    {
        await using var site = new Site();
        int port = Ports.Free();
        site.ConfigureAggregator();
        site.Write("prometheus.yml", "global: {}\n");
        await using Running prometheus = Running.Start("prometheus", site.Folder, "--config.file=prometheus.yml", "--storage.tsdb.path=data", $"--web.listen-address=127.0.0.1:{port}",
            "--web.enable-remote-write-receiver", "--web.enable-admin-api", "--enable-feature=native-histograms");
        using var theirs = new Api($"http://127.0.0.1:{port}");
        await Wait.ForAsync("Prometheus", async () => await IsReadyAsync(theirs), Site.Limit, prometheus);
        long start = (NowSeconds() - 1800) * 1000;
        using (var body = new ByteArrayContent(RemoteWrite.Compress(HistogramMessage(start, 150))))
        {
            body.Headers.ContentType = new MediaTypeHeaderValue("application/x-protobuf");
            body.Headers.ContentEncoding.Add("snappy");
            using HttpResponseMessage answer = await theirs.Client.PostAsync("/api/v1/write", body);
            Assert.True(answer.IsSuccessStatusCode, await answer.Content.ReadAsStringAsync());
        }
        using (HttpResponseMessage deleted = await theirs.Client.PostAsync($"/api/v1/admin/tsdb/delete_series?match[]=gone&start={start / 1000}&end={(start / 1000) + 100}", null))
            Assert.True(deleted.IsSuccessStatusCode);
        using HttpResponseMessage snapshot = await theirs.Client.PostAsync("/api/v1/admin/tsdb/snapshot", null);
        using JsonDocument name = JsonDocument.Parse(await snapshot.Content.ReadAsStringAsync());
        string folder = "data/snapshots/" + name.RootElement.GetProperty("data").GetProperty("name").GetString();
        await ToolAsync(site, 0, "import", folder);
        await site.StartAggregatorAsync();
        foreach (string query in new[] { "h[1h]", "gone[1h]", "histogram_count(h offset 20m)", "count_over_time(gone[1h])" })
        {
            string path = $"/api/v1/query?time={NowSeconds()}&query={Uri.EscapeDataString(query)}";
            Assert.Equal(Result(await theirs.GetAsync(path)), Result(await site.Api.GetAsync(path)));
        }
        // And back: a Prometheus reads the blocks that we write, histograms and all.
        string[] before = await Task.WhenAll(new[] { "h[1h]", "gone[1h]" }.Select(async q => Result(await theirs.GetAsync($"/api/v1/query?time={NowSeconds()}&query={q}"))));
        Assert.Equal(0, await prometheus.StopAsync());
        Assert.Equal(0, await site.Aggregator!.StopAsync());
        await ToolAsync(site, 0, "export", "store", "--format", "prometheus", "--output", "ours");
        await using Running second = Running.Start("prometheus", site.Folder, "--config.file=prometheus.yml", "--storage.tsdb.path=ours", $"--web.listen-address=127.0.0.1:{port}", "--enable-feature=native-histograms");
        await Wait.ForAsync("Prometheus", async () => await IsReadyAsync(theirs), Site.Limit, second);
        string[] after = await Task.WhenAll(new[] { "h[1h]", "gone[1h]" }.Select(async q => Result(await theirs.GetAsync($"/api/v1/query?time={NowSeconds()}&query={q}"))));
        Assert.Equal(before, after);
    }

    [Fact]
    public async Task An_import_into_the_running_aggregator_goes_through_its_remote_write_and_tells_what_is_too_old()
    {
        await using var site = new Site();
        site.ConfigureAggregator();
        site.Write("in.om", OpenMetrics(NowSeconds() - 86400));
        site.Write("old.om", "m 1 1000\n# EOF\n");
        site.Write("cut.om", $"m 1 {NowSeconds() - 60}\nm 2 {NowSeconds() - 50}\n");
        site.Write("wrong.om", $"m 1 {NowSeconds() - 40}\nm{{a=b}} 2 {NowSeconds()}\n# EOF\n");
        await site.StartAggregatorAsync();
        string url = "http://" + site.Http;
        Assert.Contains("--url", await ToolAsync(site, 1, "import", "in.om"), StringComparison.Ordinal);
        // Remote write's answers do not tell what was there already: the second import is told as the first, and changes nothing.
        for (int times = 0; times < 2; times++)
        {
            Assert.Contains("in.om: 3000 samples read, 3000 taken, those that were there already among them (of two values of one time the larger stands)", await ToolAsync(site, 0, "import", "--url", url, "in.om"), StringComparison.Ordinal);
            Assert.Equal(1500, await site.Api.ValueAsync("sum(count_over_time(http_requests_total[2d]))"));
            Assert.Equal(1500, await site.Api.ValueAsync("sum(count_over_time(temp[2d]))"));
        }
        Assert.Contains("older than retention", await ToolAsync(site, 1, "import", "--url", url, "old.om"), StringComparison.Ordinal);
        Assert.Contains("does not end with '# EOF'", await ToolAsync(site, 1, "import", "--url", url, "cut.om"), StringComparison.Ordinal);
        Assert.Contains("wrong.om, line 2, column 5: expected a label value in double quotes", await ToolAsync(site, 1, "import", "--url", url, "wrong.om"), StringComparison.Ordinal);
        Assert.Equal(3, await site.Api.ValueAsync("count_over_time(m[1h])"));
    }

    private static long NowSeconds() => TimeProvider.System.GetUtcNow().ToUnixTimeSeconds();

    /// <summary>3,000 samples of 6 series, of all kinds of values.</summary>
    private static string OpenMetrics(long start)
    {
        var random = new Random(7);
        var text = new StringBuilder("# HELP http_requests Requests.\n# TYPE http_requests counter\n");
        for (int series = 0; series < 3; series++)
        {
            for (int i = 0; i < 500; i++)
                text.Append(CultureInfo.InvariantCulture, $"http_requests_total{{code=\"20{series}\",path=\"/a\\\"b\\\\\"}} {random.NextDouble() * Math.Pow(10, random.Next(-300, 300)):R} {start + (i * 60)}.{random.Next(1000):D3}\n");
        }
        text.Append("# TYPE temp gauge\n");
        string[] special = ["NaN", "+Inf", "-Inf", "-0", "0", "1", "2.5", "1e-300", "0.1", "4503599627370497.5"];
        for (int series = 0; series < 3; series++)
        {
            for (int i = 0; i < 500; i++)
                text.Append(CultureInfo.InvariantCulture, $"temp{{at=\"ü{series}\"}} {special[random.Next(special.Length)]} {start + (i * 60)}\n");
        }
        return text.Append("# EOF\n").ToString();
    }

    /// <summary>A remote write request with a native histogram that grows and is reset once, and floats of another series.</summary>
    private static byte[] HistogramMessage(long startMs, int count)
    {
        using var histograms = new MemoryStream();
        RemoteWrite.Field(histograms, 1, RemoteWrite.Label("__name__", "h"));
        using var floats = new MemoryStream();
        RemoteWrite.Field(floats, 1, RemoteWrite.Label("__name__", "gone"));
        for (int i = 0; i < count; i++)
        {
            ulong n = (ulong)(i < 100 ? i : i - 100);
            using var h = new MemoryStream();
            // The zero bucket, n + 2, n + 3 and, when it is there, 0.
            Number(h, 1, (2 * n) + 6);
            Fixed(h, 3, (n * 1.7) + 0.1);
            Number(h, 4, 2 << 1);
            Fixed(h, 5, 0.001);
            Number(h, 6, 1);
            // Two spans of one bucket each, and a third bucket that appears later.
            RemoteWrite.Field(h, 11, [1 << 3, 1 << 1, 2 << 3, 2]);
            if (i >= 50)
                RemoteWrite.Field(h, 11, [1 << 3, 3 << 1, 2 << 3, 1]);
            using var deltas = new MemoryStream();
            RemoteWrite.Varint(deltas, (n + 2) << 1);
            RemoteWrite.Varint(deltas, 1 << 1);
            if (i >= 50)
                RemoteWrite.Varint(deltas, ((n + 3) << 1) - 1);
            RemoteWrite.Field(h, 12, deltas.ToArray());
            Number(h, 15, (ulong)(startMs + (i * 10_000)));
            RemoteWrite.Field(histograms, 4, h.ToArray());
            using var sample = new MemoryStream();
            Fixed(sample, 1, i);
            Number(sample, 2, (ulong)(startMs + (i * 10_000)));
            RemoteWrite.Field(floats, 2, sample.ToArray());
        }
        using var message = new MemoryStream();
        RemoteWrite.Field(message, 1, histograms.ToArray());
        RemoteWrite.Field(message, 1, floats.ToArray());
        return message.ToArray();
    }

    private static void Number(MemoryStream into, int field, ulong value)
    {
        RemoteWrite.Varint(into, (ulong)field << 3);
        RemoteWrite.Varint(into, value);
    }

    private static void Fixed(MemoryStream into, int field, double value)
    {
        RemoteWrite.Varint(into, ((ulong)field << 3) | 1);
        into.Write(BitConverter.GetBytes(value));
    }

    // Bounds of buckets are computed, and differ between versions of Prometheus in the last digit.
    private static string Result(JsonElement answer) =>
        Regex.Replace(answer.GetProperty("data").GetProperty("result").GetRawText(), @"\d+\.\d{14,}", m => double.Parse(m.Value, CultureInfo.InvariantCulture).ToString("G14", CultureInfo.InvariantCulture));

    private static async Task<bool> IsReadyAsync(Api api)
    {
        try
        {
            return await api.IsReadyAsync();
        }
        catch (HttpRequestException)
        {
            return false;
        }
    }

    private static async Task<JsonElement> AgentAsync(Site site) =>
        (await site.Api.GetAsync("/api/v1/completeness")).GetProperty("data").GetProperty("agents").EnumerateArray().Single(a => a.GetProperty("id").GetString() == "test-agent");

    private static async Task<string> ToolAsync(Site site, int expected, params string[] arguments)
    {
        (int code, string output) = await Running.ToEndAsync(Programs.Aggregator, site.Folder, ["store", .. arguments]);
        Assert.True(code == expected, $"store {string.Join(' ', arguments)} ended with {code}:\n{output}");
        return output;
    }

    private static async Task PromtoolAsync(Site site, params string[] arguments)
    {
        (int code, string output) = await Running.ToEndAsync("promtool", site.Folder, arguments);
        Assert.True(code == 0, output);
    }

    /// <summary>Every sample of a folder of blocks as promtool reads it, in one order.</summary>
    private static async Task<string> DumpAsync(Site site, string folder)
    {
        // promtool looks for a log, too.
        Directory.CreateDirectory(Path.Combine(site.Folder, folder, "wal"));
        var start = new ProcessStartInfo("promtool") { WorkingDirectory = site.Folder, RedirectStandardOutput = true };
        foreach (string argument in new[] { "tsdb", "dump", folder })
            start.ArgumentList.Add(argument);
        using Process process = Process.Start(start)!;
        string text = await process.StandardOutput.ReadToEndAsync();
        await process.WaitForExitAsync();
        Assert.Equal(0, process.ExitCode);
        string[] lines = text.Split('\n', StringSplitOptions.RemoveEmptyEntries);
        Array.Sort(lines, StringComparer.Ordinal);
        return string.Join('\n', lines);
    }
}
