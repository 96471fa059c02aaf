using Bellwether.Store;
using Microsoft.Extensions.Logging;

namespace Bellwether.Ingest.Completeness;

/// <summary>
/// The expected fleet and what is known of each agent: a synchronous machine without I/O (docs/ARCHITECTURE.md, idea 8). Sessions tell it what they hear; <see cref="Step"/> lets time pass;
/// <see cref="TakeChanges"/> says what the journal has to remember. Thread-safe.
/// </summary>
public sealed partial class FleetBook
{
    private readonly CompletenessOptions _options;
    private readonly ILedgerSource _ledger;
    private readonly SegmentJudge _judge;
    private readonly ILogger _log;
    private readonly Lock _gate = new();
    private readonly Dictionary<string, AgentFacts> _agents = new(StringComparer.Ordinal);
    private readonly Dictionary<string, GreetedSession> _sessions = new(StringComparer.Ordinal);
    private readonly StrangerEvents _strangers;
    private readonly HashSet<string> _changed = new(StringComparer.Ordinal);
    private HashSet<string> _expected = new(StringComparer.Ordinal);
    private HashSet<string> _retired = new(StringComparer.Ordinal);
    private bool _urgent;

    /// <summary>Makes a book from what the journal holds.</summary>
    public FleetBook(CompletenessOptions options, ILedgerSource ledger, ILogger log, IEnumerable<AgentFacts> known, IEnumerable<FleetEvent> strangers)
    {
        _options = options;
        _ledger = ledger;
        _judge = new SegmentJudge(ledger);
        _log = log;
        foreach (AgentFacts agent in known)
            _agents[agent.Id] = agent;
        _strangers = new StrangerEvents(strangers, options.MaxStrangerEvents);
    }

    /// <summary>All that is known, by id. The expected that never came stand among them.</summary>
    public IReadOnlyList<AgentFacts> Agents()
    {
        lock (_gate)
        {
            IEnumerable<AgentFacts> never = _expected.Where(id => !_agents.ContainsKey(id)).Select(id => new AgentFacts { Id = id, Presence = AgentPresence.Expected });
            return [.. _agents.Values.Concat(never).OrderBy(a => a.Id, StringComparer.Ordinal)];
        }
    }

    /// <summary>Those that came, for the journal.</summary>
    internal IReadOnlyList<AgentFacts> Known()
    {
        lock (_gate)
            return [.. _agents.Values];
    }

    /// <summary>Events of sessions whose agent is not known.</summary>
    public IReadOnlyList<FleetEvent> Strangers()
    {
        lock (_gate)
            return _strangers.List();
    }

    /// <summary>Sets what the configuration says: who is expected beside those that registered, and who has left for good.</summary>
    public void Configure(long nowMs, IEnumerable<string> expected, IEnumerable<string> retired)
    {
        lock (_gate)
        {
            _expected = new HashSet<string>(expected, StringComparer.Ordinal);
            _retired = new HashSet<string>(retired, StringComparer.Ordinal);
            foreach (AgentFacts agent in _agents.Values.Where(a => _retired.Contains(a.Id) && a.Presence != AgentPresence.Retired).ToList())
                Retire(agent, nowMs, "the configuration says so");
            foreach (AgentFacts agent in _agents.Values.Where(a => !_retired.Contains(a.Id) && a.Presence == AgentPresence.Retired && _expected.Contains(a.Id)).ToList())
                Put(agent with { Presence = AgentPresence.Silent, SinceMs = nowMs });
        }
    }

    /// <summary>The aggregator was down between two times: nobody's silence counts before it ran again.</summary>
    public void WasDown(long fromMs, long toMs)
    {
        if (toMs <= fromMs)
            return;
        lock (_gate)
        {
            foreach (AgentFacts agent in _agents.Values.ToList())
            {
                if (agent.Presence is not (AgentPresence.Present or AgentPresence.Silent))
                    continue;
                AgentFacts noted = Noted(agent, new FleetEvent(toMs, FleetEvents.AggregatorDown, "the aggregator was down; what was collected meanwhile is in the agent's spool", fromMs, toMs));
                Put(agent.Presence == AgentPresence.Present ? noted with { SinceMs = toMs } : noted);
            }
        }
    }

