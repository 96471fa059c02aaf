using System.Buffers.Binary;
using System.Text;
using Bellwether.Core.Durable;
using Bellwether.Core.Model;
using Bellwether.Core.Platform;
using Bellwether.Store.Chunks;
using Bellwether.Store.Head;

namespace Bellwether.Store.Blocks;

/// <summary>
/// Writes one chunk file: series in label order, each with its chunks by time; equal columns of times are written once (as long as they are remembered, which is
/// bounded). The file appears under its name only when it is whole and synced. Not thread-safe.
/// </summary>
internal sealed class BlockWriter : IDisposable
{
    private const int FlushBytes = 1 << 20;
    // Columns of times that are remembered so that they are written once.
    private const int RememberedBytes = 16 << 20;
    private readonly IDisk _disk;
    private readonly string _folder;
    private readonly string _path;
    private readonly string _temporary;
    private readonly IDiskFile _file;
    private readonly ByteWriter _pending = new(FlushBytes + (64 << 10));
    private readonly ByteWriter _chunk = new();
    private readonly ByteWriter _part = new();
    private readonly ByteWriter _entries = new(1 << 16);
    private readonly Dictionary<string, int> _symbols = [];
    private readonly ByteWriter _symbolBytes = new(1 << 14);
    private readonly ByteWriter _seriesChunks = new(1 << 10);
    private readonly IReadOnlyList<string> _replaces;
    private readonly Dictionary<TimesKey, TimesPlace> _times = [];
    private readonly ByteWriter _columns = new(1 << 10);
    private int _columnCount;
    private long _columnMinMs;
    private long _columnEnd = BlockFormat.HeadBytes;
    private readonly ByteWriter _values = new();
    private Labels? _labels;
    private int _chunksOfSeries;
    private int _series;
    private int _rememberedBytes;
    private long _entryMinMs;
    private long _entryTimes = BlockFormat.HeadBytes;
    private int _entryColumn = -1;
    private long _entryEnd = BlockFormat.HeadBytes;
    private long _written;
    private long _minMs = long.MaxValue;
    private long _maxMs = long.MinValue;
    private long _samples;
    private readonly int _resolutionMs;
    private bool _isDone;

    /// <param name="resolutionMs">Length of its slots; 0: it holds samples.</param>
    public BlockWriter(IDisk disk, string folder, string name, IReadOnlyList<string> replaces, int resolutionMs = 0)
    {
        _resolutionMs = resolutionMs;
        _replaces = replaces;
        _disk = disk;
        _folder = folder;
        Name = name;
        _path = Path.Combine(folder, name);
        _temporary = _path + ".new";
        disk.Delete(_temporary);
        _file = disk.Open(_temporary, DiskOpen.CreateNew);
        _pending.UInt32(BlockFormat.Magic);
        _pending.Byte(Version);
        _pending.Bytes([0, 0, 0]);
    }

    public string Name { get; }

    /// <summary>Bytes that the file may take: beyond them writing throws <see cref="NoRoomException"/>.</summary>
    public long MaxBytes { get; init; } = long.MaxValue;

    private byte Version => _resolutionMs == 0 ? BlockFormat.Version : BlockFormat.CoarseVersion;

    /// <summary>Series so far.</summary>
    public int Count => _series + (_chunksOfSeries > 0 ? 1 : 0);

    /// <summary>Samples so far.</summary>
    public long Samples => _samples;

    /// <summary>Takes over a chunk as it is. Series come in label order, the chunks of one by time.</summary>
    /// <param name="times">The bytes of its column of times and their CRC.</param>
    /// <param name="chunk">Its bytes and their CRC.</param>
    public void Add(in BlockEntry entry, ReadOnlySpan<byte> times, ReadOnlySpan<byte> chunk)
    {
        TimesPlace place = WriteTimes(entry.Count, entry.MinMs, entry.MaxMs, times);
        Put(entry.Labels, entry.Count, entry.MinMs, entry.MaxMs, place, chunk);
    }

    /// <summary>Adds the samples of the next chunk, resolved and not empty. Series come in label order, the chunks of one by time.</summary>
    public void Add(Labels labels, SampleGather samples)
    {
        TimesPlace times = WriteTimes(samples.Times);
        _chunk.Clear();
        BuildChunk(samples);
        _chunk.UInt32(Crc32C.Compute(_chunk.Written));
        Put(labels, samples.Count, samples.Times[0], samples.Times[^1], times, _chunk.Written);
    }

    /// <summary>Adds the slots of the next chunk, at least one, in time order and one per slot. Series come in label order.</summary>
    public void Add(Labels labels, ReadOnlySpan<CoarseSlot> slots)
    {
        var ends = new long[slots.Length];
        for (int i = 0; i < ends.Length; i++)
            ends[i] = CoarseSlot.EndOf(slots[i].FirstMs, _resolutionMs);
        TimesPlace times = WriteTimes(ends);
        _chunk.Clear();
        _chunk.Byte(BlockFormat.HasSlots);
        CoarseChunk.Write(slots, _resolutionMs, _chunk);
        _chunk.UInt32(Crc32C.Compute(_chunk.Written));
        Put(labels, slots.Length, slots[0].FirstMs, slots[^1].NewestMs, times, _chunk.Written);
    }

