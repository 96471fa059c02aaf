using Bellwether.Aggregator.Configuration;
using Bellwether.Core.Configuration;
using Bellwether.Core.Model;

namespace Bellwether.Aggregator.Tests.Configuration;

/// <summary>aggregator.yaml as users write it.</summary>
public sealed class AggregatorConfigFileTests
{
    private const string Hash = "2CF24DBA5FB0A30E26E83B2AC5B9E29E1B161E5C1FA7425E73043362938B9824";

    private const string Good = $$"""
        listen:
          grpc:
            address: 0.0.0.0:9095
            tls:
              cert_file: tls/server.crt
              key_file: tls/server.key
              client_ca_file: /etc/ca.pem
          http:
            address: "[::1]:0"
        data_dir: store
        retention:
          raw: 90d
        agents:
          - id: web-1
            token_file: web-1.token
            labels: {site: berlin}
          - id: web-2
            token_sha256: {{Hash}}
          - id: "*"
            certificate_name: edge
        rule_files: ["rules/*.yaml"]
        global:
          evaluation_interval: 5s
          external_labels: {cluster: "${CLUSTER}"}
        evaluation:
          delay_max: 500ms
        remote_write:
          - url: https://example.org/api/v1/write
            queue_config: {max_samples_per_send: 500}
        limits:
          future_bound: 1m
          max_series: 1000
          max_series_per_job: 700
          max_series_per_agent: 600
          max_agents: 3
          max_samples_per_query: 5000
          query_timeout: 30s
          min_free_disk: 1GB
        log:
          level: warn
        """;

    [Fact]
    public void A_whole_file_reads()
    {
        AggregatorConfig config = Parse(Good);
        Assert.Equal(("0.0.0.0", 9095), (config.Listen.Grpc.Host, config.Listen.Grpc.Port));
        Assert.Equal(("::1", 0), (config.Listen.Http.Host, config.Listen.Http.Port));
        Assert.Equal("/etc/b/store", config.DataDir);
        Assert.Equal(TimeSpan.FromDays(90), config.Retention.Raw);
        Assert.Equal(["/etc/b/rules/*.yaml"], config.RuleFiles);
        Assert.Equal(TimeSpan.FromSeconds(5), config.Global.EvaluationInterval);
        Assert.Equal("c1", config.Global.ExternalLabels.Get("cluster"));
        Assert.Equal(TimeSpan.FromMilliseconds(500), config.Evaluation.DelayMax);
        Assert.Equal(500, Assert.Single(config.RemoteWrite).Queue.MaxSamplesPerSend);
        Assert.Equal(LogDetail.Warning, config.Log.Level);
        Assert.Equal(config, Parse(Good));
    }

    [Fact]
    public void Tokens_and_certificates_of_agents_read()
    {
        ValueList<AgentEntry> agents = Parse(Good).Agents;
        Assert.Equal(["web-1", "web-2", "*"], agents.Select(a => a.Id));
        Assert.Equal("/etc/b/web-1.token", agents[0].TokenFile);
        Assert.Equal("berlin", agents[0].Labels.Get("site"));
        Assert.Equal(Hash.ToLowerInvariant(), agents[1].TokenSha256);
        Assert.Equal("edge", agents[2].CertificateName);
    }

    [Fact]
    public void Tls_reads_with_absolute_paths()
    {
        ListenSection listen = Parse(Good).Listen;
        Assert.Equal(new ServerTlsSection { CertFile = "/etc/b/tls/server.crt", KeyFile = "/etc/b/tls/server.key", ClientCaFile = "/etc/ca.pem" }, listen.Grpc.Tls);
        Assert.Null(listen.Http.Tls);
    }

    [Fact]
    public void Limits_read() =>
        Assert.Equal(
            new LimitsSection { FutureBound = TimeSpan.FromMinutes(1), MaxSeries = 1000, MaxSeriesPerJob = 700, MaxSeriesPerAgent = 600, MaxAgents = 3, MaxSamplesPerQuery = 5000, MaxSamplesTogether = 10_000, QueryTimeout = TimeSpan.FromSeconds(30), MinFreeDisk = ByteSize.FromGibibytes(1) },
            Parse(Good).Limits);

    [Theory]
    [InlineData("max_samples_per_query: 5000", 10_000)]
    [InlineData("max_samples_per_query: 2000000000", int.MaxValue)]
    [InlineData("max_samples_together: 60000000", 60_000_000)]
    [InlineData("max_samples_per_query: 5000\n  max_samples_together: 5000", 5000)]
    [InlineData("max_agents: 1", 100_000_000)]
    public void Queries_together_hold_twice_what_one_may_unless_it_is_said(string limits, int expected) => Assert.Equal(expected, Parse($"limits:\n  {limits}\n").Limits.MaxSamplesTogether);

