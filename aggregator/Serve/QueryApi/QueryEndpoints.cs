using System.Text.Json;
using Bellwether.Evaluate.PromQl;
using Bellwether.Evaluate.PromQl.Syntax;

namespace Bellwether.Serve.QueryApi;

/// <summary>query, query_range, format_query, parse_query.</summary>
internal sealed class QueryEndpoints(QueryApiSources sources, QueryApiOptions options, QuerySlots slots, TimeProvider time)
{
    // A hundred years: times stay within what they are counted in.
    private const long LookbackMaxMs = 100L * 365 * 24 * 3600 * 1000;
    private readonly ConcurrentQueries _queries = new(sources.Engine, sources.Reader, slots, options.ConcurrentMax + options.WaitingMax, time);

    public async Task<ApiAnswer> InstantAsync(ApiParameters parameters, CancellationToken cancellation)
    {
        long timeMs = NowMs();
        if (parameters.One("time") is { Length: > 0 } at && !ApiParameters.TryTime(at, out timeMs))
            return WrongTime("time", at);
        if (!TryTimeout(parameters, out TimeSpan timeout, out ApiAnswer? wrong) || !parameters.TrySeriesLimit(out int limit, out wrong) || !TryLookback(parameters, out TimeSpan? lookback, out wrong))
            return wrong!;
        string query = parameters.One("query");
        return await RunAsync(parameters, timeout, limit, timeMs, (ask, token) => _queries.InstantAsync(query, timeMs, token, ask with { Lookback = lookback }), cancellation);
    }

    public async Task<ApiAnswer> RangeAsync(ApiParameters parameters, CancellationToken cancellation)
    {
        string start = parameters.One("start"), end = parameters.One("end"), step = parameters.One("step");
        if (!ApiParameters.TryTime(start, out long startMs))
            return ApiAnswer.BadParameter("start", $"cannot parse \"{start}\" to a valid timestamp");
        if (!ApiParameters.TryTime(end, out long endMs))
            return ApiAnswer.BadParameter("end", $"cannot parse \"{end}\" to a valid timestamp");
        if (endMs < startMs)
            return ApiAnswer.BadParameter("end", "end timestamp must not be before start time");
        if (!ApiParameters.TryDuration(step, out long stepMs))
            return ApiAnswer.BadParameter("step", $"cannot parse \"{step}\" to a valid duration");
        if (stepMs <= 0)
            return ApiAnswer.BadParameter("step", "zero or negative query resolution step widths are not accepted. Try a positive integer");
        if ((endMs - startMs) / stepMs > options.PointsMax)
            return ApiAnswer.BadData("exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the query resolution (?step=XX)");
        if (!TryTimeout(parameters, out TimeSpan timeout, out ApiAnswer? wrong) || !parameters.TrySeriesLimit(out int limit, out wrong) || !TryLookback(parameters, out TimeSpan? lookback, out wrong))
            return wrong!;
        string query = parameters.One("query");
        return await RunAsync(parameters, timeout, limit, endMs, (ask, token) => _queries.RangeAsync(query, startMs, endMs, stepMs, token, ask with { Lookback = lookback }), cancellation);
    }

    public ApiAnswer ParseTree(ApiParameters parameters)
    {
        ParseResult parsed = PromQlParser.Parse(parameters.One("query"), sources.Engine.ParserOptions);
        return parsed.Expr is null ? ApiAnswer.BadParameter("query", parsed.Errors[0].ToString()) : ApiAnswer.Ok(api => ExpressionJson.Write(api.Json, parsed.Expr));
    }

    public ApiAnswer Format(ApiParameters parameters)
    {
        ParseResult parsed = PromQlParser.Parse(parameters.One("query"), sources.Engine.ParserOptions);
        return parsed.Expr is null ? ApiAnswer.BadParameter("query", parsed.Errors[0].ToString()) : ApiAnswer.Ok(api => api.Json.WriteStringValue(PrettyPrinter.Print(parsed.Expr)));
    }

    /// <summary>A time that is none, as Prometheus says it of all parameters but query_range's.</summary>
    private static ApiAnswer WrongTime(string name, string text) => ApiAnswer.BadParameter(name, $"Invalid time value for '{name}': cannot parse \"{text}\" to a valid timestamp");

    /// <summary>start and end, by default all time. An end before the start is no error here: nothing lies between.</summary>
    public static bool TryBounds(ApiParameters parameters, out long startMs, out long endMs, out ApiAnswer? wrong)
    {
        wrong = null;
        startMs = long.MinValue / 2;
        endMs = long.MaxValue / 2;
        if (parameters.One("start") is { Length: > 0 } start && !ApiParameters.TryTime(start, out startMs))
            wrong = WrongTime("start", start);
        else if (parameters.One("end") is { Length: > 0 } end && !ApiParameters.TryTime(end, out endMs))
            wrong = WrongTime("end", end);
        return wrong is null;
    }

