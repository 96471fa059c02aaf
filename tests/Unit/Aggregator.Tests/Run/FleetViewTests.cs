using Bellwether.Aggregator.Configuration;
using Bellwether.Aggregator.Run;
using Bellwether.Core.Model;

namespace Bellwether.Aggregator.Tests.Run;

/// <summary>Labels of the fleet: what the centre's configuration says wins.</summary>
public sealed class FleetViewTests
{
    private static readonly Dictionary<string, string> s_own = new() { ["site"] = "own", ["rack"] = "7" };

    [Fact]
    public void Configured_labels_win_over_the_agents_own_and_an_agents_entry_over_that_for_all()
    {
        AgentEntry[] entries =
        [
            new() { Id = "a", Labels = Labels.Of("site", "berlin") },
            new() { Id = "*", Labels = Labels.Of("site", "any", "tier", "edge") },
            new() { Id = "b", Labels = Labels.Of("site", "paris") },
        ];
        Assert.Equal("rack=7 site=berlin tier=edge", Text(FleetView.LabelsOf("a", s_own, entries)));
        Assert.Equal("rack=7 site=any tier=edge", Text(FleetView.LabelsOf("c", s_own, entries)));
        Assert.Equal("rack=7 site=own", Text(FleetView.LabelsOf("c", s_own, [entries[0], entries[2]])));
    }

    private static string Text(IReadOnlyDictionary<string, string> labels) => string.Join(" ", labels.OrderBy(l => l.Key, StringComparer.Ordinal).Select(l => $"{l.Key}={l.Value}"));
}
