using Bellwether.Kit;

namespace Bellwether.Simulation;

// What goes wrong.
internal sealed partial class SimulatedWorld
{
    private void Trouble()
    {
        switch (_random.Next(120))
        {
            case < 5:
                ArmServer();
                break;
            case < 10:
                ArmAgent(Any());
                break;
            case 10:
                KillServer(onlyProcess: true);
                break;
            case 11:
                KillAgent(Any(), onlyProcess: true);
                break;
            case 12 or 13:
                DiskTrouble(_aggregator.Disk, Server);
                break;
            case 14 or 15:
                SimulatedAgent ill = Any();
                DiskTrouble(ill.Disk, ill.Name);
                break;
            case 16:
                Jump(_aggregator.Clock, Server);
                break;
            case 17:
                SimulatedAgent jumping = Any();
                Jump(jumping.Clock, jumping.Name);
                break;
            case 18 or 19 when _links.Count > 0:
                Link stalled = _links[_random.Next(_links.Count)];
                long until = _nowMs + _random.Next(60_000);
                if (_random.Next(2) == 0)
                    stalled.UpStalledUntilMs = until;
                else
                    stalled.DownStalledUntilMs = until;
                _trace.Note(_nowMs, stalled.From.Name, "one way stalls", until - _nowMs);
                break;
            case 20 when _agents.Count < 5 && _random.Next(4) == 0:
                Clone(Any());
                break;
            case 21 when _random.Next(6) == 0:
                LoseSpool(Any());
                break;
            case 22 or 23 or 24 when _carried.Count > 0 && _aggregator.Engine is not null:
                CarryIn();
                break;
            case 25:
                StopInOrder();
                break;
        }
    }

    private SimulatedAgent Any() => _agents[_random.Next(_agents.Count)];

    private void ArmServer()
    {
        if (_aggregator.Engine is not null && _aggregator.Disk.PowerCutAt == long.MaxValue)
            _aggregator.Disk.PowerCutAt = _aggregator.Disk.Changes + _random.Next(1, 40);
    }

    private void ArmAgent(SimulatedAgent agent)
    {
        if (agent.Spool is not null && agent.Disk.PowerCutAt == long.MaxValue)
            agent.Disk.PowerCutAt = agent.Disk.Changes + _random.Next(1, 20);
    }

    private void KillServer(bool onlyProcess)
    {
        if (onlyProcess && _aggregator.Engine is null)
            return;
        Crashes++;
        _trace.Note(_nowMs, Server, onlyProcess ? "is killed" : "loses power", Crashes);
        _aggregator.Disk.Crash(onlyProcess);
        _aggregator.Stop(inOrder: false);
        foreach (Link link in _links)
            link.Server = null;
        foreach (Link link in _links)
            link.Done.Clear();
    }

    private void KillAgent(SimulatedAgent agent, bool onlyProcess)
    {
        if (onlyProcess && agent.Spool is null)
            return;
        Crashes++;
        _trace.Note(_nowMs, agent.Name, onlyProcess ? "is killed" : "loses power", Crashes);
        agent.Disk.Crash(onlyProcess);
        agent.Stop(inOrder: false);
        _trace.Note(_nowMs, agent.Name, "had produced, dropped", agent.Before.Produced, agent.Before.Dropped);
        LeaveLink(agent);
    }

    private void LeaveLink(SimulatedAgent agent)
    {
        if (agent.Link is not { } link)
            return;
        link.Agent = null;
        agent.Link = null;
        // What had left the machine is still on its way.
        CutQueue(link.Up);
    }

    private void StopInOrder()
    {
        SimulatedAgent agent = Any();
        if (agent.Spool is null)
            return;
        OnAgent(agent, "stop", () =>
        {
            agent.Sync();
            agent.Spool.MarkStop();
            agent.Stop(inOrder: true);
            LeaveLink(agent);
        });
        _trace.Note(_nowMs, agent.Name, "was stopped in order");
    }

    private void DiskTrouble(FaultyDisk disk, string side)
    {
        int kind = _random.Next(_hasRoom ? 1 : 0, 4);
        _trace.Note(_nowMs, side, kind switch { 0 => "disk is full", 1 => "disk errs at syncs", _ when disk.Fault is null => "disk errs", _ => "disk is sound" });
        disk.Capacity = kind == 0 ? disk.UsedBytes + _random.Next(12_000) : long.MaxValue;
        double rate = _errorRate;
        disk.Fault = kind switch
        {
            1 => (call, _) => call == DiskCall.Sync && _random.NextDouble() < rate * 4,
            2 when disk.Fault is null => (call, _) => call != DiskCall.Open && _random.NextDouble() < (call == DiskCall.Read ? rate / 4 : rate),
            _ => null,
        };
    }

    private void Jump(VirtualTime clock, string side)
    {
        long ms = _random.NextInt64(-DayMs, DayMs) / (_random.Next(2) == 0 ? 1 : 2000);
        clock.Step(TimeSpan.FromMilliseconds(ms));
        _trace.Note(_nowMs, side, "clock jumps", ms);
    }

    /// <summary>The folder is copied to a second machine, which runs with the same identity.</summary>
    private void Clone(SimulatedAgent agent)
    {
        if (agent.Spool is not null || agent.Disk.Fault is not null)
            return;
        var twin = new SimulatedAgent(this, $"a{_agents.Count}", agent.Identity, _random.Next(), smallSpool: false) { Disk = agent.Disk.Copy(new Random(_random.Next())), LedgerIsCut = true };
        agent.LedgerIsCut = true;
        twin.Clock.Step(agent.Clock.GetUtcNow() - twin.Clock.GetUtcNow());
        _agents.Add(twin);
        _trace.Note(_nowMs, twin.Name, "is a copy of " + agent.Name);
    }

    private void LoseSpool(SimulatedAgent agent)
    {
        // A tick of which the store holds a part at this moment could not be told from a torn one.
        if (agent.Spool is not null || _aggregator.Engine is null || _aggregator.Engine.PendingBytes > 0)
            return;
        agent.LedgerIsCut = true;
        agent.Disk = new FaultyDisk(new Random(_random.Next()));
        _trace.Note(_nowMs, agent.Name, "lost its spool, ticks", Oracle.SpoolLost(agent.Name, _aggregator.Engine));
    }

    private void Cut(Link link)
    {
        _trace.Note(_nowMs, link.From.Name, "link is cut", link.Up.Count, link.Down.Count);
        CutQueue(link.Up);
        CutQueue(link.Down);
        int which = _random.Next(4);
        if (which != 0)
            EndAgent(link);
        if (which is 0 or 1)
            EndServer(link);
    }

    // The bytes behind a place are gone; a message of which a part has come is none.
    private void CutQueue(Queue<(byte[] Bytes, long AtMs)> queue)
    {
        int keep = _random.Next(queue.Count + 1);
        (byte[] Bytes, long AtMs)[] kept = [.. queue.Take(keep)];
        queue.Clear();
        foreach ((byte[] Bytes, long AtMs) message in kept)
            queue.Enqueue(message);
    }

    private void OnServer(string what, Action act)
    {
        try
        {
            act();
        }
        catch (PowerCutException)
        {
            _trace.Note(_nowMs, Server, "power goes in " + what);
            KillServer(onlyProcess: false);
        }
    }

    private void OnAgent(SimulatedAgent agent, string what, Action act)
    {
        if (agent.Spool is null && what != "start")
            return;
        try
        {
            act();
        }
        catch (PowerCutException)
        {
            _trace.Note(_nowMs, agent.Name, "power goes in " + what);
            KillAgent(agent, onlyProcess: false);
        }
    }
}
