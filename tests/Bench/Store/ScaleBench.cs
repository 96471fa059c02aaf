using System.Globalization;
using Bellwether.Bench.Query;

namespace Bellwether.Bench.Store;

/// <summary>
/// How cost grows: two hours of 10 k, 100 k and 1 M series, and 1, 7, 30 and 90 days of a thousand. What a sample costs must not grow with what is there, and a query must cost what it returns, not what is stored.
/// Ours alone: what is shown is the curve. Quick: a tenth of the series, and samples every 10 minutes. BELLWETHER_BENCH_PARTS (series, days; million: the last of series alone) leaves parts out, BELLWETHER_BENCH_TICKS takes another number of ticks for them than 480.
/// </summary>
internal sealed class ScaleBench(TimeProvider time) : IBench
{
    private const int TicksOfTwoHours = 480;
    private static readonly int s_ticks = int.TryParse(Environment.GetEnvironmentVariable("BELLWETHER_BENCH_TICKS"), NumberStyles.None, CultureInfo.InvariantCulture, out int ticks) ? ticks : TicksOfTwoHours;
    private const int Quarters = 4;

    private static readonly MeasuredQuery[] s_queries =
    [
        new("error ratio [5m], instant", "sum(rate(http_requests_total{code=~\"5..\"}[5m]))/sum(rate(http_requests_total[5m]))", TimeSpan.Zero, TimeSpan.Zero, 0),
        new("sum by (route)(increase([24h])), instant", "sum by (route) (increase(http_requests_total[24h]))", TimeSpan.Zero, TimeSpan.Zero, 0),
        new("p95, 23 h at 5 min", "histogram_quantile(0.95, sum by (le) (rate(http_request_duration_seconds_bucket[1h])))", TimeSpan.FromHours(22), TimeSpan.FromMinutes(5), 0),
    ];

    public string Name => "scale";

    public string Description => "the curves: cost per sample, memory, disk and queries over the number of series and the length of history";

    public async Task RunAsync(bool quick, Action<string> tell, CancellationToken cancel)
    {
        tell("");
        tell("| two hours at 15 s | CPU s per million samples, by half hour | RSS MB | bytes per series | disk bytes per sample: chunk files; all | one instance's series, instant, CPU ms | ready after kill -9, s (CPU s) |");
        tell("| --- | --- | --- | --- | --- | --- | --- |");
        foreach (int series in StoreBench.Has("series") ? (int[])[10_000, 100_000, 1_000_000] : StoreBench.Has("million") ? [1_000_000] : [])
            await SeriesAsync(quick ? series / 10 : series, tell, cancel);
        tell("");
        tell($"| days of a thousand series | samples | CPU s per million samples | RSS MB | disk bytes per sample, log included | {string.Join(" | ", s_queries.Select(q => q.Name + ", CPU ms"))} |");
        tell($"| --- | --- | --- | --- | --- |{string.Concat(s_queries.Select(_ => " --- |"))}");
        foreach (int days in StoreBench.Has("days") ? (int[])[1, 7, 30, 90] : [])
            await DaysAsync(days, quick, tell, cancel);
    }

    private async Task SeriesAsync(int series, Action<string> tell, CancellationToken cancel)
    {
        await using QueryServer server = QueryServer.Bellwether(time);
        await server.StartAsync(null, cancel);
        double rssBefore = server.RssMb;
        var load = new WriteLoad(series, s_ticks, time.GetUtcNow().ToUnixTimeMilliseconds());
        var marks = new List<double> { server.CpuSeconds };
        await load.SendAsync(body => server.WriteAsync(body, cancel), Quarters, () => marks.Add(server.CpuSeconds));
        // What came for partitions that are over goes into files a minute after the last of it, and is part of what it costs.
        await Task.Delay(StoreBench.UntilFilesAreMerged, time, cancel);
        await server.SettleAsync(cancel);
        marks[^1] = server.CpuSeconds;
        double perQuarter = load.Samples / 1e6 / Quarters, rss = server.RssMb;
        string curve = string.Join("; ", marks.Skip(1).Select((m, i) => ((m - marks[i]) / perQuarter).ToString("F2", CultureInfo.InvariantCulture)));
        double query = await MeasureAsync(server, new MeasuredQuery("", $"sum by (unit) ({{instance=\"{LoadSeries.Instance(0)}\"}})", TimeSpan.Zero, TimeSpan.Zero, 0), load.EndMs, cancel);
        long disk = BytesOf(server), chunks = BytesOf(server, "chunks");
        await server.KillAsync();
        TimeSpan ready = await server.StartUntilAsync(WriteLoad.SomeSeries, load.EndMs, cancel);
        tell(string.Create(CultureInfo.InvariantCulture, $"| {series:N0} series, {load.Samples / 1e6:F1} M samples | {curve} | {rss:F0} | {(rss - rssBefore) * 1e6 / series:N0} | {(double)chunks / load.Samples:F2}; {(double)disk / load.Samples:F2} | {query:F2} | {ready.TotalSeconds:F1} ({server.CpuSeconds:F1}) |"));
    }

    private async Task DaysAsync(int days, bool quick, Action<string> tell, CancellationToken cancel)
    {
        // All of it raw: older samples would become slots of five minutes by default.
        await using QueryServer server = QueryServer.Bellwether(time, "retention: {raw: 100d}");
        await server.StartAsync(null, cancel);
        var history = new History(time.GetUtcNow().ToUnixTimeMilliseconds() / 3_600_000 * 3_600_000, TimeSpan.FromDays(days), TimeSpan.FromSeconds(quick ? 600 : 120), instances: 19);
        double before = server.CpuSeconds;
        for (ReadOnlyMemory<byte> body = history.Next(); !body.IsEmpty; body = history.Next())
            await server.WriteAsync(body, cancel);
        await server.SettleAsync(cancel);
        double cpu = server.CpuSeconds - before;
        await Task.Delay(StoreBench.UntilFilesAreMerged, time, cancel);
        await server.SettleAsync(cancel);
        double rss = server.RssMb;
        var costs = new List<string>();
        foreach (MeasuredQuery query in s_queries)
            costs.Add((await MeasureAsync(server, query, history.EndMs, cancel)).ToString("F2", CultureInfo.InvariantCulture));
        tell(string.Create(CultureInfo.InvariantCulture, $"| {days} | {history.Samples / 1e6:F1} M | {cpu / history.Samples * 1e6:F2} | {rss:F0} | {(double)BytesOf(server) / history.Samples:F2} | {string.Join(" | ", costs)} |"));
    }

    // The clock of processes ticks in 10 ms, and answers must not come from the cache of results: each at a time of its own.
    private static async Task<double> MeasureAsync(QueryServer server, MeasuredQuery query, long endMs, CancellationToken cancel)
    {
        const int Warm = 50, Asked = 100;
        double before = 0;
        for (int i = 0; i < Warm + Asked; i++)
        {
            if (i == Warm)
                before = server.CpuSeconds;
            await server.AskAsync(query, endMs - (i * 1_007), cancel);
        }
        return (server.CpuSeconds - before) * 1000 / Asked;
    }

    private static long BytesOf(QueryServer server, string? folder = null) =>
        new DirectoryInfo(server.Folder).EnumerateFiles("*", SearchOption.AllDirectories).Where(f => folder is null || f.Directory!.Name == folder).Sum(f => f.Length);
}
