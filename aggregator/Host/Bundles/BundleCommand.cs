using System.CommandLine;
using System.Diagnostics.Metrics;
using System.Security.Cryptography;
using Bellwether.Aggregator.Configuration;
using Bellwether.Aggregator.Run;
using Bellwether.Core.Bundles;
using Bellwether.Core.Platform;
using Bellwether.Ingest.Bundles;
using Bellwether.Ingest.Completeness;
using Bellwether.Store;
using Microsoft.Extensions.Logging.Abstractions;

namespace Bellwether.Aggregator.Bundles;

/// <summary><c>bellwether-aggregator bundle verify|import|keygen</c>.</summary>
internal static class BundleCommand
{
    private const int ExitBadConfiguration = 2;
    private static readonly TimeSpan s_look = TimeSpan.FromMilliseconds(200);
    private static readonly TimeSpan s_wait = TimeSpan.FromMinutes(30);

    public static Command Create(Func<Option<string>> configOption, Func<string, AggregatorConfig?> load)
    {
        var verifyConfig = configOption();
        var verifyFiles = Files();
        var verify = new Command("verify", "Checks bundles: whole, unaltered, signed by the agent's key that the configuration names. Changes nothing.") { verifyConfig, verifyFiles };
        verify.SetAction((parse, cancellation) => RunAsync(load(parse.GetRequiredValue(verifyConfig)), parse.GetRequiredValue(verifyFiles), import: false, null, cancellation));
        var importConfig = configOption();
        var importFiles = Files();
        var receipt = new Option<string?>("--receipt") { Description = "The folder for receipts to carry back. Default: beside the bundle." };
        var import = new Command("import", "Takes bundles in, into the running aggregator or, while none runs, into its store. The same bundle may be imported again.") { importConfig, receipt, importFiles };
        import.SetAction((parse, cancellation) => RunAsync(load(parse.GetRequiredValue(importConfig)), parse.GetRequiredValue(importFiles), import: true, parse.GetValue(receipt), cancellation));
        var name = new Option<string>("--output", "-o") { Description = "Name of the pair: NAME.key (keep it) and NAME.pub (give it to the other side).", Required = true };
        var keygen = new Command("keygen", "Makes a key pair for bundles.") { name };
        keygen.SetAction(parse => BundleKeyMaker.Make(parse.GetRequiredValue(name), Console.Out, Console.Error));
        return new Command("bundle", "Takes in records that were carried over an air gap by signed files.") { verify, import, keygen };
    }

    private static Argument<string[]> Files() => new("FILE") { Description = "The bundles' files, in any order.", Arity = ArgumentArity.OneOrMore };

    private static async Task<int> RunAsync(AggregatorConfig? config, string[] files, bool import, string? receipts, CancellationToken cancellation)
    {
        if (config is null)
            return ExitBadConfiguration;
        try
        {
            using var keys = new BundleKeyring(config);
            var disk = new OsDisk();
            Dictionary<Guid, List<string>> bundles = [];
            bool good = true;
            foreach (string file in files.Select(Path.GetFullPath).Distinct(StringComparer.Ordinal))
            {
                BundleVerdict verdict = BundleReader.TryIdentify(disk, file, out Guid bundle, out _);
                if (verdict.IsGood)
                    (bundles.TryGetValue(bundle, out List<string>? own) ? own : bundles[bundle] = []).Add(file);
                else
                    good = Refused(file, verdict);
            }
            foreach (List<string> bundle in bundles.Values)
            {
                using var reader = new BundleReader(disk, bundle);
                BundleVerdict verdict = Verified(reader, keys.Trust);
                if (!verdict.IsGood)
                    good = Refused(bundle[0], verdict);
                else if (import)
                    good &= await ImportAsync(config, keys, disk, bundle, reader, receipts, cancellation);
            }
            return good ? 0 : 1;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or CryptographicException or InvalidDataException)
        {
            Console.Error.WriteLine(e.Message);
            return 1;
        }
    }

    private static BundleVerdict Verified(BundleReader reader, BundleTrust trust)
    {
        var progress = new ProgressLine(Console.Error);
        BundleVerdict verdict = reader.Verify(trust, done => progress.Show(done, reader.Bytes));
        progress.End();
        if (!verdict.IsGood)
            return verdict;
        BundleManifest manifest = reader.Manifest;
        string range = manifest.Segments.Count == 0 ? "nothing" : $"{manifest.Segments.Count} segments, {manifest.Segments.Sum(s => (long)s.Records)} records, {BundleInbox.Text(manifest.Segments.Min(s => s.FromMs))} to {BundleInbox.Text(manifest.Segments.Max(s => s.ToMs))}";
        Console.WriteLine($"bundle {manifest.Bundle} of agent {manifest.Agent}: good, {(manifest.Encryption is null ? "signed" : "signed and encrypted")}; {range}");
        return verdict;
    }

