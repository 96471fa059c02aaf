using System.Diagnostics.Metrics;
using Bellwether.Core.Telemetry;

namespace Bellwether.Agent.Spool;

/// <summary>The spool's instruments, made once per spool.</summary>
internal static class SpoolMetrics
{
    public static void Observe(Meter meter, ISpool spool, ISpoolLedger ledger, Func<long> appended, Func<long> damaged)
    {
        meter.CreateObservableCounter(MetricNames.SpoolRecordsAppended, appended);
        meter.CreateObservableCounter(MetricNames.SpoolSamplesProduced, () => PerSource(ledger, l => l.Produced), description: "Samples handed to the spool since it was made, by source.");
        meter.CreateObservableGauge(MetricNames.SpoolSamplesBuffered, () => PerSource(ledger, l => l.Buffered.Samples), description: "Samples held and not acknowledged, by source.");
        meter.CreateObservableCounter(MetricNames.SpoolSamplesDropped, () => Drops(spool), description: "Samples that the spool dropped since it was made, by source and reason.");
        meter.CreateObservableGauge(MetricNames.SpoolBytes, () => spool.Bytes);
        meter.CreateObservableGauge(MetricNames.SpoolRecords, () => spool.Records);
        meter.CreateObservableGauge(MetricNames.SpoolLocked, () => spool.Statistics.LockedSegments, description: "Segments that cannot be read because their key is missing; they are kept.");
        meter.CreateObservableCounter(MetricNames.SpoolErrors, () => spool.Statistics.Errors);
        meter.CreateObservableCounter(MetricNames.SpoolDamaged, damaged);
    }

    private static List<Measurement<long>> PerSource(ISpoolLedger ledger, Func<SourceLedger, long> value)
    {
        var all = new List<SourceLedger>();
        ledger.ListLedger(all);
        return all.ConvertAll(l => new Measurement<long>(value(l), new KeyValuePair<string, object?>("source", l.Name)));
    }

    private static List<Measurement<long>> Drops(ISpool spool) =>
        [.. spool.Statistics.Dropped.Select(d => new Measurement<long>(d.Samples, new KeyValuePair<string, object?>("source", d.Source), new KeyValuePair<string, object?>("reason", d.Reason)))];
}
