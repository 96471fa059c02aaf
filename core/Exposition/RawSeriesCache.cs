using System.Runtime.InteropServices;

namespace Bellwether.Core.Exposition;

/// <summary>
/// From the raw text of a series, as it stands in a body, to what is known of it. Open addressing over one arena of keys: a lookup allocates nothing. The hash is
/// seeded per process, so that a target cannot choose colliding names. Not thread-safe.
/// </summary>
internal sealed class RawSeriesCache
{
    private int[] _buckets = new int[256];
    private CachedSeries[] _items = new CachedSeries[64];
    private byte[] _arena = new byte[4096];
    private int _arenaUsed;

    /// <summary>How many series are known.</summary>
    public int Count { get; private set; }

    /// <summary>What is known, by the index that <see cref="Find"/> and <see cref="Add"/> gave.</summary>
    public ref CachedSeries this[int index] => ref _items[index];

    /// <summary>The index of a series, or -1.</summary>
    public int Find(ReadOnlySpan<byte> text)
    {
        int hash = HashOf(text);
        int mask = _buckets.Length - 1;
        for (int b = hash & mask; ; b = (b + 1) & mask)
        {
            int index = _buckets[b] - 1;
            if (index < 0)
                return -1;
            ref CachedSeries item = ref _items[index];
            if (item.Hash == hash && _arena.AsSpan(item.KeyStart, item.KeyLength).SequenceEqual(text))
                return index;
        }
    }

    /// <summary>Adds a series that is not there yet.</summary>
    public int Add(ReadOnlySpan<byte> text, int slot, int group)
    {
        if (Count == _items.Length)
            Array.Resize(ref _items, Count * 2);
        if ((Count + 1) * 2 > _buckets.Length)
            Rehash();
        if (_arenaUsed + text.Length > _arena.Length)
            Array.Resize(ref _arena, _arenaUsed + text.Length + (_arena.Length / 4)); // not by doubling: it stays for as long as the target
        text.CopyTo(_arena.AsSpan(_arenaUsed));
        _items[Count] = new CachedSeries { Hash = HashOf(text), KeyStart = _arenaUsed, KeyLength = text.Length, Slot = slot, Group = group, EntryIndex = -1 };
        _arenaUsed += text.Length;
        Count++;
        Place(Count - 1);
        return Count - 1;
    }

    private void Rehash()
    {
        _buckets = new int[_buckets.Length * 2];
        for (int i = 0; i < Count; i++)
            Place(i);
    }

    private void Place(int index)
    {
        int mask = _buckets.Length - 1;
        int b = _items[index].Hash & mask;
        while (_buckets[b] != 0)
            b = (b + 1) & mask;
        _buckets[b] = index + 1;
    }

    private static int HashOf(ReadOnlySpan<byte> text)
    {
        int hash = string.GetHashCode(MemoryMarshal.Cast<byte, char>(text));
        return (text.Length & 1) == 0 ? hash : (hash * 31) + text[^1];
    }

    /// <summary>What is known of a series.</summary>
    internal struct CachedSeries
    {
        public int Hash;
        public int KeyStart;
        public int KeyLength;

        /// <summary>Its slot, or -1 when it is dropped.</summary>
        public int Slot;

        /// <summary>The start group that it sets (a _created series), or -1.</summary>
        public int Group;

        /// <summary>Where it stood among the entries of the last body, or -1.</summary>
        public int EntryIndex;
    }
}
