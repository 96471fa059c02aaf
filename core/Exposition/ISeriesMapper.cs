using Bellwether.Core.Model;

namespace Bellwether.Core.Exposition;

/// <summary>What becomes of a series as a target exposes it.</summary>
public enum MapOutcome
{
    /// <summary>It is kept, under the labels given.</summary>
    Keep,
    /// <summary>A rule drops it.</summary>
    Drop,
    /// <summary>It breaks a limit or has no valid name: the whole scrape fails.</summary>
    Refuse,
}

/// <summary>Turns a series as exposed into the one that is kept: target labels, relabelling, limits. Asked once per series, at first sight.</summary>
public interface ISeriesMapper
{
    /// <summary>Maps one series.</summary>
    /// <param name="exposed">Its labels with the metric name, as the target says them.</param>
    /// <param name="kept">The labels to keep, on <see cref="MapOutcome.Keep"/>.</param>
    /// <param name="reason">Why it is refused, on <see cref="MapOutcome.Refuse"/>.</param>
    MapOutcome Map(Labels exposed, out Labels kept, out string? reason);
}

/// <summary>Keeps every series as it is.</summary>
public sealed class IdentityMapper : ISeriesMapper
{
    /// <inheritdoc/>
    public MapOutcome Map(Labels exposed, out Labels kept, out string? reason)
    {
        kept = exposed;
        reason = null;
        return MapOutcome.Keep;
    }
}
