using System.Globalization;
using System.Text;
using System.Text.RegularExpressions;

namespace Bellwether.Agent.Collect.Host;

/// <summary>
/// Disk I/O from /proc/diskstats, and what udev knows of each device. Sectors are 512 bytes there whatever the disk's own are (Documentation/block/stat.rst).
/// Discard columns came with Linux 4.18, flush columns with 5.5.
/// </summary>
internal sealed class DiskPart : HostPart
{
    private const double SectorBytes = 512;
    private const double SecondsPerTick = 0.001;

    private readonly HostContext _context;
    private readonly FilePath _file;
    private readonly Regex _exclude;
    private readonly Column[] _columns;
    private readonly ByteMap<Device?> _devices;
    private readonly DiskIdentity _identity;
    private readonly Func<string, Device?> _makeDevice;
    private int _major;
    private int _minor;

    public DiskPart(HostContext context)
    {
        _context = context;
        _file = context.Files.Proc("diskstats");
        _exclude = new Regex(context.Options.DiskDeviceExclude, RegexOptions.CultureInvariant);
        _devices = new ByteMap<Device?>(context);
        _identity = new DiskIdentity(context);
        _makeDevice = MakeDevice;
        Column Counter(string name, string help, double scale = 1) => new(context.Counter("node_disk_" + name, help), scale);
        _columns =
        [
            Counter("reads_completed_total", "The total number of reads completed successfully."),
            Counter("reads_merged_total", "The total number of reads merged."),
            Counter("read_bytes_total", "The total number of bytes read successfully.", SectorBytes),
            Counter("read_time_seconds_total", "The total number of seconds spent by all reads.", SecondsPerTick),
            Counter("writes_completed_total", "The total number of writes completed successfully."),
            Counter("writes_merged_total", "The number of writes merged."),
            Counter("written_bytes_total", "The total number of bytes written successfully.", SectorBytes),
            Counter("write_time_seconds_total", "This is the total number of seconds spent by all writes.", SecondsPerTick),
            new(context.Gauge("node_disk_io_now", "The number of I/Os currently in progress."), 1),
            Counter("io_time_seconds_total", "Total seconds spent doing I/Os.", SecondsPerTick),
            Counter("io_time_weighted_seconds_total", "The weighted # of seconds spent doing I/Os.", SecondsPerTick),
            Counter("discards_completed_total", "The total number of discards completed successfully."),
            Counter("discards_merged_total", "The total number of discards merged."),
            Counter("discarded_sectors_total", "The total number of sectors discarded successfully."),
            Counter("discard_time_seconds_total", "This is the total number of seconds spent by all discards.", SecondsPerTick),
            Counter("flush_requests_total", "The total number of flush requests completed successfully"),
            Counter("flush_requests_time_seconds_total", "This is the total number of seconds spent by all flush requests.", SecondsPerTick),
        ];
    }

    /// <inheritdoc/>
    public override bool Collect()
    {
        if (!_context.Files.TryRead(_file, out ReadOnlySpan<byte> text))
            return false;
        bool newDevice = false;
        while (ByteText.TryLine(ref text, out ReadOnlySpan<byte> line))
        {
            if (!ByteText.TryUnsigned(ref line, out ulong major) || !ByteText.TryUnsigned(ref line, out ulong minor) || !ByteText.TryField(ref line, out ReadOnlySpan<byte> name))
                continue;
            _major = (int)major;
            _minor = (int)minor;
            Device? device = _devices.Get(name, _makeDevice);
            if (device is null)
                continue;
            for (int i = 0; i < _columns.Length && ByteText.TryUnsigned(ref line, out ulong value); i++)
            {
                ref int slot = ref device.Slots[i];
                if (slot == 0)
                    slot = _columns[i].Family.Add("device", device.Name) + 1;
                _columns[i].Family.Set(slot - 1, value * _columns[i].Scale);
            }
            newDevice |= device.Identity is null;
            device.Identity?.Set();
        }
        // Identity files are read apart: reading them would overwrite the buffer that the lines above stand in.
        if (newDevice)
            _devices.ForEach(device => { if (device is { Identity: null }) (device.Identity = _identity.Read(device.Name, device.Major, device.Minor)).Set(); });
        return true;
    }

    private Device? MakeDevice(string name) => _exclude.IsMatch(name) ? null : new Device(name, _major, _minor, new int[_columns.Length]);

    private sealed record Column(MetricFamily Family, double Scale);

    /// <summary>Slots are stored plus one; 0: no such column yet.</summary>
    private sealed record Device(string Name, int Major, int Minor, int[] Slots)
    {
        public DiskIdentitySeries? Identity { get; set; }
    }
}

