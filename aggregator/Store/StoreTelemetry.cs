using System.Diagnostics.Metrics;
using Bellwether.Core.Configuration;
using Bellwether.Core.Model;
using Bellwether.Core.Telemetry;
using Bellwether.Store.Head;

namespace Bellwether.Store;

/// <summary>The store's instruments: observed when asked, so that the writer counts in plain fields.</summary>
internal sealed class StoreTelemetry : IDisposable
{
    private static readonly KeyValuePair<string, object?>[] s_outcomes =
        [.. Enum.GetValues<AppendOutcome>().Select(o => new KeyValuePair<string, object?>("outcome", NameOf(o)))];

    private const int JobsMax = 100, AgentsMax = 100;
    private static readonly (SeriesLimit Limit, string Name)[] s_limits = [(SeriesLimit.Series, "max_series"), (SeriesLimit.SeriesPerJob, "max_series_per_job"), (SeriesLimit.SeriesPerAgent, "max_series_per_agent"), (SeriesLimit.Labels, "labels")];
    private StoreEngine? _engine;

    public StoreTelemetry(Meter meter, StoreEngine engine)
    {
        _engine = engine;
        meter.CreateObservableCounter(MetricNames.StoreSamples, Outcomes, null, "Samples that were handed to the store, by what became of them.");
        meter.CreateObservableCounter(MetricNames.StoreRecords, Records, null, "Records of agents that were handed to the store, by what became of them.");
        meter.CreateObservableGauge(MetricNames.StoreSeries, () => Read(e => e.HeadSeries), null, "Series in memory.");
        meter.CreateObservableGauge(MetricNames.StoreHeldSamples, () => Read(e => e.HeldSamples), null, "Samples that are ahead of the clock and wait for their time.");
        meter.CreateObservableCounter(MetricNames.StoreRunsAhead, () => Read(e => e.Records.AheadRuns), null, "Runs of agents' records that the agents must keep: they are ahead of the clock, and as many samples as may be wait already.");
        meter.CreateObservableGauge(MetricNames.StoreWalBytes, () => Read(e => e.WalBytes), null, "Bytes of the write-ahead log.");
        meter.CreateObservableGauge(MetricNames.StoreHistorySamples, () => Read(e => e.HistorySamples), null, "Samples in memory of partitions that are over: they keep the log until they are written to chunk files together.");
        meter.CreateObservableGauge(MetricNames.StoreChunkFiles, () => Read(e => e.Blocks.Count), null, "Chunk files that are served.");
        meter.CreateObservableGauge(MetricNames.StoreChunkFileBytes, () => Read(e => e.Blocks.Bytes), null, "Bytes of the chunk files that are served.");
        meter.CreateObservableCounter(MetricNames.StoreFilesQuarantined, () => Read(e => e.Blocks.QuarantinedFiles), null, "Chunk files moved to quarantine since the start.");
        meter.CreateObservableCounter(MetricNames.StoreReadsDamaged, () => Read(e => e.Blocks.DamagedReads), null, "Reads that met a damaged chunk or index.");
        meter.CreateObservableCounter(MetricNames.StoreWalDamaged, () => Read(e => e.Opened.DamagedLogPlaces), null, "Places of the write-ahead log that were damaged when it was opened.");
        meter.CreateObservableCounter(MetricNames.StoreCutsFailed, () => Read(e => e.FailedCuts), null, "Cuts of partitions into chunk files that failed and are tried again.");
        meter.CreateObservableCounter(MetricNames.StoreFilesCoarsened, () => Read(e => e.CoarsenedFiles), null, "Chunk files whose samples or slots became slots of a coarser resolution.");
        meter.CreateObservableCounter(MetricNames.StoreFilesDroppedEarly, () => Read(e => e.DroppedEarlyFiles), null, "Chunk files older than what their resolution is kept for that were dropped on a full disk before they became coarser.");
        meter.CreateObservableGauge(MetricNames.StoreResolutionBytes, Resolutions, null, "Bytes of the chunk files that are served, by resolution.");
        meter.CreateObservableCounter(MetricNames.StoreFilesMerged, () => Read(e => e.MergedFiles), null, "Chunk files that were merged into others or written anew.");
        meter.CreateObservableCounter(MetricNames.StoreMergesFailed, () => Read(e => e.FailedMerges), null, "Merges of chunk files that failed and are tried again.");
        meter.CreateObservableCounter(MetricNames.StoreSeriesRefused, Refusals, null, "New series that a limit kept out, by limit; a series counts each time it is tried.");
        meter.CreateObservableGauge(MetricNames.StoreJobSeries, Jobs, null, "Series in memory by job, of the 100 jobs with the most.");
        meter.CreateObservableGauge(MetricNames.StoreAgentSeries, Agents, null, "Series in memory by the agent that was the first to send them, of the 100 agents with the most.");
        meter.CreateObservableCounter(MetricNames.StoreHeadSaves, () => Read(e => e.SavedHeads), null, "Saves of what memory holds, so that a start replays less of the log.");
        meter.CreateObservableCounter(MetricNames.StoreHeadSavesFailed, () => Read(e => e.FailedSaves), null, "Saves of what memory holds that failed and are tried again; a start would replay more of the log.");
        meter.CreateObservableGauge(MetricNames.StoreHeadSaved, () => Seconds(e => e.SavedHeadMs), null, "Unix time of the last save of what memory holds since the start; 0: none yet.");
        meter.CreateObservableGauge(MetricNames.StoreHeadSavedBytes, () => Read(e => e.SavedHeadBytes), null, "Bytes of what was saved last of memory; 0: nothing.");
        meter.CreateObservableGauge(MetricNames.StoreHeadSaveSeconds, () => Seconds(e => (long)e.SaveDuration.TotalMilliseconds), null, "Seconds that the last save of what memory holds took since the start; 0: none yet.");
        meter.CreateObservableGauge(MetricNames.StoreMaintained, () => Seconds(e => e.MaintainedMs), null, "Unix time of the last maintenance that went through; 0: none yet.");
        meter.CreateObservableGauge(MetricNames.StoreCheckpointed, () => Seconds(e => e.CheckpointedMs), null, "Unix time of the last checkpoint since the start; 0: none yet.");
    }

