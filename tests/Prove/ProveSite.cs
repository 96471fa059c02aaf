using System.Globalization;
using System.Text.Json;
using Bellwether.Kit;
using Bellwether.Kit.Live;

namespace Bellwether.Prove;

/// <summary>The shipped programs in a folder of their own: one aggregator and several agents, each with some of the targets; started, killed and started again.</summary>
internal sealed class ProveSite : IAsyncDisposable
{
    private const string Token = "5f2c6a1d9e8b47c3a0f1e2d3c4b5a697";
    private const string CarriedToken = "c81e728d9d4c2f636f067f89cc14862c";
    private readonly ProveOptions _options;
    private readonly LedgerTargets _targets;
    private readonly List<Running> _started = [];

    public ProveSite(ProveOptions options, LedgerTargets targets)
    {
        int[] ports = Ports.Free(2);
        Grpc = $"127.0.0.1:{ports[0]}";
        Http = $"127.0.0.1:{ports[1]}";
        Store = new StoreReader("http://" + Http);
        _options = options;
        _targets = targets;
        WriteSecret("token", Token);
        WriteSecret("token-carried", CarriedToken);
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
            {(options.CarriedAgent is { } carried ? $"  - id: agent-{carried}\n    token_file: token-carried\n    bundle_key_file: agent-{carried}.pub\nbundle:\n  key_file: aggregator.key\n" : "")}
            """);
        Agents = new Running?[options.Agents];
        for (int agent = 0; agent < options.Agents; agent++)
            Configure(agent, connected: agent != options.CarriedAgent);
    }

    public string Folder { get; } = Directory.CreateTempSubdirectory("bellwether-prove-").FullName;

    public string Grpc { get; }

    public string Http { get; }

    public StoreReader Store { get; }

    public Running? Aggregator { get; private set; }

    public Running?[] Agents { get; }

    public static int AgentOf(LedgerTarget target, ProveOptions options) => target.Index / options.TargetsPerAgent;

    /// <summary>Makes the keys that carrying by bundle needs.</summary>
    public async Task MakeKeysAsync()
    {
        if (_options.CarriedAgent is not { } carried)
            return;
        await RunAsync(Programs.Agent, "bundle", "keygen", "-o", $"agent-{carried}");
        await RunAsync(Programs.Aggregator, "bundle", "keygen", "-o", "aggregator");
    }

    /// <summary>Writes an agent's configuration: with the aggregator's address, or without a network.</summary>
    public void Configure(int agent, bool connected)
    {
        IEnumerable<string> own = _targets.All.Where(t => AgentOf(t, _options) == agent).Select(t => $"\"{t.Address}\"");
        string interval = string.Create(CultureInfo.InvariantCulture, $"{_options.Interval.TotalMilliseconds:F0}ms");
        bool carried = agent == _options.CarriedAgent;
        string aggregators = connected ? $"aggregators:\n  - address: {Grpc}\n    token_file: {(carried ? "token-carried" : "token")}\n" : "";
        string bundle = carried ? $"bundle:\n  key_file: agent-{agent}.key\n  recipient_file: aggregator.pub\n  receipt_key_file: aggregator.pub\n" : "";
        Write($"agent-{agent}.yaml", $"""
            agent:
              id: agent-{agent}
            {aggregators}{bundle}spool:
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

    /// <summary>Records that an agent holds and nobody has acknowledged; null until it has a session in which something was.</summary>
    public async Task<long?> UnacknowledgedAsync(int agent)
    {
        (int code, string output) = await Running.ToEndAsync(Programs.Agent, Folder, "status", "--json", "--config", $"agent-{agent}.yaml");
        if (code != 0)
            return null;
        using JsonDocument status = JsonDocument.Parse(output);
        bool stands = status.RootElement.GetProperty("connected").GetBoolean() && status.RootElement.GetProperty("acknowledgedRecords").GetInt64() > 0;
        return stands ? status.RootElement.GetProperty("spoolRecords").GetInt64() : null;
    }

    /// <summary>Runs a program to its end and gives its output; throws when it fails.</summary>
    public async Task<string> RunAsync(string program, params string[] arguments)
    {
        (int code, string output) = await Running.ToEndAsync(program, Folder, arguments);
        return code == 0 ? output : throw new InvalidOperationException($"{Path.GetFileName(program)} {string.Join(' ', arguments)} ended with {code}:\n{output}");
    }

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

    private void WriteSecret(string file, string text)
    {
        Write(file, text + "\n");
        if (!OperatingSystem.IsWindows())
            File.SetUnixFileMode(Path.Combine(Folder, file), UnixFileMode.UserRead | UnixFileMode.UserWrite);
    }

    private void Write(string file, string text) => File.WriteAllText(Path.Combine(Folder, file), text);
}
