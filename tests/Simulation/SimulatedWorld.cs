using Bellwether.Agent.Spool;
using Bellwether.Agent.Stream;
using Bellwether.Ingest;
using Bellwether.Kit;
using Bellwether.Store;
using Bellwether.V1;
using Google.Protobuf;

namespace Bellwether.Simulation;

/// <summary>
/// Agents, an aggregator and the network between them in one thread, under a seed: the code as it ships behind its seams for disk, network, clock and randomness
/// (docs/simulation.md). <see cref="Run"/> breaks things until so many crashes have been, mends everything, and holds the promise against the <see cref="Oracle"/>.
/// </summary>
internal sealed partial class SimulatedWorld
{
    private const string Server = "aggregator";
    private const long DayMs = 24L * 3600 * 1000;
    private readonly Random _random;
    private readonly Trace _trace;
    private readonly List<SimulatedAgent> _agents = [];
    private readonly List<Link> _links = [];
    private readonly SimulatedAggregator _aggregator;
    private readonly StreamEffects _agentEffects = new();
    private readonly IngestEffects _serverEffects = new();
    private readonly List<(string Agent, RecordBatch Batch)> _carried = [];
    private readonly double _cutRate;
    private readonly double _errorRate;
    private readonly bool _hasRoom;
    private long _nowMs;
    private long _maintainAtMs;
    private bool _calm;

    public SimulatedWorld(int seed, Trace trace)
    {
        _random = new Random(seed);
        _trace = trace;
        _aggregator = new SimulatedAggregator(_random.Next());
        _cutRate = _random.NextDouble() * 0.02;
        _errorRate = _random.Next(3) == 0 ? 0 : _random.NextDouble() * 0.05;
        _hasRoom = _random.Next(3) == 0;
        int agents = _random.Next(1, 4);
        for (int i = 0; i < agents; i++)
            _agents.Add(new SimulatedAgent(this, $"a{i}", $"a{i}", _random.Next(), smallSpool: _random.Next(3) == 0));
    }

    public Oracle Oracle { get; } = new();

    /// <summary>Crashes so far, of either side.</summary>
    public int Crashes { get; private set; }

    /// <summary>Samples stored at the end.</summary>
    public long Stored { get; private set; }

    /// <summary>Of the dropped ones, those that a disk did not give back.</summary>
    public long Damaged { get; private set; }

    /// <summary>Samples dropped by the spools, counted.</summary>
    public long Dropped { get; private set; }

    /// <summary>Breaks things until there were so many crashes; then all must come out right.</summary>
    public void Run(int crashes)
    {
        while (Crashes < crashes)
            Step();
        Settle();
    }

    private void Step()
    {
        Advance(_random.Next(100) switch
        {
            < 90 => _random.Next(1, 400),
            < 98 => _random.Next(400, 20_000),
            _ => _random.Next(20_000, 900_000),
        });
        Trouble();
        StartWhatIsDown();
        if (_random.Next(4) == 0 && _aggregator.Engine is not null)
            OnServer("writer", () => _aggregator.RunGroup(_random.Next(1, 8)));
        foreach (SimulatedAgent agent in _agents.ToArray())
            AgentTurn(agent, _random.Next(10));
        foreach (Link link in _links.ToArray())
            LinkTurn(link);
        Maintain();
    }

    private void Advance(long ms)
    {
        _nowMs += ms;
        _aggregator.Clock.Advance(TimeSpan.FromMilliseconds(ms));
        foreach (SimulatedAgent agent in _agents)
            agent.Clock.Advance(TimeSpan.FromMilliseconds(ms));
    }

    private void AgentTurn(SimulatedAgent agent, int what)
    {
        if (agent.Spool is null)
            return;
        if (what < 4)
        {
            OnAgent(agent, "collect", () =>
            {
                (string source, long time, SpoolAppend outcome) = agent.Collect();
                _trace.Note(_nowMs, agent.Name, "tick " + outcome, time, source[^1]);
            });
        }
        if (what is 3 or 4 or 5)
            OnAgent(agent, "sync", () => _trace.Note(_nowMs, agent.Name, "sync " + agent.Sync()));
        if (agent.Spool is not null && agent.Link is null && _nowMs >= agent.RetryAtMs && _aggregator.Engine is not null)
            Connect(agent);
    }

    private void Connect(SimulatedAgent agent)
    {
        OnAgent(agent, "connect", () =>
        {
            var link = new Link { From = agent, Agent = agent.NewSession() };
            link.Server = new IngestSession(_aggregator.Ingest, _aggregator, _aggregator.Fleet!, agent.Identity, new FleetSession(_ =>
            {
                link.IsReplaced = true;
                link.MayStillBeRead = _random.Next(3);
            }));
            _links.Add(link);
            agent.Link = link;
            _trace.Note(_nowMs, agent.Name, "connects");
            StepAgent(link, new StreamEvent(StreamEventKind.Opened));
        });
    }

