using Bellwether.Agent.Spool;
using Bellwether.Core.Bundles;
using Bellwether.Core.Configuration;
using Bellwether.Core.Configuration.Prometheus;
using Bellwether.Core.Model;

namespace Bellwether.Agent.Configuration;

/// <summary>Reads and checks <c>agent.yaml</c>. All errors are found in one run; nothing is started.</summary>
public static class AgentConfigFile
{
    /// <summary>The most addresses in <c>aggregators</c>.</summary>
    public const int MaxAggregators = 16;

    /// <summary>The most keys in <c>spool.encryption</c>.</summary>
    public const int MaxSpoolKeys = 16;

    /// <summary>The shortest collection interval.</summary>
    public static TimeSpan MinInterval { get; } = TimeSpan.FromMilliseconds(100);

    /// <summary>Reads a file.</summary>
    /// <param name="path">The file; errors name it as given.</param>
    /// <param name="checkFiles">Whether token, certificate and target files must be there now (the check command).</param>
    public static ConfigResult<AgentConfig> Load(string path, bool checkFiles = false) =>
        ConfigReading.TryReadFile(path, out string text, out ConfigError? error) ? Parse(text, path, checkFiles) : new ConfigResult<AgentConfig>([error!]);

    /// <summary>Reads a text as if it stood in a file.</summary>
    public static ConfigResult<AgentConfig> Parse(string text, string path, bool checkFiles = false, Func<string, string?>? environment = null)
    {
        var reading = new ConfigReading(path, environment) { CheckFiles = checkFiles };
        ConfigSection root = reading.Root(text);
        GlobalConfig global = ScrapeReading.ReadGlobal(root);
        KeysWithoutEffect.InAgentGlobal(root.Section("global"));
        var config = new AgentConfig
        {
            Agent = ReadAgent(root.Section("agent")),
            Aggregators = ReadAggregators(root),
            Spool = ReadSpool(root.Section("spool")),
            Bundle = ReadBundle(root.Section("bundle")),
            Stream = ReadStream(root.Section("stream")),
            Stop = ReadStop(root.Section("stop")),
            Status = ReadStatus(root.Section("status")),
            Log = ReadLog(root.Section("log")),
            Watchdog = ReadWatchdog(root.Section("watchdog")),
            Collectors = CollectorReading.Read(root.Section("collectors")),
            Global = global,
            ScrapeConfigs = PrometheusConfigFile.ReadScrapes(root, global, ForeignDiscovery.Refuse, supportedOnly: true),
        };
        root.Close();
        // Rules with errors cannot be applied to targets.
        if (checkFiles && reading.Errors.Count == 0)
            PrometheusConfigFile.CheckTargets(root, new PrometheusConfig { ScrapeConfigs = config.ScrapeConfigs });
        return reading.Result(config);
    }

    private static AgentSection ReadAgent(ConfigSection section)
    {
        string id = section.Text("id");
        if (id.Length == 0)
            id = Environment.MachineName;
        if (id.Length > 256)
            section.Error("id", $"has {id.Length} characters; at most 256");
        var agent = new AgentSection { Id = id, Labels = section.Labels("labels") };
        section.Close();
        return agent;
    }

    private static ValueList<AggregatorSection> ReadAggregators(ConfigSection root)
    {
        var all = new List<AggregatorSection>();
        foreach (ConfigSection section in root.Sections("aggregators"))
        {
            ConfigSection tls = section.Section("tls");
            var aggregator = new AggregatorSection
            {
                Address = section.RequiredText("address"),
                Token = section.Secret("token"),
                TokenFile = section.SecretFile("token_file"),
                Tls = tls.IsPresent || section.Has("tls") ? ReadTls(tls) : null,
                AllowPlaintext = section.Flag("allow_plaintext", false),
            };
            CheckAddress(section, aggregator);
            if (aggregator.Token is not null && aggregator.TokenFile.Length > 0)
                section.Error("token", "stands beside token_file; keep one");
            if (section.Text("token") is { Length: > 0 } token && string.IsNullOrWhiteSpace(token))
                section.Error("token", "is only white space; write the agent's token, or token_file");
            section.Close();
            all.Add(aggregator);
        }
        if (all.Count == 0 && !root.Has("bundle") && (root.IsPresent || root.Reading.Errors.Count == 0) && root.Find("aggregators") is null or { Kind: ConfigNodeKind.Sequence, Items.Count: 0 } or { IsNull: true })
            root.Error("aggregators", "is missing; name at least one address (or give section bundle, where there is no network), e.g. aggregators: [{address: localhost:9095, token_file: agent.token}]");
        if (all.Count > MaxAggregators)
            root.Error("aggregators", $"has {all.Count} addresses; at most {MaxAggregators}");
        return [.. all];
    }

