namespace Bellwether.Core.Exposition;

/// <summary>
/// Buffers for bodies, passed on from target to target: a target keeps one, with its last body, and takes another only while it is scraped. Bounded. Thread-safe.
/// </summary>
public sealed class BodyBuffers
{
    /// <summary>Bytes that may lie about unused.</summary>
    public const int SpareBytesMax = 2 << 20;

    private const int RoundBytes = 4096;
    private readonly Lock _gate = new();
    private readonly List<byte[]> _spare = [];
    private long _spareBytes;

    /// <summary>Whether a buffer is so much larger than what it holds that a smaller one is worth a copy.</summary>
    internal static bool IsWasteful(int size, int used) => size > used + (used / 4) + (2 * RoundBytes);

    /// <summary>A buffer of at least so many bytes, and of not many more; its content is anything.</summary>
    internal byte[] Take(int size)
    {
        lock (_gate)
        {
            for (int i = _spare.Count - 1; i >= 0; i--)
            {
                byte[] spare = _spare[i];
                if (spare.Length < size || IsWasteful(spare.Length, size))
                    continue;
                _spare[i] = _spare[^1];
                _spare.RemoveAt(_spare.Count - 1);
                _spareBytes -= spare.Length;
                return spare;
            }
        }
        return new byte[size >= int.MaxValue - RoundBytes ? size : (size + RoundBytes - 1) & ~(RoundBytes - 1)];
    }

    /// <summary>Gives one back; the caller must not touch it any more. The oldest make room.</summary>
    internal void Return(byte[] buffer)
    {
        if (buffer.Length is 0 or > SpareBytesMax / 2)
            return;
        lock (_gate)
        {
            _spare.Add(buffer);
            _spareBytes += buffer.Length;
            while (_spareBytes > SpareBytesMax)
            {
                _spareBytes -= _spare[0].Length;
                _spare.RemoveAt(0);
            }
        }
    }
}
