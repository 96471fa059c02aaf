using System.Text;
using System.Text.RegularExpressions;
using Bellwether.Core.Configuration;
using Bellwether.Core.Model;
using Bellwether.Evaluate.PromQl.Syntax;
using Bellwether.Evaluate.Rules.Templates;

namespace Bellwether.Evaluate.Rules;

/// <summary>How rule files are read. Immutable.</summary>
public sealed record RuleFileOptions
{
    /// <summary>Whether metric, label and annotation names must be classic ones. Default off: any UTF-8, as Prometheus 3.</summary>
    public bool LegacyNames { get; init; }

    /// <summary>Whether experimental PromQL is accepted.</summary>
    public bool Experimental { get; init; }

    /// <summary>Most files that the patterns may match. Default 10,000.</summary>
    public int FilesMax { get; init; } = 10_000;
}

/// <summary>What was read.</summary>
/// <param name="Groups">The groups, in file order.</param>
/// <param name="Warnings">Remarks that refuse nothing.</param>
public sealed record RuleSet(IReadOnlyList<RuleGroupDefinition> Groups, IReadOnlyList<string> Warnings);

/// <summary>
/// Reads rule files in Prometheus' form, and the same inside PrometheusRule objects (several in one file). Strict: every error of every file is told, with file, line,
/// column and the nearest word. Source: prometheus.io/docs/prometheus/latest/configuration/recording_rules/.
/// </summary>
public static class RuleFiles
{
    /// <summary>Reads all files that the patterns match. A pattern without a match is a warning.</summary>
    /// <param name="patterns">Paths with <c>*</c>, <c>?</c> and <c>[...]</c>, relative to <paramref name="folder"/>.</param>
    /// <param name="folder">Where relative patterns start.</param>
    /// <param name="options">How to read.</param>
    public static ConfigResult<RuleSet> Load(IReadOnlyList<string> patterns, string folder, RuleFileOptions options)
    {
        var errors = new List<ConfigError>();
        var warnings = new List<string>();
        var groups = new List<RuleGroupDefinition>();
        var files = new SortedSet<string>(StringComparer.Ordinal);
        foreach (string pattern in patterns)
        {
            IReadOnlyList<string> found = FileGlob.Find(Path.Combine(folder, pattern));
            if (found.Count == 0)
                warnings.Add($"{pattern}: no rule file matches");
            files.UnionWith(found);
        }
        if (files.Count > options.FilesMax)
            return new ConfigResult<RuleSet>([new ConfigError(folder, 0, 0, "rule_files", $"{files.Count} files match; at most {options.FilesMax} are read")]);
        foreach (string file in files)
        {
            if (!ConfigReading.TryReadFile(file, out string text, out ConfigError? unreadable))
            {
                errors.Add(unreadable!);
                continue;
            }
            ConfigResult<RuleSet> read = Parse(text, file, options);
            if (read.IsOk)
            {
                groups.AddRange(read.Value.Groups);
                warnings.AddRange(read.Value.Warnings);
            }
            else
            {
                errors.AddRange(read.Errors);
            }
        }
        return errors.Count > 0 ? new ConfigResult<RuleSet>(errors) : new ConfigResult<RuleSet>(new RuleSet(groups, warnings));
    }

    /// <summary>Reads the text of one file.</summary>
    public static ConfigResult<RuleSet> Parse(string text, string file, RuleFileOptions options)
    {
        var errors = new List<ConfigError>();
        var warnings = new List<string>();
        var groups = new List<RuleGroupDefinition>();
        bool plainSeen = false;
        foreach (string document in YamlDocuments.Split(text))
        {
            if (plainSeen)
            {
                warnings.Add($"{file}: only the first YAML document counts");
                break;
            }
            var reading = new ConfigReading(file, null, errors);
            ConfigSection root = reading.Root(document);
            bool wrapped = root.Node?.Find("kind") is not null || root.Node?.Find("spec") is not null;
            plainSeen = root.IsPresent && !wrapped;
            ReadDocument(root, wrapped, file, options, groups);
        }
        return errors.Count > 0
            ? new ConfigResult<RuleSet>([.. errors.OrderBy(e => e.Line).ThenBy(e => e.Column)])
            : new ConfigResult<RuleSet>(new RuleSet(groups, warnings));
    }

