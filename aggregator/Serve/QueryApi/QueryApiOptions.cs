using Bellwether.Core.Model;
using Bellwether.Evaluate.PromQl;
using Bellwether.Evaluate.Rules;

namespace Bellwether.Serve.QueryApi;

/// <summary>Limits and facts of the query API. Immutable.</summary>
public sealed record QueryApiOptions
{
    /// <summary>Points per series of a range query. 11,000, as Prometheus.</summary>
    public int PointsMax { get; init; } = 11_000;

    /// <summary>Queries evaluated at once; others wait. Default 20, as Prometheus.</summary>
    public int ConcurrentMax { get; init; } = 20;

    /// <summary>Queries that may wait; more are answered 503. Default 200.</summary>
    public int WaitingMax { get; init; } = 200;

    /// <summary>How long a query may wait and run. Default 2 min.</summary>
    public TimeSpan Timeout { get; init; } = TimeSpan.FromMinutes(2);

    /// <summary>Bytes of a POST form. Default 1 MiB.</summary>
    public int FormBytesMax { get; init; } = 1 << 20;

    /// <summary>Series, names or values in one answer of the label endpoints; more are cut with a warning. Default 1,000,000.</summary>
    public int EntriesMax { get; init; } = 1_000_000;

    /// <summary>Whether <c>POST /-/reload</c> is open. Default on.</summary>
    public bool EnableReload { get; init; } = true;

    /// <summary>What <c>status/flags</c> shows.</summary>
    public IReadOnlyDictionary<string, string> Flags { get; init; } = new Dictionary<string, string>();

    /// <summary>How old the newest sample of a series may be for <c>/federate</c>. Default 5 min.</summary>
    public TimeSpan Lookback { get; init; } = TimeSpan.FromMinutes(5);

    /// <summary>Labels that <c>/federate</c> adds where a series lacks them.</summary>
    public Labels ExternalLabels { get; init; } = Labels.Empty;

    /// <summary>The version that <c>status/buildinfo</c> shows.</summary>
    public string Version { get; init; } = "0.1.0";

    /// <summary>The commit that it was built from, as <c>status/buildinfo</c> shows it; empty: not known.</summary>
    public string Revision { get; init; } = "";

    /// <summary>Where the data lies, for <c>status/runtimeinfo</c>.</summary>
    public string WorkingFolder { get; init; } = "";

    /// <summary>How long data is kept, as <c>status/runtimeinfo</c> shows it, e.g. <c>37d</c>.</summary>
    public string Retention { get; init; } = "";
}

/// <summary>What the query API shows; the host hands it over. Everything in it is thread-safe.</summary>
public sealed record QueryApiSources
{
    /// <summary>Evaluates queries.</summary>
    public required PromQlEngine Engine { get; init; }

    /// <summary>The data.</summary>
    public required ISeriesReader Reader { get; init; }

    /// <summary>Exemplars of the series that match with a time in the range (Unix ms, inclusive).</summary>
    public Func<long, long, IReadOnlyList<LabelMatcher>, CancellationToken, IReadOnlyList<(Labels Labels, IReadOnlyList<Exemplar> Exemplars)>>? Exemplars { get; init; }

    /// <summary>Rule groups as they stand.</summary>
    public Func<IReadOnlyList<RuleGroupStatus>> Rules { get; init; } = () => [];

    /// <summary>Scrape targets.</summary>
    public ITargetSource? Targets { get; init; }

    /// <summary>Whether the process can answer; null: always.</summary>
    public Func<bool>? Ready { get; init; }

    /// <summary>Reads the configuration again; gives its errors (none: it is in force).</summary>
    public Func<CancellationToken, Task<IReadOnlyList<string>>>? Reload { get; init; }

    /// <summary>How the last reading of the configuration went; null: taken at the start.</summary>
    public Func<ConfigState>? Config { get; init; }

    /// <summary>The running configuration as YAML, without secrets.</summary>
    public Func<string>? Configuration { get; init; }

    /// <summary>Deletes and copies; null: <c>admin/tsdb/*</c> is answered as in Prometheus without <c>--web.enable-admin-api</c>.</summary>
    public IStoreAdmin? Admin { get; init; }

    /// <summary>Series in the head of the store, for <c>status/tsdb</c>; takes how many entries each list has at most.</summary>
    public Func<int, StoreFacts>? Store { get; init; }

    /// <summary>Writes <c>/metrics</c>: takes the Accept header and the response's stream, gives the content type before it writes.</summary>
    public Func<string, (string ContentType, Func<Stream, CancellationToken, Task> Write)>? Metrics { get; init; }
}

/// <summary>How the last reading of the configuration went.</summary>
/// <param name="Ok">Whether it was taken.</param>
/// <param name="TakenMs">When a configuration was last taken, Unix ms.</param>
public readonly record struct ConfigState(bool Ok, long TakenMs);

/// <summary>Figures of the store. Times are Unix ms.</summary>
public sealed record StoreFacts(long Series, long Chunks, long LabelPairs, long MinTimeMs, long MaxTimeMs)
{
    /// <summary>Jobs with the most series in memory, most first.</summary>
    public IReadOnlyList<KeyValuePair<string, long>> ByJob { get; init; } = [];

    /// <summary>Agents that were the first to send the most series in memory, most first.</summary>
    public IReadOnlyList<KeyValuePair<string, long>> ByAgent { get; init; } = [];

    /// <summary>Limits on series: name, value, and how many new series each refused since the start.</summary>
    public IReadOnlyList<(string Name, long Value, long Refused)> Limits { get; init; } = [];
}
