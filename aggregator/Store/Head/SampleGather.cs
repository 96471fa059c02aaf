using Bellwether.Core.Model;

namespace Bellwether.Store.Head;

/// <summary>
/// Collects the samples of one series from several sources (chunk files, blocks of the head, late samples) and puts them in order, one per time.
/// Sources that follow each other in time are only copied. Reused; not thread-safe.
/// </summary>
internal sealed class SampleGather
{
    private long[] _times = new long[256];
    private double[] _values = new double[256];
    private NativeHistogram?[]? _histograms;
    private long[]? _starts;
    private int _count;
    private int _sourceFrom;
    private bool _sorted = true;

    // For putting in order only.
    private readonly List<int> _runs = [];
    private int[] _order = [], _otherOrder = [];
    private long[] _otherTimes = [];
    private double[] _otherValues = [];
    private readonly (SealedTimes? Of, long[] Times)[] _held = new (SealedTimes?, long[])[HeldTimes];
    private int _nextHeld;

    // A selection reaches over a few blocks of the head, whose times its series share.
    private const int HeldTimes = 8;

    /// <summary>Samples that it may have room for and still be kept for the next selection.</summary>
    private const int MaxKept = 1 << 17;

    /// <summary>Empties it for another selection, without what only some series need. False: it has grown too large to be kept.</summary>
    public bool TryForget()
    {
        Begin();
        (_histograms, _starts) = (null, null);
        return _times.Length <= MaxKept && _values.Length <= MaxKept && _otherTimes.Length <= MaxKept && _order.Length <= MaxKept;
    }

    /// <summary>Empties it.</summary>
    public void Begin()
    {
        if (_histograms is not null)
            Array.Clear(_histograms);
        if (_starts is not null)
            Array.Clear(_starts);
        _count = 0;
        _sourceFrom = 0;
        _sorted = true;
        HasHistograms = false;
        HasStarts = false;
    }

    /// <summary>What is added from here on belongs to one source (<see cref="AddStarts"/>).</summary>
    public void BeginSource() => _sourceFrom = _count;

    public bool HasHistograms { get; private set; }

    public bool HasStarts { get; private set; }

    public int Count => _count;

    /// <summary>Valid after <see cref="Resolve"/>.</summary>
    public ReadOnlySpan<long> Times => _times.AsSpan(0, _count);

    /// <summary>Valid after <see cref="Resolve"/>.</summary>
    public ReadOnlySpan<double> Values => _values.AsSpan(0, _count);

    public NativeHistogram? HistogramAt(int index) => HasHistograms ? _histograms![index] : null;

    public long StartAt(int index) => HasStarts ? _starts![index] : 0;

    /// <summary>Room for samples in time order; they count once <see cref="Close"/> is called.</summary>
    public void Extend(int count, out Span<long> times, out Span<double> values)
    {
        EnsureRoom(count);
        times = _times.AsSpan(_count, count);
        values = _values.AsSpan(_count, count);
    }

    /// <summary>Decodes times that series share: once for those that are read one after the other.</summary>
    public void CopyTimes(SealedTimes of, Span<long> into)
    {
        foreach (ref readonly (SealedTimes? Of, long[] Times) held in _held.AsSpan())
        {
            if (!ReferenceEquals(held.Of, of))
                continue;
            held.Times.AsSpan(0, of.Count).CopyTo(into);
            return;
        }
        of.Decode(into);
        ref (SealedTimes? Of, long[] Times) next = ref _held[_nextHeld];
        _nextHeld = (_nextHeld + 1) % HeldTimes;
        if (next.Times is null || next.Times.Length < of.Count)
            next.Times = new long[Math.Max(of.Count, SealedTimes.MaxCount)];
        into.CopyTo(next.Times);
        next.Of = of;
    }

