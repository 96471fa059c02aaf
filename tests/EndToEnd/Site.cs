using Bellwether.Kit;

namespace Bellwether.EndToEnd;

/// <summary>A folder with one aggregator and any number of agents, configured by the test, all on free ports of loopback.</summary>
internal sealed class Site : IAsyncDisposable
{
    public static readonly TimeSpan Limit = TimeSpan.FromSeconds(150);
    private const int RemovalsMax = 50;
    private readonly List<Running> _started = [];

    public Site()
    {
        int[] ports = Ports.Free(2);
        Grpc = $"127.0.0.1:{ports[0]}";
        Http = $"127.0.0.1:{ports[1]}";
        Api = new Api("http://" + Http);
        Write("agent.token", "5f2c6a1d9e8b47c3a0f1e2d3c4b5a697\n");
        if (!OperatingSystem.IsWindows())
            File.SetUnixFileMode(Path.Combine(Folder, "agent.token"), UnixFileMode.UserRead | UnixFileMode.UserWrite);
    }

    public string Folder { get; } = Directory.CreateTempSubdirectory("bellwether-e2e-").FullName;

    public string Grpc { get; }

    public string Http { get; }

    public Api Api { get; }

    public Running? Aggregator { get; private set; }

    public Running? Agent { get; private set; }

    public void Write(string file, string text)
    {
        string path = Path.Combine(Folder, file);
        Directory.CreateDirectory(Path.GetDirectoryName(path)!);
        File.WriteAllText(path, text);
    }

    /// <summary>aggregator.yaml with what every test needs, and more lines of the test's own.</summary>
    public void ConfigureAggregator(string more = "") => Write("aggregator.yaml", $"""
        listen:
          grpc:
            address: {Grpc}
          http:
            address: {Http}
        data_dir: store
        agents:
          - id: test-agent
            token_file: agent.token
        {more}
        """ + "\n");

    /// <summary>agent.yaml with identity, aggregator and spool, and the test's scrape_configs or collectors.</summary>
    public void ConfigureAgent(string more) => Write("agent.yaml", $"""
        agent:
          id: test-agent
        aggregators:
          - address: {Grpc}
            token_file: agent.token
        spool:
          path: spool
        status:
          socket: agent.sock
        {more}
        """ + "\n");

    public async Task StartAggregatorAsync()
    {
        Aggregator = Running.Start(Programs.Aggregator, Folder, "serve", "--config", "aggregator.yaml");
        _started.Add(Aggregator);
        await Wait.ForAsync("the aggregator to be ready", Api.IsReadyAsync, Limit, Aggregator);
    }

    public void StartAgent()
    {
        Agent = Running.Start(Programs.Agent, Folder, "run", "--config", "agent.yaml");
        _started.Add(Agent);
    }

    /// <summary>The agent as <c>nohup</c> and some supervisors start it: with SIGHUP ignored.</summary>
    public void StartAgentWithHangupIgnored()
    {
        Agent = Running.Start("sh", Folder, "-c", $"trap '' HUP; exec '{Programs.Agent}' run --config agent.yaml");
        _started.Add(Agent);
    }

    /// <summary>Another agent of the site, with a configuration of its own.</summary>
    public Running StartAgent(string file)
    {
        Running agent = Running.Start(Programs.Agent, Folder, "run", "--config", file);
        _started.Add(agent);
        return agent;
    }

    /// <summary>The aggregator or the agent under strace, whose fdatasync fails as told (strace's <c>when=</c>, counted per thread).</summary>
    public Running StartWithFailingSyncs(string when, string program, params string[] arguments)
    {
        Running running = Running.Start("strace", Folder,
            ["-f", "-y", "-qq", "-o", "syncs", "-e", "trace=fsync,fdatasync", "-e", $"inject=fdatasync:error=EIO:when={when}", program, .. arguments]);
        _started.Add(running);
        return running;
    }

    public Task WaitForAsync(string what, Func<Task<bool>> done) =>
        Wait.ForAsync(what, done, Limit, [.. new[] { Aggregator, Agent }.OfType<Running>()]);

    public async ValueTask DisposeAsync()
    {
        foreach (Running running in _started)
            await running.DisposeAsync();
        Api.Dispose();
        await RemoveFolderAsync();
    }

    private async Task RemoveFolderAsync()
    {
        for (int attempt = 1; Directory.Exists(Folder); attempt++)
        {
            try
            {
                Directory.Delete(Folder, recursive: true);
            }
            catch (IOException) when (attempt < RemovalsMax)
            {
                await Task.Delay(TimeSpan.FromMilliseconds(200), TimeProvider.System);
            }
        }
    }
}
