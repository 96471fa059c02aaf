using Bellwether.Core.Model;
using Bellwether.Store.Chunks;

namespace Bellwether.Store.Blocks;

/// <summary>The chunk of a coarse file that holds slots instead of samples (docs/formats/chunk.md): a column per figure. Its column of times holds the slots' ends.</summary>
internal static class CoarseChunk
{
    private const byte AsItIs = 0, AsFirst = 1, AsLast = 2;

    public static void Write(ReadOnlySpan<CoarseSlot> slots, long lengthMs, ByteWriter into)
    {
        var integers = new long[slots.Length];
        Integers(slots, integers, into, static (s, _) => s.Floats.Count, lengthMs);
        Integers(slots, integers, into, static (s, start) => s.Floats.FirstMs - start, lengthMs);
        Integers(slots, integers, into, static (s, _) => s.Floats.LastMs - s.Floats.FirstMs, lengthMs);
        Integers(slots, integers, into, static (s, start) => s.StaleMs == CoarseSlot.None ? 0 : s.StaleMs - start, lengthMs);
        Integers(slots, integers, into, static (s, _) => s.Floats.Resets, lengthMs);
        Integers(slots, integers, into, static (s, _) => s.Floats.Changes, lengthMs);
        Integers(slots, integers, into, static (s, _) => s.Unit, lengthMs);
        var first = new double[slots.Length];
        var last = new double[slots.Length];
        var column = new double[slots.Length];
        Values(slots, first, static f => f.First);
        Values(slots, last, static f => f.Last);
        ValueBlock.Encode(first, into);
        WriteColumn(last, first, [], into);
        foreach (Func<SlotSummary, double> figure in (ReadOnlySpan<Func<SlotSummary, double>>)[static f => f.Min, static f => f.Max, static f => f.Sum, static f => f.SumCompensation, static f => f.ResetCorrection])
        {
            Values(slots, column, figure);
            WriteColumn(column, first, last, into);
        }
    }

    /// <summary>Reads the slots that end at the times given. Throws <see cref="InvalidDataException"/>.</summary>
    public static CoarseSlot[] Read(ref ByteReader from, scoped ReadOnlySpan<long> endsMs, long lengthMs)
    {
        int n = endsMs.Length;
        var integers = new long[7][];
        for (int i = 0; i < integers.Length; i++)
            IntegerBlock.Decode(ref from, integers[i] = new long[n]);
        var values = new double[7][];
        ValueBlock.Decode(ref from, values[0] = new double[n]);
        for (int i = 1; i < values.Length; i++)
            values[i] = ReadColumn(ref from, values, i);
        var slots = new CoarseSlot[n];
        for (int i = 0; i < n; i++)
        {
            long start = endsMs[i] - lengthMs, first = integers[1][i], reach = integers[2][i], stale = integers[3][i], count = integers[0][i];
            bool fits = count is >= 0 and <= int.MaxValue && first > 0 && first <= lengthMs && reach >= 0 && first + reach <= lengthMs && stale >= 0 && stale <= lengthMs
                && integers[4][i] is >= 0 and <= int.MaxValue && integers[5][i] is >= 0 and <= int.MaxValue && integers[6][i] is >= CoarseSlot.NoUnit and <= CoarseSlot.AnyUnit
                && (count > 0 || stale == first) && (stale == 0 || stale >= first + reach);
            if (!fits)
                throw new InvalidDataException("a slot of a coarse chunk is not possible");
            var floats = count == 0
                ? new SlotSummary(start + first, start + first, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
                : new SlotSummary(start + first, start + first + reach, (int)count, (int)integers[4][i], (int)integers[5][i], values[0][i], values[1][i], values[2][i], values[3][i], values[4][i], values[5][i], values[6][i]);
            slots[i] = new CoarseSlot(floats, stale == 0 ? CoarseSlot.None : start + stale, (int)integers[6][i]);
        }
        return slots;
    }

    private static void Integers(ReadOnlySpan<CoarseSlot> slots, long[] column, ByteWriter into, Func<CoarseSlot, long, long> figure, long lengthMs)
    {
        for (int i = 0; i < slots.Length; i++)
            column[i] = figure(slots[i], CoarseSlot.EndOf(slots[i].FirstMs, lengthMs) - lengthMs);
        IntegerBlock.Encode(column, into);
    }

    // Slots without floats have no figures: they take those before them, which cost nothing.
    private static void Values(ReadOnlySpan<CoarseSlot> slots, double[] column, Func<SlotSummary, double> figure)
    {
        double before = 0;
        for (int i = 0; i < slots.Length; i++)
            column[i] = before = slots[i].Floats.Count == 0 ? before : figure(slots[i].Floats);
    }

    // A counter's smallest value is its first, its largest its last.
    private static void WriteColumn(double[] column, double[] first, double[] last, ByteWriter into)
    {
        byte form = Same(column, first) ? AsFirst : Same(column, last) ? AsLast : AsItIs;
        into.Byte(form);
        if (form == AsItIs)
            ValueBlock.Encode(column, into);
    }

    private static double[] ReadColumn(ref ByteReader from, double[][] values, int column)
    {
        byte form = from.Byte();
        if (form == AsFirst || (form == AsLast && column > 1))
            return values[form - 1];
        if (form != AsItIs)
            throw new InvalidDataException($"a column of a coarse chunk has the unknown form {form}");
        var read = new double[values[0].Length];
        ValueBlock.Decode(ref from, read);
        return read;
    }

    private static bool Same(ReadOnlySpan<double> a, ReadOnlySpan<double> b) =>
        System.Runtime.InteropServices.MemoryMarshal.AsBytes(a).SequenceEqual(System.Runtime.InteropServices.MemoryMarshal.AsBytes(b));
}
