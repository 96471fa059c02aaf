using System.Security.Cryptography;

namespace Bellwether.Core.Platform;

/// <summary>
/// What was read from files that may be replaced while the program runs (certificates): read again when a file's time or length changed, looked at when asked for, at most
/// every <see cref="LookInterval"/>. New files that cannot be read leave the old value in force. Thread-safe.
/// </summary>
/// <typeparam name="T">What is read.</typeparam>
public sealed class WatchedFiles<T>
    where T : class
{
    /// <summary>How often the files are looked at, at most.</summary>
    public static readonly TimeSpan LookInterval = TimeSpan.FromSeconds(1);

    private readonly string[] _paths;
    private readonly Func<T> _read;
    private readonly TimeProvider _time;
    private readonly Action<string, string?> _changed;
    private readonly Lock _gate = new();
    private T _current;
    private (DateTime Written, long Length)[] _stamps;
    private long _lookedAt;

    /// <summary>Reads the files for the first time; throws what reading throws.</summary>
    /// <param name="paths">The files; empty names are left out.</param>
    /// <param name="read">Reads them.</param>
    /// <param name="time">The clock.</param>
    /// <param name="changed">Told of a change: the files, and why they cannot be taken (null: they are in force).</param>
    public WatchedFiles(IEnumerable<string> paths, Func<T> read, TimeProvider time, Action<string, string?> changed)
    {
        _paths = [.. paths.Where(p => p.Length > 0)];
        _read = read;
        _time = time;
        _changed = changed;
        _stamps = Stamps();
        _current = read();
        _lookedAt = time.GetTimestamp();
    }

    /// <summary>The value as the files have it now.</summary>
    public T Current
    {
        get
        {
            lock (_gate)
            {
                if (_time.GetElapsedTime(_lookedAt) >= LookInterval)
                    LookLocked();
                return _current;
            }
        }
    }

    private void LookLocked()
    {
        _lookedAt = _time.GetTimestamp();
        (DateTime, long)[] stamps = Stamps();
        if (stamps.AsSpan().SequenceEqual(_stamps))
            return;
        _stamps = stamps;
        string? error = null;
        try
        {
            _current = _read();
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or CryptographicException or FormatException)
        {
            // Half written or of two pairs: the next change is looked at again.
            error = e.Message;
        }
        _changed(string.Join(", ", _paths), error);
    }

    private (DateTime, long)[] Stamps() => Array.ConvertAll(_paths, static path => new FileInfo(path) is { Exists: true } info ? (info.LastWriteTimeUtc, info.Length) : default);
}
