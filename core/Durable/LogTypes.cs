namespace Bellwether.Core.Durable;

/// <summary>Limits of a <see cref="SegmentLog"/>.</summary>
public sealed record SegmentLogOptions
{
    /// <summary>Bytes of one frame's payload. Default 4 MiB; at most 64 MiB.</summary>
    public int PayloadBytesMax { get; init; } = 4 << 20;

    /// <summary>A file that has reached this is closed and the next begun. Default 16 MiB; at most 1 GiB.</summary>
    public long FileBytes { get; init; } = 16 << 20;

    /// <summary>Bytes of frames that wait for a <see cref="SegmentLog.Sync"/>. Default 16 MiB.</summary>
    public int PendingBytesMax { get; init; } = 16 << 20;

    /// <summary>Bytes of all files together. Default 1 TiB: the owner's own bound comes first.</summary>
    public long BytesMax { get; init; } = 1L << 40;

    /// <summary>Freed files that are kept to be overwritten: twice as fast as growing a new one, and a reserve on a full disk. Default 2.</summary>
    public int SpareFiles { get; init; } = 2;

    /// <summary>Damaged pieces that one opening copies into quarantine/ (each up to 1 MiB). Default 64.</summary>
    public int QuarantinePiecesMax { get; init; } = 64;
}

/// <summary>What became of an append.</summary>
public enum LogAppend
{
    /// <summary>It waits for the next <see cref="SegmentLog.Sync"/>.</summary>
    Appended,
    /// <summary>The payload is over <see cref="SegmentLogOptions.PayloadBytesMax"/>.</summary>
    TooLarge,
    /// <summary>Too much is waiting: sync first.</summary>
    PendingFull,
    /// <summary>The log is at <see cref="SegmentLogOptions.BytesMax"/>: free files first.</summary>
    LogFull,
}

/// <summary>What became of a sync.</summary>
public enum LogSync
{
    /// <summary>Everything appended is on the disk.</summary>
    Durable,
    /// <summary>The disk is full. What was appended still waits, in memory; sync again or discard it.</summary>
    DiskFull,
    /// <summary>The disk failed, twice, in two files. What was appended still waits, in memory; see <see cref="SegmentLog.LastError"/>.</summary>
    Failed,
}

/// <summary>What a reader found.</summary>
public enum LogRead
{
    /// <summary>A frame.</summary>
    Frame,
    /// <summary>Frames are missing that were there: <see cref="LogReader.Lost"/> says which. Reading goes on behind them.</summary>
    Lost,
    /// <summary>Nothing more is durable now; more may come.</summary>
    End,
}

/// <summary>Frames that were durable and cannot be read any more.</summary>
/// <param name="File">The file's number.</param>
/// <param name="Offset">Where the damage begins.</param>
/// <param name="Bytes">How long it is; 0 when not known.</param>
/// <param name="FirstSequence">The first missing frame.</param>
/// <param name="NextSequence">The first frame behind that is there; equal to <paramref name="FirstSequence"/> when no frame is known to be missing.</param>
/// <param name="Reason">In words.</param>
public readonly record struct LostRange(ulong File, long Offset, long Bytes, ulong FirstSequence, ulong NextSequence, string Reason);

/// <summary>What opening found. Opening succeeds on every content.</summary>
/// <param name="Files">Files with frames.</param>
/// <param name="Frames">Frames in them.</param>
/// <param name="TornBytes">Bytes of an unfinished write that were left out at the end: nothing that was ever durable.</param>
/// <param name="Lost">What was durable and is gone.</param>
/// <param name="IsNew">Whether there was no log.</param>
public sealed record LogOpenReport(int Files, long Frames, long TornBytes, IReadOnlyList<LostRange> Lost, bool IsNew);

/// <summary>One file of a log.</summary>
/// <param name="Number">Its number: its name.</param>
/// <param name="FirstSequence">Its first frame.</param>
/// <param name="NextSequence">One more than its last durable frame.</param>
/// <param name="Bytes">Its durable bytes.</param>
/// <param name="CreatedMs">When it was begun, Unix ms.</param>
public readonly record struct LogFileInfo(ulong Number, ulong FirstSequence, ulong NextSequence, long Bytes, long CreatedMs);

/// <summary>Called for each frame found at opening, in order. The payload is valid during the call.</summary>
public delegate void LogFrameVisitor(ushort kind, ulong sequence, ulong file, ReadOnlySpan<byte> payload);
