using System.Buffers.Binary;
using Bellwether.Core.Platform;

namespace Bellwether.Core.Durable;

/// <summary>What became of a read of an <see cref="AtomicFile"/>.</summary>
public enum AtomicFileOutcome
{
    /// <summary>Its content is whole.</summary>
    Read,
    /// <summary>There is none.</summary>
    Missing,
    /// <summary>It is there but not whole, or larger than allowed.</summary>
    Damaged,
}

/// <summary>
/// A small file that is replaced as a whole: after a crash either the old or the new content is there. Written beside, synced, renamed, folder synced.
/// Layout, little-endian: magic "BWAF", version u32 = 1, length u32, crc32c u32 of the content, content.
/// </summary>
public static class AtomicFile
{
    private const uint Magic = 0x46415742;
    private const uint Version = 1;
    private const int HeaderBytes = 16;

    /// <summary>Replaces the file durably. Throws <see cref="IOException"/>; then the old content is still there.</summary>
    public static void Write(IDisk disk, string path, ReadOnlySpan<byte> content)
    {
        string beside = path + ".new";
        byte[] bytes = new byte[HeaderBytes + content.Length];
        BinaryPrimitives.WriteUInt32LittleEndian(bytes, Magic);
        BinaryPrimitives.WriteUInt32LittleEndian(bytes.AsSpan(4), Version);
        BinaryPrimitives.WriteInt32LittleEndian(bytes.AsSpan(8), content.Length);
        BinaryPrimitives.WriteUInt32LittleEndian(bytes.AsSpan(12), Crc32C.Compute(content));
        content.CopyTo(bytes.AsSpan(HeaderBytes));
        disk.Delete(beside);
        using (IDiskFile file = disk.Open(beside, DiskOpen.CreateNew))
        {
            file.Write(0, bytes);
            file.Sync();
        }
        disk.Rename(beside, path);
        disk.SyncFolder(Path.GetDirectoryName(path) ?? ".");
    }

    /// <summary>Reads the file; content above <paramref name="bytesMax"/> counts as damaged. Throws <see cref="IOException"/> when the disk cannot read.</summary>
    public static AtomicFileOutcome TryRead(IDisk disk, string path, int bytesMax, out byte[] content)
    {
        content = [];
        if (!disk.Exists(path))
            return AtomicFileOutcome.Missing;
        using IDiskFile file = disk.Open(path, DiskOpen.ReadOnly);
        Span<byte> header = stackalloc byte[HeaderBytes];
        if (file.Read(0, header) < HeaderBytes || BinaryPrimitives.ReadUInt32LittleEndian(header) != Magic || BinaryPrimitives.ReadUInt32LittleEndian(header[4..]) != Version)
            return AtomicFileOutcome.Damaged;
        int length = BinaryPrimitives.ReadInt32LittleEndian(header[8..]);
        if (length < 0 || length > bytesMax || file.Length != HeaderBytes + (long)length)
            return AtomicFileOutcome.Damaged;
        byte[] bytes = new byte[length];
        if (file.Read(HeaderBytes, bytes) < length || Crc32C.Compute(bytes) != BinaryPrimitives.ReadUInt32LittleEndian(header[12..]))
            return AtomicFileOutcome.Damaged;
        content = bytes;
        return AtomicFileOutcome.Read;
    }
}
