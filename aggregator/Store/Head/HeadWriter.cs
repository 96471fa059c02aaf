using Bellwether.Core.Model;

namespace Bellwether.Store.Head;

/// <summary>
/// A sample of an agent that is too far ahead of our clock: kept until its time comes. Limits on series judge it then only, and the log does not say so: a sample that they keep out then
/// is stored after all when its record is replayed, until a checkpoint covers the record.
/// </summary>
/// <param name="Labels">Its series.</param>
/// <param name="TimeMs">Unix ms.</param>
/// <param name="Value">The value, when it is a float.</param>
/// <param name="Histogram">The value, when it is none.</param>
/// <param name="StartMs">Its start time; 0: none.</param>
/// <param name="Agent">Whose it is; empty behind a start that found it in a checkpoint.</param>
internal readonly record struct HeldSample(Labels Labels, long TimeMs, double Value, NativeHistogram? Histogram, long StartMs, string Agent);

/// <summary>What keeps a new series out.</summary>
internal enum SeriesLimit
{
    /// <summary>Series in memory.</summary>
    Series,
    /// <summary>Series in memory of one job.</summary>
    SeriesPerJob,
    /// <summary>Series in memory that one agent brought.</summary>
    SeriesPerAgent,
    /// <summary>Number or length of its labels.</summary>
    Labels,
}

/// <summary>What is to be done with a sample.</summary>
internal enum Placing
{
    /// <summary>It goes into the head.</summary>
    Store,
    /// <summary>It waits for its time.</summary>
    Hold,
    /// <summary>It is kept out.</summary>
    Refuse,
}

/// <summary>The one way into the head: bounds of time, limits of series, outcomes. Used under the head's write lock by the writer thread.</summary>
internal sealed class HeadWriter
{
    public const string JobLabel = "job";
    private const int UntoldMax = 256;
    private readonly StoreOptions _options;
    private readonly long _slotMs;
    private long _retentionMs;
    private readonly long _futureMs;
    private readonly long _hopelessMs;
    private HashSet<(Labels Labels, long TimeMs)>? _heldInCheckpoint;

    public HeadWriter(StoreOptions options, HeadIndex index)
    {
        _options = options;
        Index = index;
        _slotMs = (long)options.Partition.TotalMilliseconds;
        // What the log holds was young enough when it came, and goes into slots with the rest.
        _retentionMs = (long)options.LongestRetention.TotalMilliseconds;
        _futureMs = (long)options.FutureBound.TotalMilliseconds;
        _hopelessMs = (long)options.HopelessAhead.TotalMilliseconds;
        HeldMax = options.MaxHeldSamples;
    }

    public HeadIndex Index { get; }

    public HeadPools Pools { get; } = new();

    public Dictionary<string, MetricMetadata> Metadata { get; } = [];

    /// <summary>Samples ahead of our clock.</summary>
    public List<HeldSample> Held { get; } = [];

    public int HeldMax { get; }

    /// <summary>Nothing more that is ahead is taken, so that nothing of it need be dropped. One tick may go beyond the bound.</summary>
    public bool IsHoldFull => Held.Count >= HeldMax;

    /// <summary>Samples ahead of our clock that were dropped for good, since the store was opened.</summary>
    public long HeldDropped { get; private set; }

    /// <summary>Samples by outcome since the store was opened.</summary>
    public long[] Outcomes { get; } = new long[Enum.GetValues<AppendOutcome>().Length];

    /// <summary>How often a limit kept a new series out, by limit, since the store was opened. A series of an agent counts once per segment, others once per sample.</summary>
    public long[] SeriesRefused { get; } = new long[Enum.GetValues<SeriesLimit>().Length];

    /// <summary>Refusals of <see cref="SeriesRefused"/> that no log line told yet: by limit and by whose it is (agent, job, metric), how many and the first one's reason.</summary>
    public Dictionary<(SeriesLimit Limit, string Of), (long Count, string First)> UntoldRefusals { get; } = [];