    [Fact]
    public void Less_for_all_queries_than_for_one_is_refused() =>
        Assert.Equal(
            ["/etc/b/aggregator.yaml:3:25: limits.max_samples_together: 40 is less than one query may hold; make it at least max_samples_per_query, 50"],
            AggregatorConfigFile.Parse("limits:\n  max_samples_per_query: 50\n  max_samples_together: 40\n", "/etc/b/aggregator.yaml").Errors.Select(e => e.ToString()));

    [Fact]
    public void An_empty_file_is_the_defaults_on_loopback()
    {
        AggregatorConfig config = Parse("");
        Assert.Equal(("127.0.0.1:9095", "127.0.0.1:9090"), (config.Listen.Grpc.Address, config.Listen.Http.Address));
        Assert.Equal(new AggregatorConfig { DataDir = "/etc/b/data" }, config);
    }

    [Theory]
    [InlineData("raw: 37d", 90, 365)]
    [InlineData("raw: 90d", 0, 365)]
    [InlineData("raw: 400d", 0, 0)]
    [InlineData("5m: 0", 0, 365)]
    [InlineData("5m: 100d\n  1h: 0", 100, 0)]
    [InlineData("5m: 2y", 730, 0)]
    public void Coarser_resolutions_are_kept_longer_or_not_at_all(string retention, int fiveMinutesDays, int oneHourDays)
    {
        RetentionSection section = Parse($"retention:\n  {retention}\n").Retention;
        Assert.Equal((fiveMinutesDays, oneHourDays), (section.FiveMinutes.TotalDays, section.OneHour.TotalDays));
    }

    [Fact]
    public void A_coarser_resolution_that_is_kept_shorter_is_refused()
    {
        ConfigResult<AggregatorConfig> result = AggregatorConfigFile.Parse("retention:\n  raw: 40d\n  5m: 30d\n  1h: 40d\n", "/etc/b/aggregator.yaml");
        Assert.Equal(
            ["/etc/b/aggregator.yaml:3:7: retention.5m: 30d is not longer than 40d, for which something finer is kept; make it longer, or 0 for none", "/etc/b/aggregator.yaml:4:7: retention.1h: 40d is not longer than 40d, for which something finer is kept; make it longer, or 0 for none"],
            result.Errors.Select(e => e.ToString()));
    }

    [Fact]
    public void Errors_come_all_at_once_with_their_places()
    {
        ConfigResult<AggregatorConfig> result = AggregatorConfigFile.Parse("""
            listen:
              grpc:
                adress: 127.0.0.1:1
              http:
                address: example.org:9090
            retention:
              raw: 30m
            agents:
              - id: a
              - token_file: t
              - id: c
                token_sha256: abc
              - id: d
                token_sha256: 2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824
                token_file: t
            rule_files: ["*/a.yaml"]
            evaluation:
              delay_max: 2h
            remote_write:
              - url: localhost:9090
                protobuf_message: io.prometheus.write.v3.Request
            limits:
              max_series: 0
              min_free_disk: 5
            log:
              level: warnin
            retenton: {}
            """, "aggregator.yaml");
        Assert.Equal(
            [
                "aggregator.yaml:3:5: listen.grpc.adress: unknown key 'adress'; did you mean 'address'?",
                "aggregator.yaml:5:14: listen.http.address: 'example.org:9090' is not an IP address and port; write for example 127.0.0.1:9095, 0.0.0.0:9095 or localhost:9095",
                "aggregator.yaml:7:8: retention.raw: 30m is below the minimum 1h",
                "aggregator.yaml:9:5: agents[0]: has no proof; add token_file, token_sha256, certificate_sha256 or certificate_name (or bundle_key_file, for one that has no network)",
                "aggregator.yaml:10:5: agents[1].id: is missing",
                "aggregator.yaml:12:19: agents[2].token_sha256: has 3 characters; a SHA-256 is 64 hexadecimal digits",
                "aggregator.yaml:14:19: agents[3].token_sha256: stands beside token_file; keep one",
                "aggregator.yaml:16:14: rule_files[0]: '*/a.yaml' has '*' before the last part of the path",
                "aggregator.yaml:18:14: evaluation.delay_max: 2h is above the maximum 1h",
                "aggregator.yaml:20:10: remote_write[0].url: 'localhost:9090' is not a URL that starts with http:// or https://",
                "aggregator.yaml:21:23: remote_write[0].protobuf_message: 'io.prometheus.write.v3.Request' is not known; did you mean 'io.prometheus.write.v2.Request'? There are: prometheus.WriteRequest, io.prometheus.write.v2.Request",
                "aggregator.yaml:23:15: limits.max_series: 0 is below the minimum 1",
                "aggregator.yaml:24:18: limits.min_free_disk: '5' is not a size with a unit; write for example 512KB, 64MB or 1GB",
                "aggregator.yaml:26:10: log.level: 'warnin' is not known; did you mean 'warning'? There are: debug, information, info, warning, warn, error",
                "aggregator.yaml:27:1: retenton: unknown key 'retenton'; did you mean 'retention'?",
            ],
            result.Errors.Select(e => e.ToString()));
        Assert.Null(result.Value);
    }

