using System.Globalization;
using System.Text.Json;
using Bellwether.Core.Model;
using Bellwether.Evaluate.PromQl.Syntax;
using Bellwether.Evaluate.Rules;
using Bellwether.Evaluate.Rules.Templates;

namespace Bellwether.Serve.QueryApi;

/// <summary>rules and alerts.</summary>
internal sealed class RuleEndpoints(QueryApiSources sources)
{
    private const string NoToken = "";

    public ApiAnswer Rules(ApiParameters parameters)
    {
        string type = parameters.One("type").ToLowerInvariant();
        if (type is not "" and not "alert" and not "record")
            return ApiAnswer.BadParameter("type", $"not supported value \"{type}\"");
        if (!TryBool(parameters, "exclude_alerts", out bool excludeAlerts, out ApiAnswer? wrong))
            return wrong!;
        if (!parameters.TryLimit("group_limit", out int groupLimit) || (groupLimit == 0 && parameters.One("group_limit").Length > 0))
            return ApiAnswer.BadParameter("group_limit", "group_limit needs to be greater than 0");
        if (groupLimit == 0 && parameters.One("group_next_token").Length > 0)
            return ApiAnswer.BadParameter("group_next_token", "group_limit needs to be present in order to paginate over the groups");
        var selectors = new List<IReadOnlyList<LabelMatcher>>();
        foreach (string text in parameters.Many("match[]"))
        {
            SelectorResult parsed = PromQlParser.ParseSeriesSelector(text);
            if (parsed.Matchers is null)
                return ApiAnswer.BadData(parsed.Errors[0].ToString());
            selectors.Add(parsed.Matchers);
        }
        var filter = new Filter(type, [.. parameters.Many("rule_name[]")], [.. parameters.Many("rule_group[]")], [.. parameters.Many("file[]")], selectors);
        IReadOnlyList<RuleGroupStatus> groups = sources.Rules();
        string after = parameters.One("group_next_token");
        if (after.Length > 0)
        {
            int at = groups.ToList().FindIndex(g => Token(g) == after);
            if (at < 0)
                return ApiAnswer.BadParameter("group_next_token", "invalid group_next_token. Were rule groups changed?");
            groups = [.. groups.Skip(at + 1)];
        }
        var shown = new List<(RuleGroupStatus Group, List<RuleStatus> Rules)>();
        string next = NoToken;
        foreach (RuleGroupStatus group in groups)
        {
            if (!filter.Takes(group))
                continue;
            List<RuleStatus> rules = [.. group.Rules.Where(filter.Takes)];
            if (rules.Count == 0 && filter.IsNarrow)
                continue;
            if (groupLimit > 0 && shown.Count == groupLimit)
            {
                next = Token(shown[^1].Group);
                break;
            }
            shown.Add((group, rules));
        }
        return ApiAnswer.Ok(api =>
        {
            api.Json.WriteStartObject();
            api.Json.WriteStartArray("groups");
            foreach ((RuleGroupStatus group, List<RuleStatus> rules) in shown)
                Group(api, group, rules, excludeAlerts);
            api.Json.WriteEndArray();
            if (next.Length > 0)
                api.Json.WriteString("groupNextToken", next);
            api.Json.WriteEndObject();
        });
    }

    public ApiAnswer Alerts()
    {
        IReadOnlyList<RuleGroupStatus> groups = sources.Rules();
        return ApiAnswer.Ok(api =>
        {
            api.Json.WriteStartObject();
            api.Json.WriteStartArray("alerts");
            foreach (AlertStatus alert in groups.SelectMany(g => g.Rules).SelectMany(r => r.Alerts))
                Alert(api, alert);
            api.Json.WriteEndArray();
            api.Json.WriteEndObject();
        });
    }

    /// <summary>A time as Go's RFC 3339 with nanoseconds; the zero time when there is none.</summary>
    public static string Time(long ms)
    {
        if (ms == 0)
            return "0001-01-01T00:00:00Z";
        DateTimeOffset time = DateTimeOffset.FromUnixTimeMilliseconds(ms);
        return time.ToString(ms % 1000 == 0 ? "yyyy-MM-dd'T'HH:mm:ss'Z'" : "yyyy-MM-dd'T'HH:mm:ss'.'FFF'Z'", CultureInfo.InvariantCulture);
    }

    private static void Group(ApiJson api, RuleGroupStatus group, List<RuleStatus> rules, bool excludeAlerts)
    {
        Utf8JsonWriter json = api.Json;
        json.WriteStartObject();
        json.WriteString("name", group.Definition.Name);
        json.WriteString("file", group.Definition.File);
        json.WriteStartArray("rules");
        foreach (RuleStatus rule in rules)
            Rule(api, rule, excludeAlerts);
        json.WriteEndArray();
        json.WriteNumber("interval", group.Interval.TotalSeconds);
        json.WriteNumber("limit", group.Definition.Limit);
        json.WriteNumber("evaluationTime", group.EvaluationTime.TotalSeconds);
        json.WriteString("lastEvaluation", Time(group.LastEvaluationMs));
        json.WriteEndObject();
    }

