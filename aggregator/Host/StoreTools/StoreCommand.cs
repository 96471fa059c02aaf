using System.CommandLine;
using Bellwether.Aggregator.Configuration;
using Bellwether.Core.Platform;

namespace Bellwether.Aggregator.StoreTools;

/// <summary><c>bellwether-aggregator store verify</c> and its companions: tools for a store's folder. Exit codes: 0 good, 1 damage or failure, 2 wrong use.</summary>
internal static class StoreCommand
{
    public const int ExitWrongUse = 2;

    /// <summary>Makes the command.</summary>
    public static Command Create(Func<Option<string>> configOption, Func<string, AggregatorConfig?> load) =>
        new("store", "Checks, copies, restores, exports and imports the store. Without a FOLDER the data_dir of the configuration is meant.")
        {
            Verify(configOption(), load),
        };

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
