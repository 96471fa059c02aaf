namespace Bellwether.Core.Model;

/// <summary>
/// Samples of one series in time order, as columns. A buffer is reused: what it holds is valid until the next read into it.
/// </summary>
public sealed class SampleBuffer
{
    private long[] _times = new long[128];
    private double[] _values = new double[128];
    private NativeHistogram?[]? _histograms;
    private long[]? _starts;

    /// <summary>Number of samples.</summary>
    public int Count { get; private set; }

    /// <summary>Samples that it has room for without growing.</summary>
    public int Capacity => _times.Length;

    /// <summary>Unix ms, strictly ascending.</summary>
    public ReadOnlySpan<long> Times => _times.AsSpan(0, Count);

    /// <summary>Values. Where <see cref="HistogramAt"/> is not null the value is meaningless (0).</summary>
    public ReadOnlySpan<double> Values => _values.AsSpan(0, Count);

    /// <summary>Whether any sample is a native histogram.</summary>
    public bool HasHistograms => _histograms is not null;

    /// <summary>Whether any sample has a start timestamp.</summary>
    public bool HasStartTimes => _starts is not null;

    /// <summary>The native histogram at an index, or null for a float.</summary>
    public NativeHistogram? HistogramAt(int index) => _histograms?[index];

    /// <summary>The native histograms, null where there is a float; empty when there are floats only.</summary>
    public ReadOnlySpan<NativeHistogram?> Histograms => _histograms is null ? [] : _histograms.AsSpan(0, Count);

    /// <summary>The start timestamp (Unix ms) of the counter at an index; 0: unknown.</summary>
    public long StartTimeAt(int index) => _starts is null ? 0 : _starts[index];

    /// <summary>Empties it, keeping the memory.</summary>
    public void Clear()
    {
        Count = 0;
        _histograms = null;
        _starts = null;
    }

    /// <summary>Adds a float sample; time must be later than the last.</summary>
    public void Add(long timeMs, double value)
    {
        if (Count == _times.Length)
            Grow();
        _times[Count] = timeMs;
        _values[Count] = value;
        Count++;
    }

    /// <summary>Adds a float sample with its start timestamp (0: unknown).</summary>
    public void Add(long timeMs, double value, long startMs)
    {
        Add(timeMs, value);
        SetStart(startMs);
    }

    /// <summary>Adds a native histogram with its start timestamp (0: unknown).</summary>
    public void Add(long timeMs, NativeHistogram histogram, long startMs = 0)
    {
        Add(timeMs, 0);
        _histograms ??= new NativeHistogram?[_times.Length];
        _histograms[Count - 1] = histogram;
        SetStart(startMs);
    }

    /// <summary>Makes room for <paramref name="count"/> float samples and gives their columns to fill; they count at once.</summary>
    public void Extend(int count, out Span<long> times, out Span<double> values)
    {
        while (Count + count > _times.Length)
            Grow();
        times = _times.AsSpan(Count, count);
        values = _values.AsSpan(Count, count);
        Count += count;
    }

    /// <summary>
    /// Takes over columns of float samples in place of its content, and gives its own columns for them: so that what was put in order elsewhere is not copied. The columns are of one
    /// length; the first <paramref name="count"/> entries count.
    /// </summary>
    public void Exchange(ref long[] times, ref double[] values, int count)
    {
        Clear();
        (_times, times) = (times, _times);
        (_values, values) = (values, _values);
        Count = count;
    }

    /// <summary>Drops all samples from an index on.</summary>
    public void Truncate(int count) => Count = Math.Min(Count, count);

    private void SetStart(long startMs)
    {
        if (startMs != 0)
            _starts ??= new long[_times.Length];
        if (_starts is not null)
            _starts[Count - 1] = startMs;
    }

    private void Grow()
    {
        int size = _times.Length * 2;
        Array.Resize(ref _times, size);
        Array.Resize(ref _values, size);
        if (_histograms is not null)
            Array.Resize(ref _histograms, size);
        if (_starts is not null)
            Array.Resize(ref _starts, size);
    }
}
