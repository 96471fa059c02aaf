using System.Text.Json;
using Bellwether.Core.Durable;
using Bellwether.Core.Platform;

namespace Bellwether.Evaluate.Kpi;

/// <summary>
/// Versions of KPIs on disk, through the one durable log: one frame per version (docs/formats/kpi-versions.md). They are few, so nothing is ever freed. One thread at a time.
/// </summary>
internal sealed class KpiJournal : IDisposable
{
    private const ushort VersionKind = 1;
    private readonly SegmentLog _log;
    private readonly List<KpiVersion> _found = [];

    public KpiJournal(IDisk disk, string folder, TimeProvider time, Random random)
    {
        var options = new SegmentLogOptions { FileBytes = 16 << 20, PayloadBytesMax = 4 << 20, PendingBytesMax = 64 << 20, BytesMax = 256L << 20, SpareFiles = 1 };
        _log = SegmentLog.Open(disk, folder, options, time, random, Replay);
    }

    /// <summary>What was found at opening, in order.</summary>
    public IReadOnlyList<KpiVersion> Found => _found;

    /// <summary>Frames that could not be read.</summary>
    public long Unreadable { get; private set; }

    /// <summary>Writes versions; false: the disk does not take them now, and they are to be given again.</summary>
    public bool Write(IReadOnlyList<KpiVersion> versions)
    {
        bool appended = versions.All(v => _log.Append(VersionKind, JsonSerializer.SerializeToUtf8Bytes(v, KpiVersionJson.Default.KpiVersion), out _) == LogAppend.Appended);
        if (appended && _log.Sync() == LogSync.Durable)
            return true;
        _log.DiscardPending();
        return false;
    }

    public void Dispose() => _log.Dispose();

    private void Replay(ushort kind, ulong sequence, ulong file, ReadOnlySpan<byte> payload)
    {
        try
        {
            if (kind == VersionKind && JsonSerializer.Deserialize(payload, KpiVersionJson.Default.KpiVersion) is { } version)
                _found.Add(version);
            else
                Unreadable++;
        }
        catch (JsonException)
        {
            Unreadable++;
        }
    }
}
