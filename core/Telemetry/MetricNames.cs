namespace Bellwether.Core.Telemetry;

/// <summary>
/// Every metric that the programs expose about themselves, in one closed list: bellwether_STAGE_NOUN_UNIT[_total]. At every stage in = out + rejected + dropped + pending.
/// </summary>
public static class MetricNames
{
    /// <summary>The one meter of a process; components take it in their constructor.</summary>
    public const string Meter = "bellwether";

    /// <summary>Ticks collected and handed on.</summary>
    public const string CollectTicks = "bellwether_collect_ticks_total";

    /// <summary>Ticks that were due but not collected.</summary>
    public const string CollectTicksMissed = "bellwether_collect_ticks_missed_total";

    /// <summary>Scrapes that failed.</summary>
    public const string CollectScrapesFailed = "bellwether_collect_scrapes_failed_total";

    /// <summary>Bytes of bodies scraped, inflated.</summary>
    public const string CollectScrapeBytes = "bellwether_collect_scrape_bytes_total";

    /// <summary>Samples dropped because their series was in the body already.</summary>
    public const string CollectSamplesDuplicate = "bellwether_collect_samples_duplicate_total";

    /// <summary>Series of own metrics refused because there are too many.</summary>
    public const string TelemetrySeriesRefused = "bellwether_telemetry_series_refused_total";

    /// <summary>Agent: 1 while a session with an aggregator stands.</summary>
    public const string StreamConnected = "bellwether_stream_connected";

    /// <summary>Agent: sessions that an aggregator answered.</summary>
    public const string StreamSessions = "bellwether_stream_sessions_total";

    /// <summary>Agent: connection attempts and sessions that failed.</summary>
    public const string StreamFailures = "bellwether_stream_failures_total";

    /// <summary>Agent: records sent, repeated ones included.</summary>
    public const string StreamRecordsSent = "bellwether_stream_records_sent_total";

    /// <summary>Agent: payload bytes sent, repeated ones included.</summary>
    public const string StreamBytesSent = "bellwether_stream_sent_bytes_total";

    /// <summary>Agent: records that the aggregator refused for good.</summary>
    public const string StreamRecordsRefused = "bellwether_stream_records_refused_total";

    /// <summary>Agent: payload bytes sent and not yet acknowledged.</summary>
    public const string StreamUnderWayBytes = "bellwether_stream_under_way_bytes";

    /// <summary>Agent: payload bytes a second that may go out; 0: no bound.</summary>
    public const string StreamBandwidthLimit = "bellwether_stream_bandwidth_limit_bytes";

    /// <summary>Agent: times that a batch had to wait for the bandwidth limit.</summary>
    public const string StreamBandwidthWaits = "bellwether_stream_bandwidth_waits_total";

    /// <summary>Agent: sessions that were left because a preferred address was back.</summary>
    public const string StreamReturns = "bellwether_stream_returns_total";

    /// <summary>Agent: the aggregator's clock minus the agent's.</summary>
    public const string StreamClockOffsetSeconds = "bellwether_stream_clock_offset_seconds";

    /// <summary>Aggregator: agents with an open session.</summary>
    public const string IngestAgentsConnected = "bellwether_ingest_agents_connected";

    /// <summary>Aggregator: agents of the expected fleet, by state.</summary>
    public const string CompletenessAgents = "bellwether_completeness_agents";

    /// <summary>Aggregator: how long nothing has been heard of an agent.</summary>
    public const string CompletenessSilenceSeconds = "bellwether_completeness_silence_seconds";

    /// <summary>Aggregator: segments that are neither in the store nor at their agent.</summary>
    public const string CompletenessLostSegments = "bellwether_completeness_lost_segments";

    /// <summary>Aggregator: samples that an agent said it dropped, by reason.</summary>
    public const string CompletenessDroppedSamples = "bellwether_completeness_dropped_samples_total";

    /// <summary>Aggregator: samples of an agent's records that were applied, over all restarts.</summary>
    public const string CompletenessStoredSamples = "bellwether_completeness_stored_samples_total";

    /// <summary>Aggregator: sessions that said hello.</summary>
    public const string IngestSessions = "bellwether_ingest_sessions_total";

    /// <summary>Aggregator: records applied and durable.</summary>
    public const string IngestRecords = "bellwether_ingest_records_total";