    /// <summary>Writes the index, syncs, and gives the file its name. Returns its size.</summary>
    public long Finish()
    {
        EndSeries();
        Flush();
        long indexOffset = _written;
        ByteWriter index = BuildIndex();
        uint crc = Crc32C.Compute(index.Written);
        _pending.Bytes(index.Written);
        Span<byte> footer = _pending.Take(BlockFormat.FooterBytes);
        footer.Clear();
        BinaryPrimitives.WriteInt64LittleEndian(footer, indexOffset);
        BinaryPrimitives.WriteInt32LittleEndian(footer[8..], index.Length);
        BinaryPrimitives.WriteUInt32LittleEndian(footer[12..], crc);
        BinaryPrimitives.WriteInt64LittleEndian(footer[16..], _minMs);
        BinaryPrimitives.WriteInt64LittleEndian(footer[24..], _maxMs);
        BinaryPrimitives.WriteInt64LittleEndian(footer[32..], _samples);
        BinaryPrimitives.WriteInt32LittleEndian(footer[40..], _series);
        BinaryPrimitives.WriteInt32LittleEndian(footer[44..], _resolutionMs);
        BinaryPrimitives.WriteUInt32LittleEndian(footer[52..], Version);
        BinaryPrimitives.WriteUInt32LittleEndian(footer[56..], BlockFormat.Magic);
        BinaryPrimitives.WriteUInt32LittleEndian(footer[60..], Crc32C.Compute(footer[..60]));
        Flush();
        _file.Sync();
        _file.Dispose();
        _disk.Rename(_temporary, _path);
        _disk.SyncFolder(_folder);
        _isDone = true;
        return _written;
    }

    public void Dispose()
    {
        if (_isDone)
            return;
        _file.Dispose();
        _disk.Delete(_temporary);
    }

    private void Flush()
    {
        if (_written + _pending.Length > MaxBytes)
            throw new NoRoomException($"{Name} would take more than {MaxBytes} bytes");
        _file.Write(_written, _pending.Written);
        _written += _pending.Length;
        _pending.Clear();
    }

    private TimesPlace WriteTimes(ReadOnlySpan<long> times)
    {
        _part.Clear();
        IntegerBlock.Encode(times, _part);
        _part.UInt32(Crc32C.Compute(_part.Written));
        return WriteTimes(times.Length, times[0], times[^1], _part.Written);
    }

    private TimesPlace WriteTimes(int count, long minMs, long maxMs, ReadOnlySpan<byte> bytes)
    {
        var key = new TimesKey(count, minMs, maxMs, bytes.ToArray());
        if (_times.TryGetValue(key, out TimesPlace known))
            return known;
        var place = new TimesPlace(_columnCount++, _written + _pending.Length, bytes.Length - 4);
        _columns.Varint((ulong)count);
        _columns.Zigzag(minMs - _columnMinMs);
        _columns.Varint((ulong)(maxMs - minMs));
        _columns.Zigzag(place.Offset - _columnEnd);
        _columns.Varint((ulong)place.Length);
        (_columnMinMs, _columnEnd) = (minMs, place.Offset + place.Length + 4);
        if (_rememberedBytes > RememberedBytes)
        {
            _times.Clear();
            _rememberedBytes = 0;
        }
        _times.Add(key, place);
        _rememberedBytes += bytes.Length + 64;
        _pending.Bytes(bytes);
        return place;
    }

    private void Put(Labels labels, int count, long min, long max, in TimesPlace times, ReadOnlySpan<byte> chunk)
    {
        long offset = _written + _pending.Length;
        _pending.Bytes(chunk);
        _minMs = Math.Min(_minMs, min);
        _maxMs = Math.Max(_maxMs, max);
        _samples += count;
        BeginEntry(labels);
        if (_resolutionMs == 0)
            AddEntry(times, offset, chunk.Length - 4);
        else
            AddCoarseEntry(count, min, max, times, offset, chunk.Length - 4);
        if (_pending.Length >= FlushBytes)
            Flush();
    }

    private void BuildChunk(SampleGather samples)
    {
        bool constant = !samples.HasHistograms && ValueBlock.IsConstant(samples.Values);
        bool floats = false, histograms = samples.HasHistograms;
        for (int i = 0; histograms && i < samples.Count && !floats; i++)
            floats = samples.HistogramAt(i) is null;
        floats |= !histograms;
        bool summary = floats && !histograms && !constant;
        _values.Clear();
        if (floats)
            ValueBlock.Encode(samples.Values, _values);
        byte flags = (byte)((floats ? BlockFormat.HasFloats : 0) | (histograms ? BlockFormat.HasHistograms : 0) | (samples.HasStarts ? BlockFormat.HasStarts : 0));
        _chunk.Byte((byte)(flags | (summary ? BlockFormat.HasBriefSummary : 0)));
        if (summary && (samples.HasStarts || !BriefSummary.TryWrite(samples.Values, _values.Written, _chunk)))
        {
            _chunk.PatchByte(0, (byte)(flags | BlockFormat.HasSummary));
            ChunkSummary.Of(samples.Values).Write(_chunk);
        }
        if (samples.HasStarts)
            WriteStarts(samples);
        _chunk.Bytes(_values.Written);
        for (int i = 0; histograms && i < samples.Count; i++)
        {
            _chunk.Byte(samples.HistogramAt(i) is null ? (byte)0 : (byte)1);
            if (samples.HistogramAt(i) is { } histogram)
                HistogramCodec.Write(histogram, _chunk);
        }
    }

