using Bellwether.Agent.Spool;
using Bellwether.Core.Configuration;
using Bellwether.Core.Configuration.Prometheus;
using Bellwether.Core.Model;

namespace Bellwether.Agent.Configuration;

/// <summary>All of <c>agent.yaml</c>. Immutable; paths are absolute. Compares by content.</summary>
public sealed record AgentConfig
{
    /// <summary>Who this agent is.</summary>
    public AgentSection Agent { get; init; } = new();

    /// <summary>Where it streams to, in order of preference; all must be one store.</summary>
    public ValueList<AggregatorSection> Aggregators { get; init; } = [];

    /// <summary>What is not yet acknowledged, on disk.</summary>
    public SpoolSection Spool { get; init; } = new();

    /// <summary>How it is streamed.</summary>
    public StreamSection Stream { get; init; } = new();

    /// <summary>How the agent stops.</summary>
    public StopSection Stop { get; init; } = new();

    /// <summary>Bundles, carried by hand or through a one-way gate.</summary>
    public BundleSection Bundle { get; init; } = new();

    /// <summary>The local status socket.</summary>
    public StatusSection Status { get; init; } = new();

    /// <summary>What it says and when it gives up.</summary>
    public LogSection Log { get; init; } = new();

    /// <summary>The systemd watchdog and own limits.</summary>
    public WatchdogSection Watchdog { get; init; } = new();

    /// <summary>Collectors besides scraping.</summary>
    public CollectorsSection Collectors { get; init; } = new();

    /// <summary>Prometheus' <c>global</c>.</summary>
    [Reload("Prometheus' section global: what jobs share.")]
    public GlobalConfig Global { get; init; } = new();

    /// <summary>Prometheus' <c>scrape_configs</c>.</summary>
    [Reload("Scrape jobs in Prometheus' form.")]
    [Reload("Files with more scrape_configs; '*' may stand in the last part of a path.", Key = "scrape_config_files", Type = "list of files", Default = "none")]
    public ValueList<ScrapeConfig> ScrapeConfigs { get; init; } = [];
}

/// <summary>Section <c>agent</c>.</summary>
public sealed record AgentSection
{
    /// <summary>The agent's name.</summary>
    [Restart("The agent's name: unique among the agents of an aggregator, and the one its credential is bound to.", Default = "the host name")]
    public string Id { get; init; } = "";

    /// <summary>Labels of the agent.</summary>
    [Restart("Labels of this agent in the aggregator's fleet, e.g. site or region.")]
    public Labels Labels { get; init; } = Labels.Empty;
}

/// <summary>Section <c>bundle</c>.</summary>
public sealed record BundleSection
{
    /// <summary>Signs bundles.</summary>
    [Restart("The agent's private key for bundles, made by 'bellwether-agent bundle keygen'.")]
    public string KeyFile { get; init; } = "";

    /// <summary>Whom the records are encrypted for.</summary>
    [Restart("The aggregator's public key: records in bundles are encrypted for it. Without it they are signed only.")]
    public string RecipientFile { get; init; } = "";

    /// <summary>Whose receipts are taken.</summary>
    [Restart("The aggregator's public key: receipts are taken only when it signed them.")]
    public string ReceiptKeyFile { get; init; } = "";

    /// <summary>The one-way mode, or null.</summary>
    public OutboxSection? Outbox { get; init; }
}

/// <summary>Section <c>bundle.outbox</c>: bundles are put into a folder that something else carries on.</summary>
public sealed record OutboxSection
{
    /// <summary>The folder.</summary>
    [Restart("A folder that bundles are put into for a one-way gate (diode) or a courier. What lies there has left the spool.", Default = "required", Type = "path")]
    public string Folder { get; init; } = "";

    /// <summary>How often.</summary>
    [Restart("How often a bundle is made.")]
    public TimeSpan Interval { get; init; } = TimeSpan.FromMinutes(5);

    /// <summary>Bytes that may lie there.</summary>
    [Restart("While this much lies in the folder no bundle is made, and the spool keeps the records.")]
    public ByteSize MaxSize { get; init; } = ByteSize.FromGibibytes(1);

