namespace Bellwether.Evaluate.PromQl;

/// <summary>The engine's settings and limits. Immutable.</summary>
public sealed record EngineOptions
{
    /// <summary>How far an instant selector looks back, left-open. Default 5 min, as Prometheus.</summary>
    public TimeSpan Lookback { get; init; } = TimeSpan.FromMinutes(5);

    /// <summary>Samples that one query may hold in memory at once. Default 50 million.</summary>
    public long MaxSamples { get; init; } = 50_000_000;

    /// <summary>
    /// Samples that all queries together may hold in memory at once, not counting the first million of each nor results that are done. Prepared queries count and are not refused. At least
    /// <see cref="MaxSamples"/>. Default 100 million (some 1.6 GB).
    /// </summary>
    public long MaxSamplesTogether { get; init; } = 100_000_000;

    /// <summary>Longest running time of one query. Default 2 min.</summary>
    public TimeSpan Timeout { get; init; } = TimeSpan.FromMinutes(2);

    /// <summary>Step of a subquery that names none. Default 1 min.</summary>
    public TimeSpan DefaultSubqueryStep { get; init; } = TimeSpan.FromMinutes(1);

    /// <summary>
    /// Evaluates plainly: every window from its own samples, every step by itself, no summaries, nothing remembered. Slow; what the fast path is tested against. Default off.
    /// </summary>
    public bool Plain { get; init; }

    /// <summary>Experimental functions and syntax. Default off.</summary>
    public bool Experimental { get; init; }

    /// <summary>Delayed removal of the metric name (promql-delayed-name-removal). Default off, as Prometheus 3.</summary>
    public bool DelayedNameRemoval { get; init; }

    /// <summary>Points of range results that are kept for queries that ask on, where the reader tells of late data; 0: none. Default 2 million (some 64 MB).</summary>
    public long MaxCachedPoints { get; init; } = 2_000_000;

    /// <summary>Points of parts of range queries that are kept for others that are asked at the same time, where the reader tells of changes; 0: queries share no parts. Default 2 million (some 32 MB).</summary>
    public long MaxSharedPoints { get; init; } = 2_000_000;

    /// <summary>Is told of what no query should do: an exception of the reader or of a bug, which fails that query alone (<see cref="QueryErrorKind.Internal"/>). Thread-safe. Default: nobody is.</summary>
    public Action<string, Exception>? OnUnexpected { get; init; }

    /// <summary>Longest query text, in characters. Default 16 Ki.</summary>
    public int MaxQueryLength { get; init; } = 16 * 1024;

    /// <summary>Deepest nesting of an expression. Default 64.</summary>
    public int MaxDepth { get; init; } = 64;
}
