using Bellwether.Agent.Stream;
using Bellwether.Core.Codec;
using Bellwether.Core.Durable;

namespace Bellwether.Agent.Spool;

/// <summary>
/// Keeps encoded ticks on disk until the aggregator holds them: the collectors' side here, the session's side in <see cref="IStreamSpool"/>. The seam at which
/// another engine can stand (decision 0001). Thread-safe; all calls are synchronous and short.
/// </summary>
internal interface ISpool : IStreamSpool, IDisposable
{
    /// <summary>
    /// Encodes a completed tick into the live segment. It may be read and sent after the next <see cref="Sync"/>. Every completed tick of a source must come, in order.
    /// Never blocks on a full spool: the oldest segments give way, counted.
    /// </summary>
    SpoolAppend Append(SourceTick tick);

    /// <summary>Makes everything appended durable. Called once per round of ticks (group commit). When it is not <see cref="LogSync.Durable"/>, call again later.</summary>
    LogSync Sync();

    /// <summary>Replaces the list's content by the segments held, oldest first, acknowledged records included. Times of a segment without records are 0.</summary>
    void ListHeld(List<HeldSegment> into);

    /// <summary>How it stands.</summary>
    SpoolStatistics Statistics { get; }
}

/// <summary>What became of a tick.</summary>
internal enum SpoolAppend
{
    /// <summary>It waits for the next sync.</summary>
    Appended,
    /// <summary>It is over a limit of the format and was dropped, counted.</summary>
    OverLimit,
    /// <summary>The spool is full and refuses what is new: dropped, counted.</summary>
    Refused,
    /// <summary>The disk does not take anything and too much waits already: dropped, counted.</summary>
    DiskFailed,
}

/// <summary>Why samples were dropped. Each is a label value of the counter.</summary>
internal static class SpoolDropReasons
{
    /// <summary>The spool was at its size bound.</summary>
    public const string Size = "size";

    /// <summary>They were older than the age bound.</summary>
    public const string Age = "age";

    /// <summary>The disk could not take them.</summary>
    public const string Disk = "disk";

    /// <summary>They were on disk and cannot be read any more.</summary>
    public const string Damaged = "damaged";

    /// <summary>The spool was full and refuses what is new (<see cref="SpoolOptions.WhenFull"/>).</summary>
    public const string Refused = "refused";

    /// <summary>The tick was over a limit of the format.</summary>
    public const string OverLimit = "over_limit";
}

/// <summary>Samples that were dropped.</summary>
/// <param name="Source">The source's name; empty when it is not known.</param>
/// <param name="Reason">One of <see cref="SpoolDropReasons"/>.</param>
/// <param name="Samples">How many, since the spool was made.</param>
internal readonly record struct SpoolDrop(string Source, string Reason, long Samples);

/// <summary>One source's ledger: produced = acknowledged + buffered + dropped. Samples; times are Unix ms, 0: none.</summary>
/// <param name="Name">The source.</param>
/// <param name="Produced">Handed to the spool.</param>
/// <param name="Spooled">Of them put into records.</param>
/// <param name="Buffered">Held and not acknowledged.</param>
/// <param name="Dropped">By reason.</param>
internal sealed record SourceLedger(string Name, long Produced, long Spooled, SourceSpan Buffered, IReadOnlyList<KeyValuePair<string, DropCount>> Dropped);

/// <summary>How the run before this one ended.</summary>
/// <param name="Known">False: there was none, or its state is lost.</param>
/// <param name="Planned">It left its end marker.</param>
/// <param name="EndedMs">When, Unix ms; of an unplanned end the time of the newest record kept.</param>
internal readonly record struct PreviousEnd(bool Known, bool Planned, long EndedMs);

/// <summary>What the session reports of the spool. Thread-safe.</summary>
internal interface ISpoolLedger
{
    /// <summary>The spool's epoch.</summary>
    ulong Epoch { get; }

    /// <summary>How the run before ended.</summary>
    PreviousEnd Previous { get; }

    /// <summary>Samples dropped so far, all together: cheap to ask.</summary>
    long DroppedSamples { get; }

