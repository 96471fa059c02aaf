using System.CommandLine;
using System.Net.Sockets;
using Bellwether.Agent.Bundles;
using Bellwether.Agent.Configuration;
using Bellwether.Agent.Run;
using Bellwether.Agent.Status;
using Bellwether.Core.Configuration;
using Bellwether.Core.Platform;
using Bellwether.Core.Telemetry;
using Bellwether.Core.Text;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;

namespace Bellwether.Agent;

/// <summary><c>bellwether-agent run|check|status|bundle --config agent.yaml</c>.</summary>
internal static class Program
{
    private const int ExitBadConfiguration = 2;
    private static readonly TimeSpan s_stopSlack = TimeSpan.FromSeconds(5);

    private static int Main(string[] args)
    {
        using var stop = new StopSignals();
        var file = new Option<string>("--config", "-c") { Description = "The agent's configuration.", DefaultValueFactory = _ => "agent.yaml", Recursive = true };
        var run = new Command("run", "Collects, spools and streams until it is stopped. SIGHUP takes a new configuration.");
        run.SetAction(parse => RunAsync(parse.GetRequiredValue(file), stop.Token));
        var check = new Command("check", "Reads the configuration and the files that it names, and tells every error. Exit code 2 when there is one.");
        check.SetAction(parse => Check(parse.GetRequiredValue(file)));
        var status = new Command("status", "Asks a running agent over its Unix socket how it is.");
        var json = new Option<bool>("--json") { Description = "As JSON." };
        var path = new Option<string?>("--socket") { Description = "The agent's socket; without it, the one that the configuration names." };
        status.Add(json);
        status.Add(path);
        status.SetAction((parse, cancellation) => StatusAsync(parse.GetRequiredValue(file), parse.GetValue(path), parse.GetValue(json), cancellation));
        var root = new RootCommand("Bellwether's agent: scrapes local targets, PostgreSQL and the host, keeps every sample until the aggregator has it, and streams.") { run, check, status, BundleCommand.Create(file, f => Load(f, checkFiles: false)) };
        root.Add(file);
        ParseResult parsed = root.Parse(args);
        if (parsed.Errors.Count > 0)
            return Misused(parsed, root);
        // All other commands are ended by the signals themselves.
        if (parsed.CommandResult.Command != run)
            stop.Dispose();
        return parsed.InvokeAsync(new InvocationConfiguration { ProcessTerminationTimeout = null }).GetAwaiter().GetResult();
    }

    /// <summary>Says what is wrong with the command line, and the nearest valid word.</summary>
    private static int Misused(ParseResult parsed, RootCommand root)
    {
        Command command = parsed.CommandResult.Command;
        List<string> words = [.. root.Subcommands.Select(c => c.Name), .. root.Options.Concat(command.Options).Select(o => o.Name).Distinct()];
        // The word behind an unknown option is its value, and not another mistake.
        List<string> unknown = [.. parsed.UnmatchedTokens.Where(w => w.StartsWith('-'))];
        if (unknown.Count == 0)
            unknown.AddRange(parsed.UnmatchedTokens);
        if (unknown.Count > 0)
        {
            foreach (string word in unknown)
                Console.Error.WriteLine($"'{word}' is not known here; {(NearestWord.Find(word, words) is { } near ? $"did you mean '{near}'? " : "")}There are: {string.Join(", ", words)}");
        }
        else
        {
            foreach (System.CommandLine.Parsing.ParseError error in parsed.Errors)
                Console.Error.WriteLine(error.Message);
        }
        Console.Error.WriteLine("usage: bellwether-agent run|check|status|bundle --config agent.yaml (-h shows all)");
        return ExitBadConfiguration;
    }

    private static async Task<int> RunAsync(string file, CancellationToken stopping)
    {
        if (Load(file, checkFiles: false) is not { } config)
            return ExitBadConfiguration;
        using var loggers = new LineLoggerFactory(Console.Error, TimeProvider.System, AgentService.LevelOf(config.Log.Level));
        HostApplicationBuilder builder = Microsoft.Extensions.Hosting.Host.CreateEmptyApplicationBuilder(null);
        builder.Services.Configure<HostOptions>(o => o.ShutdownTimeout = config.Stop.Timeout + s_stopSlack);
        builder.Services.AddSingleton(new AgentStart(file, config, TimeProvider.System, loggers));
        builder.Services.AddHostedService<AgentService>();
        using IHost host = builder.Build();
        IHostApplicationLifetime lifetime = host.Services.GetRequiredService<IHostApplicationLifetime>();
        using CancellationTokenRegistration stop = stopping.Register(lifetime.StopApplication);
        try
        {
            await host.StartAsync(CancellationToken.None);
        }
        catch (OperationCanceledException) when (stopping.IsCancellationRequested)
        {
            // Told to stop while it was starting: what has started is stopped below, as at any other time.
        }
        await host.WaitForShutdownAsync(CancellationToken.None);
        return AgentService.ExitCode;
    }

    private static int Check(string file)
    {
        if (Load(file, checkFiles: true) is not { } config)
            return ExitBadConfiguration;
        Console.WriteLine($"{file}: good. Agent {config.Agent.Id}, {Counted.Of(config.ScrapeConfigs.Count, "scrape job")}, host {(config.Collectors.Host is { Enabled: true } ? "on" : "off")}, {Counted.Of(config.Collectors.Postgres.Count, "PostgreSQL server")}.");
        return 0;
    }

    private static async Task<int> StatusAsync(string file, string? socket, bool json, CancellationToken cancellation)
    {
        if (socket is null)
        {
            if (Load(file, checkFiles: false) is not { } config)
            {
                Console.Error.WriteLine("the configuration does not tell the socket; --socket PATH asks a running agent all the same");
                return ExitBadConfiguration;
            }
            socket = config.Status.Socket;
        }
        try
        {
            AgentStatus status = await StatusSocket.AskAsync(socket, cancellation);
            Console.Write(json ? System.Text.Encoding.UTF8.GetString(status.ToJson()) + "\n" : status.ToText());
            return 0;
        }
        catch (SocketException e)
        {
            // The runtime's text for a path that is not there speaks of addresses.
            string why = File.Exists(socket) ? e.Message : "no such socket";
            Console.Error.WriteLine($"{socket}: {why}. Does the agent run with this configuration, and as this user?");
            return 1;
        }
    }

    private static AgentConfig? Load(string file, bool checkFiles)
    {
        ConfigResult<AgentConfig> result = AgentConfigFile.Load(file, checkFiles);
        // While it runs they would only be in the way; the check is made to be read.
        foreach (ConfigError warning in checkFiles ? result.Warnings : [])
            Console.Error.WriteLine($"warning: {warning}");
        foreach (ConfigError error in result.Errors)
            Console.Error.WriteLine(error);
        return result.Value;
    }
}
