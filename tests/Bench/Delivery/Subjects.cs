using System.Globalization;
using System.Text.Json;
using Bellwether.Kit.Live;

namespace Bellwether.Bench.Delivery;

/// <summary>Our agent, into our aggregator.</summary>
internal sealed partial class BellwetherSubject : Subject
{
    private readonly HttpClient _http;

    public BellwetherSubject(string folder, BenchTargets targets)
        : base("bellwether", folder, targets)
    {
        int grpc = FreePort(), http = FreePort(), proxy = FreePort();
        _http = new HttpClient { BaseAddress = new Uri($"http://127.0.0.1:{http}"), Timeout = TimeSpan.FromMinutes(2) };
        Proxy = new ByteProxy(proxy, () => grpc);
        Write("token", "5f2c6a1d9e8b47c3a0f1e2d3c4b5a697\n");
        if (!OperatingSystem.IsWindows())
            File.SetUnixFileMode(Path.Combine(folder, "token"), UnixFileMode.UserRead | UnixFileMode.UserWrite);
        Write("aggregator.yaml", $"""
            listen: {LeftBrace}grpc: {LeftBrace}address: "127.0.0.1:{grpc}"{RightBrace}, http: {LeftBrace}address: "127.0.0.1:{http}"{RightBrace}{RightBrace}
            data_dir: store
            agents: [{LeftBrace}id: "*", token_file: token{RightBrace}]

            """);
        Write("agent.yaml", $"""
            agent: {LeftBrace}id: bench{RightBrace}
            aggregators: [{LeftBrace}address: "127.0.0.1:{proxy}", token_file: token{RightBrace}]
            spool: {LeftBrace}path: spool{RightBrace}
            status: {LeftBrace}socket: agent.sock{RightBrace}

            """ + ScrapeConfig());
        Keep(Running.Start(Programs.Aggregator, folder, "serve", "--config", "aggregator.yaml"));
    }

    private const string LeftBrace = "{";
    private const string RightBrace = "}";

    public override string SpoolFolder => Path.Combine(Folder, "spool");

    /// <summary>By the agent's own word: its files are of a fixed length and used again, so their length says nothing.</summary>
    public override async Task<long> SpoolBytesAsync()
    {
        (_, string status) = await Running.ToEndAsync(Programs.Agent, Folder, "status", "--config", "agent.yaml");
        return long.Parse(SpoolLine().Match(status).Groups[1].Value, CultureInfo.InvariantCulture);
    }

    public override async Task<long> StoredAsync(long untilMs, bool scrapesOnly, CancellationToken cancel)
    {
        string selector = scrapesOnly ? "bench_scrape" : "{__name__=~\"bench_.*\"}";
        return (long)await ValueAsync(string.Create(CultureInfo.InvariantCulture, $"sum(count_over_time({selector}[2h]))"), untilMs, cancel);
    }

    /// <summary>A store cannot hold a series' time twice, and gives samples in order of time: what is looked for is a scrape's number at two times, and a number below the one before.</summary>
    public override async Task<(long Doubled, long OutOfOrder)> FaultsAsync(CancellationToken cancel)
    {
        using JsonDocument document = await QueryAsync("bench_scrape[2h]", null, cancel);
        long doubled = 0, outOfOrder = 0;
        foreach (JsonElement series in document.RootElement.GetProperty("data").GetProperty("result").EnumerateArray())
        {
            double before = 0;
            foreach (JsonElement pair in series.GetProperty("values").EnumerateArray())
            {
                double number = double.Parse(pair[1].GetString()!, CultureInfo.InvariantCulture);
                doubled += number == before ? BenchTargets.Series : 0;
                outOfOrder += number < before ? BenchTargets.Series : 0;
                before = Math.Max(before, number);
            }
        }
        return (doubled, outOfOrder);
    }

    public override async ValueTask DisposeAsync()
    {
        _http.Dispose();
        await base.DisposeAsync();
    }

    protected override Running Launch() => Running.Start(Programs.Agent, Folder, "run", "--config", "agent.yaml");

    [System.Text.RegularExpressions.GeneratedRegex(@"records in (\d+) bytes")]
    private static partial System.Text.RegularExpressions.Regex SpoolLine();

    private async Task<double> ValueAsync(string query, long timeMs, CancellationToken cancel)
    {
        using JsonDocument document = await QueryAsync(query, timeMs, cancel);
        JsonElement result = document.RootElement.GetProperty("data").GetProperty("result");
        return result.GetArrayLength() == 0 ? 0 : double.Parse(result[0].GetProperty("value")[1].GetString()!, CultureInfo.InvariantCulture);
    }

    private async Task<JsonDocument> QueryAsync(string query, long? timeMs, CancellationToken cancel)
    {
        string time = timeMs is { } ms ? string.Create(CultureInfo.InvariantCulture, $"&time={ms / 1000.0:F3}") : "";
        return JsonDocument.Parse(await _http.GetStringAsync("/api/v1/query?query=" + Uri.EscapeDataString(query) + time, cancel));
    }
}

/// <summary>A peer that remote-writes into the counting sink.</summary>
internal sealed class RemoteWriteSubject : Subject
{
    private readonly CountingSink _sink;
    private readonly string _program;
    private readonly string[] _arguments;

    private RemoteWriteSubject(string name, string folder, BenchTargets targets, CountingSink sink)
        : base(name, folder, targets)
    {
        _sink = sink;
        int proxy = FreePort(), http = FreePort();
        Proxy = new ByteProxy(proxy, () => sink.Port);
        string url = $"http://127.0.0.1:{proxy}/api/v1/write";
        if (name == "vmagent")
        {
            _program = "vmagent";
            Write("vmagent.yml", ScrapeConfig());
            _arguments = ["-promscrape.config=vmagent.yml", "-remoteWrite.url=" + url, "-remoteWrite.tmpDataPath=data", $"-httpListenAddr=127.0.0.1:{http}"];
        }
        else
        {
            _program = "prometheus";
            Write("prometheus.yml", ScrapeConfig() + $"remote_write:\n  - url: {url}\n");
            _arguments = ["--enable-feature=agent", "--config.file=prometheus.yml", "--storage.agent.path=data", $"--web.listen-address=127.0.0.1:{http}", "--log.level=warn"];
        }
    }

    public override string SpoolFolder => Path.Combine(Folder, "data");

    public static async Task<RemoteWriteSubject> MakeAsync(string name, string folder, BenchTargets targets) => new(name, folder, targets, await CountingSink.StartAsync());

    public override Task<long> StoredAsync(long untilMs, bool scrapesOnly, CancellationToken cancel) => Task.FromResult(_sink.Samples(untilMs, scrapesOnly));

    public override Task<(long Doubled, long OutOfOrder)> FaultsAsync(CancellationToken cancel) => Task.FromResult((_sink.Doubled, _sink.OutOfOrder));

    public override async ValueTask DisposeAsync()
    {
        await base.DisposeAsync();
        await _sink.DisposeAsync();
    }

    protected override Running Launch() => Running.Start(_program, Folder, _arguments);
}
