namespace Bellwether.Agent.Collect.Host;

/// <summary>Settings of the host collector. Names and defaults follow node_exporter's flags.</summary>
public sealed record HostCollectorOptions
{
    /// <summary>How often it is due. Default 15 s.</summary>
    public TimeSpan Interval { get; init; } = TimeSpan.FromSeconds(15);

    /// <summary>Value of the label <c>job</c>. Default <c>node</c>, as dashboards expect; empty: no such label.</summary>
    public string Job { get; init; } = "node";

    /// <summary>Value of the label <c>instance</c>: the agent's id. Empty: no such label.</summary>
    public string Instance { get; init; } = "";

    /// <summary>More labels on every series; they do not replace labels of the metrics themselves.</summary>
    public IReadOnlyDictionary<string, string> Labels { get; init; } = new Dictionary<string, string>();

    /// <summary>Collectors on beside the default ones (<see cref="HostCollector.CollectorNames"/> has all).</summary>
    public IReadOnlyList<string> Enable { get; init; } = [];

    /// <summary>Default collectors that are off.</summary>
    public IReadOnlyList<string> Disable { get; init; } = [];

    /// <summary>Where procfs is. Default <c>/proc</c>.</summary>
    public string ProcPath { get; init; } = "/proc";

    /// <summary>Where sysfs is. Default <c>/sys</c>.</summary>
    public string SysPath { get; init; } = "/sys";

    /// <summary>Where the host's root file system is mounted. Default <c>/</c>.</summary>
    public string RootPath { get; init; } = "/";

    /// <summary>Where udev keeps what it knows of block devices. Default <c>/run/udev/data</c>.</summary>
    public string UdevDataPath { get; init; } = "/run/udev/data";

    /// <summary>Series at most; more are refused and counted. Default 20,000.</summary>
    public int SeriesMax { get; init; } = 20_000;

    /// <summary>Whether <c>node_cpu_info</c>, <c>node_cpu_flag_info</c>, <c>node_cpu_bug_info</c> and the frequency from /proc/cpuinfo are written. Default off.</summary>
    public bool CpuInfo { get; init; }

    /// <summary>CPU flags to write (a regular expression, anchored); empty: none.</summary>
    public string CpuFlagsInclude { get; init; } = "";

    /// <summary>CPU bugs to write (a regular expression, anchored); empty: none.</summary>
    public string CpuBugsInclude { get; init; } = "";

    /// <summary>Block devices left out (a regular expression).</summary>
    public string DiskDeviceExclude { get; init; } = @"^(z?ram|loop|fd|(h|s|v|xv)d[a-z]|nvme\d+n\d+p)\d+$";

    /// <summary>Mount points left out (a regular expression).</summary>
    public string MountPointExclude { get; init; } = "^/(dev|proc|run/credentials/.+|sys|var/lib/docker/.+|var/lib/containers/storage/.+)($|/)";

    /// <summary>File system types left out (a regular expression).</summary>
    public string FileSystemTypeExclude { get; init; } =
        "^(autofs|binfmt_misc|bpf|cgroup2?|configfs|debugfs|devpts|devtmpfs|fusectl|hugetlbfs|iso9660|mqueue|nsfs|overlay|proc|procfs|pstore|rpc_pipefs|securityfs|selinuxfs|squashfs|erofs|sysfs|tracefs)$";

    /// <summary>How long the file system of one mount may take to answer before it counts as hung. Default 5 s; it is asked again only when it has answered.</summary>
    public TimeSpan MountTimeout { get; init; } = TimeSpan.FromSeconds(5);

    /// <summary>Network devices left out of netdev (a regular expression); empty: none.</summary>
    public string NetDevExclude { get; init; } = "";

    /// <summary>Network devices that netdev is limited to (a regular expression); empty: all.</summary>
    public string NetDevInclude { get; init; } = "";

    /// <summary>Network devices left out of netclass (a regular expression); empty: none.</summary>
    public string NetClassExclude { get; init; } = "";

    /// <summary>Whether <c>node_network_speed_bytes</c> is left out where the driver gives a negative speed. Default off, as in node_exporter.</summary>
    public bool NetClassIgnoreInvalidSpeed { get; init; }

    /// <summary>Devices left out of arp (a regular expression); empty: none.</summary>
    public string ArpDeviceExclude { get; init; } = "";

    /// <summary>Hardware monitor chips that hwmon is limited to (a regular expression); empty: all.</summary>
    public string HwmonChipInclude { get; init; } = "";

    /// <summary>Whether stat also writes <c>node_softirqs_total</c>. Default off.</summary>
    public bool StatSoftirqs { get; init; }

    /// <summary>Fields of /proc/vmstat to write (a regular expression).</summary>
    public string VmStatFields { get; init; } = "^(oom_kill|pgpg|pswp|pg.*fault).*";

    /// <summary>Fields of /proc/net/netstat, snmp and snmp6 to write (a regular expression).</summary>
    public string NetStatFields { get; init; } =
        "^(.*_(InErrors|InErrs)|Ip_Forwarding|Ip(6|Ext)_(InOctets|OutOctets)|Icmp6?_(InMsgs|OutMsgs)|TcpExt_(Listen.*|Syncookies.*|TCPSynRetrans|TCPTimeouts|TCPOFOQueue|TCPRcvQDrop)|Tcp_(ActiveOpens|InSegs|OutSegs|OutRsts|PassiveOpens|RetransSegs|CurrEstab)|Udp6?_(InDatagrams|OutDatagrams|NoPorts|RcvbufErrors|SndbufErrors))$";
}
