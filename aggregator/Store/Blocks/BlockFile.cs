using System.Buffers.Binary;
using Bellwether.Core.Durable;
using Bellwether.Core.Model;
using Bellwether.Core.Platform;
using Bellwether.Store.Chunks;
using Bellwether.Store.Head;

namespace Bellwether.Store.Blocks;

/// <summary>An open chunk file. Immutable; thread-safe but for <see cref="Drop"/>. Its handle lives as long as somebody holds a lease.</summary>
internal sealed class BlockFile
{
    private readonly IDiskFile _file;
    private readonly Lock _gate = new();
    private BlockIndex? _index;
    private int _leases = 1;
    private long _lastUse;
    private int _isDamageNoted;

    private readonly byte _version;

    private BlockFile(string name, IDiskFile file, BlockFooter footer, byte version)
    {
        _version = version;
        Name = name;
        _file = file;
        Footer = footer;
        Bytes = file.Length;
    }

    public string Name { get; }

    public BlockFooter Footer { get; }

    public long Bytes { get; }

    /// <summary>Length of the slots that its chunks may hold; 0: samples only.</summary>
    public int ResolutionMs => Footer.ResolutionMs;

    /// <summary>Names of the files that it stands in for: they go when it is there.</summary>
    public IReadOnlyList<string> Replaces { get; private set; } = [];

    /// <summary>Something of it could not be read; it is served as far as it can be, and not merged.</summary>
    public bool IsDamaged => Volatile.Read(ref _isDamageNoted) != 0;

    /// <summary>Whether the times that two files reach over meet.</summary>
    public bool Overlaps(BlockFile other) => Footer.MinMs <= other.Footer.MaxMs && other.Footer.MinMs <= Footer.MaxMs;

    /// <summary>Bytes of its index when that is in memory.</summary>
    public long IndexBytesInMemory => Volatile.Read(ref _index)?.Bytes ?? 0;

    /// <summary>Grows with each use of any file.</summary>
    public long LastUse => Volatile.Read(ref _lastUse);

    /// <summary>Opens and checks head, footer and index. Throws <see cref="InvalidDataException"/> when it is not a whole chunk file, <see cref="IOException"/> when the disk cannot read.</summary>
    public static BlockFile Open(IDisk disk, string folder, string name)
    {
        IDiskFile file = disk.Open(Path.Combine(folder, name), DiskOpen.ReadOnly);
        try
        {
            BlockFooter footer = ReadFooter(file, out byte version);
            var block = new BlockFile(name, file, footer, version);
            BlockIndexReader index = block.ReadIndex();
            index.Check();
            block.Replaces = index.Replaces;
            return block;
        }
        catch
        {
            file.Dispose();
            throw;
        }
    }

    /// <summary>The index, read when it is not in memory.</summary>
    public BlockIndex Index(long use)
    {
        Volatile.Write(ref _lastUse, use);
        if (Volatile.Read(ref _index) is { } index)
            return index;
        lock (_gate)
            return _index ?? LoadIndex();
    }

    /// <summary>Lets the index go from memory; it is read again when needed.</summary>
    public void Unload() => Volatile.Write(ref _index, null);

    /// <summary>Adds the samples of a series in a range. False: its chunk is damaged.</summary>
    /// <param name="slots">Gets the slots of a coarse chunk; null: what is known of their samples is added to the others.</param>
    public bool TryRead(in BlockEntry entry, long fromMs, long toMs, ChunkScratch scratch, SampleGather into, List<CoarseSlot>? slots = null)
    {
        try
        {
            Read(entry, fromMs, toMs, scratch, into, slots);
            return true;
        }
        catch (Exception e) when (e is InvalidDataException or IOException)
        {
            return false;
        }
    }

    /// <summary>Reads a chunk whole. Null: it is whole; else what is wrong with it.</summary>
    public string? Check(in BlockEntry entry, ChunkScratch scratch, SampleGather into)
    {
        try
        {
            Read(entry, long.MinValue, long.MaxValue, scratch, into, null);
            return null;
        }
        catch (Exception e) when (e is InvalidDataException or IOException)
        {
            return e.Message;
        }
    }

