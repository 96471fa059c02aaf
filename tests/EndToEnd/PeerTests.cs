using System.Diagnostics;
using Bellwether.Kit;

namespace Bellwether.EndToEnd;

/// <summary>Real Prometheus, VictoriaMetrics and promtool on the other end.</summary>
public sealed class PeerTests
{
    [Fact]
    public async Task A_real_prometheus_takes_what_we_forward()
    {
        await using var site = new Site();
        int port = Ports.Free();
        site.Write("prometheus.yml", "global: {}\n");
        await using Running prometheus = Running.Start("prometheus", site.Folder, "--config.file=prometheus.yml", "--storage.tsdb.path=prometheus-data",
            "--web.enable-remote-write-receiver", $"--web.listen-address=127.0.0.1:{port}");
        await ForwardedSeriesEqualOursAsync(site, prometheus, $"http://127.0.0.1:{port}", "/api/v1/write");
    }

    [Fact]
    public async Task A_real_victoriametrics_takes_what_we_forward()
    {
        await using var site = new Site();
        int port = Ports.Free();
        await using Running victoria = Running.Start("victoria-metrics", site.Folder, $"-httpListenAddr=127.0.0.1:{port}", "-storageDataPath=victoria-data", "-search.latencyOffset=0s");
        await ForwardedSeriesEqualOursAsync(site, victoria, $"http://127.0.0.1:{port}", "/api/v1/write");
    }

    [Fact]
    public async Task A_real_prometheus_writes_into_us()
    {
        await using CountingTarget target = await CountingTarget.StartAsync(20);
        await using var site = new Site();
        site.ConfigureAggregator();
        await site.StartAggregatorAsync();
        int port = Ports.Free();
        site.Write("prometheus.yml", $"""
            global:
              scrape_interval: 1s
            scrape_configs:
              - job_name: ledger
                static_configs:
                  - targets: ["{target.Address}"]
            remote_write:
              - url: http://{site.Http}/api/v1/write
            """ + "\n");
        await using Running prometheus = Running.Start("prometheus", site.Folder, "--config.file=prometheus.yml", "--storage.tsdb.path=prometheus-data", $"--web.listen-address=127.0.0.1:{port}");
        using var theirs = new Api($"http://127.0.0.1:{port}");
        await Wait.ForAsync("scrapes", () => Task.FromResult(target.Answered.Length >= 5), Site.Limit, prometheus, site.Aggregator!);
        await Wait.ForAsync("the same samples on both sides", async () =>
        {
            var ours = await site.Api.RawAsync("ledger_value", "5m");
            var real = await theirs.RawAsync("ledger_value", "5m");
            return ours.Count == 20 && ours.Count == real.Count && ours[0].Samples.Count >= 4 && ours[0].Samples.SequenceEqual(real[0].Samples.Take(ours[0].Samples.Count));
        }, Site.Limit, prometheus, site.Aggregator!);
        await Wait.ForAsync("the target's health", async () => await site.Api.ValueAsync("up{job=\"ledger\"}") == 1, Site.Limit, prometheus, site.Aggregator!);
    }

    [Fact]
    public async Task Promtool_accepts_our_metrics()
    {
        await using var site = new Site();
        site.ConfigureAggregator();
        await site.StartAggregatorAsync();
        string metrics = await site.Api.Client.GetStringAsync("/metrics");
        Assert.Contains("bellwether_", metrics, StringComparison.Ordinal);
        var start = new ProcessStartInfo("promtool", "check metrics") { RedirectStandardInput = true, RedirectStandardOutput = true, RedirectStandardError = true };
        using Process promtool = Process.Start(start)!;
        await promtool.StandardInput.WriteAsync(metrics);
        promtool.StandardInput.Close();
        string said = await promtool.StandardOutput.ReadToEndAsync() + await promtool.StandardError.ReadToEndAsync();
        await promtool.WaitForExitAsync();
        Assert.True(promtool.ExitCode == 0, said);
    }

    private static async Task ForwardedSeriesEqualOursAsync(Site site, Running peer, string peerAddress, string path)
    {
        await using CountingTarget target = await CountingTarget.StartAsync(20);
        site.ConfigureAggregator($"""
            remote_write:
              - url: {peerAddress}{path}
                write_relabel_configs:
                  - source_labels: [i]
                    regex: "7"
                    action: drop
            """);
        site.ConfigureAgent($"""
            global:
              scrape_interval: 1s
              scrape_timeout: 1s
            scrape_configs:
              - job_name: ledger
                static_configs:
                  - targets: ["{target.Address}"]
            """);
        await site.StartAggregatorAsync();
        site.StartAgent();
        using var theirs = new Api(peerAddress);
        await Wait.ForAsync("scrapes", () => Task.FromResult(target.Answered.Length >= 5), Site.Limit, peer, site.Aggregator!, site.Agent!);
        await Wait.ForAsync("the same samples on both sides", async () =>
        {
            var ours = await site.Api.RawAsync("ledger_value{i=\"3\"}", "5m");
            var real = await theirs.RawAsync("ledger_value{i=\"3\"}", "5m");
            return ours.Count == 1 && real.Count == 1 && real[0].Samples.Count >= 4 && real[0].Samples.SequenceEqual(ours[0].Samples.Take(real[0].Samples.Count));
        }, Site.Limit, peer, site.Aggregator!, site.Agent!);
        // After a scrape that came too late there is nothing until the next.
        await Wait.ForAsync("all series but one there", async () => await theirs.ValueAsync("count(ledger_value)") == 19, Site.Limit, peer, site.Aggregator!, site.Agent!);
        await Wait.ForAsync("all series here", async () => await site.Api.ValueAsync("count(ledger_value)") == 20, Site.Limit, peer, site.Aggregator!, site.Agent!);
        Assert.Empty(await theirs.RawAsync("ledger_value{i=\"7\"}", "5m"));
    }
}
