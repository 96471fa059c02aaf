using System.Diagnostics;

namespace Bellwether.EndToEnd;

/// <summary>What an operator meets at the command line: help, checks, and errors that say where and what.</summary>
public sealed class CommandLineTests
{
    [Fact]
    public async Task Help_names_the_commands()
    {
        (int code, string output) = await Running.ToEndAsync(Programs.Agent, "/", "--help");
        Assert.Equal(0, code);
        Assert.All(["run", "check", "status"], c => Assert.Contains(c, output, StringComparison.Ordinal));
        (code, output) = await Running.ToEndAsync(Programs.Aggregator, "/", "--help");
        Assert.Equal(0, code);
        Assert.All(["serve", "check", "query"], c => Assert.Contains(c, output, StringComparison.Ordinal));
    }

    [Theory]
    [InlineData("chek", "did you mean 'check'?")]
    [InlineData("run --confg agent.yaml", "did you mean '--config'?")]
    [InlineData("status --jsn", "did you mean '--json'?")]
    [InlineData("", "usage: bellwether-agent run|check|status")]
    public async Task A_wrong_word_on_the_agents_command_line_ends_with_2_and_the_nearest_valid_word(string words, string expected)
    {
        (int code, string output) = await Running.ToEndAsync(Programs.Agent, "/", words.Split(' ', StringSplitOptions.RemoveEmptyEntries));
        Assert.Equal(2, code);
        Assert.Contains(expected, output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_wrong_agent_file_is_refused_with_every_error_its_place_and_the_nearest_word()
    {
        await using var site = new Site();
        site.Write("agent.yaml", """
            agent:
              idd: x
            scrape_configs:
              - job_name: a
                scrape_intervall: 5s
                static_configs:
                  - targets: ["localhost:1"]
              - job_name: a
                scrape_timeout: 1 hour
            """ + "\n");
        foreach (string command in new[] { "check", "run" })
        {
            (int code, string output) = await Running.ToEndAsync(Programs.Agent, site.Folder, command, "--config", "agent.yaml");
            Assert.Equal(2, code);
            Assert.Contains("agent.yaml:2:3", output, StringComparison.Ordinal);
            Assert.Contains("'id'", output, StringComparison.Ordinal);
            Assert.Contains("agent.yaml:5:5", output, StringComparison.Ordinal);
            Assert.Contains("scrape_interval", output, StringComparison.Ordinal);
            Assert.Contains("agent.yaml:9:", output, StringComparison.Ordinal);
        }
    }

    [Fact]
    public async Task A_wrong_rule_is_refused_with_its_place()
    {
        await using var site = new Site();
        site.ConfigureAggregator("""
            rule_files:
              - rules/*.yaml
            """);
        site.Write("rules/a.yaml", """
            groups:
              - name: g
                rules:
                  - record: a
                    expr: sum(rate(x[5m])
            """ + "\n");
        (int code, string output) = await Running.ToEndAsync(Programs.Aggregator, site.Folder, "check", "--config", "aggregator.yaml");
        Assert.Equal(2, code);
        Assert.Contains("a.yaml:5:", output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Two_agents_of_one_token_are_refused_by_the_check_by_a_start_and_by_a_reload_that_keeps_what_is_in_force()
    {
        const string Twin = "  - id: twin\n    token_file: agent.token";
        const string Refusal = "agents[1].token_file: is the token of entry 1 ('test-agent') already; each agent needs its own";
        await using var site = new Site();
        site.ConfigureAggregator(Twin);
        foreach (string command in new[] { "check", "serve" })
        {
            (int code, string output) = await Running.ToEndAsync(Programs.Aggregator, site.Folder, command, "--config", "aggregator.yaml");
            Assert.Equal(2, code);
            Assert.Contains("aggregator.yaml:11:17: " + Refusal, output, StringComparison.Ordinal);
        }
        site.ConfigureAggregator();
        await site.StartAggregatorAsync();
        site.ConfigureAggregator(Twin);
        using (HttpResponseMessage refused = await site.Api.Client.PostAsync("/-/reload", null))
            Assert.False(refused.IsSuccessStatusCode);
        await Wait.ForOutputAsync(site.Aggregator!, "the one in force stays", Site.Limit);
        Assert.Contains(Refusal, site.Aggregator!.Output, StringComparison.Ordinal);
        Assert.DoesNotContain("twin", await site.Api.Client.GetStringAsync("/api/v1/status/config"), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_good_configuration_passes_the_check_and_the_query_command_answers()
    {
        await using var site = new Site();
        site.ConfigureAggregator();
        (int code, string output) = await Running.ToEndAsync(Programs.Aggregator, site.Folder, "check", "--config", "aggregator.yaml");
        Assert.True(code == 0, output);
        await site.StartAggregatorAsync();
        (code, output) = await Running.ToEndAsync(Programs.Aggregator, site.Folder, "query", "--config", "aggregator.yaml", "1 + 2");
        Assert.True(code == 0, output);
        Assert.Contains('3', output);
    }

    [Fact]
    public async Task Status_tells_how_a_running_agent_is()
    {
        await using CountingTarget target = await CountingTarget.StartAsync(3);
        await using var site = new Site();
        site.ConfigureAggregator();
        site.ConfigureAgent($"""
            global:
              scrape_interval: 1s
              scrape_timeout: 1s
            scrape_configs:
              - job_name: ledger
                static_configs:
                  - targets: ["{target.Address}"]
            """);
        await site.StartAggregatorAsync();
        site.StartAgent();
        await site.WaitForAsync("samples", async () => await site.Api.ValueAsync("count(ledger_value)") == 3);
        (int code, string output) = await Running.ToEndAsync(Programs.Agent, site.Folder, "status", "--config", "agent.yaml");
        Assert.True(code == 0, output);
        Assert.Contains("test-agent", output, StringComparison.Ordinal);
        Assert.Contains(target.Address, output, StringComparison.Ordinal);
        Assert.Contains("connected", output, StringComparison.Ordinal);
    }

    /// <summary>The configuration comes through a pipe: who reads it has not begun anything yet.</summary>
    [Fact]
    public async Task A_program_that_is_told_to_stop_before_it_has_read_its_configuration_stops_cleanly()
    {
        await using var site = new Site();
        site.ConfigureAggregator();
        site.ConfigureAgent("scrape_configs: []");
        foreach ((string program, string command, string file) in new[] { (Programs.Agent, "run", "agent.yaml"), (Programs.Aggregator, "serve", "aggregator.yaml") })
        {
            string path = Path.Combine(site.Folder, file);
            byte[] text = await File.ReadAllBytesAsync(path);
            File.Delete(path);
            using (Process pipe = Process.Start("mkfifo", [path]))
                await pipe.WaitForExitAsync();
            await using Running running = Running.Start(program, site.Folder, command, "--config", file);
            // Opens only when the program has opened its end.
            await using FileStream writer = await Task.Run(() => new FileStream(path, FileMode.Open, FileAccess.Write, FileShare.ReadWrite, 0)).WaitAsync(Site.Limit);
            running.Signal("TERM");
            await writer.WriteAsync(text);
            writer.Close();
            Assert.True(await running.StopAsync() == 0, running.Output);
        }
    }

    [Fact]
    public async Task A_reload_takes_new_targets_and_ends_the_series_of_those_that_went()
    {
        await using CountingTarget first = await CountingTarget.StartAsync(1);
        await using CountingTarget second = await CountingTarget.StartAsync(1);
        await using var site = new Site();
        site.ConfigureAggregator();
        site.ConfigureAgent(Scrape(first.Address));
        await site.StartAggregatorAsync();
        site.StartAgentWithHangupIgnored();
        await site.WaitForAsync("the first target", async () => await site.Api.ValueAsync("count(ledger_value)") == 1);
        site.ConfigureAgent(Scrape(second.Address));
        site.Agent!.Signal("HUP");
        await site.WaitForAsync("the second target alone", async () =>
            (await site.Api.QueryAsync("ledger_value")) is [var only] && only.GetProperty("metric").GetProperty("instance").GetString() == second.Address);
        site.Write("agent.yaml", "agent: {id: web-1\naggregators: ]");
        int before = second.Answered.Length;
        site.Agent.Signal("HUP");
        await site.WaitForAsync("scrapes under the last good configuration", () => Task.FromResult(second.Answered.Length > before + 2));

        static string Scrape(string target) => $"""
            global:
              scrape_interval: 1s
              scrape_timeout: 1s
            scrape_configs:
              - job_name: ledger
                static_configs:
                  - targets: ["{target}"]
            """;
    }
}
