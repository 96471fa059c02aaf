using System.Text.Json;
using Bellwether.Core.Configuration;
using Bellwether.Evaluate.Rules;

namespace Bellwether.Conformance.Rules;

/// <summary>rules: files that load and files that must be refused.</summary>
internal sealed class RuleFilesTopic : ITopic
{
    public string Name => "rules";

    public void Run(string folder, TopicReport report)
    {
        using JsonDocument cases = JsonDocument.Parse(File.ReadAllText(Path.Combine(folder, "cases.json")));
        foreach (JsonElement one in cases.RootElement.EnumerateArray())
        {
            string file = one.GetProperty("file").GetString()!;
            bool legacy = one.TryGetProperty("name_validation", out JsonElement names) && names.GetString() == "legacy";
            report.Case("rules/" + file, 0, "load", () =>
            {
                ConfigResult<RuleSet> read = RuleFiles.Parse(File.ReadAllText(Path.Combine(folder, file)), file, new RuleFileOptions { LegacyNames = legacy });
                string expected = one.GetProperty("expect").GetString()!;
                if (read.IsOk == (expected == "ok"))
                    report.Pass();
                else
                    report.Fail("rules/" + file, 0, one.TryGetProperty("why", out JsonElement why) ? why.GetString()! : "load", expected, read.IsOk ? "ok" : read.Errors[0].ToString());
            });
        }
        string lifeCycle = Path.Combine(folder, "lifecycle-2.42");
        if (Directory.Exists(lifeCycle))
            report.Case("rules/lifecycle-2.42/observed.json", 0, "life cycle", () => new RuleLifeCycle(lifeCycle, report).Run());
    }
}

/// <summary>rule-corpora: real rule files; every one loads.</summary>
internal sealed class RuleCorporaTopic : ITopic
{
    public string Name => "rule-corpora";

    public void Run(string folder, TopicReport report)
    {
        int rules = 0;
        foreach (string path in Directory.EnumerateFiles(folder, "*.y*ml", SearchOption.AllDirectories).Order(StringComparer.Ordinal))
        {
            string file = "rule-corpora/" + Path.GetRelativePath(folder, path);
            report.Case(file, 0, "load", () =>
            {
                ConfigResult<RuleSet> read = RuleFiles.Parse(File.ReadAllText(path), file, new RuleFileOptions());
                if (read.IsOk)
                {
                    rules += read.Value.Groups.Sum(g => g.Rules.Count);
                    report.Pass();
                }
                else
                {
                    report.Fail(file, read.Errors[0].Line, "load", "ok", read.Errors[0].ToString());
                }
            });
        }
        report.Note($"rule-corpora: {rules} rules read");
    }
}
