namespace Bellwether.Evaluate.Slo.Compiling;

/// <summary>Labels and annotations laid over each other.</summary>
internal static class SloLabels
{
    /// <summary>All of them by name; later ones win.</summary>
    public static SortedDictionary<string, string> Merge(params ReadOnlySpan<IReadOnlyDictionary<string, string>> layers)
    {
        var merged = new SortedDictionary<string, string>(StringComparer.Ordinal);
        foreach (IReadOnlyDictionary<string, string> layer in layers)
        {
            foreach ((string name, string value) in layer)
                merged[name] = value;
        }
        return merged;
    }
}
