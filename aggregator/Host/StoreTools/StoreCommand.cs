using System.CommandLine;
using Bellwether.Aggregator.Configuration;
using Bellwether.Core.Platform;

namespace Bellwether.Aggregator.StoreTools;

/// <summary><c>bellwether-aggregator store verify</c> and its companions: tools for a store's folder. Exit codes: 0 good, 1 damage or failure, 2 wrong use.</summary>
internal static class StoreCommand
{
    public const int ExitWrongUse = 2;

    /// <summary>Makes the command.</summary>
    public static Command Create(Func<Option<string>> configOption, Func<string, AggregatorConfig?> load, Func<string, string?> addressOf) =>
        new("store", "Checks, copies, restores, exports and imports the store. Without a FOLDER the data_dir of the configuration is meant.")
        {
            Verify(configOption(), load),
            Scrub(configOption(), load),
            Backup(configOption(), load, addressOf),
            Restore(),
            Export(configOption(), load),
            Import(configOption(), load),
        };

    private static Command Scrub(Option<string> config, Func<string, AggregatorConfig?> load)
    {
        Argument<string?> folder = Folder("The folder of a stopped store.");
        var command = new Command("scrub", "Opens a stopped store, which moves what cannot be opened to quarantine, and reads all of it: bytes of damaged chunks are copied to chunks/quarantine. A running aggregator does that by itself, slowly. Exit code 1 when something is damaged.") { config, folder };
        command.SetAction((parse, cancellation) => RunAsync(FolderOf(parse, folder, config, load), path => ScrubCommand.RunAsync(path, Console.Out, Console.Error, cancellation)));
        return command;
    }

    private static Command Backup(Option<string> config, Func<string, AggregatorConfig?> load, Func<string, string?> addressOf)
    {
        var to = new Option<string>("--to") { Description = "The folder to make; it must be empty or not there. On a disk of its own it is a backup.", Required = true };
        var url = new Option<string?>("--url") { Description = "Address of the running aggregator, when the configuration does not say how to reach it." };
        var command = new Command("backup", "Copies the store of --config, from the running aggregator (admin_api.enabled must be true) or while it is stopped, and checks the copy.") { config, to, url };
        command.SetAction((parse, cancellation) => RunAsync("", async _ =>
        {
            string file = parse.GetRequiredValue(config);
            if (load(file) is not { } read)
                return ExitWrongUse;
            string? address = ServerAddress.Of(parse.GetValue(url), () => addressOf(file));
            return address is null ? ExitWrongUse : await BackupCommand.BackupAsync(read, address, parse.GetRequiredValue(to), cancellation);
        }));
        return command;
    }

    private static Command Restore()
    {
        var into = new Option<string>("--into") { Description = "The data_dir of a stopped aggregator, or a new folder. What is there is moved aside, not deleted.", Required = true };
        var damaged = new Option<bool>("--even-damaged") { Description = "Restore a copy of which parts are damaged: they are left out. The exit code is 1 then." };
        var copy = new Argument<string>("COPY") { Description = "A folder that store backup or the snapshot API made." };
        var command = new Command("restore", "Checks a copy and puts it where the store is. The streams of agents go on; what they had been told was stored since is told as restored, by agent and range.") { into, damaged, copy };
        command.SetAction((parse, cancellation) => RunAsync(parse.GetRequiredValue(copy), path => BackupCommand.Restore(path, parse.GetRequiredValue(into), parse.GetValue(damaged), cancellation)));
        return command;
    }

    private static Command Export(Option<string> config, Func<string, AggregatorConfig?> load)
    {
        Argument<string?> folder = Folder("The folder of a stopped store, or a copy of one (store backup).");
        var format = new Option<string>("--format") { Description = $"{ExportCommand.OpenMetrics}: text with timestamps; {ExportCommand.Blocks}: TSDB blocks, one per day.", DefaultValueFactory = _ => ExportCommand.OpenMetrics };
        format.AcceptOnlyFromAmong(ExportCommand.OpenMetrics, ExportCommand.Blocks);
        var target = new Option<string?>("--output", "-o") { Description = "The file (without it: standard output), or for blocks the folder to put them in." };
        var match = new Option<string[]>("--match") { Description = "Only series that match this selector, e.g. '{job=\"shop\"}'; may be given several times.", DefaultValueFactory = _ => [] };
        var from = new Option<string?>("--from") { Description = "Oldest time, inclusive: Unix seconds or RFC 3339." };
        var to = new Option<string?>("--to") { Description = "Newest time, inclusive." };
        var command = new Command("export", "Writes samples as OpenMetrics text or as Prometheus TSDB blocks. Changes nothing in the store. Exit code 1 when something could not be read.") { config, format, target, match, from, to, folder };
        command.SetAction((parse, cancellation) =>
        {
            string kind = parse.GetRequiredValue(format);
            if (kind == ExportCommand.Blocks && parse.GetValue(target) is null)
            {
                Console.Error.WriteLine($"--format {kind} needs --output FOLDER");
                return Task.FromResult(ExitWrongUse);
            }
            return ExportCommand.RangeOf(parse.GetRequiredValue(match), parse.GetValue(from), parse.GetValue(to), Console.Error) is { } range
                ? RunAsync(FolderOf(parse, folder, config, load), path => ExportCommand.Run(path, kind, parse.GetValue(target), range, Console.Error, cancellation))
                : Task.FromResult(ExitWrongUse);
        });
        return command;
    }

