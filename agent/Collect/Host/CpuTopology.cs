namespace Bellwether.Agent.Collect.Host;

/// <summary>What else node_exporter's cpu collector writes: throttling by core and package, isolated CPUs.</summary>
internal sealed class CpuTopology
{
    private readonly HostContext _context;
    private readonly List<(FilePath File, MetricFamily Family, int Slot)> _values = [];
    private readonly List<int> _isolatedSlots = [];
    private readonly MetricFamily _isolated;

    public CpuTopology(HostContext context)
    {
        _context = context;
        _isolated = context.Gauge("node_cpu_isolated", "Whether each core is isolated, information from /sys/devices/system/cpu/isolated.");
        MetricFamily core = context.Counter("node_cpu_core_throttles_total", "Number of times this CPU core has been throttled.");
        MetricFamily package = context.Counter("node_cpu_package_throttles_total", "Number of times this CPU package has been throttled.");
        var known = new HashSet<(string Package, string Core)>();
        foreach (string cpu in CpuFolders.Of(context))
        {
            string folder = $"devices/system/cpu/cpu{cpu}/";
            string? packageId = context.Files.ReadText(context.Files.Sys(folder + "topology/physical_package_id"));
            string? coreId = context.Files.ReadText(context.Files.Sys(folder + "topology/core_id"));
            if (packageId is null || coreId is null)
                continue;
            // Threads of a core share its counter, cores of a package that one.
            if (known.Add((packageId, coreId)))
                Add(folder + "thermal_throttle/core_throttle_count", core, "package", packageId, "core", coreId);
            if (known.Add((packageId, "")))
                Add(folder + "thermal_throttle/package_throttle_count", package, "package", packageId);
        }
        foreach (string range in (context.Files.ReadText(context.Files.Sys("devices/system/cpu/isolated")) ?? "").Split(',', StringSplitOptions.RemoveEmptyEntries))
        {
            string[] ends = range.Split('-');
            if (int.TryParse(ends[0], out int first) && int.TryParse(ends[^1], out int last))
            {
                for (int cpu = first; cpu <= last && _isolatedSlots.Count < 8192; cpu++)
                    _isolatedSlots.Add(_isolated.Add("cpu", cpu.ToString(System.Globalization.CultureInfo.InvariantCulture)));
            }
        }
    }

    /// <summary>Sets them in the current tick.</summary>
    public void Set()
    {
        foreach ((FilePath file, MetricFamily family, int slot) in _values)
        {
            if (_context.Files.TryReadNumber(file, out double value))
                family.Set(slot, value);
        }
        foreach (int slot in _isolatedSlots)
            _isolated.Set(slot, 1);
    }

    private void Add(string file, MetricFamily family, params ReadOnlySpan<string> labels)
    {
        FilePath path = _context.Files.Sys(file);
        if (_context.Files.TryReadNumber(path, out _))
            _values.Add((path, family, family.Add(labels)));
    }
}
