namespace Bellwether.Kit.Live;

/// <summary>Where the shipped programs are: <c>dist/</c>, as scripts/build leaves it, or the folder in BELLWETHER_DIST.</summary>
public static class Programs
{
    /// <summary>The folder with Agent.sln.</summary>
    public static string Root => SourceTree.Root;

    /// <summary>bellwether-agent.</summary>
    public static string Agent { get; } = Find("agent", "bellwether-agent");

    /// <summary>bellwether-aggregator.</summary>
    public static string Aggregator { get; } = Find("aggregator", "bellwether-aggregator");

    private static string Find(string folder, string name)
    {
        string dist = Environment.GetEnvironmentVariable("BELLWETHER_DIST") ?? Path.Combine(Root, "dist");
        string path = Path.Combine(dist, folder, name);
        return File.Exists(path) ? path : throw new InvalidOperationException($"{path} is not there: run scripts/build first");
    }
}
