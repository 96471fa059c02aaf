using System.Text;
using Bellwether.Core.Configuration;
using Bellwether.Core.Configuration.Prometheus;
using Bellwether.Core.Model;

namespace Bellwether.Core.Tests.Configuration;

/// <summary>Every error has its place; hostile files cost nothing; values read as Prometheus reads them.</summary>
public sealed class ConfigReadingTests
{
    [Fact]
    public void All_errors_come_in_one_run_with_line_column_path_and_the_nearest_word()
    {
        ConfigResult<PrometheusConfig> result = PrometheusConfigFile.Parse("""
            global:
              scrape_intervall: 15s
            scrape_configs:
              - job_name: a
                scrape_timeout: 1 hour
                relabel_configs:
                  - action: kepp
                    regex: "a(b"
                    source_labels: [x]
              - job_name: a
            """, "p.yml");
        Assert.False(result.IsOk);
        Assert.Equal(
            [
                "p.yml:2:3: global.scrape_intervall: unknown key 'scrape_intervall'; did you mean 'scrape_interval'?",
                "p.yml:5:21: scrape_configs[0].scrape_timeout: '1 hour' is not a duration; write for example 30s, 5m or 1h30m",
            ],
            result.Errors.Take(2).Select(e => e.ToString()));
        Assert.Contains(result.Errors, e => e is { Line: 7, Column: 17, Path: "scrape_configs[0].relabel_configs[0].action" } && e.Message.Contains("did you mean 'keep'", StringComparison.Ordinal));
        Assert.Contains(result.Errors, e => e is { Line: 8, Column: 16 } && e.Message.Contains("missing closing )", StringComparison.Ordinal));
        Assert.Contains(result.Errors, e => e is { Line: 10, Column: 15, Path: "scrape_configs[1].job_name" });
    }

    [Theory]
    [InlineData("a: [1, 2\n", 2)]
    [InlineData("a: 1\na: 2", 2)]
    [InlineData("a: 1\n---\nb: 1", 2)]
    [InlineData("? [x]\n: 1", 1)]
    [InlineData("a: *b", 1)]
    [InlineData("a: &x [*x]", 1)]
    [InlineData("agent: {id: web-1\naggregators: ]", 1)]
    public void Broken_YAML_is_refused_at_its_line(string text, int line)
    {
        var errors = new List<ConfigError>();
        Assert.Null(YamlReader.Read(text, "f.yml", errors));
        ConfigError error = Assert.Single(errors);
        Assert.Equal(line, error.Line);
        Assert.True(error.Column > 0);
    }

    [Theory]
    [InlineData('[')]
    [InlineData('{')]
    public void Twenty_thousand_brackets_are_refused(char bracket)
    {
        var errors = new List<ConfigError>();
        Assert.Null(YamlReader.Read(new string(bracket, 20_000), "f.yml", errors));
        Assert.Single(errors);
    }

