using System.Diagnostics.Metrics;
using Bellwether.Core.Model;
using Bellwether.Core.Telemetry;
using Bellwether.Ingest.Completeness;
using Bellwether.Store;
using Bellwether.V1;

namespace Bellwether.Ingest;

/// <summary>What became of a session that wants to join.</summary>
internal enum JoinOutcome
{
    /// <summary>It is the agent's session now; an older one was fenced if there was one.</summary>
    Joined,
    /// <summary>A newer process of the same identity is there.</summary>
    Fenced,
    /// <summary>The fleet is full.</summary>
    Full,
}

/// <summary>
/// All agents that the aggregator knows, and how far their event time has come. Of two processes with one identity the newer wins: the older session ends, and its
/// process is turned away while the newer one is there. Thread-safe.
/// </summary>
public sealed class AgentFleet : IIngestProgress
{
    private readonly Lock _gate = new();
    private readonly Dictionary<string, KnownAgent> _agents = new(StringComparer.Ordinal);
    private readonly IngestOptions _options;
    private readonly TimeProvider _time;

    /// <summary>Makes an empty fleet and its instruments.</summary>
    public AgentFleet(IngestOptions options, TimeProvider time, Meter meter)
    {
        _options = options;
        _time = time;
        meter.CreateObservableGauge(MetricNames.IngestAgentsConnected, () => Agents().Count(a => a.Connected), description: "Agents with an open session.");
        meter.CreateObservableGauge(MetricNames.IngestClockOffsetSeconds, () => PerAgent(a => a.ClockOffsetMs / 1000), unit: "seconds", description: "An agent's clock minus ours.");
        meter.CreateObservableGauge(MetricNames.IngestLagSeconds, () => PerAgent(a => a.NewestMs == 0 ? null : (NowMs - a.NewestMs) / 1000.0), unit: "seconds", description: "Now minus the time of an agent's newest record.");
        meter.CreateObservableGauge(MetricNames.IngestCoverageRatio, () => PerAgent(a => a.Coverage), unit: "ratio", description: "Ticks received over ticks due in the last minutes.");
    }

    /// <summary>What is remembered of the agents beyond this process; null: nothing is.</summary>
    public FleetBook? Book { get; init; }

    /// <summary>Hears of ticks that come late; null: nobody does.</summary>
    public Bundles.LateRanges? Late { get; init; }

    /// <inheritdoc/>
    public long PassedMs
    {
        get
        {
            long passed = long.MaxValue;
            lock (_gate)
            {
                foreach (KnownAgent agent in _agents.Values)
                {
                    if (agent.Session is not null)
                        passed = Math.Min(passed, agent.WatermarkMs);
                }
            }
            return passed;
        }
    }

    private long NowMs => _time.GetUtcNow().ToUnixTimeMilliseconds();

    /// <summary>A snapshot, by agent id.</summary>
    public IReadOnlyList<AgentState> Agents()
    {
        long now = NowMs;
        lock (_gate)
        {
            var states = new List<AgentState>(_agents.Count);
            foreach (KnownAgent agent in _agents.Values)
                states.Add(agent.Snapshot(now));
            states.Sort(static (a, b) => string.CompareOrdinal(a.Id, b.Id));
            return states;
        }
    }

    /// <summary>Makes an agent known without a session. False: the fleet is full.</summary>
    internal bool Register(string id, string version, IEnumerable<KeyValuePair<string, string>> labels)
    {
        lock (_gate)
        {
            if (Find(id) is not { } agent)
                return false;
            agent.Describe(version, labels);
            agent.LastSeenMs = NowMs;
            Book?.Register(id, NowMs);
            return true;
        }
    }

    /// <summary>A session with a valid hello joins.</summary>
    internal JoinOutcome Join(Hello hello, string processId, FleetSession session)
    {
        FleetSession? older;
        bool another;
        lock (_gate)
        {
            if (Find(hello.AgentId) is not { } agent)
                return JoinOutcome.Full;
            another = agent.ProcessId.Length > 0 && agent.ProcessId != processId;
            bool newerIsThere = agent.Session is not null || NowMs - agent.LastSeenMs < (long)_options.FenceTime.TotalMilliseconds;
            if (another && agent.FencedProcessId == processId && newerIsThere)
                return JoinOutcome.Fenced;
            if (another && agent.Session is not null)
                agent.FencedProcessId = agent.ProcessId;
            older = agent.Session;
            agent.Session = session;
            agent.ProcessId = processId;
            agent.SaidGoodbye = false;
            agent.Offsets.Clear();
            agent.Describe(hello.Version, hello.Labels);
            agent.Heard(NowMs, hello.ClockUnixMs);
            if (another && older is not null)
                Book?.Fenced(hello.AgentId, NowMs);
            Book?.Joined(NowMs, GreetingOf(hello));
        }
        older?.Replace(another);
        return JoinOutcome.Joined;
    }

    /// <summary>A hello as completeness sees it.</summary>
    internal static Greeting GreetingOf(Hello hello) => new(hello.AgentId, hello.ProcessId, hello.Epoch, [.. hello.OpenSegments.Select(s => (s.Epoch, s.Number))], hello.NextNumber);

