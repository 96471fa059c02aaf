using System.CommandLine;
using Bellwether.Samples.Demo;
using Spectre.Console;

var check = new Option<bool>("--check") { Description = "Without a screen: asserts on values, prints 'demo: N checks passed, M failed' and ends." };
var late = new Option<bool>("--late") { Description = "The agent is cut off for a while and comes back: shows how the history heals. With --check: asserts that it did, and ends." };
var port = new Option<int>("--port") { Description = "Port of the console and the API; 0: a free one.", DefaultValueFactory = _ => 0 };
var shop = new Option<string>("--shop") { Required = true, Description = "The shop's program." };
var agent = new Option<string>("--agent") { Required = true, Description = "bellwether-agent." };
var aggregator = new Option<string>("--aggregator") { Required = true, Description = "bellwether-aggregator." };
var root = new RootCommand("A shop, its PostgreSQL, an agent and an aggregator, on this machine, with live KPIs. Everything goes into a throw-away folder.") { check, late, port, shop, agent, aggregator };
root.SetAction(async (parse, cancellation) =>
{
    TimeProvider time = TimeProvider.System;
    var programs = new Programs(Full(parse.GetRequiredValue(shop)), Full(parse.GetRequiredValue(agent)), Full(parse.GetRequiredValue(aggregator)));
    try
    {
        await using DemoSite site = await DemoSite.StartAsync(programs, parse.GetValue(port), parse.GetValue(late), step => AnsiConsole.MarkupLine($"[blue]starting[/] {Markup.Escape(step)}"), time, cancellation);
        if (parse.GetValue(late))
        {
            bool healed = await new LateStory(site, time, Console.Out).RunAsync(cancellation);
            if (parse.GetValue(check))
                return healed ? 0 : 1;
        }
        if (parse.GetValue(check))
            return await new Checks(site, time, Console.Out).RunAsync(cancellation) ? 0 : 1;
        await new LiveView(site, time).RunAsync(cancellation);
        AnsiConsole.MarkupLine("ending and cleaning up ...");
        return 0;
    }
    catch (DemoException e)
    {
        Console.Error.WriteLine($"demo: {e.Message}");
        return 1;
    }
    catch (OperationCanceledException)
    {
        return 130;
    }
});
// Ctrl-C cancels; cleaning up (PostgreSQL, three programs) may take longer than the default two seconds.
return await root.Parse(args).InvokeAsync(new InvocationConfiguration { ProcessTerminationTimeout = TimeSpan.FromSeconds(60) });

static string Full(string path) => Path.GetFullPath(path);
