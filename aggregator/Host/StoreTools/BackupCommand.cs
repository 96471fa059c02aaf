using System.Diagnostics.Metrics;
using System.Text.Json;
using Bellwether.Aggregator.Configuration;
using Bellwether.Aggregator.Run;
using Bellwether.Core.Platform;
using Bellwether.Store;
using Bellwether.Store.Upkeep;
using Microsoft.Extensions.Logging.Abstractions;

namespace Bellwether.Aggregator.StoreTools;

/// <summary><c>store backup</c> and <c>store restore</c>.</summary>
internal static class BackupCommand
{
    private static readonly TimeSpan s_limit = TimeSpan.FromHours(6);

    /// <summary>Makes a copy, from the running aggregator by its admin API or from the stopped store, and checks it.</summary>
    public static async Task<int> BackupAsync(AggregatorConfig config, string address, string target, CancellationToken cancellation)
    {
        var disk = new OsDisk();
        if (Directory.Exists(target) && Directory.EnumerateFileSystemEntries(target).Any())
        {
            Console.Error.WriteLine($"{target} is not empty; name a folder that is not there yet");
            return 1;
        }
        bool isRunning = IsHeld(disk, config.DataDir);
        if (isRunning)
        {
            if (await SnapshotAsync(address, cancellation) is not { } name)
                return 1;
            Take(disk, Path.Combine(config.DataDir, "snapshots", name), target, cancellation);
        }
        else
        {
            StoreVerifier.ThrowIfNoStore(disk, config.DataDir);
            using var meter = new Meter("bellwether-aggregator-backup");
            await using StoreWriter store = StoreWriter.Open(ConfiguredOptions.Store(config), disk, TimeProvider.System, ProcessRandom.Create(), meter, NullLogger.Instance);
            await store.SnapshotAsync(target, cancellation);
        }
        Console.WriteLine($"copied {(isRunning ? "the running" : "the stopped")} store to {target}; checking the copy");
        return VerifyCommand.Run(disk, target, Console.Out, Console.Error, cancellation);
    }

    /// <summary>Checks a copy and puts it where a store is.</summary>
    public static int Restore(string copy, string folder, bool evenDamaged, CancellationToken cancellation)
    {
        var disk = new OsDisk();
        Console.WriteLine($"checking {copy}");
        int damaged = VerifyCommand.Run(disk, copy, Console.Out, Console.Error, cancellation);
        if (damaged != 0 && !evenDamaged)
        {
            Console.Error.WriteLine("a damaged copy is not put in the place of a store: nothing was changed. Take another copy, or --even-damaged: what is damaged is left out then");
            return damaged;
        }
        var progress = new ProgressLine(Console.Error);
        string? aside = StoreRestore.Into(disk, copy, folder, TimeProvider.System, progress.Show, cancellation);
        progress.End();
        Console.WriteLine($"restored into {folder}{(aside is null ? "" : $"; what was there is in {aside}, to be deleted when it is not needed any more")}");
        Console.WriteLine("Agents go on with it; what they had been told was stored after the copy was made is told as restored: /api/v1/completeness");
        return damaged;
    }

    private static bool IsHeld(OsDisk disk, string folder)
    {
        if (!Directory.Exists(folder))
            throw new IOException($"{folder}: there is no such folder (data_dir of the configuration)");
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

    private static async Task<string?> SnapshotAsync(string address, CancellationToken cancellation)
    {
        string url = address.TrimEnd('/') + "/api/v1/admin/tsdb/snapshot";
        using var client = new HttpClient { Timeout = s_limit };
        using HttpResponseMessage answer = await client.PostAsync(url, null, cancellation);
        string body = await answer.Content.ReadAsStringAsync(cancellation);
        try
        {
            using JsonDocument document = JsonDocument.Parse(body);
            if (answer.IsSuccessStatusCode)
                return document.RootElement.GetProperty("data").GetProperty("name").GetString();
            Console.Error.WriteLine($"{url}: {document.RootElement.GetProperty("error").GetString()}");
        }
        catch (Exception e) when (e is JsonException or KeyNotFoundException)
        {
            Console.Error.WriteLine($"{url}: {(int)answer.StatusCode}, and no answer of an aggregator: {e.Message}");
        }
        return null;
    }

    // Within one file system only its name changes.
    private static void Take(OsDisk disk, string snapshot, string target, CancellationToken cancellation)
    {
        string parent = Path.GetDirectoryName(Path.GetFullPath(target)) ?? "/";
        disk.CreateFolder(parent);
        if (Directory.Exists(target))
            Directory.Delete(target);
        try
        {
            Directory.Move(snapshot, target);
            disk.SyncFolder(parent);
            return;
        }
        catch (IOException e)
        {
            Console.WriteLine($"{target} is on another file system and is copied to ({e.Message})");
        }
        var progress = new ProgressLine(Console.Error);
        StoreRestore.Copy(disk, snapshot, target, progress.Show, cancellation);
        progress.End();
        Directory.Delete(snapshot, recursive: true);
    }
}
