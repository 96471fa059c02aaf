using Bellwether.Agent.Collect.Host;
using Bellwether.Core.Codec;
using Xunit.Abstractions;

namespace Bellwether.Agent.Tests.Collect.Host;

public sealed class HostCollectorTests(ITestOutputHelper output)
{
    private const long Start = 1_700_000_000_000;

    [Fact]
    public async Task This_machine_has_the_series_that_every_node_dashboard_reads()
    {
        await using var collector = new HostCollector(new HostCollectorOptions { Instance = "a1" }, TimeProvider.System);
        var tick = new SourceTick();
        await collector.CollectAsync(tick, Start, CancellationToken.None);

        HashSet<string> names = [.. Samples(tick).Select(s => s.Series[..s.Series.IndexOf('{', StringComparison.Ordinal)])];
        foreach (string name in new[]
        {
            "node_cpu_seconds_total", "node_memory_MemTotal_bytes", "node_memory_MemAvailable_bytes", "node_load1", "node_boot_time_seconds", "node_context_switches_total",
            "node_filesystem_size_bytes", "node_filesystem_avail_bytes", "node_network_receive_bytes_total", "node_network_up", "node_uname_info", "node_time_seconds",
            "node_vmstat_pgfault", "node_netstat_Tcp_CurrEstab", "node_sockstat_sockets_used", "node_filefd_allocated", "node_scrape_collector_success",
        })
            Assert.Contains(name, names);
        Assert.All(Samples(tick), s => Assert.Contains("instance=\"a1\"", s.Series, StringComparison.Ordinal));
    }

    [Fact]
    public async Task A_tick_in_steady_state_allocates_next_to_nothing()
    {
        await using var collector = new HostCollector(new HostCollectorOptions(), TimeProvider.System);
        var tick = new SourceTick();
        for (int i = 0; i < 5; i++)
            await collector.CollectAsync(tick, Start + i, CancellationToken.None);

        const int ticks = 50;
        long least = long.MaxValue;
        // The machine may get a mount or an interface meanwhile, and a tick may end on another thread: the best of some rounds counts.
        for (int round = 0; round < 10 && least > 512; round++)
        {
            TimeSpan cpuBefore = Environment.CpuUsage.TotalTime;
            (long before, int thread) = (GC.GetAllocatedBytesForCurrentThread(), Environment.CurrentManagedThreadId);
            for (int i = 0; i < ticks; i++)
                await collector.CollectAsync(tick, Start + 10 + (round * ticks) + i, CancellationToken.None);
            long perTick = (GC.GetAllocatedBytesForCurrentThread() - before) / ticks;
            TimeSpan cpu = (Environment.CpuUsage.TotalTime - cpuBefore) / ticks;
            output.WriteLine($"{tick.PresentCount} series, {perTick} bytes allocated and {cpu.TotalMilliseconds:0.00} ms CPU per tick");
            if (thread == Environment.CurrentManagedThreadId)
                least = Math.Min(least, perTick);
        }
        Assert.InRange(least, 0, 512);
    }

    [Fact]
    public async Task Ticks_add_no_slots_and_no_series_stands_twice()
    {
        using var tree = new HostTree();
        tree.WriteDefaults();
        await using HostCollector collector = tree.Collector();
        var tick = new SourceTick();
        await collector.CollectAsync(tick, Start, CancellationToken.None);
        int slots = tick.Table.Count;
        for (int i = 1; i < 10; i++)
            await collector.CollectAsync(tick, Start + i, CancellationToken.None);

        Assert.Equal(slots, tick.Table.Count);
        Assert.Equal(slots, Enumerable.Range(0, slots).Select(s => tick.Table[s]).Distinct().Count());
        Assert.Equal(slots, tick.PresentCount);
    }

