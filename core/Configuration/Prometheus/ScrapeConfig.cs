using Bellwether.Core.Model;
using Bellwether.Core.Relabel;

namespace Bellwether.Core.Configuration.Prometheus;

/// <summary>Which metric and label names are accepted.</summary>
public enum NameValidation
{
    /// <summary>Any UTF-8.</summary>
    Utf8,

    /// <summary><c>[a-zA-Z_:][a-zA-Z0-9_:]*</c>.</summary>
    Legacy,
}

/// <summary>What a scrape asks the target to do with names that are not legacy names.</summary>
public enum NameEscaping
{
    /// <summary>Send them as they are (<c>allow-utf-8</c>).</summary>
    AllowUtf8,

    /// <summary>Replace foreign characters by <c>_</c>.</summary>
    Underscores,

    /// <summary><c>.</c> becomes <c>_dot_</c>, and so on.</summary>
    Dots,

    /// <summary>Prefix <c>U__</c> and hexadecimal code points.</summary>
    Values,
}

/// <summary>The exposition formats that a scrape can ask for, in the words of <c>scrape_protocols</c>.</summary>
public enum ScrapeProtocol
{
    /// <summary>Delimited protobuf.</summary>
    PrometheusProto,

    /// <summary>OpenMetrics text 1.0.0.</summary>
    OpenMetricsText100,

    /// <summary>OpenMetrics text 0.0.1.</summary>
    OpenMetricsText001,

    /// <summary>Prometheus text 1.0.0.</summary>
    PrometheusText100,

    /// <summary>Prometheus text 0.0.4.</summary>
    PrometheusText004,
}

/// <summary>One element of <c>scrape_configs</c> with all that <c>global</c> gives already in it. Immutable. A limit of 0 means none.</summary>
public sealed record ScrapeConfig
{
    /// <summary>The job's name: unique, never empty.</summary>
    [Option("The job's name: required, unique; the label job of its series.", Default = "required")]
    public string JobName { get; init; } = "";

    /// <summary>How often; default: global's, 1m.</summary>
    [Option("How often each target is scraped.", Default = "global's")]
    public TimeSpan ScrapeInterval { get; init; } = TimeSpan.FromMinutes(1);

