using System.Text.RegularExpressions;

namespace Bellwether.Agent.Collect.Host;

/// <summary>ARP entries by device, from /proc/net/arp.</summary>
internal sealed class ArpPart(HostContext context) : HostPart
{
    private readonly FilePath _file = context.Files.Proc("net/arp");
    private readonly Regex? _exclude = NetDevPart.RegexOrNull(context.Options.ArpDeviceExclude);
    private readonly MetricFamily _entries = context.Gauge("node_arp_entries", "ARP entries by device");
    private readonly ByteMap<Device> _devices = new(context);
    private readonly List<Device> _seen = [];
    private Func<string, Device>? _make;

    /// <inheritdoc/>
    public override bool Collect()
    {
        if (!context.Files.TryRead(_file, out ReadOnlySpan<byte> text))
            return false;
        _make ??= name => new Device(_exclude?.IsMatch(name) == true ? -1 : _entries.Add("device", name));
        _seen.Clear();
        _ = ByteText.TryLine(ref text, out _);
        while (ByteText.TryLine(ref text, out ReadOnlySpan<byte> line))
        {
            ReadOnlySpan<byte> name = ByteText.Trim(line);
            name = name[(name.LastIndexOf((byte)' ') + 1)..];
            if (name.IsEmpty)
                continue;
            Device device = _devices.Get(name, _make);
            if (device.Count == 0)
                _seen.Add(device);
            device.Count++;
        }
        foreach (Device device in _seen)
        {
            _entries.Set(device.Slot, device.Count);
            device.Count = 0;
        }
        return true;
    }

    private sealed class Device(int slot)
    {
        public int Slot { get; } = slot;

        public int Count { get; set; }
    }
}

/// <summary>Received packets per CPU, from /proc/net/softnet_stat: hexadecimal columns, more with each kernel; the CPU's number is the 13th, else the line.</summary>
internal sealed class SoftNetPart(HostContext context) : HostPart
{
    private const int CpuColumn = 12;
    private const int ColumnsMax = 15;
    private static readonly int[] Columns = [0, 1, 2, 8, 9, 10, 11];

    private readonly FilePath _file = context.Files.Proc("net/softnet_stat");
    private readonly MetricFamily[] _families =
    [
        context.Counter("node_softnet_processed_total", "Number of processed packets"), context.Counter("node_softnet_dropped_total", "Number of dropped packets"),
        context.Counter("node_softnet_times_squeezed_total", "Number of times processing packets ran out of quota"),
        context.Counter("node_softnet_cpu_collision_total", "Number of collision occur while obtaining device lock while transmitting"),
        context.Counter("node_softnet_received_rps_total", "Number of times cpu woken up received_rps"),
        context.Counter("node_softnet_flow_limit_count_total", "Number of times flow limit has been reached"), context.Gauge("node_softnet_backlog_len", "Softnet backlog status"),
    ];

    private readonly Dictionary<int, int[]> _cpus = [];

    /// <inheritdoc/>
    public override bool Collect()
    {
        if (!context.Files.TryRead(_file, out ReadOnlySpan<byte> text))
            return false;
        Span<ulong> values = stackalloc ulong[ColumnsMax];
        for (int line = 0; ByteText.TryLine(ref text, out ReadOnlySpan<byte> fields); line++)
        {
            values.Clear();
            int count = 0;
            while (count < ColumnsMax && ByteText.TryField(ref fields, out ReadOnlySpan<byte> field) && ByteText.TryHex(field, out values[count]))
                count++;
            int cpu = count > CpuColumn ? (int)values[CpuColumn] : line;
            if (!_cpus.TryGetValue(cpu, out int[]? slots))
            {
                string name = cpu.ToString(System.Globalization.CultureInfo.InvariantCulture);
                _cpus[cpu] = slots = Array.ConvertAll(_families, f => f.Add("cpu", name));
            }
            for (int i = 0; i < _families.Length; i++)
                _families[i].Set(slots[i], values[Columns[i]]);
        }
        return true;
    }
}

/// <summary>Bytes queued in UDP sockets, from /proc/net/udp and udp6 (a column <c>tx:rx</c>, hexadecimal).</summary>
internal sealed class UdpQueuesPart(HostContext context) : HostPart
{
    private readonly FilePath _v4 = context.Files.Proc("net/udp");
    private readonly FilePath _v6 = context.Files.Proc("net/udp6");
    private readonly MetricFamily _queues = context.Gauge("node_udp_queues", "Number of allocated memory in the kernel for UDP datagrams in bytes.");
    private readonly int[] _slots4 = [-1, -1];
    private readonly int[] _slots6 = [-1, -1];

    /// <inheritdoc/>
    public override bool Collect() => Collect(_v4, _slots4, "v4") | Collect(_v6, _slots6, "v6");

    private bool Collect(FilePath file, int[] slots, string ip)
    {
        if (!context.Files.TryRead(file, out ReadOnlySpan<byte> text))
            return false;
        ulong transmit = 0, receive = 0;
        _ = ByteText.TryLine(ref text, out _);
        while (ByteText.TryLine(ref text, out ReadOnlySpan<byte> line))
        {
            for (int i = 0; i < 4; i++)
                _ = ByteText.TryField(ref line, out _);
            _ = ByteText.TryField(ref line, out ReadOnlySpan<byte> queues);
            int colon = queues.IndexOf((byte)':');
            if (colon > 0 && ByteText.TryHex(queues[..colon], out ulong t) && ByteText.TryHex(queues[(colon + 1)..], out ulong r))
            {
                transmit += t;
                receive += r;
            }
        }
        if (slots[0] < 0)
        {
            slots[0] = _queues.Add("queue", "tx", "ip", ip);
            slots[1] = _queues.Add("queue", "rx", "ip", ip);
        }
        _queues.Set(slots[0], transmit);
        _queues.Set(slots[1], receive);
        return true;
    }
}
