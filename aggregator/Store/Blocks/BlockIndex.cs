using Bellwether.Core.Model;
using Bellwether.Store.Head;

namespace Bellwether.Store.Blocks;

/// <summary>Where a series' chunk lies in its file.</summary>
internal readonly record struct BlockEntry(Labels Labels, int Count, long MinMs, long MaxMs, long TimesOffset, int TimesLength, long Offset, int Length);

/// <summary>A chunk file's index in memory. Immutable, thread-safe.</summary>
internal sealed class BlockIndex
{
    private readonly BlockEntry[] _entries;
    // Per series its first entry.
    private readonly int[] _firstOf;
    private readonly Postings _postings = new();
    private readonly Dictionary<Labels, int> _byLabels;

    private BlockIndex(BlockEntry[] entries, int[] firstOf, long bytes)
    {
        _entries = entries;
        _firstOf = firstOf;
        Bytes = bytes;
        _byLabels = new Dictionary<Labels, int>(firstOf.Length);
        for (int i = 0; i < firstOf.Length; i++)
        {
            Labels labels = entries[firstOf[i]].Labels;
            _postings.Add(labels, (uint)i);
            _byLabels[labels] = firstOf[i];
        }
    }

    /// <summary>Its size on disk, as a measure of its memory.</summary>
    public long Bytes { get; }

    /// <summary>Chunks of all series.</summary>
    public int Count => _entries.Length;

    /// <summary>A chunk: by labels, then by time.</summary>
    public ref readonly BlockEntry this[int chunk] => ref _entries[chunk];

    /// <summary>The first chunk of a series; -1: it has none.</summary>
    public int Find(Labels labels) => _byLabels.TryGetValue(labels, out int at) ? at : -1;

    /// <summary>The next chunk of the same series; -1: there is none.</summary>
    public int NextOf(int chunk) => chunk + 1 < _entries.Length && ReferenceEquals(_entries[chunk + 1].Labels, _entries[chunk].Labels) ? chunk + 1 : -1;

    /// <summary>Reads a whole index; throws <see cref="InvalidDataException"/>.</summary>
    public static BlockIndex Parse(BlockIndexReader reader)
    {
        var entries = new List<BlockEntry>(reader.Series);
        var firstOf = new int[reader.Series];
        for (int i = 0; i < firstOf.Length; i++)
        {
            firstOf[i] = entries.Count;
            reader.Next(entries);
        }
        return new BlockIndex([.. entries], firstOf, reader.Bytes);
    }

    /// <summary>Chunks of series that match and overlap a range.</summary>
    public void Select(long fromMs, long toMs, IReadOnlyList<LabelMatcher> matchers, List<int> into, CancellationToken cancellation)
    {
        uint[]? candidates = _postings.Candidates(matchers, cancellation);
        int count = candidates?.Length ?? _firstOf.Length;
        for (int i = 0; i < count; i++)
        {
            if (i % 1000 == 999)
                cancellation.ThrowIfCancellationRequested();
            int first = _firstOf[candidates is null ? i : (int)candidates[i]];
            if (!HeadIndex.MatchesRest(_entries[first].Labels, matchers))
                continue;
            for (int chunk = first; chunk >= 0; chunk = NextOf(chunk))
            {
                if (_entries[chunk].MinMs <= toMs && _entries[chunk].MaxMs >= fromMs)
                    into.Add(chunk);
            }
        }
    }
}
