using System.Numerics;
using System.Runtime.Intrinsics;

namespace Bellwether.Store.Chunks;

// How a block is written: one pass over the differences says which forms are worth a try; each that is tried is made and costed in bits, and the cheapest is packed.
internal static partial class IntegerBlock
{
    /// <summary>Where at most one difference of so many falls, falling ones are left to the outliers.</summary>
    private const int RisesPerFall = 32;

    [ThreadStatic]
    private static ulong[]? t_best;

    /// <summary>Writes the block; the count is the caller's to keep.</summary>
    public static void Encode(ReadOnlySpan<long> values, ByteWriter into)
    {
        into.Zigzag(values[0]);
        int n = values.Length - 1;
        if (n == 0)
            return;
        Span<ulong> best = Scratch(ref t_best, n).AsSpan(0, n);
        Shape shape = Shape.Of(values, best);
        Form form = shape.Rises || shape.DeltaBits < shape.ZigzagBits ? Finish(best, ModeDeltaOffset, shape.LeastDelta) : Finish(best, ModeDelta, 0);
        if (form.Cost <= n)
        {
            Write(best, form, into);
            return;
        }
        Span<ulong> trial = Scratch(ref t_scratch, n).AsSpan(0, n);
        if (shape.ValueBits <= shape.DeltaBits || !shape.Rises)
        {
            for (int i = 0; i < n; i++)
                trial[i] = (ulong)values[i + 1];
            Form offset = Finish(trial, ModeOffset, shape.LeastValue);
            if (offset.Cost < form.Cost)
            {
                Write(trial, offset, into);
                return;
            }
        }
        if (shape.SecondBits <= form.Width || form.Outliers > 0)
        {
            DeltasOfDeltas(values, trial);
            Form second = Finish(trial, ModeDeltaDelta, 0);
            if (second.Cost < form.Cost)
            {
                Write(trial, second, into);
                return;
            }
        }
        Write(best, form, into);
    }

    // Makes what is packed of what a mode is about, and says what it costs.
    private static Form Finish(Span<ulong> residuals, byte mode, long offset)
    {
        bool isOffset = mode is ModeOffset or ModeDeltaOffset;
        if (isOffset && offset != 0)
            Subtract(residuals, (ulong)offset);
        ulong divisor = isOffset ? SharedUnsigned(residuals) : Shared(residuals);
        if (isOffset)
        {
            for (int i = 0; divisor > 1 && i < residuals.Length; i++)
                residuals[i] /= divisor;
        }
        else
        {
            for (int i = 0; i < residuals.Length; i++)
                residuals[i] = ByteWriter.Zigzagged(divisor > 1 ? (long)residuals[i] / (long)divisor : (long)residuals[i]);
        }
        long cost = CheapestWidth(residuals, out int width, out int outliers);
        return new Form(mode, offset, divisor, width, outliers, cost);
    }

