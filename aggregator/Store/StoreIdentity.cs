using System.Buffers.Binary;
using System.Text;
using Bellwether.Core.Durable;
using Bellwether.Core.Platform;

namespace Bellwether.Store;

/// <summary>The store's id: made once, kept in the file <c>store-id</c>. A damaged one is made anew: agents then send again what they still hold.</summary>
internal static class StoreIdentity
{
    public const string FileName = "store-id";
    private const int Length = 32;

    public static string ReadOrMake(IDisk disk, string folder, Random random)
    {
        string path = Path.Combine(folder, FileName);
        if (TryRead(disk, folder) is { } known)
            return known;
        Span<byte> raw = stackalloc byte[Length / 2];
        BinaryPrimitives.WriteInt64LittleEndian(raw, random.NextInt64());
        BinaryPrimitives.WriteInt64LittleEndian(raw[8..], random.NextInt64());
        string id = Convert.ToHexStringLower(raw);
        AtomicFile.Write(disk, path, Encoding.ASCII.GetBytes(id));
        return id;
    }

    /// <summary>The id; null: it is missing or damaged.</summary>
    public static string? TryRead(IDisk disk, string folder) =>
        AtomicFile.TryRead(disk, Path.Combine(folder, FileName), Length, out byte[] content) == AtomicFileOutcome.Read && content.Length == Length ? Encoding.ASCII.GetString(content) : null;

    /// <summary>Gives a copy of a store its id: agents go on with it as with the store, and what came after the copy is missing as <c>restored</c>.</summary>
    public static void Copy(IDisk disk, string folder, string to)
    {
        if (AtomicFile.TryRead(disk, Path.Combine(folder, FileName), Length, out byte[] content) == AtomicFileOutcome.Read)
            AtomicFile.Write(disk, Path.Combine(to, FileName), content);
    }
}
