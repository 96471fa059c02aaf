using System.Text;
using System.Text.Json;
using Bellwether.Core.Durable;
using Bellwether.Core.Model;
using Bellwether.Core.Platform;

namespace Bellwether.Store.Exchange;

/// <summary>A chunk of a series, as the index of a block names it.</summary>
internal readonly record struct TsdbChunkRef(long MinMs, long MaxMs, ulong Ref);

/// <summary>
/// A block of Prometheus' TSDB (folder with meta.json, index of version 2, chunks/, tombstones), read series by series. Every check of the format is verified; what is wrong throws
/// <see cref="InvalidDataException"/> that names file and byte. Memory: the symbols and one series. One thread at a time.
/// </summary>
internal sealed class TsdbBlock : IDisposable
{
    private const int WindowBytes = 1 << 18;
    private const int MaxMetaBytes = 16 << 20;
    private readonly IDisk _disk;
    private readonly IDiskFile _index;
    private readonly string _indexPath;
    private readonly List<(string Path, IDiskFile File)> _segments = [];
    private readonly Dictionary<ulong, List<(long FromMs, long ToMs)>> _tombstones = [];
    private readonly List<SeriesSample> _scratch = [];
    private string[] _symbols = [];
    private byte[] _window = new byte[WindowBytes];
    private byte[] _chunk = new byte[4096];
    private long _windowAt;
    private int _windowLength;
    private long _seriesFrom;
    private long _seriesEnd;

    private TsdbBlock(IDisk disk, string folder)
    {
        _disk = disk;
        Folder = folder;
        _indexPath = Path.Combine(folder, "index");
        ReadMeta();
        _index = disk.Open(_indexPath, DiskOpen.ReadOnly);
    }

    public string Folder { get; }

    /// <summary>The block's own name.</summary>
    public string Ulid { get; private set; } = "";

    /// <summary>Oldest time, Unix ms.</summary>
    public long MinMs { get; private set; }

    /// <summary>Behind its newest time, Unix ms.</summary>
    public long EndMs { get; private set; }

    /// <summary>Samples as meta.json counts them; -1: it does not say.</summary>
    public long Samples { get; private set; } = -1;

    /// <summary>Series as meta.json counts them; -1: it does not say.</summary>
    public long Series { get; private set; } = -1;

    /// <summary>Where the next series stands in the index: reading may go on there another time.</summary>
    public long Position { get; private set; }

    /// <summary>How much of the series is read.</summary>
    public (long Done, long Of) Progress => (Position - _seriesFrom, _seriesEnd - _seriesFrom);

    /// <summary>Labels of the series that <see cref="Next"/> read.</summary>
    public Labels Labels { get; private set; } = Labels.Empty;

    /// <summary>Its chunks, oldest first.</summary>
    public List<TsdbChunkRef> Chunks { get; } = [];

    private List<(long FromMs, long ToMs)>? Deleted { get; set; }

    /// <summary>Whether a folder looks like a block.</summary>
    public static bool IsBlock(IDisk disk, string folder) => disk.Exists(Path.Combine(folder, "meta.json")) && disk.Exists(Path.Combine(folder, "index"));

    /// <summary>Opens a block. Throws <see cref="InvalidDataException"/> or <see cref="IOException"/>.</summary>
    /// <param name="disk">Where it is.</param>
    /// <param name="folder">Its folder.</param>
    /// <param name="position">Where to go on (<see cref="Position"/>); 0: from the beginning.</param>
    public static TsdbBlock Open(IDisk disk, string folder, long position = 0)
    {
        var block = new TsdbBlock(disk, folder);
        try
        {
            block.ReadTableOfContents(position);
            block.OpenSegments();
            block.ReadTombstones();
            return block;
        }
        catch
        {
            block.Dispose();
            throw;
        }
    }

