using Bellwether.Store;
using Bellwether.V1;

namespace Bellwether.Ingest;

/// <summary>What is known of one agent. Not thread-safe: the fleet's lock covers it.</summary>
/// <param name="id">Its id.</param>
internal sealed class KnownAgent(string id)
{
    private const int OffsetsKept = 16;

    /// <summary>Its id.</summary>
    public string Id => id;

    /// <summary>What it scrapes, as it told.</summary>
    public TargetBook Targets { get; } = new();

    /// <summary>What became of its samples, as it reported.</summary>
    public LedgerBook Ledger { get; } = new();

    /// <summary>Time of the newest tick of a source, Unix ms; 0: none.</summary>
    public long NewestOf(string source) => _sources.TryGetValue(source, out SourceCoverage? coverage) ? coverage.NewestMs : 0;

    private readonly Dictionary<string, SourceCoverage> _sources = new(StringComparer.Ordinal);
    private string _version = "";
    private Dictionary<string, string> _labels = [];
    private long _newestMs;
    private long _samples;

    /// <summary>Its open session; null: it has none.</summary>
    public FleetSession? Session { get; set; }

    /// <summary>The process that joined last.</summary>
    public string ProcessId { get; set; } = "";

    /// <summary>The process that was turned away for it.</summary>
    public string FencedProcessId { get; set; } = "";

    /// <summary>Whether it stopped on purpose.</summary>
    public bool SaidGoodbye { get; set; }

    /// <summary>When it was last heard of, Unix ms.</summary>
    public long LastSeenMs { get; set; }

    /// <summary>Everything before this is durable, Unix ms.</summary>
    public long WatermarkMs { get; set; }

    /// <summary>Records that are durable.</summary>
    public long Records { get; set; }

    /// <summary>Bytes that came.</summary>
    public long Bytes { get; set; }

    /// <summary>Records refused for good.</summary>
    public long Refused { get; set; }

    /// <summary>What its spool holds, bytes.</summary>
    public long SpoolBytes { get; set; }

    /// <summary>What its spool holds, records.</summary>
    public long SpoolRecords { get; set; }

    /// <summary>Time of the oldest of these, Unix ms.</summary>
    public long SpoolOldestMs { get; set; }

    /// <summary>The last differences of its clock and ours, ms.</summary>
    public Queue<double> Offsets { get; } = new();

    /// <summary>A message's way only makes the agent's clock look late: the largest of the last differences is nearest to the truth.</summary>
    public double OffsetMs => Offsets.Count == 0 ? 0 : Offsets.Max();

    /// <summary>A message came that says its time.</summary>
    public void Heard(long nowMs, long clockMs)
    {
        LastSeenMs = nowMs;
        Offsets.Enqueue(clockMs - nowMs);
        if (Offsets.Count > OffsetsKept)
            Offsets.Dequeue();
    }

    /// <summary>A target that was taken out owes nothing from its last tick on.</summary>
    public void Retarget(Targets targets, IngestOptions options)
    {
        foreach (string name in Targets.Take(targets, options))
        {
            if (_sources.TryGetValue(name, out SourceCoverage? source))
                source.HasEnded = true;
        }
        foreach (Target target in targets.Changed)
        {
            if (_sources.TryGetValue(target.Name, out SourceCoverage? source))
                source.HasEnded = false;
        }
    }

    /// <summary>A hello says what it is.</summary>
    public void Describe(string version, IEnumerable<KeyValuePair<string, string>> labels)
    {
        _version = version;
        _labels = new Dictionary<string, string>(labels);
    }

    /// <summary>A tick of it is durable.</summary>
    public void Tick(AppliedTick tick, long nowMs, IngestOptions options)
    {
        _samples += tick.Samples;
        _newestMs = Math.Max(_newestMs, Math.Min(tick.TimestampMs, nowMs));
        if (!_sources.TryGetValue(tick.Source, out SourceCoverage? source))
        {
            if (_sources.Count >= options.MaxSourcesPerAgent)
                return;
            _sources.Add(tick.Source, source = new SourceCoverage(tick.Source, (long)options.CoverageWindow.TotalMilliseconds));
        }
        // A tick of a clock that was ahead would stand for the newest until that time comes, and hold its place in the window so long.
        if (tick.TimestampMs - nowMs <= (long)options.CoverageWindow.TotalMilliseconds)
            source.Tick(tick.IntervalMs, tick.TimestampMs);
    }

    /// <summary>How it stands; sources that were taken out are forgotten.</summary>
    public AgentState Snapshot(long nowMs)
    {
        var sources = new List<SourceState>(_sources.Count);
        List<string>? gone = null;
        foreach (SourceCoverage source in _sources.Values)
        {
            SourceState state = source.At(nowMs);
            // A source without a tick in the whole window while others of the agent go on was taken out of its configuration, too.
            if (source.HasEnded ? nowMs - source.NewestMs > source.WindowMs : state.Due > 1 && state.Received == 0 && _newestMs - source.NewestMs > 2L * state.IntervalMs * (state.Due + 2))
                (gone ??= []).Add(source.Name);
            else
                sources.Add(state);
        }
        foreach (string name in gone ?? [])
            _sources.Remove(name);
        sources.Sort(static (a, b) => string.CompareOrdinal(a.Name, b.Name));
        return new AgentState
        {
            Id = id,
            Version = _version,
            Labels = _labels,
            Connected = Session is not null,
            SaidGoodbye = SaidGoodbye,
            LastSeenMs = LastSeenMs,
            NewestMs = _newestMs,
            WatermarkMs = WatermarkMs,
            ClockOffsetMs = OffsetMs,
            Records = Records,
            Bytes = Bytes,
            Samples = _samples,
            Refused = Refused,
            SpoolBytes = SpoolBytes,
            SpoolRecords = SpoolRecords,
            SpoolOldestMs = SpoolOldestMs,
            Sources = sources,
        };
    }
}
