using System.Text;
using Bellwether.Core.Model;
using Bellwether.Store.Chunks;

namespace Bellwether.Store.Blocks;

/// <summary>
/// Reads the bytes of an index, whose check was right, series by series (docs/formats/index.md). What it gives is bounded by the file. Throws
/// <see cref="InvalidDataException"/> on anything that does not fit. One thread at a time.
/// </summary>
internal sealed class BlockIndexReader
{
    private readonly byte[] _bytes;
    private readonly long _fileBytes;
    private readonly byte _version;
    private readonly string[] _symbols;
    private readonly TimesPlace[] _columns = [];
    private int _column = -1;
    private int _at;
    private long _minMs;
    private long _timesOffset = BlockFormat.HeadBytes;
    private long _end = BlockFormat.HeadBytes;

    public BlockIndexReader(byte[] bytes, long fileBytes, byte version)
    {
        _bytes = bytes;
        _fileBytes = fileBytes;
        _version = version;
        var reader = new ByteReader(bytes);
        _symbols = new string[reader.Count(bytes.Length)];
        for (int i = 0; i < _symbols.Length; i++)
            _symbols[i] = Encoding.UTF8.GetString(reader.Bytes(reader.Count(reader.Left)));
        if (version > BlockFormat.FirstVersion)
        {
            var replaces = new string[reader.Count(reader.Left)];
            for (int i = 0; i < replaces.Length; i++)
                replaces[i] = reader.Text(reader.Left);
            Replaces = replaces;
        }
        if (version == BlockFormat.Version)
            _columns = Columns(ref reader);
        Series = reader.Count(bytes.Length);
        reader.Count(reader.Left);
        _at = reader.Position;
    }

    /// <summary>Series that it holds, in label order.</summary>
    public int Series { get; }

    /// <summary>Its size.</summary>
    public long Bytes => _bytes.Length;

    /// <summary>Names of the files that its file stands in for.</summary>
    public IReadOnlyList<string> Replaces { get; } = [];

    /// <summary>Adds the chunks of the next series, oldest first; at most <see cref="Series"/> times.</summary>
    public void Next(List<BlockEntry> into)
    {
        var reader = new ByteReader(_bytes.AsSpan(_at));
        var labels = new Label[reader.Count(reader.Left)];
        for (int l = 0; l < labels.Length; l++)
            labels[l] = new Label(_symbols[Number(ref reader)], _symbols[Number(ref reader)]);
        Labels sorted = Labels.FromSorted(labels);
        int chunks = _version == BlockFormat.FirstVersion ? 1 : reader.Count(reader.Left);
        if (chunks == 0)
            throw new InvalidDataException("a series of the index has no chunks");
        for (int i = 0; i < chunks; i++)
            into.Add(Chunk(ref reader, sorted, _version));
        _at += reader.Position;
    }

    private TimesPlace[] Columns(ref ByteReader reader)
    {
        var columns = new TimesPlace[reader.Count(reader.Left)];
        long min = 0, end = BlockFormat.HeadBytes;
        for (int i = 0; i < columns.Length; i++)
        {
            int count = reader.Count(BlockFormat.MaxSamples);
            min += reader.Zigzag();
            long max = min + (long)reader.Varint(), offset = end + reader.Zigzag();
            int length = Length(ref reader, offset);
            columns[i] = new TimesPlace(count, min, max, offset, length);
            end = offset + length + 4;
        }
        return columns;
    }

    /// <summary>Goes over all series that were not read yet and keeps nothing of them: of a million series that takes a tenth of a second instead of seconds.</summary>
    public void Check()
    {
        var reader = new ByteReader(_bytes.AsSpan(_at));
        for (int i = 0; i < Series; i++)
        {
            CheckLabels(ref reader);
            int chunks = _version == BlockFormat.FirstVersion ? 1 : reader.Count(reader.Left);
            if (chunks == 0)
                throw new InvalidDataException("a series of the index has no chunks");
            for (int c = 0; c < chunks; c++)
                Chunk(ref reader, Labels.Empty, _version);
        }
        _at += reader.Position;
    }

