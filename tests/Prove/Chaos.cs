using Bellwether.Kit.Live;

namespace Bellwether.Prove;

/// <summary>What is done to a program.</summary>
internal enum Blow
{
    /// <summary>kill -9, away for a moment, started again.</summary>
    Kill,

    /// <summary>kill -9 of the aggregator and of an agent at once.</summary>
    KillBoth,

    /// <summary>SIGSTOP, later SIGCONT.</summary>
    Stop,

    /// <summary>SIGTERM, started again.</summary>
    Restart,

    /// <summary>kill -9, away for long, started again.</summary>
    Outage,
}

/// <summary>A blow that was dealt.</summary>
/// <param name="Agent">The agent's number; null: the aggregator.</param>
/// <param name="Blow">What was done.</param>
/// <param name="FromMs">When (Unix ms).</param>
/// <param name="ToMs">When the program was started again or went on (Unix ms).</param>
internal sealed record Dealt(int? Agent, Blow Blow, long FromMs, long ToMs);

/// <summary>Deals the blows of one side one after the other, at seeded random times; what was dealt is kept for the comparison.</summary>
internal sealed class Chaos(ProveSite site, ProveOptions options, TimeProvider time) : IDisposable
{
    private const int TerminatedBySignal = 128 + 15;
    private readonly Lock _gate = new();
    private readonly List<Dealt> _dealt = [];
    private readonly SemaphoreSlim[] _agents = [.. Enumerable.Range(0, options.Agents).Select(_ => new SemaphoreSlim(1))];

    /// <summary>What was dealt so far.</summary>
    public Dealt[] AllDealt
    {
        get
        {
            lock (_gate)
                return [.. _dealt];
        }
    }

    /// <summary>Whether the aggregator is in its long outage.</summary>
    public bool InOutage { get; private set; }

    /// <summary>A program ended under a fault and was started again: to its data that is a kill -9.</summary>
    public void NoteDeath(int? agent, long atMs)
    {
        lock (_gate)
            _dealt.Add(new Dealt(agent, Blow.Kill, atMs, Now()));
    }

    public int Count(bool agents, params ReadOnlySpan<Blow> blows)
    {
        int count = 0;
        foreach (Dealt dealt in AllDealt)
        {
            if (dealt.Agent is not null == agents && blows.Contains(dealt.Blow))
                count++;
        }
        return count;
    }

    /// <summary>Agents: any of them, over the whole time.</summary>
    public async Task StrikeAgentsAsync(long start, CancellationToken cancel)
    {
        var random = new Random(options.Seed);
        foreach ((TimeSpan at, Blow blow) in Plan(random, options.KillsOfAgents, 0, TimeSpan.Zero, TimeSpan.Zero))
        {
            await UntilAsync(start, at, cancel);
            await StrikeAgentAsync(random.Next(options.Agents), blow, Away(random, blow), cancel);
        }
    }

    /// <summary>The aggregator: all but the outage outside of it.</summary>
    public async Task StrikeAggregatorAsync(long start, CancellationToken cancel)
    {
        var random = new Random(options.Seed + 1_000_003);
        TimeSpan outage = options.OutageLength;
        TimeSpan from = (options.Length - outage) * 0.4;
        IEnumerable<(TimeSpan At, Blow Blow)> plan = Plan(random, options.KillsOfTheAggregator, options.KillsOfBoth, from, outage);
        if (outage > TimeSpan.Zero)
            plan = plan.Append((At: from, Blow: Blow.Outage)).OrderBy(p => p.At);
        foreach ((TimeSpan at, Blow blow) in plan)
        {
            await UntilAsync(start, at, cancel);
            InOutage = blow == Blow.Outage;
            Task agent = blow == Blow.KillBoth ? StrikeAgentAsync(random.Next(options.Agents), Blow.Kill, Away(random, blow), cancel) : Task.CompletedTask;
            await StrikeAsync(null, site.Aggregator!, blow, blow == Blow.Outage ? outage : Away(random, blow), site.StartAggregator, cancel);
            await agent;
            InOutage = false;
        }
    }

    public void Dispose()
    {
        foreach (SemaphoreSlim agent in _agents)
            agent.Dispose();
    }

    /// <summary>Fails when a program ended that nobody ended.</summary>
    public static void MustRun(Running program, string name)
    {
        if (program.HasExited)
            throw new InvalidOperationException($"{name} ended by itself:\n{program.Output}");
    }

    /// <summary>One blow at a time for each agent.</summary>
    private async Task StrikeAgentAsync(int agent, Blow blow, TimeSpan away, CancellationToken cancel)
    {
        await _agents[agent].WaitAsync(cancel);
        try
        {
            await StrikeAsync(agent, site.Agents[agent]!, blow, away, () => site.StartAgent(agent), cancel);
        }
        finally
        {
            _agents[agent].Release();
        }
    }

    private async Task StrikeAsync(int? agent, Running program, Blow blow, TimeSpan away, Action start, CancellationToken cancel)
    {
        MustRun(program, agent is { } n ? $"agent-{n}" : "the aggregator");
        long from = Now();
        switch (blow)
        {
            case Blow.Stop:
                program.Signal("STOP");
                await Task.Delay(away, time, cancel);
                program.Signal("CONT");
                break;
            case Blow.Restart:
                int code = await program.StopAsync();
                // A program that is only just starting has no handler yet: then the signal kills it.
                if (code is not (0 or TerminatedBySignal))
                    throw new InvalidOperationException($"a program ended with {code} at SIGTERM:\n{program.Output}");
                start();
                break;
            default:
                await program.KillAsync();
                // The kill takes effect at some time until now.
                from = Now();
                await Task.Delay(away, time, cancel);
                start();
                break;
        }
        lock (_gate)
            _dealt.Add(new Dealt(agent, blow, from, Now()));
    }

    /// <summary>Times of all kills, stops and restarts, spread over the run less a stretch that is left out.</summary>
    private List<(TimeSpan At, Blow Blow)> Plan(Random random, int kills, int killsOfBoth, TimeSpan gapFrom, TimeSpan gap)
    {
        IEnumerable<Blow> blows = Enumerable.Repeat(Blow.Kill, kills)
            .Concat(Enumerable.Repeat(Blow.KillBoth, killsOfBoth))
            .Concat(Enumerable.Repeat(Blow.Stop, options.Stops))
            .Concat(Enumerable.Repeat(Blow.Restart, options.Restarts));
        var plan = new List<(TimeSpan At, Blow Blow)>();
        foreach (Blow blow in blows)
        {
            TimeSpan at = (options.Length - gap) * random.NextDouble();
            plan.Add((at < gapFrom ? at : at + gap, blow));
        }
        return [.. plan.OrderBy(p => p.At)];
    }

    private TimeSpan Away(Random random, Blow blow) => (blow == Blow.Stop ? options.StopMax : options.AwayMax) * random.NextDouble();

    private async Task UntilAsync(long start, TimeSpan at, CancellationToken cancel)
    {
        TimeSpan left = at - time.GetElapsedTime(start);
        if (left > TimeSpan.Zero)
            await Task.Delay(left, time, cancel);
    }

    private long Now() => time.GetUtcNow().ToUnixTimeMilliseconds();
}
