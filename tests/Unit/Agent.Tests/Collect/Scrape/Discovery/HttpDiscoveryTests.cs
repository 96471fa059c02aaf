using System.Threading.Channels;
using Bellwether.Agent.Collect.Scrape.Discovery;
using Bellwether.Core.Configuration;
using Bellwether.Core.Configuration.Prometheus;
using Bellwether.Kit;
using Microsoft.AspNetCore.Http;

namespace Bellwether.Agent.Tests.Collect.Scrape.Discovery;

/// <summary>Targets from HTTP endpoints: a real server on the loopback, a virtual clock for when it is asked.</summary>
public sealed class HttpDiscoveryTests
{
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(120);
    private readonly VirtualTime _time = new();

    [Fact]
    public async Task An_endpoint_is_asked_as_Prometheus_asks_and_its_groups_become_targets()
    {
        await using TargetServer server = await TargetServer.StartAsync(Json(() => """[{"targets": ["one:1", "two:2"], "labels": {"site": "x"}}]"""));
        HttpSdConfig config = Config(server, new HttpClientConfig { Authorization = new AuthorizationConfig { Credentials = new Secret("t0ken") } });
        var discovery = new TargetDiscovery(new ScrapeConfig { JobName = "j", HttpSdConfigs = [config] }, _time);
        Assert.Equal(config, Assert.Single(discovery.BeginDueRequests()));
        Assert.Empty(discovery.BeginDueRequests());
        Assert.True(discovery.Refresh());
        Assert.Empty(discovery.Current.Targets);
        Assert.Equal(Timeout.InfiniteTimeSpan, discovery.NextLook);

        discovery.Offer(config, await HttpTargetSource.FetchAsync(config, TimeProvider.System, CancellationToken.None));
        Assert.True(discovery.Refresh());
        Assert.Equal(["one:1 x", "two:2 x"], discovery.Current.Targets.Select(t => $"{t.Labels.Get("instance")} {t.Labels.Get("site")}"));
        Assert.Equal(config.Url, discovery.Current.Targets[0].Discovered.Get("__meta_url"));
        Assert.Equal(
            ("application/json", "60", "Bearer t0ken"),
            (server.LastHeaders.Accept.ToString(), server.LastHeaders["X-Prometheus-Refresh-Interval-Seconds"].ToString(), server.LastHeaders.Authorization.ToString()));
        Assert.Equal(TimeSpan.FromSeconds(60), discovery.NextLook);
    }

    [Theory]
    [InlineData(500, "application/json", "[]", "answered 500; 200 is needed")]
    [InlineData(200, "text/html", "[]", "content type 'text/html'")]
    [InlineData(200, "application/json", "[{\"targats\": []}]", "unknown key 'targats'; did you mean 'targets'?")]
    [InlineData(200, "application/json", "{}", "must be a list of target groups")]
    [InlineData(200, "application/json", "[", "")]
    public async Task A_wrong_answer_is_an_error_with_its_address_and_keeps_the_last_good_targets(int status, string type, string body, string message)
    {
        await using TargetServer server = await TargetServer.StartAsync(context =>
        {
            context.Response.StatusCode = status;
            context.Response.ContentType = type;
            return context.Response.WriteAsync(body);
        });
        HttpSdConfig config = Config(server);
        ConfigResult<ValueList<TargetGroup>> wrong = await HttpTargetSource.FetchAsync(config, TimeProvider.System, CancellationToken.None);
        ConfigError error = Assert.Single(wrong.Errors);
        Assert.Equal(config.Url, error.File);
        Assert.Contains(message, error.Message, StringComparison.Ordinal);

        var discovery = new TargetDiscovery(new ScrapeConfig { JobName = "j", HttpSdConfigs = [config] }, _time);
        discovery.Offer(config, Good("one:1"));
        Assert.True(discovery.Refresh());
        discovery.Offer(config, wrong);
        Assert.True(discovery.Refresh());
        Assert.Equal("one:1", Assert.Single(discovery.Current.Targets).Labels.Get("instance"));
        Assert.StartsWith(config.Url, Assert.Single(discovery.Current.Errors), StringComparison.Ordinal);
        discovery.Offer(config, wrong);
        Assert.False(discovery.Refresh());
        discovery.Offer(config, Good());
        Assert.True(discovery.Refresh());
        Assert.Empty(discovery.Current.Targets);
        Assert.Empty(discovery.Current.Errors);
    }

