using System.Text.RegularExpressions;

namespace Bellwether.Agent.Collect.Host;

/// <summary>Chosen fields of /proc/vmstat.</summary>
internal sealed class VmStatPart : HostPart
{
    private readonly HostContext _context;
    private readonly FilePath _file;
    private readonly Regex _fields;
    private readonly ByteMap<MetricFamily?> _families;
    private readonly Func<string, MetricFamily?> _make;

    public VmStatPart(HostContext context)
    {
        _context = context;
        _file = context.Files.Proc("vmstat");
        _fields = new Regex(context.Options.VmStatFields, RegexOptions.CultureInvariant);
        _families = new ByteMap<MetricFamily?>(context);
        _make = name => _fields.IsMatch(name) ? context.Untyped("node_vmstat_" + name, $"/proc/vmstat information field {name}.") : null;
    }

    /// <inheritdoc/>
    public override bool Collect()
    {
        if (!_context.Files.TryRead(_file, out ReadOnlySpan<byte> text))
            return false;
        while (ByteText.TryLine(ref text, out ReadOnlySpan<byte> line))
        {
            if (ByteText.TryField(ref line, out ReadOnlySpan<byte> name) && _families.Get(name, _make) is { } family && ByteText.TryNumber(ref line, out double value))
                family.Set(value);
        }
        return true;
    }
}
