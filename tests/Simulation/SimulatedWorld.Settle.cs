using Bellwether.Agent.Stream;
using Bellwether.Store;
using Bellwether.Agent.Spool;
using Bellwether.Core.Durable;

namespace Bellwether.Simulation;

// What must hold once nothing goes wrong any more.
internal sealed partial class SimulatedWorld
{
    private const long SettleMaxMs = 600_000;
    private const long FreshMaxMs = 5_000;

    private void Settle()
    {
        _calm = true;
        _trace.Note(_nowMs, "world", "all is sound from here on");
        MendDisks();
        RetireTwins();
        long sinceMs = _nowMs;
        // Clocks are set right; what came from ahead of time waits until its time has come.
        SetClocksRight();
        Reopen();
        Quiet(sinceMs);
        // The next hello asks whether what was dropped after it was sent has arrived.
        CutAll();
        ProveFresh();
        // A clock may have been days ahead: the store gives what came from there when its time has come.
        Advance((2 * DayMs) + Math.Max(0, Oracle.NewestMs - _aggregator.Clock.NowMs));
        Quiet(_nowMs);
        _maintainAtMs = 0;
        Maintain();
        Maintain();
        Judge("at the end");
        _aggregator.Stop(inOrder: true);
        StartWhatIsDown();
        Judge("after one more start");
    }

    private void MendDisks()
    {
        _aggregator.Disk.Fault = null;
        _aggregator.Disk.Capacity = long.MaxValue;
        _aggregator.Disk.PowerCutAt = long.MaxValue;
        foreach (SimulatedAgent agent in _agents)
        {
            agent.Disk.Fault = null;
            agent.Disk.Capacity = long.MaxValue;
            agent.Disk.PowerCutAt = long.MaxValue;
        }
        foreach (Link link in _links)
            (link.UpStalledUntilMs, link.DownStalledUntilMs) = (0, 0);
    }

    // Two of one identity turn each other out for ever: the operator gives the copy a name of its own.
    private void RetireTwins()
    {
        foreach (SimulatedAgent agent in _agents)
        {
            if (agent.Identity == agent.Name)
                continue;
            agent.Identity = agent.Name;
            if (agent.Link is { } link)
                Cut(link);
            if (agent.Link is { } left)
                EndAgent(left);
        }
    }

    // A chunk file that could not be read at the opening is left out until the next one.
    private void Reopen()
    {
        _aggregator.Disk.Crash(onlyProcess: true);
        _aggregator.Stop(inOrder: false);
        foreach (Link link in _links.ToArray())
            EndServer(link);
    }

    private void CutAll()
    {
        foreach (Link link in _links.ToArray())
        {
            EndAgent(link);
            EndServer(link);
        }
        _links.Clear();
    }

    private void SetClocksRight()
    {
        DateTimeOffset latest = _agents.Select(a => a.Clock.GetUtcNow()).Append(_aggregator.Clock.GetUtcNow()).Max();
        foreach (SimulatedAgent agent in _agents)
            agent.Clock.Step(latest - agent.Clock.GetUtcNow());
        _aggregator.Clock.Step(latest - _aggregator.Clock.GetUtcNow());
    }

    private void CalmStep()
    {
        Advance(20);
        StartWhatIsDown();
        if (_aggregator.Queued > 0)
            OnServer("writer", () => _aggregator.RunGroup(64));
        foreach (SimulatedAgent agent in _agents)
            AgentTurn(agent, 5);
        foreach (Link link in _links.ToArray())
            LinkTurn(link);
        Maintain();
    }

    private void Quiet(long sinceMs)
    {
        while (_aggregator.Engine is null || !_agents.TrueForAll(a => a.Spool is { Records: 0, Statistics.PendingBytes: 0 }) || _aggregator.Queued > 0)
        {
            CalmStep();
            if (_nowMs - sinceMs > SettleMaxMs)
                throw new ViolationException($"not settled after {SettleMaxMs / 1000} s: {string.Join(", ", _agents.Select(Holdings))}");
        }
    }

    private string Holdings(SimulatedAgent agent)
    {
        var segments = new List<SpooledSegment>();
        agent.Spool!.ListSegments(segments);
        IEnumerable<string> held = segments.Select(s =>
        {
            SegmentProgress there = _aggregator.HeldOf(new SegmentKey(agent.Identity, s.Id.Epoch, s.Id.Number, s.Id.Nonce));
            return $"{s.Id.Epoch}/{s.Id.Number} {(s.Closed ? "closed" : "open")} {s.Records} of which {there.Records}{(there.Complete ? " complete" : "")} are stored";
        });
        return $"{agent.Name} holds {agent.Spool.Records} records ({agent.Spool.Statistics.LastError}): {string.Join("; ", held)}";
    }

    private void ProveFresh()
    {
        foreach (SimulatedAgent agent in _agents)
        {
            (string source, long time, SpoolAppend outcome) = agent.Collect();
            if (outcome != SpoolAppend.Appended || agent.Sync() != LogSync.Durable)
                throw new ViolationException($"{agent.Name}: a sound disk does not take a tick: {outcome}");
            for (long since = _nowMs; !Oracle.IsStored(_aggregator.Engine!, source, time); CalmStep())
            {
                if (_nowMs - since > FreshMaxMs)
                    throw new ViolationException($"{agent.Name}: a fresh sample is not there after {FreshMaxMs / 1000} s");
            }
        }
    }

    private void Judge(string when)
    {
        (Dictionary<string, long> stored, Dictionary<string, long> missing) = Oracle.Compare(_aggregator.Engine!);
        Stored = stored.Values.Sum();
        Dropped = 0;
        Damaged = 0;
        foreach (SimulatedAgent agent in _agents)
        {
            (long produced, long buffered, long dropped, long damaged, string reasons) = agent.Ledger();
            Dropped += dropped;
            long there = stored.GetValueOrDefault(agent.Name), gone = missing.GetValueOrDefault(agent.Name);
            _trace.Note(_nowMs, agent.Name, "ledger: produced, stored", produced, there);
            Damaged += damaged;
            // The ledger of a folder that was copied or lost is not whole: where it dropped anything, how much is not known from it.
            if ((!agent.LedgerIsCut || dropped == 0) && gone > dropped)
                throw new ViolationException($"{when}: {gone} samples of {agent.Name} that were durable are gone, {dropped} are counted as dropped: {string.Join(", ", Oracle.Gone.Where(g => g.StartsWith(agent.Name + "/", StringComparison.Ordinal)).Take(10))}");
            if (!agent.LedgerIsCut && damaged > 0 && agent.Disk.FailedReads == 0)
                throw new ViolationException($"{when}: {agent.Name}: {damaged} samples are counted as damaged, and no read ever failed");
            // What a disk no longer reads may have been sent before: of that alone the agent cannot know whether it arrived.
            long known = produced - buffered - dropped;
            if (!agent.LedgerIsCut && (there < known || there > known + damaged))
                throw new ViolationException($"{when}: {agent.Name}: produced {produced} - buffered {buffered} - dropped {dropped} ({reasons}) is not stored {there}");
        }
        if (_aggregator.Engine!.HeldSamples > 0)
            throw new ViolationException($"{when}: {_aggregator.Engine.HeldSamples} samples are still held back");
        if (_aggregator.Engine.MaintainedMs == 0 && when == "at the end")
            throw new ViolationException("maintenance never went through");
    }
}