    /// <summary>How long one scrape may take, at most the interval; default: global's, 10s.</summary>
    [Option("How long one scrape may take; at most scrape_interval.", Default = "global's, or scrape_interval when that is less")]
    public TimeSpan ScrapeTimeout { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>The formats to ask for, the most wanted first.</summary>
    [Option("The formats to ask for, the most wanted first; see global.", Type = "list of words", Default = "global's")]
    public ValueList<ScrapeProtocol> ScrapeProtocols { get; init; } = GlobalConfig.DefaultScrapeProtocols;

    /// <summary>The format to assume when the answer's content type is missing or unknown; null = refuse such an answer.</summary>
    [Option("The format to assume when an answer's content type is missing or unknown; one of the words of scrape_protocols.", Type = "word", Default = "such an answer fails the scrape")]
    public ScrapeProtocol? FallbackScrapeProtocol { get; init; }

    /// <summary>Whether native histograms are asked for and stored; default false.</summary>
    [Option("Whether protobuf, which carries native histograms, is asked for first.", Default = "global's")]
    public bool ScrapeNativeHistograms { get; init; }

    /// <summary>Whether classic buckets are kept where a native histogram is there too; default false.</summary>
    [Option("Read and checked, without effect.", Default = "global's")]
    public bool AlwaysScrapeClassicHistograms { get; init; }

    /// <summary>Whether classic histograms become native ones with custom buckets; default false.</summary>
    [Option("Read and checked, without effect.", Default = "global's")]
    public bool ConvertClassicHistogramsToNhcb { get; init; }

    /// <summary>Whether <c>scrape_timeout_seconds</c>, <c>scrape_sample_limit</c> and <c>scrape_body_size_bytes</c> are reported too; default false.</summary>
    [Option("Whether scrape_timeout_seconds, scrape_sample_limit and scrape_body_size_bytes are written too.", Default = "global's")]
    public bool ExtraScrapeMetrics { get; init; }

    /// <summary>The path; default <c>/metrics</c>.</summary>
    [Option("The path of the URL.")]
    public string MetricsPath { get; init; } = "/metrics";

    /// <summary><c>http</c> (default) or <c>https</c>.</summary>
    [Option("http or https.", Type = "word")]
    public string Scheme { get; init; } = "http";

    /// <summary>URL parameters.</summary>
    [Option("URL parameters: name to a list of values.", Type = "section of lists")]
    public ValueList<UrlParameter> Params { get; init; } = [];

    /// <summary>Whether the target's own labels win over the server's; default false.</summary>
    [Option("Whether the target's own labels win over the agent's; else they become exported_NAME.")]
    public bool HonorLabels { get; init; }

    /// <summary>Whether timestamps in the exposition count; default true.</summary>
    [Option("Whether timestamps in the exposition count.")]
    public bool HonorTimestamps { get; init; } = true;

    /// <summary>Whether series with own timestamps get stale markers; default false.</summary>
    [Option("Whether series with timestamps of their own get stale markers when they go.")]
    public bool TrackTimestampsStaleness { get; init; }

    /// <summary>Whether the start of counters is inferred where the target does not tell it; default false.</summary>
    [Option("Whether the start of counters is inferred where the target does not tell it (docs/kpis.md, exact counts): from what the scrape before had, and from process_start_time_seconds.")]
    public bool InferStartTimes { get; init; }

    /// <summary>Whether compressed answers are asked for; default true.</summary>
    [Option("Whether compressed answers are asked for.")]
    public bool EnableCompression { get; init; } = true;

    /// <summary>The longest body, uncompressed; 0 = the program's own limit.</summary>
    [Option("The longest answer, uncompressed; a longer one fails the scrape. 0: the agent's own limit, 64MB.", Default = "global's")]
    public ByteSize BodySizeLimit { get; init; }

    /// <summary>The most samples after relabelling; more fail the scrape.</summary>
    [Option("The most samples after relabelling; more fail the scrape. 0: the agent's own limit, 100000.", Default = "global's")]
    public int SampleLimit { get; init; }

    /// <summary>The most targets after relabelling; more fail all the job's scrapes.</summary>
    [Option("The most targets after relabelling; with more none of the job is scraped. 0: none.", Default = "global's")]
    public int TargetLimit { get; init; }

    /// <summary>The most labels of a sample.</summary>
    [Option("The most labels of a sample; more fail the scrape. 0: the agent's own limit.", Default = "global's")]
    public int LabelLimit { get; init; }

    /// <summary>The longest label name in bytes.</summary>
    [Option("The longest label name in bytes. 0: the agent's own limit.", Default = "global's")]
    public int LabelNameLengthLimit { get; init; }

    /// <summary>The longest label value in bytes.</summary>
    [Option("The longest label value in bytes. 0: the agent's own limit.", Default = "global's")]
    public int LabelValueLengthLimit { get; init; }

    /// <summary>The most buckets of a native histogram; its resolution is lowered until it fits.</summary>
    [Option("Read and checked, without effect.")]
    public int NativeHistogramBucketLimit { get; init; }

    /// <summary>The smallest growth factor of native buckets; 0 = any.</summary>
    [Option("Read and checked, without effect.")]
    public double NativeHistogramMinBucketFactor { get; init; }

    /// <summary>How many dropped targets are remembered for display.</summary>
    [Option("Read and checked, without effect: up to 100 dropped targets of a job are shown, all are counted.", Default = "global's")]
    public int KeepDroppedTargets { get; init; }

    /// <summary>Which names are accepted.</summary>
    [Option("Which metric and label names are accepted: utf8 or legacy.", Type = "word", Default = "global's")]
    public NameValidation MetricNameValidationScheme { get; init; }

    /// <summary>Which escaping is asked for.</summary>
    [Option("Read and checked, without effect: names are asked for as they are.", Type = "word", Default = "global's")]
    public NameEscaping MetricNameEscapingScheme { get; init; }

    /// <summary>A file that scrape failures are logged to; empty = none.</summary>
    [Option("Read and checked, without effect.", Type = "file", Default = "global's")]
    public string ScrapeFailureLogFile { get; init; } = "";

    /// <summary>Authentication, TLS, proxy and redirects.</summary>
    [Spread]
    public HttpClientConfig HttpClient { get; init; } = new();

    /// <summary>Targets written in the file itself.</summary>
    [Option("Targets written here.")]
    public ValueList<TargetGroup> StaticConfigs { get; init; } = [];

    /// <summary>Targets from files.</summary>
    [Option("Targets from files, which are read again when they change.")]
    public ValueList<FileSdConfig> FileSdConfigs { get; init; } = [];

    /// <summary>Targets from HTTP endpoints.</summary>
    [Option("Targets from HTTP endpoints, which are asked again and again.")]
    public ValueList<HttpSdConfig> HttpSdConfigs { get; init; } = [];

    /// <summary>Rules for targets, before the scrape.</summary>
    [Option("Rules for targets, before the scrape.")]
    public ValueList<RelabelRule> RelabelConfigs { get; init; } = [];

    /// <summary>Rules for samples, after the scrape.</summary>
    [Option("Rules for samples, after the scrape.")]
    public ValueList<RelabelRule> MetricRelabelConfigs { get; init; } = [];
}

/// <summary>A URL parameter and its values.</summary>
public sealed record UrlParameter(string Name, ValueList<string> Values);

/// <summary>Targets that share labels; each target is its labels, <c>__address__</c> among them.</summary>
public sealed record TargetGroup
{
    /// <summary>The targets.</summary>
    [Option("host:port, one per target.", Type = "list of texts")]
    public ValueList<Labels> Targets { get; init; } = [];

