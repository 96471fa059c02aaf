using System.Globalization;
using Bellwether.Bench.Query;

namespace Bellwether.Bench.Store;

/// <summary>
/// Taking data in, keeping it, and coming back: ours, Prometheus, VictoriaMetrics, one after the other on the same bytes. CPU is that of the server's process until it is quiet again; the generator's is not in it.
/// BELLWETHER_BENCH_SERVERS (names with commas) leaves servers out, BELLWETHER_BENCH_PARTS (write, stream, kill, history) parts, as for a profile of one of them.
/// </summary>
internal sealed class StoreBench(TimeProvider time) : IBench
{
    /// <summary>By then the store has merged the files of a history that was just loaded: what it does beside queries must not be counted as theirs.</summary>
    internal static readonly TimeSpan UntilFilesAreMerged = TimeSpan.FromSeconds(75);
    private readonly List<(string Row, string Aim, Dictionary<string, string> Cells)> _rows = [];

    public string Name => "store";

    public string Description => "remote write and stream in, memory, disk, kill -9 and restart: the store beside Prometheus and VictoriaMetrics";

    public async Task RunAsync(bool quick, Action<string> tell, CancellationToken cancel)
    {
        string? only = Environment.GetEnvironmentVariable("BELLWETHER_BENCH_SERVERS");
        Func<QueryServer>[] servers = [() => QueryServer.Bellwether(time), () => QueryServer.Prometheus(time), () => QueryServer.VictoriaMetrics(time)];
        string[] names = ["bellwether", "prometheus", "victoria-metrics"];
        for (int i = 0; i < servers.Length; i++)
        {
            if (only is not null && !only.Split(',').Contains(names[i]))
                continue;
            tell($"{names[i]} ...");
            if (Has("write"))
            {
                await WriteAsync(servers[i], "10 k", 10_000, quick ? 120 : 600, "0.6", withRestart: false, tell, cancel);
                await WriteAsync(servers[i], quick ? "50 k" : "200 k", quick ? 50_000 : 200_000, quick ? 40 : 120, "0.9", withRestart: true, tell, cancel);
            }
            if (Has("stream") && names[i] == "bellwether")
                await StreamAsync(servers[i], quick ? 120 : 600, tell, cancel);
            if (Has("kill"))
                await KillAsync(servers[i], quick ? 120 : 600, tell, cancel);
            if (Has("history"))
                await HistoryAsync(servers[i], quick, tell, cancel);
        }
        tell("");
        tell("| | " + string.Join(" | ", names) + " | aim |");
        tell("| --- |" + string.Concat(names.Select(_ => " --- |")) + " --- |");
        foreach ((string row, string aim, Dictionary<string, string> cells) in _rows)
            tell($"| {row} | {string.Join(" | ", names.Select(n => cells.GetValueOrDefault(n, "-")))} | {aim} |");
    }

    /// <summary>Whether a part of a bench is wanted.</summary>
    internal static bool Has(string part) => Environment.GetEnvironmentVariable("BELLWETHER_BENCH_PARTS") is not { } parts || parts.Split(',').Contains(part);

    private async Task WriteAsync(Func<QueryServer> make, string size, int series, int ticks, string aim, bool withRestart, Action<string> tell, CancellationToken cancel)
    {
        await using QueryServer server = make();
        await server.StartAsync(null, cancel);
        var load = new WriteLoad(series, ticks, time.GetUtcNow().ToUnixTimeMilliseconds());
        double before = server.CpuSeconds;
        long began = time.GetTimestamp();
        var marks = new List<double>();
        await load.SendAsync(body => server.WriteAsync(body, cancel), 2, () => marks.Add(server.CpuSeconds));
        double seconds = time.GetElapsedTime(began).TotalSeconds, rssFull = server.RssMb;
        await server.SettleAsync(cancel);
        string what = string.Create(CultureInfo.InvariantCulture, $"{size} series x {ticks}");
        Put(tell, $"remote write in, {what}: CPU s per million samples", aim, server, (server.CpuSeconds - before) / load.Samples * 1e6, "F2");
        Put(tell, $"{what}: the second half of it", "", server, (server.CpuSeconds - marks[0]) / load.Samples * 2e6, "F2");
        Put(tell, $"{what}: samples a second, one request after the other", "", server, load.Samples / seconds, "N0");
        Put(tell, $"RSS MB at the last 2xx, {what}", "", server, rssFull, "F0");
        Put(tell, $"RSS MB when it is quiet, {what}", withRestart ? "200" : "", server, server.RssMb, "F0");
        if (!withRestart)
            return;
        await load.SendOneMoreAsync(body => server.WriteAsync(body, cancel));
        await server.KillAsync();
        TimeSpan ready = await server.StartUntilAsync(WriteLoad.SomeSeries, load.EndMs, cancel);
        Put(tell, $"ready and queryable after kill -9, {what}, s", "1.5", server, ready.TotalSeconds, "F1");
        Put(tell, $"CPU s until it is, {what}", "", server, server.CpuSeconds, "F1");
    }

