using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;
using Bellwether.Core.Configuration;
using Bellwether.Evaluate.Rules;
using Bellwether.Evaluate.Rules.Templates;

namespace Bellwether.Evaluate.Kpi;

/// <summary>Prints rule groups as a Prometheus rule file, so that they can be taken to any Prometheus.</summary>
public static class RuleText
{
    /// <summary>The file's text.</summary>
    public static string Print(IEnumerable<RuleGroupDefinition> groups)
    {
        var text = new StringBuilder("groups:\n");
        foreach (RuleGroupDefinition group in groups)
        {
            text.Append("  - name: ").Append(Quote(group.Name)).Append('\n');
            if (group.Interval is { } interval)
                text.Append("    interval: ").Append(PrometheusDuration.Format(interval)).Append('\n');
            if (group.QueryOffset is { } offset)
                text.Append("    query_offset: ").Append(PrometheusDuration.Format(offset)).Append('\n');
            if (group.Limit > 0)
                text.Append("    limit: ").Append(group.Limit).Append('\n');
            text.Append("    rules:\n");
            foreach (RuleDefinition rule in group.Rules)
                Append(text, rule);
        }
        return text.ToString();
    }

    private static void Append(StringBuilder text, RuleDefinition rule)
    {
        text.Append("      - ").Append(rule.IsAlert ? "alert: " : "record: ").Append(Quote(rule.Name)).Append('\n');
        text.Append("        expr: ").Append(Quote(rule.Query)).Append('\n');
        if (rule.For > TimeSpan.Zero)
            text.Append("        for: ").Append(PrometheusDuration.Format(rule.For)).Append('\n');
        if (rule.KeepFiringFor > TimeSpan.Zero)
            text.Append("        keep_firing_for: ").Append(PrometheusDuration.Format(rule.KeepFiringFor)).Append('\n');
        Append(text, "labels", rule.Labels);
        Append(text, "annotations", rule.Annotations);
    }

    private static void Append(StringBuilder text, string name, IReadOnlyList<KeyValuePair<string, AlertTemplate>> pairs)
    {
        if (pairs.Count == 0)
            return;
        text.Append("        ").Append(name).Append(":\n");
        foreach ((string key, AlertTemplate value) in pairs)
            text.Append("          ").Append(Quote(key)).Append(": ").Append(Quote(value.Text)).Append('\n');
    }

    /// <summary>A YAML text: plain when it cannot be anything else, else in double quotes with JSON's escapes, which YAML reads the same.</summary>
    private static string Quote(string text)
    {
        bool isPlain = text.Length > 0 && char.IsAsciiLetter(text[0]) && text.All(c => char.IsAsciiLetterOrDigit(c) || c is '_' or '-' or '.' or '/') && text.ToLowerInvariant() is not ("true" or "false" or "null" or "yes" or "no" or "on" or "off" or "y" or "n");
        return isPlain ? text : $"\"{JsonEncodedText.Encode(text, JavaScriptEncoder.UnsafeRelaxedJsonEscaping)}\"";
    }
}