    /// <summary>Makes an agent known. False: the fleet is full.</summary>
    public bool Register(string id, long nowMs)
    {
        lock (_gate)
            return Find(id, nowMs) is not null;
    }

    /// <summary>The reason why a hello cannot be taken; null: it can. An older epoch than the store has seen comes of a spool that was put back, or of a copy.</summary>
    public string? RefusalOf(Greeting hello)
    {
        lock (_gate)
        {
            if (!_agents.TryGetValue(hello.Agent, out AgentFacts? agent) || hello.Epoch >= agent.Epoch)
                return null;
            return $"epoch {hello.Epoch} is over: agent '{hello.Agent}' has come with epoch {agent.Epoch} since. Its spool folder was put back to an older state, or copied; "
                + "stop the other process, or delete the file 'state' in this spool folder: the agent then begins a new epoch and keeps its records";
        }
    }

    /// <summary>A session was refused. An agent that is not known costs one entry of a bounded list.</summary>
    public void Refused(long nowMs, string agent, string reason)
    {
        lock (_gate)
        {
            var refusal = new FleetEvent(nowMs, FleetEvents.Refused, reason, nowMs, nowMs);
            _urgent = true;
            if (_agents.TryGetValue(agent, out AgentFacts? known))
            {
                Put(Noted(known, refusal));
                return;
            }
            _strangers.Note(refusal);
        }
    }

    /// <summary>A session was greeted. What its return says of the time before is known from now on.</summary>
    public void Joined(long nowMs, Greeting hello)
    {
        lock (_gate)
        {
            if (Find(hello.Agent, nowMs) is not { } agent)
                return;
            // As of now: the backlog may come before the first live record.
            IReadOnlyList<(ulong First, ulong Last)> held = _judge.HeldOf(hello.Agent, hello.Epoch);
            bool sameProcess = agent.ProcessId == hello.ProcessId;
            _sessions[hello.Agent] = new GreetedSession(hello)
            {
                IsSameProcess = sameProcess,
                DroppedBefore = agent.Dropped,
                HeldTo = held.Count == 0 ? null : held[^1].Last,
                NewestMs = _judge.NewestMsOf(hello.Agent),
            };
            bool wasHeard = agent.ProcessId.Length > 0;
            if (wasHeard && !sameProcess)
                agent = agent.Restarted(nowMs, _options);
            else if (wasHeard && agent.Presence == AgentPresence.Silent)
                agent = Noted(agent, new FleetEvent(nowMs, FleetEvents.CutOff, "back as the same process: it was cut off, and its spool brings what is missing", agent.LastHeardMs, nowMs));
            if (wasHeard && hello.Epoch > agent.Epoch)
                agent = Noted(agent, new FleetEvent(nowMs, FleetEvents.EpochGrew, $"epoch {agent.Epoch} is over, epoch {hello.Epoch} begins: the spool was lost, damaged or recreated", agent.LastHeardMs, nowMs));
            Put(agent with { ProcessId = hello.ProcessId, Epoch = Math.Max(agent.Epoch, hello.Epoch), LastHeardMs = nowMs, Presence = AgentPresence.Present, SinceMs = agent.Presence == AgentPresence.Present && sameProcess ? agent.SinceMs : nowMs });
            _urgent = true;
        }
    }

    /// <summary>
    /// The number with which the agent's next segment must begin, since this epoch has come further than the agent knows: its spool was put back to an older state. Null: it may go on.
    /// </summary>
    public ulong? FirstNumberOf(long nowMs, Greeting hello)
    {
        lock (_gate)
        {
            IReadOnlyList<(ulong First, ulong Last)> held = _judge.HeldOf(hello.Agent, hello.Epoch);
            if (hello.NextNumber == 0 || held.Count == 0 || held[^1].Last < hello.NextNumber || held[^1].Last == ulong.MaxValue || !_agents.TryGetValue(hello.Agent, out AgentFacts? agent))
                return null;
            _urgent = true;
            string detail = $"its spool was put back to an older state: segments up to {held[^1].Last} of epoch {hello.Epoch} are here, its next one would have been {hello.NextNumber}; it goes on behind them";
            Put(Noted(agent, new FleetEvent(nowMs, FleetEvents.WentBack, detail, nowMs, nowMs)));
            return held[^1].Last + 1;
        }
    }

