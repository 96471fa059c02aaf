using Bellwether.Core.Model;

namespace Bellwether.Core.Configuration.Prometheus;

/// <summary>Reads <c>global</c> and <c>scrape_configs</c> in Prometheus' form and with its checks.</summary>
public static class ScrapeReading
{
    private static readonly (string, ScrapeProtocol)[] s_protocols =
    [
        ("PrometheusProto", ScrapeProtocol.PrometheusProto), ("OpenMetricsText1.0.0", ScrapeProtocol.OpenMetricsText100), ("OpenMetricsText0.0.1", ScrapeProtocol.OpenMetricsText001),
        ("PrometheusText1.0.0", ScrapeProtocol.PrometheusText100), ("PrometheusText0.0.4", ScrapeProtocol.PrometheusText004),
    ];

    private static readonly (string, NameValidation)[] s_validations = [("utf8", NameValidation.Utf8), ("legacy", NameValidation.Legacy)];

    private static readonly (string, NameEscaping?)[] s_escapings =
        [("allow-utf-8", NameEscaping.AllowUtf8), ("underscores", NameEscaping.Underscores), ("dots", NameEscaping.Dots), ("values", NameEscaping.Values)];

    /// <summary>Reads the <c>global</c> section of a root section.</summary>
    public static GlobalConfig ReadGlobal(ConfigSection root)
    {
        ConfigSection section = root.Section("global");
        var defaults = new GlobalConfig();
        TimeSpan interval = TargetReading.Positive(section.Duration("scrape_interval", defaults.ScrapeInterval), defaults.ScrapeInterval);
        TimeSpan timeout = section.Duration("scrape_timeout", TimeSpan.Zero);
        if (timeout > interval)
            section.Error("scrape_timeout", $"{PrometheusDuration.Format(timeout)} is longer than scrape_interval {PrometheusDuration.Format(interval)}");
        var global = new GlobalConfig
        {
            ScrapeInterval = interval,
            ScrapeTimeout = timeout > TimeSpan.Zero ? timeout : Min(defaults.ScrapeTimeout, interval),
            EvaluationInterval = TargetReading.Positive(section.Duration("evaluation_interval", defaults.EvaluationInterval), defaults.EvaluationInterval),
            RuleQueryOffset = section.Duration("rule_query_offset", TimeSpan.Zero),
            ExternalLabels = Expand(section.Labels("external_labels"), section.Reading.Environment),
            QueryLogFile = section.FilePath("query_log_file"),
            ScrapeFailureLogFile = section.FilePath("scrape_failure_log_file"),
            ScrapeProtocols = ReadProtocols(section),
            BodySizeLimit = section.Size("body_size_limit", ByteSize.Zero),
            SampleLimit = section.Count("sample_limit", 0),
            TargetLimit = section.Count("target_limit", 0),
            LabelLimit = section.Count("label_limit", 0),
            LabelNameLengthLimit = section.Count("label_name_length_limit", 0),
            LabelValueLengthLimit = section.Count("label_value_length_limit", 0),
            KeepDroppedTargets = section.Count("keep_dropped_targets", 0),
            MetricNameValidationScheme = section.Word("metric_name_validation_scheme", NameValidation.Utf8, s_validations),
            MetricNameEscapingScheme = section.Word("metric_name_escaping_scheme", null, s_escapings),
            ScrapeNativeHistograms = section.Flag("scrape_native_histograms", false),
            AlwaysScrapeClassicHistograms = section.Flag("always_scrape_classic_histograms", false),
            ConvertClassicHistogramsToNhcb = section.Flag("convert_classic_histograms_to_nhcb", false),
            ExtraScrapeMetrics = section.Flag("extra_scrape_metrics", false),
        };
        if (global is { MetricNameValidationScheme: NameValidation.Legacy, MetricNameEscapingScheme: NameEscaping.AllowUtf8 })
            section.Error("metric_name_escaping_scheme", "allow-utf-8 does not go with metric_name_validation_scheme legacy");
        section.Section("runtime").Close("gogc");
        section.Close();
        return global;
    }

