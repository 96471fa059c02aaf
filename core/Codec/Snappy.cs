using System.Buffers.Binary;
using System.Runtime.Intrinsics;

namespace Bellwether.Core.Codec;

/// <summary>What became of a block.</summary>
public enum SnappyOutcome
{
    /// <summary>It was inflated.</summary>
    Ok,
    /// <summary>It is not a snappy block, or is cut.</summary>
    Corrupt,
    /// <summary>It declares more bytes than allowed, or more than its size can hold.</summary>
    TooLarge,
}

/// <summary>
/// The snappy block format (never the framed one). Allocation-free; the length that a block declares is checked before anything is reserved for it.
/// Source: github.com/google/snappy/blob/main/format_description.txt.
/// </summary>
public static class Snappy
{
    /// <summary>The format cannot do better than 64 bytes from a 3-byte copy: a block that declares more than this many bytes per byte is a lie.</summary>
    public const int RatioMax = 22;

    private const int HashBits = 14;
    private const int BlockSize = 1 << 16;
    private const int TailMin = 15;

    /// <summary>Bytes that are copied at once where there is room for them: most literals and copies are shorter.</summary>
    private const int Wide = 16;

    /// <summary>Reads the length that a block declares. Nothing is allocated.</summary>
    /// <param name="block">The block.</param>
    /// <param name="lengthMax">The most bytes allowed.</param>
    /// <param name="length">The length after inflation.</param>
    public static SnappyOutcome TryGetLength(ReadOnlySpan<byte> block, int lengthMax, out int length)
    {
        length = 0;
        if (!TryReadLength(block, out uint declared, out int header))
            return SnappyOutcome.Corrupt;
        if (declared > (uint)lengthMax || declared > (ulong)(block.Length - header) * RatioMax)
            return SnappyOutcome.TooLarge;
        length = (int)declared;
        return SnappyOutcome.Ok;
    }

    /// <summary>Inflates a block into a span of exactly the length that <see cref="TryGetLength"/> gave.</summary>
    public static SnappyOutcome TryInflate(ReadOnlySpan<byte> block, Span<byte> into)
    {
        if (!TryReadLength(block, out uint declared, out int at) || declared != (uint)into.Length)
            return SnappyOutcome.Corrupt;
        int to = 0;
        while (at < block.Length)
        {
            int tag = block[at++];
            int length, offset;
            switch (tag & 3)
            {
                case 0:
                    if (!TryLiteral(block, tag, ref at, into, ref to))
                        return SnappyOutcome.Corrupt;
                    continue;
                case 1:
                    if (at >= block.Length)
                        return SnappyOutcome.Corrupt;
                    length = 4 + ((tag >> 2) & 7);
                    offset = ((tag & 0xE0) << 3) | block[at++];
                    break;
                case 2:
                    if (at + 2 > block.Length)
                        return SnappyOutcome.Corrupt;
                    length = 1 + (tag >> 2);
                    offset = BinaryPrimitives.ReadUInt16LittleEndian(block[at..]);
                    at += 2;
                    break;
                default:
                    if (at + 4 > block.Length)
                        return SnappyOutcome.Corrupt;
                    length = 1 + (tag >> 2);
                    uint far = BinaryPrimitives.ReadUInt32LittleEndian(block[at..]);
                    offset = far > int.MaxValue ? 0 : (int)far;
                    at += 4;
                    break;
            }
            if (offset == 0 || offset > to || length > into.Length - to)
                return SnappyOutcome.Corrupt;
            Copy(into, to, offset, length);
            to += length;
        }
        return to == into.Length ? SnappyOutcome.Ok : SnappyOutcome.Corrupt;
    }

    /// <summary>The most bytes that a block of so many plain bytes can take.</summary>
    public static int MaxCompressedLength(int length) => checked(32 + length + (length / 6));

    /// <summary>Compresses into a span of at least <see cref="MaxCompressedLength"/> bytes; returns the bytes written.</summary>
    public static int Compress(ReadOnlySpan<byte> plain, Span<byte> into)
    {
        int n = 0;
        uint length = (uint)plain.Length;
        while (length >= 0x80)
        {
            into[n++] = (byte)(length | 0x80);
            length >>= 7;
        }
        into[n++] = (byte)length;
        Span<ushort> table = stackalloc ushort[1 << HashBits];
        for (int start = 0; start < plain.Length; start += BlockSize)
        {
            ReadOnlySpan<byte> block = plain.Slice(start, Math.Min(BlockSize, plain.Length - start));
            table.Clear();
            n += CompressBlock(block, into[n..], table);
        }
        return n;
    }

