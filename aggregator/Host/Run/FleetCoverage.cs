using Bellwether.Core.Model;
using Bellwether.Evaluate.Kpi;
using Bellwether.Ingest.Completeness;
using Bellwether.Store;

namespace Bellwether.Aggregator.Run;

/// <summary>
/// The coverage of series: of those that an agent brings from what ingest knows of its sources (a series belongs to the source whose target has its job and instance), of the others from their
/// own samples.
/// </summary>
internal sealed class FleetCoverage(FleetBook book, ILedgerSource ledger, SenderCoverage senders, TimeProvider time) : ICoverageSource
{
    public Coverage Of(IReadOnlyCollection<Labels> series, long fromMs, long toMs, CancellationToken cancellation)
    {
        HashSet<(string, string)> targets = [.. series.Select(TargetOf).Where(t => t.Job.Length + t.Instance.Length > 0)];
        var brought = new HashSet<(string, string)>();
        Coverage all = default;
        long nowMs = time.GetUtcNow().ToUnixTimeMilliseconds();
        foreach (AgentFacts agent in targets.Count == 0 ? [] : book.Agents())
        {
            var names = new HashSet<string>(StringComparer.Ordinal);
            foreach ((string source, IReadOnlyDictionary<string, string> labels) in agent.Targets)
            {
                (string, string) target = (labels.GetValueOrDefault("job", ""), labels.GetValueOrDefault("instance", ""));
                if (targets.Contains(target))
                {
                    names.Add(source);
                    brought.Add(target);
                }
            }
            if (names.Count == 0)
                continue;
            AgentCompleteness view = CompletenessView.Of(agent, ledger.Ledgers(agent.Id) is [{ } stored, ..] ? stored : null, fromMs, toMs, nowMs);
            foreach (SourceCompleteness source in view.Sources.Where(s => names.Contains(s.Stored.Name)))
                all += new Coverage(source.Received, source.Due, 1) { IsSettled = IsSettled(agent, source, toMs) };
        }
        Labels[] others = [.. series.Where(s => !brought.Contains(TargetOf(s)))];
        return others.Length == 0 ? all : all + senders.Of(others, fromMs, toMs, nowMs, cancellation);
    }

    private static (string Job, string Instance) TargetOf(Labels series) => (series.Get("job"), series.Get("instance"));

    // The view is patient with ticks that are under way; a number is not final before they are here: the next one is due an interval after the last, give or take a little.
    private static bool IsSettled(AgentFacts agent, SourceCompleteness source, long toMs)
    {
        bool holds = agent is { SpoolRecords: > 0, SpoolOldestMs: > 0 };
        bool isOwed = source.Gaps.Any(g => g.Reason is MissingReasons.Buffered or MissingReasons.Awaited or MissingReasons.Announced || (holds && g.ToMs >= agent.SpoolOldestMs));
        bool isUnderWay = agent.Presence is not (AgentPresence.Stopped or AgentPresence.Retired) && !source.HasEnded && source.Stored.Ranges is [.., var last] && toMs - last.LastMs >= last.IntervalMs - (last.IntervalMs / 16);
        return !isOwed && !isUnderWay;
    }
}