    /// <summary>Replaces the list's content by the ledger of all sources. What is in the segments of <paramref name="carried"/> does not count as buffered.</summary>
    void ListLedger(List<SourceLedger> into, IReadOnlySet<SegmentRef>? carried = null);

    /// <summary>What is buffered: segments numbered from <paramref name="liveFrom"/> on, and those before; without those of <paramref name="carried"/>.</summary>
    void ListBuffered(ulong liveFrom, List<SpooledClass> into, IReadOnlySet<SegmentRef>? carried = null);
}

/// <summary>What is held of one class of segments. Times are Unix ms, 0: none.</summary>
internal readonly record struct SpooledClass(string Name, long Segments, long Records, long Bytes, long FromMs, long ToMs);

/// <summary>A segment as the spool holds it. Times are Unix ms. Closed: all of it is on disk and can be read.</summary>
internal readonly record struct HeldSegment(SegmentRef Id, ulong Records, bool Closed, long Bytes, long OldestMs, long NewestMs);

/// <summary>How the spool stands.</summary>
/// <param name="Bytes">Unacknowledged payload bytes.</param>
/// <param name="Records">Unacknowledged records.</param>
/// <param name="Segments">Segments not yet freed.</param>
/// <param name="OldestMs">Time of the oldest unacknowledged record, Unix ms; 0: none. Exact at segment borders, interpolated within.</param>
/// <param name="DiskBytes">Bytes of the log's files.</param>
/// <param name="PendingBytes">Bytes that wait for a sync.</param>
/// <param name="Errors">Disk errors since opening.</param>
/// <param name="LastError">The last of them, or null.</param>
/// <param name="Dropped">What was dropped, by source and reason.</param>
/// <param name="LockedSegments">Segments that cannot be read because their key is missing; they are kept.</param>
/// <param name="LockedReason">Why, of the first of them.</param>
internal sealed record SpoolStatistics(
    long Bytes, long Records, int Segments, long OldestMs, long DiskBytes, long PendingBytes, long Errors, string? LastError, IReadOnlyList<SpoolDrop> Dropped, int LockedSegments, string? LockedReason);

/// <summary>What gives way when the spool is full.</summary>
public enum SpoolPolicy
{
    /// <summary>The oldest segments.</summary>
    DropOldest,
    /// <summary>What is new, until something was acknowledged.</summary>
    RefuseNew,
    /// <summary>The oldest segments of the lowest priority that has any.</summary>
    ByPriority,
}

/// <summary>Bounds of the spool.</summary>
internal sealed record SpoolOptions
{
    /// <summary>What gives way when it is full. Default: the oldest.</summary>
    public SpoolPolicy WhenFull { get; init; } = SpoolPolicy.DropOldest;

    /// <summary>
    /// Bytes on disk; above, the oldest segments are dropped. Default 1 GiB, at least four times <see cref="SegmentBytes"/>. Of it <see cref="ReserveBytes"/> are kept free for the files
    /// that wait to be used again and for the state.
    /// </summary>
    public long BytesMax { get; init; } = 1L << 30;

    /// <summary>What of <see cref="BytesMax"/> is not for records: three segments (two files in reserve, and the live one's tail) and 1 MiB, at most half.</summary>
    public long ReserveBytes => Math.Min(BytesMax / 2, (3L * SegmentBytes) + (1 << 20));

    /// <summary>Keys of encryption at rest; null: new segments are not encrypted.</summary>
    public SpoolKeys? Keys { get; init; }

    /// <summary>Records older than this are dropped with their segment. Default 7 days: what the aggregator heals.</summary>
    public TimeSpan AgeMax { get; init; } = TimeSpan.FromDays(7);

    /// <summary>A segment is closed when it has reached this. Default 1 MiB.</summary>
    public int SegmentBytes { get; init; } = 1 << 20;

    /// <summary>A segment is closed when it is this old. Default 5 minutes.</summary>
    public TimeSpan SegmentAge { get; init; } = TimeSpan.FromMinutes(5);

    /// <summary>Bytes that may wait in memory while the disk fails. Default 4 MiB.</summary>
    public int PendingBytesMax { get; init; } = 4 << 20;

    /// <summary>Sources that drops are counted for by name; the rest are counted under an empty name. Default 10,000.</summary>
    public int DropSourcesMax { get; init; } = 10_000;
}
