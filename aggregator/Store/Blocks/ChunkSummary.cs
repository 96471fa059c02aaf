using Bellwether.Core.Model;
using Bellwether.Store.Chunks;

namespace Bellwether.Store.Blocks;

/// <summary>
/// What a chunk says about its floats without being decoded (docs/ARCHITECTURE.md, idea 6): enough for counts, extremes, sums and counter increases over whole chunks.
/// For a constant chunk it is implied. Stale markers count nowhere but in <see cref="Stale"/>.
/// </summary>
internal readonly record struct ChunkSummary(
    double First, double Last, double Min, double Max, double Sum, double SumCompensation, double ResetCorrection, int Count, int Resets, int Changes, int NaNs, int Stale)
{
    /// <summary>Computes it over values in time order. The sum is Kahan-Babuska-Neumaier.</summary>
    public static ChunkSummary Of(ReadOnlySpan<double> values)
    {
        double first = double.NaN, last = double.NaN, min = double.NaN, max = double.NaN, sum = 0, compensation = 0, correction = 0;
        int count = 0, resets = 0, changes = 0, nans = 0, stale = 0;
        foreach (double v in values)
        {
            if (SpecialValues.IsStale(v))
            {
                stale++;
                continue;
            }
            if (count == 0)
            {
                first = v;
            }
            else
            {
                if (v < last)
                {
                    resets++;
                    correction += last;
                }
                if (v != last && !(double.IsNaN(v) && double.IsNaN(last)))
                    changes++;
            }
            last = v;
            count++;
            if (double.IsNaN(v))
                nans++;
            if (!(min <= v))
                min = double.IsNaN(v) ? min : v;
            if (!(max >= v))
                max = double.IsNaN(v) ? max : v;
            double next = sum + v;
            compensation += Math.Abs(sum) >= Math.Abs(v) ? sum - next + v : v - next + sum;
            sum = next;
        }
        return new ChunkSummary(first, last, min, max, sum, compensation, correction, count, resets, changes, nans, stale);
    }

    /// <summary>As the summary of a slot, where it is exact: only plain numbers, and finite sums.</summary>
    public bool TryForSlot(long firstMs, long lastMs, int count, out SlotSummary summary)
    {
        summary = new SlotSummary(firstMs, lastMs, Count, Resets, Changes, First, Last, Min, Max, Sum, SumCompensation, ResetCorrection);
        return Count == count && NaNs == 0 && Stale == 0 && double.IsFinite(Sum) && double.IsFinite(SumCompensation) && double.IsFinite(ResetCorrection);
    }

    public void Write(ByteWriter into)
    {
        into.Varint((ulong)Count);
        into.Varint((ulong)Resets);
        into.Varint((ulong)Changes);
        into.Varint((ulong)NaNs);
        into.Varint((ulong)Stale);
        WriteNumber(First, into);
        WriteNumber(Last, into);
        WriteNumber(Min, into);
        WriteNumber(Max, into);
        WriteNumber(Sum, into);
        WriteNumber(SumCompensation, into);
        WriteNumber(ResetCorrection, into);
    }

    public static ChunkSummary Read(ref ByteReader from)
    {
        int count = from.Count(int.MaxValue), resets = from.Count(int.MaxValue), changes = from.Count(int.MaxValue);
        int nans = from.Count(int.MaxValue), stale = from.Count(int.MaxValue);
        double first = ReadNumber(ref from), last = ReadNumber(ref from), min = ReadNumber(ref from), max = ReadNumber(ref from);
        double sum = ReadNumber(ref from), compensation = ReadNumber(ref from), correction = ReadNumber(ref from);
        return new ChunkSummary(first, last, min, max, sum, compensation, correction, count, resets, changes, nans, stale);
    }

    /// <summary>Passes over one.</summary>
    public static void Skip(ref ByteReader from)
    {
        const int Counts = 5, Numbers = 7;
        for (int i = 0; i < Counts; i++)
            from.Varint();
        for (int i = 0; i < Numbers; i++)
        {
            if (from.Varint() == 0)
                from.Bytes(8);
        }
    }

    // Mostly small integers: a varint of zigzag + 1; 0 announces raw bits.
    internal static void WriteNumber(double value, ByteWriter into)
    {
        if (Math.Abs(value) < 1L << 48 && BitConverter.DoubleToInt64Bits(value) == BitConverter.DoubleToInt64Bits((long)value))
        {
            into.Varint(ByteWriter.Zigzagged((long)value) + 1);
            return;
        }
        into.Byte(0);
        into.Double(value);
    }

    internal static double ReadNumber(ref ByteReader from)
    {
        ulong raw = from.Varint();
        return raw == 0 ? from.Double() : ByteReader.Unzigzag(raw - 1);
    }
}
