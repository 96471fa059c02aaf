using System.Globalization;
using System.Text.Json;
using Bellwether.Core.Exposition;

namespace Bellwether.Conformance;

/// <summary>openmetrics/parsers: the strict reader accepts exactly what OpenMetrics 1.0 allows, with the content expected.</summary>
internal sealed class OpenMetricsTopic : ITopic
{
    /// <inheritdoc/>
    public string Name => "openmetrics/parsers";

    /// <inheritdoc/>
    public void Run(string folder, TopicReport report)
    {
        int tolerated = 0;
        foreach (string dir in Directory.GetDirectories(folder).Order(StringComparer.Ordinal))
        {
            string name = Path.GetFileName(dir);
            report.Case($"{name}/metrics", 0, name, () =>
            {
                using JsonDocument test = JsonDocument.Parse(File.ReadAllBytes(Path.Combine(dir, "test.json")));
                bool should = test.RootElement.GetProperty("shouldParse").GetBoolean();
                byte[] body = File.ReadAllBytes(Path.Combine(dir, "metrics"));
                ExpositionError? error = FamilyReader.Read(body, ExpositionFormat.OpenMetricsText, out List<ExposedFamily> families, strict: true);
                if (!should && FamilyReader.Read(body, ExpositionFormat.OpenMetricsText, out _) is null)
                    tolerated++;
                if (should != (error is null))
                    report.Fail($"{name}/metrics", error?.Line ?? 0, name, should ? "parses" : "refused", error?.ToString() ?? "parsed");
                else if (should && FamilyCompare.Difference(Path.Combine(dir, "expected.json"), families, text: false) is { } difference)
                    report.Fail($"{name}/metrics", 0, name, "the content of expected.json", difference);
                else
                    report.Pass();
            });
        }
        report.Note($"{tolerated} of the bad cases pass the scrape parser, which like Prometheus checks no grouping, histogram consistency, name clashes, value ranges or exemplar places");
    }
}

/// <summary>Compares families with an expected.json.</summary>
internal static class FamilyCompare
{
    /// <summary>The first difference in words, or null.</summary>
    /// <param name="file">The expected content.</param>
    /// <param name="families">What was read.</param>
    /// <param name="text">Text format: the reference names counters without _total and their samples with it.</param>
    public static string? Difference(string file, IReadOnlyList<ExposedFamily> families, bool text)
    {
        using JsonDocument document = JsonDocument.Parse(File.ReadAllBytes(file));
        JsonElement[] expected = [.. document.RootElement.EnumerateArray()];
        if (expected.All(f => f.GetProperty("samples").GetArrayLength() > 0))
            families = [.. families.Where(f => f.Samples.Count > 0)];
        if (expected.Length != families.Count)
            return $"{families.Count} families, expected {expected.Length}";
        for (int i = 0; i < expected.Length; i++)
        {
            if (Difference(expected[i], families[i], text) is { } difference)
                return $"family {families[i].Name}: {difference}";
        }
        return null;
    }

    private static string? Difference(JsonElement expected, ExposedFamily family, bool text)
    {
        bool counter = text && expected.GetProperty("type").GetString() == "counter";
        string name = counter ? TrimTotal(family.Name) : family.Name;
        if (expected.GetProperty("name").GetString() != name)
            return $"name {name}, expected {expected.GetProperty("name")}";
        string type = family.Type.ToString().ToLowerInvariant();
        if (expected.GetProperty("type").GetString() != type)
            return $"type {type}, expected {expected.GetProperty("type")}";
        if (expected.GetProperty("help").GetString() != family.Help)
            return $"help '{family.Help}', expected '{expected.GetProperty("help")}'";
        if (expected.GetProperty("unit").GetString() != family.Unit)
            return $"unit '{family.Unit}', expected '{expected.GetProperty("unit")}'";
        JsonElement[] samples = [.. expected.GetProperty("samples").EnumerateArray()];
        if (samples.Length != family.Samples.Count)
            return $"{family.Samples.Count} samples, expected {samples.Length}";
        for (int i = 0; i < samples.Length; i++)
        {
            ExposedSample got = family.Samples[i];
            string sampleName = counter ? TrimTotal(got.Name) + "_total" : got.Name;
            if (samples[i].GetProperty("name").GetString() != sampleName)
                return $"sample {sampleName}, expected {samples[i].GetProperty("name")}";
            if (!SameLabels(samples[i].GetProperty("labels"), got.Labels))
                return $"sample {i} of {sampleName}: labels {string.Join(",", got.Labels)}, expected {samples[i].GetProperty("labels")}";
            if (!SameNumber(samples[i].GetProperty("value"), got.Value))
                return $"sample {i} of {sampleName}: value {got.Value}, expected {samples[i].GetProperty("value")}";
            if (!SameTime(samples[i], got.TimestampSeconds))
                return $"sample {i} of {sampleName}: timestamp {got.TimestampSeconds}";
            if (ExemplarDifference(samples[i], got.Exemplar) is { } difference)
                return $"sample {i} of {sampleName}: {difference}";
        }
        return null;
    }

    private static string? ExemplarDifference(JsonElement sample, ExposedExemplar? got)
    {
        if (!sample.TryGetProperty("exemplar", out JsonElement expected) || expected.ValueKind == JsonValueKind.Null)
            return got is null ? null : "has an exemplar, expected none";
        if (got is null)
            return "has no exemplar, expected one";
        bool same = SameLabels(expected.GetProperty("labels"), got.Labels) && SameNumber(expected.GetProperty("value"), got.Value) && SameTime(expected, got.TimestampSeconds);
        return same ? null : $"exemplar {got}, expected {expected}";
    }

    private static bool SameLabels(JsonElement expected, IReadOnlyList<Core.Model.Label> got)
    {
        Dictionary<string, string?> wanted = expected.EnumerateObject().ToDictionary(p => p.Name, p => p.Value.GetString());
        return wanted.Count == got.Count && got.All(l => wanted.TryGetValue(l.Name, out string? value) && value == l.Value);
    }

    private static bool SameNumber(JsonElement expected, double got)
    {
        string text = expected.ValueKind == JsonValueKind.String ? expected.GetString()! : expected.GetRawText();
        return FloatText.TryParse(System.Text.Encoding.UTF8.GetBytes(text), out double value) && (value.Equals(got) || value == got);
    }

    private static bool SameTime(JsonElement owner, decimal? got)
    {
        if (!owner.TryGetProperty("timestamp", out JsonElement expected) || expected.ValueKind == JsonValueKind.Null)
            return got is null;
        string text = expected.ValueKind == JsonValueKind.String ? expected.GetString()! : expected.GetRawText();
        return got == decimal.Parse(text, NumberStyles.Float, CultureInfo.InvariantCulture);
    }

    private static string TrimTotal(string name) => name.EndsWith("_total", StringComparison.Ordinal) ? name[..^"_total".Length] : name;
}
