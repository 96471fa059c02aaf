using System.Globalization;
using System.Text;

namespace Bellwether.Evaluate.Slo.Compiling;

/// <summary>Writes rule groups as a rule file in Prometheus' form.</summary>
public static class RuleYaml
{
    /// <summary>One document with all groups.</summary>
    /// <param name="groups">The groups.</param>
    /// <param name="header">Comment lines above it, without <c>#</c>.</param>
    /// <param name="wrapper">Not null: the groups stand in a PrometheusRule object of this name and labels.</param>
    public static string Write(IEnumerable<SloRuleGroup> groups, IEnumerable<string> header, SloObject? wrapper = null)
    {
        var text = new StringBuilder();
        foreach (string line in header)
            text.Append("# ").Append(line).Append('\n');
        int indent = 0;
        if (wrapper is not null)
        {
            WriteWrapper(text, wrapper);
            indent = 2;
        }
        string pad = new(' ', indent);
        text.Append(pad).Append("groups:\n");
        foreach (SloRuleGroup group in groups)
        {
            foreach (string line in group.Comment.Split('\n', StringSplitOptions.RemoveEmptyEntries))
                text.Append(pad).Append("# ").Append(line).Append('\n');
            text.Append(pad).Append("- name: ").Append(Scalar(group.Name)).Append('\n');
            if (group.Interval is { } interval)
                text.Append(pad).Append("  interval: ").Append(BurnWindows.Text(interval)).Append('\n');
            text.Append(pad).Append("  rules:\n");
            foreach (SloRule rule in group.Rules)
                WriteRule(text, rule, pad + "  ");
        }
        return text.ToString();
    }

    private static void WriteWrapper(StringBuilder text, SloObject wrapper)
    {
        text.Append("apiVersion: monitoring.coreos.com/v1\nkind: PrometheusRule\nmetadata:\n");
        WriteMap(text, "annotations", wrapper.Annotations, "  ");
        WriteMap(text, "labels", wrapper.Labels, "  ");
        text.Append("  name: ").Append(Scalar(wrapper.Name)).Append('\n');
        if (wrapper.Namespace.Length > 0)
            text.Append("  namespace: ").Append(Scalar(wrapper.Namespace)).Append('\n');
        text.Append("spec:\n");
    }

    private static void WriteRule(StringBuilder text, SloRule rule, string pad)
    {
        text.Append(pad).Append(rule.IsAlert ? "- alert: " : "- record: ").Append(Scalar(rule.Name)).Append('\n');
        text.Append(pad).Append("  expr: ");
        if (rule.Expression.AsSpan().IndexOfAny('\n', '"') >= 0 && !rule.Expression.StartsWith(' '))
        {
            text.Append("|-\n");
            foreach (string line in rule.Expression.TrimEnd().Split('\n'))
                text.Append(line.Trim().Length == 0 ? "" : pad + "    ").Append(line.TrimEnd()).Append('\n');
        }
        else
        {
            text.Append(Scalar(rule.Expression)).Append('\n');
        }
        if (rule.For > TimeSpan.Zero)
            text.Append(pad).Append("  for: ").Append(BurnWindows.Text(rule.For)).Append('\n');
        WriteMap(text, "labels", rule.Labels, pad + "  ");
        WriteMap(text, "annotations", rule.Annotations, pad + "  ");
    }

    private static void WriteMap(StringBuilder text, string key, IReadOnlyDictionary<string, string> map, string pad)
    {
        if (map.Count == 0)
            return;
        text.Append(pad).Append(key).Append(":\n");
        foreach ((string name, string value) in map.OrderBy(p => p.Key, StringComparer.Ordinal))
            text.Append(pad).Append("  ").Append(Scalar(name)).Append(": ").Append(Scalar(value)).Append('\n');
    }

    /// <summary>A text as YAML: plain where nothing can be misread, else in double quotes.</summary>
    private static string Scalar(string text)
    {
        bool plain = text.Length > 0 && (char.IsAsciiLetter(text[0]) || text[0] == '_') && text is not ("true" or "false" or "yes" or "no" or "on" or "off" or "null" or "y" or "n" or "True" or "False" or "Yes" or "No" or "On" or "Off" or "Null" or "Y" or "N" or "TRUE" or "FALSE" or "YES" or "NO" or "ON" or "OFF" or "NULL");
        foreach (char c in text)
            plain &= char.IsAsciiLetterOrDigit(c) || c is '_' or '-' or '.' or '/' or ':';
        if (plain && text[^1] != ':')
            return text;
        var quoted = new StringBuilder("\"");
        foreach (char c in text)
        {
            switch (c)
            {
                case '"' or '\\':
                    quoted.Append('\\').Append(c);
                    break;
                case '\n':
                    quoted.Append("\\n");
                    break;
                case '\t':
                    quoted.Append("\\t");
                    break;
                default:
                    if (char.IsControl(c))
                        quoted.Append(CultureInfo.InvariantCulture, $"\\u{(int)c:x4}");
                    else
                        quoted.Append(c);
                    break;
            }
        }
        return quoted.Append('"').ToString();
    }
}
