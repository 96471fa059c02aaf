namespace Bellwether.Agent.Collect.Host;

/// <summary>Socket counts from /proc/net/sockstat and sockstat6.</summary>
internal sealed class SockStatPart : HostPart
{
    private readonly HostContext _context;
    private readonly FilePath _v4;
    private readonly FilePath _v6;
    private readonly MetricFamily _used;
    private readonly ByteMap<ByteMap<Field>> _protocols;
    private readonly Func<string, ByteMap<Field>> _makeProtocol;
    private readonly Func<string, Field> _makeField;
    private string _protocol = "";

    public SockStatPart(HostContext context)
    {
        _context = context;
        _v4 = context.Files.Proc("net/sockstat");
        _v6 = context.Files.Proc("net/sockstat6");
        _used = context.Gauge("node_sockstat_sockets_used", "Number of IPv4 sockets in use.");
        _protocols = new ByteMap<ByteMap<Field>>(context);
        _makeProtocol = name =>
        {
            _protocol = name;
            return new ByteMap<Field>(context);
        };
        _makeField = MakeField;
    }

    /// <inheritdoc/>
    public override bool Collect()
    {
        // sockstat6 is missing where IPv6 is off.
        bool ok = CollectFile(_v4);
        _ = CollectFile(_v6);
        return ok;
    }

    private bool CollectFile(FilePath file)
    {
        if (!_context.Files.TryRead(file, out ReadOnlySpan<byte> text))
            return false;
        while (ByteText.TryLine(ref text, out ReadOnlySpan<byte> line))
        {
            int colon = line.IndexOf((byte)':');
            if (colon <= 0)
                continue;
            ReadOnlySpan<byte> protocol = line[..colon];
            ReadOnlySpan<byte> fields = line[(colon + 1)..];
            bool sockets = protocol.SequenceEqual("sockets"u8);
            ByteMap<Field>? map = sockets ? null : _protocols.Get(protocol, _makeProtocol);
            while (ByteText.TryField(ref fields, out ReadOnlySpan<byte> name) && ByteText.TryNumber(ref fields, out double value))
            {
                if (sockets)
                {
                    if (name.SequenceEqual("used"u8))
                        _used.Set(value);
                    continue;
                }
                Field field = map!.Get(name, _makeField);
                field.Family.Set(value);
                field.Bytes?.Set(value * Environment.SystemPageSize);
            }
        }
        return true;
    }

    private Field MakeField(string name)
    {
        MetricFamily Gauge(string field) => _context.Gauge($"node_sockstat_{_protocol}_{field}", $"Number of {_protocol} sockets in state {field}.");
        return new Field(Gauge(name), name == "mem" ? Gauge("mem_bytes") : null);
    }

    private sealed record Field(MetricFamily Family, MetricFamily? Bytes);
}