    /// <summary>Takes those of the extension that lie in the range.</summary>
    public void Close(int count, long fromMs, long toMs)
    {
        Span<long> times = _times.AsSpan(_count, count);
        int first = 0, last = count;
        if (times[0] < fromMs)
        {
            first = times.BinarySearch(fromMs);
            first = first < 0 ? ~first : first;
        }
        if (times[count - 1] > toMs)
        {
            last = times.BinarySearch(toMs);
            last = last < 0 ? ~last : last + 1;
        }
        if (last <= first)
            return;
        if (first > 0)
        {
            times[first..last].CopyTo(times);
            Span<double> values = _values.AsSpan(_count, count);
            values[first..last].CopyTo(values);
        }
        _sorted &= _count == 0 || times[0] > _times[_count - 1];
        _count += last - first;
    }

    public void Add(long timeMs, NativeHistogram histogram)
    {
        EnsureRoom(1);
        _histograms ??= new NativeHistogram?[_times.Length];
        HasHistograms = true;
        _sorted &= _count == 0 || timeMs > _times[_count - 1];
        _times[_count] = timeMs;
        _values[_count] = 0;
        _histograms[_count++] = histogram;
    }

    public void Add(long timeMs, double value)
    {
        Extend(1, out Span<long> times, out Span<double> values);
        times[0] = timeMs;
        values[0] = value;
        if (HasHistograms)
            _histograms![_count] = null;
        _sorted &= _count == 0 || timeMs > _times[_count - 1];
        _count++;
    }

    /// <summary>Start times of the samples of this source: each holds from its first time on.</summary>
    public void AddStarts(IReadOnlyList<(long FromMs, long StartMs)> starts)
    {
        _starts ??= new long[_times.Length];
        HasStarts = true;
        for (int i = _sourceFrom; i < _count; i++)
        {
            int at = starts.Count - 1;
            while (at >= 0 && starts[at].FromMs > _times[i])
                at--;
            _starts[i] = at < 0 ? 0 : starts[at].StartMs;
        }
    }

    /// <summary>Puts everything in order, one sample per time. Returns how many were dropped because another won or was the same.</summary>
    public int Resolve()
    {
        if (_sorted || _count == 0)
            return 0;
        int[] order = MergeRuns();
        if (_otherTimes.Length < _count || _otherValues.Length != _otherTimes.Length)
            (_otherTimes, _otherValues) = (new long[_times.Length], new double[_times.Length]);
        (long[] times, double[] values) = (_otherTimes, _otherValues);
        NativeHistogram?[]? histograms = HasHistograms ? new NativeHistogram?[times.Length] : null;
        long[]? starts = HasStarts ? new long[times.Length] : null;
        int kept = 0;
        for (int i = 0; i < _count; i++)
        {
            int from = order[i];
            bool same = kept > 0 && _times[from] == times[kept - 1];
            NativeHistogram? histogram = HasHistograms ? _histograms![from] : null;
            if (same && !Wins(_values[from], histogram, values[kept - 1], histograms?[kept - 1]))
            {
                if (starts is not null)
                    starts[kept - 1] = Math.Max(starts[kept - 1], _starts![from]);
                continue;
            }
            int at = same ? kept - 1 : kept++;
            times[at] = _times[from];
            values[at] = _values[from];
            if (histograms is not null)
                histograms[at] = histogram;
            if (starts is not null)
                starts[at] = same ? Math.Max(starts[at], _starts![from]) : _starts![from];
        }
        (_otherTimes, _otherValues) = (_times, _values);
        (_times, _values) = (times, values);
        // Of an earlier series they may be shorter than the columns are now.
        _histograms = histograms;
        _starts = starts;
        int dropped = _count - kept;
        _count = kept;
        _sorted = true;
        return dropped;
    }

