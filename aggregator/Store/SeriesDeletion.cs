using Bellwether.Core.Model;

namespace Bellwether.Store;

/// <summary>What is to be deleted: samples of a time range of all series that one of the selectors matches. Immutable.</summary>
/// <param name="Selectors">Each a list of matchers that must all fit; a series is deleted when one selector fits.</param>
/// <param name="FromMs">Unix ms, inclusive.</param>
/// <param name="ToMs">Unix ms, inclusive.</param>
public sealed record SeriesDeletion(IReadOnlyList<IReadOnlyList<LabelMatcher>> Selectors, long FromMs, long ToMs)
{
    /// <summary>Whether a series is one of those.</summary>
    public bool Matches(Labels labels)
    {
        foreach (IReadOnlyList<LabelMatcher> selector in Selectors)
        {
            if (selector.All(m => m.Matches(labels)))
                return true;
        }
        return false;
    }

    /// <summary>Whether a sample of a series that matches goes.</summary>
    internal bool Takes(long timeMs) => timeMs >= FromMs && timeMs <= ToMs;
}

/// <summary>What a deletion did.</summary>
/// <param name="Samples">Samples that went from chunk files. What was in memory only is not counted.</param>
/// <param name="Files">Chunk files that were written anew.</param>
/// <param name="FailedFiles">Chunk files that hold series to be deleted and could not be written anew because of damage.</param>
public sealed record DeletionResult(long Samples, int Files, int FailedFiles);
