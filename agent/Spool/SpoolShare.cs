namespace Bellwether.Agent.Spool;

/// <summary>
/// What the logs of one spool share: the lock, the names of segments, and the bound. One log alone has one of its own. Not thread-safe but for <see cref="Gate"/>, which covers the rest.
/// </summary>
internal sealed class SpoolShare(SpoolOptions options)
{
    private readonly List<LogSpool> _classes = [];

    /// <summary>The one lock of all of them.</summary>
    public Lock Gate { get; } = new();

    /// <summary>The epoch of all: the largest of theirs.</summary>
    public ulong Epoch { get; set; }

    /// <summary>The next segment's number.</summary>
    public ulong NextNumber { get; set; } = 1;

    /// <summary>Adds a log; the lowest priority comes first.</summary>
    public void Add(LogSpool log) => _classes.Add(log);

    /// <summary>Whether so many bytes more stay within the bound of all logs together.</summary>
    public bool HasRoom(long bytes)
    {
        foreach (LogSpool each in _classes)
            bytes += each.LogBytes;
        long reserve = Math.Min(options.BytesMax / 2, options.ReserveBytes + ((_classes.Count - 1) * 3L * options.SegmentBytes));
        return bytes <= options.BytesMax - reserve;
    }

    /// <summary>Lets what is oldest give way until so many bytes have room, as far as the policy says.</summary>
    public void MakeRoom(LogSpool who, int bytes)
    {
        while (!HasRoom(bytes) && options.WhenFull != SpoolPolicy.RefuseNew && DropFor(who, SpoolDropReasons.Size))
        {
        }
    }

    /// <summary>Drops the oldest segment of the lowest priority that has one, up to that of who needs the room; where priorities do not count, of any. False: there is none.</summary>
    public bool DropFor(LogSpool who, string reason)
    {
        foreach (LogSpool each in _classes)
        {
            if (each.DropOldest(reason))
                return true;
            if (ReferenceEquals(each, who) && options.WhenFull == SpoolPolicy.ByPriority)
                return false;
        }
        return false;
    }
}
