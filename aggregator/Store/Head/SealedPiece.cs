using System.Runtime.InteropServices;
using Bellwether.Store.Chunks;

namespace Bellwether.Store.Head;

/// <summary>The values of a sealed block in a piece of memory: the piece of the block before it (0: none), how many bytes follow, and those; none: all values are the one that follows.</summary>
internal readonly ref struct SealedPiece(ReadOnlySpan<byte> piece)
{
    /// <summary>The most bytes that values may take.</summary>
    public const int MaxValueBytes = 1 << 14;

    private const int LengthAt = 4;
    private const int ValuesAt = 6;
    private readonly ReadOnlySpan<byte> _piece = piece;

    public uint Before => MemoryMarshal.Read<uint>(_piece);

    public bool IsConstant => Length == 0;

    public double Constant => MemoryMarshal.Read<double>(_piece[ValuesAt..]);

    /// <summary>Encoded.</summary>
    public ReadOnlySpan<byte> Values => _piece.Slice(ValuesAt, Length);

    private int Length => MemoryMarshal.Read<ushort>(_piece[LengthAt..]);

    /// <summary>Decodes as many values as the block has.</summary>
    public void Decode(Span<double> values)
    {
        if (IsConstant)
        {
            values.Fill(Constant);
            return;
        }
        var reader = new ByteReader(Values);
        ValueBlock.Decode(ref reader, values);
    }

    /// <summary>Takes a piece and encodes values into it.</summary>
    public static uint Encode(ReadOnlySpan<double> values, uint before, HeadPools pools)
    {
        if (ValueBlock.IsConstant(values))
            return Write(values[0], before, pools.Memory);
        pools.Scratch.Clear();
        ValueBlock.Encode(values, pools.Scratch);
        return Write(pools.Scratch.Written, before, pools.Memory);
    }

    /// <summary>Takes a piece for encoded values.</summary>
    public static uint Write(ReadOnlySpan<byte> values, uint before, PieceMemory memory)
    {
        uint piece = memory.Take(ValuesAt + values.Length);
        Span<byte> bytes = memory[piece];
        MemoryMarshal.Write(bytes, in before);
        ushort length = checked((ushort)values.Length);
        MemoryMarshal.Write(bytes[LengthAt..], in length);
        values.CopyTo(bytes[ValuesAt..]);
        return piece;
    }

    /// <summary>Takes a piece for values that are all the same.</summary>
    public static uint Write(double constant, uint before, PieceMemory memory)
    {
        uint piece = memory.Take(ValuesAt + sizeof(double));
        Span<byte> bytes = memory[piece];
        MemoryMarshal.Write(bytes, in before);
        bytes[LengthAt] = bytes[LengthAt + 1] = 0;
        MemoryMarshal.Write(bytes[ValuesAt..], in constant);
        return piece;
    }

    /// <summary>The pieces of a series, the oldest first.</summary>
    public static void Collect(uint newest, PieceMemory memory, Span<uint> into)
    {
        for (int at = into.Length - 1; at >= 0; at--)
        {
            into[at] = newest;
            newest = new SealedPiece(memory[newest]).Before;
        }
    }

    /// <summary>Makes a block follow another one of its series; 0: it is the oldest.</summary>
    public static void Follow(uint piece, uint before, PieceMemory memory) => MemoryMarshal.Write(memory[piece], in before);
}
