using System.Globalization;
using Bellwether.Core.Platform;
using Bellwether.Store.Reading;
using Microsoft.Extensions.Logging;

namespace Bellwether.Store.Blocks;

/// <summary>
/// The chunk files of a store. The list changes only under the head's write lock, so that a reader under its read lock sees each sample either in the head or in
/// a file. What is damaged goes to <c>quarantine/</c> and is never deleted.
/// </summary>
internal sealed partial class BlockSet : IDisposable
{
    private const string Quarantine = "quarantine";
    private readonly IDisk _disk;
    private readonly string _folder;
    private readonly long _maxIndexBytes;
    private readonly ILogger _log;
    private BlockFile[] _files = [];
    private long _lastNumber = -1;
    private long _uses;
    private long _damagedReads;
    private readonly Lock _leaseGate = new();
    private readonly Lock _leftGate = new();
    private readonly List<string> _left = [];
    private BlockList? _list;

    public BlockSet(IDisk disk, string folder, StoreOptions options, ILogger log)
    {
        _disk = disk;
        _folder = folder;
        _maxIndexBytes = options.MaxIndexBytes;
        _log = log;
    }

    /// <summary>The files as they are; the array is never changed.</summary>
    public BlockFile[] Files => Volatile.Read(ref _files);

    public int Count => Files.Length;

    /// <summary>The files as they are, leased as one. Under the head's lock.</summary>
    public BlockList Lease()
    {
        lock (_leaseGate)
        {
            if (_list is null || !ReferenceEquals(_list.Files, Files))
            {
                _list?.Drop();
                _list = new BlockList(Files);
            }
            _list.Lease();
            return _list;
        }
    }

    public long Bytes => Files.Sum(f => f.Bytes);

    /// <summary>Reads that met damage since the store was opened.</summary>
    public long DamagedReads => Interlocked.Read(ref _damagedReads);

    /// <summary>Files moved aside since the store was opened.</summary>
    public int QuarantinedFiles { get; private set; }

    /// <summary>The index of a file; null (logged once) when it cannot be read any more.</summary>
    public BlockIndex? TryIndex(BlockFile file)
    {
        try
        {
            return file.Index(Interlocked.Increment(ref _uses));
        }
        catch (Exception e) when (e is InvalidDataException or IOException)
        {
            NoteDamage(file);
            return null;
        }
    }

    /// <summary>Something of a file could not be read: counted, and said once per file.</summary>
    public void NoteDamage(BlockFile file)
    {
        Interlocked.Increment(ref _damagedReads);
        if (file.TryNoteDamage())
            LogDamaged(_log, file.Name);
    }

    /// <summary>Opens what is there. Leftovers of a crash are deleted, damaged files moved aside.</summary>
    public void Load()
    {
        _disk.CreateFolder(_folder);
        var files = new List<BlockFile>();
        foreach (string name in _disk.List(_folder))
        {
            if (name.EndsWith(".new", StringComparison.Ordinal))
                _disk.Delete(Path.Combine(_folder, name));
            if (!name.EndsWith(BlockFormat.Ending, StringComparison.Ordinal))
                continue;
            _lastNumber = Math.Max(_lastNumber, NumberOf(name));
            try
            {
                files.Add(BlockFile.Open(_disk, _folder, name));
            }
            catch (InvalidDataException e)
            {
                PutAside(name, e.Message);
            }
            catch (IOException e) when (DiskErrors.IsBadSector(e))
            {
                // It stays where it is: another disk may read it. Every other error ends the opening, since what cannot be looked at just now must not count as gone.
                Interlocked.Increment(ref _damagedReads);
                LogUnreadable(_log, name, e.Message);
            }
        }
        Volatile.Write(ref _files, [.. WithoutFormer(WithoutReplaced(files))]);
    }

    // A merge or rewrite counts from the moment that its file is there; a crash may have left its sources. What is itself replaced may never have been served: it stands in for nothing.
    // A number that is not lower was given again since.
    private List<BlockFile> WithoutReplaced(List<BlockFile> files)
    {
        var replaced = new HashSet<string>(StringComparer.Ordinal);
        foreach (BlockFile file in files.Where(f => f.Replaces.Count > 0).OrderByDescending(f => NumberOf(f.Name)))
        {
            if (!replaced.Contains(file.Name))
                replaced.UnionWith(file.Replaces.Where(r => NumberOf(r) < NumberOf(file.Name)));
        }
        List<BlockFile> left = files.FindAll(f => replaced.Contains(f.Name));
        foreach (BlockFile file in left)
            file.Drop();
        Delete([.. left.Select(f => f.Name)]);
        return files.FindAll(f => !left.Contains(f));
    }

    // Nothing finer is ever written for a time that has become coarser, nor left there. What lies there could not be read when it became coarser, and counts beside the slots that were made without it.
    private List<BlockFile> WithoutFormer(List<BlockFile> files)
    {
        var kept = new List<BlockFile>();
        foreach (BlockFile file in files)
        {
            if (files.Find(c => c.ResolutionMs > file.ResolutionMs && c.Overlaps(file)) is not { } coarser)
            {
                kept.Add(file);
                continue;
            }
            file.Drop();
            PutAside(file.Name, $"its time became coarser without it, in {coarser.Name}");
        }
        return kept;
    }

    /// <summary>Begins a file for a partition.</summary>
    /// <param name="replaces">Files that it will stand in for: they are gone from the moment that it is there, at the next opening at the latest.</param>
    public BlockWriter Begin(long partitionMs, IReadOnlyList<BlockFile>? replaces = null, int resolutionMs = 0, long maxBytes = long.MaxValue) =>
        new(_disk, _folder, string.Create(CultureInfo.InvariantCulture, $"{partitionMs / 1000}-{Interlocked.Increment(ref _lastNumber):D8}{BlockFormat.Ending}"), [.. (replaces ?? []).Select(f => f.Name), .. Left()], resolutionMs) { MaxBytes = maxBytes };

