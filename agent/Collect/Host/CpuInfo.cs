using System.Text.RegularExpressions;

namespace Bellwether.Agent.Collect.Host;

/// <summary>/proc/cpuinfo as node_exporter writes it with <c>--collector.cpu.info</c>. Allocates; off by default.</summary>
internal sealed class CpuInfo(HostContext context)
{
    private readonly FilePath _file = context.Files.Proc("cpuinfo");
    private readonly Regex? _flags = NetDevPart.RegexOrNull(context.Options.CpuFlagsInclude);
    private readonly Regex? _bugs = NetDevPart.RegexOrNull(context.Options.CpuBugsInclude);
    private readonly MetricFamily _info = context.Gauge("node_cpu_info", "CPU information from /proc/cpuinfo.");
    private readonly MetricFamily _frequency = context.Gauge("node_cpu_frequency_hertz", "CPU frequency in hertz from /proc/cpuinfo.");
    private readonly MetricFamily _flag = context.Gauge("node_cpu_flag_info", "The `flags` field of CPU information from /proc/cpuinfo taken from the first core.");
    private readonly MetricFamily _bug = context.Gauge("node_cpu_bug_info", "The `bugs` field of CPU information from /proc/cpuinfo taken from the first core.");
    private readonly Dictionary<string, int> _slots = [];

    /// <summary>Sets it in the current tick.</summary>
    public void Set()
    {
        if (context.Files.ReadText(_file) is not { } text)
            return;
        bool first = true;
        foreach (string block in text.Split("\n\n", StringSplitOptions.RemoveEmptyEntries))
        {
            var fields = new Dictionary<string, string>();
            foreach (string line in block.Split('\n'))
            {
                int colon = line.IndexOf(':', StringComparison.Ordinal);
                if (colon > 0)
                    fields[line[..colon].Trim()] = line[(colon + 1)..].Trim();
            }
            if (fields.ContainsKey("processor"))
                SetCpu(fields, first);
            first = false;
        }
    }

    private void SetCpu(Dictionary<string, string> fields, bool first)
    {
        string Get(string key) => fields.GetValueOrDefault(key, "");
        string[] place = ["package", Get("physical id"), "core", Get("core id"), "cpu", Get("processor")];
        SetOne(_info, 1, [.. place, "vendor", Get("vendor_id"), "family", Get("cpu family"), "model", Get("model"), "model_name", Get("model name"), "microcode", Get("microcode"),
            "stepping", Get("stepping"), "cachesize", Get("cache size")]);
        if (double.TryParse(Get("cpu MHz"), System.Globalization.CultureInfo.InvariantCulture, out double megahertz))
            SetOne(_frequency, megahertz * 1e6, place);
        if (!first)
            return;
        foreach (string flag in Get("flags").Split(' ').Where(f => _flags?.IsMatch(f) == true))
            SetOne(_flag, 1, ["flag", flag]);
        foreach (string bug in Get("bugs").Split(' ').Where(b => _bugs?.IsMatch(b) == true))
            SetOne(_bug, 1, ["bug", bug]);
    }

    private void SetOne(MetricFamily family, double value, string[] labels)
    {
        string key = string.Join('\u0001', labels) + family.GetHashCode();
        if (!_slots.TryGetValue(key, out int slot))
            _slots[key] = slot = family.Add(labels);
        family.Set(slot, value);
    }
}
