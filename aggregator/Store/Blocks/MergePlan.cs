namespace Bellwether.Store.Blocks;

/// <summary>
/// Says which chunk files are to be merged. Windows of 1, 4, 16, ... partitions are looked through, the shortest first; those that are over and hold several
/// files are merged when that is worth it: what is merged with a large file is at least a quarter of it, so that a sample is written again a bounded number
/// of times and the number of files grows with the logarithm of the history.
/// </summary>
internal static class MergePlan
{
    private const int Growth = 4;

    /// <summary>A window that may still get files is merged when it has so many: history that is loaded, or late data, make one after the other.</summary>
    public const int MaxGrowing = 8;

    /// <summary>The most files that are merged at once.</summary>
    public const int MaxSources = 32;

    /// <summary>The files to merge next, or none.</summary>
    /// <param name="files">What there is.</param>
    /// <param name="resolutionMs">Only files of this resolution are merged with each other.</param>
    /// <param name="partitionMs">The shortest window.</param>
    /// <param name="maxRangeMs">No window is longer, so that retention, which drops whole files, stays near its time.</param>
    /// <param name="maxBytes">Sources of one merge together.</param>
    /// <param name="overMs">Windows that end later may still get files: they wait until there are <see cref="MaxGrowing"/>.</param>
    public static IReadOnlyList<BlockFile> Choose(IReadOnlyList<BlockFile> files, int resolutionMs, long partitionMs, long maxRangeMs, long maxBytes, long overMs)
    {
        for (long range = partitionMs; ; range *= Growth)
        {
            foreach (IGrouping<long, BlockFile> window in files.Where(f => f.ResolutionMs == resolutionMs && !f.IsDamaged && Window(f.Footer.MinMs, range) == Window(f.Footer.MaxMs, range)).GroupBy(f => Window(f.Footer.MinMs, range)).OrderBy(g => g.Key))
            {
                bool isOver = (window.Key + 1) * range <= overMs;
                if ((isOver || window.Count() >= MaxGrowing) && Worth(window, maxBytes, isOver) is { Count: > 1 } found && !ReachesOverOthers(found, files))
                    return found;
            }
            if (range > maxRangeMs / Growth)
                return [];
        }
    }

    // Between them may lie what is of another resolution already, or damaged and of a finer one still: of no time there are files of two resolutions.
    private static bool ReachesOverOthers(List<BlockFile> found, IReadOnlyList<BlockFile> files)
    {
        (long fromMs, long toMs) = (found.Min(f => f.Footer.MinMs), found.Max(f => f.Footer.MaxMs));
        return files.Any(f => f.ResolutionMs != found[0].ResolutionMs && f.Footer.MinMs <= toMs && f.Footer.MaxMs >= fromMs);
    }

    // While files still come it goes by samples, and twofold: small files are mostly index, so that by their bytes the large one would be worth merging again and again.
    private static List<BlockFile> Worth(IEnumerable<BlockFile> window, long maxBytes, bool isOver)
    {
        List<BlockFile> bySize = [.. window.OrderByDescending(f => isOver ? f.Bytes : f.Footer.Samples)];
        if (bySize.Count < 2)
            return [];
        bool whole = isOver ? bySize.Skip(1).Sum(f => f.Bytes) * Growth >= bySize[0].Bytes : bySize.Skip(1).Sum(f => f.Footer.Samples) >= bySize[0].Footer.Samples;
        if (!whole && bySize.Count <= Growth)
            return [];
        // The small ones first: they are many, and their sum may be worth the large one then.
        var found = new List<BlockFile>();
        long bytes = 0;
        for (int i = bySize.Count - 1; i >= (whole ? 0 : 1) && found.Count < MaxSources && bytes + bySize[i].Bytes <= maxBytes; i--)
        {
            found.Add(bySize[i]);
            bytes += bySize[i].Bytes;
        }
        return found;
    }

    private static long Window(long timeMs, long rangeMs) => timeMs >= 0 ? timeMs / rangeMs : ((timeMs + 1) / rangeMs) - 1;
}
