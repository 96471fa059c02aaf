using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace Bellwether.Store.Chunks;

/// <summary>
/// A run of integers, bit-packed: differences, differences of differences or distances from the smallest, whatever is cheapest; divided by what they all share;
/// packed at the cheapest width, with outliers patched. The format is in docs/formats/chunk.md.
/// </summary>
internal static partial class IntegerBlock
{
    /// <summary>The most integers a block holds.</summary>
    public const int MaxCount = 1 << 20;

    private const byte ModeDelta = 0;
    private const byte ModeDeltaDelta = 1;
    private const byte ModeOffset = 2;
    private const byte ModeDeltaOffset = 3;
    private const byte HasDivisor = 4;
    private const byte HasOutliers = 8;

    [ThreadStatic]
    private static ulong[]? t_scratch;

    /// <summary>Reads as many integers as the span holds.</summary>
    public static void Decode(ref ByteReader from, Span<long> values)
    {
        values[0] = from.Zigzag();
        int n = values.Length - 1;
        if (n == 0)
            return;
        Head head = ReadHead(ref from);
        ReadOnlySpan<byte> packed = from.Bytes(BitPack.Bytes(n, head.Width));
        if (head.IsForLanes && head.Mode != ModeDeltaDelta)
        {
            var lanes = new PackedLanes(packed, head.Width, n, head.Mode == ModeDelta);
            if (head.Mode == ModeOffset)
                DecodeSpread(ref from, lanes, head, values[1..]);
            else
                DecodeSums(ref from, lanes, head, values[0], values[1..]);
            return;
        }
        Span<ulong> raw = MemoryMarshal.Cast<long, ulong>(values[1..]);
        BitPack.Unpack(packed, head.Width, raw);
        if (head.IsPatched)
            Patch(ref from, raw, head.Width);
        Restore(values, head);
    }

    private static void DecodeSpread(ref ByteReader from, in PackedLanes lanes, in Head head, Span<long> values)
    {
        lanes.Spread(head.Divisor, head.Offset, values);
        for (var outliers = new Outliers(ref from, head.IsPatched, values.Length, head.Width); outliers.At < values.Length; outliers.Next(ref from))
            values[outliers.At] = unchecked(values[outliers.At] + ((long)outliers.Above * head.Divisor));
    }

    // What an outlier has above the width is in its sum and in all that follow.
    private static void DecodeSums(ref ByteReader from, in PackedLanes lanes, in Head head, long first, Span<long> values)
    {
        lanes.RunningSums(first, head.Divisor, head.Offset, values);
        long above = 0;
        for (var outliers = new Outliers(ref from, head.IsPatched, values.Length, head.Width); outliers.At < values.Length;)
        {
            int at = outliers.At;
            above = unchecked(above + (AboveWidth(lanes, outliers, head) * head.Divisor));
            outliers.Next(ref from);
            Add(above, values[at..outliers.At]);
        }
    }

    private static void Add(long more, Span<long> values)
    {
        int i = 0;
        for (; i + Vector256<long>.Count <= values.Length; i += Vector256<long>.Count)
            (Vector256.Create<long>(values[i..]) + Vector256.Create(more)).CopyTo(values[i..]);
        for (; i < values.Length; i++)
            values[i] = unchecked(values[i] + more);
    }

