namespace Bellwether.Agent.Collect.Host;

/// <summary>Open files from /proc/sys/fs/file-nr.</summary>
internal sealed class FileDescriptorPart(HostContext context) : HostPart
{
    private readonly FilePath _file = context.Files.Proc("sys/fs/file-nr");
    private readonly MetricFamily _allocated = context.Gauge("node_filefd_allocated", "File descriptor statistics: allocated.");
    private readonly MetricFamily _maximum = context.Gauge("node_filefd_maximum", "File descriptor statistics: maximum.");

    /// <inheritdoc/>
    public override bool Collect()
    {
        if (!context.Files.TryRead(_file, out ReadOnlySpan<byte> text) || !ByteText.TryNumber(ref text, out double allocated)
            || !ByteText.TryNumber(ref text, out _) || !ByteText.TryField(ref text, out ReadOnlySpan<byte> last) || !ByteText.TryNumber(ByteText.Trim(last), out double maximum))
            return false;
        _allocated.Set(allocated);
        _maximum.Set(maximum);
        return true;
    }
}

/// <summary>The kernel's entropy pool.</summary>
internal sealed class EntropyPart(HostContext context) : HostPart
{
    private readonly FilePath _availableFile = context.Files.Proc("sys/kernel/random/entropy_avail");
    private readonly FilePath _poolFile = context.Files.Proc("sys/kernel/random/poolsize");
    private readonly MetricFamily _available = context.Gauge("node_entropy_available_bits", "Bits of available entropy.");
    private readonly MetricFamily _pool = context.Gauge("node_entropy_pool_size_bits", "Bits of entropy pool.");

    /// <inheritdoc/>
    public override bool Collect()
    {
        if (!context.Files.TryReadNumber(_availableFile, out double available) || !context.Files.TryReadNumber(_poolFile, out double pool))
            return false;
        _available.Set(available);
        _pool.Set(pool);
        return true;
    }
}

/// <summary>Connection tracking: entries, limit, and the per-CPU statistics added up (hexadecimal in the kernel's file).</summary>
internal sealed class ConntrackPart(HostContext context) : HostPart
{
    private static readonly string[] Wanted = ["found", "invalid", "ignore", "insert", "insert_failed", "drop", "early_drop", "search_restart"];
    private static readonly string[] Helps =
    [
        "Number of searched entries which were successful.", "Number of packets seen which can not be tracked.", "Number of packets seen which are already connected to a conntrack entry.",
        "Number of entries inserted into the list.", "Number of entries for which list insertion was attempted but failed.", "Number of packets dropped due to conntrack failure.",
        "Number of dropped conntrack entries to make room for new ones, if maximum table size was reached.", "Number of conntrack table lookups which had to be restarted due to hashtable resizes.",
    ];

    private readonly FilePath _countFile = context.Files.Proc("sys/net/netfilter/nf_conntrack_count");
    private readonly FilePath _limitFile = context.Files.Proc("sys/net/netfilter/nf_conntrack_max");
    private readonly FilePath _statFile = context.Files.Proc("net/stat/nf_conntrack");
    private readonly MetricFamily _count = context.Gauge("node_nf_conntrack_entries", "Number of currently allocated flow entries for connection tracking.");
    private readonly MetricFamily _limit = context.Gauge("node_nf_conntrack_entries_limit", "Maximum size of connection tracking table.");
    private readonly MetricFamily[] _stats = [.. Wanted.Select((name, i) => context.Gauge("node_nf_conntrack_stat_" + name, Helps[i]))];
    private readonly double[] _sums = new double[Wanted.Length];
    private byte[] _header = [];
    private int[] _columns = [];

    /// <inheritdoc/>
    public override bool Collect()
    {
        // Without the module there is nothing to count: node_exporter reports no data.
        if (!context.Files.TryReadNumber(_countFile, out double count) || !context.Files.TryReadNumber(_limitFile, out double limit))
            return false;
        _count.Set(count);
        _limit.Set(limit);
        if (!context.Files.TryRead(_statFile, out ReadOnlySpan<byte> text) || !ByteText.TryLine(ref text, out ReadOnlySpan<byte> header))
            return false;
        if (!header.SequenceEqual(_header))
        {
            _header = header.ToArray();
            string[] names = System.Text.Encoding.ASCII.GetString(header).Split(' ', StringSplitOptions.RemoveEmptyEntries);
            _columns = Array.ConvertAll(names, name => Array.IndexOf(Wanted, name));
        }
        Array.Clear(_sums);
        while (ByteText.TryLine(ref text, out ReadOnlySpan<byte> line))
        {
            for (int i = 0; i < _columns.Length && ByteText.TryField(ref line, out ReadOnlySpan<byte> field); i++)
            {
                if (_columns[i] >= 0 && ByteText.TryHex(field, out ulong value))
                    _sums[_columns[i]] += value;
            }
        }
        for (int i = 0; i < _stats.Length; i++)
            _stats[i].Set(_sums[i]);
        return true;
    }
}

