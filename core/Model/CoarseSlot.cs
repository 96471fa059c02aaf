namespace Bellwether.Core.Model;

/// <summary>
/// What a coarser resolution keeps of one series in one slot of time: the floats of (end - length, end], where the end is a multiple of the length. Windows of PromQL are open on the
/// left, so those that begin and end at such times hold whole slots.
/// </summary>
/// <param name="Floats">The samples that are no stale markers, NaN among them. Its times are those of the first and last of them; without any they are <paramref name="StaleMs"/>.</param>
/// <param name="StaleMs">Time of the first stale marker behind the last float, Unix ms; <see cref="None"/>: none.</param>
/// <param name="Unit">All finite values that are not zero are multiples of two to the power of this: tells whether sums are exact. <see cref="AnyUnit"/>: all are zero; <see cref="NoUnit"/>: one is infinite.</param>
public readonly record struct CoarseSlot(SlotSummary Floats, long StaleMs, int Unit)
{
    /// <summary>No stale marker.</summary>
    public const long None = long.MinValue;

    /// <summary>The unit of zeros.</summary>
    public const int AnyUnit = 1024;

    /// <summary>The unit of infinities.</summary>
    public const int NoUnit = -2048;

    /// <summary>Time of the first thing in it, Unix ms.</summary>
    public long FirstMs => Floats.FirstMs;

    /// <summary>Time of the last thing in it that counts, Unix ms.</summary>
    public long NewestMs => StaleMs == None ? Floats.LastMs : StaleMs;

    /// <summary>Whether an edge that keeps times up to itself on its left has floats of the slot on both sides.</summary>
    public bool IsCutBy(long edgeMs) => Floats.FirstMs <= edgeMs && edgeMs < Floats.LastMs;

    /// <summary>End of the slot that a time lies in, Unix ms.</summary>
    public static long EndOf(long timeMs, long lengthMs)
    {
        long rest = timeMs % lengthMs;
        return rest == 0 ? timeMs : rest > 0 ? timeMs - rest + lengthMs : timeMs - rest;
    }

    /// <summary>The exponent of the lowest bit that is set in a value.</summary>
    public static int UnitOf(double value)
    {
        long bits = BitConverter.DoubleToInt64Bits(value);
        int exponent = (int)(bits >> 52) & 0x7FF;
        long fraction = bits & 0xF_FFFF_FFFF_FFFF;
        if (exponent == 0x7FF)
            return fraction == 0 ? NoUnit : AnyUnit;
        if (exponent == 0)
            return fraction == 0 ? AnyUnit : (int)long.TrailingZeroCount(fraction) - 1074;
        return exponent - 1075 + (int)long.TrailingZeroCount(fraction | (1L << 52));
    }
}

/// <summary>Makes slots of one length from what comes in time order: samples, or finer slots. Not thread-safe.</summary>
public sealed class CoarseSlots(long lengthMs)
{
    private long _endMs = long.MinValue;
    private SlotSummary _floats;
    private long _staleMs;
    private int _unit;

    /// <summary>The slots that are over.</summary>
    public List<CoarseSlot> Done { get; } = [];

    /// <summary>Begins anew.</summary>
    public void Clear()
    {
        Done.Clear();
        _endMs = long.MinValue;
    }

    /// <summary>Adds a sample, newer than all before it.</summary>
    public void Add(long timeMs, double value)
    {
        Open(timeMs);
        if (SpecialValues.IsStale(value))
        {
            if (_staleMs == CoarseSlot.None)
                _staleMs = timeMs;
            return;
        }
        bool isFirst = _floats.Count == 0;
        double sum = 0 + value;
        var one = new SlotSummary(timeMs, timeMs, 1, 0, 0, value, value, value, value, sum, 0, 0);
        Append(one, isFirst, CoarseSlot.UnitOf(value), CoarseSlot.None);
    }

