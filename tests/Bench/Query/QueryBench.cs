using System.Globalization;

namespace Bellwether.Bench.Query;

/// <summary>CPU of queries over thirty days: ours, Prometheus, VictoriaMetrics, one after the other on the same data. No answer can come from a cache of results: each query has times of its own.</summary>
internal sealed class QueryBench(TimeProvider time) : IBench
{
    private static readonly TimeSpan s_none = TimeSpan.Zero;
    private readonly MeasuredQuery[] _queries =
    [
        new("error ratio [30d], 200 series, instant", "sum(rate(http_requests_total{code=~\"5..\"}[30d]))/sum(rate(http_requests_total[30d]))", s_none, s_none, 3),
        new("p95 from 400 buckets, 24 h at 60 s", "histogram_quantile(0.95, sum by (le) (rate(http_request_duration_seconds_bucket[5m])))", TimeSpan.FromHours(24), TimeSpan.FromSeconds(60), 10),
        new("p95 from 400 buckets, 30 d at 1 h", "histogram_quantile(0.95, sum by (le) (rate(http_request_duration_seconds_bucket[1h])))", TimeSpan.FromDays(29.9), TimeSpan.FromHours(1), 40),
        new("sum by (route)(increase([24h])), instant", "sum by (route) (increase(http_requests_total[24h]))", s_none, s_none, 1),
        new("error ratio [1h], instant", "sum(rate(http_requests_total{code=~\"5..\"}[1h]))/sum(rate(http_requests_total[1h]))", s_none, s_none, 0.6),
        new("error ratio [5m], instant", "sum(rate(http_requests_total{code=~\"5..\"}[5m]))/sum(rate(http_requests_total[5m]))", s_none, s_none, 0.5),
        new("p95 [5m], instant", "histogram_quantile(0.95, sum by (le) (rate(http_request_duration_seconds_bucket[5m])))", s_none, s_none, 0.7),
    ];

    public string Name => "query";

    public string Description => "queries over 30 days of history: CPU ms of the server, beside Prometheus and VictoriaMetrics";

    public async Task RunAsync(bool quick, Action<string> tell, CancellationToken cancel)
    {
        await using QueryServer ours = QueryServer.Bellwether(time), prometheus = QueryServer.Prometheus(time), victoria = QueryServer.VictoriaMetrics(time);
        string? only = Environment.GetEnvironmentVariable("BELLWETHER_BENCH_SERVERS");
        QueryServer[] servers = [.. new[] { ours, prometheus, victoria }.Where(s => only is null || only.Split(',').Contains(s.Name))];
        foreach (QueryServer server in servers)
            await server.StartAsync(null, cancel);
        History history = await Loading.LoadAsync(servers, quick, time, tell, cancel);
        tell("");
        tell("| CPU ms | bellwether | prometheus | victoria-metrics | prometheus / ours; victoria-metrics / ours | aim | largest difference from prometheus |");
        tell("| --- | --- | --- | --- | --- | --- | --- |");
        foreach (MeasuredQuery query in _queries)
        {
            double[] cpu = new double[3];
            foreach (QueryServer server in servers)
                cpu[server == ours ? 0 : server == prometheus ? 1 : 2] = await MeasureAsync(server, query, history, quick, cancel);
            double difference = 0;
            for (int i = 0; i < 3 && servers.Contains(ours) && servers.Contains(prometheus); i++)
            {
                long end = history.EndMs - (i * 600_000);
                double mine = await ours.AskAsync(query, end, cancel), theirs = await prometheus.AskAsync(query, end, cancel);
                difference = Math.Max(difference, Math.Abs(mine - theirs) / Math.Abs(theirs));
            }
            tell(string.Create(CultureInfo.InvariantCulture, $"| {query.Name} | {cpu[0]:F2} | {cpu[1]:F1} | {cpu[2]:F1} | {cpu[1] / cpu[0]:F0}; {cpu[2] / cpu[0]:F0} | {query.AimMs} | {difference:E0} |"));
        }
        tell(string.Create(CultureInfo.InvariantCulture, $"RSS MB after that: {string.Join(", ", servers.Select(s => string.Create(CultureInfo.InvariantCulture, $"{s.Name} {s.RssMb:F0}")))}"));
    }

    // The clock of processes ticks in 10 ms: ask until half a second is used, and at least so often that the programs are warm.
    private static async Task<double> MeasureAsync(QueryServer server, MeasuredQuery query, History history, bool quick, CancellationToken cancel)
    {
        int asked = 0;
        for (int warm = 0; warm < (quick ? 40 : 100) && (warm < 3 || server.Name == "bellwether"); warm++)
            await server.AskAsync(query, End(), cancel);
        double before = server.CpuSeconds;
        int count = 0;
        while (count < 10 || (server.CpuSeconds - before < 0.5 && count < (quick ? 100 : 500)))
        {
            await server.AskAsync(query, End(), cancel);
            count++;
        }
        return (server.CpuSeconds - before) * 1000 / count;

        // Different times each: whole steps of the data's own interval back, over the newest half hour.
        long End() => history.EndMs - (asked++ % 60 * 30_000) + (asked * 7 % 1000);
    }
}
