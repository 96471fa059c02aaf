using System.Text;
using System.Text.RegularExpressions;

namespace Bellwether.Agent.Collect.Host;

/// <summary>Properties of network devices from /sys/class/net.</summary>
internal sealed class NetClassPart : HostPart
{
    private const double BytesPerMegabit = 1_000_000 / 8.0;

    // The attributes of Documentation/ABI/testing/sysfs-class-net that are numbers; flags are hexadecimal, which TryValue sees by the prefix.
    private static readonly (string File, string Metric, bool Counter)[] Attributes =
    [
        ("addr_assign_type", "address_assign_type", false), ("carrier", "carrier", false), ("carrier_changes", "carrier_changes_total", true),
        ("carrier_up_count", "carrier_up_changes_total", true), ("carrier_down_count", "carrier_down_changes_total", true), ("dev_id", "device_id", false),
        ("dormant", "dormant", false), ("flags", "flags", false), ("ifindex", "iface_id", false), ("iflink", "iface_link", false),
        ("link_mode", "iface_link_mode", false), ("mtu", "mtu_bytes", false), ("name_assign_type", "name_assign_type", false),
        ("netdev_group", "net_dev_group", false), ("speed", SpeedMetric, false), ("tx_queue_len", "transmit_queue_length", false), ("type", "protocol_type", false),
    ];

    private const string SpeedMetric = "speed_bytes";

    private readonly HostContext _context;
    private readonly FilePath _folder;
    private readonly Regex? _exclude;
    private readonly MetricFamily _up;
    private readonly MetricFamily _info;
    private readonly MetricFamily[] _families;
    private readonly ByteMap<Device?> _devices;
    private readonly Func<string, Device?> _makeDevice;
    private readonly byte[] _infoBytes = new byte[1024];

    public NetClassPart(HostContext context)
    {
        _context = context;
        _folder = context.Files.Sys("class/net");
        _exclude = NetDevPart.RegexOrNull(context.Options.NetClassExclude);
        _up = context.Gauge("node_network_up", "Value is 1 if operstate is 'up', 0 otherwise.");
        _info = context.Gauge("node_network_info", "Non-numeric data from /sys/class/net/<iface>, value is always 1.");
        _families = Array.ConvertAll(Attributes, a =>
        {
            string help = $"Network device property: {a.Metric}";
            return a.Counter ? context.Counter("node_network_" + a.Metric, help) : context.Gauge("node_network_" + a.Metric, help);
        });
        _devices = new ByteMap<Device?>(context);
        _makeDevice = MakeDevice;
    }

    /// <inheritdoc/>
    public override bool Collect()
    {
        using FolderEntries entries = HostFiles.List(_folder);
        if (!entries.IsOpen)
            return false;
        while (entries.TryNext(out ReadOnlySpan<byte> name))
        {
            if (_devices.Get(name, _makeDevice) is { } device)
                Set(device);
        }
        return true;
    }

    private void Set(Device device)
    {
        SetInfo(device);
        _up.Set(device.UpSlot, device.IsUp ? 1 : 0);
        for (int i = 0; i < Attributes.Length; i++)
        {
            // Some attributes answer EINVAL while the device is down: then there is no sample, and the series is stale until it is up again.
            if (!_context.Files.TryReadTrimmed(device.Files[i], out ReadOnlySpan<byte> text) || !TryValue(text, out double value))
                continue;
            if (ReferenceEquals(Attributes[i].Metric, SpeedMetric))
            {
                if (value < 0 && _context.Options.NetClassIgnoreInvalidSpeed)
                    continue;
                value *= BytesPerMegabit;
            }
            ref int slot = ref device.Slots[i];
            if (slot == 0)
                slot = _families[i].Add("device", device.Name) + 1;
            _families[i].Set(slot - 1, value);
        }
    }

    private static bool TryValue(ReadOnlySpan<byte> text, out double value)
    {
        if (text.StartsWith("0x"u8))
        {
            bool ok = ByteText.TryHex(text, out ulong hex);
            value = hex;
            return ok;
        }
        return ByteText.TryNumber(text, out value);
    }

    /// <summary>The info series is kept by the bytes of its parts: a new one is made only when one of them changed.</summary>
    private void SetInfo(Device device)
    {
        int length = 0;
        device.IsUp = false;
        for (int i = 0; i < Device.InfoFileNames.Length; i++)
        {
            if (_context.Files.TryReadTrimmed(device.InfoFiles[i], out ReadOnlySpan<byte> text))
            {
                if (i == Device.OperStateIndex)
                    device.IsUp = text.SequenceEqual("up"u8);
                text = text[..Math.Min(text.Length, _infoBytes.Length - length - Device.InfoFileNames.Length)];
                text.CopyTo(_infoBytes.AsSpan(length));
                length += text.Length;
            }
            _infoBytes[length++] = 0;
        }
        ReadOnlySpan<byte> all = _infoBytes.AsSpan(0, length);
        if (device.InfoSlot < 0 || !all.SequenceEqual(device.InfoBytes))
        {
            device.InfoBytes = all.ToArray();
            string[] parts = Encoding.UTF8.GetString(all).Split('\0');
            string adminState = "unknown";
            if (ByteText.TryHex(Encoding.ASCII.GetBytes(parts[5]), out ulong flags))
                adminState = (flags & 1) != 0 ? "up" : "down";
            device.InfoSlot = _info.Add("device", device.Name, "address", parts[0], "broadcast", parts[1], "duplex", parts[2], "operstate", parts[3],
                "ifalias", parts[4], "adminstate", adminState);
        }
        _info.Set(device.InfoSlot, 1);
    }

    private Device? MakeDevice(string name)
    {
        string folder = $"class/net/{name}/";
        // bonding_masters is a file in this folder, not a device.
        if (_exclude?.IsMatch(name) == true || !_context.Files.TryRead(_context.Files.Sys(folder + "ifindex"), out _) && !_context.Files.TryRead(_context.Files.Sys(folder + "operstate"), out _))
            return null;
        return new Device(name, _up.Add("device", name),
            Array.ConvertAll(Attributes, a => _context.Files.Sys(folder + a.File)), Array.ConvertAll(Device.InfoFileNames, f => _context.Files.Sys(folder + f)));
    }

    /// <summary>Slots are stored plus one; 0: no such series yet.</summary>
    private sealed record Device(string Name, int UpSlot, FilePath[] Files, FilePath[] InfoFiles)
    {
        public const int OperStateIndex = 3;

        public static readonly string[] InfoFileNames = ["address", "broadcast", "duplex", "operstate", "ifalias", "flags"];

        public int[] Slots { get; } = new int[Attributes.Length];

        public bool IsUp { get; set; }

        public int InfoSlot { get; set; } = -1;

        public byte[] InfoBytes { get; set; } = [];
    }
}
