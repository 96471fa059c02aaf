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
    public string JobName { get; init; } = "";

    /// <summary>How often; default: global's, 1m.</summary>
    public TimeSpan ScrapeInterval { get; init; } = TimeSpan.FromMinutes(1);

    /// <summary>How long one scrape may take, at most the interval; default: global's, 10s.</summary>
    public TimeSpan ScrapeTimeout { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>The formats to ask for, the most wanted first.</summary>
    public ValueList<ScrapeProtocol> ScrapeProtocols { get; init; } = GlobalConfig.DefaultScrapeProtocols;

    /// <summary>The format to assume when the answer's content type is missing or unknown; null = refuse such an answer.</summary>
    public ScrapeProtocol? FallbackScrapeProtocol { get; init; }

    /// <summary>Whether native histograms are asked for and stored; default false.</summary>
    public bool ScrapeNativeHistograms { get; init; }

    /// <summary>Whether classic buckets are kept where a native histogram is there too; default false.</summary>
    public bool AlwaysScrapeClassicHistograms { get; init; }

    /// <summary>Whether classic histograms become native ones with custom buckets; default false.</summary>
    public bool ConvertClassicHistogramsToNhcb { get; init; }

    /// <summary>Whether <c>scrape_timeout_seconds</c>, <c>scrape_sample_limit</c> and <c>scrape_body_size_bytes</c> are reported too; default false.</summary>
    public bool ExtraScrapeMetrics { get; init; }

    /// <summary>The path; default <c>/metrics</c>.</summary>
    public string MetricsPath { get; init; } = "/metrics";

    /// <summary><c>http</c> (default) or <c>https</c>.</summary>
    public string Scheme { get; init; } = "http";

    /// <summary>URL parameters.</summary>
    public ValueList<UrlParameter> Params { get; init; } = [];

    /// <summary>Whether the target's own labels win over the server's; default false.</summary>
    public bool HonorLabels { get; init; }

    /// <summary>Whether timestamps in the exposition count; default true.</summary>
    public bool HonorTimestamps { get; init; } = true;

    /// <summary>Whether series with own timestamps get stale markers; default false.</summary>
    public bool TrackTimestampsStaleness { get; init; }

    /// <summary>Whether compressed answers are asked for; default true.</summary>
    public bool EnableCompression { get; init; } = true;

    /// <summary>The longest body, uncompressed; 0 = the program's own limit.</summary>
    public ByteSize BodySizeLimit { get; init; }

    /// <summary>The most samples after relabelling; more fail the scrape.</summary>
    public int SampleLimit { get; init; }

    /// <summary>The most targets after relabelling; more fail all the job's scrapes.</summary>
    public int TargetLimit { get; init; }

    /// <summary>The most labels of a sample.</summary>
    public int LabelLimit { get; init; }

    /// <summary>The longest label name in bytes.</summary>
    public int LabelNameLengthLimit { get; init; }

    /// <summary>The longest label value in bytes.</summary>
    public int LabelValueLengthLimit { get; init; }

    /// <summary>The most buckets of a native histogram; its resolution is lowered until it fits.</summary>
    public int NativeHistogramBucketLimit { get; init; }

    /// <summary>The smallest growth factor of native buckets; 0 = any.</summary>
    public double NativeHistogramMinBucketFactor { get; init; }

    /// <summary>How many dropped targets are remembered for display.</summary>
    public int KeepDroppedTargets { get; init; }

    /// <summary>Which names are accepted.</summary>
    public NameValidation MetricNameValidationScheme { get; init; }

    /// <summary>Which escaping is asked for.</summary>
    public NameEscaping MetricNameEscapingScheme { get; init; }

    /// <summary>A file that scrape failures are logged to; empty = none.</summary>
    public string ScrapeFailureLogFile { get; init; } = "";

    /// <summary>Authentication, TLS, proxy and redirects.</summary>
    public HttpClientConfig HttpClient { get; init; } = new();

    /// <summary>Targets written in the file itself.</summary>
    public ValueList<TargetGroup> StaticConfigs { get; init; } = [];

    /// <summary>Targets from files.</summary>
    public ValueList<FileSdConfig> FileSdConfigs { get; init; } = [];

    /// <summary>Targets from HTTP endpoints.</summary>
    public ValueList<HttpSdConfig> HttpSdConfigs { get; init; } = [];

    /// <summary>Rules for targets, before the scrape.</summary>
    public ValueList<RelabelRule> RelabelConfigs { get; init; } = [];

    /// <summary>Rules for samples, after the scrape.</summary>
    public ValueList<RelabelRule> MetricRelabelConfigs { get; init; } = [];
}

/// <summary>A URL parameter and its values.</summary>
public sealed record UrlParameter(string Name, ValueList<string> Values);

/// <summary>Targets that share labels; each target is its labels, <c>__address__</c> among them.</summary>
public sealed record TargetGroup
{
    /// <summary>The targets.</summary>
    public ValueList<Labels> Targets { get; init; } = [];

    /// <summary>The shared labels; a target's own label wins.</summary>
    public Labels Labels { get; init; } = Labels.Empty;

    /// <summary>Where the group comes from, unique within its mechanism, e.g. <c>/etc/targets.yml:0</c>.</summary>
    public string Source { get; init; } = "";
}

/// <summary>Targets from files: re-read when they change.</summary>
public sealed record FileSdConfig
{
    /// <summary>Absolute paths; the last element may hold one <c>*</c>; they end in .json, .yml or .yaml.</summary>
    public ValueList<string> Files { get; init; } = [];

    /// <summary>How often the files are looked at; default 5m.</summary>
    public TimeSpan RefreshInterval { get; init; } = TimeSpan.FromMinutes(5);
}

/// <summary>Targets from an HTTP endpoint.</summary>
public sealed record HttpSdConfig
{
    /// <summary>The endpoint.</summary>
    public string Url { get; init; } = "";

    /// <summary>How often it is asked; default 1m.</summary>
    public TimeSpan RefreshInterval { get; init; } = TimeSpan.FromMinutes(1);

    /// <summary>Authentication, TLS, proxy and redirects.</summary>
    public HttpClientConfig HttpClient { get; init; } = new();
}