    /// <summary>
    /// A session has begun its first segment of live data. All that the agent had before has smaller numbers, and what of it is neither here nor announced is lost: the agent
    /// freed it on an acknowledgement that this store does not remember, or dropped it. It is judged a moment later (<see cref="CompletenessOptions.Settles"/>).
    /// </summary>
    public void LiveBegan(long nowMs, string agent, ulong epoch, ulong number)
    {
        lock (_gate)
        {
            if (!_sessions.TryGetValue(agent, out GreetedSession? session) || session.LiveMs > 0 || epoch != session.Hello.Epoch)
                return;
            session.LiveMs = nowMs;
            session.LiveNumber = number;
        }
    }

    /// <summary>Something was heard.</summary>
    public void Heard(string agent, long nowMs) => With(agent, facts => facts.HeardAt(nowMs));

    /// <summary>It told how full its spool is.</summary>
    public void Told(string agent, long nowMs, long spoolRecords, long spoolBytes, long spoolOldestMs) => With(agent, facts => facts.HeardAt(nowMs) with
    {
        SpoolRecords = spoolRecords,
        SpoolBytes = spoolBytes,
        SpoolOldestMs = spoolOldestMs,
    });

    /// <summary>It told its counts.</summary>
    /// <param name="agent">Who.</param>
    /// <param name="nowMs">Our clock.</param>
    /// <param name="sources">All its sources.</param>
    /// <param name="plannedStop">Whether the run before this one stopped on purpose; null: not told. It may have stopped while nobody heard its goodbye.</param>
    public void Reported(string agent, long nowMs, IEnumerable<ReportedSource> sources, bool? plannedStop = null) =>
        With(agent, facts => facts.Explained(plannedStop) with { ReportedMs = nowMs, Reported = [.. sources.Take(_options.MaxSources)] });

    /// <summary>A bundle brought an agent's ledger. What it told over the wire since then is newer, and stays.</summary>
    /// <param name="agent">Whose.</param>
    /// <param name="madeMs">When the bundle was made, by the agent's clock.</param>
    /// <param name="sources">All its sources.</param>
    /// <param name="plannedStop">As with <see cref="Reported"/>.</param>
    public void ReportedByBundle(string agent, long madeMs, IEnumerable<ReportedSource> sources, bool? plannedStop) =>
        With(agent, facts => facts.ReportedMs >= madeMs ? facts : facts.Explained(plannedStop) with { ReportedMs = madeMs, Reported = [.. sources.Take(_options.MaxSources)] });

    /// <summary>It told the labels of its targets, by source.</summary>
    public void Targets(string agent, IReadOnlyDictionary<string, IReadOnlyDictionary<string, string>> targets) =>
        With(agent, facts => facts with { Targets = targets.Take(_options.MaxSources).ToDictionary() });

    /// <summary>It said goodbye. With the reason <c>retire</c> it leaves the fleet.</summary>
    public void Goodbye(string agent, long nowMs, string reason, bool drained)
    {
        lock (_gate)
        {
            if (!_agents.TryGetValue(agent, out AgentFacts? facts))
                return;
            _urgent = true;
            if (reason == "retire")
            {
                Retire(facts, nowMs, "it said so");
                return;
            }
            string detail = drained ? "it said goodbye; everything it had is here" : $"it said goodbye; {facts.SpoolRecords} records wait in its spool";
            Put(Noted(facts, new FleetEvent(nowMs, FleetEvents.Stopped, detail, nowMs, nowMs)) with { Presence = AgentPresence.Stopped, SinceMs = nowMs, LastHeardMs = nowMs });
        }
    }

