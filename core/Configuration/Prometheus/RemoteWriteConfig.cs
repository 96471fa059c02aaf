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
    public string Url { get; init; } = "";

    /// <summary>A unique name for metrics; empty = made from the content.</summary>
    public string Name { get; init; } = "";

    /// <summary>How long one request may take; default 30s.</summary>
    public TimeSpan RemoteTimeout { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>The wire form; default 1.0.</summary>
    public RemoteWriteMessage Message { get; init; }

    /// <summary>Headers to send besides; names as written, in file order.</summary>
    public ValueList<UrlParameter> Headers { get; init; } = [];

    /// <summary>Whether exemplars are sent; default false.</summary>
    public bool SendExemplars { get; init; }

    /// <summary>Whether native histograms are sent; default false.</summary>
    public bool SendNativeHistograms { get; init; }

    /// <summary>Whether host names are resolved at each connect and one address picked.</summary>
    public bool RoundRobinDns { get; init; }

    /// <summary>Rules for what is sent.</summary>
    public ValueList<RelabelRule> WriteRelabelConfigs { get; init; } = [];

    /// <summary>Queue and retry.</summary>
    public QueueConfig Queue { get; init; } = new();

    /// <summary>Sending of metadata.</summary>
    public MetadataConfig Metadata { get; init; } = new();

    /// <summary>Authentication, TLS, proxy and redirects.</summary>
    public HttpClientConfig HttpClient { get; init; } = new();

    /// <summary>Whether an authentication is configured that no client of ours speaks (sigv4, azuread, google_iam); the programs' own files refuse it.</summary>
    public bool UsesCloudAuthentication { get; init; }
}

/// <summary><c>queue_config</c> of remote write.</summary>
public sealed record QueueConfig
{
    /// <summary>Samples kept per shard; default 10000.</summary>
    public int Capacity { get; init; } = 10_000;

    /// <summary>Default 50.</summary>
    public int MaxShards { get; init; } = 50;

    /// <summary>Default 1.</summary>
    public int MinShards { get; init; } = 1;

    /// <summary>Samples in one request; default 2000.</summary>
    public int MaxSamplesPerSend { get; init; } = 2000;

    /// <summary>How long a sample waits for company; default 5s.</summary>
    public TimeSpan BatchSendDeadline { get; init; } = TimeSpan.FromSeconds(5);

    /// <summary>Default 30ms.</summary>
    public TimeSpan MinBackoff { get; init; } = TimeSpan.FromMilliseconds(30);

    /// <summary>Default 5s.</summary>
    public TimeSpan MaxBackoff { get; init; } = TimeSpan.FromSeconds(5);

    /// <summary>Whether HTTP 429 is retried; default true.</summary>
    public bool RetryOnHttp429 { get; init; } = true;

    /// <summary>Samples older than this are not sent; 0 = no limit.</summary>
    public TimeSpan SampleAgeLimit { get; init; }
}

/// <summary><c>metadata_config</c> of remote write.</summary>
public sealed record MetadataConfig
{
    /// <summary>Default true.</summary>
    public bool Send { get; init; } = true;

    /// <summary>Default 1m.</summary>
    public TimeSpan SendInterval { get; init; } = TimeSpan.FromMinutes(1);

    /// <summary>Default 2000.</summary>
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
