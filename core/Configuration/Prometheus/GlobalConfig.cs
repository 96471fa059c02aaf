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
    public TimeSpan ScrapeInterval { get; init; } = TimeSpan.FromMinutes(1);

    /// <summary>How long a scrape may take; default 10s, or the interval when that is less.</summary>
    public TimeSpan ScrapeTimeout { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>How often rules are evaluated; default 1m.</summary>
    public TimeSpan EvaluationInterval { get; init; } = TimeSpan.FromMinutes(1);

    /// <summary>How far rules look into the past; default 0.</summary>
    public TimeSpan RuleQueryOffset { get; init; }

    /// <summary>Labels added to what leaves the program (not to what is stored); <c>${VAR}</c> is expanded from the environment.</summary>
    public Labels ExternalLabels { get; init; } = Labels.Empty;

    /// <summary>A file for the query log; empty = none.</summary>
    public string QueryLogFile { get; init; } = "";

    /// <summary>A file for scrape failures; empty = none.</summary>
    public string ScrapeFailureLogFile { get; init; } = "";

    /// <summary>The formats to ask for; null = the defaults.</summary>
    public ValueList<ScrapeProtocol>? ScrapeProtocols { get; init; }

    /// <summary>See <see cref="ScrapeConfig.BodySizeLimit"/>.</summary>
    public ByteSize BodySizeLimit { get; init; }

    /// <summary>See <see cref="ScrapeConfig.SampleLimit"/>.</summary>
    public int SampleLimit { get; init; }

    /// <summary>See <see cref="ScrapeConfig.TargetLimit"/>.</summary>
    public int TargetLimit { get; init; }

    /// <summary>See <see cref="ScrapeConfig.LabelLimit"/>.</summary>
    public int LabelLimit { get; init; }

    /// <summary>See <see cref="ScrapeConfig.LabelNameLengthLimit"/>.</summary>
    public int LabelNameLengthLimit { get; init; }

    /// <summary>See <see cref="ScrapeConfig.LabelValueLengthLimit"/>.</summary>
    public int LabelValueLengthLimit { get; init; }

    /// <summary>See <see cref="ScrapeConfig.KeepDroppedTargets"/>.</summary>
    public int KeepDroppedTargets { get; init; }

    /// <summary>See <see cref="ScrapeConfig.MetricNameValidationScheme"/>.</summary>
    public NameValidation MetricNameValidationScheme { get; init; }

    /// <summary>See <see cref="ScrapeConfig.MetricNameEscapingScheme"/>; null = what fits the validation.</summary>
    public NameEscaping? MetricNameEscapingScheme { get; init; }

    /// <summary>See <see cref="ScrapeConfig.ScrapeNativeHistograms"/>.</summary>
    public bool ScrapeNativeHistograms { get; init; }

    /// <summary>See <see cref="ScrapeConfig.AlwaysScrapeClassicHistograms"/>.</summary>
    public bool AlwaysScrapeClassicHistograms { get; init; }

    /// <summary>See <see cref="ScrapeConfig.ConvertClassicHistogramsToNhcb"/>.</summary>
    public bool ConvertClassicHistogramsToNhcb { get; init; }

    /// <summary>See <see cref="ScrapeConfig.ExtraScrapeMetrics"/>.</summary>
    public bool ExtraScrapeMetrics { get; init; }
}
