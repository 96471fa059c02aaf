using System.Buffers;
using System.Diagnostics;
using System.Text;
using Bellwether.Core.Exposition;
using Bellwether.Core.Model;

namespace Bellwether.Core.Tests.Exposition;

public class ExpositionWriterTests
{
    private static readonly ExposedFamily[] Families =
    [
        new("orders_total", MetricType.Counter, "Orders \"taken\"\nper \\ shop.", "", [new("orders_total", [new("shop", "no\"rt\\h\n")], 12) { Exemplar = new([new("trace_id", "x")], 1, 1.5m) }]),
        new("queue_seconds", MetricType.Gauge, "Wait.", "seconds", [new("queue_seconds", [], double.NaN), new("queue_seconds", [new("q", "é")], double.PositiveInfinity)]),
        new("size_bytes", MetricType.Histogram, "Sizes.", "bytes",
            [new("size_bytes_bucket", [new("le", "1.0")], 1), new("size_bytes_bucket", [new("le", "+Inf")], 2), new("size_bytes_sum", [], 3e6), new("size_bytes_count", [], 2)]),
    ];

    [Fact]
    public void Text_is_written_with_its_escapes()
    {
        Assert.Equal(
            "# HELP orders_total Orders \"taken\"\\nper \\\\ shop.\n# TYPE orders_total counter\norders_total{shop=\"no\\\"rt\\\\h\\n\"} 12\n"
            + "# HELP queue_seconds Wait.\n# TYPE queue_seconds gauge\nqueue_seconds NaN\nqueue_seconds{q=\"é\"} +Inf\n"
            + "# HELP size_bytes Sizes.\n# TYPE size_bytes histogram\nsize_bytes_bucket{le=\"1.0\"} 1\nsize_bytes_bucket{le=\"+Inf\"} 2\nsize_bytes_sum 3e+06\nsize_bytes_count 2\n",
            Written(Families, ExpositionFormat.PrometheusText));
    }

    [Fact]
    public void OpenMetrics_drops_total_from_the_family_and_has_units_exemplars_and_an_end()
    {
        string text = Written(Families, ExpositionFormat.OpenMetricsText);
        Assert.StartsWith("# HELP orders Orders \\\"taken\\\"\\nper \\\\ shop.\n# TYPE orders counter\norders_total{shop=\"no\\\"rt\\\\h\\n\"} 12 # {trace_id=\"x\"} 1 1.5\n", text, StringComparison.Ordinal);
        Assert.Contains("# UNIT queue_seconds seconds\n", text, StringComparison.Ordinal);
        Assert.EndsWith("# EOF\n", text, StringComparison.Ordinal);
    }

    [Fact]
    public void Names_outside_the_alphabet_are_quoted() =>
        Assert.Equal("# TYPE \"my.metric\" gauge\n{\"my.metric\",\"a.b\"=\"c\"} 1\n",
            Written([new("my.metric", MetricType.Gauge, "", "", [new("my.metric", [new("a.b", "c")], 1)])], ExpositionFormat.PrometheusText));

    [Theory]
    [InlineData(ExpositionFormat.PrometheusText)]
    [InlineData(ExpositionFormat.OpenMetricsText)]
    public void What_is_written_parses_to_the_same(ExpositionFormat format)
    {
        var b = new Bodies();
        Assert.Null(b.Scrape(Written(Families, format), format).Error);
        Assert.Contains("orders_total{shop=\"no\\\"rt\\\\h\\n\"} 12", b.Shown());
        Assert.Equal(7, b.Tick.PresentCount);
    }

    [Theory]
    [InlineData(null, ExpositionFormat.PrometheusText)]
    [InlineData("*/*", ExpositionFormat.PrometheusText)]
    [InlineData("text/html", ExpositionFormat.PrometheusText)]
    [InlineData(ExpositionContent.Accept, ExpositionFormat.OpenMetricsText)]
    [InlineData("application/openmetrics-text;version=1.0.0;q=0.2,text/plain;q=0.9", ExpositionFormat.PrometheusText)]
    [InlineData("application/openmetrics-text", ExpositionFormat.OpenMetricsText)]
    public void The_answer_follows_the_Accept_header(string? accept, ExpositionFormat expected) => Assert.Equal(expected, ExpositionContent.Negotiate(accept));

    [Theory]
    [InlineData("text/plain", ExpositionFormat.PrometheusText)]
    [InlineData("text/plain; version=0.0.4; charset=utf-8", ExpositionFormat.PrometheusText)]
    [InlineData("application/openmetrics-text; version=1.0.0", ExpositionFormat.OpenMetricsText)]
    [InlineData("application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited", ExpositionFormat.PrometheusProtobuf)]
    [InlineData("application/json", null)]
    [InlineData("", null)]
    [InlineData(null, null)]
    public void The_parser_follows_the_Content_Type(string? type, ExpositionFormat? expected) => Assert.Equal(expected, ExpositionContent.FromContentType(type));

    [Fact]
    public void Promtool_accepts_our_text()
    {
        const string Promtool = "/usr/bin/promtool";
        var info = new ProcessStartInfo(Promtool, "check metrics") { RedirectStandardInput = true, RedirectStandardOutput = true, RedirectStandardError = true };
        using Process process = Process.Start(info)!;
        process.StandardInput.Write(Written(Families, ExpositionFormat.PrometheusText));
        process.StandardInput.Close();
        string output = process.StandardOutput.ReadToEnd() + process.StandardError.ReadToEnd();
        process.WaitForExit();
        Assert.True(process.ExitCode == 0, output);
    }

    private static string Written(ExposedFamily[] families, ExpositionFormat format)
    {
        var output = new ArrayBufferWriter<byte>();
        ExpositionWriter.Write(output, families, format);
        return Encoding.UTF8.GetString(output.WrittenSpan);
    }
}