    /// <summary>Whether the check of the bytes at a place is right.</summary>
    public bool IsWhole(long offset, int length, ChunkScratch scratch)
    {
        try
        {
            scratch.Read(this, _file, offset, length);
            return true;
        }
        catch (Exception e) when (e is InvalidDataException or IOException)
        {
            return false;
        }
    }

    /// <summary>The summary of a chunk within one slot. False: it has histograms, start times, stale markers or NaN among its samples, a sum that is not finite, or is damaged.</summary>
    public bool TryReadSummary(in BlockEntry entry, ChunkScratch scratch, out SlotSummary summary)
    {
        summary = default;
        try
        {
            var reader = new ByteReader(scratch.Read(this, _file, entry.Offset, entry.Length));
            byte flags = reader.Byte();
            if ((flags & (BlockFormat.HasHistograms | BlockFormat.HasStarts | BlockFormat.HasSlots)) != 0)
                return false;
            if ((flags & BlockFormat.HasBriefSummary) != 0)
                return BriefSummary.Read(ref reader, entry.Count).TryForSlot(entry.MinMs, entry.MaxMs, entry.Count, out summary);
            if ((flags & BlockFormat.HasSummary) != 0)
                return ChunkSummary.Read(ref reader).TryForSlot(entry.MinMs, entry.MaxMs, entry.Count, out summary);
            // Constant: the summary is implied.
            Span<double> values = scratch.Values(entry.Count);
            ValueBlock.Decode(ref reader, values);
            return SlotSummary.TryMake(entry.Count == 1 ? [entry.MinMs] : [entry.MinMs, entry.MaxMs], values, out summary);
        }
        catch (Exception e) when (e is InvalidDataException or IOException)
        {
            return false;
        }
    }

    /// <summary>The times of a chunk, valid until the next read. False: they are damaged.</summary>
    public bool TryReadTimes(in BlockEntry entry, ChunkScratch scratch, out ReadOnlySpan<long> times)
    {
        times = default;
        try
        {
            times = Times(entry, scratch);
            return true;
        }
        catch (Exception e) when (e is InvalidDataException or IOException)
        {
            return false;
        }
    }

    /// <summary>The floats at some places of a chunk that has nothing but floats and, perhaps, a summary; the places ascend. False: it is damaged.</summary>
    public bool TryReadAt(in BlockEntry entry, ChunkScratch scratch, ReadOnlySpan<int> places, Span<double> values)
    {
        try
        {
            var reader = new ByteReader(scratch.Read(this, _file, entry.Offset, entry.Length));
            SkipSummary(ref reader, reader.Byte(), entry.Count);
            ValueBlock.DecodeAt(ref reader, places, values, scratch.Values(entry.Count));
            return true;
        }
        catch (Exception e) when (e is InvalidDataException or IOException)
        {
            return false;
        }
    }

    /// <summary>Reads its index series by series, without keeping it. Throws <see cref="InvalidDataException"/> or <see cref="IOException"/>.</summary>
    public BlockIndexReader ReadIndex() => new(IndexBytes(), Bytes, _version);

    /// <summary>The bytes at a place with the CRC that follows them, not checked; they stand in the buffer, which grows.</summary>
    public ReadOnlySpan<byte> ReadRaw(long offset, int length, ref byte[] buffer)
    {
        if (buffer.Length < length + 4)
            buffer = new byte[Math.Max(length + 4, buffer.Length * 2)];
        Span<byte> bytes = buffer.AsSpan(0, length + 4);
        return _file.Read(offset, bytes) == bytes.Length ? bytes : throw new InvalidDataException("a chunk ends before its length");
    }

    /// <summary>Reads its bytes as they are; less than asked only at its end.</summary>
    public int Copy(long offset, Span<byte> into) => _file.Read(offset, into);

    /// <summary>True the first time.</summary>
    public bool TryNoteDamage() => Interlocked.Exchange(ref _isDamageNoted, 1) == 0;

    public void Lease()
    {
        lock (_gate)
            _leases++;
    }

    /// <summary>Gives a lease back; the last one closes the file.</summary>
    public void Drop()
    {
        lock (_gate)
        {
            if (--_leases > 0)
                return;
        }
        _file.Dispose();
    }

