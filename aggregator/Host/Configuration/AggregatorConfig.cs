using Bellwether.Core.Configuration;
using Bellwether.Core.Configuration.Prometheus;
using Bellwether.Core.Model;

namespace Bellwether.Aggregator.Configuration;

/// <summary>All of <c>aggregator.yaml</c>. Immutable; paths are absolute. Compares by content.</summary>
public sealed record AggregatorConfig
{
    /// <summary>The file as <c>status/config</c> shows it: without secrets.</summary>
    internal string Shown { get; init; } = "";

    /// <summary>Where it listens.</summary>
    public ListenSection Listen { get; init; } = new();

    /// <summary>The store's folder.</summary>
    [Restart("The folder of the store; it belongs to this aggregator alone.", Type = "path")]
    public string DataDir { get; init; } = "data";

    /// <summary>Deleting and copying over HTTP.</summary>
    public AdminApiSection AdminApi { get; init; } = new();

    /// <summary>How long data is kept.</summary>
    public RetentionSection Retention { get; init; } = new();

    /// <summary>Who may stream in.</summary>
    public ValueList<AgentEntry> Agents { get; init; } = [];

    /// <summary>Bundles that are carried in.</summary>
    public BundleSection Bundle { get; init; } = new();

    /// <summary>Who is expected to be there.</summary>
    public FleetSection Fleet { get; init; } = new();

    /// <summary>Globs of rule files.</summary>
    [Reload("Prometheus rule files; '*' may stand in the last part of a path.")]
    public ValueList<string> RuleFiles { get; init; } = [];

    /// <summary>Globs of KPI files.</summary>
    [Reload("KPI files (docs/kpis.md); '*' may stand in the last part of a path.")]
    public ValueList<string> KpiFiles { get; init; } = [];

    /// <summary>Globs of SLO files.</summary>
    [Reload("SLO files: OpenSLO, Sloth, Pyrra or the short form (docs/slo.md); '*' may stand in the last part of a path.")]
    public ValueList<string> SloFiles { get; init; } = [];

    /// <summary>Prometheus' <c>global</c>: evaluation_interval and external_labels count here.</summary>
    [Restart("Prometheus' section global: evaluation_interval and external_labels count here.")]
    public GlobalConfig Global { get; init; } = new();

    /// <summary>When rules are evaluated.</summary>
    public EvaluationSection Evaluation { get; init; } = new();

    /// <summary>Prometheus' <c>remote_write</c>.</summary>
    [Restart("Where what is stored is forwarded, in Prometheus' form.")]
    public ValueList<RemoteWriteConfig> RemoteWrite { get; init; } = [];

    /// <summary>Bounds.</summary>
    public LimitsSection Limits { get; init; } = new();

    /// <summary>What is logged.</summary>
    public LogSection Log { get; init; } = new();
}

/// <summary>Section <c>listen</c>.</summary>
public sealed record ListenSection
{
    /// <summary>The agents' door.</summary>
    public ListenerSection Grpc { get; init; } = new() { Address = "127.0.0.1:9095" };

    /// <summary>The API, the console and remote write.</summary>
    public ListenerSection Http { get; init; } = new() { Address = "127.0.0.1:9090" };
}

/// <summary>One listener.</summary>
public sealed record ListenerSection
{
    /// <summary>Address and port.</summary>
    [Restart("Address and port, e.g. 0.0.0.0:9095; port 0 takes a free one.")]
    public string Address { get; init; } = "";

    /// <summary>Certificates, or null for plain text.</summary>
    [Restart("cert_file, key_file and, for agents' certificates, client_ca_file.")]
    public ServerTlsSection? Tls { get; init; }

    /// <summary>Whether plain text may be served beyond loopback.</summary>
    [Restart("Whether plain text may be served beyond loopback. Tokens and data then travel readable.")]
    public bool AllowPlaintext { get; init; }

    /// <summary>Host of <see cref="Address"/>; empty or <c>*</c> reads as all addresses.</summary>
    public string Host => Address[..Address.LastIndexOf(':')].Trim('[', ']') is { Length: > 0 } host and not "*" ? host : "0.0.0.0";

