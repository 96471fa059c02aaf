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

    /// <summary>The tick was over a limit of the format.</summary>
    public const string OverLimit = "over_limit";
}

/// <summary>Samples that were dropped.</summary>
/// <param name="Source">The source's name; empty when it is not known.</param>
/// <param name="Reason">One of <see cref="SpoolDropReasons"/>.</param>
/// <param name="Samples">How many, since the spool was made.</param>
internal readonly record struct SpoolDrop(string Source, string Reason, long Samples);

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
internal sealed record SpoolStatistics(
    long Bytes, long Records, int Segments, long OldestMs, long DiskBytes, long PendingBytes, long Errors, string? LastError, IReadOnlyList<SpoolDrop> Dropped);

/// <summary>Bounds of the spool.</summary>
internal sealed record SpoolOptions
{
    /// <summary>Bytes on disk; above, the oldest segments are dropped. Default 1 GiB, at least four times <see cref="SegmentBytes"/>.</summary>
    public long BytesMax { get; init; } = 1L << 30;

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
