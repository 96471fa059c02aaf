using System.Diagnostics.Metrics;
using System.IO.Compression;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text;
using Bellwether.Agent.Collect.Scrape;
using Bellwether.Core.Codec;
using Bellwether.Core.Configuration;
using Bellwether.Core.Configuration.Prometheus;
using Bellwether.Core.Exposition;
using Bellwether.Core.Model;
using Bellwether.Core.Relabel;
using Bellwether.Core.Text;
using Bellwether.Kit;
using Microsoft.AspNetCore.Http;

namespace Bellwether.Agent.Tests.Collect.Scrape;

public class ScrapeCollectorTests
{
    private static readonly Labels TargetLabels = Labels.Of("job", "shop", "instance", "here:1");

    [Fact]
    public async Task A_scrape_gives_the_targets_series_and_its_own()
    {
        await using TargetServer server = await TargetServer.StartAsync(TargetServer.Text(() => "orders_total{shop=\"north\"} 5\ntemp 20.5\n"));
        using var run = new Run(server.Url, new ScrapeConfig { JobName = "shop", ExtraScrapeMetrics = true });
        await run.ScrapeAsync();
        Assert.Equal(
            [
                "orders_total{instance=\"here:1\", job=\"shop\", shop=\"north\"} 5",
                "scrape_body_size_bytes{instance=\"here:1\", job=\"shop\"} 39",
                "scrape_sample_limit{instance=\"here:1\", job=\"shop\"} 0",
                "scrape_samples_post_metric_relabeling{instance=\"here:1\", job=\"shop\"} 2",
                "scrape_samples_scraped{instance=\"here:1\", job=\"shop\"} 2",
                "scrape_series_added{instance=\"here:1\", job=\"shop\"} 2",
                "scrape_timeout_seconds{instance=\"here:1\", job=\"shop\"} 15",
                "temp{instance=\"here:1\", job=\"shop\"} 20.5",
                "up{instance=\"here:1\", job=\"shop\"} 1",
            ],
            run.Shown());
        Assert.Equal("up", run.Collector.Status.Health);
        Assert.Equal("gzip", server.LastHeaders.AcceptEncoding);
        Assert.Equal(ExpositionContent.Accept, server.LastHeaders.Accept);
        Assert.Equal("15", server.LastHeaders["X-Prometheus-Scrape-Timeout-Seconds"]);
        Assert.StartsWith("Bellwether/", server.LastHeaders.UserAgent.ToString(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_target_that_goes_away_and_comes_back_ends_and_starts_its_series()
    {
        int status = 200;
        await using TargetServer server = await TargetServer.StartAsync(async context =>
        {
            context.Response.StatusCode = status;
            await TargetServer.Text(() => "a 1\nb 2\n")(context);
        });
        using var run = new Run(server.Url);
        await run.ScrapeAsync();
        status = 503;
        await run.ScrapeAsync();
        Assert.Equal(["a ended", "b ended", "up 0"], run.Brief());
        Assert.Equal("server returned HTTP status 503 Service Unavailable", run.Collector.Status.LastError);
        await run.ScrapeAsync();
        Assert.Equal(["up 0"], run.Brief());
        status = 200;
        await run.ScrapeAsync();
        Assert.Equal(["a 1", "b 2", "up 1"], run.Brief());
        run.End();
        Assert.Equal(7, run.Shown().Count(l => l.EndsWith(" ended", StringComparison.Ordinal)));
        Assert.Equal(0, run.Tick.PresentCount);
    }

    [Fact]
    public async Task A_client_that_is_disposed_while_it_is_in_use_finishes_its_requests_and_takes_no_new_ones()
    {
        var reached = new TaskCompletionSource();
        var answer = new TaskCompletionSource();
        await using TargetServer server = await TargetServer.StartAsync(async context =>
        {
            if (context.Request.Path == "/moved")
            {
                reached.SetResult();
                await answer.Task;
                context.Response.Redirect("/metrics");
                return;
            }
            await TargetServer.Text(() => "a 1\n")(context);
        });
        var http = new ScrapeHttp(new ScrapeConfig { JobName = "shop" });
        Task<HttpResponseMessage> asking = http.GetAsync(new Uri(server.Url, "/moved"), TimeSpan.FromSeconds(60), CancellationToken.None);
        await reached.Task;
        http.Dispose();
        answer.SetResult();
        using HttpResponseMessage response = await asking;
        Assert.Equal("a 1\n", await response.Content.ReadAsStringAsync());
        await Assert.ThrowsAsync<HttpRequestException>(() => http.GetAsync(server.Url, TimeSpan.FromSeconds(60), CancellationToken.None));
        http.Dispose();
    }

    [Theory]
    [InlineData("text/html", "a 1\n", "Content-Type 'text/html'")]
    [InlineData("text/plain", "<html>\n", "line 1, column 1")]
    [InlineData("application/openmetrics-text", "a 1\n", "# EOF")]
    [InlineData("text/plain", "a 1\na{b=\"c\"} 2\n\u0001", "line 3")]
    [InlineData("text/plain", "a{b=\"1\",b=\"2\"} 1\n", "'b' is not unique")]
    public async Task Garbage_costs_the_scrape_only_and_says_why(string type, string body, string reason)
    {
        await using TargetServer server = await TargetServer.StartAsync(TargetServer.Text(() => body, type));
        using var run = new Run(server.Url);
        await run.ScrapeAsync();
        Assert.Equal(["up 0"], run.Brief());
        Assert.Contains(reason, run.Collector.Status.LastError, StringComparison.Ordinal);
    }

    [Fact]
    public async Task The_fallback_protocol_reads_an_unknown_type()
    {
        await using TargetServer server = await TargetServer.StartAsync(TargetServer.Text(() => "a 1\n", "application/octet-stream"));
        using var run = new Run(server.Url, new ScrapeConfig { FallbackScrapeProtocol = ScrapeProtocol.PrometheusText004 });
        await run.ScrapeAsync();
        Assert.Equal(["a 1", "up 1"], run.Brief());
    }

    [Fact]
    public async Task A_target_that_never_answers_is_down_after_the_timeout()
    {
        var hang = new TaskCompletionSource();
        await using TargetServer server = await TargetServer.StartAsync(context => hang.Task.WaitAsync(context.RequestAborted));
        using var run = new Run(server.Url, timeout: TimeSpan.FromMilliseconds(200));
        await run.ScrapeAsync();
        Assert.Equal(["up 0"], run.Brief());
        Assert.Contains("scrape_timeout", run.Collector.Status.LastError, StringComparison.Ordinal);
        hang.SetResult();
    }

    [Fact]
    public async Task A_body_that_never_ends_is_cut_at_the_timeout()
    {
        await using TargetServer server = await TargetServer.StartAsync(async context =>
        {
            context.Response.ContentType = "text/plain";
            await context.Response.WriteAsync("a 1\n");
            await context.Response.Body.FlushAsync();
            await Task.Delay(Timeout.InfiniteTimeSpan, TimeProvider.System, context.RequestAborted);
        });
        using var run = new Run(server.Url, timeout: TimeSpan.FromMilliseconds(300));
        await run.ScrapeAsync();
        Assert.Equal(["up 0"], run.Brief());
    }

    [Fact]
    public async Task A_refused_connection_is_down()
    {
        using var run = new Run(new Uri($"http://127.0.0.1:{Ports.Free()}/metrics"));
        await run.ScrapeAsync();
        Assert.Equal(["up 0"], run.Brief());
        Assert.Contains("refused", run.Collector.Status.LastError, StringComparison.OrdinalIgnoreCase);
    }

    [Fact]
    public async Task Gzip_is_inflated()
    {
        await using TargetServer server = await TargetServer.StartAsync(context => Gzip(context, Encoding.UTF8.GetBytes("a 1\n")));
        using var run = new Run(server.Url);
        await run.ScrapeAsync();
        Assert.Equal(["a 1", "up 1"], run.Brief());
    }

    [Fact]
    public async Task A_gzip_bomb_is_refused_before_it_is_inflated()
    {
        byte[] zeros = new byte[32 << 20];
        Array.Fill(zeros, (byte)'\n');
        await using TargetServer server = await TargetServer.StartAsync(context => Gzip(context, zeros));
        using var run = new Run(server.Url, new ScrapeConfig { ExtraScrapeMetrics = true });
        await run.ScrapeAsync();
        Assert.Contains("bomb", run.Collector.Status.LastError, StringComparison.Ordinal);
        Assert.Contains("scrape_body_size_bytes{instance=\"here:1\", job=\"shop\"} -1", run.Shown());
    }

    [Fact]
    public async Task Damaged_gzip_is_down()
    {
        await using TargetServer server = await TargetServer.StartAsync(context =>
        {
            context.Response.ContentType = "text/plain";
            context.Response.Headers.ContentEncoding = "gzip";
            return context.Response.WriteAsync("this is not gzip");
        });
        using var run = new Run(server.Url);
        await run.ScrapeAsync();
        Assert.Equal(["up 0"], run.Brief());
    }

    [Fact]
    public async Task A_body_over_its_limit_is_refused()
    {
        await using TargetServer server = await TargetServer.StartAsync(async context =>
        {
            context.Response.ContentType = "text/plain";
            for (int i = 0; i < 1000; i++)
                await context.Response.WriteAsync($"series_{i} 1\n");
        });
        using var run = new Run(server.Url, new ScrapeConfig { BodySizeLimit = new ByteSize(1000) });
        await run.ScrapeAsync();
        Assert.Equal(["up 0"], run.Brief());
        Assert.Contains("body size limit exceeded", run.Collector.Status.LastError, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Label_conflicts_follow_honor_labels()
    {
        const string Body = "a{job=\"own\",exported_job=\"x\"} 1\n";
        await using TargetServer server = await TargetServer.StartAsync(TargetServer.Text(() => Body));
        using (var run = new Run(server.Url))
        {
            await run.ScrapeAsync();
            Assert.Contains("a{exported_exported_job=\"own\", exported_job=\"x\", instance=\"here:1\", job=\"shop\"} 1", run.Shown());
        }
        using (var run = new Run(server.Url, new ScrapeConfig { HonorLabels = true }))
        {
            await run.ScrapeAsync();
            Assert.Contains("a{exported_job=\"x\", instance=\"here:1\", job=\"own\"} 1", run.Shown());
        }
    }

    [Fact]
    public async Task Metric_relabelling_drops_and_changes()
    {
        await using TargetServer server = await TargetServer.StartAsync(TargetServer.Text(() => "keep_me 1\ndrop_me 2\n"));
        var job = new ScrapeConfig
        {
            MetricRelabelConfigs =
            [
                new RelabelRule { Action = RelabelAction.Drop, SourceLabels = ["__name__"], Regex = Re2Pattern.CompileAnchored("drop_.*") },
                new RelabelRule { TargetLabel = "team", Replacement = "a" },
            ],
        };
        using var run = new Run(server.Url, job);
        for (int i = 0; i < 2; i++)
        {
            await run.ScrapeAsync();
            Assert.Contains("keep_me{instance=\"here:1\", job=\"shop\", team=\"a\"} 1", run.Shown());
            Assert.DoesNotContain(run.Shown(), l => l.StartsWith("drop_me", StringComparison.Ordinal));
            Assert.Contains("scrape_samples_scraped{instance=\"here:1\", job=\"shop\"} 2", run.Shown());
            Assert.Contains("scrape_samples_post_metric_relabeling{instance=\"here:1\", job=\"shop\"} 1", run.Shown());
        }
    }

    [Fact]
    public async Task Limits_on_samples_and_labels_fail_the_scrape()
    {
        await using TargetServer server = await TargetServer.StartAsync(TargetServer.Text(() => "a{long_label=\"value\"} 1\nb 2\nc 3\n"));
        (ScrapeConfig Job, string Reason)[] cases =
        [
            (new() { SampleLimit = 2 }, "sample limit exceeded"),
            (new() { LabelLimit = 3 }, "label_limit exceeded"),
            (new() { LabelNameLengthLimit = 9 }, "label_name_length_limit exceeded"),
            (new() { LabelValueLengthLimit = 4 }, "label_value_length_limit exceeded"),
        ];
        foreach ((ScrapeConfig job, string reason) in cases)
        {
            using var run = new Run(server.Url, job);
            await run.ScrapeAsync();
            Assert.Equal(["up 0"], run.Brief());
            Assert.Contains(reason, run.Collector.Status.LastError, StringComparison.Ordinal);
        }
    }

    [Fact]
    public async Task Credentials_go_to_the_target_but_not_where_it_redirects()
    {
        await using TargetServer elsewhere = await TargetServer.StartAsync(TargetServer.Text(() => "a 1\n"));
        await using TargetServer server = await TargetServer.StartAsync(context =>
        {
            context.Response.Redirect(context.Request.Path == "/metrics" ? "/other" : elsewhere.Url + "stolen");
            return Task.CompletedTask;
        });
        var http = new HttpClientConfig
        {
            Authorization = new AuthorizationConfig { Credentials = new Secret("token-1") },
            HttpHeaders = [new HttpHeaderConfig { Name = "X-Tenant", Values = ["t"] }],
        };
        using var run = new Run(new Uri(server.Url, "/metrics"), new ScrapeConfig { HttpClient = http });
        await run.ScrapeAsync();
        Assert.Equal(["a 1", "up 1"], run.Brief());
        Assert.Equal("Bearer token-1", server.LastHeaders.Authorization);
        Assert.Equal("t", server.LastHeaders["X-Tenant"]);
        Assert.Equal(2, server.Requests);
        Assert.False(elsewhere.LastHeaders.ContainsKey("Authorization"));
        Assert.False(elsewhere.LastHeaders.ContainsKey("X-Tenant"));
        using var strict = new Run(new Uri(server.Url, "/metrics"), new ScrapeConfig { HttpClient = http with { FollowRedirects = false } });
        await strict.ScrapeAsync();
        Assert.Contains("302", strict.Collector.Status.LastError, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Redirects_in_a_circle_end()
    {
        await using TargetServer server = await TargetServer.StartAsync(context =>
        {
            context.Response.Redirect("/again");
            return Task.CompletedTask;
        });
        using var run = new Run(server.Url);
        await run.ScrapeAsync();
        Assert.Contains("stopped after 10 redirects", run.Collector.Status.LastError, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Basic_credentials_are_read_from_their_file_each_time()
    {
        await using TargetServer server = await TargetServer.StartAsync(TargetServer.Text(() => "a 1\n"));
        string file = Path.GetTempFileName();
        try
        {
            await File.WriteAllTextAsync(file, "first\n");
            using var run = new Run(server.Url, new ScrapeConfig { HttpClient = new HttpClientConfig { BasicAuth = new BasicAuthConfig { Username = "u", PasswordFile = file } } });
            await run.ScrapeAsync();
            Assert.Equal("Basic " + Convert.ToBase64String("u:first"u8), server.LastHeaders.Authorization);
            await File.WriteAllTextAsync(file, "second");
            await run.ScrapeAsync();
            Assert.Equal("Basic " + Convert.ToBase64String("u:second"u8), server.LastHeaders.Authorization);
            File.Delete(file);
            await run.ScrapeAsync();
            Assert.Equal("down", run.Collector.Status.Health);
        }
        finally
        {
            File.Delete(file);
        }
    }

    [Fact]
    public async Task Tls_is_checked_against_the_authority_and_the_name()
    {
        using RSA key = RSA.Create(2048);
        var request = new CertificateRequest("CN=metrics.test", key, HashAlgorithmName.SHA256, RSASignaturePadding.Pkcs1);
        var names = new SubjectAlternativeNameBuilder();
        names.AddDnsName("metrics.test");
        request.CertificateExtensions.Add(names.Build());
        request.CertificateExtensions.Add(new X509BasicConstraintsExtension(true, false, 0, true));
        DateTimeOffset now = TimeProvider.System.GetUtcNow();
        using X509Certificate2 certificate = request.CreateSelfSigned(now.AddDays(-1), now.AddDays(1));
        await using TargetServer server = await TargetServer.StartAsync(TargetServer.Text(() => "a 1\n"), certificate);
        string authority = certificate.ExportCertificatePem();
        (TlsConfig Tls, string Health)[] cases =
        [
            (new(), "down"),
            (new() { Ca = authority }, "down"),
            (new() { Ca = authority, ServerName = "other.test" }, "down"),
            (new() { Ca = authority, ServerName = "metrics.test" }, "up"),
            (new() { InsecureSkipVerify = true }, "up"),
            (new() { InsecureSkipVerify = true, MinVersion = "TLS13" }, "up"),
        ];
        foreach ((TlsConfig tls, string health) in cases)
        {
            using var run = new Run(server.Url, new ScrapeConfig { HttpClient = new HttpClientConfig { Tls = tls } });
            await run.ScrapeAsync();
            Assert.True(health == run.Collector.Status.Health, $"{tls}: {run.Collector.Status.LastError}");
        }
    }

    [Fact]
    public async Task A_real_node_exporter_is_scraped_and_mostly_unchanged_the_second_time()
    {
        // scripts/needs installs it; elsewhere there is nothing to compare with.
        const string Exporter = "/usr/bin/prometheus-node-exporter";
        Assert.True(File.Exists(Exporter), "prometheus-node-exporter is missing: apt-get install prometheus-node-exporter");
        int port = Ports.Free();
        var info = new System.Diagnostics.ProcessStartInfo(Exporter, ["--web.listen-address", $"127.0.0.1:{port}"]) { RedirectStandardError = true, RedirectStandardOutput = true };
        using System.Diagnostics.Process exporter = System.Diagnostics.Process.Start(info)!;
        try
        {
            string? line;
            while ((line = await exporter.StandardError.ReadLineAsync()) is not null && !line.Contains("TLS is disabled", StringComparison.OrdinalIgnoreCase))
                continue;
            using var run = new Run(new Uri($"http://127.0.0.1:{port}/metrics"));
            await run.ScrapeAsync();
            for (int attempt = 0; attempt < 300 && run.Collector.Status.Health != "up"; attempt++)
            {
                await Task.Delay(TimeSpan.FromMilliseconds(100), TimeProvider.System);
                await run.ScrapeAsync();
            }
            Assert.Equal("", run.Collector.Status.LastError);
            Assert.True(run.Collector.Status.Samples > 200);
            Assert.Equal(MetricType.Counter, run.Tick.Table.MetadataOf("node_cpu_seconds_total")!.Type);
            await run.ScrapeAsync();
            Assert.Equal("", run.Collector.Status.LastError);
            int changed = run.Tick.Changed.ToArray().Sum(w => System.Numerics.BitOperations.PopCount(w));
            Assert.InRange(changed, 1, run.Tick.PresentCount * 2 / 3);
        }
        finally
        {
            exporter.Kill();
            await exporter.WaitForExitAsync();
        }
    }

    [Fact]
    public async Task Stopping_the_agent_cancels_a_scrape()
    {
        await using TargetServer server = await TargetServer.StartAsync(context => Task.Delay(Timeout.InfiniteTimeSpan, TimeProvider.System, context.RequestAborted));
        using var run = new Run(server.Url);
        using var stop = new CancellationTokenSource();
        Task scrape = run.ScrapeAsync(stop.Token);
        await stop.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => scrape);
    }

    [Fact]
    public void A_stop_is_heeded_while_a_body_is_parsed_and_the_next_scrape_is_whole()
    {
        using var stop = new CancellationTokenSource();
        var parser = new ScrapeParser("s", 1000, new Throwing(stop.Cancel), new ScrapeParserOptions());
        string body = string.Concat(Enumerable.Range(0, 10_000).Select(i => $"m{i} {i}\n"));
        var tick = new SourceTick();
        Assert.Throws<OperationCanceledException>(() => Parse(parser, body, tick, stop.Token));
        parser.Abandon(tick);
        tick.Complete();
        Assert.Equal(0, tick.PresentCount);
        Assert.True(parser.Table.Count < 10_000);
        Assert.Equal(10_000, Parse(parser, body, tick, CancellationToken.None).Kept);
    }

    [Fact]
    public void Running_out_of_memory_in_a_parse_leaves_a_parser_that_takes_the_next_body()
    {
        bool full = true;
        var parser = new ScrapeParser("s", 1000, new Throwing(() => _ = full ? throw new InsufficientMemoryException() : 0), new ScrapeParserOptions());
        var tick = new SourceTick();
        Assert.ThrowsAny<OutOfMemoryException>(() => Parse(parser, "a 1\nb 2\n", tick, CancellationToken.None));
        parser.Abandon(tick);
        tick.Complete();
        Assert.Equal(0, tick.PresentCount);
        full = false;
        ScrapeResult again = Parse(parser, "a 1\nb 2\n", tick, CancellationToken.None);
        Assert.Equal((null, 2, 2), (again.Error, again.Kept, again.SeriesAdded));
    }

    [Fact]
    public async Task Whatever_is_thrown_in_a_scrape_costs_that_scrape_only_and_says_why()
    {
        await using TargetServer server = await TargetServer.StartAsync(TargetServer.Text(() => "a 1\n"));
        var clock = new FailingClock();
        using var run = new Run(server.Url, time: clock);
        await run.ScrapeAsync();
        clock.Fails = true;
        await run.ScrapeAsync();
        Assert.Equal(["a ended", "up 0"], run.Brief());
        Assert.StartsWith("out of memory", run.Collector.Status.LastError, StringComparison.Ordinal);
        Assert.Equal("down", run.Collector.Status.Health);
        clock.Fails = false;
        await run.ScrapeAsync();
        Assert.Equal(["a 1", "up 1"], run.Brief());
    }

    private static ScrapeResult Parse(ScrapeParser parser, string body, SourceTick tick, CancellationToken cancellation)
    {
        tick.Begin(parser.Table, 1_700_000_000_000);
        byte[] bytes = Encoding.UTF8.GetBytes(body);
        parser.Grow(bytes.Length + 1);
        bytes.CopyTo(parser.Buffer, 0);
        return parser.Parse(bytes.Length, ExpositionFormat.PrometheusText, tick, cancellation);
    }

    /// <summary>A clock that can make no timer, as when memory is out.</summary>
    private sealed class FailingClock : TimeProvider
    {
        public bool Fails { get; set; }

        public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period) =>
            Fails ? throw new InsufficientMemoryException() : base.CreateTimer(callback, state, dueTime, period);
    }

    private sealed class Throwing(Action before) : ISeriesMapper
    {
        public MapOutcome Map(Labels exposed, out Labels kept, out string? reason)
        {
            before();
            (kept, reason) = (exposed, null);
            return MapOutcome.Keep;
        }
    }

    private static async Task Gzip(HttpContext context, byte[] body)
    {
        context.Response.ContentType = "text/plain";
        context.Response.Headers.ContentEncoding = "gzip";
        await using var gzip = new GZipStream(context.Response.Body, CompressionLevel.Optimal, leaveOpen: true);
        await gzip.WriteAsync(body);
    }

    private sealed class Run : IDisposable
    {
        private readonly Meter _meter = new("bellwether");
        private readonly ScrapeHttp _http;
        private long _now = 1_700_000_000_000;

        public Run(Uri url, ScrapeConfig? job = null, TimeSpan? timeout = null, TimeProvider? time = null)
        {
            job = (job ?? new ScrapeConfig()) with { JobName = "shop" };
            _http = new ScrapeHttp(job);
            var target = new ScrapeTarget(Labels.Empty, TargetLabels, url.ToString(), TimeSpan.FromSeconds(15), timeout ?? TimeSpan.FromSeconds(15));
            Collector = new ScrapeCollector(ScrapeCollector.SourceName(job, target), job, target, _http, time ?? TimeProvider.System, new ScrapeMetrics(_meter));
        }

        public ScrapeCollector Collector { get; }

        public SourceTick Tick { get; } = new();

        public async Task ScrapeAsync(CancellationToken cancellation = default) => await Collector.CollectAsync(Tick, _now += 15_000, cancellation);

        public void End() => Collector.End(Tick, _now += 15_000);

        /// <summary>All series but the duration.</summary>
        public List<string> Shown()
        {
            var lines = new List<string>();
            for (int slot = 0; slot < Tick.Table.Count; slot++)
            {
                if (SourceTick.IsSet(Tick.Present, slot) && Tick.Table[slot].MetricName != "scrape_duration_seconds")
                    lines.Add($"{Tick.Table[slot]} {FloatText.ToText(Tick.Values[slot])}");
                if (SourceTick.IsSet(Tick.Ended, slot))
                    lines.Add($"{Tick.Table[slot]} ended");
            }
            lines.Sort(StringComparer.Ordinal);
            return lines;
        }

        /// <summary>Without scrape_ series, and by metric name only.</summary>
        public List<string> Brief() => [.. Shown().Where(l => !l.StartsWith("scrape_", StringComparison.Ordinal)).Select(l => $"{l[..l.IndexOf('{', StringComparison.Ordinal)]}{l[l.LastIndexOf(' ')..]}")];

        public void Dispose()
        {
            _http.Dispose();
            _meter.Dispose();
        }
    }
}