/// <summary>The info series of one disk: constant until the device goes.</summary>
internal sealed class DiskIdentitySeries
{
    private readonly List<(MetricFamily Family, int Slot, double Value)> _series = [];

    /// <summary>Adds one.</summary>
    public void Add(MetricFamily family, int slot, double value) => _series.Add((family, slot, value));

    /// <summary>Sets all in the current tick.</summary>
    public void Set()
    {
        foreach ((MetricFamily family, int slot, double value) in _series)
            family.Set(slot, value);
    }
}

/// <summary>Reads udev's file of a block device (lines <c>E:KEY=VALUE</c>) into node_exporter's info series.</summary>
internal sealed class DiskIdentity(HostContext context)
{
    private static readonly string[] SerialKeys = ["SCSI_IDENT_SERIAL", "ID_SERIAL_SHORT", "ID_SERIAL"];

    private readonly MetricFamily _info = context.Gauge("node_disk_info", "Info of /sys/block/<block_device>.");
    private readonly MetricFamily _fileSystem = context.Gauge("node_disk_filesystem_info", "Info about disk filesystem.");
    private readonly MetricFamily _mapper = context.Gauge("node_disk_device_mapper_info", "Info about disk device mapper.");
    private readonly MetricFamily _writeCache = context.Gauge("node_disk_ata_write_cache", "ATA disk has a write cache.");
    private readonly MetricFamily _writeCacheEnabled = context.Gauge("node_disk_ata_write_cache_enabled", "ATA disk has its write cache enabled.");
    private readonly MetricFamily _rotation = context.Gauge("node_disk_ata_rotation_rate_rpm", "ATA disk rotation rate in RPMs (0 for SSDs).");

    /// <summary>Reads what is known of a device and adds its series.</summary>
    public DiskIdentitySeries Read(string device, int major, int minor)
    {
        var result = new DiskIdentitySeries();
        string majorText = major.ToString(CultureInfo.InvariantCulture);
        string minorText = minor.ToString(CultureInfo.InvariantCulture);
        Dictionary<string, string> udev = ReadUdev(majorText, minorText);
        string Get(string key) => udev.GetValueOrDefault(key, "");

        // The SCSI one is the drive's own; others may be a bridge's, and the long one has the model in it where there is a short one.
        string serial = SerialKeys.Select(Get).FirstOrDefault(s => s.Length > 0, "");
        string rotational = context.Files.ReadText(context.Files.Sys($"block/{device}/queue/rotational")) ?? "0";
        result.Add(_info, _info.Add("device", device, "major", majorText, "minor", minorText, "path", Get("ID_PATH"), "wwn", Get("ID_WWN"),
            "model", Get("ID_MODEL"), "serial", serial, "revision", Get("ID_REVISION"), "rotational", rotational), 1);
        if (Get("ID_FS_TYPE") is { Length: > 0 } type)
        {
            result.Add(_fileSystem, _fileSystem.Add("device", device, "type", type, "usage", Get("ID_FS_USAGE"), "uuid", Get("ID_FS_UUID"), "version", Get("ID_FS_VERSION")), 1);
        }
        if (Get("DM_NAME") is { Length: > 0 } name)
        {
            result.Add(_mapper, _mapper.Add("device", device, "name", name, "uuid", Get("DM_UUID"), "vg_name", Get("DM_VG_NAME"),
                "lv_name", Get("DM_LV_NAME"), "lv_layer", Get("DM_LV_LAYER")), 1);
        }
        if (Get("ID_ATA").Length > 0)
            AddAta(result, device, udev);
        return result;
    }

    private void AddAta(DiskIdentitySeries result, string device, Dictionary<string, string> udev)
    {
        foreach ((string key, MetricFamily family) in new[]
        {
            ("ID_ATA_WRITE_CACHE", _writeCache), ("ID_ATA_WRITE_CACHE_ENABLED", _writeCacheEnabled), ("ID_ATA_ROTATION_RATE_RPM", _rotation),
        })
        {
            if (udev.TryGetValue(key, out string? text) && double.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture, out double value))
                result.Add(family, family.Add("device", device), value);
        }
    }

    private Dictionary<string, string> ReadUdev(string major, string minor)
    {
        var values = new Dictionary<string, string>();
        if (!context.Files.TryRead(context.Files.Udev($"b{major}:{minor}"), out ReadOnlySpan<byte> text))
            return values;
        while (ByteText.TryLine(ref text, out ReadOnlySpan<byte> line))
        {
            int equals = line.IndexOf((byte)'=');
            if (equals > 2 && line.StartsWith("E:"u8))
                values[Encoding.UTF8.GetString(line[2..equals])] = Encoding.UTF8.GetString(line[(equals + 1)..]);
        }
        return values;
    }
}
