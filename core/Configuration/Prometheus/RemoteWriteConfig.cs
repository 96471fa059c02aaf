using Bellwether.Core.Relabel;

namespace Bellwether.Core.Configuration.Prometheus;

/// <summary>The two wire forms of remote write.</summary>
public enum RemoteWriteMessage
{
    /// <summary>Remote write 1.0: <c>prometheus.WriteRequest</c>.</summary>
    V1,

    /// <summary>Remote write 2.0: <c>io.prometheus.write.v2.Request</c>.</summary>
    V2,
}

/// <summary>One element of <c>remote_write</c>. Immutable.</summary>
public sealed record RemoteWriteConfig
{
    /// <summary>The receiver.</summary>
    [Option("The receiver, http:// or https://.", Default = "required")]
    public string Url { get; init; } = "";

    /// <summary>A unique name for metrics; empty = made from the content.</summary>
    [Option("A unique name, for metrics and the queue's folder.", Default = "made from the content")]
    public string Name { get; init; } = "";

    /// <summary>How long one request may take; default 30s.</summary>
    [Option("How long one request may take.")]
    public TimeSpan RemoteTimeout { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>The wire form; default 1.0.</summary>
    [Option("prometheus.WriteRequest (remote write 1.0) or io.prometheus.write.v2.Request (2.0, with start times and metadata in line; falls back to 1.0 where an upstream does not take it).", Key = "protobuf_message", Type = "word", Default = "prometheus.WriteRequest")]
    public RemoteWriteMessage Message { get; init; }

    /// <summary>Headers to send besides; names as written, in file order.</summary>
    [Option("Headers to send besides: name to value.", Type = "section of texts")]
    public ValueList<UrlParameter> Headers { get; init; } = [];

    /// <summary>Whether exemplars are sent; default false.</summary>
    [Option("Whether exemplars are sent.")]
    public bool SendExemplars { get; init; }

    /// <summary>Whether native histograms are sent; default false.</summary>
    [Option("Whether native histograms are sent.")]
    public bool SendNativeHistograms { get; init; }

    /// <summary>Whether host names are resolved at each connect and one address picked.</summary>
    [Option("Read and checked, without effect.")]
    public bool RoundRobinDns { get; init; }

    /// <summary>Rules for what is sent.</summary>
    [Option("Rules for what is sent.")]
    public ValueList<RelabelRule> WriteRelabelConfigs { get; init; } = [];

    /// <summary>Queue and retry.</summary>
    [Option("Batches and retries.", Key = "queue_config")]
    public QueueConfig Queue { get; init; } = new();

    /// <summary>Sending of metadata.</summary>
    [Option("Sending of metadata.", Key = "metadata_config")]
    public MetadataConfig Metadata { get; init; } = new();

    /// <summary>Authentication, TLS, proxy and redirects.</summary>
    [Spread]
    public HttpClientConfig HttpClient { get; init; } = new();

    /// <summary>Whether an authentication is configured that no client of ours speaks (sigv4, azuread, google_iam); the programs' own files refuse it.</summary>
    public bool UsesCloudAuthentication { get; init; }
}

/// <summary><c>queue_config</c> of remote write.</summary>
public sealed record QueueConfig
{
    /// <summary>Samples kept per shard; default 10000.</summary>
    [Option("Read and checked, without effect: the queue is on disk.")]
    public int Capacity { get; init; } = 10_000;

    /// <summary>Default 50.</summary>
    [Option("Read and checked, without effect: one connection keeps the order.")]
    public int MaxShards { get; init; } = 50;

    /// <summary>Default 1.</summary>
    [Option("Read and checked, without effect: one connection keeps the order.")]
    public int MinShards { get; init; } = 1;

    /// <summary>Samples in one request; default 2000.</summary>
    [Option("The most samples in one request.")]
    public int MaxSamplesPerSend { get; init; } = 2000;

    /// <summary>How long a sample waits for company; default 5s.</summary>
    [Option("How long a sample waits for company, at most 1s.")]
    public TimeSpan BatchSendDeadline { get; init; } = TimeSpan.FromSeconds(5);

    /// <summary>Default 30ms.</summary>
    [Option("The first wait after a failure.")]
    public TimeSpan MinBackoff { get; init; } = TimeSpan.FromMilliseconds(30);

    /// <summary>Default 5s.</summary>
    [Option("The longest wait after a failure.")]
    public TimeSpan MaxBackoff { get; init; } = TimeSpan.FromSeconds(5);

    /// <summary>Whether HTTP 429 is retried; default true.</summary>
    [Option("Whether an answer 429 is tried again.", Key = "retry_on_http_429")]
    public bool RetryOnHttp429 { get; init; } = true;

    /// <summary>Samples older than this are not sent; 0 = no limit.</summary>
    [Option("Older samples are not sent; 0: no limit.")]
    public TimeSpan SampleAgeLimit { get; init; }
}

/// <summary><c>metadata_config</c> of remote write.</summary>
public sealed record MetadataConfig
{
    /// <summary>Default true.</summary>
    [Option("Whether metadata is sent.")]
    public bool Send { get; init; } = true;

    /// <summary>Default 1m.</summary>
    [Option("How often.")]
    public TimeSpan SendInterval { get; init; } = TimeSpan.FromMinutes(1);

    /// <summary>Default 2000.</summary>
    [Option("The most metrics in one request.")]
    public int MaxSamplesPerSend { get; init; } = 2000;
}

/// <summary>One element of <c>remote_read</c>: read and checked, used by no part of ours.</summary>
public sealed record RemoteReadConfig
{
    /// <summary>The sender.</summary>
    public string Url { get; init; } = "";

    /// <summary>A unique name.</summary>
    public string Name { get; init; } = "";
}
