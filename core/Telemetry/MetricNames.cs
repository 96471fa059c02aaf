namespace Bellwether.Core.Telemetry;

/// <summary>
/// Every metric that the programs expose about themselves, in one closed list: bellwether_STAGE_NOUN_UNIT[_total]. At every stage in = out + rejected + dropped + pending.
/// </summary>
public static class MetricNames
{
    /// <summary>The one meter of a process; components take it in their constructor.</summary>
    public const string Meter = "bellwether";

    /// <summary>Ticks collected and handed on.</summary>
    public const string CollectTicks = "bellwether_collect_ticks_total";

    /// <summary>Ticks that were due but not collected.</summary>
    public const string CollectTicksMissed = "bellwether_collect_ticks_missed_total";

    /// <summary>Scrapes that failed.</summary>
    public const string CollectScrapesFailed = "bellwether_collect_scrapes_failed_total";

    /// <summary>Bytes of bodies scraped, inflated.</summary>
    public const string CollectScrapeBytes = "bellwether_collect_scrape_bytes_total";

    /// <summary>Samples dropped because their series was in the body already.</summary>
    public const string CollectSamplesDuplicate = "bellwether_collect_samples_duplicate_total";

    /// <summary>Series of own metrics refused because there are too many.</summary>
    public const string TelemetrySeriesRefused = "bellwether_telemetry_series_refused_total";
}
