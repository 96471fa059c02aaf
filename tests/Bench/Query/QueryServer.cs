using System.Globalization;
using System.Net.Http.Headers;
using System.Text.Json;
using Bellwether.Kit.Live;

namespace Bellwether.Bench.Query;

/// <summary>A server under measurement: ours or a peer, started in a folder of its own.</summary>
internal sealed class QueryServer : IAsyncDisposable
{
    private readonly TimeProvider _time;
    private readonly HttpClient _http;
    private readonly string _writePath;
    private readonly string _querySuffix;
    private readonly List<Running> _programs = [];
    private readonly Func<QueryServer, string, bool, IEnumerable<Running>> _start;

    private QueryServer(string name, string writePath, string querySuffix, TimeProvider time, Func<QueryServer, string, bool, IEnumerable<Running>> start)
    {
        Name = name;
        Port = FreePort();
        Folder = Directory.CreateTempSubdirectory("bellwether-bench-").FullName;
        _time = time;
        _writePath = writePath;
        _querySuffix = querySuffix;
        _start = start;
        _http = new HttpClient { BaseAddress = new Uri($"http://127.0.0.1:{Port}"), Timeout = TimeSpan.FromMinutes(5) };
    }

    public string Name { get; }

    public int Port { get; }

    public string Folder { get; }

    /// <summary>What an agent of this bench shows.</summary>
    public const string Token = "5f2c6a1d9e8b47c3a0f1e2d3c4b5a697";

    /// <summary>Where agents connect; ours only.</summary>
    public int GrpcPort { get; private set; }

    /// <summary>CPU seconds of its programs since they were started.</summary>
    public double CpuSeconds => _programs.Sum(p => ProcessUse.Of(p.Id).CpuSeconds);

    public double RssMb => _programs.Sum(p => ProcessUse.Of(p.Id).RssBytes) / 1e6;

    /// <param name="time">Clock.</param>
    /// <param name="more">More lines of its configuration.</param>
    public static QueryServer Bellwether(TimeProvider time, string more = "") => new("bellwether", "/api/v1/write", "", time, (s, rules, withRules) =>
    {
        if (s.GrpcPort == 0)
        {
            s.GrpcPort = FreePort();
            s.Write("token", Token + "\n");
            if (!OperatingSystem.IsWindows())
                File.SetUnixFileMode(Path.Combine(s.Folder, "token"), UnixFileMode.UserRead | UnixFileMode.UserWrite);
        }
        s.Write("aggregator.yaml", $$$"""
            listen: {grpc: {address: "127.0.0.1:{{{s.GrpcPort}}}"}, http: {address: "127.0.0.1:{{{s.Port}}}"}}
            data_dir: store
            agents: [{id: "*", token_file: token}]
            global: {evaluation_interval: 30s}
            {{{(withRules ? $"rule_files: [\"{rules}\"]" : "")}}}
            {{{more}}}

            """);
        return [Running.Start(Programs.Aggregator, s.Folder, "serve", "--config", "aggregator.yaml")];
    });

    public static QueryServer Prometheus(TimeProvider time) => new("prometheus", "/api/v1/write", "", time, static (s, rules, withRules) =>
    {
        s.Write("prometheus.yml", "global: {evaluation_interval: 30s}\n" + (withRules ? $"rule_files: [\"{rules}\"]\n" : ""));
        return [Running.Start("prometheus", s.Folder, "--config.file=prometheus.yml", "--storage.tsdb.path=data", "--storage.tsdb.retention.time=40d", "--web.enable-remote-write-receiver", $"--web.listen-address=127.0.0.1:{s.Port}", "--log.level=warn")];
    });

    /// <summary>With vmalert for the rules; its own cache of results is off, since what is measured is the work.</summary>
    public static QueryServer VictoriaMetrics(TimeProvider time) => new("victoria-metrics", "/api/v1/write", "&nocache=1", time, static (s, rules, withRules) =>
    {
        string url = $"http://127.0.0.1:{s.Port}";
        Running server = Running.Start("victoria-metrics", s.Folder, "-storageDataPath=data", "-retentionPeriod=40d", "-search.latencyOffset=0s", $"-httpListenAddr=127.0.0.1:{s.Port}", "-loggerLevel=ERROR");
        return withRules
            ? [server, Running.Start("vmalert", s.Folder, $"-rule={rules}", $"-datasource.url={url}", $"-remoteWrite.url={url}", "-notifier.url=http://127.0.0.1:9", "-evaluationInterval=30s", $"-httpListenAddr=127.0.0.1:{FreePort()}", "-loggerLevel=ERROR")]
            : [server];
    });

    /// <summary>Starts it, and waits until it answers.</summary>
    public async Task StartAsync(string? rules, CancellationToken cancel)
    {
        _programs.AddRange(_start(this, rules ?? "", rules is not null));
        for (int i = 0; ; i++)
        {
            try
            {
                using HttpResponseMessage answer = await _http.GetAsync("/api/v1/query?query=1&time=1", cancel);
                if (answer.IsSuccessStatusCode)
                    return;
            }
            catch (HttpRequestException) when (i < 3_000)
            {
                if (_programs.Exists(p => p.HasExited))
                    throw new InvalidOperationException($"{Name} ended: {_programs.First(p => p.HasExited).Output}");
            }
            await Task.Delay(TimeSpan.FromMilliseconds(100), _time, cancel);
        }
    }

    public async Task StopAsync()
    {
        foreach (Running program in Enumerable.Reverse(_programs))
        {
            await program.StopAsync();
            await program.DisposeAsync();
        }
        _programs.Clear();
    }

    /// <summary>kill -9.</summary>
    public async Task KillAsync()
    {
        foreach (Running program in _programs)
        {
            await program.KillAsync();
            await program.DisposeAsync();
        }
        _programs.Clear();
    }

