using System.Text.RegularExpressions;

namespace Bellwether.Tidy;

/// <summary>Rules on the text of our own sources.</summary>
public sealed partial class SourceTests
{
    private static IEnumerable<string> Product => Repository.With(".cs").Where(f => !f.StartsWith("tests/", StringComparison.Ordinal));

    [Fact]
    public void No_catch_is_empty() => AssertNone(Repository.With(".cs"), EmptyCatch());

    [Fact]
    public void No_word_says_that_something_is_left_for_later() => AssertNone(Repository.With(".cs", ".ts", ".tsx", ".proto"), Later());

    [Fact]
    public void No_region_hides_code() => AssertNone(Repository.With(".cs"), Region());

    [Fact]
    public void Types_are_not_named_manager_helper_or_util() => AssertNone(Product, VagueType());

    [Fact]
    public void Unsafe_code_needs_a_decision_page() => AssertNone(Product, UnsafeKeyword());

    [Fact]
    public void Log_event_ids_are_unique()
    {
        var seen = new Dictionary<string, string>();
        var twice = new List<string>();
        foreach (string file in Product)
        {
            foreach (Match match in EventId().Matches(Repository.Read(file)))
            {
                if (!seen.TryAdd(match.Groups[1].Value, file))
                    twice.Add($"{match.Groups[1].Value}: {seen[match.Groups[1].Value]} and {file}");
            }
        }
        Assert.Empty(twice);
    }

    [Fact]
    public void Text_files_end_in_one_newline_and_use_lf()
    {
        var wrong = new List<string>();
        foreach (string file in Repository.With(".cs", ".md", ".csproj", ".props", ".proto", ".yaml", ".yml", ".ts", ".tsx"))
        {
            string text = Repository.Read(file);
            if (text.Contains('\r') || (text.Length > 0 && (!text.EndsWith('\n') || text.EndsWith("\n\n", StringComparison.Ordinal))))
                wrong.Add(file);
        }
        Assert.Empty(wrong);
    }

    private static void AssertNone(IEnumerable<string> files, Regex pattern)
    {
        var hits = new List<string>();
        foreach (string file in files)
        {
            if (file == "tests/Tidy/SourceTests.cs")
                continue;
            string text = Repository.Read(file);
            foreach (Match match in pattern.Matches(text))
                hits.Add($"{file}:{text.AsSpan(0, match.Index).Count('\n') + 1}: {match.Value.ReplaceLineEndings(" ")}");
        }
        Assert.Empty(hits);
    }

    [GeneratedRegex(@"catch\s*(\([^)]*\))?\s*(when\s*\([^)]*\)\s*)?\{\s*\}")]
    private static partial Regex EmptyCatch();

    [GeneratedRegex(@"\b(TODO|FIXME|HACK|XXX)\b|NotImplementedException")]
    private static partial Regex Later();

    [GeneratedRegex(@"^\s*#region", RegexOptions.Multiline)]
    private static partial Regex Region();

    [GeneratedRegex(@"\b(class|record|struct|interface)\s+\w*(Manager|Helper|Helpers|Util|Utils|Utilities)\b")]
    private static partial Regex VagueType();

    [GeneratedRegex(@"^\s*((public|private|protected|internal|static|sealed|readonly|override|extern|file)\s+)*unsafe\b", RegexOptions.Multiline)]
    private static partial Regex UnsafeKeyword();

    [GeneratedRegex(@"\[LoggerMessage\(\s*(?:EventId\s*=\s*)?(\d+)")]
    private static partial Regex EventId();
}