    /// <summary>Goes to the next series. False: there is none.</summary>
    public bool Next()
    {
        if (Position >= _seriesEnd)
            return false;
        long at = Position;
        Need(at, 10);
        int head = (int)(at - _windowAt), start = head;
        // Behind the last series may stand zeros up to the next section.
        if (_seriesEnd - at < TsdbFormat.SeriesAlignment && _window[head] == 0)
        {
            Position = _seriesEnd;
            return false;
        }
        if (!TsdbFormat.TryUvarint(_window.AsSpan(0, _windowLength), ref head, out ulong length) || length > TsdbFormat.MaxSeriesBytes || at + (head - start) + (long)length + 4 > _seriesEnd)
            throw Wrong(at, "a series does not fit into the section of series");
        int prefix = head - start;
        Need(at, prefix + (int)length + 4);
        ReadOnlySpan<byte> content = _window.AsSpan((int)(at - _windowAt) + prefix, (int)length);
        if (Crc32C.Compute(content) != TsdbFormat.UInt32(_window.AsSpan((int)(at - _windowAt) + prefix + (int)length)))
            throw Wrong(at, "the check of a series is wrong");
        ParseSeries(content, at);
        Deleted = _tombstones.GetValueOrDefault((ulong)at / TsdbFormat.SeriesAlignment);
        long end = at + prefix + (long)length + 4;
        Position = (end + TsdbFormat.SeriesAlignment - 1) / TsdbFormat.SeriesAlignment * TsdbFormat.SeriesAlignment;
        return true;
    }

    /// <summary>Adds the samples of a chunk of the series, without what tombstones delete. Throws <see cref="InvalidDataException"/> when it is damaged; then nothing is added.</summary>
    public void Read(TsdbChunkRef chunk, List<SeriesSample> into)
    {
        int segment = (int)(chunk.Ref >> 32);
        long at = (long)(chunk.Ref & uint.MaxValue);
        if (segment >= _segments.Count)
            throw new InvalidDataException($"{_indexPath}: a chunk of {Labels} lies in segment {segment + 1} of {_segments.Count}");
        (string path, IDiskFile file) = _segments[segment];
        try
        {
            ReadOnlySpan<byte> data = ReadChunk(file, at, out byte encoding);
            _scratch.Clear();
            TsdbChunk.Read(encoding, data, Labels, _scratch);
            if (_scratch.Count > 0 && (_scratch[0].TimestampMs != chunk.MinMs || _scratch[^1].TimestampMs != chunk.MaxMs))
                throw new InvalidDataException("the times of the chunk are not those of the index");
        }
        catch (InvalidDataException e)
        {
            throw new InvalidDataException($"{path}, byte {at}: {e.Message}", e);
        }
        foreach (SeriesSample sample in _scratch)
        {
            if (Deleted is null || !Deleted.Exists(d => sample.TimestampMs >= d.FromMs && sample.TimestampMs <= d.ToMs))
                into.Add(sample);
        }
    }

    public void Dispose()
    {
        _index.Dispose();
        foreach ((_, IDiskFile file) in _segments)
            file.Dispose();
    }

    private static InvalidDataException WrongMeta(string path, string what, Exception? cause = null) => new($"{path}: {what}", cause);

    private InvalidDataException Wrong(long at, string what, Exception? cause = null) => new($"{_indexPath}, byte {at}: {what}", cause);