    private void LinkTurn(Link link)
    {
        for (int i = _random.Next(1, 6); i > 0 && link.Server is not null && _aggregator.Engine is not null && TryDeliverUp(link); i--)
        {
        }
        while (link.Done.Count > 0 && link.Server is not null && (_calm || _random.Next(3) > 0))
            Answer(link);
        for (int i = _random.Next(1, 6); i > 0 && link.Agent is not null; i--)
        {
            if (TryDeliverDown(link))
                continue;
            if (link.Agent is not null)
                OnAgent(link.From, "stream", () => StepAgent(link, new StreamEvent(StreamEventKind.Writable)));
        }
        if (!_calm && _random.NextDouble() < _cutRate)
            Cut(link);
        if (link.Agent is null && link.Server is null)
            _links.Remove(link);
    }

    private bool TryDeliverUp(Link link)
    {
        if (link.IsReplaced && link.MayStillBeRead-- <= 0)
        {
            EndServer(link);
            return false;
        }
        if (_nowMs < link.UpStalledUntilMs || !link.Up.TryPeek(out (byte[] Bytes, long AtMs) next) || next.AtMs > _nowMs)
        {
            // The agent's end is gone and all that was on its way has come.
            if (link.Agent is null && link.Up.Count == 0 && _random.Next(_calm ? 1 : 20) == 0)
                EndServer(link);
            return false;
        }
        link.Up.Dequeue();
        OnServer("receive", () =>
        {
            AgentMessage message = AgentMessage.Parser.ParseFrom(next.Bytes);
            link.Server!.Received(_aggregator.Clock.NowMs, message, _serverEffects);
            if (message.KindCase == AgentMessage.KindOneofCase.Records)
            {
                RecordBatch batch = message.Records;
                _trace.Note(_nowMs, Server, $"takes {link.From.Name}'s {batch.Segment.Epoch}/{batch.Segment.Number}{(batch.Last ? " last" : "")}: from, records", (long)batch.FirstRecord, batch.Records.Count);
                Carry(link, message.Records);
            }
            else
            {
                _trace.Note(_nowMs, Server, $"takes {link.From.Name}'s {message.KindCase}", next.Bytes.Length);
            }
            SendDown(link);
            if (_serverEffects.Apply is { } run)
                _aggregator.Hand(link, run);
            if (_serverEffects.End is { } end)
            {
                _trace.Note(_nowMs, Server, "refuses: " + end.Code);
                EndServer(link);
            }
        });
        return true;
    }

    private void Answer(Link link)
    {
        (HandedRun handed, RunResult result) = link.Done.Dequeue();
        OnServer("answer", () =>
        {
            link.Server!.Applied(handed, result, _serverEffects);
            _trace.Note(_nowMs, Server, $"answers {link.From.Name}'s {result.Progress.Segment.Epoch}/{result.Progress.Segment.Number} {result.Outcome}", (long)result.Progress.Records, result.Progress.Complete ? 1 : 0);
            if (result.Refused.Count > 0)
                throw new ViolationException($"the store refused a record for good: {result.Refused[0].Reason}");
            SendDown(link);
            if (_serverEffects.End is not null)
                EndServer(link);
        });
    }

    private void SendDown(Link link)
    {
        if (link.IsReplaced)
            return;
        foreach (AggregatorMessage message in _serverEffects.Send)
            link.Down.Enqueue((message.ToByteArray(), _nowMs + _random.Next(50)));
    }

    private bool TryDeliverDown(Link link)
    {
        if (_nowMs < link.DownStalledUntilMs || !link.Down.TryPeek(out (byte[] Bytes, long AtMs) next) || next.AtMs > _nowMs)
        {
            if (link.Server is null && link.Down.Count == 0)
                EndAgent(link);
            return false;
        }
        link.Down.Dequeue();
        OnAgent(link.From, "hears", () =>
        {
            AggregatorMessage message = AggregatorMessage.Parser.ParseFrom(next.Bytes);
            SegmentHeld? held = message.Ack?.Held.FirstOrDefault();
            _trace.Note(_nowMs, link.From.Name, $"hears {message.KindCase} {held?.Segment?.Epoch}/{held?.Segment?.Number}", (long)(held?.Records ?? 0), held?.Complete == true ? 1 : 0);
            if (message.Hello is { } answer)
                _trace.Note(_nowMs, link.From.Name, "is told that there are " + string.Join(", ", answer.Held.Select(h => $"{h.Segment.Number}: {h.Records}{(h.Complete ? " complete" : "")}")));
            StepAgent(link, new StreamEvent(StreamEventKind.Received, message));
        });
        return true;
    }

    private void StepAgent(Link link, StreamEvent happened)
    {
        link.Agent!.Step(link.From.Clock.NowMs, happened, _agentEffects);
        if (_agentEffects.Send is { } message)
        {
            long last = link.Up.Count > 0 ? link.Up.Last().AtMs : 0;
            link.Up.Enqueue((message.ToByteArray(), Math.Max(last, _nowMs + _random.Next(50))));
        }
        if (_agentEffects.End is { } end)
        {
            _trace.Note(_nowMs, link.From.Name, "ends: " + end);
            EndAgent(link);
        }
    }

