using System.Diagnostics.Metrics;
using Bellwether.Core.Telemetry;
using Bellwether.Store;
using Microsoft.Extensions.Logging;

namespace Bellwether.Ingest.Completeness;

/// <summary>What a session's hello says, as far as completeness needs it.</summary>
/// <param name="Agent">Who.</param>
/// <param name="ProcessId">Random per process start.</param>
/// <param name="Epoch">Of its spool.</param>
/// <param name="Announced">The segments that it holds.</param>
/// <param name="NextNumber">The number of its next segment; 0: it does not say.</param>
public sealed record Greeting(string Agent, string ProcessId, ulong Epoch, IReadOnlyList<(ulong Epoch, ulong Number)> Announced, ulong NextNumber = 0);

/// <summary>
/// The expected fleet and what is known of each agent: a synchronous machine without I/O (DESIGN idea 8). Sessions tell it what they hear; <see cref="Step"/> lets time pass;
/// <see cref="TakeChanges"/> says what the journal has to remember. Thread-safe.
/// </summary>
public sealed partial class FleetBook
{
    private readonly CompletenessOptions _options;
    private readonly ILedgerSource _ledger;
    private readonly ILogger _log;
    private readonly Lock _gate = new();
    private readonly Dictionary<string, AgentFacts> _agents = new(StringComparer.Ordinal);
    private readonly Dictionary<string, Session> _sessions = new(StringComparer.Ordinal);
    private readonly List<FleetEvent> _strangers = [];
    private readonly HashSet<string> _changed = new(StringComparer.Ordinal);
    private readonly List<FleetEvent> _newStrangers = [];
    private HashSet<string> _expected = new(StringComparer.Ordinal);
    private HashSet<string> _retired = new(StringComparer.Ordinal);
    private bool _urgent;

    /// <summary>Makes a book from what the journal holds.</summary>
    public FleetBook(CompletenessOptions options, ILedgerSource ledger, ILogger log, IEnumerable<AgentFacts> known, IEnumerable<FleetEvent> strangers)
    {
        _options = options;
        _ledger = ledger;
        _log = log;
        foreach (AgentFacts agent in known)
            _agents[agent.Id] = agent;
        _strangers.AddRange(strangers.TakeLast(options.MaxStrangerEvents));
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

    /// <summary>Makes the instruments.</summary>
    internal void Measure(Meter meter, TimeProvider time)
    {
        meter.CreateObservableGauge(MetricNames.CompletenessAgents, ByPresence, description: "Agents of the expected fleet, by state.");
        meter.CreateObservableGauge(MetricNames.CompletenessSilenceSeconds, () => Agents().Where(a => a.LastHeardMs > 0 && a.Presence is AgentPresence.Present or AgentPresence.Silent)
            .Select(a => Of((time.GetUtcNow().ToUnixTimeMilliseconds() - a.LastHeardMs) / 1000.0, a.Id)), unit: "seconds", description: "How long nothing has been heard of an agent that is not stopped or retired.");
        meter.CreateObservableGauge(MetricNames.CompletenessLostSegments, () => Agents().SelectMany(a => a.Losses.GroupBy(l => l.Reason).Select(l => Of(l.Sum(x => (double)(x.Last - x.First + 1)), a.Id, l.Key))), description: "Segments that are neither in the store nor at their agent, by reason.");
        meter.CreateObservableCounter(MetricNames.CompletenessDroppedSamples, () => Agents().SelectMany(a => a.Reported.SelectMany(r => r.Dropped).GroupBy(d => d.Reason).Select(d => Of(d.Sum(x => (double)x.Samples), a.Id, d.Key))), description: "Samples that an agent said it dropped, by reason.");
        meter.CreateObservableCounter(MetricNames.CompletenessStoredSamples, () => _ledger.Ledgers().Select(l => Of(l.Samples, l.Agent)), description: "Samples of an agent's records that were applied, over all restarts.");

        static Measurement<double> Of(double value, string agent, string? reason = null) => reason is null
            ? new Measurement<double>(value, new KeyValuePair<string, object?>("agent", agent))
            : new Measurement<double>(value, new KeyValuePair<string, object?>("agent", agent), new KeyValuePair<string, object?>("reason", reason));
    }

    private IEnumerable<Measurement<int>> ByPresence()
    {
        IReadOnlyList<AgentFacts> agents = Agents();
        foreach (AgentPresence presence in Enum.GetValues<AgentPresence>())
            yield return new Measurement<int>(agents.Count(a => a.Presence == presence), new KeyValuePair<string, object?>("state", presence.ToString().ToLowerInvariant()));
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
            return [.. _strangers];
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
            // Who knocks every second with the same wrong credential is one event, with its first and last time.
            if (_strangers.FindIndex(e => e.Detail == reason) is var at and >= 0)
            {
                refusal = _strangers[at] with { TimeMs = nowMs, ToMs = nowMs };
                _strangers.RemoveAt(at);
            }
            _strangers.Add(refusal);
            if (_strangers.Count > _options.MaxStrangerEvents)
                _strangers.RemoveAt(0);
            _newStrangers.RemoveAll(e => e.Detail == reason);
            _newStrangers.Add(refusal);
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
            IReadOnlyList<(ulong First, ulong Last)> held = HeldOf(hello.Agent, hello.Epoch);
            bool sameProcess = agent.ProcessId == hello.ProcessId;
            _sessions[hello.Agent] = new Session(hello)
            {
                IsSameProcess = sameProcess,
                DroppedBefore = agent.Dropped,
                HeldTo = held.Count == 0 ? null : held[^1].Last,
                NewestMs = _ledger.Ledgers(hello.Agent).SelectMany(l => l.Sources).SelectMany(s => s.Ranges).Select(r => r.LastMs).DefaultIfEmpty(0).Max(),
            };
            bool wasHeard = agent.ProcessId.Length > 0;
            if (wasHeard && !sameProcess)
                agent = Restarted(agent, nowMs);
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
            IReadOnlyList<(ulong First, ulong Last)> held = HeldOf(hello.Agent, hello.Epoch);
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
            if (!_sessions.TryGetValue(agent, out Session? session) || session.LiveMs > 0 || epoch != session.Hello.Epoch)
                return;
            session.LiveMs = nowMs;
            session.LiveNumber = number;
        }
    }

