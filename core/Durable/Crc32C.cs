using System.Buffers.Binary;
using System.Numerics;

namespace Bellwether.Core.Durable;

/// <summary>CRC32C (Castagnoli, RFC 3720 appendix B.4) with the processor's instruction where it has one.</summary>
public static class Crc32C
{
    /// <summary>The checksum of bytes.</summary>
    public static uint Compute(ReadOnlySpan<byte> bytes) => ~Append(uint.MaxValue, bytes);

    /// <summary>Goes on with a running checksum, which starts at all ones and is inverted at the end.</summary>
    public static uint Append(uint running, ReadOnlySpan<byte> bytes)
    {
        while (bytes.Length >= 8)
        {
            running = BitOperations.Crc32C(running, BinaryPrimitives.ReadUInt64LittleEndian(bytes));
            bytes = bytes[8..];
        }
        foreach (byte b in bytes)
            running = BitOperations.Crc32C(running, b);
        return running;
    }
}