    private static int CompressBlock(ReadOnlySpan<byte> block, Span<byte> into, Span<ushort> table)
    {
        int n = 0, literal = 0, at = 1, misses = 32;
        int limit = block.Length - TailMin;
        while (at < limit)
        {
            uint word = BinaryPrimitives.ReadUInt32LittleEndian(block[at..]);
            int slot = (int)((word * 0x1E35A7BD) >> (32 - HashBits));
            int candidate = table[slot];
            table[slot] = (ushort)at;
            if (BinaryPrimitives.ReadUInt32LittleEndian(block[candidate..]) != word || candidate >= at)
            {
                // Step faster through what does not compress.
                at += misses++ >> 5;
                continue;
            }
            n += Literal(block[literal..at], into[n..]);
            int length = 4 + block[(at + 4)..].CommonPrefixLength(block[(candidate + 4)..]);
            n += CopyTags(at - candidate, length, into[n..]);
            at += length;
            literal = at;
            misses = 32;
        }
        return n + Literal(block[literal..], into[n..]);
    }

    private static int Literal(ReadOnlySpan<byte> bytes, Span<byte> into)
    {
        if (bytes.Length == 0)
            return 0;
        int n, size = bytes.Length - 1;
        if (size < 60)
        {
            into[0] = (byte)(size << 2);
            n = 1;
        }
        else if (size < 256)
        {
            into[0] = 60 << 2;
            into[1] = (byte)size;
            n = 2;
        }
        else
        {
            into[0] = 61 << 2;
            BinaryPrimitives.WriteUInt16LittleEndian(into[1..], (ushort)size);
            n = 3;
        }
        bytes.CopyTo(into[n..]);
        return n + bytes.Length;
    }

    private static int CopyTags(int offset, int length, Span<byte> into)
    {
        int n = 0;
        // A copy holds 64 bytes; the rest must not be shorter than 4.
        while (length >= 68)
        {
            n += LongCopy(offset, 64, into[n..]);
            length -= 64;
        }
        if (length > 64)
        {
            n += LongCopy(offset, 60, into[n..]);
            length -= 60;
        }
        if (length >= 12 || offset >= 2048)
            return n + LongCopy(offset, length, into[n..]);
        into[n++] = (byte)(((offset >> 8) << 5) | ((length - 4) << 2) | 1);
        into[n++] = (byte)offset;
        return n;
    }

    private static int LongCopy(int offset, int length, Span<byte> into)
    {
        into[0] = (byte)(((length - 1) << 2) | 2);
        BinaryPrimitives.WriteUInt16LittleEndian(into[1..], (ushort)offset);
        return 3;
    }

    private static bool TryLiteral(ReadOnlySpan<byte> block, int tag, ref int at, Span<byte> into, ref int to)
    {
        long length = (tag >> 2) + 1;
        if (length > 60)
        {
            int bytes = (int)length - 60;
            if (at + bytes > block.Length)
                return false;
            uint size = 0;
            for (int i = 0; i < bytes; i++)
                size |= (uint)block[at + i] << (8 * i);
            at += bytes;
            length = (long)size + 1;
        }
        if (length > block.Length - at || length > into.Length - to)
            return false;
        if (length <= Wide && block.Length - at >= Wide && into.Length - to >= Wide)
            Vector128.Create(block.Slice(at, Wide)).CopyTo(into.Slice(to, Wide));
        else
            block.Slice(at, (int)length).CopyTo(into[to..]);
        at += (int)length;
        to += (int)length;
        return true;
    }

    private static void Copy(Span<byte> into, int to, int offset, int length)
    {
        if (offset >= Wide && into.Length - to >= length + Wide)
        {
            // What is written beyond the length is written again by what follows.
            for (int done = 0; done < length; done += Wide)
                Vector128.Create(into.Slice(to + done - offset, Wide)).CopyTo(into.Slice(to + done, Wide));
            return;
        }
        if (offset >= length)
        {
            into.Slice(to - offset, length).CopyTo(into[to..]);
            return;
        }
        // The copy overlaps itself: it repeats a pattern.
        for (int i = 0; i < length; i++)
            into[to + i] = into[to - offset + i];
    }

    private static bool TryReadLength(ReadOnlySpan<byte> block, out uint length, out int size)
    {
        ulong value = 0;
        size = 0;
        length = 0;
        for (int shift = 0; size < block.Length && shift <= 28; shift += 7)
        {
            byte b = block[size++];
            value |= (ulong)(b & 0x7F) << shift;
            if (b < 0x80)
            {
                length = (uint)value;
                return value <= uint.MaxValue;
            }
        }
        return false;
    }
}
