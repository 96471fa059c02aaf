using System.Buffers.Binary;

namespace Bellwether.Store.Exchange;

/// <summary>Numbers of Prometheus' block format (tsdb/docs/format of the Prometheus repository: index.md, chunks.md, tombstones.md). Big-endian.</summary>
internal static class TsdbFormat
{
    public const uint IndexMagic = 0xBAAAD700;
    public const uint ChunksMagic = 0x85BD40DD;
    public const uint TombstonesMagic = 0x0130BA30;
    public const byte IndexVersion = 2;
    public const byte ChunksVersion = 1;
    public const byte TombstonesVersion = 1;
    public const int IndexHeadBytes = 5;
    public const int ChunksHeadBytes = 8;

    /// <summary>Six offsets and a check.</summary>
    public const int TocBytes = (6 * 8) + 4;

    public const int SeriesAlignment = 16;

    public const byte XorEncoding = 1, HistogramEncoding = 2, FloatHistogramEncoding = 3;

    /// <summary>Bytes of a chunk's data that are taken; Prometheus cuts chunks at about 1 KiB, and compacts into none larger.</summary>
    public const int MaxChunkBytes = 8 << 20;

    /// <summary>Bytes of a series' entry in the index.</summary>
    public const int MaxSeriesBytes = 64 << 20;

    /// <summary>Bytes of the table of symbols.</summary>
    public const int MaxSymbolBytes = 1 << 30;

    /// <summary>Bytes of a tombstones file.</summary>
    public const int MaxTombstoneBytes = 64 << 20;

    /// <summary>Reads Go's uvarint; false: it does not end within the bytes.</summary>
    public static bool TryUvarint(ReadOnlySpan<byte> from, ref int at, out ulong value)
    {
        value = 0;
        for (int shift = 0; shift < 64 && at < from.Length; shift += 7)
        {
            byte b = from[at++];
            value |= (ulong)(b & 0x7F) << shift;
            if (b < 0x80)
                return shift < 63 || b <= 1;
        }
        return false;
    }

    /// <summary>Reads Go's varint (zigzag).</summary>
    public static bool TryVarint(ReadOnlySpan<byte> from, ref int at, out long value)
    {
        bool whole = TryUvarint(from, ref at, out ulong raw);
        value = (long)(raw >> 1) ^ -(long)(raw & 1);
        return whole;
    }

    public static uint UInt32(ReadOnlySpan<byte> from) => BinaryPrimitives.ReadUInt32BigEndian(from);
}
