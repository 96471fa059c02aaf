using Bellwether.Core.Model;
using Bellwether.Evaluate.Kpi;
using Bellwether.Ingest.Completeness;
using Bellwether.Store;

namespace Bellwether.Aggregator.Run;

/// <summary>The coverage of series, from what ingest knows of the sources that bring them: a series belongs to the source whose target has its job and instance.</summary>
internal sealed class FleetCoverage(FleetBook book, ILedgerSource ledger, TimeProvider time) : ICoverageSource
{
    public Coverage Of(IReadOnlyCollection<Labels> series, long fromMs, long toMs)
    {
        HashSet<(string, string)> targets = [.. series.Select(s => (s.Get("job"), s.Get("instance"))).Where(t => t.Item1.Length + t.Item2.Length > 0)];
        if (targets.Count == 0)
            return default;
        long received = 0, due = 0, nowMs = time.GetUtcNow().ToUnixTimeMilliseconds();
        int sources = 0;
        foreach (AgentFacts agent in book.Agents())
        {
            HashSet<string> names = [.. agent.Targets.Where(t => targets.Contains((t.Value.GetValueOrDefault("job", ""), t.Value.GetValueOrDefault("instance", "")))).Select(t => t.Key)];
            if (names.Count == 0)
                continue;
            AgentCompleteness view = CompletenessView.Of(agent, ledger.Ledgers(agent.Id) is [{ } stored, ..] ? stored : null, fromMs, toMs, nowMs);
            foreach (SourceCompleteness source in view.Sources.Where(s => names.Contains(s.Stored.Name)))
            {
                received += source.Received;
                due += source.Due;
                sources++;
            }
        }
        return new Coverage(received, due, sources);
    }
}
