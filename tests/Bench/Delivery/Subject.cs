using Bellwether.Kit.Live;

namespace Bellwether.Bench.Delivery;

/// <summary>An agent under measurement with its targets, its sink and the proxy between: ours or a peer.</summary>
internal abstract class Subject(string name, string folder, BenchTargets targets) : IAsyncDisposable
{
    private readonly List<Running> _started = [];

    public string Name => name;

    public string Folder => folder;

    public BenchTargets Targets => targets;

    public ByteProxy Proxy { get; protected set; } = null!;

    public Running Agent { get; private set; } = null!;

    /// <summary>Where the agent keeps what is not delivered.</summary>
    public abstract string SpoolFolder { get; }

    /// <summary>Bytes on disk that wait for delivery.</summary>
    public virtual Task<long> SpoolBytesAsync() =>
        Task.FromResult(Directory.Exists(SpoolFolder) ? new DirectoryInfo(SpoolFolder).EnumerateFiles("*", SearchOption.AllDirectories).Sum(LengthOf) : 0);

    public void Start() => Agent = Keep(Launch());

    /// <summary>Samples of the targets' series that the sink has, at or before a time.</summary>
    public abstract Task<long> StoredAsync(long untilMs, bool scrapesOnly, CancellationToken cancel);

    /// <summary>What the sink got twice, and what came out of order.</summary>
    public abstract Task<(long Doubled, long OutOfOrder)> FaultsAsync(CancellationToken cancel);

    public virtual async ValueTask DisposeAsync()
    {
        foreach (Running running in _started)
            await running.DisposeAsync();
        await Proxy.DisposeAsync();
        await targets.DisposeAsync();
        Directory.Delete(folder, recursive: true);
    }

    protected abstract Running Launch();

    protected Running Keep(Running running)
    {
        _started.Add(running);
        return running;
    }

    protected void Write(string file, string text) => File.WriteAllText(Path.Combine(folder, file), text);

    protected string ScrapeConfig() => $"""
        global:
          scrape_interval: 5s
          scrape_timeout: 5s
        scrape_configs:
          - job_name: bench
            static_configs:
              - targets: [{string.Join(", ", targets.Addresses.Select(a => $"\"{a}\""))}]
        """ + "\n";

    protected static int FreePort()
    {
        using var listener = new System.Net.Sockets.TcpListener(System.Net.IPAddress.Loopback, 0);
        listener.Start();
        return ((System.Net.IPEndPoint)listener.LocalEndpoint).Port;
    }

    /// <summary>0 when the file has just gone.</summary>
    private static long LengthOf(FileInfo file)
    {
        try
        {
            return file.Length;
        }
        catch (FileNotFoundException)
        {
            return 0;
        }
    }
}
