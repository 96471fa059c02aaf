namespace Bellwether.Store;

/// <summary>Ticks of one source without a gap between them.</summary>
/// <param name="FirstMs">Time of the first, Unix ms.</param>
/// <param name="LastMs">Time of the last.</param>
/// <param name="Ticks">How many there are; fewer than due where ranges were merged to stay within bounds.</param>
/// <param name="IntervalMs">How often one was due; 0: irregular.</param>
public readonly record struct TickRange(long FirstMs, long LastMs, long Ticks, int IntervalMs)
{
    /// <summary>Ticks that were due in it.</summary>
    public long Due => IntervalMs <= 0 ? Ticks : ((LastMs - FirstMs + (IntervalMs / 2)) / IntervalMs) + 1;
}

/// <summary>What the store took of one source, exactly: counted with the record's own frame of the log, so a restart or a repetition never counts twice.</summary>
/// <param name="Name">The source; empty: all those beyond the limit, and those that retention has left behind.</param>
/// <param name="IntervalMs">How often a tick is due; 0: irregular.</param>
/// <param name="Records">Records (ticks) applied.</param>
/// <param name="Samples">Samples in them, stale markers included, as the agent counted them.</param>
/// <param name="SamplesRefused">Those of them that a limit or the retention kept out of the store.</param>
/// <param name="Ranges">When ticks are there, in order of time.</param>
public sealed record StoredSource(string Name, int IntervalMs, long Records, long Samples, long SamplesRefused, IReadOnlyList<TickRange> Ranges);

/// <summary>What the store took of one agent.</summary>
/// <param name="Agent">The agent.</param>
/// <param name="Records">Records applied.</param>
/// <param name="Samples">Samples in them.</param>
/// <param name="SamplesRefused">Those of them that a limit or the retention kept out.</param>
/// <param name="RecordsRefused">Records refused for good: they could not be decoded.</param>
/// <param name="Sources">By source, in order of name.</param>
public sealed record StoredLedger(string Agent, long Records, long Samples, long SamplesRefused, long RecordsRefused, IReadOnlyList<StoredSource> Sources)
{
    /// <summary>Time of its newest tick, Unix ms; 0: none.</summary>
    public long NewestMs => Sources.SelectMany(s => s.Ranges).Select(r => r.LastMs).DefaultIfEmpty(0).Max();
}

/// <summary>Segment numbers of one epoch that are here, wholly or in part.</summary>
/// <param name="Epoch">The epoch.</param>
/// <param name="Held">Ranges of numbers, in order; both ends are in.</param>
public sealed record EpochSegments(ulong Epoch, IReadOnlyList<(ulong First, ulong Last)> Held)
{
    /// <summary>Numbers of those whose end is not here yet.</summary>
    public IReadOnlyList<ulong> Open { get; init; } = [];
}

/// <summary>What is here of each agent. Thread-safe.</summary>
public interface ILedgerSource
{
    /// <summary>What was taken of one agent (null: of all), source by source, exactly.</summary>
    IReadOnlyList<StoredLedger> Ledgers(string? agent = null);

    /// <summary>The segments of an agent that are here, wholly or in part, by epoch.</summary>
    IReadOnlyList<EpochSegments> SegmentsOf(string agent);
}
