using System.Text.RegularExpressions;

namespace Bellwether.Agent.Collect.Host;

/// <summary>
/// Traffic per network device from /proc/net/dev. The kernel already adds up there what node_exporter adds up from netlink (missed into drop, length, over and crc
/// errors into frame); only nohandler is not in that file and comes from sysfs.
/// </summary>
internal sealed class NetDevPart : HostPart
{
    private static readonly string[] Columns =
    [
        "receive_bytes", "receive_packets", "receive_errs", "receive_drop", "receive_fifo", "receive_frame", "receive_compressed", "receive_multicast",
        "transmit_bytes", "transmit_packets", "transmit_errs", "transmit_drop", "transmit_fifo", "transmit_colls", "transmit_carrier", "transmit_compressed",
    ];

    private readonly HostContext _context;
    private readonly FilePath _file;
    private readonly Regex? _exclude;
    private readonly Regex? _include;
    private readonly MetricFamily[] _families;
    private readonly MetricFamily _noHandler;
    private readonly ByteMap<Device?> _devices;
    private readonly Func<string, Device?> _makeDevice;
    private readonly List<Device> _seen = [];

    public NetDevPart(HostContext context)
    {
        _context = context;
        _file = context.Files.Proc("net/dev");
        _exclude = RegexOrNull(context.Options.NetDevExclude);
        _include = RegexOrNull(context.Options.NetDevInclude);
        _families = Array.ConvertAll(Columns, column => context.Counter($"node_network_{column}_total", $"Network device statistic {column}."));
        _noHandler = context.Counter("node_network_receive_nohandler_total", "Network device statistic receive_nohandler.");
        _devices = new ByteMap<Device?>(context);
        _makeDevice = MakeDevice;
    }

    /// <inheritdoc/>
    public override bool Collect()
    {
        if (!_context.Files.TryRead(_file, out ReadOnlySpan<byte> text))
            return false;
        _seen.Clear();
        while (ByteText.TryLine(ref text, out ReadOnlySpan<byte> line))
        {
            int colon = line.LastIndexOf((byte)':');
            if (colon < 0)
                continue;
            Device? device = _devices.Get(ByteText.Trim(line[..colon]), _makeDevice);
            if (device is null)
                continue;
            _seen.Add(device);
            line = line[(colon + 1)..];
            for (int i = 0; i < _families.Length && ByteText.TryUnsigned(ref line, out ulong value); i++)
                _families[i].Set(device.Slots[i], value);
        }
        foreach (Device device in _seen)
        {
            if (!_context.Files.TryReadNumber(device.NoHandlerFile, out double value))
                continue;
            if (device.NoHandlerSlot < 0)
                device.NoHandlerSlot = _noHandler.Add("device", device.Name);
            _noHandler.Set(device.NoHandlerSlot, value);
        }
        return true;
    }

    internal static Regex? RegexOrNull(string pattern) => pattern.Length == 0 ? null : new Regex(pattern, RegexOptions.CultureInvariant);

    private Device? MakeDevice(string name)
    {
        if (_exclude?.IsMatch(name) == true || _include?.IsMatch(name) == false)
            return null;
        int[] slots = Array.ConvertAll(_families, family => family.Add("device", name));
        return new Device(name, slots, _context.Files.Sys($"class/net/{name}/statistics/rx_nohandler"));
    }

    private sealed record Device(string Name, int[] Slots, FilePath NoHandlerFile)
    {
        public int NoHandlerSlot { get; set; } = -1;
    }
}
