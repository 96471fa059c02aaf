using System.Net;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Bellwether.Core.Bundles;
using Bellwether.Core.Configuration;
using Bellwether.Core.Configuration.Prometheus;
using Bellwether.Evaluate.Rules.Healing;

namespace Bellwether.Aggregator.Configuration;

/// <summary>Reads and checks <c>aggregator.yaml</c>. All errors are found in one run; nothing is started.</summary>
public static class AggregatorConfigFile
{
    /// <summary>Reads a file.</summary>
    /// <param name="path">The file; errors name it as given.</param>
    /// <param name="checkFiles">Whether token, certificate and rule files must be there now (the check command); else they may come later, and token files that are there are checked alone.</param>
    public static ConfigResult<AggregatorConfig> Load(string path, bool checkFiles = false) =>
        ConfigReading.TryReadFile(path, out string text, out ConfigError? error) ? Parse(text, path, checkFiles) : new ConfigResult<AggregatorConfig>([error!]);

    /// <summary>The patterns of definition files that a configuration names, as far as it can be read: so that errors in them are told together with its own.</summary>
    public static (ValueList<string> Rules, ValueList<string> Kpis, ValueList<string> Slos) NamedFiles(string path)
    {
        if (!ConfigReading.TryReadFile(path, out string text, out _))
            return ([], [], []);
        ConfigSection root = new ConfigReading(path, null).Root(text);
        return (PrometheusConfigFile.ReadGlobs(root, "rule_files"), PrometheusConfigFile.ReadGlobs(root, "kpi_files"), PrometheusConfigFile.ReadGlobs(root, "slo_files"));
    }

    /// <summary>Reads a text as if it stood in a file.</summary>
    public static ConfigResult<AggregatorConfig> Parse(string text, string path, bool checkFiles = false, Func<string, string?>? environment = null)
    {
        var reading = new ConfigReading(path, environment) { CheckFiles = checkFiles };
        ConfigSection root = reading.Root(text);
        var defaults = new AggregatorConfig();
        GlobalConfig global = ScrapeReading.ReadGlobal(root);
        KeysWithoutEffect.InAggregatorGlobal(root.Section("global"));
        var config = new AggregatorConfig
        {
            Shown = root.Node is { } node ? ConfigText.Print(node) : "",
            Listen = ReadListen(root.Section("listen")),
            DataDir = root.FilePath("data_dir", defaults.DataDir),
            AdminApi = ReadAdminApi(root.Section("admin_api")),
            Retention = ReadRetention(root.Section("retention")),
            Agents = ReadAgents(root),
            Fleet = ReadFleet(root.Section("fleet")),
            RuleFiles = PrometheusConfigFile.ReadGlobs(root, "rule_files"),
            KpiFiles = PrometheusConfigFile.ReadGlobs(root, "kpi_files"),
            SloFiles = PrometheusConfigFile.ReadGlobs(root, "slo_files"),
            Global = global,
            Bundle = ReadBundle(root.Section("bundle")),
            Evaluation = ReadEvaluation(root.Section("evaluation")),
            RemoteWrite = RemoteReading.ReadWrite(root, global, supportedOnly: true),
            Limits = ReadLimits(root.Section("limits")),
            Log = ReadLog(root.Section("log")),
        };
        CheckClientCertificates(root, config);
        CheckBackfill(root, config);
        root.Close();
        return reading.Result(config);
    }

    private static BundleSection ReadBundle(ConfigSection section)
    {
        var bundle = new BundleSection { KeyFile = section.SecretFile("key_file"), Inbox = section.Text("inbox").Length == 0 ? "" : section.FilePath("inbox") };
        CheckBundleKey(section, "key_file", bundle.KeyFile, isPrivate: true);
        section.Close();
        return bundle;
    }

    private static void CheckBundleKey(ConfigSection section, string key, string path, bool isPrivate)
    {
        if (path.Length > 0 && section.Reading.CheckFiles && File.Exists(path) && BundleKeys.WhyNot(path, isPrivate) is { } wrong)
            section.Error(key, wrong);
    }

    private static ListenSection ReadListen(ConfigSection section)
    {
        var defaults = new ListenSection();
        var listen = new ListenSection
        {
            Grpc = ReadListener(section.Section("grpc"), defaults.Grpc),
            Http = ReadListener(section.Section("http"), defaults.Http),
        };
        section.Close();
        return listen;
    }

