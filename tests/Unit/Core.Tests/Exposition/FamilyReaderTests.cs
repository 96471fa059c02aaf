using System.Buffers;
using System.Text;
using Bellwether.Core.Exposition;
using Bellwether.Core.Model;

namespace Bellwether.Core.Tests.Exposition;

public class FamilyReaderTests
{
    [Fact]
    public void Text_is_grouped_by_its_TYPE_lines()
    {
        List<ExposedFamily> families = Read("# HELP h Times.\n# TYPE h histogram\nh_bucket{le=\"1\"} 1\nh_bucket{le=\"+Inf\"} 2\nh_sum 3\nh_count 2\nother 5 1500\n", ExpositionFormat.PrometheusText);
        Assert.Equal(["h", "other"], families.Select(f => f.Name));
        Assert.Equal(4, families[0].Samples.Count);
        Assert.Equal((MetricType.Histogram, "Times."), (families[0].Type, families[0].Help));
        Assert.Equal(1.5m, families[1].Samples[0].TimestampSeconds);
    }

    [Theory]
    [InlineData("# TYPE s stateset\ns{s=\"on\"} 1\ns{s=\"off\"} 0\n# EOF\n", null)]
    [InlineData("# TYPE s stateset\ns{s=\"on\"} 0.5\n# EOF\n", "0 or 1")]
    [InlineData("# TYPE b info\nb_info{v=\"1\"} 1\nb_info{v=\"2\"} 1\n# EOF\n", null)]
    [InlineData("# TYPE c counter\nc_total{x=\"1\"} 1\nc_total{x=\"2\"} 1\nc_total{x=\"1\"} 2\n# EOF\n", "stand together")]
    [InlineData("# TYPE c counter\nc_total 5\nc_total 6\n# EOF\n", "twice without timestamps")]
    [InlineData("# TYPE c counter\nc_total 5 10\nc_total 6 20\n# EOF\n", null)]
    [InlineData("# TYPE c counter\nc_total 5 20\nc_total 6 10\n# EOF\n", "do not go back")]
    [InlineData("# TYPE c counter\nc_total 5\nc_total 6 10\n# EOF\n", "or none")]
    [InlineData("# TYPE c counter\nc_total Inf\n# EOF\n", null)]
    [InlineData("# TYPE c counter\nc 1\n# EOF\n", "clashes")]
    [InlineData("# TYPE c counter\nc_total 1\nc_created 9\n# TYPE c_total gauge\nc_total 1\n# EOF\n", "clashes")]
    [InlineData("# TYPE h histogram\nh_bucket{le=\"1\"} 2\nh_bucket{le=\"+Inf\"} 1\n# EOF\n", "cumulative")]
    [InlineData("# TYPE h histogram\nh_bucket{le=\"1\"} 2\n# EOF\n", "is missing")]
    [InlineData("# TYPE h histogram\nh_bucket{le=\"+Inf\"} 2\nh_sum 1\nh_count 3\n# EOF\n", "not that of the bucket")]
    [InlineData("# TYPE h gaugehistogram\nh_bucket{le=\"-1\"} 2\nh_bucket{le=\"+Inf\"} 2\nh_gsum -5\nh_gcount 2\n# EOF\n", null)]
    [InlineData("# TYPE h histogram\nh_bucket{le=\"-1\"} 2\nh_bucket{le=\"+Inf\"} 2\nh_sum 5\nh_count 2\n# EOF\n", "has no sum")]
    [InlineData("# TYPE q summary\nq{quantile=\"0.5\"} -3\nq_sum 1\nq_count 2\n# EOF\n", null)]
    [InlineData("# TYPE q summary\nq{quantile=\"2\"} 1\n# EOF\n", "from 0 to 1")]
    [InlineData("{\"quoted.name\"} 1\n# EOF\n", "quoted")]
    [InlineData("a{b=\"1\",} 1\n# EOF\n", "comma")]
    [InlineData("a 1\n", "# EOF")]
    [InlineData("# EOF\n# EOF\n", "after '# EOF'")]
    [InlineData("# EOF", null)]
    public void Strict_OpenMetrics_takes_what_the_specification_allows_and_nothing_else(string body, string? reason)
    {
        ExpositionError? error = FamilyReader.Read(Encoding.UTF8.GetBytes(body), ExpositionFormat.OpenMetricsText, out _, strict: true);
        if (reason is null)
            Assert.Null(error);
        else
            Assert.Contains(reason, error!.Reason, StringComparison.Ordinal);
    }

    [Fact]
    public void Exemplar_labels_are_counted_in_code_points()
    {
        Assert.Null(FamilyReader.Read(Exemplar(new string('é', 127)), ExpositionFormat.OpenMetricsText, out _, strict: true));
        Assert.Contains("129 characters", FamilyReader.Read(Exemplar(new string('é', 128)), ExpositionFormat.OpenMetricsText, out _, strict: true)!.Reason, StringComparison.Ordinal);
        static byte[] Exemplar(string value) => Encoding.UTF8.GetBytes($"# TYPE c counter\nc_total 1 # {{t=\"{value}\"}} 1\n# EOF\n");
    }

    [Fact]
    public void What_is_written_as_OpenMetrics_is_strictly_right_and_reads_back()
    {
        ExposedFamily[] families =
        [
            new("orders", MetricType.Counter, "Orders \"taken\"\n\\.", "", [new("orders_total", [new("a", "b\"\\\n")], 3) { TimestampSeconds = 12.5m, Exemplar = new([new("t", "x")], 2, 1.25m) }]),
            new("wait_seconds", MetricType.Gauge, "W.", "seconds", [new("wait_seconds", [], -0.5)]),
            new("b", MetricType.Info, "", "", [new("b_info", [new("v", "1")], 1)]),
        ];
        var output = new ArrayBufferWriter<byte>();
        ExpositionWriter.Write(output, families, ExpositionFormat.OpenMetricsText);
        Assert.Null(FamilyReader.Read(output.WrittenSpan.ToArray(), ExpositionFormat.OpenMetricsText, out List<ExposedFamily> back, strict: true));
        Assert.Equal(families.Select(f => (f.Name, f.Type, f.Help, f.Unit)), back.Select(f => (f.Name, f.Type, f.Help, f.Unit)));
        Assert.Equal("b\"\\\n", back[0].Samples[0].Labels[0].Value);
        Assert.Equal(12.5m, back[0].Samples[0].TimestampSeconds);
        Assert.Equal(1.25m, back[0].Samples[0].Exemplar!.TimestampSeconds);
        Assert.Equal(-0.5, back[1].Samples[0].Value);
    }

    private static List<ExposedFamily> Read(string body, ExpositionFormat format)
    {
        Assert.Null(FamilyReader.Read(Encoding.UTF8.GetBytes(body), format, out List<ExposedFamily> families));
        return families;
    }
}
