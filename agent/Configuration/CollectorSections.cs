using Bellwether.Agent.Collect.Host;
using Bellwether.Agent.Collect.Postgres;
using Bellwether.Core.Configuration;
using Bellwether.Core.Model;

namespace Bellwether.Agent.Configuration;

/// <summary>Section <c>collectors.host</c>: node_exporter's metrics. There = on.</summary>
public sealed record HostSection
{
    private static readonly HostCollectorOptions s_defaults = new();

    /// <summary>Whether it runs.</summary>
    [Reload("Whether the host is measured; the section alone turns it on.")]
    public bool Enabled { get; init; } = true;

    /// <summary>How often.</summary>
    [Reload("How often the host is measured.")]
    public TimeSpan Interval { get; init; } = s_defaults.Interval;

    /// <summary>The job label.</summary>
    [Reload("Value of the label job.")]
    public string Job { get; init; } = s_defaults.Job;

    /// <summary>More labels.</summary>
    [Reload("More labels on every series.")]
    public Labels Labels { get; init; } = Labels.Empty;

    /// <summary>Collectors on besides the default ones.</summary>
    [Reload("Collectors that are on besides the default ones.")]
    public ValueList<string> Enable { get; init; } = [];

    /// <summary>Default collectors that are off.</summary>
    [Reload("Default collectors that are off.")]
    public ValueList<string> Disable { get; init; } = [];

    /// <summary>Where procfs is.</summary>
    [Reload("Where procfs is.", Type = "path")]
    public string Procfs { get; init; } = s_defaults.ProcPath;

    /// <summary>Where sysfs is.</summary>
    [Reload("Where sysfs is.", Type = "path")]
    public string Sysfs { get; init; } = s_defaults.SysPath;

    /// <summary>Where the host's root is.</summary>
    [Reload("Where the host's root file system is mounted, e.g. /host in a container.", Type = "path")]
    public string Rootfs { get; init; } = s_defaults.RootPath;

    /// <summary>Mount points left out.</summary>
    [Reload("Mount points left out.", Type = "regular expression")]
    public string MountPointExclude { get; init; } = s_defaults.MountPointExclude;

    /// <summary>File system types left out.</summary>
    [Reload("File system types left out.", Type = "regular expression")]
    public string FsTypeExclude { get; init; } = s_defaults.FileSystemTypeExclude;

    /// <summary>Block devices left out.</summary>
    [Reload("Block devices left out.", Type = "regular expression")]
    public string DiskDeviceExclude { get; init; } = s_defaults.DiskDeviceExclude;

    /// <summary>Network devices left out.</summary>
    [Reload("Network devices left out of netdev.", Type = "regular expression")]
    public string NetDeviceExclude { get; init; } = s_defaults.NetDevExclude;

    /// <summary>Whether CPU info is written.</summary>
    [Reload("Whether node_cpu_info and its kin are written.")]
    public bool CpuInfo { get; init; }

    /// <summary>The collector's options. <paramref name="agentId"/> becomes the label instance.</summary>
    public HostCollectorOptions ToOptions(string agentId) => s_defaults with
    {
        Interval = Interval,
        Job = Job,
        Instance = agentId,
        Labels = CollectorLabels.ToDictionary(Labels),
        Enable = Enable,
        Disable = Disable,
        ProcPath = Procfs,
        SysPath = Sysfs,
        RootPath = Rootfs,
        MountPointExclude = MountPointExclude,
        FileSystemTypeExclude = FsTypeExclude,
        DiskDeviceExclude = DiskDeviceExclude,
        NetDevExclude = NetDeviceExclude,
        CpuInfo = CpuInfo,
    };
}

/// <summary>One element of <c>collectors.postgres</c>: postgres_exporter's metrics of one server, and own queries.</summary>
public sealed record PostgresSection
{
    /// <summary>Where the server is, and as whom.</summary>
    [Reload("postgresql://user@host:port/database, or Host=...;Username=...; instead of the keys host to database.")]
    public Secret? Dsn { get; init; }

    /// <summary>The host.</summary>
    [Reload("The server's host name, address or socket folder.", Default = "localhost")]
    public string Host { get; init; } = "";

    /// <summary>The port.</summary>
    [Reload("The server's port.")]
    public int Port { get; init; } = 5432;

    /// <summary>The user.</summary>
    [Reload("The user; needs pg_monitor for all metrics.", Default = "postgres")]
    public string User { get; init; } = "";

    /// <summary>The password.</summary>
    [Reload("The password. Better in a file.")]
    public Secret? Password { get; init; }

    /// <summary>A file with the password.</summary>
    [Reload("A file that holds the password.")]
    public string PasswordFile { get; init; } = "";

    /// <summary>The database.</summary>
    [Reload("The database to connect to.", Default = "postgres")]
    public string Database { get; init; } = "";

    /// <summary>The SSL mode.</summary>
    [Reload("disable, prefer, require, verify-ca or verify-full.", Default = "prefer", Type = "word")]
    public string SslMode { get; init; } = "";

