using System.Reflection;
using System.Text;
using System.Text.RegularExpressions;
using Bellwether.Agent.Configuration;
using Bellwether.Aggregator.Configuration;
using Bellwether.Core.Configuration;
using Bellwether.Core.Telemetry;

namespace Bellwether.Tidy;

/// <summary>The reference pages say what the programs read and expose: no key, default or metric more or less. BELLWETHER_UPDATE=1 writes them anew.</summary>
public sealed partial class ReferencePageTests
{
    private const string Unknown = "zzzzzzzzzzzz";

    /// <summary>Keys that the readers know in order to refuse them (or, runtime, to pass over what is Prometheus' own).</summary>
    private static readonly string[] s_notOffered = ["oauth2", "sigv4", "azuread", "google_iam", "runtime"];

    [Fact]
    public void The_configuration_page_is_what_the_code_says() => AssertPage("docs/configuration.md", ConfigurationPage.Write());

    [Fact]
    public void The_metrics_page_is_what_the_code_says() => AssertPage("docs/metrics.md", MetricsPage.Write());

    [Fact]
    public void Every_metric_name_is_on_the_metrics_page()
    {
        IEnumerable<string> names = typeof(MetricNames).GetFields(BindingFlags.Public | BindingFlags.Static).Select(f => (string)f.GetRawConstantValue()!).Where(n => n != MetricNames.Meter);
        Assert.Equal(names.Order(StringComparer.Ordinal), MetricsPage.Metrics().Select(m => m.Name).Order(StringComparer.Ordinal));
    }

    [Fact]
    public void The_agents_sections_have_the_keys_that_the_reader_takes() =>
        AssertKeys(ConfigurationPage.Agent, AgentConfigFile.Parse(WithUnknownKeys(ConfigurationPage.Agent), "agent.yaml").Errors);

    [Fact]
    public void The_aggregators_sections_have_the_keys_that_the_reader_takes() =>
        AssertKeys(ConfigurationPage.Aggregator, AggregatorConfigFile.Parse(WithUnknownKeys(ConfigurationPage.Aggregator), "aggregator.yaml").Errors);

    [Fact]
    public void Links_within_the_configuration_page_lead_to_its_headings()
    {
        string page = ConfigurationPage.Write();
        HashSet<string> anchors = [.. Heading().Matches(page).Select(m => string.Concat(m.Groups[1].Value.ToLowerInvariant().Replace(' ', '-').Where(c => char.IsAsciiLetterOrDigit(c) || c is '-' or '_')))];
        Assert.True(anchors.Count > 20, $"{anchors.Count} headings");
        Assert.All(AnchorLink().Matches(page), m => Assert.Contains(m.Groups[1].Value, anchors));
    }

    /// <summary>A file in which every section is there and holds one key that nobody knows: the readers then name all that they know.</summary>
    private static string WithUnknownKeys(OptionSection section)
    {
        var text = new StringBuilder($"{{{Unknown}: 1");
        foreach (OptionRow row in section.Rows.Where(r => r.Section is not null))
            text.Append(row.Section!.Path.EndsWith("[]", StringComparison.Ordinal) ? $", {row.Key}: [{WithUnknownKeys(row.Section)}]" : $", {row.Key}: {WithUnknownKeys(row.Section)}");
        return text.Append('}').ToString();
    }

    private static void AssertKeys(OptionSection root, IReadOnlyList<ConfigError> errors)
    {
        var known = new Dictionary<string, string>();
        foreach (ConfigError error in errors.Where(e => e.Path.EndsWith(Unknown, StringComparison.Ordinal)))
        {
            string path = ListIndex().Replace(error.Path[..^Unknown.Length].TrimEnd('.'), "[]");
            IEnumerable<string> keys = error.Message[(error.Message.IndexOf("known are: ", StringComparison.Ordinal) + 11)..].Split(", ").Except(s_notOffered);
            known[path] = string.Join(", ", keys.Order(StringComparer.Ordinal));
        }
        List<OptionSection> told = [.. OptionWalk.All(root)];
        Assert.Equal(known.Keys.Order(StringComparer.Ordinal), told.Select(s => s.Path).Order(StringComparer.Ordinal));
        Assert.All(told, s => Assert.Equal(known[s.Path], string.Join(", ", s.Rows.Select(r => r.Key).Order(StringComparer.Ordinal))));
    }

    private static void AssertPage(string file, string expected)
    {
        string path = Path.Combine(Repository.Root, file);
        if (Environment.GetEnvironmentVariable("BELLWETHER_UPDATE") == "1")
            File.WriteAllText(path, expected);
        string actual = File.Exists(path) ? File.ReadAllText(path) : "";
        if (actual != expected)
            Assert.Fail($"{file} is not what the code says; write it anew by BELLWETHER_UPDATE=1 dotnet test tests/Tidy\n" + FirstDifference(actual, expected));
    }

    private static string FirstDifference(string actual, string expected)
    {
        string[] a = actual.Split('\n'), b = expected.Split('\n');
        int at = Enumerable.Range(0, Math.Max(a.Length, b.Length)).First(i => a.ElementAtOrDefault(i) != b.ElementAtOrDefault(i));
        return $"line {at + 1}\n  page: {a.ElementAtOrDefault(at)}\n  code: {b.ElementAtOrDefault(at)}";
    }

    [GeneratedRegex(@"^#+ (.*)$", RegexOptions.Multiline)]
    private static partial Regex Heading();

    [GeneratedRegex(@"\]\(#([^)]*)\)")]
    private static partial Regex AnchorLink();

    [GeneratedRegex(@"\[\d+\]")]
    private static partial Regex ListIndex();
}
