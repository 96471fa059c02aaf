using Bellwether.Core.Model;

namespace Bellwether.Store.Head;

/// <summary>What few series have: late samples, native histograms, start times, exemplars. Same locking as <see cref="HeadSeries"/>.</summary>
internal sealed partial class RareSamples
{
    // Late samples in order, and of those that came out of order the last few beside: to make room in a long run for each one took minutes for half a million.
    private const int FreshMax = 512;
    private long[] _lateTimes = [];
    private double[] _lateValues = [];
    private int _lateCount;
    private long[] _freshTimes = [];
    private double[] _freshValues = [];
    private int _freshCount;
    private List<(long TimeMs, NativeHistogram Histogram)>? _histograms;
    private List<(long FromMs, long StartMs)>? _starts;
    private List<Exemplar>? _exemplars;

    public bool IsEmpty => _lateCount == 0 && _freshCount == 0 && _histograms is not { Count: > 0 };

    /// <summary>Whether nothing would be lost with it.</summary>
    public bool IsDisposable => IsEmpty && _exemplars is null && _starts is null;

    public IReadOnlyList<Exemplar>? Exemplars => _exemplars;

    public long OldestMs => Math.Min(
        Math.Min(_lateCount > 0 ? _lateTimes[0] : long.MaxValue, _freshCount > 0 ? _freshTimes[0] : long.MaxValue), _histograms is { Count: > 0 } h ? h[0].TimeMs : long.MaxValue);

    public long NewestMs => Math.Max(
        Math.Max(_lateCount > 0 ? _lateTimes[_lateCount - 1] : long.MinValue, _freshCount > 0 ? _freshTimes[_freshCount - 1] : long.MinValue), _histograms is { Count: > 0 } h ? h[^1].TimeMs : long.MinValue);

    public bool TryFindLate(long timeMs, out double value)
    {
        int at = _lateTimes.AsSpan(0, _lateCount).BinarySearch(timeMs);
        if (at >= 0)
        {
            value = _lateValues[at];
            return true;
        }
        at = _freshTimes.AsSpan(0, _freshCount).BinarySearch(timeMs);
        value = at < 0 ? 0 : _freshValues[at];
        return at >= 0;
    }

    public bool ReplaceLate(long timeMs, double value)
    {
        int at = _lateTimes.AsSpan(0, _lateCount).BinarySearch(timeMs);
        if (at >= 0)
        {
            _lateValues[at] = value;
            return true;
        }
        at = _freshTimes.AsSpan(0, _freshCount).BinarySearch(timeMs);
        if (at >= 0)
            _freshValues[at] = value;
        return at >= 0;
    }

    /// <summary>Adds a late sample at a time that has none yet.</summary>
    public AppendOutcome AddLate(long timeMs, double value, HeadPools pools)
    {
        pools.LateSamples++;
        if (_freshCount == 0 && (_lateCount == 0 || timeMs > _lateTimes[_lateCount - 1]))
        {
            Insert(ref _lateTimes, ref _lateValues, ref _lateCount, _lateCount, timeMs, value);
            return AppendOutcome.Stored;
        }
        Insert(ref _freshTimes, ref _freshValues, ref _freshCount, ~_freshTimes.AsSpan(0, _freshCount).BinarySearch(timeMs), timeMs, value);
        if (_freshCount == FreshMax)
            MergeFresh();
        return AppendOutcome.Stored;
    }

    private static void Insert(ref long[] times, ref double[] values, ref int count, int at, long timeMs, double value)
    {
        if (count == times.Length)
        {
            int size = Math.Max(8, count * 2);
            Array.Resize(ref times, size);
            Array.Resize(ref values, size);
        }
        Array.Copy(times, at, times, at + 1, count - at);
        Array.Copy(values, at, values, at + 1, count - at);
        times[at] = timeMs;
        values[at] = value;
        count++;
    }

    // From the end, so that nothing is overwritten that is still to be moved.
    private void MergeFresh()
    {
        int total = _lateCount + _freshCount;
        if (total > _lateTimes.Length)
        {
            int size = Math.Max(total, _lateTimes.Length * 2);
            Array.Resize(ref _lateTimes, size);
            Array.Resize(ref _lateValues, size);
        }
        int late = _lateCount - 1, fresh = _freshCount - 1;
        for (int at = total - 1; fresh >= 0; at--)
        {
            bool takeLate = late >= 0 && _lateTimes[late] > _freshTimes[fresh];
            _lateTimes[at] = takeLate ? _lateTimes[late] : _freshTimes[fresh];
            _lateValues[at] = takeLate ? _lateValues[late--] : _freshValues[fresh--];
        }
        _lateCount = total;
        (_freshTimes, _freshValues, _freshCount) = ([], [], 0);
    }

    public AppendOutcome AddHistogram(long timeMs, NativeHistogram histogram)
    {
        _histograms ??= [];
        int at = _histograms.Count == 0 || _histograms[^1].TimeMs < timeMs ? _histograms.Count : FindHistogram(timeMs);
        if (at >= _histograms.Count || _histograms[at].TimeMs != timeMs)
        {
            _histograms.Insert(at, (timeMs, histogram));
            return AppendOutcome.Stored;
        }
        int order = HistogramCodec.Compare(histogram, _histograms[at].Histogram);
        if (order == 0)
            return AppendOutcome.Duplicate;
        if (order > 0)
            _histograms[at] = (timeMs, histogram);
        return AppendOutcome.Conflict;
    }