    private void ReadMeta()
    {
        string path = Path.Combine(Folder, "meta.json");
        try
        {
            using JsonDocument meta = JsonDocument.Parse(ReadAll(path, MaxMetaBytes));
            JsonElement root = meta.RootElement;
            if (root.ValueKind != JsonValueKind.Object || !root.TryGetProperty("version", out JsonElement version) || version.ValueKind != JsonValueKind.Number || !version.TryGetInt32(out int number) || number != 1)
                throw WrongMeta(path, "it is not of version 1");
            Ulid = root.TryGetProperty("ulid", out JsonElement ulid) && ulid.ValueKind == JsonValueKind.String ? ulid.GetString()! : Path.GetFileName(Folder);
            MinMs = Number(root, "minTime", path);
            EndMs = Number(root, "maxTime", path);
            if (!root.TryGetProperty("stats", out JsonElement stats) || stats.ValueKind != JsonValueKind.Object)
                return;
            Samples = stats.TryGetProperty("numSamples", out JsonElement samples) && samples.ValueKind == JsonValueKind.Number && samples.TryGetInt64(out long count) ? count : -1;
            Series = stats.TryGetProperty("numSeries", out JsonElement series) && series.ValueKind == JsonValueKind.Number && series.TryGetInt64(out count) ? count : -1;
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException)
        {
            throw WrongMeta(path, "it is not JSON: " + e.Message, e);
        }
    }

    private static long Number(JsonElement root, string name, string path) =>
        root.TryGetProperty(name, out JsonElement value) && value.ValueKind == JsonValueKind.Number && value.TryGetInt64(out long number) ? number : throw WrongMeta(path, $"{name} is missing or no whole number");

    private byte[] ReadAll(string path, int most)
    {
        using IDiskFile file = _disk.Open(path, DiskOpen.ReadOnly);
        if (file.Length > most)
            throw new InvalidDataException($"{path}: it has {file.Length} bytes; at most {most} are read");
        byte[] bytes = new byte[file.Length];
        return file.Read(0, bytes) == bytes.Length ? bytes : throw new InvalidDataException($"{path}: it ends before its length");
    }

    private void ReadTableOfContents(long position)
    {
        long length = _index.Length;
        Span<byte> head = stackalloc byte[TsdbFormat.IndexHeadBytes];
        Span<byte> toc = stackalloc byte[TsdbFormat.TocBytes];
        if (length < head.Length + toc.Length || _index.Read(0, head) < head.Length || _index.Read(length - toc.Length, toc) < toc.Length)
            throw Wrong(0, $"it has {length} bytes and is cut short");
        if (TsdbFormat.UInt32(head) != TsdbFormat.IndexMagic)
            throw Wrong(0, $"it does not begin as an index ({TsdbFormat.UInt32(head):X8}; {TsdbFormat.IndexMagic:X8} would be right)");
        if (head[4] != TsdbFormat.IndexVersion)
            throw Wrong(4, $"version {head[4]} of the index is not read, {TsdbFormat.IndexVersion} is; Prometheus 2 and 3 write that");
        if (Crc32C.Compute(toc[..^4]) != TsdbFormat.UInt32(toc[^4..]))
            throw Wrong(length - toc.Length, "the check of the table of contents is wrong: the file is cut short or damaged");
        Span<long> sections = stackalloc long[6];
        for (int i = 0; i < sections.Length; i++)
            sections[i] = (long)System.Buffers.Binary.BinaryPrimitives.ReadUInt64BigEndian(toc[(i * 8)..]);
        _seriesFrom = (sections[1] + TsdbFormat.SeriesAlignment - 1) / TsdbFormat.SeriesAlignment * TsdbFormat.SeriesAlignment;
        // The section ends where the next one begins; which that is differs with the version of the writer.
        _seriesEnd = length - toc.Length;
        for (int i = 2; i < sections.Length; i++)
        {
            if (sections[i] > sections[1])
                _seriesEnd = Math.Min(_seriesEnd, sections[i]);
        }
        if (sections[0] < TsdbFormat.IndexHeadBytes || sections[1] <= sections[0] || sections[1] > _seriesEnd)
            throw Wrong(length - toc.Length, "the table of contents points outside the file");
        ReadSymbols(sections[0], sections[1]);
        Position = position == 0 ? _seriesFrom : position;
        if (Position < _seriesFrom || Position % TsdbFormat.SeriesAlignment != 0)
            throw Wrong(Position, "no series stands there");
    }

