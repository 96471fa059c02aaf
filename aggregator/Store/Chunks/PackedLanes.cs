using System.Buffers.Binary;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Bellwether.Store.Chunks;

/// <summary>
/// Packed integers of at most <see cref="MaxWidth"/> bits, eight at a time: eight of them begin and end at a byte. The bytes are read from a copy that ends in zeros, so that
/// no read goes beyond them. Only where <see cref="IsSupported"/>.
/// </summary>
internal readonly ref struct PackedLanes
{
    /// <summary>A value of so many bits lies within four bytes wherever it begins.</summary>
    public const int MaxWidth = 25;

    private const int Eight = 8;

    // The farthest that is read behind the last byte: a whole vector from the middle of the last eight values.
    private const int Padding = 64;

    // So many sums of 25 bits fit into 32.
    private const int GroupsPerFlush = 32;

    private static readonly Vector256<byte>[] s_bytes = MakeBytes();
    private static readonly Vector256<uint>[] s_shifts = MakeShifts();

    [ThreadStatic]
    private static byte[]? t_padded;

    private readonly ReadOnlySpan<byte> _padded;
    private readonly int _width;
    private readonly int _count;
    private readonly bool _isZigzag;
    private readonly Vector256<byte> _bytes;
    private readonly Vector256<uint> _shifts;
    private readonly Vector256<uint> _mask;

    /// <param name="packed">The packed bytes; copied.</param>
    /// <param name="width">Bits of each.</param>
    /// <param name="count">How many there are.</param>
    /// <param name="isZigzag">They are zigzag, and come as what they stand for.</param>
    public PackedLanes(ReadOnlySpan<byte> packed, int width, int count, bool isZigzag)
    {
        if (t_padded is null || t_padded.Length < packed.Length + Padding)
            t_padded = new byte[Math.Max(1024, (packed.Length + Padding) * 2)];
        packed.CopyTo(t_padded);
        t_padded.AsSpan(packed.Length, Padding).Clear();
        _padded = t_padded.AsSpan(0, packed.Length + Padding);
        (_width, _count, _isZigzag) = (width, count, isZigzag);
        (_bytes, _shifts, _mask) = (s_bytes[width], s_shifts[width], Vector256.Create((1u << width) - 1));
    }

    public static bool IsSupported => Avx2.IsSupported;

    /// <summary>One of them as it is packed.</summary>
    public ulong Raw(int index)
    {
        long bit = (long)index * _width;
        return (BinaryPrimitives.ReadUInt64LittleEndian(_padded[(int)(bit >> 3)..]) >> (int)(bit & 7)) & ((1UL << _width) - 1);
    }

    /// <summary>The sum of the first ones; not fewer than asked for before. What was summed is kept for the next.</summary>
    public long SumOf(int count, ref Summed summed)
    {
        Vector256<int> sums = summed.Lanes;
        int group = summed.Groups, whole = count / Eight;
        for (; group < whole; group++)
        {
            sums += Group(group);
            if (group % GroupsPerFlush != GroupsPerFlush - 1)
                continue;
            summed.Flushed += Total(sums);
            sums = default;
        }
        (summed.Lanes, summed.Groups) = (sums, group);
        int rest = count % Eight;
        if (rest > 0)
            sums += Group(whole) & Vector256.LessThan(Vector256<int>.Indices, Vector256.Create(rest));
        return summed.Flushed + Total(sums);
    }

    /// <summary>Fills with the running sums times a divisor, to each of which an offset more is added than to the one before.</summary>
    public void RunningSums(long first, long divisor, long offset, Span<long> into)
    {
        Vector256<long> times = Vector256.Create(divisor);
        Vector256<long> before = Vector256.Create(first);
        Vector256<long> low = Vector256.Create(offset) * Vector256.Create(1L, 2, 3, 4), high = Vector256.Create(offset) * Vector256.Create(5L, 6, 7, 8), eight = Vector256.Create(unchecked(offset * Eight));
        Vector256<int> isHigh = Vector256.Create(0, 0, 0, 0, -1, -1, -1, -1), third = Vector256.Create(3);
        Span<long> last = stackalloc long[Eight];
        int group = 0;
        for (int i = 0; i < _count; i += Eight, group++)
        {
            Vector256<int> x = Group(group);
            x += Avx2.ShiftLeftLogical128BitLane(x, 4);
            x += Avx2.ShiftLeftLogical128BitLane(x, 8);
            x += Avx2.PermuteVar8x32(x, third) & isHigh;
            Vector256<long> first4 = Avx2.ConvertToVector256Int64(x.GetLower()), next4 = Avx2.ConvertToVector256Int64(x.GetUpper());
            if (divisor != 1)
                (first4, next4) = (first4 * times, next4 * times);
            Vector256<long> a = before + low + first4, b = before + high + next4;
            before += eight + Avx2.Permute4x64(next4, 0xFF);
            if (i + Eight <= into.Length)
            {
                a.CopyTo(into[i..]);
                b.CopyTo(into[(i + 4)..]);
            }
            else
            {
                a.CopyTo(last);
                b.CopyTo(last[4..]);
                last[..(into.Length - i)].CopyTo(into[i..]);
            }
        }
    }

    /// <summary>Fills with the values, each times a divisor and more than an offset by that.</summary>
    public void Spread(long divisor, long offset, Span<long> into)
    {
        Vector256<long> times = Vector256.Create(divisor), more = Vector256.Create(offset);
        Span<long> last = stackalloc long[Eight];
        int group = 0;
        for (int i = 0; i < _count; i += Eight, group++)
        {
            Vector256<int> x = Group(group);
            Vector256<long> a = Avx2.ConvertToVector256Int64(x.GetLower()), b = Avx2.ConvertToVector256Int64(x.GetUpper());
            if (divisor != 1)
                (a, b) = (a * times, b * times);
            a += more;
            b += more;
            if (i + Eight <= into.Length)
            {
                a.CopyTo(into[i..]);
                b.CopyTo(into[(i + 4)..]);
            }
            else
            {
                a.CopyTo(last);
                b.CopyTo(last[4..]);
                last[..(into.Length - i)].CopyTo(into[i..]);
            }
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private Vector256<int> Group(int group)
    {
        int at = group * _width;
        ref byte first = ref MemoryMarshal.GetReference(_padded.Slice(at, Padding / 2));
        Vector256<byte> bytes = Vector256.Create(Vector128.LoadUnsafe(ref first), Vector128.LoadUnsafe(ref first, (nuint)(_width / 2)));
        Vector256<uint> values = Avx2.ShiftRightLogicalVariable(Avx2.Shuffle(bytes, _bytes).AsUInt32(), _shifts) & _mask;
        return _isZigzag ? ((values >>> 1) ^ (Vector256<uint>.Zero - (values & Vector256<uint>.One))).AsInt32() : values.AsInt32();
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static long Total(Vector256<int> sums) =>
        Vector256.Sum(Avx2.ConvertToVector256Int64(sums.GetLower()) + Avx2.ConvertToVector256Int64(sums.GetUpper()));

    // The bytes of the first four values are taken from the first byte on, those of the others from the middle on.
    private static Vector256<byte>[] MakeBytes()
    {
        var all = new Vector256<byte>[MaxWidth + 1];
        Span<byte> one = stackalloc byte[32];
        for (int width = 0; width < all.Length; width++)
        {
            for (int i = 0; i < one.Length; i++)
                one[i] = (byte)((BitInHalf(i / 4, width) / 8) + (i % 4));
            all[width] = Vector256.Create<byte>(one);
        }
        return all;
    }

    private static Vector256<uint>[] MakeShifts()
    {
        var all = new Vector256<uint>[MaxWidth + 1];
        Span<uint> one = stackalloc uint[Eight];
        for (int width = 0; width < all.Length; width++)
        {
            for (int i = 0; i < one.Length; i++)
                one[i] = (uint)(BitInHalf(i, width) % 8);
            all[width] = Vector256.Create<uint>(one);
        }
        return all;
    }

    private static int BitInHalf(int value, int width) => (value * width) - (value < 4 ? 0 : width / 2 * 8);

    /// <summary>How far has been summed: whole groups of eight.</summary>
    public struct Summed
    {
        internal Vector256<int> Lanes;
        internal long Flushed;
        internal int Groups;
    }
}
