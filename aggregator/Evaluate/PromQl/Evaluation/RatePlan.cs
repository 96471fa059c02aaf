using System.Runtime.Intrinsics;
using Bellwether.Core.Model;

namespace Bellwether.Evaluate.PromQl.Evaluation;

/// <summary>
/// What rates of one query have in common over series that were sampled at the same times, as those of a target are: which samples stand at each window's edges, and how far it is from them
/// to the edges. Made for the first series and taken for the next ones; four windows at a time, each as <see cref="RateFunctions.Factor"/> has it, to the last bit. Reused; not thread-safe.
/// </summary>
internal sealed class RatePlan
{
    private long[] _times = [], _ordinals = [];
    private int _count, _ordinalCount;
    private WindowCuts _windows;
    private int[] _from = [], _last = [];
    private double[] _sampled = [], _toStart = [], _toEnd = [], _factors = [];
    private double _factorSeconds = double.NaN;
    private bool _isMade, _reachesLess;

    /// <summary>Entries that it has room for.</summary>
    public int Capacity => Math.Max(_times.Length, _from.Length);

    /// <summary>
    /// Puts the rates of a counter that was not reset (or, for delta, of anything) into the steps whose windows have two samples. Where samples are left out, <paramref name="ordinals"/>
    /// say their numbers among all; else it is empty.
    /// </summary>
    public bool Slide(WindowKind kind, ReadOnlySpan<long> times, ReadOnlySpan<double> values, ReadOnlySpan<long> ordinals, in WindowCuts windows, Span<double> into)
    {
        if (windows.Count == 1)
            return Single(kind, times, values, ordinals, windows, into);
        if (!_isMade || _windows != windows || !times.SequenceEqual(_times.AsSpan(0, _count)) || !ordinals.SequenceEqual(_ordinals.AsSpan(0, _ordinalCount)))
            Make(times, ordinals, windows);
        bool counter = kind != WindowKind.Delta, any = false;
        double seconds = kind == WindowKind.Rate ? windows.RangeMs / 1000.0 : 0;
        if (_factorSeconds != seconds)
            MakeFactors(seconds, windows.Count);
        int i = 0;
        while (i < windows.Count)
        {
            if (Vector256.IsHardwareAccelerated && i + 4 <= windows.Count && (_last[i] | _last[i + 1] | _last[i + 2] | _last[i + 3]) >= 0)
            {
                Four(i, values, counter, seconds).CopyTo(into[i..]);
                any = true;
                i += 4;
                continue;
            }
            if (_last[i] >= 0)
            {
                into[i] = One(i, values, counter, seconds);
                any = true;
            }
            i++;
        }
        return any;
    }

    // One window, as rules have: the plan would not be used again.
    private static bool Single(WindowKind kind, ReadOnlySpan<long> times, ReadOnlySpan<double> values, ReadOnlySpan<long> ordinals, in WindowCuts windows, Span<double> into)
    {
        long end = windows.FirstEndMs, start = end - windows.RangeMs;
        int from = FirstAfter(times, start), last = FirstAfter(times, end) - 1;
        if (last <= from)
            return false;
        bool counter = kind != WindowKind.Delta;
        double first = values[from], increase = values[last] - first;
        if (counter)
            increase += 0.0;
        long count = ordinals.IsEmpty ? last - from + 1 : ordinals[last] - ordinals[from] + 1;
        double factor = RateFunctions.Factor(start, end, new RateFunctions.Edges(times[from], times[last], count), times[from], counter, first, increase);
        if (kind == WindowKind.Rate)
            factor /= windows.RangeMs / 1000.0;
        into[0] = increase * factor;
        return true;
    }

    private static int FirstAfter(ReadOnlySpan<long> times, long limit)
    {
        int low = 0, high = times.Length;
        while (low < high)
        {
            int middle = (low + high) / 2;
            (low, high) = times[middle] <= limit ? (middle + 1, high) : (low, middle);
        }
        return low;
    }

    private double One(int i, ReadOnlySpan<double> values, bool counter, double seconds)
    {
        double first = values[_from[i]], increase = values[_last[i]] - first, toStart = _toStart[i], sampled = _sampled[i];
        if (counter)
        {
            increase += 0.0;
            if (increase > 0 && first >= 0)
                toStart = Math.Min(toStart, sampled * (first / increase));
        }
        double factor = (sampled + toStart + _toEnd[i]) / sampled;
        if (seconds > 0)
            factor /= seconds;
        return increase * factor;
    }