    /// <summary>The sample at a time has this start; the samples after it keep theirs, unless it is the newest.</summary>
    public void SetStart(long timeMs, long startMs)
    {
        // Nothing is said of a start: a list, even an empty one, would say that there are some.
        if (_starts is null && startMs == 0)
            return;
        _starts ??= [];
        if (_starts.Count == 0 || timeMs >= _starts[^1].FromMs)
        {
            if ((_starts.Count == 0 ? 0 : _starts[^1].StartMs) == startMs)
                return;
            if (_starts.Count > 0 && _starts[^1].FromMs == timeMs)
                _starts[^1] = (timeMs, startMs);
            else
                _starts.Add((timeMs, startMs));
            return;
        }
        long before = StartAt(timeMs);
        if (before == startMs)
            return;
        int at = _starts.FindIndex(s => s.FromMs > timeMs);
        if (_starts[at].FromMs != timeMs + 1)
            _starts.Insert(at, (timeMs + 1, before));
        if (at > 0 && _starts[at - 1].FromMs == timeMs)
            _starts[at - 1] = (timeMs, startMs);
        else
            _starts.Insert(at, (timeMs, startMs));
    }

    /// <summary>Keeps an exemplar; one that its source keeps showing without a time of its own is kept once. False: it is known.</summary>
    public bool AddExemplar(Exemplar exemplar, int limit, bool timeIsOfTick = false)
    {
        _exemplars ??= [];
        if (timeIsOfTick && _exemplars.Count > 0 && _exemplars[^1].Labels.Equals(exemplar.Labels) && _exemplars[^1].Value.Equals(exemplar.Value))
            return false;
        // Also further back: what a saved head holds may be replayed on top of it.
        if (_exemplars.Contains(exemplar))
            return false;
        if (_exemplars.Count >= limit)
            _exemplars.RemoveAt(0);
        _exemplars.Add(exemplar);
        return true;
    }

    public void Read(long fromMs, long toMs, SampleGather into)
    {
        if (_lateCount > 0 && _lateTimes[0] <= toMs && _lateTimes[_lateCount - 1] >= fromMs)
        {
            into.Extend(_lateCount, out Span<long> times, out Span<double> values);
            _lateTimes.AsSpan(0, _lateCount).CopyTo(times);
            _lateValues.AsSpan(0, _lateCount).CopyTo(values);
            into.Close(_lateCount, fromMs, toMs);
        }
        if (_freshCount > 0 && _freshTimes[0] <= toMs && _freshTimes[_freshCount - 1] >= fromMs)
        {
            into.Extend(_freshCount, out Span<long> times, out Span<double> values);
            _freshTimes.AsSpan(0, _freshCount).CopyTo(times);
            _freshValues.AsSpan(0, _freshCount).CopyTo(values);
            into.Close(_freshCount, fromMs, toMs);
        }
        if (_histograms is not null)
        {
            foreach ((long time, NativeHistogram histogram) in _histograms)
            {
                if (time >= fromMs && time <= toMs)
                    into.Add(time, histogram);
            }
        }
        if (_starts is not null)
            into.AddStarts(_starts);
    }

    /// <summary>Drops what lies before a time, but for partitions of its series that stay; returns how many late samples that were.</summary>
    public int DropBefore(long timeMs, HeadSeries series, TouchedPartitions? touched)
    {
        if (_freshCount > 0)
            MergeFresh();
        bool Goes(long time) => time < timeMs && touched?.Has(series, time) != true;
        int kept = 0;
        for (int i = 0; i < _lateCount; i++)
        {
            if (Goes(_lateTimes[i]))
                continue;
            _lateTimes[kept] = _lateTimes[i];
            _lateValues[kept++] = _lateValues[i];
        }
        int dropped = _lateCount - kept;
        _lateCount = kept;
        if (_lateCount == 0)
            (_lateTimes, _lateValues) = ([], []);
        if (_histograms is not null && _histograms.RemoveAll(h => Goes(h.TimeMs)) > 0 && _histograms.Count == 0)
            _histograms = null;
        if (_starts is not null)
            DropStarts(Math.Min(timeMs, series.OldestMs));
        return dropped;
    }

    private void DropStarts(long beforeMs)
    {
        int last = _starts!.FindLastIndex(s => s.FromMs <= beforeMs);
        if (last > 0)
            _starts.RemoveRange(0, last);
        if (_starts.Count == 1 && _starts[0].StartMs == 0)
            _starts = null;
    }

    public long FirstAtOrAfter(long timeMs)
    {
        int late = _lateTimes.AsSpan(0, _lateCount).BinarySearch(timeMs);
        late = late < 0 ? ~late : late;
        int fresh = _freshTimes.AsSpan(0, _freshCount).BinarySearch(timeMs);
        fresh = fresh < 0 ? ~fresh : fresh;
        long first = Math.Min(late < _lateCount ? _lateTimes[late] : long.MaxValue, fresh < _freshCount ? _freshTimes[fresh] : long.MaxValue);
        int at = _histograms is null ? 0 : FindHistogram(timeMs);
        return _histograms is not null && at < _histograms.Count ? Math.Min(first, _histograms[at].TimeMs) : first;
    }

    private long StartAt(long timeMs)
    {
        int at = _starts!.FindLastIndex(s => s.FromMs <= timeMs);
        return at < 0 ? 0 : _starts[at].StartMs;
    }

    private int FindHistogram(long timeMs)
    {
        int low = 0, high = _histograms!.Count;
        while (low < high)
        {
            int mid = (low + high) >>> 1;
            if (_histograms[mid].TimeMs < timeMs)
                low = mid + 1;
            else
                high = mid;
        }
        return low;
    }
}
