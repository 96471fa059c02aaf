using Bellwether.Agent.Collect.Host;
using Bellwether.Agent.Collect.Postgres;
using Bellwether.Core.Configuration;
using Bellwether.Core.Model;
using Bellwether.Core.Text;

namespace Bellwether.Agent.Configuration;

/// <summary>Reads and checks the section <c>collectors</c> of <c>agent.yaml</c>: host and PostgreSQL.</summary>
internal static class CollectorReading
{
    /// <summary>Reads the section <c>collectors</c>.</summary>
    public static CollectorsSection Read(ConfigSection section)
    {
        bool host = section.Has("host");
        var collectors = new CollectorsSection
        {
            Host = host ? ReadHost(section.Section("host")) : null,
            Postgres = ReadServers(section),
        };
        section.Close();
        return collectors;
    }

    private static ValueList<PostgresSection> ReadServers(ConfigSection collectors)
    {
        var servers = new List<PostgresSection>();
        var places = new Dictionary<(string, string, Labels), string>();
        foreach (ConfigSection section in collectors.Sections("postgres"))
        {
            int errors = section.Reading.Errors.Count;
            PostgresSection server = ReadPostgres(section);
            servers.Add(server);
            if (section.Reading.Errors.Count > errors || PostgresConnection.ServerOf(server.ToOptions().ConnectionString, out _) is not { } address)
                continue;
            // The same job, instance and labels: pg_up and all other series of the two would be one series with two writers.
            string instance = server.Instance.Length > 0 ? server.Instance : address;
            if (!places.TryAdd((server.Job, instance, server.Labels), section.Path))
                section.Error($"has the same job '{server.Job}', instance '{instance}' and labels as {places[(server.Job, instance, server.Labels)]}, so that their series would collide; give it an instance of its own");
        }
        return [.. servers];
    }

    private static HostSection ReadHost(ConfigSection section)
    {
        var defaults = new HostSection();
        var host = new HostSection
        {
            Enabled = section.Flag("enabled", defaults.Enabled),
            Interval = section.Duration("interval", defaults.Interval, AgentConfigFile.MinInterval),
            Job = section.Text("job", defaults.Job),
            Labels = section.Labels("labels"),
            Enable = ReadNames(section, "enable", HostCollector.CollectorNames),
            Disable = ReadNames(section, "disable", HostCollector.CollectorNames),
            Procfs = section.FilePath("procfs", defaults.Procfs),
            Sysfs = section.FilePath("sysfs", defaults.Sysfs),
            Rootfs = section.FilePath("rootfs", defaults.Rootfs),
            MountPointExclude = ReadPattern(section, "mount_point_exclude", defaults.MountPointExclude),
            FsTypeExclude = ReadPattern(section, "fs_type_exclude", defaults.FsTypeExclude),
            DiskDeviceExclude = ReadPattern(section, "disk_device_exclude", defaults.DiskDeviceExclude),
            NetDeviceExclude = ReadPattern(section, "net_device_exclude", defaults.NetDeviceExclude),
            CpuInfo = section.Flag("cpu_info", defaults.CpuInfo),
        };
        section.Close();
        return host;
    }

    private static ValueList<string> ReadNames(ConfigSection section, string key, IEnumerable<string> known)
    {
        (string, string)[] words = [.. known.Select(n => (n, n))];
        foreach ((ConfigNode node, string path) in section.List(key))
            section.WordOf(node, path, words, "");
        return section.Texts(key);
    }

    private static string ReadPattern(ConfigSection section, string key, string @default)
    {
        string pattern = section.Text(key, @default);
        try
        {
            Re2Pattern.CompileAnchored(pattern);
        }
        catch (FormatException e)
        {
            section.Error(key, e.Message);
        }
        return pattern;
    }

    private static PostgresSection ReadPostgres(ConfigSection section)
    {
        var defaults = new PostgresSection();
        var postgres = new PostgresSection
        {
            Dsn = section.Secret("dsn"),
            Host = section.Text("host"),
            Port = section.Count("port", defaults.Port, 1, 65535),
            User = section.Text("user"),
            Password = section.Secret("password"),
            PasswordFile = section.SecretFile("password_file"),
            Database = section.Text("database"),
            SslMode = section.Word("ssl_mode", "", [("disable", "disable"), ("prefer", "prefer"), ("require", "require"), ("verify-ca", "verify-ca"), ("verify-full", "verify-full")]),
            Interval = section.Duration("interval", defaults.Interval, AgentConfigFile.MinInterval),
            Job = section.Text("job", defaults.Job),
            Instance = section.Text("instance"),
            Labels = section.Labels("labels"),
            Enable = ReadNames(section, "enable", PostgresCollector.CollectorNames),
            Disable = ReadNames(section, "disable", PostgresCollector.CollectorNames),
            ConnectTimeout = section.Duration("connect_timeout", defaults.ConnectTimeout, TimeSpan.FromSeconds(1), TimeSpan.FromSeconds(60)),
            QueryTimeout = section.Duration("query_timeout", defaults.QueryTimeout, TimeSpan.FromMilliseconds(100)),
            StatementText = section.Flag("statement_text", false),
            Queries = [.. section.Sections("queries").Select(ReadQuery)],
        };
        if (postgres.Dsn is not null && (postgres.Host.Length > 0 || postgres.User.Length > 0 || postgres.Database.Length > 0 || section.Has("port")))
            section.Error("dsn", "stands beside host, port, user or database; keep one way");
        if (postgres.Dsn is not null && PostgresConnection.ServerOf(postgres.Dsn.Reveal(), out string? wrong) is null)
            section.Error("dsn", wrong!);
        if (postgres.Password is not null && postgres.PasswordFile.Length > 0)
            section.Error("password", "stands beside password_file; keep one");
        foreach (IGrouping<string, PostgresQuerySection> group in postgres.Queries.GroupBy(q => q.Name).Where(g => g.Count() > 1))
            section.Error("queries", $"name '{group.Key}' is there twice");
        section.Close();
        return postgres;
    }

    private static PostgresQuerySection ReadQuery(ConfigSection section)
    {
        string name = section.RequiredText("name");
        var query = new PostgresQuerySection
        {
            Name = name,
            Sql = section.RequiredText("sql"),
            Interval = section.Duration("interval", TimeSpan.Zero),
            Timeout = section.Duration("timeout", TimeSpan.Zero),
            RowsMax = section.Count("rows_max", 1000, 1, 100_000),
            Labels = section.Texts("labels"),
            Metrics = [.. section.Sections("metrics").Select(m => ReadMetric(m, name))],
        };
        if (query.Metrics.Count == 0)
            section.Error("metrics", "is missing; name at least one column that becomes a sample");
        section.Close();
        return query;
    }

    private static PostgresQueryMetric ReadMetric(ConfigSection section, string query)
    {
        string column = section.RequiredText("column");
        string name = section.Text("name", $"{query}_{column}");
        if (name.Length > 0 && !Labels.IsLegacyMetricName(name))
            section.Error("name", $"'{name}' is not a metric name; letters, digits, '_' and ':'");
        MetricType type = section.Word("type", MetricType.Gauge, [("gauge", MetricType.Gauge), ("counter", MetricType.Counter), ("untyped", MetricType.Unknown)]);
        var metric = new PostgresQueryMetric(column, name, type, section.Text("help"), section.Number("scale", 1));
        section.Close();
        return metric;
    }
}
