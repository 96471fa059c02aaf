using System.Globalization;
using System.Text.Json;
using Bellwether.Core.Model;
using Bellwether.Evaluate.PromQl.Syntax;

namespace Bellwether.Serve.QueryApi;

/// <summary>
/// targets/metadata: the metric families of each target. Agents tell families without their target, so a target's families are those of the series that it has now. Families of series
/// that rules gave other labels than the target's are not among them. Source: prometheus.io/docs/prometheus/latest/querying/api/ (Querying target metadata), and a Prometheus 2.42's answers.
/// </summary>
internal sealed class TargetMetadataEndpoint(QueryApiSources sources, TimeProvider time)
{
    /// <summary>A target's series are looked for this far before its last scrape.</summary>
    private const long LookbackMs = 300_000;

    public ApiAnswer Answer(ApiParameters parameters, CancellationToken cancellation)
    {
        int limit = -1;
        if (parameters.One("limit") is { Length: > 0 } text && !int.TryParse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out limit))
            return ApiAnswer.BadData("limit must be a number");
        IReadOnlyList<LabelMatcher> asked = [];
        if (parameters.One("match_target") is { Length: > 0 } selector)
        {
            SelectorResult parsed = PromQlParser.ParseSeriesSelector(selector, emptyAllowed: true);
            if (parsed.Matchers is null)
                return ApiAnswer.BadParameter("match_target", parsed.Errors[0].ToString());
            asked = parsed.Matchers;
        }
        string metric = parameters.One("metric");
        IReadOnlyDictionary<string, MetricMetadata> known = sources.Reader.AllMetadata();
        var found = new List<(Labels Target, string Family)>();
        if (metric.Length == 0 || known.ContainsKey(metric))
        {
            foreach (TargetStatus target in (sources.Targets?.Targets() ?? []).Where(t => t.Labels.Count > 0 && asked.All(m => m.Matches(t.Labels))).OrderBy(t => t.Job, StringComparer.Ordinal).ThenBy(t => t.Labels))
            {
                // As in Prometheus, a target is told whole or not at all.
                if (limit >= 0 && found.Count >= limit)
                    break;
                found.AddRange(FamiliesOf(target, known, cancellation).Where(f => metric.Length == 0 || f == metric).Select(f => (target.Labels, f)));
            }
        }
        return ApiAnswer.Ok(api =>
        {
            api.Json.WriteStartArray();
            foreach ((Labels target, string family) in found)
                Write(api, target, metric.Length > 0 ? "" : family, known[family]);
            api.Json.WriteEndArray();
        });
    }

    private SortedSet<string> FamiliesOf(TargetStatus target, IReadOnlyDictionary<string, MetricMetadata> known, CancellationToken cancellation)
    {
        long nowMs = time.GetUtcNow().ToUnixTimeMilliseconds();
        long fromMs = (target.LastScrapeMs > 0 ? Math.Min(target.LastScrapeMs, nowMs) : nowMs) - LookbackMs;
        LabelMatcher[] own = [.. target.Labels.AsSpan().ToArray().Select(l => new LabelMatcher(Core.Model.MatchType.Equal, l.Name, l.Value))];
        var families = new SortedSet<string>(StringComparer.Ordinal);
        foreach (string name in sources.Reader.LabelValues(LabelNames.MetricName, fromMs, nowMs, own, cancellation))
        {
            if (FamilyNames.Find(known, name) is { } family)
                families.Add(family);
        }
        return families;
    }

    private static void Write(ApiJson api, Labels target, string family, MetricMetadata metadata)
    {
        Utf8JsonWriter json = api.Json;
        json.WriteStartObject();
        json.WritePropertyName("target");
        api.Labels(target);
        if (family.Length > 0)
            json.WriteString("metric", family);
        json.WriteString("type", SeriesEndpoints.TypeWord(metadata.Type));
        json.WriteString("help", metadata.Help);
        json.WriteString("unit", metadata.Unit);
        json.WriteEndObject();
    }
}
