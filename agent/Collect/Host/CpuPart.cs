namespace Bellwether.Agent.Collect.Host;

/// <summary>
/// CPU time by mode from /proc/stat. Per CPU the kernel's idle and iowait counters may go back by a little when a CPU goes to sleep; like node_exporter we hold the
/// larger value, and start afresh when idle falls by more than 3 s (the CPU was off-line).
/// </summary>
internal sealed class CpuPart : HostPart
{
    private const double TicksPerSecond = 100;
    private const double IdleJumpBackSeconds = 3;
    private const int IdleColumn = 3;
    private const int ColumnsMax = 10;
    private static readonly string[] Modes = ["user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal"];

    private readonly HostContext _context;
    private readonly FilePath _stat;
    private readonly MetricFamily _seconds;
    private readonly MetricFamily _guest;
    private readonly ByteMap<Cpu> _cpus;
    private readonly Func<string, Cpu> _makeCpu;
    private readonly CpuTopology _topology;
    private readonly CpuInfo? _info;

    public CpuPart(HostContext context)
    {
        _context = context;
        _stat = context.Files.Proc("stat");
        _seconds = context.Counter("node_cpu_seconds_total", "Seconds the CPUs spent in each mode.");
        _guest = context.Counter("node_cpu_guest_seconds_total", "Seconds the CPUs spent in guests (VMs) for each mode.");
        _cpus = new ByteMap<Cpu>(context);
        _makeCpu = MakeCpu;
        _topology = new CpuTopology(context);
        _info = context.Options.CpuInfo ? new CpuInfo(context) : null;
    }

    /// <inheritdoc/>
    public override bool Collect()
    {
        if (!_context.Files.TryRead(_stat, out ReadOnlySpan<byte> text))
            return false;
        bool any = false;
        while (ByteText.TryLine(ref text, out ReadOnlySpan<byte> line))
        {
            if (!line.StartsWith("cpu"u8))
                continue;
            line = line[3..];
            if (line.IsEmpty || line[0] == (byte)' ')
                continue;
            if (ByteText.TryField(ref line, out ReadOnlySpan<byte> number))
                any |= Set(_cpus.Get(number, _makeCpu), line);
        }
        _topology.Set();
        _info?.Set();
        return any;
    }

    private static bool Set(Cpu cpu, ReadOnlySpan<byte> fields)
    {
        Span<double> now = stackalloc double[ColumnsMax];
        int columns = 0;
        while (columns < ColumnsMax && ByteText.TryUnsigned(ref fields, out ulong ticks))
            now[columns++] = ticks / TicksPerSecond;
        if (columns <= IdleColumn)
            return false;
        bool restarted = now[IdleColumn] < cpu.Last[IdleColumn] - IdleJumpBackSeconds;
        for (int i = 0; i < columns; i++)
        {
            if (restarted || now[i] > cpu.Last[i])
                cpu.Last[i] = now[i];
            (i < Modes.Length ? cpu.Seconds : cpu.Guest).Set(cpu.Slots[i], cpu.Last[i]);
        }
        return true;
    }

    private Cpu MakeCpu(string number)
    {
        var cpu = new Cpu(_seconds, _guest);
        for (int i = 0; i < Modes.Length; i++)
            cpu.Slots[i] = _seconds.Add("cpu", number, "mode", Modes[i]);
        cpu.Slots[Modes.Length] = _guest.Add("cpu", number, "mode", "user");
        cpu.Slots[Modes.Length + 1] = _guest.Add("cpu", number, "mode", "nice");
        return cpu;
    }

    private sealed class Cpu(MetricFamily seconds, MetricFamily guest)
    {
        public MetricFamily Seconds { get; } = seconds;

        public MetricFamily Guest { get; } = guest;

        public int[] Slots { get; } = new int[ColumnsMax];

        public double[] Last { get; } = new double[ColumnsMax];
    }
}
