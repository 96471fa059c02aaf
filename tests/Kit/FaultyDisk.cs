using System.Runtime.InteropServices;
using Bellwether.Core.Platform;

namespace Bellwether.Kit;

/// <summary>What a <see cref="FaultyDisk"/> is asked to do, for its <see cref="FaultyDisk.Fault"/>.</summary>
public enum DiskCall
{
    /// <summary>Open or make a file.</summary>
    Open,
    /// <summary>Read.</summary>
    Read,
    /// <summary>Write.</summary>
    Write,
    /// <summary>Make a file durable.</summary>
    Sync,
    /// <summary>Rename or delete.</summary>
    Name,
    /// <summary>Make names durable.</summary>
    SyncFolder,
}

/// <summary>What of the things not yet synced is there after a power cut.</summary>
public enum CrashKeeps
{
    /// <summary>Nothing of them.</summary>
    Nothing,
    /// <summary>All of them.</summary>
    All,
    /// <summary>Of each file and folder what came first, the last sector torn.</summary>
    Prefix,
    /// <summary>Each sector as chance has it: lost, there, or torn.</summary>
    Sectors,
}

/// <summary>The power is gone: thrown by every call until <see cref="FaultyDisk.Crash(CrashKeeps)"/>. On purpose no IOException, so that nobody handles it.</summary>
public sealed class PowerCutException : Exception
{
    /// <summary>Makes one.</summary>
    public PowerCutException() : base("power cut")
    {
    }
}

/// <summary>
/// A disk in memory that keeps what was written apart from what is durable, in sectors of 512 bytes, and names apart from durable names. A crash loses, keeps or
/// tears what was not synced, as its <see cref="Random"/> says. A failed sync leaves its sectors undecided for ever, as Linux does: the next sync succeeds and
/// proves nothing. Deterministic for a seed. Not thread-safe.
/// </summary>
public sealed class FaultyDisk(Random random) : IDisk
{
    private const int Sector = 512;
    private const int IoError = 5;
    private static readonly CrashKeeps[] s_moods = [CrashKeeps.Nothing, CrashKeeps.All, CrashKeeps.Sectors];
    private readonly Dictionary<string, Inode> _names = new(StringComparer.Ordinal);
    private readonly Dictionary<string, Inode> _durableNames = new(StringComparer.Ordinal);
    private readonly List<(string Folder, Action Apply)> _pendingNames = [];
    private readonly HashSet<string> _folders = new(StringComparer.Ordinal);
    private readonly HashSet<string> _locks = new(StringComparer.Ordinal);
    private int _life;
    private bool _dead;

    /// <summary>Asked before each call; true: it fails with an IO error. A write that fails has written some of its bytes.</summary>
    public Func<DiskCall, string, bool>? Fault { get; set; }

    /// <summary>Asked before each read of a place (path, offset, bytes); true: it fails as a bad sector does.</summary>
    public Func<string, long, int, bool>? BadSector { get; set; }

    /// <summary>The error number that calls fail with.</summary>
    public int FaultError { get; set; } = IoError;

    /// <summary>Reads that failed so far.</summary>
    public long FailedReads { get; private set; }

    /// <summary>Bytes that all files together may have; above, writes fail as on a full disk.</summary>
    public long Capacity { get; set; } = long.MaxValue;

    /// <summary>Writes, syncs and name changes so far.</summary>
    public long Changes { get; private set; }

    /// <summary>The power goes at this <see cref="Changes"/>.</summary>
    public long PowerCutAt { get; set; } = long.MaxValue;

    /// <summary>Bytes of all files.</summary>
    public long UsedBytes => _names.Values.Distinct().Sum(i => (long)i.Length);

    /// <inheritdoc/>
    public IDiskFile Open(string path, DiskOpen mode)
    {
        Check(DiskCall.Open, path);
        bool exists = _names.TryGetValue(path, out Inode? inode);
        if (mode == DiskOpen.CreateNew)
        {
            if (exists)
                throw new IOException($"cannot open '{path}': File exists");
            Change();
            inode = new Inode();
            Point(path, inode);
        }
        else if (!exists)
        {
            throw new FileNotFoundException($"cannot open '{path}': No such file or directory", path);
        }
        return new Handle(this, path, inode!, _life, mode == DiskOpen.ReadOnly);
    }