    private void WriteStarts(SampleGather samples)
    {
        _part.Clear();
        int runs = 0;
        long before = long.MinValue;
        for (int i = 0; i < samples.Count; i++)
        {
            long start = samples.StartAt(i);
            if (start == before)
                continue;
            before = start;
            runs++;
            _part.Varint((ulong)i);
            _part.Zigzag(start);
        }
        _chunk.Varint((ulong)runs);
        _chunk.Bytes(_part.Written);
    }

    private void BeginEntry(Labels labels)
    {
        if (_labels is null || !_labels.Equals(labels))
        {
            EndSeries();
            _labels = labels;
        }
        _chunksOfSeries++;
    }

    // Mostly a chunk has the next column of times and stands right behind the one before: then its length says all.
    private void AddEntry(in TimesPlace times, long offset, int length)
    {
        bool isNext = times.Column == _entryColumn + 1 && offset == _entryEnd;
        _seriesChunks.Varint(((ulong)length << 1) | (isNext ? 0UL : 1));
        if (!isNext)
        {
            _seriesChunks.Zigzag((long)times.Column - (_entryColumn + 1));
            _seriesChunks.Zigzag(offset - _entryEnd);
        }
        (_entryColumn, _entryEnd) = (times.Column, offset + length + 4);
    }

    // What is in slots has times of its own. Places are told by their distance from those before, which are mostly near.
    private void AddCoarseEntry(int count, long min, long max, in TimesPlace times, long offset, int length)
    {
        _seriesChunks.Varint((ulong)count);
        _seriesChunks.Zigzag(min - _entryMinMs);
        _seriesChunks.Varint((ulong)(max - min));
        _seriesChunks.Zigzag(times.Offset - _entryTimes);
        _seriesChunks.Varint((ulong)times.Length);
        _seriesChunks.Zigzag(offset - _entryEnd);
        _seriesChunks.Varint((ulong)length);
        (_entryMinMs, _entryTimes, _entryEnd) = (min, times.Offset, offset + length + 4);
    }

    private void EndSeries()
    {
        if (_chunksOfSeries == 0)
            return;
        _series++;
        _entries.Varint((ulong)_labels!.Count);
        foreach (ref readonly Label label in _labels.AsSpan())
        {
            _entries.Varint((ulong)Symbol(label.Name));
            _entries.Varint((ulong)Symbol(label.Value));
        }
        _entries.Varint((ulong)_chunksOfSeries);
        _entries.Bytes(_seriesChunks.Written);
        _seriesChunks.Clear();
        _chunksOfSeries = 0;
    }

    private int Symbol(string text)
    {
        if (_symbols.TryGetValue(text, out int number))
            return number;
        number = _symbols.Count;
        _symbols.Add(text, number);
        _symbolBytes.Varint((ulong)Encoding.UTF8.GetByteCount(text));
        _symbolBytes.Bytes(Encoding.UTF8.GetBytes(text));
        return number;
    }

    // Symbols, files that it stands in for, columns of times, entries; each announced by its count.
    private ByteWriter BuildIndex()
    {
        var index = new ByteWriter(_entries.Length + _columns.Length + _symbolBytes.Length + (1 << 10));
        index.Varint((ulong)_symbols.Count);
        index.Bytes(_symbolBytes.Written);
        index.Varint((ulong)_replaces.Count);
        foreach (string name in _replaces)
        {
            index.Varint((ulong)Encoding.UTF8.GetByteCount(name));
            index.Bytes(Encoding.UTF8.GetBytes(name));
        }
        if (_resolutionMs == 0)
        {
            index.Varint((ulong)_columnCount);
            index.Bytes(_columns.Written);
        }
        index.Varint((ulong)_series);
        index.Varint((ulong)_entries.Length);
        index.Bytes(_entries.Written);
        return index;
    }

    /// <summary>A column of times in the file: its number and where it lies.</summary>
    private readonly record struct TimesPlace(int Column, long Offset, int Length);

    private readonly struct TimesKey(int count, long minMs, long maxMs, byte[] bytes) : IEquatable<TimesKey>
    {
        private readonly (int, long, long) _range = (count, minMs, maxMs);
        private readonly byte[] _bytes = bytes;

        public bool Equals(TimesKey other) => _range == other._range && _bytes.AsSpan().SequenceEqual(other._bytes);

        public override bool Equals(object? obj) => obj is TimesKey other && Equals(other);

        public override int GetHashCode() => (int)Crc32C.Compute(_bytes);
    }
}
