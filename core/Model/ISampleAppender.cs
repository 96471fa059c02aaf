namespace Bellwether.Core.Model;

/// <summary>What became of a sample. Every member has a counter label of its own.</summary>
public enum AppendOutcome
{
    /// <summary>It is in the store.</summary>
    Stored,
    /// <summary>The same (series, time, value) was there: nothing to do.</summary>
    Duplicate,
    /// <summary>Another value was there at this time; the larger won (a stale marker loses).</summary>
    Conflict,
    /// <summary>Older than retention.</summary>
    TooOld,
    /// <summary>Further in the future than the bound; held back or refused, never stored as it is.</summary>
    TooNew,
    /// <summary>A limit stands against it (series, labels, sizes).</summary>
    OverLimit,
    /// <summary>Its labels or its histogram are not valid.</summary>
    Invalid,
}

/// <summary>One sample with its series, as the ways in other than the agents' stream bring it (remote write, rule results).</summary>
/// <param name="Labels">The series.</param>
/// <param name="TimestampMs">Unix ms.</param>
/// <param name="Value">The value, when <paramref name="Histogram"/> is null.</param>
/// <param name="Histogram">The native histogram, or null.</param>
/// <param name="StartMs">Start timestamp (Unix ms) of a counter; 0: unknown.</param>
public readonly record struct SeriesSample(Labels Labels, long TimestampMs, double Value, NativeHistogram? Histogram = null, long StartMs = 0);

/// <summary>A batch to append.</summary>
public sealed class SampleBatch
{
    /// <summary>The samples. Those of one series are in time order.</summary>
    public List<SeriesSample> Samples { get; } = [];

    /// <summary>Exemplars with their series.</summary>
    public List<(Labels Labels, Exemplar Exemplar)> Exemplars { get; } = [];

    /// <summary>Metadata by family.</summary>
    public List<(string Family, MetricMetadata Metadata)> Metadata { get; } = [];
}

/// <summary>What became of a batch, per outcome.</summary>
public sealed class AppendResult
{
    private readonly int[] _counts = new int[Enum.GetValues<AppendOutcome>().Length];
    private List<int>? _refusedAt;
    private int _added;

    /// <summary>How many samples ended so.</summary>
    public int this[AppendOutcome outcome] => _counts[(int)outcome];

    /// <summary>The first refusal in words (series, time, which limit), or null.</summary>
    public string? FirstError { get; private set; }

    /// <summary>Samples that are not in the store after this: too old, too new, over a limit or invalid.</summary>
    public int Refused => this[AppendOutcome.TooOld] + this[AppendOutcome.TooNew] + this[AppendOutcome.OverLimit] + this[AppendOutcome.Invalid];

    /// <summary>Which of the batch's samples these are, ascending.</summary>
    public IReadOnlyList<int> RefusedAt => _refusedAt ?? (IReadOnlyList<int>)[];

    /// <summary>How many of these are native histograms.</summary>
    public int RefusedHistograms { get; private set; }

    /// <summary>Counts the next sample of the batch.</summary>
    public void Add(AppendOutcome outcome, string? error = null, bool histogram = false)
    {
        _counts[(int)outcome]++;
        if (outcome is not (AppendOutcome.Stored or AppendOutcome.Duplicate or AppendOutcome.Conflict))
        {
            RefusedHistograms += histogram ? 1 : 0;
            (_refusedAt ??= []).Add(_added);
        }
        _added++;
        FirstError ??= error;
    }
}

/// <summary>The way into a store beside the agents' stream. Thread-safe.</summary>
public interface ISampleAppender
{
    /// <summary>
    /// Appends a batch and completes when it is durable (fsynced). Refused samples are told in the result; the others are stored.
    /// Throws <see cref="StoreUnavailableException"/> when the store can take nothing (full disk, failed disk): nothing of the batch may be taken as stored, and it may be sent again.
    /// </summary>
    ValueTask<AppendResult> AppendAsync(SampleBatch batch, CancellationToken cancellation);

    /// <summary>The first time that is taken now, Unix ms: samples before it are <see cref="AppendOutcome.TooOld"/>. It only moves on.</summary>
    long OldestMs => long.MinValue;

    /// <summary>The store's own object for a label set; null: it has no such series in memory. Who makes the same sets again and again may keep it: it is found fastest, and costs no memory of its own.</summary>
    Labels? Known(Labels labels) => null;
}

/// <summary>The store cannot take data now: a full or failed disk, a full queue. What was sent may be sent again later.</summary>
public sealed class StoreUnavailableException : Exception
{
    /// <summary>With a reason in words.</summary>
    public StoreUnavailableException(string message) : base(message) { }

    /// <summary>With a reason and its cause.</summary>
    public StoreUnavailableException(string message, Exception inner) : base(message, inner) { }

    /// <summary>Without a reason.</summary>
    public StoreUnavailableException() { }
}
