using System.Buffers.Binary;
using Bellwether.Agent.Stream;

namespace Bellwether.Agent.Spool;

/// <summary>The frames of the spool's log (docs/formats/segment.md, "In the spool").</summary>
internal static class SpoolFrames
{
    /// <summary>A segment begins: epoch u64, number u64, nonce u32, time i64 (Unix ms); little-endian.</summary>
    public const ushort SegmentBegins = 1;

    /// <summary>One record of the segment that began last: its bytes as encoded.</summary>
    public const ushort Record = 2;

    /// <summary>The ledger as it stood before the segment that begins behind it: JSON, see docs/formats/segment.md.</summary>
    public const ushort Ledger = 3;

    /// <summary>One record of a segment that is encrypted: sealed by its <see cref="SegmentCipher"/>.</summary>
    public const ushort SealedRecord = 4;

    /// <summary>Bytes of a begin frame, without the wrapped key that may follow.</summary>
    public const int BeginBytes = 28;

    public static void WriteBegin(Span<byte> into, SegmentRef id, long createdMs)
    {
        BinaryPrimitives.WriteUInt64LittleEndian(into, id.Epoch);
        BinaryPrimitives.WriteUInt64LittleEndian(into[8..], id.Number);
        BinaryPrimitives.WriteUInt32LittleEndian(into[16..], id.Nonce);
        BinaryPrimitives.WriteInt64LittleEndian(into[20..], createdMs);
    }

    public static bool TryReadBegin(ReadOnlySpan<byte> from, out SegmentRef id, out long createdMs)
    {
        id = default;
        createdMs = 0;
        if (from.Length < BeginBytes)
            return false;
        id = new SegmentRef(BinaryPrimitives.ReadUInt64LittleEndian(from), BinaryPrimitives.ReadUInt64LittleEndian(from[8..]), BinaryPrimitives.ReadUInt32LittleEndian(from[16..]));
        createdMs = BinaryPrimitives.ReadInt64LittleEndian(from[20..]);
        return true;
    }
}
