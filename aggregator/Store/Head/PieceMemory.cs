using System.Diagnostics;
using System.Numerics;
using System.Runtime.InteropServices;

namespace Bellwether.Store.Head;

/// <summary>
/// Memory for pieces of some bytes: what series hold of samples. An array each would take 24 bytes more and, let go, leave a hole until the collector closes it; here a piece costs four, holes that touch
/// become one, and a new piece takes the smallest hole that it fits into. Chunks that are empty are given back. A piece is known by a number; 0 is none. Written under the head's write lock, read under its read lock.
/// </summary>
internal sealed class PieceMemory
{
    /// <summary>The most bytes of a piece.</summary>
    public const int MaxBytes = 1 << 16;

    // A grain is eight bytes. A piece begins with a word: its grains, whether it is taken, whether the piece before it is free. A free one has the next and the one before of its list behind that,
    // and its grains again as its last word, where the piece behind it finds them.
    private const int ChunkBits = 15;
    private const int ChunkGrains = 1 << ChunkBits;
    private const int WordsPerGrain = 2;
    private const int MinGrains = 2;
    private const uint SizeMask = 0xFFFF;
    private const uint IsTaken = 1 << 16;
    private const uint IsBeforeFree = 1 << 17;

    // One list per number of grains; the last is of all that are larger.
    private const int Lists = 192;
    private readonly uint[] _first = new uint[Lists];
    private readonly ulong[] _filled = new ulong[Lists / 64];
    private readonly Stack<int> _unused = new();
    private uint[]?[] _chunks = [];
    private int _used;
    private int _empty = -1;

    /// <summary>Bytes of all chunks.</summary>
    public long Bytes => (long)(_used - _unused.Count) * ChunkGrains * 8;

    /// <summary>Bytes of pieces that are taken, with what they cost.</summary>
    public long TakenBytes { get; private set; }

    /// <summary>Takes a piece of at least so many bytes; its content is arbitrary.</summary>
    public uint Take(int bytes)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan(bytes, MaxBytes);
        int grains = Math.Max(MinGrains, (bytes + 4 + 7) >> 3);
        uint piece = FindFree(grains);
        int size = (int)(Word(piece) & SizeMask);
        Unlink(piece, size);
        if (size - grains >= MinGrains)
        {
            MakeFree(piece + (uint)grains, size - grains);
            size = grains;
        }
        else if (Behind(piece, size) is not 0 and uint behind)
        {
            Word(behind) &= ~IsBeforeFree;
        }
        Word(piece) = (uint)size | IsTaken;
        TakenBytes += size * 8;
        if (size == ChunkGrains || (_empty >= 0 && (int)((piece - 1) >> ChunkBits) == _empty))
            _empty = -1;
        return piece;
    }

    /// <summary>Gives a piece back.</summary>
    public void Return(uint piece)
    {
        uint word = Word(piece);
        Debug.Assert((word & IsTaken) != 0, "a piece is given back that is free");
        int size = (int)(word & SizeMask);
        TakenBytes -= size * 8;
        if (Behind(piece, size) is not 0 and uint behind && (Word(behind) & IsTaken) == 0)
        {
            int more = (int)(Word(behind) & SizeMask);
            Unlink(behind, more);
            size += more;
        }
        if ((word & IsBeforeFree) != 0)
        {
            int more = (int)Word(piece, -1);
            piece -= (uint)more;
            Unlink(piece, more);
            size += more;
        }
        if (size < ChunkGrains || KeepEmpty(piece))
            MakeFree(piece, size);
    }

    /// <summary>The bytes of a piece: as many as were asked for, or some more.</summary>
    public Span<byte> this[uint piece]
    {
        get
        {
            uint[] chunk = _chunks[(piece - 1) >> ChunkBits]!;
            int at = (int)((piece - 1) & (ChunkGrains - 1)) * WordsPerGrain;
            return MemoryMarshal.AsBytes(chunk.AsSpan(at + 1, ((int)(chunk[at] & SizeMask) * WordsPerGrain) - 1));
        }
    }

    /// <summary>Forgets all pieces.</summary>
    public void Clear()
    {
        Array.Clear(_first);
        Array.Clear(_filled);
        _unused.Clear();
        _chunks = [];
        (_used, _empty, TakenBytes) = (0, -1, 0);
    }

    // Of chunks without a piece one stays: else a piece that comes and goes would make and drop it again and again.
    private bool KeepEmpty(uint piece)
    {
        int chunk = (int)((piece - 1) >> ChunkBits);
        if (_empty < 0)
        {
            _empty = chunk;
            return true;
        }
        _chunks[chunk] = null;
        _unused.Push(chunk);
        return false;
    }

    private uint FindFree(int grains)
    {
        if (grains < Lists - 1)
        {
            for (int word = grains >> 6; word < _filled.Length; word++)
            {
                ulong filled = _filled[word] & (word == grains >> 6 ? ulong.MaxValue << (grains & 63) : ulong.MaxValue);
                if (filled != 0)
                    return _first[(word << 6) + BitOperations.TrailingZeroCount(filled)];
            }
            return AddChunk();
        }
        for (uint piece = _first[Lists - 1]; piece != 0; piece = Word(piece, 1))
        {
            if ((Word(piece) & SizeMask) >= grains)
                return piece;
        }
        return AddChunk();
    }

    private uint AddChunk()
    {
        if (!_unused.TryPop(out int chunk))
        {
            chunk = _used++;
            if (chunk == _chunks.Length)
                Array.Resize(ref _chunks, Math.Max(4, chunk + (chunk / 4)));
        }
        _chunks[chunk] = GC.AllocateUninitializedArray<uint>(ChunkGrains * WordsPerGrain);
        uint piece = ((uint)chunk << ChunkBits) + 1;
        MakeFree(piece, ChunkGrains);
        return piece;
    }

    // Free pieces never touch, so that the one before it is taken.
    private void MakeFree(uint piece, int size)
    {
        int list = Math.Min(size, Lists - 1);
        uint next = _first[list];
        Word(piece) = (uint)size;
        Word(piece, 1) = next;
        Word(piece, 2) = 0;
        Word(piece, (size * WordsPerGrain) - 1) = (uint)size;
        if (next != 0)
            Word(next, 2) = piece;
        _first[list] = piece;
        _filled[list >> 6] |= 1UL << (list & 63);
        if (Behind(piece, size) is not 0 and uint behind)
            Word(behind) |= IsBeforeFree;
    }

    private void Unlink(uint piece, int size)
    {
        int list = Math.Min(size, Lists - 1);
        uint next = Word(piece, 1), before = Word(piece, 2);
        if (next != 0)
            Word(next, 2) = before;
        if (before != 0)
            Word(before, 1) = next;
        else
            _first[list] = next;
        if (_first[list] == 0)
            _filled[list >> 6] &= ~(1UL << (list & 63));
    }

    // The piece behind one in its chunk; 0: there is none.
    private static uint Behind(uint piece, int size)
    {
        uint behind = piece + (uint)size;
        return (behind - 1) >> ChunkBits == (piece - 1) >> ChunkBits ? behind : 0;
    }

    private ref uint Word(uint piece, int word = 0) => ref _chunks[(piece - 1) >> ChunkBits]![((int)((piece - 1) & (ChunkGrains - 1)) * WordsPerGrain) + word];
}
