namespace Bellwether.Agent.Stream;

/// <summary>
/// How many payload bytes a second may go out: a token bucket of one second that outlives sessions. A batch may overdraw it, and the next one waits until that is paid. The backlog
/// leaves a quarter of the bucket to what is live. Not thread-safe: one session at a time.
/// </summary>
internal sealed class BandwidthLimit(long bytesPerSecond)
{
    private double _tokens = bytesPerSecond;
    private long _filledMs = long.MinValue;

    /// <summary>The limit.</summary>
    public long BytesPerSecond => bytesPerSecond;

    /// <summary>The largest batch that goes out under it: what is live never waits longer than a quarter of a second for one of the backlog.</summary>
    public int BatchBytesMax => (int)Math.Clamp(bytesPerSecond / 4, 1024, int.MaxValue);

    /// <summary>Batches that had to wait.</summary>
    public long Waits { get; private set; }

    /// <summary>How long the next batch has to wait, ms; 0: not at all.</summary>
    public long WaitMs(long nowMs, bool live)
    {
        Fill(nowMs);
        double floor = live ? 0 : bytesPerSecond / 4.0;
        if (_tokens > floor)
            return 0;
        Waits++;
        return Math.Max(1, (long)Math.Ceiling((floor - _tokens + 1) * 1000 / bytesPerSecond));
    }

    /// <summary>A batch went out.</summary>
    public void Spend(long bytes) => _tokens -= bytes;

    private void Fill(long nowMs)
    {
        // A clock that was set counts as no time gone by, or as one second.
        long gone = _filledMs == long.MinValue ? 0 : Math.Clamp(nowMs - _filledMs, 0, 1_000);
        _filledMs = nowMs;
        _tokens = Math.Min(bytesPerSecond, _tokens + (gone * (double)bytesPerSecond / 1000));
    }
}

/// <summary>
/// How much of the window the backlog may fill: three quarters where acknowledgements come fast, down to one batch where the way is slow, so that what is live never stands behind
/// more than that. Not thread-safe.
/// </summary>
internal sealed class BacklogShare
{
    /// <summary>An acknowledgement that takes longer says that the way, or the aggregator, is slow.</summary>
    public const long SlowMs = 400;

    private long _max = long.MaxValue;
    private long _min;
    private long _halvedMs = -SlowMs;

    /// <summary>Bytes of the backlog that may be under way.</summary>
    public long Bytes { get; private set; } = long.MaxValue;

    /// <summary>Begins a session's share.</summary>
    public void Start(int windowBytes, int batchBytes)
    {
        _max = Math.Max(1, windowBytes / 4 * 3L);
        _min = Math.Min(batchBytes, _max);
        Bytes = _max;
    }

    /// <summary>A batch of the backlog was acknowledged.</summary>
    public void Acknowledged(long sentMs, long nowMs, int bytes)
    {
        long took = nowMs - sentMs;
        if (took < SlowMs)
        {
            Bytes = Math.Min(_max, Bytes + (bytes / 2));
        }
        else if (nowMs - _halvedMs >= SlowMs || nowMs < _halvedMs)
        {
            _halvedMs = nowMs;
            Bytes = Math.Max(_min, Bytes / 2);
        }
    }
}
