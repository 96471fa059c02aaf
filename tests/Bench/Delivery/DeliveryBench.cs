using System.Globalization;

namespace Bellwether.Bench.Delivery;

/// <summary>Agents and what they deliver: ours into our aggregator, the peers into a counting sink, all at once on one machine, each with targets of its own and a counting proxy before its sink.</summary>
internal sealed class DeliveryBench(TimeProvider time) : IBench
{
    private const int Targets = 20;
    private const int ManyTargets = 100;
    private static readonly string[] s_names = ["bellwether", "prometheus agent", "vmagent"];

    public string Name => "delivery";

    public string Description => "agents: CPU, memory, bytes on the wire and in the spool, recovery, losses at kills and outages, beside Prometheus' agent mode and vmagent";

    public async Task RunAsync(bool quick, Action<string> tell, CancellationToken cancel)
    {
        DeliveryFigures[] figures = [.. s_names.Select(_ => new DeliveryFigures())];
        var run = new DeliveryRun(quick, time, tell);
        tell(string.Create(CultureInfo.InvariantCulture, $"{ManyTargets} targets x {BenchTargets.Series} series every 5 s"));
        await EachAsync(ManyTargets, (subject, i) => run.ManyAsync(subject, figures[i], cancel));
        tell(string.Create(CultureInfo.InvariantCulture, $"{Targets} targets x {BenchTargets.Series} series every 5 s"));
        await EachAsync(Targets, (subject, i) => run.AllAsync(subject, figures[i], cancel));
        tell("");
        foreach (string line in Table(figures))
            tell(line);
    }

    private async Task EachAsync(int count, Func<Subject, int, Task> measure)
    {
        var subjects = new List<Subject>();
        try
        {
            foreach (string name in s_names)
            {
                BenchTargets targets = await BenchTargets.StartAsync(count, time);
                string folder = Directory.CreateTempSubdirectory("bellwether-bench-").FullName;
                subjects.Add(name == s_names[0] ? new BellwetherSubject(folder, targets) : await RemoteWriteSubject.MakeAsync(name, folder, targets));
            }
            await Task.WhenAll(subjects.Select(measure));
        }
        finally
        {
            foreach (Subject subject in subjects)
                await subject.DisposeAsync();
        }
    }

    private static IEnumerable<string> Table(DeliveryFigures[] f)
    {
        yield return "| | bellwether | prometheus agent | vmagent | ours / prometheus; ours / vmagent |";
        yield return "| --- | --- | --- | --- | --- |";
        yield return Row("CPU s per million samples, 20 targets", x => x.CpuPerMillion20, "F2");
        yield return Row("CPU s per million samples, 100 targets", x => x.CpuPerMillion100, "F2");
        yield return Row("RSS MB, 20 targets", x => x.RssMb20, "F0");
        yield return Row("RSS MB, 100 targets", x => x.RssMb100, "F0");
        yield return Row("wire bytes per sample", x => x.WireBytesPerSample, "F2");
        yield return Row("spool bytes per sample while the sink is down", x => x.SpoolBytesPerSample, "F2");
        yield return Row("backlog recovered after, s", x => x.RecoverySeconds, "F1");
        yield return Row("lost per kill -9 (median)", x => x.LostPerKill, "N0");
        yield return Row("lost at sink down, kill -9, restart", x => x.LostDownKill, "N0");
        yield return Row("lost at sink down, SIGTERM, restart", x => x.LostDownTerm, "N0");
        yield return Row("time to stop while the sink is down, s", x => x.StopSeconds, "F1");
        yield return Row("doubled", x => x.Doubled, "N0");
        yield return Row("out of order", x => x.OutOfOrder, "N0");

        string Row(string name, Func<DeliveryFigures, double> value, string format)
        {
            string[] cells = [.. f.Select(x => value(x).ToString(format, CultureInfo.InvariantCulture))];
            return $"| {name} | {string.Join(" | ", cells)} | {Ratio(value(f[0]), value(f[1]))}; {Ratio(value(f[0]), value(f[2]))} |";
        }

        static string Ratio(double ours, double theirs) => theirs == 0 ? "-" : (ours / theirs).ToString("F2", CultureInfo.InvariantCulture);
    }
}
