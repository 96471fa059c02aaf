namespace Bellwether.Mutants;

/// <summary>The faults. Each is one that this kind of program has had somewhere, or that ours had (docs/simulation.md).</summary>
internal static class MutantList
{
    private const string Log = "core/Durable/SegmentLog.cs";
    private const string Recovery = "core/Durable/LogRecovery.cs";
    private const string Atomic = "core/Durable/AtomicFile.cs";
    private const string Spool = "agent/Spool/LogSpool.cs";
    private const string SpoolBooks = "agent/Spool/SpoolBooks.cs";
    private const string SpoolDrop = "agent/Spool/SpoolDrops.cs";
    private const string SpoolRecover = "agent/Spool/SpoolRecovery.cs";
    private const string Records = "aggregator/Store/Records/RecordApplier.cs";
    private const string Maintenance = "aggregator/Store/StoreEngine.Maintain.cs";
    private const string Cut = "aggregator/Store/StoreEngine.Cut.cs";
    private const string Stream = "agent/Stream/StreamSession.cs";
    private const string Session = "aggregator/Ingest/IngestSession.cs";

    /// <summary>All of them.</summary>
    public static IReadOnlyList<Mutant> All { get; } = [.. OfTheLog(), .. OfTheSpool(), .. OfTheStore(), .. OfTheStream(), .. OfTheDoors()];

    private static IEnumerable<Mutant> OfTheLog() =>
    [
        new("log-skips-the-sync", "the durable log says durable without a sync", Log, "        _handle.Sync();\n", "", Catcher.Simulation()),
        new("log-takes-a-failed-sync-for-done", "a sync that fails counts as one that worked", Log, "        _handle.Sync();\n",
            "        try\n        {\n            _handle.Sync();\n        }\n        catch (IOException error)\n        {\n            LastError = error;\n        }\n", Catcher.Simulation()),
        new("log-writes-on-after-a-failed-sync", "after a failed write or sync the same file is written again", Log, "                Abandon();\n", "",
            Catcher.Test("Core", "SegmentLogTests.A_failed_sync_moves_what_waits_to_a_new_file_and_never_writes_the_old_one_again")),
        new("log-skips-the-folder-sync", "the name of a new file is never made durable", Log, "            _disk.SyncFolder(_folder);\n            _folderDirty = false;\n        }\n", "            _folderDirty = false;\n        }\n", Catcher.Simulation()),
        new("log-writes-before-the-name-is-durable", "a file that is written over gets its frames before its new name is durable", Log, "            _disk.SyncFolder(_folder);\n            _folderDirty = false;\n            _handle", "            _handle",
            Catcher.Test("Core", "SegmentLogTests.What_a_power_cut_took_never_comes_back_behind_what_was_written_later")),
        new("log-skips-the-checksum", "a frame counts as whole without its checksum", "core/Durable/LogFormat.cs",
            "BinaryPrimitives.ReadUInt32LittleEndian(frame[20..]) == FrameCrc(frame, seed, offset, length);", "frame.Length >= length;", Catcher.Simulation()),
        new("log-forgets-where-a-file-ended", "frames of a failed sync count, although their file was given up before them", Recovery, "                return known.PreviousEnd;\n", "                return null;\n",
            Catcher.Test("Core", "SegmentLogTests.What_was_given_up_after_failed_syncs_never_comes_back")),
        new("log-opens-without-a-sync", "frames that stand in the page cache only are taken for durable after a kill", Recovery, "            opened.Sync();\n", "",
            Catcher.Test("Core", "SegmentLogTests.What_a_failed_sync_left_in_the_page_cache_is_durable_once_it_is_replayed")),
        new("log-believes-the-page-cache", "frames of a sync that failed before a kill are synced again, which says nothing of them", Recovery, "            file.Write(at, piece.AsSpan(0, bytes));\n", "",
            Catcher.Test("Core", "SegmentLogTests.What_a_failed_sync_left_in_the_page_cache_is_durable_once_it_is_replayed")),
        new("log-reads-once", "a read that fails for a moment while the log is opened costs what stands behind it", Recovery, "private const int ReadAttempts = 3;", "private const int ReadAttempts = 1;",
            Catcher.Test("Core", "SegmentLogTests.A_read_that_fails_once_while_the_log_is_opened_costs_nothing")),
        new("log-replays-all-at-once", "opening takes as much memory as the file has bytes", "core/Durable/FrameScanner.cs", "private byte[] _buffer = new byte[ChunkBytes];", "private byte[] _buffer = new byte[Math.Max(ChunkBytes, file.Length)];",
            Catcher.Test("Core", "SegmentLogTests.Opening_takes_the_memory_of_a_piece_and_not_of_the_log")),
        new("small-file-is-not-synced", "a small file is put in place before its bytes are durable", Atomic, "            file.Sync();\n", "", Catcher.Simulation()),
        new("small-file-without-a-checksum", "a torn small file is taken for whole", Atomic,
            "file.Read(HeaderBytes, bytes) < length || Crc32C.Compute(bytes) != BinaryPrimitives.ReadUInt32LittleEndian(header[12..])", "file.Read(HeaderBytes, bytes) < length",
            Catcher.Test("Core", "AtomicFileTests.Damage_absence_and_excess_are_told_apart")),
        new("disk-syncs-as-the-platform-does", "the platform's own flush, which says nothing of a failure", "core/Platform/OsDisk.cs",
            "            while ((OperatingSystem.IsLinux() ? Libc.Fdatasync(handle) : Libc.Fsync(handle)) != 0)\n", "            RandomAccess.FlushToDisk(handle);\n            while (handle.IsInvalid)\n",
            Catcher.Test("Core", "OsDiskTests.A_sync_that_the_system_refuses_is_an_error")),
    ];

