using Bellwether.Kit.Live;

namespace Bellwether.Prove;

/// <summary>Carries the records of the agent without a network by bundle, twice: first into the running aggregator, then into the store that a kill -9 of it has left; then the agent gets a network, so that it can tell its own ledger.</summary>
internal sealed class Courier(ProveSite site, int agent, Action<string> tell)
{
    private const string NothingNew = "imported: 0 new records with 0 samples";
    private const string Bundle = "carried.bwb";

    /// <summary>All of it. <paramref name="until"/>: waits for something, named for people. Throws <see cref="InvalidOperationException"/> when a step fails.</summary>
    public async Task CarryAsync(Func<string, Func<Task<bool>>, Task> until, CancellationToken cancel)
    {
        string config = $"agent-{agent}.yaml";
        Tell("export ", await site.RunAsync(Programs.Agent, "bundle", "export", "--config", config, "--unsent", "-o", Bundle));
        Tell("import ", await ImportAsync());
        await site.Aggregator!.KillAsync();
        string again = await ImportAsync();
        Tell("again  ", again);
        site.StartAggregator();
        await until("the aggregator", () => site.Store.IsReadyAsync(cancel));
        if (!again.Contains(NothingNew, StringComparison.Ordinal))
            throw new InvalidOperationException($"the same bundle was not known the second time:\n{again}");
        foreach (string receipt in Directory.GetFiles(site.Folder, "*.receipt"))
            Tell("receipt", await site.RunAsync(Programs.Agent, "bundle", "receipt", "--config", config, receipt));
        int code = await site.Agents[agent]!.StopAsync();
        if (code != 0)
            throw new InvalidOperationException($"agent-{agent} ended with {code} at SIGTERM:\n{site.Agents[agent]!.Output}");
        site.Configure(agent, connected: true);
        site.StartAgent(agent);
        await until($"agent-{agent} to connect", async () => await site.UnacknowledgedAsync(agent) is not null);
        tell($"  agent-{agent} has a network from here on");
    }

    private Task<string> ImportAsync() => site.RunAsync(Programs.Aggregator, "bundle", "import", "--config", "aggregator.yaml", Bundle);

    private void Tell(string step, string output) => tell($"  agent-{agent} by bundle: {step} {output.Trim().Split('\n').LastOrDefault(l => l.StartsWith("bundle ", StringComparison.Ordinal) || l.StartsWith("imported", StringComparison.Ordinal) || l.StartsWith("receipt of", StringComparison.Ordinal))?.Trim()}");
}
