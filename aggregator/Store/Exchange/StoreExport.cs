using Bellwether.Core.Model;

namespace Bellwether.Store.Exchange;

/// <summary>What is exported.</summary>
/// <param name="Selectors">Series that match any of them; empty: all.</param>
/// <param name="FromMs">Unix ms, inclusive.</param>
/// <param name="ToMs">Unix ms, inclusive.</param>
public sealed record ExportRange(IReadOnlyList<IReadOnlyList<LabelMatcher>> Selectors, long FromMs, long ToMs);

/// <summary>What was exported.</summary>
public sealed record ExportResult
{
    /// <summary>Series with samples that were written.</summary>
    public long Series { get; internal set; }

    /// <summary>Samples that were written.</summary>
    public long Samples { get; internal set; }

    /// <summary>Native histograms that the format cannot hold.</summary>
    public long HistogramsLeftOut { get; internal set; }

    /// <summary>Stale markers that the format cannot hold.</summary>
    public long StaleMarkersLeftOut { get; internal set; }

    /// <summary>Series without a name, which the format cannot hold.</summary>
    public long NamelessLeftOut { get; internal set; }

    /// <summary>Slots of coarser resolutions, whose samples are not there any more.</summary>
    public long SlotsLeftOut { get; internal set; }

    /// <summary>Blocks that were written.</summary>
    public int Blocks { get; internal set; }
}

/// <summary>Opens what an export selects, several selectors as one.</summary>
internal static class ExportSelection
{
    /// <summary>Reads the samples of a series, and counts the slots beside them.</summary>
    public static void Read(ISeriesSet set, int index, SampleBuffer samples, ExportResult result)
    {
        var slots = new List<CoarseSlot>();
        CoarseSets.Read(set, index, samples, slots);
        result.SlotsLeftOut += slots.Count;
    }

    /// <summary>Calls for each series once, in label order within each selector's turn.</summary>
    /// <param name="reader">The store.</param>
    /// <param name="range">What is exported.</param>
    /// <param name="extra">One more matcher for all; null: none.</param>
    /// <param name="take">Takes a series of a set.</param>
    /// <param name="cancellation">Ends it.</param>
    public static void ForEach(ISeriesReader reader, ExportRange range, LabelMatcher? extra, Action<ISeriesSet, int> take, CancellationToken cancellation)
    {
        IReadOnlyList<IReadOnlyList<LabelMatcher>> selectors = range.Selectors.Count == 0 ? [[]] : range.Selectors;
        HashSet<Labels>? seen = selectors.Count > 1 ? [] : null;
        foreach (IReadOnlyList<LabelMatcher> selector in selectors)
        {
            using ISeriesSet set = reader.Select(range.FromMs, range.ToMs, extra is null ? selector : [.. selector, extra], cancellation);
            for (int i = 0; i < set.Count; i++)
            {
                cancellation.ThrowIfCancellationRequested();
                if (seen is null || seen.Add(set.LabelsAt(i)))
                    take(set, i);
            }
        }
    }
}
