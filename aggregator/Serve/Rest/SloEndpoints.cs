using System.Globalization;
using System.Text.Json;
using Bellwether.Core.Configuration;
using Bellwether.Core.Model;
using Bellwether.Evaluate.Kpi;
using Bellwether.Evaluate.Kpi.Sla;
using Bellwether.Evaluate.PromQl;
using Bellwether.Evaluate.Rules;
using Bellwether.Evaluate.Rules.Healing;
using Bellwether.Evaluate.Slo;
using Bellwether.Evaluate.Slo.Compiling;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;
using MatchType = Bellwether.Core.Model.MatchType;

namespace Bellwether.Serve.Rest;

/// <summary>What the SLO endpoints stand on.</summary>
/// <param name="Slos">The objectives that are in force.</param>
/// <param name="Rules">The rule groups as they stand.</param>
/// <param name="Engine">Evaluates.</param>
/// <param name="Reader">The data.</param>
public sealed record SloSources(Func<SloRuleSet> Slos, Func<IReadOnlyList<RuleGroupStatus>> Rules, PromQlEngine Engine, ISeriesReader Reader)
{
    /// <summary>Planned work.</summary>
    public Func<IReadOnlyList<Maintenance>> Maintenances { get; init; } = () => [];

    /// <summary>The reasons of corrected results; null: none are known.</summary>
    public HealBook? Heals { get; init; }

    /// <summary>Says whether numbers are final; null: nobody does.</summary>
    public FinalityJudge? Finality { get; init; }

    /// <summary>The versions of an objective's definition, the oldest first.</summary>
    public Func<string, IReadOnlyList<KpiVersion>> Versions { get; init; } = _ => [];
}

/// <summary><c>GET /api/v1/slos</c> and <c>/api/v1/slos/{id}</c> (docs/slo.md). Thread-safe.</summary>
public sealed class SloEndpoints
{
    private const int PlannedMax = 100;
    private const int PointsWanted = 240;
    private readonly SloSources _sources;
    private readonly TimeProvider _time;

    /// <summary>Endpoints over what the host hands over.</summary>
    public SloEndpoints(SloSources sources, TimeProvider time)
    {
        _sources = sources;
        _time = time;
    }

    /// <summary>Maps the endpoints.</summary>
    public void Map(IEndpointRouteBuilder routes)
    {
        routes.MapMethods("/api/v1/slos", ["GET", "HEAD"], (HttpContext c) => List(c).SendAsync(c)).WithProblems();
        routes.MapMethods("/api/v1/slos/{**id}", ["GET", "HEAD"], (HttpContext c) => One(c).SendAsync(c)).WithProblems();
    }

    private RestAnswer List(HttpContext context)
    {
        var parameters = new RestParameters(context.Request.Query);
        int limit = parameters.Limit();
        long at = parameters.Time("time", NowMs);
        if (parameters.Wrong is { } wrong)
            return wrong;
        string service = parameters.One("service"), state = parameters.One("state"), after = parameters.One("after");
        if (state.Length > 0 && !SloReadout.States.Contains(state))
            return RestAnswer.BadParameter("state", $"'{state}' is no state; there are: {string.Join(", ", SloReadout.States)}");
        var shown = new List<SloReadout>();
        foreach (CompiledSlo slo in _sources.Slos().Compiled.OrderBy(s => s.Slo.Id, StringComparer.Ordinal))
        {
            if ((service.Length > 0 && slo.Slo.Service != service) || string.CompareOrdinal(slo.Slo.Id, after) <= 0)
                continue;
            SloReadout now = Read(slo, at, context.RequestAborted);
            if (state.Length == 0 || now.State == state)
                shown.Add(now);
            if (shown.Count > limit)
                break;
        }
        return RestAnswer.Ok(json =>
        {
            json.WriteStartObject();
            RestJson.Time(json, "time", at);
            json.WriteStartArray("slos");
            foreach (SloReadout slo in shown.Take(limit))
            {
                json.WriteStartObject();
                slo.Write(json);
                json.WriteEndObject();
            }
            json.WriteEndArray();
            json.WriteString("next", shown.Count > limit ? shown[limit - 1].Slo.Id : null);
            json.WriteEndObject();
        });
    }