    private static void ReadDocument(ConfigSection root, bool wrapped, string file, RuleFileOptions options, List<RuleGroupDefinition> groups)
    {
        ConfigSection holder = root;
        if (wrapped)
        {
            string kind = root.Text("kind");
            if (kind.Length > 0 && kind != "PrometheusRule")
                root.Error("kind", $"'{kind}' holds no rules: use PrometheusRule");
            holder = root.Section("spec");
            root.Close("apiVersion", "metadata", "status");
        }
        var names = new HashSet<string>(StringComparer.Ordinal);
        foreach (ConfigSection group in holder.Sections("groups"))
            groups.Add(ReadGroup(group, file, options, names));
        holder.Close();
    }

    private static RuleGroupDefinition ReadGroup(ConfigSection group, string file, RuleFileOptions options, HashSet<string> names)
    {
        string name = group.RequiredText("name");
        if (name.Length > 0 && !names.Add(name))
            group.Error("name", $"group '{name}' is there twice in this file");
        TimeSpan? interval = group.Has("interval") ? group.Duration("interval", TimeSpan.Zero) : null;
        TimeSpan? offset = group.Has("query_offset") ? group.Duration("query_offset", TimeSpan.Zero) : null;
        var shared = Templates(group, "labels", options, isLabel: true, expand: false);
        var rules = new List<RuleDefinition>();
        foreach (ConfigSection rule in group.Sections("rules"))
            rules.Add(ReadRule(rule, shared, options));
        var definition = new RuleGroupDefinition
        {
            Name = name,
            File = file,
            Interval = interval == TimeSpan.Zero ? null : interval,
            QueryOffset = offset,
            Limit = group.Count("limit", 0),
            Rules = rules,
        };
        group.Close();
        return definition;
    }

    private static RuleDefinition ReadRule(ConfigSection rule, SortedDictionary<string, AlertTemplate> shared, RuleFileOptions options)
    {
        string record = rule.Text("record"), alert = rule.Text("alert");
        bool isAlert = alert.Length > 0;
        if (record.Length > 0 == isAlert)
            rule.Error(isAlert ? "only one of 'record' and 'alert' must be set" : "one of 'record' or 'alert' must be set");
        TimeSpan hold = rule.Duration("for", TimeSpan.Zero), keep = rule.Duration("keep_firing_for", TimeSpan.Zero);
        var annotations = Templates(rule, "annotations", options, isLabel: false, expand: isAlert);
        var labels = Templates(rule, "labels", options, isLabel: true, expand: isAlert);
        foreach ((string key, AlertTemplate value) in shared)
            labels.TryAdd(key, value);
        if (record.Length > 0)
            CheckRecord(rule, record, hold, keep, annotations.Count, options);
        string expression = rule.RequiredText("expr");
        string query = expression;
        if (expression.Length > 0)
        {
            ParseResult parsed = PromQlParser.Parse(expression, new ParserOptions { Experimental = options.Experimental });
            if (parsed.Expr is null)
                rule.Error("expr", $"could not parse expression: {parsed.Errors[0]}");
            else
                query = parsed.Expr.ToString();
        }
        var definition = new RuleDefinition
        {
            Name = isAlert ? alert : record,
            IsAlert = isAlert,
            Expression = expression,
            Query = query,
            For = hold,
            KeepFiringFor = keep,
            Labels = [.. labels],
            Annotations = [.. annotations],
            Line = rule.Node?.Line ?? 0,
        };
        rule.Close();
        return definition;
    }

