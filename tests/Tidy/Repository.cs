using System.Diagnostics;

namespace Bellwether.Tidy;

/// <summary>The repository's files as git knows them (tracked, and new ones that are not ignored).</summary>
internal static class Repository
{
    private static readonly Lazy<string> s_root = new(FindRoot);
    private static readonly Lazy<IReadOnlyList<string>> s_files = new(ListFiles);

    public static string Root => s_root.Value;

    /// <summary>Paths relative to the root, with forward slashes.</summary>
    public static IReadOnlyList<string> Files => s_files.Value;

    public static IEnumerable<string> With(params string[] endings) => Files.Where(f => endings.Any(e => f.EndsWith(e, StringComparison.Ordinal)));

    public static string Read(string file) => File.ReadAllText(Path.Combine(Root, file));

    private static string FindRoot()
    {
        string? folder = AppContext.BaseDirectory;
        while (folder is not null && !File.Exists(Path.Combine(folder, "Agent.sln")))
            folder = Path.GetDirectoryName(folder);
        return folder ?? throw new InvalidOperationException("Agent.sln is in no folder above the test");
    }

    private static List<string> ListFiles()
    {
        var start = new ProcessStartInfo("git", "ls-files --cached --others --exclude-standard") { WorkingDirectory = Root, RedirectStandardOutput = true };
        using Process git = Process.Start(start)!;
        var files = new List<string>();
        while (git.StandardOutput.ReadLine() is { } line)
        {
            if (File.Exists(Path.Combine(Root, line)))
                files.Add(line);
        }
        git.WaitForExit();
        Assert.Equal(0, git.ExitCode);
        return files;
    }
}
