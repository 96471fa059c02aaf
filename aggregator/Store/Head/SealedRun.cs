namespace Bellwether.Store.Head;

/// <summary>The times of all sealed blocks of a series, newest first, and the memory in which their values lie. Series whose blocks have the same times share it. Immutable, equal only to itself.</summary>
internal sealed class SealedRun(SealedTimes times, SealedRun? before, PieceMemory memory)
{
    /// <summary>Of the newest block.</summary>
    public SealedTimes Times => times;

    /// <summary>The blocks before it.</summary>
    public SealedRun? Before => before;

    /// <summary>How many there are.</summary>
    public int Count { get; } = (before?.Count ?? 0) + 1;

    /// <summary>Time of the oldest sample.</summary>
    public long OldestMs { get; } = before?.OldestMs ?? times.FirstMs;

    public PieceMemory Memory => memory;

    /// <summary>All of them, the oldest first.</summary>
    public SealedTimes[] ToArray()
    {
        var all = new SealedTimes[Count];
        int at = all.Length;
        for (SealedRun? run = this; run is not null; run = run.Before)
            all[--at] = run.Times;
        return all;
    }
}
