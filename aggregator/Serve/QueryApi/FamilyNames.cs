using Bellwether.Core.Model;

namespace Bellwether.Serve.QueryApi;

/// <summary>Finds the metric family of a series by its name.</summary>
internal static class FamilyNames
{
    /// <summary>The family of a name among those known: its own first, then the one without the ending of a histogram's, summary's or OpenMetrics' series. Null: none is known.</summary>
    public static string? Find(IReadOnlyDictionary<string, MetricMetadata> known, string name)
    {
        if (known.ContainsKey(name))
            return name;
        int suffix = name.LastIndexOf('_');
        return suffix > 0 && name.AsSpan(suffix) is "_bucket" or "_count" or "_sum" or "_gcount" or "_gsum" or "_total" or "_info" && known.ContainsKey(name[..suffix]) ? name[..suffix] : null;
    }
}
