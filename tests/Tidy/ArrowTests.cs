using System.Xml.Linq;

namespace Bellwether.Tidy;

/// <summary>Which project may use which (docs/ARCHITECTURE.md). An arrow that is not here is an arrow too many.</summary>
public sealed class ArrowTests
{
    private static readonly Dictionary<string, string[]> s_allowed = new()
    {
        ["proto/Proto.csproj"] = [],
        ["core/Core.csproj"] = ["proto/Proto.csproj"],
        ["core/Grpc/Server/GrpcServer.csproj"] = ["core/Core.csproj"],
        ["agent/Agent.csproj"] = ["core/Core.csproj", "proto/Proto.csproj"],
        ["aggregator/Store/Store.csproj"] = ["core/Core.csproj"],
        ["aggregator/Evaluate/PromQl/PromQl.csproj"] = ["core/Core.csproj"],
        ["aggregator/Evaluate/Rules/Rules.csproj"] = ["core/Core.csproj", "aggregator/Evaluate/PromQl/PromQl.csproj"],
        ["aggregator/Evaluate/Kpi/Kpi.csproj"] = ["core/Core.csproj", "aggregator/Evaluate/PromQl/PromQl.csproj", "aggregator/Evaluate/Rules/Rules.csproj"],
        ["aggregator/Evaluate/Slo/Slo.csproj"] = ["core/Core.csproj", "aggregator/Evaluate/PromQl/PromQl.csproj", "aggregator/Evaluate/Rules/Rules.csproj"],
        ["aggregator/Ingest/Ingest.csproj"] = ["core/Core.csproj", "core/Grpc/Server/GrpcServer.csproj", "proto/Proto.csproj", "aggregator/Store/Store.csproj"],
        ["aggregator/Serve/Serve.csproj"] = ["core/Core.csproj", "proto/Proto.csproj", "aggregator/Store/Store.csproj", "aggregator/Evaluate/PromQl/PromQl.csproj", "aggregator/Evaluate/Rules/Rules.csproj", "aggregator/Evaluate/Kpi/Kpi.csproj", "aggregator/Evaluate/Slo/Slo.csproj"],
    };

    [Fact]
    public void Projects_reference_only_what_the_architecture_allows()
    {
        var wrong = new List<string>();
        foreach ((string project, string[] allowed) in s_allowed)
        {
            string folder = Path.GetDirectoryName(Path.Combine(Repository.Root, project))!;
            foreach (XElement reference in XDocument.Load(Path.Combine(Repository.Root, project)).Descendants("ProjectReference"))
            {
                string target = Path.GetRelativePath(Repository.Root, Path.GetFullPath(Path.Combine(folder, reference.Attribute("Include")!.Value))).Replace('\\', '/');
                if (!allowed.Contains(target))
                    wrong.Add($"{project} -> {target}");
            }
        }
        Assert.Empty(wrong);
    }

    [Fact]
    public void Only_the_host_the_tests_and_the_samples_are_free_of_the_arrows()
    {
        IEnumerable<string> free = Repository.With(".csproj").Where(p => !s_allowed.ContainsKey(p));
        Assert.All(free, p => Assert.True(p == "aggregator/Host/Host.csproj" || p.StartsWith("tests/", StringComparison.Ordinal) || p.StartsWith("samples/", StringComparison.Ordinal), p));
    }

    [Fact]
    public void Every_project_is_in_the_solution()
    {
        string solution = Repository.Read("Agent.sln").Replace('\\', '/');
        Assert.All(Repository.With(".csproj"), p => Assert.Contains($"\"{p}\"", solution, StringComparison.Ordinal));
    }

    [Fact]
    public void Every_package_has_a_reason_in_the_line_above_it()
    {
        string[] lines = Repository.Read("Directory.Packages.props").Split('\n');
        for (int i = 1; i < lines.Length; i++)
        {
            if (lines[i].Contains("<PackageVersion ", StringComparison.Ordinal))
                Assert.True(lines[i - 1].Contains("-->", StringComparison.Ordinal), $"no reason above: {lines[i].Trim()}");
        }
    }
}
