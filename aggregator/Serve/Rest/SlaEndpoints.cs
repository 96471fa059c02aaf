using System.Text.Json;
using Bellwether.Core.Configuration;
using Bellwether.Evaluate.Kpi;
using Bellwether.Evaluate.Kpi.Sla;
using Bellwether.Serve.QueryApi;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;

namespace Bellwether.Serve.Rest;

/// <summary><c>GET /api/v1/sla/status</c>, <c>/api/v1/sla/report</c> and <c>/api/v1/sla/evidence</c> (docs/slas.md, /api/v1/openapi.json). Thread-safe.</summary>
public sealed class SlaEndpoints(KpiSources sources, TimeProvider time)
{
    /// <summary>How far ahead the status tells of planned work.</summary>
    public static readonly TimeSpan PlannedAhead = TimeSpan.FromDays(7);

    /// <summary>Times of planned work told at most.</summary>
    public const int PlannedMax = 100;

    private readonly SlaEvidenceEndpoint _evidence = new(sources, time);

    /// <summary>Maps the endpoints.</summary>
    public void Map(IEndpointRouteBuilder routes)
    {
        routes.MapMethods("/api/v1/sla/status", ["GET", "HEAD"], (HttpContext c) => Status(c).SendAsync(c)).WithProblems();
        routes.MapMethods("/api/v1/sla/report", ["GET", "HEAD"], (HttpContext c) => Report(c).SendAsync(c)).WithProblems();
        routes.MapMethods("/api/v1/sla/evidence", ["GET"], (HttpContext c) => _evidence.SendAsync(c)).WithProblems();
    }

    private RestAnswer Status(HttpContext context)
    {
        var parameters = new RestParameters(context.Request.Query);
        long at = parameters.Time("time", time.GetUtcNow().ToUnixTimeMilliseconds());
        if (parameters.Wrong is { } wrong)
            return wrong;
        string? tier = parameters.Many("tier").Count > 0 ? parameters.One("tier") : null;
        SlaSet set = sources.Book.Slas;
        if (tier is { Length: > 0 } && set.Checks.All(c => c.Tier != tier))
            return RestAnswer.BadParameter("tier", $"'{tier}' is no tier; there are: {string.Join(", ", set.Checks.Select(c => c.Tier).Where(t => t.Length > 0).Distinct())}");
        var rows = new List<Row>();
        foreach (KpiDefinition kpi in sources.Book.Kpis.Where(k => k.IsSla && tier is null or ""))
            rows.Add(RowOf(kpi, One(kpi.Record, at, context.RequestAborted)) with { Finality = sources.Finality?.Of(kpi.Record, [], at, context.RequestAborted) });
        foreach (SlaCheck check in set.Checks.Where(c => tier is null || c.Tier == tier))
            rows.Add(RowOf(check, at, context.RequestAborted));
        List<MaintenanceTime> planned = [.. Maintenance.Merged(set.Maintenances, at, at + (long)PlannedAhead.TotalMilliseconds).Take(PlannedMax)];
        return RestAnswer.Ok(json =>
        {
            json.WriteStartObject();
            RestJson.Time(json, "time", at);
            json.WriteString("overall_status", Word(rows.Select(r => r.State).DefaultIfEmpty(KpiState.Unknown).Max()));
            json.WriteBoolean("in_maintenance", planned.Any(p => p.FromMs <= at));
            json.WriteStartArray("sla_checks");
            foreach (Row row in rows)
                Write(json, row);
            json.WriteEndArray();
            json.WriteStartArray("maintenance");
            foreach (MaintenanceTime each in planned)
                Write(json, each, set.Maintenances.First(m => m.Name == each.Maintenance));
            json.WriteEndArray();
            json.WriteEndObject();
        });
    }

    private Row RowOf(SlaCheck check, long at, CancellationToken cancellation)
    {
        string labels = $"{{sla=\"{check.Id}\",tier=\"{check.Tier}\"}}";
        double? state = One(SlaCompiler.StateMetric + labels, at, cancellation);
        Finality? finality = sources.Finality?.Of(SlaCompiler.ActualMetric, [("sla", check.Id), ("tier", check.Tier)], at, cancellation);
        return new Row(check.Id, check.Tier, check.Unit, check.Target, null, null, check.Direction, One(SlaCompiler.ActualMetric + labels, at, cancellation), One(SlaCompiler.MeasuredMetric + labels, at, cancellation),
            state switch { 0 => KpiState.Healthy, 1 => KpiState.Warning, >= 2 => KpiState.Critical, _ => KpiState.Unknown }, check)
        {
            Finality = finality,
        };
    }

    private static Row RowOf(KpiDefinition kpi, double? value) =>
        new(kpi.Title, "", kpi.Unit, kpi.Target, kpi.Warning, kpi.Critical, kpi.Direction, value, value, kpi.StateOf(value), null);

    private double? One(string query, long at, CancellationToken cancellation) =>
        sources.Engine.Instant(sources.Reader, query, at, cancellation) is { Error: null, Series: [{ } one] } ? one.Points[^1].Value : null;

