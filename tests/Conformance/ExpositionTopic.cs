using System.Text;
using System.Text.Json;
using Bellwether.Core.Exposition;

namespace Bellwether.Conformance;

/// <summary>exposition: real expositions in text and OpenMetrics read to the families expected, and merged textfiles.</summary>
internal sealed class ExpositionTopic : ITopic
{
    /// <inheritdoc/>
    public string Name => "exposition";

    /// <inheritdoc/>
    public void Run(string folder, TopicReport report)
    {
        using JsonDocument index = JsonDocument.Parse(File.ReadAllBytes(Path.Combine(folder, "index.json")));
        foreach (JsonElement entry in index.RootElement.EnumerateArray())
        {
            string file = entry.GetProperty("file").GetString()!;
            report.Case(file, 0, file, () => RunText(folder, file, entry, report));
        }
        foreach (string expected in Directory.GetFiles(Path.Combine(folder, "textfile-merge"), "*.out").Order(StringComparer.Ordinal))
            report.Case(Path.GetFileName(expected), 0, "merge", () => RunMerge(expected, report));
        foreach (string file in Directory.GetFiles(Path.Combine(folder, "protobuf"), "*.bin").Order(StringComparer.Ordinal))
            report.Case(Path.GetFileName(file), 0, "protobuf", () => RunProtobuf(file, report));
        report.Note("protobuf: names and counts of metrics are compared with the decoded text; application/openmetrics-protobuf is not read: Prometheus does not ask for it");
    }

    private static void RunMerge(string expected, TopicReport report)
    {
        string parent = Path.GetDirectoryName(expected)!, name = Path.GetFileNameWithoutExtension(expected);
        string[] folders = name == "glob_extra_dimension" ? Directory.GetDirectories(parent, "*_extra_dimension") : [Path.Combine(parent, name)];
        bool missing = folders.Any(f => !Directory.Exists(f));
        // The test upstream fixes all times to 1 and shows paths as in its own tree.
        List<Textfile> files = [.. folders.Where(Directory.Exists).SelectMany(f => Directory.GetFiles(f, "*.prom")).Order(StringComparer.Ordinal)
            .Select(f => new Textfile($"fixtures/textfile/{Path.GetFileName(Path.GetDirectoryName(f))}/{Path.GetFileName(f)}", File.ReadAllBytes(f), 1))];
        var output = new System.Buffers.ArrayBufferWriter<byte>();
        ExpositionWriter.Write(output, TextfileMerge.Merge(files, missing, out _), ExpositionFormat.PrometheusText);
        string[] got = Lines(Encoding.UTF8.GetString(output.WrittenSpan)), wanted = Lines(File.ReadAllText(expected));
        if (got.SequenceEqual(wanted))
            report.Pass();
        else
            report.Fail($"textfile-merge/{name}.out", 0, "merge", string.Join('\n', wanted.Except(got)), string.Join('\n', got.Except(wanted)));
    }

    private static void RunProtobuf(string file, TopicReport report)
    {
        string? error = ProtobufFamilies.Read(File.ReadAllBytes(file), out List<ExposedFamily> families);
        string[] decoded = File.ReadAllLines(Path.ChangeExtension(file, ".decoded.txt"));
        string wanted = string.Join(',', decoded.Where(l => l.StartsWith("name: ", StringComparison.Ordinal)).Select(l => l["name: ".Length..].Trim('"')));
        string got = error ?? string.Join(',', families.Select(f => f.Name));
        int metrics = decoded.Count(l => l == "metric {");
        int series = families.Sum(f => f.Samples.Select(s => string.Join(',', s.Labels.Where(l => l.Name is not ("le" or "quantile")))).Distinct().Count());
        if (wanted == got && metrics == series)
            report.Pass();
        else
            report.Fail(Path.GetFileName(file), 0, "protobuf", $"{wanted}; {metrics} metrics", $"{got}; {series} metrics");
    }

    /// <summary>The order of samples inside a family is the writer's own affair.</summary>
    private static string[] Lines(string text) => [.. text.Split('\n').Order(StringComparer.Ordinal)];

    private static void RunText(string folder, string file, JsonElement entry, TopicReport report)
    {
        byte[] body = File.ReadAllBytes(Path.Combine(folder, file));
        if (body.AsSpan().StartsWith(Encoding.UTF8.Preamble))
            body = body[Encoding.UTF8.Preamble.Length..];
        ExpositionFormat format = entry.GetProperty("format").GetString() == "openmetrics" ? ExpositionFormat.OpenMetricsText : ExpositionFormat.PrometheusText;
        ExpositionError? error = FamilyReader.Read(body, format, out List<ExposedFamily> families);
        if (error is not null)
        {
            report.Fail(file, error.Line, "read", "no error", error.ToString());
            return;
        }
        int samples = families.Sum(f => f.Samples.Count);
        if (samples != entry.GetProperty("samples").GetInt32())
        {
            report.Fail(file, 0, "samples", entry.GetProperty("samples").ToString(), samples.ToString(System.Globalization.CultureInfo.InvariantCulture));
            return;
        }
        string? difference = entry.TryGetProperty("expected", out JsonElement expected)
            ? FamilyCompare.Difference(Path.Combine(folder, expected.GetString()!), families, format == ExpositionFormat.PrometheusText)
            : null;
        if (difference is not null)
            report.Fail(file, 0, "content", expected.GetString()!, difference);
        else if (ScrapeDifference(body, format, samples) is { } scrape)
            report.Fail(file, 0, "scrape parser", $"{samples} samples", scrape);
        else
            report.Pass();
    }

    /// <summary>The scrape parser takes the same samples, at first sight and when it predicts them.</summary>
    private static string? ScrapeDifference(byte[] body, ExpositionFormat format, int samples)
    {
        var parser = new ScrapeParser("conformance", 1000, new IdentityMapper(), new ScrapeParserOptions());
        var tick = new Core.Codec.SourceTick();
        for (int round = 0; round < 2; round++)
        {
            parser.Grow(body.Length + 1);
            body.CopyTo(parser.Buffer, 0);
            tick.Begin(parser.Table, round);
            ScrapeResult result = parser.Parse(body.Length, format, tick);
            tick.Complete();
            int taken = tick.PresentCount + tick.Timed.Count + result.Duplicates;
            if (result.Error is not null || result.Scraped != samples || taken != samples)
                return $"round {round}: {result.Error ?? $"{result.Scraped} scraped, {taken} taken"}";
        }
        return null;
    }
}
