using Bellwether.Agent.Collect;
using Bellwether.Agent.Collect.Host;
using Bellwether.Agent.Collect.Postgres;
using Bellwether.Agent.Collect.Scrape;
using Bellwether.Agent.Collect.Scrape.Discovery;
using Bellwether.Agent.Collect.Self;
using Bellwether.Agent.Stream;
using Bellwether.Core.Model;
using Bellwether.V1;
using Google.Protobuf.Collections;

namespace Bellwether.Agent.Run;

/// <summary>What the agent tells the aggregator of its collectors, as targets: those of scrape jobs, and the built-in ones under URLs of their own schemes. Thread-safe.</summary>
/// <param name="agentId">The agent's id.</param>
/// <param name="newest">Time of the newest tick of a source, Unix ms; 0: none.</param>
internal sealed class TargetFacts(string agentId, Func<string, long> newest) : ITargetFacts
{
    /// <summary>Dropped targets whose labels are told, of one pool; of the rest only the count.</summary>
    public const int DroppedMax = 100;

    private volatile IReadOnlyList<ICollector> _collectors = [];
    private volatile IReadOnlyList<DroppedTargets> _dropped = [];

    /// <inheritdoc/>
    public IReadOnlyList<DroppedTargets> Dropped => _dropped;

    /// <summary>Takes a new plan.</summary>
    public void Take(IReadOnlyList<ICollector> collectors, IReadOnlyList<DiscoveredJob> jobs)
    {
        _collectors = collectors;
        _dropped = [.. jobs.Where(j => j.Dropped > 0).Select(DroppedOf)];
    }

    /// <inheritdoc/>
    public void List(List<TargetFact> into)
    {
        foreach (ICollector collector in _collectors)
        {
            (string health, string error) = HealthOf(collector);
            into.Add(new TargetFact(collector.Name, collector, health, error, () => Describe(collector, health, error)));
        }
    }

    private (string Health, string Error) HealthOf(ICollector collector)
    {
        if (collector is ScrapeCollector { Status: var status })
            return (status.Health, status.LastError);
        (bool isUp, string error) = collector is PostgresCollector postgres ? (postgres.IsUp, postgres.LastError ?? "") : (true, "");
        return (newest(collector.Name) == 0 ? "unknown" : isUp ? "up" : "down", error);
    }

    private Target Describe(ICollector collector, string health, string error)
    {
        var target = new Target
        {
            Name = Cut(collector.Name),
            Health = health,
            LastError = Cut(error),
            IntervalMs = (ulong)collector.Interval.TotalMilliseconds,
            TimeoutMs = (ulong)collector.Interval.TotalMilliseconds,
            LastScrapeUnixMs = newest(collector.Name),
        };
        if (collector is ScrapeCollector scrape)
        {
            target.Pool = Cut(scrape.JobName);
            target.Url = Cut(scrape.Target.Url);
            target.TimeoutMs = (ulong)scrape.Target.Timeout.TotalMilliseconds;
            target.LastScrapeUnixMs = scrape.Status.LastScrapeMs;
            target.LastDurationUs = (ulong)scrape.Status.LastDuration.TotalMicroseconds;
            Add(target.DiscoveredLabels, scrape.Target.Discovered);
            Add(target.Labels, scrape.Target.Labels);
            return target;
        }
        target.Url = collector switch
        {
            HostCollector => $"host://{agentId}/",
            PostgresCollector => collector.Name.Replace("postgres/", "postgres://", StringComparison.Ordinal),
            SelfCollector => $"agent://{agentId}/",
            _ => $"collector://{agentId}/{collector.Name}",
        };
        Labels labels = collector switch
        {
            HostCollector host => host.TargetLabels,
            PostgresCollector postgres => postgres.TargetLabels,
            SelfCollector self => self.TargetLabels,
            _ => Labels.Empty,
        };
        target.Pool = labels.Get(LabelNames.Job) is { Length: > 0 } job ? job : collector.Name;
        Add(target.Labels, labels);
        return target;
    }

    private static DroppedTargets DroppedOf(DiscoveredJob job)
    {
        var dropped = new DroppedTargets { Pool = job.Job.JobName, Count = (ulong)job.Dropped };
        foreach (Labels labels in job.DroppedLabels.Take(DroppedMax))
        {
            var set = new LabelSet();
            Add(set.Labels, labels);
            dropped.Discovered.Add(set);
        }
        return dropped;
    }

    private static void Add(MapField<string, string> into, Labels labels)
    {
        foreach (ref readonly Label label in labels.AsSpan())
            into[label.Name] = Cut(label.Value);
    }

    private static string Cut(string text) => text.Length <= TargetTeller.TextMax ? text : text[..TargetTeller.TextMax];
}
