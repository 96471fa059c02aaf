using Bellwether.Evaluate.PromQl;
using Bellwether.Serve.QueryApi;
using Microsoft.AspNetCore.Http;

namespace Bellwether.Serve.Rest;

/// <summary>The parameters that REST endpoints share. What is wrong is kept: the first of it is the answer. Not thread-safe.</summary>
/// <param name="query">Those of the address.</param>
/// <param name="form">Those of the form; null: there is none.</param>
internal sealed class RestParameters(IQueryCollection query, IFormCollection? form = null)
{
    /// <summary>Entries of one answer unless <c>limit</c> says otherwise.</summary>
    public const int DefaultLimit = 100;

    /// <summary>Entries of one answer at most.</summary>
    public const int MaxLimit = 1_000;

    // Beyond it a time has no text.
    private const long TimeMaxMs = 8_000_000_000_000_000;

    private readonly ApiParameters _all = new(query, form);

    /// <summary>What is wrong with the first parameter that is; null: nothing was found wrong so far.</summary>
    public RestAnswer? Wrong { get; private set; }

    /// <summary>The first value, or empty.</summary>
    public string One(string name) => _all.One(name);

    /// <summary>All values.</summary>
    public IReadOnlyList<string> Many(string name) => _all.Many(name);

    /// <summary>How many entries the answer may have.</summary>
    public int Limit()
    {
        if (!_all.TryLimit("limit", out int limit) || limit > MaxLimit || One("limit") == "0")
            Refuse("limit", $"must be a whole number from 1 to {MaxLimit}");
        return limit == 0 ? DefaultLimit : limit;
    }

    /// <summary>A time, Unix ms; <paramref name="otherwise"/> where it is not given, null: it must be.</summary>
    public long Time(string name, long? otherwise)
    {
        if (otherwise is { } absent && One(name).Length == 0)
            return absent;
        if (!ApiParameters.TryTime(One(name), out long ms) || Math.Abs(ms) >= TimeMaxMs)
            Refuse(name, "must be RFC 3339 or Unix seconds");
        return ms;
    }

    /// <summary>The step of a history from a start to an end, ms; <paramref name="otherwise"/> where it is not given.</summary>
    public long Step(long start, long end, long otherwise)
    {
        long step = otherwise;
        if (One("step") is { Length: > 0 } text && (!ApiParameters.TryDuration(text, out step) || step <= 0))
        {
            Refuse("step", "must be a duration such as 30s, 5m or 1h");
            return otherwise;
        }
        if (end < start)
            Refuse("end", "is before start");
        else if ((end - start) / step >= PromQlEngine.MaxSteps)
            Refuse("step", $"gives more than {PromQlEngine.MaxSteps} points; take a longer step or a shorter range");
        return step;
    }

    private void Refuse(string name, string why) => Wrong ??= RestAnswer.BadParameter(name, why);
}
