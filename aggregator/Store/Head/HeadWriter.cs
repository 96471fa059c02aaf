using Bellwether.Core.Model;

namespace Bellwether.Store.Head;

/// <summary>A sample of an agent that is too far ahead of our clock: kept until its time comes.</summary>
internal readonly record struct HeldSample(Labels Labels, long TimeMs, double Value, NativeHistogram? Histogram, long StartMs);

/// <summary>The one way into the head: bounds of time, limits of series, outcomes. Used under the head's write lock by the writer thread.</summary>
internal sealed class HeadWriter
{
    private readonly StoreOptions _options;
    private readonly long _slotMs;
    private readonly long _retentionMs;
    private readonly long _futureMs;

    public HeadWriter(StoreOptions options, HeadIndex index)
    {
        _options = options;
        Index = index;
        _slotMs = (long)options.Partition.TotalMilliseconds;
        _retentionMs = (long)options.Retention.TotalMilliseconds;
        _futureMs = (long)options.FutureBound.TotalMilliseconds;
        HeldMax = options.MaxHeldSamples;
    }

    public HeadIndex Index { get; }

    public HeadPools Pools { get; } = new();

    public Dictionary<string, MetricMetadata> Metadata { get; } = [];

    /// <summary>Samples ahead of our clock.</summary>
    public List<HeldSample> Held { get; } = [];

    public int HeldMax { get; }

    /// <summary>Samples ahead of our clock that were dropped because <see cref="HeldMax"/> are kept already, since the store was opened.</summary>
    public long HeldDropped { get; private set; }

    /// <summary>Samples by outcome since the store was opened.</summary>
    public long[] Outcomes { get; } = new long[Enum.GetValues<AppendOutcome>().Length];

    /// <summary>Samples so far that age, a limit or their form kept out.</summary>
    public long KeptOut => Outcomes[(int)AppendOutcome.TooOld] + Outcomes[(int)AppendOutcome.TooNew] + Outcomes[(int)AppendOutcome.OverLimit] + Outcomes[(int)AppendOutcome.Invalid];

    /// <summary>Unix ms; set before each record or batch.</summary>
    public long NowMs { get; set; }

    /// <summary>Unix ms by the clock of age; set with <see cref="NowMs"/>.</summary>
    public long AgeNowMs { get; set; }

    /// <summary>During replay: samples before it stand in chunk files and are skipped. Else <see cref="long.MinValue"/>.</summary>
    public long SkipBeforeMs { get; set; } = long.MinValue;

    /// <summary>During replay: samples ahead of the clock are held already.</summary>
    public bool IsHoldingOff { get; set; }

    /// <summary>Newest sample ever appended, Unix ms.</summary>
    public long NewestMs { get; private set; } = long.MinValue;

    /// <summary>Newest sample since the last <see cref="TakeNewest"/>: what a log file holds.</summary>
    private long _newestOfFrame = long.MinValue;

    /// <summary>Whether a time may be stored now.</summary>
    public AppendOutcome Judge(long timeMs) =>
        timeMs > NowMs + _futureMs ? AppendOutcome.TooNew : timeMs < AgeNowMs - _retentionMs ? AppendOutcome.TooOld : AppendOutcome.Stored;

    /// <summary>The newest time stored since the last call.</summary>
    public long TakeNewest()
    {
        long newest = _newestOfFrame;
        _newestOfFrame = long.MinValue;
        return newest;
    }

    /// <summary>The series of a label set; null with the outcome when a limit stands against a new one.</summary>
    public HeadSeries? Resolve(Labels labels, out AppendOutcome refused, out string? error)
    {
        refused = AppendOutcome.Stored;
        error = null;
        if (Index.TryGet(labels, out HeadSeries? series))
            return series;
        error = Check(labels);
        if (error is not null)
        {
            refused = labels.Count == 0 ? AppendOutcome.Invalid : AppendOutcome.OverLimit;
            return null;
        }
        return Index.Add(labels);
    }

    /// <summary>What was newly stored since the last commit, for the tap; null: nobody listens.</summary>
    public List<SeriesSample>? Tapped { get; set; }

    /// <summary>Appends a float whose time was judged.</summary>
    public AppendOutcome Append(HeadSeries series, long timeMs, double value, long startMs)
    {
        AppendOutcome outcome = series.Append(timeMs, value, _slotMs, Pools);
        series.SetStart(timeMs, startMs);
        if (Tapped is not null && outcome == AppendOutcome.Stored)
            Tapped.Add(new SeriesSample(series.Labels, timeMs, value, null, startMs));
        return Count(timeMs, outcome);
    }