    /// <summary>A bundle of it came. An agent that is known over the wire stays what it is; another one is from now on one whose records are carried.</summary>
    /// <param name="agent">Whose.</param>
    /// <param name="nowMs">Our clock.</param>
    /// <param name="madeMs">When the bundle was made, by the agent's clock.</param>
    /// <param name="detail">What came, in words.</param>
    /// <param name="missing">What it announces and is not here; null: nothing.</param>
    public void Carried(string agent, long nowMs, long madeMs, string detail, IReadOnlyList<LostSegments>? missing = null)
    {
        lock (_gate)
        {
            bool isNew = !_agents.ContainsKey(agent);
            if (Find(agent, nowMs) is not { } facts)
                return;
            facts = Noted(facts, new FleetEvent(nowMs, FleetEvents.Carried, detail, madeMs, nowMs)) with { Announced = _judge.StillAnnounced(agent, facts.Announced, missing ?? [], _options.MaxAnnounced) };
            bool byBundle = isNew || facts.Presence is AgentPresence.Carried or AgentPresence.Expected;
            Put(byBundle ? facts with { Presence = AgentPresence.Carried, SinceMs = nowMs, LastHeardMs = Math.Max(isNew ? 0 : facts.LastHeardMs, madeMs) } : facts);
            _urgent = true;
        }
    }

    /// <summary>Records of an agent are stored that the book does not know: bundles were imported while the aggregator was down.</summary>
    public void CarriedBefore(long nowMs)
    {
        foreach (StoredLedger ledger in _ledger.Ledgers())
        {
            bool isKnown;
            lock (_gate)
                isKnown = _agents.ContainsKey(ledger.Agent);
            if (!isKnown)
                Carried(ledger.Agent, nowMs, ledger.NewestMs, "its records were imported while the aggregator was stopped");
        }
    }

    /// <summary>A newer process of the same identity took its session.</summary>
    public void Fenced(string agent, long nowMs)
    {
        lock (_gate)
        {
            _urgent = true;
            With(agent, facts => Noted(facts, new FleetEvent(nowMs, FleetEvents.Fenced, "a newer process with this identity came; the older one was turned away", nowMs, nowMs)));
        }
    }

    /// <summary>Time has passed: who is silent now, and which losses were found after all (by a bundle, mostly).</summary>
    public void Step(long nowMs)
    {
        lock (_gate)
        {
            foreach (AgentFacts agent in _agents.Values.ToList())
            {
                long quietSince = Math.Max(agent.LastHeardMs, agent.SinceMs);
                if (agent.Presence == AgentPresence.Present && nowMs - quietSince > (long)_options.SilentAfter.TotalMilliseconds)
                {
                    AgentSilent(_log, agent.Id, (nowMs - agent.LastHeardMs) / 1000);
                    Put(Noted(agent, new FleetEvent(nowMs, FleetEvents.Silent, "nothing was heard: it is cut off or dead; its return will tell", agent.LastHeardMs, nowMs)) with { Presence = AgentPresence.Silent, SinceMs = agent.LastHeardMs });
                    _urgent = true;
                }
                if (_sessions.TryGetValue(agent.Id, out GreetedSession? session) && session is { LiveMs: > 0, IsJudged: false } && nowMs - session.LiveMs >= (long)_options.Settles.TotalMilliseconds)
                    Judge(_agents[agent.Id], session, nowMs);
                if (agent.Losses.Count > 0)
                    FindAgain(_agents[agent.Id], nowMs);
                if (agent.Announced.Count > 0 && _judge.StillAnnounced(agent.Id, agent.Announced, [], _options.MaxAnnounced) is var left && left.Count != agent.Announced.Count)
                    Put(_agents[agent.Id] with { Announced = left });
            }
        }
    }

    /// <summary>What has changed since the last call, and whether it should be written at once.</summary>
    public (IReadOnlyList<AgentFacts> Agents, IReadOnlyList<FleetEvent> Strangers, bool Urgent) TakeChanges()
    {
        lock (_gate)
        {
            (IReadOnlyList<AgentFacts>, IReadOnlyList<FleetEvent>, bool) changes = ([.. _changed.Select(id => _agents[id])], _strangers.TakeNew(), _urgent);
            _changed.Clear();
            _urgent = false;
            return changes;
        }
    }