    /// <summary>Samples so far that age, a limit or their form kept out.</summary>
    public long KeptOut => Outcomes[(int)AppendOutcome.TooOld] + Outcomes[(int)AppendOutcome.TooNew] + Outcomes[(int)AppendOutcome.OverLimit] + Outcomes[(int)AppendOutcome.Invalid];

    /// <summary>Unix ms; set before each record or batch.</summary>
    public long NowMs { get; set; }

    /// <summary>Unix ms by the clock of age; set with <see cref="NowMs"/>.</summary>
    public long AgeNowMs { get; set; }

    /// <summary>During replay: samples before it stand in chunk files and are skipped. Else <see cref="long.MinValue"/>.</summary>
    public long SkipBeforeMs { get; set; } = long.MinValue;

    /// <summary>Up to this time nothing is taken, however young: samples up to it became slots of a coarser resolution.</summary>
    public long ClosedMs { get; set; } = long.MinValue;

    /// <summary>During replay nothing is refused for being ahead: it was acknowledged, and the clock may have gone back since.</summary>
    public bool IsReplaying { get; set; }

    /// <summary>During replay: what is asked for was taken when it came. Limits stand against nothing, and what is ahead of the clock waits.</summary>
    public bool IsDecided { get; set; }

    /// <summary>During replay: what is ahead of the clock may stand among the held samples of the checkpoint.</summary>
    public bool MayBeHeld { get; set; }

    /// <summary>Partitions before it have been cut into chunk files.</summary>
    public long BoundaryMs { get; set; } = long.MinValue;

    /// <summary>Samples since the last cut that belong into partitions before <see cref="BoundaryMs"/>: late ones, and history that is loaded in order.</summary>
    public long BehindBoundary { get; set; }

    /// <summary>The cut under way: what comes for partitions that it writes is noted there. Null: none.</summary>
    public CutJob? Cut { get; set; }

    /// <summary>How far back changes reach; whoever removes samples notes it, too.</summary>
    public ChangeLog Changes { get; } = new();

    /// <summary>Newest sample ever appended, Unix ms.</summary>
    public long NewestMs { get; private set; } = long.MinValue;

    /// <summary>Time of the oldest sample in memory, or <see cref="long.MaxValue"/>. Under the head's lock.</summary>
    public long OldestMs => Math.Min(_oldestBefore, _oldestSince);

    // Of what memory held when a cut was begun last, less what it dropped; and of what came since.
    private long _oldestBefore = long.MaxValue;
    private long _oldestSince = long.MaxValue;

    /// <summary>A cut begins: it will look at every series that is there now.</summary>
    public void CutBegins() => (_oldestBefore, _oldestSince) = (OldestMs, long.MaxValue);

    /// <summary>A cut has dropped what it wrote; of the series that it looked at this is the oldest sample.</summary>
    public void CutEnded(long oldestMs) => _oldestBefore = oldestMs;

    /// <summary>A saved head is in place.</summary>
    public void Restored(long oldestMs, long newestMs, long behindBoundary)
    {
        _oldestBefore = oldestMs;
        NewestMs = Math.Max(NewestMs, newestMs);
        BehindBoundary = behindBoundary;
    }

    /// <summary>Newest sample since the last <see cref="TakeNewest"/>: what a log file holds.</summary>
    private long _newestOfFrame = long.MinValue;

    /// <summary>Whether a time may be stored now.</summary>
    public AppendOutcome Judge(long timeMs) =>
        timeMs > NowMs + _futureMs ? AppendOutcome.TooNew : timeMs < AgeNowMs - _retentionMs || timeMs <= ClosedMs ? AppendOutcome.TooOld : AppendOutcome.Stored;

    /// <summary>Samples before it are too old by now.</summary>
    public long OldestTakenMs => AgeNowMs - _retentionMs;

