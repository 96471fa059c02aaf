using System.Buffers.Binary;
using System.Text;
using Bellwether.Core.Platform;

namespace Bellwether.Store;

/// <summary>The store's id: made once, kept in the file <c>store-id</c>.</summary>
internal static class StoreIdentity
{
    private const string FileName = "store-id";
    private const int Length = 32;

    public static string ReadOrMake(IDisk disk, string folder, Random random)
    {
        string path = Path.Combine(folder, FileName);
        if (disk.Exists(path))
        {
            using IDiskFile file = disk.Open(path, DiskOpen.ReadOnly);
            Span<byte> bytes = stackalloc byte[Length];
            if (file.Read(0, bytes) == Length && Array.TrueForAll(bytes.ToArray(), static b => char.IsAsciiHexDigitLower((char)b)))
                return Encoding.ASCII.GetString(bytes);
        }
        Span<byte> raw = stackalloc byte[Length / 2];
        BinaryPrimitives.WriteInt64LittleEndian(raw, random.NextInt64());
        BinaryPrimitives.WriteInt64LittleEndian(raw[8..], random.NextInt64());
        string id = Convert.ToHexStringLower(raw);
        StoreFiles.Replace(disk, folder, FileName, Encoding.ASCII.GetBytes(id));
        return id;
    }
}

/// <summary>How small files come to the disk whole or not at all.</summary>
internal static class StoreFiles
{
    /// <summary>Ending of files in the making; what a crash leaves of them is deleted at open.</summary>
    public const string Temporary = ".tmp";

    /// <summary>Writes a file beside, syncs it, renames it over the old one, syncs the folder.</summary>
    public static void Replace(IDisk disk, string folder, string name, ReadOnlySpan<byte> content)
    {
        string path = Path.Combine(folder, name), temporary = path + Temporary;
        disk.Delete(temporary);
        using (IDiskFile file = disk.Open(temporary, DiskOpen.CreateNew))
        {
            file.Write(0, content);
            file.Sync();
        }
        disk.Rename(temporary, path);
        disk.SyncFolder(folder);
    }
}
