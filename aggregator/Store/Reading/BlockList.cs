using Bellwether.Store.Blocks;

namespace Bellwether.Store.Reading;

/// <summary>The chunk files of one moment, leased together, so that a query over years of them takes one lease. The files stay open until the last lease is given back.</summary>
internal sealed class BlockList
{
    private readonly long _coarseToMs = long.MinValue;
    private int _leases = 1;

    /// <summary>Leases the files. Under the head's lock, while they are published.</summary>
    public BlockList(BlockFile[] files)
    {
        Files = files;
        foreach (BlockFile file in files)
        {
            file.Lease();
            if (file.ResolutionMs > 0)
                _coarseToMs = Math.Max(_coarseToMs, file.Footer.MaxMs);
        }
    }

    public BlockFile[] Files { get; }

    /// <summary>The length of the longest slots in a range; 0: samples only.</summary>
    public long ResolutionMs(long fromMs, long toMs)
    {
        int longest = 0;
        for (int f = 0; fromMs <= _coarseToMs && f < Files.Length; f++)
        {
            if (Files[f].Footer.MinMs <= toMs && Files[f].Footer.MaxMs >= fromMs)
                longest = Math.Max(longest, Files[f].ResolutionMs);
        }
        return longest;
    }

    public void Lease() => Interlocked.Increment(ref _leases);

    public void Drop()
    {
        if (Interlocked.Decrement(ref _leases) > 0)
            return;
        foreach (BlockFile file in Files)
            file.Drop();
    }
}