    private async Task<ApiAnswer> RunAsync(ApiParameters parameters, TimeSpan timeout, int seriesMax, long timeMs, Func<AskOptions, CancellationToken, Task<ConcurrentAnswer>> run, CancellationToken cancellation)
    {
        long started = time.GetTimestamp();
        using var late = new CancellationTokenSource(timeout, time);
        using var both = CancellationTokenSource.CreateLinkedTokenSource(late.Token, cancellation);
        string stats = parameters.One("stats");
        ConcurrentAnswer answer = await run(new AskOptions { CountsSamples = stats.Length > 0 }, both.Token);
        if (answer.Result is not { } result)
            return ApiAnswer.Unavailable($"{options.ConcurrentMax} queries run and {options.WaitingMax} wait already");
        if (result.Error is { } error)
            return Failed(error, late.IsCancellationRequested && !cancellation.IsCancellationRequested ? answer.HasBegun ? "query timed out in expression evaluation" : "query timed out in the queue" : null);
        IReadOnlyList<string> warnings = result.Series.Count > seriesMax ? [.. result.Warnings, SeriesEndpoints.Cut] : result.Warnings;
        TimeSpan total = time.GetElapsedTime(started);
        return ApiAnswer.Ok(api => api.Result(result, timeMs, result.Samples is not { } samples ? null : () => Stats(api, answer.Waited, total, samples, perStep: stats == "all"), seriesMax), warnings, result.Infos);
    }

    private static ApiAnswer Failed(QueryError error, string? timedOut) => error.Kind switch
    {
        QueryErrorKind.BadData => ApiAnswer.BadParameter("query", error.Message),
        QueryErrorKind.Execution => ApiAnswer.Execution(error.Message),
        QueryErrorKind.Timeout => ApiAnswer.Timeout(error.Message),
        QueryErrorKind.Canceled => timedOut is not null ? ApiAnswer.Timeout(timedOut) : ApiAnswer.Canceled(error.Message),
        _ => ApiAnswer.Internal(error.Message),
    };

    private static void Stats(ApiJson api, TimeSpan waited, TimeSpan total, SampleCounts samples, bool perStep)
    {
        Utf8JsonWriter json = api.Json;
        json.WriteStartObject("stats");
        json.WriteStartObject("timings");
        json.WriteNumber("evalTotalTime", (total - waited).TotalSeconds);
        json.WriteNumber("execQueueTime", waited.TotalSeconds);
        json.WriteNumber("execTotalTime", total.TotalSeconds);
        json.WriteEndObject();
        json.WriteStartObject("samples");
        if (perStep)
        {
            json.WriteStartArray("totalQueryableSamplesPerStep");
            foreach ((long timeMs, long count) in samples.PerStep)
            {
                json.WriteStartArray();
                api.Timestamp(timeMs);
                json.WriteNumberValue(count);
                json.WriteEndArray();
            }
            json.WriteEndArray();
        }
        json.WriteNumber("totalQueryableSamples", samples.Total);
        json.WriteNumber("peakSamples", samples.Most);
        json.WriteEndObject();
        json.WriteEndObject();
    }

    private bool TryTimeout(ApiParameters parameters, out TimeSpan timeout, out ApiAnswer? wrong)
    {
        timeout = options.Timeout;
        wrong = null;
        if (parameters.One("timeout") is not { Length: > 0 } text)
            return true;
        if (!ApiParameters.TryDuration(text, out long ms))
        {
            wrong = ApiAnswer.BadParameter("timeout", $"cannot parse \"{text}\" to a valid duration");
            return false;
        }
        if (ms <= 0)
            wrong = ApiAnswer.Timeout("query timed out in query execution");
        timeout = TimeSpan.FromMilliseconds(Math.Clamp(ms, 1, options.Timeout.TotalMilliseconds));
        return wrong is null;
    }

    // As in Prometheus, zero and less mean the default.
    private static bool TryLookback(ApiParameters parameters, out TimeSpan? lookback, out ApiAnswer? wrong)
    {
        (lookback, wrong) = (null, null);
        if (parameters.One("lookback_delta") is not { Length: > 0 } text)
            return true;
        if (!ApiParameters.TryDuration(text, out long ms))
        {
            wrong = ApiAnswer.BadData($"error parsing lookback delta duration: cannot parse \"{text}\" to a valid duration");
            return false;
        }
        if (ms > 0)
            lookback = TimeSpan.FromMilliseconds(Math.Min(ms, LookbackMaxMs));
        return true;
    }

    private long NowMs() => time.GetUtcNow().ToUnixTimeMilliseconds();
}

/// <summary>How many queries run and wait. Thread-safe.</summary>
internal sealed class QuerySlots(int runningMax, int waitingMax) : IQueryPlaces, IDisposable
{
    private readonly SemaphoreSlim _running = new(runningMax);
    private int _waiting;

    /// <summary>Waits for a place; false when too many wait already.</summary>
    public async ValueTask<bool> EnterAsync(CancellationToken cancellation)
    {
        if (await _running.WaitAsync(TimeSpan.Zero, cancellation))
            return true;
        if (Interlocked.Increment(ref _waiting) > waitingMax)
        {
            Interlocked.Decrement(ref _waiting);
            return false;
        }
        try
        {
            await _running.WaitAsync(cancellation);
            return true;
        }
        finally
        {
            Interlocked.Decrement(ref _waiting);
        }
    }

    public void Leave() => _running.Release();

    public void Dispose() => _running.Dispose();
}
