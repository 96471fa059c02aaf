using System.Text.Json;
using Bellwether.Kit;

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
        site.Write("cut-off.yaml", config.Replace(site.Grpc, $"127.0.0.1:{Ports.Free()}", StringComparison.Ordinal));
        Running cutOff = site.StartAgent("cut-off.yaml");
        await Wait.ForAsync("scrapes", () => Task.FromResult(target.Answered.Length >= 6), Site.Limit, site.Aggregator!, cutOff);
        Assert.Equal(0, await cutOff.StopAsync());
        double stopped = TimeProvider.System.GetUtcNow().ToUnixTimeSeconds();
        await Wait.ForAsync("rules to have passed it", async () => await site.Api.ValueAsync("sum(count_over_time(kpi:missing[1h]))") >= 8, Site.Limit, site.Aggregator!);
        Assert.Null(await site.Api.ValueAsync("sum(count_over_time(kpi:newest[1h]))"));
        // Back, as another process on the same spool.
        site.StartAgent();
        await site.WaitForAsync("healed results", async () => await site.Api.ValueAsync("sum(count_over_time(kpi:newest[1h]))") >= 6 && await site.Api.ValueAsync("sum(count_over_time(kpi:mean[1h]))") >= 6);
        await site.WaitForAsync("the wrong ones to be gone", async () => await site.Api.ValueAsync("sum(count_over_time(kpi:missing{__revision__=\"1\"}[1h]))") >= 4);
        // At every step of the time of the cut the result is what the expression gives now.
        (double Time, double Value)[] expected = [], newest = [];
        await site.WaitForAsync("every result of that time to be healed", async () =>
        {
            expected = [.. (await site.Api.RawAsync("max(ledger_value)", "1h:1s")).SelectMany(s => s.Samples).Where(s => s.Time <= stopped)];
            newest = [.. (await site.Api.RawAsync("kpi:newest", "1h")).SelectMany(s => s.Samples)];
            return expected.Length > 0 && !expected.Except(newest).Any();
        });
        Assert.True(expected.Select(s => s.Value).Distinct().Count() >= 4, string.Join(", ", expected));
    }

    [Fact]
    public async Task Samples_with_old_times_by_remote_write_heal_the_rules_and_the_reason_is_told_and_a_new_rule_is_backfilled()
    {
        await using var site = new Site();
        const string rules = """
            groups:
              - name: kpi
                interval: 1s
                rules:
                  - record: kpi:sum
                    expr: sum_over_time(late_value[5s])
                  - record: kpi:absent
                    expr: absent(late_value)
                  - record: kpi:other
                    expr: count(other_value) or vector(0)
            """;
        site.Write("rules.yaml", rules + "\n");
        site.ConfigureAggregator("rule_files: [rules.yaml]");
        await site.StartAggregatorAsync();
        await site.WaitForAsync("rules to have run", async () => await site.Api.ValueAsync("sum(count_over_time(kpi:absent[1m]))") >= 8);
        long now = TimeProvider.System.GetUtcNow().ToUnixTimeMilliseconds() / 1000 * 1000;
        (string, long, double)[] samples = [.. Enumerable.Range(0, 6).Select(i => ("late_value", now - 10_000 + (i * 1000L), (double)i))];
        // In two parts, the later one first, with rules that run in between.
        await RemoteWrite.SendAsync(site, samples[3..]);
        await RemoteWrite.SendAsync(site, samples[..3]);
        await site.WaitForAsync("healed results", async () => await site.Api.ValueAsync($"sum(count_over_time(kpi:sum[20s] @ {now / 1000}))") >= 10 && await site.Api.ValueAsync($"sum(count_over_time(kpi:absent[10s] @ {now / 1000}))") is null);
        // What is stored is what the expression gives when everything is there.
        for (long second = (now / 1000) - 10; second <= now / 1000; second++)
        {
            long at = second;
            await site.WaitForAsync($"the sum at {at}", async () => await site.Api.ValueAsync($"sum_over_time(late_value[5s] @ {at})") == await site.Api.ValueAsync($"last_over_time(kpi:sum[1s] @ {at})"));
            await site.WaitForAsync($"nothing absent at {at}", async () => await site.Api.ValueAsync($"last_over_time(kpi:absent[1s] @ {at})") is null);
        }
        JsonElement heals = JsonDocument.Parse(await site.Api.Client.GetStringAsync("/api/v1/heals?metric=kpi:sum")).RootElement;
        JsonElement heal = heals.GetProperty("heals")[0];
        Assert.Equal(("late", "late data by remote write: metric late_value"), (heal.GetProperty("kind").GetString(), heal.GetProperty("reason").GetString()));
        Assert.DoesNotContain(heal.GetProperty("changed").EnumerateArray(), c => c.GetProperty("record").GetString() == "kpi:other");

        site.Write("rules.yaml", rules + "\n      - record: kpi:new\n        expr: max_over_time(late_value[5s])\n");
        using HttpResponseMessage reloaded = await site.Api.Client.PostAsync("/-/reload", null);
        Assert.True(reloaded.IsSuccessStatusCode);
        (int code, string output) = await Running.ToEndAsync(Programs.Aggregator, site.Folder, "rules", "backfill", "--url", site.Http, "--from", $"{(now / 1000) - 20}", "--reason", "it is new", "kpi:n*");
        Assert.True(code == 0, output);
        for (long second = (now / 1000) - 10; second <= now / 1000; second++)
            Assert.Equal(await site.Api.ValueAsync($"max_over_time(late_value[5s] @ {second})"), await site.Api.ValueAsync($"last_over_time(kpi:new[1s] @ {second})"));
        JsonElement told = JsonDocument.Parse(await site.Api.Client.GetStringAsync("/api/v1/heals?kind=backfill")).RootElement.GetProperty("heals")[0];
        Assert.Equal(("it is new", "kpi:new"), (told.GetProperty("reason").GetString(), Assert.Single(told.GetProperty("changed").EnumerateArray()).GetProperty("record").GetString()));
    }
}