    private static BlockFooter ReadFooter(IDiskFile file, out byte version)
    {
        Span<byte> head = stackalloc byte[BlockFormat.HeadBytes];
        Span<byte> foot = stackalloc byte[BlockFormat.FooterBytes];
        long length = file.Length;
        if (length < BlockFormat.HeadBytes + BlockFormat.FooterBytes || file.Read(0, head) < head.Length || file.Read(length - foot.Length, foot) < foot.Length)
            throw new InvalidDataException("it is too short");
        if (BinaryPrimitives.ReadUInt32LittleEndian(head) != BlockFormat.Magic || BinaryPrimitives.ReadUInt32LittleEndian(foot[56..]) != BlockFormat.Magic)
            throw new InvalidDataException("it does not begin and end as a chunk file");
        if (Crc32C.Compute(foot[..60]) != BinaryPrimitives.ReadUInt32LittleEndian(foot[60..]))
            throw new InvalidDataException("the check of its footer is wrong");
        version = head[4];
        if (version is < BlockFormat.FirstVersion or > BlockFormat.CoarseVersion)
            throw new InvalidDataException($"its version {head[4]} is not known");
        var footer = new BlockFooter(
            BinaryPrimitives.ReadInt64LittleEndian(foot),
            BinaryPrimitives.ReadInt32LittleEndian(foot[8..]),
            BinaryPrimitives.ReadUInt32LittleEndian(foot[12..]),
            BinaryPrimitives.ReadInt64LittleEndian(foot[16..]),
            BinaryPrimitives.ReadInt64LittleEndian(foot[24..]),
            BinaryPrimitives.ReadInt64LittleEndian(foot[32..]),
            BinaryPrimitives.ReadInt32LittleEndian(foot[40..]),
            BlockFormat.IsCoarse(version) ? BinaryPrimitives.ReadInt32LittleEndian(foot[44..]) : 0);
        if (BlockFormat.IsCoarse(version) && footer.ResolutionMs <= 0)
            throw new InvalidDataException("its resolution is not possible");
        if (footer.IndexBytes < 0 || footer.IndexOffset < BlockFormat.HeadBytes || footer.IndexOffset + footer.IndexBytes != length - BlockFormat.FooterBytes)
            throw new InvalidDataException("its index does not lie where it should");
        return footer;
    }

    private byte[] IndexBytes()
    {
        byte[] bytes = new byte[Footer.IndexBytes];
        if (_file.Read(Footer.IndexOffset, bytes) < bytes.Length || Crc32C.Compute(bytes) != Footer.IndexCrc)
            throw new InvalidDataException("the check of its index is wrong");
        return bytes;
    }

    private BlockIndex LoadIndex()
    {
        BlockIndex index;
        try
        {
            index = BlockIndex.Parse(ReadIndex());
        }
        catch (ArgumentException e)
        {
            throw new InvalidDataException("its labels are not in order", e);
        }
        Volatile.Write(ref _index, index);
        return index;
    }

    private void Read(in BlockEntry entry, long fromMs, long toMs, ChunkScratch scratch, SampleGather into, List<CoarseSlot>? slots)
    {
        ReadOnlySpan<long> times = Times(entry, scratch);
        var reader = new ByteReader(scratch.Read(this, _file, entry.Offset, entry.Length));
        byte flags = reader.Byte();
        if ((flags & BlockFormat.HasSlots) != 0)
        {
            ReadSlots(ref reader, entry, times, fromMs, toMs, into, slots);
            return;
        }
        if (times[0] != entry.MinMs || times[^1] != entry.MaxMs)
            throw new InvalidDataException("the times of a chunk are not those of its index");
        SkipSummary(ref reader, flags, entry.Count);
        into.BeginSource();
        List<(long FromMs, long StartMs)>? starts = (flags & BlockFormat.HasStarts) != 0 ? ReadStarts(ref reader, times) : null;
        bool floats = (flags & BlockFormat.HasFloats) != 0;
        Span<double> values = scratch.Values(entry.Count);
        if (floats)
            ValueBlock.Decode(ref reader, values);
        if ((flags & BlockFormat.HasHistograms) != 0)
        {
            for (int i = 0; i < times.Length; i++)
            {
                NativeHistogram? histogram = reader.Byte() != 0 ? HistogramCodec.Read(ref reader) : null;
                if (times[i] < fromMs || times[i] > toMs)
                    continue;
                if (histogram is not null)
                    into.Add(times[i], histogram);
                else
                    into.Add(times[i], values[i]);
            }
        }
        else
        {
            into.Extend(entry.Count, out Span<long> intoTimes, out Span<double> intoValues);
            times.CopyTo(intoTimes);
            values.CopyTo(intoValues);
            into.Close(entry.Count, fromMs, toMs);
        }
        if (starts is not null)
            into.AddStarts(starts);
    }

