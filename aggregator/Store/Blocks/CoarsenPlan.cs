namespace Bellwether.Store.Blocks;

/// <summary>
/// Says which chunk files are to become one of a coarser resolution: the oldest that is old enough, with all that overlap it in time, since the slots of a series must hold all its samples.
/// Where one of these is young or damaged they stay; the next are looked at.
/// </summary>
internal static class CoarsenPlan
{
    /// <summary>The files to coarsen next, or none.</summary>
    /// <param name="files">What there is.</param>
    /// <param name="resolutionMs">The resolution that they are to have; finer ones are taken.</param>
    /// <param name="beforeMs">Only files whose newest sample is older.</param>
    public static IReadOnlyList<BlockFile> Choose(IReadOnlyList<BlockFile> files, int resolutionMs, long beforeMs)
    {
        List<BlockFile> finer = [.. files.Where(f => f.ResolutionMs < resolutionMs).OrderBy(f => f.Footer.MinMs)];
        for (int from = 0, to; from < finer.Count && finer[from].Footer.MinMs < beforeMs; from = to)
        {
            long newest = finer[from].Footer.MaxMs;
            for (to = from + 1; to < finer.Count && finer[to].Footer.MinMs <= newest; to++)
                newest = Math.Max(newest, finer[to].Footer.MaxMs);
            List<BlockFile> found = finer[from..to];
            if (newest < beforeMs && !found.Exists(static f => f.IsDamaged))
                return found;
        }
        return [];
    }
}
