using System.Buffers.Binary;
using System.Text;
using Bellwether.Core.Durable;
using Bellwether.Core.Platform;

namespace Bellwether.Store;

/// <summary>The store's id: made once, kept in the file <c>store-id</c>. A damaged one is made anew: agents then send again what they still hold.</summary>
internal static class StoreIdentity
{
    private const string FileName = "store-id";
    private const int Length = 32;

    public static string ReadOrMake(IDisk disk, string folder, Random random)
    {
        string path = Path.Combine(folder, FileName);
        if (AtomicFile.TryRead(disk, path, Length, out byte[] content) == AtomicFileOutcome.Read && content.Length == Length)
            return Encoding.ASCII.GetString(content);
        Span<byte> raw = stackalloc byte[Length / 2];
        BinaryPrimitives.WriteInt64LittleEndian(raw, random.NextInt64());
        BinaryPrimitives.WriteInt64LittleEndian(raw[8..], random.NextInt64());
        string id = Convert.ToHexStringLower(raw);
        AtomicFile.Write(disk, path, Encoding.ASCII.GetBytes(id));
        return id;
    }

    /// <summary>Gives a copy of a store its id: agents go on with it as with the store, and what came after the copy is missing as <c>restored</c>.</summary>
    public static void Copy(IDisk disk, string folder, string to)
    {
        if (AtomicFile.TryRead(disk, Path.Combine(folder, FileName), Length, out byte[] content) == AtomicFileOutcome.Read)
            AtomicFile.Write(disk, Path.Combine(to, FileName), content);
    }
}
