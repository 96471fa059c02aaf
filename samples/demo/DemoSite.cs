using System.Diagnostics;
using System.Globalization;
using System.Security.Cryptography;
using System.Text.Json;
using Npgsql;

namespace Bellwether.Samples.Demo;

/// <summary>Everything of the demo while it runs: PostgreSQL, the shop, the aggregator and the agent, in one throw-away folder.</summary>
internal sealed class DemoSite : IAsyncDisposable
{
    private const int RemovalsMax = 50;
    private static readonly TimeSpan s_startLimit = TimeSpan.FromSeconds(180);
    private readonly List<IAsyncDisposable> _parts = [];
    private readonly Programs _programs;
    private readonly TimeProvider _time;

    private DemoSite(Programs programs, TimeProvider time)
    {
        _programs = programs;
        _time = time;
    }

    public string Folder { get; private set; } = "";

    public string ConsoleAddress { get; private set; } = "";

    public string ShopAddress { get; private set; } = "";

    public string Database { get; private set; } = "";

    public PrometheusApi Api { get; private set; } = null!;

    public Child Agent { get; private set; } = null!;

    /// <summary>The agent's line to the aggregator, when it is to be cut; null: there is nothing between them.</summary>
    public Line? Line { get; private set; }

    /// <summary>Starts everything, telling each step; on failure what had started is ended.</summary>
    public static async Task<DemoSite> StartAsync(Programs programs, int httpPort, bool withLine, Action<string> tell, TimeProvider time, CancellationToken cancellation)
    {
        var site = new DemoSite(programs, time);
        try
        {
            await site.StartPartsAsync(httpPort, withLine, tell, cancellation);
            return site;
        }
        catch
        {
            await site.DisposeAsync();
            throw;
        }
    }

    public async ValueTask DisposeAsync()
    {
        for (int i = _parts.Count - 1; i >= 0; i--)
            await _parts[i].DisposeAsync();
        Api?.Dispose();
        await RemoveFolderAsync();
    }

    /// <summary>The last of PostgreSQL's processes may still write while the folder is removed.</summary>
    private async Task RemoveFolderAsync()
    {
        for (int attempt = 1; Folder.Length > 0 && Directory.Exists(Folder); attempt++)
        {
            try
            {
                Directory.Delete(Folder, recursive: true);
            }
            catch (IOException) when (attempt < RemovalsMax)
            {
                await Task.Delay(TimeSpan.FromMilliseconds(200), _time, CancellationToken.None);
            }
        }
    }

    /// <summary>Whether an error says that something is not there, not so, or too slow yet; not one of the demo itself.</summary>
    public static bool IsNotYet(Exception e) =>
        e is DemoException or HttpRequestException or TaskCanceledException or IOException or JsonException or NpgsqlException or KeyNotFoundException or InvalidOperationException;

    /// <summary>Asks until the answer is yes, a child has died, or the limit is over.</summary>
    public async Task WaitAsync(string what, Func<Task<bool>> done, TimeSpan limit, CancellationToken cancellation)
    {
        long start = _time.GetTimestamp();
        string last = "";
        while (true)
        {
            try
            {
                if (await done())
                    return;
            }
            catch (Exception e) when (IsNotYet(e) && !cancellation.IsCancellationRequested)
            {
                last = e.Message;
            }
            foreach (Child child in _parts.OfType<Child>())
            {
                if (child.HasExited)
                    throw new DemoException($"{child.Name} ended while waiting for {what}. Its last lines:\n{LastLines(child.LogFile)}");
            }
            if (_time.GetElapsedTime(start) > limit)
                throw new DemoException($"waited {limit.TotalSeconds:F0} s for {what}. {last}\n{string.Join('\n', _parts.OfType<Child>().Select(c => $"{c.Name}: {LastLines(c.LogFile)}"))}");
            await Task.Delay(TimeSpan.FromMilliseconds(200), _time, cancellation);
        }
    }

