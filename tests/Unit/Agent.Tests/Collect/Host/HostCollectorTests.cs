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
        TimeSpan cpuBefore = Environment.CpuUsage.TotalTime;
        long before = GC.GetAllocatedBytesForCurrentThread();
        for (int i = 0; i < ticks; i++)
            await collector.CollectAsync(tick, Start + 10 + i, CancellationToken.None);
        long perTick = (GC.GetAllocatedBytesForCurrentThread() - before) / ticks;
        TimeSpan cpu = (Environment.CpuUsage.TotalTime - cpuBefore) / ticks;

        output.WriteLine($"{tick.PresentCount} series, {perTick} bytes allocated and {cpu.TotalMilliseconds:0.00} ms CPU per tick");
        Assert.InRange(perTick, 0, 16 << 10);
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
