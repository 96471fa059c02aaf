using Bellwether.Bench;
using Bellwether.Bench.Codec;
using Bellwether.Bench.Delivery;
using Bellwether.Bench.Kpi;
using Bellwether.Bench.Query;
using Bellwether.Bench.Store;

IBench[] benches = [new DeliveryBench(TimeProvider.System), new FootprintBench(TimeProvider.System), new QueryBench(TimeProvider.System), new RulesBench(TimeProvider.System), new StoreBench(TimeProvider.System), new ScaleBench(TimeProvider.System), new KpiBench(TimeProvider.System), new CodecBench(TimeProvider.System)];
IBench? bench = args.Length > 0 ? benches.FirstOrDefault(b => b.Name == args[0]) : null;
string[] unknown = [.. args.Skip(1).Where(a => a != "--quick")];
if (bench is null || unknown.Length > 0)
{
    Console.Error.WriteLine(unknown.Length > 0 ? $"bench: unknown option '{unknown[0]}' (there is --quick)" : "usage: scripts/bench NAME [--quick]");
    foreach (IBench one in benches)
        Console.Error.WriteLine($"  {one.Name,-10} {one.Description}");
    return 2;
}
using var stop = new CancellationTokenSource();
Console.CancelKeyPress += (_, e) =>
{
    e.Cancel = true;
    stop.Cancel();
};
Console.WriteLine($"scripts/bench {string.Join(' ', args)}; {TimeProvider.System.GetUtcNow():yyyy-MM-dd HH:mm} UTC; {Machine.Describe()}");
try
{
    await bench.RunAsync(args.Contains("--quick"), Console.WriteLine, stop.Token);
    return 0;
}
catch (OperationCanceledException)
{
    Console.Error.WriteLine("bench: stopped");
    return 130;
}