    [Fact]
    public async Task A_device_that_goes_ends_and_comes_back_in_its_slots()
    {
        using var tree = new HostTree();
        tree.WriteDefaults();
        await using HostCollector collector = tree.Collector();
        var tick = new SourceTick();
        await collector.CollectAsync(tick, Start, CancellationToken.None);
        int slots = tick.Table.Count;
        int eth = Enumerable.Range(0, slots).First(s => tick.Table[s].ToString() == "node_network_receive_bytes_total{device=\"eth0\"}");
        Assert.Equal(1000, tick.Values[eth]);

        tree.Write("proc/net/dev", HostTree.NetDevHeader);
        await collector.CollectAsync(tick, Start + 1, CancellationToken.None);
        Assert.True(SourceTick.IsSet(tick.Ended, eth));
        await collector.CollectAsync(tick, Start + 2, CancellationToken.None);
        Assert.False(SourceTick.IsSet(tick.Ended, eth));

        tree.WriteDefaults();
        await collector.CollectAsync(tick, Start + 3, CancellationToken.None);
        Assert.True(SourceTick.IsSet(tick.Present, eth));
        Assert.Equal(slots, tick.Table.Count);
    }

    [Fact]
    public async Task A_table_of_mostly_dead_slots_is_made_anew_and_what_went_meanwhile_ends()
    {
        using var tree = new HostTree();
        tree.WriteDefaults();
        string many = HostTree.NetDevHeader + string.Concat(Enumerable.Range(0, 200).Select(i => $"  veth{i}: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16\n"));
        tree.Write("proc/net/dev", many);
        await using HostCollector collector = tree.Collector();
        var tick = new SourceTick();
        await collector.CollectAsync(tick, Start, CancellationToken.None);
        SourceTable first = tick.Table;
        tree.Write("proc/net/dev", HostTree.NetDevHeader + "  eth0: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16\n");
        await collector.CollectAsync(tick, Start + 1, CancellationToken.None);
        Assert.Same(first, tick.Table);

        // eth0 goes in the very tick in which the table changes.
        tree.Write("proc/net/dev", HostTree.NetDevHeader + "  eth1: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16\n");
        await collector.CollectAsync(tick, Start + 2, CancellationToken.None);
        Assert.NotSame(first, tick.Table);
        List<string> ended = [.. Enumerable.Range(0, tick.Table.Count).Where(s => SourceTick.IsSet(tick.Ended, s)).Select(s => tick.Table[s].ToString())];
        Assert.Contains("node_network_receive_bytes_total{device=\"eth0\"}", ended);
        Assert.Equal(16, ended.Count);
        Assert.Equal(tick.Table.Count, tick.PresentCount + ended.Count);
    }

    [Fact]
    public async Task Series_beyond_the_limit_are_refused_and_counted()
    {
        using var tree = new HostTree();
        tree.WriteDefaults();
        await using HostCollector collector = tree.Collector(options => options with { SeriesMax = 50 });
        var tick = new SourceTick();
        await collector.CollectAsync(tick, Start, CancellationToken.None);
        Assert.Equal(50, tick.Table.Count);
        Assert.True(collector.SeriesRefused > 0);
    }

    [Fact]
    public async Task Missing_and_senseless_files_cost_their_own_collector_only()
    {
        using var tree = new HostTree();
        tree.WriteDefaults();
        tree.Write("proc/loadavg", "high, very high");
        tree.Write("proc/meminfo", "MemTotal: lots kB\nMemFree:\n:::\nMemAvailable: 7 kB");
        File.Delete(Path.Combine(tree.Folder, "proc/vmstat"));
        await using HostCollector collector = tree.Collector();
        var tick = new SourceTick();
        await collector.CollectAsync(tick, Start, CancellationToken.None);
        Dictionary<string, double> samples = Samples(tick).ToDictionary(s => s.Series, s => s.Value);

        Assert.Equal(0, samples["node_scrape_collector_success{collector=\"loadavg\"}"]);
        Assert.Equal(0, samples["node_scrape_collector_success{collector=\"vmstat\"}"]);
        Assert.Equal(1, samples["node_scrape_collector_success{collector=\"cpu\"}"]);
        Assert.Equal(7 * 1024, samples["node_memory_MemAvailable_bytes"]);
        Assert.DoesNotContain("node_memory_MemTotal_bytes", samples.Keys);
    }