    /// <summary>Reads only the integers at some places, which ascend: those between are summed, not kept, or passed over.</summary>
    public static void DecodeAt(ref ByteReader from, int count, ReadOnlySpan<int> places, Span<long> values)
    {
        long first = from.Zigzag();
        int n = count - 1;
        values.Fill(first);
        if (n == 0)
            return;
        Head head = ReadHead(ref from);
        ReadOnlySpan<byte> packed = from.Bytes(BitPack.Bytes(n, head.Width));
        if (head.IsForLanes && head.Mode != ModeDeltaDelta)
        {
            var lanes = new PackedLanes(packed, head.Width, n, head.Mode == ModeDelta);
            if (head.Mode == ModeOffset)
                PickSpread(ref from, lanes, n, head, places, values);
            else
                PickSums(ref from, lanes, n, head, places, values);
            return;
        }
        // Outliers may lie behind the last place: they are patched in, so all is unpacked then.
        Span<ulong> raw = Scratch(ref t_scratch, n).AsSpan(0, head.IsPatched ? n : places[^1]);
        BitPack.Unpack(packed, head.Width, raw);
        if (head.IsPatched)
            Patch(ref from, raw, head.Width);
        PickAt(raw, head, first, places, values);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Head ReadHead(ref ByteReader from)
    {
        byte bits = from.Byte();
        if (bits > (ModeDeltaOffset | HasDivisor | HasOutliers))
            throw new InvalidDataException($"an integer block has the unknown form {bits}");
        int mode = bits & 3;
        ulong divisor = (bits & HasDivisor) != 0 ? from.Varint() : 1;
        long offset = mode >= ModeOffset ? from.Zigzag() : 0;
        int width = from.Byte();
        if (width > 64)
            throw new InvalidDataException($"a block claims {width} bits for a value");
        return new Head(mode, (long)divisor, offset, width, (bits & HasOutliers) != 0);
    }

    // Sums of differences: what outliers have above the width is added from their place on.
    private static void PickSums(ref ByteReader from, in PackedLanes lanes, int n, in Head head, ReadOnlySpan<int> places, Span<long> values)
    {
        var outliers = new Outliers(ref from, head.IsPatched, n, head.Width);
        long above = 0;
        PackedLanes.Summed summed = default;
        for (int p = 0; p < places.Length; p++)
        {
            int to = places[p];
            for (; outliers.At < to; outliers.Next(ref from))
                above = unchecked(above + AboveWidth(lanes, outliers, head));
            long packed = lanes.SumOf(to, ref summed);
            values[p] = unchecked(values[p] + ((packed + above) * head.Divisor) + (head.Offset * to));
        }
        // What follows the block begins behind all outliers.
        while (outliers.At < n)
            outliers.Next(ref from);
    }

    private static long AboveWidth(in PackedLanes lanes, in Outliers outlier, in Head head)
    {
        if (head.Mode == ModeDeltaOffset)
            return (long)outlier.Above;
        ulong packed = lanes.Raw(outlier.At);
        return unchecked(ByteReader.Unzigzag(packed | outlier.Above) - ByteReader.Unzigzag(packed));
    }

    private static void PickSpread(ref ByteReader from, in PackedLanes lanes, int n, in Head head, ReadOnlySpan<int> places, Span<long> values)
    {
        var outliers = new Outliers(ref from, head.IsPatched, n, head.Width);
        for (int p = 0; p < places.Length; p++)
        {
            int at = places[p] - 1;
            if (at < 0)
                continue;
            while (outliers.At < at)
                outliers.Next(ref from);
            ulong raw = lanes.Raw(at) | (outliers.At == at ? outliers.Above : 0);
            values[p] = unchecked(head.Offset + ((long)raw * head.Divisor));
        }
        while (outliers.At < n)
            outliers.Next(ref from);
    }

    private static void PickAt(ReadOnlySpan<ulong> raw, in Head head, long first, ReadOnlySpan<int> places, Span<long> values)
    {
        long sum = 0, delta = 0, value = first;
        int at = 0;
        for (int p = 0; p < places.Length; p++)
        {
            int to = places[p];
            switch (head.Mode)
            {
                case ModeDelta:
                    sum = unchecked(sum + SumOf(raw[at..to]));
                    values[p] = unchecked(first + (sum * head.Divisor));
                    break;
                case ModeDeltaOffset:
                    foreach (ulong r in raw[at..to])
                        sum = unchecked(sum + (long)r);
                    values[p] = unchecked(first + (sum * head.Divisor) + (head.Offset * to));
                    break;
                case ModeDeltaDelta:
                    foreach (ulong r in raw[at..to])
                    {
                        delta = unchecked(delta + (ByteReader.Unzigzag(r) * head.Divisor));
                        value = unchecked(value + delta);
                    }
                    values[p] = value;
                    break;
                default:
                    values[p] = to == 0 ? first : unchecked(head.Offset + ((long)raw[to - 1] * head.Divisor));
                    break;
            }
            at = to;
        }
    }

    private static long SumOf(ReadOnlySpan<ulong> zigzags)
    {
        long sum = 0;
        int i = 0;
        if (zigzags.Length >= 2 * Vector256<ulong>.Count)
        {
            Vector256<ulong> sums = default;
            for (; i + Vector256<ulong>.Count <= zigzags.Length; i += Vector256<ulong>.Count)
            {
                Vector256<ulong> four = Vector256.Create(zigzags[i..]);
                sums += (four >>> 1) ^ (Vector256<ulong>.Zero - (four & Vector256<ulong>.One));
            }
            sum = (long)Vector256.Sum(sums);
        }
        for (; i < zigzags.Length; i++)
            sum = unchecked(sum + ByteReader.Unzigzag(zigzags[i]));
        return sum;
    }

    private static ulong[] Scratch(ref ulong[]? buffer, int count)
    {
        if (buffer is null || buffer.Length < count)
            buffer = new ulong[Math.Max(256, (int)BitOperations.RoundUpToPowerOf2((uint)count))];
        return buffer;
    }

    private static void Patch(ref ByteReader from, Span<ulong> raw, int width)
    {
        for (var outliers = new Outliers(ref from, true, raw.Length, width); outliers.At < raw.Length; outliers.Next(ref from))
            raw[outliers.At] |= outliers.Above;
    }

    private static void Restore(Span<long> values, in Head head)
    {
        long value = values[0], delta = 0, divisor = head.Divisor, offset = head.Offset;
        switch (head.Mode)
        {
            case ModeDelta:
                for (int i = 1; i < values.Length; i++)
                    values[i] = value = unchecked(value + (ByteReader.Unzigzag((ulong)values[i]) * divisor));
                break;
            case ModeDeltaDelta:
                for (int i = 1; i < values.Length; i++)
                {
                    delta = unchecked(delta + (ByteReader.Unzigzag((ulong)values[i]) * divisor));
                    values[i] = value = unchecked(value + delta);
                }
                break;
            case ModeDeltaOffset:
                for (int i = 1; i < values.Length; i++)
                    values[i] = value = unchecked(value + offset + (values[i] * divisor));
                break;
            default:
                for (int i = 1; i < values.Length; i++)
                    values[i] = unchecked(offset + (values[i] * divisor));
                break;
        }
    }

    /// <summary>What stands before the packed integers of a block.</summary>
    private readonly record struct Head(int Mode, long Divisor, long Offset, int Width, bool IsPatched)
    {
        /// <summary>Narrow enough, on a machine that can, to be unpacked eight at a time.</summary>
        public bool IsForLanes => Width <= PackedLanes.MaxWidth && PackedLanes.IsSupported;
    }

    /// <summary>Goes through the outliers of a block as they stand behind it: each names its place by the distance from the one before.</summary>
    private struct Outliers
    {
        private readonly int _count;
        private readonly int _width;
        private int _left;

        public Outliers(ref ByteReader from, bool any, int count, int width)
        {
            (_count, _width) = (count, width);
            _left = any ? from.Count(count) : 0;
            At = 0;
            Next(ref from);
        }

        /// <summary>The place of the one at hand; behind the last: the count of the block.</summary>
        public int At { get; private set; }

        /// <summary>Its bits above the width, in their place.</summary>
        public ulong Above { get; private set; }

        public void Next(ref ByteReader from)
        {
            if (_left-- <= 0)
            {
                At = _count;
                return;
            }
            At += from.Count(_count);
            if (At >= _count || _width >= 64)
                throw new InvalidDataException("an outlier lies outside its block");
            Above = from.Varint() << _width;
        }
    }
}
