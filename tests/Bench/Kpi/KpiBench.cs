using System.Globalization;
using System.Text;
using System.Text.Json;
using Bellwether.Bench.Query;
using Bellwether.Kit.Live;

namespace Bellwether.Bench.Kpi;

/// <summary>CPU of 1,000 objectives with all windows every 30 s over 30 days of history, the same rules on Prometheus for as many as it can evaluate, and how long a week of late data takes to heal.</summary>
internal sealed class KpiBench(TimeProvider time) : IBench
{
    private const int Objectives = 1_000;
    private const int BesideObjectives = 100;
    private const int HealedRules = 200;
    private static readonly TimeSpan s_cycle = TimeSpan.FromSeconds(30);

    public string Name => "kpi";

    public string Description => "1,000 SLOs over 30 days: CPU share of one core, beside Prometheus; a week of late data healed";

    public async Task RunAsync(bool quick, Action<string> tell, CancellationToken cancel)
    {
        await using QueryServer ours = QueryServer.Bellwether(time), prometheus = QueryServer.Prometheus(time);
        long intervalMs = quick ? 120_000 : 30_000, end = time.GetUtcNow().ToUnixTimeMilliseconds() / intervalMs * intervalMs;
        int routes = quick ? 100 : 500;
        foreach (QueryServer server in (QueryServer[])[ours, prometheus])
        {
            await server.StartAsync(null, cancel);
            var history = new KpiHistory(routes, "a", end - (long)TimeSpan.FromDays(30).TotalMilliseconds, end, intervalMs);
            for (ReadOnlyMemory<byte> body = history.Next(); !body.IsEmpty; body = history.Next())
                await server.WriteAsync(body, cancel);
            await server.SettleAsync(cancel);
            tell(string.Create(CultureInfo.InvariantCulture, $"{server.Name}: {routes * 2} series, 30 days at {intervalMs / 1000} s, {history.Samples / 1e6:F1} M samples"));
        }
        int cycles = quick ? 2 : 6;
        tell("");
        tell("| every 30 s | rules | bellwether: CPU s per 30 s | share of one core | prometheus: CPU s per 30 s |");
        tell("| --- | --- | --- | --- | --- |");
        double[] idle = [await CpuAsync(ours, cycles, cancel), await CpuAsync(prometheus, cycles, cancel)];
        foreach (int objectives in (int[])[BesideObjectives, Objectives])
        {
            (string file, int rules) = await CompileAsync(ours, objectives, routes, cancel);
            double own = await CycleAsync(ours, file, cycles, cancel) - idle[0];
            double beside = objectives == BesideObjectives ? await CycleAsync(prometheus, file, cycles, cancel) - idle[1] : double.NaN;
            string theirs = double.IsNaN(beside) ? "-" : beside.ToString("F2", CultureInfo.InvariantCulture);
            tell(string.Create(CultureInfo.InvariantCulture, $"| {objectives} SLOs | {rules} | {own:F3} | 1/{s_cycle.TotalSeconds / Math.Max(own, 0.001):F0} | {theirs} |"));
        }
        tell(string.Create(CultureInfo.InvariantCulture, $"idle CPU s per 30 s, taken off: bellwether {idle[0]:F3}, prometheus {idle[1]:F3}; aim: 1/20 of one core for {Objectives} SLOs"));
        await prometheus.StopAsync();
        await HealAsync(ours, end, intervalMs, tell, cancel);
    }

    /// <summary>The rules of objectives as <c>slo compile</c> prints them, which any Prometheus reads.</summary>
    private static async Task<(string File, int Rules)> CompileAsync(QueryServer server, int objectives, int routes, CancellationToken cancel)
    {
        var text = new StringBuilder("service: shop\nslos:\n");
        for (int i = 0; i < objectives; i++)
        {
            string route = KpiHistory.Route(i % routes);
            text.Append(CultureInfo.InvariantCulture, $"  - {{name: o{i}, objective: {99 + (i / routes * 0.05)}, total: 'http_requests_total{{route=\"{route}\"}}', bad: 'http_requests_total{{route=\"{route}\",code=\"500\"}}'}}\n");
        }
        await File.WriteAllTextAsync(Path.Combine(server.Folder, "slo.yaml"), text.ToString(), cancel);
        // Printed rules are several MB: to a file, not through the reader of a program's output.
        string file = Path.Combine(server.Folder, $"rules-{objectives}.yaml");
        (int code, string output) = await Running.ToEndAsync("sh", server.Folder, "-c", $"'{Programs.Aggregator}' slo compile slo.yaml > '{file}'");
        if (code != 0)
            throw new InvalidOperationException($"slo compile: {output}");
        int rules = (await File.ReadAllLinesAsync(file, cancel)).Count(l => l.TrimStart().StartsWith("- record:", StringComparison.Ordinal) || l.TrimStart().StartsWith("- alert:", StringComparison.Ordinal));
        return (file, rules);
    }

