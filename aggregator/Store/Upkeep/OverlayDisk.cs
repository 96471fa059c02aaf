using Bellwether.Core.Platform;

namespace Bellwether.Store.Upkeep;

/// <summary>
/// A disk of which nothing is changed: what is read comes from the disk beneath, what is made, renamed or deleted stays in memory. A store opens on it as on any disk, so that it can be
/// looked at without touching it. A folder that a running process holds is refused as by the disk beneath. Thread-safe as that is.
/// </summary>
public sealed class OverlayDisk(IDisk beneath) : IDisk
{
    private const string LockName = "lock";
    private const int ErrnoAccess = 13, ErrnoReadOnly = 30;
    private readonly Lock _gate = new();
    private readonly Dictionary<string, MemoryFile> _made = [];
    private readonly Dictionary<string, string> _moved = [];
    private readonly HashSet<string> _gone = [];

    /// <inheritdoc/>
    public IDiskFile Open(string path, DiskOpen mode)
    {
        string full = Path.GetFullPath(path);
        lock (_gate)
        {
            if (mode == DiskOpen.CreateNew)
            {
                if (ExistsLocked(full))
                    throw new IOException($"cannot open '{path}': it is there already");
                return _made[full] = new MemoryFile();
            }
            if (_made.TryGetValue(full, out MemoryFile? made))
                return made;
            if (_gone.Contains(full) && !_moved.ContainsKey(full))
                throw new FileNotFoundException($"cannot open '{path}': it was deleted", path);
            return new Fixed(beneath.Open(_moved.GetValueOrDefault(full, full), DiskOpen.ReadOnly), path);
        }
    }

    /// <inheritdoc/>
    public bool Exists(string path)
    {
        lock (_gate)
            return ExistsLocked(Path.GetFullPath(path));
    }

    /// <inheritdoc/>
    public IReadOnlyList<string> List(string folder)
    {
        string full = Path.GetFullPath(folder);
        lock (_gate)
        {
            var names = new SortedSet<string>(StringComparer.Ordinal);
            foreach (string name in beneath.List(full))
            {
                if (!_gone.Contains(Path.Combine(full, name)))
                    names.Add(name);
            }
            foreach (string path in _made.Keys.Concat(_moved.Keys))
            {
                if (Path.GetDirectoryName(path) == full)
                    names.Add(Path.GetFileName(path));
            }
            return [.. names];
        }
    }

    /// <inheritdoc/>
    public void CreateFolder(string folder)
    {
    }

    /// <inheritdoc/>
    public void Delete(string path)
    {
        lock (_gate)
            DeleteLocked(Path.GetFullPath(path));
    }

    /// <inheritdoc/>
    public void Rename(string from, string to)
    {
        string source = Path.GetFullPath(from), target = Path.GetFullPath(to);
        lock (_gate)
        {
            if (!ExistsLocked(source))
                throw new FileNotFoundException($"cannot rename '{from}': it is not there", from);
            DeleteLocked(target);
            if (_made.Remove(source, out MemoryFile? made))
                _made[target] = made;
            else
                _moved[target] = _moved.GetValueOrDefault(source, source);
            DeleteLocked(source);
        }
    }

    /// <inheritdoc/>
    public void SyncFolder(string folder)
    {
    }

    /// <inheritdoc/>
    public long FreeBytes(string folder) => long.MaxValue / 4;

    /// <summary>Holds the folder beneath while it is looked at, if a process ever held it: a copy has no lock, and none is made in it.</summary>
    public IDisposable Lock(string folder)
    {
        if (!beneath.Exists(Path.Combine(folder, LockName)))
            return new Nothing();
        try
        {
            return beneath.Lock(folder);
        }
        catch (IOException e) when (e.HResult is ErrnoAccess or ErrnoReadOnly)
        {
            // A medium or an account that cannot write: then no process of it writes there, either.
            return new Nothing();
        }
    }

    private bool ExistsLocked(string full) => _made.ContainsKey(full) || _moved.ContainsKey(full) || (!_gone.Contains(full) && beneath.Exists(full));

    private void DeleteLocked(string full)
    {
        _made.Remove(full);
        _moved.Remove(full);
        _gone.Add(full);
    }

    private sealed class Nothing : IDisposable
    {
        public void Dispose()
        {
        }
    }

    /// <summary>A file of the disk beneath.</summary>
    private sealed class Fixed(IDiskFile file, string path) : IDiskFile
    {
        public long Length => file.Length;

        public int Read(long offset, Span<byte> into) => file.Read(offset, into);

        /// <summary>A log writes its last group again as it reads it, to make it durable: that changes nothing, and needs no write here.</summary>
        public void Write(long offset, ReadOnlySpan<byte> bytes)
        {
            byte[] there = new byte[bytes.Length];
            for (int done = 0; done < there.Length;)
            {
                int read = file.Read(offset + done, there.AsSpan(done));
                if (read == 0)
                    throw NotHere();
                done += read;
            }
            if (!bytes.SequenceEqual(there))
                throw NotHere();
        }

        public void SetLength(long length) => throw NotHere();

        public void Sync()
        {
        }

        public void Dispose() => file.Dispose();

        private IOException NotHere() => new($"'{path}' is only looked at, not written");
    }

    /// <summary>A file that exists in memory only; disposing one handle leaves it there.</summary>
    private sealed class MemoryFile : IDiskFile
    {
        private byte[] _bytes = [];
        private int _length;

        public long Length => _length;

        public int Read(long offset, Span<byte> into)
        {
            if (offset >= _length)
                return 0;
            int count = (int)Math.Min(into.Length, _length - offset);
            _bytes.AsSpan((int)offset, count).CopyTo(into);
            return count;
        }

        public void Write(long offset, ReadOnlySpan<byte> bytes)
        {
            SetLength(Math.Max(_length, offset + bytes.Length));
            bytes.CopyTo(_bytes.AsSpan((int)offset));
        }

        public void SetLength(long length)
        {
            int size = checked((int)length);
            if (size > _bytes.Length)
                Array.Resize(ref _bytes, Math.Max(size, _bytes.Length * 2));
            if (size < _length)
                _bytes.AsSpan(size, _length - size).Clear();
            _length = size;
        }

        public void Sync()
        {
        }

        public void Dispose()
        {
        }
    }
}