    private static void CheckAddress(ConfigSection section, AggregatorSection aggregator)
    {
        string address = aggregator.Address;
        if (address.Length == 0)
            return;
        string url = address.Contains("://", StringComparison.Ordinal) ? address : "https://" + address;
        if (!Uri.TryCreate(url, UriKind.Absolute, out Uri? uri) || uri.Scheme is not ("http" or "https") || uri.Host.Length == 0 || uri.PathAndQuery != "/")
            section.Error("address", $"'{address}' is not host:port or https://host:port");
        else if (!address.Contains("://", StringComparison.Ordinal) && !address.AsSpan(address.LastIndexOf(']') + 1).Contains(':'))
            section.Error("address", $"'{address}' has no port; write host:port");
        else if (uri.Scheme == "http" && !uri.IsLoopback && !aggregator.AllowPlaintext)
            section.Error("address", $"'{address}' would send the token readable; use https://, or allow_plaintext: true");
    }

    private static ClientTlsSection ReadTls(ConfigSection section)
    {
        var tls = new ClientTlsSection
        {
            CaFile = section.InputFile("ca_file"),
            CertFile = section.InputFile("cert_file"),
            KeyFile = section.InputFile("key_file"),
            ServerName = section.Text("server_name"),
        };
        if (tls.CertFile.Length > 0 != tls.KeyFile.Length > 0)
            section.Error(tls.CertFile.Length > 0 ? "cert_file" : "key_file", "cert_file and key_file go together");
        section.Close();
        return tls;
    }

    private static BundleSection ReadBundle(ConfigSection section)
    {
        ConfigSection outbox = section.Section("outbox");
        var bundle = new BundleSection
        {
            KeyFile = section.SecretFile("key_file"),
            RecipientFile = section.InputFile("recipient_file"),
            ReceiptKeyFile = section.InputFile("receipt_key_file"),
            Outbox = outbox.IsPresent ? ReadOutbox(outbox) : null,
        };
        if (section.Reading.CheckFiles)
        {
            CheckKey(section, "key_file", bundle.KeyFile, isPrivate: true);
            CheckKey(section, "recipient_file", bundle.RecipientFile, isPrivate: false);
            CheckKey(section, "receipt_key_file", bundle.ReceiptKeyFile, isPrivate: false);
        }
        if (bundle.Outbox is not null && bundle.KeyFile.Length == 0 && !section.Has("key_file"))
            section.Error("outbox", "needs key_file beside it: bundles are signed; make a key with 'bellwether-agent bundle keygen'");
        section.Close();
        return bundle;
    }

    private static void CheckKey(ConfigSection section, string key, string path, bool isPrivate)
    {
        if (path.Length > 0 && File.Exists(path) && BundleKeys.WhyNot(path, isPrivate) is { } wrong)
            section.Error(key, wrong);
    }

    private static OutboxSection ReadOutbox(ConfigSection section)
    {
        var defaults = new OutboxSection();
        string folder = section.RequiredText("folder");
        var outbox = new OutboxSection
        {
            Folder = folder.Length == 0 ? "" : section.FilePath("folder"),
            Interval = section.Duration("interval", defaults.Interval, TimeSpan.FromSeconds(1)),
            MaxSize = section.Size("max_size", defaults.MaxSize, ByteSize.FromMebibytes(16)),
            SplitSize = section.Size("split_size", defaults.SplitSize, ByteSize.Zero),
        };
        if (outbox.SplitSize.Bytes is > 0 and < BundleWriter.VolumeBytesMin)
            section.Error("split_size", $"{outbox.SplitSize} is below the minimum 1MB");
        section.Close();
        return outbox;
    }

