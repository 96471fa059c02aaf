using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace Bellwether.Store.Chunks;

/// <summary>
/// A run of integers, bit-packed: differences, differences of differences or distances from the smallest, whatever is cheapest; divided by what they all share;
/// zigzag; packed at the cheapest width, with outliers patched. The format is in docs/formats/chunk.md.
/// </summary>
internal static class IntegerBlock
{
    /// <summary>The most integers a block holds.</summary>
    public const int MaxCount = 1 << 20;

    private const byte ModeDelta = 0;
    private const byte ModeDeltaDelta = 1;
    private const byte ModeOffset = 2;

    [ThreadStatic]
    private static ulong[]? t_scratch;

    [ThreadStatic]
    private static ulong[]? t_best;

    /// <summary>Writes the block; the count is the caller's to keep.</summary>
    public static void Encode(ReadOnlySpan<long> values, ByteWriter into)
    {
        into.Zigzag(values[0]);
        int n = values.Length - 1;
        if (n == 0)
            return;
        ulong[] best = Scratch(ref t_best, n);
        ulong[] trial = Scratch(ref t_scratch, n);
        byte mode = ModeDelta;
        long bestCost = Prepare(values, best.AsSpan(0, n), ModeDelta, out long offset, out ulong divisor);
        for (byte m = ModeDeltaDelta; m <= ModeOffset && bestCost > n; m++)
        {
            long cost = Prepare(values, trial.AsSpan(0, n), m, out long o, out ulong d);
            if (cost >= bestCost)
                continue;
            (mode, bestCost, offset, divisor) = (m, cost, o, d);
            (best, trial) = (trial, best);
        }
        Write(best.AsSpan(0, n), mode, offset, divisor, into);
    }

    /// <summary>Reads as many integers as the span holds.</summary>
    public static void Decode(ref ByteReader from, Span<long> values)
    {
        values[0] = from.Zigzag();
        int n = values.Length - 1;
        if (n == 0)
            return;
        Head head = ReadHead(ref from);
        Span<ulong> raw = MemoryMarshal.Cast<long, ulong>(values[1..]);
        BitPack.Unpack(from.Bytes(BitPack.Bytes(n, head.Width)), head.Width, raw);
        if (head.IsPatched)
            Patch(ref from, raw, head.Width);
        Restore(values, head.Mode, head.Divisor, head.Offset);
    }