    /// <summary>What is to be done with an agent's sample.</summary>
    /// <param name="timeMs">Its time.</param>
    /// <param name="tickMs">The time of its tick: the agent's clock when it was collected.</param>
    /// <param name="dropAhead">What is ahead is dropped, not held.</param>
    /// <param name="refused">Why, when it is to be refused.</param>
    public Placing Place(long timeMs, long tickMs, bool dropAhead, out AppendOutcome refused)
    {
        refused = Judge(timeMs);
        if (refused != AppendOutcome.TooNew)
            return refused == AppendOutcome.Stored ? Placing.Store : Placing.Refuse;
        // Far ahead of its own tick as well: an explicit timestamp that is wrong, which no clock will ever reach. Prometheus drops it at the scrape.
        bool isOfAWrongClock = IsDecided || timeMs <= tickMs || (ulong)(timeMs - tickMs) <= (ulong)_futureMs || (IsReplaying && Judge(tickMs) == AppendOutcome.TooNew);
        return isOfAWrongClock && !dropAhead ? Placing.Hold : Placing.Refuse;
    }

    /// <summary>Whether a sender's samples of a time can be dropped when the hold is full: its clock is right now, so it will not come to that time while it waits.</summary>
    public bool IsHopeless(long timeMs, double senderAheadMs) => senderAheadMs <= _futureMs && Judge(timeMs) == AppendOutcome.TooNew && timeMs - _hopelessMs > NowMs;

    /// <summary>The newest time stored since the last call.</summary>
    public long TakeNewest()
    {
        long newest = _newestOfFrame;
        _newestOfFrame = long.MinValue;
        return newest;
    }

    /// <summary>The series of a label set; null with the outcome when a limit stands against a new one.</summary>
    /// <param name="labels">Which.</param>
    /// <param name="refused">The outcome.</param>
    /// <param name="error">Which limit, and how to change it.</param>
    /// <param name="agent">The agent that sends it; empty: it comes another way.</param>
    public HeadSeries? Resolve(Labels labels, out AppendOutcome refused, out string? error, string agent = "")
    {
        refused = AppendOutcome.Stored;
        error = null;
        if (!Index.TryGet(labels, out HeadSeries? series))
        {
            error = IsDecided ? null : Check(labels, agent);
            if (error is not null)
            {
                refused = labels.Count == 0 ? AppendOutcome.Invalid : AppendOutcome.OverLimit;
                return null;
            }
            series = Index.Add(labels);
        }
        if (series.Sender == 0 && agent.Length > 0)
            Index.Senders.Give(series, agent);
        return series;
    }

    /// <summary>What was newly stored since the last commit, for the tap; null: nobody listens.</summary>
    public List<SeriesSample>? Tapped { get; set; }

    /// <summary>The exemplars that came with them; only while somebody listens.</summary>
    public List<(Labels Labels, Exemplar Exemplar)> TappedExemplars { get; } = [];