    /// <summary>Aggregator: payload bytes received.</summary>
    public const string IngestBytes = "bellwether_ingest_received_bytes_total";

    /// <summary>Aggregator: samples applied.</summary>
    public const string IngestSamples = "bellwether_ingest_samples_total";

    /// <summary>Aggregator: records refused for good.</summary>
    public const string IngestRecordsRefused = "bellwether_ingest_records_refused_total";

    /// <summary>Aggregator: segments that had to be sent again from their start.</summary>
    public const string IngestResends = "bellwether_ingest_resends_total";

    /// <summary>Aggregator: sessions ended because another process came with the same identity.</summary>
    public const string IngestFenced = "bellwether_ingest_sessions_fenced_total";

    /// <summary>Aggregator: sessions refused (identity, hello, limits).</summary>
    public const string IngestSessionsRefused = "bellwether_ingest_sessions_refused_total";

    /// <summary>Aggregator: 1 when the last reading of the configuration succeeded.</summary>
    public const string AggregatorReloadSuccessful = "bellwether_aggregator_config_last_reload_successful";

    /// <summary>Aggregator: when the configuration was last taken.</summary>
    public const string AggregatorReloadSuccessSeconds = "bellwether_aggregator_config_last_reload_success_timestamp_seconds";

    /// <summary>Aggregator: an agent's clock minus ours, by agent.</summary>
    public const string IngestClockOffsetSeconds = "bellwether_ingest_agent_clock_offset_seconds";

    /// <summary>Aggregator: now minus the time of the newest record, by agent.</summary>
    public const string IngestLagSeconds = "bellwether_ingest_agent_lag_seconds";

    /// <summary>Aggregator: ticks received over ticks due in the last minutes, by agent.</summary>
    public const string IngestCoverageRatio = "bellwether_ingest_agent_coverage_ratio";

    /// <summary>Samples handed to the store by what became of them (label outcome).</summary>
    public const string StoreSamples = "bellwether_store_samples_total";

    /// <summary>Records of agents handed to the store by what became of them (label outcome).</summary>
    public const string StoreRecords = "bellwether_store_records_total";

    /// <summary>Series in memory.</summary>
    public const string StoreSeries = "bellwether_store_head_series";

    /// <summary>Samples ahead of the clock that wait for their time.</summary>
    public const string StoreHeldSamples = "bellwether_store_held_samples";

    /// <summary>Runs of records that agents must keep, since they are ahead of the clock and the hold is full.</summary>
    public const string StoreRunsAhead = "bellwether_store_runs_ahead_total";

    /// <summary>Bytes of the write-ahead log.</summary>
    public const string StoreWalBytes = "bellwether_store_wal_bytes";

    /// <summary>Samples in memory of partitions that are over.</summary>
    public const string StoreHistorySamples = "bellwether_store_history_samples";

    /// <summary>Chunk files that are served.</summary>
    public const string StoreChunkFiles = "bellwether_store_chunk_files";

    /// <summary>Bytes of the chunk files that are served.</summary>
    public const string StoreChunkFileBytes = "bellwether_store_chunk_file_bytes";

    /// <summary>Chunk files moved to quarantine since the store was opened.</summary>
    public const string StoreFilesQuarantined = "bellwether_store_files_quarantined_total";

    /// <summary>Reads that met a damaged chunk or index in a file that is served; the rest was answered.</summary>
    public const string StoreReadsDamaged = "bellwether_store_reads_damaged_total";

    /// <summary>Cuts of partitions into chunk files that failed and are tried again.</summary>
    public const string StoreCutsFailed = "bellwether_store_cuts_failed_total";

    /// <summary>Chunk files whose samples or slots became slots of a coarser resolution.</summary>
    public const string StoreFilesCoarsened = "bellwether_store_files_coarsened_total";

    /// <summary>Chunk files dropped on a full disk before they became coarser.</summary>
    public const string StoreFilesDroppedEarly = "bellwether_store_files_dropped_early_total";

    /// <summary>Bytes of the chunk files that are served, by resolution.</summary>
    public const string StoreResolutionBytes = "bellwether_store_resolution_bytes";

    /// <summary>Chunk files that were merged into others or written anew.</summary>
    public const string StoreFilesMerged = "bellwether_store_files_merged_total";

