using System.Buffers.Binary;
using System.Text;
using System.Text.Json;
using Bellwether.Core.Durable;
using Bellwether.Core.Model;
using Bellwether.Core.Platform;

namespace Bellwether.Store.Exchange;

/// <summary>
/// Writes one block of Prometheus (meta.json, index of version 2, chunks/, tombstones). Series come in label order. The folder gets its name when it is whole. In memory: symbols and
/// postings. One thread at a time.
/// </summary>
internal sealed class TsdbBlockWriter : IDisposable
{
    private const long SegmentBytes = 512L << 20;
    private const string UlidAlphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    private readonly IDisk _disk;
    private readonly string _folder;
    private readonly string _target;
    private readonly AppendFile _index;
    private readonly Dictionary<string, uint> _symbols = [];
    private readonly SortedDictionary<(string Name, string Value), List<uint>> _postings = new(Comparer<(string Name, string Value)>.Create(static (a, b) => Utf8Order.Compare(a.Name, b.Name) is not 0 and int byName ? byName : Utf8Order.Compare(a.Value, b.Value)));
    private readonly List<uint> _all = [];
    private readonly TsdbChunkWriter _chunks = new();
    private readonly TsdbBitWriter _entry = new();
    private readonly TsdbBitWriter _chunkEntries = new();
    private AppendFile? _segment;
    private int _segments;
    private readonly long _seriesAt;
    private long _minMs = long.MaxValue;
    private long _maxMs = long.MinValue;
    private long _chunkCount;

    /// <param name="disk">Where to write.</param>
    /// <param name="folder">The folder of blocks.</param>
    /// <param name="symbols">Every label name and value of the series to come.</param>
    /// <param name="nowMs">Unix ms, part of the block's name.</param>
    /// <param name="random">For the block's name.</param>
    public TsdbBlockWriter(IDisk disk, string folder, IReadOnlyCollection<string> symbols, long nowMs, Random random)
    {
        _disk = disk;
        Ulid = MakeUlid(nowMs, random);
        _target = Path.Combine(folder, Ulid);
        // Prometheus deletes folders with this ending at its start: they are of a write that was broken off.
        _folder = _target + ".tmp-for-creation";
        disk.CreateFolder(Path.Combine(_folder, "chunks"));
        _index = new AppendFile(disk, Path.Combine(_folder, "index"));
        Span<byte> head = stackalloc byte[TsdbFormat.IndexHeadBytes];
        BinaryPrimitives.WriteUInt32BigEndian(head, TsdbFormat.IndexMagic);
        head[4] = TsdbFormat.IndexVersion;
        _index.Append(head);
        WriteSymbols(symbols);
        _index.Align(TsdbFormat.SeriesAlignment);
        _seriesAt = _index.Length;
    }

    /// <summary>The block's name.</summary>
    public string Ulid { get; }

    /// <summary>Samples so far.</summary>
    public long Samples { get; private set; }

    /// <summary>Series so far.</summary>
    public int Series => _all.Count;

    /// <summary>Adds a series and its samples.</summary>
    public void Add(Labels labels, SampleBuffer samples)
    {
        _index.Align(TsdbFormat.SeriesAlignment);
        uint id = checked((uint)(_index.Length / TsdbFormat.SeriesAlignment));
        _entry.Clear();
        _entry.Uvarint((ulong)labels.Count);
        foreach (ref readonly Label label in labels.AsSpan())
        {
            _entry.Uvarint(_symbols[label.Name]);
            _entry.Uvarint(_symbols[label.Value]);
            (string Name, string Value) pair = (label.Name, label.Value);
            if (!_postings.TryGetValue(pair, out List<uint>? ids))
                _postings.Add(pair, ids = []);
            ids.Add(id);
        }
        int chunks = WriteChunks(samples);
        _entry.Uvarint((ulong)chunks);
        byte[] entry = [.. _entry.Written, .. _chunkEntries.Written];
        Span<byte> length = stackalloc byte[10];
        _index.Append(length[..Uvarint((ulong)entry.Length, length)]);
        _index.AppendChecked(entry);
        _all.Add(id);
        Samples += samples.Count;
        _chunkCount += chunks;
        _minMs = Math.Min(_minMs, samples.Times[0]);
        _maxMs = Math.Max(_maxMs, samples.Times[^1]);
    }

