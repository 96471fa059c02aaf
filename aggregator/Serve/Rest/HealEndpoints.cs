using System.IO.Enumeration;
using System.Text.Json;
using Bellwether.Core.Configuration;
using Bellwether.Evaluate.Rules;
using Bellwether.Evaluate.Rules.Healing;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;

namespace Bellwether.Serve.Rest;

/// <summary>
/// <c>GET /api/v1/heals</c>: what was evaluated again, when and why. <c>POST /api/v1/rules/backfill</c> asks for rules over stored history, <c>GET</c> tells how far it is
/// (docs/late-data.md). Thread-safe.
/// </summary>
public sealed class HealEndpoints(HealDesk desk, Func<IReadOnlyList<RuleGroupStatus>> rules, TimeProvider time, CancellationToken stopping)
{
    private const int TextMax = 500;
    private Task _running = Task.CompletedTask;

    /// <summary>The backfill that runs; completed: none does.</summary>
    public Task Running => Volatile.Read(ref _running);

    /// <summary>Maps the endpoints.</summary>
    public void Map(IEndpointRouteBuilder routes)
    {
        routes.MapMethods("/api/v1/heals", ["GET", "HEAD"], (HttpContext c) => List(c).SendAsync(c)).WithProblems();
        routes.MapMethods("/api/v1/rules/backfill", ["GET", "HEAD"], (HttpContext c) => Progress().SendAsync(c)).WithProblems();
        routes.MapMethods("/api/v1/rules/backfill", ["POST"], BackfillAsync).WithProblems();
    }

    private RestAnswer List(HttpContext context)
    {
        var parameters = new RestParameters(context.Request.Query);
        int limit = parameters.Limit();
        if (parameters.Wrong is { } wrong)
            return wrong;
        string metric = parameters.One("metric"), kind = parameters.One("kind"), after = parameters.One("after");
        if (kind.Length > 0 && !Enum.GetNames<HealKind>().Any(k => k.Equals(kind, StringComparison.OrdinalIgnoreCase)))
            return RestAnswer.BadParameter("kind", $"'{kind}' is no kind; there are: late, backfill, reopen");
        ulong before = ulong.MaxValue;
        if (after.Length > 0 && !ulong.TryParse(after, out before))
            return RestAnswer.BadParameter("after", "must be the number that 'next' gave");
        List<HealEntry> entries = [.. desk.Book.Newest()
            .Where(e => e.Id < before && (kind.Length == 0 || e.Kind.Equals(kind, StringComparison.OrdinalIgnoreCase)) && (metric.Length == 0 || e.Changed.Any(c => c.Record == metric))).Take(limit + 1)];
        return RestAnswer.Ok(json =>
        {
            json.WriteStartObject();
            RestJson.Time(json, "sealedBefore", desk.SealedBeforeMs / 60_000 * 60_000);
            json.WriteStartArray("heals");
            foreach (HealEntry entry in entries.Take(limit))
                Write(json, entry);
            json.WriteEndArray();
            json.WriteString("next", entries.Count > limit ? entries[limit - 1].Id.ToString(System.Globalization.CultureInfo.InvariantCulture) : null);
            json.WriteEndObject();
        });
    }

    private static void Write(Utf8JsonWriter json, HealEntry entry)
    {
        json.WriteStartObject();
        json.WriteNumber("id", entry.Id);
        RestJson.Time(json, "at", entry.AtMs);
        json.WriteString("kind", entry.Kind);
        json.WriteString("reason", entry.Reason);
        json.WriteString("by", entry.By);
        json.WriteBoolean("asked", entry.IsAsked);
        RestJson.Time(json, "from", entry.FromMs);
        RestJson.Time(json, "to", entry.ToMs);
        json.WriteNumber("rules", entry.Rules);
        json.WriteNumber("steps", entry.Steps);
        json.WriteNumber("failures", entry.Failures);
        json.WriteNumber("tookSeconds", entry.TookMs / 1000.0);
        json.WriteStartArray("changed");
        foreach (RuleChange change in entry.Changed)
        {
            json.WriteStartObject();
            json.WriteString("group", change.Group);
            json.WriteString("record", change.Record);
            RestJson.Labels(json, "labels", change.Labels);
            RestJson.Time(json, "from", change.FromMs);
            RestJson.Time(json, "to", change.ToMs);
            json.WriteNumber("added", change.Added);
            json.WriteNumber("replaced", change.Replaced);
            json.WriteNumber("removed", change.Removed);
            json.WriteEndObject();
        }
        json.WriteEndArray();
        json.WriteEndObject();
    }

