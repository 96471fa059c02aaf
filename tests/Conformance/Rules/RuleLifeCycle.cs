using System.Diagnostics.Metrics;
using System.Globalization;
using System.Text.Json.Nodes;
using Bellwether.Conformance.Serve;
using Bellwether.Core.Model;
using Bellwether.Evaluate.PromQl;
using Bellwether.Evaluate.Rules;
using Bellwether.Kit;
using Microsoft.Extensions.Logging.Abstractions;

namespace Bellwether.Conformance.Rules;

/// <summary>Runs the rules of a recorded life cycle on virtual time and compares the API's answers and the stored series, but for absolute times.</summary>
internal sealed class RuleLifeCycle(string folder, TopicReport report)
{
    private const string Observed = "rules/lifecycle-2.42/observed.json";
    private const int Steps = 14;
    private static readonly string[] s_times = ["evaluationTime", "lastEvaluation", "activeAt"];

    private readonly SeriesInMemory _store = new();
    private readonly VirtualTime _time = new(TimeProvider.System.GetUtcNow());

    public void Run()
    {
        JsonNode observed = JsonNode.Parse(File.ReadAllText(Path.Combine(folder, "observed.json")))!;
        using var meter = new Meter("lifecycle");
        var around = new RuleSurroundings(new PromQlEngine(new EngineOptions(), _time), _store, _store, new Passed());
        var engine = new RuleEngine(around, new RuleEngineOptions { ExternalUrl = observed["settings"]!["external_url"]!.GetValue<string>() }, _time, meter, NullLogger.Instance);
        engine.Apply(RuleFiles.Parse(File.ReadAllText(Path.Combine(folder, "rules.yml")), "rules.yml", new RuleFileOptions()).Value!.Groups);
        for (int i = 0; i < Steps; i++)
        {
            engine.StepAsync(default).AsTask().GetAwaiter().GetResult();
            _time.Advance(TimeSpan.FromSeconds(1));
        }
        using var served = new ServedApi(_store, () => engine.Status);
        Compare("api_rules", observed["api_rules"]!, Get(served, "rules")["groups"]!);
        Compare("api_alerts", observed["api_alerts"]!, Get(served, "alerts")["alerts"]!);
        Compare("series_ALERTS", Series(observed["series_ALERTS"]!, withValue: true), Stored("ALERTS", withValue: true));
        Compare("series_ALERTS_FOR_STATE", Since(observed["series_ALERTS_FOR_STATE"]!), SinceStored());
        Compare("recorded", Series(observed["recorded"]!, withValue: true), new JsonArray([.. Stored("probe_source", true).Concat(Stored("rec:with:labels", true)).Select(n => n!.DeepClone())]));
    }

    private void Compare(string what, JsonNode expected, JsonNode got)
    {
        Strip(expected);
        Strip(got);
        if (JsonNode.DeepEquals(expected, got))
            report.Pass();
        else
            report.Fail(Observed, 0, what, expected.ToJsonString(), got.ToJsonString());
    }

    private static void Strip(JsonNode? node)
    {
        if (node is JsonArray array)
        {
            foreach (JsonNode? item in array)
                Strip(item);
        }
        if (node is not JsonObject some)
            return;
        foreach (string time in s_times)
            some.Remove(time);
        foreach ((_, JsonNode? value) in some)
            Strip(value);
    }

    private static JsonArray Series(JsonNode series, bool withValue) =>
        new([.. series.AsArray().Select(s => (JsonNode)One(s!["metric"]!.DeepClone(), withValue ? s["value"]![1]!.GetValue<string>() : ""))]);

    private JsonArray Stored(string metric, bool withValue) => new([.. Live(metric).Select(s => (JsonNode)One(Metric(s.Labels), withValue ? s.Value.ToString(CultureInfo.InvariantCulture) : ""))]);

    /// <summary>Since when, as seconds after the earliest: absolute times differ.</summary>
    private static JsonArray Since(JsonNode series)
    {
        double first = series.AsArray().Min(s => double.Parse(s!["value"]![1]!.GetValue<string>(), CultureInfo.InvariantCulture));
        return new([.. series.AsArray().Select(s => (JsonNode)One(s!["metric"]!.DeepClone(), (double.Parse(s["value"]![1]!.GetValue<string>(), CultureInfo.InvariantCulture) - first).ToString(CultureInfo.InvariantCulture)))]);
    }

    private JsonArray SinceStored()
    {
        List<SeriesSample> live = Live("ALERTS_FOR_STATE");
        double first = live.Min(s => s.Value);
        return new([.. live.Select(s => (JsonNode)One(Metric(s.Labels), (s.Value - first).ToString(CultureInfo.InvariantCulture)))]);
    }

    private List<SeriesSample> Live(string metric) => [.. _store.Named(metric).Select(l => _store.Of(l)[^1]).Where(s => !SpecialValues.IsStale(s.Value))];

    private static JsonObject One(JsonNode metric, string value) => new() { ["metric"] = metric, ["value"] = value };

    private static JsonObject Metric(Labels labels)
    {
        var metric = new JsonObject();
        foreach (ref readonly Label label in labels.AsSpan())
            metric[label.Name] = label.Value;
        return metric;
    }

    private static JsonNode Get(ServedApi served, string path) => JsonNode.Parse(served.Client.GetStringAsync(new Uri("/api/v1/" + path, UriKind.Relative)).GetAwaiter().GetResult())!["data"]!;

    private sealed class Passed : IIngestProgress
    {
        public long PassedMs => long.MaxValue;
    }
}