    private static ListenerSection ReadListener(ConfigSection section, ListenerSection defaults)
    {
        ConfigSection tls = section.Section("tls");
        var listener = new ListenerSection
        {
            Address = section.Text("address", defaults.Address),
            Tls = tls.IsPresent ? ReadTls(tls) : null,
            AllowPlaintext = section.Flag("allow_plaintext", false),
        };
        int colon = listener.Address.LastIndexOf(':');
        bool port = colon >= 0 && ushort.TryParse(listener.Address.AsSpan(colon + 1), out _);
        string host = colon < 0 ? "" : listener.Address[..colon].Trim('[', ']');
        IPAddress? address = null;
        if (!port || (host is not ("" or "*" or "localhost") && !IPAddress.TryParse(host, out address)))
        {
            section.Error("address", $"'{listener.Address}' is not an IP address and port; write for example 127.0.0.1:9095, 0.0.0.0:9095 or localhost:9095");
            listener = listener with { Address = defaults.Address };
        }
        else if (listener.Tls is null && !listener.AllowPlaintext && host != "localhost" && !IPAddress.IsLoopback(address ?? IPAddress.Any))
        {
            section.Error("address", $"'{listener.Address}' would serve plain text beyond this machine; add a tls section, or allow_plaintext: true");
        }
        section.Close();
        return listener;
    }

    private static ServerTlsSection ReadTls(ConfigSection section)
    {
        section.RequiredText("cert_file");
        section.RequiredText("key_file");
        var tls = new ServerTlsSection
        {
            CertFile = section.InputFile("cert_file"),
            KeyFile = section.InputFile("key_file"),
            ClientCaFile = section.InputFile("client_ca_file"),
        };
        if (section.Reading.CheckFiles)
            CheckCertificates(section, tls);
        section.Close();
        return tls;
    }

    private static void CheckCertificates(ConfigSection section, ServerTlsSection tls)
    {
        if (File.Exists(tls.CertFile) && File.Exists(tls.KeyFile))
            Try(section, "cert_file", tls.CertFile, () => X509Certificate2.CreateFromPemFile(tls.CertFile, tls.KeyFile).Dispose());
        if (File.Exists(tls.ClientCaFile))
        {
            Try(section, "client_ca_file", tls.ClientCaFile, () =>
            {
                var authorities = new X509Certificate2Collection();
                authorities.ImportFromPemFile(tls.ClientCaFile);
                if (authorities.Count == 0)
                    throw new CryptographicException("no certificate is in it; PEM is expected");
            });
        }
    }

    private static void Try(ConfigSection section, string key, string file, Action read)
    {
        try
        {
            read();
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or CryptographicException or ArgumentException)
        {
            section.Error(key, $"{file} cannot be used: {e.Message}");
        }
    }

    private static RetentionSection ReadRetention(ConfigSection section)
    {
        var defaults = new RetentionSection();
        TimeSpan raw = section.Duration("raw", defaults.Raw, TimeSpan.FromHours(1));
        TimeSpan five = Coarser(section, "5m", defaults.FiveMinutes, raw);
        TimeSpan hour = Coarser(section, "1h", defaults.OneHour, five > raw ? five : raw);
        var retention = new RetentionSection { Raw = raw, FiveMinutes = five, OneHour = hour, Size = section.Size("size", default) };
        section.Close();
        return retention;
    }

    private static TimeSpan Coarser(ConfigSection section, string key, TimeSpan @default, TimeSpan finer)
    {
        bool isGiven = section.Has(key);
        TimeSpan value = section.Duration(key, @default);
        if (value == TimeSpan.Zero || value > finer)
            return value;
        if (isGiven)
            section.Error(key, $"{PrometheusDuration.Format(value)} is not longer than {PrometheusDuration.Format(finer)}, for which something finer is kept; make it longer, or 0 for none");
        return TimeSpan.Zero;
    }

    private static AdminApiSection ReadAdminApi(ConfigSection section)
    {
        var admin = new AdminApiSection { Enabled = section.Flag("enabled", false) };
        section.Close();
        return admin;
    }

    private static ValueList<AgentEntry> ReadAgents(ConfigSection root)
    {
        var agents = new List<AgentEntry>();
        var seen = new SeenAgents();
        foreach (ConfigSection section in root.Sections("agents"))
        {
            var agent = new AgentEntry
            {
                Id = section.RequiredText("id"),
                TokenSha256 = ReadHash(section, "token_sha256"),
                TokenFile = section.InputFile("token_file"),
                CertificateSha256 = ReadHash(section, "certificate_sha256"),
                CertificateName = section.Text("certificate_name"),
                Labels = section.Labels("labels"),
                BundleKeyFile = section.InputFile("bundle_key_file"),
            };
            CheckBundleKey(section, "bundle_key_file", agent.BundleKeyFile, isPrivate: false);
            if (agent.TokenSha256.Length > 0 && agent.TokenFile.Length > 0)
                section.Error("token_sha256", "stands beside token_file; keep one");
            if (agent.TokenSha256.Length + agent.TokenFile.Length + agent.CertificateSha256.Length + agent.CertificateName.Length == 0
                && !section.Has("token_sha256") && !section.Has("certificate_sha256") && agent.BundleKeyFile.Length == 0)
                section.Error("has no proof; add token_file, token_sha256, certificate_sha256 or certificate_name (or bundle_key_file, for one that has no network)");
            if (agent.Id == "*" && agent.BundleKeyFile.Length > 0)
                section.Error("bundle_key_file", "is the key of one agent, and '*' is any; give that agent an entry of its own");
            seen.Add(section, agent, agents.Count + 1);
            section.Close();
            agents.Add(agent);
        }
        return [.. agents];
    }