    /// <summary>How often.</summary>
    [Reload("How often the server is asked.")]
    public TimeSpan Interval { get; init; } = TimeSpan.FromSeconds(15);

    /// <summary>The job label.</summary>
    [Reload("Value of the label job.")]
    public string Job { get; init; } = "postgres";

    /// <summary>The instance label; empty = host:port.</summary>
    [Reload("Value of the label instance.", Default = "host:port")]
    public string Instance { get; init; } = "";

    /// <summary>More labels.</summary>
    [Reload("More labels on every series.")]
    public Labels Labels { get; init; } = Labels.Empty;

    /// <summary>Collectors on besides the default ones.</summary>
    [Reload("Collectors that are on besides the default ones.")]
    public ValueList<string> Enable { get; init; } = [];

    /// <summary>Default collectors that are off.</summary>
    [Reload("Default collectors that are off.")]
    public ValueList<string> Disable { get; init; } = [];

    /// <summary>How long connecting may take.</summary>
    [Reload("How long connecting may take, 1s to 60s.")]
    public TimeSpan ConnectTimeout { get; init; } = TimeSpan.FromSeconds(5);

    /// <summary>How long one query may take.</summary>
    [Reload("How long one query may take.")]
    public TimeSpan QueryTimeout { get; init; } = TimeSpan.FromSeconds(5);

    /// <summary>Whether statement texts are sent.</summary>
    [Reload("Whether the text of statements is sent; it may hold what must not leave the host.")]
    public bool StatementText { get; init; }

    /// <summary>Own queries.</summary>
    [Reload("Own queries.")]
    public ValueList<PostgresQuerySection> Queries { get; init; } = [];

    /// <summary>The collector's options.</summary>
    public PostgresCollectorOptions ToOptions() => new()
    {
        ConnectionString = Dsn?.Reveal() ?? ConnectionString(),
        Password = Password?.Reveal(),
        PasswordFile = PasswordFile,
        Interval = Interval,
        Job = Job,
        Instance = Instance.Length == 0 ? null : Instance,
        Labels = CollectorLabels.ToDictionary(Labels),
        Enable = Enable,
        Disable = Disable,
        ConnectTimeout = ConnectTimeout,
        QueryTimeout = QueryTimeout,
        StatementText = StatementText,
        Queries = [.. Queries.Select(q => q.ToQuery())],
    };

    private string ConnectionString()
    {
        string text = $"Host={Quote(Or(Host, "localhost"))};Port={Port};Username={Quote(Or(User, "postgres"))};Database={Quote(Or(Database, "postgres"))}";
        return SslMode.Length == 0 ? text : $"{text};SSL Mode={SslMode switch { "verify-ca" => "VerifyCA", "verify-full" => "VerifyFull", _ => SslMode }}";
    }

    private static string Or(string text, string @default) => text.Length == 0 ? @default : text;

    private static string Quote(string text) => text.AsSpan().IndexOfAny(";='\" ") < 0 ? text : $"'{text.Replace("'", "''", StringComparison.Ordinal)}'";
}

/// <summary>An own query of a PostgreSQL collector.</summary>
public sealed record PostgresQuerySection
{
    /// <summary>Its name, unique in the collector.</summary>
    [Reload("Its name, unique in the collector; metrics are named NAME_COLUMN.", Default = "required")]
    public string Name { get; init; } = "";

    /// <summary>The SQL.</summary>
    [Reload("The SQL, run in a read-only transaction.", Default = "required")]
    public string Sql { get; init; } = "";

    /// <summary>How often it runs; 0 = at each tick.</summary>
    [Reload("How often it runs; between, its last values are repeated.", Default = "the collector's")]
    public TimeSpan Interval { get; init; }

    /// <summary>How long it may take; 0 = the collector's query_timeout.</summary>
    [Reload("How long it may take.", Default = "the collector's query_timeout")]
    public TimeSpan Timeout { get; init; }

    /// <summary>Rows beyond are not read.</summary>
    [Reload("Rows beyond are not read; 1 to 100000.")]
    public int RowsMax { get; init; } = 1000;

    /// <summary>Columns that become labels.</summary>
    [Reload("Columns whose text becomes a label.")]
    public ValueList<string> Labels { get; init; } = [];

    /// <summary>Columns that become samples.</summary>
    [Reload("Columns whose number becomes a sample; at least one.")]
    public ValueList<PostgresQueryMetric> Metrics { get; init; } = [];

    internal PostgresQuery ToQuery() => new()
    {
        Name = Name,
        Sql = Sql,
        Interval = Interval,
        Timeout = Timeout,
        RowsMax = RowsMax,
        Labels = [.. Labels.Select(l => new PostgresQueryLabel(l))],
        Metrics = Metrics,
    };
}

internal static class CollectorLabels
{
    public static Dictionary<string, string> ToDictionary(Labels labels)
    {
        var all = new Dictionary<string, string>(StringComparer.Ordinal);
        foreach (ref readonly Label label in labels.AsSpan())
            all[label.Name] = label.Value;
        return all;
    }
}