    /// <summary>The session has ended.</summary>
    internal void Leave(string id, FleetSession session)
    {
        lock (_gate)
        {
            if (_agents.TryGetValue(id, out KnownAgent? agent) && ReferenceEquals(agent.Session, session))
                agent.Session = null;
        }
    }

    /// <summary>A batch came (it is not applied yet).</summary>
    internal void Received(string id, long bytes) => With(id, agent =>
    {
        agent.Bytes += bytes;
        agent.LastSeenMs = NowMs;
    });

    /// <summary>A run is durable.</summary>
    internal void Applied(string id, RunResult result, long records) => With(id, agent =>
    {
        agent.Records += records;
        agent.Refused += result.Refused.Count;
        long now = NowMs;
        foreach (AppliedTick tick in result.Ticks)
        {
            agent.Tick(tick, now, _options);
            Late?.Note(id, tick.Source, tick.IntervalMs, tick.TimestampMs);
        }
    });

    /// <summary>A watermark came: what it says of the agent's clock and spool. Returns the agent's clock offset, ms.</summary>
    internal double Told(string id, Watermark watermark)
    {
        double offset = 0;
        With(id, agent =>
        {
            agent.Heard(NowMs, watermark.ClockUnixMs);
            agent.SpoolBytes = (long)Math.Min(watermark.SpoolBytes, long.MaxValue);
            agent.SpoolRecords = (long)Math.Min(watermark.SpoolRecords, long.MaxValue);
            agent.SpoolOldestMs = watermark.OldestUnixMs;
            offset = agent.OffsetMs;
            Book?.Told(id, NowMs, agent.SpoolRecords, agent.SpoolBytes, agent.SpoolOldestMs);
        });
        return offset;
    }

    /// <summary>Facts about targets came.</summary>
    internal void Told(string id, Targets targets) => With(id, agent =>
    {
        agent.Retarget(targets, _options);
        Book?.Targets(id, agent.Targets.LabelsBySource());
    });

    /// <summary>An agent's ledger came, or what changed of it.</summary>
    internal void Told(string id, Report report) => With(id, agent =>
    {
        agent.Ledger.Take(report, NowMs, _options);
        AgentLedger all = agent.Ledger.Snapshot(id);
        Book?.Reported(id, NowMs, all.Sources.Values.Select(ReportedOf), all.PreviousRun is { Known: true } run ? run.Planned : null);
    });

    /// <summary>The ledgers of all agents as they reported them last, by agent id; agents that never reported are left out.</summary>
    public IReadOnlyList<AgentLedger> Ledgers()
    {
        lock (_gate)
            return [.. _agents.Values.Where(a => a.Ledger.ReceivedMs > 0).OrderBy(a => a.Id, StringComparer.Ordinal).Select(a => a.Ledger.Snapshot(a.Id))];
    }

    /// <summary>The targets of all agents, by agent id.</summary>
    public IReadOnlyList<AgentTargets> Targets()
    {
        lock (_gate)
            return [.. _agents.Values.OrderBy(a => a.Id, StringComparer.Ordinal).Select(a => a.Targets.Snapshot(a.Id, a.Session is not null, a.NewestOf))];
    }

    /// <summary>Everything before a watermark is durable. A promise is not taken back, and one about our future is worth no more than now: the agent's clock may be set right.</summary>
    internal void Passed(string id, long unixMs) => With(id, agent => agent.WatermarkMs = Math.Max(agent.WatermarkMs, Math.Min(unixMs, NowMs)));

    /// <summary>It stops on purpose.</summary>
    internal void Goodbye(string id, Goodbye goodbye) => With(id, agent =>
    {
        agent.SaidGoodbye = true;
        Book?.Goodbye(id, NowMs, goodbye.Reason, goodbye.Drained);
    });

    internal static ReportedSource ReportedOf(SourceReport source) => new(source.Name, (long)source.Produced, (long)source.Buffered, source.BufferedFromUnixMs, source.BufferedToUnixMs,
        [.. source.Dropped.Select(d => new ReportedDrop(d.Reason, (long)d.Samples, d.FromUnixMs, d.ToUnixMs))]);

    private void With(string id, Action<KnownAgent> change)
    {
        lock (_gate)
        {
            if (_agents.TryGetValue(id, out KnownAgent? agent))
                change(agent);
        }
    }

    private KnownAgent? Find(string id)
    {
        if (_agents.TryGetValue(id, out KnownAgent? agent))
            return agent;
        if (_agents.Count >= _options.MaxAgents)
            return null;
        _agents.Add(id, agent = new KnownAgent(id));
        return agent;
    }

    private IEnumerable<Measurement<double>> PerAgent(Func<AgentState, double?> value)
    {
        foreach (AgentState agent in Agents())
        {
            if (value(agent) is { } v)
                yield return new Measurement<double>(v, new KeyValuePair<string, object?>("agent", agent.Id));
        }
    }
}

/// <summary>The fleet's hold on a session: lets it end another one.</summary>
internal sealed class FleetSession(Action<bool> replace)
{
    /// <summary>Ends the session because a newer one has come, of another process (that is a fence) or of the same (its old connection was dead). Any thread.</summary>
    public void Replace(bool anotherProcess) => replace(anotherProcess);
}