    private static IEnumerable<Mutant> OfTheSpool() =>
    [
        new("spool-frees-before-it-counts", "a dropped segment's file goes before its count is durable", SpoolBooks, "        if (_stateDirty)\n            return 0;\n", "",
            Catcher.Test("Agent", "LogSpoolTests.What_gives_way_keeps_its_file_until_its_count_is_written_down")),
        new("spool-drops-without-counting", "what gives way is not counted", SpoolDrop, "        CountRest(oldest, Remember(oldest, reason) ? reason : SpoolDropReasons.Damaged);\n", "        Remember(oldest, reason);\n", Catcher.Simulation()),
        new("spool-keeps-no-room", "on a full disk the count of what gives way finds no place", "agent/Spool/SpoolStateFile.cs", "            WriteWithoutRoom(content, makeRoom);\n", "            throw;\n",
            Catcher.Test("Agent", "LogSpoolTests.On_a_full_disk_the_room_that_is_kept_takes_the_count_of_what_gives_way")),
        new("spool-codes-against-what-it-refused", "the tick behind one that was refused is coded against it", SpoolDrop, "        writer.CloseLive(); // a tick is coded against the one before: the next cannot build on this one\n", "",
            Catcher.Test("Agent", "SpoolLedgerTests.What_follows_a_refused_tick_has_its_right_values")),
        new("spool-forgets-what-it-gave-up", "what became of a segment is forgotten while its frames still stand in the log", SpoolBooks, "            if (id.Number + 8 < keepFrom && !files.Any(", "            if (id.Number + 8 < keepFrom || !files.Any(",
            Catcher.Test("Agent", "LogSpoolTests.A_dropped_segment_in_the_newest_file_does_not_come_back")),
        new("spool-takes-up-what-it-gave-up", "what a failed sync wrote and was given up comes back behind the end of its segment", "agent/Spool/SpoolReplay.cs", "        if (sequence >= _doneAt)\n            return;\n", "",
            Catcher.Test("Agent", "LogSpoolTests.A_record_that_was_given_up_after_a_failed_sync_does_not_come_back_behind_a_segment_that_is_done_with")),
        new("spool-forgets-what-was-acknowledged", "how many samples are acknowledged is not written down", "agent/Spool/SpoolLedger.cs", "json.WriteNumber(\"acknowledged\", account.Acknowledged);", "json.WriteNumber(\"acknowledged\", 0);", Catcher.Simulation()),
        new("spool-frees-what-is-still-written", "a segment that is not closed is freed as soon as all of it is held", Spool,
            "if (!complete || !found.Closed || found.Waiting > 0 || found.Acknowledged < found.Records)", "if (found.Acknowledged < found.Records)", Catcher.Simulation()),
        new("spool-keeps-its-epoch", "a lost log does not begin a new epoch", SpoolRecover, "            state.Epoch = Math.Max(state.Epoch, replay.EpochMax) + 1;\n", "            state.Epoch = Math.Max(state.Epoch, replay.EpochMax);\n",
            Catcher.Test("Agent", "LogSpoolOpeningTests.A_lost_folder_grows_the_epoch")),
        new("spool-takes-arrived-for-lost", "what was dropped after it had arrived stays counted as lost", SpoolDrop, "is not { } dropped)\n            return;\n        ulong arrived", "is not { Rest.Count: 0 } dropped)\n            return;\n        ulong arrived", Catcher.Simulation()),
        new("spool-forgets-what-a-file-lost", "what could not be read when the spool was opened is not counted", SpoolRecover, "        CountMissing(replay, state);\n", "",
            Catcher.Test("Agent", "LogSpoolOpeningTests.What_cannot_be_read_when_the_spool_is_opened_is_counted_once")),
        new("spool-names-segments-again", "a restart gives the number of a segment that was there before", SpoolRecover, "        state.NextNumber = Math.Max(state.NextNumber, replay.NumberMax + 1);\n", "        state.NextNumber = 1;\n",
            Catcher.Test("Agent", "LogSpoolOpeningTests.Numbers_that_are_skipped_stay_skipped_after_a_restart")),
    ];

