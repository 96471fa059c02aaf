namespace Bellwether.Agent.Collect.Host;

/// <summary>Load averages from /proc/loadavg.</summary>
internal sealed class LoadPart : HostPart
{
    private readonly HostContext _context;
    private readonly FilePath _file;
    private readonly MetricFamily[] _families;

    public LoadPart(HostContext context)
    {
        _context = context;
        _file = context.Files.Proc("loadavg");
        _families =
        [
            context.Gauge("node_load1", "1m load average."),
            context.Gauge("node_load5", "5m load average."),
            context.Gauge("node_load15", "15m load average."),
        ];
    }

    /// <inheritdoc/>
    public override bool Collect()
    {
        if (!_context.Files.TryRead(_file, out ReadOnlySpan<byte> text))
            return false;
        foreach (MetricFamily family in _families)
        {
            if (!ByteText.TryNumber(ref text, out double value))
                return false;
            family.Set(value);
        }
        return true;
    }
}
