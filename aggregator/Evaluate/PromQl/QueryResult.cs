using Bellwether.Core.Model;

namespace Bellwether.Evaluate.PromQl;

/// <summary>The type of a PromQL value.</summary>
public enum ValueType
{
    /// <summary>A number.</summary>
    Scalar,
    /// <summary>Series with one sample each.</summary>
    Vector,
    /// <summary>Series with samples over a range.</summary>
    Matrix,
    /// <summary>A text.</summary>
    String,
}

/// <summary>One point: a float, or a native histogram when <paramref name="Histogram"/> is not null.</summary>
public readonly record struct Point(long TimestampMs, double Value, NativeHistogram? Histogram = null);

/// <summary>One series of a result, its points in time order.</summary>
public sealed record ResultSeries(Labels Labels, IReadOnlyList<Point> Points);

/// <summary>What a query gave. <see cref="Error"/> is set instead of a value when it failed.</summary>
public sealed class QueryResult
{
    /// <summary>The type of the value.</summary>
    public ValueType Type { get; init; }

    /// <summary>For vectors (one point each, at the evaluation time) and matrices. Matrix results are sorted by labels; vectors are in the engine's order.</summary>
    public IReadOnlyList<ResultSeries> Series { get; init; } = [];

    /// <summary>For a scalar.</summary>
    public Point Scalar { get; init; }

    /// <summary>For a string.</summary>
    public string Text { get; init; } = "";

    /// <summary>Warnings as the API shows them, e.g. <c>PromQL warning: ... (1:5)</c>.</summary>
    public IReadOnlyList<string> Warnings { get; init; } = [];

    /// <summary>Infos as the API shows them.</summary>
    public IReadOnlyList<string> Infos { get; init; } = [];

    /// <summary>
    /// Steps are left out, of all series, since of their range only slots of a coarser resolution are kept; a warning says how many. What the result would be there is not known: it is
    /// not an empty one.
    /// </summary>
    public bool IsPartial { get; init; }

    /// <summary>What it looked at; null: it was not asked for (<see cref="AskOptions.CountsSamples"/>), or it failed.</summary>
    public SampleCounts? Samples { get; internal set; }

    /// <summary>Why it failed, or null.</summary>
    public QueryError? Error { get; init; }
}

/// <summary>
/// Samples that a query looked at, as Prometheus counts them: for each step one of each series that an instant selector finds, and all in the window of each series of a range, whether they were read
/// or stood for by summaries. A native histogram counts as many as it takes, 16 bytes a sample. What a subquery looks at counts for the last step; what is the same at all steps counts for each.
/// </summary>
/// <param name="Total">In all.</param>
/// <param name="Most">Samples and points that it held in memory at once, as <see cref="EngineOptions.MaxSamples"/> counts them.</param>
/// <param name="PerStep">By time, Unix ms.</param>
public sealed record SampleCounts(long Total, long Most, IReadOnlyList<(long TimeMs, long Count)> PerStep);

/// <summary>The kind of a failure, as the HTTP API names it.</summary>
public enum QueryErrorKind
{
    /// <summary>The query does not parse or type-check, or a parameter is wrong (<c>bad_data</c>).</summary>
    BadData,
    /// <summary>Evaluation failed (<c>execution</c>).</summary>
    Execution,
    /// <summary>It ran out of time (<c>timeout</c>).</summary>
    Timeout,
    /// <summary>The client went away (<c>canceled</c>).</summary>
    Canceled,
    /// <summary>A bug or a broken store (<c>internal</c>).</summary>
    Internal,
}

/// <summary>A failure with its place in the query.</summary>
/// <param name="Kind">Its kind.</param>
/// <param name="Message">What is wrong and what would be right.</param>
/// <param name="Position">0-based offset in the query, or -1.</param>
public sealed record QueryError(QueryErrorKind Kind, string Message, int Position = -1);