    /// <inheritdoc/>
    public bool Exists(string path) => _names.ContainsKey(path);

    /// <inheritdoc/>
    public IReadOnlyList<string> List(string folder) =>
        [.. _names.Keys.Where(p => Path.GetDirectoryName(p) == folder).Select(p => Path.GetFileName(p)!).Order(StringComparer.Ordinal)];

    /// <inheritdoc/>
    public void CreateFolder(string folder) => _folders.Add(folder);

    /// <inheritdoc/>
    public void Delete(string path)
    {
        if (!_names.ContainsKey(path))
            return;
        Check(DiskCall.Name, path);
        Change();
        Point(path, null);
    }

    /// <inheritdoc/>
    public void Rename(string from, string to)
    {
        Check(DiskCall.Name, from);
        if (!_names.TryGetValue(from, out Inode? inode))
            throw new FileNotFoundException($"cannot rename '{from}': No such file or directory", from);
        Change();
        _names.Remove(from);
        _names[to] = inode;
        _pendingNames.Add((Folder(to), MakeDurable));

        void MakeDurable()
        {
            _durableNames.Remove(from);
            _durableNames[to] = inode;
        }
    }

    /// <inheritdoc/>
    public void SyncFolder(string folder)
    {
        Check(DiskCall.SyncFolder, folder);
        Change();
        foreach ((string _, Action apply) in _pendingNames.Where(p => p.Folder == folder))
            apply();
        _pendingNames.RemoveAll(p => p.Folder == folder);
    }

    /// <inheritdoc/>
    public long FreeBytes(string folder) => Math.Max(0, Capacity - UsedBytes);

    /// <inheritdoc/>
    public IDisposable Lock(string folder)
    {
        if (!_locks.Add(folder))
            throw new IOException($"the folder '{folder}' is in use by another process");
        return new Unlock(this, folder, _life);
    }

    /// <summary>
    /// The machine goes down and comes up again: open handles are dead, locks gone, and of what was not durable some is lost, some torn, some there.
    /// With <paramref name="onlyProcess"/> the process was killed and the machine stayed up: nothing that was written is lost, nothing more is durable.
    /// </summary>
    public void Crash(bool onlyProcess = false) => Crash(onlyProcess, null);

    /// <summary>The machine goes down and comes up again; of what was not durable there is what <paramref name="keeps"/> says.</summary>
    public void Crash(CrashKeeps keeps) => Crash(onlyProcess: false, keeps);

    private void Crash(bool onlyProcess, CrashKeeps? keeps)
    {
        _life++;
        _dead = false;
        PowerCutAt = long.MaxValue;
        _locks.Clear();
        if (onlyProcess)
            return;
        // Names come back as a prefix of their changes per folder: file systems journal them in order.
        foreach (IGrouping<string, (string Folder, Action Apply)> folder in _pendingNames.GroupBy(p => p.Folder).OrderBy(g => g.Key, StringComparer.Ordinal))
        {
            int keep = keeps switch { CrashKeeps.Nothing => 0, CrashKeeps.All => folder.Count(), _ => random.Next(folder.Count() + 1) };
            foreach ((string _, Action apply) in folder.Take(keep))
                apply();
        }
        _pendingNames.Clear();
        _names.Clear();
        foreach ((string path, Inode inode) in _durableNames)
            _names[path] = inode;
        foreach ((string _, Inode inode) in _names.OrderBy(n => n.Key, StringComparer.Ordinal))
            inode.Crash(random, keeps ?? s_moods[random.Next(s_moods.Length)]);
    }

