using System.Diagnostics.Metrics;
using Bellwether.Core.Telemetry;
using Bellwether.Store;

namespace Bellwether.Ingest.Completeness;

/// <summary>The book's metrics: computed when they are asked for.</summary>
internal static class FleetInstruments
{
    /// <summary>Makes them.</summary>
    public static void Make(FleetBook book, ILedgerSource ledger, Meter meter, TimeProvider time)
    {
        meter.CreateObservableGauge(MetricNames.CompletenessAgents, () => ByPresence(book), description: "Agents of the expected fleet, by state.");
        meter.CreateObservableGauge(MetricNames.CompletenessSilenceSeconds, () => Silences(book, time), unit: "seconds", description: "How long nothing has been heard of an agent that is not stopped or retired.");
        meter.CreateObservableGauge(MetricNames.CompletenessLostSegments, () => LostSegments(book), description: "Segments that are neither in the store nor at their agent, by reason.");
        meter.CreateObservableCounter(MetricNames.CompletenessDroppedSamples, () => DroppedSamples(book), description: "Samples that an agent said it dropped, by reason.");
        meter.CreateObservableCounter(MetricNames.CompletenessStoredSamples, () => ledger.Ledgers().Select(l => Of(l.Samples, l.Agent)), description: "Samples of an agent's records that were applied, over all restarts.");
    }

    private static IEnumerable<Measurement<int>> ByPresence(FleetBook book)
    {
        IReadOnlyList<AgentFacts> agents = book.Agents();
        foreach (AgentPresence presence in Enum.GetValues<AgentPresence>())
            yield return new Measurement<int>(agents.Count(a => a.Presence == presence), new KeyValuePair<string, object?>("state", presence.ToString().ToLowerInvariant()));
    }

    private static IEnumerable<Measurement<double>> Silences(FleetBook book, TimeProvider time) => book.Agents()
        .Where(a => a.LastHeardMs > 0 && a.Presence is AgentPresence.Present or AgentPresence.Silent)
        .Select(a => Of((time.GetUtcNow().ToUnixTimeMilliseconds() - a.LastHeardMs) / 1000.0, a.Id));

    private static IEnumerable<Measurement<double>> LostSegments(FleetBook book) => book.Agents()
        .SelectMany(a => a.Losses.GroupBy(l => l.Reason).Select(l => Of(l.Sum(x => (double)(x.Last - x.First + 1)), a.Id, l.Key)));

    private static IEnumerable<Measurement<double>> DroppedSamples(FleetBook book) => book.Agents()
        .SelectMany(a => a.Reported.SelectMany(r => r.Dropped).GroupBy(d => d.Reason).Select(d => Of(d.Sum(x => (double)x.Samples), a.Id, d.Key)));

    private static Measurement<double> Of(double value, string agent, string? reason = null) => reason is null
        ? new Measurement<double>(value, new KeyValuePair<string, object?>("agent", agent))
        : new Measurement<double>(value, new KeyValuePair<string, object?>("agent", agent), new KeyValuePair<string, object?>("reason", reason));
}
