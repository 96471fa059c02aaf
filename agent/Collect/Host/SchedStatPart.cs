namespace Bellwether.Agent.Collect.Host;

/// <summary>Scheduler statistics per CPU, from /proc/schedstat.</summary>
internal sealed class SchedStatPart(HostContext context) : HostPart
{
    private const double NanosecondsPerSecond = 1e9;
    private const int FieldsBefore = 6;

    private readonly FilePath _file = context.Files.Proc("schedstat");
    private readonly MetricFamily _running = context.Counter("node_schedstat_running_seconds_total", "Number of seconds CPU spent running a process.");
    private readonly MetricFamily _waiting = context.Counter("node_schedstat_waiting_seconds_total", "Number of seconds spent by processing waiting for this CPU.");
    private readonly MetricFamily _slices = context.Counter("node_schedstat_timeslices_total", "Number of timeslices executed by CPU.");
    private readonly ByteMap<int[]> _cpus = new(context);
    private Func<string, int[]>? _make;

    /// <inheritdoc/>
    public override bool Collect()
    {
        if (!context.Files.TryRead(_file, out ReadOnlySpan<byte> text))
            return false;
        _make ??= cpu => [_running.Add("cpu", cpu), _waiting.Add("cpu", cpu), _slices.Add("cpu", cpu)];
        while (ByteText.TryLine(ref text, out ReadOnlySpan<byte> line))
        {
            if (!line.StartsWith("cpu"u8) || !ByteText.TryField(ref line, out ReadOnlySpan<byte> cpu))
                continue;
            for (int i = 0; i < FieldsBefore; i++)
                _ = ByteText.TryField(ref line, out _);
            if (!ByteText.TryUnsigned(ref line, out ulong running) || !ByteText.TryUnsigned(ref line, out ulong waiting) || !ByteText.TryUnsigned(ref line, out ulong slices))
                continue;
            int[] slots = _cpus.Get(cpu[3..], _make);
            _running.Set(slots[0], running / NanosecondsPerSecond);
            _waiting.Set(slots[1], waiting / NanosecondsPerSecond);
            _slices.Set(slots[2], slices);
        }
        return true;
    }
}
