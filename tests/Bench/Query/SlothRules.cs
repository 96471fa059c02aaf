using System.Text;

namespace Bellwether.Bench.Query;

/// <summary>Rules as Sloth compiles an SLO (google-30d windows): eight SLI ratios, seven facts, two alerts; 17 for each of 50 SLOs.</summary>
internal static class SlothRules
{
    private static readonly string[] s_windows = ["5m", "30m", "1h", "2h", "6h", "1d", "3d"];

    /// <summary>The rules.</summary>
    /// <param name="plainMonth">The 30 d ratio from the requests themselves, instead of from the history of the 5 m ratio.</param>
    public static string Make(bool plainMonth)
    {
        var text = new StringBuilder("groups:\n");
        for (int slo = 0; slo < 50; slo++)
            Add(text, History.Route(slo), plainMonth);
        return text.ToString();
    }

    private static void Add(StringBuilder text, string route, bool plainMonth)
    {
        string id = $"{{sloth_id=\"{route}\"}}", labels = $"{{sloth_id: \"{route}\", sloth_service: shop, sloth_slo: availability}}";
        text.Append($"- name: sloth-slo-sli-recordings-{route[1..]}\n  interval: 30s\n  rules:\n");
        foreach (string window in s_windows)
            Record(text, $"slo:sli_error:ratio_rate{window}", Ratio(route, window), $"{{sloth_id: \"{route}\", sloth_window: \"{window}\"}}");
        Record(text, "slo:sli_error:ratio_rate30d", plainMonth ? Ratio(route, "30d") : $"sum_over_time(slo:sli_error:ratio_rate5m{id}[30d]) / ignoring (sloth_window) count_over_time(slo:sli_error:ratio_rate5m{id}[30d])", $"{{sloth_id: \"{route}\", sloth_window: 30d}}");
        text.Append($"- name: sloth-slo-meta-recordings-{route[1..]}\n  interval: 30s\n  rules:\n");
        Record(text, "slo:objective:ratio", "vector(0.999)", labels);
        Record(text, "slo:error_budget:ratio", "vector(1-0.999)", labels);
        Record(text, "slo:time_period:days", "vector(30)", labels);
        Record(text, "slo:current_burn_rate:ratio", $"slo:sli_error:ratio_rate5m{id} / on(sloth_id) group_left slo:error_budget:ratio{id}", labels);
        Record(text, "slo:period_burn_rate:ratio", $"slo:sli_error:ratio_rate30d{id} / on(sloth_id) group_left slo:error_budget:ratio{id}", labels);
        Record(text, "slo:period_error_budget_remaining:ratio", $"1 - slo:period_burn_rate:ratio{id}", labels);
        Record(text, "sloth_slo_info", "vector(1)", labels);
        text.Append($"- name: sloth-slo-alerts-{route[1..]}\n  interval: 30s\n  rules:\n");
        Alert(text, "page", id, "5m", "1h", "1440", "30m", "6h", "600");
        Alert(text, "ticket", id, "2h", "1d", "300", "6h", "3d", "100");
    }

    private static string Ratio(string route, string window) =>
        $"(sum(rate(http_requests_total{{job=\"shop\",route=\"{route}\",code=~\"(5..|429)\"}}[{window}]))) / (sum(rate(http_requests_total{{job=\"shop\",route=\"{route}\"}}[{window}])))";

    private static void Record(StringBuilder text, string name, string expression, string labels) =>
        text.Append($"  - record: {name}\n    expr: '{expression}'\n    labels: {labels}\n");

    private static void Alert(StringBuilder text, string severity, string id, string short1, string long1, string factor1, string short2, string long2, string factor2) =>
        text.Append($"  - alert: Burn_{severity}\n    expr: '(max(slo:sli_error:ratio_rate{short1}{id} > ({factor1} * 0.001)) without (sloth_window) and max(slo:sli_error:ratio_rate{long1}{id} > ({factor1} * 0.001)) without (sloth_window)) or (max(slo:sli_error:ratio_rate{short2}{id} > ({factor2} * 0.001)) without (sloth_window) and max(slo:sli_error:ratio_rate{long2}{id} > ({factor2} * 0.001)) without (sloth_window))'\n    labels: {{severity: {severity}}}\n");
}
