using System.Globalization;
using System.Text;
using Bellwether.Core.Model;
using Bellwether.Core.Platform;
using Bellwether.Kit;
using Bellwether.Store.Exchange;

namespace Bellwether.Aggregator.Tests.Store.Exchange;

public sealed class OpenMetricsExchangeTests : IDisposable
{
    private readonly string _path = Path.GetTempFileName();

    public void Dispose() => File.Delete(_path);

    [Fact]
    public void A_time_is_written_so_that_cutting_gives_the_same_ms()
    {
        var random = new Random(3);
        for (int i = 0; i < 200_000; i++)
        {
            long ms = i < 2000 ? i - 1000 : random.NextInt64(-10_000_000_000_000, 10_000_000_000_000);
            Assert.Equal(ms, (long)(double.Parse(OpenMetricsExport.TimeText(ms), CultureInfo.InvariantCulture) * 1000));
        }
    }

    [Fact]
    public void Values_names_and_times_come_back_to_the_bit_in_pieces_of_any_size()
    {
        var random = new Random(4);
        var text = new StringBuilder("# HELP a_seconds Help with a \\\\ and a \\n.\n# TYPE a_seconds gauge\n# UNIT a_seconds seconds\n");
        var expected = new List<(string, long, long)>();
        for (int s = 0; s < 30; s++)
        {
            Labels labels = Labels.Of("__name__", s % 2 == 0 ? "a_seconds" : "odd.name", "i", s + "\\\"\n", "odd label", new string('x', s * 3000));
            for (int i = 0; i < 100; i++)
            {
                double value = i == 0 ? -0.0 : BitConverter.Int64BitsToDouble(random.NextInt64(long.MinValue, long.MaxValue));
                if (double.IsNaN(value))
                    value = BitConverter.UInt64BitsToDouble(SpecialValues.NormalNaNBits);
                long ms = 1_790_000_000_000 + (i * 15_001L);
                string name = s % 2 == 0 ? $"a_seconds{{i=\"{s}\\\\\\\"\\n\"" : $"{{\"odd.name\",i=\"{s}\\\\\\\"\\n\"";
                text.Append(CultureInfo.InvariantCulture, $"{name},\"odd label\"=\"{new string('x', s * 3000)}\"}} {Core.Exposition.FloatText.ToText(value)} {OpenMetricsExport.TimeText(ms)}\n");
                expected.Add((labels.ToString(), ms, BitConverter.DoubleToInt64Bits(value)));
            }
        }
        File.WriteAllText(_path, text.Append("# EOF\n").ToString());
        var got = new List<(string, long, long)>();
        List<(string, MetricMetadata)> metadata = Read(batch => got.AddRange(batch.Samples.Select(x => (x.Labels.ToString(), x.TimestampMs, BitConverter.DoubleToInt64Bits(x.Value)))));
        // In order of time within a series; batches hold several series.
        Assert.Equal(expected.Order(), got.Order());
        Assert.Equal(("a_seconds", new MetricMetadata(MetricType.Gauge, "Help with a \\ and a \n.", "seconds")), metadata[^1]);
    }

    [Fact]
    public async Task An_export_leaves_out_and_counts_what_the_text_cannot_hold()
    {
        var series = new SeriesInMemory();
        Labels labels = Labels.Of("__name__", "m", "a", "1");
        var batch = new SampleBatch();
        batch.Samples.Add(new SeriesSample(labels, 1000, 1.5));
        batch.Samples.Add(new SeriesSample(labels, 2000, SpecialValues.StaleMarker));
        batch.Samples.Add(new SeriesSample(labels, 3001, 0, new NativeHistogram { Count = 1 }));
        batch.Samples.Add(new SeriesSample(Labels.Of("a", "nameless"), 1000, 1));
        await series.AppendAsync(batch, CancellationToken.None);
        using var output = new MemoryStream();
        using var export = new OpenMetricsExport(output);
        export.Write(series, new ExportRange([], 0, 10_000), (_, _) => { }, CancellationToken.None);
        Assert.Equal("m{a=\"1\"} 1.5 1\n# EOF\n", Encoding.UTF8.GetString(output.ToArray()));
        Assert.Equal((1L, 1L, 1L, 1L, 1L), (export.Result.Series, export.Result.Samples, export.Result.StaleMarkersLeftOut, export.Result.HistogramsLeftOut, export.Result.NamelessLeftOut));
    }

    [Theory]
    [InlineData("m 1 1000\n", "does not end with '# EOF'")]
    [InlineData("", "does not end with '# EOF'")]
    [InlineData("m 1\n# EOF\n", "line 1, column 3: the sample has no timestamp")]
    [InlineData("m 1 1\nm{a=\"1\",a=\"2\"} 1 1\n# EOF\n", "line 2, column 1: the label a stands twice")]
    [InlineData("m 1 1\nm 1,5 1\n# EOF\n", "line 2, column")]
    [InlineData("m 1 1\n# EOF\nm 1 2\n", "data after '# EOF'")]
    [InlineData("# TYPE m wrong\n# EOF\n", "invalid metric type 'wrong'")]
    public void A_wrong_text_is_told_with_its_line_and_what_came_before_is_taken(string text, string reason)
    {
        File.WriteAllText(_path, text);
        int samples = 0;
        string message = Assert.Throws<InvalidDataException>(() => Read(batch => samples += batch.Samples.Count)).Message;
        Assert.Contains(reason, message, StringComparison.Ordinal);
        Assert.StartsWith(_path, message, StringComparison.Ordinal);
        Assert.Equal(text.StartsWith("m 1 1", StringComparison.Ordinal) ? 1 : 0, samples);
    }

    private List<(string, MetricMetadata)> Read(Action<SampleBatch> take)
    {
        using OpenMetricsImportSource source = OpenMetricsImportSource.Open(new OsDisk(), _path, 0, _ => null);
        var metadata = new List<(string, MetricMetadata)>();
        var batch = new SampleBatch();
        while (source.Next(batch))
        {
            take(batch);
            metadata.AddRange(batch.Metadata);
            batch = new SampleBatch();
        }
        return metadata;
    }
}
