using System.Diagnostics.Metrics;
using Bellwether.Core.Telemetry;

namespace Bellwether.Agent.Collect.Scrape;

/// <summary>The instruments that all scrape collectors of an agent share. Thread-safe.</summary>
public sealed class ScrapeMetrics(Meter meter)
{
    internal Counter<long> Failed { get; } = meter.CreateCounter<long>(MetricNames.CollectScrapesFailed, description: "Scrapes that failed: the target gave no body, or one that was refused.");

    internal Counter<long> Bytes { get; } = meter.CreateCounter<long>(MetricNames.CollectScrapeBytes, description: "Bytes of scraped bodies, inflated.");

    internal Counter<long> Duplicates { get; } = meter.CreateCounter<long>(MetricNames.CollectSamplesDuplicate, description: "Scraped samples dropped because their body had the series already.");
}