    /// <summary>Port of <see cref="Address"/>.</summary>
    public int Port => int.Parse(Address.AsSpan(Address.LastIndexOf(':') + 1), System.Globalization.CultureInfo.InvariantCulture);
}

/// <summary>TLS of a listener.</summary>
public sealed record ServerTlsSection
{
    /// <summary>PEM file of the certificate.</summary>
    [Restart("PEM file of the certificate and its chain.", Default = "required")]
    public string CertFile { get; init; } = "";

    /// <summary>PEM file of the key.</summary>
    [Restart("PEM file of the certificate's key.", Default = "required")]
    public string KeyFile { get; init; } = "";

    /// <summary>PEM file of the authorities that sign clients; empty = no client certificates.</summary>
    [Restart("PEM file of the authorities that sign agents' certificates.", Default = "client certificates are not asked for")]
    public string ClientCaFile { get; init; } = "";
}

/// <summary>Section <c>retention</c>.</summary>
public sealed record RetentionSection
{
    /// <summary>How long raw samples are kept.</summary>
    [Restart("How long raw samples are kept. At least 1h.")]
    public TimeSpan Raw { get; init; } = TimeSpan.FromDays(37);

    /// <summary>How long slots of 5 minutes are kept; zero: none are made.</summary>
    [Restart("How long slots of 5 minutes are kept, which samples become when `raw` is over: longer than `raw`. 0, and by default where `raw` is as long: none are made.", Key = "5m")]
    public TimeSpan FiveMinutes { get; init; } = TimeSpan.FromDays(90);

    /// <summary>How long slots of 1 hour are kept; zero: none are made.</summary>
    [Restart("How long slots of 1 hour are kept, which slots of 5 minutes become when `5m` is over: longer than `raw` and `5m`. 0, and by default where one of these is as long: none are made.", Key = "1h")]
    public TimeSpan OneHour { get; init; } = TimeSpan.FromDays(365);

    /// <summary>How much is kept; 0: no bound.</summary>
    [Restart("Bytes of chunk files above which the oldest of them go, whatever their age; 0: no bound.")]
    public ByteSize Size { get; init; }
}

/// <summary>Section <c>admin_api</c>.</summary>
public sealed record AdminApiSection
{
    /// <summary>Whether it is open.</summary>
    [Restart("Opens /api/v1/admin/tsdb: delete_series, clean_tombstones and snapshot. Whoever reaches the HTTP address may then delete.")]
    public bool Enabled { get; init; }
}

/// <summary>One element of <c>agents</c>: an agent and how it proves who it is.</summary>
public sealed record AgentEntry
{
    /// <summary>The agent's id.</summary>
    [Reload("The agent's id, or '*' for a token that any agent may use.", Default = "required")]
    public string Id { get; init; } = "";

    /// <summary>SHA-256 of the token in hexadecimal.</summary>
    [Reload("SHA-256 of the bearer token, 64 hexadecimal digits: the file then holds no secret.")]
    public string TokenSha256 { get; init; } = "";

    /// <summary>A file with the token.</summary>
    [Reload("A file that holds the bearer token, instead of its hash.")]
    public string TokenFile { get; init; } = "";

    /// <summary>SHA-256 of the client certificate.</summary>
    [Reload("SHA-256 of the agent's certificate (DER), 64 hexadecimal digits.")]
    public string CertificateSha256 { get; init; } = "";

    /// <summary>Common name of the client certificate.</summary>
    [Reload("The common name that the agent's certificate must have; it must be signed by listen.grpc.tls.client_ca_file.")]
    public string CertificateName { get; init; } = "";

    /// <summary>Labels of the agent; they win over its own.</summary>
    [Reload("Labels of this agent in the fleet; they win over the agent's own.")]
    public Labels Labels { get; init; } = Labels.Empty;

    /// <summary>Its public key for bundles.</summary>
    [Reload("The agent's public key for bundles, made by 'bellwether-agent bundle keygen'. Without it bundles of this agent are refused.")]
    public string BundleKeyFile { get; init; } = "";
}

/// <summary>Section <c>bundle</c>.</summary>
public sealed record BundleSection
{
    /// <summary>The aggregator's key.</summary>
    [Reload("The aggregator's private key, made by 'bellwether-aggregator bundle keygen': signs receipts, and reads what agents encrypted for it. Without it there are no receipts.")]
    public string KeyFile { get; init; } = "";

