using System.Buffers;
using System.Diagnostics.Metrics;
using System.Text;
using Bellwether.Core.Exposition;
using Bellwether.Core.Telemetry;

namespace Bellwether.Core.Tests.Telemetry;

public class SelfMetricsTests
{
    [Fact]
    public void Every_kind_of_instrument_becomes_a_family()
    {
        using var meter = new Meter("bellwether");
        using var metrics = new SelfMetrics(meter);
        Counter<long> counter = meter.CreateCounter<long>("t_records_total", description: "Records.");
        UpDownCounter<int> level = meter.CreateUpDownCounter<int>("t_open");
        Gauge<double> gauge = meter.CreateGauge<double>("t_lag_seconds", "seconds");
        Histogram<double> histogram = meter.CreateHistogram("t_wait_seconds", advice: new InstrumentAdvice<double> { HistogramBucketBoundaries = [0.5, 1] });
        meter.CreateObservableGauge("t_bytes", () => 42L);
        meter.CreateObservableCounter("t_seen_total", () => new[] { new Measurement<long>(3, new KeyValuePair<string, object?>("peer", "a")) });
        counter.Add(2);
        counter.Add(3);
        level.Add(5);
        level.Add(-2);
        gauge.Record(1.5);
        histogram.Record(0.5);
        histogram.Record(3);
        Assert.Equal(
            "# TYPE t_bytes gauge\nt_bytes 42\n"
            + "# TYPE t_lag_seconds gauge\nt_lag_seconds 1.5\n"
            + "# TYPE t_open gauge\nt_open 3\n"
            + "# HELP t_records_total Records.\n# TYPE t_records_total counter\nt_records_total 5\n"
            + "# TYPE t_seen_total counter\nt_seen_total{peer=\"a\"} 3\n"
            + "# TYPE t_wait_seconds histogram\nt_wait_seconds_bucket{le=\"0.5\"} 1\nt_wait_seconds_bucket{le=\"1.0\"} 1\nt_wait_seconds_bucket{le=\"+Inf\"} 2\nt_wait_seconds_sum 3.5\nt_wait_seconds_count 2\n",
            Text(metrics));
    }

    [Fact]
    public void A_counter_is_there_at_zero_until_it_has_labels()
    {
        using var meter = new Meter("bellwether");
        using var metrics = new SelfMetrics(meter);
        Counter<long> counter = meter.CreateCounter<long>("t_total");
        Assert.Equal("# TYPE t_total counter\nt_total 0\n", Text(metrics));
        counter.Add(1, new KeyValuePair<string, object?>("why", "x"));
        counter.Add(1, new KeyValuePair<string, object?>("why", "y"));
        Assert.Equal("# TYPE t_total counter\nt_total{why=\"x\"} 1\nt_total{why=\"y\"} 1\n", Text(metrics));
    }

    [Fact]
    public void What_an_observable_no_longer_reports_is_gone()
    {
        using var meter = new Meter("bellwether");
        using var metrics = new SelfMetrics(meter);
        string[] peers = ["a", "b"];
        meter.CreateObservableGauge("t_peer", () => peers.Select(p => new Measurement<int>(1, new KeyValuePair<string, object?>("peer", p))));
        Assert.Equal(2, metrics.Collect()[0].Samples.Count);
        peers = ["b"];
        Assert.Equal("b", Assert.Single(metrics.Collect()[0].Samples).Labels[0].Value);
    }

    [Fact]
    public void Series_beyond_the_bound_are_refused_and_counted()
    {
        using var meter = new Meter("bellwether");
        using var metrics = new SelfMetrics(meter);
        Counter<long> counter = meter.CreateCounter<long>("t_total");
        for (int i = 0; i < SelfMetrics.SeriesMax + 7; i++)
            counter.Add(1, new KeyValuePair<string, object?>("i", i));
        IReadOnlyList<ExposedFamily> families = metrics.Collect();
        Assert.Equal(SelfMetrics.SeriesMax, families.Single(f => f.Name == "t_total").Samples.Count);
        Assert.Equal(7, families.Single(f => f.Name == MetricNames.TelemetrySeriesRefused).Samples[0].Value);
    }

    [Fact]
    public void The_process_speaks_of_itself()
    {
        Dictionary<string, double> values = ProcessMetrics.Collect().ToDictionary(f => f.Name, f => f.Samples[0].Value);
        Assert.True(values["process_cpu_seconds_total"] > 0);
        Assert.True(values["process_resident_memory_bytes"] > 1 << 20);
        Assert.True(values["process_open_fds"] > 2);
        Assert.InRange(values["process_start_time_seconds"], TimeProvider.System.GetUtcNow().ToUnixTimeSeconds() - 86400, TimeProvider.System.GetUtcNow().ToUnixTimeSeconds() + 1);
    }

    private static string Text(SelfMetrics metrics)
    {
        var output = new ArrayBufferWriter<byte>();
        ExpositionWriter.Write(output, metrics.Collect(), ExpositionFormat.PrometheusText);
        return Encoding.UTF8.GetString(output.WrittenSpan);
    }
}
