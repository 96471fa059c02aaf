using System.Text.Json;
using Bellwether.Core.Configuration;
using Bellwether.Evaluate.PromQl.Syntax;
using Bellwether.Evaluate.Rules;
using Bellwether.Evaluate.Slo;
using Bellwether.Evaluate.Slo.Compiling;
using Bellwether.Evaluate.Slo.Reading;

namespace Bellwether.Conformance.Slo;

/// <summary>sloth: rules as Sloth writes them, group by group and rule by rule; files to accept and to refuse.</summary>
internal sealed class SlothTopic : ITopic
{
    public string Name => "sloth";

    public void Run(string folder, TopicReport report)
    {
        using JsonDocument cases = JsonDocument.Parse(File.ReadAllText(Path.Combine(folder, "cases.json")));
        int plugins = 0;
        foreach (JsonElement one in cases.RootElement.EnumerateArray())
        {
            string input = one.GetProperty("input").GetString()!;
            if (one.TryGetProperty("uses_plugin", out JsonElement plugin) && plugin.GetBoolean())
                plugins++;
            else
                report.Case("sloth/" + input, 0, "case", () => Check(folder, input, one, report));
        }
        if (plugins > 0)
            report.Note($"sloth: {plugins} cases need Go plugins and are left out");
        CheckDuplicates(folder, report, "validate-duplicates/bad-prom-multi-duplicates.yaml");
        CheckDuplicates(folder, report, "validate-duplicates/openslo/bad-openslo-1-duplicate.yaml", "validate-duplicates/openslo/bad-openslo-1-original.yaml");
        foreach (string windows in Directory.EnumerateFiles(Path.Combine(folder, "windows")).Order(StringComparer.Ordinal))
        {
            ConfigResult<SloSet> read = SloFiles.Read([windows]);
            Tell(report, "sloth/windows/" + Path.GetFileName(windows), "alert windows load", read.IsOk && read.Value.Windows.Count == 1, "ok", read);
        }
    }

    private static void CheckDuplicates(string folder, TopicReport report, params string[] files)
    {
        if (!files.All(f => File.Exists(Path.Combine(folder, f))))
            return;
        ConfigResult<SloSet> read = SloFiles.Read(files.Select(f => Path.Combine(folder, f)));
        Tell(report, "sloth/" + files[0], "the same objective twice", !read.IsOk, "error", read);
    }

    private static void Tell(TopicReport report, string file, string what, bool passed, string expected, ConfigResult<SloSet> read)
    {
        if (passed)
            report.Pass();
        else
            report.Fail(file, 0, what, expected, read.IsOk ? "ok" : read.Errors[0].ToString());
    }

    private static void Check(string folder, string input, JsonElement one, TopicReport report)
    {
        JsonElement options = one.TryGetProperty("options", out JsonElement some) ? some : default;
        ConfigResult<SloSet> read = SloFiles.Read([Path.Combine(folder, input)]);
        ConfigResult<IReadOnlyList<CompiledSlo>> compiled = read.IsOk ? SloCompiler.CompileAsSloth(read.Value, OptionsOf(options)) : new ConfigResult<IReadOnlyList<CompiledSlo>>(read.Errors);
        bool mustFail = (one.TryGetProperty("error", out JsonElement error) && error.GetBoolean()) || (one.TryGetProperty("validate", out JsonElement validate) && validate.GetString() == "error");
        bool rules = one.TryGetProperty("expected", out JsonElement expected) && expected.ValueKind == JsonValueKind.String;
        if (!rules || !compiled.IsOk)
        {
            if (compiled.IsOk == !mustFail)
                report.Pass();
            else
                report.Fail("sloth/" + input, 0, "accept or refuse", mustFail ? "error" : "ok", compiled.IsOk ? "ok" : compiled.Errors[0].ToString());
            return;
        }
        string want = File.ReadAllText(Path.Combine(folder, expected.GetString()!)).Replace("{{ .version }}", "dev", StringComparison.Ordinal).Replace("{{\"{{", "{{", StringComparison.Ordinal).Replace("}}\"}}", "}}", StringComparison.Ordinal);
        Compare(expected.GetString()!, Flat(want), Flat(SloCompiler.ToSlothFiles(compiled.Value, "dev")), report);
    }