    /// <summary>Ends the block, durably, and gives it its name.</summary>
    public void Finish()
    {
        long seriesEnd = _index.Length;
        _index.Align(4);
        long postingsAt = _index.Length;
        var offsets = new List<(string Name, string Value, long Offset)> { ("", "", WritePostings(_all)) };
        foreach (((string name, string value), List<uint> ids) in _postings)
            offsets.Add((name, value, WritePostings(ids)));
        long tableAt = _index.Length;
        WriteOffsets(offsets);
        byte[] toc = new byte[TsdbFormat.TocBytes - 4];
        // Label indices are no longer used by any reader of this version: there are none.
        long[] sections = [TsdbFormat.IndexHeadBytes, _seriesAt, 0, 0, postingsAt, tableAt];
        for (int i = 0; i < sections.Length; i++)
            BinaryPrimitives.WriteInt64BigEndian(toc.AsSpan(i * 8), sections[i]);
        _index.AppendChecked(toc);
        _index.Close();
        _segment?.Close();
        _segment = null;
        if (seriesEnd <= _seriesAt)
            throw new InvalidOperationException("a block without series is not to be written");
        WriteTombstones();
        WriteMeta();
        _disk.SyncFolder(Path.Combine(_folder, "chunks"));
        _disk.SyncFolder(_folder);
        Directory.Move(_folder, _target);
        _disk.SyncFolder(Path.GetDirectoryName(_target)!);
    }

    /// <summary>Removes what was written; after <see cref="Dispose"/>.</summary>
    public void Abandon() => Directory.Delete(_folder, recursive: true);

    public void Dispose()
    {
        _index.Dispose();
        _segment?.Dispose();
    }

    internal static string MakeUlid(long nowMs, Random random)
    {
        Span<char> text = stackalloc char[26];
        for (int i = 9; i >= 0; i--, nowMs >>= 5)
            text[i] = UlidAlphabet[(int)(nowMs & 31)];
        for (int i = 10; i < text.Length; i++)
            text[i] = UlidAlphabet[random.Next(32)];
        return new string(text);
    }

    private static int Uvarint(ulong value, Span<byte> into)
    {
        int n = 0;
        for (; value >= 0x80; value >>= 7)
            into[n++] = (byte)(value | 0x80);
        into[n++] = (byte)value;
        return n;
    }

    private void WriteSymbols(IReadOnlyCollection<string> symbols)
    {
        List<string> sorted = [.. symbols];
        sorted.Sort(Utf8Order.Compare);
        using var table = new MemoryStream();
        Span<byte> number = stackalloc byte[10];
        BinaryPrimitives.WriteInt32BigEndian(number, sorted.Count);
        table.Write(number[..4]);
        for (int i = 0; i < sorted.Count; i++)
        {
            _symbols[sorted[i]] = (uint)i;
            byte[] text = Encoding.UTF8.GetBytes(sorted[i]);
            table.Write(number[..Uvarint((ulong)text.Length, number)]);
            table.Write(text);
        }
        BinaryPrimitives.WriteInt32BigEndian(number, (int)table.Length);
        _index.Append(number[..4]);
        _index.AppendChecked(table.GetBuffer().AsSpan(0, (int)table.Length));
    }

    private int WriteChunks(SampleBuffer samples)
    {
        _chunkEntries.Clear();
        int chunks = 0;
        long max = 0;
        ulong before = 0;
        for (int from = 0; from < samples.Count; chunks++)
        {
            int count = TsdbChunkWriter.RunOf(samples, from, out byte encoding);
            _chunks.Write(samples, from, count, encoding);
            ulong reference = AppendChunk(encoding, _chunks.Data);
            long first = samples.Times[from], last = samples.Times[from + count - 1];
            if (chunks == 0)
                _chunkEntries.Varint(first);
            else
                _chunkEntries.Uvarint((ulong)(first - max));
            _chunkEntries.Uvarint((ulong)(last - first));
            if (chunks == 0)
                _chunkEntries.Uvarint(reference);
            else
                _chunkEntries.Varint((long)(reference - before));
            (max, before) = (last, reference);
            from += count;
        }
        return chunks;
    }

    private ulong AppendChunk(byte encoding, ReadOnlySpan<byte> data)
    {
        if (_segment is null || _segment.Length + data.Length + 16 > SegmentBytes)
        {
            _segment?.Close();
            _segment = new AppendFile(_disk, Path.Combine(_folder, "chunks", (++_segments).ToString("D6", System.Globalization.CultureInfo.InvariantCulture)));
            Span<byte> head = stackalloc byte[TsdbFormat.ChunksHeadBytes];
            head.Clear();
            BinaryPrimitives.WriteUInt32BigEndian(head, TsdbFormat.ChunksMagic);
            head[4] = TsdbFormat.ChunksVersion;
            _segment.Append(head);
        }
        ulong reference = ((ulong)(_segments - 1) << 32) | (ulong)_segment.Length;
        Span<byte> length = stackalloc byte[10];
        _segment.Append(length[..Uvarint((ulong)data.Length, length)]);
        _segment.AppendChecked([encoding, .. data]);
        return reference;
    }

