using System.Buffers.Binary;
using System.Text.Json;
using Bellwether.Core.Durable;
using Bellwether.Core.Platform;

namespace Bellwether.Ingest.Completeness;

/// <summary>
/// The facts on disk, through the one durable log: each file opens with a snapshot (docs/ARCHITECTURE.md, idea 2), then one frame per change, which replaces what was known of its agent. A snapshot that
/// a crash cut short does not count; the files before it are freed only when it is whole. One thread at a time.
/// </summary>
internal sealed class FleetJournal : IDisposable
{
    private const ushort SnapshotBegins = 1;
    private const ushort SnapshotEnds = 2;
    private const ushort AgentKind = 3;
    private const ushort StrangerKind = 4;
    private const ushort AliveKind = 5;
    private readonly SegmentLog _log;
    private readonly int _fileBytes;
    private Dictionary<string, AgentFacts> _agents = new(StringComparer.Ordinal);
    private List<FleetEvent> _strangers = [];
    private (Dictionary<string, AgentFacts> Agents, List<FleetEvent> Strangers)? _before;
    private long _written;

    public FleetJournal(IDisk disk, string folder, CompletenessOptions options, TimeProvider time, Random random)
    {
        _fileBytes = options.JournalFileBytes;
        var log = new SegmentLogOptions { FileBytes = 1 << 30, PayloadBytesMax = 16 << 20, PendingBytesMax = 512 << 20, BytesMax = 2L << 30, SpareFiles = 1 };
        _log = SegmentLog.Open(disk, folder, log, time, random, Replay);
        if (_before is { } whole)
            (_agents, _strangers) = whole;
        _before = null;
    }

    /// <summary>What was found at opening.</summary>
    public IReadOnlyDictionary<string, AgentFacts> Agents => _agents;

    /// <summary>Events of unknown agents found at opening.</summary>
    public IReadOnlyList<FleetEvent> Strangers => _strangers;

    /// <summary>When the aggregator last wrote that it ran, Unix ms; 0: never.</summary>
    public long AliveMs { get; private set; }

    /// <summary>Frames that could not be read.</summary>
    public long Unreadable { get; private set; }

    /// <summary>Writes changes; false: the disk does not take them now, and they are to be given again.</summary>
    public bool Write(IEnumerable<AgentFacts> changed, IEnumerable<FleetEvent> strangers, long aliveMs, Func<(IEnumerable<AgentFacts> Agents, IEnumerable<FleetEvent> Strangers)> all)
    {
        bool appended;
        bool snapshot = _written == 0 || _written > _fileBytes;
        ulong first = 0;
        if (snapshot)
        {
            if (_log.Rotate() != LogSync.Durable)
                return Discard();
            (IEnumerable<AgentFacts> agents, IEnumerable<FleetEvent> events) = all();
            appended = Append(SnapshotBegins, [], out first) && AppendAll(agents, events, aliveMs) && Append(SnapshotEnds, [], out _);
        }
        else
        {
            appended = AppendAll(changed, strangers, aliveMs);
        }
        int pending = _log.PendingBytes;
        if (!appended || _log.Sync() != LogSync.Durable)
            return Discard();
        if (snapshot)
        {
            _log.FreeBelow(first);
            _written = 1;
        }
        else
        {
            _written += pending;
        }
        return true;
    }

    public void Dispose() => _log.Dispose();

    private bool Discard()
    {
        _log.DiscardPending();
        _written = 0;
        return false;
    }

    private bool AppendAll(IEnumerable<AgentFacts> agents, IEnumerable<FleetEvent> strangers, long aliveMs)
    {
        foreach (AgentFacts agent in agents)
        {
            if (!Append(AgentKind, JsonSerializer.SerializeToUtf8Bytes(agent, FactsJson.Default.AgentFacts), out _))
                return false;
        }
        foreach (FleetEvent each in strangers)
        {
            if (!Append(StrangerKind, JsonSerializer.SerializeToUtf8Bytes(each, FactsJson.Default.FleetEvent), out _))
                return false;
        }
        Span<byte> alive = stackalloc byte[8];
        BinaryPrimitives.WriteInt64LittleEndian(alive, aliveMs);
        return Append(AliveKind, alive, out _);
    }

    private bool Append(ushort kind, ReadOnlySpan<byte> payload, out ulong sequence) => _log.Append(kind, payload, out sequence) == LogAppend.Appended;

    private void Replay(ushort kind, ulong sequence, ulong file, ReadOnlySpan<byte> payload)
    {
        try
        {
            Take(kind, payload);
        }
        catch (JsonException)
        {
            Unreadable++;
        }
    }

    private void Take(ushort kind, ReadOnlySpan<byte> payload)
    {
        switch (kind)
        {
            case SnapshotBegins:
                _before ??= (_agents, _strangers);
                (_agents, _strangers) = (new Dictionary<string, AgentFacts>(StringComparer.Ordinal), []);
                break;
            case SnapshotEnds:
                _before = null;
                break;
            case AgentKind when JsonSerializer.Deserialize(payload, FactsJson.Default.AgentFacts) is { } agent:
                _agents[agent.Id] = agent;
                break;
            case StrangerKind when JsonSerializer.Deserialize(payload, FactsJson.Default.FleetEvent) is { } stranger:
                _strangers.Add(stranger);
                break;
            case AliveKind when payload.Length == 8:
                AliveMs = BinaryPrimitives.ReadInt64LittleEndian(payload);
                break;
            default:
                Unreadable++;
                break;
        }
    }
}
