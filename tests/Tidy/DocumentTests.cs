using System.Security.Cryptography;
using System.Text.RegularExpressions;

namespace Bellwether.Tidy;

/// <summary>Documents and built files stay true to what they speak of.</summary>
public sealed partial class DocumentTests
{
    [Fact]
    public void Relative_links_in_documents_lead_somewhere()
    {
        var broken = new List<string>();
        foreach (string file in Repository.With(".md"))
        {
            string folder = Path.GetDirectoryName(Path.Combine(Repository.Root, file))!;
            foreach (Match link in Link().Matches(Repository.Read(file)))
            {
                string target = link.Groups[1].Value.Split('#')[0];
                if (target.Length == 0 || target.Contains("://", StringComparison.Ordinal))
                    continue;
                if (!Path.Exists(Path.Combine(folder, target)))
                    broken.Add($"{file}: {target}");
            }
        }
        Assert.Empty(broken);
    }

    [Fact]
    public void Format_pages_name_source_files_that_exist()
    {
        foreach (string page in Repository.With(".md").Where(f => f.StartsWith("docs/formats/", StringComparison.Ordinal)))
        {
            MatchCollection sources = SourceName().Matches(Repository.Read(page));
            Assert.True(sources.Count > 0, $"{page} names no source file");
            Assert.All(sources, s => Assert.Contains(Repository.Files, f => f.EndsWith("/" + s.Groups[1].Value, StringComparison.Ordinal)));
        }
    }

    [Fact]
    public void The_consoles_built_page_comes_from_its_sources()
    {
        const string Web = "aggregator/Serve/Console/web/";
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        IEnumerable<string> sources = Repository.Files.Where(f => f.StartsWith(Web + "src/", StringComparison.Ordinal)).Order(StringComparer.Ordinal);
        foreach (string file in new[] { Web + "index.html", Web + "package-lock.json" }.Concat(sources))
            hash.AppendData(File.ReadAllBytes(Path.Combine(Repository.Root, file)));
        string built = Repository.Read("aggregator/Serve/Console/dist/sources.sha256").Trim();
        Assert.Equal(Convert.ToHexStringLower(hash.GetHashAndReset()), built);
    }

    [Fact]
    public void Every_sentence_of_the_delivery_promise_names_tests_that_exist()
    {
        string[] tests = [.. Repository.With(".cs").Where(f => f.StartsWith("tests/", StringComparison.Ordinal)).Select(Repository.Read)];
        var wrong = new List<string>();
        bool isPromise = false;
        foreach (string line in Repository.Read("docs/delivery.md").Split('\n').Where(l => l.Length > 0))
        {
            isPromise |= line.StartsWith("## ", StringComparison.Ordinal);
            if (!isPromise || line.StartsWith('#'))
                continue;
            MatchCollection names = TestName().Matches(line);
            if (names.Count == 0 || !line.StartsWith("- ", StringComparison.Ordinal))
                wrong.Add($"names no test: {line}");
            foreach (Match name in names)
            {
                bool exists = tests.Any(t => t.Contains($"class {name.Groups[1].Value}", StringComparison.Ordinal) && t.Contains($" {name.Groups[2].Value}(", StringComparison.Ordinal));
                if (!exists)
                    wrong.Add($"there is no test {name.Value}");
            }
        }
        Assert.Empty(wrong);
        Assert.True(isPromise);
    }

    [Fact]
    public void Every_item_of_the_seeds_is_open_or_names_tests_that_exist()
    {
        string[] tests = [.. Repository.With(".cs").Where(f => f.StartsWith("tests/", StringComparison.Ordinal)).Select(Repository.Read)];
        var wrong = new List<string>();
        string[] rows = [.. Repository.Read("docs/seeds.md").Split('\n').Where(l => l.StartsWith('|') && !l.StartsWith("| ---", StringComparison.Ordinal) && !l.StartsWith("| item", StringComparison.Ordinal))];
        foreach (string row in rows)
        {
            string last = row.TrimEnd(' ', '|').Split('|')[^1].Trim();
            MatchCollection names = TestName().Matches(last);
            if (names.Count == 0 && last != "open")
                wrong.Add($"names no test: {row}");
            wrong.AddRange(names.Where(n => !tests.Any(t => t.Contains($"class {n.Groups[1].Value}", StringComparison.Ordinal) && t.Contains($" {n.Groups[2].Value}(", StringComparison.Ordinal))).Select(n => $"there is no test {n.Value}"));
        }
        Assert.Empty(wrong);
        Assert.True(rows.Length > 80);
    }

    [GeneratedRegex(@"`([A-Z]\w+)\.([A-Z]\w+_\w+)`")]
    private static partial Regex TestName();

    [GeneratedRegex(@"\]\(([^)\s]+)\)")]
    private static partial Regex Link();

    [GeneratedRegex(@"(?<![\w.])([A-Z]\w+(?:\.\w+)*\.cs)\b")]
    private static partial Regex SourceName();
}
