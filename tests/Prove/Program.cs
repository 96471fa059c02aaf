using System.CommandLine;
using Bellwether.Prove;

var minutes = new Option<double>("--minutes") { Description = "How long faults go on.", DefaultValueFactory = _ => 3 };
var seed = new Option<int>("--seed") { Description = "Seed of times, victims and waits.", DefaultValueFactory = _ => 1 };
var kills = new Option<int?>("--kills") { Description = "kill -9 of agents, and as many of the aggregator; a hundred an hour unless given." };
var outage = new Option<double?>("--outage") { Description = "Minutes without an aggregator at a stretch; a third of the run unless given." };
var agents = new Option<int>("--agents") { Description = "Agents.", DefaultValueFactory = _ => 3 };
var targets = new Option<int>("--targets") { Description = "Targets of each agent, 1,000 series each.", DefaultValueFactory = _ => 2 };
var faults = new Option<int>("--faults") { Description = "So many faults of the operating system, one after the other, instead of kills and the outage." };
var only = new Option<string?>("--only") { Description = "Only faults whose name holds this text." };
var verbose = new Option<bool>("--verbose") { Description = "Prints the programs' logs at the end." };
var command = new RootCommand("Runs the shipped programs under load through kills, stops and a long outage, and compares what is stored with what the targets answered.")
{
    minutes, seed, kills, outage, agents, targets, faults, only, verbose,
};
command.SetAction(async (parsed, cancel) =>
{
    var options = new ProveOptions
    {
        Length = TimeSpan.FromMinutes(parsed.GetValue(minutes)),
        Seed = parsed.GetValue(seed),
        Kills = parsed.GetValue(kills),
        Outage = parsed.GetValue(outage) is { } length ? TimeSpan.FromMinutes(length) : null,
        Agents = parsed.GetValue(agents),
        TargetsPerAgent = parsed.GetValue(targets),
        Faults = parsed.GetValue(faults),
        Only = parsed.GetValue(only),
        Verbose = parsed.GetValue(verbose),
    };
    try
    {
        Balance balance = await new ProveRun(options, TimeProvider.System, Console.WriteLine).RunAsync(cancel);
        return balance.Difference == 0 ? 0 : 1;
    }
    catch (InvalidOperationException e)
    {
        Console.Error.WriteLine($"prove: {e.Message}");
        return 1;
    }
});
return await command.Parse(args).InvokeAsync();