    /// <summary>The shared labels; a target's own label wins.</summary>
    [Option("Labels that the targets share.")]
    public Labels Labels { get; init; } = Labels.Empty;

    /// <summary>Where the group comes from, unique within its mechanism, e.g. <c>/etc/targets.yml:0</c>.</summary>
    public string Source { get; init; } = "";
}

/// <summary>Targets from files: re-read when they change.</summary>
public sealed record FileSdConfig
{
    /// <summary>Absolute paths; the last element may hold one <c>*</c>; they end in .json, .yml or .yaml.</summary>
    [Option("Paths that end in .json, .yml or .yaml; `*` may stand in the last part. Each holds a list of groups as in static_configs.", Type = "list of files", Default = "required")]
    public ValueList<string> Files { get; init; } = [];

    /// <summary>How often the files are looked at; default 5m.</summary>
    [Option("How often all files are read anew; changes of time or size are seen within 2s besides (up to 1000 files a job). A wrong file keeps its last good groups; a file that is gone loses them.")]
    public TimeSpan RefreshInterval { get; init; } = TimeSpan.FromMinutes(5);
}

/// <summary>Targets from an HTTP endpoint.</summary>
public sealed record HttpSdConfig
{
    /// <summary>The endpoint.</summary>
    [Option("Answers with a JSON list of groups as in static_configs.", Default = "required")]
    public string Url { get; init; } = "";

    /// <summary>How often it is asked; default 1m.</summary>
    [Option("How often it is asked. When it fails the last good groups stay.")]
    public TimeSpan RefreshInterval { get; init; } = TimeSpan.FromMinutes(1);

    /// <summary>Authentication, TLS, proxy and redirects.</summary>
    [Spread]
    public HttpClientConfig HttpClient { get; init; } = new();
}
