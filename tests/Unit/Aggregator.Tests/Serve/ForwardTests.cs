using System.Collections.Concurrent;
using System.Diagnostics;
using System.Diagnostics.Metrics;
using System.Globalization;
using System.Net;
using System.Text.Json;
using Bellwether.Core.Configuration.Prometheus;
using Bellwether.Core.Model;
using Bellwether.Core.Platform;
using Bellwether.Core.Relabel;
using Bellwether.Core.Text;
using Bellwether.Kit;
using Bellwether.Serve.RemoteWrite;
using Bellwether.Store;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging.Abstractions;

namespace Bellwether.Aggregator.Tests.Serve;

/// <summary>Forwarding over real sockets and a real queue on disk.</summary>
public sealed class ForwardTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("forward-").FullName;
    private readonly Meter _meter = new("test");
    private ulong _position;

    public void Dispose()
    {
        _meter.Dispose();
        Directory.Delete(_folder, recursive: true);
    }

    [Fact]
    public async Task Samples_arrive_relabelled_with_external_labels_after_the_upstream_came_back()
    {
        await using var upstream = await Receiver.StartAsync(n => n < 3 ? HttpStatusCode.ServiceUnavailable : null);
        var drop = new RelabelRule { SourceLabels = ["i"], Regex = Re2Pattern.CompileAnchored("7"), Action = RelabelAction.Drop };
        using RemoteWriteForwarder forwarder = Open(upstream.Url, c => c with { WriteRelabelConfigs = [drop] });
        await RunAsync(forwarder, async () =>
        {
            Commit(forwarder, 0, 10);
            await Until.HoldsAsync(() => upstream.Store.Named("m").Count == 9);
        });
        Assert.True(upstream.Requests > 3);
        Assert.All(upstream.Store.Named("m"), l => Assert.Equal("test", l.Get("site")));
        Assert.DoesNotContain(upstream.Store.Named("m"), l => l.Get("i") == "7");
    }

    [Fact]
    public async Task A_restart_goes_on_where_it_stopped_and_nothing_is_lost()
    {
        await using var upstream = await Receiver.StartAsync(_ => null);
        using (RemoteWriteForwarder first = Open(upstream.Url))
        {
            await RunAsync(first, async () =>
            {
                Commit(first, 0, 5);
                await Until.HoldsAsync(() => upstream.Store.Named("m").Count == 5);
            });
            // Queued, but the sender is stopped.
            Commit(first, 5, 5);
        }
        using RemoteWriteForwarder second = Open(upstream.Url);
        Assert.Equal(_position, second.HeldTo);
        await RunAsync(second, () => Until.HoldsAsync(() => upstream.Store.Named("m").Count == 10));
    }

    [Fact]
    public async Task A_new_upstream_that_was_never_reached_gets_what_was_queued_since_also_after_a_restart()
    {
        bool takes = false;
        await using var upstream = await Receiver.StartAsync(_ => Volatile.Read(ref takes) ? null : HttpStatusCode.ServiceUnavailable);
        using (RemoteWriteForwarder first = Open(upstream.Url))
        {
            await RunAsync(first, async () =>
            {
                Commit(first, 0, 5);
                await Until.HoldsAsync(() => upstream.Requests > 0);
            });
        }
        Volatile.Write(ref takes, true);
        using RemoteWriteForwarder second = Open(upstream.Url);
        await RunAsync(second, () => Until.HoldsAsync(() => upstream.Store.Named("m").Count == 5));
    }

    [Fact]
    public void An_upstream_of_which_the_cursor_is_damaged_begins_with_the_oldest_that_is_queued()
    {
        var disk = new FaultyDisk(new Random(1));
        var options = new ForwardQueueOptions { Folder = "/queue" };
        var time = new VirtualTime();
        using var queue = new ForwardQueue(options, disk, time, new Random(1));
        for (ulong position = 1; position <= 5; position++)
            queue.Append(position, [new SeriesSample(Labels.Of("__name__", "m"), (long)position, 1)]);
        queue.Sync();
        queue.SaveCursor("u", 3);
        Assert.Equal((3ul, 5ul), (queue.Cursor("u"), queue.Cursor("new")));
        disk.FlipBit("/queue/u.cursor", 8 * 17);
        Assert.Equal(0ul, queue.Cursor("u"));
    }

    [Fact]
    public void A_clock_set_a_year_ahead_does_not_drop_what_waits()
    {
        var time = new VirtualTime();
        var options = new ForwardQueueOptions { Folder = Path.Combine(_folder, "aged"), FileBytes = 4096 };
        var disk = new OsDisk();
        using (var queue = new ForwardQueue(options, disk, time, new Random(1)))
        {
            Fill(queue, time);
            time.Step(TimeSpan.FromDays(365));
            Assert.Equal((0, 0), queue.Free(0));
        }
        using var again = new ForwardQueue(options, disk, time, new Random(1));
        Assert.Equal((0, 0), again.Free(0));
        // A clock that is right is followed in time.
        time.Advance(TimeSpan.FromHours(25));
        Assert.True(again.Free(0).Samples > 0);

        static void Fill(ForwardQueue queue, VirtualTime time)
        {
            for (ulong i = 1; i <= 200; i++)
            {
                queue.Append(i, [new SeriesSample(Labels.Of("__name__", "m", "text", new string('x', 100)), time.NowMs, i)]);
                queue.Sync();
            }
        }
    }

    [Fact]
    public async Task A_bad_sample_does_not_take_the_others_with_it()
    {
        await using var upstream = await Receiver.StartAsync(_ => null, batch => batch.Samples.Exists(s => s.Labels.Get("i") == "13"));
        using RemoteWriteForwarder forwarder = Open(upstream.Url);
        await RunAsync(forwarder, async () =>
        {
            Commit(forwarder, 0, 40);
            await Until.HoldsAsync(() => upstream.Store.Named("m").Count == 39);
        });
        Assert.DoesNotContain(upstream.Store.Named("m"), l => l.Get("i") == "13");
    }

    [Fact]
    public async Task A_refusal_that_is_final_is_not_repeated()
    {
        await using var upstream = await Receiver.StartAsync(n => n == 0 ? HttpStatusCode.Unauthorized : null);
        using RemoteWriteForwarder forwarder = Open(upstream.Url);
        await RunAsync(forwarder, async () =>
        {
            Commit(forwarder, 0, 3);
            await Until.HoldsAsync(() => upstream.Requests == 1);
            Commit(forwarder, 3, 3);
            await Until.HoldsAsync(() => upstream.Store.Named("m").Count == 3);
        });
        Assert.Equal(2, upstream.Requests);
    }

    [Fact]
    public async Task Version_two_is_sent_when_asked_for()
    {
        await using var upstream = await Receiver.StartAsync(_ => null);
        var known = new Dictionary<string, MetricMetadata> { ["m"] = new(MetricType.Counter, "Help.", "") };
        using RemoteWriteForwarder forwarder = Open(upstream.Url, c => c with { Message = RemoteWriteMessage.V2 }, known);
        await RunAsync(forwarder, async () =>
        {
            Commit(forwarder, 0, 10);
            await Until.HoldsAsync(() => upstream.Store.Named("m").Count == 10);
        });
        Assert.All(upstream.Types, t => Assert.Contains("proto=io.prometheus.write.v2.Request", t, StringComparison.Ordinal));
        Assert.Equal("Help.", upstream.Store.Metadata("m")!.Help);
    }

    [Fact]
    public async Task An_upstream_that_does_not_know_version_two_is_sent_version_one_and_asked_once()
    {
        await using var upstream = await Receiver.StartAsync(n => n == 0 ? HttpStatusCode.UnsupportedMediaType : null);
        using RemoteWriteForwarder forwarder = Open(upstream.Url, c => c with { Message = RemoteWriteMessage.V2 });
        await RunAsync(forwarder, async () =>
        {
            Commit(forwarder, 0, 3);
            await Until.HoldsAsync(() => upstream.Store.Named("m").Count == 3);
            Commit(forwarder, 3, 3);
            await Until.HoldsAsync(() => upstream.Store.Named("m").Count == 6);
        });
        Assert.Single(upstream.Types, t => t.Contains("v2.Request", StringComparison.Ordinal));
    }

    [Theory]
    [InlineData(RemoteWriteMessage.V1)]
    [InlineData(RemoteWriteMessage.V2)]
    public async Task Exemplars_follow_their_samples_where_they_are_asked_for_relabelled_as_these(RemoteWriteMessage message)
    {
        var seen = new ConcurrentQueue<(int Samples, Labels Labels, Exemplar Exemplar)>();
        int samples = 0;
        await using var upstream = await Receiver.StartAsync(_ => null, batch =>
        {
            samples += batch.Samples.Count;
            foreach ((Labels labels, Exemplar exemplar) in batch.Exemplars)
                seen.Enqueue((samples, labels, exemplar));
            return false;
        });
        var drop = new RelabelRule { SourceLabels = ["i"], Regex = Re2Pattern.CompileAnchored("7"), Action = RelabelAction.Drop };
        using RemoteWriteForwarder forwarder = Open(upstream.Url, c => c with { Message = message, SendExemplars = true, WriteRelabelConfigs = [drop] });
        static Labels Name(int i) => Labels.Of("__name__", "m", "i", i.ToString(CultureInfo.InvariantCulture));
        await RunAsync(forwarder, async () =>
        {
            forwarder.OnCommitted(++_position, [.. Enumerable.Range(0, 10).Select(i => new SeriesSample(Name(i), 1000, i))],
                [.. Enumerable.Range(0, 10).Select(i => (Name(i), new Exemplar(Labels.Of("trace_id", $"t{i}"), i / 10.0, 990)))]);
            await Until.HoldsAsync(() => seen.Count == 9);
        });
        Assert.Equal(Enumerable.Range(0, 10).Where(i => i != 7).Select(i => (9, $"{i} test", new Exemplar(Labels.Of("trace_id", $"t{i}"), i / 10.0, 990))),
            seen.OrderBy(s => s.Exemplar.Value).Select(s => (s.Samples, $"{s.Labels.Get("i")} {s.Labels.Get("site")}", s.Exemplar)));
    }

    [Fact]
    public async Task A_real_prometheus_takes_it()
    {
        if (!File.Exists("/usr/bin/prometheus"))
        {
            Assert.True(Environment.GetEnvironmentVariable("CI") is null, "prometheus is missing: apt-get install prometheus");
            return;
        }
        int port = Ports.Free();
        await File.WriteAllTextAsync(Path.Combine(_folder, "p.yml"), "global: {}\n");
        using Process prometheus = StartPrometheus(port, "--web.enable-remote-write-receiver", "--enable-feature=exemplar-storage");
        Task drain = prometheus.StandardError.ReadToEndAsync();
        try
        {
            using var client = new HttpClient { BaseAddress = new Uri(string.Create(CultureInfo.InvariantCulture, $"http://127.0.0.1:{port}")) };
            using RemoteWriteForwarder forwarder = Open(client.BaseAddress + "api/v1/write", c => c with { SendExemplars = true });
            long nowMs = TimeProvider.System.GetUtcNow().ToUnixTimeMilliseconds();
            await RunAsync(forwarder, async () =>
            {
                var labels = Labels.Of("__name__", "city_total", "city", "Zürich \"q\" \\ \n");
                forwarder.OnCommitted(++_position, [new SeriesSample(labels, nowMs - 2000, 0.1), new SeriesSample(labels, nowMs - 1000, 1e300)],
                    [(labels, new Exemplar(Labels.Of("trace_id", "abc"), 0.1, nowMs - 2000))]);
                await Until.HoldsAsync(() => Count(client, "city_total[10m]") == 2);
                string exemplars = string.Create(CultureInfo.InvariantCulture, $"/api/v1/query_exemplars?query=city_total&start={(nowMs - 60_000) / 1000}&end={(nowMs + 60_000) / 1000}");
                await Until.HoldsAsync(() => client.GetStringAsync(exemplars).GetAwaiter().GetResult().Contains("\"trace_id\":\"abc\"", StringComparison.Ordinal));
            });
            using JsonDocument answer = JsonDocument.Parse(await client.GetStringAsync("/api/v1/query?query=city_total"));
            Assert.Equal("Zürich \"q\" \\ \n", answer.RootElement.GetProperty("data").GetProperty("result")[0].GetProperty("metric").GetProperty("city").GetString());
        }
        finally
        {
            prometheus.Kill();
            await prometheus.WaitForExitAsync();
            await drain;
        }
    }

    [Fact]
    public void A_full_queue_drops_the_oldest_samples_and_counts_them()
    {
        var options = new ForwardQueueOptions { Folder = Path.Combine(_folder, "small"), BytesMax = 512 << 10, FileBytes = 64 << 10 };
        using var queue = new ForwardQueue(options, new OsDisk(), TimeProvider.System, new Random(1));
        const int Commits = 400, Samples = 100;
        long refused = 0;
        for (ulong position = 1; position <= Commits; position++)
        {
            refused += queue.Append(position, [.. Enumerable.Range(0, Samples).Select(i => new SeriesSample(Labels.Of("__name__", "m", "i", i.ToString(CultureInfo.InvariantCulture)), (long)position, i))]).Samples;
            Assert.True(queue.Sync());
        }
        long kept = 0, last = 0;
        using Core.Durable.LogReader reader = queue.Read(0);
        while (reader.MoveNext() == Core.Durable.LogRead.Frame)
        {
            kept += Samples;
            last = (long)System.Buffers.Binary.BinaryPrimitives.ReadUInt64LittleEndian(reader.Payload);
        }
        Assert.True(queue.Overflowed.Samples > 0);
        Assert.Equal((0L, Commits), (refused, (int)last));
        Assert.Equal((long)Commits * Samples, kept + queue.Overflowed.Samples);
    }

    [Fact]
    public void Exemplars_in_frames_that_the_queue_drops_are_counted()
    {
        var time = new VirtualTime();
        var options = new ForwardQueueOptions { Folder = Path.Combine(_folder, "exemplars"), BytesMax = 512 << 10, FileBytes = 64 << 10 };
        using var queue = new ForwardQueue(options, new OsDisk(), time, new Random(1));
        Labels series = Labels.Of("__name__", "m", "text", new string('x', 1000));
        const int Commits = 1000, Exemplars = 3;
        for (ulong position = 1; position <= Commits; position++)
        {
            (Labels, Exemplar)[] exemplars = [.. Enumerable.Range(0, Exemplars).Select(i => (series, new Exemplar(Labels.Of("trace", position + "-" + i), i, time.NowMs)))];
            Assert.Equal((0, 0), queue.Append(position, [new SeriesSample(series, (long)position, 1)], exemplars));
            Assert.True(queue.Sync());
        }
        (long samples, long exemplarsLost) = queue.Overflowed;
        Assert.True(samples > 0);
        Assert.Equal(samples * Exemplars, exemplarsLost);
        time.Advance(TimeSpan.FromHours(25));
        (samples, exemplarsLost) = queue.Free(0);
        Assert.True(samples > 0);
        Assert.Equal(samples * Exemplars, exemplarsLost);
    }

    [Fact]
    public async Task What_the_store_commits_is_forwarded_once()
    {
        await using var upstream = await Receiver.StartAsync(_ => null);
        using RemoteWriteForwarder forwarder = Open(upstream.Url);
        await using StoreWriter store = StoreWriter.Open(new StoreOptions { Folder = Path.Combine(_folder, "store") }, new OsDisk(), TimeProvider.System, new Random(1), _meter, NullLogger.Instance, forwarder);
        long nowMs = TimeProvider.System.GetUtcNow().ToUnixTimeMilliseconds();
        var batch = new SampleBatch();
        batch.Samples.Add(new SeriesSample(Labels.Of("__name__", "m", "i", "1"), nowMs, 42));
        await RunAsync(forwarder, async () =>
        {
            await store.AppendAsync(batch, default);
            await Until.HoldsAsync(() => upstream.Store.Named("m").Count == 1);
            // The same again is a duplicate: nothing new to forward.
            await store.AppendAsync(batch, default);
            batch.Samples[0] = batch.Samples[0] with { TimestampMs = nowMs + 1 };
            await store.AppendAsync(batch, default);
            await Until.HoldsAsync(() => upstream.Store.Of(upstream.Store.Named("m")[0]).Count == 2);
        });
        Assert.Equal(2, upstream.Requests);
    }

    [Fact]
    public async Task A_real_prometheus_writes_into_us()
    {
        if (!File.Exists("/usr/bin/prometheus"))
        {
            Assert.True(Environment.GetEnvironmentVariable("CI") is null, "prometheus is missing: apt-get install prometheus");
            return;
        }
        await using var upstream = await Receiver.StartAsync(_ => null);
        int port = Ports.Free();
        string address = string.Create(CultureInfo.InvariantCulture, $"127.0.0.1:{port}");
        await File.WriteAllTextAsync(Path.Combine(_folder, "p.yml"), $$"""
            global: {scrape_interval: 1s}
            scrape_configs: [{job_name: self, static_configs: [{targets: ["{{address}}"] }] }]
            remote_write: [{url: "{{upstream.Url}}", queue_config: {batch_send_deadline: 200ms}, metadata_config: {send_interval: 1s} }]
            """ + "\n");
        using Process prometheus = StartPrometheus(port);
        Task drain = prometheus.StandardError.ReadToEndAsync();
        try
        {
            await Until.HoldsAsync(() => upstream.Store.Named("up").Count == 1 && upstream.Store.Named("prometheus_build_info").Count == 1 && upstream.Store.Metadata("up") is null && upstream.Store.AllMetadata().Count > 10);
        }
        finally
        {
            prometheus.Kill();
            await prometheus.WaitForExitAsync();
            await drain;
        }
        Assert.Equal("self", upstream.Store.Named("up")[0].Get("job"));
        Assert.Equal(MetricType.Gauge, upstream.Store.Metadata("prometheus_build_info")!.Type);
    }

    [Fact]
    public async Task Metadata_arrive_at_the_upstream_and_again_after_the_interval()
    {
        await using var upstream = await Receiver.StartAsync(_ => null);
        var known = new Dictionary<string, MetricMetadata> { ["m"] = new(MetricType.Counter, "What m counts, in \"Zürich\".", "seconds"), ["n"] = new(MetricType.Histogram, "", "") };
        using RemoteWriteForwarder forwarder = Open(upstream.Url, c => c with { Metadata = new MetadataConfig { SendInterval = TimeSpan.FromMilliseconds(1), MaxSamplesPerSend = 1 } }, known);
        await RunAsync(forwarder, async () =>
        {
            Commit(forwarder, 0, 1);
            await Until.HoldsAsync(() => upstream.Store.AllMetadata().Count == 2 && upstream.Store.Named("m").Count == 1);
            known["n"] = new MetricMetadata(MetricType.Gauge, "changed", "");
            Commit(forwarder, 1, 1);
            await Until.HoldsAsync(() => upstream.Store.Metadata("n")?.Type == MetricType.Gauge);
        });
        Assert.Equal(known["m"], upstream.Store.Metadata("m"));
    }

    [Fact]
    public async Task A_real_prometheus_ends_a_series_at_the_stale_marker_and_takes_metadata()
    {
        if (!File.Exists("/usr/bin/prometheus"))
        {
            Assert.True(Environment.GetEnvironmentVariable("CI") is null, "prometheus is missing: apt-get install prometheus");
            return;
        }
        int port = Ports.Free();
        await File.WriteAllTextAsync(Path.Combine(_folder, "p.yml"), "global: {}\n");
        using Process prometheus = StartPrometheus(port, "--web.enable-remote-write-receiver");
        Task drain = prometheus.StandardError.ReadToEndAsync();
        try
        {
            using var metrics = new Core.Telemetry.SelfMetrics(_meter);
            using var client = new HttpClient { BaseAddress = new Uri(string.Create(CultureInfo.InvariantCulture, $"http://127.0.0.1:{port}")) };
            var known = new Dictionary<string, MetricMetadata> { ["gone"] = new(MetricType.Gauge, "Help.", "") };
            using RemoteWriteForwarder forwarder = Open(client.BaseAddress + "api/v1/write", c => c with { Metadata = new MetadataConfig() }, known);
            long nowMs = TimeProvider.System.GetUtcNow().ToUnixTimeMilliseconds();
            Labels gone = Labels.Of("__name__", "gone"), there = Labels.Of("__name__", "there");
            await RunAsync(forwarder, async () =>
            {
                forwarder.OnCommitted(++_position, [new SeriesSample(gone, nowMs - 3000, 1), new SeriesSample(gone, nowMs - 2000, 2), new SeriesSample(there, nowMs - 2000, 2)]);
                forwarder.OnCommitted(++_position, [new SeriesSample(gone, nowMs - 1000, SpecialValues.StaleMarker), new SeriesSample(there, nowMs - 1000, 3)]);
                await Until.HoldsAsync(() => Count(client, "there[10m]") == 2);
            });
            // The marker itself is no point; the series is over at once, not after the lookback.
            Assert.Equal(2, Count(client, "gone[10m]"));
            Assert.Equal(1, Instant(client, "there"));
            Assert.Equal(0, Instant(client, "gone"));
            Assert.All(metrics.Collect().Single(f => f.Name == Core.Telemetry.MetricNames.ForwardRequests).Samples, s => Assert.Contains(s.Labels, l => l.Value.StartsWith('2') || l.Value == "network"));
            Assert.True(metrics.Collect().Single(f => f.Name == Core.Telemetry.MetricNames.ForwardSent).Samples[0].Value >= nowMs / 1000.0);
        }
        finally
        {
            prometheus.Kill();
            await prometheus.WaitForExitAsync();
            await drain;
        }
    }

    private static int Instant(HttpClient client, string query)
    {
        using JsonDocument answer = JsonDocument.Parse(client.GetStringAsync($"/api/v1/query?query={Uri.EscapeDataString(query)}").GetAwaiter().GetResult());
        return answer.RootElement.GetProperty("data").GetProperty("result").GetArrayLength();
    }

    private RemoteWriteForwarder Open(string url, Func<RemoteWriteConfig, RemoteWriteConfig>? change = null, Dictionary<string, MetricMetadata>? metadata = null)
    {
        var config = new RemoteWriteConfig { Url = url, Queue = new QueueConfig { BatchSendDeadline = TimeSpan.FromMilliseconds(200), MaxBackoff = TimeSpan.FromMilliseconds(100) }, Metadata = new MetadataConfig { Send = false } };
        var around = new ForwardSurroundings(Labels.Of("site", "test"), () => metadata ?? [], _meter, RemoteWriteForwarder.DefaultHandler);
        return new RemoteWriteForwarder(new ForwardQueueOptions { Folder = Path.Combine(_folder, "queue") }, [change?.Invoke(config) ?? config], around, new OsDisk(), TimeProvider.System, NullLogger.Instance);
    }

    private void Commit(RemoteWriteForwarder forwarder, int from, int count) =>
        forwarder.OnCommitted(++_position, [.. Enumerable.Range(from, count).Select(i => new SeriesSample(Labels.Of("__name__", "m", "i", i.ToString(CultureInfo.InvariantCulture)), 1000, i))]);

    private static async Task RunAsync(RemoteWriteForwarder forwarder, Func<Task> body)
    {
        using var stop = new CancellationTokenSource();
        Task run = forwarder.RunAsync(stop.Token);
        try
        {
            await body();
        }
        finally
        {
            await stop.CancelAsync();
            await run;
        }
    }

    private static int Count(HttpClient client, string query)
    {
        try
        {
            using JsonDocument answer = JsonDocument.Parse(client.GetStringAsync($"/api/v1/query?query={Uri.EscapeDataString(query)}").GetAwaiter().GetResult());
            return answer.RootElement.GetProperty("data").GetProperty("result").EnumerateArray().Sum(s => s.GetProperty("values").GetArrayLength());
        }
        catch (HttpRequestException)
        {
            return -1;
        }
    }

    private Process StartPrometheus(int port, params string[] more)
    {
        string address = string.Create(CultureInfo.InvariantCulture, $"--web.listen-address=127.0.0.1:{port}");
        var start = new ProcessStartInfo("/usr/bin/prometheus", ["--config.file=p.yml", "--storage.tsdb.path=data", address, .. more])
        {
            WorkingDirectory = _folder,
            RedirectStandardError = true,
        };
        return Process.Start(start)!;
    }

    /// <summary>An upstream: our own receiver behind a gate that can refuse.</summary>
    private sealed class Receiver(WebApplication app, RemoteWriteReceiver receiver, Meter meter, SeriesInMemory store) : IAsyncDisposable
    {
        private int _requests;

        public SeriesInMemory Store { get; } = store;

        public ConcurrentQueue<string> Types { get; } = [];

        public int Requests => Volatile.Read(ref _requests);

        public string Url => app.Urls.First() + "/api/v1/write";

        public static async Task<Receiver> StartAsync(Func<int, HttpStatusCode?> gate, Func<SampleBatch, bool>? poison = null)
        {
            WebApplicationBuilder builder = WebApplication.CreateEmptyBuilder(new());
            builder.WebHost.UseKestrelCore().UseUrls("http://127.0.0.1:0");
            builder.Services.AddRoutingCore();
            WebApplication app = builder.Build();
            var meter = new Meter("upstream");
            var store = new SeriesInMemory();
            var receiver = new RemoteWriteReceiver(new Gate(store, poison), new RemoteWriteReceiveOptions(), meter);
            var made = new Receiver(app, receiver, meter, store);
            app.Use(async (context, next) =>
            {
                string type = context.Request.ContentType!;
                made.Types.Enqueue(type);
                Assert.Equal(type.Contains("v2.Request", StringComparison.Ordinal) ? "2.0.0" : "0.1.0", context.Request.Headers["X-Prometheus-Remote-Write-Version"]);
                if (gate(Interlocked.Increment(ref made._requests) - 1) is { } status)
                    context.Response.StatusCode = (int)status;
                else
                    await next(context);
            });
            app.UseRouting();
            receiver.Map(app);
            app.UseEndpoints(_ => { });
            await app.StartAsync();
            return made;
        }

        public async ValueTask DisposeAsync()
        {
            await app.DisposeAsync();
            receiver.Dispose();
            meter.Dispose();
        }

        /// <summary>Refuses a whole batch that holds a bad sample, as Prometheus does.</summary>
        private sealed class Gate(SeriesInMemory store, Func<SampleBatch, bool>? poison) : ISampleAppender
        {
            public ValueTask<AppendResult> AppendAsync(SampleBatch batch, CancellationToken cancellation)
            {
                if (poison?.Invoke(batch) != true)
                    return store.AppendAsync(batch, cancellation);
                var result = new AppendResult();
                result.Add(AppendOutcome.Invalid, "poison");
                return ValueTask.FromResult(result);
            }
        }
    }
}
