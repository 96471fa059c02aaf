using System.Text.RegularExpressions;

namespace Bellwether.Agent.Collect.Host;

/// <summary>
/// Sensors of /sys/class/hwmon (Documentation/hwmon/sysfs-interface.rst): files TYPEnumber_ELEMENT. Which there are is looked up now and then; each tick reads values.
/// </summary>
internal sealed partial class HwmonPart : HostPart
{
    private const int DiscoverEveryTicks = 40;
    private const int FilesMax = 2_000;

    private static readonly HashSet<string> Types = ["vrm", "beep_enable", "update_interval", "in", "cpu", "fan", "pwm", "temp", "curr", "power", "energy", "humidity", "intrusion", "freq"];

    private readonly HostContext _context;
    private readonly Regex? _include;
    private readonly Dictionary<string, MetricFamily> _families = [];
    private readonly Dictionary<(string Metric, string Chip, string Sensor), int> _slots = [];
    private readonly List<(FilePath File, MetricFamily Family, int Slot, double Multiplier, double Divisor)> _values = [];
    private readonly List<(MetricFamily Family, int Slot)> _infos = [];
    private int _ticks;

    public HwmonPart(HostContext context)
    {
        _context = context;
        _include = NetDevPart.RegexOrNull(context.Options.HwmonChipInclude);
    }

    /// <inheritdoc/>
    public override bool Collect()
    {
        if (_ticks++ % DiscoverEveryTicks == 0)
            Discover();
        foreach ((FilePath file, MetricFamily family, int slot, double multiplier, double divisor) in _values)
        {
            if (_context.Files.TryReadNumber(file, out double value))
                family.Set(slot, value * multiplier / divisor);
        }
        foreach ((MetricFamily family, int slot) in _infos)
            family.Set(slot, 1);
        return true;
    }

    private void Discover()
    {
        _values.Clear();
        _infos.Clear();
        foreach (string name in HostFiles.Names(_context.Files.Sys("class/hwmon")))
        {
            string folder = $"class/hwmon/{name}/";
            string chip = ChipOf(folder, name);
            if (_include?.IsMatch(chip) == false)
                continue;
            // Old drivers keep their files in the device's folder.
            var sensors = new SortedDictionary<string, Sensor>(StringComparer.Ordinal);
            FindSensors(folder, sensors);
            FindSensors(folder + "device/", sensors);
            if (_context.Files.ReadText(_context.Files.Sys(folder + "name")) is { Length: > 0 } text)
                AddInfo("chip_names", "Annotation metric for human-readable chip names", "chip", chip, "chip_name", Clean(text));
            foreach (Sensor sensor in sensors.Values)
                AddSensor(chip, sensor);
        }
    }

    private void FindSensors(string folder, SortedDictionary<string, Sensor> sensors)
    {
        foreach (string file in HostFiles.Names(_context.Files.Sys(folder)))
        {
            Match match = SensorFile().Match(file);
            string type = match.Groups["type"].Value;
            if (!match.Success || !Types.Contains(type))
                continue;
            string name = type + match.Groups["number"].Value;
            if (!sensors.TryGetValue(name, out Sensor? sensor))
                sensors[name] = sensor = new Sensor(name, type);
            FilePath path = _context.Files.Sys(folder + file);
            if (match.Groups["element"].Value == "label")
                sensor.Label = _context.Files.ReadText(path);
            else
                sensor.Elements.TryAdd(match.Groups["element"].Value, path);
        }
    }

    private void AddSensor(string chip, Sensor sensor)
    {
        if (sensor.Label is { } label)
            AddInfo("sensor_label", "Label for given chip and sensor", "chip", chip, "sensor", sensor.Name, "label", label);
        foreach ((string element, FilePath file) in sensor.Elements)
        {
            string metric = sensor.Type;
            if (element.Length > 0 && (element != "input" || sensor.Elements.ContainsKey("")))
                metric += "_" + Clean(element);
            (string suffix, double multiplier, double divisor) = UnitOf(sensor.Type, element);
            string name = sensor is { Type: "freq", Label: { } text } && element == "input" ? Clean(text) : sensor.Name;
            AddValue(metric + suffix, chip, name, file, multiplier, divisor);
        }
    }

