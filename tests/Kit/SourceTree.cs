namespace Bellwether.Kit;

/// <summary>Where the repository lies on this machine. Found from the test's own place: a CI build replaces the paths that the compiler would tell.</summary>
public static class SourceTree
{
    private static readonly Lazy<string> s_root = new(FindRoot);

    /// <summary>The folder with Agent.sln.</summary>
    public static string Root => s_root.Value;

    private static string FindRoot()
    {
        string folder = AppContext.BaseDirectory;
        while (!File.Exists(Path.Combine(folder, "Agent.sln")))
            folder = Path.GetDirectoryName(folder) ?? throw new InvalidOperationException("Agent.sln is in no folder above the tests.");
        return folder;
    }
}
