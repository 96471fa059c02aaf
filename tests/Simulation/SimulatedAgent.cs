using System.Diagnostics.Metrics;
using Bellwether.Agent.Spool;
using Bellwether.Agent.Stream;
using Bellwether.Core.Codec;
using Bellwether.Core.Durable;
using Bellwether.Core.Model;
using Bellwether.Kit;

namespace Bellwether.Simulation;

/// <summary>One machine with an agent: its disk, clock and process. The process is what ships below collection and transport. Not thread-safe.</summary>
internal sealed class SimulatedAgent
{
    private const int Sources = 2;
    private const string Folder = "/agent";

    /// <summary>Where its log's files are.</summary>
    public const string LogFolder = Folder + "/log";

    private readonly SimulatedWorld _world;
    private readonly Random _random;
    private readonly SpoolOptions _options;
    private readonly List<(string Source, long TimeMs)> _waiting = [];
    private readonly SourceTick[] _ticks = new SourceTick[Sources];
    private readonly SourceTable[] _tables = new SourceTable[Sources];
    private readonly SyncedWatermark _watermark = new();
    private Meter? _meter;
    private int _processes;

    public SimulatedAgent(SimulatedWorld world, string name, string identity, int seed, bool smallSpool)
    {
        _world = world;
        Name = name;
        Identity = identity;
        _random = new Random(seed);
        Disk = new FaultyDisk(new Random(seed + 1));
        _options = new SpoolOptions { SegmentBytes = 2 << 10, BytesMax = smallSpool ? 12 << 10 : 64 << 20, SegmentAge = TimeSpan.FromMinutes(2), PendingBytesMax = 4 << 10, AgeMax = TimeSpan.FromDays(60) };
    }

    /// <summary>The machine; the source's names begin with it.</summary>
    public string Name { get; }

    /// <summary>Who it says it is.</summary>
    public string Identity { get; set; }

    /// <summary>Its ledger does not tell all of its samples: its folder was copied or lost.</summary>
    public bool LedgerIsCut { get; set; }

    /// <summary>What the ledger of the process that ended last said to be produced, and dropped.</summary>
    public (long Produced, long Dropped) Before { get; private set; }

    public FaultyDisk Disk { get; set; }

    public VirtualTime Clock { get; } = new();

    public LogSpool? Spool { get; private set; }

    public Link? Link { get; set; }

    public long RetryAtMs { get; set; }

    /// <summary>Starts the process. False: the disk did not let it.</summary>
    public void Start()
    {
        _meter = new Meter("agent");
        Spool = LogSpool.Open(Disk, Folder, _options, Clock, new Random(_random.Next()), _meter);
        _processes++;
        for (int i = 0; i < Sources; i++)
        {
            _tables[i] = new SourceTable($"{Name}/{i}", 1000);
            for (int s = 0; s < Oracle.SeriesPerSource; s++)
                _tables[i].Add(new LabelsBuilder().Set("__name__", "sim").Set("source", _tables[i].Name).Set("series", s.ToString(System.Globalization.CultureInfo.InvariantCulture)).Build());
            _ticks[i] = new SourceTick();
        }
    }

    /// <summary>The process is gone, with all that it did not write.</summary>
    public void Stop(bool inOrder)
    {
        if (Spool is not null)
        {
            (long produced, long _, long dropped, long _, string _) = Ledger();
            Before = (produced, dropped);
        }
        if (inOrder)
            Spool?.Dispose();
        Spool = null;
        _waiting.Clear();
        _meter?.Dispose();
        _meter = null;
    }

    /// <summary>Collects one tick of one source.</summary>
    public (string Source, long TimeMs, SpoolAppend Outcome) Collect()
    {
        int i = _random.Next(Sources);
        string source = _tables[i].Name;
        long time = _world.Oracle.FreeTime(source, Clock.NowMs);
        _ticks[i].Begin(_tables[i], time);
        for (int s = 0; s < Oracle.SeriesPerSource; s++)
            _ticks[i].Set(s, Oracle.ValueOf(source, s, time));
        _ticks[i].Complete();
        _world.Oracle.Produced(source, time);
        int before = _waiting.Count;
        SpoolAppend outcome = Spool!.Append(_ticks[i]);
        if (outcome == SpoolAppend.Appended)
            _waiting.Add((source, time));
        else if (before > 0 && Spool.Statistics.PendingBytes == 0)
            _waiting.Clear(); // what waited was given up with it, counted
        return (source, time, outcome);
    }

    /// <summary>One sync for what was collected since the last.</summary>
    public LogSync Sync()
    {
        LogSync outcome = Spool!.Sync();
        if (outcome != LogSync.Durable)
            return outcome;
        foreach ((string source, long time) in _waiting)
            _world.Oracle.Durable(source, time);
        _waiting.Clear();
        _watermark.Publish(Clock.NowMs);
        return outcome;
    }

    public StreamSession NewSession() => new(new StreamIdentity { AgentId = Identity, Version = "1", ProcessId = $"{Name}-{_processes}" }, Spool!, _watermark);

    /// <summary>What the spool's ledger says: handed over, still held, dropped, of that by damage, and why in words.</summary>
    public (long Produced, long Buffered, long Dropped, long Damaged, string Reasons) Ledger()
    {
        var sources = new List<SourceLedger>();
        Spool!.ListLedger(sources);
        var reasons = new SortedDictionary<string, long>(StringComparer.Ordinal);
        foreach (KeyValuePair<string, DropCount> drop in sources.SelectMany(s => s.Dropped))
            reasons[drop.Key] = reasons.GetValueOrDefault(drop.Key) + drop.Value.Samples;
        return (sources.Sum(s => s.Produced), sources.Sum(s => s.Buffered.Samples), reasons.Values.Sum(),
            reasons.GetValueOrDefault(SpoolDropReasons.Damaged), string.Join(", ", reasons.Select(r => $"{r.Key} {r.Value}")));
    }
}