    private void EndAgent(Link link)
    {
        link.Agent = null;
        if (ReferenceEquals(link.From.Link, link))
        {
            link.From.Link = null;
            link.From.RetryAtMs = _nowMs + (_calm ? 500 : _random.Next(2000));
        }
        if (_calm)
            link.Up.Clear();
    }

    private static void EndServer(Link link)
    {
        link.Server?.Ended();
        link.Server = null;
        link.Done.Clear();
    }

    /// <summary>Remembers records of a session, to be carried to the store by hand later, out of order and more than once.</summary>
    private void Carry(Link link, RecordBatch batch)
    {
        if (batch.FirstRecord == 0 && _carried.Count < 40 && _random.Next(4) == 0)
            _carried.Add((link.From.Identity, batch));
    }

    private void CarryIn()
    {
        (string agent, RecordBatch batch) = _carried[_random.Next(_carried.Count)];
        var key = new SegmentKey(agent, batch.Segment.Epoch, batch.Segment.Number, batch.Segment.Nonce);
        _trace.Note(_nowMs, Server, "is carried a segment", (long)key.Number, batch.Records.Count);
        _aggregator.Hand(null, new HandedRun(new RecordRun(key, batch.FirstRecord, [.. batch.Records.Select(r => r.Memory)], batch.Last), 0, 0));
    }

    private void Maintain()
    {
        if (_nowMs < _maintainAtMs || _aggregator.Engine is null)
            return;
        _maintainAtMs = _nowMs + 5000;
        OnServer("maintain", () =>
        {
            _aggregator.Engine.Maintain();
            _trace.Note(_nowMs, Server, $"maintained: {_aggregator.Engine.FailedCuts} cuts failed; held, files", _aggregator.Engine.HeldSamples, _aggregator.Engine.Blocks.Count);
        });
    }

    private void StartWhatIsDown()
    {
        if (_aggregator.Engine is null && (_calm || _random.Next(10) == 0))
            OnServer("start", () => Started(Server, _aggregator.Start, _aggregator.Disk));
        foreach (SimulatedAgent agent in _agents)
        {
            if (agent.Spool is null && (_calm || _random.Next(10) == 0))
                OnAgent(agent, "start", () => Started(agent.Name, agent.Start, agent.Disk));
        }
    }

    private void NoteStart(string side)
    {
        if (_agents.Find(a => a.Name == side) is { Spool: not null } agent)
        {
            (long produced, long _, long dropped, long _, string reasons) = agent.Ledger();
            _trace.Note(_nowMs, side, $"started ({reasons}): produced, dropped", produced, dropped);
        }
        else
        {
            _trace.Note(_nowMs, side, "started");
        }
    }

    /// <summary>Sometimes a file of an agent's log cannot be read at all while it starts.</summary>
    private Func<DiskCall, string, bool> WithBadFile(FaultyDisk disk, Func<DiskCall, string, bool> fault)
    {
        string[] files = [.. disk.List(SimulatedAgent.LogFolder).Where(f => f.EndsWith(".seg", StringComparison.Ordinal)).SkipLast(3)];
        if (files.Length == 0 || _random.Next(4) > 0)
            return fault;
        string bad = Path.Combine(SimulatedAgent.LogFolder, files[_random.Next(files.Length)]);
        _trace.Note(_nowMs, "disk", "does not give back " + bad);
        return (call, path) => (call == DiskCall.Read && path == bad) || fault(call, path);
    }

    private void Started(string side, Action start, FaultyDisk disk)
    {
        Func<DiskCall, string, bool>? fault = disk.Fault;
        // What cannot be read while the store is opened is damage, told and counted as such (DamageTests own that): here it would only blur what must be exact.
        if (fault is not null && side == Server)
            disk.Fault = (call, path) => call != DiskCall.Read && fault(call, path);
        else if (fault is not null)
            disk.Fault = WithBadFile(disk, fault);
        try
        {
            start();
            NoteStart(side);
            if (side == Server && _aggregator.Engine!.Opened is { } found && found.UnreadableFrames + found.DamagedLogPlaces > 0)
                _trace.Note(_nowMs, side, "frames unreadable, places damaged", found.UnreadableFrames, found.DamagedLogPlaces);
        }
        catch (IOException error) when (disk.Fault is not null || disk.Capacity != long.MaxValue)
        {
            // Programs end and are started again by their supervisor; on a sound disk opening always works.
            _trace.Note(_nowMs, side, "could not start", error.HResult);
            disk.Crash(onlyProcess: true);
            if (side == Server)
                _aggregator.Stop(inOrder: false);
            else
                _agents.First(a => a.Name == side).Stop(inOrder: false);
        }
        finally
        {
            disk.Fault = fault;
        }
    }
}
