using System.Globalization;
using Bellwether.Kit.Live;

namespace Bellwether.Prove;

/// <summary>One run: load and faults, then quiet, then the comparison.</summary>
internal sealed class ProveRun(ProveOptions options, TimeProvider time, Action<string> tell)
{
    private static readonly TimeSpan s_settleMax = TimeSpan.FromMinutes(5);
    private static readonly TimeSpan s_backlogMax = TimeSpan.FromSeconds(150);
    private static readonly TimeSpan s_reportMax = TimeSpan.FromSeconds(90);
    private static readonly TimeSpan s_progress = TimeSpan.FromSeconds(5);

    /// <summary>Runs it all and gives the balance. Throws <see cref="InvalidOperationException"/> when a program ended by itself or never came back.</summary>
    public async Task<Balance> RunAsync(CancellationToken cancel)
    {
        await using LedgerTargets targets = await LedgerTargets.StartAsync(options.Agents * options.TargetsPerAgent, options.Series, time);
        await using var site = new ProveSite(options, targets);
        using var chaos = new Chaos(site, options, time);
        long fromMs = time.GetUtcNow().ToUnixTimeMilliseconds();
        await site.MakeKeysAsync();
        site.StartAggregator();
        for (int agent = 0; agent < options.Agents; agent++)
            site.StartAgent(agent);
        await UntilAsync("the first scrapes", () => Task.FromResult(targets.All.All(t => t.Completed >= 2)), site, cancel);
        if (options.Faults > 0)
            await new FaultPhase(site, targets, options, chaos, time, tell).RunAsync(cancel);
        else
            await KillsAsync(targets, chaos, cancel);
        await QuietAsync(targets, site, chaos, fromMs, cancel);
        AgentsLedger agents = await StopAgentsAsync(site, cancel);
        tell("comparing every series with its target's ledger ...");
        var comparison = new Comparison(targets, site.Store, options, chaos.AllDealt);
        Balance balance = await comparison.RunAsync(agents, fromMs, Now(), done => tell($"  {done} of {targets.All.Count} targets compared"), cancel);
        if (options.Verbose)
        {
            foreach (Running? program in site.Agents.Append(site.Aggregator))
                tell(program!.Output + "\n");
        }
        balance.Tell(tell, chaos);
        return balance;
    }

    private async Task KillsAsync(LedgerTargets targets, Chaos chaos, CancellationToken cancel)
    {
        long start = time.GetTimestamp();
        using var over = CancellationTokenSource.CreateLinkedTokenSource(cancel);
        Task progress = ProgressAsync(targets, chaos, start, over.Token);
        await Task.WhenAll(chaos.StrikeAgentsAsync(start, cancel), chaos.StrikeAggregatorAsync(start, cancel), LastAsync(start, cancel));
        await over.CancelAsync();
        await progress;
        tell(Line(targets, chaos, start));
    }

    private async Task LastAsync(long start, CancellationToken cancel)
    {
        TimeSpan left = options.Length - time.GetElapsedTime(start);
        if (left > TimeSpan.Zero)
            await Task.Delay(left, time, cancel);
    }

    /// <summary>No more faults; the targets fall silent; what is under way arrives.</summary>
    private async Task QuietAsync(LedgerTargets targets, ProveSite site, Chaos chaos, long fromMs, CancellationToken cancel)
    {
        tell("quiet: all programs run, nothing is done to them");
        int[] before = [.. targets.All.Select(t => t.Completed)];
        await UntilAsync("scrapes of every target", () => Task.FromResult(targets.All.All(t => t.Completed >= before[t.Index] + 3)), site, cancel);
        await UntilAsync("the aggregator", () => site.Store.IsReadyAsync(cancel), site, cancel);
        targets.Close();
        if (options.CarriedAgent is { } carried)
            await new Courier(site, carried, tell).CarryAsync((what, done) => UntilAsync(what, done, site, cancel), cancel);
        var comparison = new Comparison(targets, site.Store, options, chaos.AllDealt);
        long began = time.GetTimestamp();
        int missing;
        while ((missing = await comparison.MissingScrapesAsync(fromMs, Now(), cancel)) > 0 && time.GetElapsedTime(began) < s_backlogMax)
            await Task.Delay(TimeSpan.FromSeconds(1), time, cancel);
        tell(string.Create(CultureInfo.InvariantCulture, $"  {time.GetElapsedTime(began).TotalSeconds:F1} s until the backlog had arrived{(missing > 0 ? $": {missing} scrapes are missing" : "")}"));
        // What is stored and not yet acknowledged would be counted on both sides.
        for (int agent = 0; agent < options.Agents; agent++)
            await UntilAsync($"the acknowledgements of agent-{agent}", async () => await site.UnacknowledgedAsync(agent) <= options.TargetsPerAgent, site, cancel);
    }

    /// <summary>Stops the agents in order: with their end marker comes their last word on what they made and where it is.</summary>
    private async Task<AgentsLedger> StopAgentsAsync(ProveSite site, CancellationToken cancel)
    {
        long began = time.GetTimestamp();
        for (int agent = 0; agent < options.Agents; agent++)
        {
            int code = await site.Agents[agent]!.StopAsync();
            if (code != 0)
                throw new InvalidOperationException($"agent-{agent} ended with {code} at SIGTERM:\n{site.Agents[agent]!.Output}");
        }
        tell(string.Create(CultureInfo.InvariantCulture, $"agents stopped in {time.GetElapsedTime(began).TotalSeconds:F1} s"));
        AgentsLedger agents = await site.Store.AgentsLedgerAsync(cancel);
        while (agents.Difference != 0 && time.GetElapsedTime(began) < s_reportMax)
        {
            await Task.Delay(TimeSpan.FromSeconds(1), time, cancel);
            agents = await site.Store.AgentsLedgerAsync(cancel);
        }
        return agents;
    }

    private async Task UntilAsync(string what, Func<Task<bool>> done, ProveSite site, CancellationToken cancel)
    {
        long began = time.GetTimestamp();
        while (!await done())
        {
            Chaos.MustRun(site.Aggregator!, "the aggregator");
            for (int agent = 0; agent < options.Agents; agent++)
                Chaos.MustRun(site.Agents[agent]!, $"agent-{agent}");
            if (time.GetElapsedTime(began) > s_settleMax)
                throw new InvalidOperationException($"waited {s_settleMax.TotalSeconds:F0} s for {what}");
            await Task.Delay(TimeSpan.FromMilliseconds(100), time, cancel);
        }
    }

    private async Task ProgressAsync(LedgerTargets targets, Chaos chaos, long start, CancellationToken cancel)
    {
        try
        {
            while (true)
            {
                await Task.Delay(s_progress, time, cancel);
                tell(Line(targets, chaos, start));
            }
        }
        catch (OperationCanceledException)
        {
            tell("faults are over");
        }
    }

    private string Line(LedgerTargets targets, Chaos chaos, long start)
    {
        long produced = targets.All.Sum(t => (long)t.Completed) * options.Series;
        return string.Create(CultureInfo.InvariantCulture,
            $"{time.GetElapsedTime(start):h\\:mm\\:ss} of {options.Length:h\\:mm\\:ss}  answered {produced:N0} samples  kills: agents {chaos.Count(true, Blow.Kill)} of {options.KillsOfAgents + options.KillsOfBoth}, aggregator {chaos.Count(false, Blow.Kill, Blow.KillBoth)} of {options.KillsOfTheAggregator + options.KillsOfBoth}{(chaos.InOutage ? "  [the aggregator is away]" : "")}");
    }

    private long Now() => time.GetUtcNow().ToUnixTimeMilliseconds();
}
