using System.CommandLine;
using System.Diagnostics.Metrics;
using System.Globalization;
using System.Net.Sockets;
using System.Text.Json;
using Bellwether.Agent.Configuration;
using Bellwether.Agent.Run;
using Bellwether.Agent.Spool;
using Bellwether.Agent.Status;
using Bellwether.Core.Bundles;
using Bellwether.Core.Configuration;
using Bellwether.Core.Model;
using Bellwether.Core.Platform;

namespace Bellwether.Agent.Bundles;

/// <summary><c>bellwether-agent bundle export|receipt|keygen</c>.</summary>
internal static class BundleCommand
{
    private const int ExitBadUse = 2;

    public static Command Create(Option<string> configFile, Func<string, AgentConfig?> load)
    {
        var output = new Option<string>("--output", "-o") { Description = "The bundle's file, e.g. /media/usb/shop-1.bwb.", Required = true };
        var since = new Option<string?>("--since") { Description = "Records from here on: RFC 3339, Unix seconds, or how long ago (e.g. 12h). Rounded outwards to whole segments." };
        var until = new Option<string?>("--until") { Description = "Records up to here." };
        var unsent = new Option<bool>("--unsent") { Description = "Everything that the aggregator has not acknowledged. This is the default." };
        var split = new Option<string?>("--split") { Description = "The most bytes of one file, e.g. 4GB for FAT; more files are made: x.001.bwb, x.002.bwb, ..." };
        var export = new Command("export", "Writes what the spool holds into a signed bundle, to be carried by hand. Frees nothing: a receipt does.") { output, since, until, unsent, split };
        export.SetAction((parse, cancellation) =>
        {
            if (parse.GetValue(unsent) && (parse.GetValue(since) ?? parse.GetValue(until)) is not null)
                return Wrong("--unsent stands beside --since or --until; keep one");
            if (!TryTime(parse.GetValue(since), long.MinValue, out long from) || !TryTime(parse.GetValue(until), long.MaxValue, out long to) || from > to)
                return Wrong("--since and --until take RFC 3339, Unix seconds or a duration such as 12h, and since is not after until");
            long volume = 0;
            if (parse.GetValue(split) is { } text && (!TrySize(text, out volume)))
                return Wrong($"--split {text}: not a size with a unit of at least 1MB; write for example 4GB");
            string file = Path.GetFullPath(parse.GetRequiredValue(output));
            return RunAsync(parse.GetRequiredValue(configFile), load, BundleService.ExportCommand(new BundleRequest(file, from, to, volume)), Exported, cancellation);
        });
        var receiptFile = new Argument<string[]>("FILE") { Description = "The receipts that the aggregator wrote.", Arity = ArgumentArity.OneOrMore };
        var receipt = new Command("receipt", "Takes a receipt that was carried back: what the aggregator holds is freed here.") { receiptFile };
        receipt.SetAction(async (parse, cancellation) =>
        {
            int code = 0;
            foreach (string file in parse.GetRequiredValue(receiptFile))
                code = Math.Max(code, await RunAsync(parse.GetRequiredValue(configFile), load, BundleService.ReceiptCommand(Path.GetFullPath(file)), Freed, cancellation));
            return code;
        });
        var bundle = new Command("bundle", "Carries records over an air gap by signed files.") { export, receipt, Keygen() };
        return bundle;
    }

    /// <summary>The same at both programs' command lines.</summary>
    private static Command Keygen()
    {
        var name = new Option<string>("--output", "-o") { Description = "Name of the pair: NAME.key (keep it) and NAME.pub (give it to the other side).", Required = true };
        var keygen = new Command("keygen", "Makes a key pair for bundles.") { name };
        keygen.SetAction(parse => BundleKeyMaker.Make(parse.GetRequiredValue(name), Console.Out, Console.Error));
        return keygen;
    }

