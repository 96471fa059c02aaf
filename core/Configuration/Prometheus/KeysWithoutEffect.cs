namespace Bellwether.Core.Configuration.Prometheus;

/// <summary>Prometheus' keys that are taken so that its files can be used as they are, and do nothing here: a check tells of each where it stands.</summary>
public static class KeysWithoutEffect
{
    private static readonly (string Key, string Why)[] s_scrape =
    [
        ("always_scrape_classic_histograms", "classic buckets of a native histogram are not taken besides it"),
        ("convert_classic_histograms_to_nhcb", "classic histograms are kept as they are"),
        ("keep_dropped_targets", "up to 100 dropped targets of a job are shown, all are counted"),
        ("metric_name_escaping_scheme", "names are asked for as they are"),
        ("scrape_failure_log_file", "failed scrapes are in the agent's status and metrics"),
    ];

    private static readonly (string Key, string Why)[] s_job =
    [
        .. s_scrape,
        ("native_histogram_bucket_limit", "a native histogram is taken with all its buckets"),
        ("native_histogram_min_bucket_factor", "a native histogram is taken in its own resolution"),
        ConnectHeader,
    ];

    private static readonly (string Key, string Why)[] s_agentGlobal =
    [
        .. s_scrape,
        ("external_labels", "an agent adds no labels to what it collects; write them into the targets' labels or relabel_configs. What names the agent itself goes into agent.labels"),
        ("evaluation_interval", "rules are evaluated by the aggregator"),
        ("rule_query_offset", "rules are evaluated by the aggregator"),
        ("query_log_file", "queries are answered by the aggregator"),
        Runtime,
    ];

    private static readonly (string Key, string Why)[] s_aggregatorGlobal =
    [
        .. new[]
        {
            "scrape_interval", "scrape_timeout", "scrape_protocols", "scrape_native_histograms", "extra_scrape_metrics", "body_size_limit", "sample_limit", "target_limit", "label_limit",
            "label_name_length_limit", "label_value_length_limit", "always_scrape_classic_histograms", "convert_classic_histograms_to_nhcb", "keep_dropped_targets", "metric_name_escaping_scheme",
            "scrape_failure_log_file",
        }.Select(key => (key, "an aggregator scrapes nothing; its agents do")),
        ("rule_query_offset", "rules run in event time and wait for late sources by evaluation.delay_max"),
        ("query_log_file", "queries are not logged"),
        Runtime,
    ];

    private static readonly (string Key, string Why)[] s_upstream =
    [
        ("round_robin_dns", "one connection keeps the order"),
        ConnectHeader,
    ];

    private static readonly (string Key, string Why)[] s_queue =
    [
        ("capacity", "the queue is on disk"),
        ("max_shards", "one connection keeps the order"),
        ("min_shards", "one connection keeps the order"),
    ];

    private static (string, string) ConnectHeader => ("proxy_connect_header", "the proxy gets no headers of its own");

    private static (string, string) Runtime => ("runtime", "there is no such setting of this program's runtime");

    /// <summary>In one of <c>scrape_configs</c>.</summary>
    public static void InJob(ConfigSection section) => Tell(section, s_job);

    /// <summary>In an agent's <c>global</c>.</summary>
    public static void InAgentGlobal(ConfigSection section) => Tell(section, s_agentGlobal);

    /// <summary>In an aggregator's <c>global</c>.</summary>
    public static void InAggregatorGlobal(ConfigSection section) => Tell(section, s_aggregatorGlobal);

    /// <summary>In one of <c>remote_write</c>.</summary>
    public static void InUpstream(ConfigSection section)
    {
        Tell(section, s_upstream);
        Tell(section.Section("queue_config"), s_queue);
    }

    private static void Tell(ConfigSection section, (string Key, string Why)[] keys)
    {
        foreach ((string key, string why) in keys)
            section.HasNoEffect(key, why);
    }
}
