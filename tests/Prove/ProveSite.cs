using System.Globalization;
using System.Net;
using System.Net.Sockets;
using Bellwether.Kit.Live;

namespace Bellwether.Prove;

/// <summary>The shipped programs in a folder of their own: one aggregator and several agents, each with some of the targets; started, killed and started again.</summary>
internal sealed class ProveSite : IAsyncDisposable
{
    private const string Token = "5f2c6a1d9e8b47c3a0f1e2d3c4b5a697";
    private readonly List<Running> _started = [];

    public ProveSite(ProveOptions options, LedgerTargets targets)
    {
        int[] ports = FreePorts(2);
        Grpc = $"127.0.0.1:{ports[0]}";
        Http = $"127.0.0.1:{ports[1]}";
        Store = new StoreReader("http://" + Http);
        Write("token", Token + "\n");
        if (!OperatingSystem.IsWindows())
            File.SetUnixFileMode(Path.Combine(Folder, "token"), UnixFileMode.UserRead | UnixFileMode.UserWrite);
        Write("aggregator.yaml", $"""
            listen:
              grpc:
                address: {Grpc}
              http:
                address: {Http}
            data_dir: store
            agents:
              - id: "*"
                token_file: token

            """);
        Agents = new Running?[options.Agents];
        for (int agent = 0; agent < options.Agents; agent++)
        {
            IEnumerable<string> own = targets.All.Where(t => AgentOf(t, options) == agent).Select(t => $"\"{t.Address}\"");
            string interval = string.Create(CultureInfo.InvariantCulture, $"{options.Interval.TotalMilliseconds:F0}ms");
            Write($"agent-{agent}.yaml", $"""
                agent:
                  id: agent-{agent}
                aggregators:
                  - address: {Grpc}
                    token_file: token
                spool:
                  path: spool-{agent}
                status:
                  socket: agent-{agent}.sock
                global:
                  scrape_interval: {interval}
                  scrape_timeout: {interval}
                scrape_configs:
                  - job_name: ledger
                    static_configs:
                      - targets: [{string.Join(", ", own)}]

                """);
        }
    }

    public string Folder { get; } = Directory.CreateTempSubdirectory("bellwether-prove-").FullName;

    public string Grpc { get; }

    public string Http { get; }

    public StoreReader Store { get; }

    public Running? Aggregator { get; private set; }

    public Running?[] Agents { get; }

    public static int AgentOf(LedgerTarget target, ProveOptions options) => target.Index / options.TargetsPerAgent;

    public void StartAggregator() => _started.Add(Aggregator = Running.Start(Programs.Aggregator, Folder, "serve", "--config", "aggregator.yaml"));

    public void StartAgent(int agent) => _started.Add(Agents[agent] = Running.Start(Programs.Agent, Folder, "run", "--config", $"agent-{agent}.yaml"));

    /// <summary>Ends what runs and removes the folder.</summary>
    public async ValueTask DisposeAsync()
    {
        foreach (Running running in _started)
            await running.DisposeAsync();
        Store.Dispose();
        Directory.Delete(Folder, recursive: true);
    }

    private static int[] FreePorts(int count)
    {
        TcpListener[] listeners = [.. Enumerable.Range(0, count).Select(_ => new TcpListener(IPAddress.Loopback, 0))];
        foreach (TcpListener listener in listeners)
            listener.Start();
        int[] ports = [.. listeners.Select(l => ((IPEndPoint)l.LocalEndpoint).Port)];
        foreach (TcpListener listener in listeners)
            listener.Dispose();
        return ports;
    }

    private void Write(string file, string text) => File.WriteAllText(Path.Combine(Folder, file), text);
}