    /// <summary>Size of one file.</summary>
    [Restart("The most bytes of one file; 0: one file each.")]
    public ByteSize SplitSize { get; init; }
}

/// <summary>One element of <c>aggregators</c>.</summary>
public sealed record AggregatorSection
{
    /// <summary>Host and port, or URL.</summary>
    [Restart("host:port, or a URL. Without a scheme: TLS, but plain text on loopback when no tls section is there.", Default = "required")]
    public string Address { get; init; } = "";

    /// <summary>The token itself.</summary>
    [Restart("The bearer token. Better in a file.")]
    public Secret? Token { get; init; }

    /// <summary>A file with the token.</summary>
    [Restart("A file that holds the bearer token.")]
    public string TokenFile { get; init; } = "";

    /// <summary>Certificates, or null when there is no tls section.</summary>
    [Restart("ca_file, cert_file, key_file, server_name: the authorities to trust instead of the system's, and the agent's own certificate.")]
    public ClientTlsSection? Tls { get; init; }

    /// <summary>Whether plain text may leave the machine.</summary>
    [Restart("Whether plain text (http://) may go beyond loopback. Tokens then travel readable.")]
    public bool AllowPlaintext { get; init; }

    /// <summary>The address as a URL, by the rule of <see cref="Address"/>.</summary>
    public Uri Uri
    {
        get
        {
            if (Address.Contains("://", StringComparison.Ordinal))
                return new Uri(Address);
            var uri = new Uri("https://" + Address);
            return Tls is null && (uri.IsLoopback || AllowPlaintext) ? new Uri("http://" + Address) : uri;
        }
    }
}

/// <summary>Section <c>tls</c> of an aggregator's address.</summary>
public sealed record ClientTlsSection
{
    /// <summary>PEM file of the authorities to trust.</summary>
    [Restart("PEM file of the certificate authorities to trust.", Default = "the system's")]
    public string CaFile { get; init; } = "";

    /// <summary>PEM file of the agent's certificate.</summary>
    [Restart("PEM file of the agent's own certificate.")]
    public string CertFile { get; init; } = "";

    /// <summary>PEM file of its key.</summary>
    [Restart("PEM file of the certificate's key.")]
    public string KeyFile { get; init; } = "";

    /// <summary>The name to expect.</summary>
    [Restart("The name to expect in the aggregator's certificate.", Default = "the address's host")]
    public string ServerName { get; init; } = "";
}

/// <summary>Section <c>spool</c>.</summary>
public sealed record SpoolSection
{
    /// <summary>The folder.</summary>
    [Restart("The folder of the spool; it belongs to this agent alone.", Type = "path")]
    public string Path { get; init; } = "spool";

    /// <summary>The most bytes on disk.</summary>
    [Restart("The most bytes on disk, what the spool keeps beside its records included; when_full says what gives way, counted by source. At least 16MB.")]
    public ByteSize MaxSize { get; init; } = ByteSize.FromGibibytes(1);

    /// <summary>The longest age.</summary>
    [Restart("What is older is dropped, and counted.")]
    public TimeSpan MaxAge { get; init; } = TimeSpan.FromDays(7);

    /// <summary>What gives way.</summary>
    [Restart("What gives way when the spool is full: drop_oldest; refuse_new, until something was acknowledged; or by_priority: the oldest of the lowest priority that has any.", Default = "drop_oldest")]
    public SpoolPolicy WhenFull { get; init; } = SpoolPolicy.DropOldest;

    /// <summary>Which jobs are kept longest.</summary>
    [Restart("With when_full: by_priority: jobs (scrape jobs, or the job of a collector, e.g. node) by priority; what is not named is normal.")]
    public ValueList<SpoolPrioritySection> Priorities { get; init; } = [];

    /// <summary>The keys of encryption at rest.</summary>
    [Restart("Keys of encryption at rest (AES-256-GCM). New segments use the first; the others open what was written under them. Empty: not encrypted.", Type = "list of keys")]
    public ValueList<SpoolKeySection> Encryption { get; init; } = [];
}

/// <summary>One element of <c>spool.priorities</c>.</summary>
public sealed record SpoolPrioritySection
{
    /// <summary>The job.</summary>
    [Restart("The job's name.", Default = "required")]
    public string Job { get; init; } = "";

