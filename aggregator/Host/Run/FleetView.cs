using Bellwether.Ingest;
using Bellwether.Serve.Fleet;

namespace Bellwether.Aggregator.Run;

/// <summary>Shows ingest's fleet to the faces, which do not know ingest.</summary>
internal sealed class FleetView(AgentFleet fleet) : IFleetSource
{
    public IReadOnlyList<FleetAgent> Agents() => [.. fleet.Agents().Select(agent => new FleetAgent
    {
        Id = agent.Id,
        Version = agent.Version,
        Labels = agent.Labels,
        Connected = agent.Connected,
        LastSeenMs = agent.LastSeenMs,
        NewestMs = agent.NewestMs,
        ClockOffsetMs = agent.ClockOffsetMs,
        Coverage = agent.Coverage,
        Samples = agent.Samples,
        SpoolRecords = agent.SpoolRecords,
        SpoolBytes = agent.SpoolBytes,
        Sources = [.. agent.Sources.Select(s => new FleetSource(s.Name, s.IntervalMs, s.NewestMs, s.Received, s.Due))],
    })];
}