    private async Task<double> CycleAsync(QueryServer server, string file, int cycles, CancellationToken cancel)
    {
        await server.StopAsync();
        await server.StartAsync(file, cancel);
        // The first cycles warm up, and read what the start left to be read.
        await Task.Delay(s_cycle * 2, time, cancel);
        return await CpuAsync(server, cycles, cancel);
    }

    private async Task<double> CpuAsync(QueryServer server, int cycles, CancellationToken cancel)
    {
        double before = server.CpuSeconds;
        await Task.Delay(s_cycle * cycles, time, cancel);
        return (server.CpuSeconds - before) / cycles;
    }

    /// <summary>200 rules with a week of results; then a week of another instance's data comes.</summary>
    private async Task HealAsync(QueryServer server, long end, long intervalMs, Action<string> tell, CancellationToken cancel)
    {
        const int Routes = HealedRules / 5;
        var text = new StringBuilder("groups:\n");
        for (int route = 0; route < Routes; route++)
        {
            string own = $"route=\"{KpiHistory.Route(route)}\"", labels = $"{{route: \"{KpiHistory.Route(route)}\"}}";
            text.Append($"- name: heal-{route:000}\n  interval: 30s\n  rules:\n");
            foreach ((string record, string expr) in new[]
            {
                ("route:requests:rate10m", $"sum(rate(http_requests_total{{{own}}}[10m]))"),
                ("route:errors:rate10m", $"sum(rate(http_requests_total{{{own},code=\"500\"}}[10m]))"),
                ("route:errors:share", $"route:errors:rate10m{{{own}}} / route:requests:rate10m{{{own}}}"),
                ("route:requests:increase1h", $"sum(increase(http_requests_total{{{own}}}[1h]))"),
                ("route:errors:share_max1h", $"max_over_time(route:errors:share{{{own}}}[1h])"),
            })
                text.Append($"  - record: {record}\n    expr: '{expr}'\n    labels: {labels}\n");
        }
        string file = Path.Combine(server.Folder, "heal.yaml");
        await File.WriteAllTextAsync(file, text.ToString(), cancel);
        await server.StopAsync();
        await server.StartAsync(file, cancel);
        long from = end - (long)TimeSpan.FromDays(7).TotalMilliseconds + 600_000;
        await server.PostAsync($"/api/v1/rules/backfill?rule=*&from={from / 1000}&reason=bench", cancel);
        JsonElement backfill = await UntilAsync(server, "/api/v1/rules/backfill", a => a.GetProperty("state").GetString() != "running", cancel);
        tell(string.Create(CultureInfo.InvariantCulture, $"backfill of {HealedRules} rules over a week: {backfill.GetProperty("state")}, {backfill.GetProperty("steps").GetInt64() / 1e6:F1} M steps, {backfill.GetProperty("added").GetInt64() / 1e6:F1} M results added, {backfill.GetProperty("error")}"));
        var late = new KpiHistory(Routes, "late", from, end, intervalMs);
        double before = server.CpuSeconds;
        for (ReadOnlyMemory<byte> body = late.Next(); !body.IsEmpty; body = late.Next())
            await server.WriteAsync(body, cancel);
        double loading = server.CpuSeconds - before;
        JsonElement heals = await UntilAsync(server, "/api/v1/heals?kind=late", a => Steps(a) >= (end - from) / 30_000 * HealedRules, cancel);
        JsonElement[] all = [.. heals.GetProperty("heals").EnumerateArray()];
        tell("");
        tell("| a week of late data of one agent | re-evaluations | rule steps | results changed | seconds | CPU s | aim |");
        tell("| --- | --- | --- | --- | --- | --- | --- |");
        tell(string.Create(CultureInfo.InvariantCulture,
            $"| {HealedRules} rules, {late.Samples / 1e6:F1} M samples | {all.Length} | {Steps(heals)} | {all.Sum(h => h.GetProperty("changed").EnumerateArray().Sum(c => c.GetProperty("added").GetInt64() + c.GetProperty("replaced").GetInt64() + c.GetProperty("removed").GetInt64()))} | {all.Sum(h => h.GetProperty("tookSeconds").GetDouble()):F1} | {server.CpuSeconds - before - loading:F1} | 10 s |"));
    }

    private static long Steps(JsonElement heals) => heals.GetProperty("heals").EnumerateArray().Sum(h => h.GetProperty("steps").GetInt64());

    private async Task<JsonElement> UntilAsync(QueryServer server, string path, Func<JsonElement, bool> holds, CancellationToken cancel)
    {
        for (int i = 0; i < 600; i++)
        {
            JsonElement answer = await server.GetAsync(path, cancel);
            if (holds(answer))
                return answer;
            await Task.Delay(TimeSpan.FromSeconds(1), time, cancel);
        }
        throw new InvalidOperationException($"{path} did not come to an end in ten minutes");
    }
}
