using Bellwether.Core.Model;
using Bellwether.Evaluate.PromQl.Syntax;

namespace Bellwether.Serve.QueryApi;

/// <summary>query_exemplars: the exemplars of all series that a query's selectors name.</summary>
internal sealed class ExemplarEndpoint(QueryApiSources sources)
{
    public ApiAnswer Answer(ApiParameters parameters, CancellationToken cancellation)
    {
        if (!QueryEndpoints.TryBounds(parameters, out long startMs, out long endMs, out ApiAnswer? wrong))
            return wrong!;
        if (endMs < startMs)
            return ApiAnswer.BadData("end timestamp must not be before start timestamp");
        ParseResult parsed = PromQlParser.Parse(parameters.One("query"), sources.Engine.ParserOptions);
        if (parsed.Expr is null)
            return ApiAnswer.BadParameter("query", parsed.Errors[0].ToString());
        VectorSelector[] selectors = [.. ExprWalk.Selectors(parsed.Expr)];
        if (selectors.Length == 0)
            return ApiAnswer.NoContent;
        var found = new SortedDictionary<Labels, IReadOnlyList<Exemplar>>();
        foreach (VectorSelector selector in selectors)
        {
            foreach ((Labels labels, IReadOnlyList<Exemplar> exemplars) in sources.Exemplars?.Invoke(startMs, endMs, selector.Matchers, cancellation) ?? [])
                found[labels] = exemplars;
        }
        return ApiAnswer.Ok(api =>
        {
            api.Json.WriteStartArray();
            foreach ((Labels labels, IReadOnlyList<Exemplar> exemplars) in found)
                Series(api, labels, exemplars);
            api.Json.WriteEndArray();
        });
    }

    private static void Series(ApiJson api, Labels labels, IReadOnlyList<Exemplar> exemplars)
    {
        api.Json.WriteStartObject();
        api.Json.WritePropertyName("seriesLabels");
        api.Labels(labels);
        api.Json.WriteStartArray("exemplars");
        foreach (Exemplar exemplar in exemplars)
        {
            api.Json.WriteStartObject();
            api.Json.WritePropertyName("labels");
            api.Labels(exemplar.Labels);
            api.Json.WritePropertyName("value");
            api.Float(exemplar.Value);
            api.Json.WritePropertyName("timestamp");
            api.Timestamp(exemplar.TimestampMs ?? 0);
            api.Json.WriteEndObject();
        }
        api.Json.WriteEndArray();
        api.Json.WriteEndObject();
    }
}