    [Fact]
    public async Task An_answer_that_is_too_long_or_never_comes_is_refused()
    {
        await using TargetServer long_ = await TargetServer.StartAsync(Json(() => "[" + new string(' ', TargetGroupFile.MaxBytes) + "]"));
        ConfigResult<ValueList<TargetGroup>> tooLong = await HttpTargetSource.FetchAsync(Config(long_), TimeProvider.System, CancellationToken.None);
        Assert.Contains($"longer than {TargetGroupFile.MaxBytes} bytes", Assert.Single(tooLong.Errors).Message, StringComparison.Ordinal);

        var asked = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        await using TargetServer silent = await TargetServer.StartAsync(context =>
        {
            asked.SetResult();
            return Task.Delay(Timeout.InfiniteTimeSpan, TimeProvider.System, context.RequestAborted);
        });
        Task<ConfigResult<ValueList<TargetGroup>>> fetch = HttpTargetSource.FetchAsync(Config(silent), _time, CancellationToken.None);
        await asked.Task.WaitAsync(s_patience);
        _time.Advance(HttpTargetSource.FetchTimeMax);
        Assert.Equal("no answer within 30s", Assert.Single((await fetch.WaitAsync(s_patience)).Errors).Message);
    }

    [Fact]
    public async Task Nobody_at_the_address_is_an_error_and_not_an_exception()
    {
        TargetServer server = await TargetServer.StartAsync(Json(() => "[]"));
        HttpSdConfig config = Config(server);
        await server.DisposeAsync();
        Assert.Equal(config.Url, Assert.Single((await HttpTargetSource.FetchAsync(config, TimeProvider.System, CancellationToken.None)).Errors).File);
        HttpSdConfig noFile = config with { HttpClient = new HttpClientConfig { Authorization = new AuthorizationConfig { CredentialsFile = "/no/such/token" } } };
        Assert.Contains("/no/such/token", Assert.Single((await HttpTargetSource.FetchAsync(noFile, TimeProvider.System, CancellationToken.None)).Errors).Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task The_loop_asks_again_when_it_is_due_and_tells_changes()
    {
        string body = """[{"targets": ["one:1"]}]""";
        await using TargetServer server = await TargetServer.StartAsync(Json(() => body));
        var told = Channel.CreateBounded<string>(10);
        ScrapeConfig job = new() { JobName = "j", HttpSdConfigs = [Config(server)] };
        using var stop = new CancellationTokenSource();
        IReadOnlyList<DiscoveredJob> last = [];
        var armed = new ArmedTime(_time, TimeSpan.FromSeconds(60));
        var loop = new DiscoveryLoop([job], armed, jobs =>
        {
            last = jobs;
            Assert.True(told.Writer.TryWrite(string.Join(",", jobs[0].Targets.Select(t => t.Labels.Get("instance")))));
        });
        Task running = loop.RunAsync(stop.Token);
        Assert.Equal("", await ReadAsync(told));
        Assert.Equal("one:1", await ReadAsync(told));
        body = """[{"targets": ["two:2"]}]""";
        await armed.Armed.WaitAsync(s_patience);
        _time.Advance(TimeSpan.FromSeconds(60));
        Assert.Equal("two:2", await ReadAsync(told));
        await stop.CancelAsync();
        await running.WaitAsync(s_patience);

        // A reload starts from what is known: no target is lost while the endpoint is asked.
        var after = new DiscoveryLoop([job], _time, jobs => last = jobs, last);
        after.Step();
        Assert.Equal("two:2", Assert.Single(last[0].Targets).Labels.Get("instance"));
        var other = new DiscoveryLoop([job with { HttpSdConfigs = [Config(server) with { Url = server.Url + "other" }] }], _time, jobs => last = jobs, last);
        other.Step();
        Assert.Empty(last[0].Targets);
    }

    private static async Task<string> ReadAsync(Channel<string> told) => await told.Reader.ReadAsync().AsTask().WaitAsync(s_patience);

    private static HttpSdConfig Config(TargetServer server, HttpClientConfig? client = null) => new() { Url = server.Url + "targets", HttpClient = client ?? new HttpClientConfig() };

    private static ConfigResult<ValueList<TargetGroup>> Good(params string[] targets) =>
        TargetGroupFile.Parse(System.Text.Encoding.UTF8.GetBytes($$"""[{"targets": [{{string.Join(", ", targets.Select(t => $"\"{t}\""))}}]}]"""), "http://x/", json: true);

    /// <summary>A virtual clock that tells when a timer of a given length is armed.</summary>
    private sealed class ArmedTime(VirtualTime time, TimeSpan length) : TimeProvider
    {
        private readonly TaskCompletionSource _armed = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public Task Armed => _armed.Task;

        public override long TimestampFrequency => time.TimestampFrequency;

        public override long GetTimestamp() => time.GetTimestamp();

        public override DateTimeOffset GetUtcNow() => time.GetUtcNow();

        public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period)
        {
            ITimer timer = time.CreateTimer(callback, state, dueTime, period);
            if (dueTime == length)
                _armed.TrySetResult();
            return timer;
        }
    }

    private static RequestDelegate Json(Func<string> body) => TargetServer.Text(body, "application/json; charset=utf-8");
}