    /// <summary>Reads the <c>scrape_configs</c> of a root section; job names must differ from each other and from those before.</summary>
    public static IEnumerable<ScrapeConfig> ReadJobs(ConfigSection root, GlobalConfig global, ForeignDiscovery foreign, bool supportedOnly, Dictionary<string, string> jobNames)
    {
        foreach (ConfigSection section in root.Sections("scrape_configs"))
        {
            ScrapeConfig job = ReadJob(section, global, foreign, supportedOnly);
            string place = $"{section.Reading.File}:{section.Node?.Line}";
            if (job.JobName.Length > 0 && !jobNames.TryAdd(job.JobName, place))
                section.Error("job_name", $"'{job.JobName}' is there twice; first at {jobNames[job.JobName]}");
            yield return job;
        }
    }

    private static ScrapeConfig ReadJob(ConfigSection section, GlobalConfig global, ForeignDiscovery foreign, bool supportedOnly)
    {
        (TimeSpan interval, TimeSpan timeout) = ReadTimes(section, global);
        (NameValidation validation, NameEscaping escaping) = ReadNameSchemes(section, global);
        bool legacy = validation == NameValidation.Legacy;
        bool native = section.Flag("scrape_native_histograms", global.ScrapeNativeHistograms);
        bool hasRules = section.Find("relabel_configs") is { Items.Count: > 0 };
        var job = new ScrapeConfig
        {
            JobName = section.RequiredText("job_name"),
            ScrapeInterval = interval,
            ScrapeTimeout = timeout,
            ScrapeProtocols = ReadProtocols(section) ?? global.ScrapeProtocols ?? (native ? GlobalConfig.DefaultNativeHistogramProtocols : GlobalConfig.DefaultScrapeProtocols),
            FallbackScrapeProtocol = section.Has("fallback_scrape_protocol") ? section.Word<ScrapeProtocol?>("fallback_scrape_protocol", null, Array.ConvertAll(s_protocols, p => (p.Item1, (ScrapeProtocol?)p.Item2))) : null,
            ScrapeNativeHistograms = native,
            AlwaysScrapeClassicHistograms = section.Flag("always_scrape_classic_histograms", global.AlwaysScrapeClassicHistograms),
            ConvertClassicHistogramsToNhcb = section.Flag("convert_classic_histograms_to_nhcb", global.ConvertClassicHistogramsToNhcb),
            ExtraScrapeMetrics = section.Flag("extra_scrape_metrics", global.ExtraScrapeMetrics),
            MetricsPath = section.Text("metrics_path", "/metrics"),
            Scheme = section.Word("scheme", "http", [("http", "http"), ("https", "https")]),
            Params = ReadParams(section),
            HonorLabels = section.Flag("honor_labels", false),
            HonorTimestamps = section.Flag("honor_timestamps", true),
            TrackTimestampsStaleness = section.Flag("track_timestamps_staleness", false),
            InferStartTimes = section.Flag("infer_start_times", false),
            EnableCompression = section.Flag("enable_compression", true),
            BodySizeLimit = section.Size("body_size_limit", global.BodySizeLimit) is { Bytes: > 0 } size ? size : global.BodySizeLimit,
            SampleLimit = Limit(section, "sample_limit", global.SampleLimit),
            TargetLimit = Limit(section, "target_limit", global.TargetLimit),
            LabelLimit = Limit(section, "label_limit", global.LabelLimit),
            LabelNameLengthLimit = Limit(section, "label_name_length_limit", global.LabelNameLengthLimit),
            LabelValueLengthLimit = Limit(section, "label_value_length_limit", global.LabelValueLengthLimit),
            NativeHistogramBucketLimit = section.Count("native_histogram_bucket_limit", 0),
            NativeHistogramMinBucketFactor = section.Number("native_histogram_min_bucket_factor", 0, 0),
            KeepDroppedTargets = Limit(section, "keep_dropped_targets", global.KeepDroppedTargets),
            MetricNameValidationScheme = validation,
            MetricNameEscapingScheme = escaping,
            ScrapeFailureLogFile = section.FilePath("scrape_failure_log_file", global.ScrapeFailureLogFile),
            HttpClient = HttpClientReading.Read(section, supportedOnly),
            // With rules an address may still be made whole, so a URL is no error then.
            StaticConfigs = TargetReading.ReadStatic(section, checkAddresses: !hasRules),
            FileSdConfigs = TargetReading.ReadFiles(section),
            HttpSdConfigs = TargetReading.ReadHttp(section, supportedOnly),
            RelabelConfigs = RelabelReading.Read(section, "relabel_configs", legacy),
            MetricRelabelConfigs = RelabelReading.Read(section, "metric_relabel_configs", legacy),
        };
        if (supportedOnly)
            KeysWithoutEffect.InJob(section);
        TargetReading.Close(section, foreign);
        return job;
    }

