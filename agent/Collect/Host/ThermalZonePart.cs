namespace Bellwether.Agent.Collect.Host;

/// <summary>Thermal zones and cooling devices of /sys/class/thermal; found when the part is made.</summary>
internal sealed class ThermalZonePart : HostPart
{
    private readonly HostContext _context;
    private readonly List<(FilePath File, MetricFamily Family, int Slot, double Divisor)> _values = [];

    public ThermalZonePart(HostContext context)
    {
        const string zonePrefix = "thermal_zone", coolingPrefix = "cooling_device";
        _context = context;
        MetricFamily zone = context.Gauge("node_thermal_zone_temp", "Zone temperature in Celsius");
        MetricFamily current = context.Gauge("node_cooling_device_cur_state", "Current throttle state of the cooling device");
        MetricFamily max = context.Gauge("node_cooling_device_max_state", "Maximum throttle state of the cooling device");
        foreach (string name in HostFiles.Names(context.Files.Sys("class/thermal")))
        {
            string folder = $"class/thermal/{name}/";
            string type = context.Files.ReadText(context.Files.Sys(folder + "type")) ?? "";
            if (name.StartsWith(zonePrefix, StringComparison.Ordinal))
            {
                _values.Add((context.Files.Sys(folder + "temp"), zone, zone.Add("zone", name[zonePrefix.Length..], "type", type), 1000));
            }
            else if (name.StartsWith(coolingPrefix, StringComparison.Ordinal))
            {
                string number = name[coolingPrefix.Length..];
                _values.Add((context.Files.Sys(folder + "cur_state"), current, current.Add("name", number, "type", type), 1));
                _values.Add((context.Files.Sys(folder + "max_state"), max, max.Add("name", number, "type", type), 1));
            }
        }
    }

    /// <inheritdoc/>
    public override bool Collect()
    {
        foreach ((FilePath file, MetricFamily family, int slot, double divisor) in _values)
        {
            if (_context.Files.TryReadNumber(file, out double value))
                family.Set(slot, value / divisor);
        }
        return true;
    }
}