    private static IEnumerable<Mutant> OfTheStore() =>
    [
        new("store-answers-before-the-sync", "records are acknowledged once they are applied, not once they are durable", "aggregator/Store/StoreEngine.cs", "        _wal.Sync();\n        _records.Committed();\n", "        _records.Committed();\n", Catcher.Simulation()),
        new("store-tells-what-is-not-durable", "a hello is answered with what is applied, durable or not", Records, "return new SegmentProgress(key, open.Durable, open.DurablyComplete, open.IsResumable);",
            "return new SegmentProgress(key, open.Applied, open.Complete, open.IsResumable);", Catcher.Test("Aggregator", "StoreCrashTests.A_crash_at_any_change_of_the_log_leaves_what_was_committed")),
        new("store-takes-a-failed-commit-for-done", "records of a group that could not be written are acknowledged", "aggregator/Store/GroupCommit.cs",
            "return new StoreUnavailableException(\"the store could not write to its disk: \" + e.Message, e);", "return null;", Catcher.Test("Aggregator", "StoreEngineTests.A_full_disk_refuses_new_data_serves_the_old_and_takes_up_again")),
        new("checkpoint-before-the-data", "the checkpoint says that samples stand in files which are written behind it", Cut, "            cut.Series = due.Count;\n", "            cut.Series = due.Count;\n            _checkpoints.Write(cut.Checkpoint, cut.State);\n", Catcher.Simulation()),
        new("log-goes-before-the-checkpoint", "the log is freed before the checkpoint that makes it needless is durable", Cut, "            _checkpoints.Write(cut.Checkpoint, cut.State);\n",
            "            _wal.FreeBelow(_ledger.FirstNeeded(cut.BoundaryMs, cut.Checkpoint.Next));\n            _checkpoints.Write(cut.Checkpoint, cut.State);\n", Catcher.Simulation()),
        new("cut-drops-what-came-meanwhile", "samples that come while their partition is written leave memory with it", Cut, "series.DropBefore(cut.BoundaryMs, _head.Pools, cut.Touched);", "series.DropBefore(cut.BoundaryMs, _head.Pools);",
            Catcher.Test("Aggregator", "StoreCutTests.Whatever_comes_between_the_parts_of_a_cut_or_a_save_stands_in_the_store_once_also_after_crashes")),
        new("checkpoint-without-the-keys", "which segments are complete is not in the checkpoint", Records, "            completed.Write(into);\n", "            new CompletedSegments().Write(into);\n", Catcher.Simulation()),
        new("half-a-segment-behind-a-freed-log", "a segment goes on although the log with its beginning was freed", Records, "if (open.Context >= sequence)", "if (open.Context >= sequence || sequence > 0)", Catcher.Simulation()),
        new("frames-that-no-opening-needs-count", "a segment goes on from frames that the next opening may not be given", "aggregator/Store/StoreEngine.Load.cs", "if (sequence < _replayFrom)", "if (sequence < _replayFrom && _replayedFrames < 0)",
            Catcher.Test("Aggregator", "SavedHeadSegmentTests.A_segment_whose_beginning_is_not_needed_has_to_begin_anew_also_where_that_lies_in_a_file_that_is_read")),
        new("held-samples-are-not-logged-again", "samples that waited for their time are taken from the list and stand nowhere durable", Maintenance, "if (outcome is AppendOutcome.Stored or AppendOutcome.Conflict)", "if (outcome is AppendOutcome.Conflict)", Catcher.Simulation()),
        new("saved-head-is-not-checked", "a saved head counts as whole without its checksums", "aggregator/Store/Wal/SavedHeadFile.cs", " || Check(_pieces, piece) != BinaryPrimitives.ReadUInt32LittleEndian(header[4..]))", ")",
            Catcher.Test("Aggregator", "SavedHeadTests.Damage_at_any_byte_of_it_costs_nothing")),
        new("saved-head-lets-the-log-go", "the log is not kept for what came back with a saved head", "aggregator/Store/Wal/HeadLoader.cs", "        ledger.Read(ref reader);\n", "",
            Catcher.Test("Aggregator", "SavedHeadTests.The_log_is_kept_for_what_came_back_with_it_so_that_it_may_be_lost_at_any_time")),
        new("saved-head-hides-from-the-tap", "what a saved head holds is not told to a tap that lacks it", "aggregator/Store/StoreEngine.SaveHead.cs", "_tap.HeldTo < saved.Told)", "_tap.HeldTo > saved.Told)",
            Catcher.Test("Aggregator", "SavedHeadChoiceTests.A_tap_that_lacks_some_of_it_is_told_from_the_log")),
        new("saved-head-forgets-segments", "segments that were complete at the checkpoint behind a saved head are not replayed", "aggregator/Store/StoreEngine.Load.cs", "isLater: _checkpoint.Next > _savedNext", "isLater: false",
            Catcher.Test("Aggregator", "SavedHeadSegmentTests.A_segment_that_was_open_when_the_head_was_saved_and_complete_at_the_checkpoint_behind_it_is_replayed")),
        new("checkpoint-of-the-same-frame-first", "held samples of a saved head are taken from a checkpoint of the same frame", "aggregator/Store/StoreEngine.Load.cs", "saved.Next >= _checkpoint.Next", "saved.Next > _checkpoint.Next",
            Catcher.Test("Aggregator", "SavedHeadChoiceTests.What_is_ahead_of_a_clock_that_went_back_since_the_checkpoint_is_held_by_a_head_of_the_same_frame")),
        new("saved-head-stays-stale", "a saved head that an opening went past is read beside a later checkpoint", "aggregator/Store/StoreEngine.Load.cs", "_isHeadStale = !isSaved;", "_isHeadStale = false;",
            Catcher.Test("Aggregator", "SavedHeadChoiceTests.One_that_an_opening_went_past_is_not_read_beside_a_later_checkpoint")),
        new("older-checkpoint-beside-a-saved-head", "a saved head is read beside the later checkpoint of a version that does not know it", "aggregator/Store/StoreEngine.SaveHead.cs", "_checkpoint.Number > saved.CheckpointNumber", "_checkpoint.Number < saved.CheckpointNumber",
            Catcher.Test("Aggregator", "SavedHeadChoiceTests.One_that_an_older_version_went_past_is_not_read_beside_its_checkpoint")),
        new("replay-takes-what-was-refused", "what was refused of a record comes back with the log", "aggregator/Store/Records/RecordApplier.Replay.cs", "someRefused && hasRefusals ? _refusals : null", "null",
            Catcher.Test("Aggregator", "StoreReplayDecisionTests.What_was_refused_as_too_old_does_not_come_back_with_the_log")),
        new("replay-asks-limits-again", "what was acknowledged is lost when a limit is lowered before a start", "aggregator/Store/Head/HeadWriter.cs", "error = IsDecided ? null : Check(labels, agent);", "error = Check(labels, agent);",
            Catcher.Test("Aggregator", "StoreReplayDecisionTests.What_a_limit_kept_out_does_not_come_back_when_it_is_raised_and_what_it_let_in_stays_when_it_is_lowered")),
        new("chunk-file-is-not-synced", "a chunk file is put in place before its bytes are durable", "aggregator/Store/Blocks/BlockWriter.cs", "        _file.Sync();\n", "", Catcher.Simulation()),
        new("merge-deletes-first", "chunk files are deleted before the one that they are merged into is durable", "aggregator/Store/StoreEngine.Merge.cs", "            write(sources, writer, cancellation);\n", "            write(sources, writer, cancellation);\n            _blocks.Delete(sources);\n",
            Catcher.Test("Aggregator", "StoreRewriteTests.A_crash_at_any_change_of_a_merge_leaves_everything_once")),
        new("retention-takes-what-is-young", "retention goes by the oldest sample of a file", Maintenance, "f.Footer.MaxMs < oldest)", "f.Footer.MinMs < oldest)", Catcher.Test("Aggregator", "StoreEngineTests.Retention_keeps_a_file_until_all_of_it_is_old")),
        new("slots-are-open", "samples are taken for a time that became slots", "aggregator/Store/Head/HeadWriter.cs", " || timeMs <= ClosedMs ? AppendOutcome.TooOld", " ? AppendOutcome.TooOld", Catcher.Test("Aggregator", "CoarseStoreTests.What_comes_for_a_time_of_slots_is_refused_and_counted_and_still_is_when_raw_retention_is_made_longer")),
        new("slots-before-memory", "samples become slots while memory holds some as old", "aggregator/Store/StoreEngine.Coarsen.cs", "if (_head.OldestMs <= timeMs)", "if (_head.OldestMs < long.MinValue)", Catcher.Test("Aggregator", "CoarseStoreTests.Nothing_becomes_slots_while_memory_holds_something_as_old")),
        new("cut-slots-count", "a window that cuts a slot is answered as if it held all of it", "aggregator/Evaluate/PromQl/Evaluation/Evaluator.Coarse.cs", "at >= 0 && edge < slots[at].LastMs;", "at < -1 && edge < slots[at].LastMs;", Catcher.Test("Aggregator", "CoarseStoreTests.Steps_that_slots_cannot_answer_are_left_out_for_all_series_and_told")),
        new("no-bound-on-the-future", "a sample of any time to come is stored", "aggregator/Store/Head/HeadWriter.cs", "timeMs > NowMs + _futureMs ? AppendOutcome.TooNew : ", "", Catcher.Test("Aggregator", "StoreEngineTests.Each_refusal_has_its_outcome_and_says_why")),
    ];

