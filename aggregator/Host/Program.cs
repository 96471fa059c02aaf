using System.CommandLine;
using System.Security.Cryptography;
using Bellwether.Aggregator.Bundles;
using Bellwether.Aggregator.Configuration;
using Bellwether.Aggregator.Run;
using Bellwether.Aggregator.Slo;
using Bellwether.Aggregator.StoreTools;
using Bellwether.Core.Configuration;
using Bellwether.Core.Platform;
using Bellwether.Core.Telemetry;
using Bellwether.Core.Text;
using Bellwether.Evaluate.Rules;

namespace Bellwether.Aggregator;

/// <summary><c>bellwether-aggregator serve|check|query --config aggregator.yaml</c>.</summary>
internal static class Program
{
    private const int ExitBadConfiguration = 2;
    private static readonly TimeSpan s_lookInterval = TimeSpan.FromSeconds(1);

    private static int Main(string[] args)
    {
        using var stop = new StopSignals();
        var serveConfig = ConfigOption();
        var serve = new Command("serve", "Takes agents' streams and remote write, evaluates rules, and serves the API and the console until it is stopped. SIGHUP takes a new configuration.") { serveConfig };
        serve.SetAction(parse => ServeAsync(parse.GetRequiredValue(serveConfig), stop.Token));
        var checkConfig = ConfigOption();
        var check = new Command("check", "Reads the configuration and the rules that it names, and tells every error. Exit code 2 when there is one.") { checkConfig };
        check.SetAction(parse => Check(parse.GetRequiredValue(checkConfig)));
        var root = new RootCommand("Bellwether's aggregator: stores what agents stream, evaluates PromQL rules in event time, and serves the numbers.") { serve, check, QueryCommand.Create(AddressOf), RulesCommand.Create(AddressOf, TimeProvider.System), SloCommand.Create(TimeProvider.System), BundleCommand.Create(ConfigOption, f => Load(f, checkFiles: false).Config), KpiCommand.Create() };
        root.Add(SlaCommand.Create(AddressOf, TimeProvider.System));
        root.Add(StoreCommand.Create(ConfigOption, f => Load(f, checkFiles: false).Config, AddressOf));
        ParseResult parsed = root.Parse(args);
        if (parsed.Action is System.CommandLine.Invocation.ParseErrorAction wrong)
            wrong.ShowHelp = false;
        // All other commands are ended by the signals themselves.
        if (parsed.CommandResult.Command != serve)
            stop.Dispose();
        int code = parsed.InvokeAsync(new InvocationConfiguration { ProcessTerminationTimeout = null }).GetAwaiter().GetResult();
        if (parsed.Action is not System.CommandLine.Invocation.ParseErrorAction)
            return code;
        Console.Error.WriteLine(UsageOf(parsed.CommandResult.Command));
        return ExitBadConfiguration;
    }

    /// <summary>How a command is called, in one line.</summary>
    private static string UsageOf(Command command)
    {
        string path = command.Name;
        for (Command? above = command.Parents.OfType<Command>().FirstOrDefault(); above is not null; above = above.Parents.OfType<Command>().FirstOrDefault())
            path = above is RootCommand ? path : $"{above.Name} {path}";
        string parts = (command.Subcommands.Count > 0 ? " COMMAND" : "") + (command.Options.Count > 0 ? " [options]" : "") + string.Concat(command.Arguments.Select(a => a.Arity.MinimumNumberOfValues == 0 ? $" [{a.Name}]" : $" {a.Name}"));
        return command is RootCommand ? $"usage: bellwether-aggregator {string.Join('|', command.Subcommands.Select(c => c.Name))} [options]   (more with --help)" : $"usage: bellwether-aggregator {path}{parts}   (more with --help)";
    }

    private static Option<string> ConfigOption() => new("--config", "-c") { Description = "The aggregator's configuration.", DefaultValueFactory = _ => "aggregator.yaml" };