    public BlockFile Open(string name) => BlockFile.Open(_disk, _folder, name);

    /// <summary>Opens a file that stands in for others; when that fails it must not be found at the next opening.</summary>
    public BlockFile OpenWritten(string name)
    {
        try
        {
            return Open(name);
        }
        catch (Exception e) when (e is IOException or InvalidDataException)
        {
            Delete([name]);
            throw;
        }
    }

    /// <summary>Removes a file that was written but not published.</summary>
    public void Discard(BlockFile file)
    {
        file.Drop();
        Delete([file.Name]);
    }

    /// <summary>Publishes files. Under the head's write lock.</summary>
    public void AddLocked(IReadOnlyList<BlockFile> added)
    {
        Volatile.Write(ref _files, [.. _files, .. added]);
        EndLease();
    }

    // Readers lease the new files from now on; those that went are closed when the last reader is done.
    private void EndLease()
    {
        lock (_leaseGate)
        {
            _list?.Drop();
            _list = null;
        }
    }

    /// <summary>Puts a file in the place of others, or of none (null: they held nothing that stays). False, nothing is changed: one of them is gone already. Under the head's write lock.</summary>
    public bool TryReplaceLocked(IReadOnlyList<BlockFile> sources, BlockFile? with)
    {
        if (!sources.All(s => _files.Contains(s)))
            return false;
        Volatile.Write(ref _files, [.. _files.Except(sources), .. with is null ? [] : new[] { with }]);
        foreach (BlockFile file in sources)
            file.Drop();
        EndLease();
        return true;
    }

    /// <summary>Deletes files that are not served any more. What the disk does not delete now is tried again (<see cref="DeleteLeft"/>), and each file that is written until then names it as replaced.</summary>
    public void Delete(IReadOnlyList<string> names)
    {
        lock (_leftGate)
            _left.AddRange(names);
        DeleteLeft();
    }

    /// <summary>Deletes what could not be deleted before.</summary>
    public void DeleteLeft()
    {
        lock (_leftGate)
        {
            if (_left.Count == 0)
                return;
            var gone = new List<string>();
            string? why = null;
            foreach (string name in _left)
            {
                try
                {
                    _disk.Delete(Path.Combine(_folder, name));
                    gone.Add(name);
                }
                catch (IOException e)
                {
                    why = e.Message;
                }
            }
            try
            {
                _disk.SyncFolder(_folder);
                _left.RemoveAll(gone.Contains);
            }
            catch (IOException e)
            {
                why = e.Message;
            }
            if (why is not null)
                LogNotDeleted(_log, _left.Count, _left[0], why);
        }
    }

    private List<string> Left()
    {
        lock (_leftGate)
            return [.. _left];
    }

    /// <summary>Deletes files. False: one of them was merged meanwhile. Under the head's write lock.</summary>
    public bool TryDropLocked(IReadOnlyList<BlockFile> gone)
    {
        if (!TryReplaceLocked(gone, null))
            return false;
        Delete([.. gone.Select(f => f.Name)]);
        return true;
    }

    /// <summary>Lets indexes go from memory, the longest unused first, until they are under the limit.</summary>
    public void TrimIndexes()
    {
        long bytes = Files.Sum(f => f.IndexBytesInMemory);
        foreach (BlockFile file in Files.OrderBy(f => f.LastUse))
        {
            if (bytes <= _maxIndexBytes)
                return;
            bytes -= file.IndexBytesInMemory;
            file.Unload();
        }
    }

    public void Dispose()
    {
        _list?.Drop();
        _list = null;
        foreach (BlockFile file in _files)
            file.Drop();
        _files = [];
    }

    private void PutAside(string name, string reason)
    {
        string aside = Path.Combine(_folder, Quarantine);
        _disk.CreateFolder(aside);
        _disk.Rename(Path.Combine(_folder, name), Path.Combine(aside, name));
        _disk.SyncFolder(aside);
        _disk.SyncFolder(_folder);
        QuarantinedFiles++;
        LogQuarantined(_log, name, reason);
    }

    private static long NumberOf(string name)
    {
        int dash = name.LastIndexOf('-');
        ReadOnlySpan<char> digits = name.AsSpan(dash + 1, name.Length - BlockFormat.Ending.Length - dash - 1);
        return long.TryParse(digits, NumberStyles.None, CultureInfo.InvariantCulture, out long number) ? number : 0;
    }

    [LoggerMessage(EventId = 5721, Level = LogLevel.Error, Message = "chunk file {Name} has damaged parts; they are left out, the rest is served")]
    private static partial void LogDamaged(ILogger log, string name);

    [LoggerMessage(EventId = 5722, Level = LogLevel.Error, Message = "chunk file {Name} cannot be read and is left out: {Reason}")]
    private static partial void LogUnreadable(ILogger log, string name, string reason);

    [LoggerMessage(EventId = 5723, Level = LogLevel.Error, Message = "{Count} chunk files that nothing reads any more cannot be deleted now, {Name} for one; it is tried again: {Reason}")]
    private static partial void LogNotDeleted(ILogger log, int count, string name, string reason);

    [LoggerMessage(EventId = 5720, Level = LogLevel.Error, Message = "chunk file {Name} was moved to quarantine: {Reason}")]
    private static partial void LogQuarantined(ILogger log, string name, string reason);
}