    private static SpoolSection ReadSpool(ConfigSection section)
    {
        var defaults = new SpoolSection();
        var spool = new SpoolSection
        {
            Path = section.FilePath("path", defaults.Path),
            MaxSize = section.Size("max_size", defaults.MaxSize, ByteSize.FromMebibytes(16)),
            MaxAge = section.Duration("max_age", defaults.MaxAge, TimeSpan.FromMinutes(1)),
            WhenFull = section.Word("when_full", defaults.WhenFull, [("drop_oldest", SpoolPolicy.DropOldest), ("refuse_new", SpoolPolicy.RefuseNew), ("by_priority", SpoolPolicy.ByPriority)]),
            Priorities = [.. section.Sections("priorities").Select(ReadPriority)],
            Encryption = [.. section.Sections("encryption").Select(ReadKey)],
        };
        if (spool.Priorities.Count > 0 && spool.WhenFull != SpoolPolicy.ByPriority)
            section.Error("priorities", "has no effect without when_full: by_priority");
        foreach (IGrouping<string, SpoolPrioritySection> group in spool.Priorities.GroupBy(p => p.Job).Where(g => g.Count() > 1))
            section.Error("priorities", $"job '{group.Key}' is there twice");
        if (spool.Encryption.Count > MaxSpoolKeys)
            section.Error("encryption", $"has {spool.Encryption.Count} keys; at most {MaxSpoolKeys}");
        foreach (IGrouping<string, SpoolKeySection> group in spool.Encryption.GroupBy(k => k.Id).Where(g => g.Key.Length > 0 && g.Count() > 1))
            section.Error("encryption", $"id '{group.Key}' is there twice");
        section.Close();
        return spool;
    }

    private static SpoolPrioritySection ReadPriority(ConfigSection section)
    {
        var priority = new SpoolPrioritySection
        {
            Job = section.RequiredText("job"),
            Priority = section.Word("priority", SpoolPriority.Normal, [("low", SpoolPriority.Low), ("normal", SpoolPriority.Normal), ("high", SpoolPriority.High)]),
        };
        section.Close();
        return priority;
    }

    private static SpoolKeySection ReadKey(ConfigSection section)
    {
        var key = new SpoolKeySection
        {
            Id = section.RequiredText("id"),
            File = section.SecretFile("file"),
            Env = section.Text("env"),
            Credential = section.Text("credential"),
        };
        if (key.Id.Length > 32 || !key.Id.All(c => char.IsAsciiLetterOrDigit(c) || c is '.' or '_' or '-'))
            section.Error("id", $"'{key.Id}' is not a key's name; at most 32 of a-z, A-Z, 0-9, '.', '_' and '-'");
        int places = (key.File.Length > 0 ? 1 : 0) + (key.Env.Length > 0 ? 1 : 0) + (key.Credential.Length > 0 ? 1 : 0);
        if (places != 1)
            section.Error($"names {places} places to read the key from; name one of file, env and credential");
        if (key.Credential.Contains('/'))
            section.Error("credential", "is a name, not a path");
        section.Close();
        return key;
    }

    private static StreamSection ReadStream(ConfigSection section)
    {
        var defaults = new StreamSection();
        var stream = new StreamSection
        {
            BandwidthLimit = section.Size("bandwidth_limit", defaults.BandwidthLimit),
            ReturnInterval = section.Duration("return_interval", defaults.ReturnInterval),
        };
        if (stream.BandwidthLimit.Bytes is > 0 and < 1024)
            section.Error("bandwidth_limit", $"{stream.BandwidthLimit.Bytes} bytes a second are below the minimum 1KB; 0 means no limit");
        section.Close();
        return stream;
    }

    private static StopSection ReadStop(ConfigSection section)
    {
        var defaults = new StopSection();
        var stop = new StopSection
        {
            Timeout = section.Duration("timeout", defaults.Timeout, TimeSpan.FromSeconds(1), TimeSpan.FromMinutes(10)),
            LastScrape = section.Flag("last_scrape", defaults.LastScrape),
        };
        section.Close();
        return stop;
    }

    private static StatusSection ReadStatus(ConfigSection section)
    {
        var status = new StatusSection { Socket = section.FilePath("socket", new StatusSection().Socket) };
        // The kernel's limit for a socket's name is 108 bytes with the closing zero.
        if (System.Text.Encoding.UTF8.GetByteCount(status.Socket) > 107)
            section.Error("socket", $"{status.Socket} is longer than the 107 bytes that a socket's path may have");
        section.Close();
        return status;
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

    private static WatchdogSection ReadWatchdog(ConfigSection section)
    {
        var watchdog = new WatchdogSection { StallLimit = section.Duration("stall_limit", new WatchdogSection().StallLimit) };
        section.Close();
        return watchdog;
    }
}
