using System.Text;

namespace Bellwether.Agent.Collect.Host;

/// <summary>CPU frequencies (sysfs has kHz) and governors of /sys/devices/system/cpu; CPUs are found when the part is made.</summary>
internal sealed class CpuFrequencyPart : HostPart
{
    private const double HertzPerKilohertz = 1000;

    private static readonly (string File, string Metric, string Help)[] Frequencies =
    [
        ("cpuinfo_cur_freq", "node_cpu_frequency_hertz", "Current CPU thread frequency in hertz."),
        ("cpuinfo_min_freq", "node_cpu_frequency_min_hertz", "Minimum CPU thread frequency in hertz."),
        ("cpuinfo_max_freq", "node_cpu_frequency_max_hertz", "Maximum CPU thread frequency in hertz."),
        ("scaling_cur_freq", "node_cpu_scaling_frequency_hertz", "Current scaled CPU thread frequency in hertz."),
        ("scaling_min_freq", "node_cpu_scaling_frequency_min_hertz", "Minimum scaled CPU thread frequency in hertz."),
        ("scaling_max_freq", "node_cpu_scaling_frequency_max_hertz", "Maximum scaled CPU thread frequency in hertz."),
    ];

    private readonly HostContext _context;
    private readonly MetricFamily _governor;
    private readonly List<(FilePath File, MetricFamily Family, int Slot)> _values = [];
    private readonly List<(FilePath File, List<(byte[] Name, int Slot)> Governors)> _governors = [];

    public CpuFrequencyPart(HostContext context)
    {
        _context = context;
        _governor = context.Gauge("node_cpu_scaling_governor", "Current enabled CPU frequency governor.");
        MetricFamily[] families = Array.ConvertAll(Frequencies, f => context.Gauge(f.Metric, f.Help));
        foreach (string cpu in CpuFolders.Of(context))
        {
            string folder = $"devices/system/cpu/cpu{cpu}/cpufreq/";
            for (int i = 0; i < families.Length; i++)
            {
                FilePath file = context.Files.Sys(folder + Frequencies[i].File);
                if (context.Files.TryReadNumber(file, out _))
                    _values.Add((file, families[i], families[i].Add("cpu", cpu)));
            }
            if (context.Files.ReadText(context.Files.Sys(folder + "scaling_available_governors")) is { Length: > 0 } names)
            {
                _governors.Add((context.Files.Sys(folder + "scaling_governor"),
                    [.. names.Split(' ', StringSplitOptions.RemoveEmptyEntries).Select(n => (Encoding.UTF8.GetBytes(n), _governor.Add("cpu", cpu, "governor", n)))]));
            }
        }
    }

    /// <inheritdoc/>
    public override bool Collect()
    {
        foreach ((FilePath file, MetricFamily family, int slot) in _values)
        {
            if (_context.Files.TryReadNumber(file, out double kilohertz))
                family.Set(slot, kilohertz * HertzPerKilohertz);
        }
        foreach ((FilePath file, List<(byte[] Name, int Slot)> governors) in _governors)
        {
            if (!_context.Files.TryReadTrimmed(file, out ReadOnlySpan<byte> current))
                continue;
            foreach ((byte[] name, int slot) in governors)
                _governor.Set(slot, current.SequenceEqual(name) ? 1 : 0);
        }
        return true;
    }
}

/// <summary>Numbers of the CPUs that sysfs has.</summary>
internal static class CpuFolders
{
    /// <summary>As text, in number order.</summary>
    public static IEnumerable<string> Of(HostContext context) =>
        HostFiles.Names(context.Files.Sys("devices/system/cpu")).Where(n => n.StartsWith("cpu", StringComparison.Ordinal) && n.Length > 3 && n.AsSpan(3).IndexOfAnyExceptInRange('0', '9') < 0)
            .Select(n => n[3..]).OrderBy(n => int.Parse(n, System.Globalization.CultureInfo.InvariantCulture));
}
