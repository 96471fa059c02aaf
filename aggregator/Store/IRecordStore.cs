namespace Bellwether.Store;

/// <summary>Names one segment of one agent: the first part of a record's key (docs/ARCHITECTURE.md, idea 3). The agent is the authenticated identity, never what a message claims.</summary>
/// <param name="Agent">The agent's id.</param>
/// <param name="Epoch">Grows when the agent's spool was lost or recreated.</param>
/// <param name="Number">Grows within an epoch.</param>
/// <param name="Nonce">Random, so that a cloned agent is not taken for its twin.</param>
public readonly record struct SegmentKey(string Agent, ulong Epoch, ulong Number, uint Nonce);

/// <summary>What is durable of a segment: its records 0 .. <paramref name="Records"/> - 1.</summary>
/// <param name="Segment">The segment.</param>
/// <param name="Records">How many records are durable (applied or refused for good).</param>
/// <param name="Complete">The segment was closed by the agent and is wholly durable.</param>
/// <param name="Resumable">The decoder's state stands at <paramref name="Records"/>, so that sending may go on there; else it must start at record 0.</param>
public readonly record struct SegmentProgress(SegmentKey Segment, ulong Records, bool Complete, bool Resumable);

/// <summary>Whole records of one segment, as encoded by the agent.</summary>
/// <param name="Segment">The segment.</param>
/// <param name="FirstRecord">Index in the segment of the first of <paramref name="Records"/>. Records that are durable already only rebuild the decoder.</param>
/// <param name="Records">The payloads in order. Valid until the returned task completes. May be empty when <paramref name="Last"/>.</param>
/// <param name="Last">No record follows the last of these in the segment.</param>
/// <param name="SenderAheadMs">How far the sender's own clock is ahead of ours now, ms; <see cref="double.MaxValue"/>: not known.</param>
public sealed record RecordRun(SegmentKey Segment, ulong FirstRecord, IReadOnlyList<ReadOnlyMemory<byte>> Records, bool Last, double SenderAheadMs = double.MaxValue);

/// <summary>What became of a run.</summary>
public enum RunOutcome
{
    /// <summary>Applied and durable up to <see cref="RunResult.Progress"/>; single records may have been refused.</summary>
    Applied,
    /// <summary>The run does not join what is held, or the decoder is gone: the segment must be sent again from record 0. Nothing was applied.</summary>
    NeedsStart,
    /// <summary>The store is full or its disk failed: nothing was applied; it may be sent again later.</summary>
    Unavailable,
    /// <summary>
    /// What comes after <see cref="RunResult.Progress"/> is too far ahead of the store's clock, and as many such samples as may be are held already: it may be sent again later.
    /// What comes before was applied.
    /// </summary>
    Ahead,
}

/// <summary>A record that can never be applied (corrupt, over a limit). It counts as held, so that poison never blocks.</summary>
/// <param name="Record">Its index in the segment.</param>
/// <param name="Reason">In words, without the payload.</param>
public readonly record struct RefusedRecord(ulong Record, string Reason);

/// <summary>One applied tick, for the fleet's lag and coverage.</summary>
/// <param name="Source">The source's name.</param>
/// <param name="IntervalMs">How often a tick is due; 0: irregular.</param>
/// <param name="TimestampMs">The tick's time, Unix ms.</param>
/// <param name="Samples">Samples stored of it (stale markers included).</param>
public readonly record struct AppliedTick(string Source, int IntervalMs, long TimestampMs, int Samples);

/// <summary>What became of a run, in figures.</summary>
/// <param name="Outcome">See <see cref="RunOutcome"/>.</param>
/// <param name="Progress">What is durable of the segment now.</param>
/// <param name="Refused">Records refused for good; empty mostly.</param>
/// <param name="Ticks">Ticks applied now (not those that were durable before).</param>
/// <param name="Error">Why, when the outcome is not <see cref="RunOutcome.Applied"/>.</param>
public sealed record RunResult(RunOutcome Outcome, SegmentProgress Progress, IReadOnlyList<RefusedRecord> Refused, IReadOnlyList<AppliedTick> Ticks, string? Error = null);

/// <summary>The store as the agents' streams see it: exactly-once apply of records. Thread-safe; runs of one segment must be handed over in order.</summary>
public interface IRecordStore
{
    /// <summary>Names this store; exactly-once holds per store.</summary>
    string StoreId { get; }

    /// <summary>What is durable of a segment; zero records, not complete and resumable when it is unknown.</summary>
    SegmentProgress HeldOf(SegmentKey segment);

    /// <summary>
    /// Applies a run and completes when its effect is durable (fsynced), so that it may be acknowledged. Group commit happens inside: many runs may be under way.
    /// Expected refusals are values; only cancellation throws.
    /// </summary>
    ValueTask<RunResult> ApplyAsync(RecordRun run, CancellationToken cancellation);
}
