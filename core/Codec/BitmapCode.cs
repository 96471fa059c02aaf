using System.Numerics;

namespace Bellwether.Core.Codec;

/// <summary>Bitmaps as runs of zero words and literal words, of which only the bytes that are not zero are written (docs/formats/record.md, "Bitmaps").</summary>
internal static class BitmapCode
{
    public static void Write(ByteSink sink, ReadOnlySpan<ulong> words)
    {
        int at = 0;
        while (at < words.Length)
        {
            int zeros = words[at..].IndexOfAnyExcept(0UL);
            if (zeros < 0)
                zeros = words.Length - at;
            sink.Varint((ulong)zeros);
            at += zeros;
            if (at == words.Length)
                break;
            int literals = words[at..].IndexOf(0UL);
            if (literals < 0)
                literals = words.Length - at;
            sink.Varint((ulong)literals);
            foreach (ulong word in words.Slice(at, literals))
                WriteWord(sink, word);
            at += literals;
        }
    }

    /// <summary>XORs a written bitmap onto <paramref name="words"/>.</summary>
    public static void ReadXor(ref ByteSource source, Span<ulong> words)
    {
        int at = 0;
        while (at < words.Length && source.Ok)
        {
            ulong zeros = source.Varint();
            if (zeros > (ulong)(words.Length - at))
            {
                source.Fail(DecodeOutcome.Malformed);
                return;
            }
            at += (int)zeros;
            if (at == words.Length)
                return;
            ulong literals = source.Varint();
            if (literals == 0 || literals > (ulong)(words.Length - at))
            {
                source.Fail(source.Ok ? DecodeOutcome.Malformed : source.Outcome);
                return;
            }
            for (ulong i = 0; i < literals; i++)
                words[at++] ^= ReadWord(ref source);
        }
    }

    private static void WriteWord(ByteSink sink, ulong word)
    {
        Span<byte> into = sink.Room(9);
        int mask = 0, at = 1;
        for (int i = 0; i < 8; i++)
        {
            byte b = (byte)(word >> (i * 8));
            if (b == 0)
                continue;
            mask |= 1 << i;
            into[at++] = b;
        }
        into[0] = (byte)mask;
        sink.Length += at;
    }

    private static ulong ReadWord(ref ByteSource source)
    {
        int mask = source.Byte();
        ReadOnlySpan<byte> bytes = source.Bytes(BitOperations.PopCount((uint)mask));
        ulong word = 0;
        int at = 0;
        for (int i = 0; i < 8 && at < bytes.Length; i++)
        {
            if ((mask & (1 << i)) != 0)
                word |= (ulong)bytes[at++] << (i * 8);
        }
        return word;
    }
}
