using Bellwether.Agent.Collect.Scrape.Discovery;
using Bellwether.Agent.Configuration;
using Bellwether.Core.Configuration;

namespace Bellwether.Agent.Tests.Configuration;

/// <summary>agent.yaml as users write it.</summary>
public sealed class AgentConfigFileTests
{
    private const string Good = """
        agent:
          id: a1
          labels: {site: x}
        aggregators:
          - address: 127.0.0.1:9095
            token_file: agent.token
        spool:
          path: spool
          max_size: 64MB
        global:
          scrape_interval: 5s
        scrape_configs:
          - job_name: shop
            static_configs:
              - targets: ["localhost:1", "localhost:1"]
        collectors:
          host:
            interval: 5s
          postgres:
            - dsn: postgresql://u@localhost/db
              queries:
                - name: q
                  sql: select 1 as n
                  metrics:
                    - column: n
        """;

    [Fact]
    public void A_whole_file_reads()
    {
        ConfigResult<AgentConfig> result = AgentConfigFile.Parse(Good, "/etc/b/agent.yaml");
        Assert.True(result.IsOk, string.Join("\n", result.Errors));
        AgentConfig config = result.Value;
        Assert.Equal("/etc/b/agent.token", config.Aggregators[0].TokenFile);
        Assert.Equal(new Uri("http://127.0.0.1:9095"), config.Aggregators[0].Uri);
        Assert.Equal("q_n", config.Collectors.Postgres[0].ToOptions().Queries[0].Metrics[0].Name);
        Assert.Equal(5, config.Collectors.Host!.ToOptions("a1").Interval.TotalSeconds);
        Assert.Equal(config, AgentConfigFile.Parse(Good, "/etc/b/agent.yaml").Value);
        var discovery = new TargetDiscovery(config.ScrapeConfigs[0], TimeProvider.System);
        Assert.True(discovery.Refresh());
        Assert.Equal("http://localhost:1/metrics", Assert.Single(discovery.Current.Targets).Url);
        Assert.False(discovery.Refresh());
    }

    [Fact]
    public void Errors_come_all_at_once_with_their_places()
    {
        ConfigResult<AgentConfig> result = AgentConfigFile.Parse("""
            agent:
              idd: x
            aggregators:
              - address: 10.0.0.1
            spool:
              max_size: 1MB
            scrape_configs:
              - job_name: a
                consul_sd_configs: []
            """, "agent.yaml");
        Assert.Equal(
            [
                "agent.yaml:2:3: agent.idd: unknown key 'idd'; did you mean 'id'?",
                "agent.yaml:4:14: aggregators[0].address: '10.0.0.1' has no port; write host:port",
                "agent.yaml:6:13: spool.max_size: 1MB is below the minimum 16MB",
                "agent.yaml:9:5: scrape_configs[0].consul_sd_configs: this discovery is not supported; use static_configs, file_sd_configs or http_sd_configs",
            ],
            result.Errors.Select(e => e.ToString()));
    }

