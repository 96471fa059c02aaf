using System.Text.RegularExpressions;
using Bellwether.Agent.Configuration;
using Bellwether.Aggregator.Configuration;
using Bellwether.Core.Configuration;
using Bellwether.Evaluate.Rules;

namespace Bellwether.Tidy;

/// <summary>Configurations that users are shown are good ones.</summary>
public sealed partial class SampleConfigurationTests : IDisposable
{
    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("bellwether-samples-");

    [Fact]
    public void The_demos_configurations_are_good_once_filled()
    {
        var values = new Dictionary<string, string> { ["GRPC"] = "127.0.0.1:4317", ["AGGREGATOR"] = "127.0.0.1:4317", ["HTTP"] = "127.0.0.1:9090", ["SHOP"] = "127.0.0.1:8080", ["DATABASE"] = "postgresql://u@127.0.0.1:5432/shop" };
        var filled = new HashSet<string>();
        string[] files = [.. Repository.Files.Where(f => f.StartsWith("samples/demo/config/", StringComparison.Ordinal))];
        foreach (string file in files)
        {
            string text = Place().Replace(Repository.Read(file), m =>
            {
                filled.Add(m.Groups[1].Value);
                return values[m.Groups[1].Value];
            });
            Write(file["samples/demo/config/".Length..], text);
        }
        Assert.Equal(values.Keys.Order(StringComparer.Ordinal), filled.Order(StringComparer.Ordinal));
        AssertGood(ruleCount: 5);
    }

    [Fact]
    public void The_readmes_configurations_are_good()
    {
        foreach (Match block in HereDocument().Matches(Repository.Read("README.md")))
            Write(block.Groups["file"].Value, block.Groups["text"].Value);
        AssertGood(ruleCount: 1);
    }

    [Fact]
    public void The_readmes_fragments_fit_into_its_configuration()
    {
        string readme = Repository.Read("README.md");
        string agent = HereDocument().Matches(readme).Single(m => m.Groups["file"].Value == "agent.yaml").Groups["text"].Value;
        MatchCollection fragments = YamlBlock().Matches(readme);
        Assert.NotEmpty(fragments);
        foreach (Match fragment in fragments)
        {
            string text = fragment.Groups[1].Value;
            string section = text[..(text.IndexOf('\n') + 1)];
            // What another program's file gets says so behind its section.
            if (section.Contains("# in prometheus.yml", StringComparison.Ordinal))
                continue;
            // A fragment starts with the section that it belongs to; what follows is put under that section.
            Assert.Contains(section, agent, StringComparison.Ordinal);
            Write("agent.yaml", agent.Replace(section, text, StringComparison.Ordinal));
            Write("postgres.password", "x");
            Write("agent.token", "x");
            ConfigResult<AgentConfig> result = AgentConfigFile.Load(PathOf("agent.yaml"), checkFiles: true);
            Assert.Empty(result.Errors);
        }
    }

    public void Dispose() => _folder.Delete(recursive: true);

    private void AssertGood(int ruleCount)
    {
        Write("agent.token", "x");
        Assert.Empty(AgentConfigFile.Load(PathOf("agent.yaml"), checkFiles: true).Errors);
        ConfigResult<AggregatorConfig> aggregator = AggregatorConfigFile.Load(PathOf("aggregator.yaml"), checkFiles: true);
        Assert.Empty(aggregator.Errors);
        ConfigResult<RuleSet> rules = RuleFiles.Load(aggregator.Value!.RuleFiles, _folder.FullName, new RuleFileOptions());
        Assert.Empty(rules.Errors);
        Assert.Empty(rules.Value!.Warnings);
        Assert.True(rules.Value.Groups.Sum(g => g.Rules.Count) >= ruleCount, "the rules that the configuration names were not found");
    }

    private string PathOf(string file) => Path.Combine(_folder.FullName, file);

    private void Write(string file, string text)
    {
        Directory.CreateDirectory(Path.GetDirectoryName(PathOf(file))!);
        File.WriteAllText(PathOf(file), text);
    }

    [GeneratedRegex(@"\$\{(\w+)\}")]
    private static partial Regex Place();

    [GeneratedRegex(@"cat > (?<file>\S+) <<'YAML'\n(?<text>.*?)^YAML$", RegexOptions.Singleline | RegexOptions.Multiline)]
    private static partial Regex HereDocument();

    [GeneratedRegex(@"^```yaml\n(.*?)^```$", RegexOptions.Singleline | RegexOptions.Multiline)]
    private static partial Regex YamlBlock();
}