    /// <summary>Merges of chunk files that failed and are tried again.</summary>
    public const string StoreMergesFailed = "bellwether_store_merges_failed_total";

    /// <summary>Samples of new series that a limit kept out, by limit.</summary>
    public const string StoreSeriesRefused = "bellwether_store_series_refused_total";

    /// <summary>Series in memory of the jobs with the most.</summary>
    public const string StoreJobSeries = "bellwether_store_job_series";

    /// <summary>Counter: saves of the head.</summary>
    public const string StoreHeadSaves = "bellwether_store_head_saves_total";

    /// <summary>Counter: saves of the head that failed.</summary>
    public const string StoreHeadSavesFailed = "bellwether_store_head_saves_failed_total";

    /// <summary>Gauge: Unix seconds of the last save of the head.</summary>
    public const string StoreHeadSaved = "bellwether_store_head_save_last_success_timestamp_seconds";

    /// <summary>Gauge: bytes of the saved head.</summary>
    public const string StoreHeadSavedBytes = "bellwether_store_head_saved_bytes";

    /// <summary>Gauge: seconds that the last save of the head took.</summary>
    public const string StoreHeadSaveSeconds = "bellwether_store_head_save_last_duration_seconds";

    /// <summary>Gauge: series in memory by agent.</summary>
    public const string StoreAgentSeries = "bellwether_store_agent_series";

    /// <summary>Places of the write-ahead log that were damaged when it was opened.</summary>
    public const string StoreWalDamaged = "bellwether_store_wal_damaged_places_total";

    /// <summary>Groups of writes refused because the disk was full or failed.</summary>
    public const string StoreGroupsRefused = "bellwether_store_groups_refused_total";

    /// <summary>Bytes that the scrub has checked.</summary>
    public const string StoreScrubBytes = "bellwether_store_scrub_bytes_total";

    /// <summary>Damage that the scrub has found.</summary>
    public const string StoreScrubDamaged = "bellwether_store_scrub_damaged_chunks_total";

    /// <summary>When the scrub last came to the end.</summary>
    public const string StoreScrubCompleted = "bellwether_store_scrub_last_complete_timestamp_seconds";

    /// <summary>Unix seconds of the last maintenance that went through; 0: none yet.</summary>
    public const string StoreMaintained = "bellwether_store_maintenance_last_success_timestamp_seconds";

    /// <summary>Unix seconds of the last checkpoint; 0: none yet.</summary>
    public const string StoreCheckpointed = "bellwether_store_checkpoint_last_success_timestamp_seconds";
    /// <summary>Steps of rule groups evaluated.</summary>
    public const string EvaluateSteps = "bellwether_evaluate_steps_total";

    /// <summary>Steps of rule groups given up because they were too old to catch up.</summary>
    public const string EvaluateStepsMissed = "bellwether_evaluate_steps_missed_total";

    /// <summary>Rule evaluations.</summary>
    public const string EvaluateRules = "bellwether_evaluate_rules_total";

    /// <summary>Rule evaluations that failed.</summary>
    public const string EvaluateRuleFailures = "bellwether_evaluate_rule_failures_total";

    /// <summary>Samples that rules wrote, by outcome.</summary>
    public const string EvaluateSamples = "bellwether_evaluate_samples_total";

    /// <summary>Seconds spent evaluating rule groups.</summary>
    public const string EvaluateSeconds = "bellwether_evaluate_seconds_total";

    /// <summary>Requests of the query API, by endpoint and status.</summary>
    public const string ServeRequests = "bellwether_serve_requests_total";

    /// <summary>Samples that queries hold in memory together, beyond the first million of each; a native histogram counts as many as it takes, 16 bytes a sample.</summary>
    public const string ServeQuerySamples = "bellwether_serve_query_samples";

    /// <summary>Counter: aggregations and functions whose value a range query took from another that was asked at the same time.</summary>
    public const string ServeQueryPartsShared = "bellwether_serve_query_parts_shared_total";

    /// <summary>Remote write requests received, by outcome.</summary>
    public const string ReceiveRequests = "bellwether_receive_requests_total";

    /// <summary>Samples received by remote write, by outcome.</summary>
    public const string ReceiveSamples = "bellwether_receive_samples_total";

    /// <summary>Samples queued for an upstream.</summary>
    public const string ForwardSamplesQueued = "bellwether_forward_samples_queued_total";

