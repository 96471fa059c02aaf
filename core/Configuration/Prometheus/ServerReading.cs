using Bellwether.Core.Model;

namespace Bellwether.Core.Configuration.Prometheus;

/// <summary>Reads and checks the sections of a Prometheus server that no part of ours uses: alerting, storage, tracing, otlp.</summary>
internal static class ServerReading
{
    public static AlertingConfig ReadAlerting(ConfigSection root, bool legacyNames, ForeignDiscovery foreign)
    {
        ConfigSection section = root.Section("alerting");
        var alerting = new AlertingConfig
        {
            AlertRelabelConfigs = RelabelReading.Read(section, "alert_relabel_configs", legacyNames),
            Alertmanagers = [.. section.Sections("alertmanagers").Select(s => ReadAlertmanager(s, legacyNames, foreign))],
        };
        section.Close();
        return alerting;
    }

    private static AlertmanagerConfig ReadAlertmanager(ConfigSection section, bool legacyNames, ForeignDiscovery foreign)
    {
        section.Word("api_version", "v2", [("v2", "v2")]);
        bool hasRules = section.Find("relabel_configs") is { Items.Count: > 0 };
        var config = new AlertmanagerConfig
        {
            Scheme = section.Word("scheme", "http", [("http", "http"), ("https", "https")]),
            PathPrefix = section.Text("path_prefix"),
            Timeout = section.Duration("timeout", TimeSpan.FromSeconds(10)),
            HttpClient = HttpClientReading.Read(section, supportedOnly: false),
            StaticConfigs = TargetReading.ReadStatic(section, checkAddresses: !hasRules),
            FileSdConfigs = TargetReading.ReadFiles(section),
            HttpSdConfigs = TargetReading.ReadHttp(section, supportedOnly: false),
            RelabelConfigs = RelabelReading.Read(section, "relabel_configs", legacyNames),
            AlertRelabelConfigs = RelabelReading.Read(section, "alert_relabel_configs", legacyNames),
        };
        section.Section("sigv4");
        TargetReading.Close(section, foreign);
        return config;
    }

    public static void CheckStorage(ConfigSection root)
    {
        ConfigSection storage = root.Section("storage");
        ConfigSection tsdb = storage.Section("tsdb");
        tsdb.Duration("out_of_order_time_window", TimeSpan.Zero);
        tsdb.Number("stale_series_compaction_threshold", 0, 0, 1);
        ConfigSection retention = tsdb.Section("retention");
        retention.Duration("time", TimeSpan.Zero);
        retention.Size("size", ByteSize.Zero);
        retention.Number("percentage", 0, 0, 100);
        retention.Close();
        ConfigSection encoding = tsdb.Section("chunk_encoding");
        encoding.Word("floats", "xor", [("xor", "xor"), ("xor2", "xor2")]);
        encoding.Close();
        tsdb.Close();
        ConfigSection exemplars = storage.Section("exemplars");
        exemplars.Whole("max_exemplars", 0, long.MinValue);
        exemplars.Close();
        storage.Close();
    }

    public static void CheckTracing(ConfigSection root)
    {
        ConfigSection section = root.Section("tracing");
        section.RequiredText("endpoint");
        section.Word("client_type", "grpc", [("grpc", "grpc"), ("http", "http")]);
        section.Number("sampling_fraction", 0, 0, 1);
        section.Flag("insecure", false);
        section.Word("compression", "", [("gzip", "gzip")]);
        section.Duration("timeout", TimeSpan.Zero);
        HttpClientReading.ReadTls(section.Section("tls_config"));
        foreach ((ConfigNode name, _, string path) in section.Pairs("headers"))
        {
            if (HttpClientReading.IsReservedHeader(name.Text))
                section.Reading.Error(name, path, "is set by the client itself");
        }
        section.Close();
    }

    public static void CheckOtlp(ConfigSection root, GlobalConfig global)
    {
        ConfigSection section = root.Section("otlp");
        bool all = section.Flag("promote_all_resource_attributes", false);
        CheckAttributes(section, "promote_resource_attributes");
        CheckAttributes(section, "ignore_resource_attributes");
        if (all && section.Find("promote_resource_attributes") is { Items.Count: > 0 })
            section.Error("promote_resource_attributes", "stands beside promote_all_resource_attributes; keep one");
        if (!all && section.Find("ignore_resource_attributes") is { Items.Count: > 0 })
            section.Error("ignore_resource_attributes", "needs promote_all_resource_attributes: true");
        bool utf8 = section.Word("translation_strategy", false,
            [("UnderscoreEscapingWithSuffixes", false), ("UnderscoreEscapingWithoutSuffixes", false), ("NoUTF8EscapingWithSuffixes", true), ("NoTranslation", true)]);
        if (utf8 && global.MetricNameValidationScheme == NameValidation.Legacy)
            section.Error("translation_strategy", "gives names that global.metric_name_validation_scheme legacy refuses");
        foreach (string flag in (ReadOnlySpan<string>)["keep_identifying_resource_attributes", "convert_histograms_to_nhcb", "promote_scope_metadata",
            "label_name_underscore_sanitization", "label_name_preserve_multiple_underscores"])
            section.Flag(flag, false);
        section.Close();
    }

    private static void CheckAttributes(ConfigSection section, string key)
    {
        var seen = new HashSet<string>(StringComparer.Ordinal);
        foreach ((ConfigNode node, string path) in section.List(key))
        {
            string name = node.Text.Trim();
            if (name.Length == 0)
                section.Reading.Error(node, path, "is empty");
            else if (!seen.Add(name))
                section.Reading.Error(node, path, $"'{name}' is there twice");
        }
    }
}