    public void Dispose() => _engine = null;

    private static string NameOf(AppendOutcome outcome) => outcome switch
    {
        AppendOutcome.Stored => "stored",
        AppendOutcome.Duplicate => "duplicate",
        AppendOutcome.Conflict => "conflict",
        AppendOutcome.TooOld => "too_old",
        AppendOutcome.TooNew => "too_new",
        AppendOutcome.OverLimit => "over_limit",
        _ => "invalid",
    };

    private IEnumerable<Measurement<long>> Read(Func<StoreEngine, long> figure) => _engine is { } engine ? [new Measurement<long>(figure(engine))] : [];

    private IEnumerable<Measurement<double>> Seconds(Func<StoreEngine, long> timeMs) => _engine is { } engine ? [new Measurement<double>(timeMs(engine) / 1000.0)] : [];

    private IEnumerable<Measurement<long>> Outcomes()
    {
        if (_engine is not { } engine)
            yield break;
        for (int i = 0; i < s_outcomes.Length; i++)
            yield return new Measurement<long>(Volatile.Read(ref engine.Outcomes[i]), s_outcomes[i]);
    }

    private IEnumerable<Measurement<long>> Resolutions() =>
        _engine is { } engine ? engine.ResolutionsMs.Select(r => new Measurement<long>(engine.BytesOf(r), new KeyValuePair<string, object?>("resolution", r == 0 ? "raw" : PrometheusDuration.Format(TimeSpan.FromMilliseconds(r))))) : [];

    private IEnumerable<Measurement<long>> Refusals()
    {
        if (_engine is not { } engine)
            yield break;
        foreach ((SeriesLimit limit, string name) in s_limits)
            yield return new Measurement<long>(Volatile.Read(ref engine.SeriesRefused[(int)limit]), new KeyValuePair<string, object?>("limit", name));
    }

    private IEnumerable<Measurement<long>> Jobs() =>
        _engine is { } engine ? engine.SeriesByJob(JobsMax).Select(j => new Measurement<long>(j.Count, new KeyValuePair<string, object?>("job", j.Name))) : [];

    private IEnumerable<Measurement<long>> Agents() =>
        _engine is { } engine ? engine.SeriesByAgent(AgentsMax).Select(a => new Measurement<long>(a.Count, new KeyValuePair<string, object?>("agent", a.Name))) : [];

    private IEnumerable<Measurement<long>> Records()
    {
        if (_engine is not { } engine)
            yield break;
        yield return new Measurement<long>(engine.Records.AppliedRecords, new KeyValuePair<string, object?>("outcome", "applied"));
        yield return new Measurement<long>(engine.Records.RepeatedRecords, new KeyValuePair<string, object?>("outcome", "repeated"));
        yield return new Measurement<long>(engine.Records.RefusedRecords, new KeyValuePair<string, object?>("outcome", "refused"));
    }
}
