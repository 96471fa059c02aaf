using System.Globalization;
using Bellwether.Bench.Delivery;

namespace Bellwether.Bench;

/// <summary>Our agent alone: CPU and memory by kind, with 1, 20 and 100 targets. What is in the environment (DOTNET_ settings) reaches it.</summary>
internal sealed class FootprintBench(TimeProvider time) : IBench
{
    private static readonly int[] s_targets = [1, 20, 100];

    public string Name => "footprint";

    public string Description => "our agent alone: CPU and resident memory by kind (private, of files), with 1, 20 and 100 targets";

    public async Task RunAsync(bool quick, Action<string> tell, CancellationToken cancel)
    {
        tell("| targets | CPU s per million samples | RSS MB | private MB | of files MB | threads |");
        tell("| --- | --- | --- | --- | --- | --- |");
        foreach (int targets in s_targets)
        {
            string folder = Directory.CreateTempSubdirectory("bellwether-bench-").FullName;
            await using var subject = new BellwetherSubject(folder, await BenchTargets.StartAsync(targets, time));
            subject.Proxy.Up();
            subject.Start();
            await Task.Delay(TimeSpan.FromSeconds(quick ? 12 : 30), time, cancel);
            ProcessUse before = ProcessUse.Of(subject.Agent.Id);
            long completed = subject.Targets.Completed;
            await Task.Delay(TimeSpan.FromSeconds(quick ? 20 : 120), time, cancel);
            ProcessUse after = ProcessUse.Of(subject.Agent.Id);
            double samples = (subject.Targets.Completed - completed) * (double)BenchTargets.Series;
            tell(string.Create(CultureInfo.InvariantCulture,
                $"| {targets} | {(after.CpuSeconds - before.CpuSeconds) / samples * 1e6:F2} | {after.RssBytes / 1e6:F0} | {(after.RssBytes - after.RssFileBytes) / 1e6:F0} | {after.RssFileBytes / 1e6:F0} | {after.Threads} |"));
        }
    }
}
