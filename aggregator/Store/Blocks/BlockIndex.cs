using System.Text;
using Bellwether.Core.Model;
using Bellwether.Store.Chunks;
using Bellwether.Store.Head;

namespace Bellwether.Store.Blocks;

/// <summary>Where a series' chunk lies in its file.</summary>
internal readonly record struct BlockEntry(Labels Labels, int Count, long MinMs, long MaxMs, long TimesOffset, int TimesLength, long Offset, int Length);

/// <summary>A chunk file's index in memory. Immutable, thread-safe.</summary>
internal sealed class BlockIndex
{
    private readonly BlockEntry[] _entries;
    private readonly Postings _postings = new();
    private readonly Dictionary<Labels, int> _byLabels;

    private BlockIndex(BlockEntry[] entries, long bytes)
    {
        _entries = entries;
        Bytes = bytes;
        _byLabels = new Dictionary<Labels, int>(entries.Length);
        for (int i = 0; i < entries.Length; i++)
        {
            _postings.Add(entries[i].Labels, (uint)i);
            _byLabels[entries[i].Labels] = i;
        }
    }

    /// <summary>Its size on disk, as a measure of its memory.</summary>
    public long Bytes { get; }

    public int Count => _entries.Length;

    public ref readonly BlockEntry this[int series] => ref _entries[series];

    public int Find(Labels labels) => _byLabels.TryGetValue(labels, out int at) ? at : -1;

    /// <summary>Parses the bytes of an index whose check was right; throws <see cref="InvalidDataException"/>.</summary>
    public static BlockIndex Parse(ReadOnlySpan<byte> bytes, long fileBytes)
    {
        var reader = new ByteReader(bytes);
        var symbols = new string[reader.Count(bytes.Length)];
        for (int i = 0; i < symbols.Length; i++)
            symbols[i] = Encoding.UTF8.GetString(reader.Bytes(reader.Count(reader.Left)));
        var entries = new BlockEntry[reader.Count(bytes.Length)];
        reader.Count(reader.Left);
        for (int i = 0; i < entries.Length; i++)
            entries[i] = ReadEntry(ref reader, symbols, fileBytes);
        return new BlockIndex(entries, bytes.Length);
    }

    /// <summary>Numbers of series that match and overlap a range.</summary>
    public void Select(long fromMs, long toMs, IReadOnlyList<LabelMatcher> matchers, List<int> into, CancellationToken cancellation)
    {
        uint[]? candidates = _postings.Candidates(matchers, cancellation);
        int count = candidates?.Length ?? _entries.Length;
        for (int i = 0; i < count; i++)
        {
            if (i % 1000 == 999)
                cancellation.ThrowIfCancellationRequested();
            int series = candidates is null ? i : (int)candidates[i];
            ref readonly BlockEntry entry = ref _entries[series];
            if (entry.MinMs <= toMs && entry.MaxMs >= fromMs && HeadIndex.MatchesRest(entry.Labels, matchers))
                into.Add(series);
        }
    }

    private static BlockEntry ReadEntry(ref ByteReader reader, string[] symbols, long fileBytes)
    {
        var labels = new Label[reader.Count(reader.Left)];
        for (int l = 0; l < labels.Length; l++)
            labels[l] = new Label(symbols[Number(ref reader, symbols.Length)], symbols[Number(ref reader, symbols.Length)]);
        int count = reader.Count(BlockFormat.MaxSamples);
        long min = reader.Zigzag();
        long max = min + (long)reader.Varint();
        (long timesOffset, int timesLength) = Place(ref reader, fileBytes);
        (long offset, int length) = Place(ref reader, fileBytes);
        if (count == 0 || max < min)
            throw new InvalidDataException("a series of the index has no samples");
        return new BlockEntry(Labels.FromSorted(labels), count, min, max, timesOffset, timesLength, offset, length);
    }

    private static int Number(ref ByteReader reader, int count)
    {
        int number = reader.Count(int.MaxValue);
        return number < count ? number : throw new InvalidDataException("the index names a symbol that it does not hold");
    }

    private static (long Offset, int Length) Place(ref ByteReader reader, long fileBytes)
    {
        ulong offset = reader.Varint();
        int length = reader.Count(int.MaxValue - 4);
        if (offset > (ulong)fileBytes || (ulong)length + 4 > (ulong)fileBytes - offset)
            throw new InvalidDataException("the index points outside its file");
        return ((long)offset, length);
    }
}
