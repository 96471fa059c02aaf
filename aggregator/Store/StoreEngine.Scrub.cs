using Bellwether.Store.Blocks;
using Bellwether.Store.Reading;

namespace Bellwether.Store;

// What a scrub needs of the store: one file at a time, held only while it is read.
public sealed partial class StoreEngine
{
    /// <summary>The next chunk file by name behind another one, leased; null: there is none. Thread-safe.</summary>
    internal BlockFile? LeaseFileAfter(string name)
    {
        BlockList list;
        _index.Gate.EnterReadLock();
        try
        {
            list = _blocks.Lease();
        }
        finally
        {
            _index.Gate.ExitReadLock();
        }
        try
        {
            BlockFile? next = list.Files.Where(f => string.CompareOrdinal(f.Name, name) > 0).MinBy(f => f.Name, StringComparer.Ordinal);
            next?.Lease();
            return next;
        }
        finally
        {
            list.Drop();
        }
    }
}
