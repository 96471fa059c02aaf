using Bellwether.Core.Configuration;
using Bellwether.Core.Model;
using Bellwether.Evaluate.Kpi;
using Bellwether.Evaluate.PromQl;
using Bellwether.Evaluate.Rules.Healing;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;
using MatchType = Bellwether.Core.Model.MatchType;

namespace Bellwether.Serve.Rest;

/// <summary>What the KPI endpoints stand on.</summary>
/// <param name="Book">The KPIs.</param>
/// <param name="Engine">Evaluates.</param>
/// <param name="Reader">The data.</param>
/// <param name="Coverage">How complete the data is.</param>
public sealed record KpiSources(KpiBook Book, PromQlEngine Engine, ISeriesReader Reader, ICoverageSource Coverage)
{
    /// <summary>The reasons of corrected results; null: none are known.</summary>
    public HealBook? Heals { get; init; }

    /// <summary>Says whether numbers are final; null: nobody does.</summary>
    public FinalityJudge? Finality { get; init; }
}

/// <summary><c>GET /api/v1/kpis</c>, <c>/api/v1/kpis/{name}</c> and <c>/api/v1/kpis/{name}/explain</c> (docs/kpis.md, /api/v1/openapi.json). Thread-safe.</summary>
public sealed class KpiEndpoints
{
    private const int CorrectionsMax = 240;
    private const long DefaultRangeMs = 3_600_000;
    private readonly KpiSources _sources;
    private readonly TimeProvider _time;
    private readonly KpiExplainer _explainer;

    /// <summary>Endpoints over what the host hands over.</summary>
    public KpiEndpoints(KpiSources sources, TimeProvider time)
    {
        _sources = sources;
        _time = time;
        _explainer = new KpiExplainer(sources.Engine, sources.Reader, sources.Coverage, sources.Book.Recording);
    }

    /// <summary>Maps the endpoints.</summary>
    public void Map(IEndpointRouteBuilder routes)
    {
        routes.MapMethods("/api/v1/kpis", ["GET", "HEAD"], (HttpContext c) => List(c).SendAsync(c)).WithProblems();
        routes.MapMethods("/api/v1/kpis/{name}", ["GET", "HEAD"], (HttpContext c) => One(c).SendAsync(c)).WithProblems();
        routes.MapMethods("/api/v1/kpis/{name}/explain", ["GET", "HEAD"], (HttpContext c) => Explain(c).SendAsync(c)).WithProblems();
    }

    private RestAnswer List(HttpContext context)
    {
        var parameters = new RestParameters(context.Request.Query);
        int limit = parameters.Limit();
        long at = parameters.Time("time", NowMs);
        if (parameters.Wrong is { } wrong)
            return wrong;
        string owner = parameters.One("owner"), audience = parameters.One("audience"), state = parameters.One("state"), after = parameters.One("after");
        if (state.Length > 0 && !Enum.GetValues<KpiState>().Select(KpiJson.Word<KpiState>).Contains(state))
            return RestAnswer.BadParameter("state", $"'{state}' is no state; there are: {string.Join(", ", Enum.GetValues<KpiState>().Select(KpiJson.Word<KpiState>))}");
        List<KpiDefinition> asked = [.. _sources.Book.Kpis.Where(k =>
            (owner.Length == 0 || k.Owner == owner) && (audience.Length == 0 || k.Audience.Contains(audience)) && string.CompareOrdinal(k.Name, after) > 0)];
        var shown = new List<(KpiDefinition Kpi, KpiReadout Now)>();
        foreach (KpiDefinition kpi in asked)
        {
            KpiReadout now = Read(kpi, at, context.RequestAborted);
            if (state.Length == 0 || KpiJson.Word(now.State) == state)
                shown.Add((kpi, now));
            if (shown.Count > limit)
                break;
        }
        return RestAnswer.Ok(json =>
        {
            json.WriteStartObject();
            RestJson.Time(json, "time", at);
            json.WriteStartArray("kpis");
            foreach ((KpiDefinition kpi, KpiReadout now) in shown.Take(limit))
            {
                json.WriteStartObject();
                KpiJson.Kpi(json, kpi, now);
                json.WriteEndObject();
            }
            json.WriteEndArray();
            json.WriteString("next", shown.Count > limit ? shown[limit - 1].Kpi.Name : null);
            json.WriteEndObject();
        });
    }