    private static void Rule(ApiJson api, RuleStatus rule, bool excludeAlerts)
    {
        Utf8JsonWriter json = api.Json;
        RuleDefinition definition = rule.Definition;
        json.WriteStartObject();
        if (definition.IsAlert)
            json.WriteString("state", StateWord(rule.State));
        json.WriteString("name", definition.Name);
        json.WriteString("query", definition.Query);
        if (definition.IsAlert)
        {
            json.WriteNumber("duration", definition.For.TotalSeconds);
            json.WriteNumber("keepFiringFor", definition.KeepFiringFor.TotalSeconds);
        }
        // Prometheus leaves out the labels of a recording rule without any, and never those of an alert.
        if (definition.IsAlert || definition.Labels.Count > 0)
            Templates(json, "labels", definition.Labels);
        if (definition.IsAlert)
        {
            Templates(json, "annotations", definition.Annotations);
            if (!excludeAlerts)
            {
                json.WriteStartArray("alerts");
                foreach (AlertStatus alert in rule.Alerts)
                    Alert(api, alert);
                json.WriteEndArray();
            }
        }
        json.WriteString("health", rule.Health switch { RuleHealth.Ok => "ok", RuleHealth.Err => "err", _ => "unknown" });
        if (rule.LastError.Length > 0)
            json.WriteString("lastError", rule.LastError);
        json.WriteNumber("evaluationTime", rule.EvaluationTime.TotalSeconds);
        json.WriteString("lastEvaluation", Time(rule.LastEvaluationMs));
        json.WriteString("type", definition.IsAlert ? "alerting" : "recording");
        json.WriteEndObject();
    }

    private static void Alert(ApiJson api, AlertStatus alert)
    {
        Utf8JsonWriter json = api.Json;
        json.WriteStartObject();
        json.WritePropertyName("labels");
        api.Labels(alert.Labels);
        json.WriteStartObject("annotations");
        foreach ((string name, string value) in alert.Annotations)
            json.WriteString(name, value);
        json.WriteEndObject();
        json.WriteString("state", StateWord(alert.State));
        json.WriteString("activeAt", Time(alert.ActiveAtMs));
        if (alert.KeepFiringSinceMs != 0)
            json.WriteString("keepFiringSince", Time(alert.KeepFiringSinceMs));
        json.WriteString("value", GoFloat.Exponent(alert.Value));
        json.WriteEndObject();
    }

    private static void Templates(Utf8JsonWriter json, string name, IReadOnlyList<KeyValuePair<string, AlertTemplate>> templates)
    {
        json.WriteStartObject(name);
        foreach ((string key, AlertTemplate value) in templates)
            json.WriteString(key, value.Text);
        json.WriteEndObject();
    }

    private static bool TryBool(ApiParameters parameters, string name, out bool value, out ApiAnswer? wrong)
    {
        string text = parameters.One(name);
        value = text is "1" or "t" or "T" or "true" or "TRUE" or "True";
        wrong = value || text is "" or "0" or "f" or "F" or "false" or "FALSE" or "False" ? null : ApiAnswer.BadParameter(name, $"error parsing \"{text}\" as a boolean");
        return wrong is null;
    }

    private static string StateWord(AlertState state) => state switch { AlertState.Firing => "firing", AlertState.Pending => "pending", _ => "inactive" };

    /// <summary>Names a group in a paged answer; opaque to clients.</summary>
    private static string Token(RuleGroupStatus group) => Labels.Of("file", group.Definition.File, "group", group.Definition.Name).Hash.ToString("x16", CultureInfo.InvariantCulture);

    private sealed record Filter(string Type, HashSet<string> Names, HashSet<string> Groups, HashSet<string> Files, List<IReadOnlyList<LabelMatcher>> Selectors)
    {
        public bool IsNarrow => Type.Length > 0 || Names.Count > 0 || Selectors.Count > 0;

        public bool Takes(RuleGroupStatus group) =>
            (Groups.Count == 0 || Groups.Contains(group.Definition.Name)) && (Files.Count == 0 || Files.Contains(group.Definition.File));

        public bool Takes(RuleStatus rule) =>
            (Type.Length == 0 || rule.Definition.IsAlert == (Type == "alert"))
            && (Names.Count == 0 || Names.Contains(rule.Definition.Name))
            && (Selectors.Count == 0 || Selectors.Exists(s => s.All(m => m.Matches(rule.Definition.Labels.FirstOrDefault(l => l.Key == m.Name).Value?.Text ?? ""))));
    }
}