    /// <summary>Runs a command of the aggregator's program to its end; gives what it printed. Throws when it fails.</summary>
    public async Task<string> CommandAsync(string[] arguments, CancellationToken cancellation)
    {
        var start = new ProcessStartInfo(_programs.Aggregator, arguments) { WorkingDirectory = Folder, RedirectStandardOutput = true, RedirectStandardError = true };
        using Process process = Process.Start(start) ?? throw new DemoException($"{_programs.Aggregator} did not start");
        Task<string> errors = process.StandardError.ReadToEndAsync(cancellation);
        string output = await process.StandardOutput.ReadToEndAsync(cancellation);
        await process.WaitForExitAsync(cancellation);
        return process.ExitCode == 0 ? output : throw new DemoException($"'{string.Join(' ', arguments)}' ended with {process.ExitCode}: {output}{await errors}");
    }

    private async Task StartPartsAsync(int httpPort, bool withLine, Action<string> tell, CancellationToken cancellation)
    {
        Folder = Directory.CreateTempSubdirectory("bellwether-demo-").FullName;
        int[] ports = FreePorts.Take(4);
        int http = httpPort == 0 ? ports[0] : httpPort;
        ConsoleAddress = $"http://127.0.0.1:{http}";
        ShopAddress = $"127.0.0.1:{ports[2]}";
        tell("PostgreSQL: a throw-away cluster");
        ThrowAwayPostgres postgres = await ThrowAwayPostgres.StartAsync(Folder, ports[3], cancellation);
        _parts.Add(postgres);
        Database = postgres.ConnectionString;

        if (withLine)
            _parts.Add(Line = new Line(ports[1]));
        WriteConfiguration(new() { ["GRPC"] = $"127.0.0.1:{ports[1]}", ["AGGREGATOR"] = Line?.Address ?? $"127.0.0.1:{ports[1]}", ["HTTP"] = $"127.0.0.1:{http}", ["SHOP"] = ShopAddress, ["DATABASE"] = postgres.Url });

        tell("the shop: orders in PostgreSQL, and customers");
        _parts.Add(Child.Start("shop", Folder, _programs.Shop, ["--urls", $"http://{ShopAddress}"], new Dictionary<string, string> { ["SHOP_DATABASE"] = Database }));
        using var client = new HttpClient();
        await WaitAsync("the shop", async () => (await client.GetAsync($"http://{ShopAddress}/health", cancellation)).IsSuccessStatusCode, s_startLimit, cancellation);

        tell("the aggregator");
        Api = new PrometheusApi(ConsoleAddress);
        _parts.Add(Child.Start("aggregator", Folder, _programs.Aggregator, ["serve", "--config", "aggregator.yaml"]));
        await WaitAsync("the aggregator", async () => (await Api.GetTextAsync("/-/ready", cancellation)).Length > 0, s_startLimit, cancellation);

        tell("the agent: the shop, PostgreSQL and this host, every 5 s");
        Agent = Child.Start("agent", Folder, _programs.Agent, ["run", "--config", "agent.yaml"]);
        _parts.Add(Agent);
        tell("the first KPIs");
        await WaitAsync("the first KPI", async () => await Api.ValueAsync("kpi:orders:per_minute", cancellation) > 0, s_startLimit, cancellation);
    }

    private void WriteConfiguration(Dictionary<string, string> values)
    {
        string source = Path.Combine(AppContext.BaseDirectory, "config");
        foreach (string file in Directory.GetFiles(source, "*", SearchOption.AllDirectories))
        {
            string text = File.ReadAllText(file);
            foreach ((string name, string value) in values)
                text = text.Replace("${" + name + "}", value, StringComparison.Ordinal);
            string target = Path.Combine(Folder, Path.GetRelativePath(source, file));
            Directory.CreateDirectory(Path.GetDirectoryName(target)!);
            File.WriteAllText(target, text);
        }
        string token = Path.Combine(Folder, "agent.token");
        File.WriteAllText(token, Convert.ToHexStringLower(RandomNumberGenerator.GetBytes(32)) + "\n");
        if (!OperatingSystem.IsWindows())
            File.SetUnixFileMode(token, UnixFileMode.UserRead | UnixFileMode.UserWrite);
    }

    private static string LastLines(string file) =>
        File.Exists(file) ? string.Join('\n', File.ReadLines(file).TakeLast(8).Select(l => "  " + l)) : string.Create(CultureInfo.InvariantCulture, $"  (no {file})");
}

/// <summary>Where the programs are.</summary>
internal sealed record Programs(string Shop, string Agent, string Aggregator);