    /// <summary>Its priority.</summary>
    [Restart("low, normal or high.", Default = "required")]
    public SpoolPriority Priority { get; init; } = SpoolPriority.Normal;
}

/// <summary>One element of <c>spool.encryption</c>: a key and where it is read from; exactly one place.</summary>
public sealed record SpoolKeySection
{
    /// <summary>Its name.</summary>
    [Restart("The key's name, written beside what it protects: at most 32 of a-z, A-Z, 0-9, '.', '_' and '-'.", Default = "required")]
    public string Id { get; init; } = "";

    /// <summary>A file that holds it.</summary>
    [Restart("A file that holds the key: 32 bytes, or as 64 hexadecimal digits or base64.", Type = "path")]
    public string File { get; init; } = "";

    /// <summary>An environment variable that holds it.</summary>
    [Restart("An environment variable that holds the key, as 64 hexadecimal digits or base64.")]
    public string Env { get; init; } = "";

    /// <summary>A systemd credential that holds it.</summary>
    [Restart("A systemd credential (LoadCredential=) that holds the key: a file of this name in $CREDENTIALS_DIRECTORY.")]
    public string Credential { get; init; } = "";
}

/// <summary>Section <c>stream</c>.</summary>
public sealed record StreamSection
{
    /// <summary>Payload bytes a second.</summary>
    [Restart("Payload bytes a second that may go out, live data first; 0: no limit. At least 1KB.")]
    public ByteSize BandwidthLimit { get; init; } = default;

    /// <summary>How often a preferred address is looked for.</summary>
    [Restart("While streaming to another address than the first of aggregators: how often to look whether one before it is back, jittered by a fifth; 0: stay.")]
    public TimeSpan ReturnInterval { get; init; } = TimeSpan.FromMinutes(5);
}

/// <summary>Section <c>stop</c>.</summary>
public sealed record StopSection
{
    /// <summary>The whole time from SIGTERM to the end.</summary>
    [Restart("The longest time from SIGTERM to the end: a last scrape (at most 4/10 of it), then sending what is spooled (at most 1/2). What does not get out in time stays in the spool. Keep it below the service manager's limit (Fargate: 30s).")]
    public TimeSpan Timeout { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>Whether all sources are collected once more.</summary>
    [Restart("Whether all sources are collected once more before the end.")]
    public bool LastScrape { get; init; } = true;
}

/// <summary>Section <c>status</c>.</summary>
public sealed record StatusSection
{
    /// <summary>The socket's path; empty = no socket.</summary>
    [Restart("Path of the Unix socket that `bellwether-agent status` asks; empty: none.", Type = "path")]
    public string Socket { get; init; } = "agent.sock";
}

/// <summary>How much is logged.</summary>
public enum LogDetail
{
    /// <summary>Everything, for the search of a fault.</summary>
    Debug,

    /// <summary>What an operator may want to know.</summary>
    Information,

    /// <summary>What recovered by itself, and worse.</summary>
    Warning,

    /// <summary>Data lost, or a human is needed.</summary>
    Error,
}

/// <summary>Section <c>log</c>.</summary>
public sealed record LogSection
{
    /// <summary>The lowest level that is written.</summary>
    [Reload("The lowest level that is written: debug, information, warning or error.")]
    public LogDetail Level { get; init; } = LogDetail.Information;
}

/// <summary>Section <c>watchdog</c>.</summary>
public sealed record WatchdogSection
{
    /// <summary>How long the data path may stand still.</summary>
    [Restart("How long the data path may stand still before the agent ends itself, so that its service manager starts it anew; 0: never.")]
    public TimeSpan StallLimit { get; init; } = TimeSpan.FromMinutes(5);
}

/// <summary>Section <c>collectors</c>.</summary>
public sealed record CollectorsSection
{
    /// <summary>The host, or null when the section is not there.</summary>
    [Reload("node_exporter's metrics of this host; the section alone turns them on.")]
    public HostSection? Host { get; init; }

    /// <summary>PostgreSQL servers.</summary>
    [Reload("PostgreSQL servers: postgres_exporter's metrics, and own queries.")]
    public ValueList<PostgresSection> Postgres { get; init; } = [];
}