    /// <summary>Reads only the integers at some places, which ascend: those between are unpacked and summed, not kept.</summary>
    public static void DecodeAt(ref ByteReader from, int count, ReadOnlySpan<int> places, Span<long> values)
    {
        long first = from.Zigzag();
        int n = count - 1;
        values.Fill(first);
        if (n == 0)
            return;
        Head head = ReadHead(ref from);
        ReadOnlySpan<byte> packed = from.Bytes(BitPack.Bytes(n, head.Width));
        // Outliers may lie behind the last place: they are patched in, so all is unpacked then.
        Span<ulong> raw = Scratch(ref t_scratch, n).AsSpan(0, head.IsPatched ? n : places[^1]);
        BitPack.Unpack(packed, head.Width, raw);
        if (head.IsPatched)
            Patch(ref from, raw, head.Width);
        PickAt(raw, head.Mode, first, head.Divisor, head.Offset, places, values);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Head ReadHead(ref ByteReader from)
    {
        byte bits = from.Byte();
        int mode = bits & 3;
        ulong divisor = (bits & 4) != 0 ? from.Varint() : 1;
        long offset = mode == ModeOffset ? from.Zigzag() : 0;
        int width = from.Byte();
        if (width > 64)
            throw new InvalidDataException($"a block claims {width} bits for a value");
        return new Head(mode, (long)divisor, offset, width, (bits & 8) != 0);
    }

    private static void PickAt(ReadOnlySpan<ulong> raw, int mode, long first, long divisor, long offset, ReadOnlySpan<int> places, Span<long> values)
    {
        long sum = 0, delta = 0, value = first;
        int at = 0;
        for (int p = 0; p < places.Length; p++)
        {
            int to = places[p];
            switch (mode)
            {
                case ModeDelta:
                    sum = unchecked(sum + SumOf(raw[at..to]));
                    values[p] = unchecked(first + (sum * divisor));
                    break;
                case ModeDeltaDelta:
                    foreach (ulong r in raw[at..to])
                    {
                        delta = unchecked(delta + (ByteReader.Unzigzag(r) * divisor));
                        value = unchecked(value + delta);
                    }
                    values[p] = value;
                    break;
                case ModeOffset:
                    values[p] = to == 0 ? first : unchecked(offset + ((long)raw[to - 1] * divisor));
                    break;
                default:
                    throw new InvalidDataException($"an integer block has the unknown mode {mode}");
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

    // Fills the residuals of a mode and returns their cost in bits.
    private static long Prepare(ReadOnlySpan<long> values, Span<ulong> residuals, byte mode, out long offset, out ulong divisor)
    {
        offset = 0;
        switch (mode)
        {
            case ModeDelta:
                Deltas(values, residuals);
                break;
            case ModeDeltaDelta:
                DeltasOfDeltas(values, residuals);
                break;
            default:
                Offsets(values, residuals, out offset);
                break;
        }
        divisor = Shared(residuals);
        bool isSigned = mode != ModeOffset;
        if (divisor > 1)
        {
            for (int i = 0; i < residuals.Length; i++)
                residuals[i] = unchecked((ulong)((long)residuals[i] / (long)divisor));
        }
        if (isSigned)
        {
            for (int i = 0; i < residuals.Length; i++)
                residuals[i] = ByteWriter.Zigzagged(unchecked((long)residuals[i]));
        }
        return CheapestWidth(residuals, out _);
    }

    private static void Deltas(ReadOnlySpan<long> values, Span<ulong> residuals)
    {
        long last = values[0];
        values = values.Slice(1, residuals.Length);
        for (int i = 0; i < residuals.Length; i++)
        {
            long value = values[i];
            residuals[i] = unchecked((ulong)(value - last));
            last = value;
        }
    }

    private static void DeltasOfDeltas(ReadOnlySpan<long> values, Span<ulong> residuals)
    {
        long last = values[0], lastDelta = 0;
        values = values.Slice(1, residuals.Length);
        for (int i = 0; i < residuals.Length; i++)
        {
            long value = values[i], delta = unchecked(value - last);
            residuals[i] = unchecked((ulong)(delta - lastDelta));
            (last, lastDelta) = (value, delta);
        }
    }

    private static void Offsets(ReadOnlySpan<long> values, Span<ulong> residuals, out long offset)
    {
        values = values.Slice(1, residuals.Length);
        offset = long.MaxValue;
        foreach (long v in values)
            offset = Math.Min(offset, v);
        for (int i = 0; i < residuals.Length; i++)
            residuals[i] = unchecked((ulong)(values[i] - offset));
    }

    // What all share; it is 1 after a few values as a rule.
    private static ulong Shared(ReadOnlySpan<ulong> residuals)
    {
        ulong shared = 0;
        foreach (ulong raw in residuals)
        {
            long residual = unchecked((long)raw);
            if (residual == 0)
                continue;
            shared = Gcd(shared, residual == long.MinValue ? 1 : (ulong)Math.Abs(residual));
            if (shared == 1)
                return 1;
        }
        return shared == 0 ? 1 : shared;
    }

    private static ulong Gcd(ulong a, ulong b)
    {
        while (b != 0)
            (a, b) = (b, a % b);
        return a;
    }

    private static long CheapestWidth(ReadOnlySpan<ulong> residuals, out int width)
    {
        Span<int> byBits = stackalloc int[65];
        byBits.Clear();
        foreach (ulong r in residuals)
            byBits[64 - BitOperations.LeadingZeroCount(r)]++;
        long best = long.MaxValue;
        width = 64;
        long above = 0, aboveBits = 0;
        int top = 64;
        while (top > 0 && byBits[top] == 0)
            top--;
        for (int w = top; w >= 0; w--)
        {
            // An outlier costs an index (about 8 bits) and its upper part in 7-bit groups.
            long cost = ((long)residuals.Length * w) + (above * 8) + ((aboveBits - (above * w)) * 8 / 7) + (above * 4) + (above > 0 ? 8 : 0);
            if (cost < best)
            {
                best = cost;
                width = w;
            }
            above += byBits[w];
            aboveBits += (long)byBits[w] * w;
        }
        return best;
    }

    private static void Write(ReadOnlySpan<ulong> residuals, byte mode, long offset, ulong divisor, ByteWriter into)
    {
        CheapestWidth(residuals, out int width);
        int outliers = 0;
        foreach (ulong r in residuals)
        {
            if (width < 64 && r >> width != 0)
                outliers++;
        }
        into.Byte((byte)(mode | (divisor > 1 ? 4 : 0) | (outliers > 0 ? 8 : 0)));
        if (divisor > 1)
            into.Varint(divisor);
        if (mode == ModeOffset)
            into.Zigzag(offset);
        into.Byte((byte)width);
        BitPack.Pack(residuals, width, into.Take(BitPack.Bytes(residuals.Length, width)));
        if (outliers == 0)
            return;
        into.Varint((ulong)outliers);
        int last = 0;
        for (int i = 0; i < residuals.Length; i++)
        {
            if (residuals[i] >> width == 0)
                continue;
            into.Varint((ulong)(i - last));
            into.Varint(residuals[i] >> width);
            last = i;
        }
    }

    private static void Patch(ref ByteReader from, Span<ulong> raw, int width)
    {
        int outliers = from.Count(raw.Length);
        int at = 0;
        for (int i = 0; i < outliers; i++)
        {
            at += from.Count(raw.Length);
            if (at >= raw.Length || width >= 64)
                throw new InvalidDataException("an outlier lies outside its block");
            raw[at] |= from.Varint() << width;
        }
    }

    private static void Restore(Span<long> values, int mode, long divisor, long offset)
    {
        long value = values[0], delta = 0;
        switch (mode)
        {
            case ModeDelta when divisor == 1:
                for (int i = 1; i < values.Length; i++)
                    values[i] = value = unchecked(value + ByteReader.Unzigzag((ulong)values[i]));
                break;
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
            case ModeOffset:
                for (int i = 1; i < values.Length; i++)
                    values[i] = unchecked(offset + (values[i] * divisor));
                break;
            default:
                throw new InvalidDataException($"an integer block has the unknown mode {mode}");
        }
    }

    /// <summary>What stands before the packed integers of a block.</summary>
    private readonly record struct Head(int Mode, long Divisor, long Offset, int Width, bool IsPatched);
}