    private void ReadSymbols(long from, long to)
    {
        Span<byte> head = stackalloc byte[8];
        if (_index.Read(from, head) < head.Length)
            throw Wrong(from, "it is cut short");
        long length = TsdbFormat.UInt32(head);
        if (length < 4 || length > TsdbFormat.MaxSymbolBytes || from + 4 + length + 4 > to)
            throw Wrong(from, $"a table of symbols of {length} bytes does not fit before the series");
        byte[] table = new byte[length + 4];
        if (_index.Read(from + 4, table) < table.Length || Crc32C.Compute(table.AsSpan(0, (int)length)) != TsdbFormat.UInt32(table.AsSpan((int)length)))
            throw Wrong(from, "the check of the table of symbols is wrong");
        uint count = TsdbFormat.UInt32(head[4..]);
        if (count > length)
            throw Wrong(from + 4, $"{count} symbols do not fit into {length} bytes");
        _symbols = new string[count];
        ReadOnlySpan<byte> content = table.AsSpan(0, (int)length);
        int at = 4;
        for (int i = 0; i < _symbols.Length; i++)
        {
            if (!TsdbFormat.TryUvarint(content, ref at, out ulong bytes) || bytes > (ulong)(content.Length - at))
                throw Wrong(from + 4 + at, $"symbol {i} does not fit into the table");
            _symbols[i] = Encoding.UTF8.GetString(content.Slice(at, (int)bytes));
            at += (int)bytes;
        }
    }

    private void OpenSegments()
    {
        string folder = Path.Combine(Folder, "chunks");
        Span<byte> head = stackalloc byte[TsdbFormat.ChunksHeadBytes];
        // Names are numbers of equal length: their order is that of the numbers.
        foreach (string name in _disk.List(folder).Where(n => n.Length == 6 && n.All(char.IsAsciiDigit)))
        {
            string path = Path.Combine(folder, name);
            IDiskFile file = _disk.Open(path, DiskOpen.ReadOnly);
            _segments.Add((path, file));
            if (file.Read(0, head) < head.Length || TsdbFormat.UInt32(head) != TsdbFormat.ChunksMagic)
                throw new InvalidDataException($"{path}, byte 0: it does not begin as a file of chunks ({TsdbFormat.ChunksMagic:X8} would be right)");
            if (head[4] != TsdbFormat.ChunksVersion)
                throw new InvalidDataException($"{path}, byte 4: version {head[4]} is not read; {TsdbFormat.ChunksVersion} is");
        }
    }

    private void ReadTombstones()
    {
        string path = Path.Combine(Folder, "tombstones");
        if (!_disk.Exists(path))
            return;
        byte[] bytes = ReadAll(path, TsdbFormat.MaxTombstoneBytes);
        if (bytes.Length < 9 || TsdbFormat.UInt32(bytes) != TsdbFormat.TombstonesMagic || bytes[4] != TsdbFormat.TombstonesVersion)
            throw new InvalidDataException($"{path}, byte 0: it does not begin as a tombstones file of version {TsdbFormat.TombstonesVersion}");
        if (Crc32C.Compute(bytes.AsSpan(TsdbFormat.IndexHeadBytes, bytes.Length - TsdbFormat.IndexHeadBytes - 4)) != TsdbFormat.UInt32(bytes.AsSpan(bytes.Length - 4)))
            throw new InvalidDataException($"{path}, byte {bytes.Length - 4}: the check is wrong: what was deleted is not known");
        ReadOnlySpan<byte> content = bytes.AsSpan(0, bytes.Length - 4);
        for (int at = TsdbFormat.IndexHeadBytes; at < content.Length;)
        {
            int start = at;
            if (!TsdbFormat.TryUvarint(content, ref at, out ulong series) || !TsdbFormat.TryVarint(content, ref at, out long from) || !TsdbFormat.TryVarint(content, ref at, out long to))
                throw new InvalidDataException($"{path}, byte {start}: a tombstone is cut short");
            if (!_tombstones.TryGetValue(series, out List<(long FromMs, long ToMs)>? ranges))
                _tombstones.Add(series, ranges = []);
            ranges.Add((from, to));
        }
    }

