using Bellwether.Aggregator.Configuration;
using Bellwether.Core.Model;
using Bellwether.Ingest;
using Bellwether.Serve.Fleet;
using Bellwether.Store;

namespace Bellwether.Aggregator.Run;

/// <summary>Shows ingest's fleet to the faces, which do not know ingest. Labels of the configuration win over the agents' own.</summary>
internal sealed class FleetView(AgentFleet fleet, Func<IReadOnlyList<AgentEntry>> configured, Func<IReadOnlyList<NamedCount>> series) : IFleetSource
{
    public IReadOnlyList<FleetAgent> Agents()
    {
        IReadOnlyList<AgentEntry> entries = configured();
        var counts = series().ToDictionary(s => s.Name, s => s.Count, StringComparer.Ordinal);
        return [.. fleet.Agents().Select(agent => new FleetAgent
        {
            Id = agent.Id,
            Version = agent.Version,
            Labels = LabelsOf(agent.Id, agent.Labels, entries),
            Connected = agent.Connected,
            LastSeenMs = agent.LastSeenMs,
            NewestMs = agent.NewestMs,
            ClockOffsetMs = agent.ClockOffsetMs,
            Coverage = agent.Coverage,
            Series = counts.GetValueOrDefault(agent.Id),
            Samples = agent.Samples,
            SpoolRecords = agent.SpoolRecords,
            SpoolBytes = agent.SpoolBytes,
            Sources = [.. agent.Sources.Select(s => new FleetSource(s.Name, s.IntervalMs, s.NewestMs, s.Received, s.Due))],
        })];
    }

    /// <summary>An agent's labels: those of its own entries win over those of the entry for all (<c>*</c>), and these over what the agent says.</summary>
    internal static IReadOnlyDictionary<string, string> LabelsOf(string id, IReadOnlyDictionary<string, string> own, IReadOnlyList<AgentEntry> entries)
    {
        if (entries.All(e => e.Labels.Count == 0 || (e.Id != id && e.Id != "*")))
            return own;
        var labels = new SortedDictionary<string, string>(own.ToDictionary(), StringComparer.Ordinal);
        foreach (AgentEntry entry in entries.Where(e => e.Id == "*").Concat(entries.Where(e => e.Id == id)))
        {
            foreach (ref readonly Label label in entry.Labels.AsSpan())
                labels[label.Name] = label.Value;
        }
        return labels;
    }
}
