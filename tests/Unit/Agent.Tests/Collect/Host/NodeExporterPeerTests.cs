using Bellwether.Agent.Collect.Host;
using Bellwether.Core.Codec;
using Bellwether.Core.Model;
using Bellwether.Kit;
using Xunit.Abstractions;

namespace Bellwether.Agent.Tests.Collect.Host;

/// <summary>Our series beside those of a real node_exporter on this machine at this moment.</summary>
public sealed class NodeExporterPeerTests(ITestOutputHelper output)
{
    // Debian's 1.5.0 does not know them yet.
    private static readonly string[] NewerFamilies =
    [
        "node_filesystem_mount_info", "node_netstat_TcpExt_TCPOFOQueue", "node_netstat_TcpExt_TCPRcvQDrop", "node_network_receive_nohandler_total",
        "node_softnet_cpu_collision_total", "node_softnet_received_rps_total", "node_softnet_flow_limit_count_total", "node_softnet_backlog_len",
    ];
    private static readonly string[] NewerLabels = ["adminstate", "rotational"];

    // Values that stay the same between the two readings.
    private static readonly string[] Constants =
    [
        "node_boot_time_seconds", "node_memory_MemTotal_bytes", "node_uname_info", "node_filefd_maximum", "node_network_mtu_bytes", "node_network_flags", "node_network_up", "node_os_version",
        "node_filesystem_size_bytes", "node_filesystem_readonly", "node_filesystem_device_error", "node_time_zone_offset_seconds", "node_disk_info", "node_entropy_pool_size_bits",
        "node_network_speed_bytes", "node_network_protocol_type", "node_memory_SwapTotal_bytes", "node_cpu_scaling_frequency_max_hertz",
    ];

    [Fact]
    public async Task Names_labels_types_and_constant_values_are_those_of_node_exporter()
    {
        string[] collectors = [.. HostCollector.DefaultCollectorNames];
        var defaults = new HostCollectorOptions { Job = "" };
        using PeerExporter? peer = await PeerExporter.TryStartAsync(["prometheus-node-exporter", "node_exporter"], Arguments(defaults, collectors));
        if (peer is null)
            return;
        // The two look one after the other: what came or went in between is not there the next time.
        string different = "";
        for (int attempt = 0; attempt < 5 && (attempt == 0 || different.Length > 0); attempt++)
            different = await DifferencesAsync(defaults, peer);
        Assert.True(different.Length == 0, different);
    }

    private async Task<string> DifferencesAsync(HostCollectorOptions defaults, PeerExporter peer)
    {
        (Dictionary<Labels, double> theirs, Dictionary<string, string> types) = await peer.ScrapeAsync();
        await using var collector = new HostCollector(defaults, TimeProvider.System);
        var tick = new SourceTick();
        await collector.CollectAsync(tick, 0, CancellationToken.None);
        var ours = new Dictionary<Labels, double>();
        for (int slot = 0; slot < tick.Table.Count; slot++)
        {
            if (SourceTick.IsSet(tick.Present, slot))
                ours.Add(NewerLabels.Aggregate(tick.Table[slot], (labels, name) => labels.Without(name)), tick.Values[slot]);
        }

        List<Labels> wanted = [.. theirs.Keys.Where(k => k.MetricName.StartsWith("node_", StringComparison.Ordinal) && k.MetricName != "node_exporter_build_info")];
        output.WriteLine($"{wanted.Count} series of node_exporter, {ours.Count} of ours");
        // Prometheus writes up beside what an exporter says.
        Assert.Equal(1, ours[ours.Keys.Single(k => k.MetricName == "up")]);
        return string.Join('\n',
        [
            .. wanted.Where(k => !ours.ContainsKey(k)).Select(k => $"missing: {k}"),
            .. ours.Keys.Where(k => k.MetricName != "up" && !theirs.ContainsKey(k) && !NewerFamilies.Contains(k.MetricName)).Select(k => $"more than node_exporter has: {k}"),
            .. wanted.Where(k => Constants.Contains(k.MetricName) && ours.TryGetValue(k, out double own) && theirs[k] != own).Select(k => $"{k}: {theirs[k]}, ours {ours[k]}"),
            .. wanted.Select(k => k.MetricName).Distinct().Where(name => types[name] != TypeText(tick.Table.MetadataOf(name))).Select(name => $"{name} is {types[name]}"),
        ]);
    }

    [Fact]
    public async Task What_node_exporter_costs_beside_ours_is_printed()
    {
        using PeerExporter? peer = await PeerExporter.TryStartAsync(["prometheus-node-exporter", "node_exporter"], ["--collector.disable-defaults", .. HostCollector.DefaultCollectorNames.Select(c => "--collector." + c)]);
        if (peer is null)
            return;
        const int ticks = 30;
        await peer.ScrapeAsync();
        TimeSpan before = peer.CpuTime;
        for (int i = 0; i < ticks; i++)
            await peer.ScrapeAsync();
        TimeSpan theirs = (peer.CpuTime - before) / ticks;

        await using var collector = new HostCollector(new HostCollectorOptions { Job = "" }, TimeProvider.System);
        var tick = new SourceTick();
        for (int i = 0; i < 3; i++)
            await collector.CollectAsync(tick, i, CancellationToken.None);
        long allocated = GC.GetTotalAllocatedBytes();
        TimeSpan own = Environment.CpuUsage.TotalTime;
        for (int i = 0; i < ticks; i++)
            await collector.CollectAsync(tick, 10 + i, CancellationToken.None);
        own = (Environment.CpuUsage.TotalTime - own) / ticks;
        output.WriteLine($"CPU per tick: ours {own.TotalMilliseconds:0.00} ms (whole test process), {(GC.GetTotalAllocatedBytes() - allocated) / ticks} bytes allocated; node_exporter {theirs.TotalMilliseconds:0.00} ms");
        Assert.True(tick.PresentCount > 100);
    }

    /// <summary>Distributions change its defaults (Debian leaves out lo, /mnt and zram), so it is told ours.</summary>
    private static string[] Arguments(HostCollectorOptions options, IEnumerable<string> collectors) =>
    [
        "--collector.disable-defaults", "--no-collector.netdev.netlink", "--collector.netdev.device-exclude=^$", "--collector.diskstats.device-exclude=" + options.DiskDeviceExclude,
        "--collector.filesystem.mount-points-exclude=" + options.MountPointExclude, "--collector.filesystem.fs-types-exclude=" + options.FileSystemTypeExclude,
        .. collectors.Select(c => "--collector." + c),
    ];

    private static string TypeText(MetricMetadata? metadata) => metadata?.Type switch
    {
        MetricType.Counter => "counter",
        MetricType.Gauge => "gauge",
        _ => "untyped",
    };
}
