namespace Bellwether.Store.Wal;

/// <summary>Takes a frame during replay. The bytes are valid during the call.</summary>
/// <param name="file">Number of the log file that the frame lies in; grows.</param>
/// <param name="position">The frame's position in the log; grows.</param>
/// <param name="frame">Its bytes.</param>
internal delegate void ReplayFrame(long file, long position, ReadOnlySpan<byte> frame);

/// <summary>What the store asks of its durable log. Not thread-safe; any <see cref="IOException"/> of a sync is fatal.</summary>
internal interface IWriteAheadLog : IDisposable
{
    /// <summary>Hands all whole frames over, oldest first. Called once, before the first append.</summary>
    void Replay(ReplayFrame take);

    /// <summary>Adds a frame, durable after the next <see cref="Sync"/>; returns the number of the file that it lies in.</summary>
    long Append(ReadOnlySpan<byte> frame);

    /// <summary>Position behind the last frame.</summary>
    long Position { get; }

    /// <summary>Bytes added since the last <see cref="Sync"/>.</summary>
    long Pending { get; }

    /// <summary>Bytes of all files.</summary>
    long Bytes { get; }

    /// <summary>
    /// Makes all frames durable. Throws <see cref="IOException"/>; after a full disk it may be called again, after a failed sync <see cref="IsFailed"/> is set.
    /// </summary>
    void Sync();

    /// <summary>Whether the log can never be written again by this process.</summary>
    bool IsFailed { get; }

    /// <summary>Files that lie before a number may go.</summary>
    void DropBefore(long file);
}