    private RestAnswer One(HttpContext context)
    {
        if (Find(context, out KpiDefinition kpi) is { } missing)
            return missing;
        var parameters = new RestParameters(context.Request.Query);
        int limit = parameters.Limit();
        long end = parameters.Time("end", NowMs), start = parameters.Time("start", end - DefaultRangeMs);
        long step = parameters.Step(start, end, Math.Max(1_000, (end - start) / 240 / 1_000 * 1_000));
        if (parameters.Wrong is { } wrong)
            return wrong;
        if (RecordOf(kpi, parameters.One("by"), out string record) is { } noSuchBreakDown)
            return noSuchBreakDown;
        // The grid lies on multiples of the step, so that an answer asked again a moment later has the same points.
        start -= start % step;
        QueryResult history = _sources.Engine.Range(_sources.Reader, record, start, end, step, context.RequestAborted);
        if (history.Error is { } error)
            return RestAnswer.Problem(error.Kind == QueryErrorKind.Timeout ? StatusCodes.Status503ServiceUnavailable : StatusCodes.Status422UnprocessableEntity, "the history cannot be read", error.Message);
        KpiReadout now = Read(kpi, end, context.RequestAborted);
        var corrections = Corrections.Read(_sources.Reader, [new LabelMatcher(MatchType.Equal, LabelNames.MetricName, record)], start, end, _sources.Heals, CorrectionsMax, context.RequestAborted);
        string after = parameters.One("after");
        List<ResultSeries> series = [.. history.Series.Where(s => after.Length == 0 || string.CompareOrdinal(Key(s.Labels), after) > 0).OrderBy(s => Key(s.Labels), StringComparer.Ordinal).Take(limit + 1)];
        return RestAnswer.Ok(json =>
        {
            json.WriteStartObject();
            KpiJson.Kpi(json, kpi, now);
            RestJson.Time(json, "start", start);
            RestJson.Time(json, "end", end);
            json.WriteNumber("stepSeconds", step / 1000.0);
            json.WriteString("by", parameters.One("by"));
            KpiJson.History(json, kpi, series.Take(limit));
            RestJson.Corrections(json, corrections.Newest, corrections.All);
            KpiJson.Versions(json, _sources.Book.Versions(kpi.Name));
            json.WriteString("next", series.Count > limit ? Key(series[limit - 1].Labels) : null);
            json.WriteEndObject();
        });
    }

    private RestAnswer Explain(HttpContext context)
    {
        var parameters = new RestParameters(context.Request.Query);
        string name = (string)context.Request.RouteValues["name"]!;
        if (_sources.Book.Versions(name).Count == 0)
            return NoSuchKpi(name);
        long at = parameters.Time("time", NowMs);
        if (parameters.Wrong is { } wrong)
            return wrong;
        if (MadeBy(name, at, out HealEntry? heal) is not { } version)
            return RestAnswer.Problem(StatusCodes.Status404NotFound, "no such definition", $"at {RestJson.TimeText(at)} the KPI '{name}' was not defined; its first version counts from {RestJson.TimeText(_sources.Book.Versions(name)[0].FromMs)}");
        KpiExplanation explanation = _explainer.Explain(version, at, context.RequestAborted);
        KpiDefinition? kpi = _sources.Book.Find(name);
        ExactReadout? exact = kpi?.Exact is null ? null : ReadExact(kpi, explanation.StepMs, context.RequestAborted);
        return RestAnswer.Ok(json =>
        {
            json.WriteStartObject();
            KpiJson.Explanation(json, (name, kpi, at), explanation, exact);
            if (heal is null)
                json.WriteNull("heal");
            else
                json.WriteNumber("heal", heal.Id);
            json.WriteEndObject();
        });
    }

