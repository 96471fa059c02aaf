using System.Diagnostics;
using System.Globalization;
using System.IO.Enumeration;
using Bellwether.Core.Exposition;
using Bellwether.Core.Model;

namespace Bellwether.Core.Telemetry;

/// <summary>What every Prometheus client says about its process (prometheus.io/docs/instrumenting/writing_clientlibs/, "Process metrics"). Stateless.</summary>
public static class ProcessMetrics
{
    private const string DescriptorFolder = "/proc/self/fd";
    private const string MemoryFile = "/proc/self/statm";
    private static readonly Lazy<double> s_startSeconds = new(ReadStartSeconds, LazyThreadSafetyMode.PublicationOnly);

    /// <summary>The families as they stand now; none when the system does not tell.</summary>
    public static IEnumerable<ExposedFamily> Collect()
    {
        try
        {
            return Read();
        }
        catch (Exception e) when (e is IOException or InvalidOperationException or UnauthorizedAccessException or System.ComponentModel.Win32Exception)
        {
            // The system does not tell just now (no file can be opened, say): the other metrics must not suffer.
            return [];
        }
    }

    private static List<ExposedFamily> Read()
    {
        (double virtualBytes, double residentBytes) = ReadMemory();
        var families = new List<ExposedFamily>
        {
            One("process_cpu_seconds_total", MetricType.Counter, "Total user and system CPU time spent in seconds.", ReadCpuSeconds()),
            One("process_resident_memory_bytes", MetricType.Gauge, "Resident memory size in bytes.", residentBytes),
            One("process_virtual_memory_bytes", MetricType.Gauge, "Virtual memory size in bytes.", virtualBytes),
            One("process_start_time_seconds", MetricType.Gauge, "Start time of the process since unix epoch in seconds.", s_startSeconds.Value),
            One("process_managed_heap_bytes", MetricType.Gauge, "Bytes that the garbage collector holds.", GC.GetTotalMemory(forceFullCollection: false)),
        };
        if (Directory.Exists(DescriptorFolder))
            families.Add(One("process_open_fds", MetricType.Gauge, "Number of open file descriptors.", new FileSystemEnumerable<bool>(DescriptorFolder, static (ref _) => true).Count()));
        return families;
    }

    private static double ReadCpuSeconds()
    {
        if (OperatingSystem.IsLinux() || OperatingSystem.IsWindows() || OperatingSystem.IsMacOS())
            return Environment.CpuUsage.TotalTime.TotalSeconds;
        using var process = Process.GetCurrentProcess();
        return process.TotalProcessorTime.TotalSeconds;
    }

    private static (double VirtualBytes, double ResidentBytes) ReadMemory()
    {
        if (OperatingSystem.IsLinux())
        {
            // Pages: all, then resident. The class Process reads the files of all threads for it: that was a tenth of a quiet agent's CPU.
            string[] pages = File.ReadAllText(MemoryFile).Split(' ', 3);
            return (Bytes(pages[0]), Bytes(pages[1]));
        }
        using var process = Process.GetCurrentProcess();
        return (process.VirtualMemorySize64, process.WorkingSet64);

        static double Bytes(string pages) => double.Parse(pages, CultureInfo.InvariantCulture) * Environment.SystemPageSize;
    }

    private static double ReadStartSeconds()
    {
        using var process = Process.GetCurrentProcess();
        return new DateTimeOffset(process.StartTime.ToUniversalTime()).ToUnixTimeMilliseconds() / 1000.0;
    }

    private static ExposedFamily One(string name, MetricType type, string help, double value) => new(name, type, help, "", [new ExposedSample(name, [], value)]);
}
