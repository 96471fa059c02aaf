using Bellwether.Core.Platform;

namespace Bellwether.Agent.Run;

/// <summary>
/// Keeps the memory of a quiet process small, asked once a second. The collector waits for its budget (a good part of the processor's cache) to fill before it looks for garbage, which takes
/// minutes here; so it is called when little garbage has come. Once the start is over, what only the start needed is given back. Measured in docs/performance.md. Not thread-safe.
/// </summary>
internal sealed class SmallMemory(TimeProvider time)
{
    /// <summary>So much may be allocated before garbage is collected.</summary>
    private const long GarbageBytesMax = 2 << 20;

    /// <summary>When the start is over, and how often what came later (a reload, an outage) is given back again.</summary>
    private static readonly TimeSpan s_start = TimeSpan.FromSeconds(20);
    private static readonly TimeSpan s_interval = TimeSpan.FromMinutes(10);

    private long _released = time.GetTimestamp();
    private TimeSpan _wait = s_start;
    private long _allocated;

    /// <summary>Does what is due.</summary>
    public void Step()
    {
        if (time.GetElapsedTime(_released) >= _wait)
        {
            (_released, _wait) = (time.GetTimestamp(), s_interval);
            GC.Collect(GC.MaxGeneration, GCCollectionMode.Aggressive, blocking: true, compacting: true);
            StartPages.Release();
        }
        else if (GC.GetTotalAllocatedBytes() - _allocated < GarbageBytesMax)
        {
            return;
        }
        else
        {
            GC.Collect(1, GCCollectionMode.Forced, blocking: true);
        }
        _allocated = GC.GetTotalAllocatedBytes();
    }
}
