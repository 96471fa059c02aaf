namespace Bellwether.Agent.Collect.Host;

/// <summary>Boot time, context switches, interrupts, forks and process counts from /proc/stat.</summary>
internal sealed class StatPart : HostPart
{
    private static readonly string[] SoftirqVectors = ["hi", "timer", "net_tx", "net_rx", "block", "block_iopoll", "tasklet", "sched", "hrtimer", "rcu"];

    private readonly HostContext _context;
    private readonly FilePath _stat;
    private readonly MetricFamily _interrupts;
    private readonly MetricFamily _switches;
    private readonly MetricFamily _forks;
    private readonly MetricFamily _boot;
    private readonly MetricFamily _running;
    private readonly MetricFamily _blocked;
    private readonly MetricFamily _softirqs;
    private int[]? _softirqSlots;

    public StatPart(HostContext context)
    {
        _context = context;
        _stat = context.Files.Proc("stat");
        _interrupts = context.Counter("node_intr_total", "Total number of interrupts serviced.");
        _switches = context.Counter("node_context_switches_total", "Total number of context switches.");
        _forks = context.Counter("node_forks_total", "Total number of forks.");
        _boot = context.Gauge("node_boot_time_seconds", "Node boot time, in unixtime.");
        _running = context.Gauge("node_procs_running", "Number of processes in runnable state.");
        _blocked = context.Gauge("node_procs_blocked", "Number of processes blocked waiting for I/O to complete.");
        _softirqs = context.Counter("node_softirqs_total", "Number of softirq calls.");
    }

    /// <inheritdoc/>
    public override bool Collect()
    {
        if (!_context.Files.TryRead(_stat, out ReadOnlySpan<byte> text))
            return false;
        while (ByteText.TryLine(ref text, out ReadOnlySpan<byte> line))
        {
            if (line.StartsWith("cpu"u8) || !ByteText.TryField(ref line, out ReadOnlySpan<byte> name))
                continue;
            if (name.SequenceEqual("softirq"u8))
                SetSoftirqs(line);
            else if (FamilyOf(name) is { } family && ByteText.TryNumber(ref line, out double value))
                family.Set(value);
        }
        return true;
    }

    private MetricFamily? FamilyOf(ReadOnlySpan<byte> name)
    {
        if (name.SequenceEqual("intr"u8))
            return _interrupts;
        if (name.SequenceEqual("ctxt"u8))
            return _switches;
        if (name.SequenceEqual("processes"u8))
            return _forks;
        if (name.SequenceEqual("btime"u8))
            return _boot;
        if (name.SequenceEqual("procs_running"u8))
            return _running;
        return name.SequenceEqual("procs_blocked"u8) ? _blocked : null;
    }

    private void SetSoftirqs(ReadOnlySpan<byte> fields)
    {
        if (!_context.Options.StatSoftirqs || !ByteText.TryNumber(ref fields, out _))
            return;
        _softirqSlots ??= Array.ConvertAll(SoftirqVectors, vector => _softirqs.Add("vector", vector));
        for (int i = 0; i < _softirqSlots.Length && ByteText.TryNumber(ref fields, out double value); i++)
            _softirqs.Set(_softirqSlots[i], value);
    }
}
