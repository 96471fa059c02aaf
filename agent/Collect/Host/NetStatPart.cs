using System.Text.RegularExpressions;

namespace Bellwether.Agent.Collect.Host;

/// <summary>Chosen protocol counters of /proc/net/netstat, snmp (a line of names, then a line of values) and snmp6 (a name and a value per line).</summary>
internal sealed class NetStatPart : HostPart
{
    private static readonly string[] Protocols6 = ["Icmp6", "Ip6", "UdpLite6", "Udp6"];

    private readonly HostContext _context;
    private readonly FilePath _netstat;
    private readonly FilePath _snmp;
    private readonly FilePath _snmp6;
    private readonly Regex _wanted;
    private readonly ByteMap<MetricFamily?> _fields6;
    private readonly ByteMap<Protocol> _protocols;
    private readonly Func<string, MetricFamily?> _makeField6;
    private readonly Func<string, Protocol> _makeProtocol;

    public NetStatPart(HostContext context)
    {
        _context = context;
        _netstat = context.Files.Proc("net/netstat");
        _snmp = context.Files.Proc("net/snmp");
        _snmp6 = context.Files.Proc("net/snmp6");
        _wanted = new Regex(context.Options.NetStatFields, RegexOptions.CultureInvariant);
        _fields6 = new ByteMap<MetricFamily?>(context);
        _protocols = new ByteMap<Protocol>(context);
        _makeField6 = MakeField6;
        _makeProtocol = name => new Protocol(name, this);
    }

    /// <inheritdoc/>
    public override bool Collect()
    {
        bool ok = CollectPairs(_netstat) & CollectPairs(_snmp);
        // No snmp6: IPv6 is off.
        if (_context.Files.TryRead(_snmp6, out ReadOnlySpan<byte> text))
        {
            while (ByteText.TryLine(ref text, out ReadOnlySpan<byte> line))
            {
                if (ByteText.TryField(ref line, out ReadOnlySpan<byte> name) && _fields6.Get(name, _makeField6) is { } family && ByteText.TryNumber(ref line, out double value))
                    family.Set(value);
            }
        }
        return ok;
    }

    private bool CollectPairs(FilePath file)
    {
        if (!_context.Files.TryRead(file, out ReadOnlySpan<byte> text))
            return false;
        while (ByteText.TryLine(ref text, out ReadOnlySpan<byte> names) && ByteText.TryLine(ref text, out ReadOnlySpan<byte> values))
        {
            int colon = names.IndexOf((byte)':');
            if (colon <= 0 || !values.StartsWith(names[..(colon + 1)]))
                return false;
            _protocols.Get(names[..colon], _makeProtocol).Set(names[(colon + 1)..], values[(colon + 1)..]);
        }
        return true;
    }

    private MetricFamily? MakeField6(string name)
    {
        foreach (string protocol in Protocols6)
        {
            if (name.StartsWith(protocol, StringComparison.Ordinal))
                return FamilyOf(protocol, name[protocol.Length..]);
        }
        return null;
    }

    private MetricFamily? FamilyOf(string protocol, string field)
    {
        string key = $"{protocol}_{field}";
        return _wanted.IsMatch(key) ? _context.Untyped("node_netstat_" + key, $"Statistic {protocol}{field}.") : null;
    }

    /// <summary>A protocol's columns, looked up again only when the line of names has changed.</summary>
    private sealed class Protocol(string name, NetStatPart part)
    {
        private byte[] _names = [];
        private MetricFamily?[] _families = [];

        public void Set(ReadOnlySpan<byte> names, ReadOnlySpan<byte> values)
        {
            if (!names.SequenceEqual(_names))
            {
                _names = names.ToArray();
                string[] fields = System.Text.Encoding.UTF8.GetString(names).Split(' ', StringSplitOptions.RemoveEmptyEntries);
                _families = Array.ConvertAll(fields, field => part.FamilyOf(name, field));
            }
            foreach (MetricFamily? family in _families)
            {
                if (!ByteText.TryField(ref values, out ReadOnlySpan<byte> text))
                    return;
                if (family is not null && ByteText.TryNumber(text, out double value))
                    family.Set(value);
            }
        }
    }
}