    private Vector256<double> Four(int i, ReadOnlySpan<double> values, bool counter, double seconds)
    {
        ReadOnlySpan<int> from = _from.AsSpan(i, 4), last = _last.AsSpan(i, 4);
        Vector256<double> first = Vector256.Create(values[from[0]], values[from[1]], values[from[2]], values[from[3]]);
        Vector256<double> increase = Vector256.Create(values[last[0]], values[last[1]], values[last[2]], values[last[3]]) - first;
        if (counter)
            increase += Vector256<double>.Zero;
        // A counter that was at least its increase before was zero longer ago than the window's start is away: then the factor does not depend on values.
        bool isFar = !counter || (_reachesLess && (Vector256.LessThan(first, increase) & Vector256.GreaterThanOrEqual(first, Vector256<double>.Zero)) == Vector256<double>.Zero);
        if (isFar)
            return increase * Vector256.Create<double>(_factors.AsSpan(i));
        Vector256<double> toStart = Vector256.Create<double>(_toStart.AsSpan(i)), sampled = Vector256.Create<double>(_sampled.AsSpan(i));
        if (counter)
        {
            Vector256<double> rises = Vector256.GreaterThan(increase, Vector256<double>.Zero) & Vector256.GreaterThanOrEqual(first, Vector256<double>.Zero);
            toStart = Vector256.ConditionalSelect(rises, Vector256.Min(toStart, sampled * (first / increase)), toStart);
        }
        Vector256<double> factor = (sampled + toStart + Vector256.Create<double>(_toEnd.AsSpan(i))) / sampled;
        if (seconds > 0)
            factor /= Vector256.Create(seconds);
        return increase * factor;
    }

    private void Make(ReadOnlySpan<long> times, ReadOnlySpan<long> ordinals, in WindowCuts windows)
    {
        Keep(times, ref _times, ref _count);
        Keep(ordinals, ref _ordinals, ref _ordinalCount);
        if (_from.Length < windows.Count)
        {
            int size = windows.Count;
            (_from, _last, _sampled, _toStart, _toEnd, _factors) = (new int[size], new int[size], new double[size], new double[size], new double[size], new double[size]);
        }
        _windows = windows;
        _isMade = true;
        _reachesLess = true;
        _factorSeconds = double.NaN;
        int from = 0, to = 0, fromStride = 0, toStride = 0;
        for (int i = 0; i < windows.Count; i++)
        {
            long end = windows.FirstEndMs + (i * windows.StepMs), start = end - windows.RangeMs;
            int next = After(times, to, toStride, end);
            (toStride, to) = (next - to, next);
            next = After(times, from, fromStride, start);
            (fromStride, from) = (next - from, next);
            (_from[i], _last[i]) = (from, to - from < 2 ? -1 : to - 1);
            if (to - from < 2)
                continue;
            long count = ordinals.IsEmpty ? to - from : ordinals[to - 1] - ordinals[from] + 1;
            var edges = new RateFunctions.Edges(times[from], times[to - 1], count);
            (_sampled[i], _toStart[i], _toEnd[i]) = RateFunctions.Reach(start, end, edges, times[from]);
            _reachesLess &= _toStart[i] <= _sampled[i];
        }
    }

    /// <summary>What increases are multiplied by where a counter was zero long ago.</summary>
    private void MakeFactors(double seconds, int count)
    {
        _factorSeconds = seconds;
        for (int i = 0; i < count; i++)
        {
            double factor = (_sampled[i] + _toStart[i] + _toEnd[i]) / _sampled[i];
            _factors[i] = seconds > 0 ? factor / seconds : factor;
        }
    }

    private static void Keep(ReadOnlySpan<long> entries, ref long[] into, ref int count)
    {
        if (into.Length < entries.Length)
            into = new long[Math.Max(256, entries.Length)];
        entries.CopyTo(into);
        count = entries.Length;
    }

    /// <summary>The first time after a limit, from one that is not after it or first on. Steps are even and samples mostly, too: it is looked for first where the step before went.</summary>
    private static int After(ReadOnlySpan<long> times, int at, int stride, long limit)
    {
        int guess = at + stride;
        if (guess < times.Length)
        {
            at = guess;
            while (stride-- > 0 && times[at - 1] > limit)
                at--;
        }
        while (at < times.Length && times[at] <= limit)
            at++;
        return at;
    }
}