    private RestAnswer Progress() => desk.Backfill is { } status
        ? RestAnswer.Ok(json => Write(json, status))
        : RestAnswer.Problem(StatusCodes.Status404NotFound, "no backfill", "there was no backfill since the aggregator started; GET /api/v1/heals?kind=backfill lists those before");

    private static void Write(Utf8JsonWriter json, BackfillStatus status)
    {
        json.WriteStartObject();
        json.WriteString("state", status.State);
        json.WriteString("kind", status.Request.Kind.ToString().ToLowerInvariant());
        json.WriteString("reason", status.Request.Reason);
        json.WriteString("by", status.Request.By);
        RestJson.Time(json, "from", status.Request.FromMs);
        RestJson.Time(json, "to", status.Request.ToMs);
        RestJson.Time(json, "since", status.SinceMs);
        json.WriteNumber("steps", status.Steps);
        json.WriteNumber("stepsDue", status.StepsDue);
        json.WriteNumber("added", status.Report?.Added ?? 0);
        json.WriteNumber("replaced", status.Report?.Replaced ?? 0);
        json.WriteNumber("removed", status.Report?.Removed ?? 0);
        json.WriteNumber("failures", status.Report?.Failures ?? 0);
        json.WriteNumber("refused", status.Report?.Refused ?? 0);
        json.WriteString("error", status.Error);
        json.WriteEndObject();
    }

    private async Task BackfillAsync(HttpContext context)
    {
        IFormCollection? form = context.Request.HasFormContentType ? await context.Request.ReadFormAsync(context.RequestAborted) : null;
        await Begin(new RestParameters(context.Request.Query, form)).SendAsync(context);
    }

    private RestAnswer Begin(RestParameters parameters)
    {
        long nowMs = time.GetUtcNow().ToUnixTimeMilliseconds();
        long from = parameters.Time("from", null), to = parameters.Time("to", nowMs);
        if (parameters.Wrong is { } refused)
            return refused;
        string reason = parameters.One("reason"), by = parameters.One("by");
        if (reason.Length > TextMax || by.Length > TextMax)
            return RestAnswer.BadParameter(reason.Length > TextMax ? "reason" : "by", $"is longer than {TextMax} characters");
        bool reopens = parameters.One("reopen") is "true" or "1";
        IReadOnlyList<string> patterns = parameters.Many("rule");
        if (patterns.Count == 0)
            return RestAnswer.BadParameter("rule", "is missing; give a recorded metric or a group, with * for any text; '*' is all");
        List<string> names = [.. rules().SelectMany(g => g.Definition.Rules.Where(r => !r.IsAlert).Select(r => r.Name).Append(g.Definition.Name)).Distinct()];
        foreach (string pattern in patterns)
        {
            if (!names.Exists(n => Matches(pattern, n)))
                return RestAnswer.BadParameter("rule", $"'{pattern}' is no recorded metric and no group{(NearestWord.Find(pattern, names) is { } near ? $"; did you mean '{near}'?" : "")}");
        }
        var request = new HealRequest(from, Math.Min(to, nowMs))
        {
            Kind = reopens ? HealKind.Reopen : HealKind.Backfill,
            Reason = reason,
            By = by,
            Rules = (group, rule) => patterns.Any(p => Matches(p, rule.Name) || Matches(p, group)),
        };
        if (desk.Begin(request, out Task running, stopping) is { } wrong)
            return RestAnswer.Problem(desk.Backfill?.State == "running" ? StatusCodes.Status409Conflict : StatusCodes.Status400BadRequest, "no backfill was begun", wrong);
        Volatile.Write(ref _running, running);
        return Progress();
    }

    private static bool Matches(string pattern, string name) => FileSystemName.MatchesSimpleExpression(pattern, name, ignoreCase: false);
}