    /// <summary>Something was heard.</summary>
    public void Heard(string agent, long nowMs) => With(agent, facts => facts with { LastHeardMs = Math.Max(facts.LastHeardMs, nowMs), Presence = Return(facts.Presence) });

    /// <summary>It told how full its spool is.</summary>
    public void Told(string agent, long nowMs, long spoolRecords, long spoolBytes, long spoolOldestMs) => With(agent, facts => facts with
    {
        LastHeardMs = Math.Max(facts.LastHeardMs, nowMs),
        Presence = Return(facts.Presence),
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
        With(agent, facts => Explained(facts, plannedStop) with { ReportedMs = nowMs, Reported = [.. sources.Take(_options.MaxSources)] });

    /// <summary>A bundle brought an agent's ledger. What it told over the wire since then is newer, and stays.</summary>
    /// <param name="agent">Whose.</param>
    /// <param name="madeMs">When the bundle was made, by the agent's clock.</param>
    /// <param name="sources">All its sources.</param>
    /// <param name="plannedStop">As with <see cref="Reported"/>.</param>
    public void ReportedByBundle(string agent, long madeMs, IEnumerable<ReportedSource> sources, bool? plannedStop) =>
        With(agent, facts => facts.ReportedMs >= madeMs ? facts : Explained(facts, plannedStop) with { ReportedMs = madeMs, Reported = [.. sources.Take(_options.MaxSources)] });

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
            facts = Noted(facts, new FleetEvent(nowMs, FleetEvents.Carried, detail, madeMs, nowMs)) with { Announced = StillMissing(agent, facts.Announced, missing ?? []) };
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
                Carried(ledger.Agent, nowMs, ledger.Sources.SelectMany(s => s.Ranges).Select(r => r.LastMs).DefaultIfEmpty(0).Max(), "its records were imported while the aggregator was stopped");
        }
    }