    /// <summary>Adds a finer slot, newer than all before it; it must not reach over an end.</summary>
    public void Add(in CoarseSlot finer)
    {
        Open(finer.FirstMs);
        if (finer.Floats.Count > 0)
            Append(finer.Floats, _floats.Count == 0, finer.Unit, finer.StaleMs);
        else if (_staleMs == CoarseSlot.None)
            _staleMs = finer.StaleMs;
    }

    /// <summary>The last slot is over.</summary>
    public void End()
    {
        if (_endMs == long.MinValue)
            return;
        if (_floats.Count == 0)
            _floats = new SlotSummary(_staleMs, _staleMs, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);
        Done.Add(new CoarseSlot(_floats, _staleMs, _unit));
        _endMs = long.MinValue;
    }

    private void Open(long timeMs)
    {
        long end = CoarseSlot.EndOf(timeMs, lengthMs);
        if (end == _endMs)
            return;
        End();
        (_endMs, _floats, _staleMs, _unit) = (end, default, CoarseSlot.None, CoarseSlot.AnyUnit);
    }

    // Both sides are in time order, the new one behind.
    private void Append(in SlotSummary b, bool isFirst, int unit, long staleMs)
    {
        _unit = Math.Min(_unit, unit);
        _staleMs = staleMs;
        if (isFirst)
        {
            _floats = b;
            return;
        }
        SlotSummary a = _floats;
        bool isReset = b.First < a.Last, isChange = b.First != a.Last && !(double.IsNaN(b.First) && double.IsNaN(a.Last));
        double sum = a.Sum + b.Sum;
        double rest = double.IsInfinity(sum) ? 0 : Math.Abs(a.Sum) >= Math.Abs(b.Sum) ? a.Sum - sum + b.Sum : b.Sum - sum + a.Sum;
        _floats = new SlotSummary(
            a.FirstMs, b.LastMs, a.Count + b.Count, a.Resets + b.Resets + (isReset ? 1 : 0), a.Changes + b.Changes + (isChange ? 1 : 0), a.First, b.Last,
            double.IsNaN(a.Min) || b.Min < a.Min ? b.Min : a.Min,
            double.IsNaN(a.Max) || b.Max > a.Max ? b.Max : a.Max,
            sum,
            double.IsInfinity(sum) ? 0 : a.SumCompensation + rest + b.SumCompensation,
            a.ResetCorrection + (isReset ? a.Last : 0) + b.ResetCorrection);
    }
}

/// <summary>How sets that lay something over others pass slots on.</summary>
public static class CoarseSets
{
    /// <summary>The length of the coarsest slots of a set; 0: it holds samples only.</summary>
    public static long ResolutionOf(ISeriesSet set) => set is ICoarseSeriesSet coarse ? coarse.ResolutionMs : 0;

    /// <summary>As <see cref="ICoarseSeriesSet.Read"/>, of any set.</summary>
    public static void Read(ISeriesSet set, int index, SampleBuffer samples, List<CoarseSlot> slots)
    {
        if (set is ICoarseSeriesSet coarse)
        {
            coarse.Read(index, samples, slots);
            return;
        }
        slots.Clear();
        set.Read(index, samples);
    }
}

/// <summary>A selection that may reach into times of which only a coarser resolution is kept. Not thread-safe.</summary>
public interface ICoarseSeriesSet : ISeriesSet
{
    /// <summary>The length of the coarsest slots that the selection may hold, in ms; 0: everything in it is samples.</summary>
    long ResolutionMs { get; }

    /// <summary>
    /// Replaces the content of both lists by what the series at an index has in the range of the selection: the samples that are kept as they are, stale markers included, and slots in time
    /// order, those that the range cuts included. No sample lies within a slot. (<see cref="ISeriesSet.Read"/> gives of a slot the samples that are known: its first, its last, and its stale marker.)
    /// </summary>
    void Read(int index, SampleBuffer samples, List<CoarseSlot> slots);
}
