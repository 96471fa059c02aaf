using Bellwether.Core.Platform;

namespace Bellwether.Core.Durable;

/// <summary>
/// The one durable primitive (docs/ARCHITECTURE.md, idea 2): an append-only log in numbered files, with group commit (append many, sync once), that survives kill, power cut,
/// damaged bytes and a full disk (docs/formats/log.md). Appends wait in memory until <see cref="Sync"/>; what that says is durable comes back after any crash,
/// once. When a write or a sync fails, its file is never written again: the log itself writes what was waiting into a new file. Nothing is ever repaired in place.
/// One thread appends, syncs, rotates and frees; readers may run beside it.
/// </summary>
public sealed class SegmentLog : IDisposable
{
    /// <summary>The folder beside the files where damaged bytes are kept.</summary>
    public const string QuarantineFolder = "quarantine";

    /// <summary>The file that repeats the log's identity.</summary>
    internal const string IdentityName = "identity";

    private const int KeepBytes = 1 << 20;

    private readonly IDisk _disk;
    private readonly string _folder;
    private readonly TimeProvider _clock;
    private readonly IDisposable _lock;
    private readonly Lock _gate = new();
    private readonly List<LogFile> _files;
    private readonly LogSpares _spares;
    private readonly UInt128 _identity;
    private byte[] _pending = new byte[64 << 10];
    private int _pendingBytes;
    private ulong _nextNumber;
    private ulong _nextSequence;
    private ulong _firstPending;
    private LogFile? _active;
    private IDiskFile? _handle;
    private bool _folderDirty;
    private long _bytes;

    private SegmentLog(IDisk disk, string folder, SegmentLogOptions options, TimeProvider clock, Random random, IDisposable folderLock, LogFrameVisitor? visitor, ulong from)
    {
        _disk = disk;
        _folder = folder;
        Options = options;
        _clock = clock;
        _lock = folderLock;
        var recovery = new LogRecovery(disk, folder, options, visitor, from);
        Report = recovery.Run();
        _files = recovery.Files;
        _spares = new LogSpares(disk, folder, recovery.Spares, NoteError);
        _identity = recovery.Identity is { } known && _files.Count > 0 ? known : NewIdentity(random);
        _nextNumber = recovery.NextNumber;
        _nextSequence = _firstPending = recovery.NextSequence;
        if (recovery.KeptIdentity != _identity)
            KeepIdentity();
        lock (_gate)
            RecountLocked();
    }

    /// <summary>What opening found.</summary>
    public LogOpenReport Report { get; }

    /// <summary>Limits.</summary>
    public SegmentLogOptions Options { get; }

    /// <summary>Bytes that a file takes before another one is begun, beyond <see cref="SegmentLogOptions.FileBytes"/>: for a head that its owner writes into each file.</summary>
    public int HeadBytes { get; set; }

    /// <summary>The error behind the last outcome that was not <see cref="LogSync.Durable"/>; also set when a first try failed and the second did not.</summary>
    public IOException? LastError { get; private set; }

    /// <summary>Writes or syncs that failed since opening.</summary>
    public long Errors { get; private set; }

    /// <summary>Durable bytes in all files.</summary>
    public long Bytes
    {
        get
        {
            lock (_gate)
                return _bytes;
        }
    }

    /// <summary>The sequence that the next append gets.</summary>
    public ulong NextSequence => _nextSequence;

    /// <summary>The first sequence that is not durable yet.</summary>
    public ulong DurableSequence => _firstPending;

    /// <summary>Bytes that wait for <see cref="Sync"/>.</summary>
    public int PendingBytes => _pendingBytes;

    /// <summary>The number of the file that takes the next frames once something is synced; 0 when a new one will be begun.</summary>
    public ulong ActiveFile => _active?.Number ?? 0;

    /// <summary>The files, oldest first.</summary>
    public IReadOnlyList<LogFileInfo> Files
    {
        get
        {
            lock (_gate)
                return _files.ConvertAll(f => f.Info);
        }
    }

