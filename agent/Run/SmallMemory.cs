using Bellwether.Core.Platform;

namespace Bellwether.Agent.Run;

/// <summary>
/// Keeps the memory of a quiet process small, asked once a second. The collector waits for its budget (a good part of the processor's cache) to fill before it looks for garbage, which takes
/// minutes here; so it is called when little garbage has come. Pages of the program that were not needed for a while are given back. Measured in docs/performance.md. Not thread-safe.
/// </summary>
internal sealed class SmallMemory(TimeProvider time)
{
    /// <summary>So much may be allocated before garbage is collected.</summary>
    private const long GarbageBytesMax = 2 << 20;

    /// <summary>How often the oldest garbage is looked for.</summary>
    private static readonly TimeSpan s_wholeInterval = TimeSpan.FromMinutes(10);

    private long _whole = time.GetTimestamp();
    private long _pages = time.GetTimestamp();
    private TimeSpan _wholeWait = ProgramPages.Start;
    private TimeSpan _pagesWait = ProgramPages.Start;
    private long _allocated;

    /// <summary>Does what is due.</summary>
    public void Step()
    {
        if (time.GetElapsedTime(_whole) >= _wholeWait)
        {
            GC.Collect(GC.MaxGeneration, GCCollectionMode.Aggressive, blocking: true, compacting: true);
            (_whole, _wholeWait, _allocated) = (time.GetTimestamp(), s_wholeInterval, GC.GetTotalAllocatedBytes());
        }
        else if (GC.GetTotalAllocatedBytes() - _allocated >= GarbageBytesMax)
        {
            GC.Collect(1, GCCollectionMode.Forced, blocking: true);
            _allocated = GC.GetTotalAllocatedBytes();
        }
        if (time.GetElapsedTime(_pages) < _pagesWait)
            return;
        ProgramPages.Release();
        (_pages, _pagesWait) = (time.GetTimestamp(), ProgramPages.Interval);
    }
}
