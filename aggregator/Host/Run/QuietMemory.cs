using Bellwether.Core.Platform;

namespace Bellwether.Aggregator.Run;

/// <summary>
/// Gives memory back that loading and growing left behind, asked once a second. The collector keeps what it has for the next load; after one, when little is allocated any more, the heap is compacted
/// once and what is free goes back to the system, and with it the pages of the program that were not needed for a while. Measured in docs/performance.md. Not thread-safe.
/// </summary>
/// <param name="time">Clock.</param>
/// <param name="use">Bytes allocated and processor time since the process began, and bytes in use.</param>
internal sealed class QuietMemory(TimeProvider time, Func<(long Allocated, TimeSpan Cpu, long InUse)> use)
{
    /// <summary>How often it is to be asked.</summary>
    public static readonly TimeSpan Interval = TimeSpan.FromSeconds(1);

    /// <summary>More between two steps is a load.</summary>
    private const long QuietBytes = 8 << 20;

    /// <summary>More between two steps is a load.</summary>
    private static readonly TimeSpan s_quietCpu = TimeSpan.FromSeconds(0.2);

    /// <summary>So much must have been allocated since the last time, and half of what is in use: else little would come back.</summary>
    private const long GarbageBytes = 64 << 20;

    /// <summary>Threads stand still while the heap is compacted, 0.1 to 0.2 s for 100 MB: larger ones are left to the collector.</summary>
    private const long HeapBytesMax = 1L << 30;

    /// <summary>It is a load when so many steps in a row were not quiet.</summary>
    private const int LoadSteps = 3;

    /// <summary>A load is over when so many steps in a row were quiet.</summary>
    private const int QuietSteps = 2;

    private long _pages = time.GetTimestamp();
    private TimeSpan _pagesWait = ProgramPages.Start;
    private (long Allocated, TimeSpan Cpu, long InUse) _before = use();
    private long _compactedAt;
    private int _quiet;
    private int _loud;

    /// <summary>Whether there was a load since the heap was compacted; the start of the process is one.</summary>
    private bool _wasLoaded = true;

    /// <summary>Of this process.</summary>
    public static (long Allocated, TimeSpan Cpu, long InUse) OfProcess() =>
        (GC.GetTotalAllocatedBytes(), OperatingSystem.IsLinux() || OperatingSystem.IsWindows() || OperatingSystem.IsMacOS() ? Environment.CpuUsage.TotalTime : TimeSpan.Zero, GC.GetTotalMemory(forceFullCollection: false));

    /// <summary>Does what is due. True: the heap was compacted.</summary>
    public bool Step()
    {
        (long Allocated, TimeSpan Cpu, long InUse) now = use();
        _quiet = now.Allocated - _before.Allocated <= QuietBytes && now.Cpu - _before.Cpu <= s_quietCpu ? _quiet + 1 : 0;
        _before = now;
        // What is allocated evenly, or a cycle of rules at a time, is no load, however long it goes on: threads must not stand still for it each minute.
        _loud = _quiet == 0 ? _loud + 1 : 0;
        _wasLoaded |= _loud >= LoadSteps;
        bool isDue = _wasLoaded && _quiet >= QuietSteps && IsWorthIt(now.Allocated - _compactedAt, now.InUse);
        if (isDue)
        {
            GC.Collect(GC.MaxGeneration, GCCollectionMode.Aggressive, blocking: true, compacting: true);
            _before = use();
            _compactedAt = _before.Allocated;
            _wasLoaded = false;
        }
        if (isDue || time.GetElapsedTime(_pages) >= _pagesWait)
        {
            ProgramPages.Release();
            (_pages, _pagesWait) = (time.GetTimestamp(), ProgramPages.Interval);
        }
        return isDue;
    }

    private static bool IsWorthIt(long garbage, long inUse) => garbage >= Math.Max(GarbageBytes, inUse / 2) && inUse <= HeapBytesMax;
}
