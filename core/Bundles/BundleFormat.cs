using System.Buffers.Binary;
using Bellwether.Core.Durable;

namespace Bellwether.Core.Bundles;

/// <summary>The bytes of a bundle's files; see docs/formats/bundle.md. Little-endian.</summary>
internal static class BundleFormat
{
    public const ushort Version = 1;
    public const int HeaderBytes = 64;
    public const int BlockHeaderBytes = 16;
    public const int RunHeaderBytes = 33;
    public const int TagBytes = 16;
    public const int SignatureBytes = 64;
    public const byte RecordsKind = 1;
    public const byte ManifestKind = 2;
    public const byte ContinuedKind = 3;
    public const uint EncryptedFlag = 1;

    public static ReadOnlySpan<byte> Magic => "BWBUNDLE"u8;

    public static void WriteHeader(Span<byte> into, Guid bundle, uint volume, bool encrypted)
    {
        into[..HeaderBytes].Clear();
        Magic.CopyTo(into);
        BinaryPrimitives.WriteUInt16LittleEndian(into[8..], Version);
        BinaryPrimitives.WriteUInt16LittleEndian(into[10..], HeaderBytes);
        BinaryPrimitives.WriteUInt32LittleEndian(into[12..], encrypted ? EncryptedFlag : 0);
        bundle.TryWriteBytes(into[16..]);
        BinaryPrimitives.WriteUInt32LittleEndian(into[32..], volume);
        BinaryPrimitives.WriteUInt32LittleEndian(into[60..], Crc32C.Compute(into[..60]));
    }

    public static BundleVerdict ReadHeader(ReadOnlySpan<byte> from, out Guid bundle, out uint volume, out bool encrypted)
    {
        bundle = default;
        volume = 0;
        encrypted = false;
        if (from.Length < HeaderBytes)
            return new BundleVerdict(from.Length >= 8 && from[..8].SequenceEqual(Magic) ? BundleOutcome.Cut : BundleOutcome.NotABundle, "the file is shorter than a bundle's header");
        if (!from[..8].SequenceEqual(Magic))
            return new BundleVerdict(BundleOutcome.NotABundle, "the file does not begin as a bundle does");
        ushort version = BinaryPrimitives.ReadUInt16LittleEndian(from[8..]);
        if (version > Version)
            return new BundleVerdict(BundleOutcome.NewerFormat, $"it has format version {version}; this program reads up to {Version}: update it");
        if (version == 0 || BinaryPrimitives.ReadUInt16LittleEndian(from[10..]) != HeaderBytes || BinaryPrimitives.ReadUInt32LittleEndian(from[60..]) != Crc32C.Compute(from[..60]))
            return new BundleVerdict(BundleOutcome.Altered, "its header is damaged");
        encrypted = (BinaryPrimitives.ReadUInt32LittleEndian(from[12..]) & EncryptedFlag) != 0;
        bundle = new Guid(from[16..32]);
        volume = BinaryPrimitives.ReadUInt32LittleEndian(from[32..]);
        return BundleVerdict.Good;
    }

    /// <summary>[payload bytes u32][kind u8][zero u24][index u64]</summary>
    public static void WriteBlockHeader(Span<byte> into, int payloadBytes, byte kind, ulong index)
    {
        BinaryPrimitives.WriteInt32LittleEndian(into, payloadBytes);
        BinaryPrimitives.WriteUInt32LittleEndian(into[4..], kind);
        BinaryPrimitives.WriteUInt64LittleEndian(into[8..], index);
    }

    /// <summary>The nonce of a block: its index, which never comes twice under one bundle's key.</summary>
    public static void WriteNonce(Span<byte> into, ulong index)
    {
        into.Clear();
        BinaryPrimitives.WriteUInt64LittleEndian(into, index);
    }

    /// <summary>What a block is bound to: its bundle and its header.</summary>
    public static void WriteAssociated(Span<byte> into, Guid bundle, ulong index)
    {
        bundle.TryWriteBytes(into);
        BinaryPrimitives.WriteUInt64LittleEndian(into[16..], index);
    }
}
