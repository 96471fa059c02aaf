namespace Bellwether.Core.Platform;

/// <summary>
/// The clock by which data are too old and may be deleted. It follows the wall clock, but goes forward at most <see cref="Pace"/> times as fast as time passes: a clock that is
/// set years ahead by mistake (a wrong time server, an empty battery at boot) would delete everything at once; so there are days to see it and set it right. Not thread-safe.
/// </summary>
public sealed class AgeClock
{
    /// <summary>How many times faster than time it may go forward. A day that the program was down, or the clock was behind, is made up for in an hour.</summary>
    public const int Pace = 24;

    private readonly TimeProvider _time;
    private long _believedTicks;
    private long _askedAt;

    /// <summary>Begins at the newest time known to be true.</summary>
    /// <param name="time">The wall clock and the passing of time.</param>
    /// <param name="startMs">Unix ms of the newest data held; <see cref="long.MaxValue"/>: there are none, the wall clock is believed.</param>
    public AgeClock(TimeProvider time, long startMs)
    {
        _time = time;
        _believedTicks = Math.Min(WallTicks(), Ticks(startMs));
        _askedAt = time.GetTimestamp();
    }

    /// <summary>Unix ms; never later than the wall clock.</summary>
    public long NowMs
    {
        get
        {
            long at = _time.GetTimestamp();
            long reach = _believedTicks + (_time.GetElapsedTime(_askedAt, at).Ticks * Pace);
            _askedAt = at;
            _believedTicks = Math.Min(WallTicks(), reach);
            return (_believedTicks - DateTimeOffset.UnixEpoch.Ticks) / TimeSpan.TicksPerMillisecond;
        }
    }

    /// <summary>Data of a time were found: it is that late at least, if the wall clock says so too.</summary>
    public void Saw(long unixMs) => _believedTicks = Math.Max(_believedTicks, Math.Min(WallTicks(), Ticks(unixMs)));

    private static long Ticks(long unixMs) =>
        DateTimeOffset.UnixEpoch.Ticks + (Math.Clamp(unixMs, -62_000_000_000_000, 250_000_000_000_000) * TimeSpan.TicksPerMillisecond);

    private long WallTicks() => _time.GetUtcNow().UtcTicks;
}