    /// <summary>A newer process of the same identity took its session.</summary>
    public void Fenced(string agent, long nowMs)
    {
        _urgent = true;
        With(agent, facts => Noted(facts, new FleetEvent(nowMs, FleetEvents.Fenced, "a newer process with this identity came; the older one was turned away", nowMs, nowMs)));
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
                if (_sessions.TryGetValue(agent.Id, out Session? session) && session is { LiveMs: > 0, IsJudged: false } && nowMs - session.LiveMs >= (long)_options.Settles.TotalMilliseconds)
                    Judge(_agents[agent.Id], session, nowMs);
                if (agent.Losses.Count > 0)
                    FindAgain(_agents[agent.Id], nowMs);
                if (agent.Announced.Count > 0 && StillMissing(agent.Id, agent.Announced, []) is var left && left.Count != agent.Announced.Count)
                    Put(_agents[agent.Id] with { Announced = left });
            }
        }
    }

    /// <summary>What has changed since the last call, and whether it should be written at once.</summary>
    public (IReadOnlyList<AgentFacts> Agents, IReadOnlyList<FleetEvent> Strangers, bool Urgent) TakeChanges()
    {
        lock (_gate)
        {
            (IReadOnlyList<AgentFacts>, IReadOnlyList<FleetEvent>, bool) changes = ([.. _changed.Select(id => _agents[id])], [.. _newStrangers], _urgent);
            _changed.Clear();
            _newStrangers.Clear();
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
            _changed.UnionWith(agents.Select(a => a.Id));
    }

    /// <summary>Ranges of numbers that lie between those that are known.</summary>
    internal static IEnumerable<(ulong First, ulong Last)> Holes(IEnumerable<(ulong First, ulong Last)> known)
    {
        ulong? end = null;
        foreach ((ulong first, ulong last) in known.Order())
        {
            if (end is { } before && first > before + 1)
                yield return (before + 1, first - 1);
            end = end is { } e ? Math.Max(e, last) : last;
        }
    }

    private IReadOnlyList<(ulong First, ulong Last)> HeldOf(string agent, ulong epoch) => _ledger.SegmentsOf(agent).FirstOrDefault(e => e.Epoch == epoch)?.Held ?? [];

    private void Judge(AgentFacts facts, Session session, long nowMs)
    {
        session.IsJudged = true;
        // An agent that never sent this store anything of this epoch may have history elsewhere: it began here with its first segment.
        if (session.HeldTo is not { } heldTo)
            return;
        ulong epoch = session.Hello.Epoch;
        IEnumerable<(ulong, ulong)> known = HeldOf(facts.Id, epoch).Concat(session.Hello.Announced.Where(a => a.Epoch == epoch).Select(a => (a.Number, a.Number)))
            .Concat(facts.Losses.Where(l => l.Epoch == epoch).Select(l => (l.First, l.Last))).Append((session.LiveNumber, ulong.MaxValue - 1));
        bool dropped = facts.Dropped > session.DroppedBefore;
        foreach ((ulong first, ulong last) in Holes(known))
        {
            string reason = dropped ? MissingReasons.Dropped : first > heldTo ? MissingReasons.Restored : MissingReasons.Lost;
            facts = Lost(facts, new LostSegments(epoch, first, last, Math.Min(session.NewestMs, session.LiveMs), session.LiveMs, reason, nowMs));
        }
        // The process that sent a segment announces it until its end is acknowledged: one that is here without its end, and that the same process has no more, was whole here once.
        foreach (ulong open in session.IsSameProcess ? OpenOf(facts.Id, epoch) : [])
        {
            bool isKnown = open > heldTo || open == session.LiveNumber || session.Hello.Announced.Any(a => a.Epoch == epoch && a.Number == open) || facts.Losses.Any(l => l.Epoch == epoch && l.First <= open && l.Last >= open);
            if (!isKnown)
                facts = Lost(facts, new LostSegments(epoch, open, open, Math.Min(session.NewestMs, session.LiveMs), session.LiveMs, MissingReasons.Restored, nowMs));
        }
        Put(facts);
    }

    private IReadOnlyList<ulong> OpenOf(string agent, ulong epoch) => _ledger.SegmentsOf(agent).FirstOrDefault(e => e.Epoch == epoch)?.Open ?? [];

    private AgentFacts Restarted(AgentFacts agent, long nowMs)
    {
        bool planned = agent.Presence == AgentPresence.Stopped;
        FleetEvent what = planned
            ? new FleetEvent(nowMs, FleetEvents.Started, "back after a planned stop", agent.LastHeardMs, nowMs)
            : new FleetEvent(nowMs, FleetEvents.Died, "back as a new process: the one before ended without a goodbye; what was due after its end was not collected", agent.LastHeardMs, nowMs);
        var absence = new Absence(agent.LastHeardMs, nowMs, planned ? MissingReasons.PlannedStop : MissingReasons.AgentDown);
        return Noted(agent, what) with { Absences = [.. agent.Absences.Append(absence).TakeLast(_options.MaxAbsences)] };
    }

    // The end marker in the spool says more than a goodbye that nobody heard.
    private static AgentFacts Explained(AgentFacts agent, bool? plannedStop)
    {
        if (plannedStop != true || agent.Absences.Count == 0 || agent.Absences[^1].Reason != MissingReasons.AgentDown)
            return agent;
        return agent with
        {
            Absences = [.. agent.Absences.SkipLast(1), agent.Absences[^1] with { Reason = MissingReasons.PlannedStop }],
            Events = [.. agent.Events.Select(e => e.Kind == FleetEvents.Died && e.ToMs == agent.Absences[^1].ToMs ? e with { Kind = FleetEvents.Started, Detail = "back after a planned stop, as its end marker says" } : e)],
        };
    }

    private void Retire(AgentFacts agent, long nowMs, string why)
    {
        Put(Noted(agent, new FleetEvent(nowMs, FleetEvents.Retired, why, nowMs, nowMs)) with { Presence = AgentPresence.Retired, SinceMs = nowMs, LastHeardMs = agent.LastHeardMs });
        _urgent = true;
    }

    private AgentFacts Lost(AgentFacts agent, LostSegments loss)
    {
        SegmentsLost(_log, agent.Id, loss.Epoch, loss.First, loss.Last, loss.Reason);
        _urgent = true;
        List<LostSegments> losses = [.. agent.Losses, loss];
        if (losses.Count > _options.MaxLosses)
        {
            LostSegments a = losses[0], b = losses[1];
            losses[1] = b with { First = a.Epoch == b.Epoch ? Math.Min(a.First, b.First) : b.First, FromMs = Math.Min(a.FromMs, b.FromMs) };
            losses.RemoveAt(0);
        }
        string detail = $"segments {loss.First} to {loss.Last} of epoch {loss.Epoch} are neither here nor at the agent ({loss.Reason})";
        return Noted(agent, new FleetEvent(loss.FoundMs, FleetEvents.Lost, detail, loss.FromMs, loss.ToMs)) with { Losses = losses };
    }

    private void FindAgain(AgentFacts agent, long nowMs)
    {
        IReadOnlyList<EpochSegments> segments = _ledger.SegmentsOf(agent.Id);
        var left = new List<LostSegments>();
        foreach (LostSegments loss in agent.Losses)
        {
            EpochSegments? known = segments.FirstOrDefault(e => e.Epoch == loss.Epoch);
            // One whose end is missing here is still lost.
            if (loss.First == loss.Last && known?.Open.Contains(loss.First) == true)
            {
                left.Add(loss);
                continue;
            }
            foreach ((ulong first, ulong last) in Without(loss, known?.Held ?? []))
                left.Add(loss with { First = first, Last = last });
        }
        if (left.SequenceEqual(agent.Losses) || left.Count > _options.MaxLosses)
            return;
        Put(Noted(agent, new FleetEvent(nowMs, FleetEvents.Found, "segments that counted as lost have come", nowMs, nowMs)) with { Losses = left });
        _urgent = true;
    }

    // One segment each, so that each keeps its own bounds in time: what came in between tells by itself.
    private IReadOnlyList<LostSegments> StillMissing(string agent, IReadOnlyList<LostSegments> before, IReadOnlyList<LostSegments> now)
    {
        if (before.Count + now.Count == 0)
            return [];
        IReadOnlyList<EpochSegments> segments = _ledger.SegmentsOf(agent);
        bool IsHere(LostSegments s) => segments.FirstOrDefault(e => e.Epoch == s.Epoch) is { } known && !known.Open.Contains(s.First) && known.Held.Any(h => h.First <= s.First && h.Last >= s.Last);
        return [.. before.Concat(now).DistinctBy(s => (s.Epoch, s.First)).Where(s => !IsHere(s)).OrderBy(s => (s.Epoch, s.First)).TakeLast(_options.MaxAnnounced)];
    }

    private static IEnumerable<(ulong First, ulong Last)> Without(LostSegments loss, IReadOnlyList<(ulong First, ulong Last)> held)
    {
        ulong at = loss.First;
        foreach ((ulong first, ulong last) in held)
        {
            if (last < at || first > loss.Last)
                continue;
            if (first > at)
                yield return (at, first - 1);
            at = last + 1;
        }
        if (at <= loss.Last)
            yield return (at, loss.Last);
    }

    private AgentFacts Noted(AgentFacts agent, FleetEvent what)
    {
        // The same refusal again and again is one event.
        if (agent.Events.Count > 0 && agent.Events[^1] is var last && last.Kind == what.Kind && last.Detail == what.Detail && what.Kind == FleetEvents.Refused)
            return agent with { Events = [.. agent.Events.SkipLast(1), last with { TimeMs = what.TimeMs, ToMs = what.ToMs }] };
        return agent with { Events = [.. agent.Events.Append(what).TakeLast(_options.MaxEvents)] };
    }

    // An open session that falls silent and speaks again (a stopped process) is present again; one that said goodbye or was retired is not.
    private static AgentPresence Return(AgentPresence presence) => presence is AgentPresence.Silent or AgentPresence.Expected or AgentPresence.Carried ? AgentPresence.Present : presence;

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

    private sealed class Session(Greeting hello)
    {
        public Greeting Hello => hello;

        public long LiveMs { get; set; }

        public ulong LiveNumber { get; set; }

        public ulong? HeldTo { get; init; }

        public bool IsSameProcess { get; init; }

        public long NewestMs { get; init; }

        public bool IsJudged { get; set; }

        public long DroppedBefore { get; init; }
    }

    [LoggerMessage(2120, LogLevel.Warning, "agent {Agent}: silent for {Seconds} s")]
    private static partial void AgentSilent(ILogger log, string agent, long seconds);

    [LoggerMessage(2121, LogLevel.Error, "agent {Agent}: segments {First} to {Last} of epoch {Epoch} are neither here nor at the agent: {Reason}")]
    private static partial void SegmentsLost(ILogger log, string agent, ulong epoch, ulong first, ulong last, string reason);
}
