using System.Runtime.InteropServices;
using Bellwether.Core.Model;

namespace Bellwether.Evaluate.PromQl.Evaluation;

/// <summary>The times at which an expression is evaluated: start, start + step, ... <paramref name="Count"/> times.</summary>
internal readonly record struct Grid(long StartMs, long StepMs, int Count)
{
    public long At(int i) => StartMs + i * StepMs;

    public long EndMs => At(Count - 1);
}

/// <summary>
/// One series as a column over the grid. "No point at this step" is the stale marker's bits: no evaluated value has them, because stale samples end in
/// the selector and arithmetic quiets the NaN.
/// </summary>
internal sealed class EvalSeries
{
    public EvalSeries(Labels labels, int count)
    {
        Labels = labels;
        // All of it is filled at once: no need for zeros.
        Values = GC.AllocateUninitializedArray<double>(count);
        Array.Fill(Values, SpecialValues.StaleMarker);
    }

    public EvalSeries(Labels labels, bool dropName, double[] values, NativeHistogram?[]? histograms)
    {
        Labels = labels;
        DropName = dropName;
        Values = values;
        Histograms = histograms;
    }

    public Labels Labels { get; set; }

    /// <summary>Whether the metric name goes at the end of the query (delayed name removal).</summary>
    public bool DropName { get; set; }

    public double[] Values { get; }

    public NativeHistogram?[]? Histograms { get; private set; }

    public bool Has(int i) => !SpecialValues.IsStale(Values[i]);

    public NativeHistogram? HistogramAt(int i) => Histograms?[i];

    public void Set(int i, double value, NativeHistogram? histogram = null)
    {
        if (histogram is null)
        {
            Values[i] = value;
            return;
        }
        Histograms ??= new NativeHistogram?[Values.Length];
        Histograms[i] = histogram;
        Values[i] = 0;
    }

    public void Clear(int i)
    {
        Values[i] = SpecialValues.StaleMarker;
        if (Histograms is not null)
            Histograms[i] = null;
    }

    /// <summary>What it counts for the limits: its steps, and its histograms by their size.</summary>
    public long Samples => Values.Length + (Histograms is null ? 0 : SampleWeight.Of(Histograms));

    public bool IsEmpty
    {
        get
        {
            foreach (double value in Values)
            {
                if (!SpecialValues.IsStale(value))
                    return false;
            }
            return true;
        }
    }
}

/// <summary>What an expression evaluated to, over the whole grid.</summary>
internal sealed class EvalValue
{
    public ValueType Type { get; init; }

    public List<EvalSeries> Series { get; init; } = [];

    public double[] Scalars { get; init; } = [];

    public string Text { get; init; } = "";

    /// <summary>What it counts for the limits.</summary>
    public long Samples
    {
        get
        {
            long samples = Scalars.Length;
            foreach (EvalSeries series in Series)
                samples += series.Samples;
            return samples;
        }
    }

    public static EvalValue OfSeries(List<EvalSeries> series) => new() { Type = ValueType.Vector, Series = series };

    public static EvalValue OfScalars(double[] scalars) => new() { Type = ValueType.Scalar, Scalars = scalars };
}

/// <summary>Samples of one series as columns, floats and histograms apart, stale markers left out: what range functions slide their window over.</summary>
internal sealed class RangeSeries
{
    public required Labels Labels { get; init; }

    public bool DropName { get; init; }

    public List<long> FloatTimes { get; } = [];

    public List<double> Floats { get; } = [];

    public List<long> FloatStarts { get; } = [];

    public List<long> HistogramTimes { get; } = [];

    public List<NativeHistogram> Histograms { get; } = [];

    public List<long> HistogramStarts { get; } = [];

    /// <summary>Slots with floats of which the samples are not kept, in time order; none of its samples lies within one, unless only those that are known are asked for.</summary>
    public List<CoarseSlot> Slots { get; } = [];

    public int Count => Floats.Count + Histograms.Count;

    /// <summary>What it counts for the limits: its samples, and its histograms by their size.</summary>
    public long Samples => Count + Slots.Count + SampleWeight.Of(CollectionsMarshal.AsSpan<NativeHistogram?>(Histograms!));
}

/// <summary>The samples of one series within (<see cref="StartMs"/>, <see cref="EndMs"/>].</summary>
internal readonly ref struct Window
{
    public required ReadOnlySpan<long> FloatTimes { get; init; }

    public required ReadOnlySpan<double> Floats { get; init; }

    public required ReadOnlySpan<long> FloatStarts { get; init; }

    public required ReadOnlySpan<long> HistogramTimes { get; init; }

    public required ReadOnlySpan<NativeHistogram> Histograms { get; init; }

    public required ReadOnlySpan<long> HistogramStarts { get; init; }

    public required long StartMs { get; init; }

    public required long EndMs { get; init; }

    public int Count => Floats.Length + Histograms.Length;
}