    /// <summary>Appends a float whose time was judged.</summary>
    public AppendOutcome Append(HeadSeries series, long timeMs, double value, long startMs)
    {
        AppendOutcome outcome = series.Append(timeMs, value, _slotMs, Pools);
        Touch(series, timeMs);
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
        Touch(series, timeMs);
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

    /// <summary>Counts samples of an agent that are kept out.</summary>
    public void Refuse(AppendOutcome outcome, int samples)
    {
        Outcomes[(int)outcome] += samples;
        if (outcome == AppendOutcome.TooNew)
            HeldDropped += samples;
    }

    /// <summary>Keeps a sample that is ahead of our clock. False, during replay only: there are too many, it must be stored at once.</summary>
    public bool Hold(HeldSample sample)
    {
        if (MayBeHeld && (_heldInCheckpoint ??= [.. Held.Select(h => (h.Labels, h.TimeMs))]).Contains((sample.Labels, sample.TimeMs)))
            return true;
        if (IsReplaying && IsHoldFull)
            return false;
        Held.Add(sample);
        return true;
    }

    /// <summary>The log is replayed.</summary>
    public void ReplayEnded()
    {
        SkipBeforeMs = long.MinValue;
        IsReplaying = false;
        IsDecided = false;
        MayBeHeld = false;
        _heldInCheckpoint = null;
        _retentionMs = (long)_options.Retention.TotalMilliseconds;
    }

    public void Describe(string family, MetricMetadata metadata)
    {
        if (Metadata.Count < _options.MaxMetadataFamilies || Metadata.ContainsKey(family))
            Metadata[family] = metadata;
    }

    public void Add(HeadSeries series, Exemplar exemplar) => Add(series, exemplar, timeIsOfTick: false);

    /// <summary>Keeps an exemplar of a tick; without a time of its own it has the tick's, as in Prometheus.</summary>
    public void Add(HeadSeries series, Exemplar exemplar, long tickMs) =>
        Add(series, exemplar.TimestampMs is null ? exemplar with { TimestampMs = tickMs } : exemplar, timeIsOfTick: exemplar.TimestampMs is null);

    private void Add(HeadSeries series, Exemplar exemplar, bool timeIsOfTick)
    {
        if (series.Add(exemplar, _options.MaxExemplarsPerSeries, timeIsOfTick) && Tapped is not null && exemplar.TimestampMs is not null)
            TappedExemplars.Add((series.Labels, exemplar));
    }

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

    private void Touch(HeadSeries series, long timeMs)
    {
        if (Cut is not null && timeMs < Cut.BoundaryMs)
            Cut.Touched.Add(series, timeMs);
    }

    private AppendOutcome Count(long timeMs, AppendOutcome outcome)
    {
        Outcomes[(int)outcome]++;
        if (outcome is AppendOutcome.Stored or AppendOutcome.Conflict)
        {
            Changes.Note(timeMs);
            if (timeMs < _oldestSince)
                _oldestSince = timeMs;
            if (timeMs < BoundaryMs)
                BehindBoundary++;
        }
        NewestMs = Math.Max(NewestMs, timeMs);
        _newestOfFrame = Math.Max(_newestOfFrame, timeMs);
        return outcome;
    }

    private string Refused(SeriesLimit limit, string key, string reason)
    {
        SeriesRefused[(int)limit]++;
        bool isKnown = UntoldRefusals.TryGetValue((limit, key), out (long Count, string First) untold);
        if (isKnown || UntoldRefusals.Count < UntoldMax)
            UntoldRefusals[(limit, key)] = isKnown ? (untold.Count + 1, untold.First) : (1, reason);
        return reason;
    }

    private string? Check(Labels labels, string agent)
    {
        if (labels.Count == 0)
            return "a series has no labels at all";
        if (Index.Count >= _options.MaxSeries)
            return Refused(SeriesLimit.Series, "", $"{labels}: the store holds {Index.Count} series already, the limit is {_options.MaxSeries} (limits.max_series)");
        if (agent.Length > 0 && Index.Senders.Count(agent) is var ofAgent && ofAgent >= _options.MaxSeriesPerAgent)
            return Refused(SeriesLimit.SeriesPerAgent, agent, $"{labels}: the store holds {ofAgent} series of agent '{agent}' already, the limit is {_options.MaxSeriesPerAgent} (limits.max_series_per_agent)");
        if (labels.TryGet(JobLabel, out string? job) && Index.Postings.Count(JobLabel, job) is var ofJob && ofJob >= _options.MaxSeriesPerJob)
            return Refused(SeriesLimit.SeriesPerJob, job, $"{labels}: the store holds {ofJob} series of job '{job}' already, the limit is {_options.MaxSeriesPerJob} (limits.max_series_per_job)");
        if (labels.Count > _options.MaxLabels)
            return Refused(SeriesLimit.Labels, labels.MetricName, $"{labels.MetricName}: {labels.Count} labels, the limit is {_options.MaxLabels}");
        foreach (ref readonly Label label in labels.AsSpan())
        {
            if (label.Name.Length > _options.MaxLabelNameLength)
                return Refused(SeriesLimit.Labels, labels.MetricName, $"{labels.MetricName}: a label name has {label.Name.Length} characters, the limit is {_options.MaxLabelNameLength}");
            if (label.Value.Length > _options.MaxLabelValueLength)
                return Refused(SeriesLimit.Labels, labels.MetricName, $"{labels.MetricName}: label {label.Name} has {label.Value.Length} characters, the limit is {_options.MaxLabelValueLength}");
        }
        return null;
    }
}