    private static (string Suffix, double Multiplier, double Divisor) UnitOf(string type, string element) => (type, element) switch
    {
        (_, "fault" or "alarm") => ("", 1, 1),
        (_, "beep") => ("_enabled", 1, 1),
        ("beep_enable", _) => ("d", 1, 1),
        ("update_interval", _) => ("_seconds", 0.001, 1),
        ("in" or "cpu", _) => ("_volts", 0.001, 1),
        ("temp", not "type") => ("_celsius", 0.001, 1),
        ("curr", _) => ("_amps", 0.001, 1),
        ("energy", _) => ("_joule_total", 1, 1_000_000),
        ("power", "accuracy") => ("", 1, 1_000_000),
        ("power", _) => ("_watt", 1, 1_000_000),
        ("humidity", _) => ("", 1, 1_000_000),
        ("fan", "input" or "" or "min" or "max" or "target") => ("_rpm", 1, 1),
        ("freq", "input") => ("_freq_mhz", 1, 1_000_000),
        _ => ("", 1, 1),
    };

    private void AddValue(string metric, string chip, string sensor, FilePath file, double multiplier, double divisor)
    {
        if (_values.Count >= FilesMax)
            return;
        MetricFamily family = Family(metric, $"Hardware monitor for {metric.Replace('_', ' ')}");
        ref int slot = ref System.Runtime.InteropServices.CollectionsMarshal.GetValueRefOrAddDefault(_slots, (metric, chip, sensor), out bool known);
        if (!known)
            slot = family.Add("chip", chip, "sensor", sensor);
        _values.Add((file, family, slot, multiplier, divisor));
    }

    private void AddInfo(string metric, string help, params ReadOnlySpan<string> labels)
    {
        MetricFamily family = Family(metric, help);
        ref int slot = ref System.Runtime.InteropServices.CollectionsMarshal.GetValueRefOrAddDefault(_slots, (metric, string.Join('\u0001', labels!), ""), out bool known);
        if (!known)
            slot = family.Add(labels);
        _infos.Add((family, slot));
    }

    private MetricFamily Family(string metric, string help)
    {
        if (!_families.TryGetValue(metric, out MetricFamily? family))
        {
            string name = "node_hwmon_" + metric;
            _families[metric] = family = metric.EndsWith("_total", StringComparison.Ordinal) ? _context.Counter(name, help) : _context.Gauge(name, help);
        }
        return family;
    }

    /// <summary>The bus and the device, as in <c>platform_coretemp_0</c>; with the chip's name where a device has several; else the name; else hwmonN.</summary>
    private string ChipOf(string folder, string hwmon)
    {
        string? chipName = _context.Files.ReadText(_context.Files.Sys(folder + "name"));
        if (HostFiles.RealPath(_context.Files.Sys(folder + "device")) is { } device)
        {
            string deviceName = Clean(Path.GetFileName(device));
            string bus = Clean(Path.GetFileName(Path.GetDirectoryName(device) ?? ""));
            bool several = HostFiles.Names(new FilePath(Path.Combine(device, "hwmon"))).Count > 1;
            string suffix = several && chipName is { Length: > 0 } ? "_" + Clean(chipName) : "";
            if (bus.Length > 0 && deviceName.Length > 0)
                return $"{bus}_{deviceName}{suffix}";
        }
        return chipName is { Length: > 0 } ? Clean(chipName) : hwmon;
    }

    private static string Clean(string text) => NotWord().Replace(text.ToLowerInvariant(), "_").Trim('_');

    [GeneratedRegex("[^a-z0-9:_]")]
    private static partial Regex NotWord();

    [GeneratedRegex("^(?<type>[^0-9]+?)(?<number>[0-9]*)(_(?<element>.+))?$")]
    private static partial Regex SensorFile();

    private sealed class Sensor(string name, string type)
    {
        public string Name { get; } = name;

        public string Type { get; } = type;

        public string? Label { get; set; }

        public SortedDictionary<string, FilePath> Elements { get; } = new(StringComparer.Ordinal);
    }
}