    [Fact]
    public void Deep_block_nesting_is_refused()
    {
        var errors = new List<ConfigError>();
        Assert.Null(YamlReader.Read(string.Concat(Enumerable.Repeat("- ", 20_000)) + "x", "f.yml", errors));
        Assert.Contains("nested deeper than 64", Assert.Single(errors).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void An_alias_bomb_is_refused()
    {
        var text = new StringBuilder("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
        for (int i = 1; i < 20; i++)
            text.Append($"a{i}: &a{i} [{string.Join(", ", Enumerable.Repeat($"*a{i - 1}", 10))}]\n");
        var errors = new List<ConfigError>();
        Assert.Null(YamlReader.Read(text.ToString(), "f.yml", errors));
        Assert.Contains("values", Assert.Single(errors).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Anchors_aliases_and_merges_read_as_in_Prometheus()
    {
        ConfigResult<PrometheusConfig> result = PrometheusConfigFile.Parse("""
            scrape_configs:
              - &base
                job_name: a
                scrape_interval: 5s
                metrics_path: /m
              - <<: *base
                job_name: b
            """, "p.yml");
        Assert.True(result.IsOk, string.Join("; ", result.Errors));
        Assert.Equal([("a", "/m", 5.0), ("b", "/m", 5.0)], result.Value.ScrapeConfigs.Select(s => (s.JobName, s.MetricsPath, s.ScrapeInterval.TotalSeconds)));
    }

    [Fact]
    public void Defaults_and_inheritance_are_Prometheus()
    {
        ConfigResult<PrometheusConfig> result = PrometheusConfigFile.Parse("""
            global:
              scrape_interval: 5s
              sample_limit: 7
              external_labels: {a: "$X-${Y}-$$"}
            scrape_configs:
              - job_name: a
              - job_name: b
                scrape_interval: 20s
                sample_limit: 9
                scrape_native_histograms: true
            """, "p.yml", new PrometheusReadOptions { Environment = n => n == "X" ? "x" : null });
        Assert.True(result.IsOk, string.Join("; ", result.Errors));
        Assert.Equal("x--$", result.Value.Global.ExternalLabels.Get("a"));
        ScrapeConfig a = result.Value.ScrapeConfigs[0], b = result.Value.ScrapeConfigs[1];
        Assert.Equal((5, 5, 7), (a.ScrapeInterval.TotalSeconds, a.ScrapeTimeout.TotalSeconds, a.SampleLimit));
        Assert.Equal((20, 5, 9), (b.ScrapeInterval.TotalSeconds, b.ScrapeTimeout.TotalSeconds, b.SampleLimit));
        Assert.Equal(GlobalConfig.DefaultNativeHistogramProtocols, b.ScrapeProtocols);
        Assert.Equal(result.Value, PrometheusConfigFile.Parse("""
            scrape_configs: [{job_name: a}, {job_name: b, scrape_interval: 20s, sample_limit: 9, scrape_native_histograms: true}]
            global: {scrape_interval: 5s, sample_limit: 7, external_labels: {a: "x--$$"}}
            """, "p.yml").Value);
    }

    [Fact]
    public void A_secret_never_prints()
    {
        PrometheusConfig config = PrometheusConfigFile.Parse("scrape_configs: [{job_name: a, basic_auth: {username: u, password: hunter2}}]", "p.yml").Value!;
        Assert.Equal("hunter2", config.ScrapeConfigs[0].HttpClient.BasicAuth!.Password!.Reveal());
        Assert.DoesNotContain("hunter2", config.ToString(), StringComparison.Ordinal);
        Assert.DoesNotContain("hunter2", config.ScrapeConfigs[0].ToString(), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("1h30m", 5_400_000L, "1h30m")]
    [InlineData("0", 0L, "0s")]
    [InlineData("1y2w3d4h5m6s7ms", 33_019_506_007L, "382d4h5m6s7ms")]
    [InlineData("90s", 90_000L, "1m30s")]
    [InlineData("2w", 1_209_600_000L, "2w")]
    public void Durations_read_and_print(string text, long ms, string printed)
    {
        Assert.True(PrometheusDuration.TryParse(text, out TimeSpan duration));
        Assert.Equal(ms, (long)duration.TotalMilliseconds);
        Assert.Equal(printed, PrometheusDuration.Format(duration));
    }

    [Theory]
    [InlineData("")]
    [InlineData("5")]
    [InlineData("-5s")]
    [InlineData("1s1m")]
    [InlineData("1m1m")]
    [InlineData("1.5s")]
    [InlineData("1 s")]
    [InlineData("300y")]
    [InlineData("99999999999999999999s")]
    public void Wrong_durations_are_refused(string text) => Assert.False(PrometheusDuration.TryParse(text, out _));

    [Theory]
    [InlineData("0", 0L, "0")]
    [InlineData("512B", 512L, "512B")]
    [InlineData("1.5KB", 1536L, "1536B")]
    [InlineData("64MB", 67_108_864L, "64MB")]
    [InlineData("1GiB", 1_073_741_824L, "1GB")]
    public void Sizes_are_to_the_base_2(string text, long bytes, string printed)
    {
        Assert.True(ByteSize.TryParse(text, out ByteSize size));
        Assert.Equal((bytes, printed), (size.Bytes, size.ToString()));
        Assert.False(ByteSize.TryParse("100", out _));
        Assert.False(ByteSize.TryParse("-1KB", out _));
        Assert.False(ByteSize.TryParse("16EB", out _));
    }

    [Fact]
    public void Target_files_give_groups_or_are_refused_whole()
    {
        ConfigResult<ValueList<TargetGroup>> good = TargetGroupFile.Parse("[{\"targets\": [\"a:1\", \"b:2\"], \"labels\": {\"x\": \"y\"}}]"u8, "t.json");
        Assert.True(good.IsOk, string.Join("; ", good.Errors));
        Assert.Equal("a:1", good.Value[0].Targets[0].Get("__address__"));
        ConfigResult<ValueList<TargetGroup>> bad = TargetGroupFile.Parse("[{\"targets\": [\"a:1\"]},\n {\"targats\": []}]"u8, "t.json");
        Assert.Equal("t.json:2:3: [1].targats: unknown key 'targats'; did you mean 'targets'?", Assert.Single(bad.Errors).ToString());
        Assert.False(TargetGroupFile.Parse("- null"u8, "t.yml").IsOk);
        Assert.False(TargetGroupFile.Parse("[{]"u8, "t.json").IsOk);
    }

    [Fact]
    public void A_configuration_is_shown_without_its_secrets_and_reads_again_the_same()
    {
        const string Text = """
            global: {scrape_interval: 15s}
            remote_write:
            - url: https://me:hush@example.org/api # with a password
              basic_auth: {username: me, password: 'hu: sh'}
              write_relabel_configs:
              - {source_labels: [__name__, job], regex: "a\\d+:\n.*", action: keep}
              headers: {}
            empty:
            list: []
            word: "yes"
            nested:
            - - a
              - "# no comment"
            """;
        string shown = ConfigText.Print(Read(Text));
        Assert.DoesNotContain("hush", shown, StringComparison.Ordinal);
        Assert.DoesNotContain("hu: sh", shown, StringComparison.Ordinal);
        Assert.Contains("https://me:<secret>@example.org/api", shown, StringComparison.Ordinal);
        Assert.Contains("password: <secret>", shown, StringComparison.Ordinal);
        ConfigNode again = Read(shown);
        Assert.Equal("a\\d+:\n.*", again.Find("remote_write")!.Items[0].Find("write_relabel_configs")!.Items[0].Find("regex")!.Text);
        Assert.Equal("# no comment", again.Find("nested")!.Items[0].Items[1].Text);
        Assert.Equal("yes", again.Find("word")!.Text);
        Assert.Equal(shown, ConfigText.Print(again));

        static ConfigNode Read(string text)
        {
            List<ConfigError> errors = [];
            ConfigNode? node = YamlReader.Read(text, "f.yml", errors);
            Assert.Empty(errors);
            return node!;
        }
    }
}
