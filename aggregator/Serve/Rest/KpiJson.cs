using System.Text.Json;
using Bellwether.Evaluate.Kpi;
using Bellwether.Evaluate.PromQl;

namespace Bellwether.Serve.Rest;

/// <summary>KPIs, their histories, versions and explanations as the REST API writes them (openapi.json).</summary>
internal static class KpiJson
{
    /// <summary>The fields of an explanation.</summary>
    public static void Explanation(Utf8JsonWriter json, (string Name, KpiDefinition? Kpi, long At) of, KpiExplanation explanation, ExactReadout? exact)
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
        Values(json, "recorded", explanation.Recorded);
        Values(json, "recomputed", explanation.Recomputed);
        if (kpi is not null)
            Exact(json, kpi, exact);
        bool isSame = explanation.Recorded.Count == explanation.Recomputed.Count && explanation.Recorded.All(r => explanation.Recomputed.Any(o => o.Labels.Equals(r.Labels) && o.Value.Equals(r.Value)));
        json.WriteBoolean("same", isSame);
        json.WriteBoolean("absent", explanation.Recorded.Count == 0);
        json.WriteStartArray("parts");
        foreach (KpiPart part in explanation.Parts)
            Part(json, part);
        json.WriteEndArray();
        Coverage(json, explanation.Coverage);
        json.WritePropertyName("version");
        Version(json, explanation.Version, withRules: true);
        json.WriteString("error", explanation.Error);
    }

    private static void Part(Utf8JsonWriter json, KpiPart part)
    {
        json.WriteStartObject();
        json.WriteString("name", part.Name);
        json.WriteString("expression", part.Expression);
        json.WriteBoolean("absent", part.IsAbsent);
        Values(json, "values", part.Values);
        RestJson.Number(json, "share", part.Share);
        RestJson.Number(json, "weight", part.Weight);
        RestJson.Number(json, "contribution", part.Contribution);
        Values(json, "members", part.Members);
        json.WriteNumber("seriesRead", part.SeriesRead);
        Coverage(json, part.Coverage);
        json.WriteEndObject();
    }

    private static void Coverage(Utf8JsonWriter json, Coverage coverage)
    {
        json.WriteStartObject("coverage");
        RestJson.Number(json, "share", coverage.Share);
        json.WriteNumber("received", coverage.Received);
        json.WriteNumber("due", coverage.Due);
        json.WriteNumber("sources", coverage.Sources);
        json.WriteEndObject();
    }

    /// <summary>The fields of a KPI and its value.</summary>
    public static void Kpi(Utf8JsonWriter json, KpiDefinition kpi, KpiReadout now)
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
        Exact(json, kpi, now.Exact);
        RestJson.Number(json, "value", now.Values.Count == 1 ? now.Values[0].Value : null);
        json.WriteBoolean("absent", now.Values.Count == 0);
        json.WriteString("state", Word(now.State));
        RestJson.Truth(json, "meetsTarget", now.Values.Count == 1 ? kpi.MeetsTarget(now.Values[0].Value) : null);
        RestJson.Finality(json, now.Finality);
        Values(json, "series", now.Values);
    }

    /// <summary>The values of a range, by series.</summary>
    public static void History(Utf8JsonWriter json, KpiDefinition kpi, IEnumerable<ResultSeries> all)
    {
        json.WriteStartArray("history");
        foreach (ResultSeries series in all)
        {
            json.WriteStartObject();
            RestJson.Labels(json, "labels", series.Labels);
            json.WriteString("state", Word(kpi.StateOf(series.Points[^1].Value)));
            RestJson.Points(json, series.Points);
            json.WriteEndObject();
        }
        json.WriteEndArray();
    }

    /// <summary>The versions of a definition.</summary>
    public static void Versions(Utf8JsonWriter json, IReadOnlyList<KpiVersion> versions)
    {
        json.WriteStartArray("versions");
        foreach (KpiVersion version in versions)
            Version(json, version, withRules: false);
        json.WriteEndArray();
    }

    private static void Version(Utf8JsonWriter json, KpiVersion version, bool withRules)
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
                RestJson.Labels(json, "labels", rule.Labels);
                json.WriteEndObject();
            }
            json.WriteEndArray();
        }
        json.WriteEndObject();
    }

    private static void Values(Utf8JsonWriter json, string name, IReadOnlyList<SeriesValue> values)
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

    private static void Exact(Utf8JsonWriter json, KpiDefinition kpi, ExactReadout? now)
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

    /// <summary>A state as it is written.</summary>
    public static string Word<T>(T state)
        where T : struct, Enum => state.ToString().ToUpperInvariant();
}

/// <summary>What a KPI says at a time.</summary>
/// <param name="Values">Its values, by series.</param>
/// <param name="State">The worst state of these.</param>
internal readonly record struct KpiReadout(IReadOnlyList<SeriesValue> Values, KpiState State)
{
    /// <summary>Whether the value is final.</summary>
    public Finality? Finality { get; init; }

    /// <summary>Of an exact count.</summary>
    public ExactReadout? Exact { get; init; }
}

/// <summary>What stands beside an exact count; null: there is none.</summary>
/// <param name="Plain">PromQL's figure.</param>
/// <param name="Ledger">That of the application's books.</param>
/// <param name="Difference">The count less the ledger.</param>
/// <param name="Unexplained">What of it cannot have been counted between reading the one and the other.</param>
internal sealed record ExactReadout(double? Plain, double? Ledger, double? Difference, double? Unexplained);