    private RestAnswer One(HttpContext context)
    {
        // OpenSLO allows '/' in names: as it is, or escaped.
        string id = ((string?)context.Request.RouteValues["id"] ?? "").Replace("%2F", "/", StringComparison.OrdinalIgnoreCase);
        SloRuleSet all = _sources.Slos();
        if (all.Compiled.FirstOrDefault(s => s.Slo.Id == id) is not { } slo)
        {
            string? near = NearestWord.Find(id, all.Compiled.Select(s => s.Slo.Id));
            return RestAnswer.Problem(StatusCodes.Status404NotFound, "no such objective", $"there is no objective '{id}'{(near is null ? "; GET /api/v1/slos lists them" : $"; did you mean '{near}'?")}");
        }
        var parameters = new RestParameters(context.Request.Query);
        IReadOnlyList<KpiVersion> versions = _sources.Versions(id);
        KpiVersion? version = null;
        if (parameters.One("version") is { Length: > 0 } number && (version = versions.FirstOrDefault(v => v.Number.ToString(CultureInfo.InvariantCulture) == number)) is null)
            return RestAnswer.BadParameter("version", versions.Count == 0 ? "no versions are known" : $"'{number}' is no version; there are {versions[0].Number} to {versions[^1].Number}");
        long end = parameters.Time("end", NowMs), start = parameters.Time("start", StartOf(slo.Slo, end));
        if (parameters.One("start").Length == 0 && parameters.Wrong is null)
            start = FirstResult(id, start, end, context.RequestAborted);
        long step = parameters.Step(start, end, Math.Max(60_000, (end - start) / PointsWanted / 60_000 * 60_000));
        if (parameters.Wrong is { } wrong)
            return wrong;
        start -= start % step;
        var histories = new List<(string Name, IReadOnlyList<ResultSeries> Series)>();
        foreach ((string name, string metric) in new[] { ("budgetRemaining", BudgetRules.Remaining), ("periodBurnRate", BudgetRules.PeriodBurn), ("currentBurnRate", BudgetRules.CurrentBurn) })
        {
            QueryResult history = _sources.Engine.Range(_sources.Reader, $"{metric}{{slo_id=\"{Quoted(id)}\"}}", start, end, step, context.RequestAborted);
            if (history.Error is { } error)
                return RestAnswer.Problem(error.Kind == QueryErrorKind.Timeout ? StatusCodes.Status503ServiceUnavailable : StatusCodes.Status422UnprocessableEntity, "the history cannot be read", error.Message);
            histories.Add((name, history.Series));
        }
        SloReadout now = Read(slo, end, context.RequestAborted);
        var corrections = Corrections.Read(_sources.Reader, [new LabelMatcher(MatchType.Equal, LabelNames.MetricName, BudgetRules.Remaining), new LabelMatcher(MatchType.Equal, "slo_id", id)], start, end, _sources.Heals, PointsWanted, context.RequestAborted);
        return RestAnswer.Ok(json =>
        {
            json.WriteStartObject();
            now.Write(json);
            RestJson.Time(json, "start", start);
            RestJson.Time(json, "end", end);
            json.WriteNumber("stepSeconds", step / 1000.0);
            json.WriteStartObject("history");
            foreach ((string name, IReadOnlyList<ResultSeries> series) in histories)
                WriteHistory(json, name, series);
            json.WriteEndObject();
            RestJson.Corrections(json, corrections.Newest, corrections.All);
            json.WriteStartArray("versions");
            foreach (KpiVersion each in versions)
                WriteVersion(json, each);
            json.WriteEndArray();
            RestJson.Number(json, "version", (version ?? (versions.Count > 0 ? versions[^1] : null))?.Number);
            WriteRules(json, version?.Rules.Select(r => new SloRule(r.Record, r.Expr) { Labels = r.Labels }) ?? slo.Groups.SelectMany(g => g.Rules));
            json.WriteEndObject();
        });
    }