    private static SlothStyleOptions OptionsOf(JsonElement options)
    {
        var read = new SlothStyleOptions();
        if (options.ValueKind != JsonValueKind.Object)
            return read;
        if (options.TryGetProperty("extra_labels", out JsonElement labels))
            read = read with { ExtraLabels = labels.EnumerateObject().ToDictionary(l => l.Name, l => l.Value.GetString()!) };
        if (options.TryGetProperty("disable_alerts", out JsonElement disable))
            read = read with { DisableAlerts = disable.GetBoolean() };
        if (options.TryGetProperty("default_slo_period", out JsonElement period) && PrometheusDuration.TryParse(period.GetString(), out TimeSpan length))
            read = read with { DefaultPeriod = length };
        return read;
    }

    /// <summary>One line per group and rule, in order, with expressions in normal form.</summary>
    private static List<string> Flat(string text)
    {
        var lines = new List<string>();
        foreach (string document in YamlDocuments.Split(text))
        {
            ConfigResult<RuleSet> read = RuleFiles.Parse(document, "rules", new RuleFileOptions());
            if (!read.IsOk)
            {
                lines.Add($"unreadable: {read.Errors[0]}");
                continue;
            }
            foreach (RuleGroupDefinition group in read.Value.Groups)
            {
                lines.Add($"group {group.Name} {group.Interval}");
                lines.AddRange(group.Rules.Select(Line));
            }
        }
        return lines;
    }

    private static string Line(RuleDefinition rule)
    {
        string labels = string.Join(",", rule.Labels.Select(l => $"{l.Key}={l.Value.Text}")), annotations = string.Join(",", rule.Annotations.Select(a => $"{a.Key}={a.Value.Text}"));
        return $"{(rule.IsAlert ? "alert" : "record")} {rule.Name} {rule.For} {{{labels}}} {{{annotations}}} {PromQlParser.Parse(rule.Expression).Expr}";
    }

    private static void Compare(string file, List<string> expected, List<string> got, TopicReport report)
    {
        for (int i = 0; i < Math.Max(expected.Count, got.Count); i++)
        {
            string want = i < expected.Count ? expected[i] : "nothing more", have = i < got.Count ? got[i] : "nothing more";
            if (want == have)
                continue;
            report.Fail("sloth/" + file, 0, $"group or rule {i + 1}", want, have);
            return;
        }
        report.Pass();
    }
}

/// <summary>openslo: documents against the schema, and the examples.</summary>
internal sealed class OpenSloTopic : ITopic
{
    public string Name => "openslo";

    public void Run(string folder, TopicReport report)
    {
        using JsonDocument cases = JsonDocument.Parse(File.ReadAllText(Path.Combine(folder, "cases.json")));
        foreach (JsonElement one in cases.RootElement.EnumerateArray())
        {
            string file = one.GetProperty("file").GetString()!;
            Check(folder, file, one.GetProperty("expect").GetString()!, report);
        }
        foreach (string path in Directory.EnumerateFiles(Path.Combine(folder, "examples"), "*.yaml", SearchOption.AllDirectories).Order(StringComparer.Ordinal))
            Check(folder, Path.GetRelativePath(folder, path), "ok", report);
    }

    private static void Check(string folder, string file, string expect, TopicReport report) => report.Case("openslo/" + file, 0, "load", () =>
    {
        ConfigResult<SloSet> read = SloFiles.Parse([(file, File.ReadAllText(Path.Combine(folder, file)))], new SloFileOptions { Resolve = false });
        if (read.IsOk == (expect == "ok"))
            report.Pass();
        else
            report.Fail("openslo/" + file, 0, "load", expect, read.IsOk ? "ok" : read.Errors[0].ToString());
    });
}

/// <summary>slo-pyrra: objects that load, and whose rules load.</summary>
internal sealed class PyrraTopic : ITopic
{
    public string Name => "slo-pyrra";

    public void Run(string folder, TopicReport report)
    {
        foreach (string path in Directory.EnumerateFiles(folder, "*.yaml").Order(StringComparer.Ordinal))
        {
            string file = "slo-pyrra/" + Path.GetFileName(path);
            report.Case(file, 0, "compile", () =>
            {
                ConfigResult<SloSet> read = SloFiles.Parse([(file, File.ReadAllText(path))]);
                ConfigResult<RuleSet> rules = read.IsOk ? SloCompiler.ToRules(SloCompiler.Compile(read.Value, new CountStyleOptions()), new RuleFileOptions()) : new ConfigResult<RuleSet>(read.Errors);
                if (rules.IsOk && rules.Value.Groups.Count > 0)
                    report.Pass();
                else
                    report.Fail(file, 0, "compile", "rules", rules.IsOk ? "none" : rules.Errors[0].ToString());
            });
        }
    }
}