    private async Task StreamAsync(Func<QueryServer> make, int ticks, Action<string> tell, CancellationToken cancel)
    {
        await using QueryServer server = make();
        await server.StartAsync(null, cancel);
        var load = new StreamLoad(10_000, ticks, time.GetUtcNow().ToUnixTimeMilliseconds());
        double before = server.CpuSeconds;
        await load.SendAsync(server.GrpcPort, time, cancel);
        await server.SettleAsync(cancel);
        string what = string.Create(CultureInfo.InvariantCulture, $"10 k series x {ticks}");
        Put(tell, $"own stream in, {what}: CPU s per million samples", "0.25", server, (server.CpuSeconds - before) / load.Samples * 1e6, "F2");
        double stored = await server.AskAsync(new MeasuredQuery("", load.AllSamples, TimeSpan.Zero, TimeSpan.Zero, 0), load.EndMs + WriteLoad.IntervalMs, cancel);
        Put(tell, string.Create(CultureInfo.InvariantCulture, $"the same: samples not stored, at {(double)load.Bytes / load.Samples:F2} bytes per sample on the wire"), "0", server, load.Samples - stored, "F0");
    }

    private async Task KillAsync(Func<QueryServer> make, int ticks, Action<string> tell, CancellationToken cancel)
    {
        await using QueryServer server = make();
        await server.StartAsync(null, cancel);
        var load = new WriteLoad(10_000, ticks, time.GetUtcNow().ToUnixTimeMilliseconds());
        await load.SendAsync(body => server.WriteAsync(body, cancel));
        await server.KillAsync();
        // Until it answers, whatever it has.
        await server.StartAsync(null, cancel);
        double stored = await server.AskAsync(new MeasuredQuery("", load.AllSamples, TimeSpan.Zero, TimeSpan.Zero, 0), load.EndMs, cancel);
        Put(tell, string.Create(CultureInfo.InvariantCulture, $"kill -9 after the last 2xx of {load.Samples / 1e6:F1} M samples: acknowledged samples lost"), "0", server, load.Samples - stored, "N0");
    }

    private async Task HistoryAsync(Func<QueryServer> make, bool quick, Action<string> tell, CancellationToken cancel)
    {
        await using QueryServer server = make();
        await server.StartAsync(null, cancel);
        var history = new History(time.GetUtcNow().ToUnixTimeMilliseconds() / 3_600_000 * 3_600_000, TimeSpan.FromDays(30), TimeSpan.FromSeconds(quick ? 120 : 30));
        double before = server.CpuSeconds;
        for (ReadOnlyMemory<byte> body = history.Next(); !body.IsEmpty; body = history.Next())
            await server.WriteAsync(body, cancel);
        await server.SettleAsync(cancel);
        string what = string.Create(CultureInfo.InvariantCulture, $"30 days of {history.Series} series at {history.IntervalMs / 1000} s");
        Put(tell, $"{what}: CPU s per million samples", "", server, (server.CpuSeconds - before) / history.Samples * 1e6, "F2");
        await Task.Delay(UntilFilesAreMerged, time, cancel);
        await server.SettleAsync(cancel);
        (long files, long logs) = Bytes(server.Folder);
        Put(tell, $"{what}: disk bytes per sample", "0.9", server, (double)files / history.Samples, "F2");
        Put(tell, $"{what}: with the write-ahead log", "", server, (double)(files + logs) / history.Samples, "F2");
        Put(tell, $"{what}: RSS MB", "", server, server.RssMb, "F0");
    }

    private static (long Files, long Logs) Bytes(string folder)
    {
        long files = 0, logs = 0;
        foreach (FileInfo file in new DirectoryInfo(folder).EnumerateFiles("*", SearchOption.AllDirectories))
        {
            bool isLog = file.Directory!.Name == "wal" || file.Directory.Parent?.Name == "wal" || file.Directory.Name == "chunks_head";
            (files, logs) = isLog ? (files, logs + file.Length) : (files + file.Length, logs);
        }
        return (files, logs);
    }

    private void Put(Action<string> tell, string row, string aim, QueryServer server, double value, string format)
    {
        string cell = value.ToString(format, CultureInfo.InvariantCulture);
        tell($"  {server.Name}: {row}: {cell}");
        if (_rows.FindIndex(r => r.Row == row) is var at && at < 0)
        {
            _rows.Add((row, aim, []));
            at = _rows.Count - 1;
        }
        _rows[at].Cells[server.Name] = cell;
    }
}