    /// <summary>
    /// The version that made the number of a time: the one of that time, unless the number was made later, by a backfill or when a sealed period was opened again: then that of the day on which this was done.
    /// </summary>
    private KpiVersion? MadeBy(string name, long at, out HealEntry? heal)
    {
        KpiVersion? version = _sources.Book.VersionAt(name, at);
        KpiVersion known = version ?? _sources.Book.Versions(name)[0];
        long step = known.IntervalMs <= 0 ? at : at - (at % known.IntervalMs);
        heal = _sources.Heals?.Newest().FirstOrDefault(e => e is { IsAsked: false, Kind: "backfill" or "reopen" } && e.Changed.Any(c => c.Record == known.Record && c.FromMs <= step && c.ToMs >= step));
        return heal is null ? version : _sources.Book.VersionAt(name, heal.AtMs) ?? version;
    }

    private KpiReadout Read(KpiDefinition kpi, long at, CancellationToken cancellation)
    {
        QueryResult result = _sources.Engine.Instant(_sources.Reader, kpi.Record, at, cancellation);
        List<SeriesValue> values = [.. result.Series.Take(RestParameters.MaxLimit).Select(s => new SeriesValue(s.Labels, s.Points[^1].Value))];
        KpiState state = values.Count == 0 ? KpiState.Unknown : values.Max(v => kpi.StateOf(v.Value));
        return new KpiReadout(values, state) { Finality = _sources.Finality?.Of(kpi.Record, [], at, cancellation), Exact = kpi.Exact is null ? null : ReadExact(kpi, at, cancellation) };
    }

    private ExactReadout ReadExact(KpiDefinition kpi, long at, CancellationToken cancellation)
    {
        double? Of(string suffix) => _sources.Engine.Instant(_sources.Reader, kpi.Record + suffix, at, cancellation).Series is [var one, ..] ? one.Points[^1].Value : null;
        return kpi.Exact!.Reconcile is null
            ? new ExactReadout(Of(KpiExact.PlainSuffix), null, null, null)
            : new ExactReadout(Of(KpiExact.PlainSuffix), Of(KpiExact.LedgerSuffix), Of(KpiExact.DifferenceSuffix), Of(KpiExact.UnexplainedSuffix));
    }

    private RestAnswer? Find(HttpContext context, out KpiDefinition kpi)
    {
        string name = (string)context.Request.RouteValues["name"]!;
        kpi = _sources.Book.Find(name)!;
        return kpi is null ? NoSuchKpi(name) : null;
    }

    private RestAnswer NoSuchKpi(string name)
    {
        string? near = NearestWord.Find(name, _sources.Book.Kpis.Select(k => k.Name));
        return RestAnswer.Problem(StatusCodes.Status404NotFound, "no such KPI", $"there is no KPI '{name}'{(near is null ? "; GET /api/v1/kpis lists them" : $"; did you mean '{near}'?")}");
    }

    private static RestAnswer? RecordOf(KpiDefinition kpi, string by, out string record)
    {
        record = kpi.Record;
        if (by.Length == 0)
            return null;
        string[] all = [.. kpi.By.Select(b => string.Join(',', b)).Concat(kpi.BreakDowns.Select(b => b.Key))];
        record = $"{kpi.Record}:by_{by.Replace(',', '_')}";
        return all.Contains(by) ? null : RestAnswer.BadParameter("by", $"'{by}' is no break-down of '{kpi.Name}'; {(all.Length == 0 ? "it has none" : $"there are: {string.Join(' ', all)}")}");
    }

    private static string Key(Labels labels) => string.Join(',', labels.AsSpan().ToArray().Where(l => l.Name != LabelNames.MetricName).Select(l => $"{l.Name}={l.Value}"));

    private long NowMs => _time.GetUtcNow().ToUnixTimeMilliseconds();
}
