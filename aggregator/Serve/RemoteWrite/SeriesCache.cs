using System.Buffers.Binary;
using System.Security.Cryptography;
using Bellwether.Core.Model;

namespace Bellwether.Serve.RemoteWrite;

/// <summary>
/// Knows label sets by the bytes that they come in: a sender writes those of a series the same way each time, so that they need not be read, checked and looked up again. Holds the store's own
/// objects only, so that it costs some 20 bytes per series; those that come no more are gone after it has grown twice. What is compared is a hash of 128 bits under a secret of this
/// process: two sets that share it by accident are not to be expected in the age of the universe, and cannot be made on purpose. Thread-safe; looking up takes no lock.
/// </summary>
internal sealed class SeriesCache
{
    private const int FirstSlots = 1 << 10;

    /// <summary>Above it all is forgotten: 3.6 million series.</summary>
    private const int SlotsMax = 1 << 22;
    private readonly ulong _key1 = Secret(), _key2 = Secret(), _key3 = Secret(), _key4 = Secret();
    private readonly Func<Labels, Labels?> _known;
    private readonly Lock _gate = new();
    private Table _table = new(FirstSlots);
    private Table? _smaller;

    public SeriesCache(Func<Labels, Labels?> known) => _known = known;

    private sealed class Table(int slots)
    {
        public readonly Entry[] Entries = new Entry[slots];
        public int Count;
    }

    private struct Entry
    {
        public Labels? Set;
        public ulong Check;
    }

    /// <summary>The set that came in these bytes before; null: not known.</summary>
    public Labels? Find(ReadOnlySpan<byte> bytes, out (ulong Slot, ulong Check) hash)
    {
        hash = HashOf(bytes);
        if (Find(Volatile.Read(ref _table), hash) is { } found)
            return found;
        if (Volatile.Read(ref _smaller) is not { } smaller || Find(smaller, hash) is not { } moved)
            return null;
        lock (_gate)
            Add(hash, moved);
        return moved;
    }

    /// <summary>Remembers the set if the store has it.</summary>
    public void Remember((ulong Slot, ulong Check) hash, Labels labels)
    {
        if (_known(labels) is not { } kept)
            return;
        lock (_gate)
            Add(hash, kept);
    }

    private static Labels? Find(Table table, (ulong Slot, ulong Check) hash)
    {
        Entry[] entries = table.Entries;
        ulong mask = (ulong)entries.Length - 1;
        for (ulong at = hash.Slot & mask; Volatile.Read(ref entries[at].Set) is { } found; at = (at + 1) & mask)
        {
            if (entries[at].Check == hash.Check)
                return found;
        }
        return null;
    }

    private void Add((ulong Slot, ulong Check) hash, Labels labels)
    {
        if (_table.Count >= _table.Entries.Length / 8 * 7)
        {
            bool isFull = _table.Entries.Length >= SlotsMax;
            // What still comes moves over when it comes; the rest goes with the table at the next growth.
            Volatile.Write(ref _smaller, isFull ? null : _table);
            Volatile.Write(ref _table, new Table(isFull ? FirstSlots : _table.Entries.Length * 2));
        }
        Put(_table, hash, labels);
    }

    private static void Put(Table table, (ulong Slot, ulong Check) hash, Labels labels)
    {
        Entry[] entries = table.Entries;
        ulong mask = (ulong)entries.Length - 1;
        ulong at = hash.Slot & mask;
        for (; entries[at].Set is not null; at = (at + 1) & mask)
        {
            if (entries[at].Check == hash.Check)
                return;
        }
        entries[at].Check = hash.Check;
        // Last, so that a reader who sees the set sees its check.
        Volatile.Write(ref entries[at].Set, labels);
        table.Count++;
    }

    private (ulong Slot, ulong Check) HashOf(ReadOnlySpan<byte> bytes)
    {
        ulong a = _key3 ^ (ulong)bytes.Length, b = _key4;
        // Sixteen bytes at once; the last sixteen overlap those before, which costs less than a copy of what is left over.
        scoped ReadOnlySpan<byte> words = bytes;
        Span<byte> padded = stackalloc byte[16];
        if (bytes.Length < 16)
        {
            padded.Clear();
            bytes.CopyTo(padded);
            words = padded;
        }
        for (int at = 0, last = words.Length - 16; ; at = Math.Min(at + 16, last))
        {
            ulong low = BinaryPrimitives.ReadUInt64LittleEndian(words[at..]), high = BinaryPrimitives.ReadUInt64LittleEndian(words[(at + 8)..]);
            a = Fold(a ^ low, _key1 ^ high);
            b = Fold(b ^ high, _key2 ^ low);
            if (at == last)
                break;
        }
        return (Fold(a ^ _key4, b ^ _key1), Fold(a ^ _key2, b ^ _key3));
    }

    private static ulong Fold(ulong a, ulong b)
    {
        ulong high = Math.BigMul(a, b, out ulong low);
        return high ^ low;
    }

    // A secret against senders, which no behaviour depends on.
    private static ulong Secret() => BinaryPrimitives.ReadUInt64LittleEndian(RandomNumberGenerator.GetBytes(8)) | 1;
}