    /// <summary>The watched folder.</summary>
    [Restart("A folder that is watched for bundles (*.bwb).", Default = "inbox in data_dir", Type = "path")]
    public string Inbox { get; init; } = "";
}

/// <summary>Section <c>fleet</c>.</summary>
public sealed record FleetSection
{
    /// <summary>Agents that should be there even before they first came.</summary>
    [Reload("Ids of agents that are expected, beside those that came and were not retired.")]
    public ValueList<string> Expected { get; init; } = [];

    /// <summary>Agents that have left for good.</summary>
    [Reload("Ids of agents that have left for good: their silence is no gap.")]
    public ValueList<string> Retired { get; init; } = [];

    /// <summary>When an agent counts as silent.</summary>
    [Restart("How long nothing may be heard of an agent before it counts as silent, and up is synthesised for its targets.")]
    public TimeSpan SilentAfter { get; init; } = TimeSpan.FromSeconds(30);
}

/// <summary>Section <c>evaluation</c>.</summary>
public sealed record EvaluationSection
{
    /// <summary>The longest wait for sources.</summary>
    [Restart("How long a step of the rules waits for sources that are late.")]
    public TimeSpan DelayMax { get; init; } = TimeSpan.FromSeconds(2);

    /// <summary>Whether experimental PromQL is accepted.</summary>
    [Restart("Accept Prometheus' experimental PromQL: functions, limitk, smoothed, fill, arithmetic of durations.")]
    public bool Experimental { get; init; }

    /// <summary>How far back rules that are new get results when they are loaded; zero: not at all.</summary>
    [Reload("How far back rules, KPIs and objectives that are new are evaluated over stored history when they are loaded; 0s: from now on only.")]
    public TimeSpan BackfillNew { get; init; }
}

/// <summary>Section <c>limits</c>.</summary>
public sealed record LimitsSection
{
    /// <summary>How far ahead a sample may be.</summary>
    [Restart("How far ahead of this machine's clock a sample may be.")]
    public TimeSpan FutureBound { get; init; } = TimeSpan.FromMinutes(10);

    /// <summary>The most series in memory.</summary>
    [Restart("The most series in memory; new ones beyond are refused and counted.")]
    public int MaxSeries { get; init; } = 2_000_000;

    /// <summary>The most series in memory of one job.</summary>
    [Restart("The most series in memory with the same job label; new ones beyond are refused and counted, and other jobs go on.")]
    public int MaxSeriesPerJob { get; init; } = 1_000_000;

    /// <summary>The most series in memory of one agent.</summary>
    [Restart("The most series in memory that one agent was the first to send; new ones beyond are refused and counted, and other agents go on.")]
    public int MaxSeriesPerAgent { get; init; } = 1_000_000;

    /// <summary>The most agents at a time.</summary>
    [Restart("The most agents at a time.")]
    public int MaxAgents { get; init; } = 10_000;

    /// <summary>The most samples that one query may load.</summary>
    [Restart("The most samples that one query may hold at a time; a native histogram counts as many as it takes, 16 bytes a sample.")]
    public int MaxSamplesPerQuery { get; init; } = 50_000_000;

    /// <summary>The most samples that all queries may hold together.</summary>
    [Restart("The most samples that all queries may hold together at a time, beyond the first million of each; at least max_samples_per_query, and twice that when it is not given. Rules count and are not refused.")]
    public int MaxSamplesTogether { get; init; } = 100_000_000;

    /// <summary>The most queries at a time.</summary>
    [Restart("The most queries of the API that run at a time; others wait.")]
    public int MaxConcurrentQueries { get; init; } = 20;

    /// <summary>The longest a query may run.</summary>
    [Restart("The longest that a query may run.")]
    public TimeSpan QueryTimeout { get; init; } = TimeSpan.FromMinutes(2);

    /// <summary>The least free disk.</summary>
    [Restart("Below this much free disk new data is refused; queries go on.")]
    public ByteSize MinFreeDisk { get; init; } = ByteSize.FromMebibytes(256);
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