    /// <summary>Brings bytes of the index into the window.</summary>
    private void Need(long at, int count)
    {
        count = (int)Math.Min(count, _index.Length - at);
        if (at >= _windowAt && at + count <= _windowAt + _windowLength)
            return;
        if (_window.Length < count)
            _window = new byte[Math.Max(count, _window.Length)];
        _windowAt = at;
        _windowLength = _index.Read(at, _window);
        if (_windowLength < count)
            throw Wrong(at, "it is cut short");
    }

    private void ParseSeries(ReadOnlySpan<byte> content, long place)
    {
        int at = 0;
        ulong count = Field(content, ref at, place);
        if (count > (ulong)content.Length)
            throw Wrong(place, $"a series with {count} labels does not fit");
        var labels = new List<Label>((int)count);
        for (ulong i = 0; i < count; i++)
        {
            string name = Symbol(Field(content, ref at, place), place), value = Symbol(Field(content, ref at, place), place);
            // An empty value is the same as no label.
            if (value.Length > 0)
                labels.Add(new Label(name, value));
        }
        try
        {
            Labels = Labels.FromSorted([.. labels]);
        }
        catch (ArgumentException e)
        {
            throw Wrong(place, "the labels of a series are not in order", e);
        }
        ParseChunks(content, ref at, place);
    }

    private void ParseChunks(ReadOnlySpan<byte> content, ref int at, long place)
    {
        Chunks.Clear();
        ulong count = Field(content, ref at, place);
        if (count > (ulong)content.Length)
            throw Wrong(place, $"a series with {count} chunks does not fit");
        long max = 0;
        ulong reference = 0;
        for (ulong i = 0; i < count; i++)
        {
            long min = i == 0 ? Signed(content, ref at, place) : max + (long)Field(content, ref at, place);
            max = min + (long)Field(content, ref at, place);
            reference = i == 0 ? Field(content, ref at, place) : reference + (ulong)Signed(content, ref at, place);
            if (max < min)
                throw Wrong(place, "a chunk of a series ends before it begins");
            Chunks.Add(new TsdbChunkRef(min, max, reference));
        }
    }

    private string Symbol(ulong number, long place) => number < (ulong)_symbols.Length ? _symbols[number] : throw Wrong(place, $"a series names symbol {number} of {_symbols.Length}");

    private ulong Field(ReadOnlySpan<byte> content, ref int at, long place) => TsdbFormat.TryUvarint(content, ref at, out ulong value) ? value : throw Wrong(place, "a series is cut short");

    private long Signed(ReadOnlySpan<byte> content, ref int at, long place) => TsdbFormat.TryVarint(content, ref at, out long value) ? value : throw Wrong(place, "a series is cut short");

    private ReadOnlySpan<byte> ReadChunk(IDiskFile file, long at, out byte encoding)
    {
        int got = file.Read(at, _chunk);
        int head = 0;
        if (!TsdbFormat.TryUvarint(_chunk.AsSpan(0, Math.Min(got, 5)), ref head, out ulong length) || length > TsdbFormat.MaxChunkBytes)
            throw new InvalidDataException("no chunk stands there, or it is too large");
        int bytes = head + 1 + (int)length + 4;
        if (bytes > _chunk.Length)
            _chunk = new byte[Math.Max(bytes, _chunk.Length * 2)];
        if (bytes > got)
            got = file.Read(at, _chunk);
        if (got < bytes)
            throw new InvalidDataException($"a chunk of {length} bytes is cut short");
        encoding = _chunk[head];
        ReadOnlySpan<byte> content = _chunk.AsSpan(head, 1 + (int)length);
        if (Crc32C.Compute(content) != TsdbFormat.UInt32(_chunk.AsSpan(head + 1 + (int)length)))
            throw new InvalidDataException("the check of a chunk is wrong");
        return content[1..];
    }
}