    // The places of the samples by time: each source is in order, so that few runs are merged, two by two.
    private int[] MergeRuns()
    {
        if (_order.Length < _count)
            (_order, _otherOrder) = (new int[_times.Length], new int[_times.Length]);
        _runs.Clear();
        for (int i = 0; i < _count; i++)
        {
            _order[i] = i;
            if (i == 0 || _times[i] <= _times[i - 1])
                _runs.Add(i);
        }
        while (_runs.Count > 1)
        {
            int kept = 0;
            for (int r = 0; r < _runs.Count; r += 2)
            {
                int from = _runs[r], middle = r + 1 < _runs.Count ? _runs[r + 1] : _count, to = r + 2 < _runs.Count ? _runs[r + 2] : _count;
                Merge(_order.AsSpan(from, middle - from), _order.AsSpan(middle, to - middle), _otherOrder.AsSpan(from, to - from));
                _runs[kept++] = from;
            }
            _runs.RemoveRange(kept, _runs.Count - kept);
            (_order, _otherOrder) = (_otherOrder, _order);
        }
        return _order;
    }

    private void Merge(ReadOnlySpan<int> left, ReadOnlySpan<int> right, Span<int> into)
    {
        int l = 0, r = 0, at = 0;
        while (l < left.Length && r < right.Length)
            into[at++] = _times[left[l]] <= _times[right[r]] ? left[l++] : right[r++];
        left[l..].CopyTo(into[at..]);
        right[r..].CopyTo(into[(at + left.Length - l)..]);
    }

    /// <summary>Adds what was resolved from an index on and before a time to another collection; returns the index behind it.</summary>
    public int CopyUntil(long endMs, int from, SampleGather into)
    {
        into.BeginSource();
        int at = from;
        var starts = new List<(long FromMs, long StartMs)>();
        for (; at < _count && _times[at] < endMs; at++)
        {
            if (HistogramAt(at) is { } histogram)
                into.Add(_times[at], histogram);
            else
                into.Add(_times[at], _values[at]);
            if (HasStarts && (starts.Count == 0 || starts[^1].StartMs != _starts![at]))
                starts.Add((_times[at], _starts![at]));
        }
        if (starts.Exists(static s => s.StartMs != 0))
            into.AddStarts(starts);
        return at;
    }

    /// <summary>Fills a buffer with what was resolved, and is empty after that.</summary>
    public void CopyTo(SampleBuffer buffer)
    {
        buffer.Clear();
        if (!HasHistograms && !HasStarts)
        {
            // The columns that come back fit only without the rare ones beside them.
            if (_histograms is null && _starts is null && _times.Length == _values.Length)
            {
                buffer.Exchange(ref _times, ref _values, _count);
                _count = 0;
                return;
            }
            buffer.Extend(_count, out Span<long> times, out Span<double> values);
            _times.AsSpan(0, _count).CopyTo(times);
            _values.AsSpan(0, _count).CopyTo(values);
            return;
        }
        for (int i = 0; i < _count; i++)
        {
            if (HistogramAt(i) is { } histogram)
                buffer.Add(_times[i], histogram, StartAt(i));
            else
                buffer.Add(_times[i], _values[i], StartAt(i));
        }
    }

    // A real histogram stands against a float, a stale one or a float against a stale marker; the rest as SampleRule says.
    private static bool Wins(double a, NativeHistogram? left, double b, NativeHistogram? right)
    {
        if (left is not null && right is not null)
            return HistogramCodec.Compare(left, right) > 0;
        if (left is null && right is null)
            return SampleRule.Wins(a, b);
        return left is not null ? !left.IsStale || SpecialValues.IsStale(b) : right!.IsStale && !SpecialValues.IsStale(a);
    }

    private void EnsureRoom(int more)
    {
        int need = _count + more;
        if (need <= _times.Length)
            return;
        int size = Math.Max(need, _times.Length * 2);
        Array.Resize(ref _times, size);
        Array.Resize(ref _values, size);
        if (_histograms is not null)
            Array.Resize(ref _histograms, size);
        if (_starts is not null)
            Array.Resize(ref _starts, size);
    }
}