    private static void Write(Utf8JsonWriter json, Row row)
    {
        json.WriteStartObject();
        json.WriteString("metric", row.Metric);
        json.WriteString("tier", row.Tier);
        json.WriteString("unit", row.Unit);
        RestJson.Number(json, "target", row.Target);
        RestJson.Number(json, "warning", row.Warning);
        RestJson.Number(json, "critical", row.Critical);
        json.WriteString("direction", row.Direction == KpiDirection.Higher ? "higher" : "lower");
        RestJson.Number(json, "actual", row.Actual);
        RestJson.Number(json, "measured", row.Measured);
        json.WriteString("status", Word(row.State));
        RestJson.Finality(json, row.Finality);
        json.WriteString("measurement_window", row.Check is { } check ? PrometheusDuration.Format(check.MeasurementWindow) : "");
        json.WriteString("evaluation_window", row.Check is { } evaluated ? PrometheusDuration.Format(evaluated.EvaluationWindow) : "");
        json.WriteString("grace_period", row.Check is { } graced ? PrometheusDuration.Format(graced.GracePeriod) : "");
        json.WriteEndObject();
    }

    private static void Write(Utf8JsonWriter json, MaintenanceTime each, Maintenance maintenance)
    {
        json.WriteStartObject();
        json.WriteString("name", maintenance.Name);
        RestJson.Time(json, "from", each.FromMs);
        RestJson.Time(json, "to", each.ToMs);
        json.WriteString("reason", maintenance.Reason);
        json.WriteString("approved_by", maintenance.ApprovedBy);
        json.WriteEndObject();
    }

    private RestAnswer Report(HttpContext context)
    {
        var parameters = new ApiParameters(context.Request.Query, null);
        SlaSet set = sources.Book.Slas;
        string name = parameters.One("contract"), text = parameters.One("month");
        List<SlaContract> asked = [.. set.Contracts.Where(c => name.Length == 0 || c.Name == name)];
        if (name.Length > 0 && asked.Count == 0)
            return RestAnswer.Problem(StatusCodes.Status404NotFound, "no such contract", $"there is no contract '{name}'{(NearestWord.Find(name, set.Contracts.Select(c => c.Name)) is { } near ? $"; did you mean '{near}'?" : "")}");
        if (SlaReport.MonthOf(text, TimeZoneInfo.Utc) is null)
            return RestAnswer.BadParameter("month", text.Length == 0 ? "is missing; write for example 2026-10" : $"'{text}' is no month; write for example 2026-10");
        var report = new SlaReport(sources.Engine, sources.Reader, set);
        long now = time.GetUtcNow().ToUnixTimeMilliseconds();
        var months = new List<SlaMonth>();
        foreach (SlaContract contract in asked)
        {
            (long from, long to) = SlaReport.MonthOf(text, contract.TimeZone)!.Value;
            months.Add(report.Month(contract, from, to, now, context.RequestAborted));
        }
        return RestAnswer.Ok(json =>
        {
            json.WriteStartObject();
            json.WriteString("month", text);
            json.WriteStartArray("contracts");
            foreach (SlaMonth month in months)
                Write(json, month, set, sources.Finality?.Of(SlaCompiler.ActualMetric, [("sla", month.Check.Id), ("tier", month.Check.Tier)], month.FromMs, month.ToMs, context.RequestAborted));
            json.WriteEndArray();
            json.WriteEndObject();
        });
    }

    private static void Write(Utf8JsonWriter json, SlaMonth month, SlaSet set, Finality? finality)
    {
        json.WriteStartObject();
        json.WriteString("name", month.Contract.Name);
        json.WriteString("customer", month.Contract.Customer);
        json.WriteString("sla", month.Contract.Sla);
        json.WriteString("tier", month.Contract.Tier);
        json.WriteString("unit", month.Check.Unit);
        json.WriteString("time_zone", month.Contract.TimeZone.Id);
        RestJson.Time(json, "from", month.FromMs);
        RestJson.Time(json, "to", month.ToMs);
        json.WriteBoolean("over", month.IsOver);
        RestJson.Finality(json, finality);
        RestJson.Number(json, "target", month.Check.Target);
        RestJson.Number(json, "value", month.Value);
        RestJson.Truth(json, "met", month.Value is { } value && !double.IsNaN(value) ? !month.Check.Misses(value) : null);
        RestJson.Number(json, "credit_percent", month.Credit);
        WriteCounts(json, "before", month.Before, month.ValueBefore);
        WriteCounts(json, "after", month.After, month.Value);
        json.WriteStartArray("corrections");
        foreach (SlaCorrection correction in month.Corrections)
        {
            json.WriteStartObject();
            json.WriteString("maintenance", correction.Time.Maintenance);
            RestJson.Time(json, "from", correction.Time.FromMs);
            RestJson.Time(json, "to", correction.Time.ToMs);
            Maintenance maintenance = set.Maintenances.First(m => m.Name == correction.Time.Maintenance);
            json.WriteString("reason", maintenance.Reason);
            json.WriteString("approved_by", maintenance.ApprovedBy);
            RestJson.Number(json, "good", correction.Counts.Good);
            RestJson.Number(json, "total", correction.Counts.Total);
            json.WriteEndObject();
        }
        json.WriteEndArray();
        RestJson.Texts(json, "queries", month.Queries);
        json.WriteString("error", month.Error);
        json.WriteEndObject();
    }

    private static void WriteCounts(Utf8JsonWriter json, string name, SlaCounts counts, double? value)
    {
        json.WriteStartObject(name);
        RestJson.Number(json, "good", counts.Good);
        RestJson.Number(json, "total", counts.Total);
        RestJson.Number(json, "value", value);
        json.WriteEndObject();
    }

    private static string Word(KpiState state) => state.ToString().ToUpperInvariant();

    private sealed record Row(string Metric, string Tier, string Unit, double? Target, double? Warning, double? Critical, KpiDirection Direction, double? Actual, double? Measured, KpiState State, SlaCheck? Check)
    {
        public Finality? Finality { get; init; }
    }
}
