using System.Globalization;
using Bellwether.Core.Model;

namespace Bellwether.Agent.Collect.Host;

/// <summary>Every field of /proc/meminfo: <c>Active(anon)</c> in kB becomes <c>node_memory_Active_anon_bytes</c>.</summary>
internal sealed class MemoryPart : HostPart
{
    private readonly HostContext _context;
    private readonly FilePath _file;
    private readonly ByteMap<Field> _fields;
    private readonly Func<string, Field> _makeBytes;
    private readonly Func<string, Field> _makePlain;

    public MemoryPart(HostContext context)
    {
        _context = context;
        _file = context.Files.Proc("meminfo");
        _fields = new ByteMap<Field>(context);
        _makeBytes = MakeBytes;
        _makePlain = MakePlain;
    }

    /// <inheritdoc/>
    public override bool Collect()
    {
        if (!_context.Files.TryRead(_file, out ReadOnlySpan<byte> text))
            return false;
        while (ByteText.TryLine(ref text, out ReadOnlySpan<byte> line))
        {
            int colon = line.IndexOf((byte)':');
            if (colon <= 0)
                continue;
            ReadOnlySpan<byte> rest = line[(colon + 1)..];
            if (!ByteText.TryNumber(ref rest, out double value))
                continue;
            bool kilobytes = ByteText.TryField(ref rest, out ReadOnlySpan<byte> unit) && unit.SequenceEqual("kB"u8);
            Field field = _fields.Get(line[..colon], kilobytes ? _makeBytes : _makePlain);
            field.Family.Set(value * field.Scale);
        }
        return true;
    }

    private Field MakeBytes(string name) => Make(MetricNameOf(name) + "_bytes", 1024);

    private Field MakePlain(string name) => Make(MetricNameOf(name), 1);

    private Field Make(string name, double scale)
    {
        string help = string.Create(CultureInfo.InvariantCulture, $"Memory information field {name}.");
        MetricType type = name.EndsWith("_total", StringComparison.Ordinal) ? MetricType.Counter : MetricType.Gauge;
        return new Field(new MetricFamily(_context.Series, "node_memory_" + name, type, help), scale);
    }

    private static string MetricNameOf(string field) => field.Replace("(", "_", StringComparison.Ordinal).Replace(")", "", StringComparison.Ordinal);

    private sealed record Field(MetricFamily Family, double Scale);
}
