using Bellwether.Core.Relabel;

namespace Bellwether.Core.Configuration.Prometheus;

/// <summary>A whole Prometheus configuration file. Immutable. File paths are absolute after reading.</summary>
public sealed record PrometheusConfig
{
    /// <summary>The <c>global</c> section.</summary>
    public GlobalConfig Global { get; init; } = new();

    /// <summary>The scrape configurations of the file and of its <c>scrape_config_files</c>.</summary>
    public ValueList<ScrapeConfig> ScrapeConfigs { get; init; } = [];

    /// <summary>Globs of rule files.</summary>
    public ValueList<string> RuleFiles { get; init; } = [];

    /// <summary>Receivers of what is stored.</summary>
    public ValueList<RemoteWriteConfig> RemoteWrite { get; init; } = [];

    /// <summary>Senders of older data; checked only.</summary>
    public ValueList<RemoteReadConfig> RemoteRead { get; init; } = [];

    /// <summary>The <c>alerting</c> section.</summary>
    public AlertingConfig Alerting { get; init; } = new();
}

/// <summary>The <c>alerting</c> section.</summary>
public sealed record AlertingConfig
{
    /// <summary>Rules for alerts before they are sent.</summary>
    public ValueList<RelabelRule> AlertRelabelConfigs { get; init; } = [];

    /// <summary>Where alerts are sent.</summary>
    public ValueList<AlertmanagerConfig> Alertmanagers { get; init; } = [];
}

/// <summary>One element of <c>alertmanagers</c>.</summary>
public sealed record AlertmanagerConfig
{
    /// <summary><c>http</c> (default) or <c>https</c>.</summary>
    public string Scheme { get; init; } = "http";

    /// <summary>A prefix of the path.</summary>
    public string PathPrefix { get; init; } = "";

    /// <summary>Default 10s.</summary>
    public TimeSpan Timeout { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>Authentication, TLS, proxy and redirects.</summary>
    public HttpClientConfig HttpClient { get; init; } = new();

    /// <summary>Alertmanagers written in the file itself.</summary>
    public ValueList<TargetGroup> StaticConfigs { get; init; } = [];

    /// <summary>Alertmanagers from files.</summary>
    public ValueList<FileSdConfig> FileSdConfigs { get; init; } = [];

    /// <summary>Alertmanagers from HTTP endpoints.</summary>
    public ValueList<HttpSdConfig> HttpSdConfigs { get; init; } = [];

    /// <summary>Rules for the discovered Alertmanagers.</summary>
    public ValueList<RelabelRule> RelabelConfigs { get; init; } = [];

    /// <summary>Rules for alerts sent here.</summary>
    public ValueList<RelabelRule> AlertRelabelConfigs { get; init; } = [];
}