    private void CheckLabels(ref ByteReader reader)
    {
        int count = reader.Count(reader.Left);
        string? before = null;
        for (int l = 0; l < count; l++)
        {
            string name = _symbols[Number(ref reader)];
            bool isEmpty = name.Length == 0 || _symbols[Number(ref reader)].Length == 0;
            if (isEmpty || (before is not null && Utf8Order.Compare(before, name) >= 0))
                throw new InvalidDataException("its labels are not in order");
            before = name;
        }
    }

    private BlockEntry Chunk(ref ByteReader reader, Labels labels, byte version) => version switch
    {
        BlockFormat.FirstVersion => FirstVersionChunk(ref reader, labels),
        BlockFormat.Version => Chunk(ref reader, labels),
        _ => SecondVersionChunk(ref reader, labels),
    };

    // Mostly the next column of times, and right behind the chunk before.
    private BlockEntry Chunk(ref ByteReader reader, Labels labels)
    {
        ulong head = reader.Varint();
        long column = (long)_column + 1, offset = _end;
        if ((head & 1) != 0)
        {
            column = unchecked(column + reader.Zigzag());
            offset = unchecked(offset + reader.Zigzag());
        }
        if ((ulong)column >= (ulong)_columns.Length)
            throw new InvalidDataException("the index names a column of times that it does not hold");
        int length = Length(head >> 1, offset);
        (_column, _end) = ((int)column, offset + length + 4);
        TimesPlace times = _columns[column];
        return Entry(labels, times.Count, times.MinMs, times.MaxMs, (times.Offset, times.Length), (offset, length));
    }

    private BlockEntry SecondVersionChunk(ref ByteReader reader, Labels labels)
    {
        int count = reader.Count(BlockFormat.MaxSamples);
        _minMs += reader.Zigzag();
        long max = _minMs + (long)reader.Varint();
        _timesOffset += reader.Zigzag();
        int timesLength = Length(ref reader, _timesOffset);
        long offset = _end + reader.Zigzag();
        int length = Length(ref reader, offset);
        _end = offset + length + 4;
        return Entry(labels, count, _minMs, max, (_timesOffset, timesLength), (offset, length));
    }

    private BlockEntry FirstVersionChunk(ref ByteReader reader, Labels labels)
    {
        int count = reader.Count(BlockFormat.MaxSamples);
        long min = reader.Zigzag();
        long max = min + (long)reader.Varint();
        long timesOffset = (long)reader.Varint();
        int timesLength = Length(ref reader, timesOffset);
        long offset = (long)reader.Varint();
        int length = Length(ref reader, offset);
        return Entry(labels, count, min, max, (timesOffset, timesLength), (offset, length));
    }

    private static BlockEntry Entry(Labels labels, int count, long min, long max, (long Offset, int Length) times, (long Offset, int Length) chunk)
    {
        if (count == 0 || max < min)
            throw new InvalidDataException("a chunk of the index has no samples");
        return new BlockEntry(labels, count, min, max, times.Offset, times.Length, chunk.Offset, chunk.Length);
    }

    private int Number(ref ByteReader reader)
    {
        int number = reader.Count(int.MaxValue);
        return number < _symbols.Length ? number : throw new InvalidDataException("the index names a symbol that it does not hold");
    }

    private int Length(ref ByteReader reader, long offset) => Length(reader.Varint(), offset);

    private int Length(ulong length, long offset)
    {
        if (length > int.MaxValue - 4 || offset < 0 || offset > _fileBytes || (long)length + 4 > _fileBytes - offset)
            throw new InvalidDataException("the index points outside its file");
        return (int)length;
    }

    /// <summary>A column of times: what every chunk that has it has of it.</summary>
    private readonly record struct TimesPlace(int Count, long MinMs, long MaxMs, long Offset, int Length);
}
