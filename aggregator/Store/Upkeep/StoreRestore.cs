using System.Globalization;
using Bellwether.Core.Platform;
using Bellwether.Store.Wal;

namespace Bellwether.Store.Upkeep;

/// <summary>
/// Copies a copy of a store (<see cref="StoreSnapshot"/>) and puts it where a store is. What was there is moved aside, never deleted. The store has its id again: agents go on with it, and
/// what they had been told was stored after the copy is told as missing, <c>restored</c> (docs/completeness.md).
/// </summary>
public static class StoreRestore
{
    private const int CopyBytes = 1 << 20;
    private const string Chunks = "chunks", Wal = "wal", Beside = "restoring";
    private static readonly string[] s_files = ["checkpoint-0", "checkpoint-1", "store-id"];

    /// <summary>
    /// Puts a copy into the folder of a stopped store, or a new one. Returns the folder to which what was there was moved; null: nothing was there. Throws <see cref="IOException"/> when a
    /// process holds the folder or the disk does not take it; before the last step, which only renames, nothing of the store has been touched. It may be done again.
    /// </summary>
    public static string? Into(IDisk disk, string copy, string folder, TimeProvider time, Action<long, long> progress, CancellationToken cancellation)
    {
        ArgumentNullException.ThrowIfNull(disk);
        ArgumentNullException.ThrowIfNull(time);
        StoreVerifier.ThrowIfNoStore(disk, copy);
        if (disk.List(Path.Combine(copy, Wal)).Count > 0)
            throw new IOException($"{copy} has a log (wal/): it is a store's own folder and no copy; make one of it with store backup");
        disk.CreateFolder(folder);
        using IDisposable hold = disk.Lock(folder);
        string beside = Path.Combine(folder, Beside);
        if (Directory.Exists(beside))
            Directory.Delete(beside, recursive: true);
        Copy(disk, copy, beside, progress, cancellation);
        string? aside = PutAside(disk, folder, time.GetUtcNow());
        Directory.Move(Path.Combine(beside, Chunks), Path.Combine(folder, Chunks));
        // The id is last: without it a folder is no store that agents know.
        foreach (string name in s_files)
        {
            if (disk.Exists(Path.Combine(beside, name)))
                disk.Rename(Path.Combine(beside, name), Path.Combine(folder, name));
        }
        disk.SyncFolder(folder);
        Directory.Delete(beside, recursive: true);
        return aside;
    }

    /// <summary>Copies a copy, durably, into a folder that is empty or not there. Throws <see cref="IOException"/>.</summary>
    public static void Copy(IDisk disk, string copy, string folder, Action<long, long> progress, CancellationToken cancellation)
    {
        ArgumentNullException.ThrowIfNull(disk);
        ArgumentNullException.ThrowIfNull(progress);
        string chunks = Path.Combine(folder, Chunks);
        disk.CreateFolder(chunks);
        if (disk.List(folder).Count > 0 || disk.List(chunks).Count > 0)
            throw new IOException($"{folder} is not empty");
        List<string> files = [.. disk.List(Path.Combine(copy, Chunks)).Select(n => Path.Combine(Chunks, n)), .. s_files.Where(n => disk.Exists(Path.Combine(copy, n)))];
        long bytes = files.Sum(f => new FileInfo(Path.Combine(copy, f)).Length), done = 0;
        if (disk.FreeBytes(folder) < bytes)
            throw new IOException($"{folder}: {bytes} bytes are needed, {disk.FreeBytes(folder)} are free");
        byte[] buffer = new byte[CopyBytes];
        foreach (string file in files)
        {
            using IDiskFile from = disk.Open(Path.Combine(copy, file), DiskOpen.ReadOnly);
            using IDiskFile to = disk.Open(Path.Combine(folder, file), DiskOpen.CreateNew);
            for (long at = 0; at < from.Length;)
            {
                cancellation.ThrowIfCancellationRequested();
                int read = from.Read(at, buffer);
                if (read == 0)
                    throw new IOException($"{Path.Combine(copy, file)} is shorter than it was");
                to.Write(at, buffer.AsSpan(0, read));
                at += read;
                progress(done += read, bytes);
            }
            to.Sync();
        }
        disk.SyncFolder(chunks);
        disk.SyncFolder(folder);
    }

    // What imports brought may not be in the copy: their list goes with the rest, and so does the saved head.
    private static string? PutAside(IDisk disk, string folder, DateTimeOffset now)
    {
        string[] files = [.. s_files.Append("imports").Append(SavedHeadWriter.FileName).Where(n => disk.Exists(Path.Combine(folder, n)))];
        string[] folders = [.. new[] { Wal, Chunks }.Where(n => Directory.Exists(Path.Combine(folder, n)))];
        if (files.Length + folders.Length == 0)
            return null;
        string aside = Path.Combine(folder, "before-restore-" + now.UtcDateTime.ToString("yyyyMMdd'T'HHmmss.fff'Z'", CultureInfo.InvariantCulture));
        disk.CreateFolder(aside);
        foreach (string name in folders)
            Directory.Move(Path.Combine(folder, name), Path.Combine(aside, name));
        foreach (string name in files)
            disk.Rename(Path.Combine(folder, name), Path.Combine(aside, name));
        disk.SyncFolder(aside);
        return aside;
    }
}
