namespace Bellwether.Agent.Collect.Host;

/// <summary>Pressure stall information (PSI) from /proc/pressure; totals are in microseconds there.</summary>
internal sealed class PressurePart : HostPart
{
    private readonly HostContext _context;
    private readonly Resource[] _resources;

    public PressurePart(HostContext context)
    {
        _context = context;
        _resources =
        [
            new(context.Files.Proc("pressure/cpu"),
                context.Counter("node_pressure_cpu_waiting_seconds_total", "Total time in seconds that processes have waited for CPU time"), null),
            new(context.Files.Proc("pressure/io"),
                context.Counter("node_pressure_io_waiting_seconds_total", "Total time in seconds that processes have waited due to IO congestion"),
                context.Counter("node_pressure_io_stalled_seconds_total", "Total time in seconds no process could make progress due to IO congestion")),
            new(context.Files.Proc("pressure/memory"),
                context.Counter("node_pressure_memory_waiting_seconds_total", "Total time in seconds that processes have waited for memory"),
                context.Counter("node_pressure_memory_stalled_seconds_total", "Total time in seconds no process could make progress due to memory congestion")),
            new(context.Files.Proc("pressure/irq"), null,
                context.Counter("node_pressure_irq_stalled_seconds_total", "Total time in seconds no process could make progress due to IRQ congestion")),
        ];
    }

    /// <inheritdoc/>
    public override bool Collect()
    {
        bool any = false;
        foreach (Resource resource in _resources)
        {
            if (!_context.Files.TryRead(resource.File, out ReadOnlySpan<byte> text))
                continue;
            any = true;
            while (ByteText.TryLine(ref text, out ReadOnlySpan<byte> line))
            {
                MetricFamily? family = line.StartsWith("some "u8) ? resource.Some : line.StartsWith("full "u8) ? resource.Full : null;
                int total = line.IndexOf("total="u8);
                if (family is not null && total > 0 && ByteText.TryUnsigned(line[(total + 6)..], out ulong microseconds))
                    family.Set(microseconds / 1000.0 / 1000.0);
            }
        }
        return any;
    }

    private sealed record Resource(FilePath File, MetricFamily? Some, MetricFamily? Full);
}
