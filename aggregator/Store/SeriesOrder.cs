using Bellwether.Store.Head;

namespace Bellwether.Store;

/// <summary>
/// All series of memory in label order, kept from one cut to the next: only those that came since are sorted, since sorting a million series takes seconds. Eight bytes per series.
/// One thread at a time.
/// </summary>
internal sealed class SeriesOrder
{
    private HeadSeries[] _sorted = [];
    private int _references;

    /// <summary>Those with a number below <paramref name="references"/>. What was removed since is not among them. Takes the head's read lock for some series at a time.</summary>
    public HeadSeries[] Of(HeadIndex index, int references, int perStep)
    {
        List<HeadSeries> added = Added(index, references, perStep);
        added.Sort(static (a, b) => a.Labels.CompareTo(b.Labels));
        // Only a cut removes series, and not while one is written.
        HeadSeries[] known = Array.Exists(_sorted, static s => s.IsRemoved) ? Array.FindAll(_sorted, static s => !s.IsRemoved) : _sorted;
        _references = references;
        return _sorted = known.Length == 0 ? [.. added] : added.Count == 0 ? known : Join(known, added);
    }

    private List<HeadSeries> Added(HeadIndex index, int references, int perStep)
    {
        var added = new List<HeadSeries>();
        for (int from = _references; from < references; from += perStep)
        {
            index.Gate.EnterReadLock();
            try
            {
                for (int i = from; i < Math.Min(references, from + perStep); i++)
                {
                    if (index.At((uint)i) is { } series)
                        added.Add(series);
                }
            }
            finally
            {
                index.Gate.ExitReadLock();
            }
        }
        return added;
    }

    private static HeadSeries[] Join(HeadSeries[] known, List<HeadSeries> added)
    {
        var all = new HeadSeries[known.Length + added.Count];
        for (int k = 0, a = 0, at = 0; at < all.Length; at++)
        {
            bool takesKnown = a == added.Count || (k < known.Length && known[k].Labels.CompareTo(added[a].Labels) < 0);
            all[at] = takesKnown ? known[k++] : added[a++];
        }
        return all;
    }
}
