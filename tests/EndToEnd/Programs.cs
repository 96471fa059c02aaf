namespace Bellwether.EndToEnd;

/// <summary>Where the shipped programs are: <c>dist/</c>, as scripts/build leaves it, or the folder in BELLWETHER_DIST.</summary>
internal static class Programs
{
    public static string Root { get; } = FindRoot();

    public static string Agent { get; } = Find("agent", "bellwether-agent");

    public static string Aggregator { get; } = Find("aggregator", "bellwether-aggregator");

    private static string FindRoot()
    {
        string? folder = AppContext.BaseDirectory;
        while (folder is not null && !File.Exists(Path.Combine(folder, "Agent.sln")))
            folder = Path.GetDirectoryName(folder);
        return folder ?? throw new InvalidOperationException("Agent.sln is in no folder above the test");
    }

    private static string Find(string folder, string name)
    {
        string dist = Environment.GetEnvironmentVariable("BELLWETHER_DIST") ?? Path.Combine(Root, "dist");
        string path = Path.Combine(dist, folder, name);
        return File.Exists(path) ? path : throw new InvalidOperationException($"{path} is not there: run scripts/build first");
    }
}