    /// <summary>A second disk with the files as they are read now; on both all is durable then.</summary>
    public FaultyDisk Copy(Random random)
    {
        foreach ((string _, Action apply) in _pendingNames)
            apply();
        _pendingNames.Clear();
        foreach (Inode inode in _names.Values)
            inode.Sync();
        var copy = new FaultyDisk(random);
        copy._folders.UnionWith(_folders);
        foreach ((string path, Inode inode) in _names)
        {
            var twin = new Inode();
            twin.Write(0, inode.Current.AsSpan(0, inode.Length));
            twin.Sync();
            copy._names[path] = twin;
            copy._durableNames[path] = twin;
        }
        return copy;
    }

    /// <summary>Turns a bit of a file: rot.</summary>
    public void FlipBit(string path, long bit) => _names[path].Flip(bit);

    /// <summary>Puts other bytes in a file's place, durably: rot, or a hand that means well. A file that is not there is made.</summary>
    public void Put(string path, ReadOnlySpan<byte> content)
    {
        var inode = new Inode();
        inode.Write(0, content);
        inode.Sync();
        _names[path] = inode;
        _durableNames[path] = inode;
    }

    /// <summary>A copy of a file's bytes as a reader sees them.</summary>
    public byte[] Content(string path) => _names[path].Current.AsSpan(0, _names[path].Length).ToArray();

    /// <summary>Removes a file durably, as an operator would.</summary>
    public void Lose(string path)
    {
        _names.Remove(path);
        _durableNames.Remove(path);
    }

    private static string Folder(string path) => Path.GetDirectoryName(path) ?? "";

    private void Point(string path, Inode? inode)
    {
        if (inode is null)
            _names.Remove(path);
        else
            _names[path] = inode;
        _pendingNames.Add((Folder(path), MakeDurable));

        void MakeDurable()
        {
            if (inode is null)
                _durableNames.Remove(path);
            else
                _durableNames[path] = inode;
        }
    }

    private void Change()
    {
        if (++Changes < PowerCutAt)
            return;
        _dead = true;
        throw new PowerCutException();
    }

    private void Check(DiskCall call, string path)
    {
        if (_dead)
            throw new PowerCutException();
        if (Fault?.Invoke(call, path) != true)
            return;
        if (call == DiskCall.Read)
            FailedReads++;
        throw new IOException($"cannot {call} '{path}': {Marshal.GetPInvokeErrorMessage(FaultError)} (errno {FaultError})", FaultError);
    }

    private sealed class Unlock(FaultyDisk disk, string folder, int life) : IDisposable
    {
        public void Dispose()
        {
            if (life == disk._life)
                disk._locks.Remove(folder);
        }
    }

    private sealed class Inode
    {
        private readonly HashSet<int> _dirty = [];
        private readonly HashSet<int> _undecided = [];
        private byte[] _durable = [];
        private int _durableLength;

        public byte[] Current { get; private set; } = [];

        public int Length { get; private set; }

        public void SetLength(int length)
        {
            if (Current.Length < length)
            {
                byte[] grown = new byte[Math.Max(length, Current.Length * 2)];
                Current.CopyTo(grown, 0);
                Current = grown;
            }
            if (length < Length)
                Current.AsSpan(length, Length - length).Clear();
            for (int s = Math.Min(length, Length) / Sector; s * Sector < Math.Max(length, Length); s++)
                Dirty(s);
            Length = length;
        }

        public void Write(int offset, ReadOnlySpan<byte> bytes)
        {
            if (bytes.IsEmpty)
                return;
            if (offset + bytes.Length > Length)
                SetLength(offset + bytes.Length);
            bytes.CopyTo(Current.AsSpan(offset));
            for (int s = offset / Sector; s <= (offset + bytes.Length - 1) / Sector; s++)
                Dirty(s);
        }

        public void Sync()
        {
            Grow();
            foreach (int s in _dirty)
                Copy(Current, _durable, s, 0, Sector);
            _durableLength = Length;
            _dirty.Clear();
        }

        public void SyncFailed()
        {
            _undecided.UnionWith(_dirty);
            _dirty.Clear();
        }