    private static FleetSection ReadFleet(ConfigSection section)
    {
        var fleet = new FleetSection
        {
            Expected = section.Texts("expected"),
            Retired = section.Texts("retired"),
            SilentAfter = section.Duration("silent_after", new FleetSection().SilentAfter, TimeSpan.FromSeconds(1), TimeSpan.FromDays(1)),
        };
        foreach (string id in fleet.Retired.Where(fleet.Expected.Contains))
            section.Error("retired", $"'{id}' is expected and retired; keep it in one of the two lists");
        section.Close();
        return fleet;
    }

    private static string ReadHash(ConfigSection section, string key)
    {
        string hash = section.Text(key);
        if (hash.Length == 0 || (hash.Length == 64 && hash.All(char.IsAsciiHexDigit)))
            return hash.ToLowerInvariant();
        section.Error(key, $"has {hash.Length} characters; a SHA-256 is 64 hexadecimal digits");
        return "";
    }

    private static void CheckClientCertificates(ConfigSection root, AggregatorConfig config)
    {
        // Without authorities the listener does not ask for a certificate at all. One that signed itself is its own authority.
        if (config.Agents.Any(a => a.CertificateName.Length + a.CertificateSha256.Length > 0) && config.Listen.Grpc.Tls is not { ClientCaFile.Length: > 0 })
            root.Error("agents", "certificate_name and certificate_sha256 need listen.grpc.tls.client_ca_file, which says whose certificates count");
    }

    private static void CheckBackfill(ConfigSection root, AggregatorConfig config)
    {
        if (config.Evaluation.BackfillNew <= config.Retention.Raw)
            return;
        ConfigSection evaluation = root.Section("evaluation");
        if (evaluation.Find("backfill_new") is { } node)
            evaluation.Reading.Warn(node, evaluation.PathOf("backfill_new"), $"new rules get a past of {PrometheusDuration.Format(config.Retention.Raw)} only: the store takes nothing older than retention.raw");
    }

    private static EvaluationSection ReadEvaluation(ConfigSection section)
    {
        var evaluation = new EvaluationSection
        {
            DelayMax = section.Duration("delay_max", new EvaluationSection().DelayMax, TimeSpan.Zero, TimeSpan.FromHours(1)),
            Experimental = section.Flag("experimental", false),
            BackfillNew = section.Duration("backfill_new", TimeSpan.Zero, TimeSpan.Zero, HealDesk.BackfillMax),
        };
        section.Close();
        return evaluation;
    }

    private static LimitsSection ReadLimits(ConfigSection section)
    {
        var defaults = new LimitsSection();
        int samples = section.Count("max_samples_per_query", defaults.MaxSamplesPerQuery, 1);
        var limits = new LimitsSection
        {
            FutureBound = section.Duration("future_bound", defaults.FutureBound),
            MaxSeries = section.Count("max_series", defaults.MaxSeries, 1),
            MaxSeriesPerJob = section.Count("max_series_per_job", defaults.MaxSeriesPerJob, 1),
            MaxSeriesPerAgent = section.Count("max_series_per_agent", defaults.MaxSeriesPerAgent, 1),
            MaxAgents = section.Count("max_agents", defaults.MaxAgents, 1),
            MaxSamplesPerQuery = samples,
            MaxSamplesTogether = section.Count("max_samples_together", (int)Math.Min(int.MaxValue, 2L * samples), 1),
            MaxConcurrentQueries = section.Count("max_concurrent_queries", defaults.MaxConcurrentQueries, 1),
            QueryTimeout = section.Duration("query_timeout", defaults.QueryTimeout, TimeSpan.FromMilliseconds(1)),
            MinFreeDisk = section.Size("min_free_disk", defaults.MinFreeDisk),
        };
        if (limits.MaxSamplesTogether < samples)
            section.Error("max_samples_together", $"{limits.MaxSamplesTogether} is less than one query may hold; make it at least max_samples_per_query, {samples}");
        section.Close();
        return limits;
    }

    private static LogSection ReadLog(ConfigSection section)
    {
        var log = new LogSection
        {
            Level = section.Word("level", new LogSection().Level,
                [("debug", LogDetail.Debug), ("information", LogDetail.Information), ("info", LogDetail.Information), ("warning", LogDetail.Warning), ("warn", LogDetail.Warning), ("error", LogDetail.Error)]),
        };
        section.Close();
        return log;
    }
}
