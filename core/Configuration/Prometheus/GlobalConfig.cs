using Bellwether.Core.Model;

namespace Bellwether.Core.Configuration.Prometheus;

/// <summary>Prometheus' <c>global</c> section. Immutable. A limit of 0 means none.</summary>
public sealed record GlobalConfig
{
    /// <summary>The formats asked for without native histograms.</summary>
    public static ValueList<ScrapeProtocol> DefaultScrapeProtocols { get; } =
        [ScrapeProtocol.OpenMetricsText100, ScrapeProtocol.OpenMetricsText001, ScrapeProtocol.PrometheusText100, ScrapeProtocol.PrometheusText004];

    /// <summary>The formats asked for with native histograms: they travel in protobuf.</summary>
    public static ValueList<ScrapeProtocol> DefaultNativeHistogramProtocols { get; } = [ScrapeProtocol.PrometheusProto, .. DefaultScrapeProtocols];

    /// <summary>How often targets are scraped; default 1m.</summary>
    [Option("How often targets are scraped, unless the job says otherwise. Agent.")]
    public TimeSpan ScrapeInterval { get; init; } = TimeSpan.FromMinutes(1);

    /// <summary>How long a scrape may take; default 10s, or the interval when that is less.</summary>
    [Option("How long a scrape may take; at most the interval. Agent.", Default = "10s, or scrape_interval when that is less")]
    public TimeSpan ScrapeTimeout { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>How often rules are evaluated; default 1m.</summary>
    [Option("How often rules are evaluated, unless their group says otherwise. Aggregator.")]
    public TimeSpan EvaluationInterval { get; init; } = TimeSpan.FromMinutes(1);

    /// <summary>How far rules look into the past; default 0.</summary>
    [Option("Read and checked, without effect: rules run in event time and wait for late sources by evaluation.delay_max.")]
    public TimeSpan RuleQueryOffset { get; init; }

    /// <summary>Labels added to what leaves the program (not to what is stored); <c>${VAR}</c> is expanded from the environment.</summary>
    [Option("Labels added to what the aggregator forwards, where a series does not have them, and to alert templates as `$externalLabels`; `${NAME}` and `$NAME` come from the environment, `$$` is a dollar sign.")]
    public Labels ExternalLabels { get; init; } = Labels.Empty;

    /// <summary>A file for the query log; empty = none.</summary>
    [Option("Read and checked, without effect.", Type = "file")]
    public string QueryLogFile { get; init; } = "";

    /// <summary>A file for scrape failures; empty = none.</summary>
    [Option("Read and checked, without effect: failed scrapes are in the agent's status and metrics.", Type = "file")]
    public string ScrapeFailureLogFile { get; init; } = "";

    /// <summary>The formats to ask for; null = the defaults.</summary>
    [Option("The formats to ask for, the most wanted first: PrometheusProto, OpenMetricsText1.0.0, OpenMetricsText0.0.1, PrometheusText1.0.0, PrometheusText0.0.4. Agent.", Type = "list of words", Default = "OpenMetricsText1.0.0 and the rest of the list; PrometheusProto first with scrape_native_histograms")]
    public ValueList<ScrapeProtocol>? ScrapeProtocols { get; init; }

    /// <summary>See <see cref="ScrapeConfig.BodySizeLimit"/>.</summary>
    [Option("Default of the jobs' body_size_limit. Agent.")]
    public ByteSize BodySizeLimit { get; init; }

    /// <summary>See <see cref="ScrapeConfig.SampleLimit"/>.</summary>
    [Option("Default of the jobs' sample_limit. Agent.")]
    public int SampleLimit { get; init; }

    /// <summary>See <see cref="ScrapeConfig.TargetLimit"/>.</summary>
    [Option("Default of the jobs' target_limit. Agent.")]
    public int TargetLimit { get; init; }

    /// <summary>See <see cref="ScrapeConfig.LabelLimit"/>.</summary>
    [Option("Default of the jobs' label_limit. Agent.")]
    public int LabelLimit { get; init; }

    /// <summary>See <see cref="ScrapeConfig.LabelNameLengthLimit"/>.</summary>
    [Option("Default of the jobs' label_name_length_limit. Agent.")]
    public int LabelNameLengthLimit { get; init; }

    /// <summary>See <see cref="ScrapeConfig.LabelValueLengthLimit"/>.</summary>
    [Option("Default of the jobs' label_value_length_limit. Agent.")]
    public int LabelValueLengthLimit { get; init; }

    /// <summary>See <see cref="ScrapeConfig.KeepDroppedTargets"/>.</summary>
    [Option("Read and checked, without effect: up to 100 dropped targets of a job are shown, all are counted.")]
    public int KeepDroppedTargets { get; init; }

    /// <summary>See <see cref="ScrapeConfig.MetricNameValidationScheme"/>.</summary>
    [Option("Which metric and label names are accepted: utf8 or legacy. Agent.", Type = "word")]
    public NameValidation MetricNameValidationScheme { get; init; }

    /// <summary>See <see cref="ScrapeConfig.MetricNameEscapingScheme"/>; null = what fits the validation.</summary>
    [Option("allow-utf-8, underscores, dots or values. Read and checked, without effect: names are asked for as they are.", Type = "word", Default = "what fits metric_name_validation_scheme")]
    public NameEscaping? MetricNameEscapingScheme { get; init; }

    /// <summary>See <see cref="ScrapeConfig.ScrapeNativeHistograms"/>.</summary>
    [Option("Default of the jobs' scrape_native_histograms. Agent.")]
    public bool ScrapeNativeHistograms { get; init; }

    /// <summary>See <see cref="ScrapeConfig.AlwaysScrapeClassicHistograms"/>.</summary>
    [Option("Default of the jobs' always_scrape_classic_histograms. Agent.")]
    public bool AlwaysScrapeClassicHistograms { get; init; }

    /// <summary>See <see cref="ScrapeConfig.ConvertClassicHistogramsToNhcb"/>.</summary>
    [Option("Default of the jobs' convert_classic_histograms_to_nhcb. Agent.")]
    public bool ConvertClassicHistogramsToNhcb { get; init; }

    /// <summary>See <see cref="ScrapeConfig.ExtraScrapeMetrics"/>.</summary>
    [Option("Default of the jobs' extra_scrape_metrics. Agent.")]
    public bool ExtraScrapeMetrics { get; init; }
}
