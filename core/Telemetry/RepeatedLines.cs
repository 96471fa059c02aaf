namespace Bellwether.Core.Telemetry;

/// <summary>
/// Keeps what happens again and again from filling the log: of lines that are the same to the reader one is told at once, and then one a minute with the count of those between; of
/// all together not more than <see cref="LinesMax"/> a minute, so that lines stay bounded whatever clients do. Thread-safe.
/// </summary>
public sealed class RepeatedLines<TKey>(TimeProvider time)
    where TKey : notnull
{
    /// <summary>Most keys that are told apart; beyond, all are forgotten at once and told anew.</summary>
    public const int KeysMax = 1024;

    /// <summary>Most lines that are told in a minute.</summary>
    public const int LinesMax = 60;

    private static readonly TimeSpan s_tellInterval = TimeSpan.FromMinutes(1);
    private readonly Lock _gate = new();
    private readonly Dictionary<TKey, Told> _told = [];
    private long? _minuteAt;
    private int _lines;
    private long _beyond;

    /// <summary>Whether a line of this key is due, or is only counted.</summary>
    /// <param name="key">What makes lines the same.</param>
    /// <param name="untold">Those of the key that were only counted since the last one, and those of any that were too many.</param>
    public bool IsDue(TKey key, out long untold)
    {
        lock (_gate)
        {
            bool known = _told.TryGetValue(key, out Told told);
            untold = told.Untold;
            if (known && time.GetElapsedTime(told.At) < s_tellInterval)
            {
                _told[key] = told with { Untold = told.Untold + 1 };
                return false;
            }
            if (_minuteAt is not { } begun || time.GetElapsedTime(begun) >= s_tellInterval)
                (_minuteAt, _lines) = (time.GetTimestamp(), 0);
            if (_lines >= LinesMax)
            {
                _beyond++;
                return false;
            }
            _lines++;
            untold += _beyond;
            _beyond = 0;
            if (!known && _told.Count >= KeysMax)
                _told.Clear();
            _told[key] = new Told(time.GetTimestamp(), 0);
            return true;
        }
    }

    private readonly record struct Told(long At, long Untold);
}