    private static IEnumerable<Mutant> OfTheStream() =>
    [
        new("segment-whose-acknowledgement-was-lost", "a segment that is complete there is not told again, and stays in the spool for ever", Stream, "if (!held.Complete || !sending.LastSent || sending.UnderWay.Count > 0)", "if (!held.Complete)", Catcher.Simulation()),
        new("watermark-before-the-records", "the agent promises a time before the records of it are sent", Stream, "if (liveIsOut && nowMs >= _nextWatermarkMs)", "if (nowMs >= _nextWatermarkMs)",
            Catcher.Test("Agent", "StreamSessionTests.No_watermark_goes_before_the_live_records_it_speaks_of")),
        new("watermark-before-it-is-durable", "a watermark passes before the runs in front of it are durable", Session, "next.After <= _applied", "next.After <= _handed", Catcher.Test("Aggregator", "IngestSessionTests.A_watermark_waits_for_the_runs_before_it")),
        new("segment-is-not-asked-for-again", "a segment that does not join what is held is not asked for from its beginning", Session, "            effects.Send.Add(Resend(handed.Run.Segment));\n", "            Resend(handed.Run.Segment);\n", Catcher.Simulation()),
    ];

    private static IEnumerable<Mutant> OfTheDoors() =>
    [
        new("another-agents-name", "a hello may name another agent than its credential", "aggregator/Ingest/HelloRules.cs", "if (identity != \"*\" && identity != agentId)", "if (identity.Length == 0)",
            Catcher.Test("Aggregator", "IngestSessionTests.A_hello_that_says_another_name_than_its_credential_is_refused")),
        new("length-is-believed", "a block is given as much memory as it says it needs", "core/Codec/Snappy.cs", "if (declared > (uint)lengthMax || declared > (ulong)(block.Length - header) * RatioMax)", "if (declared > int.MaxValue)", Catcher.Test("Core", "SnappyTests.A_lying_length_costs_no_memory")),
    ];
}
