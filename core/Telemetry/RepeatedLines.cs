namespace Bellwether.Core.Telemetry;

/// <summary>
/// Keeps what happens again and again from filling the log: of lines that are the same to the reader one is told at once, and then one a minute with the count of those between. Bounded
/// whatever clients do; thread-safe.
/// </summary>
public sealed class RepeatedLines<TKey>(TimeProvider time)
    where TKey : notnull
{
    /// <summary>Most keys that are told apart; beyond, all are forgotten at once and told anew.</summary>
    public const int KeysMax = 1024;

    private static readonly TimeSpan s_tellInterval = TimeSpan.FromMinutes(1);
    private readonly Lock _gate = new();
    private readonly Dictionary<TKey, Told> _told = [];

    /// <summary>Whether a line of this key is due, or is only counted.</summary>
    /// <param name="key">What makes lines the same.</param>
    /// <param name="untold">Those that were only counted since the last one.</param>
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
            if (!known && _told.Count >= KeysMax)
                _told.Clear();
            _told[key] = new Told(time.GetTimestamp(), 0);
            return true;
        }
    }

    private readonly record struct Told(long At, long Untold);
}
