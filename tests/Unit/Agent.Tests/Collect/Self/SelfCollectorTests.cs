using System.Diagnostics.Metrics;
using Bellwether.Agent.Collect.Self;
using Bellwether.Core.Codec;
using Bellwether.Core.Model;
using Bellwether.Core.Telemetry;

namespace Bellwether.Agent.Tests.Collect.Self;

public class SelfCollectorTests
{
    [Fact]
    public async Task The_agents_own_metrics_become_a_source()
    {
        using var meter = new Meter("bellwether");
        using var metrics = new SelfMetrics(meter);
        Counter<long> records = meter.CreateCounter<long>("t_records_total", description: "Records.");
        await using var collector = new SelfCollector(metrics, "host-1", TimeSpan.FromSeconds(10));
        var tick = new SourceTick();
        for (int i = 1; i < 4; i++)
        {
            records.Add(2);
            await collector.CollectAsync(tick, i * 10_000, CancellationToken.None);
            Assert.Equal(2, tick.PresentCount);
            Assert.Equal(2, tick.Table.Count);
            Assert.Equal(Labels.Of("__name__", "t_records_total", "job", "bellwether-agent", "instance", "host-1"), tick.Table[1]);
            Assert.Equal(2 * i, tick.Values[1]);
        }
        Assert.Equal(new MetricMetadata(MetricType.Counter, "Records.", ""), tick.Table.MetadataOf("t_records_total"));
        collector.End(tick, 50_000);
        Assert.True(SourceTick.IsSet(tick.Ended, 0) && SourceTick.IsSet(tick.Ended, 1));
        Assert.Equal("agent", collector.Name);
    }
}