    /// <summary>Starts it, and waits until a query gives something; gives how long that took.</summary>
    public async Task<TimeSpan> StartUntilAsync(string query, long timeMs, CancellationToken cancel)
    {
        long began = _time.GetTimestamp();
        _programs.AddRange(_start(this, "", false));
        while (await TryAskAsync(query, timeMs, cancel) is not > 0)
        {
            if (_programs.Exists(p => p.HasExited))
                throw new InvalidOperationException($"{Name} ended: {_programs.First(p => p.HasExited).Output}");
            await Task.Delay(TimeSpan.FromMilliseconds(20), _time, cancel);
        }
        return _time.GetElapsedTime(began);
    }

    /// <summary>The sum of what an instant query gives; null: it does not answer yet.</summary>
    public async Task<double?> TryAskAsync(string query, long timeMs, CancellationToken cancel)
    {
        try
        {
            return await AskAsync(new MeasuredQuery("", query, TimeSpan.Zero, TimeSpan.Zero, 0), timeMs, cancel);
        }
        catch (Exception e) when (e is HttpRequestException or InvalidOperationException or JsonException)
        {
            return null;
        }
    }

    public async Task WriteAsync(ReadOnlyMemory<byte> body, CancellationToken cancel)
    {
        for (int attempt = 0; ; attempt++)
        {
            using var content = new ReadOnlyMemoryContent(body);
            content.Headers.ContentType = new MediaTypeHeaderValue("application/x-protobuf");
            content.Headers.ContentEncoding.Add("snappy");
            using HttpResponseMessage answer = await _http.PostAsync(_writePath, content, cancel);
            if (answer.IsSuccessStatusCode)
                return;
            if (attempt == 50)
                throw new InvalidOperationException($"{Name} refused a write: {(int)answer.StatusCode} {await answer.Content.ReadAsStringAsync(cancel)}");
            await Task.Delay(TimeSpan.FromMilliseconds(200), _time, cancel);
        }
    }

    /// <summary>An answer as it is.</summary>
    public async Task<JsonElement> GetAsync(string path, CancellationToken cancel)
    {
        using JsonDocument document = JsonDocument.Parse(await _http.GetByteArrayAsync(path, cancel));
        return document.RootElement.Clone();
    }

    /// <summary>Posts without a body.</summary>
    public async Task PostAsync(string path, CancellationToken cancel)
    {
        using HttpResponseMessage answer = await _http.PostAsync(path, null, cancel);
        if (!answer.IsSuccessStatusCode)
            throw new InvalidOperationException($"{Name} answered {path} with {(int)answer.StatusCode} {await answer.Content.ReadAsStringAsync(cancel)}");
    }

    /// <summary>Waits until it has nothing more to do: files written, merges done.</summary>
    public async Task SettleAsync(CancellationToken cancel)
    {
        for (int quiet = 0, i = 0; quiet < 3 && i < 90; i++)
        {
            double before = CpuSeconds;
            await Task.Delay(TimeSpan.FromSeconds(2), _time, cancel);
            quiet = CpuSeconds - before < 0.1 ? quiet + 1 : 0;
        }
    }

    /// <summary>Asks; gives the sum of the last values of all series, which the servers must agree on.</summary>
    public async Task<double> AskAsync(MeasuredQuery query, long endMs, CancellationToken cancel)
    {
        string url = query.Length == TimeSpan.Zero
            ? $"/api/v1/query?query={Uri.EscapeDataString(query.Text)}&time={Seconds(endMs)}{_querySuffix}"
            : $"/api/v1/query_range?query={Uri.EscapeDataString(query.Text)}&start={Seconds(endMs - (long)query.Length.TotalMilliseconds)}&end={Seconds(endMs)}&step={(long)query.Step.TotalSeconds}{_querySuffix}";
        using HttpResponseMessage answer = await _http.GetAsync(url, cancel);
        byte[] body = await answer.Content.ReadAsByteArrayAsync(cancel);
        if (!answer.IsSuccessStatusCode)
            throw new InvalidOperationException($"{Name} answered {query.Text} with {(int)answer.StatusCode} {System.Text.Encoding.UTF8.GetString(body)}");
        using JsonDocument document = JsonDocument.Parse(body);
        double sum = 0;
        foreach (JsonElement series in document.RootElement.GetProperty("data").GetProperty("result").EnumerateArray())
        {
            JsonElement point = query.Length == TimeSpan.Zero ? series.GetProperty("value") : series.GetProperty("values").EnumerateArray().Last();
            sum += double.Parse(point[1].GetString()!, CultureInfo.InvariantCulture);
        }
        return sum;
    }

    public async ValueTask DisposeAsync()
    {
        foreach (Running program in _programs)
            await program.DisposeAsync();
        _http.Dispose();
        Directory.Delete(Folder, recursive: true);
    }

    private static string Seconds(long ms) => (ms / 1000.0).ToString("F3", CultureInfo.InvariantCulture);

    private void Write(string file, string text) => File.WriteAllText(Path.Combine(Folder, file), text);

    private static int FreePort()
    {
        using var listener = new System.Net.Sockets.TcpListener(System.Net.IPAddress.Loopback, 0);
        listener.Start();
        return ((System.Net.IPEndPoint)listener.LocalEndpoint).Port;
    }
}

/// <summary>One row of the table.</summary>
/// <param name="Name">What the table calls it.</param>
/// <param name="Text">PromQL.</param>
/// <param name="Length">From the first step to the last; zero: an instant query.</param>
/// <param name="Step">Step of a range query.</param>
/// <param name="AimMs">CPU ms that ours aims at.</param>
internal sealed record MeasuredQuery(string Name, string Text, TimeSpan Length, TimeSpan Step, double AimMs);