    private static void SkipSummary(ref ByteReader reader, byte flags, int count)
    {
        if ((flags & BlockFormat.HasBriefSummary) != 0)
            BriefSummary.Skip(ref reader, count);
        else if ((flags & BlockFormat.HasSummary) != 0)
            ChunkSummary.Skip(ref reader);
    }

    private void ReadSlots(ref ByteReader reader, in BlockEntry entry, scoped ReadOnlySpan<long> ends, long fromMs, long toMs, SampleGather into, List<CoarseSlot>? slots)
    {
        if (ResolutionMs == 0)
            throw new InvalidDataException("a file of samples has a chunk of slots");
        foreach (long end in ends)
        {
            if (end % ResolutionMs != 0)
                throw new InvalidDataException("a slot does not end at a multiple of its length");
        }
        CoarseSlot[] read = CoarseChunk.Read(ref reader, ends, ResolutionMs);
        if (read[0].FirstMs != entry.MinMs || read[^1].NewestMs != entry.MaxMs)
            throw new InvalidDataException("the times of a chunk are not those of its index");
        into.BeginSource();
        foreach (ref readonly CoarseSlot slot in read.AsSpan())
        {
            if (slot.FirstMs > toMs || slot.NewestMs < fromMs)
                continue;
            if (slots is not null)
                slots.Add(slot);
            else
                AddKnown(slot, fromMs, toMs, into);
        }
    }

    private static void AddKnown(in CoarseSlot slot, long fromMs, long toMs, SampleGather into)
    {
        if (slot.Floats.Count > 0 && slot.FirstMs >= fromMs && slot.FirstMs <= toMs)
            into.Add(slot.FirstMs, slot.Floats.First);
        if (slot.Floats.LastMs > slot.FirstMs && slot.Floats.LastMs >= fromMs && slot.Floats.LastMs <= toMs)
            into.Add(slot.Floats.LastMs, slot.Floats.Last);
        if (slot.StaleMs != CoarseSlot.None && slot.StaleMs >= fromMs && slot.StaleMs <= toMs)
            into.Add(slot.StaleMs, SpecialValues.StaleMarker);
    }

    private ReadOnlySpan<long> Times(in BlockEntry entry, ChunkScratch scratch)
    {
        if (scratch.TryTimes(this, entry.TimesOffset, entry.Count, out ReadOnlySpan<long> held))
            return held;
        var reader = new ByteReader(scratch.Read(this, _file, entry.TimesOffset, entry.TimesLength));
        var times = new long[entry.Count];
        IntegerBlock.Decode(ref reader, times);
        for (int i = 1; i < times.Length; i++)
        {
            if (times[i] <= times[i - 1])
                throw new InvalidDataException("the times of a chunk do not ascend");
        }
        // Slots are named by their ends, the index by what is in them.
        if (ResolutionMs == 0 && (times[0] != entry.MinMs || times[^1] != entry.MaxMs))
            throw new InvalidDataException("the times of a chunk are not those of its index");
        scratch.Keep(this, entry.TimesOffset, times);
        return times;
    }

    private static List<(long FromMs, long StartMs)> ReadStarts(scoped ref ByteReader reader, scoped ReadOnlySpan<long> times)
    {
        int runs = reader.Count(times.Length);
        var starts = new List<(long FromMs, long StartMs)>(runs);
        for (int i = 0; i < runs; i++)
        {
            int at = reader.Count(times.Length - 1);
            starts.Add((times[at], reader.Zigzag()));
        }
        return starts;
    }
}
