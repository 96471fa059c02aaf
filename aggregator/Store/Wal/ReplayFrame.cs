namespace Bellwether.Store.Wal;

/// <summary>Takes a frame during replay. The bytes are valid during the call.</summary>
/// <param name="file">Number of the log file that the frame lies in; grows.</param>
/// <param name="position">The frame's position in the log; grows.</param>
/// <param name="frame">Its bytes.</param>
internal delegate void ReplayFrame(long file, long position, ReadOnlySpan<byte> frame);