    private static async Task<int> RunAsync(string configFile, Func<string, AgentConfig?> load, string command, Action<JsonElement> finished, CancellationToken cancellation)
    {
        if (load(configFile) is not { } config)
            return ExitBadUse;
        var progress = new ProgressLine(Console.Error);
        int code = 1;
        void Answered(string line)
        {
            using JsonDocument document = JsonDocument.Parse(line);
            JsonElement root = document.RootElement;
            if (root.TryGetProperty("error", out JsonElement error))
            {
                progress.End();
                Console.Error.WriteLine(error.GetString());
            }
            else if (root.TryGetProperty("done", out _))
            {
                progress.End();
                code = 0;
                finished(root);
            }
            else
            {
                progress.Show(root.GetProperty("bytes").GetInt64(), root.GetProperty("of").GetInt64());
            }
        }
        try
        {
            if (config.Status.Socket.Length > 0 && File.Exists(config.Status.Socket))
            {
                await StatusSocket.CommandAsync(config.Status.Socket, command, Answered, cancellation);
                return code;
            }
        }
        catch (SocketException)
        {
            // A killed agent leaves its socket behind: the spool's lock tells whether one runs.
        }
        try
        {
            using var meter = new Meter("bellwether-agent-bundle");
            using PrioritySpool spool = PrioritySpool.Open(new OsDisk(), config.Spool.Path, AgentRuntime.SpoolOptionsOf(config), TimeProvider.System, ProcessRandom.Create(), meter, _ => SpoolPriority.Normal);
            new BundleService(() => config, spool, AgentRuntime.VersionText, TimeProvider.System, ProcessRandom.Create()).Run(command, Answered);
            return code;
        }
        catch (IOException e)
        {
            Console.Error.WriteLine($"spool.path {config.Spool.Path}: {e.Message}");
            return 1;
        }
    }

    private static void Exported(JsonElement answer)
    {
        foreach (JsonElement file in answer.GetProperty("files").EnumerateArray())
            Console.WriteLine(file.GetString());
        string range = answer.TryGetProperty("from_ms", out JsonElement from) ? $", {Text(from.GetInt64())} to {Text(answer.GetProperty("to_ms").GetInt64())}" : "";
        Console.WriteLine($"bundle {answer.GetProperty("bundle").GetString()}: {answer.GetProperty("segments").GetInt64()} segments with {answer.GetProperty("records").GetInt64()} records{range}, {answer.GetProperty("bytes").GetInt64()} bytes");
    }

    private static void Freed(JsonElement answer)
    {
        Console.WriteLine($"receipt of bundle {answer.GetProperty("bundle").GetString()}: {answer.GetProperty("segments").GetInt64()} segments are held there, {answer.GetProperty("freed").GetInt64()} were freed here");
        if (answer.GetProperty("missing").GetInt64() is > 0 and var missing)
            Console.WriteLine($"the aggregator lacks {missing} segments that were announced: export them again");
    }

    private static string Text(long ms) => DateTimeOffset.FromUnixTimeMilliseconds(ms).ToString("yyyy-MM-dd'T'HH:mm:ss'Z'", CultureInfo.InvariantCulture);

    private static bool TryTime(string? text, long @default, out long ms)
    {
        ms = @default;
        if (text is null)
            return true;
        if (PrometheusDuration.TryParse(text, out TimeSpan ago))
        {
            ms = (TimeProvider.System.GetUtcNow() - ago).ToUnixTimeMilliseconds();
            return true;
        }
        if (double.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture, out double seconds) && Math.Abs(seconds) < 1e11)
        {
            ms = (long)(seconds * 1000);
            return true;
        }
        bool ok = DateTimeOffset.TryParse(text, CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal, out DateTimeOffset time);
        ms = time.ToUnixTimeMilliseconds();
        return ok;
    }

    private static bool TrySize(string text, out long bytes)
    {
        bool ok = ByteSize.TryParse(text, out ByteSize size);
        bytes = size.Bytes;
        return ok && bytes >= BundleWriter.VolumeBytesMin;
    }

    private static Task<int> Wrong(string message)
    {
        Console.Error.WriteLine(message);
        return Task.FromResult(ExitBadUse);
    }
}
