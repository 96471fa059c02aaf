using System.Globalization;
using System.Text;
using Bellwether.Core.Model;
using Bellwether.Evaluate.PromQl.Syntax;

namespace Bellwether.Serve.QueryApi;

/// <summary>series, labels, label values, metadata.</summary>
internal sealed class SeriesEndpoints(QueryApiSources sources, QueryApiOptions options)
{
    internal const string Cut = "results truncated due to limit";

    public ApiAnswer Series(ApiParameters parameters, CancellationToken cancellation)
    {
        if (parameters.Many("match[]").Count == 0)
            return ApiAnswer.BadData("no match[] parameter provided");
        if (!TryCommon(parameters, error => ApiAnswer.BadParameter("match[]", error), out Request request, out ApiAnswer? wrong))
            return wrong!;
        var found = new SortedSet<Labels>();
        foreach (IReadOnlyList<LabelMatcher> matchers in request.EndMs < request.StartMs ? [] : request.Selectors)
        {
            using ISeriesSet set = sources.Reader.Select(request.StartMs, request.EndMs, matchers, cancellation);
            for (int i = 0; i < set.Count; i++)
                found.Add(set.LabelsAt(i));
        }
        bool cut = found.Count > request.Limit;
        return ApiAnswer.Ok(api =>
        {
            api.Json.WriteStartArray();
            foreach (Labels labels in found.Take(request.Limit))
                api.Labels(labels);
            api.Json.WriteEndArray();
        }, cut ? [Cut] : null);
    }

    public ApiAnswer Names(ApiParameters parameters, CancellationToken cancellation) =>
        Texts(parameters, (from, to, matchers) => sources.Reader.LabelNames(from, to, matchers, cancellation));

    public ApiAnswer Values(string name, ApiParameters parameters, CancellationToken cancellation)
    {
        name = Unescape(name);
        if (name.Length == 0)
            return ApiAnswer.BadData("invalid label name: \"\"");
        return Texts(parameters, (from, to, matchers) => sources.Reader.LabelValues(name, from, to, matchers, cancellation));
    }

    public ApiAnswer Metadata(ApiParameters parameters)
    {
        // Less than none is none.
        if (!parameters.TryLimit("limit", out int limit) && !int.TryParse(parameters.One("limit"), CultureInfo.InvariantCulture, out limit))
            return ApiAnswer.BadData("limit must be a number");
        if (!parameters.TryLimit("limit_per_metric", out int perMetric))
            return ApiAnswer.BadData("limit_per_metric must be a number");
        _ = perMetric;
        string metric = parameters.One("metric");
        var entries = new List<KeyValuePair<string, MetricMetadata>>();
        if (metric.Length > 0)
        {
            if (sources.Reader.Metadata(metric) is { } one)
                entries.Add(new(metric, one));
        }
        else
        {
            entries.AddRange(sources.Reader.AllMetadata().OrderBy(m => m.Key, StringComparer.Ordinal));
        }
        return ApiAnswer.Ok(api =>
        {
            api.Json.WriteStartObject();
            foreach ((string family, MetricMetadata metadata) in limit > 0 ? entries.Take(limit) : entries)
            {
                api.Json.WriteStartArray(family);
                api.Json.WriteStartObject();
                api.Json.WriteString("type", TypeWord(metadata.Type));
                api.Json.WriteString("help", metadata.Help);
                api.Json.WriteString("unit", metadata.Unit);
                api.Json.WriteEndObject();
                api.Json.WriteEndArray();
            }
            api.Json.WriteEndObject();
        });
    }

    /// <summary>Undoes the escaping of names that are not classic: <c>U__a_2e_b</c> is <c>a.b</c>, <c>__</c> is an underscore.</summary>
    public static string Unescape(string name)
    {
        if (!name.StartsWith("U__", StringComparison.Ordinal))
            return name;
        var text = new StringBuilder();
        for (int i = 3; i < name.Length; i++)
        {
            if (name[i] != '_')
            {
                text.Append(name[i]);
                continue;
            }
            if (i + 1 < name.Length && name[i + 1] == '_')
            {
                text.Append('_');
                i++;
                continue;
            }
            int end = name.IndexOf('_', i + 1);
            // What is no escape means that the name was never escaped.
            if (end < 0 || end - i - 1 is 0 or > 6 || !uint.TryParse(name.AsSpan(i + 1, end - i - 1), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out uint code) || !Rune.IsValid(code))
                return name;
            text.Append(new Rune(code));
            i = end;
        }
        return text.ToString();
    }

    private ApiAnswer Texts(ApiParameters parameters, Func<long, long, IReadOnlyList<LabelMatcher>, IReadOnlyList<string>> find)
    {
        if (!TryCommon(parameters, ApiAnswer.BadData, out Request request, out ApiAnswer? wrong))
            return wrong!;
        // Prometheus asks here which blocks both times touch, whichever comes first.
        if (request.EndMs < request.StartMs)
            request = request with { StartMs = request.EndMs, EndMs = request.StartMs };
        IReadOnlyList<string> found = request.Selectors.Count switch
        {
            0 => find(request.StartMs, request.EndMs, []),
            1 => find(request.StartMs, request.EndMs, request.Selectors[0]),
            _ => [.. request.Selectors.SelectMany(s => find(request.StartMs, request.EndMs, s)).Distinct().Order(Comparer<string>.Create(Utf8Order.Compare))],
        };
        return ApiAnswer.Ok(api =>
        {
            api.Json.WriteStartArray();
            foreach (string text in found.Take(request.Limit))
                api.Json.WriteStringValue(text);
            api.Json.WriteEndArray();
        }, found.Count > request.Limit ? [Cut] : null);
    }

    /// <summary>Reads what these endpoints share. <paramref name="refuse"/>: how Prometheus tells a wrong selector there; only series names the parameter.</summary>
    private bool TryCommon(ApiParameters parameters, Func<string, ApiAnswer> refuse, out Request request, out ApiAnswer? wrong)
    {
        request = default;
        if (!parameters.TrySeriesLimit(out int limit, out wrong))
            return false;
        if (!QueryEndpoints.TryBounds(parameters, out long startMs, out long endMs, out wrong))
            return false;
        var selectors = new List<IReadOnlyList<LabelMatcher>>();
        foreach (string text in parameters.Many("match[]"))
        {
            SelectorResult parsed = PromQlParser.ParseSeriesSelector(text, emptyAllowed: true);
            if (parsed.Matchers is null)
            {
                wrong = refuse(parsed.Errors[0].ToString());
                return false;
            }
            // A selector that an empty label set fits would select everything: Prometheus refuses it.
            if (parsed.Matchers.All(m => m.MatchesEmpty))
            {
                wrong = refuse("match[] must contain at least one non-empty matcher");
                return false;
            }
            selectors.Add(parsed.Matchers);
        }
        request = new Request(startMs, endMs, Math.Min(limit, options.EntriesMax), selectors);
        return true;
    }

    internal static string TypeWord(MetricType type) => type switch
    {
        MetricType.Counter => "counter",
        MetricType.Gauge => "gauge",
        MetricType.Histogram => "histogram",
        MetricType.GaugeHistogram => "gaugehistogram",
        MetricType.Summary => "summary",
        MetricType.Info => "info",
        MetricType.StateSet => "stateset",
        _ => "unknown",
    };

    private readonly record struct Request(long StartMs, long EndMs, int Limit, List<IReadOnlyList<LabelMatcher>> Selectors);
}