    /// <summary>Appends a histogram whose time was judged.</summary>
    public AppendOutcome Append(HeadSeries series, long timeMs, NativeHistogram histogram, long startMs)
    {
        if (!IsValid(histogram))
            return Count(AppendOutcome.Invalid);
        if (histogram.PositiveBuckets.Length + histogram.NegativeBuckets.Length > _options.MaxHistogramBuckets)
            return Count(AppendOutcome.OverLimit);
        AppendOutcome outcome = series.Append(timeMs, histogram);
        series.SetStart(timeMs, startMs);
        if (Tapped is not null && outcome == AppendOutcome.Stored)
            Tapped.Add(new SeriesSample(series.Labels, timeMs, 0, histogram, startMs));
        return Count(timeMs, outcome);
    }

    /// <summary>During replay: a sample that stands in a chunk file already, told all the same since the tap may not hold it.</summary>
    public void TellCovered(Labels labels, long timeMs, double value, NativeHistogram? histogram, long startMs) =>
        Tapped?.Add(new SeriesSample(labels, timeMs, value, histogram, startMs));

    /// <summary>Counts an outcome that came before the head was asked.</summary>
    public AppendOutcome Count(AppendOutcome outcome)
    {
        Outcomes[(int)outcome]++;
        return outcome;
    }

    /// <summary>Counts many.</summary>
    public void Count(AppendOutcome outcome, int samples) => Outcomes[(int)outcome] += samples;

    /// <summary>Keeps a sample that is ahead of our clock; false when there are too many.</summary>
    public bool Hold(HeldSample sample)
    {
        if (IsHoldingOff)
            return true;
        if (Held.Count >= HeldMax)
        {
            Count(AppendOutcome.TooNew);
            HeldDropped++;
            return false;
        }
        Held.Add(sample);
        return true;
    }

    public void Describe(string family, MetricMetadata metadata)
    {
        if (Metadata.Count < _options.MaxMetadataFamilies || Metadata.ContainsKey(family))
            Metadata[family] = metadata;
    }

    public void Add(HeadSeries series, Exemplar exemplar) => series.Add(exemplar, _options.MaxExemplarsPerSeries);

    /// <summary>Keeps an exemplar of a tick; without a time of its own it has the tick's, as in Prometheus.</summary>
    public void Add(HeadSeries series, Exemplar exemplar, long tickMs) =>
        series.Add(exemplar.TimestampMs is null ? exemplar with { TimestampMs = tickMs } : exemplar, _options.MaxExemplarsPerSeries, timeIsOfTick: exemplar.TimestampMs is null);

    /// <summary>Whether bucket counts fit the spans.</summary>
    public static bool IsValid(NativeHistogram histogram) =>
        Fits(histogram.PositiveSpans, histogram.PositiveBuckets) && Fits(histogram.NegativeSpans, histogram.NegativeBuckets);

    private static bool Fits(BucketSpan[] spans, double[] buckets)
    {
        long sum = 0;
        foreach (BucketSpan span in spans)
        {
            if (span.Length < 0)
                return false;
            sum += span.Length;
        }
        return sum == buckets.Length;
    }

    private AppendOutcome Count(long timeMs, AppendOutcome outcome)
    {
        Outcomes[(int)outcome]++;
        NewestMs = Math.Max(NewestMs, timeMs);
        _newestOfFrame = Math.Max(_newestOfFrame, timeMs);
        return outcome;
    }

    private string? Check(Labels labels)
    {
        if (labels.Count == 0)
            return "a series has no labels at all";
        if (Index.Count >= _options.MaxSeries)
            return $"{labels}: the store holds {Index.Count} series already, the limit is {_options.MaxSeries}";
        if (labels.Count > _options.MaxLabels)
            return $"{labels.MetricName}: {labels.Count} labels, the limit is {_options.MaxLabels}";
        foreach (ref readonly Label label in labels.AsSpan())
        {
            if (label.Name.Length > _options.MaxLabelNameLength)
                return $"{labels.MetricName}: a label name has {label.Name.Length} characters, the limit is {_options.MaxLabelNameLength}";
            if (label.Value.Length > _options.MaxLabelValueLength)
                return $"{labels.MetricName}: label {label.Name} has {label.Value.Length} characters, the limit is {_options.MaxLabelValueLength}";
        }
        return null;
    }
}