    /// <summary>
    /// Opens the log in a folder, which is made when missing and taken for this process alone. Every frame that is there is handed to <paramref name="visitor"/>,
    /// in order, once. Succeeds whatever the files hold: <see cref="Report"/> says what was lost. Throws <see cref="IOException"/> when the folder cannot be made,
    /// another process has it, the newest frames cannot be made durable, or the process may not open a file of it or has no descriptor left (see <see cref="DiskErrors.IsOfTheProcess"/>).
    /// </summary>
    /// <param name="disk">Where the folder is.</param>
    /// <param name="folder">The log's folder.</param>
    /// <param name="options">Limits.</param>
    /// <param name="clock">When files are begun.</param>
    /// <param name="random">For a new log's identity.</param>
    /// <param name="visitor">Is handed the frames.</param>
    /// <param name="from">Frames before it are not needed: files that hold no others are not read, so that damage in them goes unseen until somebody needs them. Some before it may be handed over all the same.</param>
    public static SegmentLog Open(IDisk disk, string folder, SegmentLogOptions options, TimeProvider clock, Random random, LogFrameVisitor? visitor = null, ulong from = 0)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan(options.PayloadBytesMax, 64 << 20);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(options.FileBytes, 1L << 30);
        disk.CreateFolder(folder);
        IDisposable folderLock = disk.Lock(folder);
        try
        {
            return new SegmentLog(disk, folder, options, clock, random, folderLock, visitor, from);
        }
        catch
        {
            folderLock.Dispose();
            throw;
        }
    }

    /// <summary>Adds a frame behind those that wait. It is durable when <see cref="Sync"/> says so, and not readable before.</summary>
    public LogAppend Append(ushort kind, ReadOnlySpan<byte> payload, out ulong sequence)
    {
        sequence = _nextSequence;
        if (payload.Length > Options.PayloadBytesMax)
            return LogAppend.TooLarge;
        int bytes = LogFormat.FrameBytes(payload.Length);
        if (_pendingBytes > 0 && _pendingBytes + bytes > Options.PendingBytesMax)
            return LogAppend.PendingFull;
        if (Bytes + _pendingBytes + bytes > Options.BytesMax)
            return LogAppend.LogFull;
        if (_pending.Length < _pendingBytes + bytes)
            Array.Resize(ref _pending, Math.Max(_pending.Length * 2, _pendingBytes + bytes));
        LogFormat.BeginFrame(_pending.AsSpan(_pendingBytes, bytes), kind, sequence, payload);
        _pendingBytes += bytes;
        _nextSequence++;
        return LogAppend.Appended;
    }

    /// <summary>Lets the next append have at least this sequence; nothing may wait. For who must not give out a number again that damage took from the log's end.</summary>
    public void SkipTo(ulong sequence)
    {
        if (_pendingBytes > 0)
            throw new InvalidOperationException("frames wait");
        if (sequence > _nextSequence)
        {
            Close();
            _nextSequence = _firstPending = sequence;
        }
    }

    /// <summary>Makes everything appended durable. When it cannot, everything still waits in memory, and the caller tries again later or discards it.</summary>
    public LogSync Sync()
    {
        if (_pendingBytes == 0)
            return LogSync.Durable;
        for (int attempt = 0; ; attempt++)
        {
            try
            {
                WritePending();
                return LogSync.Durable;
            }
            catch (IOException error)
            {
                NoteError(error);
                Abandon();
                bool full = DiskErrors.IsDiskFull(error);
                if (attempt > 0 || (full && !_spares.Release()))
                    return full ? LogSync.DiskFull : LogSync.Failed;
            }
        }
    }

    /// <summary>Forgets what waits. Its sequences are not used again.</summary>
    public void DiscardPending()
    {
        _pendingBytes = 0;
        _firstPending = _nextSequence;
    }

    /// <summary>Syncs, and lets the next append begin a new file. On another outcome than durable nothing changes.</summary>
    public LogSync Rotate()
    {
        LogSync outcome = Sync();
        if (outcome == LogSync.Durable)
            Close();
        return outcome;
    }

    /// <summary>
    /// Frees all files whose frames lie below a sequence, and returns how many. What makes them needless must be durable already. The newest file stays, since the log's
    /// identity and numbers live in it. A file that could not be removed stays in the list and is tried again next time.
    /// </summary>
    public int FreeBelow(ulong sequence) => Free(f => f.NextSequence <= sequence);

    /// <summary>Frees single files by number; see <see cref="FreeBelow"/>.</summary>
    public int FreeFiles(IReadOnlyCollection<ulong> numbers) => Free(f => numbers.Contains(f.Number));

    /// <summary>Reads durable frames from a sequence on. Thread-safe.</summary>
    public LogReader Read(ulong fromSequence = 0) => new(this, fromSequence);

    /// <summary>Closes the files. What waits unsynced is lost.</summary>
    public void Dispose()
    {
        Close();
        _lock.Dispose();
    }

    internal IDiskFile OpenForReading(ulong number) => _disk.Open(Path.Combine(_folder, LogFile.Name(number)), DiskOpen.ReadOnly);

    internal long EndOf(LogFile file, out bool active)
    {
        lock (_gate)
        {
            active = ReferenceEquals(file, _active);
            return file.End;
        }
    }

    internal bool Holds(LogFile file)
    {
        lock (_gate)
            return _files.Contains(file);
    }

    /// <summary>The first file behind a number that holds frames from a sequence on; null when none does yet.</summary>
    internal LogFile? NextFile(ulong afterNumber, ulong fromSequence)
    {
        lock (_gate)
        {
            foreach (LogFile file in _files)
            {
                if (file.Number > afterNumber && file.NextSequence > fromSequence)
                    return file;
            }
            return null;
        }
    }

    private static UInt128 NewIdentity(Random random)
    {
        Span<byte> bytes = stackalloc byte[16];
        random.NextBytes(bytes);
        return System.Buffers.Binary.BinaryPrimitives.ReadUInt128LittleEndian(bytes);
    }

    private void KeepIdentity()
    {
        byte[] bytes = new byte[16];
        System.Buffers.Binary.BinaryPrimitives.WriteUInt128LittleEndian(bytes, _identity);
        try
        {
            AtomicFile.Write(_disk, Path.Combine(_folder, IdentityName), bytes);
        }
        catch (IOException error)
        {
            // It is a second copy: the headers have it too, and the next opening tries again.
            NoteError(error);
        }
    }

    private void NoteError(IOException error)
    {
        Errors++;
        LastError = error;
    }

    private void RecountLocked()
    {
        _bytes = 0;
        foreach (LogFile file in _files)
            _bytes += file.End;
    }

    private void WritePending()
    {
        if (_active is not null && _active.End >= Options.FileBytes + HeadBytes)
            Close();
        if (_handle is null)
            Begin();
        LogFile file = _active!;
        Span<byte> frames = _pending.AsSpan(0, _pendingBytes);
        for (int at = 0; at < frames.Length;)
        {
            int bytes = LogFormat.FrameBytes(System.Buffers.Binary.BinaryPrimitives.ReadInt32LittleEndian(frames[at..]));
            LogFormat.SealFrame(frames.Slice(at, bytes), file.Seed, file.End + at, (uint)file.End);
            at += bytes;
        }
        _handle!.Write(file.End, frames);
        _handle.Sync();
        if (_folderDirty)
        {
            _disk.SyncFolder(_folder);
            _folderDirty = false;
        }
        lock (_gate)
        {
            file.End += _pendingBytes;
            _bytes += _pendingBytes;
            file.NextSequence = _nextSequence;
        }
        _firstPending = _nextSequence;
        _pendingBytes = 0;
        if (_pending.Length > KeepBytes)
            _pending = new byte[64 << 10];
    }

    /// <summary>Begins a file: a spare overwritten, or a new one. Its header goes to the disk with the first frames.</summary>
    private void Begin()
    {
        LogFile? previous = _files.Count > 0 ? _files[^1] : null;
        ulong number = _nextNumber++;
        string path = Path.Combine(_folder, LogFile.Name(number));
        _folderDirty = true;
        if (_spares.TryTake(path))
        {
            // Were the new name lost with the power and the bytes not, its number would be given again, and frames of this time would pass for frames of that.
            _disk.SyncFolder(_folder);
            _folderDirty = false;
            _handle = _disk.Open(path, DiskOpen.Existing);
        }
        else
        {
            _handle = _disk.Open(path, DiskOpen.CreateNew);
        }
        long createdMs = _clock.GetUtcNow().ToUnixTimeMilliseconds();
        var file = new LogFile(number, _firstPending, createdMs, LogFormat.Seed(_identity, number));
        Span<byte> header = stackalloc byte[LogFormat.HeaderBytes];
        uint delta = previous is null ? 0 : (uint)(number - previous.Number);
        LogFormat.WriteHeader(header, new LogFileHeader(_identity, number, _firstPending, createdMs, delta, (uint)(previous?.End ?? 0)));
        lock (_gate)
        {
            _files.Add(file);
            _active = file;
            RecountLocked();
        }
        _handle.Write(0, header);
    }

    private void Close()
    {
        _handle?.Dispose();
        _handle = null;
        lock (_gate)
            _active = null;
    }

    /// <summary>After an error: the file is never written again. One without durable frames goes; the next file's header makes it void in any case.</summary>
    private void Abandon()
    {
        LogFile? file = _active;
        Close();
        if (file is null || file.NextSequence > file.FirstSequence)
            return;
        lock (_gate)
        {
            _files.Remove(file);
            RecountLocked();
        }
        try
        {
            _disk.Delete(Path.Combine(_folder, LogFile.Name(file.Number)));
        }
        catch (IOException error)
        {
            LastError = error;
        }
    }

    /// <summary>Deletes the freed files that are kept to be overwritten, so that others on a full disk have their room.</summary>
    public void ReleaseReserve()
    {
        lock (_gate)
            _spares.Release();
    }

    private int Free(Func<LogFile, bool> needless)
    {
        int freed = 0;
        foreach (LogFile file in _files.ToArray())
        {
            bool stays = ReferenceEquals(file, _active) || ReferenceEquals(file, _files[^1]);
            if (stays || !needless(file) || !TryRemove(file))
                continue;
            freed++;
        }
        if (freed > 0)
            TrySyncFolder();
        return freed;
    }

    private bool TryRemove(LogFile file)
    {
        lock (_gate)
        {
            _files.Remove(file);
            RecountLocked();
        }
        bool removed = _spares.Count < Options.SpareFiles ? _spares.TryAdd(file.Number) : _spares.TryDelete(LogFile.Name(file.Number));
        if (removed)
            return true;
        lock (_gate)
        {
            _files.Insert(_files.FindIndex(f => f.Number > file.Number), file);
            RecountLocked();
        }
        return false;
    }

    private void TrySyncFolder()
    {
        try
        {
            _disk.SyncFolder(_folder);
        }
        catch (IOException error)
        {
            // The files come back after a power cut, and their owner frees them again.
            NoteError(error);
        }
    }
}
