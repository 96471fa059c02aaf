using System.Text.Json;
using Bellwether.Serve.QueryApi;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;

namespace Bellwether.Serve.Fleet;

/// <summary>What is asked of completeness. Times are Unix ms.</summary>
/// <param name="FromMs">The begin of the range.</param>
/// <param name="ToMs">Its end.</param>
/// <param name="NowMs">Now.</param>
/// <param name="Agent">One agent only; empty: all.</param>
/// <param name="After">Agents behind this id, in order of id; empty: from the first.</param>
/// <param name="Limit">Agents at most.</param>
/// <param name="GapLimit">Gaps and ranges of one source at most, the newest.</param>
public sealed record CompletenessQuery(long FromMs, long ToMs, long NowMs, string Agent, string After, int Limit, int GapLimit);

/// <summary>What the faces know of completeness; the host hands it over. Thread-safe.</summary>
public interface ICompletenessSource
{
    /// <summary>Writes the value of <c>data</c>, an object.</summary>
    void Write(Utf8JsonWriter json, CompletenessQuery query);
}

/// <summary><c>GET /api/v1/completeness</c>: the expected fleet, what is here of each source, what is missing and why (docs/completeness.md).</summary>
public static class CompletenessEndpoints
{
    /// <summary>Agents of one answer unless <c>limit</c> says otherwise.</summary>
    public const int DefaultLimit = 100;

    /// <summary>Agents of one answer at most.</summary>
    public const int MaxLimit = 1_000;

    /// <summary>Gaps and ranges of one source at most.</summary>
    public const int MaxGaps = 1_000;

    private const long DefaultRangeMs = 3_600_000;

    /// <summary>Maps the endpoint.</summary>
    public static void MapCompleteness(this IEndpointRouteBuilder routes, ICompletenessSource source, TimeProvider time) =>
        routes.MapMethods("/api/v1/completeness", ["GET", "HEAD"], (HttpContext context) => AnswerAsync(context, source, time));

    private static async Task AnswerAsync(HttpContext context, ICompletenessSource source, TimeProvider time)
    {
        ApiAnswer answer = TryRead(new ApiParameters(context.Request.Query, null), time.GetUtcNow().ToUnixTimeMilliseconds(), out CompletenessQuery? query) is { } wrong
            ? wrong
            : ApiAnswer.Ok(json => source.Write(json.Json, query!));
        context.Response.StatusCode = answer.Status;
        context.Response.ContentType = "application/json";
        await using var writer = new Utf8JsonWriter(context.Response.BodyWriter);
        answer.Write(writer);
        await writer.FlushAsync(context.RequestAborted);
    }

    private static ApiAnswer? TryRead(ApiParameters parameters, long nowMs, out CompletenessQuery? query)
    {
        query = null;
        long to = nowMs;
        if (parameters.One("end") is { Length: > 0 } end && !ApiParameters.TryTime(end, out to))
            return ApiAnswer.BadParameter("end", $"cannot parse \"{end}\" to a valid timestamp");
        long from = to - DefaultRangeMs;
        if (parameters.One("start") is { Length: > 0 } start && !ApiParameters.TryTime(start, out from))
            return ApiAnswer.BadParameter("start", $"cannot parse \"{start}\" to a valid timestamp");
        if (to < from)
            return ApiAnswer.BadParameter("end", "end timestamp must not be before start time");
        if (!parameters.TryLimit("limit", out int limit) || limit > MaxLimit)
            return ApiAnswer.BadParameter("limit", $"limit must be a whole number from 1 to {MaxLimit}");
        if (!parameters.TryLimit("gaps", out int gaps) || gaps > MaxGaps)
            return ApiAnswer.BadParameter("gaps", $"gaps must be a whole number from 1 to {MaxGaps}");
        query = new CompletenessQuery(from, to, nowMs, parameters.One("agent"), parameters.One("after"), limit == 0 ? DefaultLimit : limit, gaps == 0 ? 100 : gaps);
        return null;
    }
}
