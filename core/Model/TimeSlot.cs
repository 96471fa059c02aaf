namespace Bellwether.Core.Model;

/// <summary>
/// Fixed slots of time: a slot begins at each multiple of <see cref="LengthMs"/> since the epoch. Sums over samples are made within slots first and then over slots, so
/// that a summary of a whole slot gives the same number, to the last bit, as its samples (docs/ARCHITECTURE.md, idea 6).
/// </summary>
public static class TimeSlot
{
    /// <summary>Length of a slot, in ms: two hours.</summary>
    public const long LengthMs = 7_200_000;

    /// <summary>The start of the slot that a time (Unix ms) lies in.</summary>
    public static long StartOf(long timeMs)
    {
        long rest = timeMs % LengthMs;
        return rest < 0 ? timeMs - rest - LengthMs : timeMs - rest;
    }
}

/// <summary>
/// What one slot holds of a series of plain floats: no stale markers, histograms or start times among them. Numbers are made sample by sample in time order from zero.
/// </summary>
/// <param name="FirstMs">Time of the first sample, Unix ms.</param>
/// <param name="LastMs">Time of the last sample, Unix ms.</param>
/// <param name="Count">Samples, at least 1.</param>
/// <param name="Resets">Samples below the one before them in the slot.</param>
/// <param name="Changes">Samples that differ from the one before them in the slot.</param>
/// <param name="First">The first value.</param>
/// <param name="Last">The last value.</param>
/// <param name="Min">The smallest value, the first of equals.</param>
/// <param name="Max">The largest value, the first of equals.</param>
/// <param name="Sum">The sum, with Neumaier's compensation apart.</param>
/// <param name="SumCompensation">The compensation of the sum.</param>
/// <param name="ResetCorrection">Plain sum of the values before each reset within the slot.</param>
public readonly record struct SlotSummary(
    long FirstMs, long LastMs, int Count, int Resets, int Changes, double First, double Last, double Min, double Max, double Sum, double SumCompensation, double ResetCorrection)
{
    /// <summary>Makes the summary of the samples of one slot, in time order. False: they cannot be summarised exactly (none, a NaN or stale marker, a sum that overflows).</summary>
    public static bool TryMake(ReadOnlySpan<long> times, ReadOnlySpan<double> values, out SlotSummary summary)
    {
        summary = default;
        if (values.IsEmpty)
            return false;
        double min = values[0], max = values[0], sum = 0, compensation = 0, correction = 0, previous = values[0];
        int resets = 0, changes = 0;
        foreach (double v in values)
        {
            if (double.IsNaN(v))
                return false;
            if (v < previous)
            {
                resets++;
                correction += previous;
            }
            changes += v != previous ? 1 : 0;
            min = v < min ? v : min;
            max = v > max ? v : max;
            double next = sum + v;
            compensation += Math.Abs(sum) >= Math.Abs(v) ? sum - next + v : v - next + sum;
            (sum, previous) = (next, v);
        }
        summary = new SlotSummary(times[0], times[^1], values.Length, resets, changes, values[0], values[^1], min, max, sum, compensation, correction);
        return double.IsFinite(sum) && double.IsFinite(compensation) && double.IsFinite(correction);
    }
}

/// <summary>
/// Where the windows (t - range, t] of all steps t of an evaluation begin and end: a slot that none of them cuts may be answered by its summary.
/// </summary>
/// <param name="FirstEndMs">End of the first window, Unix ms.</param>
/// <param name="StepMs">From one window's end to the next's; 0 when there is one window.</param>
/// <param name="Count">Number of windows.</param>
/// <param name="RangeMs">Length of a window.</param>
public readonly record struct WindowCuts(long FirstEndMs, long StepMs, int Count, long RangeMs)
{
    /// <summary>Whether some window holds a part of the slot's times only.</summary>
    public bool Cut(long slotStartMs) => HasEdge(FirstEndMs, slotStartMs) || HasEdge(FirstEndMs - RangeMs, slotStartMs);

    // An edge e keeps times up to e on its left: it cuts when both sides have times of the slot.
    private bool HasEdge(long firstMs, long slotStartMs)
    {
        long last = slotStartMs + TimeSlot.LengthMs - 2;
        if (firstMs > last)
            return false;
        if (firstMs >= slotStartMs)
            return true;
        if (StepMs == 0)
            return false;
        long steps = (slotStartMs - firstMs + StepMs - 1) / StepMs;
        return steps < Count && firstMs + (steps * StepMs) <= last;
    }
}

/// <summary>A selection that can answer whole slots by their summaries. Not thread-safe.</summary>
public interface ISummarySeriesSet : ISeriesSet
{
    /// <summary>
    /// Replaces the content of both lists by what the series at an index has in the range of the selection: summaries, in time order, of slots that no window cuts, and
    /// the samples of all other slots, stale markers included. A slot is in one of them only; what cannot be summarised exactly comes as samples.
    /// </summary>
    void Read(int index, in WindowCuts cuts, SampleBuffer samples, List<SlotSummary> summaries);
}