    private static async Task<int> ServeAsync(string file, CancellationToken stopping)
    {
        (AggregatorConfig? config, Definitions? definitions) = Load(file, checkFiles: false);
        if (config is null || definitions is null)
            return ExitBadConfiguration;
        TimeProvider time = TimeProvider.System;
        using var loggers = new LineLoggerFactory(Console.Error, time, ConfiguredOptions.Level(config.Log.Level));
        try
        {
            await using var server = new AggregatorServer(file, config, time, loggers);
            await server.StartAsync(definitions, stopping);
            using IDisposable? hangup = ReloadSignal.Listen(() => server.Reload());
            var notifier = new ServiceNotifier(time);
            notifier.Ready(server.Addresses);
            Exception? failure = await UntilStoppedAsync(server, notifier, time, stopping);
            notifier.Stopping();
            if (failure is null)
                return 0;
            Console.Error.WriteLine($"BUG: a part of the aggregator ended by itself; it ends, to be started anew: {failure}");
            return 1;
        }
        catch (OperationCanceledException) when (stopping.IsCancellationRequested)
        {
            // Told to stop while it was starting: as good a stop as any.
            return 0;
        }
        catch (Exception e) when (e is IOException or CryptographicException or UnauthorizedAccessException or FormatException or System.Net.Sockets.SocketException)
        {
            Console.Error.WriteLine($"the aggregator cannot start: {e.Message}");
            return 1;
        }
    }

    private static async Task<Exception?> UntilStoppedAsync(AggregatorServer server, ServiceNotifier notifier, TimeProvider time, CancellationToken stopping)
    {
        long fedAt = time.GetTimestamp();
        try
        {
            while (server.Failure is null)
            {
                await Task.Delay(s_lookInterval, time, stopping);
                if (notifier.WatchdogInterval is not { } interval || time.GetElapsedTime(fedAt) < interval)
                    continue;
                fedAt = time.GetTimestamp();
                notifier.Alive();
            }
            return server.Failure;
        }
        catch (OperationCanceledException)
        {
            return null;
        }
    }

    private static int Check(string file)
    {
        (AggregatorConfig? config, Definitions? definitions) = Load(file, checkFiles: true);
        if (config is null || definitions is null)
            return ExitBadConfiguration;
        IReadOnlyList<RuleGroupDefinition> groups = definitions.Groups;
        foreach (string warning in definitions.Warnings)
            Console.Error.WriteLine($"warning: {warning}");
        Console.WriteLine($"{file}: good. {Counted.Of(config.Agents.Count, "agent")}, {Counted.Of(groups.Count, "rule group")} with {Counted.Of(groups.Sum(g => g.Rules.Count), "rule")}, {Counted.Of(definitions.Kpis.Kpis.Count, "KPI")}, {Counted.Of(definitions.Slos.Compiled.Count, "SLO")}, {Counted.Of(config.RemoteWrite.Count, "upstream")}.");
        return 0;
    }

    private static string? AddressOf(string file)
    {
        (AggregatorConfig? config, _) = Load(file, checkFiles: false);
        if (config is null)
            return null;
        ListenerSection http = config.Listen.Http;
        string host = http.Host is "0.0.0.0" or "::" ? "127.0.0.1" : http.Host;
        return $"{(http.Tls is null ? "http" : "https")}://{(host.Contains(':') ? $"[{host}]" : host)}:{http.Port}";
    }

    private static (AggregatorConfig? Config, Definitions? Definitions) Load(string file, bool checkFiles)
    {
        var read = ConfigurationRead.Of(file, checkFiles, TimeProvider.System);
        // While it serves they would only be in the way; the check is made to be read.
        foreach (ConfigError warning in checkFiles ? read.Warnings : [])
            Console.Error.WriteLine($"warning: {warning}");
        foreach (ConfigError error in read.Errors)
            Console.Error.WriteLine(error);
        return (read.Config, read.Definitions);
    }
}