/// <summary>What /etc/os-release says. Read again each time; series are made again only when its bytes change.</summary>
internal sealed class OsPart(HostContext context) : HostPart
{
    private static readonly string[] Keys =
    [
        "BUILD_ID", "ID", "ID_LIKE", "IMAGE_ID", "IMAGE_VERSION", "NAME", "PRETTY_NAME", "VARIANT", "VARIANT_ID", "VERSION", "VERSION_CODENAME", "VERSION_ID",
    ];

    private readonly FilePath[] _files = [context.Files.Root("etc/os-release"), context.Files.Root("usr/lib/os-release")];
    private readonly MetricFamily _info = context.Gauge("node_os_info", "A metric with a constant '1' value labeled by build_id, id, id_like, image_id, image_version, name, pretty_name, variant, variant_id, version, version_codename, version_id.");
    private readonly MetricFamily _version = context.Gauge("node_os_version", "Metric containing the major.minor part of the OS version.");
    private readonly MetricFamily _supportEnd = context.Gauge("node_os_support_end_timestamp_seconds", "Metric containing the end-of-life date timestamp of the OS.");
    private readonly List<(MetricFamily Family, int Slot, double Value)> _series = [];
    private byte[] _text = [];

    /// <inheritdoc/>
    public override bool Collect()
    {
        if (!context.Files.TryRead(_files[0], out ReadOnlySpan<byte> text) && !context.Files.TryRead(_files[1], out text))
            return false;
        if (!text.SequenceEqual(_text))
        {
            _text = text.ToArray();
            Make(Parse(System.Text.Encoding.UTF8.GetString(text)));
        }
        foreach ((MetricFamily family, int slot, double value) in _series)
            family.Set(slot, value);
        return true;
    }

    private static Dictionary<string, string> Parse(string text)
    {
        var values = new Dictionary<string, string>();
        foreach (string line in text.Split('\n', StringSplitOptions.TrimEntries))
        {
            int equals = line.IndexOf('=', StringComparison.Ordinal);
            if (equals > 0 && line[0] != '#')
                values[line[..equals]] = Unquote(line[(equals + 1)..]);
        }
        return values;
    }

    private static string Unquote(string value) =>
        value.Length >= 2 && (value[0] is '"' or '\'') && value[^1] == value[0]
            ? value[1..^1].Replace("\\\"", "\"", StringComparison.Ordinal).Replace("\\$", "$", StringComparison.Ordinal).Replace(@"\\", @"\", StringComparison.Ordinal)
            : value;

    private void Make(Dictionary<string, string> values)
    {
        _series.Clear();
        string Get(string key) => values.GetValueOrDefault(key, "");
        var labels = new List<string>();
        foreach (string key in Keys)
            labels.AddRange([key.ToLowerInvariant(), Get(key)]);
        _series.Add((_info, _info.Add([.. labels]), 1));
        string version = System.Text.RegularExpressions.Regex.Match(Get("VERSION_ID"), "^[0-9]+\\.?[0-9]*").Value;
        if (double.TryParse(version, System.Globalization.CultureInfo.InvariantCulture, out double number))
            _series.Add((_version, _version.Add("id", Get("ID"), "id_like", Get("ID_LIKE"), "name", Get("NAME")), number));
        if (DateOnly.TryParseExact(Get("SUPPORT_END"), "yyyy-MM-dd", System.Globalization.CultureInfo.InvariantCulture, System.Globalization.DateTimeStyles.None, out DateOnly end))
            _series.Add((_supportEnd, _supportEnd.Add(), new DateTimeOffset(end, TimeOnly.MinValue, TimeSpan.Zero).ToUnixTimeSeconds()));
    }
}

/// <summary>The machine's make from /sys/class/dmi/id: read once, it cannot change while the kernel runs.</summary>
internal sealed class DmiPart(HostContext context) : HostPart
{
    private static readonly string[] Fields =
    [
        "bios_date", "bios_release", "bios_vendor", "bios_version", "board_asset_tag", "board_name", "board_serial", "board_vendor", "board_version", "chassis_asset_tag", "chassis_serial",
        "chassis_vendor", "chassis_version", "product_family", "product_name", "product_serial", "product_sku", "product_uuid", "product_version", "sys_vendor",
    ];

    private readonly MetricFamily _info = context.Gauge("node_dmi_info", "A metric with a constant '1' value labeled by bios_date, bios_release, bios_vendor, bios_version, board_asset_tag, board_name, board_serial, board_vendor, board_version, chassis_asset_tag, chassis_serial, chassis_vendor, chassis_version, product_family, product_name, product_serial, product_sku, product_uuid, product_version, system_vendor if provided by DMI.");
    private int _slot = -1;
    private bool _read;

    /// <inheritdoc/>
    public override bool Collect()
    {
        if (!_read)
        {
            _read = true;
            var labels = new List<string>();
            foreach (string field in Fields)
            {
                if (context.Files.ReadText(context.Files.Sys("class/dmi/id/" + field)) is { } value)
                    labels.AddRange([field == "sys_vendor" ? "system_vendor" : field, value]);
            }
            if (labels.Count > 0)
                _slot = _info.Add([.. labels]);
        }
        _info.Set(_slot, 1);
        return _slot >= 0;
    }
}
