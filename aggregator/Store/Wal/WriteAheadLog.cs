using Bellwether.Core.Durable;
using Bellwether.Core.Platform;

namespace Bellwether.Store.Wal;

/// <summary>The store's write-ahead log: frames of <see cref="FrameKind"/> in a <see cref="SegmentLog"/>. Writer thread only.</summary>
internal sealed class WriteAheadLog : IDisposable
{
    // A record of the largest size and its key; a batch is cut far below it.
    private const int PayloadBytesMax = 8 << 20;

    // The writer commits after MaxGroupBytes; one run or batch more must still fit.
    private const int PendingBytesMax = 256 << 20;

    private readonly SegmentLog _log;

    public WriteAheadLog(IDisk disk, string folder, StoreOptions options, TimeProvider time, Random random, LogFrameVisitor replay, ulong from = 0)
    {
        var logOptions = new SegmentLogOptions { PayloadBytesMax = PayloadBytesMax, FileBytes = options.WalFileBytes, PendingBytesMax = PendingBytesMax };
        _log = SegmentLog.Open(disk, folder, logOptions, time, random, replay, from);
    }

    /// <summary>What opening found.</summary>
    public LogOpenReport Report => _log.Report;

    /// <summary>Bytes that wait for <see cref="Sync"/>.</summary>
    public int Pending => _log.PendingBytes;

    /// <summary>Durable bytes. Thread-safe.</summary>
    public long Bytes => _log.Bytes;

    /// <summary>Bytes of all frames appended since it was opened.</summary>
    public long AppendedBytes { get; private set; }

    /// <summary>The sequence that the next frame gets.</summary>
    public ulong Next => _log.NextSequence;

    /// <summary>Adds a frame and returns its sequence.</summary>
    public ulong Append(FrameKind kind, ReadOnlySpan<byte> payload)
    {
        LogAppend outcome = _log.Append((ushort)kind, payload, out ulong sequence);
        if (outcome != LogAppend.Appended)
            throw new InvalidOperationException($"the write-ahead log does not take a frame of {payload.Length} bytes: {outcome}");
        AppendedBytes += payload.Length;
        return sequence;
    }

    /// <summary>Makes all frames durable; throws <see cref="IOException"/> when it cannot now. They wait then, and it may be called again.</summary>
    public void Sync()
    {
        LogSync outcome = _log.Sync();
        if (outcome != LogSync.Durable)
            throw new IOException(outcome == LogSync.DiskFull ? "the disk is full" : "the disk failed: " + _log.LastError?.Message, _log.LastError);
    }

    /// <summary>Lets the next frame have at least this sequence.</summary>
    public void SkipTo(ulong sequence) => _log.SkipTo(sequence);

    /// <summary>Frees files of which nothing at or above a sequence is needed; returns how many.</summary>
    public int FreeBelow(ulong sequence) => _log.FreeBelow(sequence);

    /// <summary>Gives the room of freed files back that are kept to be written over.</summary>
    public void ReleaseSpares() => _log.ReleaseReserve();

    public void Dispose() => _log.Dispose();
}
