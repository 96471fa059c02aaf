using Bellwether.Store.Blocks;

namespace Bellwether.Store.Reading;

/// <summary>The chunk files of one moment, leased together, so that a query over years of them takes one lease. The files stay open until the last lease is given back.</summary>
internal sealed class BlockList
{
    private int _leases = 1;

    /// <summary>Leases the files. Under the head's lock, while they are published.</summary>
    public BlockList(BlockFile[] files)
    {
        Files = files;
        foreach (BlockFile file in files)
            file.Lease();
    }

    public BlockFile[] Files { get; }

    public void Lease() => Interlocked.Increment(ref _leases);

    public void Drop()
    {
        if (Interlocked.Decrement(ref _leases) > 0)
            return;
        foreach (BlockFile file in Files)
            file.Drop();
    }
}