    private long WritePostings(List<uint> ids)
    {
        _index.Align(4);
        long at = _index.Length;
        byte[] bytes = new byte[4 + (ids.Count * 4)];
        BinaryPrimitives.WriteInt32BigEndian(bytes, ids.Count);
        for (int i = 0; i < ids.Count; i++)
            BinaryPrimitives.WriteUInt32BigEndian(bytes.AsSpan(4 + (i * 4)), ids[i]);
        AppendSection(bytes);
        return at;
    }

    private void WriteOffsets(List<(string Name, string Value, long Offset)> offsets)
    {
        using var table = new MemoryStream();
        Span<byte> number = stackalloc byte[10];
        BinaryPrimitives.WriteInt32BigEndian(number, offsets.Count);
        table.Write(number[..4]);
        foreach ((string name, string value, long offset) in offsets)
        {
            // Two texts stand here.
            table.WriteByte(2);
            foreach (string text in (ReadOnlySpan<string>)[name, value])
            {
                byte[] bytes = Encoding.UTF8.GetBytes(text);
                table.Write(number[..Uvarint((ulong)bytes.Length, number)]);
                table.Write(bytes);
            }
            table.Write(number[..Uvarint((ulong)offset, number)]);
        }
        AppendSection(table.GetBuffer().AsSpan(0, (int)table.Length));
    }

    private void AppendSection(ReadOnlySpan<byte> content)
    {
        Span<byte> length = stackalloc byte[4];
        BinaryPrimitives.WriteInt32BigEndian(length, content.Length);
        _index.Append(length);
        _index.AppendChecked(content);
    }

    private void WriteTombstones()
    {
        using var file = new AppendFile(_disk, Path.Combine(_folder, "tombstones"));
        byte[] bytes = new byte[TsdbFormat.IndexHeadBytes];
        BinaryPrimitives.WriteUInt32BigEndian(bytes, TsdbFormat.TombstonesMagic);
        bytes[4] = TsdbFormat.TombstonesVersion;
        file.Append(bytes);
        file.AppendChecked([]);
        file.Close();
    }

    private void WriteMeta()
    {
        using var json = new MemoryStream();
        using (var writer = new Utf8JsonWriter(json, new JsonWriterOptions { Indented = true }))
        {
            writer.WriteStartObject();
            writer.WriteString("ulid", Ulid);
            writer.WriteNumber("minTime", _minMs);
            writer.WriteNumber("maxTime", _maxMs + 1);
            writer.WriteStartObject("stats");
            writer.WriteNumber("numSamples", Samples);
            writer.WriteNumber("numSeries", Series);
            writer.WriteNumber("numChunks", _chunkCount);
            writer.WriteEndObject();
            writer.WriteStartObject("compaction");
            writer.WriteNumber("level", 1);
            writer.WriteStartArray("sources");
            writer.WriteStringValue(Ulid);
            writer.WriteEndArray();
            writer.WriteEndObject();
            writer.WriteNumber("version", 1);
            writer.WriteEndObject();
        }
        using var file = new AppendFile(_disk, Path.Combine(_folder, "meta.json"));
        file.Append(json.GetBuffer().AsSpan(0, (int)json.Length));
        file.Close();
    }

    /// <summary>A file that grows, written in large pieces.</summary>
    private sealed class AppendFile(IDisk disk, string path) : IDisposable
    {
        private const int BufferBytes = 1 << 18;
        private readonly IDiskFile _file = disk.Open(path, DiskOpen.CreateNew);
        private readonly byte[] _buffer = new byte[BufferBytes];
        private int _waiting;

        public long Length { get; private set; }

        public void Append(ReadOnlySpan<byte> bytes)
        {
            if (_waiting + bytes.Length > BufferBytes)
                Flush();
            if (bytes.Length > BufferBytes)
                _file.Write(Length, bytes);
            else
                bytes.CopyTo(_buffer.AsSpan(_waiting));
            _waiting += bytes.Length > BufferBytes ? 0 : bytes.Length;
            Length += bytes.Length;
        }

        /// <summary>Appends bytes and their check.</summary>
        public void AppendChecked(ReadOnlySpan<byte> bytes)
        {
            Append(bytes);
            Span<byte> check = stackalloc byte[4];
            BinaryPrimitives.WriteUInt32BigEndian(check, Crc32C.Compute(bytes));
            Append(check);
        }

        public void Align(int to)
        {
            Span<byte> zeros = stackalloc byte[16];
            zeros.Clear();
            Append(zeros[..(int)((to - (Length % to)) % to)]);
        }

        public void Close()
        {
            Flush();
            _file.Sync();
            _file.Dispose();
        }

        public void Dispose() => _file.Dispose();

        private void Flush()
        {
            _file.Write(Length - _waiting, _buffer.AsSpan(0, _waiting));
            _waiting = 0;
        }
    }
}
