using System.Buffers.Binary;

namespace Bellwether.Core.Durable;

/// <summary>The bytes of a log file (docs/formats/log.md). Little-endian. Every checksum covers the log's identity, the file's number and the place in the file,
/// so that what an overwritten file held before never passes.</summary>
internal static class LogFormat
{
    public const int HeaderBytes = 64;
    public const int FrameHeaderBytes = 24;
    public const int Alignment = 8;
    public const ushort Version = 1;
    private const ulong Magic = 0x474F4C4745535742; // "BWSEGLOG"

    /// <summary>The checksum's start for a file.</summary>
    public static uint Seed(UInt128 identity, ulong number)
    {
        Span<byte> bytes = stackalloc byte[24];
        BinaryPrimitives.WriteUInt128LittleEndian(bytes, identity);
        BinaryPrimitives.WriteUInt64LittleEndian(bytes[16..], number);
        return Crc32C.Append(uint.MaxValue, bytes);
    }

    public static void WriteHeader(Span<byte> into, in LogFileHeader header)
    {
        into[..HeaderBytes].Clear();
        BinaryPrimitives.WriteUInt64LittleEndian(into, Magic);
        BinaryPrimitives.WriteUInt16LittleEndian(into[8..], Version);
        BinaryPrimitives.WriteUInt16LittleEndian(into[10..], HeaderBytes);
        BinaryPrimitives.WriteUInt32LittleEndian(into[12..], header.PreviousDelta);
        BinaryPrimitives.WriteUInt128LittleEndian(into[16..], header.Identity);
        BinaryPrimitives.WriteUInt64LittleEndian(into[32..], header.Number);
        BinaryPrimitives.WriteUInt64LittleEndian(into[40..], header.FirstSequence);
        BinaryPrimitives.WriteInt64LittleEndian(into[48..], header.CreatedMs);
        BinaryPrimitives.WriteUInt32LittleEndian(into[56..], header.PreviousEnd);
        BinaryPrimitives.WriteUInt32LittleEndian(into[60..], Crc32C.Compute(into[..60]));
    }

    public static bool TryReadHeader(ReadOnlySpan<byte> from, out LogFileHeader header)
    {
        header = default;
        if (from.Length < HeaderBytes || BinaryPrimitives.ReadUInt64LittleEndian(from) != Magic || BinaryPrimitives.ReadUInt16LittleEndian(from[8..]) != Version
            || BinaryPrimitives.ReadUInt32LittleEndian(from[60..]) != Crc32C.Compute(from[..60]))
            return false;
        header = new LogFileHeader(
            BinaryPrimitives.ReadUInt128LittleEndian(from[16..]),
            BinaryPrimitives.ReadUInt64LittleEndian(from[32..]),
            BinaryPrimitives.ReadUInt64LittleEndian(from[40..]),
            BinaryPrimitives.ReadInt64LittleEndian(from[48..]),
            BinaryPrimitives.ReadUInt32LittleEndian(from[12..]),
            BinaryPrimitives.ReadUInt32LittleEndian(from[56..]));
        return true;
    }

    /// <summary>Bytes that a frame takes in the file.</summary>
    public static int FrameBytes(int payload) => (FrameHeaderBytes + payload + Alignment - 1) & -Alignment;

    /// <summary>Fills in what is known when a frame is appended; <see cref="SealFrame"/> adds what depends on its place.</summary>
    public static void BeginFrame(Span<byte> frame, ushort kind, ulong sequence, ReadOnlySpan<byte> payload)
    {
        BinaryPrimitives.WriteInt32LittleEndian(frame, payload.Length);
        BinaryPrimitives.WriteUInt16LittleEndian(frame[4..], kind);
        BinaryPrimitives.WriteUInt64LittleEndian(frame[8..], sequence);
        payload.CopyTo(frame[FrameHeaderBytes..]);
        frame[(FrameHeaderBytes + payload.Length)..].Clear();
    }

    public static void SealFrame(Span<byte> frame, uint seed, long offset, uint synced)
    {
        BinaryPrimitives.WriteUInt32LittleEndian(frame[16..], synced);
        BinaryPrimitives.WriteUInt16LittleEndian(frame[6..], Check(frame, seed, offset));
        int length = BinaryPrimitives.ReadInt32LittleEndian(frame);
        BinaryPrimitives.WriteUInt32LittleEndian(frame[20..], FrameCrc(frame, seed, offset, length));
    }

    /// <summary>Whether a frame's header fits its place: a quick test before the payload is read; one in 65,536 random ones passes.</summary>
    public static bool TryReadFrameHeader(ReadOnlySpan<byte> frame, uint seed, long offset, int payloadMax, out LogFrameHeader header)
    {
        header = default;
        int length = BinaryPrimitives.ReadInt32LittleEndian(frame);
        if (length < 0 || length > payloadMax || BinaryPrimitives.ReadUInt16LittleEndian(frame[6..]) != Check(frame, seed, offset))
            return false;
        header = new LogFrameHeader(
            length,
            BinaryPrimitives.ReadUInt16LittleEndian(frame[4..]),
            BinaryPrimitives.ReadUInt64LittleEndian(frame[8..]),
            BinaryPrimitives.ReadUInt32LittleEndian(frame[16..]));
        return true;
    }

    /// <summary>Whether a frame is whole: header and payload.</summary>
    public static bool IsWhole(ReadOnlySpan<byte> frame, uint seed, long offset, int length) =>
        BinaryPrimitives.ReadUInt32LittleEndian(frame[20..]) == FrameCrc(frame, seed, offset, length);

    private static ushort Check(ReadOnlySpan<byte> frame, uint seed, long offset)
    {
        uint crc = System.Numerics.BitOperations.Crc32C(seed, (ulong)offset);
        crc = Crc32C.Append(crc, frame[..6]);
        crc = Crc32C.Append(crc, frame[8..20]);
        return (ushort)(crc ^ (crc >> 16));
    }

    private static uint FrameCrc(ReadOnlySpan<byte> frame, uint seed, long offset, int length)
    {
        uint crc = System.Numerics.BitOperations.Crc32C(seed, (ulong)offset);
        crc = Crc32C.Append(crc, frame[..20]);
        return ~Crc32C.Append(crc, frame.Slice(FrameHeaderBytes, length));
    }
}

/// <summary>A file's header. <paramref name="PreviousDelta"/>: how many numbers back the file lies that this one follows (0: none); what lies between is void.
/// <paramref name="PreviousEnd"/>: where that file's durable frames end.</summary>
internal readonly record struct LogFileHeader(UInt128 Identity, ulong Number, ulong FirstSequence, long CreatedMs, uint PreviousDelta, uint PreviousEnd);

/// <summary>A frame's header. <paramref name="Synced"/>: up to where the file was durable when the frame was written.</summary>
internal readonly record struct LogFrameHeader(int Length, ushort Kind, ulong Sequence, uint Synced);
