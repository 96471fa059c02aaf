namespace Bellwether.EndToEnd;

/// <summary>Results of rules are corrected, by real programs, when data comes late.</summary>
public sealed class HealingTests
{
    [Fact]
    public async Task Rules_are_evaluated_again_over_what_an_agent_brings_after_it_was_cut_off()
    {
        await using CountingTarget target = await CountingTarget.StartAsync(5);
        await using var site = new Site();
        site.Write("rules.yaml", """
            groups:
              - name: kpi
                interval: 1s
                rules:
                  - record: kpi:newest
                    expr: max(ledger_value)
                  - record: kpi:missing
                    expr: absent(ledger_value{i="0"})
                  - record: kpi:mean
                    expr: avg_over_time(kpi:newest[5s])
            """ + "\n");
        site.ConfigureAggregator("rule_files: [rules.yaml]");
        site.ConfigureAgent(Ledger.Scraping(target));
        await site.StartAggregatorAsync();
        // The agent is started against an aggregator that it cannot reach, collects, and is stopped.
        string config = await File.ReadAllTextAsync(Path.Combine(site.Folder, "agent.yaml"));
        site.Write("cut-off.yaml", config.Replace(site.Grpc, $"127.0.0.1:{Site.FreePorts(1)[0]}", StringComparison.Ordinal));
        Running cutOff = site.StartAgent("cut-off.yaml");
        await Wait.ForAsync("scrapes", () => Task.FromResult(target.Answered.Length >= 6), Site.Limit, site.Aggregator!, cutOff);
        Assert.Equal(0, await cutOff.StopAsync());
        await Wait.ForAsync("rules to have passed it", async () => await site.Api.ValueAsync("sum(count_over_time(kpi:missing[1h]))") >= 8, Site.Limit, site.Aggregator!);
        Assert.Null(await site.Api.ValueAsync("sum(count_over_time(kpi:newest[1h]))"));
        // Back, as another process on the same spool.
        site.StartAgent();
        await site.WaitForAsync("healed results", async () => await site.Api.ValueAsync("sum(count_over_time(kpi:newest[1h]))") >= 6 && await site.Api.ValueAsync("sum(count_over_time(kpi:mean[1h]))") >= 6);
        await site.WaitForAsync("the wrong ones to be gone", async () => await site.Api.ValueAsync("sum(count_over_time(kpi:missing{__revision__=\"1\"}[1h]))") >= 4);
        List<(System.Text.Json.JsonElement Metric, List<(double Time, double Value)> Samples)> newest = await site.Api.RawAsync("kpi:newest", "1h");
        int[] scrapes = [.. newest.SelectMany(s => s.Samples).Where(s => !double.IsNaN(s.Value)).Select(s => (int)(s.Value / 1000)).Distinct().Order()];
        Assert.All(new[] { 2, 3, 4, 5 }, n => Assert.Contains(n, scrapes));
    }
}
