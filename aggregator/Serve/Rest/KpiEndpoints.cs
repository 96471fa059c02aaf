using System.Text.Json;
using Bellwether.Core.Configuration;
using Bellwether.Core.Model;
using Bellwether.Evaluate.Kpi;
using Bellwether.Evaluate.PromQl;
using Bellwether.Evaluate.Rules.Healing;
using Bellwether.Serve.QueryApi;
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
    /// <summary>KPIs or series of one answer unless <c>limit</c> says otherwise.</summary>
    public const int DefaultLimit = 100;

    /// <summary>KPIs or series of one answer at most.</summary>
    public const int MaxLimit = 1_000;

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
        var parameters = new ApiParameters(context.Request.Query, null);
        if (!TryLimit(parameters, out int limit))
            return RestAnswer.BadParameter("limit", $"must be a whole number from 1 to {MaxLimit}");
        if (!TryTime(parameters, "time", NowMs, out long at))
            return RestAnswer.BadParameter("time", "must be RFC 3339 or Unix seconds");
        string owner = parameters.One("owner"), audience = parameters.One("audience"), state = parameters.One("state"), after = parameters.One("after");
        if (state.Length > 0 && !Enum.GetValues<KpiState>().Select(Word<KpiState>).Contains(state))
            return RestAnswer.BadParameter("state", $"'{state}' is no state; there are: {string.Join(", ", Enum.GetValues<KpiState>().Select(Word<KpiState>))}");
        List<KpiDefinition> asked = [.. _sources.Book.Kpis.Where(k =>
            (owner.Length == 0 || k.Owner == owner) && (audience.Length == 0 || k.Audience.Contains(audience)) && string.CompareOrdinal(k.Name, after) > 0)];
        var shown = new List<(KpiDefinition Kpi, KpiReadout Now)>();
        foreach (KpiDefinition kpi in asked)
        {
            KpiReadout now = Read(kpi, at, context.RequestAborted);
            if (state.Length == 0 || Word(now.State) == state)
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
                WriteKpi(json, kpi, now);
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
        var parameters = new ApiParameters(context.Request.Query, null);
        if (!TryLimit(parameters, out int limit))
            return RestAnswer.BadParameter("limit", $"must be a whole number from 1 to {MaxLimit}");
        if (!TryTime(parameters, "end", NowMs, out long end))
            return RestAnswer.BadParameter("end", "must be RFC 3339 or Unix seconds");
        if (!TryTime(parameters, "start", end - DefaultRangeMs, out long start))
            return RestAnswer.BadParameter("start", "must be RFC 3339 or Unix seconds");
        long step = Math.Max(1_000, (end - start) / 240 / 1_000 * 1_000);
        if (parameters.One("step") is { Length: > 0 } stepText && (!ApiParameters.TryDuration(stepText, out step) || step <= 0))
            return RestAnswer.BadParameter("step", "must be a duration such as 30s or 5m");
        if (end < start)
            return RestAnswer.BadParameter("end", "is before start");
        if ((end - start) / step >= PromQlEngine.MaxSteps)
            return RestAnswer.BadParameter("step", $"gives more than {PromQlEngine.MaxSteps} points; take a longer step or a shorter range");
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
            WriteKpi(json, kpi, now);
            RestJson.Time(json, "start", start);
            RestJson.Time(json, "end", end);
            json.WriteNumber("stepSeconds", step / 1000.0);
            json.WriteString("by", parameters.One("by"));
            WriteHistory(json, kpi, series.Take(limit));
            RestJson.Corrections(json, corrections.Newest, corrections.All);
            WriteVersions(json, _sources.Book.Versions(kpi.Name));
            json.WriteString("next", series.Count > limit ? Key(series[limit - 1].Labels) : null);
            json.WriteEndObject();
        });
    }

    private RestAnswer Explain(HttpContext context)
    {
        var parameters = new ApiParameters(context.Request.Query, null);
        string name = (string)context.Request.RouteValues["name"]!;
        if (_sources.Book.Versions(name).Count == 0)
            return NoSuchKpi(name);
        if (!TryTime(parameters, "time", NowMs, out long at))
            return RestAnswer.BadParameter("time", "must be RFC 3339 or Unix seconds");
        if (MadeBy(name, at, out HealEntry? heal) is not { } version)
            return RestAnswer.Problem(StatusCodes.Status404NotFound, "no such definition", $"at {RestJson.TimeText(at)} the KPI '{name}' was not defined; its first version counts from {RestJson.TimeText(_sources.Book.Versions(name)[0].FromMs)}");
        KpiExplanation explanation = _explainer.Explain(version, at, context.RequestAborted);
        KpiDefinition? kpi = _sources.Book.Find(name);
        ExactReadout? exact = kpi?.Exact is null ? null : ReadExact(kpi, explanation.StepMs, context.RequestAborted);
        return RestAnswer.Ok(json =>
        {
            json.WriteStartObject();
            WriteExplanation(json, (name, kpi, at), explanation, exact);
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

    private static void WriteExplanation(Utf8JsonWriter json, (string Name, KpiDefinition? Kpi, long At) of, KpiExplanation explanation, ExactReadout? exact)
    {
        (string name, KpiDefinition? kpi, long at) = of;
        json.WriteString("name", name);
        json.WriteString("title", kpi?.Title ?? name);
        json.WriteString("unit", explanation.Version.Unit);
        json.WriteString("description", kpi?.Description ?? "");
        json.WriteString("note", kpi?.Note ?? "");
        RestJson.Time(json, "time", at);
        RestJson.Time(json, "step", explanation.StepMs);
        RestJson.Time(json, "readsFrom", explanation.ReadsFromMs);
        WriteValues(json, "recorded", explanation.Recorded);
        WriteValues(json, "recomputed", explanation.Recomputed);
        if (kpi is not null)
            WriteExact(json, kpi, exact);
        bool isSame = explanation.Recorded.Count == explanation.Recomputed.Count && explanation.Recorded.All(r => explanation.Recomputed.Any(o => o.Labels.Equals(r.Labels) && o.Value.Equals(r.Value)));
        json.WriteBoolean("same", isSame);
        json.WriteBoolean("absent", explanation.Recorded.Count == 0);
        json.WriteStartArray("parts");
        foreach (KpiPart part in explanation.Parts)
            WritePart(json, part);
        json.WriteEndArray();
        WriteCoverage(json, explanation.Coverage);
        json.WritePropertyName("version");
        WriteVersion(json, explanation.Version, withRules: true);
        json.WriteString("error", explanation.Error);
    }

    private static void WritePart(Utf8JsonWriter json, KpiPart part)
    {
        json.WriteStartObject();
        json.WriteString("name", part.Name);
        json.WriteString("expression", part.Expression);
        json.WriteBoolean("absent", part.IsAbsent);
        WriteValues(json, "values", part.Values);
        RestJson.Number(json, "share", part.Share);
        RestJson.Number(json, "weight", part.Weight);
        RestJson.Number(json, "contribution", part.Contribution);
        WriteValues(json, "members", part.Members);
        json.WriteNumber("seriesRead", part.SeriesRead);
        WriteCoverage(json, part.Coverage);
        json.WriteEndObject();
    }

    private static void WriteCoverage(Utf8JsonWriter json, Coverage coverage)
    {
        json.WriteStartObject("coverage");
        RestJson.Number(json, "share", coverage.Share);
        json.WriteNumber("received", coverage.Received);
        json.WriteNumber("due", coverage.Due);
        json.WriteNumber("sources", coverage.Sources);
        json.WriteEndObject();
    }

    private static void WriteKpi(Utf8JsonWriter json, KpiDefinition kpi, KpiReadout now)
    {
        json.WriteString("name", kpi.Name);
        json.WriteString("title", kpi.Title);
        json.WriteString("unit", kpi.Unit);
        json.WriteString("owner", kpi.Owner);
        RestJson.Texts(json, "audience", kpi.Audience);
        json.WriteString("description", kpi.Description);
        json.WriteString("note", kpi.Note);
        json.WriteString("record", kpi.Record);
        json.WriteString("expression", kpi.Expression.Length > 0 ? kpi.Expression : $"index of {string.Join(", ", kpi.Index!.Inputs.Select(i => i.Id))}");
        json.WriteString("direction", kpi.Direction == KpiDirection.Higher ? "higher" : "lower");
        RestJson.Number(json, "target", kpi.Target);
        json.WriteStartObject("thresholds");
        RestJson.Number(json, "warning", kpi.Warning);
        RestJson.Number(json, "critical", kpi.Critical);
        json.WriteEndObject();
        RestJson.Texts(json, "breakDowns", kpi.By.Select(b => string.Join(',', b)).Concat(kpi.BreakDowns.Select(b => b.Key)));
        json.WriteBoolean("isIndex", kpi.Index is not null);
        WriteExact(json, kpi, now.Exact);
        RestJson.Number(json, "value", now.Values.Count == 1 ? now.Values[0].Value : null);
        json.WriteBoolean("absent", now.Values.Count == 0);
        json.WriteString("state", Word(now.State));
        RestJson.Truth(json, "meetsTarget", now.Values.Count == 1 ? kpi.MeetsTarget(now.Values[0].Value) : null);
        RestJson.Finality(json, now.Finality);
        WriteValues(json, "series", now.Values);
    }

    private static void WriteHistory(Utf8JsonWriter json, KpiDefinition kpi, IEnumerable<ResultSeries> all)
    {
        json.WriteStartArray("history");
        foreach (ResultSeries series in all)
        {
            json.WriteStartObject();
            RestJson.Labels(json, "labels", series.Labels);
            json.WriteString("state", Word(kpi.StateOf(series.Points[^1].Value)));
            json.WriteStartArray("points");
            foreach (Point point in series.Points)
            {
                json.WriteStartArray();
                json.WriteStringValue(RestJson.TimeText(point.TimestampMs));
                RestJson.Value(json, point.Value);
                json.WriteEndArray();
            }
            json.WriteEndArray();
            json.WriteEndObject();
        }
        json.WriteEndArray();
    }

    private static void WriteVersions(Utf8JsonWriter json, IReadOnlyList<KpiVersion> versions)
    {
        json.WriteStartArray("versions");
        foreach (KpiVersion version in versions)
            WriteVersion(json, version, withRules: false);
        json.WriteEndArray();
    }

    private static void WriteVersion(Utf8JsonWriter json, KpiVersion version, bool withRules)
    {
        json.WriteStartObject();
        json.WriteNumber("number", version.Number);
        json.WriteString("hash", version.Hash);
        RestJson.Time(json, "from", version.FromMs);
        json.WriteBoolean("end", version.IsEnd);
        json.WriteString("reason", version.Reason);
        RestJson.Texts(json, "changes", version.Changes);
        if (withRules)
        {
            json.WriteNumber("intervalSeconds", version.IntervalMs / 1000.0);
            json.WriteStartArray("rules");
            foreach (KpiRuleText rule in version.Rules)
            {
                json.WriteStartObject();
                json.WriteString("record", rule.Record);
                json.WriteString("expr", rule.Expr);
                json.WriteStartObject("labels");
                foreach ((string key, string value) in rule.Labels)
                    json.WriteString(key, value);
                json.WriteEndObject();
                json.WriteEndObject();
            }
            json.WriteEndArray();
        }
        json.WriteEndObject();
    }

    private static void WriteValues(Utf8JsonWriter json, string name, IReadOnlyList<SeriesValue> values)
    {
        json.WriteStartArray(name);
        foreach (SeriesValue value in values)
        {
            json.WriteStartObject();
            RestJson.Labels(json, "labels", value.Labels);
            RestJson.Number(json, "value", value.Value);
            json.WriteEndObject();
        }
        json.WriteEndArray();
    }

    private KpiReadout Read(KpiDefinition kpi, long at, CancellationToken cancellation)
    {
        QueryResult result = _sources.Engine.Instant(_sources.Reader, kpi.Record, at, cancellation);
        List<SeriesValue> values = [.. result.Series.Take(MaxLimit).Select(s => new SeriesValue(s.Labels, s.Points[^1].Value))];
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

    private static void WriteExact(Utf8JsonWriter json, KpiDefinition kpi, ExactReadout? now)
    {
        if (kpi.Exact is not { } exact || now is null)
            return;
        json.WriteStartObject("exact");
        json.WriteString("counter", exact.Counter);
        json.WriteNumber("windowSeconds", exact.Window.TotalSeconds);
        json.WriteNumber("step", exact.Step);
        RestJson.Number(json, "plain", now.Plain);
        if (exact.Reconcile is { } reconcile)
        {
            json.WriteStartObject("reconciliation");
            json.WriteString("state", Word(kpi.ReconcileStateOf(now.Unexplained)));
            json.WriteString("expression", reconcile.Expression);
            RestJson.Number(json, "ledger", now.Ledger);
            RestJson.Number(json, "difference", now.Difference);
            RestJson.Number(json, "unexplained", now.Unexplained);
            json.WriteNumber("tolerance", reconcile.Tolerance);
            json.WriteNumber("skewSeconds", reconcile.Skew.TotalSeconds);
            json.WriteEndObject();
        }
        json.WriteEndObject();
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

    private static string Word<T>(T state)
        where T : struct, Enum => state.ToString().ToUpperInvariant();

    private static bool TryLimit(ApiParameters parameters, out int limit)
    {
        bool good = parameters.TryLimit("limit", out limit) && limit <= MaxLimit && parameters.One("limit") != "0";
        limit = limit == 0 ? DefaultLimit : limit;
        return good;
    }

    private static bool TryTime(ApiParameters parameters, string name, long otherwise, out long ms)
    {
        ms = otherwise;
        return parameters.One(name).Length == 0 || (ApiParameters.TryTime(parameters.One(name), out ms) && Math.Abs(ms) < 8_000_000_000_000_000);
    }

    private long NowMs => _time.GetUtcNow().ToUnixTimeMilliseconds();

    private readonly record struct KpiReadout(IReadOnlyList<SeriesValue> Values, KpiState State)
    {
        /// <summary>Whether the value is final.</summary>
        public Finality? Finality { get; init; }

        /// <summary>Of an exact count.</summary>
        public ExactReadout? Exact { get; init; }
    }

    /// <summary>What stands beside an exact count.</summary>
    private sealed record ExactReadout(double? Plain, double? Ledger, double? Difference, double? Unexplained);
}