    private static void CheckRecord(ConfigSection rule, string record, TimeSpan hold, TimeSpan keep, int annotations, RuleFileOptions options)
    {
        if (hold != TimeSpan.Zero)
            rule.Error("for", "invalid field 'for' in recording rule");
        if (keep != TimeSpan.Zero)
            rule.Error("keep_firing_for", "invalid field 'keep_firing_for' in recording rule");
        if (annotations > 0)
            rule.Error("annotations", "invalid field 'annotations' in recording rule");
        if (record.AsSpan().IndexOfAny('{', '}') >= 0)
            rule.Error("record", "braces present in the recording rule name; should it be in expr?");
        else if (options.LegacyNames && !Labels.IsLegacyMetricName(record))
            rule.Error("record", $"'{record}' is no metric name");
    }

    private static SortedDictionary<string, AlertTemplate> Templates(ConfigSection section, string key, RuleFileOptions options, bool isLabel, bool expand)
    {
        var templates = new SortedDictionary<string, AlertTemplate>(StringComparer.Ordinal);
        foreach ((ConfigNode name, ConfigNode value, string path) in section.Pairs(key))
        {
            string what = isLabel ? "label" : "annotation";
            if (name.Text.Length == 0 || (options.LegacyNames && !Labels.IsLegacyLabelName(name.Text)) || (isLabel && name.Text == LabelNames.MetricName))
                section.Reading.Error(name, path, $"invalid {what} name: '{name.Text}'");
            if (!section.CheckScalar(value, path))
                continue;
            AlertTemplate? template = AlertTemplate.TryParse(value.Text, out string? error);
            if (template is not null)
                templates[name.Text] = template;
            else if (expand)
                section.Reading.Error(value, path, $"template does not parse: {error}");
            else
                templates[name.Text] = AlertTemplate.Plain(value.Text);
        }
        return templates;
    }
}

/// <summary>Files by pattern, as Go's filepath.Glob finds them: <c>*</c>, <c>?</c> and <c>[...]</c> within one part of the path.</summary>
public static class FileGlob
{
    public static IReadOnlyList<string> Find(string pattern)
    {
        string[] parts = pattern.Split('/');
        List<string> found = [parts[0].Length == 0 ? "/" : "."];
        int first = parts[0].Length == 0 ? 1 : 0;
        for (int i = first; i < parts.Length; i++)
        {
            string part = parts[i];
            if (part.Length == 0)
                continue;
            bool last = i == parts.Length - 1;
            found = [.. found.SelectMany(folder => Match(folder, part, last))];
        }
        return [.. found.Where(File.Exists).Select(f => f.StartsWith("./", StringComparison.Ordinal) ? f[2..] : f).Order(StringComparer.Ordinal)];
    }

    private static IEnumerable<string> Match(string folder, string part, bool last)
    {
        if (part.AsSpan().IndexOfAny('*', '?', '[') < 0)
        {
            string path = Path.Combine(folder, part);
            return last || Directory.Exists(path) ? [path] : [];
        }
        if (!Directory.Exists(folder))
            return [];
        var regex = new Regex(@"\A" + ToRegex(part) + @"\z", RegexOptions.NonBacktracking | RegexOptions.CultureInvariant | RegexOptions.Singleline);
        IEnumerable<string> entries = last ? Directory.EnumerateFiles(folder) : Directory.EnumerateDirectories(folder);
        return entries.Where(e => regex.IsMatch(Path.GetFileName(e)));
    }

    private static string ToRegex(string part)
    {
        var regex = new StringBuilder();
        for (int i = 0; i < part.Length; i++)
        {
            int end;
            if (part[i] == '*')
            {
                regex.Append(".*");
            }
            else if (part[i] == '?')
            {
                regex.Append('.');
            }
            else if (part[i] == '[' && (end = part.IndexOf(']', i + 1)) > i + 1)
            {
                regex.Append('[').Append(part[(i + 1)..end].Replace("\\", @"\\", StringComparison.Ordinal)).Append(']');
                i = end;
            }
            else
            {
                regex.Append(Regex.Escape(part[i].ToString()));
            }
        }
        return regex.ToString();
    }
}
