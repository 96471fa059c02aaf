using System.Buffers.Binary;
using System.Numerics;

namespace Bellwether.Store.Chunks;

/// <summary>CRC32C by the processor's instruction.</summary>
internal static class Crc
{
    /// <summary>The check of the bytes, continuing from <paramref name="state"/>.</summary>
    public static uint Of(ReadOnlySpan<byte> bytes, uint state = uint.MaxValue)
    {
        while (bytes.Length >= 8)
        {
            state = BitOperations.Crc32C(state, BinaryPrimitives.ReadUInt64LittleEndian(bytes));
            bytes = bytes[8..];
        }
        foreach (byte b in bytes)
            state = BitOperations.Crc32C(state, b);
        return ~state;
    }
}
