using System.Diagnostics;
using Bellwether.Core.Exposition;
using Bellwether.Core.Model;

namespace Bellwether.Core.Telemetry;

/// <summary>What every Prometheus client says about its process (prometheus.io/docs/instrumenting/writing_clientlibs/, "Process metrics"). Stateless.</summary>
public static class ProcessMetrics
{
    private const string DescriptorFolder = "/proc/self/fd";

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
        using var process = Process.GetCurrentProcess();
        var families = new List<ExposedFamily>
        {
            One("process_cpu_seconds_total", MetricType.Counter, "Total user and system CPU time spent in seconds.", process.TotalProcessorTime.TotalSeconds),
            One("process_resident_memory_bytes", MetricType.Gauge, "Resident memory size in bytes.", process.WorkingSet64),
            One("process_virtual_memory_bytes", MetricType.Gauge, "Virtual memory size in bytes.", process.VirtualMemorySize64),
            One("process_start_time_seconds", MetricType.Gauge, "Start time of the process since unix epoch in seconds.", StartSeconds(process)),
            One("process_managed_heap_bytes", MetricType.Gauge, "Bytes that the garbage collector holds.", GC.GetTotalMemory(forceFullCollection: false)),
        };
        if (Directory.Exists(DescriptorFolder))
            families.Add(One("process_open_fds", MetricType.Gauge, "Number of open file descriptors.", Directory.EnumerateFileSystemEntries(DescriptorFolder).Count()));
        return families;
    }

    private static double StartSeconds(Process process) => new DateTimeOffset(process.StartTime.ToUniversalTime()).ToUnixTimeMilliseconds() / 1000.0;

    private static ExposedFamily One(string name, MetricType type, string help, double value) => new(name, type, help, "", [new ExposedSample(name, [], value)]);
}
