using System.Buffers.Binary;
using System.Runtime.InteropServices;
using System.Text;
using Bellwether.Core.Durable;
using Bellwether.Core.Model;
using Bellwether.Core.Platform;
using Bellwether.Store.Chunks;
using Bellwether.Store.Head;

namespace Bellwether.Store.Blocks;

/// <summary>
/// Writes one chunk file: series in label order, each with one chunk; equal columns of times are written once. The file appears under its name only when it is
/// whole and synced. Not thread-safe.
/// </summary>
internal sealed class BlockWriter : IDisposable
{
    private const int FlushBytes = 1 << 20;
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
    private readonly Dictionary<(int Name, int Value), List<int>> _postings = [];
    private readonly Dictionary<TimesKey, (long Offset, int Length)> _times = [];
    private readonly List<int> _entryOffsets = [];
    private long _written;
    private long _minMs = long.MaxValue;
    private long _maxMs = long.MinValue;
    private long _samples;
    private bool _isDone;

    public BlockWriter(IDisk disk, string folder, string name)
    {
        _disk = disk;
        _folder = folder;
        Name = name;
        _path = Path.Combine(folder, name);
        _temporary = _path + ".new";
        disk.Delete(_temporary);
        _file = disk.Open(_temporary, DiskOpen.CreateNew);
        _pending.UInt32(BlockFormat.Magic);
        _pending.Byte(BlockFormat.Version);
        _pending.Bytes([0, 0, 0]);
    }

    public string Name { get; }

    /// <summary>Series so far.</summary>
    public int Count => _entryOffsets.Count;

    /// <summary>Adds the samples of the next series, resolved and not empty.</summary>
    public void Add(Labels labels, SampleGather samples)
    {
        (long timesOffset, int timesLength) = WriteTimes(samples.Times);
        _chunk.Clear();
        BuildChunk(samples);
        long offset = _written + _pending.Length;
        _pending.Bytes(_chunk.Written);
        _pending.UInt32(Crc32C.Compute(_chunk.Written));
        long min = samples.Times[0], max = samples.Times[^1];
        _minMs = Math.Min(_minMs, min);
        _maxMs = Math.Max(_maxMs, max);
        _samples += samples.Count;
        AddEntry(labels, samples.Count, min, max, timesOffset, timesLength, offset, _chunk.Length);
        if (_pending.Length >= FlushBytes)
            Flush();
    }

    /// <summary>Writes the index, syncs, and gives the file its name. Returns its size.</summary>
    public long Finish()
    {
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
        BinaryPrimitives.WriteInt32LittleEndian(footer[40..], _entryOffsets.Count);
        BinaryPrimitives.WriteUInt32LittleEndian(footer[52..], BlockFormat.Version);
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
        _file.Write(_written, _pending.Written);
        _written += _pending.Length;
        _pending.Clear();
    }

    private (long Offset, int Length) WriteTimes(ReadOnlySpan<long> times)
    {
        _part.Clear();
        IntegerBlock.Encode(times, _part);
        var key = new TimesKey(times.Length, _part.Written.ToArray());
        if (_times.TryGetValue(key, out (long Offset, int Length) known))
            return known;
        (long Offset, int Length) place = (_written + _pending.Length, _part.Length);
        _times.Add(key, place);
        _pending.Bytes(_part.Written);
        _pending.UInt32(Crc32C.Compute(_part.Written));
        return place;
    }

    private void BuildChunk(SampleGather samples)
    {
        bool constant = !samples.HasHistograms && ValueBlock.IsConstant(samples.Values);
        bool floats = false, histograms = samples.HasHistograms;
        for (int i = 0; histograms && i < samples.Count && !floats; i++)
            floats = samples.HistogramAt(i) is null;
        floats |= !histograms;
        bool summary = floats && !histograms && !constant;
        _chunk.Byte((byte)((floats ? BlockFormat.HasFloats : 0) | (histograms ? BlockFormat.HasHistograms : 0) | (samples.HasStarts ? BlockFormat.HasStarts : 0) | (summary ? BlockFormat.HasSummary : 0)));
        if (summary)
            ChunkSummary.Of(samples.Values).Write(_chunk);
        if (samples.HasStarts)
            WriteStarts(samples);
        if (floats)
            ValueBlock.Encode(samples.Values, _chunk);
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

    private void AddEntry(Labels labels, int count, long min, long max, long timesOffset, int timesLength, long offset, int length)
    {
        int series = _entryOffsets.Count;
        _entryOffsets.Add(_entries.Length);
        _entries.Varint((ulong)labels.Count);
        foreach (ref readonly Label label in labels.AsSpan())
        {
            int name = Symbol(label.Name), value = Symbol(label.Value);
            _entries.Varint((ulong)name);
            _entries.Varint((ulong)value);
            ref List<int>? list = ref CollectionsMarshal.GetValueRefOrAddDefault(_postings, (name, value), out _);
            (list ??= []).Add(series);
        }
        _entries.Varint((ulong)count);
        _entries.Zigzag(min);
        _entries.Varint((ulong)(max - min));
        _entries.Varint((ulong)timesOffset);
        _entries.Varint((ulong)timesLength);
        _entries.Varint((ulong)offset);
        _entries.Varint((ulong)length);
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

    // Symbols, entries, postings; each announced by its count and bytes.
    private ByteWriter BuildIndex()
    {
        var index = new ByteWriter(_entries.Length + _symbolBytes.Length + (1 << 16));
        index.Varint((ulong)_symbols.Count);
        index.Bytes(_symbolBytes.Written);
        index.Varint((ulong)_entryOffsets.Count);
        index.Varint((ulong)_entries.Length);
        index.Bytes(_entries.Written);
        index.Varint((ulong)_postings.Count);
        foreach (((int name, int value), List<int> list) in _postings)
        {
            index.Varint((ulong)name);
            index.Varint((ulong)value);
            index.Varint((ulong)list.Count);
            int before = -1;
            foreach (int series in list)
            {
                index.Varint((ulong)(series - before - 1));
                before = series;
            }
        }
        return index;
    }

    private readonly struct TimesKey(int count, byte[] bytes) : IEquatable<TimesKey>
    {
        private readonly int _count = count;
        private readonly byte[] _bytes = bytes;

        public bool Equals(TimesKey other) => _count == other._count && _bytes.AsSpan().SequenceEqual(other._bytes);

        public override bool Equals(object? obj) => obj is TimesKey other && Equals(other);

        public override int GetHashCode() => (int)Crc32C.Compute(_bytes);
    }
}