    [Theory]
    [InlineData("address: 0.0.0.0:9095", 3, 14, "would serve plain text beyond this machine")]
    [InlineData("address: \":9095\"", 3, 14, "would serve plain text beyond this machine")]
    [InlineData("address: 127.0.0.1", 3, 14, "is not an IP address and port")]
    [InlineData("address: 127.0.0.1:65536", 3, 14, "is not an IP address and port")]
    [InlineData("tls: {cert_file: a}", 3, 10, "listen.grpc.tls.key_file: is missing")]
    [InlineData("tls: {cert_file: a, key_file: b, client_ca: c}", 3, 38, "unknown key 'client_ca'; known are: cert_file, client_ca_file, key_file")]
    [InlineData("tls: on", 3, 10, "must be a section of keys, not 'on'")]
    public void Wrong_doors_are_refused_at_their_place(string line, int atLine, int column, string message)
    {
        ConfigError error = Assert.Single(AggregatorConfigFile.Parse($"listen:\n  grpc:\n    {line}\n", "a.yaml").Errors);
        Assert.Equal((atLine, column), (error.Line, error.Column));
        Assert.Contains(message, error.ToString(), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("address: 0.0.0.0:9095\n    allow_plaintext: true")]
    [InlineData("address: localhost:9095")]
    [InlineData("address: 127.0.0.2:9095")]
    [InlineData("address: \"*:9095\"\n    tls: {cert_file: a, key_file: b}")]
    public void Good_doors_are_taken(string lines) => Assert.Empty(AggregatorConfigFile.Parse($"listen:\n  grpc:\n    {lines}\n", "a.yaml").Errors);

    [Fact]
    public void Names_of_certificates_need_the_authority_that_signs_them()
    {
        ConfigError error = Assert.Single(AggregatorConfigFile.Parse("agents:\n  - id: a\n    certificate_name: edge\n", "a.yaml").Errors);
        Assert.Equal("agents", error.Path);
        Assert.Contains("client_ca_file", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_full_check_wants_the_files_and_a_start_does_not()
    {
        const string Text = "agents:\n  - id: a\n    token_file: no/such.token\nrule_files: [no/such.yaml]\n";
        Assert.Empty(AggregatorConfigFile.Parse(Text, "/etc/b/a.yaml").Errors);
        Assert.Equal(
            ["/etc/b/a.yaml:3:17: agents[0].token_file: /etc/b/no/such.token: no such file", "/etc/b/a.yaml:4:14: rule_files[0]: /etc/b/no/such.yaml: no such file"],
            AggregatorConfigFile.Parse(Text, "/etc/b/a.yaml", checkFiles: true).Errors.Select(e => e.ToString()));
    }

    [Fact]
    public void A_file_that_is_not_there_is_an_error_with_its_name()
    {
        ConfigError error = Assert.Single(AggregatorConfigFile.Load("/no/such/aggregator.yaml").Errors);
        Assert.Equal("/no/such/aggregator.yaml", error.File);
        Assert.StartsWith("cannot be read", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_key_that_is_taken_without_effect_is_warned_of_at_its_place()
    {
        const string Text = "global:\n  scrape_interval: 15s\n  evaluation_interval: 15s\n  rule_query_offset: 1m\nremote_write:\n  - url: http://localhost:1/w\n    round_robin_dns: true\n    queue_config: {max_shards: 9}\n";
        Assert.Equal(
            [
                "a.yaml:2:20: global.scrape_interval: has no effect here: an aggregator scrapes nothing; its agents do",
                "a.yaml:4:22: global.rule_query_offset: has no effect here: rules run in event time and wait for late sources by evaluation.delay_max",
                "a.yaml:7:22: remote_write[0].round_robin_dns: has no effect here: one connection keeps the order",
                "a.yaml:8:32: remote_write[0].queue_config.max_shards: has no effect here: one connection keeps the order",
            ],
            AggregatorConfigFile.Parse(Text, "a.yaml").Warnings.Select(w => w.ToString()));
    }

    [Fact]
    public void A_past_of_new_rules_that_the_store_does_not_take_is_warned_of()
    {
        Assert.Empty(AggregatorConfigFile.Parse("evaluation: {backfill_new: 37d}\n", "a.yaml").Warnings);
        Assert.Equal("a.yaml:3:17: evaluation.backfill_new: new rules get a past of 10d only: the store takes nothing older than retention.raw",
            Assert.Single(AggregatorConfigFile.Parse("retention: {raw: 10d}\nevaluation:\n  backfill_new: 11d\n", "a.yaml").Warnings).ToString());
    }

    private static AggregatorConfig Parse(string text)
    {
        ConfigResult<AggregatorConfig> result = AggregatorConfigFile.Parse(text, "/etc/b/aggregator.yaml", environment: name => name == "CLUSTER" ? "c1" : null);
        Assert.True(result.IsOk, string.Join("\n", result.Errors));
        return result.Value;
    }
}
