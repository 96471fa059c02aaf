namespace Bellwether.Core.Configuration.Prometheus;

/// <summary>Reads <c>remote_write</c> and <c>remote_read</c> in Prometheus' form and with its checks.</summary>
public static class RemoteReading
{
    private static readonly string[] s_cloudKeys = ["sigv4", "azuread", "google_iam"];

    /// <summary>Reads <c>remote_write</c>; names must differ.</summary>
    public static ValueList<RemoteWriteConfig> ReadWrite(ConfigSection root, GlobalConfig global, bool supportedOnly)
    {
        var configs = new List<RemoteWriteConfig>();
        foreach (ConfigSection section in root.Sections("remote_write"))
        {
            RemoteWriteConfig config = ReadOneWrite(section, global, supportedOnly);
            if (config.Name.Length > 0 && configs.Any(c => c.Name == config.Name))
                section.Error("name", $"'{config.Name}' is there twice");
            configs.Add(config);
        }
        return [.. configs];
    }

    private static RemoteWriteConfig ReadOneWrite(ConfigSection section, GlobalConfig global, bool supportedOnly)
    {
        string url = section.RequiredText("url");
        // Prometheus takes any text that parses as a URL, e.g. localhost:9090; to send, a scheme is needed.
        if (supportedOnly && url.Length > 0 && TargetReading.UrlError(url) is { } error)
            section.Error("url", error);
        string[] cloud = [.. s_cloudKeys.Where(section.Has)];
        if (supportedOnly && cloud.Length > 0)
            section.Error(cloud[0], "is not supported; use basic_auth or authorization");
        HttpClientConfig client = HttpClientReading.Read(section, supportedOnly);
        if (cloud.Length + (client.BasicAuth is null ? 0 : 1) + (client.Authorization is null ? 0 : 1) + (client.OAuth2 is null ? 0 : 1) > 1)
            section.Error("more than one of basic_auth, authorization, oauth2, sigv4, azuread and google_iam; keep one");
        var config = new RemoteWriteConfig
        {
            Url = url,
            Name = section.Text("name"),
            RemoteTimeout = TargetReading.Positive(section.Duration("remote_timeout", TimeSpan.FromSeconds(30)), TimeSpan.FromSeconds(30)),
            Message = section.Word("protobuf_message", RemoteWriteMessage.V1,
                [("prometheus.WriteRequest", RemoteWriteMessage.V1), ("io.prometheus.write.v2.Request", RemoteWriteMessage.V2)]),
            Headers = ReadHeaders(section),
            SendExemplars = section.Flag("send_exemplars", false),
            SendNativeHistograms = section.Flag("send_native_histograms", false),
            RoundRobinDns = section.Flag("round_robin_dns", false),
            WriteRelabelConfigs = RelabelReading.Read(section, "write_relabel_configs", global.MetricNameValidationScheme == NameValidation.Legacy),
            Queue = ReadQueue(section.Section("queue_config")),
            Metadata = ReadMetadata(section.Section("metadata_config")),
            HttpClient = client,
            UsesCloudAuthentication = cloud.Length > 0,
        };
        if (supportedOnly)
            KeysWithoutEffect.InUpstream(section);
        section.Close();
        return config;
    }

    private static ValueList<UrlParameter> ReadHeaders(ConfigSection section)
    {
        var headers = new List<UrlParameter>();
        foreach ((ConfigNode name, ConfigNode value, string path) in section.Pairs("headers"))
        {
            if (HttpClientReading.IsReservedHeader(name.Text))
                section.Reading.Error(name, path, "is set by the client itself; use basic_auth, authorization or the option meant for it");
            else if (section.CheckScalar(value, path))
                headers.Add(new UrlParameter(name.Text, [value.Text]));
        }
        return [.. headers];
    }

    private static QueueConfig ReadQueue(ConfigSection section)
    {
        var defaults = new QueueConfig();
        var queue = new QueueConfig
        {
            Capacity = section.Count("capacity", defaults.Capacity, 1),
            MaxShards = section.Count("max_shards", defaults.MaxShards, 1),
            MinShards = section.Count("min_shards", defaults.MinShards, 1),
            MaxSamplesPerSend = section.Count("max_samples_per_send", defaults.MaxSamplesPerSend, 1),
            BatchSendDeadline = section.Duration("batch_send_deadline", defaults.BatchSendDeadline, TimeSpan.FromMilliseconds(1)),
            MinBackoff = section.Duration("min_backoff", defaults.MinBackoff, TimeSpan.FromMilliseconds(1)),
            MaxBackoff = section.Duration("max_backoff", defaults.MaxBackoff, TimeSpan.FromMilliseconds(1)),
            RetryOnHttp429 = section.Flag("retry_on_http_429", defaults.RetryOnHttp429),
            SampleAgeLimit = section.Duration("sample_age_limit", TimeSpan.Zero),
        };
        if (queue.MinShards > queue.MaxShards)
            section.Error("min_shards", $"{queue.MinShards} is above max_shards {queue.MaxShards}");
        if (queue.MaxBackoff < queue.MinBackoff)
            section.Error("max_backoff", $"{PrometheusDuration.Format(queue.MaxBackoff)} is below min_backoff {PrometheusDuration.Format(queue.MinBackoff)}");
        section.Close();
        return queue;
    }

    private static MetadataConfig ReadMetadata(ConfigSection section)
    {
        var defaults = new MetadataConfig();
        var metadata = new MetadataConfig
        {
            Send = section.Flag("send", defaults.Send),
            SendInterval = TargetReading.Positive(section.Duration("send_interval", defaults.SendInterval), defaults.SendInterval),
            MaxSamplesPerSend = section.Count("max_samples_per_send", defaults.MaxSamplesPerSend),
        };
        section.Close("max_samples");
        return metadata;
    }

    /// <summary>Reads and checks <c>remote_read</c>.</summary>
    public static ValueList<RemoteReadConfig> ReadRead(ConfigSection root)
    {
        var configs = new List<RemoteReadConfig>();
        foreach (ConfigSection section in root.Sections("remote_read"))
        {
            var config = new RemoteReadConfig { Url = section.RequiredText("url"), Name = section.Text("name") };
            section.Duration("remote_timeout", TimeSpan.Zero);
            section.Flag("read_recent", false);
            section.Flag("filter_external_labels", true);
            section.Labels("required_matchers");
            ReadHeaders(section);
            HttpClientReading.Read(section, supportedOnly: false);
            if (config.Name.Length > 0 && configs.Any(c => c.Name == config.Name))
                section.Error("name", $"'{config.Name}' is there twice");
            section.Close();
            configs.Add(config);
        }
        return [.. configs];
    }
}