    private static void WriteHistory(Utf8JsonWriter json, string name, IReadOnlyList<ResultSeries> all)
    {
        json.WriteStartArray(name);
        foreach (ResultSeries series in all.Take(RestParameters.MaxLimit))
        {
            json.WriteStartObject();
            RestJson.Labels(json, "labels", series.Labels);
            RestJson.Points(json, series.Points);
            json.WriteEndObject();
        }
        json.WriteEndArray();
    }

    private static void WriteVersion(Utf8JsonWriter json, KpiVersion version)
    {
        json.WriteStartObject();
        json.WriteNumber("number", version.Number);
        json.WriteString("hash", version.Hash);
        RestJson.Time(json, "from", version.FromMs);
        json.WriteBoolean("end", version.IsEnd);
        RestJson.Number(json, "objective", version.Target);
        json.WriteEndObject();
    }

    private static void WriteRules(Utf8JsonWriter json, IEnumerable<SloRule> rules)
    {
        json.WriteStartArray("rules");
        foreach (SloRule rule in rules)
        {
            json.WriteStartObject();
            json.WriteString(rule.IsAlert ? "alert" : "record", rule.Name);
            json.WriteString("expr", rule.Expression);
            json.WriteStartObject("labels");
            foreach ((string label, string value) in rule.Labels)
                json.WriteString(label, value);
            json.WriteEndObject();
            json.WriteEndObject();
        }
        json.WriteEndArray();
    }

    /// <summary>A young objective is told since it has results: over its whole period they would be a point or two.</summary>
    private long FirstResult(string id, long start, long end, CancellationToken cancellation)
    {
        using ISeriesSet set = _sources.Reader.Select(start, end, [new LabelMatcher(MatchType.Equal, LabelNames.MetricName, BudgetRules.Remaining), new LabelMatcher(MatchType.Equal, "slo_id", id)], cancellation);
        var samples = new SampleBuffer();
        long first = long.MaxValue;
        for (int i = 0; i < set.Count; i++)
        {
            set.Read(i, samples);
            first = samples.Count > 0 ? Math.Min(first, samples.Times[0]) : first;
        }
        return first == long.MaxValue ? start : first;
    }

    /// <summary>The burn-down begins with the period.</summary>
    private static long StartOf(SloDefinition slo, long end) =>
        slo.Window?.Calendar is { } calendar ? calendar.At(end).StartMs : end - (long)(slo.Window?.Length ?? TimeSpan.FromDays(30)).TotalMilliseconds;

    private SloReadout Read(CompiledSlo slo, long at, CancellationToken cancellation)
    {
        QueryResult result = _sources.Engine.Instant(_sources.Reader, $"{{__name__=~\"slo:.+\", slo_id=\"{Quoted(slo.Slo.Id)}\"}}", at, cancellation);
        HashSet<string> groups = [.. slo.Groups.Select(g => g.Name)];
        List<RuleStatus> alerts = [.. _sources.Rules().Where(g => g.Definition.File == slo.Slo.Place.File && groups.Contains(g.Definition.Name)).SelectMany(g => g.Rules).Where(r => r.Definition.IsAlert)];
        return new SloReadout(slo, at, result.Series, alerts, result.Error?.Message ?? "") { Planned = Planned(slo.Slo, at), Finality = _sources.Finality?.Of(BudgetRules.Remaining, [("slo_id", slo.Slo.Id)], at, cancellation) };
    }

    private List<(MaintenanceTime Time, Maintenance Of)> Planned(SloDefinition slo, long at)
    {
        List<Maintenance> all = [.. _sources.Maintenances().Where(m => m.CoversSlo(slo.Id, slo.Name, slo.Service))];
        return [.. Maintenance.Merged(all, StartOf(slo, at), at).TakeLast(PlannedMax).Select(t => (t, all.First(m => m.Name == t.Maintenance)))];
    }

    private static string Quoted(string text) => text.Replace("\\", "\\\\", StringComparison.Ordinal).Replace("\"", "\\\"", StringComparison.Ordinal);

    private long NowMs => _time.GetUtcNow().ToUnixTimeMilliseconds();
}
