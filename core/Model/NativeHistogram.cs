namespace Bellwether.Core.Model;

/// <summary>Whether a histogram's counter was reset before it.</summary>
public enum CounterResetHint
{
    /// <summary>Not known: look.</summary>
    Unknown = 0,
    /// <summary>Reset.</summary>
    Reset = 1,
    /// <summary>Not reset.</summary>
    NotReset = 2,
    /// <summary>A gauge histogram: there are no resets.</summary>
    Gauge = 3,
}

/// <summary>A run of consecutive buckets.</summary>
/// <param name="Offset">Buckets to skip since the end of the span before (for the first: the index of its first bucket).</param>
/// <param name="Length">Buckets in the run.</param>
public readonly record struct BucketSpan(int Offset, int Length);

/// <summary>
/// A native histogram in float form: exponential buckets (<see cref="Schema"/> -4 to 8) or custom bounds (schema -53). Immutable by convention: whoever
/// makes one hands it out and changes it no more. Bucket counts are absolute, not deltas.
/// Source: prometheus.io/docs/specs/native_histograms/.
/// </summary>
public sealed partial class NativeHistogram
{
    /// <summary>The schema that means custom bucket bounds.</summary>
    public const int CustomBucketsSchema = -53;

    /// <summary>-4 to 8: each power of two is cut into 2^schema buckets; -53: <see cref="CustomValues"/> are the bounds.</summary>
    public int Schema { get; init; }

    /// <summary>Width of the zero bucket.</summary>
    public double ZeroThreshold { get; init; }

    /// <summary>Observations in the zero bucket.</summary>
    public double ZeroCount { get; init; }

    /// <summary>All observations. A stale marker here means: the histogram series ended.</summary>
    public double Count { get; init; }

    /// <summary>Sum of all observations.</summary>
    public double Sum { get; init; }

    /// <summary>Where the positive buckets lie.</summary>
    public BucketSpan[] PositiveSpans { get; init; } = [];

    /// <summary>Their counts, one per bucket of the spans.</summary>
    public double[] PositiveBuckets { get; init; } = [];

    /// <summary>Where the negative buckets lie.</summary>
    public BucketSpan[] NegativeSpans { get; init; } = [];

    /// <summary>Their counts.</summary>
    public double[] NegativeBuckets { get; init; } = [];

    /// <summary>Upper bounds of the custom buckets, ascending, without +Inf.</summary>
    public double[] CustomValues { get; init; } = [];

    /// <summary>What is known of a counter reset before this one.</summary>
    public CounterResetHint ResetHint { get; init; }

    /// <summary>Whether counts were given as integers (they are kept as doubles; exact below 2^53).</summary>
    public bool IsInteger { get; init; }

    /// <summary>Whether this is the end mark of a histogram series.</summary>
    public bool IsStale => SpecialValues.IsStale(Sum);

    /// <summary>Bytes that it takes in memory, its arrays included; to within an eighth.</summary>
    public int SizeInMemory => 104 + SizeOf(PositiveSpans.Length) + SizeOf(NegativeSpans.Length) + SizeOf(PositiveBuckets.Length) + SizeOf(NegativeBuckets.Length) + SizeOf(CustomValues.Length);

    /// <summary>Whether another one has the same content, to the bit.</summary>
    public bool SameAs(NativeHistogram other)
    {
        ArgumentNullException.ThrowIfNull(other);
        return Schema == other.Schema && ResetHint == other.ResetHint && Bits([ZeroThreshold, ZeroCount, Count, Sum]).SequenceEqual(Bits([other.ZeroThreshold, other.ZeroCount, other.Count, other.Sum]))
            && PositiveSpans.AsSpan().SequenceEqual(other.PositiveSpans) && NegativeSpans.AsSpan().SequenceEqual(other.NegativeSpans)
            && Bits(PositiveBuckets).SequenceEqual(Bits(other.PositiveBuckets)) && Bits(NegativeBuckets).SequenceEqual(Bits(other.NegativeBuckets)) && Bits(CustomValues).SequenceEqual(Bits(other.CustomValues));
    }

    // A bucket, a bound and a span take 8 bytes each; empty arrays are one for all.
    private static int SizeOf(int entries) => entries == 0 ? 0 : 24 + (8 * entries);

    private static ReadOnlySpan<long> Bits(ReadOnlySpan<double> values) => System.Runtime.InteropServices.MemoryMarshal.Cast<double, long>(values);
}
