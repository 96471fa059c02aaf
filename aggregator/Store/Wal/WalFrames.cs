using Bellwether.Core.Model;
using Bellwether.Store.Chunks;

namespace Bellwether.Store.Wal;

/// <summary>The kind of a frame of the write-ahead log (docs/formats/wal.md). The numbers stand in files.</summary>
internal enum FrameKind : ushort
{
    /// <summary>A record of an agent's segment, as it came.</summary>
    Record = 1,
    /// <summary>A batch that came another way.</summary>
    Batch = 2,
    /// <summary>What is refused of the record in the frame behind it.</summary>
    Refusals = 3,
}

/// <summary>What a record's frame says beside the record.</summary>
[Flags]
internal enum RecordFlags : byte
{
    /// <summary>Nothing.</summary>
    None = 0,
    /// <summary>The segment is closed after this frame.</summary>
    Last = 1,
    /// <summary>It was applied before; it only rebuilds the decoder.</summary>
    Context = 2,
    /// <summary>The record was refused for good; its payload is not kept.</summary>
    Refused = 4,
    /// <summary>There is no record: only the close.</summary>
    Empty = 8,
    /// <summary>What of it was ahead of the clock was dropped for good.</summary>
    DropAhead = 16,
    /// <summary>All of it was taken but for what stands in the frame before, if <see cref="SomeRefused"/>: replay asks for no limit and no age again. Frames of older programs lack it.</summary>
    Decided = 32,
    /// <summary>The frame before says what of it was refused.</summary>
    SomeRefused = 64,
}

/// <summary>Reads and writes the head of a record's frame.</summary>
internal static class RecordFrame
{
    private const int MaxAgentBytes = 1024;

    public static void Write(SegmentKey key, ulong record, RecordFlags flags, ReadOnlySpan<byte> payload, ByteWriter into)
    {
        into.Byte((byte)flags);
        into.Text(key.Agent);
        into.Varint(key.Epoch);
        into.Varint(key.Number);
        into.UInt32(key.Nonce);
        into.Varint(record);
        into.Bytes(payload);
    }

    public static SegmentKey Read(ref ByteReader from, out RecordFlags flags, out ulong record)
    {
        flags = (RecordFlags)from.Byte();
        var key = new SegmentKey(from.Text(MaxAgentBytes), from.Varint(), from.Varint(), from.UInt32());
        record = from.Varint();
        return key;
    }

    public static void WriteLabels(Labels labels, ByteWriter into)
    {
        into.Varint((ulong)labels.Count);
        foreach (ref readonly Label label in labels.AsSpan())
        {
            into.Text(label.Name);
            into.Text(label.Value);
        }
    }

    public static Labels ReadLabels(ref ByteReader from, int limit = 4096)
    {
        var items = new Label[from.Count(Math.Min(limit, from.Left / 2))];
        for (int i = 0; i < items.Length; i++)
            items[i] = new Label(from.Text(from.Left), from.Text(from.Left));
        return Labels.FromSorted(items);
    }

    public static void WriteExemplar(Exemplar exemplar, ByteWriter into)
    {
        WriteLabels(exemplar.Labels, into);
        into.Double(exemplar.Value);
        into.Byte(exemplar.TimestampMs is null ? (byte)0 : (byte)1);
        into.Zigzag(exemplar.TimestampMs ?? 0);
    }

    public static Exemplar ReadExemplar(ref ByteReader from)
    {
        Labels labels = ReadLabels(ref from);
        double value = from.Double();
        bool hasTime = from.Byte() != 0;
        long at = from.Zigzag();
        return new Exemplar(labels, value, hasTime ? at : null);
    }
}
