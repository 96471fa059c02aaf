using Bellwether.Agent.Collect.Host;

namespace Bellwether.Agent.Tests.Collect.Host;

/// <summary>A made-up procfs and sysfs in a temporary folder.</summary>
internal sealed class HostTree : IDisposable
{
    public const string NetDevHeader = "Inter-|   Receive                                                |  Transmit\n face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed\n";

    private static readonly string[] OffHere = ["uname", "time", "os", "dmi", "conntrack", "entropy"];

    public string Folder { get; } = Directory.CreateTempSubdirectory("bellwether-host-").FullName;

    /// <summary>Roots in this tree, no job label, and nothing that asks the real machine.</summary>
    public HostCollectorOptions Options => new()
    {
        Job = "",
        ProcPath = Path.Combine(Folder, "proc"),
        SysPath = Path.Combine(Folder, "sys"),
        RootPath = Folder,
        UdevDataPath = Path.Combine(Folder, "udev"),
        Disable = [.. HostCollector.DefaultCollectorNames.Where(OffHere.Contains)],
    };

    public HostCollector Collector(Func<HostCollectorOptions, HostCollectorOptions>? change = null) =>
        new((change ?? (o => o))(Options), TimeProvider.System, new MountProbe(_ => new MountAnswer(true, null, 100, 50, 40, 10, 5)));

    public void Write(string path, string text)
    {
        string full = Path.Combine(Folder, path);
        Directory.CreateDirectory(Path.GetDirectoryName(full)!);
        File.WriteAllText(full, text);
    }

    public void WriteDefaults()
    {
        Write("proc/stat", "cpu  1 2 3 4 5 6 7 8 9 10\ncpu0 100 200 300 400 500 600 700 800 900 1000\nintr 5 1 2\nctxt 6\nbtime 7\nprocesses 8\nprocs_running 1\nprocs_blocked 0\n");
        Write("proc/meminfo", "MemTotal:  1024 kB\nActive(anon): 2 kB\nHugePages_Total: 3\n");
        Write("proc/loadavg", "0.5 0.25 0.125 1/100 4321\n");
        Write("proc/diskstats", "   8       0 sda 1 2 3 4 5 6 7 8 9 10 11\n   7       0 loop0 1 2 3 4 5 6 7 8 9 10 11\n");
        Write("proc/1/mountinfo", "22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n23 22 0:5 / /proc rw - proc proc rw\n");
        Write("proc/net/dev", NetDevHeader + "  eth0: 1000 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16\n");
        Write("proc/net/netstat", "TcpExt: SyncookiesSent Other\nTcpExt: 3 4\n");
        Write("proc/net/snmp", "Tcp: RtoAlgorithm CurrEstab\nTcp: 1 42\n");
        Write("proc/net/sockstat", "sockets: used 10\nTCP: inuse 1 mem 2\n");
        Write("proc/vmstat", "nr_free_pages 1\npgfault 2\noom_kill 0\n");
        Write("proc/sys/fs/file-nr", "10\t0\t1000\n");
        Write("proc/pressure/cpu", "some avg10=0.00 avg60=0.00 avg300=0.00 total=2000000\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=0\n");
        Write("sys/class/net/eth0/operstate", "up\n");
        Write("sys/class/net/eth0/ifindex", "2\n");
        Write("sys/class/net/eth0/flags", "0x1003\n");
    }

    public void Dispose() => Directory.Delete(Folder, recursive: true);
}