    /// <summary>Whether something waits to be written at once.</summary>
    public bool IsUrgent
    {
        get
        {
            lock (_gate)
                return _urgent;
        }
    }

    /// <summary>Gives back changes that could not be written.</summary>
    public void PutBack(IEnumerable<AgentFacts> agents)
    {
        lock (_gate)
            // One that made room for another since then has left the book.
            _changed.UnionWith(agents.Select(a => a.Id).Where(_agents.ContainsKey));
    }

    private void Retire(AgentFacts agent, long nowMs, string why)
    {
        Put(Noted(agent, new FleetEvent(nowMs, FleetEvents.Retired, why, nowMs, nowMs)) with { Presence = AgentPresence.Retired, SinceMs = nowMs, LastHeardMs = agent.LastHeardMs });
        _urgent = true;
    }

    private void Judge(AgentFacts facts, GreetedSession session, long nowMs)
    {
        session.IsJudged = true;
        foreach (LostSegments loss in _judge.MissingOf(facts, session, nowMs))
        {
            SegmentsLost(_log, facts.Id, loss.Epoch, loss.First, loss.Last, loss.Reason);
            _urgent = true;
            facts = facts.Lost(loss, _options);
        }
        Put(facts);
    }

    private void FindAgain(AgentFacts agent, long nowMs)
    {
        IReadOnlyList<LostSegments> left = _judge.StillLost(agent);
        if (left.SequenceEqual(agent.Losses) || left.Count > _options.MaxLosses)
            return;
        Put(Noted(agent, new FleetEvent(nowMs, FleetEvents.Found, "segments that counted as lost have come", nowMs, nowMs)) with { Losses = left });
        _urgent = true;
    }

    private AgentFacts Noted(AgentFacts agent, FleetEvent what) => agent.Noted(what, _options);

    private AgentFacts? Find(string id, long nowMs)
    {
        if (_agents.TryGetValue(id, out AgentFacts? agent))
            return agent;
        if (_agents.Count >= _options.MaxAgents && !MakeRoom())
            return null;
        agent = Noted(new AgentFacts { Id = id, RegisteredMs = nowMs, LastHeardMs = nowMs, SinceMs = nowMs, Presence = AgentPresence.Present }, new FleetEvent(nowMs, FleetEvents.Registered, "it became known", nowMs, nowMs));
        _urgent = true;
        Put(agent);
        return agent;
    }

    private bool MakeRoom()
    {
        AgentFacts? oldest = _agents.Values.Where(a => a.Presence is AgentPresence.Retired or AgentPresence.Stopped).MinBy(a => a.SinceMs);
        if (oldest is null)
            return false;
        _agents.Remove(oldest.Id);
        _changed.Remove(oldest.Id);
        _sessions.Remove(oldest.Id);
        return true;
    }

    private void With(string id, Func<AgentFacts, AgentFacts> change)
    {
        lock (_gate)
        {
            if (!_agents.TryGetValue(id, out AgentFacts? agent))
                return;
            AgentFacts changed = change(agent);
            bool isBack = agent.Presence == AgentPresence.Silent && changed.Presence == AgentPresence.Present;
            _urgent |= isBack;
            if (isBack)
                changed = Noted(changed, new FleetEvent(changed.LastHeardMs, FleetEvents.CutOff, "heard again as the same process", agent.LastHeardMs, changed.LastHeardMs)) with { SinceMs = changed.LastHeardMs };
            Put(changed);
        }
    }

    private void Put(AgentFacts agent)
    {
        _agents[agent.Id] = agent;
        _changed.Add(agent.Id);
    }

    [LoggerMessage(2120, LogLevel.Warning, "agent {Agent}: silent for {Seconds} s")]
    private static partial void AgentSilent(ILogger log, string agent, long seconds);

    [LoggerMessage(2121, LogLevel.Error, "agent {Agent}: segments {First} to {Last} of epoch {Epoch} are neither here nor at the agent: {Reason}")]
    private static partial void SegmentsLost(ILogger log, string agent, ulong epoch, ulong first, ulong last, string reason);
}