    [Fact]
    public async Task A_hung_mount_is_an_error_and_the_others_are_still_asked()
    {
        using var tree = new HostTree();
        tree.WriteDefaults();
        tree.Write("proc/1/mountinfo", """
            22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
            23 22 0:50 / /nfs rw,relatime shared:2 - nfs4 server:/x rw
            24 22 8:2 / /with\040blank ro,relatime shared:3 - ext4 /dev/sda2 rw
            """);
        using var release = new ManualResetEventSlim();
        int asked = 0;
        var probe = new MountProbe(path =>
        {
            if (path.ToString().EndsWith("/nfs", StringComparison.Ordinal))
            {
                Interlocked.Increment(ref asked);
                release.Wait();
            }
            return new MountAnswer(true, null, 100, 50, 40, 10, 5);
        });
        await using var collector = new HostCollector(tree.Options with { MountTimeout = TimeSpan.FromSeconds(2) }, TimeProvider.System, probe);
        var tick = new SourceTick();
        for (int i = 0; i < 3; i++)
            await collector.CollectAsync(tick, Start + i, CancellationToken.None);
        Dictionary<string, double> samples = Samples(tick).ToDictionary(s => s.Series, s => s.Value);

        Assert.Equal(1, asked);
        Assert.Equal(1, samples["node_filesystem_device_error{device=\"server:/x\", device_error=\"timeout\", fstype=\"nfs4\", mountpoint=\"/nfs\"}"]);
        Assert.Equal(40, samples["node_filesystem_avail_bytes{device=\"/dev/sda2\", fstype=\"ext4\", mountpoint=\"/with blank\"}"]);
        Assert.Equal(1, samples["node_filesystem_readonly{device=\"/dev/sda2\", fstype=\"ext4\", mountpoint=\"/with blank\"}"]);
        Assert.Equal(100, samples["node_filesystem_size_bytes{device=\"/dev/sda1\", fstype=\"ext4\", mountpoint=\"/\"}"]);

        release.Set();
        Assert.True(SpinWait.SpinUntil(() => probe.HungCount == 0, TimeSpan.FromSeconds(30)));
        await collector.CollectAsync(tick, Start + 9, CancellationToken.None);
        Assert.Contains(Samples(tick), s => s.Series == "node_filesystem_avail_bytes{device=\"server:/x\", fstype=\"nfs4\", mountpoint=\"/nfs\"}");
    }

    [Fact]
    public void An_unknown_collector_is_refused_with_the_known_ones()
    {
        ArgumentException error = Assert.Throws<ArgumentException>(() => new HostCollector(new HostCollectorOptions { Disable = ["cpuu"] }, TimeProvider.System));
        Assert.Contains("'cpuu'", error.Message, StringComparison.Ordinal);
        Assert.Contains("meminfo", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task What_each_collector_costs_is_printed()
    {
        foreach (string name in HostCollector.CollectorNames)
        {
            await using var collector = new HostCollector(new HostCollectorOptions { Enable = [name], Disable = [.. HostCollector.CollectorNames.Where(n => n != name)] }, TimeProvider.System);
            var tick = new SourceTick();
            for (int i = 0; i < 3; i++)
                await collector.CollectAsync(tick, Start + i, CancellationToken.None);
            const int ticks = 20;
            long before = GC.GetAllocatedBytesForCurrentThread();
            long started = TimeProvider.System.GetTimestamp();
            for (int i = 0; i < ticks; i++)
                await collector.CollectAsync(tick, Start + 10 + i, CancellationToken.None);
            TimeSpan took = TimeProvider.System.GetElapsedTime(started) / ticks;
            output.WriteLine($"{name}: {tick.PresentCount} series, {(GC.GetAllocatedBytesForCurrentThread() - before) / ticks} bytes, {took.TotalMicroseconds:0} us");
            Assert.True(tick.PresentCount >= 2);
        }
    }

    private static List<(string Series, double Value)> Samples(SourceTick tick)
    {
        var samples = new List<(string, double)>();
        for (int slot = 0; slot < tick.Table.Count; slot++)
        {
            if (SourceTick.IsSet(tick.Present, slot))
                samples.Add((tick.Table[slot].ToString(), tick.Values[slot]));
        }
        return samples;
    }
}