    private static int Limit(ConfigSection section, string key, int global) => section.Count(key, global) is > 0 and var limit ? limit : global;

    private static TimeSpan Min(TimeSpan a, TimeSpan b) => a < b ? a : b;

    private static (TimeSpan Interval, TimeSpan Timeout) ReadTimes(ConfigSection section, GlobalConfig global)
    {
        TimeSpan interval = TargetReading.Positive(section.Duration("scrape_interval", global.ScrapeInterval), global.ScrapeInterval);
        TimeSpan timeout = section.Duration("scrape_timeout", TimeSpan.Zero);
        if (timeout > interval)
            section.Error("scrape_timeout", $"{PrometheusDuration.Format(timeout)} is longer than scrape_interval {PrometheusDuration.Format(interval)} of this job");
        return (interval, timeout > TimeSpan.Zero ? timeout : Min(global.ScrapeTimeout, interval));
    }

    private static (NameValidation Validation, NameEscaping Escaping) ReadNameSchemes(ConfigSection section, GlobalConfig global)
    {
        NameValidation validation = section.Word("metric_name_validation_scheme", global.MetricNameValidationScheme, s_validations);
        NameEscaping fitting = validation == NameValidation.Legacy ? NameEscaping.Underscores : NameEscaping.AllowUtf8;
        NameEscaping escaping = section.Word("metric_name_escaping_scheme", global.MetricNameEscapingScheme, s_escapings) ?? fitting;
        if (validation == NameValidation.Legacy && escaping == NameEscaping.AllowUtf8)
            section.Error("metric_name_escaping_scheme", "allow-utf-8 does not go with metric_name_validation_scheme legacy");
        return (validation, escaping);
    }

    private static ValueList<ScrapeProtocol>? ReadProtocols(ConfigSection section)
    {
        if (section.Find("scrape_protocols") is not { IsNull: false } list)
            return null;
        var protocols = new List<ScrapeProtocol>();
        foreach ((ConfigNode node, string path) in section.List("scrape_protocols"))
        {
            int errors = section.Reading.Errors.Count;
            ScrapeProtocol protocol = section.WordOf(node, path, s_protocols, default);
            if (section.Reading.Errors.Count > errors)
                continue;
            if (protocols.Contains(protocol))
                section.Reading.Error(node, path, $"'{node.Text}' is there twice");
            protocols.Add(protocol);
        }
        if (list.Kind == ConfigNodeKind.Sequence && list.Items.Count == 0)
            section.Error("scrape_protocols", "is empty; leave it out for the defaults");
        return [.. protocols];
    }

    private static ValueList<UrlParameter> ReadParams(ConfigSection section)
    {
        ConfigSection parameters = section.Section("params");
        return parameters.Node is null ? [] : [.. parameters.Node.Entries.Select(e => new UrlParameter(e.Key.Text, parameters.Texts(e.Key.Text)))];
    }

    /// <summary>Expands <c>${NAME}</c> and <c>$NAME</c> from the environment; <c>$$</c> is a dollar sign.</summary>
    private static Labels Expand(Labels labels, Func<string, string?> environment)
    {
        var expanded = new LabelsBuilder();
        foreach (ref readonly Label label in labels.AsSpan())
            expanded.Set(label.Name, EnvironmentText.Expand(label.Value, environment));
        return expanded.Build();
    }
}