    [Theory]
    [InlineData("")]
    [InlineData("# nothing\n")]
    [InlineData("---\n")]
    [InlineData("agent: {id: a}\n")]
    [InlineData("aggregators:\n")]
    [InlineData("aggregators: []\n")]
    public void A_file_without_aggregators_is_refused(string text)
    {
        ConfigError error = Assert.Single(AgentConfigFile.Parse(text, "agent.yaml").Errors);
        Assert.Equal("aggregators", error.Path);
        Assert.StartsWith("is missing; name at least one address", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Broken_YAML_is_one_error_and_not_a_missing_aggregator_too() => Assert.Single(AgentConfigFile.Parse("agent: [", "agent.yaml").Errors);

    [Theory]
    [InlineData("address: http://10.0.0.1:9095", "would send the token readable")]
    [InlineData("address: ftp://10.0.0.1:9095", "is not host:port or https://host:port")]
    [InlineData("address: 10.0.0.1:9095/x", "is not host:port or https://host:port")]
    [InlineData("address: a:1\n    token: x\n    token_file: y", "aggregators[0].token: stands beside token_file")]
    [InlineData("address: a:1\n    tls: {cert_file: x}", "aggregators[0].tls.cert_file: cert_file and key_file go together")]
    [InlineData("token_file: y", "aggregators[0].address: is missing")]
    public void Wrong_aggregators_are_refused(string lines, string message) =>
        Assert.Contains(message, Assert.Single(AgentConfigFile.Parse($"aggregators:\n  - {lines}\n", "agent.yaml").Errors).ToString(), StringComparison.Ordinal);

    [Theory]
    [InlineData("address: 127.0.0.1:1", "http://127.0.0.1:1/")]
    [InlineData("address: 127.0.0.1:1\n    tls:", "https://127.0.0.1:1/")]
    [InlineData("address: centre.example:1", "https://centre.example:1/")]
    [InlineData("address: centre.example:1\n    allow_plaintext: true", "http://centre.example:1/")]
    [InlineData("address: \"[::1]:1\"", "http://[::1]:1/")]
    public void An_address_without_a_scheme_is_TLS_but_for_loopback(string lines, string url)
    {
        ConfigResult<AgentConfig> result = AgentConfigFile.Parse($"aggregators:\n  - {lines}\n", "agent.yaml");
        Assert.True(result.IsOk, string.Join("\n", result.Errors));
        Assert.Equal(new Uri(url), result.Value.Aggregators[0].Uri);
    }

    [Fact]
    public void A_hashmod_rule_without_its_modulus_is_an_error_also_when_targets_are_checked()
    {
        const string Text = "aggregators: [{address: 'localhost:1'}]\nscrape_configs:\n  - job_name: a\n    relabel_configs: [{action: hashmod, source_labels: [b], target_label: c}]\n    static_configs: [{targets: ['foo:80']}]\n";
        ConfigResult<AgentConfig> result = AgentConfigFile.Parse(Text, "agent.yaml", checkFiles: true);
        Assert.Contains(result.Errors, e => e.ToString().Contains("modulus", StringComparison.Ordinal));
    }

    [Theory]
    [InlineData("postgresql://u:geheim@localhost:99999/db", "its port is not a number from 1 to 65535")]
    [InlineData("postgresql://u:geheim@localhost:abc/db", "its port is not a number from 1 to 65535")]
    [InlineData("postgresql://u:geheim@[::1/db", "cannot be read as a URI")]
    [InlineData("postgresql://u:geheim@localhost/db?sslmod=require", "unknown parameter 'sslmod'")]
    [InlineData("postgresql://u:geheim@localhost/db?sslmode=must", "sslmode 'must' is not one of")]
    [InlineData("postgresql://u:geheim@localhost/db?port=none", "its port is not a number from 1 to 65535")]
    [InlineData("mysql://u@localhost/db", "the scheme is not postgresql; write postgresql://")]
    [InlineData("Host=localhost;Pasword=geheim", "unknown keyword 'pasword'; did you mean 'Password'?")]
    [InlineData("Host=localhost;Password=geheim;Port=abc", "the value of 'port' is not valid; a port is a number from 1 to 65535")]
    [InlineData("Host=localhost;Password=geheim;Port=70000", "the value of 'port' is not valid; a port is a number from 1 to 65535")]
    [InlineData("host=localhost user=u dbname=d password=geheim", "its pairs are separated by blanks")]
    [InlineData("nonsense", "is neither Host=")]
    public void A_wrong_dsn_is_refused_at_its_place_and_never_shows_a_password(string dsn, string message)
    {
        ConfigError error = Assert.Single(ParsePostgres($"    - dsn: '{dsn}'").Errors);
        Assert.StartsWith($"agent.yaml:4:12: collectors.postgres[0].dsn: {message}", error.ToString(), StringComparison.Ordinal);
        Assert.DoesNotContain("geheim", error.ToString(), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("postgresql://u:p%40@localhost/db?sslmode=require")]
    [InlineData("postgres:///db?host=/var/run/postgresql")]
    [InlineData("Host=localhost;Port=5433;Username=u;SSL Mode=Require")]
    public void A_good_dsn_is_taken(string dsn) => Assert.Empty(ParsePostgres($"    - dsn: '{dsn}'").Errors);

    [Fact]
    public void Two_collectors_whose_series_would_collide_are_refused_and_an_instance_or_a_label_tells_them_apart()
    {
        const string Second = "    - dsn: Host=localhost;Database=a\n    - dsn: postgresql://localhost:5432/b\n";
        ConfigError error = Assert.Single(ParsePostgres(Second).Errors);
        Assert.StartsWith("agent.yaml:5:7: collectors.postgres[1]: has the same job 'postgres', instance 'localhost:5432' and labels as collectors.postgres[0]", error.ToString(), StringComparison.Ordinal);
        Assert.Empty(ParsePostgres(Second + "      instance: b").Errors);
        Assert.Empty(ParsePostgres(Second + "      labels: {db: b}").Errors);
    }

    [Theory]
    [InlineData("aggregators:\n  - address: a:1\n    token_file: secret", "3:17: aggregators[0].token_file: ")]
    [InlineData("aggregators: [{address: 'a:1'}]\ncollectors:\n  postgres:\n    - password_file: secret", "4:22: collectors.postgres[0].password_file: ")]
    [InlineData("aggregators: [{address: 'a:1'}]\nscrape_configs:\n  - job_name: j\n    basic_auth:\n      password_file: secret", "5:22: scrape_configs[0].basic_auth.password_file: ")]
    [InlineData("aggregators: [{address: 'a:1'}]\nscrape_configs:\n  - job_name: j\n    authorization:\n      credentials_file: secret", "5:25: scrape_configs[0].authorization.credentials_file: ")]
    public void A_secret_file_that_is_missing_or_holds_nothing_fails_the_check(string text, string place)
    {
        DirectoryInfo folder = Directory.CreateTempSubdirectory("bellwether-config-");
        try
        {
            string file = Path.Combine(folder.FullName, "agent.yaml");
            string secret = Path.Combine(folder.FullName, "secret");
            Assert.Equal($"{file}:{place}{secret}: no such file", Assert.Single(AgentConfigFile.Parse(text, file, checkFiles: true).Errors).ToString());
            foreach (string empty in new[] { "", " \n\t" })
            {
                File.WriteAllText(secret, empty);
                Assert.StartsWith($"{file}:{place}{secret}: holds nothing", Assert.Single(AgentConfigFile.Parse(text, file, checkFiles: true).Errors).ToString(), StringComparison.Ordinal);
            }
            File.WriteAllText(secret, "s3cret\n");
            Assert.Empty(AgentConfigFile.Parse(text, file, checkFiles: true).Errors);
        }
        finally
        {
            folder.Delete(recursive: true);
        }
    }

    [Fact]
    public void A_token_of_blanks_is_refused() =>
        Assert.Equal("agent.yaml:1:39: aggregators[0].token: is only white space; write the agent's token, or token_file", Assert.Single(AgentConfigFile.Parse("aggregators: [{address: 'a:1', token: '  '}]", "agent.yaml").Errors).ToString());

    [Fact]
    public void A_key_that_is_taken_without_effect_is_warned_of_at_its_place()
    {
        const string Text = "aggregators: [{address: 'localhost:1'}]\nglobal:\n  keep_dropped_targets: 5\nscrape_configs:\n  - job_name: a\n    convert_classic_histograms_to_nhcb: true\n    always_scrape_classic_histograms: false\n";
        ConfigResult<AgentConfig> result = AgentConfigFile.Parse(Text, "agent.yaml");
        Assert.True(result.IsOk);
        Assert.Equal(
            [
                "agent.yaml:3:25: global.keep_dropped_targets: has no effect here: up to 100 dropped targets of a job are shown, all are counted",
                "agent.yaml:6:41: scrape_configs[0].convert_classic_histograms_to_nhcb: has no effect here: classic histograms are kept as they are",
            ],
            result.Warnings.Select(w => w.ToString()));
        Assert.Empty(AgentConfigFile.Parse(Good, "/etc/b/agent.yaml").Warnings);
    }

    [Fact]
    public void Labels_of_a_whole_Prometheus_and_what_its_rules_need_are_warned_of_since_an_agent_has_neither()
    {
        const string Text = "aggregators: [{address: 'localhost:1'}]\nglobal:\n  external_labels: {region: eu}\n  evaluation_interval: 30s\n  query_log_file: q.log\n  runtime: {gogc: 50}\n";
        Assert.Equal(
            ["agent.yaml:3:20: global.external_labels", "agent.yaml:4:24: global.evaluation_interval", "agent.yaml:5:19: global.query_log_file", "agent.yaml:6:12: global.runtime"],
            AgentConfigFile.Parse(Text, "agent.yaml").Warnings.Select(w => w.ToString()[..w.ToString().IndexOf(": has no effect here: ", StringComparison.Ordinal)]));
    }

    [Fact]
    public void Keys_without_effect_are_found_in_included_files_too()
    {
        DirectoryInfo folder = Directory.CreateTempSubdirectory("bellwether-config-");
        try
        {
            string jobs = Path.Combine(folder.FullName, "jobs.yaml");
            File.WriteAllText(jobs, "scrape_configs:\n  - job_name: b\n    native_histogram_bucket_limit: 100\n");
            ConfigResult<AgentConfig> result = AgentConfigFile.Parse("aggregators: [{address: 'localhost:1'}]\nscrape_config_files: [jobs.yaml]\n", Path.Combine(folder.FullName, "agent.yaml"));
            Assert.Equal($"{jobs}:3:36: scrape_configs[0].native_histogram_bucket_limit: has no effect here: a native histogram is taken with all its buckets", Assert.Single(result.Warnings).ToString());
        }
        finally
        {
            folder.Delete(recursive: true);
        }
    }

    private static ConfigResult<AgentConfig> ParsePostgres(string items) => AgentConfigFile.Parse($"aggregators: [{{address: 'localhost:1'}}]\ncollectors:\n  postgres:\n{items}\n", "agent.yaml");
}