    /// <summary>Samples that an upstream took.</summary>
    public const string ForwardSamplesSent = "bellwether_forward_samples_sent_total";

    /// <summary>Samples that will not be sent, by reason.</summary>
    public const string ForwardSamplesDropped = "bellwether_forward_samples_dropped_total";

    /// <summary>Exemplars that an upstream took.</summary>
    public const string ForwardExemplarsSent = "bellwether_forward_exemplars_sent_total";

    /// <summary>Exemplars that will not be sent, by reason.</summary>
    public const string ForwardExemplarsDropped = "bellwether_forward_exemplars_dropped_total";

    /// <summary>Requests to an upstream, by outcome.</summary>
    public const string ForwardRequests = "bellwether_forward_requests_total";

    /// <summary>Unix seconds of the last request that an upstream took; 0: none yet.</summary>
    public const string ForwardSent = "bellwether_forward_last_success_timestamp_seconds";

    /// <summary>Bytes of samples that wait for an upstream.</summary>
    public const string ForwardQueueBytes = "bellwether_forward_queue_bytes";

    /// <summary>Agent: whether the last reading of the configuration was taken; 1 or 0.</summary>
    public const string AgentReloadSuccessful = "bellwether_agent_config_last_reload_successful";

    /// <summary>Agent: Unix seconds when a configuration was taken last.</summary>
    public const string AgentReloadTime = "bellwether_agent_config_last_reload_success_timestamp_seconds";

    /// <summary>Agent: records put into the spool.</summary>
    public const string SpoolRecordsAppended = "bellwether_spool_records_appended_total";

    /// <summary>Agent: samples handed to the spool since it was made, by source. Survives restarts.</summary>
    public const string SpoolSamplesProduced = "bellwether_spool_samples_produced_total";

    /// <summary>Agent: segments that cannot be read because their key is missing; they are kept.</summary>
    public const string SpoolLocked = "bellwether_spool_segments_locked";

    /// <summary>Agent: samples that the spool holds and that are not acknowledged, by source.</summary>
    public const string SpoolSamplesBuffered = "bellwether_spool_samples_buffered";

    /// <summary>Agent: samples that the spool dropped, by source and reason.</summary>
    public const string SpoolSamplesDropped = "bellwether_spool_samples_dropped_total";

    /// <summary>Agent: unacknowledged bytes in the spool.</summary>
    public const string SpoolBytes = "bellwether_spool_bytes";

    /// <summary>Agent: unacknowledged records in the spool.</summary>
    public const string SpoolRecords = "bellwether_spool_records";

    /// <summary>Agent: damaged places found in the spool's files since the start.</summary>
    public const string SpoolDamaged = "bellwether_spool_damaged_places_total";

    /// <summary>Agent: disk errors that the spool met.</summary>
    public const string SpoolErrors = "bellwether_spool_errors_total";

    /// <summary>Bundles put into the outbox.</summary>
    public const string OutboxBundles = "bellwether_outbox_bundles_total";

    /// <summary>Bytes of bundles put into the outbox.</summary>
    public const string OutboxBytes = "bellwether_outbox_bytes_total";

    /// <summary>Bundles that could not be put into the outbox.</summary>
    public const string OutboxFailures = "bellwether_outbox_failures_total";

    /// <summary>Bundles imported, by outcome.</summary>
    public const string BundleImports = "bellwether_bundle_imports_total";

    /// <summary>Records that bundles brought.</summary>
    public const string BundleRecords = "bellwether_bundle_records_total";

    /// <summary>Re-evaluations after late data.</summary>
    public const string HealRuns = "bellwether_heal_runs_total";

    /// <summary>Rule steps that were evaluated again.</summary>
    public const string HealSteps = "bellwether_heal_steps_total";

    /// <summary>Rule results that late data changed, by what became of them: added, replaced, removed.</summary>
    public const string HealResults = "bellwether_heal_results_total";

    /// <summary>Rules that could not be evaluated again over a range; what was stored stands.</summary>
    public const string HealFailures = "bellwether_heal_failures_total";

    /// <summary>Seconds spent on re-evaluation.</summary>
    public const string HealSeconds = "bellwether_heal_seconds_total";

    /// <summary>Ranges that late data changed and that wait for re-evaluation.</summary>
    public const string DirtyRanges = "bellwether_late_dirty_ranges";
}
