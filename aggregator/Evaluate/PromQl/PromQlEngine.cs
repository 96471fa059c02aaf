using Bellwether.Core.Model;

namespace Bellwether.Evaluate.PromQl;

/// <summary>
/// Evaluates PromQL over any <see cref="ISeriesReader"/>. Thread-safe. Failures are values (<see cref="QueryResult.Error"/>), never exceptions.
/// </summary>
public sealed class PromQlEngine
{
    private readonly EngineOptions _options;

    /// <summary>An engine with its limits; time-outs are measured on <paramref name="time"/>.</summary>
    public PromQlEngine(EngineOptions options, TimeProvider time)
    {
        _options = options;
        _ = time;
    }

    /// <summary>Evaluates at one time.</summary>
    /// <param name="reader">The data.</param>
    /// <param name="query">PromQL text.</param>
    /// <param name="timeMs">Unix ms.</param>
    /// <param name="cancellation">Ends it early with <see cref="QueryErrorKind.Canceled"/>.</param>
    public QueryResult Instant(ISeriesReader reader, string query, long timeMs, CancellationToken cancellation = default) => NotYet();

    /// <summary>Evaluates at start, start + step, ... up to end (inclusive). The result is a matrix (scalars become one series without labels).</summary>
    public QueryResult Range(ISeriesReader reader, string query, long startMs, long endMs, long stepMs, CancellationToken cancellation = default) => NotYet();

    private QueryResult NotYet() => new() { Error = new QueryError(QueryErrorKind.Internal, $"engine under construction (lookback {_options.Lookback})") };
}
