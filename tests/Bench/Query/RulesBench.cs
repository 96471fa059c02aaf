using System.Globalization;

namespace Bellwether.Bench.Query;

/// <summary>CPU of a cycle of rules: 50 SLOs as Sloth compiles them, 850 rules, every 30 s, beside Prometheus, and VictoriaMetrics with vmalert.</summary>
internal sealed class RulesBench(TimeProvider time) : IBench
{
    private const int WarmUpCycles = 6;
    private static readonly TimeSpan s_cycle = TimeSpan.FromSeconds(30);

    public string Name => "rules";

    public string Description => "50 SLOs, 850 rules: CPU s per 30 s cycle, beside Prometheus, and VictoriaMetrics with vmalert";

    public async Task RunAsync(bool quick, Action<string> tell, CancellationToken cancel)
    {
        await using QueryServer ours = QueryServer.Bellwether(time), prometheus = QueryServer.Prometheus(time), victoria = QueryServer.VictoriaMetrics(time);
        QueryServer[] servers = [ours, prometheus, victoria];
        foreach (QueryServer server in servers)
            await server.StartAsync(null, cancel);
        await Loading.LoadAsync(servers, quick, time, tell, cancel);
        int cycles = quick ? 2 : 6, warmUp = quick ? 2 : WarmUpCycles;
        // Started anew, too: what follows a load is not what an idle server does.
        double[] idle = await StartedAsync(servers, null, warmUp, cycles, cancel);
        tell("");
        tell("| CPU s per 30 s cycle, 850 rules | bellwether | prometheus | victoria-metrics + vmalert | prometheus / ours; victoria-metrics / ours | aim |");
        tell("| --- | --- | --- | --- | --- | --- |");
        foreach (bool plainMonth in (bool[])[false, true])
        {
            string file = Path.Combine(ours.Folder, plainMonth ? "plain.yaml" : "sloth.yaml");
            await File.WriteAllTextAsync(file, SlothRules.Make(plainMonth), cancel);
            double[] used = await StartedAsync(servers, file, warmUp, cycles, cancel);
            double[] net = [.. used.Select((u, s) => Math.Max(0, u - idle[s]))];
            tell(string.Create(CultureInfo.InvariantCulture, $"| {(plainMonth ? "30 d as plain rate[30d]" : "30 d from the 5 m ratios (Sloth)")} | {net[0]:F3} | {net[1]:F2} | {net[2]:F2} | {net[1] / net[0]:F0}; {net[2] / net[0]:F0} | 0.03 |"));
        }
        tell(string.Create(CultureInfo.InvariantCulture, $"idle CPU s per 30 s, taken off: {string.Join(", ", servers.Select((s, i) => string.Create(CultureInfo.InvariantCulture, $"{s.Name} {idle[i]:F3}")))}"));
    }

    private async Task<double[]> StartedAsync(QueryServer[] servers, string? rules, int warmUp, int cycles, CancellationToken cancel)
    {
        foreach (QueryServer server in servers)
        {
            await server.StopAsync();
            await server.StartAsync(rules, cancel);
        }
        // The first cycles warm up (rules run for months: code is compiled in the first minutes), and read what the start left to be read.
        await Task.Delay(s_cycle * warmUp, time, cancel);
        return await CyclesAsync(servers, cycles, cancel);
    }

    private async Task<double[]> CyclesAsync(QueryServer[] servers, int cycles, CancellationToken cancel)
    {
        double[] before = [.. servers.Select(s => s.CpuSeconds)];
        await Task.Delay(s_cycle * cycles, time, cancel);
        return [.. servers.Select((s, i) => (s.CpuSeconds - before[i]) / cycles)];
    }
}