    private static bool Refused(string file, BundleVerdict verdict)
    {
        Console.Error.WriteLine($"{file}: refused ({verdict.Outcome}): {verdict.Reason}");
        return false;
    }

    private static async Task<bool> ImportAsync(AggregatorConfig config, BundleKeyring keys, OsDisk disk, List<string> files, BundleReader reader, string? receipts, CancellationToken cancellation)
    {
        string receiptFolder = receipts ?? Path.GetDirectoryName(files[0])!;
        string receipt = Path.Combine(receiptFolder, $"{reader.Manifest.Bundle}.receipt");
        if (IsRunning(disk, config.DataDir))
            return await HandOverAsync(config, keys, files, reader.Manifest.Bundle, receipt, cancellation);
        using var meter = new Meter("bellwether-aggregator-bundle");
        var late = new LateRanges(new LateRangesOptions(), disk, config.DataDir, TimeProvider.System, meter);
        await using StoreWriter store = StoreWriter.Open(ConfiguredOptions.Store(config), disk, TimeProvider.System, ProcessRandom.Create(), meter, NullLogger.Instance);
        // What it announces and does not bring is to be seen once the aggregator serves again.
        using var completeness = new CompletenessKeeper(ConfiguredOptions.Completeness(config), store.Engine, disk, ConfiguredOptions.CompletenessFolder(config), TimeProvider.System, ProcessRandom.Create(), meter, NullLogger.Instance, serves: false);
        var import = new BundleImport(store, late, TimeProvider.System, completeness.Book);
        var progress = new ProgressLine(Console.Error);
        BundleImported imported = await import.ApplyAsync(reader, progress.Show, cancellation);
        progress.End();
        Console.WriteLine($"imported: {imported.Records} new records with {imported.Samples} samples; {imported.AlreadyHeld} segments were here already");
        if (imported.Refused.Count > 0)
            Console.Error.WriteLine($"{imported.Refused.Count} records can never be applied; the first: {imported.Refused.First}");
        foreach (BundleSegment missing in imported.Missing)
            Console.Error.WriteLine($"gap: segment {missing.Id} of agent {reader.Manifest.Agent}, {BundleInbox.Text(missing.FromMs)} to {BundleInbox.Text(missing.ToMs)}, was announced and is not here");
        if (imported.Unfinished is { } unfinished)
        {
            Console.Error.WriteLine($"not all could be taken: {unfinished}; import it again");
            return false;
        }
        if (keys.Own is not null)
        {
            await File.WriteAllBytesAsync(receipt, import.ReceiptOf(imported).Write(keys.Own), cancellation);
            Console.WriteLine($"receipt: {receipt}");
        }
        return true;
    }

    private static bool IsRunning(OsDisk disk, string folder)
    {
        if (!Directory.Exists(folder))
            return false;
        try
        {
            disk.Lock(folder).Dispose();
            return false;
        }
        catch (IOException)
        {
            return true;
        }
    }

    /// <summary>The running aggregator takes it from its inbox, as it takes what a one-way gate brings.</summary>
    private static async Task<bool> HandOverAsync(AggregatorConfig config, BundleKeyring keys, List<string> files, Guid bundle, string receipt, CancellationToken cancellation)
    {
        string inbox = ConfiguredOptions.Inbox(config);
        string ready = Path.Combine(BundleInbox.Receipts(inbox), $"{bundle}.receipt");
        Directory.CreateDirectory(BundleInbox.Receipts(inbox));
        File.Delete(ready);
        var put = new List<string>();
        for (int i = 0; i < files.Count; i++)
        {
            string to = Path.Combine(inbox, $"{bundle:N}-{i + 1:d3}{BundleInbox.Extension}");
            File.Copy(files[i], to + ".new", overwrite: true);
            File.Move(to + ".new", to, overwrite: true);
            put.Add(to);
        }
        Console.WriteLine($"handed to the running aggregator by {inbox}");
        long started = TimeProvider.System.GetTimestamp();
        while (put.Exists(File.Exists))
        {
            if (TimeProvider.System.GetElapsedTime(started) > s_wait)
            {
                Console.Error.WriteLine("it has not been taken yet; the aggregator's log tells why. It stays in the inbox.");
                return false;
            }
            await Task.Delay(s_look, TimeProvider.System, cancellation);
        }
        string reason = Path.Combine(BundleInbox.RefusedFolder(inbox), Path.GetFileName(put[0]) + ".reason.txt");
        if (File.Exists(reason))
        {
            Console.Error.WriteLine($"refused: {(await File.ReadAllTextAsync(reason, cancellation)).Trim()}");
            return false;
        }
        Console.WriteLine("imported");
        if (keys.Own is not null)
        {
            File.Copy(ready, receipt, overwrite: true);
            Console.WriteLine($"receipt: {receipt}");
        }
        return true;
    }
}
