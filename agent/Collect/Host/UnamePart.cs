using System.Text;

namespace Bellwether.Agent.Collect.Host;

/// <summary>Kernel and host name by uname(2).</summary>
internal sealed class UnamePart(HostContext context) : HostPart
{
    private const int FieldCount = 6;
    private static readonly string[] FieldLabels = ["sysname", "nodename", "release", "version", "machine", "domainname"];

    private readonly MetricFamily _info = context.Gauge("node_uname_info", "Labeled system information as provided by the uname system call.");
    private readonly byte[] _last = new byte[FieldCount * Libc.UtsFieldLength];
    private int _slot = -1;

    /// <inheritdoc/>
    public override bool Collect()
    {
        Span<byte> now = stackalloc byte[FieldCount * Libc.UtsFieldLength];
        now.Clear();
        if (Libc.Uname(now) != 0)
            return false;
        if (_slot < 0 || !now.SequenceEqual(_last))
        {
            now.CopyTo(_last);
            var labels = new string[FieldCount * 2];
            for (int i = 0; i < FieldCount; i++)
            {
                ReadOnlySpan<byte> field = now.Slice(i * Libc.UtsFieldLength, Libc.UtsFieldLength);
                int end = field.IndexOf((byte)0);
                labels[2 * i] = FieldLabels[i];
                labels[2 * i + 1] = Encoding.UTF8.GetString(end < 0 ? field : field[..end]);
            }
            _slot = _info.Add(labels);
        }
        _info.Set(_slot, 1);
        return true;
    }
}