    private static Command Import(Option<string> config, Func<string, AggregatorConfig?> load)
    {
        var url = new Option<string?>("--url") { Description = "Import into the running aggregator at this address, e.g. http://127.0.0.1:9090, by remote write. Without it the store of --config is written, which no process may hold." };
        var again = new Option<bool>("--again") { Description = "Import once more what the store says was imported, from the beginning." };
        var paths = new Argument<string[]>("PATH") { Description = "Files of OpenMetrics text with timestamps, blocks of Prometheus, its data folders or snapshots.", Arity = ArgumentArity.OneOrMore };
        var command = new Command("import", "Takes in OpenMetrics text and Prometheus TSDB blocks by the normal way of writing: any time within retention; what is there already stands once; of two values of one time the larger stands. An import that was broken off goes on where it was. Exit code 1 when something could not be taken.") { config, url, again, paths };
        command.SetAction((parse, cancellation) => RunAsync("", async _ =>
        {
            var import = new ImportCommand(Console.Out, Console.Error, parse.GetValue(again), cancellation);
            if (parse.GetValue(url) is { } address)
                return ServerAddress.Of(address, () => null) is { } running ? await import.IntoRunningAsync(new Uri(running), parse.GetRequiredValue(paths)) : ExitWrongUse;
            return load(parse.GetRequiredValue(config)) is { } read ? await import.IntoStoreAsync(read, parse.GetRequiredValue(paths)) : ExitWrongUse;
        }));
        return command;
    }

    private static Command Verify(Option<string> config, Func<string, AggregatorConfig?> load)
    {
        Argument<string?> folder = Folder("The folder of a stopped store, or a copy of one.");
        var command = new Command("verify", "Reads every chunk, index, log frame and checkpoint, and tells what is damaged and what that costs. Changes nothing. A running aggregator holds its folder: verify a copy (store backup) then. Exit code 1 when something is damaged.") { config, folder };
        command.SetAction((parse, cancellation) => RunAsync(FolderOf(parse, folder, config, load), path => VerifyCommand.Run(new OsDisk(), path, Console.Out, Console.Error, cancellation)));
        return command;
    }

    /// <summary>Runs a tool and tells what the disk or the input has against it.</summary>
    public static Task<int> RunAsync(string? folder, Func<string, int> tool) => RunAsync(folder, path => Task.Run(() => tool(path)));

    /// <summary>Runs a tool and tells what the disk or the input has against it.</summary>
    public static async Task<int> RunAsync(string? folder, Func<string, Task<int>> tool)
    {
        if (folder is null)
            return ExitWrongUse;
        try
        {
            return await tool(folder);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or InvalidDataException or HttpRequestException or Core.Model.StoreUnavailableException)
        {
            Console.Error.WriteLine(e.Message);
            return 1;
        }
        catch (OperationCanceledException)
        {
            Console.Error.WriteLine("stopped");
            return 1;
        }
    }

    private static Argument<string?> Folder(string description) => new("FOLDER") { Description = description, Arity = ArgumentArity.ZeroOrOne };

    /// <summary>The folder that is meant; null after the errors were told.</summary>
    private static string? FolderOf(ParseResult parse, Argument<string?> folder, Option<string> config, Func<string, AggregatorConfig?> load)
    {
        string? path = parse.GetValue(folder) ?? load(parse.GetRequiredValue(config))?.DataDir;
        if (path is null || Directory.Exists(path))
            return path;
        Console.Error.WriteLine($"{path}: there is no such folder; name the aggregator's data_dir, or a copy of it");
        return null;
    }
}