    private static void Subtract(Span<ulong> residuals, ulong offset)
    {
        int i = 0;
        for (; i + Vector256<ulong>.Count <= residuals.Length; i += Vector256<ulong>.Count)
            (Vector256.Create<ulong>(residuals[i..]) - Vector256.Create(offset)).CopyTo(residuals[i..]);
        for (; i < residuals.Length; i++)
            residuals[i] = unchecked(residuals[i] - offset);
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

    private static ulong SharedUnsigned(ReadOnlySpan<ulong> residuals)
    {
        ulong shared = 0;
        foreach (ulong residual in residuals)
        {
            if (residual == 0)
                continue;
            shared = Gcd(shared, residual);
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

    private static long CheapestWidth(ReadOnlySpan<ulong> residuals, out int width, out int outliers)
    {
        Span<int> byBits = stackalloc int[65];
        byBits.Clear();
        foreach (ulong r in residuals)
            byBits[64 - BitOperations.LeadingZeroCount(r)]++;
        long best = long.MaxValue;
        (width, outliers) = (64, 0);
        long above = 0, aboveBits = 0;
        int top = 64;
        while (top > 0 && byBits[top] == 0)
            top--;
        for (int w = top; w >= 0; w--)
        {
            // An outlier costs an index (about 8 bits) and its upper part in 7-bit groups.
            long cost = ((long)residuals.Length * w) + (above * 8) + ((aboveBits - (above * w)) * 8 / 7) + (above * 4) + (above > 0 ? 8 : 0);
            if (cost < best)
                (best, width, outliers) = (cost, w, (int)above);
            above += byBits[w];
            aboveBits += (long)byBits[w] * w;
        }
        return best;
    }

    private static void Write(ReadOnlySpan<ulong> residuals, in Form form, ByteWriter into)
    {
        int width = form.Width;
        into.Byte((byte)(form.Mode | (form.Divisor > 1 ? HasDivisor : 0) | (form.Outliers > 0 ? HasOutliers : 0)));
        if (form.Divisor > 1)
            into.Varint(form.Divisor);
        if (form.Mode >= ModeOffset)
            into.Zigzag(form.Offset);
        into.Byte((byte)width);
        BitPack.Pack(residuals, width, into.Take(BitPack.Bytes(residuals.Length, width)));
        if (form.Outliers == 0)
            return;
        into.Varint((ulong)form.Outliers);
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

    /// <summary>A form of a block and what it costs in bits.</summary>
    private readonly record struct Form(byte Mode, long Offset, ulong Divisor, int Width, int Outliers, long Cost);

    /// <summary>What one pass over a run says about it. Bits are those of the largest, without outliers being left out.</summary>
    /// <param name="Rises">No difference falls, or so few that they are outliers.</param>
    /// <param name="LeastDelta">The smallest difference; of a run that rises, the smallest that does.</param>
    /// <param name="DeltaBits">Of the differences as distances from the smallest.</param>
    /// <param name="ZigzagBits">Of the differences.</param>
    /// <param name="SecondBits">Of the differences of differences, but for the first.</param>
    /// <param name="LeastValue">The smallest value behind the first.</param>
    /// <param name="ValueBits">Of the values behind the first as distances from the smallest.</param>
    private readonly record struct Shape(bool Rises, long LeastDelta, int DeltaBits, int ZigzagBits, int SecondBits, long LeastValue, int ValueBits)
    {
        /// <summary>Also fills the differences.</summary>
        public static Shape Of(ReadOnlySpan<long> values, Span<ulong> deltas)
        {
            long last = values[0], least = long.MaxValue, most = long.MinValue, leastRise = long.MaxValue, leastValue = long.MaxValue, mostValue = long.MinValue;
            ulong zigzags = 0, seconds = 0;
            long before = unchecked(values[1] - last);
            int falls = 0;
            values = values[1..];
            for (int i = 0; i < deltas.Length; i++)
            {
                long value = values[i], delta = unchecked(value - last);
                last = value;
                deltas[i] = (ulong)delta;
                zigzags |= ByteWriter.Zigzagged(delta);
                seconds |= ByteWriter.Zigzagged(unchecked(delta - before));
                before = delta;
                (least, most) = (Math.Min(least, delta), Math.Max(most, delta));
                (leastValue, mostValue) = (Math.Min(leastValue, value), Math.Max(mostValue, value));
                leastRise = delta < 0 ? leastRise : Math.Min(leastRise, delta);
                falls -= (int)(delta >> 63);
            }
            bool rises = falls <= deltas.Length / RisesPerFall;
            return new Shape(rises, rises ? leastRise : least, Bits(unchecked((ulong)(most - least))), Bits(zigzags), Bits(seconds), leastValue, Bits(unchecked((ulong)(mostValue - leastValue))));
        }

        private static int Bits(ulong value) => 64 - BitOperations.LeadingZeroCount(value);
    }
}
