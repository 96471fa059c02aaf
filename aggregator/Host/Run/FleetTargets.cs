using Bellwether.Core.Model;
using Bellwether.Ingest;
using Bellwether.Serve.QueryApi;
using Bellwether.V1;
using Google.Protobuf.Collections;

namespace Bellwether.Aggregator.Run;

/// <summary>
/// Targets as the agents tell them. Agents tell changes only: when and how long the last scrape was is in the series. Targets of which no agent tells (remote write,
/// older agents) are shown as <paramref name="series"/> has them.
/// </summary>
internal sealed class FleetTargets(AgentFleet fleet, ITargetSource series) : ITargetSource
{
    public IReadOnlyList<TargetStatus> Targets()
    {
        var bySeries = new Dictionary<Labels, TargetStatus>();
        foreach (TargetStatus status in series.Targets())
            bySeries[status.Labels] = status;
        var all = new List<TargetStatus>();
        foreach (AgentTargets agent in fleet.Targets())
        {
            foreach ((Target target, long newestMs) in agent.Active)
            {
                Labels labels = LabelsOf(target.Labels);
                bySeries.Remove(labels, out TargetStatus? seen);
                all.Add(StatusOf(agent, target, labels, newestMs, seen));
            }
        }
        all.AddRange(bySeries.Values);
        return all;
    }

    public IReadOnlyList<DroppedPool> Dropped() =>
        [.. fleet.Targets().SelectMany(a => a.Dropped.Select(d => new DroppedPool(d.Pool, a.Agent, (long)d.Count, [.. d.Discovered.Select(l => LabelsOf(l.Labels))])))];

    private static TargetStatus StatusOf(AgentTargets agent, Target target, Labels labels, long newestMs, TargetStatus? seen) => new()
    {
        Agent = agent.Agent,
        Discovered = LabelsOf(target.DiscoveredLabels),
        Labels = labels,
        Job = target.Pool,
        ScrapeUrl = target.Url,
        // What an agent said before it went away is not known to be so still.
        Up = !agent.Connected ? null : target.Health switch { "up" => true, "down" => false, _ => null },
        LastError = agent.Connected ? target.LastError : "the agent is not connected",
        LastScrapeMs = Math.Max(target.LastScrapeUnixMs, Math.Max(newestMs, seen?.LastScrapeMs ?? 0)),
        LastScrapeDuration = seen?.LastScrapeDuration ?? TimeSpan.FromMicroseconds(target.LastDurationUs),
        Interval = TimeSpan.FromMilliseconds(target.IntervalMs),
        Timeout = TimeSpan.FromMilliseconds(target.TimeoutMs),
    };

    private static Labels LabelsOf(MapField<string, string> map)
    {
        var labels = new LabelsBuilder();
        foreach ((string name, string value) in map)
            labels.Set(name, value);
        return labels.Build();
    }
}