        public void Crash(Random random, CrashKeeps keeps)
        {
            Grow();
            int[] loose = [.. _dirty.Concat(_undecided).Order()];
            int kept = keeps switch { CrashKeeps.Nothing => 0, CrashKeeps.Prefix => random.Next(loose.Length + 1), _ => loose.Length };
            for (int i = 0; i < loose.Length; i++)
            {
                int bytes = keeps switch
                {
                    CrashKeeps.Sectors => random.Next(3) switch { 0 => 0, 1 => Sector, _ => random.Next(Sector) },
                    CrashKeeps.Prefix when i == kept => random.Next(Sector),
                    _ => i < kept ? Sector : 0,
                };
                Copy(Current, _durable, loose[i], 0, bytes);
            }
            if (_durableLength != Length && keeps != CrashKeeps.Nothing)
                _durableLength = keeps == CrashKeeps.All ? Length : random.Next(Math.Min(Length, _durableLength), Math.Max(Length, _durableLength) + 1);
            _dirty.Clear();
            _undecided.Clear();
            _durable.AsSpan(_durableLength).Clear();
            Current = (byte[])_durable.Clone();
            Length = _durableLength;
        }

        public void Flip(long bit)
        {
            Current[(int)(bit >> 3)] ^= (byte)(1 << (int)(bit & 7));
            Grow();
            if (bit >> 3 < _durable.Length)
                _durable[(int)(bit >> 3)] ^= (byte)(1 << (int)(bit & 7));
        }

        private void Dirty(int sector)
        {
            _dirty.Add(sector);
            _undecided.Remove(sector);
        }

        private void Grow()
        {
            if (_durable.Length < Current.Length)
                Array.Resize(ref _durable, Current.Length);
        }

        private static void Copy(byte[] from, byte[] to, int sector, int first, int count)
        {
            int start = (sector * Sector) + first;
            int bytes = Math.Min(count, Math.Min(from.Length, to.Length) - start);
            if (bytes > 0)
                Array.Copy(from, start, to, start, bytes);
        }
    }

    private sealed class Handle(FaultyDisk disk, string path, Inode inode, int life, bool readOnly) : IDiskFile
    {
        private bool _closed;

        public long Length => inode.Length;

        public int Read(long offset, Span<byte> into)
        {
            Check(DiskCall.Read);
            int count = (int)Math.Clamp(inode.Length - offset, 0, into.Length);
            if (disk.BadSector?.Invoke(path, offset, count) ?? false)
                throw new IOException($"cannot read '{path}': Input/output error", IoError);
            inode.Current.AsSpan((int)Math.Min(offset, inode.Length), count).CopyTo(into);
            return count;
        }

        public void Write(long offset, ReadOnlySpan<byte> bytes)
        {
            if (readOnly)
                throw new InvalidOperationException("opened for reading");
            try
            {
                Check(DiskCall.Write);
                disk.Change();
            }
            catch (Exception error) when (error is IOException or PowerCutException)
            {
                if (life == disk._life)
                    inode.Write((int)offset, bytes[..disk.Partial(bytes.Length)]);
                throw;
            }
            long room = disk.Capacity - disk.UsedBytes + Math.Max(0, inode.Length - offset);
            if (room < bytes.Length)
            {
                inode.Write((int)offset, bytes[..(int)Math.Max(0, room)]);
                throw DiskErrors.DiskFull(path);
            }
            inode.Write((int)offset, bytes);
        }

        public void SetLength(long length)
        {
            Check(DiskCall.Write);
            disk.Change();
            inode.SetLength((int)length);
        }

        public void Sync()
        {
            try
            {
                Check(DiskCall.Sync);
            }
            catch (IOException)
            {
                inode.SyncFailed();
                throw;
            }
            disk.Change();
            inode.Sync();
        }

        public void Dispose() => _closed = true;

        private void Check(DiskCall call)
        {
            ObjectDisposedException.ThrowIf(_closed, this);
            if (life != disk._life)
                throw new InvalidOperationException("this handle is of before the crash");
            disk.Check(call, path);
        }
    }

    private int Partial(int length) => random.Next(length + 1);
}
